//! Tests of whole passes.

mod abort;
mod analysis;
mod bugs;
mod limits;
mod ownership;
mod progress;
mod scaling;
mod story;
mod support;
mod takeover;
mod timing;
mod workload;
mod world;
