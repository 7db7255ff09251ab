//! What a person runs at a prompt. No decision is made here: the same engine and the same providers answer as in the
//! controller.

pub mod analyze;
pub mod flags;
