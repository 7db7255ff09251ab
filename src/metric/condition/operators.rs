//! What the operators do with values.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::Fault;
use super::ast::{Binary, Comparison, Unary};
use super::limits::Budget;
use super::pattern;
use super::value::{Key, Value, float, int, truncate};

/// `not`, `-` and `+` before an operand.
pub(super) fn unary(operator: Unary, at: usize, operand: &Value) -> Result<Value, Fault> {
    let (symbol, wanted) = match (operator, operand) {
        (Unary::Not, Value::Bool(flag)) => return Ok(Value::Bool(!flag)),
        (Unary::Minus, Value::Int(number)) => {
            return number.checked_neg().map(Value::Int).ok_or_else(|| overflow(at));
        }
        (Unary::Minus, Value::Float(number)) => return Ok(Value::Float(-number)),
        (Unary::Plus, Value::Int(_) | Value::Float(_)) => return Ok(operand.clone()),
        (Unary::Not, _) => ("not", "a bool"),
        (Unary::Minus, _) => ("-", "a number"),
        (Unary::Plus, _) => ("+", "a number"),
    };
    Err(Fault::new(
        at,
        format!("{symbol} needs {wanted}, got {}", operand.shortened_kind()),
    ))
}

/// Every operator with two operands, except those that may leave the second unevaluated (`and`, `or`, `??`).
pub(super) fn binary(
    operator: Binary,
    at: usize,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    match operator {
        Binary::Equal => equal(left, right, at, budget).map(Value::Bool),
        Binary::NotEqual => equal(left, right, at, budget).map(|same| Value::Bool(!same)),
        Binary::In => within(left, right, at, budget).map(Value::Bool),
        Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
            text(operator, at, left, right, budget)
        }
        Binary::Range => range(at, left, right, budget),
        Binary::Add => add(at, left, right, budget),
        Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo | Binary::Power => {
            arithmetic(operator, at, left, right)
        }
        Binary::Or | Binary::And | Binary::Coalesce => Err(mismatch(operator.symbol(), at, left, right)),
    }
}

fn mismatch(symbol: &str, at: usize, left: &Value, right: &Value) -> Fault {
    Fault::new(
        at,
        format!(
            "cannot apply {symbol} to {} and {}",
            left.shortened_kind(),
            right.shortened_kind()
        ),
    )
}

fn overflow(at: usize) -> Fault {
    Fault::new(at, "the whole number is too large (64 bits)")
}

/// A number as a double.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(float(*number)),
        Value::Float(number) => Some(*number),
        Value::Nil
        | Value::Bool(_)
        | Value::String(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Time(_)
        | Value::Duration(_)
        | Value::Zone(_) => None,
    }
}

/// A number as a whole one, its fraction cut off: for indices, ranges and counts.
pub(super) fn whole(at: usize, value: &Value, what: &str) -> Result<i64, Fault> {
    let found = match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => truncate(*number),
        _ => None,
    };
    found.ok_or_else(|| {
        Fault::new(
            at,
            format!("{what} must be a whole number, got {}", value.shortened_kind()),
        )
    })
}

fn add(at: usize, left: &Value, right: &Value, budget: &mut Budget) -> Result<Value, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(|| overflow(at)),
        (Value::String(a), Value::String(b)) => {
            budget.text(at, a.len() + b.len())?;
            Ok(Value::String(format!("{a}{b}")))
        }
        (Value::Time(time), Value::Duration(span)) | (Value::Duration(span), Value::Time(time)) => time
            .checked_add(*span)
            .map(|moved| Value::Time(Box::new(moved)))
            .map_err(|_| Fault::new(at, "the time is out of range")),
        (Value::Duration(a), Value::Duration(b)) => span(at, a.checked_add(*b)),
        _ => match (number(left), number(right)) {
            (Some(a), Some(b)) => Ok(Value::Float(a + b)),
            _ => Err(mismatch("+", at, left, right)),
        },
    }
}

fn span(at: usize, found: Option<SignedDuration>) -> Result<Value, Fault> {
    found
        .map(Value::Duration)
        .ok_or_else(|| Fault::new(at, "the duration is out of range"))
}

fn arithmetic(operator: Binary, at: usize, left: &Value, right: &Value) -> Result<Value, Fault> {
    match (operator, left, right) {
        (Binary::Subtract, Value::Int(a), Value::Int(b)) => whole_result(at, a.checked_sub(*b)),
        (Binary::Multiply, Value::Int(a), Value::Int(b)) => whole_result(at, a.checked_mul(*b)),
        (Binary::Modulo, Value::Int(_), Value::Int(0)) => Err(Fault::new(at, "the modulus is 0")),
        (Binary::Modulo, Value::Int(a), Value::Int(b)) => whole_result(at, a.checked_rem(*b)),
        (Binary::Subtract, Value::Time(a), Value::Time(b)) => {
            Ok(Value::Duration(a.timestamp().duration_since(b.timestamp())))
        }
        (Binary::Subtract, Value::Time(time), Value::Duration(back)) => time
            .checked_sub(*back)
            .map(|moved| Value::Time(Box::new(moved)))
            .map_err(|_| Fault::new(at, "the time is out of range")),
        (Binary::Subtract, Value::Duration(a), Value::Duration(b)) => span(at, a.checked_sub(*b)),
        (Binary::Multiply, Value::Duration(length), Value::Int(times))
        | (Binary::Multiply, Value::Int(times), Value::Duration(length)) => {
            let nanos = length
                .as_nanos()
                .checked_mul(i128::from(*times))
                .and_then(|n| i64::try_from(n).ok());
            span(at, nanos.map(SignedDuration::from_nanos))
        }
        // As the contract's reference has it: a number of nanoseconds, not a duration.
        (Binary::Multiply, Value::Duration(length), Value::Float(times))
        | (Binary::Multiply, Value::Float(times), Value::Duration(length)) => {
            Ok(Value::Float(nanoseconds(*length) * times))
        }
        _ => {
            let (Some(a), Some(b)) = (number(left), number(right)) else {
                return Err(mismatch(operator.symbol(), at, left, right));
            };
            match operator {
                Binary::Subtract => Ok(Value::Float(a - b)),
                Binary::Multiply => Ok(Value::Float(a * b)),
                Binary::Divide => Ok(Value::Float(a / b)),
                Binary::Power => Ok(Value::Float(a.powf(b))),
                _ => Err(Fault::new(
                    at,
                    format!(
                        "{} needs two whole numbers, got {left} and {right}",
                        operator.symbol()
                    ),
                )),
            }
        }
    }
}

fn whole_result(at: usize, found: Option<i64>) -> Result<Value, Fault> {
    found.map(Value::Int).ok_or_else(|| overflow(at))
}

fn nanoseconds(length: SignedDuration) -> f64 {
    float(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))
}

fn range(at: usize, left: &Value, right: &Value, budget: &mut Budget) -> Result<Value, Fault> {
    let first = whole(at, left, "the start of a range")?;
    let last = whole(at, right, "the end of a range")?;
    let size = i128::from(last) - i128::from(first) + 1;
    let size = usize::try_from(size.max(0)).unwrap_or(usize::MAX);
    budget.step(at, size)?;
    budget.build(at, size)?;
    Ok(Value::List((first..=last).map(Value::Int).collect()))
}

/// The operators on text. Nil on either side matches nothing.
fn text(
    operator: Binary,
    at: usize,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let (subject, wanted) = match (left, right) {
        (Value::Nil, _) | (_, Value::Nil) => return Ok(Value::Bool(false)),
        (Value::String(subject), Value::String(wanted)) => (subject, wanted),
        _ => return Err(mismatch(operator.symbol(), at, left, right)),
    };
    budget.step(at, subject.len() / 16 + 1)?;
    Ok(Value::Bool(match operator {
        Binary::Contains => subject.contains(wanted.as_str()),
        Binary::StartsWith => subject.starts_with(wanted.as_str()),
        Binary::EndsWith => subject.ends_with(wanted.as_str()),
        _ => {
            // Compiling is far dearer than matching.
            budget.step(at, 50_000)?;
            pattern::compile(wanted)
                .map_err(|error| Fault::new(at, error))?
                .is_match(subject)
        }
    }))
}

/// `left in right`: an element of a list or a key of a map. Nothing is in nil.
fn within(needle: &Value, hay: &Value, at: usize, budget: &mut Budget) -> Result<bool, Fault> {
    match hay {
        Value::Nil => Ok(false),
        Value::List(items) => {
            for item in items {
                if equal(item, needle, at, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(entries) => Ok(Key::of(needle).is_some_and(|key| entries.contains_key(&key))),
        _ => Err(mismatch("in", at, needle, hay)),
    }
}

/// Equality by value: `1 == 1.0`, also inside lists and maps; NaN equals nothing; other kinds are never equal.
pub(super) fn equal(left: &Value, right: &Value, at: usize, budget: &mut Budget) -> Result<bool, Fault> {
    budget.step(at, 1)?;
    Ok(match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => {
            budget.step(at, a.len().min(b.len()) / 16)?;
            a == b
        }
        (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp(),
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Zone(a), Value::Zone(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !equal(a, b, at, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => return equal_maps(a, b, at, budget),
        _ => match (number(left), number(right)) {
            (Some(a), Some(b)) => a.partial_cmp(&b) == Some(Ordering::Equal),
            _ => false,
        },
    })
}

fn equal_maps(
    left: &BTreeMap<Key, Value>,
    right: &BTreeMap<Key, Value>,
    at: usize,
    budget: &mut Budget,
) -> Result<bool, Fault> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for ((left_key, left), (right_key, right)) in left.iter().zip(right) {
        if left_key != right_key || !equal(left, right, at, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How two values of one kind stand to each other; `None` where one is NaN.
pub(super) fn order(symbol: &str, at: usize, left: &Value, right: &Value) -> Result<Option<Ordering>, Fault> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Time(a), Value::Time(b)) => Ok(Some(a.timestamp().cmp(&b.timestamp()))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        _ => match (number(left), number(right)) {
            (Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => Err(mismatch(symbol, at, left, right)),
        },
    }
}

/// `<`, `<=`, `>`, `>=`. Every comparison with NaN is false.
pub(super) fn compare(operator: Comparison, at: usize, left: &Value, right: &Value) -> Result<bool, Fault> {
    let order = order(operator.symbol(), at, left, right)?;
    Ok(order.is_some_and(|order| match operator {
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::More => order.is_gt(),
        Comparison::MoreOrEqual => order.is_ge(),
    }))
}

/// `base[key]` and `base.key`. A missing key of a map is nil; an index out of range is an error.
pub(super) fn member<'v>(base: &'v Value, key: &Value, at: usize) -> Result<Found<'v>, Fault> {
    match base {
        Value::Map(entries) => {
            let text = entries.keys().all(|key| matches!(key, Key::String(_)));
            match Key::of(key) {
                Some(Key::String(_)) => {}
                Some(_) if !text => {}
                _ => {
                    let message = format!("the keys of this map are strings, got {}", key.shortened_kind());
                    return Err(Fault::new(at, message));
                }
            }
            let found = Key::of(key).and_then(|key| entries.get(&key));
            Ok(found.map_or(Found::Made(Value::Nil), Found::Part))
        }
        Value::List(items) => {
            if let Value::String(name) = key {
                let message = format!("a list has no field {name:?}: its elements are [0], [1] and so on");
                return Err(Fault::new(at, message));
            }
            position(at, key, items.len(), "the list", "element")
                .map(|index| items.get(index).map_or(Found::Made(Value::Nil), Found::Part))
        }
        Value::String(text) if !matches!(key, Value::String(_)) => {
            let index = position(at, key, text.len(), "the string", "byte")?;
            Ok(Found::Made(
                text.as_bytes()
                    .get(index)
                    .map_or(Value::Nil, |byte| int((*byte).into())),
            ))
        }
        _ => {
            let part = match key {
                Value::String(name) => format!("field {name:?}"),
                _ => format!("index {}", key.shortened(20)),
            };
            Err(Fault::new(
                at,
                format!("cannot take {part} of {}", base.shortened_kind()),
            ))
        }
    }
}

/// A part of a value that exists, or one made for the answer.
pub(super) enum Found<'v> {
    Part(&'v Value),
    Made(Value),
}

/// The index as a position; a negative one counts from the end.
fn position(at: usize, key: &Value, length: usize, what: &str, unit: &str) -> Result<usize, Fault> {
    let index = whole(at, key, "an index")?;
    let from_start = if index < 0 {
        usize::try_from(index.unsigned_abs())
            .ok()
            .and_then(|back| length.checked_sub(back))
    } else {
        usize::try_from(index).ok()
    };
    from_start.filter(|position| *position < length).ok_or_else(|| {
        let held = match length {
            0 => format!("{what} is empty"),
            1 => format!("{what} has 1 {unit}"),
            _ => format!("{what} has {length} {unit}s"),
        };
        Fault::new(at, format!("index {index} is out of range: {held}"))
    })
}

/// `base[from:to]`: what lies outside is left out; a negative end counts from the end.
pub(super) fn slice(
    base: &Value,
    from: Option<i64>,
    to: Option<i64>,
    at: usize,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let length = match base {
        Value::List(items) => items.len(),
        Value::String(text) => text.len(),
        _ => {
            return Err(Fault::new(
                at,
                format!("cannot take a slice of {}", base.shortened_kind()),
            ));
        }
    };
    let bound = |index: i64| {
        let size = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        if index < 0 {
            length.saturating_sub(size)
        } else {
            size.min(length)
        }
    };
    let to = to.map_or(length, bound);
    let from = from.map_or(0, bound).min(to);
    match base {
        Value::List(items) => {
            let part = items.get(from..to).unwrap_or_default();
            for item in part {
                budget.copy(at, item)?;
            }
            Ok(Value::List(part.to_vec()))
        }
        Value::String(text) => {
            let part = text.as_bytes().get(from..to).unwrap_or_default();
            budget.text(at, part.len())?;
            Ok(Value::String(String::from_utf8_lossy(part).into_owned()))
        }
        _ => Ok(Value::Nil),
    }
}
