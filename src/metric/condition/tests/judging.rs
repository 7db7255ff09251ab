//! The verdict over one measurement.

use super::{now, result};
use crate::metric::condition::{Condition, Judgement, Value, Verdict, judge};

fn judged(success: Option<&str>, failure: Option<&str>, result: &Value) -> Judgement {
    let success = success.map(|source| Condition::parse(source).unwrap());
    let failure = failure.map(|source| Condition::parse(source).unwrap());
    judge(success.as_ref(), failure.as_ref(), result, now())
}

#[test]
fn the_verdict_follows_the_table_of_the_contract() {
    let (yes, no) = (Some("result > 0"), Some("result < 0"));
    let table = [
        (None, None, Verdict::Successful),
        (yes, None, Verdict::Successful),
        (no, None, Verdict::Failed),
        (None, yes, Verdict::Failed),
        (None, no, Verdict::Successful),
        (yes, yes, Verdict::Failed),
        (no, yes, Verdict::Failed),
        (yes, no, Verdict::Successful),
        (no, no, Verdict::Inconclusive),
    ];
    for (success, failure, phase) in table {
        let expected = Judgement { phase, message: None };
        assert_eq!(
            judged(success, failure, &result("1")),
            expected,
            "{success:?} {failure:?}"
        );
    }
}

#[test]
fn no_data_is_told_from_bad_data() {
    let messages = [
        (
            "vector",
            "could not evaluate successCondition \"result[0] >= 0.95\": the metric returned an empty result ([]); \
             index 0 is out of range: the list is empty (column 7)",
        ),
        (
            "null",
            "could not evaluate successCondition \"result[0] >= 0.95\": the metric returned no result (nil); \
             cannot take index 0 of nil (column 7)",
        ),
        (
            "{}",
            "could not evaluate successCondition \"result[0] >= 0.95\": the metric returned an empty result ({}); \
             the keys of this map are strings, got int 0 (column 7)",
        ),
        (
            "0.5",
            "could not evaluate successCondition \"result[0] >= 0.95\": a float has no elements (column 7); the \
             result was 0.5",
        ),
    ];
    for (written, message) in messages {
        let expected = Judgement {
            phase: Verdict::Error,
            message: Some(message.to_owned()),
        };
        assert_eq!(
            judged(Some("result[0] >= 0.95"), None, &result(written)),
            expected
        );
    }
}

#[test]
fn nan_satisfies_no_comparison_and_can_be_asked_for() {
    let nan = result("vector NaN");
    assert_eq!(
        judged(Some("result[0] >= 0.95"), None, &nan).phase,
        Verdict::Failed
    );
    assert_eq!(
        judged(None, Some("result[0] < 0.95"), &nan).phase,
        Verdict::Successful
    );
    let (success, failure) = (Some("result[0] >= 0.95"), Some("result[0] < 0.95"));
    assert_eq!(judged(success, failure, &nan).phase, Verdict::Inconclusive);
    assert_eq!(
        judged(Some("isNaN(result[0]) || result[0] >= 0.95"), None, &nan).phase,
        Verdict::Successful
    );
}

#[test]
fn a_condition_that_fails_makes_an_error_whatever_the_other_says() {
    let one = result("vector 1");
    let broken = Some("result[7] > 0");
    let message = |field: &str| {
        format!(
            "could not evaluate {field} \"result[7] > 0\": index 7 is out of range: the list has 1 element \
             (column 7); the result was [1]"
        )
    };
    let (phase, success, failure) = (
        Verdict::Error,
        message("successCondition"),
        message("failureCondition"),
    );
    assert_eq!(
        judged(broken, Some("true"), &one),
        Judgement {
            phase,
            message: Some(success.clone())
        }
    );
    assert_eq!(
        judged(Some("true"), broken, &one),
        Judgement {
            phase,
            message: Some(failure)
        }
    );
    assert_eq!(
        judged(broken, broken, &one),
        Judgement {
            phase,
            message: Some(success)
        }
    );
}

#[test]
fn a_long_result_is_shortened_in_the_message() {
    let long = Value::floats((0..100_000).map(f64::from));
    let message = judged(Some("result.name == 1"), None, &long).message.unwrap();
    let (_, shown) = message.split_once("the result was ").unwrap();
    assert_eq!(shown.chars().count(), 200);
    assert!(
        shown.starts_with("[0, 1, 2, 3, ") && shown.ends_with('…'),
        "{shown}"
    );
}

#[test]
fn what_fits_is_not_shortened() {
    assert_eq!(Value::from("abc").shortened(5), "\"abc\"");
    assert_eq!(Value::from("abc").shortened(4), "\"ab…");
    assert_eq!(result("[1, {\"a\": null}]").shortened(100), "[1, {\"a\": nil}]");
}
