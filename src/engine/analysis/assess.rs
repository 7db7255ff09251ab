//! Counting measurements, and what the counts say of a metric and of a run.

use super::rule::MetricRule;
use super::schedule::is_in_flight;
use crate::api::analysis::{AnalysisPhase, Measurement, MetricResult, RunSummary};
use std::cmp::Reverse;

/// Takes one measurement into a metric's result: it replaces the one in flight, or is appended, and is counted when it
/// is finished.
///
/// Successful, Failed and Inconclusive raise `count`; an Error does not, so that trouble of the metrics server never
/// uses up the measurements that were asked for. `consecutiveError` starts again at anything but an Error,
/// `consecutiveSuccess` at anything but a success.
pub fn record(result: &mut MetricResult, measurement: Measurement) {
    let phase = measurement.phase;
    match result.measurements.last_mut() {
        Some(last) if is_in_flight(last) => *last = measurement,
        Some(_) | None => result.measurements.push(measurement),
    }
    let outcome = match phase {
        AnalysisPhase::Pending | AnalysisPhase::Running => return,
        AnalysisPhase::Successful => &mut result.successful,
        AnalysisPhase::Failed => &mut result.failed,
        AnalysisPhase::Inconclusive => &mut result.inconclusive,
        AnalysisPhase::Error => &mut result.error,
    };
    *outcome = outcome.saturating_add(1);
    if phase == AnalysisPhase::Error {
        result.consecutive_error = result.consecutive_error.saturating_add(1);
    } else {
        result.count = result.count.saturating_add(1);
        result.consecutive_error = 0;
    }
    result.consecutive_success = match phase {
        AnalysisPhase::Successful => result.consecutive_success.saturating_add(1),
        AnalysisPhase::Pending
        | AnalysisPhase::Running
        | AnalysisPhase::Failed
        | AnalysisPhase::Inconclusive
        | AnalysisPhase::Error => 0,
    };
}

/// Keeps only the newest measurements, as many as the rule says. The counts stay: they cover all that were ever taken.
pub fn trim(result: &mut MetricResult, kept: usize) {
    let surplus = result.measurements.len().saturating_sub(kept.max(1));
    result.measurements.drain(..surplus);
}

/// The result that these measurements lead to, each judged as it came: the replay of a metric from its record.
pub fn replay(rule: &MetricRule, measurements: &[Measurement]) -> MetricResult {
    let mut result = MetricResult {
        name: rule.name.clone(),
        dry_run: rule.dry_run,
        ..MetricResult::default()
    };
    for measurement in measurements {
        record(&mut result, measurement.clone());
        let verdict = metric_verdict(rule, &result);
        settle(&mut result, verdict);
    }
    result
}

/// The result of a metric before its first measurement.
pub(super) fn empty_result(rule: &MetricRule) -> MetricResult {
    MetricResult {
        name: rule.name.clone(),
        phase: AnalysisPhase::Running,
        dry_run: rule.dry_run,
        ..MetricResult::default()
    }
}

/// Gives a result its verdict; a verdict that changes takes the last measurement's message with it. Says whether the
/// metric was completed by this.
pub(super) fn settle(result: &mut MetricResult, phase: AnalysisPhase) -> bool {
    if result.phase == phase {
        return false;
    }
    result.phase = phase;
    if let Some(last) = result.measurements.last() {
        result.message.clone_from(&last.message);
    }
    phase.is_completed()
}

/// Which limit a metric exceeds, and the words for it. The last that is exceeded decides: errors over inconclusive
/// measurements over failed ones.
fn exceeded(rule: &MetricRule, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    if result.consecutive_error > rule.consecutive_error_limit {
        let (seen, limit) = (result.consecutive_error, rule.consecutive_error_limit);
        return Some((
            AnalysisPhase::Error,
            format!("consecutiveErrors ({seen}) > consecutiveErrorLimit ({limit})"),
        ));
    }
    if result.inconclusive > rule.inconclusive_limit {
        let (seen, limit) = (result.inconclusive, rule.inconclusive_limit);
        return Some((
            AnalysisPhase::Inconclusive,
            format!("inconclusive ({seen}) > inconclusiveLimit ({limit})"),
        ));
    }
    if rule.failure_limit >= 0 && result.failed > rule.failure_limit {
        let (seen, limit) = (result.failed, rule.failure_limit);
        return Some((
            AnalysisPhase::Failed,
            format!("failed ({seen}) > failureLimit ({limit})"),
        ));
    }
    None
}

/// The verdict of one metric by its counts.
///
/// A verdict, once given, stays. While a measurement is in flight the metric is Running. Then, in this order:
/// 1. a limit is exceeded, strictly: `failureLimit: 1` tolerates one failure and ends at the second;
/// 2. `consecutiveSuccessLimit` (above 0) is reached: Successful;
/// 3. `count` is reached: without a success limit Successful; with one that was not reached Inconclusive, or Failed when
///    `failureLimit` is disabled (below 0), because then reaching it was the only way to succeed;
/// 4. otherwise Running.
pub fn metric_verdict(rule: &MetricRule, result: &MetricResult) -> AnalysisPhase {
    if result.phase.is_completed() {
        return result.phase;
    }
    match result.measurements.last() {
        None => return AnalysisPhase::Pending,
        Some(last) if is_in_flight(last) => return AnalysisPhase::Running,
        Some(_) => {}
    }
    if let Some((phase, _)) = exceeded(rule, result) {
        return phase;
    }
    let success_applies = rule.consecutive_success_limit > 0;
    if success_applies && result.consecutive_success >= rule.consecutive_success_limit {
        return AnalysisPhase::Successful;
    }
    if rule.count.is_some_and(|count| result.count >= count) {
        return match (success_applies, rule.failure_limit >= 0) {
            (false, _) => AnalysisPhase::Successful,
            (true, true) => AnalysisPhase::Inconclusive,
            (true, false) => AnalysisPhase::Failed,
        };
    }
    AnalysisPhase::Running
}

/// Why a completed metric is not Successful, in the words of the run's message: the limit that was exceeded, or the
/// successes in a row that were not reached within `count`. `None` when there is nothing to say.
pub fn limit_message(rule: &MetricRule, result: &MetricResult) -> Option<String> {
    if let Some((phase, words)) = exceeded(rule, result)
        && phase == result.phase
    {
        return Some(words);
    }
    let count = rule.count.filter(|count| result.count >= *count)?;
    let missed = is_bad(result.phase) && rule.consecutive_success_limit > 0;
    missed.then(|| {
        format!(
            "consecutiveSuccess ({}) < consecutiveSuccessLimit ({}) when count ({count}) was reached",
            result.consecutive_success, rule.consecutive_success_limit
        )
    })
}

/// How bad a phase is: Successful < Running < Pending < Inconclusive < Error < Failed.
const fn severity(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}

/// The worse of two phases.
pub const fn worst(left: AnalysisPhase, right: AnalysisPhase) -> AnalysisPhase {
    if severity(right) > severity(left) {
        right
    } else {
        left
    }
}

/// Whether a phase ends the whole run: complete, and not Successful.
pub(super) const fn is_bad(phase: AnalysisPhase) -> bool {
    phase.is_completed() && severity(phase) > severity(AnalysisPhase::Successful)
}

/// What the metrics say of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunVerdict {
    /// Running, or the final phase.
    pub phase: AnalysisPhase,
    /// Why, for a final phase.
    pub message: Option<String>,
    /// Whether the run takes no new measurements: it was asked to end, or a deciding metric has failed it.
    pub terminating: bool,
}

/// The verdict of a run by the phases that its metrics have in `results`.
///
/// Dry-run metrics are not looked at, except that a run lasts until they are complete too; a run of nothing else is
/// Successful. A run ends with its worst metric. It *terminates* when `terminate` asks for it or a deciding metric ended
/// Failed, in Error or Inconclusive: then a metric that is not complete counts as Successful, except that while one has
/// a measurement in flight, the run waits for its end. It does not wait when the verdict is already Failed or Error: the
/// release is to be taken back now.
pub fn run_verdict(rules: &[MetricRule], results: &[MetricResult], terminate: bool) -> RunVerdict {
    let result_of = |rule: &MetricRule| results.iter().find(|result| result.name == rule.name);
    let judged: Vec<(&MetricRule, Option<&MetricResult>)> =
        rules.iter().map(|rule| (rule, result_of(rule))).collect();
    let phase_of =
        |result: Option<&MetricResult>| result.map_or(AnalysisPhase::Pending, |result| result.phase);
    let all_complete = judged.iter().all(|(_, result)| phase_of(*result).is_completed());
    let waits = judged
        .iter()
        .filter_map(|(_, result)| *result)
        .any(|result| !result.phase.is_completed() && result.measurements.last().is_some_and(is_in_flight));
    let worst_metric = judged
        .iter()
        .filter(|(rule, result)| !rule.dry_run && phase_of(*result).is_completed())
        // The first of the worst: `min_by_key` keeps the first of equals.
        .min_by_key(|(_, result)| Reverse(severity(phase_of(*result))));
    let phase = worst_metric.map_or(AnalysisPhase::Successful, |(_, result)| phase_of(*result));
    let terminating = terminate || is_bad(phase);
    let decided = matches!(phase, AnalysisPhase::Failed | AnalysisPhase::Error);
    if !(all_complete || decided || terminating && !waits) {
        return RunVerdict {
            phase: AnalysisPhase::Running,
            message: None,
            terminating,
        };
    }
    let because = worst_metric.and_then(|(rule, result)| {
        let result = (*result)?;
        let words = limit_message(rule, result)?;
        let error = match result.message.as_deref() {
            None | Some("") => String::new(),
            Some(error) => format!(": \"Error Message: {error}\""),
        };
        Some(format!(
            "Metric \"{}\" assessed {} due to {words}{error}",
            rule.name, result.phase
        ))
    });
    let message = because.or_else(|| terminate.then(|| "Run Terminated".to_owned()));
    RunVerdict {
        phase,
        message,
        terminating,
    }
}

/// The deciding metrics by outcome, and the dry-run metrics by outcome if there are any.
pub fn summaries(rules: &[MetricRule], results: &[MetricResult]) -> (RunSummary, Option<RunSummary>) {
    let mut deciding = RunSummary::default();
    let mut dry_run = RunSummary::default();
    for rule in rules {
        let summary = if rule.dry_run { &mut dry_run } else { &mut deciding };
        summary.count = summary.count.saturating_add(1);
        let phase = results
            .iter()
            .find(|result| result.name == rule.name)
            .map(|result| result.phase);
        let outcome = match phase {
            Some(AnalysisPhase::Successful) => &mut summary.successful,
            Some(AnalysisPhase::Failed) => &mut summary.failed,
            Some(AnalysisPhase::Inconclusive) => &mut summary.inconclusive,
            Some(AnalysisPhase::Error) => &mut summary.error,
            None | Some(AnalysisPhase::Pending | AnalysisPhase::Running) => continue,
        };
        *outcome = outcome.saturating_add(1);
    }
    (deciding, (dry_run.count > 0).then_some(dry_run))
}
