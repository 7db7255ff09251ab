//! Times and durations: the expression and what it yields.
//!
//! The last column was compared with the reference (expr-lang 1.17.8).

pub(super) const TIMES: [(&str, &str); 91] = [
    (r#"duration("1h30m").Minutes()"#, "float 90"),
    (r#"duration("90s").Seconds() == 90"#, "bool true"),
    (r#"duration("1m") + duration("30s")"#, "duration 1m30s"),
    (r#"duration("1m") - duration("90s")"#, "duration -30s"),
    (r#"duration("1ms").Microseconds()"#, "int 1000"),
    (r#"duration("1us").Nanoseconds()"#, "int 1000"),
    (r#"duration("1.234567891s").String()"#, r#"string "1.234567891s""#),
    (r#"duration("-1m").Abs()"#, "duration 1m0s"),
    (r#"duration("1m40s").Round(duration("1m"))"#, "duration 2m0s"),
    (r#"duration("1m40s").Truncate(duration("1m"))"#, "duration 1m0s"),
    (r#"string(duration("1500us"))"#, r#"string "1.5ms""#),
    (r#"string(duration("150ns"))"#, r#"string "150ns""#),
    (r#"string(duration("0s"))"#, r#"string "0s""#),
    (r#"string(duration("2h"))"#, r#"string "2h0m0s""#),
    (
        r#"date("2024-02-29T12:30:45.5Z")"#,
        "time 2024-02-29T12:30:45.5+00:00",
    ),
    (r#"date("2024-02-29T12:30:45.5Z").Unix()"#, "int 1709209845"),
    (
        r#"date("2024-02-29T12:30:45.5Z").UnixMilli()"#,
        "int 1709209845500",
    ),
    (
        r#"date("2024-02-29T12:30:45.5Z").UnixMicro()"#,
        "int 1709209845500000",
    ),
    (
        r#"date("2024-02-29T12:30:45.5Z").UnixNano()"#,
        "int 1709209845500000000",
    ),
    (r#"date("2024-02-29T12:30:45.5Z").Year()"#, "int 2024"),
    (r#"date("2024-02-29T12:30:45.5Z").Day()"#, "int 29"),
    (r#"date("2024-02-29T12:30:45.5Z").YearDay()"#, "int 60"),
    (r#"date("2024-02-29T12:30:45.5Z").Hour()"#, "int 12"),
    (r#"date("2024-02-29T12:30:45.5Z").Minute()"#, "int 30"),
    (r#"date("2024-02-29T12:30:45.5Z").Second()"#, "int 45"),
    (r#"date("2024-02-29T12:30:45.5Z").Nanosecond()"#, "int 500000000"),
    (r#"date("2024-02-29T12:30:45.5Z").Weekday()"#, "int 4"),
    (
        r#"date("2024-02-29").AddDate(1, 0, 0)"#,
        "time 2025-03-01T00:00:00+00:00",
    ),
    (
        r#"date("2024-01-31").AddDate(0, 1, 0)"#,
        "time 2024-03-02T00:00:00+00:00",
    ),
    (
        r#"date("2024-01-31").AddDate(0, -14, -40)"#,
        "time 2022-10-22T00:00:00+00:00",
    ),
    (
        r#"date("2024-02-29T12:30:45Z").Truncate(duration("1h"))"#,
        "time 2024-02-29T12:00:00+00:00",
    ),
    (
        r#"date("2024-02-29T12:30:45Z").Round(duration("1h"))"#,
        "time 2024-02-29T13:00:00+00:00",
    ),
    (r#"date("2024-02-29").IsZero()"#, "bool false"),
    (
        r#"date("2024-02-29").Equal(date("2024-02-29T00:00:00Z"))"#,
        "bool true",
    ),
    (r#"date("2024-02-29").Before(date("2024-03-01"))"#, "bool true"),
    (r#"date("2024-02-29").After(date("2024-03-01"))"#, "bool false"),
    (r#"date("2024-02-29").Compare(date("2024-03-01"))"#, "int -1"),
    (
        r#"date("2024-03-01").Sub(date("2024-02-29"))"#,
        "duration 24h0m0s",
    ),
    (r#"date("2024-03-01") - date("2024-02-29")"#, "duration 24h0m0s"),
    (
        r#"date("2024-03-01") - duration("1h")"#,
        "time 2024-02-29T23:00:00+00:00",
    ),
    (
        r#"duration("1h") + date("2024-03-01")"#,
        "time 2024-03-01T01:00:00+00:00",
    ),
    (r#"date("2024-03-01") > date("2024-02-29")"#, "bool true"),
    (
        r#"date("2024-03-01") == date("2024-03-01T00:00:00Z")"#,
        "bool true",
    ),
    (
        r#"date("2024-03-01").UTC().Format("2006-01-02T15:04:05Z07:00")"#,
        r#"string "2024-03-01T00:00:00Z""#,
    ),
    (
        r#"date("2024-03-01 15:04:05").Format("Mon Monday Jan January 1 01 2 02 _2 __2 002 3 03 15 4 04 5 05 PM pm 06 2006")"#,
        r#"string "Fri Friday Mar March 3 03 1 01  1  61 061 3 03 15 4 04 5 05 PM pm 24 2024""#,
    ),
    (
        r#"date("2024-03-01 15:04:05").Format(".000 .999 -07 -0700 -07:00 Z07 MST")"#,
        r#"string ".000  +00 +0000 +00:00 Z UTC""#,
    ),
    (
        r#"date("1 Mar 2024 3:04 pm", "2 Jan 2006 3:04 pm")"#,
        "time 2024-03-01T15:04:00+00:00",
    ),
    (
        r#"date("060/2024", "002/2006")"#,
        "time 2024-02-29T00:00:00+00:00",
    ),
    (
        r#"date("Friday, 01-Mar-24 15:04:05 GMT")"#,
        "time 2024-03-01T15:04:05+00:00",
    ),
    (r#"date("01 Mar 24 15:04 MST")"#, "time 2024-03-01T15:04:00+00:00"),
    (
        r#"date("2024-03-01T15:04:05-0330", "2006-01-02T15:04:05-0700")"#,
        "time 2024-03-01T15:04:05-03:30",
    ),
    (r#"date("12:30AM", "3:04PM")"#, "time 0000-01-01T00:30:00+00:00"),
    (
        r#"date("2024-07-01 12:00:00", "2006-01-02 15:04:05", "Europe/Zurich").Format("15:04 MST -0700")"#,
        r#"string "12:00 CEST +0200""#,
    ),
    (
        r#"date("2024-07-01 12:00:00").In(timezone("America/New_York")).Format("15:04 MST")"#,
        r#"string "08:00 EDT""#,
    ),
    (
        r#"string(date("2024-07-01 12:00:00").In(timezone("America/New_York")))"#,
        r#"string "2024-07-01 08:00:00 -0400 EDT""#,
    ),
    (
        r#"date("2024-07-01 12:00:00").In(timezone("America/New_York")).Local().Hour() >= 0"#,
        "bool true",
    ),
    (
        r#"date("2024-07-01").String()"#,
        r#"string "2024-07-01 00:00:00 +0000 UTC""#,
    ),
    ("now().Unix() > 0", "bool true"),
    (r#"now() - duration("1h") < now()"#, "bool true"),
    (r#"timezone("UTC") == timezone("UTC")"#, "bool true"),
    (r#"string(duration("1h30m0.5s"))"#, r#"string "1h30m0.5s""#),
    (r#"type(duration("1h"))"#, r#"string "time.Duration""#),
    (r#"date("2023-08-14").Weekday()"#, "int 1"),
    (r#"now() - now() < duration("1s")"#, "bool true"),
    (r#"duration("1h") * 2"#, "duration 2h0m0s"),
    (r#"duration("1h") > duration("1m")"#, "bool true"),
    (r#"duration("1h") * 1.5"#, "float 5400000000000"),
    (r#"1.5 * duration("1h")"#, "float 5400000000000"),
    ("type(now())", r#"string "time.Time""#),
    (r#"type(timezone("UTC"))"#, r#"string "time.Location""#),
    (
        r#"string(date("2023-08-14 10:00:00"))"#,
        r#"string "2023-08-14 10:00:00 +0000 UTC""#,
    ),
    (
        r#"date("2023-08-14 10:00:00", "2006-01-02 15:04:05", "Europe/Zurich")"#,
        "time 2023-08-14T10:00:00+02:00",
    ),
    (r#"date("15:04:05")"#, "time 0000-01-01T15:04:05+00:00"),
    (
        r#"date("Mon, 02 Jan 2006 15:04:05 MST")"#,
        "time 2006-01-02T15:04:05+00:00",
    ),
    (r#"date("02 Jan 06 15:04 UTC")"#, "time 2006-01-02T15:04:00+00:00"),
    (
        r#"date("2023-08-14T10:00:00.5+02:00").Format("Jan _2 3:04PM -0700 MST .000")"#,
        r#"string "Aug 14 10:00AM +0200 +0200 .500""#,
    ),
    (r#"now() > now() - duration("1m")"#, "bool true"),
    (r#"(now() - duration("1h")).Unix() < now().Unix()"#, "bool true"),
    (r#"duration("90m").Hours()"#, "float 1.5"),
    (r#"duration("1.5s").Milliseconds()"#, "int 1500"),
    (r#"duration("0")"#, "duration 0s"),
    (r#"duration("-1.5h")"#, "duration -1h30m0s"),
    (
        r#"date("2023-08-14").AddDate(0,1,0)"#,
        "time 2023-09-14T00:00:00+00:00",
    ),
    (
        r#"date("2023-08-14").Add(duration("1h"))"#,
        "time 2023-08-14T01:00:00+00:00",
    ),
    (
        r#"date("2023-08-14").Sub(date("2023-08-13")).Hours()"#,
        "float 24",
    ),
    (r#"date("2023-08-14").Before(now())"#, "bool true"),
    (r#"string(now()) != """#, "bool true"),
    (r#"toJSON(duration("1s"))"#, r#"string "1000000000""#),
    (
        r#"date(timezone("Europe/Zurich"), "2023-08-14 10:00:00")"#,
        "time 2023-08-14T10:00:00+02:00",
    ),
    (r#"now(timezone("UTC")).Year() > 2000"#, "bool true"),
    (
        r#"date("2023-08-14 10:00:00").In(timezone("Asia/Tokyo")).Hour()"#,
        "int 19",
    ),
];
