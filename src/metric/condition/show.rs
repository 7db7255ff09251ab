//! Values as text: the forms that `string`, `toJSON` and the messages use.
//!
//! The forms are those of the contract's reference, so that `string(result[0]) == "100000"` holds here as there.

use std::fmt::{self, Write as _};
use std::ops::Range;

use jiff::SignedDuration;

use super::layout;
use super::value::{Key, Value};

/// A float in the shortest digits that read back as the same number, for messages.
///
/// The exponent form begins below 1e-6 and at 1e21: `0.5`, `1500000`, `1e+21`, `NaN`, `+Inf`, `-Inf`.
pub(super) fn float(number: f64) -> String {
    decimal(number, -6..21, 2)
}

/// As [`float`], but with the exponent form where its power is outside of `plain`, with at least `digits` digits.
fn decimal(number: f64, plain: Range<i32>, digits: usize) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let power: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || plain.contains(&power) {
        return format!("{number}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0>digits$}", power.unsigned_abs())
}

/// A string in double quotes with the escapes of JSON.
pub(super) fn quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            control if u32::from(control) < 0x20 => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// A duration as hours, minutes and seconds: `1h30m0.5s`, `1.5ms`, `0s`, `-2m0s`.
pub(super) fn duration(span: SignedDuration) -> String {
    const UNITS: [(u128, &str); 2] = [(1_000_000, "ms"), (1_000, "µs")];
    let nanos = span.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let left = nanos.unsigned_abs();
    if left == 0 {
        return "0s".to_owned();
    }
    if left < 1_000_000_000 {
        let unit = UNITS.iter().find(|(size, _)| left >= *size);
        return match unit {
            Some((size, name)) => format!("{sign}{}{name}", fraction(left, *size)),
            None => format!("{sign}{left}ns"),
        };
    }
    let minutes = left / 60_000_000_000;
    let seconds = fraction(left % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `amount / unit` in decimals, without trailing zeros: `fraction(1500, 1000)` is `1.5`.
fn fraction(amount: u128, unit: u128) -> String {
    let width = unit.to_string().len() - 1;
    let decimals = format!("{:0>width$}", amount % unit);
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() {
        (amount / unit).to_string()
    } else {
        format!("{}.{decimals}", amount / unit)
    }
}

/// What `string(v)` yields: text as it is, lists as `[1 a]`, maps as `map[a:1]`, nil as `<nil>`.
pub(super) fn plain(value: &Value, out: &mut String) {
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        // From a million on with an exponent: `string(1000000.0)` is `1e+06`.
        Value::Float(number) => out.push_str(&decimal(*number, -4..6, 2)),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " " });
                plain(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push_str("map[");
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " " });
                plain(&key.to_value(), out);
                out.push(':');
                plain(item, out);
            }
            out.push(']');
        }
        Value::Time(time) => {
            out.push_str(&time.strftime("%Y-%m-%d %H:%M:%S%.f %z ").to_string());
            out.push_str(&layout::abbreviation(time));
        }
        Value::Bool(_) | Value::Int(_) | Value::Duration(_) | Value::Zone(_) => {
            out.push_str(&value.to_string());
        }
    }
}

/// What `toJSON(v)` yields: two spaces of indent, `<`, `>` and `&` escaped, durations in nanoseconds.
///
/// Fails, with the reason, on what JSON cannot say: NaN, the infinities, keys that are not strings, time zones.
pub(super) fn json(value: &Value, indent: usize, out: &mut String) -> Result<(), String> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_finite() => out.push_str(&decimal(*number, -6..21, 1)),
        Value::Float(number) => return Err(format!("JSON has no number {}", float(*number))),
        Value::String(text) => json_string(text, out),
        Value::List(items) => {
            block(items, ['[', ']'], indent, out, |item, indent, out| {
                json(item, indent, out)
            })?;
        }
        Value::Map(entries) => block(entries, ['{', '}'], indent, out, |(key, item), indent, out| {
            let Key::String(name) = key else {
                return Err(format!(
                    "the keys of a JSON object are strings, not {}",
                    key.to_value().kind()
                ));
            };
            json_string(name, out);
            out.push_str(": ");
            json(item, indent, out)
        })?,
        Value::Time(time) => {
            out.push_str(&time.strftime("\"%Y-%m-%dT%H:%M:%S%.f").to_string());
            let zone = time.strftime("%:z\"").to_string();
            out.push_str(if time.offset().is_zero() { "Z\"" } else { &zone });
        }
        Value::Duration(span) => out.push_str(&span.as_nanos().to_string()),
        Value::Zone(_) => return Err("a time zone has no JSON form".to_owned()),
    }
    Ok(())
}

/// The elements of a list or map, each on its own line; nothing but the brackets when there are none.
fn block<T>(
    items: impl IntoIterator<Item = T>,
    [open, close]: [char; 2],
    indent: usize,
    out: &mut String,
    mut each: impl FnMut(T, usize, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    out.push(open);
    let mut any = false;
    for item in items {
        out.push_str(if any { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(indent + 1));
        each(item, indent + 1, out)?;
        any = true;
    }
    if any {
        out.push('\n');
        out.push_str(&"  ".repeat(indent));
    }
    out.push(close);
    Ok(())
}

fn json_string(text: &str, out: &mut String) {
    let mut escaped = String::new();
    // Writing into a String cannot fail.
    let _ = quoted(&mut escaped, text);
    for character in escaped.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
}
