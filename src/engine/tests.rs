//! Tests of whole passes.

mod progress;
mod world;
