//! Times, durations and their methods.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::super::ast::Method;
use super::super::layout;
use super::super::show;
use super::super::value::{Value, float};
use super::{Answer, Builtin, Call};
use crate::metric::condition::Fault;
use crate::metric::condition::limits::Budget;

pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    let first = call.argument(0);
    match call.function {
        Builtin::Now => match first {
            Value::Nil if call.len() == 0 => Ok(time(call.now.to_zoned(TimeZone::UTC))),
            Value::Zone(zone) => Ok(time(call.now.to_zoned(zone.clone()))),
            other => Err(call.wants("nothing or a time zone", other)),
        },
        Builtin::Timezone => zone(call.text(0)?)
            .map(Value::Zone)
            .map_err(|reason| call.fault(reason)),
        Builtin::Duration => {
            let text = call.text(0)?;
            parse_duration(text).map(Value::Duration).ok_or_else(|| {
                call.fault(format_args!(
                    "{} is not a duration such as \"90s\", \"5m\" or \"1h30m\"",
                    short(text)
                ))
            })
        }
        _ => date(call),
    }
}

fn short(text: &str) -> String {
    Value::from(text).shortened(60)
}

fn time(zoned: Zoned) -> Value {
    Value::Time(Box::new(zoned))
}

fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name).map_err(|_| format!("unknown time zone {}", short(name))),
    }
}

/// `date(text)`, `date(text, layout)`, `date(text, layout, zone name)`; a time zone may stand first.
fn date(call: &Call<'_, '_>) -> Answer {
    let (zone, skip) = match call.argument(0) {
        Value::Zone(zone) => (zone.clone(), 1),
        _ => (TimeZone::UTC, 0),
    };
    let text = call.text(skip)?;
    let found = match call.len() - skip {
        1 => layout::parse_known(text, &zone),
        2 => layout::parse(text, call.text(skip + 1)?, &zone),
        _ => {
            let zone = self::zone(call.text(skip + 2)?).map_err(|reason| call.fault(reason))?;
            layout::parse(text, call.text(skip + 1)?, &zone)
        }
    };
    found.map(time).ok_or_else(|| match call.len() - skip {
        1 => call.fault(format_args!(
            "{} is not a date such as \"2006-01-02T15:04:05Z\"",
            short(text)
        )),
        _ => call.fault(format_args!(
            "{} does not match the layout {}",
            short(text),
            call.argument(skip + 1).shortened(60)
        )),
    })
}

/// A signed sum of decimals with units: `90s`, `1h30m`, `-1.5h`, `100ms`; `0` needs no unit.
///
/// `None` for anything else and for what does not fit 64 bits of nanoseconds (about 292 years).
fn parse_duration(text: &str) -> Option<SignedDuration> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (decimal, tail) = rest.split_at_checked(end)?;
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || decimal.len() > 40 {
            return None;
        }
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, after) = tail.split_at_checked(end)?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(*size)?)?;
        // 15 digits: beyond that no unit has a nanosecond left.
        let kept = fraction.get(..fraction.len().min(15))?;
        if !kept.is_empty() {
            let scale = 10_i128.checked_pow(u32::try_from(kept.len()).ok()?)?;
            total = total.checked_add(kept.parse::<i128>().ok()? * size / scale)?;
        }
        rest = after;
    }
    let nanos = if text.starts_with('-') { -total } else { total };
    i64::try_from(nanos).ok().map(SignedDuration::from_nanos)
}

const fn named(name: &'static str, arguments: usize) -> Method {
    Method { name, arguments }
}

/// The methods of times and durations with the number of their arguments.
pub(in super::super) const METHODS: [Method; 35] = [
    named("Abs", 0),
    named("Add", 1),
    named("AddDate", 3),
    named("After", 1),
    named("Before", 1),
    named("Compare", 1),
    named("Day", 0),
    named("Equal", 1),
    named("Format", 1),
    named("Hour", 0),
    named("Hours", 0),
    named("In", 1),
    named("IsZero", 0),
    named("Local", 0),
    named("Microseconds", 0),
    named("Milliseconds", 0),
    named("Minute", 0),
    named("Minutes", 0),
    named("Month", 0),
    named("Nanosecond", 0),
    named("Nanoseconds", 0),
    named("Round", 1),
    named("Second", 0),
    named("Seconds", 0),
    named("String", 0),
    named("Sub", 1),
    named("Truncate", 1),
    named("UTC", 0),
    named("Unix", 0),
    named("UnixMicro", 0),
    named("UnixMilli", 0),
    named("UnixNano", 0),
    named("Weekday", 0),
    named("Year", 0),
    named("YearDay", 0),
];

/// Calls a method of a time or a duration.
pub(in super::super) fn method(
    base: &Value,
    method: &Method,
    arguments: &[&Value],
    at: usize,
    budget: &mut Budget,
) -> Answer {
    let none = || {
        Fault::new(
            at,
            format!(
                "{} has no method {} with these arguments",
                base.shortened_kind(),
                method.name
            ),
        )
    };
    budget.step(at, 10)?;
    match base {
        Value::Time(time) => of_time(time, method.name, arguments, at, budget)?.ok_or_else(none),
        Value::Duration(span) => of_duration(*span, method.name, arguments).ok_or_else(none),
        _ => Err(none()),
    }
}

/// `total / unit` as a float, split so that no precision is lost before the point.
fn in_units(span: SignedDuration, unit: i64) -> f64 {
    let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    float(nanos / unit) + float(nanos % unit) / float(unit)
}

fn nanos(count: i128) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(if count < 0 { i64::MIN } else { i64::MAX }))
}

fn of_duration(span: SignedDuration, name: &str, arguments: &[&Value]) -> Option<Value> {
    Some(match (name, arguments) {
        ("Hours", []) => Value::Float(in_units(span, 3_600_000_000_000)),
        ("Minutes", []) => Value::Float(in_units(span, 60_000_000_000)),
        ("Seconds", []) => Value::Float(in_units(span, 1_000_000_000)),
        ("Milliseconds", []) => nanos(span.as_nanos() / 1_000_000),
        ("Microseconds", []) => nanos(span.as_nanos() / 1_000),
        ("Nanoseconds", []) => nanos(span.as_nanos()),
        ("Abs", []) => from_nanos(span.as_nanos().abs())?,
        ("String", []) => Value::String(show::duration(span)),
        ("Truncate", [Value::Duration(unit)]) => from_nanos(truncated(span.as_nanos(), unit.as_nanos()))?,
        ("Round", [Value::Duration(unit)]) => from_nanos(rounded(span.as_nanos(), unit.as_nanos()))?,
        _ => return None,
    })
}

fn from_nanos(count: i128) -> Option<Value> {
    i64::try_from(count)
        .ok()
        .map(|count| Value::Duration(SignedDuration::from_nanos(count)))
}

/// The multiple of the unit next to zero; the number itself where the unit is not positive.
fn truncated(count: i128, unit: i128) -> i128 {
    if unit <= 0 { count } else { count - count % unit }
}

/// The nearest multiple of the unit, halves away from zero.
fn rounded(count: i128, unit: i128) -> i128 {
    let rest = if unit <= 0 { 0 } else { count % unit };
    if rest.abs() * 2 < unit {
        count - rest
    } else {
        count - rest + unit * rest.signum()
    }
}

fn of_time(
    time: &Zoned,
    name: &str,
    arguments: &[&Value],
    at: usize,
    budget: &mut Budget,
) -> Result<Option<Value>, Fault> {
    let out_of_range = || Fault::new(at, "the time is out of range");
    let stamp = time.timestamp();
    Ok(Some(match (name, arguments) {
        ("Year", []) => Value::Int(time.year().into()),
        ("Month", []) => Value::Int(time.month().into()),
        ("Day", []) => Value::Int(time.day().into()),
        ("Hour", []) => Value::Int(time.hour().into()),
        ("Minute", []) => Value::Int(time.minute().into()),
        ("Second", []) => Value::Int(time.second().into()),
        ("Nanosecond", []) => Value::Int(time.subsec_nanosecond().into()),
        ("YearDay", []) => Value::Int(time.day_of_year().into()),
        // Sunday is 0.
        ("Weekday", []) => Value::Int(time.weekday().to_sunday_zero_offset().into()),
        ("Unix", []) => nanos(stamp.as_nanosecond().div_euclid(1_000_000_000)),
        ("UnixMilli", []) => nanos(stamp.as_nanosecond().div_euclid(1_000_000)),
        ("UnixMicro", []) => nanos(stamp.as_nanosecond().div_euclid(1_000)),
        ("UnixNano", []) => nanos(stamp.as_nanosecond()),
        ("IsZero", []) => Value::Bool(stamp == zero()),
        ("UTC" | "Local", []) => Value::Time(Box::new(time.with_time_zone(TimeZone::UTC))),
        ("In", [Value::Zone(zone)]) => Value::Time(Box::new(time.with_time_zone(zone.clone()))),
        ("String", []) => {
            let mut out = String::new();
            show::plain(&Value::Time(Box::new(time.clone())), &mut out);
            Value::String(out)
        }
        ("Format", [Value::String(layout)]) => {
            // No field is written in more than nine characters for one of the layout.
            budget.text(at, layout.len() * 9)?;
            Value::String(layout::format(time, layout))
        }
        ("Before", [Value::Time(other)]) => Value::Bool(stamp < other.timestamp()),
        ("After", [Value::Time(other)]) => Value::Bool(stamp > other.timestamp()),
        ("Equal", [Value::Time(other)]) => Value::Bool(stamp == other.timestamp()),
        ("Compare", [Value::Time(other)]) => Value::Int(match stamp.cmp(&other.timestamp()) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        ("Sub", [Value::Time(other)]) => Value::Duration(stamp.duration_since(other.timestamp())),
        ("Add", [Value::Duration(span)]) => {
            Value::Time(Box::new(time.checked_add(*span).map_err(|_| out_of_range())?))
        }
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            let moved = layout::add_date(time, *years, *months, *days).ok_or_else(out_of_range)?;
            Value::Time(Box::new(moved))
        }
        ("Truncate" | "Round", [Value::Duration(unit)]) => {
            // Counted from the year 1, as the contract's reference does.
            let since = stamp.as_nanosecond() - zero().as_nanosecond();
            let moved = match name {
                "Truncate" => truncated(since, unit.as_nanos()),
                _ => rounded(since, unit.as_nanos()),
            };
            let moved =
                Timestamp::from_nanosecond(moved + zero().as_nanosecond()).map_err(|_| out_of_range())?;
            Value::Time(Box::new(moved.to_zoned(time.time_zone().clone())))
        }
        _ => return Ok(None),
    }))
}

/// 1 January of the year 1, 00:00 UTC.
fn zero() -> Timestamp {
    Timestamp::constant(-62_135_596_800, 0)
}
