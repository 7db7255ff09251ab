//! Durations as the wire writes them: Go's `time.ParseDuration` syntax, and the rules for the length of a pause.
//!
//! A duration is a sign, then one or more decimal numbers each with a unit: `300ms`, `-1.5h`, `2h45m`. The units are
//! `ns`, `us` (also `µs`, in either of its two Unicode spellings), `ms`, `s`, `m` and `h`. The one number that needs no
//! unit is `0`. The range is that of 64-bit nanoseconds, some 292 years, as in Go: a longer duration is an error there
//! and here.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why a text is not a duration. Displayed, it is one sentence that quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing, or only a sign, or a number without digits, or something that is no number.
    #[error("{0:?} is not a duration such as 30s, 5m or 1h30m")]
    Malformed(String),
    /// A number without a unit.
    #[error("{0:?} is not a duration: a unit is missing (ns, us, ms, s, m or h)")]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("{text:?} is not a duration: there is no unit {unit:?} (use ns, us, ms, s, m or h)")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The part that should have been a unit.
        unit: String,
    },
    /// More than 64-bit nanoseconds hold.
    #[error("{0:?} is too long for a duration (the longest is about 292 years)")]
    OutOfRange(String),
    /// Below zero where time only goes forward.
    #[error("{0:?} is negative, and a duration here must not be")]
    Negative(String),
}

/// Nanoseconds in each unit, longest spelling first where one is the prefix of another.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses Go's duration syntax; total, and exact to the nanosecond (what is finer is cut off).
///
/// `1h30m` is 5400 s, `1.5h` too, `-5s` is five seconds below zero, `.5s` is 500 ms, `0` is nothing at all, and `5` is an
/// error because its unit is missing.
pub fn parse_duration(text: &str) -> Result<SignedDuration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) | None => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_part(text, rest)?;
        // Each part is below 2^64 * 3.6e12 and their number is the text's length, so the sum is checked, not trusted.
        total = total
            .checked_add(nanos)
            .ok_or_else(|| DurationError::OutOfRange(text.to_owned()))?;
        rest = after;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed)
        .map(SignedDuration::from_nanos)
        .map_err(|_| DurationError::OutOfRange(text.to_owned()))
}

/// One number with its unit, as nanoseconds, and what follows it.
fn parse_part<'a>(text: &str, rest: &'a str) -> Result<(i128, &'a str), DurationError> {
    let out_of_range = || DurationError::OutOfRange(text.to_owned());
    let (whole, rest) = split_at_first(rest, |c: char| !c.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => split_at_first(after, |c: char| !c.is_ascii_digit()),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed(text.to_owned()));
    }
    let (unit, rest) = split_at_first(rest, |c: char| c == '.' || c.is_ascii_digit());
    if unit.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let Some(&(_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(DurationError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
        });
    };
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| out_of_range())?
    };
    let whole = whole.checked_mul(scale).ok_or_else(out_of_range)?;
    Ok((
        whole
            .checked_add(fraction_of(fraction, scale))
            .ok_or_else(out_of_range)?,
        rest,
    ))
}

/// The nanoseconds in a decimal fraction of a unit: `fraction_of("5", 3600e9)` is half an hour. Digits past the 15th
/// are below a nanosecond for every unit and are cut off.
fn fraction_of(digits: &str, scale: i128) -> i128 {
    let mut numerator: i128 = 0;
    let mut denominator: i128 = 1;
    for digit in digits.bytes().take(15) {
        numerator = numerator * 10 + i128::from(digit - b'0');
        denominator *= 10;
    }
    numerator * scale / denominator
}

/// Splits before the first character that `stop` accepts.
fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Parses a duration that must not be below zero: an interval, a delay, a timeout.
pub fn parse_positive(text: &str) -> Result<SignedDuration, DurationError> {
    let duration = parse_duration(text)?;
    if duration.is_negative() {
        return Err(DurationError::Negative(text.to_owned()));
    }
    Ok(duration)
}

/// The length of a pause: `None` means until somebody promotes.
///
/// A number is seconds; a string of bare digits is seconds too (`"30"` is 30 s, which as a plain duration would be an
/// error); every other string is a duration (`"1h30m"`). Below zero is an error in each form.
pub fn pause_duration(value: Option<&IntOrString>) -> Result<Option<SignedDuration>, DurationError> {
    let duration = match value {
        None => return Ok(None),
        Some(IntOrString::Int(seconds)) => SignedDuration::from_secs(i64::from(*seconds)),
        Some(IntOrString::String(text)) => match text.parse::<i32>() {
            Ok(seconds) => SignedDuration::from_secs(i64::from(seconds)),
            Err(_) => parse_duration(text)?,
        },
    };
    if duration.is_negative() {
        let text = match value {
            Some(IntOrString::String(text)) => text.clone(),
            Some(IntOrString::Int(seconds)) => seconds.to_string(),
            None => String::new(),
        };
        return Err(DurationError::Negative(text));
    }
    Ok(Some(duration))
}

/// `instant + duration`, stopping at the last instant that a timestamp can hold.
pub fn later(instant: Timestamp, duration: SignedDuration) -> Timestamp {
    let limit = if duration.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    instant.checked_add(duration).unwrap_or(limit)
}

/// The start of the second that `instant` lies in: what remains of it after one trip over the wire, whose times have no
/// fractions. A status that holds only such times equals itself when it comes back from the API server.
pub fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}
