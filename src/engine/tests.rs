//! Tests of whole passes.

mod abort;
mod bugs;
mod ownership;
mod progress;
mod scaling;
mod support;
mod takeover;
mod workload;
mod world;
