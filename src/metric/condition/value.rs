//! The values that a condition computes with.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};

use super::show;

/// One value: the result of a measurement, or what an expression makes of it.
///
/// A `Float` may be NaN or infinite: Prometheus returns both.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: a missing map key, JSON `null`, a provider that returned no data.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A double, NaN and the infinities included.
    Float(f64),
    /// Text.
    String(String),
    /// An ordered list.
    List(Vec<Value>),
    /// A map. The keys are strings, except in what `groupBy` and `fromPairs` make.
    Map(BTreeMap<Key, Value>),
    /// An instant together with the time zone in which its fields are read. Boxed: it is by far the largest kind.
    Time(Box<Zoned>),
    /// A length of time.
    Duration(SignedDuration),
    /// A time zone, as `timezone("Europe/Zurich")` yields it.
    Zone(TimeZone),
}

/// The key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The group of elements whose key is nil.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number; a float without a fraction is the same key as the whole number that it equals.
    Int(i64),
    /// The bits of a float that is not a whole number.
    Float(u64),
    /// Text: the only kind of key that JSON knows.
    String(String),
}

impl Key {
    /// The key that a value stands for, or `None` where the value cannot be a key (a list, a map, a time).
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Nil => Some(Self::Nil),
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Float(number) => Some(whole(*number).map_or(Self::Float(number.to_bits()), Self::Int)),
            Value::String(text) => Some(Self::String(text.clone())),
            Value::List(_) | Value::Map(_) | Value::Time(_) | Value::Duration(_) | Value::Zone(_) => None,
        }
    }

    /// The value that the key was made of.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::Float(bits) => Value::Float(f64::from_bits(*bits)),
            Self::String(text) => Value::String(text.clone()),
        }
    }
}

/// The whole number that a float equals, if there is one that fits.
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0).then(|| truncate(number)).flatten()
}

/// The float without its fraction as a whole number; `None` for NaN, the infinities and what does not fit.
///
/// `truncate(1.9)` is 1, `truncate(-1.9)` is -1, `truncate(1e300)` is `None`.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
pub(super) fn truncate(number: f64) -> Option<i64> {
    // 2^63 is exact as a double; i64::MAX is not.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&number).then_some(number as i64)
}

/// A whole number as a float; beyond 2^53 the nearest one.
#[expect(
    clippy::cast_precision_loss,
    reason = "the language compares and divides whole numbers as doubles"
)]
pub(super) fn float(number: i64) -> f64 {
    number as f64
}

/// A length or an index as a whole number.
pub(super) fn int(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

impl Value {
    /// The list that a Prometheus vector or matrix becomes.
    pub fn floats(samples: impl IntoIterator<Item = f64>) -> Self {
        Self::List(samples.into_iter().map(Self::Float).collect())
    }

    /// What the value is, in the words of a message: `nil`, `bool`, `int`, `float`, `string`, `list`, `map`,
    /// `time`, `duration`, `time zone`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Time(_) => "time",
            Self::Duration(_) => "duration",
            Self::Zone(_) => "time zone",
        }
    }

    /// The kind with the beginning of the value, for messages: `string "ok"`, `list [1, 2]`, `nil`.
    pub(super) fn shortened_kind(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            _ => format!("{} {}", self.kind(), self.shortened(40)),
        }
    }

    /// Whether there is no data in the value: nil, or an empty list, map or string.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::String(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Time(_)
            | Self::Duration(_)
            | Self::Zone(_) => false,
        }
    }

    /// The value in the form of its [`Display`](fmt::Display), cut after `limit` characters with `…` as the last.
    ///
    /// The work is bounded by `limit`, however large the value is.
    #[must_use]
    pub fn shortened(&self, limit: usize) -> String {
        let mut short = Short {
            text: String::new(),
            left: limit,
        };
        if write!(short, "{self}").is_err() {
            short.text.pop();
            short.text.push('…');
        }
        short.text
    }
}

/// Collects text until the limit is reached, then fails, which stops the formatting.
struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            if self.left == 0 {
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.text.push(character);
        }
        Ok(())
    }
}

/// JSON, with `NaN`, `+Inf`, `-Inf`, times and durations written bare: the form of messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&show::float(*number)),
            Self::String(text) => show::quoted(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Map(entries) => {
                f.write_char('{')?;
                for (index, (key, item)) in entries.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    key.to_value().fmt(f)?;
                    f.write_str(": ")?;
                    item.fmt(f)?;
                }
                f.write_char('}')
            }
            Self::Time(time) => write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z")),
            Self::Duration(span) => f.write_str(&show::duration(*span)),
            Self::Zone(zone) => f.write_str(zone.iana_name().unwrap_or("UTC")),
        }
    }
}

/// Every JSON number is a `Float`, whole or not, as in the contract's decoder.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => Self::Map(
                fields
                    .iter()
                    .map(|(name, field)| (Key::String(name.clone()), Self::from(field)))
                    .collect(),
            ),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
