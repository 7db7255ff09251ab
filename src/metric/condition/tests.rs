//! Tests of the condition language: tables of forms, and what holds for every expression.

mod faults;
mod judging;
mod language;
mod limits;
mod of_result;
mod properties;
mod times;

use super::*;
use ast::Binary;
use builtins::{METHODS, SIGNATURES};
use faults::{FAILING, UNPARSABLE};
use language::LANGUAGE;
use of_result::OF_RESULT;
use times::TIMES;

/// The expression, the result, what it yields here; the reference errs, or wraps around, or compares otherwise.
const DELIBERATE: [(&str, &str, Result<&str, &str>); 13] = [
    ("isNil(result) || result > 1", "null", Ok("bool true")),
    ("result == nil || result[0] > 1", "null", Ok("bool true")),
    ("result != nil && result.x > 1", "null", Ok("bool false")),
    ("result?.x", "null", Ok("nil nil")),
    (r#"result == {"a": 1}"#, r#"{"a": 1}"#, Ok("bool true")),
    (
        "groupBy(result, .code)[500]",
        r#"[{"code": 500}]"#,
        Ok(r#"list [{"code": 500}]"#),
    ),
    (r#"date("2023-08-14").Month() == 8"#, "null", Ok("bool true")),
    ("isNaN(asInt(result[0]))", "vector 1", Ok("bool false")),
    ("sort(result)", "vector 3 NaN 1", Ok("list [NaN, 1, 3]")),
    (
        r#"result[0] == "x""#,
        "[1, 2]",
        Err("column 11: a float never equals a string: convert one with int, float or string"),
    ),
    (
        "9223372036854775807 + 1",
        "null",
        Err("column 21: the whole number is too large (64 bits)"),
    ),
    (
        "int(result[0])",
        "vector NaN",
        Err("column 1: int: NaN is not a whole number of 64 bits"),
    ),
    (
        "asInt(1e300)",
        "null",
        Err("column 1: asInt: 1e+300 is not a whole number of 64 bits"),
    ),
];

/// 14 November 2023, 22:13:20 UTC.
fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// A result as the tables write it: JSON, or `vector` and its samples.
fn result(written: &str) -> Value {
    match written.strip_prefix("vector") {
        Some(samples) => Value::floats(samples.split_whitespace().map(|sample| sample.parse().unwrap())),
        None => Value::from(&serde_json::from_str::<serde_json::Value>(written).unwrap()),
    }
}

/// What an expression of any kind yields, or the place and the message.
fn value(source: &str, result: &Value) -> Result<Value, String> {
    let fault = |fault: Fault| format!("{}: {}", fault.place(source), fault.message);
    let node = parser::parse(source, Scope::Measurement).map_err(fault)?;
    check::check(&node, Type::of(result)).map_err(fault)?;
    evaluated(&node, result, now()).map_err(fault)
}

fn described(source: &str, result: &Value) -> Result<String, String> {
    value(source, result).map(|value| format!("{} {value}", value.kind()))
}

#[test]
fn every_form_yields_what_the_reference_yields() {
    let mut wrong = Vec::new();
    for (source, written, expected) in OF_RESULT {
        let found = described(source, &result(written));
        if found != Ok(expected.to_owned()) {
            wrong.push(format!(
                "{source} of {written}: expected {expected}, found {found:?}"
            ));
        }
    }
    for (source, expected) in LANGUAGE.into_iter().chain(TIMES) {
        let found = described(source, &result("vector 1"));
        if found != Ok(expected.to_owned()) {
            wrong.push(format!("{source}: expected {expected}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_can_never_work_is_rejected_when_parsed() {
    let mut wrong = Vec::new();
    for (source, expected) in UNPARSABLE {
        let found = Condition::parse(source).map_err(|error| error.to_string());
        if !found
            .as_ref()
            .is_err_and(|message| *message == format!("\"{source}\": {expected}"))
        {
            wrong.push(format!("{source}: expected {expected}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_fails_on_a_result_says_where_and_why() {
    let mut wrong = Vec::new();
    for (source, written, expected) in FAILING {
        let found = value(source, &result(written)).map(|value| value.to_string());
        if found != Err(expected.to_owned()) {
            wrong.push(format!(
                "{source} of {written}: expected {expected}, found {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tables_name_every_function_method_and_operator() {
    let deliberate = DELIBERATE.iter().map(|(source, _, _)| *source);
    let sources: Vec<&str> = OF_RESULT
        .iter()
        .map(|(source, _, _)| *source)
        .chain(LANGUAGE.iter().chain(&TIMES).map(|(source, _)| *source))
        .chain(deliberate)
        .collect();
    let named = |text: &str| sources.iter().any(|source| source.contains(text));
    for signature in &SIGNATURES {
        assert!(
            named(&format!("{}(", signature.name)),
            "no form with {}",
            signature.name
        );
    }
    for method in &METHODS {
        assert!(
            named(&format!(".{}(", method.name)),
            "no form with the method {}",
            method.name
        );
    }
    let operators = [
        Binary::Or,
        Binary::And,
        Binary::Equal,
        Binary::NotEqual,
        Binary::In,
        Binary::Matches,
        Binary::Contains,
        Binary::StartsWith,
        Binary::EndsWith,
        Binary::Range,
        Binary::Add,
        Binary::Subtract,
        Binary::Multiply,
        Binary::Divide,
        Binary::Modulo,
        Binary::Power,
        Binary::Coalesce,
    ];
    for operator in operators.map(Binary::symbol).iter().chain(&[
        " < ", " <= ", " > ", " >= ", "&&", "||", "!", "not ", "^", "?:", " ? ", "?.", "?.[", " | ",
        "not in", "#index", "#acc", "let ", "else if", "//", "/*", "`", "0x", "0o", "0b", "::", "b\"", ";",
    ]) {
        assert!(named(operator), "no form with {operator}");
    }
    for (index, signature) in SIGNATURES.iter().enumerate() {
        assert_eq!(
            signature.function.name(),
            signature.name,
            "a function stands twice"
        );
        assert!(
            SIGNATURES
                .iter()
                .skip(index + 1)
                .all(|other| other.name != signature.name)
        );
    }
}

#[test]
fn where_the_reference_errs_or_wraps_the_difference_is_deliberate() {
    for (source, written, expected) in DELIBERATE {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(
            described(source, &result(written)),
            expected,
            "{source} of {written}"
        );
    }
}

#[test]
fn names_that_are_nearly_right_are_suggested() {
    let forms = [
        (
            "reslt[0] > 1",
            "\"reslt[0] > 1\": column 1: unknown name reslt: did you mean result?",
        ),
        (
            "isNan(result)",
            "\"isNan(result)\": column 1: unknown function isNan: did you mean isNaN, isNil?",
        ),
        (
            "asfloat(result) > 1",
            "\"asfloat(result) > 1\": column 1: unknown function asfloat: did you mean asFloat, float?",
        ),
        (
            "result.hours() > 1",
            "\"result.hours() > 1\": column 8: unknown method hours: did you mean Hours, Hour?",
        ),
        (
            "let rate = 1; rat > 1",
            "\"let rate = 1; rat > 1\": column 15: unknown name rat: did you mean rate?",
        ),
        (
            "len > 1",
            "\"len > 1\": column 1: len is a function: expected len(…)",
        ),
    ];
    for (source, expected) in forms {
        assert_eq!(Condition::parse(source).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_place_in_a_text_of_several_lines_has_its_line() {
    let error = Condition::parse("result[0] > 1 and\n  result[1] > ?").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("line 2, column 15: expected a value, found \"?\""),
        "{error}"
    );
    let error = Condition::parse("").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"\": column 1: expected a value, found the end"
    );
}

#[test]
fn a_condition_yields_a_bool() {
    let parsed = Condition::parse("len(result)").unwrap_err().to_string();
    assert_eq!(
        parsed,
        "\"len(result)\": column 1: a condition must yield true or false, but this yields an int"
    );
    let condition = Condition::parse("result[0]").unwrap();
    assert_eq!(condition.source(), "result[0]");
    assert_eq!(condition.evaluate(&result("[true]"), now()), Ok(true));
    let error = condition.evaluate(&result("vector 0.5"), now()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a condition must yield true or false, but yields float 0.5 (column 7)"
    );
}

#[test]
fn a_range_begins_at_a_time() {
    let hour_ago = Timestamp::from_second(1_700_000_000 - 3600).unwrap();
    assert_eq!(eval_time("now() - duration(\"1h\")", now()), Ok(hour_ago));
    assert_eq!(eval_time("now()", now()), Ok(now()));
    let dated = "date(\"2023-08-14 00:00:00\", \"2006-01-02 15:04:05\", \"UTC\") - duration(\"1h\")";
    assert_eq!(
        eval_time(dated, now()).unwrap().to_string(),
        "2023-08-13T23:00:00Z"
    );

    let messages = [
        ("hello", "\"hello\": column 1: unknown name hello"),
        ("result", "\"result\": column 1: unknown name result"),
        (
            "default(1, 2)",
            "\"default(1, 2)\": column 1: unknown function default",
        ),
        (
            "now() -- ?",
            "\"now() -- ?\": column 10: expected a value, found \"?\"",
        ),
        (
            "now().Unix()",
            "the expression must yield a time, but yields int 1700000000 (column 7)",
        ),
        (
            "duration(\"1x\")",
            "duration: \"1x\" is not a duration such as \"90s\", \"5m\" or \"1h30m\" (column 1)",
        ),
    ];
    for (source, expected) in messages {
        assert_eq!(eval_time(source, now()).unwrap_err().to_string(), expected);
    }
}
