//! A model cluster with a virtual clock that runs plans.
//!
//! The promises of this project are properties, and a property needs a world to hold in: one in which pods are slow,
//! statuses lie for a moment, caches lag, users interfere, and the controller dies between any two calls. This is that
//! world, as values. It serves the property tests and `serin simulate`.
//!
//! ```text
//!  Cluster: API objects, pods, their controllers      Simulation: the shell around engine::plan
//!  ------------------------------------------------   ------------------------------------------
//!  store    objects and the log of their writes  ---> view    caches that lag behind the log
//!  pods     the ReplicaSet controller            <--- apply   intents, each guarded as a real call is
//!  runs     the AnalysisRun controller                action  what users and the world do
//!  services the endpoints controller
//! ```
//!
//! Absent here: randomness (delays and faults are given as lists), a real clock, any IO. The same [`Simulation`] always
//! takes the same course.

mod action;
mod apply;
mod cluster;
mod pods;
mod process;
mod runs;
mod services;
mod simulation;
mod step;
mod store;
mod view;
mod workload;

pub use action::Action;
pub use apply::{Kind, Refused, Write};
pub use cluster::{Capacity, Cluster, Setup, Stored};
pub use pods::{Pod, Readiness};
pub use runs::Outcome;
pub use simulation::Simulation;
pub use step::{Delays, Endless, Faults, Step, When};
pub use store::{Cache, Store};
pub use view::{Lag, View, observe};
