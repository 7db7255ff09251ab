//! The controller against the real API server and controller manager, with faked pods: what a user of the cluster sees.
//!
//! `cargo test --features cluster-tests --test controlplane -- --test-threads 12`: the tests mostly wait, so that many at once
//! take little longer than the longest of them. The cluster (`tests/cluster/cluster up fake test-controlplane`) is found or started,
//! and left up; `tests/cluster/cluster down test-controlplane` removes it. Each test has a namespace of its own. One controller
//! serves all tests but those that kill, count or isolate theirs; it ends with the test process.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]

#[path = "support/support.rs"]
mod support;

#[path = "controlplane/actions.rs"]
mod actions;
#[path = "controlplane/analysis.rs"]
mod analysis;
#[path = "controlplane/argocd.rs"]
mod argocd;
#[path = "controlplane/blue_green.rs"]
mod blue_green;
#[path = "controlplane/canary_analysis.rs"]
mod canary_analysis;
#[path = "controlplane/cost.rs"]
mod cost;
#[path = "controlplane/death.rs"]
mod death;
#[path = "controlplane/events.rs"]
mod events;
#[path = "controlplane/faults.rs"]
mod faults;
#[path = "controlplane/input.rs"]
mod input;
#[path = "controlplane/instances.rs"]
mod instances;
#[path = "controlplane/logs.rs"]
mod logs;
#[path = "controlplane/outage.rs"]
mod outage;
#[path = "controlplane/owners.rs"]
mod owners;
#[path = "controlplane/phases.rs"]
mod phases;
#[path = "controlplane/plugin.rs"]
mod plugin;
#[path = "controlplane/pods.rs"]
mod pods;
#[path = "controlplane/progress.rs"]
mod progress;
#[path = "controlplane/seeds.rs"]
mod seeds;
#[path = "controlplane/start.rs"]
mod start;
#[path = "controlplane/verbs.rs"]
mod verbs;
#[path = "controlplane/workloads.rs"]
mod workloads;
#[path = "controlplane/writes.rs"]
mod writes;
