//! When a metric is measured next.

use super::rule::MetricRule;
use crate::api::analysis::{AnalysisPhase, Measurement, MetricResult};
use crate::engine::duration::later;
use jiff::{SignedDuration, Timestamp};

/// How long after an error a measurement is tried again, whatever the interval.
pub const ERROR_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// What is next for one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Measure now.
    Start,
    /// Look again, now, at the measurement that is in flight.
    Resume,
    /// Nothing before this instant, which is in the future.
    Wait(Timestamp),
    /// Nothing more: the metric is complete, or has all the measurements that it wants.
    Done,
}

/// What is next for a metric, by its stored result alone.
///
/// - The first measurement is due at `started_at` + initialDelay; before the run has started (`started_at` absent), now
///   counts as its start.
/// - The next is due at the end of the last + interval, and after an error at its end + 10 s, whatever the interval. So
///   with an interval of 5 m a measurement that ended at 12:00:00 is followed by one at 12:05:00, or at 12:00:10 if it
///   was an error.
/// - A measurement in flight is looked at again at its `resumeAt`, or at once without one.
pub fn next_turn(
    rule: &MetricRule,
    result: Option<&MetricResult>,
    started_at: Option<Timestamp>,
    now: Timestamp,
) -> Turn {
    let Some(result) = result else {
        return at(
            Turn::Start,
            later(started_at.unwrap_or(now), rule.initial_delay),
            now,
        );
    };
    if result.phase.is_completed() {
        return Turn::Done;
    }
    let Some(last) = result.measurements.last() else {
        return at(
            Turn::Start,
            later(started_at.unwrap_or(now), rule.initial_delay),
            now,
        );
    };
    if is_in_flight(last) {
        return at(
            Turn::Resume,
            last.resume_at.as_ref().map_or(now, |time| time.0),
            now,
        );
    }
    if rule.count.is_some_and(|count| result.count >= count) {
        return Turn::Done;
    }
    let gap = match last.phase {
        AnalysisPhase::Error => ERROR_RETRY,
        AnalysisPhase::Pending
        | AnalysisPhase::Running
        | AnalysisPhase::Successful
        | AnalysisPhase::Failed
        | AnalysisPhase::Inconclusive => rule.interval.unwrap_or(ERROR_RETRY),
    };
    // A finished measurement without its end is somebody else's; its start is the best that is known.
    let end = last
        .finished_at
        .as_ref()
        .or(last.started_at.as_ref())
        .map_or(now, |time| time.0);
    at(Turn::Start, later(end, gap), now)
}

/// Whether a measurement was started and has no outcome yet.
pub(super) fn is_in_flight(measurement: &Measurement) -> bool {
    !measurement.phase.is_completed()
}

/// The stored measurement of a metric that is in flight, if there is one.
pub(super) fn in_flight(result: &MetricResult) -> Option<&Measurement> {
    result.measurements.last().filter(|last| is_in_flight(last))
}

fn at(turn: Turn, due: Timestamp, now: Timestamp) -> Turn {
    if due <= now { turn } else { Turn::Wait(due) }
}
