use super::cases::*;
use crate::api::analysis::{AnalysisRunStatus, Measurement, RunSummary, TtlStrategy};
use crate::engine::analysis::{Cancel, FinishedMeasurement, MAX_TEXT, expires_at, plan_run};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

#[test]
fn a_metric_without_interval_is_measured_once() {
    let mut world = World::new(run(vec![metric("m", "")]));
    let first = world.pass(0, &[]);
    assert_eq!(
        (names(&first), first.measure[0].ordinal, first.wake),
        (vec!["m"], 1, None)
    );
    assert_eq!(
        (world.status().phase, world.status().started_at.clone()),
        (Running, time(0))
    );
    let second = world.pass(3, &[report("m", Successful, 3)]);
    assert_eq!(reasons(&second), ["MetricSuccessful", "AnalysisRunSuccessful"]);
    assert_eq!(
        (second.measure.len(), second.wake, second.delete),
        (0, None, false)
    );
    let status = world.status();
    assert_eq!(
        (status.phase, status.completed_at.clone(), status.message.clone()),
        (Successful, time(3), None)
    );
    assert_eq!(
        status.run_summary,
        Some(RunSummary {
            count: 1,
            successful: 1,
            ..RunSummary::default()
        })
    );
    assert_eq!(status.dry_run_summary, None);
}

#[test]
fn measurements_go_round_by_interval_until_the_count() {
    let mut world = World::new(run(vec![metric(
        "m",
        "{interval: 1m, count: 3, initialDelay: 30s}",
    )]));
    let waiting = world.pass(0, &[]);
    assert_eq!((names(&waiting), waiting.wake), (vec![], Some(at(30))));
    for (index, due) in [(1, 30), (2, 95), (3, 160)] {
        let plan = world.pass(due, &[]);
        assert_eq!(
            (names(&plan), plan.measure[0].ordinal, plan.wake),
            (vec!["m"], index, None),
            "{due}"
        );
        let plan = world.pass(due + 5, &[report("m", Successful, due + 5)]);
        assert_eq!(plan.wake, (index < 3).then(|| at(due + 65)));
    }
    assert_eq!((world.status().phase, world.result("m").count), (Successful, 3));
}

#[test]
fn a_measurement_that_is_running_is_not_started_twice() {
    let run = run(vec![metric("m", "interval: 1m")]);
    assert!(plan_run(&run, &[], &["m"], &CHECKS, at(0)).measure.is_empty());
    assert_eq!(names(&plan_run(&run, &[], &[], &CHECKS, at(0))), ["m"]);
}

#[test]
fn errors_are_tried_again_after_ten_seconds_and_do_not_use_up_the_count() {
    let mut world = World::new(run(vec![metric("m", "")]));
    world.pass(0, &[]);
    let plan = world.pass(1, &[report("m", Error, 1)]);
    assert_eq!((names(&plan), plan.wake), (vec![], Some(at(11))));
    let plan = world.pass(11, &[]);
    assert_eq!((names(&plan), plan.measure[0].ordinal), (vec!["m"], 2));
    world.pass(12, &[report("m", Successful, 12)]);
    assert_eq!((world.status().phase, world.result("m").error), (Successful, 1));
}

#[test]
fn a_failing_metric_ends_the_run_in_the_same_pass() {
    let mut world = World::new(run(vec![
        metric("bad", "{interval: 1m, failureLimit: 1}"),
        metric("slow", "interval: 1m"),
        metric("late", "{interval: 1m, initialDelay: 1h}"),
    ]));
    world.pass(0, &[]);
    world.pass(1, &[report("bad", Failed, 1), report("slow", Successful, 1)]);
    assert_eq!(names(&world.pass(61, &[])), ["bad", "slow"]);
    let mut outcome = report("bad", Failed, 62);
    outcome.measurement.message = Some("too many errors".into());
    let plan = world.pass(62, &[outcome]);
    assert_eq!(
        reasons(&plan),
        ["MetricFailed", "MetricSuccessful", "AnalysisRunFailed"]
    );
    assert_eq!(
        plan.events.iter().map(|event| event.warning).collect::<Vec<_>>(),
        [true, false, true]
    );
    let cancel = Cancel {
        index: Some(1),
        metric: "slow".into(),
        measurement: None,
    };
    assert_eq!(plan.cancel, [cancel], "what this process measures is dropped");
    let status = world.status();
    assert_eq!(status.phase, Failed);
    assert_eq!(
        status.message.as_deref(),
        Some(
            "Metric \"bad\" assessed Failed due to failed (2) > failureLimit (1): \"Error Message: too many errors\""
        )
    );
    assert_eq!(
        world.result("slow").phase,
        Successful,
        "unfinished metrics count as Successful"
    );
    assert_eq!(
        status.metric_results.len(),
        2,
        "a metric that was never measured has no result"
    );
    assert_eq!(
        status.run_summary,
        Some(RunSummary {
            count: 3,
            successful: 1,
            failed: 1,
            ..RunSummary::default()
        })
    );
}

fn job(phase: crate::api::analysis::AnalysisPhase, second: i64) -> FinishedMeasurement {
    let mut job = report("job", phase, second);
    job.measurement
        .metadata
        .insert("job-name".into(), "uid.job.1".into());
    job.measurement.started_at = time(1);
    job.measurement.resume_at = time(second + 20).filter(|_| phase == Running);
    job
}

/// A run with a Job in flight and another metric.
fn with_a_job() -> World {
    let mut world = World::new(run(vec![
        metric("job", "provider: {job: {spec: {}}}"),
        metric("m", "interval: 1m"),
    ]));
    world.pass(0, &[]);
    let plan = world.pass(1, &[job(Running, 1), report("m", Successful, 1)]);
    assert_eq!((names(&plan), plan.wake), (vec![], Some(at(21))));
    world
}

#[test]
fn a_measurement_in_flight_is_resumed_at_its_time() {
    let mut world = with_a_job();
    let plan = world.pass(21, &[]);
    assert_eq!((names(&plan), plan.wake), (vec!["job"], Some(at(61))));
    let resume = plan.measure[0].resume.as_ref().unwrap();
    assert_eq!(
        (plan.measure[0].ordinal, resume.metadata["job-name"].as_str()),
        (1, "uid.job.1")
    );
    world.pass(22, &[job(Running, 22)]);
    assert_eq!(world.result("job").measurements.len(), 1);
    world.pass(42, &[job(Successful, 42)]);
    let result = world.result("job");
    assert_eq!(
        (result.phase, result.measurements.len(), result.count),
        (Successful, 1, 1)
    );
    assert_eq!(
        (
            result.measurements[0].started_at.clone(),
            result.measurements[0].resume_at.clone()
        ),
        (time(1), None)
    );
}

#[test]
fn a_bad_verdict_does_not_wait_for_a_job_to_be_stopped() {
    let mut world = with_a_job();
    world.pass(61, &[]);
    let plan = world.pass(62, &[report("m", Failed, 62)]);
    assert_eq!(world.status().phase, Failed);
    let stored = world.result("job").measurements[0].clone();
    assert_eq!(
        plan.cancel,
        [Cancel {
            index: Some(0),
            metric: "job".into(),
            measurement: Some(stored)
        }]
    );
    // A controller that dies here asks again, because the stored measurement says that the Job is still there.
    world.in_flight.clear();
    assert_eq!(world.pass(70, &[]).cancel, plan.cancel);
    let plan = world.pass(71, &[job(Inconclusive, 71)]);
    assert_eq!(
        (plan.cancel.len(), reasons(&plan), plan.wake),
        (0, vec!["MetricInconclusive"], None)
    );
    assert_eq!(
        (world.status().phase, world.result("job").phase),
        (Failed, Inconclusive)
    );
    assert_eq!(
        world.status().run_summary,
        Some(RunSummary {
            count: 2,
            failed: 1,
            inconclusive: 1,
            ..RunSummary::default()
        })
    );
    assert_eq!(
        world.status().completed_at,
        time(62),
        "a final phase and its time stay"
    );
}

#[test]
fn terminate_stops_everything_and_keeps_what_was_found() {
    let mut world = World::new(run(vec![
        metric("m", "interval: 1m"),
        metric("never", "initialDelay: 1h"),
    ]));
    world.pass(0, &[]);
    world.pass(1, &[report("m", Successful, 1)]);
    world.run.spec.terminate = true;
    let plan = world.pass(30, &[]);
    assert_eq!(reasons(&plan), ["MetricSuccessful", "AnalysisRunSuccessful"]);
    assert_eq!(world.status().message.as_deref(), Some("Run Terminated"));
    assert_eq!((plan.measure.len(), plan.wake), (0, None));

    let mut unstarted = World::new(run(vec![metric("m", "")]));
    unstarted.run.spec.terminate = true;
    unstarted.pass(0, &[]);
    assert_eq!(
        (unstarted.status().phase, unstarted.status().metric_results.len()),
        (Successful, 0)
    );
}

#[test]
fn a_terminated_run_waits_for_its_job_and_takes_its_outcome() {
    let mut world = with_a_job();
    world.run.spec.terminate = true;
    let plan = world.pass(5, &[]);
    assert_eq!(
        (
            world.status().phase,
            plan.cancel.len(),
            plan.measure.len(),
            plan.wake
        ),
        (Running, 1, 0, None)
    );
    world.pass(6, &[job(Inconclusive, 6)]);
    assert_eq!(world.status().phase, Inconclusive);
    assert_eq!(
        world.status().message.as_deref(),
        Some("Metric \"job\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0)")
    );
}

#[test]
fn dry_run_metrics_are_shown_and_never_decide() {
    let mut run = run(vec![metric("shown", ""), metric("m", "")]);
    run.spec.dry_run = vec![crate::api::analysis::DryRun {
        metric_name: "sho.n".into(),
    }];
    let mut world = World::new(run);
    world.pass(0, &[]);
    world.pass(1, &[report("shown", Failed, 1)]);
    assert_eq!(world.status().phase, Running, "the run goes on");
    world.pass(2, &[report("m", Successful, 2)]);
    assert_eq!(
        (world.status().phase, world.result("shown").phase),
        (Successful, Failed)
    );
    assert!(world.result("shown").dry_run && !world.result("m").dry_run);
    assert_eq!(
        world.status().dry_run_summary,
        Some(RunSummary {
            count: 1,
            failed: 1,
            ..RunSummary::default()
        })
    );
    assert_eq!(
        world.status().run_summary,
        Some(RunSummary {
            count: 1,
            successful: 1,
            ..RunSummary::default()
        })
    );
}

#[test]
fn a_run_that_cannot_be_prepared_ends_in_error_and_knows_when() {
    let mut broken = run(vec![metric("m", "provider: {prometheus: {query: '{{args.x}}'}}")]);
    broken.spec.ttl_strategy = Some(TtlStrategy {
        seconds_after_completion: Some(60),
        ..TtlStrategy::default()
    });
    let mut world = World::new(broken);
    let plan = world.pass(0, &[]);
    assert_eq!(reasons(&plan), ["AnalysisRunError"]);
    assert!(plan.events[0].warning && plan.measure.is_empty());
    let status = world.status();
    assert_eq!((status.phase, status.completed_at.clone()), (Error, time(0)));
    assert_eq!(
        status.message.as_deref(),
        Some("Unable to resolve metric arguments: metric \"m\": there is no argument for {{args.x}}")
    );
    assert_eq!(plan.wake, Some(at(61)), "and so its ttl deletes it");
    assert!(world.pass(61, &[]).delete);
}

#[test]
fn a_finished_run_costs_nothing() {
    let mut world = World::new(run(vec![metric("m", "interval: 1m")]));
    world.pass(0, &[]);
    world.pass(1, &[report("m", Failed, 1)]);
    let before = world.status().clone();
    let plan = world.pass(1000, &[report("m", Successful, 1000)]);
    assert_eq!(plan.status, before);
    assert_eq!(
        (
            plan.measure.len(),
            plan.cancel.len(),
            plan.events.len(),
            plan.wake,
            plan.delete
        ),
        (0, 0, 0, None, false)
    );
}

#[test]
fn the_ttl_is_that_of_the_outcome() {
    let ttl = |completion, failure, success| TtlStrategy {
        seconds_after_completion: completion,
        seconds_after_failure: failure,
        seconds_after_success: success,
    };
    let cases = [
        (Successful, ttl(Some(10), Some(20), Some(30)), Some(31)),
        (Failed, ttl(Some(10), Some(20), Some(30)), Some(21)),
        (Error, ttl(Some(10), Some(20), Some(30)), Some(11)),
        (Inconclusive, ttl(Some(10), Some(20), Some(30)), Some(11)),
        (Successful, ttl(Some(10), Some(20), None), Some(11)),
        (Failed, ttl(Some(10), None, Some(30)), Some(11)),
        (Error, ttl(None, Some(20), Some(30)), None),
        (Running, ttl(Some(10), Some(20), Some(30)), None),
    ];
    for (phase, strategy, expected) in cases {
        let mut run = run(vec![metric("m", "")]);
        run.spec.ttl_strategy = Some(strategy.clone());
        run.status = Some(AnalysisRunStatus {
            phase,
            completed_at: time(0),
            ..AnalysisRunStatus::default()
        });
        assert_eq!(expires_at(&run), expected.map(at), "{phase} {strategy:?}");
        let Some(expected) = expected else { continue };
        let before = plan_run(&run, &[], &[], &CHECKS, at(expected - 1));
        assert_eq!(
            (before.delete, before.wake),
            (false, Some(at(expected))),
            "not at the second itself"
        );
        let after = plan_run(&run, &[], &[], &CHECKS, at(expected));
        assert_eq!((after.delete, after.wake), (true, None));
    }
}

#[test]
fn a_run_that_ended_without_its_time_gets_one_for_its_ttl() {
    let mut run = run(vec![metric("m", "")]);
    run.status = Some(AnalysisRunStatus {
        phase: Error,
        ..AnalysisRunStatus::default()
    });
    assert_eq!(plan_run(&run, &[], &[], &CHECKS, at(0)).status.completed_at, None);
    run.spec.ttl_strategy = Some(TtlStrategy {
        seconds_after_completion: Some(60),
        ..TtlStrategy::default()
    });
    let plan = plan_run(&run, &[], &[], &CHECKS, at(0));
    assert_eq!((plan.status.completed_at, plan.wake), (time(0), Some(at(61))));
}

#[test]
fn retention_keeps_the_newest_and_the_counts() {
    let mut kept = run(vec![metric("m", "interval: 1s"), metric("n", "interval: 1s")]);
    kept.spec.measurement_retention = serde_json::from_str(r#"[{"metricName": "^m$", "limit": 2}]"#).unwrap();
    let mut world = World::new(kept);
    for second in 0..25 {
        world.pass(
            second,
            &[report("m", Successful, second), report("n", Successful, second)],
        );
    }
    let kept = |name: &str| (world.result(name).measurements.len(), world.result(name).count);
    assert_eq!((kept("m"), kept("n")), ((2, 25), (10, 25)));
}

#[test]
fn a_report_is_counted_once_also_when_the_pass_is_repeated() {
    let mut world = World::new(run(vec![metric("m", "interval: 1m")]));
    world.pass(0, &[]);
    let reports = [report("m", Successful, 1), report("m", Error, 2)];
    world.pass(2, &reports);
    let once = world.status().clone();
    world.pass(2, &reports);
    assert_eq!(*world.status(), once);
    assert_eq!((world.result("m").count, world.result("m").error), (1, 1));
}

#[test]
fn reports_of_strangers_are_left_alone() {
    let mut world = World::new(run(vec![metric("m", "")]));
    let plan = world.pass(0, &[report("other", Failed, 0)]);
    assert_eq!(
        (names(&plan), world.status().metric_results.len()),
        (vec!["m"], 0)
    );
}

#[test]
fn stored_times_are_whole_seconds_and_an_outcome_has_an_end() {
    let now = at(5).checked_add(jiff::SignedDuration::from_millis(789)).unwrap();
    let mut outcome = report("m", Failed, 0);
    outcome.measurement.started_at = Some(Time(
        at(4).checked_add(jiff::SignedDuration::from_nanos(1)).unwrap(),
    ));
    outcome.measurement.finished_at = None;
    let plan = plan_run(&run(vec![metric("m", "")]), &[outcome], &[], &CHECKS, now);
    let stored = &plan.status.metric_results[0].measurements[0];
    assert_eq!(
        (stored.started_at.clone(), stored.finished_at.clone()),
        (time(4), time(5))
    );
    let wire = serde_json::to_value(&plan.status).unwrap();
    assert_eq!(
        serde_json::from_value::<AnalysisRunStatus>(wire).unwrap(),
        plan.status
    );
}

#[test]
fn long_texts_do_not_fill_the_object() {
    let mut outcome = report("m", Error, 0);
    outcome.measurement.message = Some("\u{e9}".repeat(MAX_TEXT));
    outcome
        .metadata
        .insert("ResolvedPrometheusQuery".into(), "x".repeat(MAX_TEXT + 1));
    let plan = plan_run(&run(vec![metric("m", "")]), &[outcome], &[], &CHECKS, at(0));
    let result = &plan.status.metric_results[0];
    let message = result.measurements[0].message.as_deref().unwrap();
    assert!(message.len() <= MAX_TEXT && message.len() > MAX_TEXT - 5 && message.ends_with("..."));
    assert_eq!(result.metadata["ResolvedPrometheusQuery"].len(), MAX_TEXT);
}

#[test]
fn a_run_in_the_middle_is_continued() {
    let status: AnalysisRunStatus = serde_json::from_value(serde_json::json!({
        "phase": "Running", "startedAt": "2023-11-14T22:13:20Z",
        "metricResults": [{"name": "m", "phase": "Running", "count": 3, "successful": 2, "failed": 1, "error": 1,
            "consecutiveSuccess": 1, "measurements": [
                {"phase": "Successful", "startedAt": "2023-11-14T22:14:00Z", "finishedAt": "2023-11-14T22:14:00Z", "value": "[1]"}]}]
    }))
    .unwrap();
    let mut run = run(vec![metric("m", "{interval: 1m, count: 5, failureLimit: 1}")]);
    run.status = Some(status);
    let mut world = World::new(run);
    assert_eq!(world.pass(41, &[]).wake, Some(at(100)));
    assert_eq!(world.pass(100, &[]).measure[0].ordinal, 5);
    world.pass(101, &[report("m", Failed, 101)]);
    assert_eq!(world.status().phase, Failed);
    let last: &Measurement = world.result("m").measurements.last().unwrap();
    assert_eq!((world.result("m").failed, last.phase), (2, Failed));
}
