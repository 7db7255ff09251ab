//! Go's JSON encoding of a typed value, printed from raw JSON and the table of the Go types.
//!
//! What Go does on the way from the API server's JSON to a typed value and back: unknown fields are dropped, `null`
//! and an absent field are the type's zero value, fields come in the order of the struct and keys of maps sorted,
//! empty fields are left out where the tag says so (never structs), quantities take their canonical form, and
//! `<`, `>`, `&` are escaped.

use super::fields::{Kind, Table};
use super::quantity;
use serde_json::{Number, Value};
use std::fmt::Write;

/// The JSON that Go would print for `value` decoded into the table's root type.
pub(super) fn encode(table: &Table, value: Option<&Value>) -> String {
    let mut out = String::new();
    write_typed(table, &table.root, value.unwrap_or(&Value::Null), &mut out);
    out
}

/// `Null` stands for an absent value too. What the type cannot hold is written as its raw JSON.
fn write_typed(table: &Table, kind: &Kind, value: &Value, out: &mut String) {
    match (kind, value) {
        (Kind::Pointer(_) | Kind::List(_) | Kind::Map(_) | Kind::Time, Value::Null) => out.push_str("null"),
        (Kind::Pointer(inner), value) => write_typed(table, inner, value, out),
        (Kind::String, Value::Null) => out.push_str("\"\""),
        (Kind::Bool, Value::Null) => out.push_str("false"),
        (Kind::Int | Kind::IntOrString, Value::Null) => out.push('0'),
        (Kind::Int | Kind::IntOrString, Value::Number(number)) if is_zero(number) => out.push('0'),
        (Kind::Quantity, Value::Null) => out.push_str("\"0\""),
        (Kind::Quantity, value) => match quantity_of(value) {
            Some(quantity) => write_string(&quantity.canonical(), out),
            None => write_raw(value, out),
        },
        (Kind::List(inner), Value::Array(items)) => {
            write_sequence(out, ('[', ']'), items, |item, out| {
                write_typed(table, inner, item, out);
            });
        }
        (Kind::Map(inner), Value::Object(entries)) => {
            write_sequence(out, ('{', '}'), sorted(entries), |(key, entry), out| {
                write_string(key, out);
                out.push(':');
                write_typed(table, inner, entry, out);
            });
        }
        (Kind::Struct(number), Value::Object(_) | Value::Null) => {
            let present = table.fields(*number).iter().filter_map(|field| {
                let found = value.get(field.name);
                let shown = found.unwrap_or(&Value::Null);
                let empty = match field.kind {
                    // A Go raw message that was sent as null holds the four bytes "null" and is not empty.
                    Kind::Raw => found.is_none(),
                    _ => is_empty(&field.kind, shown),
                };
                let zero = field.omit_zero && shown.is_null();
                (!(field.omit_empty && empty || zero)).then_some((field, shown))
            });
            write_sequence(out, ('{', '}'), present, |(field, shown), out| {
                write_string(field.name, out);
                out.push(':');
                write_typed(table, &field.kind, shown, out);
            });
        }
        (
            Kind::String
            | Kind::Bool
            | Kind::Int
            | Kind::IntOrString
            | Kind::Time
            | Kind::Raw
            | Kind::List(_)
            | Kind::Map(_)
            | Kind::Struct(_),
            value,
        ) => write_raw(value, out),
    }
}

/// Whether `omitempty` leaves the value out. Structs, and the types that are structs in Go, are never empty.
pub(super) fn is_empty(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Struct(_) | Kind::Quantity | Kind::IntOrString | Kind::Time => false,
        Kind::Pointer(_) => value.is_null(),
        Kind::String | Kind::Bool | Kind::Int | Kind::Raw | Kind::List(_) | Kind::Map(_) => match value {
            Value::Null => true,
            Value::Bool(flag) => *kind == Kind::Bool && !flag,
            Value::Number(number) => *kind == Kind::Int && is_zero(number),
            Value::String(text) => *kind == Kind::String && text.is_empty(),
            Value::Array(items) => matches!(kind, Kind::List(_)) && items.is_empty(),
            Value::Object(entries) => matches!(kind, Kind::Map(_)) && entries.is_empty(),
        },
    }
}

/// The quantity that a JSON string or number spells.
pub(super) fn quantity_of(value: &Value) -> Option<quantity::Quantity> {
    match value {
        Value::String(text) => quantity::Quantity::parse(text),
        Value::Number(number) => quantity::Quantity::parse(&go_number(number)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// JSON without a type, as Go prints it: no spaces, keys sorted, strings escaped.
fn write_raw(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&go_number(number)),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => write_sequence(out, ('[', ']'), items, write_raw),
        Value::Object(entries) => write_sequence(out, ('{', '}'), sorted(entries), |(key, entry), out| {
            write_string(key, out);
            out.push(':');
            write_raw(entry, out);
        }),
    }
}

/// Entries by key, whatever order the map keeps: Go sorts by bytes.
fn sorted(entries: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    entries
}

fn write_sequence<T>(
    out: &mut String,
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

/// A JSON string in Go's escapes: besides what JSON asks for, `<`, `>`, `&` and the two Unicode line separators.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn is_zero(number: &Number) -> bool {
    number.as_f64().is_some_and(|value| value == 0.0)
}

/// A number as it comes out of the API server, which keeps custom resources as 64-bit integers and doubles.
///
/// Doubles below 1e-6 or from 1e21 on are printed with an exponent: 1e21 is `1e+21`, 0.0000001 is `1e-7`,
/// and 2.0 is `2`.
fn go_number(number: &Number) -> String {
    if let Some(integer) = number.as_i64() {
        return integer.to_string();
    }
    let Some(double) = number.as_f64() else {
        return number.to_string();
    };
    let size = double.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{double:e}");
        return if text.contains("e-") {
            text
        } else {
            text.replace('e', "e+")
        };
    }
    double.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_print_as_go_prints_them() {
        for (value, text) in [
            (json!(2.0), "2"),
            (json!(-0.0), "-0"),
            (json!(0.5), "0.5"),
            (json!(1e21), "1e+21"),
            (json!(1e20), "100000000000000000000"),
            (json!(1.5e-7), "1.5e-7"),
            (json!(0.000_001), "0.000001"),
            (json!(u64::MAX), "18446744073709552000"),
            (json!(i64::MIN), "-9223372036854775808"),
        ] {
            let mut out = String::new();
            write_raw(&value, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut out = String::new();
        write_raw(
            &json!("<a>&\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}\u{2028}\u{2029}é😀"),
            &mut out,
        );
        assert_eq!(
            out,
            "\"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}\\u2028\\u2029é😀\""
        );
    }

    #[test]
    fn the_contracts_template_prints_as_the_contract_says() {
        let text = encode(
            Table::pod_template(),
            Some(&json!({"spec": {"containers": [{"name": "a", "x": 1}]}})),
        );
        assert_eq!(
            text,
            r#"{"metadata":{},"spec":{"containers":[{"name":"a","resources":{}}]}}"#
        );
        let text = encode(Table::pod_template_1_8(), Some(&Value::Null));
        assert_eq!(
            text,
            r#"{"metadata":{"creationTimestamp":null},"spec":{"containers":null}}"#
        );
    }

    #[test]
    fn what_go_cannot_decode_is_written_raw() {
        let text = encode(
            Table::pod_template(),
            Some(
                &json!({"metadata": "no", "spec": {"containers": [7, {"name": 5, "resources": {"limits":
                {"cpu": "much", "memory": [1]}}, "ports": {"b": 1, "a": 2}}], "priority": "high"}}),
            ),
        );
        assert_eq!(
            text,
            r#"{"metadata":"no","spec":{"containers":[7,{"name":5,"ports":{"a":2,"b":1},"resources":{"limits":{"cpu":"much","memory":[1]}}}],"priority":"high"}}"#
        );
    }
}
