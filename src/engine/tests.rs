//! Tests of whole passes.

mod abort;
mod progress;
mod world;
