//! Tests of whole passes.

mod abort;
mod bugs;
mod progress;
mod scaling;
mod support;
mod takeover;
mod world;
