use super::cases::*;
use crate::api::analysis::{AnalysisPhase, MetricResult, RunSummary};
use crate::engine::analysis::{
    MetricRule, limit_message, metric_verdict, record, replay, run_verdict, summaries, trim, worst,
};

/// Measurements by one letter each: s, f, i, e (error), r (running).
fn phases(letters: &str) -> Vec<AnalysisPhase> {
    letters
        .chars()
        .map(|letter| match letter {
            's' => Successful,
            'f' => Failed,
            'i' => Inconclusive,
            'e' => Error,
            'r' => Running,
            other => panic!("no phase {other}"),
        })
        .collect()
}

fn replayed(rule: &MetricRule, letters: &str) -> MetricResult {
    let measurements: Vec<_> = phases(letters)
        .into_iter()
        .zip(0..)
        .map(|(phase, second)| measured(phase, second))
        .collect();
    replay(rule, &measurements)
}

#[test]
fn errors_do_not_count_and_rows_are_broken_by_anything_else() {
    // (measurements, [count, successful, failed, inconclusive, error, consecutiveError, consecutiveSuccess])
    let cases = [
        ("", [0, 0, 0, 0, 0, 0, 0]),
        ("s", [1, 1, 0, 0, 0, 0, 1]),
        ("f", [1, 0, 1, 0, 0, 0, 0]),
        ("i", [1, 0, 0, 1, 0, 0, 0]),
        ("e", [0, 0, 0, 0, 1, 1, 0]),
        ("eee", [0, 0, 0, 0, 3, 3, 0]),
        ("ees", [1, 1, 0, 0, 2, 0, 1]),
        ("eef", [1, 0, 1, 0, 2, 0, 0]),
        ("eei", [1, 0, 0, 1, 2, 0, 0]),
        ("sse", [2, 2, 0, 0, 1, 1, 0]),
        ("ssf", [3, 2, 1, 0, 0, 0, 0]),
        ("ssi", [3, 2, 0, 1, 0, 0, 0]),
        ("sefss", [4, 3, 1, 0, 1, 0, 2]),
        ("r", [0, 0, 0, 0, 0, 0, 0]),
        ("sr", [1, 1, 0, 0, 0, 0, 1]),
        ("rs", [1, 1, 0, 0, 0, 0, 1]),
    ];
    for (letters, expected) in cases {
        let mut result = MetricResult::default();
        for (phase, second) in phases(letters).into_iter().zip(0..) {
            record(&mut result, measured(phase, second));
        }
        let MetricResult {
            count,
            successful,
            failed,
            inconclusive,
            error,
            consecutive_error,
            consecutive_success,
            ..
        } = result;
        let counted = [
            count,
            successful,
            failed,
            inconclusive,
            error,
            consecutive_error,
            consecutive_success,
        ];
        assert_eq!(counted, expected, "{letters}");
    }
}

#[test]
fn an_outcome_replaces_the_measurement_in_flight() {
    let result = replayed(&rule("m"), "srs");
    let phases: Vec<_> = result
        .measurements
        .iter()
        .map(|measurement| measurement.phase)
        .collect();
    assert_eq!((phases, result.count), (vec![Successful, Successful], 2));
}

#[test]
fn the_verdict_of_a_metric_follows_its_limits() {
    let count = |count, limits: [i32; 4]| MetricRule {
        count,
        failure_limit: limits[0],
        inconclusive_limit: limits[1],
        consecutive_error_limit: limits[2],
        consecutive_success_limit: limits[3],
        ..rule("m")
    };
    let default = [0, 0, 4, 0];
    // (count, [failureLimit, inconclusiveLimit, consecutiveErrorLimit, consecutiveSuccessLimit], measurements, verdict)
    let cases = [
        (None, default, "", Pending),
        (None, default, "r", Running),
        (None, default, "ssss", Running),
        (None, default, "f", Failed),
        (None, [1, 0, 4, 0], "f", Running),
        (None, [1, 0, 4, 0], "fsf", Failed),
        (None, [-1, 0, 4, 0], "ffffffff", Running),
        (None, default, "i", Inconclusive),
        (None, [0, 1, 4, 0], "i", Running),
        (None, [0, 1, 4, 0], "isi", Inconclusive),
        (None, default, "eeee", Running),
        (None, default, "eeeee", Error),
        (None, default, "eeeeseeee", Running),
        (None, [0, 0, 0, 0], "e", Error),
        (Some(1), default, "s", Successful),
        (Some(1), default, "es", Successful),
        (Some(3), default, "ss", Running),
        (Some(3), default, "sss", Successful),
        (Some(3), [1, 0, 4, 0], "sfs", Successful),
        (Some(3), [3, 0, 4, 0], "fff", Successful),
        (Some(2), [0, 2, 4, 0], "ii", Successful),
        // the row of successes
        (None, [0, 0, 4, 2], "ss", Successful),
        (None, [5, 0, 4, 2], "sfs", Running),
        (None, [5, 0, 4, 2], "sfss", Successful),
        (None, [5, 0, 4, 2], "sess", Successful),
        (None, [5, 0, 4, 2], "se", Running),
        (Some(3), [3, 0, 4, 2], "sfs", Inconclusive),
        (Some(3), [-1, 0, 4, 2], "sfs", Failed),
        (Some(3), [-1, 0, 4, 2], "fss", Successful),
        (Some(2), [0, 0, 4, 2], "sf", Failed),
        // in flight is Running whatever was before
        (Some(1), default, "er", Running),
        // a verdict stays
        (None, default, "fssss", Failed),
        (Some(1), default, "sf", Successful),
    ];
    for (wanted, limits, letters, verdict) in cases {
        let result = replayed(&count(wanted, limits), letters);
        let phase = if letters.is_empty() {
            metric_verdict(&count(wanted, limits), &result)
        } else {
            result.phase
        };
        assert_eq!(phase, verdict, "count {wanted:?} limits {limits:?} of {letters}");
    }
}

#[test]
fn of_several_exceeded_limits_the_last_decides() {
    let all = MetricResult {
        failed: 1,
        inconclusive: 1,
        consecutive_error: 5,
        measurements: vec![measured(Error, 0)],
        ..result("m", Running)
    };
    assert_eq!(metric_verdict(&rule("m"), &all), Error);
    let two = MetricResult {
        consecutive_error: 4,
        ..all
    };
    assert_eq!(metric_verdict(&rule("m"), &two), Inconclusive);
    assert_eq!(
        metric_verdict(
            &rule("m"),
            &MetricResult {
                inconclusive: 0,
                ..two
            }
        ),
        Failed
    );
}

#[test]
fn the_message_names_the_limit() {
    let limited = MetricRule {
        count: Some(3),
        failure_limit: 2,
        consecutive_success_limit: 2,
        ..rule("m")
    };
    let cases = [
        (&rule("m"), "f", "failed (1) > failureLimit (0)"),
        (&rule("m"), "i", "inconclusive (1) > inconclusiveLimit (0)"),
        (
            &rule("m"),
            "eeeee",
            "consecutiveErrors (5) > consecutiveErrorLimit (4)",
        ),
        (
            &limited,
            "sfs",
            "consecutiveSuccess (1) < consecutiveSuccessLimit (2) when count (3) was reached",
        ),
    ];
    for (rule, letters, words) in cases {
        assert_eq!(
            limit_message(rule, &replayed(rule, letters)).as_deref(),
            Some(words),
            "{letters}"
        );
    }
    assert_eq!(limit_message(&rule("m"), &replayed(&rule("m"), "s")), None);
}

#[test]
fn the_order_of_phases_is_that_of_the_contract() {
    let order = [Successful, Running, Pending, Inconclusive, Error, Failed];
    for (place, left) in order.into_iter().enumerate() {
        for (other, right) in order.into_iter().enumerate() {
            assert_eq!(worst(left, right), order[place.max(other)]);
        }
    }
}

/// Metrics a, b, c … with these phases; an upper-case name is a dry-run metric, `-` was never measured.
fn verdict_of(metrics: &[(&str, Option<AnalysisPhase>)], terminate: bool) -> (AnalysisPhase, bool) {
    let rules: Vec<_> = metrics
        .iter()
        .map(|(name, _)| MetricRule {
            dry_run: name.starts_with("dry"),
            ..rule(name)
        })
        .collect();
    let results: Vec<_> = metrics
        .iter()
        .filter_map(|(name, phase)| Some(result(name, (*phase)?)))
        .collect();
    let verdict = run_verdict(&rules, &results, terminate);
    (verdict.phase, verdict.terminating)
}

#[test]
fn a_run_ends_with_its_worst_metric() {
    let some = Some;
    // (metrics, terminate, verdict, terminating)
    let cases = [
        (vec![("a", None)], false, Running, false),
        (vec![("a", some(Running))], false, Running, false),
        (
            vec![("a", some(Successful)), ("b", some(Running))],
            false,
            Running,
            false,
        ),
        (vec![("a", some(Successful)), ("b", None)], false, Running, false),
        (
            vec![("a", some(Successful)), ("b", some(Successful))],
            false,
            Successful,
            false,
        ),
        (
            vec![("a", some(Failed)), ("b", some(Successful))],
            false,
            Failed,
            true,
        ),
        (
            vec![
                ("a", some(Inconclusive)),
                ("b", some(Error)),
                ("c", some(Successful)),
            ],
            false,
            Error,
            true,
        ),
        (vec![("a", some(Error)), ("b", some(Failed))], false, Failed, true),
        (
            vec![("a", some(Failed)), ("b", some(Running))],
            false,
            Failed,
            true,
        ),
        (vec![("a", some(Failed)), ("b", None)], false, Failed, true),
        // dry-run metrics do not decide, but the run lasts until they are complete
        (
            vec![("dry-a", some(Failed)), ("b", some(Successful))],
            false,
            Successful,
            false,
        ),
        (
            vec![("dry-a", some(Failed)), ("b", some(Running))],
            false,
            Running,
            false,
        ),
        (
            vec![("dry-a", some(Running)), ("b", some(Successful))],
            false,
            Running,
            false,
        ),
        (
            vec![("dry-a", some(Failed)), ("dry-b", some(Error))],
            false,
            Successful,
            false,
        ),
        // asked to end
        (vec![("a", None)], true, Successful, true),
        (
            vec![("a", some(Running)), ("b", some(Successful))],
            true,
            Successful,
            true,
        ),
        (
            vec![("a", some(Running)), ("b", some(Inconclusive))],
            true,
            Inconclusive,
            true,
        ),
        (vec![("dry-a", some(Failed)), ("b", None)], true, Successful, true),
    ];
    for (metrics, terminate, phase, terminating) in cases {
        assert_eq!(
            verdict_of(&metrics, terminate),
            (phase, terminating),
            "{metrics:?} {terminate}"
        );
    }
}

#[test]
fn the_message_of_a_run_is_that_of_the_worst_metric() {
    let rules = [rule("a"), rule("b"), rule("c")];
    let mut failed = replayed(&rule("b"), "f");
    failed.message = Some("timeout".into());
    let results = [replayed(&rule("a"), "i"), failed, replayed(&rule("c"), "f")];
    assert_eq!(
        run_verdict(&rules, &results, true).message.unwrap(),
        "Metric \"b\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: timeout\""
    );
    assert_eq!(
        run_verdict(&rules[2..], &results[2..], false).message.unwrap(),
        "Metric \"c\" assessed Failed due to failed (1) > failureLimit (0)"
    );
    assert_eq!(
        run_verdict(&rules, &[], true).message.as_deref(),
        Some("Run Terminated")
    );
    let good = [result("a", Successful)];
    assert_eq!(run_verdict(&rules[..1], &good, false).message, None);
}

#[test]
fn summaries_count_metrics_by_outcome() {
    let mut rules: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
        .into_iter()
        .map(rule)
        .collect();
    rules[5].dry_run = true;
    let results = [
        result("a", Successful),
        result("b", Failed),
        result("c", Inconclusive),
        result("d", Error),
        result("e", Running),
        result("f", Failed),
        result("stranger", Failed),
    ];
    let (deciding, dry_run) = summaries(&rules, &results);
    assert_eq!(
        deciding,
        RunSummary {
            count: 6,
            successful: 1,
            failed: 1,
            inconclusive: 1,
            error: 1
        }
    );
    assert_eq!(
        dry_run,
        Some(RunSummary {
            count: 1,
            failed: 1,
            ..RunSummary::default()
        })
    );
    assert_eq!(summaries(&rules[..1], &results).1, None);
}

#[test]
fn only_the_newest_measurements_are_kept() {
    let mut long = replayed(&rule("m"), "ssssssssssss");
    assert_eq!(long.measurements.len(), 12);
    trim(&mut long, 10);
    assert_eq!((long.measurements.len(), long.count), (10, 12));
    assert_eq!(long.measurements[0].finished_at, time(2));
    trim(&mut long, 0);
    assert_eq!(long.measurements.len(), 1, "the last one is needed");
}
