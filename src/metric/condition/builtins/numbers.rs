//! Functions on numbers.

use std::cmp::Ordering;

use super::super::Fault;
use super::super::value::{Value, float, truncate};
use super::{Answer, Builtin, Call};
use crate::metric::condition::operators;

pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    let first = call.argument(0);
    match call.function {
        Builtin::Abs => match first {
            Value::Int(number) => number
                .checked_abs()
                .map(Value::Int)
                .ok_or_else(|| call.fault("the number is too large")),
            _ => Ok(Value::Float(call.number(0)?.abs())),
        },
        Builtin::Ceil => Ok(Value::Float(call.number(0)?.ceil())),
        Builtin::Floor => Ok(Value::Float(call.number(0)?.floor())),
        // Halves away from zero.
        Builtin::Round => Ok(Value::Float(call.number(0)?.round())),
        Builtin::Int | Builtin::AsInt => whole(call, first),
        Builtin::Float | Builtin::AsFloat => match first {
            Value::String(text) => read_float(text)
                .map(Value::Float)
                .ok_or_else(|| call.fault(not_a_number(first))),
            _ => Ok(Value::Float(call.number(0)?)),
        },
        Builtin::IsNan => Ok(Value::Bool(call.number(0)?.is_nan())),
        Builtin::IsInf => Ok(Value::Bool(call.number(0)?.is_infinite())),
        Builtin::Max => extreme(call, Ordering::Less),
        Builtin::Min => extreme(call, Ordering::Greater),
        Builtin::Mean => {
            let numbers = all_numbers(call)?;
            let count = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
            let mean = if count == 0 {
                0.0
            } else {
                numbers.iter().sum::<f64>() / float(count)
            };
            Ok(Value::Float(mean))
        }
        Builtin::Median => Ok(Value::Float(median(all_numbers(call)?))),
        _ => bits(call),
    }
}

fn not_a_number(text: &Value) -> String {
    format!("{} is not a number", text.shortened(60))
}

fn whole(call: &Call<'_, '_>, value: &Value) -> Answer {
    match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Float(number) => truncate(*number)
            .map(Value::Int)
            .ok_or_else(|| call.fault(format_args!("{value} is not a whole number of 64 bits"))),
        Value::String(text) => text
            .parse()
            .map(Value::Int)
            .map_err(|_| call.fault(format_args!("{} is not a whole number", value.shortened(60)))),
        _ => Err(call.wants("a number or a string", value)),
    }
}

/// A float as it is written in the language and its reference: decimal digits, `inf`, `infinity`, `nan` in any case.
fn read_float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = ["inf", "infinity", "nan"]
        .iter()
        .any(|name| digits.eq_ignore_ascii_case(name));
    let signed_nan = digits.len() != text.len() && digits.eq_ignore_ascii_case("nan");
    let decimal = digits
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    // A decimal too large for a double reads as infinite, which its writer did not mean.
    text.parse()
        .ok()
        .filter(|number: &f64| !signed_nan && (named || decimal && number.is_finite()))
}

/// The numbers of all arguments, lists opened however deep.
fn all_numbers(call: &Call<'_, '_>) -> Result<Vec<f64>, Fault> {
    let mut numbers = Vec::new();
    for argument in call.arguments {
        collect(call, argument, &mut |value| {
            numbers.push(operators::number(value).unwrap_or(f64::NAN));
        })?;
    }
    Ok(numbers)
}

fn collect<'v>(call: &Call<'_, '_>, value: &'v Value, take: &mut impl FnMut(&'v Value)) -> Result<(), Fault> {
    match value {
        Value::List(items) => items.iter().try_for_each(|item| collect(call, item, take)),
        Value::Int(_) | Value::Float(_) => {
            take(value);
            Ok(())
        }
        _ => Err(call.wants("numbers", value)),
    }
}

/// The greatest or least number as it was given; nil of none. A NaN is kept only where it comes first.
fn extreme(call: &Call<'_, '_>, worse: Ordering) -> Answer {
    let mut best: Option<&Value> = None;
    for argument in call.arguments {
        collect(call, argument, &mut |value| {
            let order = best.map(|best| operators::order("<", call.at, best, value));
            if order.is_none_or(|order| order.is_ok_and(|order| order == Some(worse))) {
                best = Some(value);
            }
        })?;
    }
    Ok(best.cloned().unwrap_or(Value::Nil))
}

/// The middle of the sorted numbers; of an even count the mean of the middle two; 0 of none. NaN sorts first.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(|a, b| {
        b.is_nan()
            .cmp(&a.is_nan())
            .then(a.partial_cmp(b).unwrap_or(Ordering::Equal))
    });
    let middle = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
    match numbers.len() {
        0 => 0.0,
        length if length % 2 == 1 => at(middle),
        _ => f64::midpoint(at(middle - 1), at(middle)),
    }
}

fn bits(call: &Call<'_, '_>) -> Answer {
    let x = call.whole(0)?;
    if call.function == Builtin::BitNot {
        return Ok(Value::Int(!x));
    }
    let y = call.whole(1)?;
    let shift = || u32::try_from(y).map_err(|_| call.fault(format_args!("cannot shift by {y} bits")));
    Ok(Value::Int(match call.function {
        Builtin::BitAnd => x & y,
        Builtin::BitOr => x | y,
        Builtin::BitXor => x ^ y,
        Builtin::BitNand => x & !y,
        Builtin::BitShl => x.checked_shl(shift()?).unwrap_or(0),
        Builtin::BitShr => x >> shift()?.min(63),
        _ => x.cast_unsigned().checked_shr(shift()?).unwrap_or(0).cast_signed(),
    }))
}
