//! The controller process: watch -> observe -> plan -> apply -> status.
//!
//! This is the thin shell around [`crate::engine`]: it decides nothing about a release. What it holds in memory (stores,
//! backoffs, what it wrote last) only saves work; a process that starts anew continues from the API objects alone.

pub mod clock;
pub mod leader;
