//! No expression exceeds its bounds: in depth, in time, in memory.

use super::{now, result, value};
use crate::metric::condition::limits::{MAX_DEPTH, MAX_SOURCE};
use crate::metric::condition::{Condition, Value};

/// Runs in a thread with 1.25 MiB of stack, where a worker has 2 MiB, so that what passes here passes there.
fn in_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(5 << 18)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn deep_nesting_is_rejected_without_exhausting_the_stack() {
    in_a_small_stack(|| {
        for piece in [
            "(",
            "!",
            "-",
            "[",
            "not ",
            "{a:",
            "all([1],",
            "1+",
            "1**",
            "true?",
            "true?1:",
            "x.",
            "1|",
            "#",
            "let a=",
            "if ",
            "result[",
            "result?.",
            "1<",
            "nil??",
            "::",
            "all([], {",
            "\"",
            "`",
            "/*",
            "1..",
            "(1,",
        ] {
            let source = piece.repeat(MAX_SOURCE / piece.len());
            let message = Condition::parse(&source).unwrap_err().to_string();
            assert!(message.contains("column"), "{message}");
        }
    });
}

#[test]
fn the_deepest_expression_that_is_read_can_be_evaluated() {
    in_a_small_stack(|| {
        let wrapped = |open: &str, inner: &str, close: &str, times: usize| {
            format!("{}{inner}{}", open.repeat(times), close.repeat(times))
        };
        // The greatest number of levels that is still read, whatever a level costs.
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("-", "1", ""),
            ("map([1], ", "#", ")"),
            ("{a: ", "1", "}"),
            ("abs(", "1", ")"),
            ("1 + (", "1", ")"),
            ("true ? ", "1", " : 2"),
            ("if true {", "1", "} else {2}"),
            ("", "1", " + 1"),
            ("", "[[1]]", " | flatten()"),
            ("", "[1]", "[:]"),
            ("", "{}", "?.a"),
        ] {
            let read = |times: &usize| value(&wrapped(open, inner, close, *times), &Value::Nil).is_ok();
            let deepest = (1..=MAX_DEPTH + 1).take_while(read).count();
            assert!(
                (MAX_DEPTH / 3..=MAX_DEPTH).contains(&deepest),
                "{open}{inner}{close}: {deepest} levels"
            );
        }
    });
}

#[test]
fn a_long_source_is_rejected() {
    let longest = format!("true{}", " ".repeat(MAX_SOURCE - 4));
    assert!(Condition::parse(&longest).is_ok());
    let message = Condition::parse(&format!("{longest} ")).unwrap_err().to_string();
    assert!(
        message.ends_with("the expression is 4097 bytes long; at most 4096 are read"),
        "{message}"
    );
    assert!(message.len() < 600, "the quotation is cut");
}

#[test]
fn what_would_take_too_long_or_too_much_is_stopped() {
    let steps = "the expression needs more than 5000000 steps of evaluation";
    let values = "the expression builds more than 1000000 values";
    let text = "the expression builds a text of more than 1048576 bytes";
    let forms = [
        ("len(1..1000000000) > 1", steps),
        ("len(1..2000000) > 1", values),
        ("let all_of = 1..3000; all(all_of, all(all_of, # > 0))", steps),
        ("all(1..3000, all(1..3000, # > 0))", values),
        ("len(map(1..2000, map(1..2000, #))) > 1", values),
        ("len(reduce(1..1000, [#acc, #acc], [])) > 1", values),
        ("len(reduce(1..1000, #acc + #acc, \"x\")) > 1", text),
        (
            "len(reduce(1..1000, [#acc], [])) > 1",
            "the value nests deeper than 128 levels",
        ),
        ("repeat(\"abc\", 1000000) == \"\"", text),
        ("repeat(\"abc\", 9223372036854775807) == \"\"", text),
        (
            "len(replace(repeat(\"a\", 100000), \"\", repeat(\"b\", 1000))) > 1",
            text,
        ),
        ("len(uniq(1..10000)) > 1", steps),
        ("none(1..1000, \"x\" matches (\"a{\" + string(#) + \"}\"))", steps),
        ("len(join(map(1..1000, repeat(\"x\", 2000)))) > 1", text),
    ];
    for (source, expected) in forms {
        let message = Condition::parse(source)
            .unwrap()
            .evaluate(&Value::Nil, now())
            .unwrap_err()
            .to_string();
        assert!(message.starts_with(expected), "{source}: {message}");
    }
}

#[test]
fn ordinary_work_on_a_large_result_is_within_the_bounds() {
    let large = Value::floats((0..100_000).map(f64::from));
    for source in [
        "all(result, # >= 0 and # < 100000)",
        "count(result, # > 50000) < 60000",
        "sum(result) > 1 and mean(result) > 1 and median(result) > 1 and max(result) > 1",
        "sort(result, \"desc\")[0] == 99999",
        "len(filter(result, # > 5)) > 10",
        "99999 in result",
    ] {
        let held = Condition::parse(source).unwrap().evaluate(&large, now());
        assert_eq!(held, Ok(true), "{source}");
    }
}

#[test]
fn a_regular_expression_is_bounded() {
    let huge = "result matches \"(a{100}){100}{100}\"";
    let message = Condition::parse(huge).unwrap_err().to_string();
    assert!(message.contains("is not a regular expression"), "{message}");
    let condition = Condition::parse("result matches \"^(a+)+$\"").unwrap();
    let subject = Value::String(format!("{}b", "a".repeat(100_000)));
    assert_eq!(condition.evaluate(&subject, now()), Ok(false));
}

#[test]
fn sorting_numbers_that_floats_cannot_tell_apart_does_not_panic() {
    let mixed: Vec<String> = (0..200)
        .map(|index| match index % 3 {
            0 => (9_007_199_254_740_992_i64 + index).to_string(),
            1 => "9007199254740992.0".to_owned(),
            _ => "0/0".to_owned(),
        })
        .collect();
    let found = value(&format!("len(sort([{}]))", mixed.join(",")), &result("null"));
    assert_eq!(found.unwrap().to_string(), "200");
}
