//! Whole runs against a real Prometheus that scrapes real targets: the engine plans, the measurer asks, in real time with
//! short intervals. The rules are those of examples/analysis, in a hurry.
//!
//! Needs the program `prometheus` on the PATH (Debian package `prometheus`; `make test` installs it).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are the helpers of a test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serin::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Argument, Measurement, MetricResult,
};
use serin::engine::analysis::{
    Checks, FinishedMeasurement, RunPlan, plan_run, prepare_run, replay, resolve_metric,
};
use serin::metric::condition;
use serin::metric::http::TransportOptions;
use serin::metric::provider::{self, Defaults, Measurer, MeasurerOptions, supported_providers};
use world::{Behaviour, GOOD, Prometheus, Target, seconds};

mod world;

const BAD: Behaviour = Behaviour { errors: 0.02, ..GOOD };
const SLOW: Behaviour = Behaviour { latency: 0.3, ..GOOD };
const IDLE: Behaviour = Behaviour { rate: 0.0, ..GOOD };

fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a real Prometheus lives in real time")]
    Timestamp::now()
}

fn checks() -> Checks<'static> {
    Checks {
        condition: &condition::check,
        providers: supported_providers(),
        provider: &provider::check,
    }
}

/// An example with short windows and intervals.
fn example(name: &str, args: &[(&str, &str)]) -> AnalysisRunSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/analysis/{name}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let document: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let mut spec: AnalysisRunSpec = serde_json::from_value(document["spec"].clone()).unwrap();
    for metric in &mut spec.metrics {
        (metric.interval, metric.initial_delay) = (Some("1s".to_owned()), None);
        let query = metric
            .provider
            .prometheus
            .as_mut()
            .unwrap()
            .query
            .as_mut()
            .unwrap();
        *query = query.replace("[5m]", "[4s]").replace("[1m]", "[4s]");
    }
    spec.args = args
        .iter()
        .map(|(name, value)| Argument {
            name: (*name).into(),
            value: Some((*value).into()),
            value_from: None,
        })
        .collect();
    spec
}

/// One metric over the error rate of a version.
fn rule(hash: &str, limits: &str) -> AnalysisRunSpec {
    let spec = format!(
        r#"
metrics:
- name: errors
  interval: 1s
  successCondition: len(result) > 0 && !isNaN(result[0]) && result[0] <= 0.005
  failureCondition: len(result) > 0 && result[0] > 0.005
  {limits}
  provider:
    prometheus:
      query: |
        sum(rate(http_requests_total{{pod_template_hash="{hash}",code="500"}}[4s]))
        / sum(rate(http_requests_total{{pod_template_hash="{hash}"}}[4s]))
"#
    );
    serde_saphyr::from_str(&spec).unwrap()
}

struct Gate {
    meter: Measurer,
    defaults: Defaults,
}

impl Gate {
    fn of(prometheus: &Prometheus) -> Self {
        let transport = TransportOptions {
            proxy_from_env: false,
            ..TransportOptions::default()
        };
        let defaults = Defaults {
            prometheus_address: Some(prometheus.address.clone()),
            ..Defaults::default()
        };
        Gate {
            meter: Measurer::new(MeasurerOptions {
                transport,
                ..MeasurerOptions::default()
            })
            .unwrap(),
            defaults,
        }
    }

    /// The status of a run when it is complete. Every verdict on the way is replayed from the measurements.
    async fn run(&self, spec: AnalysisRunSpec) -> AnalysisRunStatus {
        let mut spec = spec;
        spec.measurement_retention = serde_saphyr::from_str("[{metricName: '.*', limit: 1000}]").unwrap();
        let rules = prepare_run(&spec, &checks()).unwrap();
        let mut run = AnalysisRun::new("run", spec);
        let mut finished = Vec::new();
        loop {
            let plan: RunPlan = plan_run(&run, &finished, &[], &checks(), now());
            finished.clear();
            run.status = Some(plan.status);
            let status = run.status.as_ref().unwrap();
            if status.phase.is_completed() {
                for rule in &rules {
                    let result = status
                        .metric_results
                        .iter()
                        .find(|result| result.name == rule.name)
                        .unwrap();
                    let again = replay(rule, &result.measurements);
                    // A metric that was cut short by another is Successful without having reached its end.
                    if again.phase.is_completed() {
                        assert_eq!(
                            (again.phase, again.count),
                            (result.phase, result.count),
                            "{}",
                            rule.name
                        );
                    }
                }
                return status.clone();
            }
            for measure in plan.measure {
                let metric = &run.spec.metrics[measure.index];
                let metric = resolve_metric(metric, &run.spec.args, &BTreeMap::default()).unwrap();
                let started = now();
                let measured = self
                    .meter
                    .measure_and_judge(&metric, &self.defaults, &[], started)
                    .await;
                finished.push(FinishedMeasurement {
                    metric: measure.metric,
                    measurement: Measurement {
                        phase: measured.phase,
                        message: measured.message,
                        value: measured.value,
                        started_at: Some(Time(started)),
                        finished_at: Some(Time(now())),
                        ..Measurement::default()
                    },
                    metadata: measured.metric_metadata,
                });
            }
            if finished.is_empty() {
                let wake = plan.wake.expect("a run that is not complete waits for something");
                let wait = wake.duration_since(now()).try_into().unwrap_or_default();
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Waits until the query of a version has an answer.
    async fn ready(&self, hash: &str) {
        let query =
            format!("min(count_over_time(http_requests_total{{pod_template_hash=\"{hash}\"}}[1m])) >= 5");
        let spec = format!(
            "metrics: [{{name: ready, interval: 1s, successCondition: len(result) > 0, consecutiveSuccessLimit: 1, failureLimit: -1, \
             consecutiveErrorLimit: 5, provider: {{prometheus: {{query: '{query}'}}}}}}]"
        );
        let status = self.run(serde_saphyr::from_str(&spec).unwrap()).await;
        assert_eq!(status.phase, AnalysisPhase::Successful, "{status:?}");
    }
}

fn result<'a>(status: &'a AnalysisRunStatus, metric: &str) -> &'a MetricResult {
    status
        .metric_results
        .iter()
        .find(|result| result.name == metric)
        .unwrap()
}

fn messages(result: &MetricResult) -> Vec<&str> {
    result
        .measurements
        .iter()
        .filter_map(|measurement| measurement.message.as_deref())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_of_the_examples_tells_a_good_version_from_a_bad_one() {
    let (good, bad, slow) = (
        Target::start("good", GOOD).await,
        Target::start("bad", BAD).await,
        Target::start("slow", SLOW).await,
    );
    let (flap, reborn, idle) = (
        Target::start("flap", GOOD).await,
        Target::start("reborn", GOOD).await,
        Target::start("idle", IDLE).await,
    );
    let prometheus = Prometheus::start(&[&good, &bad, &slow, &flap, &reborn, &idle]);
    let gate = Gate::of(&prometheus);
    for hash in ["good", "bad", "slow", "flap", "reborn", "idle"] {
        gate.ready(hash).await;
    }
    let errors = |hash: &'static str| gate.run(example("error-rate", &[("pod-hash", hash)]));
    let p99 = |canary: &'static str| {
        gate.run(example(
            "p99-doubles",
            &[("canary-hash", canary), ("stable-hash", "good")],
        ))
    };

    let flapping = async {
        // Around the limit: 0.1 % and 2 % in turn, which the window of four seconds smooths.
        let strict = rule("flap", "count: 16\n  failureLimit: 2");
        let mut both = rule("flap", "count: 16\n  failureLimit: -1");
        let mut strict = strict.metrics[0].clone();
        strict.name = "strict".to_owned();
        both.metrics.push(strict);
        both.dry_run = serde_saphyr::from_str("[{metricName: strict}]").unwrap();
        let turns = async {
            loop {
                flap.set(BAD);
                seconds(3).await;
                flap.set(GOOD);
                seconds(4).await;
            }
        };
        tokio::select! {
            status = gate.run(both) => status,
            () = turns => unreachable!("the turns do not end"),
        }
    };
    let restarted = async {
        let restart = async {
            seconds(3).await;
            reborn.restart();
            seconds(60).await;
        };
        tokio::select! {
            status = gate.run(rule("reborn", "count: 9")) => status,
            () = restart => panic!("the run did not end"),
        }
    };
    let (good_errors, bad_errors, good_p99, slow_p99, flapping, restarted, none, nothing) = tokio::join!(
        errors("good"),
        errors("bad"),
        p99("bad"),
        p99("slow"),
        flapping,
        restarted,
        gate.run(rule("absent", "inconclusiveLimit: 2")),
        gate.run(rule("idle", "inconclusiveLimit: 2")),
    );

    assert_eq!(good_errors.phase, AnalysisPhase::Successful, "{good_errors:?}");
    assert_eq!(
        (
            result(&good_errors, "error-rate").count,
            result(&good_errors, "error-rate").failed
        ),
        (10, 0)
    );
    assert_eq!(bad_errors.phase, AnalysisPhase::Failed);
    assert_eq!(
        bad_errors.message.as_deref(),
        Some("Metric \"error-rate-peak\" assessed Failed due to failed (1) > failureLimit (0)")
    );

    assert_eq!(
        good_p99.phase,
        AnalysisPhase::Successful,
        "as quick as the stable one, whatever fails: {good_p99:?}"
    );
    assert_eq!(slow_p99.phase, AnalysisPhase::Failed);
    assert_eq!(result(&slow_p99, "p99-ratio").failed, 3, "two are tolerated");

    let lax = result(&flapping, "errors");
    assert_eq!(
        (flapping.phase, lax.count),
        (AnalysisPhase::Successful, 16),
        "{flapping:?}"
    );
    assert!(lax.successful > 0 && lax.failed > 2, "{lax:?}");
    let strict = result(&flapping, "strict");
    assert_eq!(
        (strict.phase, strict.failed, strict.dry_run),
        (AnalysisPhase::Failed, 3, true)
    );

    // Counters that begin again at 0 are neither errors nor a fall.
    assert_eq!(
        (restarted.phase, result(&restarted, "errors").successful),
        (AnalysisPhase::Successful, 9),
        "{restarted:?}"
    );

    for (status, words) in [
        (&none, "no data (empty vector)"),
        (&nothing, "NaN (usually 0/0: no requests)"),
    ] {
        assert_eq!(status.phase, AnalysisPhase::Inconclusive, "{status:?}");
        let result = result(status, "errors");
        assert_eq!((result.inconclusive, result.failed, result.error), (3, 0, 0));
        assert!(
            messages(result).iter().all(|message| message.contains(words)),
            "{result:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_that_restarts_and_a_target_that_is_silent_blame_no_version() {
    let (calm, silent) = (
        Target::start("calm", GOOD).await,
        Target::start("silent", GOOD).await,
    );
    let mut prometheus = Prometheus::start(&[&calm, &silent]);
    let gate = Gate::of(&prometheus);
    gate.ready("calm").await;
    gate.ready("silent").await;

    let silence = async {
        seconds(2).await;
        silent.silence(true);
        seconds(30).await;
        silent.silence(false);
        seconds(60).await;
    };
    let status = tokio::select! {
        status = gate.run(rule("silent", "count: 45\n  failureLimit: 0\n  inconclusiveLimit: 35")) => status,
        () = silence => panic!("the run did not end"),
    };
    let result_of = result(&status, "errors");
    assert_eq!(
        (status.phase, result_of.failed, result_of.error),
        (AnalysisPhase::Successful, 0, 0),
        "{status:?}"
    );
    assert!(result_of.inconclusive >= 15, "{result_of:?}");
    let last = result_of.measurements.last().unwrap();
    assert_eq!(last.phase, AnalysisPhase::Successful, "it is back");
    assert!(
        messages(result_of)
            .iter()
            .any(|message| message.contains("no data (empty vector)"))
    );

    let spec = rule("calm", "count: 8");
    let restart = async {
        seconds(3).await;
        prometheus.stop();
        seconds(3).await;
        prometheus.run();
        seconds(60).await;
    };
    let status = tokio::select! {
        status = gate.run(spec) => status,
        () = restart => panic!("the run did not end"),
    };
    let result = result(&status, "errors");
    assert_eq!(
        (status.phase, result.count),
        (AnalysisPhase::Successful, 8),
        "{status:?}"
    );
    assert!(result.error >= 1, "the outage was seen: {result:?}");
    assert!(
        messages(result)
            .iter()
            .any(|message| message.contains("connection refused")),
        "{result:?}"
    );
}
