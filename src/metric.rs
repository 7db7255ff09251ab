//! Measuring: one file a provider, and the condition language that judges one result.

mod auth;
pub mod aws;
pub mod condition;
pub mod http;
pub mod job;
pub mod jsonpath;
mod kept;
mod prometheus;
pub mod provider;
pub mod sigv4;
mod web;
