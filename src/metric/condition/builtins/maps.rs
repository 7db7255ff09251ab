//! Functions on maps, and on whatever has a length.

use std::collections::BTreeMap;

use super::super::operators;
use super::super::value::{Key, Value, int, truncate};
use super::{Answer, Builtin, Call};

pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    let first = call.argument(0);
    match (call.function, first) {
        (Builtin::Len, Value::List(items)) => Ok(int(items.len())),
        (Builtin::Len, Value::Map(entries)) => Ok(int(entries.len())),
        // Characters, not bytes.
        (Builtin::Len, Value::String(text)) => Ok(int(text.chars().count())),
        (Builtin::Len, other) => Err(call.wants("a list, a map or a string", other)),
        (Builtin::Get, _) => get(call),
        (Builtin::FromPairs, _) => from_pairs(call),
        (_, Value::Map(_)) => {
            for argument in call.arguments {
                call.budget.copy(call.at, argument)?;
            }
            let Value::Map(entries) = call.argument(0) else {
                return Ok(Value::Nil);
            };
            Ok(Value::List(match call.function {
                Builtin::Keys => entries.keys().map(Key::to_value).collect(),
                Builtin::Values => entries.values().cloned().collect(),
                _ => entries
                    .iter()
                    .map(|(key, value)| Value::List(vec![key.to_value(), value.clone()]))
                    .collect(),
            }))
        }
        (_, other) => Err(call.wants("a map", other)),
    }
}

/// An element or nil: the forgiving form of `a[b]`.
fn get(call: &mut Call<'_, '_>) -> Answer {
    let (base, key) = (call.argument(0), call.argument(1));
    let found = match (base, key) {
        (Value::Map(entries), _) => Key::of(key).and_then(|key| entries.get(&key)).cloned(),
        (Value::List(_) | Value::String(_), Value::Int(_) | Value::Float(_)) => {
            let usable = if let Value::Float(number) = key {
                truncate(*number).is_some()
            } else {
                true
            };
            match operators::member(base, key, call.at) {
                Ok(operators::Found::Part(part)) if usable => Some(part.clone()),
                Ok(operators::Found::Made(made)) if usable => Some(made),
                _ => None,
            }
        }
        (Value::List(_) | Value::String(_), _) => return Err(call.wants("a whole number as the index", key)),
        _ => None,
    };
    match found {
        Some(value) => call.copied(&value),
        None => Ok(Value::Nil),
    }
}

fn from_pairs(call: &mut Call<'_, '_>) -> Answer {
    for argument in call.arguments {
        call.budget.copy(call.at, argument)?;
    }
    let mut entries = BTreeMap::new();
    for pair in call.list(0)? {
        let parts = if let Value::List(parts) = pair {
            parts.as_slice()
        } else {
            &[]
        };
        let [key, value] = parts else {
            return Err(call.wants("a list of [key, value] pairs", pair));
        };
        let key = Key::of(key).ok_or_else(|| call.wants("a key that is a string or a number", key))?;
        entries.insert(key, value.clone());
    }
    Ok(Value::Map(entries))
}
