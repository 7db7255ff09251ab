//! From a sample to a measurement's verdict. Pure.

use super::redact::Redactor;
use super::{Measured, Sample};
use crate::api::analysis::{AnalysisPhase, Metric};
use crate::metric::condition;
use jiff::Timestamp;

/// Judges a sample by the metric's conditions, and by the rule that no data never promotes (see [`super`]).
pub(super) fn judge(metric: &Metric, sample: Sample, redactor: &Redactor, now: Timestamp) -> Measured {
    let Sample { outcome, value_text, gap, metadata, metric_metadata } = sample;
    let value = match outcome {
        Err(error) => {
            return Measured {
                phase: AnalysisPhase::Error,
                message: Some(redactor.line(&error.to_string())),
                value: None,
                metadata,
                metric_metadata,
                error_kind: Some(error.kind()),
            };
        }
        Ok(value) => value,
    };
    let success = filled(metric.success_condition.as_deref());
    let failure = filled(metric.failure_condition.as_deref());
    let (mut phase, reason) = condition::judge(success, failure, &value, now);
    let mut parts: Vec<String> = reason.into_iter().collect();
    if let Some(gap) = &gap {
        parts.insert(0, gap.to_string());
        if phase == AnalysisPhase::Successful && !gap.is_handled_by(success.or(failure)) {
            phase = AnalysisPhase::Inconclusive;
            parts.push("no condition says what that means, so it does not count as success".to_owned());
        }
    }
    Measured {
        phase,
        message: (!parts.is_empty()).then(|| redactor.line(&parts.join("; "))),
        value: Some(value_text),
        metadata,
        metric_metadata,
        error_kind: None,
    }
}

/// An empty condition is none, as the contract's own controller reads it.
fn filled(condition: Option<&str>) -> Option<&str> {
    condition.filter(|text| !text.trim().is_empty())
}
