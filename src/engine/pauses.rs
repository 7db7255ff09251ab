//! What a pause waits for: a moment, or a person.

use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use super::draft::Draft;
use super::duration::pause_duration;
use super::steps;
use crate::api::analysis::AnalysisPhase;
use crate::api::names::PauseReason;
use crate::api::rollout::{BlueGreenStrategy, PauseCondition, RolloutStatus};

/// After how long the pause before the switch ends by itself; `None` where only a person ends it.
pub(crate) fn auto_promotion(bg: &BlueGreenStrategy) -> Option<SignedDuration> {
    let seconds = bg.auto_promotion_seconds.filter(|s| *s > 0)?;
    Some(SignedDuration::from_secs(i64::from(seconds)))
}

/// When the pause ends by itself; `None` where only a person ends it.
///
/// Worked: a pause of 60 s that began at 10:00:00 ends at 10:01:00.
pub(crate) fn ends_at(ctx: &Context, status: &RolloutStatus, pause: &PauseCondition) -> Option<Timestamp> {
    let length = match PauseReason::parse(&pause.reason)? {
        PauseReason::CanaryPauseStep => {
            let (_, step) = steps::under(ctx, status)?;
            pause_duration(step.pause.as_ref()?.duration.as_ref()).ok()?
        }
        PauseReason::BlueGreenPause => ctx.blue_green.and_then(auto_promotion),
        PauseReason::InconclusiveAnalysisRun | PauseReason::InconclusiveExperiment => None,
    };
    pause.start_time.0.checked_add(length?).ok()
}

/// The message of a pause by rules 3 and 4 of the contract (2.5): its word, by which clients know it, and behind it where
/// the rollout stands and what ends the pause. `None` where nothing pauses.
pub(crate) fn describe(ctx: &Context, draft: &Draft) -> Option<String> {
    if ctx.is_held() {
        return Some("manually paused: until spec.paused is false".to_owned());
    }
    let status = &draft.status;
    let pause = status.pause_conditions.first()?;
    let reason = PauseReason::parse(&pause.reason);
    let place = match reason {
        Some(PauseReason::CanaryPauseStep) => {
            steps::under(ctx, status).map(|(index, step)| steps::place(ctx, index, &steps::describe(step)))
        }
        Some(PauseReason::BlueGreenPause) => ctx
            .blue_green
            .map(|bg| format!("before Service {} is switched", bg.active_service)),
        Some(PauseReason::InconclusiveAnalysisRun) => {
            inconclusive(status).map(|run| format!("analysis {run} is inconclusive"))
        }
        Some(PauseReason::InconclusiveExperiment) | None => None,
    };
    let end = match (ends_at(ctx, status, pause), reason) {
        (Some(at), _) => format!("until {at}"),
        (None, Some(PauseReason::InconclusiveAnalysisRun | PauseReason::InconclusiveExperiment)) => {
            "until somebody promotes or aborts".to_owned()
        }
        (None, Some(PauseReason::CanaryPauseStep | PauseReason::BlueGreenPause) | None) => {
            "until somebody promotes".to_owned()
        }
    };
    let parts: Vec<String> = place.into_iter().chain([end]).collect();
    Some(format!("{}: {}", pause.reason, parts.join(", ")))
}

/// The name of the run without a verdict.
fn inconclusive(status: &RolloutStatus) -> Option<&str> {
    let (canary, blue_green) = (status.canary.as_ref(), status.blue_green.as_ref());
    let runs = [
        canary.and_then(|c| c.current_step_analysis_run_status.as_ref()),
        canary.and_then(|c| c.current_background_analysis_run_status.as_ref()),
        blue_green.and_then(|b| b.pre_promotion_analysis_run_status.as_ref()),
        blue_green.and_then(|b| b.post_promotion_analysis_run_status.as_ref()),
    ];
    let mut runs = runs.into_iter().flatten();
    let run = runs.find(|run| run.status == AnalysisPhase::Inconclusive.as_str())?;
    Some(&run.name)
}

#[cfg(test)]
mod tests;
