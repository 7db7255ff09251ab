//! What providers report, put in an order that does not depend on who answered first, and taken in once.

use super::assess::{empty_result, metric_verdict, record, settle};
use super::notice::metric_notice;
use super::rule::MetricRule;
use crate::api::analysis::{AnalysisPhase, Measurement, MetricResult};
use crate::engine::duration::whole_second;
use crate::engine::plan::Notice;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// What a provider reports of one metric: an outcome, or (phase Running, with `resumeAt`) that it is still in flight, as
/// a Job is. Secrets are already redacted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinishedMeasurement {
    /// The metric's name.
    pub metric: String,
    /// The measurement; when it replaces one in flight, with that one's `startedAt`.
    pub measurement: Measurement,
    /// What the provider says of the metric as a whole, such as the resolved query; empty leaves what is stored.
    pub metadata: BTreeMap<String, String>,
}

/// Counts what was reported, metric by metric in the order of the spec and for each in the order of time, whatever the
/// order of the reports.
pub(super) fn take_reports(
    results: &mut Vec<MetricResult>,
    rules: &[MetricRule],
    finished: &[FinishedMeasurement],
    now: Timestamp,
    events: &mut Vec<Notice>,
) {
    for (rule, report) in in_order(rules, finished, now) {
        let place = results
            .iter()
            .position(|result| result.name == rule.name)
            .unwrap_or_else(|| {
                results.push(empty_result(rule));
                results.len() - 1
            });
        let result = &mut results[place];
        if !is_new(result, &report.measurement) {
            continue;
        }
        record(result, report.measurement);
        if !report.metadata.is_empty() {
            result.metadata = report.metadata;
        }
        let verdict = metric_verdict(rule, result);
        if settle(result, verdict) {
            events.push(metric_notice(result));
        }
    }
}

/// The longest text of a measurement that is stored, in bytes. Nothing is judged by the stored text, so what is cut off
/// is lost only to the reader; an object of the API server must stay below 1.5 MB.
pub const MAX_TEXT: usize = 4096;

fn shorten(text: &mut String) {
    const MARK: &str = "...";
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT - MARK.len())
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
}

/// Whether a report is to be counted: not when it is stored already, from a pass that is repeated, and not after the
/// metric's verdict unless it ends what was in flight.
pub(super) fn is_new(result: &MetricResult, measurement: &Measurement) -> bool {
    let in_flight = result
        .measurements
        .last()
        .is_some_and(|last| !last.phase.is_completed());
    (in_flight || !result.phase.is_completed()) && !result.measurements.contains(measurement)
}

/// The reports as they will be stored, of known metrics only, by metric in the order of the spec and then by time.
pub(super) fn in_order<'a>(
    rules: &'a [MetricRule],
    finished: &[FinishedMeasurement],
    now: Timestamp,
) -> Vec<(&'a MetricRule, FinishedMeasurement)> {
    let mut reports: Vec<(usize, FinishedMeasurement)> = finished
        .iter()
        .filter_map(|report| {
            Some((
                rules.iter().position(|rule| rule.name == report.metric)?,
                stamped(report, now),
            ))
        })
        .collect();
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    reports.sort_by(|(left_place, left), (right_place, right)| {
        let key = |place: usize, report: &FinishedMeasurement| {
            let Measurement {
                phase,
                message,
                started_at,
                finished_at,
                value,
                metadata,
                resume_at,
            } = report.measurement.clone();
            // A measurement that is still in flight is the newest of its metric.
            let times = (
                finished_at.is_none(),
                time(&finished_at),
                time(&started_at),
                time(&resume_at),
            );
            (place, times, phase, value, message, metadata)
        };
        key(*left_place, left).cmp(&key(*right_place, right))
    });
    reports
        .into_iter()
        .map(|(place, report)| (&rules[place], report))
        .collect()
}

/// The report as it will be stored: whole seconds, an end exactly when there is an outcome, a start, and no text so long
/// that ten of them would fill the object.
fn stamped(report: &FinishedMeasurement, now: Timestamp) -> FinishedMeasurement {
    let second = |time: &Time| Time(whole_second(time.0));
    let now = Time(whole_second(now));
    let mut report = report.clone();
    report.metadata.values_mut().for_each(shorten);
    let measurement = &mut report.measurement;
    let completed = measurement.phase.is_completed();
    measurement
        .message
        .iter_mut()
        .chain(&mut measurement.value)
        .chain(measurement.metadata.values_mut())
        .for_each(shorten);
    if measurement.phase == AnalysisPhase::Pending {
        measurement.phase = AnalysisPhase::Running;
    }
    measurement.finished_at = completed.then(|| {
        measurement
            .finished_at
            .as_ref()
            .map_or_else(|| now.clone(), second)
    });
    measurement.started_at = Some(
        measurement
            .started_at
            .as_ref()
            .or(measurement.finished_at.as_ref())
            .map_or_else(|| now.clone(), second),
    );
    measurement.resume_at = measurement
        .resume_at
        .as_ref()
        .map(second)
        .filter(|_| !measurement.phase.is_completed());
    report
}
