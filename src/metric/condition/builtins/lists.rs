//! Functions on lists.

use std::cmp::Ordering;

use super::super::Fault;
use super::super::operators;
use super::super::value::Value;
use super::{Answer, Builtin, Call};
use crate::metric::condition::limits::Budget;

pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    // A part of the arguments becomes the answer: pay for a copy of them all.
    for argument in call.arguments {
        call.budget.copy(call.at, argument)?;
    }
    match call.function {
        // Of what is no list there is no first element.
        Builtin::First => Ok(ends(call)
            .and_then(<[Value]>::first)
            .cloned()
            .unwrap_or(Value::Nil)),
        Builtin::Last => Ok(ends(call)
            .and_then(<[Value]>::last)
            .cloned()
            .unwrap_or(Value::Nil)),
        Builtin::Take => {
            let count = call.whole(1)?;
            let count = usize::try_from(count)
                .map_err(|_| call.fault(format_args!("expected a count of 0 or more, got {count}")))?;
            Ok(Value::List(call.list(0)?.iter().take(count).cloned().collect()))
        }
        Builtin::Concat => {
            let mut all = Vec::new();
            for index in 0..call.len() {
                all.extend_from_slice(call.list(index)?);
            }
            Ok(Value::List(all))
        }
        Builtin::Flatten => {
            let mut all = Vec::new();
            flatten(call.list(0)?, &mut all);
            Ok(Value::List(all))
        }
        Builtin::Reverse => Ok(Value::List(call.list(0)?.iter().rev().cloned().collect())),
        Builtin::Uniq => uniq(call),
        _ => {
            let order = if call.len() == 2 {
                Order::of(call.text(1)?, call.at)?
            } else {
                Order::Ascending
            };
            let pairs = call
                .list(0)?
                .iter()
                .map(|item| (item.clone(), item.clone()))
                .collect();
            sorted(pairs, order, call.at, call.budget).map(Value::List)
        }
    }
}

fn ends<'c>(call: &'c Call<'_, '_>) -> Option<&'c [Value]> {
    if let Value::List(items) = call.argument(0) {
        Some(items)
    } else {
        None
    }
}

fn flatten(items: &[Value], all: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::List(inner) => flatten(inner, all),
            other => all.push(other.clone()),
        }
    }
}

fn uniq(call: &mut Call<'_, '_>) -> Answer {
    let mut found: Vec<Value> = Vec::new();
    let arguments = call.arguments;
    let Some(Value::List(items)) = arguments.first().map(AsRef::as_ref) else {
        return Err(call.wants("a list", call.argument(0)));
    };
    for item in items {
        let mut known = false;
        for earlier in &found {
            if operators::equal(earlier, item, call.at, call.budget)? {
                known = true;
                break;
            }
        }
        if !known {
            found.push(item.clone());
        }
    }
    Ok(Value::List(found))
}

/// The direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    Ascending,
    Descending,
}

impl Order {
    /// The order named `asc` or `desc`.
    pub(in super::super) fn of(name: &str, at: usize) -> Result<Self, Fault> {
        match name {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(Fault::new(
                at,
                format!("unknown order {name:?}: expected \"asc\" or \"desc\""),
            )),
        }
    }
}

/// The second parts sorted by the first; equal ones keep their order, NaN comes before every number.
///
/// Fails where two keys cannot be compared.
pub(in super::super) fn sorted(
    mut pairs: Vec<(Value, Value)>,
    order: Order,
    at: usize,
    budget: &mut Budget,
) -> Result<Vec<Value>, Fault> {
    let length = pairs.len();
    let rounds = usize::try_from(length.checked_ilog2().unwrap_or(0)).unwrap_or(64) + 1;
    budget.step(at, length.saturating_mul(rounds))?;
    // Two keys can be compared when they are of one kind. So when all neighbours can, all pairs can.
    for neighbours in pairs.windows(2) {
        if let [(a, _), (b, _)] = neighbours {
            operators::order("<", at, a, b)?;
        }
    }
    // Beyond 2^53 a whole number can equal a float that equals its neighbour too. A sort needs a total order:
    // where there is a float, all numbers are compared as floats.
    let floats = pairs.iter().any(|(key, _)| matches!(key, Value::Float(_)));
    pairs.sort_by(|(a, _), (b, _)| {
        let found = match (operators::number(a), operators::number(b)) {
            (Some(a), Some(b)) if floats => b
                .is_nan()
                .cmp(&a.is_nan())
                .then(a.partial_cmp(&b).unwrap_or(Ordering::Equal)),
            _ => operators::order("<", at, a, b)
                .ok()
                .flatten()
                .unwrap_or(Ordering::Equal),
        };
        if order == Order::Descending {
            found.reverse()
        } else {
            found
        }
    });
    Ok(pairs.into_iter().map(|(_, item)| item).collect())
}
