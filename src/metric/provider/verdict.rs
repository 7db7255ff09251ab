//! From a sample to a measurement's verdict. Pure.

use super::redact::Redactor;
use super::{Measured, Sample};
use crate::api::analysis::{AnalysisPhase, Metric};
use crate::metric::condition::{self, Condition, Verdict};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The conditions of a metric, understood.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    success: Option<Condition>,
    failure: Option<Condition>,
}

impl Conditions {
    /// Reads both conditions. An empty one is none. Error: the sentence that says which cannot be understood,
    /// and where.
    pub(super) fn of(metric: &Metric) -> Result<Self, String> {
        let read =
            |field: &str, source: Option<&String>| match source.filter(|source| !source.trim().is_empty()) {
                None => Ok(None),
                Some(source) => Condition::parse(source)
                    .map(Some)
                    .map_err(|error| format!("could not evaluate {field} {error}")),
            };
        Ok(Self {
            success: read("successCondition", metric.success_condition.as_ref())?,
            failure: read("failureCondition", metric.failure_condition.as_ref())?,
        })
    }

    /// The condition that grants a success: that for success, or that for failure where there is no other.
    fn granting(&self) -> Option<&str> {
        self.success
            .as_ref()
            .or(self.failure.as_ref())
            .map(Condition::source)
    }
}

/// A measurement that never came to a measurement.
pub(super) fn error(message: &str, kind: &'static str, redactor: &Redactor) -> Measured {
    Measured {
        phase: AnalysisPhase::Error,
        message: Some(redactor.line(message)),
        value: None,
        metadata: BTreeMap::new(),
        metric_metadata: BTreeMap::new(),
        error_kind: Some(kind),
    }
}

/// Judges a sample by the metric's conditions, and by the rule that no data never promotes (see [`super`]).
pub(super) fn judge(
    conditions: &Conditions,
    sample: Sample,
    redactor: &Redactor,
    now: Timestamp,
) -> Measured {
    let Sample {
        outcome,
        value_text,
        gap,
        metadata,
        metric_metadata,
    } = sample;
    let value = match outcome {
        Err(failed) => {
            return Measured {
                metadata,
                metric_metadata,
                ..error(&failed.to_string(), failed.kind(), redactor)
            };
        }
        Ok(value) => value,
    };
    let judgement = condition::judge(
        conditions.success.as_ref(),
        conditions.failure.as_ref(),
        &value,
        now,
    );
    let mut phase = match judgement.phase {
        Verdict::Successful => AnalysisPhase::Successful,
        Verdict::Failed => AnalysisPhase::Failed,
        Verdict::Inconclusive => AnalysisPhase::Inconclusive,
        Verdict::Error => AnalysisPhase::Error,
    };
    let mut parts: Vec<String> = gap
        .iter()
        .map(ToString::to_string)
        .chain(judgement.message)
        .collect();
    if phase == AnalysisPhase::Successful && gap.is_some_and(|gap| !gap.is_handled_by(conditions.granting()))
    {
        phase = AnalysisPhase::Inconclusive;
        parts.push("no condition says what that means, so it does not count as success".to_owned());
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
