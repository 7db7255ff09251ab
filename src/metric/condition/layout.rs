//! Dates by example: the layouts of the contract's reference, which show the moment
//! `Mon Jan 2 15:04:05 -0700 MST 2006` in the wanted form.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{ToSpan, Zoned};

/// The layouts that `date` tries when none is given, in this order.
const KNOWN: [&str; 7] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A field of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year4,
    Year2,
    MonthName,
    MonthShort,
    Month {
        width: usize,
    },
    WeekdayName,
    WeekdayShort,
    /// `pad`: a space stands before a single digit.
    Day {
        width: usize,
        pad: bool,
    },
    YearDay {
        pad: bool,
    },
    Hour24,
    Hour12 {
        width: usize,
    },
    Minute {
        width: usize,
    },
    Second {
        width: usize,
    },
    Noon {
        upper: bool,
    },
    Abbreviation,
    /// `zulu`: UTC is written `Z`.
    Offset {
        zulu: bool,
        colon: bool,
        minutes: bool,
    },
    /// `.000` keeps its zeros, `.999` drops them.
    Fraction {
        digits: usize,
        zeros: bool,
    },
}

/// Longer ones first: the first that fits is taken.
const FIELDS: [(&str, Field); 29] = [
    ("January", Field::MonthName),
    ("Jan", Field::MonthShort),
    ("Monday", Field::WeekdayName),
    ("Mon", Field::WeekdayShort),
    ("MST", Field::Abbreviation),
    ("2006", Field::Year4),
    (
        "Z07:00",
        Field::Offset {
            zulu: true,
            colon: true,
            minutes: true,
        },
    ),
    (
        "Z0700",
        Field::Offset {
            zulu: true,
            colon: false,
            minutes: true,
        },
    ),
    (
        "Z07",
        Field::Offset {
            zulu: true,
            colon: false,
            minutes: false,
        },
    ),
    (
        "-07:00",
        Field::Offset {
            zulu: false,
            colon: true,
            minutes: true,
        },
    ),
    (
        "-0700",
        Field::Offset {
            zulu: false,
            colon: false,
            minutes: true,
        },
    ),
    (
        "-07",
        Field::Offset {
            zulu: false,
            colon: false,
            minutes: false,
        },
    ),
    ("__2", Field::YearDay { pad: true }),
    ("002", Field::YearDay { pad: false }),
    ("_2", Field::Day { width: 1, pad: true }),
    ("01", Field::Month { width: 2 }),
    ("02", Field::Day { width: 2, pad: false }),
    ("03", Field::Hour12 { width: 2 }),
    ("04", Field::Minute { width: 2 }),
    ("05", Field::Second { width: 2 }),
    ("06", Field::Year2),
    ("15", Field::Hour24),
    ("PM", Field::Noon { upper: true }),
    ("pm", Field::Noon { upper: false }),
    ("1", Field::Month { width: 1 }),
    ("2", Field::Day { width: 1, pad: false }),
    ("3", Field::Hour12 { width: 1 }),
    ("4", Field::Minute { width: 1 }),
    ("5", Field::Second { width: 1 }),
];

/// The next piece of a layout: a field with the text that names it, or one plain character.
fn piece(layout: &str) -> Option<(Result<Field, char>, &str)> {
    let first = layout.chars().next()?;
    if let Some(rest) = layout.strip_prefix(['.', ',']) {
        for (digit, zeros) in [('0', true), ('9', false)] {
            let digits = rest.chars().take_while(|character| *character == digit).count();
            let next = rest.get(digits..).and_then(|rest| rest.chars().next());
            if digits > 0 && digits <= 9 && !next.is_some_and(|next| next.is_ascii_digit()) {
                return Some((
                    Ok(Field::Fraction { digits, zeros }),
                    rest.get(digits..).unwrap_or_default(),
                ));
            }
        }
        return Some((Err(first), rest));
    }
    // In `_2006` the underscore is plain.
    let known = FIELDS
        .iter()
        .find(|(text, _)| layout.starts_with(text) && !layout.starts_with("_2006"));
    match known {
        Some((text, field)) => Some((Ok(*field), layout.get(text.len()..).unwrap_or_default())),
        None => Some((Err(first), layout.get(first.len_utf8()..).unwrap_or_default())),
    }
}

/// The date that a text shows in one of the known layouts.
pub(super) fn parse_known(text: &str, zone: &TimeZone) -> Option<Zoned> {
    KNOWN.iter().find_map(|layout| parse(text, layout, zone))
}

/// What has been read so far.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    zone: Option<TimeZone>,
}

/// The date that a text shows in the given layout; fields that the layout lacks are those of 1 January 0000, 00:00.
pub(super) fn parse(text: &str, layout: &str, zone: &TimeZone) -> Option<Zoned> {
    let mut fields = Fields {
        year: 0,
        month: 1,
        day: 1,
        year_day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        afternoon: None,
        zone: None,
    };
    let mut text = text;
    let mut layout = layout;
    while let Some((piece, rest)) = piece(layout) {
        layout = rest;
        match piece {
            Err(plain) => text = text.strip_prefix(plain)?,
            Ok(field) => {
                read(field, &mut text, &mut fields)?;
                // A fraction may follow the seconds even where the layout shows none.
                let shown = layout.starts_with(".0") || layout.starts_with(".9");
                if matches!(field, Field::Second { .. }) && text.starts_with(['.', ',']) && !shown {
                    fraction(&mut text, &mut fields)?;
                }
            }
        }
    }
    text.is_empty().then(|| assemble(&fields, zone))?
}

fn assemble(fields: &Fields, zone: &TimeZone) -> Option<Zoned> {
    let hour = match fields.afternoon {
        Some(true) if fields.hour < 12 => fields.hour + 12,
        Some(false) if fields.hour == 12 => 0,
        _ => fields.hour,
    };
    let date = match fields.year_day {
        Some(day) => Date::new(fields.year, 1, 1)
            .ok()?
            .with()
            .day_of_year(day)
            .build()
            .ok()?,
        None => Date::new(fields.year, fields.month, fields.day).ok()?,
    };
    let time = Time::new(hour, fields.minute, fields.second, fields.nanosecond).ok()?;
    let zone = fields.zone.clone().unwrap_or_else(|| zone.clone());
    DateTime::from_parts(date, time).to_zoned(zone).ok()
}

/// Between `least` and `most` digits.
fn digits<T: std::str::FromStr>(text: &mut &str, least: usize, most: usize) -> Option<T> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (digits, rest) = text.split_at_checked(count)?;
    *text = rest;
    digits.parse().ok()
}

/// The position of the name that the text begins with, in any case.
fn name<'n>(text: &mut &str, names: impl IntoIterator<Item = &'n str>) -> Option<i8> {
    for (index, name) in names.into_iter().enumerate() {
        if text
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
        {
            *text = text.get(name.len()..).unwrap_or_default();
            return i8::try_from(index).ok();
        }
    }
    None
}

fn short(name: &'static str) -> &'static str {
    name.get(..3).unwrap_or(name)
}

fn read(field: Field, text: &mut &str, fields: &mut Fields) -> Option<()> {
    match field {
        Field::Year4 => fields.year = digits(text, 4, 4)?,
        Field::Year2 => {
            let year: i16 = digits(text, 2, 2)?;
            fields.year = if year >= 69 { 1900 + year } else { 2000 + year };
        }
        Field::MonthName => fields.month = name(text, MONTHS)? + 1,
        Field::MonthShort => fields.month = name(text, MONTHS.map(short))? + 1,
        Field::Month { width } => fields.month = digits(text, width, 2)?,
        Field::WeekdayName => drop(name(text, WEEKDAYS)?),
        Field::WeekdayShort => drop(name(text, WEEKDAYS.map(short))?),
        Field::Day { width, pad } => {
            if pad {
                *text = text.strip_prefix(' ').unwrap_or(text);
            }
            fields.day = digits(text, width, 2)?;
        }
        Field::YearDay { pad } => {
            if pad {
                *text = text.trim_start_matches(' ');
            }
            fields.year_day = Some(digits(text, if pad { 1 } else { 3 }, 3)?);
        }
        Field::Hour24 => fields.hour = digits(text, 2, 2)?,
        Field::Hour12 { width } => {
            fields.hour = digits(text, width, 2).filter(|hour| (0..=12).contains(hour))?;
        }
        Field::Minute { width } => fields.minute = digits(text, width, 2)?,
        Field::Second { width } => fields.second = digits(text, width, 2)?,
        Field::Noon { upper } => {
            let names = if upper { ["AM", "PM"] } else { ["am", "pm"] };
            fields.afternoon = Some(name(text, names)? == 1);
        }
        Field::Abbreviation => {
            let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
            if !(3..=5).contains(&length) {
                return None;
            }
            // An abbreviation alone does not name an offset; the contract's reference takes it for UTC.
            *text = text.get(length..)?;
            fields.zone = Some(TimeZone::UTC);
        }
        Field::Offset { zulu, colon, minutes } => fields.zone = Some(offset(text, zulu, colon, minutes)?),
        Field::Fraction { .. } => fraction(text, fields)?,
    }
    Some(())
}

fn fraction(text: &mut &str, fields: &mut Fields) -> Option<()> {
    let rest = text.strip_prefix(['.', ','])?;
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at_checked(count)?;
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    fields.nanosecond = nine.parse().ok().filter(|_| count > 0)?;
    *text = rest;
    Some(())
}

fn offset(text: &mut &str, zulu: bool, colon: bool, minutes: bool) -> Option<TimeZone> {
    if zulu && let Some(rest) = text.strip_prefix('Z') {
        *text = rest;
        return Some(TimeZone::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    *text = text.strip_prefix(['+', '-'])?;
    let hours: i32 = digits(text, 2, 2)?;
    let mut seconds = hours * 3600;
    if minutes {
        if colon {
            *text = text.strip_prefix(':')?;
        }
        seconds += digits::<i32>(text, 2, 2)? * 60;
    }
    Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
}

/// The date in the given layout.
pub(super) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut layout = layout;
    while let Some((piece, rest)) = piece(layout) {
        let named = layout.len() - rest.len();
        let text = layout.get(..named).unwrap_or_default();
        layout = rest;
        match piece {
            Err(plain) => out.push(plain),
            Ok(field) => write_field(time, field, text, &mut out),
        }
    }
    out
}

fn named(names: &[&'static str], index: i8) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default()
}

fn write_field(time: &Zoned, field: Field, text: &str, out: &mut String) {
    let weekday = named(&WEEKDAYS, time.weekday().to_sunday_zero_offset());
    let month = named(&MONTHS, time.month() - 1);
    let twelve = if time.hour() % 12 == 0 {
        12
    } else {
        time.hour() % 12
    };
    // Writing into a String cannot fail.
    let _ = match field {
        Field::Year4 => write!(out, "{:04}", time.year()),
        Field::Year2 => write!(out, "{:02}", time.year().rem_euclid(100)),
        Field::MonthName => write!(out, "{month}"),
        Field::MonthShort => write!(out, "{}", short(month)),
        Field::Month { width } => write!(out, "{:0width$}", time.month()),
        Field::WeekdayName => write!(out, "{weekday}"),
        Field::WeekdayShort => write!(out, "{}", short(weekday)),
        Field::Day { pad: true, .. } => write!(out, "{:2}", time.day()),
        Field::Day { width, pad: false } => write!(out, "{:0width$}", time.day()),
        Field::YearDay { pad: true } => write!(out, "{:3}", time.day_of_year()),
        Field::YearDay { pad: false } => write!(out, "{:03}", time.day_of_year()),
        Field::Hour24 => write!(out, "{:02}", time.hour()),
        Field::Hour12 { width } => write!(out, "{twelve:0width$}"),
        Field::Minute { width } => write!(out, "{:0width$}", time.minute()),
        Field::Second { width } => write!(out, "{:0width$}", time.second()),
        Field::Noon { upper } => write!(
            out,
            "{}",
            match (time.hour() >= 12, upper) {
                (true, true) => "PM",
                (true, false) => "pm",
                (false, true) => "AM",
                (false, false) => "am",
            }
        ),
        Field::Abbreviation => write!(out, "{}", abbreviation(time)),
        Field::Offset { zulu: true, .. } if time.offset().is_zero() => write!(out, "Z"),
        Field::Offset { colon, minutes, .. } => {
            let seconds = time.offset().seconds();
            let sign = if seconds < 0 { '-' } else { '+' };
            let (hours, rest) = (seconds.unsigned_abs() / 3600, seconds.unsigned_abs() / 60 % 60);
            match (minutes, colon) {
                (false, _) => write!(out, "{sign}{hours:02}"),
                (true, true) => write!(out, "{sign}{hours:02}:{rest:02}"),
                (true, false) => write!(out, "{sign}{hours:02}{rest:02}"),
            }
        }
        Field::Fraction { digits, zeros } => {
            let nine = format!("{:09}", time.subsec_nanosecond());
            let kept = nine.get(..digits).unwrap_or(&nine);
            let kept = if zeros { kept } else { kept.trim_end_matches('0') };
            let point = text.chars().next().unwrap_or('.');
            if kept.is_empty() {
                Ok(())
            } else {
                write!(out, "{point}{kept}")
            }
        }
    };
}

/// The zone's abbreviation, or its offset where it has none: `UTC`, `CEST`, `+0200`.
pub(super) fn abbreviation(time: &Zoned) -> String {
    let zone = time.time_zone();
    if zone.iana_name().is_some() {
        return time.strftime("%Z").to_string();
    }
    if time.offset().is_zero() {
        return "UTC".to_owned();
    }
    time.strftime("%z").to_string()
}

/// The same time of day some years, months and days later; days beyond the end of a month run into the next:
/// one month after 31 January is 3 March (2 March in leap years).
pub(super) fn add_date(time: &Zoned, years: i64, months: i64, days: i64) -> Option<Zoned> {
    let all = i64::from(time.year())
        .checked_add(years)?
        .checked_mul(12)?
        .checked_add(i64::from(time.month()) - 1)?
        .checked_add(months)?;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    let days = days.checked_add(i64::from(time.day()) - 1)?;
    let date = first.checked_add(1.day().checked_mul(days).ok()?).ok()?;
    DateTime::from_parts(date, time.time())
        .to_zoned(time.time_zone().clone())
        .ok()
}
