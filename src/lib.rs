//! Serin: a progressive-delivery controller for Kubernetes.
//!
//! A team describes a release as a `Rollout`; Serin moves pods and traffic step by step, asks Prometheus at each step
//! how the new version does, and takes everything back by itself when it does worse.
//!
//! Dependencies point down only: [`api`] <- [`engine`] <- [`sim`], [`controller`], [`cli`]; [`metric`] stands beside the engine.

pub mod api;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod metric;
pub mod sim;
