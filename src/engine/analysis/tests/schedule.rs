use super::cases::*;
use crate::api::analysis::{AnalysisPhase, Measurement, MetricResult};
use crate::engine::analysis::{MetricRule, Turn, next_turn};

fn last(measurement: Measurement, count: i32) -> MetricResult {
    MetricResult {
        measurements: vec![measurement],
        count,
        ..result("m", Running)
    }
}

fn in_flight(resume: Option<i64>) -> MetricResult {
    last(
        Measurement {
            resume_at: resume.and_then(time),
            ..measured(Running, 0)
        },
        0,
    )
}

#[test]
fn a_metric_is_due_as_the_contract_says() {
    let minute = rule("m");
    let delayed = MetricRule {
        initial_delay: seconds(30),
        ..rule("m")
    };
    let once = MetricRule {
        interval: None,
        count: Some(1),
        ..rule("m")
    };
    let five = MetricRule {
        count: Some(5),
        ..rule("m")
    };
    let wait = |seconds| Turn::Wait(at(seconds));
    // (what, rule, result, started at, now, turn)
    let cases = [
        ("first, at once", &minute, None, Some(0), 0, Turn::Start),
        ("first, late", &minute, None, Some(0), 500, Turn::Start),
        ("first, delayed", &delayed, None, Some(0), 29, wait(30)),
        ("first, delay over", &delayed, None, Some(0), 30, Turn::Start),
        ("first, not started", &delayed, None, None, 7, wait(37)),
        (
            "first, empty result",
            &delayed,
            Some(result("m", Pending)),
            Some(0),
            0,
            wait(30),
        ),
        (
            "interval, from the end",
            &minute,
            Some(last(measured(Successful, 100), 1)),
            Some(0),
            159,
            wait(160),
        ),
        (
            "interval over",
            &minute,
            Some(last(measured(Failed, 100), 1)),
            Some(0),
            160,
            Turn::Start,
        ),
        (
            "the delay is for the first only",
            &delayed,
            Some(last(measured(Failed, 0), 1)),
            Some(0),
            60,
            Turn::Start,
        ),
        (
            "error, 10 s",
            &minute,
            Some(last(measured(Error, 100), 0)),
            Some(0),
            109,
            wait(110),
        ),
        (
            "error, 10 s over",
            &minute,
            Some(last(measured(Error, 100), 0)),
            Some(0),
            110,
            Turn::Start,
        ),
        (
            "once, error",
            &once,
            Some(last(measured(Error, 100), 0)),
            Some(0),
            105,
            wait(110),
        ),
        (
            "once, done",
            &once,
            Some(last(measured(Successful, 100), 1)),
            Some(0),
            500,
            Turn::Done,
        ),
        (
            "count reached",
            &five,
            Some(last(measured(Successful, 100), 5)),
            Some(0),
            500,
            Turn::Done,
        ),
        (
            "count not reached",
            &five,
            Some(last(measured(Successful, 100), 4)),
            Some(0),
            500,
            Turn::Start,
        ),
        (
            "complete",
            &minute,
            Some(result("m", Failed)),
            Some(0),
            500,
            Turn::Done,
        ),
        (
            "in flight, at resumeAt",
            &minute,
            Some(in_flight(Some(30))),
            Some(0),
            29,
            wait(30),
        ),
        (
            "in flight, resumeAt over",
            &minute,
            Some(in_flight(Some(30))),
            Some(0),
            30,
            Turn::Resume,
        ),
        (
            "in flight, no resumeAt",
            &minute,
            Some(in_flight(None)),
            Some(0),
            0,
            Turn::Resume,
        ),
    ];
    for (what, rule, result, started, now, turn) in cases {
        assert_eq!(
            next_turn(rule, result.as_ref(), started.map(at), at(now)),
            turn,
            "{what}"
        );
    }
}

#[test]
fn a_result_of_somebody_else_without_times_is_due_an_interval_from_now() {
    let odd = last(
        Measurement {
            phase: AnalysisPhase::Successful,
            ..Measurement::default()
        },
        1,
    );
    assert_eq!(next_turn(&rule("m"), Some(&odd), None, at(0)), Turn::Wait(at(60)));
}
