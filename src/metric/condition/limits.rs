//! Bounds on what one expression may cost, so that no condition can hold up a worker or fill its memory.

use super::Fault;
use super::value::{Key, Value};

/// The longest source text of an expression, in bytes.
pub const MAX_SOURCE: usize = 4096;
/// How deep the parts of an expression may nest; in `a or b or c` each operator is a level too.
///
/// Parser and evaluator recurse this deep at most: without optimisation a level takes up to 16 KiB of stack, all of
/// them 1 MiB, and a worker has 2 MiB.
pub const MAX_DEPTH: usize = 64;
/// Steps of one evaluation: every part evaluated, every element compared or visited is one.
pub const MAX_STEPS: u64 = 5_000_000;
/// Values built by one evaluation; 16 bytes of text count as one value.
pub const MAX_VALUES: u64 = 1_000_000;
/// The longest text that one evaluation may build, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// How deep a value that an expression builds may nest.
const MAX_NESTING: usize = 128;

/// What is left of the bounds of one evaluation.
#[derive(Debug)]
pub(super) struct Budget {
    steps: u64,
    values: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            steps: MAX_STEPS,
            values: MAX_VALUES,
        }
    }

    /// Pays for work.
    pub(super) fn step(&mut self, at: usize, steps: usize) -> Result<(), Fault> {
        self.steps = take(self.steps, steps).ok_or_else(|| {
            Fault::new(
                at,
                format!("the expression needs more than {MAX_STEPS} steps of evaluation"),
            )
        })?;
        Ok(())
    }

    /// Pays for values that are about to be built.
    pub(super) fn build(&mut self, at: usize, values: usize) -> Result<(), Fault> {
        self.values = take(self.values, values)
            .ok_or_else(|| Fault::new(at, format!("the expression builds more than {MAX_VALUES} values")))?;
        Ok(())
    }

    /// Pays for text that is about to be built.
    pub(super) fn text(&mut self, at: usize, bytes: usize) -> Result<(), Fault> {
        if bytes > MAX_TEXT {
            return Err(Fault::new(
                at,
                format!("the expression builds a text of more than {MAX_TEXT} bytes"),
            ));
        }
        self.build(at, bytes / 16 + 1)
    }

    /// Pays for walking a value, and for a copy of it.
    pub(super) fn copy(&mut self, at: usize, value: &Value) -> Result<(), Fault> {
        let mut weight = 0;
        if !weigh(value, 0, &mut weight) {
            return Err(Fault::new(
                at,
                format!("the value nests deeper than {MAX_NESTING} levels"),
            ));
        }
        self.step(at, weight)?;
        self.build(at, weight)
    }

    /// Pays for walking a value without copying it.
    pub(super) fn walk(&mut self, at: usize, value: &Value) -> Result<(), Fault> {
        // The usual case, without the recursion.
        if !matches!(value, Value::List(_) | Value::Map(_) | Value::String(_)) {
            return self.step(at, 1);
        }
        let mut weight = 0;
        weigh(value, 0, &mut weight);
        self.step(at, weight)
    }
}

fn take(left: u64, amount: usize) -> Option<u64> {
    left.checked_sub(u64::try_from(amount).ok()?)
}

/// Adds what the value holds; false where it nests too deep (what lies deeper is not counted).
fn weigh(value: &Value, depth: usize, weight: &mut usize) -> bool {
    *weight += 1;
    if depth > MAX_NESTING {
        return false;
    }
    match value {
        Value::String(text) => {
            *weight += text.len() / 16;
            true
        }
        Value::List(items) => items.iter().all(|item| weigh(item, depth + 1, weight)),
        Value::Map(entries) => entries.iter().all(|(key, item)| {
            if let Key::String(text) = key {
                *weight += 1 + text.len() / 16;
            }
            weigh(item, depth + 1, weight)
        }),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Time(_)
        | Value::Duration(_)
        | Value::Zone(_) => true,
    }
}
