//! The controller process: watch -> observe -> plan -> apply -> status.
//!
//! This is the thin shell around [`crate::engine`]: it decides nothing about a release. What it holds in memory (stores,
//! backoffs, what it wrote last) only saves work; a process that starts anew continues from the API objects alone.

mod abandoned;
mod answer;
mod apply;
mod cache;
mod client;
pub mod clock;
mod dropped;
mod error;
mod events;
mod health;
mod jobs;
pub mod leader;
mod merge_patch;
mod metrics;
mod observe;
mod passes;
mod preflight;
pub mod process;
mod refusal;
mod retry;
mod rollouts;
mod runs;
mod secrets;
mod serve;
mod significance;
mod watched;
mod watches;
mod workloads;
mod written;

use std::time::Duration;

/// Who writes, in `managedFields` and as the instance of events.
pub const FIELD_MANAGER: &str = "serin";

/// How long one call to the API server may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
