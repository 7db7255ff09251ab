//! The wire: every type, name and annotation that a client of `argoproj.io/v1alpha1` observes. No logic.

pub mod analysis;
pub mod common;
mod crds;
pub mod endpoint_slice;
pub mod experiment;
pub mod names;
pub mod replica_set;
pub mod rollout;
pub mod service;

pub use crds::{crds, crds_yaml};
