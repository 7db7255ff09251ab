//! Tests of whole passes.

mod abort;
mod bugs;
mod progress;
mod support;
mod takeover;
mod world;
