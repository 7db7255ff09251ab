//! The Rollout: how the pods of an application are replaced, and how far that has come.

mod analysis;
mod spec;
mod status;
mod steps;
mod traffic;

pub use analysis::*;
pub use spec::*;
pub use status::*;
pub use steps::*;
pub use traffic::*;
