//! Measuring: one file a provider, and the condition language that judges one result.

pub mod condition;
