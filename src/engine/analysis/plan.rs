//! One pass over an AnalysisRun: what is stored, what was measured since, and the time, give the new status and what to
//! do next.
//!
//! ```text
//!  stored status + finished measurements --count--> results --judge--> phase --+--> Running: measure what is due, wake
//!                                                                              +--> finished: cancel the rest, ttl
//! ```

use super::assess::{metric_verdict, record, run_verdict, settle, summaries, trim};
use super::notice::{metric_notice, run_notice};
use super::report::{FinishedMeasurement, in_order, is_new, take_reports};
use super::rule::{Checks, MetricRule, PrepareError, Prepared, prepare};
use super::schedule::{Turn, in_flight as stored_in_flight, next_turn};
use crate::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement, MetricResult, TtlStrategy,
};
use crate::engine::duration::{later, whole_second};
use crate::engine::plan::Notice;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A measurement to take now.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The metric's place in `spec.metrics`.
    pub index: usize,
    /// The metric's name, with arguments filled in.
    pub metric: String,
    /// The how-manieth measurement of the metric this is, from 1, errors included: part of the name of a Job.
    pub ordinal: i64,
    /// The measurement in flight to look at again; `None` starts a new one.
    pub resume: Option<Measurement>,
}

/// A measurement to stop now. Stopping one twice must be harmless: it is asked for until its outcome is reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Cancel {
    /// The metric's place in `spec.metrics`, where it is still there.
    pub index: Option<usize>,
    /// The metric's name.
    pub metric: String,
    /// The stored measurement in flight: the provider ends it and its outcome is to be reported. `None` is one that only
    /// this process knows of: it is dropped without a trace.
    pub measurement: Option<Measurement>,
}

/// What follows from one pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunPlan {
    /// The status to store; times are whole seconds, so that it equals itself when it is read back.
    pub status: AnalysisRunStatus,
    /// What to measure now.
    pub measure: Vec<Measure>,
    /// What to stop now.
    pub cancel: Vec<Cancel>,
    /// What to tell, after the status is stored.
    pub events: Vec<Notice>,
    /// When to plan again if nothing happens before; always in the future.
    pub wake: Option<Timestamp>,
    /// Whether the finished run is to be deleted now, by its ttlStrategy.
    pub delete: bool,
}

/// Plans one pass.
///
/// `finished` is what was reported since the stored status, `in_flight` the metrics that this process measures at this
/// moment. The plan is total and deterministic: a run that cannot be prepared ends in Error with the sentence that says
/// why. The order of `finished` does not matter, and a report that is already in the status is not counted again, so
/// that a pass may be repeated after a failed or doubtful write.
///
/// A finished run asks for nothing, except to stop what it left in flight and to be deleted when its ttl is over.
pub fn plan_run(
    run: &AnalysisRun,
    finished: &[FinishedMeasurement],
    in_flight: &[&str],
    checks: &Checks<'_>,
    now: Timestamp,
) -> RunPlan {
    plan_prepared(run, &prepare(&run.spec, checks), finished, in_flight, now)
}

/// [`plan_run`] with what [`prepare`] says of this very spec: it does not change from pass to pass, and costs more than all
/// the rest of them.
pub fn plan_prepared(
    run: &AnalysisRun,
    prepared: &Result<Prepared, PrepareError>,
    finished: &[FinishedMeasurement],
    in_flight: &[&str],
    now: Timestamp,
) -> RunPlan {
    let stored = run.status.clone().unwrap_or_default();
    if stored.phase.is_completed() {
        let rules = prepared.as_ref().map_or(&[][..], |prepared| &prepared.rules);
        return plan_finished(&run.spec, stored, rules, finished, in_flight, now);
    }
    match prepared {
        Ok(prepared) => plan_running(&run.spec, stored, &prepared.rules, finished, in_flight, now),
        Err(error) => {
            let mut status = stored;
            status.started_at.get_or_insert(Time(whole_second(now)));
            // The run ends here like every other: completedAt is set, so that its ttl deletes it.
            end(&mut status, AnalysisPhase::Error, Some(error.to_string()), now);
            let events = vec![run_notice(&status)];
            let mut plan = plan_finished(&run.spec, status, &[], &[], in_flight, now);
            plan.events = events;
            plan
        }
    }
}

fn end(status: &mut AnalysisRunStatus, phase: AnalysisPhase, message: Option<String>, now: Timestamp) {
    status.phase = phase;
    status.message = message;
    status.completed_at = Some(Time(whole_second(now)));
}

fn plan_running(
    spec: &AnalysisRunSpec,
    mut status: AnalysisRunStatus,
    rules: &[MetricRule],
    finished: &[FinishedMeasurement],
    in_flight: &[&str],
    now: Timestamp,
) -> RunPlan {
    let mut events = Vec::new();
    status.started_at.get_or_insert(Time(whole_second(now)));
    take_reports(&mut status.metric_results, rules, finished, now, &mut events);
    for rule in rules {
        if let Some(result) = status
            .metric_results
            .iter_mut()
            .find(|result| result.name == rule.name)
        {
            result.dry_run = rule.dry_run;
            let verdict = metric_verdict(rule, result);
            if settle(result, verdict) {
                events.push(metric_notice(result));
            }
            trim(result, rule.kept);
        }
    }
    let mut verdict = run_verdict(rules, &status.metric_results, spec.terminate);
    if verdict.terminating {
        // What is not complete ends here, well; what is in flight at a provider ends with its own outcome.
        for result in &mut status.metric_results {
            let ends = rules.iter().any(|rule| rule.name == result.name)
                && !result.phase.is_completed()
                && stored_in_flight(result).is_none();
            if ends && settle(result, AnalysisPhase::Successful) {
                events.push(metric_notice(result));
            }
        }
        verdict = run_verdict(rules, &status.metric_results, spec.terminate);
    }
    let (run_summary, dry_run_summary) = summaries(rules, &status.metric_results);
    status.run_summary = Some(run_summary);
    status.dry_run_summary = dry_run_summary;
    if verdict.phase.is_completed() {
        end(&mut status, verdict.phase, verdict.message, now);
        events.push(run_notice(&status));
        let mut plan = plan_finished(spec, status, rules, &[], in_flight, now);
        plan.events = events;
        return plan;
    }
    if status.phase != verdict.phase {
        status.phase = verdict.phase;
        status.message = None;
    }
    let mut plan = RunPlan {
        events,
        ..RunPlan::default()
    };
    if verdict.terminating {
        plan.cancel = cancellations(spec, rules, &status.metric_results, in_flight);
    } else {
        (plan.measure, plan.wake) = due(rules, &status, in_flight, now);
    }
    plan.status = status;
    plan
}

/// What to measure now, and the earliest instant at which something else is due.
fn due(
    rules: &[MetricRule],
    status: &AnalysisRunStatus,
    in_flight: &[&str],
    now: Timestamp,
) -> (Vec<Measure>, Option<Timestamp>) {
    let started_at = status.started_at.as_ref().map(|time| time.0);
    let mut measure = Vec::new();
    let mut wake: Option<Timestamp> = None;
    for (index, rule) in rules.iter().enumerate() {
        if in_flight.contains(&rule.name.as_str()) {
            continue;
        }
        let result = status
            .metric_results
            .iter()
            .find(|result| result.name == rule.name);
        let resume = match next_turn(rule, result, started_at, now) {
            Turn::Done => continue,
            Turn::Wait(until) => {
                wake = Some(wake.map_or(until, |earliest| earliest.min(until)));
                continue;
            }
            Turn::Start => None,
            Turn::Resume => result.and_then(stored_in_flight).cloned(),
        };
        let taken = result.map_or(0, |result| i64::from(result.count) + i64::from(result.error));
        measure.push(Measure {
            index,
            metric: rule.name.clone(),
            ordinal: taken.saturating_add(1),
            resume,
        });
    }
    (measure, wake)
}

/// Everything that is still going on, in this process or at a provider.
fn cancellations(
    spec: &AnalysisRunSpec,
    rules: &[MetricRule],
    results: &[MetricResult],
    in_flight: &[&str],
) -> Vec<Cancel> {
    let stored: BTreeMap<&str, &Measurement> = results
        .iter()
        .filter_map(|result| Some((result.name.as_str(), stored_in_flight(result)?)))
        .collect();
    let names: BTreeSet<&str> = in_flight.iter().copied().chain(stored.keys().copied()).collect();
    names
        .into_iter()
        .map(|name| Cancel {
            index: rules
                .iter()
                .position(|rule| rule.name == name)
                .or_else(|| spec.metrics.iter().position(|metric| metric.name == name)),
            metric: name.to_owned(),
            measurement: stored
                .get(name)
                .map(|measurement| Measurement::clone(measurement)),
        })
        .collect()
}

/// A run with a final phase: it keeps that phase whatever comes; it stops what it left in flight, records how that
/// ended, and is deleted in its time.
fn plan_finished(
    spec: &AnalysisRunSpec,
    mut status: AnalysisRunStatus,
    rules: &[MetricRule],
    finished: &[FinishedMeasurement],
    in_flight: &[&str],
    now: Timestamp,
) -> RunPlan {
    let mut events = Vec::new();
    let mut closed = false;
    for (rule, report) in in_order(rules, finished, now) {
        let Some(result) = status
            .metric_results
            .iter_mut()
            .find(|result| result.name == rule.name)
        else {
            continue;
        };
        if !is_new(result, &report.measurement) || stored_in_flight(result).is_none() {
            continue;
        }
        record(result, report.measurement);
        if stored_in_flight(result).is_none() && !result.phase.is_completed() {
            let verdict = metric_verdict(rule, result);
            let verdict = if verdict.is_completed() {
                verdict
            } else {
                AnalysisPhase::Successful
            };
            if settle(result, verdict) {
                events.push(metric_notice(result));
            }
        }
        closed = true;
    }
    if closed {
        let (run_summary, dry_run_summary) = summaries(rules, &status.metric_results);
        status.run_summary = Some(run_summary);
        status.dry_run_summary = dry_run_summary;
    }
    if spec.ttl_strategy.is_some() && status.completed_at.is_none() {
        // Runs that another controller ended without this time would otherwise never be deleted.
        status.completed_at = Some(Time(whole_second(now)));
    }
    let expires = expiry(spec.ttl_strategy.as_ref(), &status);
    RunPlan {
        cancel: cancellations(spec, rules, &status.metric_results, in_flight),
        status,
        measure: Vec::new(),
        events,
        wake: expires.filter(|expires| *expires > now),
        delete: expires.is_some_and(|expires| expires <= now),
    }
}

/// When a finished run is to be deleted; `None` for never, or not yet known.
///
/// The seconds count from `completedAt`: those for the run's own outcome (success, failure) and otherwise those for any
/// completion. More than that many must have passed, and times on the wire are whole seconds, so a run that completed at
/// 12:00:00 with 60 s to live is deleted at 12:01:01.
pub fn expires_at(run: &AnalysisRun) -> Option<Timestamp> {
    expiry(run.spec.ttl_strategy.as_ref(), run.status.as_ref()?)
}

fn expiry(ttl: Option<&TtlStrategy>, status: &AnalysisRunStatus) -> Option<Timestamp> {
    let TtlStrategy {
        seconds_after_completion,
        seconds_after_failure,
        seconds_after_success,
    } = ttl?;
    let own = match status.phase {
        AnalysisPhase::Pending | AnalysisPhase::Running => return None,
        AnalysisPhase::Successful => *seconds_after_success,
        AnalysisPhase::Failed => *seconds_after_failure,
        AnalysisPhase::Error | AnalysisPhase::Inconclusive => None,
    };
    let seconds = i64::from(own.or(*seconds_after_completion)?);
    Some(later(
        status.completed_at.as_ref()?.0,
        SignedDuration::from_secs(seconds + 1),
    ))
}
