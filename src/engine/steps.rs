//! The step cursor: when a step is done, what a user's promote, abort or retry makes of it, and when the new revision
//! becomes the stable one.

use super::canary;
use super::context::Context;
use super::draft::Draft;
use super::duration::pause_duration;
use super::plan::Notice;
use super::{revision, timing};
use crate::api::names::{PauseReason, conditions, events, reasons};
use crate::api::rollout::{CanaryStep, RolloutPause, RolloutStatus};

/// Moves the cursor as far as the observed world allows. `analysis_done` says that the run of the current step was
/// successful.
pub(crate) fn advance(ctx: &Context, analysis_done: bool, draft: &mut Draft) {
    if ctx.is_fully_promoted() {
        settle(ctx, draft);
        return;
    }
    let rolls_back = revision::is_within_rollback_window(ctx) && !ctx.is_aborted();
    if ctx.is_promoted_by_user() || rolls_back {
        skip_all(ctx, draft);
    } else if ctx.is_aborted() {
        draft.abort(canary::new_revision(ctx), None);
        return;
    } else if ctx.status.aborted_at.is_some() {
        retry(ctx, draft);
        return;
    } else if ctx.stable.is_some() {
        // Without a stable revision there is nothing to compare with, and no step to take.
        follow_cursor(ctx, draft);
        complete(ctx, analysis_done, draft);
    }
    promote(ctx, draft);
}

/// A Rollout at rest: what a user could still write has no meaning any more.
pub(crate) fn settle(ctx: &Context, draft: &mut Draft) {
    let end = last_index(ctx);
    draft.clear_abort();
    draft.clear_pauses();
    let status = &mut draft.status;
    status.promote_full = None;
    status.current_step_index = end;
    if let Some(canary) = &mut status.canary {
        canary.current_step_analysis_run_status = None;
        canary.current_background_analysis_run_status = None;
        canary.step_started_at = None;
        canary.step_started_index = None;
    }
}

fn last_index(ctx: &Context) -> Option<i32> {
    (!ctx.steps().is_empty()).then(|| i32::try_from(ctx.steps().len()).unwrap_or(i32::MAX))
}

/// Full promotion, and a rollback that is recent enough: no step, no pause, no analysis is left.
fn skip_all(ctx: &Context, draft: &mut Draft) {
    let end = last_index(ctx);
    if ctx.status.aborted_at.is_some() {
        say_retry(draft);
    }
    draft.clear_abort();
    draft.clear_pauses();
    if draft.status.current_step_index != end {
        draft.status.current_step_index = end;
        draft.enter_step();
    }
}

/// `abort` was taken back (false, null and missing are alike): from the first step on, with new runs.
pub(crate) fn retry(ctx: &Context, draft: &mut Draft) {
    draft.clear_abort();
    let status = &mut draft.status;
    status.current_step_index = (!ctx.steps().is_empty()).then_some(0);
    let canary = status.canary.get_or_insert_default();
    canary.current_step_analysis_run_status = None;
    canary.current_background_analysis_run_status = None;
    draft.enter_step();
    say_retry(draft);
}

/// The abort is over: nobody is to read of it any more, and the time for progress begins anew.
pub(crate) fn say_retry(draft: &mut Draft) {
    timing::begin(draft);
    draft.set_condition(
        conditions::PROGRESSING,
        "Unknown",
        reasons::ROLLOUT_RETRY,
        "Retrying Rollout after abort",
    );
}

/// A client may write the cursor: promote does, on a step that is no pause. The step that it left is over, whatever
/// was under way in it.
fn follow_cursor(ctx: &Context, draft: &mut Draft) {
    let entered = ctx.status.canary.as_ref().and_then(|c| c.step_started_index);
    if entered == ctx.status.current_step_index {
        return;
    }
    if entered.is_none() {
        // Another controller brought it here: from now on it is known where, so that a client's move is seen.
        draft.status.canary.get_or_insert_default().step_started_index = ctx.status.current_step_index;
        return;
    }
    draft.unpause(PauseReason::CanaryPauseStep);
    draft.status.controller_pause = (!draft.status.pause_conditions.is_empty()).then_some(true);
    if let Some(canary) = &mut draft.status.canary {
        canary.current_step_analysis_run_status = None;
    }
    draft.enter_step();
}

/// Completes the steps that are done. Only the first is judged by what was observed; what comes behind it, other than
/// the start of a pause, belongs to the next pass.
fn complete(ctx: &Context, analysis_done: bool, draft: &mut Draft) {
    let Some(mut index) = ctx.step_index() else { return };
    if ctx.is_held() {
        return;
    }
    let Some(step) = ctx.steps().get(index) else {
        return;
    };
    let inconclusive = draft
        .status
        .pause_conditions
        .iter()
        .any(|p| p.reason != PauseReason::CanaryPauseStep.as_str());
    if inconclusive {
        return;
    }
    let done = match &step.pause {
        Some(pause) => pause_is_over(pause, draft),
        None if step.set_weight.is_some() => canary::is_scaled(ctx),
        None if step.analysis.is_some() => analysis_done,
        None => false,
    };
    if done {
        index += 1;
        let total = ctx.steps().len();
        draft.notices.push(Notice::normal(
            events::ROLLOUT_STEP_COMPLETED,
            format!("Rollout step {index}/{total} completed ({})", describe(step)),
        ));
        draft.status.current_step_index = i32::try_from(index).ok();
        draft.unpause(PauseReason::CanaryPauseStep);
        if let Some(canary) = &mut draft.status.canary {
            canary.current_step_analysis_run_status = None;
        }
        draft.enter_step();
        // A pause begins with the step before it: nothing has to be seen first.
        if let Some(pause) = ctx.steps().get(index).and_then(|s| s.pause.as_ref()) {
            draft.status.controller_pause = None;
            pause_is_over(pause, draft);
        }
    }
}

/// Starts the pause of the step, or says whether it is over.
fn pause_is_over(pause: &RolloutPause, draft: &mut Draft) -> bool {
    let length = pause_duration(pause.duration.as_ref()).ok().flatten();
    draft.is_pause_over(PauseReason::CanaryPauseStep, length)
}

/// Makes the new revision the stable one when all that was asked for has happened.
fn promote(ctx: &Context, draft: &mut Draft) {
    if ctx.is_held() || !draft.status.pause_conditions.is_empty() {
        return;
    }
    let Some(why) = canary::promotion(ctx) else {
        return;
    };
    let hash = canary::new_hash(ctx);
    let revision = canary::new_revision(ctx);
    draft.status.stable_rs = Some(hash.to_owned());
    let fast = ctx.is_promoted_by_user() || revision::is_within_rollback_window(ctx);
    timing::end(timing::promoted(ctx, fast), draft);
    settle(ctx, draft);
    let message = format!("Rollout completed update to revision {revision} ({hash}): {why}");
    draft
        .notices
        .push(Notice::normal(reasons::ROLLOUT_COMPLETED, message));
}

/// The step on which the cursor of a status stands, with its index.
pub(crate) fn under<'a>(ctx: &Context<'a>, status: &RolloutStatus) -> Option<(usize, &'a CanaryStep)> {
    let index = usize::try_from(status.current_step_index?).ok()?;
    Some((index, ctx.steps().get(index)?))
}

/// Where a rollout stands, for messages: the number of the step, and what it is about.
pub(crate) fn place(ctx: &Context, index: usize, what: &str) -> String {
    format!("step {} of {} ({what})", index + 1, ctx.steps().len())
}

/// A step in few words, for events.
pub(crate) fn describe(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight: {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            Some(duration) => format!("pause: {}", duration_text(duration)),
            None => "pause".to_owned(),
        };
    }
    let names = [
        (step.analysis.is_some(), "analysis"),
        (step.experiment.is_some(), "experiment"),
        (step.set_canary_scale.is_some(), "setCanaryScale"),
        (step.set_header_route.is_some(), "setHeaderRoute"),
        (step.set_mirror_route.is_some(), "setMirrorRoute"),
        (step.plugin.is_some(), "plugin"),
    ];
    names
        .into_iter()
        .find(|(is, _)| *is)
        .map_or("invalid", |(_, name)| name)
        .to_owned()
}

fn duration_text(duration: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    match duration {
        IntOrString::Int(seconds) => format!("{seconds}s"),
        IntOrString::String(text) => text.clone(),
    }
}
