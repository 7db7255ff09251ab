//! The condition language of analysis templates: parse, check, evaluate, judge.
//!
//! The language is expr-lang, as version 1.17.8 has it (wire contract 2.11): `result[0] >= 0.95`,
//! `all(result, # < 1)`, `default(result, 0) <= 5`. This evaluator is Serin's own, because a verdict that aborts a
//! release must be right, bounded and explained.
//!
//! # Guarantees
//! - Pure: the result and the moment come in as values; the only thing read is the time zone database.
//! - Total: parsing and evaluating end, without a panic, within the bounds of [`limits`].
//! - Names, functions, methods and counts of arguments are checked when parsing.
//!
//! # Where it differs from the reference, on purpose
//! - A nil result may be guarded: `result == nil || result > 1` is true of nil; the reference rejects the whole
//!   condition.
//! - Numbers equal by value inside maps too: `result == {"code": 200}` holds for `{"code": 200}` read from JSON.
//! - A list of floats only counts as one of Prometheus, also when it came as JSON: `result[0] == "x"` is an error.
//! - What overflows 64 bits, and `int` of NaN or infinity, is an error instead of a wrong number.
//! - `Month()` and `Weekday()` are plain whole numbers.
//! - Maps are ordered by key.
//!
//! What is absent: user-defined functions, and any access to the outside.

mod ast;
mod builtins;
mod check;
mod eval;
mod judge;
mod layout;
mod lexer;
pub mod limits;
mod operators;
mod parser;
mod pattern;
mod show;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use jiff::Timestamp;

pub use judge::{Judgement, Verdict, judge};
pub use value::{Key, Value};

use ast::Node;
use check::Type;
use eval::Machine;
use limits::Budget;
use parser::Scope;

/// Whether a text is an expression of the language; the error is a sentence.
pub fn check(text: &str) -> Result<(), String> {
    Condition::parse(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// What is wrong and where, as a byte offset into the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// The place as a person counts it: from 1, in characters; the line only where there are several.
    fn place(&self, source: &str) -> String {
        let before = source.get(..self.at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        if source.contains('\n') {
            format!("line {line}, column {column}")
        } else {
            format!("column {column}")
        }
    }
}

/// An expression that cannot be understood, quoted, with the place and what was expected there.
///
/// `"result[0] >> 1": column 12: expected a value, found ">"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: String,
}

impl ParseError {
    fn new(source: &str, fault: &Fault) -> Self {
        /// As many characters of an expression as a message can carry.
        const QUOTED: usize = 400;
        let mut quoted: String = source.chars().take(QUOTED).collect();
        if quoted.len() < source.len() {
            quoted.push('…');
        }
        Self {
            text: format!("\"{quoted}\": {}: {}", fault.place(source), fault.message),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ParseError {}

/// An expression that could not be evaluated for one result: the reason and the place.
///
/// `index 0 is out of range: the list is empty (column 7)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    text: String,
}

impl EvalError {
    fn new(source: &str, fault: &Fault) -> Self {
        Self {
            text: format!("{} ({})", fault.message, fault.place(source)),
        }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for EvalError {}

/// A condition over the result of a measurement, parsed and checked; evaluated as often as wanted.
#[derive(Clone, Debug)]
pub struct Condition {
    source: String,
    node: Node,
}

impl Condition {
    /// Parses a condition.
    ///
    /// Fails on what is no expression, on unknown names, functions and methods, on a wrong number of arguments, on
    /// operators that cannot work on their operands, on an expression that cannot yield a bool, and beyond
    /// [`limits::MAX_SOURCE`] bytes or [`limits::MAX_DEPTH`] levels.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let error = |fault: Fault| ParseError::new(source, &fault);
        let node = parser::parse(source, Scope::Measurement).map_err(error)?;
        match check::check(&node, Type::Unknown).map_err(error)? {
            Type::Bool | Type::Unknown => Ok(Self {
                source: source.to_owned(),
                node,
            }),
            other => {
                let message = format!(
                    "a condition must yield true or false, but this yields {}",
                    other.name()
                );
                Err(error(Fault::new(node.at, message)))
            }
        }
    }

    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the condition holds for a result at a moment (that of `now()`).
    ///
    /// Fails where an operation does not fit the values that it meets, where the expression yields no bool, and where
    /// it exceeds [`limits::MAX_STEPS`], [`limits::MAX_VALUES`] or [`limits::MAX_TEXT`].
    pub fn evaluate(&self, result: &Value, now: Timestamp) -> Result<bool, EvalError> {
        let error = |fault: Fault| EvalError::new(&self.source, &fault);
        check::check(&self.node, Type::of(result)).map_err(error)?;
        match evaluated(&self.node, result, now).map_err(error)? {
            Value::Bool(holds) => Ok(holds),
            other => {
                let message = format!(
                    "a condition must yield true or false, but yields {}",
                    other.shortened_kind()
                );
                Err(error(Fault::new(self.node.at, message)))
            }
        }
    }
}

fn evaluated(node: &Node, result: &Value, now: Timestamp) -> Result<Value, Fault> {
    let mut machine = Machine {
        result,
        now,
        budget: Budget::new(),
    };
    Ok(machine.eval(node, None)?.into_owned())
}

/// Why `rangeQuery.start` or `rangeQuery.end` gives no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// The expression cannot be understood.
    Parse(ParseError),
    /// It could not be evaluated, or it yields something other than a time.
    Eval(EvalError),
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Eval(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TimeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Parse(error) => Some(error),
            Self::Eval(error) => Some(error),
        }
    }
}

/// The moment that an expression such as `now() - duration("1h")` names: for `rangeQuery.start` and `.end`.
///
/// There is no `result` here. Fails as [`Condition::parse`] and [`Condition::evaluate`] do, and on an expression that
/// yields no time.
pub fn eval_time(source: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let parse_error = |fault: Fault| TimeError::Parse(ParseError::new(source, &fault));
    let eval_error = |fault: Fault| TimeError::Eval(EvalError::new(source, &fault));
    let node = parser::parse(source, Scope::Time).map_err(parse_error)?;
    check::check(&node, Type::Unknown).map_err(parse_error)?;
    match evaluated(&node, &Value::Nil, now).map_err(eval_error)? {
        Value::Time(time) => Ok(time.timestamp()),
        other => {
            let message = format!(
                "the expression must yield a time, but yields {}",
                other.shortened_kind()
            );
            Err(eval_error(Fault::new(node.at, message)))
        }
    }
}
