//! What the tests against a real control plane share.

pub mod argocd;
pub mod audit;
pub mod bounds;
pub mod cluster;
pub mod controller;
pub mod http;
pub mod judge;
pub mod manifest;
pub mod marker;
pub mod plugin;
pub mod proxy;
pub mod record;
mod verbs;
pub mod world;

pub use controller::{Controller, Run};
pub use manifest::{canary, rollout, web_template};
pub use world::{World, scenario};
