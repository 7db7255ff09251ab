//! The events of a run and of its metrics.

use crate::api::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult};
use crate::engine::plan::Notice;

/// The event reason for a run that reached a phase.
pub const fn run_reason(phase: AnalysisPhase) -> &'static str {
    match phase {
        AnalysisPhase::Pending => "AnalysisRunPending",
        AnalysisPhase::Running => "AnalysisRunRunning",
        AnalysisPhase::Successful => "AnalysisRunSuccessful",
        AnalysisPhase::Failed => "AnalysisRunFailed",
        AnalysisPhase::Error => "AnalysisRunError",
        AnalysisPhase::Inconclusive => "AnalysisRunInconclusive",
    }
}

/// The event reason for a metric that reached a phase.
pub const fn metric_reason(phase: AnalysisPhase) -> &'static str {
    match phase {
        AnalysisPhase::Pending => "MetricPending",
        AnalysisPhase::Running => "MetricRunning",
        AnalysisPhase::Successful => "MetricSuccessful",
        AnalysisPhase::Failed => "MetricFailed",
        AnalysisPhase::Error => "MetricError",
        AnalysisPhase::Inconclusive => "MetricInconclusive",
    }
}

const fn is_warning(phase: AnalysisPhase) -> bool {
    matches!(phase, AnalysisPhase::Failed | AnalysisPhase::Error)
}

pub(super) fn metric_notice(result: &MetricResult) -> Notice {
    let phase = result.phase;
    let message = format!("Metric '{}' Completed. Result: {phase}", result.name);
    Notice {
        reason: metric_reason(phase),
        warning: is_warning(phase),
        message,
    }
}

pub(super) fn run_notice(status: &AnalysisRunStatus) -> Notice {
    let phase = status.phase;
    let because = status
        .message
        .as_deref()
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    let message = format!("Analysis Completed. Result: {phase}{because}");
    Notice {
        reason: run_reason(phase),
        warning: is_warning(phase),
        message,
    }
}
