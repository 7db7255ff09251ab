//! What holds for every run, whatever the spec, the stored status and the order of answers.

use super::cases::*;
use crate::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, Argument, DryRun, Measurement, MeasurementRetention, Metric,
    MetricResult, TtlStrategy,
};
use crate::engine::analysis::{FinishedMeasurement, MetricRule, plan_run, replay};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn phase() -> impl Strategy<Value = AnalysisPhase> {
    prop_oneof![
        Just(Pending),
        Just(Running),
        Just(Successful),
        Just(Failed),
        Just(Error),
        Just(Inconclusive)
    ]
}

fn outcome() -> impl Strategy<Value = AnalysisPhase> {
    prop_oneof![4 => Just(Successful), 2 => Just(Failed), 2 => Just(Error), 1 => Just(Inconclusive)]
}

fn number() -> impl Strategy<Value = IntOrString> {
    prop_oneof![
        4 => (-1..5).prop_map(IntOrString::Int),
        1 => any::<i32>().prop_map(IntOrString::Int),
        1 => "[0-9]|\\{\\{args\\.a\\}\\}|.{0,4}".prop_map(IntOrString::String),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{0,2}", "\\{\\{ ?args\\.[ab] ?\\}\\}", ".{0,8}"]
}

fn duration_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9]{1,3}(s|m|ms)", 1 => text()]
}

fn any_metric() -> impl Strategy<Value = Metric> {
    (
        ("[a-c]", of(duration_text()), of(duration_text())),
        (
            of(number()),
            of(number()),
            of(number()),
            of(number()),
            of(number()),
        ),
        (of(text()), prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(2)]),
    )
        .prop_map(|((name, interval, initial_delay), numbers, (query, provider))| {
            let mut metric = metric(&name, "");
            metric.interval = interval;
            metric.initial_delay = initial_delay;
            (metric.count, metric.failure_limit, metric.inconclusive_limit) =
                (numbers.0, numbers.1, numbers.2);
            (metric.consecutive_error_limit, metric.consecutive_success_limit) = (numbers.3, numbers.4);
            metric.provider.prometheus.as_mut().unwrap().query = query;
            match provider {
                0 => {}
                1 => metric.provider.prometheus = None,
                _ => metric.provider.graphite = Some(crate::api::analysis::GraphiteMetric::default()),
            }
            metric
        })
}

fn any_measurement() -> impl Strategy<Value = Measurement> {
    (
        phase(),
        of(-100_i64..100),
        of(-100_i64..100),
        of(-100_i64..100),
        of(text()),
    )
        .prop_map(|(phase, started, finished, resume, message)| Measurement {
            phase,
            message,
            started_at: started.and_then(time),
            finished_at: finished.and_then(time),
            resume_at: resume.and_then(time),
            ..Measurement::default()
        })
}

fn any_result() -> impl Strategy<Value = MetricResult> {
    (
        "[a-d]",
        phase(),
        vec(any_measurement(), 0..4),
        proptest::array::uniform7(prop_oneof![0..6, any::<i32>()]),
    )
        .prop_map(|(name, phase, measurements, counts)| MetricResult {
            measurements,
            count: counts[0],
            successful: counts[1],
            failed: counts[2],
            inconclusive: counts[3],
            error: counts[4],
            consecutive_error: counts[5],
            consecutive_success: counts[6],
            ..result(&name, phase)
        })
}

fn any_run() -> impl Strategy<Value = AnalysisRun> {
    let spec = (
        vec(any_metric(), 0..4),
        of(text()),
        proptest::bool::weighted(0.2),
        vec(prop_oneof!["[a-d]", ".{0,4}"], 0..2),
        vec((prop_oneof!["[a-d]", ".*"], any::<i32>()), 0..2),
        of((of(any::<i32>()), of(0..100), of(0..100))),
    )
        .prop_map(
            |(metrics, value, terminate, dry_run, retention, ttl)| AnalysisRunSpec {
                metrics,
                args: vec![Argument {
                    name: "a".into(),
                    value,
                    value_from: None,
                }],
                terminate,
                dry_run: dry_run
                    .into_iter()
                    .map(|metric_name| DryRun { metric_name })
                    .collect(),
                measurement_retention: retention
                    .into_iter()
                    .map(|(metric_name, limit)| MeasurementRetention { metric_name, limit })
                    .collect(),
                ttl_strategy: ttl.map(|(completion, failure, success)| TtlStrategy {
                    seconds_after_completion: completion,
                    seconds_after_failure: failure,
                    seconds_after_success: success,
                }),
            },
        );
    let status = of((
        phase(),
        vec(any_result(), 0..4),
        of(-100_i64..100),
        of(-100_i64..100),
    ));
    (spec, status).prop_map(|(spec, status)| {
        let mut run = AnalysisRun::new("run", spec);
        run.status = status.map(|(phase, metric_results, started, completed)| {
            crate::api::analysis::AnalysisRunStatus {
                phase,
                metric_results,
                started_at: started.and_then(time),
                completed_at: completed.and_then(time),
                ..Default::default()
            }
        });
        run
    })
}

fn any_report() -> impl Strategy<Value = FinishedMeasurement> {
    ("[a-d]", any_measurement()).prop_map(|(metric, measurement)| FinishedMeasurement {
        metric,
        measurement,
        metadata: std::collections::BTreeMap::new(),
    })
}

/// A run that is valid and lives, so that properties are not only about errors.
fn live_run() -> impl Strategy<Value = AnalysisRun> {
    let metric = (
        1..4_i32,
        0..3_i32,
        0..3_i32,
        0..3_i32,
        0..3_i32,
        proptest::bool::weighted(0.3),
        0..3_i32,
    );
    vec(metric, 1..4).prop_map(|metrics| {
        let mut spec = AnalysisRunSpec::default();
        for ((count, failures, inconclusive, errors, row, dry, delay), name) in metrics.into_iter().zip(["a", "b", "c"]) {
            let yaml = format!(
                "{{interval: 3s, count: {count}, failureLimit: {}, inconclusiveLimit: {}, consecutiveErrorLimit: {errors},
                   consecutiveSuccessLimit: {row}, initialDelay: {delay}s}}",
                failures.min(count),
                inconclusive.min(count),
            );
            spec.metrics.push(metric_of(name, &yaml));
            if dry {
                spec.dry_run.push(DryRun { metric_name: name.into() });
            }
        }
        AnalysisRun::new("run", spec)
    })
}

fn metric_of(name: &str, yaml: &str) -> Metric {
    metric(name, yaml)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_plan_is_total_and_repeating_it_changes_nothing(
        run in any_run(),
        reports in vec(any_report(), 0..4),
        in_flight in proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
    ) {
        let now = at(0);
        let plan = plan_run(&run, &reports, &in_flight, &CHECKS, now);
        prop_assert!(plan.wake.is_none_or(|wake| wake > now));
        prop_assert_eq!(&plan, &plan_run(&run, &reports, &in_flight, &CHECKS, now), "deterministic");

        let mut stored = run.clone();
        stored.status = Some(plan.status.clone());
        let mut busy = in_flight.clone();
        busy.extend(plan.measure.iter().map(|measure| measure.metric.as_str()));
        let again = plan_run(&stored, &[], &busy, &CHECKS, now);
        prop_assert_eq!(&again.status, &plan.status);
        prop_assert_eq!((&again.measure, &again.events), (&vec![], &vec![]));
        prop_assert_eq!(again.wake, plan.wake);
        prop_assert_eq!(again.delete, plan.delete);

        // What comes back from the API server is what was stored.
        let wire = serde_json::to_string(&plan.status).unwrap();
        prop_assert_eq!(serde_json::from_str::<crate::api::analysis::AnalysisRunStatus>(&wire).unwrap(), plan.status);
    }

    #[test]
    fn the_order_of_equal_time_answers_never_matters(
        run in live_run(),
        outcomes in vec((proptest::sample::select(vec!["a", "b", "c"]), outcome()), 1..8),
        seed in any::<u64>(),
    ) {
        let reports: Vec<_> = outcomes.iter().map(|(metric, phase)| report(metric, *phase, 0)).collect();
        let mut shuffled = reports.clone();
        // A rotation and a swap by the seed: enough to reach other orders, and reproducible.
        let length = shuffled.len();
        shuffled.rotate_left(usize::try_from(seed % 8).unwrap() % length);
        shuffled.swap(0, usize::try_from(seed / 8 % 8).unwrap() % length);
        prop_assert_eq!(
            plan_run(&run, &reports, &[], &CHECKS, at(1)),
            plan_run(&run, &shuffled, &[], &CHECKS, at(1))
        );
    }

    #[test]
    fn replaying_the_stored_measurements_gives_the_stored_verdict(
        run in live_run(),
        outcomes in vec(outcome(), 40),
    ) {
        let mut run = run;
        run.spec.measurement_retention = vec![MeasurementRetention { metric_name: ".*".into(), limit: 1000 }];
        let rules: Vec<MetricRule> = crate::engine::analysis::prepare_run(&run.spec, &CHECKS).unwrap();
        let mut world = World::new(run);
        let mut outcomes = outcomes.into_iter();
        let mut passes = 0;
        for second in 0..400 {
            let reports: Vec<_> = world.in_flight.clone().iter()
                .map(|name| report(name, outcomes.next().unwrap_or(Successful), second))
                .collect();
            world.pass(second, &reports);
            passes += 1;
            if world.status().phase.is_completed() { break; }
        }
        prop_assert!(world.status().phase.is_completed(), "a finite run ends: {:?}", world.status());
        prop_assert!(passes < 400);
        let terminated = world.status().phase != Successful;
        for rule in &rules {
            let Some(stored) = world.status().metric_results.iter().find(|result| result.name == rule.name) else {
                prop_assert!(terminated, "only a run that was cut short leaves a metric out");
                continue;
            };
            let mut replayed = replay(rule, &stored.measurements);
            if terminated && !replayed.phase.is_completed() {
                replayed.phase = Successful;
            }
            prop_assert_eq!(&replayed, stored);
        }
    }

    #[test]
    fn waking_early_changes_nothing(run in live_run(), outcomes in vec(outcome(), 3)) {
        let mut world = World::new(run);
        world.pass(0, &[]);
        let reports: Vec<_> = world.in_flight.clone().iter().zip(outcomes)
            .map(|(name, phase)| report(name, phase, 0))
            .collect();
        let plan = world.pass(0, &reports);
        let Some(wake) = plan.wake else { return Ok(()) };
        let before = world.status().clone();
        let early = jiff::Timestamp::from_nanosecond(wake.as_nanosecond() - 1).unwrap();
        let in_flight: Vec<&str> = world.in_flight.iter().map(String::as_str).collect();
        let plan = plan_run(&world.run, &[], &in_flight, &CHECKS, early);
        prop_assert_eq!((plan.status, plan.measure.len(), plan.wake), (before, 0, Some(wake)));
    }
}
