//! JSONPath in the dialect of Kubernetes, as `provider.web.jsonPath` uses it. Pure.
//!
//! Known: `$`, `@`, `.name`, `['name']` and several of them, `[n]`, `[-n]`, `[from:to:step]`, `[1,2]`, `[*]`,
//! `.*`, `..name`, `\` before a special character of a name, and filters `[?(@.a == "b")]` with `==`, `!=`,
//! `<`, `<=`, `>`, `>=` or the bare existence of a field. Source of the rules: "JSONPath Support" in the
//! Kubernetes reference.
//!
//! Absent on purpose: `{range}` and text around the braces. They print tables for people; a metric is one
//! value. One step further than Kubernetes: the braces may be left out, as kubectl allows.

use serde_json::Value;

mod parse;
#[cfg(test)]
mod tests;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// One step from values to values.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Back to the document.
    Root,
    /// One field.
    Field(String),
    /// Several fields, in the order written.
    Fields(Vec<String>),
    /// `[*]` and `.*`: all elements or all field values.
    Wildcard,
    /// `..`: the value itself and everything below it.
    Recurse,
    /// One element; negative counts from the end.
    Index(i64),
    /// Several elements by their index.
    Indexes(Vec<i64>),
    /// Elements from, to (exclusive) and by step; absent ends are the list's.
    Slice(Option<i64>, Option<i64>, i64),
    /// Elements for which the filter holds.
    Filter(Filter),
}

/// What stands in `[?( … )]`.
#[derive(Debug, Clone, PartialEq)]
enum Filter {
    /// The path finds something.
    Exists(Operand),
    /// Both sides compare so.
    Compare(Operand, Comparison, Operand),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// A path from the element (`@`) or from the document (`$`).
    Path(Vec<Step>),
    /// A text, a number, `true`, `false` or `null`.
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// Why a path cannot be read or finds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is no JSONPath of this dialect.
    #[error("{message} (at character {at})")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where, counted in characters from 1.
        at: usize,
    },
    /// A part of JSONPath that is left out on purpose.
    #[error("{0} is not supported here: a metric is one value")]
    Unsupported(&'static str),
    /// A field that is not there.
    #[error("{0} is not found")]
    NotFound(String),
    /// An element that is not there.
    #[error("array index {index} is out of bounds: the list has {length} elements")]
    OutOfBounds {
        /// The index as written.
        index: i64,
        /// The number of elements.
        length: usize,
    },
    /// A step that this kind of value does not have.
    #[error("{step} cannot be applied to {kind}")]
    Kind {
        /// What was to be done.
        step: &'static str,
        /// What was met.
        kind: &'static str,
    },
    /// The steps are right but there is no such value.
    #[error("it finds no value in the answer")]
    Nothing,
}

/// The most values that one step may yield, so that `..` on a hostile answer cannot fill the memory.
const MAX_VALUES: usize = 100_000;

impl JsonPath {
    /// Reads a path such as `{$.data.ratio}`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        parse::path(text).map(|steps| Self { steps })
    }

    /// True for `{$}`: the whole document.
    pub fn is_root(&self) -> bool {
        self.steps.iter().all(|step| *step == Step::Root)
    }

    /// The first value that the path finds; a metric is one value, so the others do not count.
    pub fn first<'a>(&self, document: &'a Value) -> Result<&'a Value, PathError> {
        walk(&self.steps, document, document, Missing::IsAnError)?
            .into_iter()
            .next()
            .ok_or(PathError::Nothing)
    }

    /// All values that the path finds, in order.
    pub fn all<'a>(&self, document: &'a Value) -> Result<Vec<&'a Value>, PathError> {
        walk(&self.steps, document, document, Missing::IsAnError)
    }
}

/// What a missing field or element means. In a filter, and below `..` or several values, it only means: not
/// this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsAnError,
    IsNothing,
}

fn walk<'a>(
    steps: &[Step],
    document: &'a Value,
    start: &'a Value,
    missing: Missing,
) -> Result<Vec<&'a Value>, PathError> {
    let mut values = vec![start];
    let mut missing = missing;
    for step in steps {
        let mut next = Vec::new();
        for value in values {
            match apply(step, document, value, &mut next) {
                Ok(()) => {}
                Err(PathError::NotFound(_) | PathError::OutOfBounds { .. } | PathError::Kind { .. })
                    if missing == Missing::IsNothing => {}
                Err(error) => return Err(error),
            }
            if next.len() > MAX_VALUES {
                return Err(PathError::Unsupported(
                    "a path that finds more than 100000 values",
                ));
            }
        }
        if *step == Step::Recurse {
            missing = Missing::IsNothing;
        }
        values = next;
    }
    Ok(values)
}

fn apply<'a>(
    step: &Step,
    document: &'a Value,
    value: &'a Value,
    out: &mut Vec<&'a Value>,
) -> Result<(), PathError> {
    match step {
        Step::Root => out.push(document),
        Step::Field(name) => out.push(field(value, name)?),
        Step::Fields(names) => {
            for name in names {
                out.push(field(value, name)?);
            }
        }
        Step::Wildcard => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(fields) => out.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        },
        Step::Recurse => recurse(value, out),
        Step::Index(index) => out.push(element(list(value, "[n]")?, *index)?),
        Step::Indexes(indexes) => {
            let items = list(value, "[n,m]")?;
            for index in indexes {
                out.push(element(items, *index)?);
            }
        }
        Step::Slice(from, to, step) => slice(list(value, "[from:to]")?, *from, *to, *step, out),
        Step::Filter(filter) => {
            for item in list(value, "[?()]")? {
                if holds(filter, document, item)? {
                    out.push(item);
                }
            }
        }
    }
    Ok(())
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, PathError> {
    value
        .as_object()
        .and_then(|fields| fields.get(name))
        .ok_or_else(|| PathError::NotFound(name.to_owned()))
}

fn list<'a>(value: &'a Value, step: &'static str) -> Result<&'a [Value], PathError> {
    value.as_array().map(Vec::as_slice).ok_or(PathError::Kind {
        step,
        kind: kind(value),
    })
}

fn element(items: &[Value], index: i64) -> Result<&Value, PathError> {
    let place = if index < 0 {
        from_end(items.len(), index)
    } else {
        usize::try_from(index).ok()
    };
    place
        .and_then(|place| items.get(place))
        .ok_or(PathError::OutOfBounds {
            index,
            length: items.len(),
        })
}

/// `from_end(3, -1)` is 2; `from_end(3, -4)` is nothing.
fn from_end(length: usize, index: i64) -> Option<usize> {
    length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
}

/// `[from:to:step]`; ends beyond the list are cut to it. `[-2:]` of `[a, b, c]` is `[b, c]`.
fn slice<'a>(items: &'a [Value], from: Option<i64>, to: Option<i64>, step: i64, out: &mut Vec<&'a Value>) {
    let bound = |end: Option<i64>, absent: usize| match end {
        None => absent,
        Some(end) if end < 0 => from_end(items.len(), end).unwrap_or(0),
        Some(end) => usize::try_from(end).unwrap_or(usize::MAX).min(items.len()),
    };
    let (from, to) = (bound(from, 0), bound(to, items.len()));
    if let Some(range) = items.get(from..to.max(from)) {
        out.extend(range.iter().step_by(usize::try_from(step).unwrap_or(1).max(1)));
    }
}

/// Pre-order: the value, then what is below it. JSON from serde_json is at most 128 deep, so the recursion is
/// bounded.
fn recurse<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    if out.len() > MAX_VALUES {
        return;
    }
    match value {
        Value::Array(items) => {
            out.push(value);
            for item in items {
                recurse(item, out);
            }
        }
        Value::Object(fields) => {
            out.push(value);
            for item in fields.values() {
                recurse(item, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn holds(filter: &Filter, document: &Value, item: &Value) -> Result<bool, PathError> {
    match filter {
        Filter::Exists(operand) => Ok(operand_value(operand, document, item)?.is_some()),
        Filter::Compare(left, comparison, right) => {
            let (left, right) = (
                operand_value(left, document, item)?,
                operand_value(right, document, item)?,
            );
            let (Some(left), Some(right)) = (left, right) else {
                return Ok(false);
            };
            Ok(compare(&left, *comparison, &right))
        }
    }
}

fn operand_value(operand: &Operand, document: &Value, item: &Value) -> Result<Option<Value>, PathError> {
    match operand {
        Operand::Literal(value) => Ok(Some(value.clone())),
        Operand::Path(steps) => Ok(walk(steps, document, item, Missing::IsNothing)?
            .first()
            .map(|value| (*value).clone())),
    }
}

/// Numbers compare as numbers, texts as texts; values of different kinds are unequal and have no order.
fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left
            .as_f64()
            .zip(right.as_f64())
            .and_then(|(left, right)| left.partial_cmp(&right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    };
    let equal = order.map_or_else(|| left == right, std::cmp::Ordering::is_eq);
    match comparison {
        Comparison::Equal => equal,
        Comparison::NotEqual => !equal,
        Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::More => order.is_some_and(std::cmp::Ordering::is_gt),
        Comparison::MoreOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
