//! Short words for the objects of the cases.

use crate::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Argument, Measurement, Metric,
    MetricResult, SecretKeyRef, ValueFrom,
};
use crate::engine::analysis::{Checks, FinishedMeasurement, MetricRule, RunPlan, plan_run};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) use crate::api::analysis::AnalysisPhase::{
    Error, Failed, Inconclusive, Pending, Running, Successful,
};

/// The instant that every case starts at.
pub(super) const START: i64 = 1_700_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "every time on the wire is optional")]
pub(super) fn time(seconds: i64) -> Option<Time> {
    Some(Time(at(seconds)))
}

pub(super) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A metric from YAML, with a Prometheus query if it has no provider.
pub(super) fn metric(name: &str, yaml: &str) -> Metric {
    let yaml = if yaml.is_empty() { "{}" } else { yaml };
    let mut json: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.insert("name".into(), name.into());
    fields
        .entry("provider")
        .or_insert_with(|| serde_json::json!({ "prometheus": { "query": "up" } }));
    serde_json::from_value(json).unwrap()
}

pub(super) fn arg(name: &str, value: &str) -> Argument {
    Argument {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

pub(super) fn no_value(name: &str) -> Argument {
    Argument {
        name: name.into(),
        ..Argument::default()
    }
}

pub(super) fn secret(name: &str, key: &str) -> Argument {
    let reference = SecretKeyRef {
        name: "credentials".into(),
        key: key.into(),
    };
    let value_from = Some(ValueFrom {
        secret_key_ref: Some(reference),
        field_ref: None,
    });
    Argument {
        name: name.into(),
        value: None,
        value_from,
    }
}

pub(super) fn rule(name: &str) -> MetricRule {
    MetricRule {
        name: name.into(),
        interval: Some(seconds(60)),
        initial_delay: SignedDuration::ZERO,
        count: None,
        failure_limit: 0,
        inconclusive_limit: 0,
        consecutive_error_limit: 4,
        consecutive_success_limit: 0,
        dry_run: false,
        kept: 10,
    }
}

pub(super) fn measured(phase: AnalysisPhase, finished: i64) -> Measurement {
    Measurement {
        phase,
        started_at: time(finished),
        finished_at: time(finished).filter(|_| phase.is_completed()),
        ..Measurement::default()
    }
}

pub(super) fn result(name: &str, phase: AnalysisPhase) -> MetricResult {
    MetricResult {
        name: name.into(),
        phase,
        ..MetricResult::default()
    }
}

pub(super) fn report(metric: &str, phase: AnalysisPhase, finished: i64) -> FinishedMeasurement {
    FinishedMeasurement {
        metric: metric.into(),
        measurement: measured(phase, finished),
        ..FinishedMeasurement::default()
    }
}

pub(super) const PROVIDERS: &[&str] = &["prometheus", "web", "job"];

/// A stand-in for the condition language: whatever does not say "broken" parses.
pub(super) fn parses(condition: &str) -> Result<(), String> {
    if condition.contains("broken") {
        Err("unexpected token".into())
    } else {
        Ok(())
    }
}

pub(super) const CHECKS: Checks<'static> = Checks {
    condition: &parses,
    providers: PROVIDERS,
    provider: &|_| Ok(()),
};

pub(super) fn run(metrics: Vec<Metric>) -> AnalysisRun {
    AnalysisRun::new(
        "run",
        AnalysisRunSpec {
            metrics,
            ..AnalysisRunSpec::default()
        },
    )
}

/// A run that is driven pass by pass, as the controller would: the status is stored after each.
pub(super) struct World {
    pub(super) run: AnalysisRun,
    pub(super) in_flight: Vec<String>,
}

impl World {
    pub(super) fn new(run: AnalysisRun) -> Self {
        Self {
            run,
            in_flight: Vec::new(),
        }
    }

    pub(super) fn pass(&mut self, now: i64, finished: &[FinishedMeasurement]) -> RunPlan {
        self.in_flight
            .retain(|name| finished.iter().all(|report| report.metric != *name));
        let in_flight: Vec<&str> = self.in_flight.iter().map(String::as_str).collect();
        let plan = plan_run(&self.run, finished, &in_flight, &CHECKS, at(now));
        assert!(
            plan.wake.is_none_or(|wake| wake > at(now)),
            "wakes in the past: {plan:?}"
        );
        self.in_flight
            .extend(plan.measure.iter().map(|measure| measure.metric.clone()));
        self.run.status = Some(plan.status.clone());
        self.repeat(now, &plan);
        plan
    }

    /// A pass right after a pass has nothing to do.
    fn repeat(&self, now: i64, plan: &RunPlan) {
        let in_flight: Vec<&str> = self.in_flight.iter().map(String::as_str).collect();
        let again = plan_run(&self.run, &[], &in_flight, &CHECKS, at(now));
        assert_eq!(again.status, plan.status);
        assert_eq!((again.measure, again.events), (vec![], vec![]));
        assert_eq!((again.wake, again.delete), (plan.wake, plan.delete));
    }

    pub(super) fn status(&self) -> &AnalysisRunStatus {
        self.run.status.as_ref().unwrap()
    }

    pub(super) fn result(&self, metric: &str) -> &MetricResult {
        self.status()
            .metric_results
            .iter()
            .find(|result| result.name == metric)
            .unwrap()
    }
}

pub(super) fn names(plan: &RunPlan) -> Vec<&str> {
    plan.measure
        .iter()
        .map(|measure| measure.metric.as_str())
        .collect()
}

pub(super) fn reasons(plan: &RunPlan) -> Vec<&'static str> {
    plan.events.iter().map(|event| event.reason).collect()
}
