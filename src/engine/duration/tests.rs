use super::*;
use proptest::prelude::*;

fn nanos(text: &str) -> i128 {
    parse_duration(text)
        .unwrap_or_else(|error| panic!("{error}"))
        .as_nanos()
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let cases: [(&str, i128); 24] = [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("-5s", -5_000_000_000),
        ("5.0s", 5_000_000_000),
        ("5.6s", 5_600_000_000),
        ("5.s", 5_000_000_000),
        (".5s", 500_000_000),
        ("1.004s", 1_004_000_000),
        ("100.00100s", 100_001_000_000),
        ("10ns", 10),
        ("11us", 11_000),
        ("12\u{b5}s", 12_000),
        ("12\u{3bc}s", 12_000),
        ("500ms", 500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("3h30m", 12_600_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("-9223372036854775808ns", i128::from(i64::MIN)),
    ];
    for (text, expected) in cases {
        assert_eq!(nanos(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused_with_the_reason() {
    let malformed = [
        "", "-", "+", ".", "-.", ".s", "s", "abc", "--5s", " 5s", "5s ", "1h m", "1 h",
    ];
    for text in malformed {
        let error = parse_duration(text).unwrap_err();
        assert!(
            error.to_string().contains("is not a duration"),
            "{text:?}: {error}"
        );
    }
    assert_eq!(
        parse_duration("5").unwrap_err(),
        DurationError::MissingUnit("5".into())
    );
    assert_eq!(
        parse_duration("1h5").unwrap_err(),
        DurationError::MissingUnit("1h5".into())
    );
    assert_eq!(
        parse_duration("3d").unwrap_err(),
        DurationError::UnknownUnit {
            text: "3d".into(),
            unit: "d".into()
        }
    );
    for text in [
        "9223372036854775808ns",
        "3000000h",
        "99999999999999999999999999999999999999999s",
    ] {
        assert_eq!(
            parse_duration(text).unwrap_err(),
            DurationError::OutOfRange(text.into()),
            "{text}"
        );
    }
    assert_eq!(
        parse_positive("-1s").unwrap_err(),
        DurationError::Negative("-1s".into())
    );
}

#[test]
fn a_pause_is_seconds_or_a_duration_and_never_negative() {
    let number = |n| Some(IntOrString::Int(n));
    let text = |t: &str| Some(IntOrString::String(t.to_owned()));
    let seconds = |s| Ok(Some(SignedDuration::from_secs(s)));
    let cases = [
        (None, Ok(None)),
        (number(30), seconds(30)),
        (number(0), seconds(0)),
        (text("30"), seconds(30)),
        (text("10m"), seconds(600)),
        (text("1h30m"), seconds(5400)),
        (number(-1), Err(DurationError::Negative("-1".into()))),
        (text("-1"), Err(DurationError::Negative("-1".into()))),
        (text("-1s"), Err(DurationError::Negative("-1s".into()))),
        (text("soon"), Err(DurationError::Malformed("soon".into()))),
        (text("1.5"), Err(DurationError::MissingUnit("1.5".into()))),
    ];
    for (value, expected) in cases {
        assert_eq!(pause_duration(value.as_ref()), expected, "{value:?}");
    }
}

#[test]
fn adding_stops_at_the_end_of_time() {
    assert_eq!(
        later(Timestamp::MAX, SignedDuration::from_secs(1)),
        Timestamp::MAX
    );
    assert_eq!(
        later(Timestamp::MIN, SignedDuration::from_secs(-1)),
        Timestamp::MIN
    );
    let instant = Timestamp::from_millisecond(1_500).unwrap();
    assert_eq!(whole_second(instant), Timestamp::from_second(1).unwrap());
    assert_eq!(
        later(instant, SignedDuration::from_millis(500)),
        Timestamp::from_second(2).unwrap()
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = parse_duration(&text);
        let _ = pause_duration(Some(&IntOrString::String(text)));
    }

    #[test]
    fn near_durations_are_read_or_refused(text in "[-+]?([0-9]{0,25}\\.?[0-9]{0,25}(ns|us|µs|ms|s|m|h|d)?){0,4}") {
        let _ = parse_duration(&text);
    }

    #[test]
    fn whole_parts_add_up(hours in 0_i64..1000, minutes in 0_i64..1000, millis in 0_i64..100_000) {
        let expected = hours * 3_600_000 + minutes * 60_000 + millis;
        prop_assert_eq!(nanos(&format!("{hours}h{minutes}m{millis}ms")), i128::from(expected) * 1_000_000);
    }
}
