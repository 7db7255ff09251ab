//! Blue-green: two complete environments, one switch of a Service, and the way back (wire contract 2.8 and 2.9).
//!
//! ```text
//! preview Service -> new   new scaled   pre-promotion analysis   pause   full size   active Service -> new
//!                                                                                    post-promotion analysis   stable := new
//! ```
//!
//! *Capacity before traffic*: the active Service moves only to a side that can carry what the other one carries now,
//! forth and back alike. *Traffic before pods*: the old side goes only when its delay has passed and no Service leads to
//! it any more, as the EndpointSlices show it.
//!
//! `status.blueGreen.scaleUpPreviewCheckPoint` says that everything before the switch is done: the analysis before it, and
//! the pause. It is what makes the switch a consequence of committed state.

use super::context::{Context, hash_of};
use super::draft::Draft;
use super::observed;
use super::plan::Notice;
use super::runs::{self, Verdict};
use super::services;
use super::{anti_affinity, canary, environments, ephemeral, fail_fast, pauses, restart, steps, timing};
use crate::api::analysis::AnalysisPhase;
use crate::api::names::{PauseReason, reasons};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{AnalysisRunStatusRef, BlueGreenStrategy, RolloutAnalysis, RolloutStatus};

pub(crate) mod view;

use view::{View, is_inconclusive, is_saturated, preview_size};

/// The pass of a blue-green Rollout whose new ReplicaSet exists and is committed as the current one.
pub(crate) fn reconcile(ctx: &Context, bg: &BlueGreenStrategy, draft: &mut Draft) {
    let view = View::new(ctx, bg);
    let status = draft.status.blue_green.get_or_insert_default();
    status.active_selector = view.active_hash.map(str::to_owned);
    status.preview_selector = view.preview_hash.map(str::to_owned);
    let verdict = runs::reconcile_blue_green(ctx, bg, view.wanted(ctx, bg), draft);
    let failed = verdict.abort.clone().or_else(|| fail_fast::verdict(ctx, draft));
    if let Some(cause) = failed {
        draft.abort(canary::new_revision(ctx), Some(&cause));
        return;
    }
    point_services(ctx, bg, &view, draft);
    ephemeral::templates(ctx, draft);
    anti_affinity::reconcile(ctx, draft);
    environments::scale(ctx, bg, &view, draft);
    ephemeral::living_pods(ctx, draft);
    // While anything else is done, how many pods may be missing is not known. Production that waits for stable pods to
    // go back to waits for no restart of these.
    if draft.intents.is_empty() && !(ctx.goes_back() && view.awaits_stable(ctx)) {
        restart::reconcile(ctx, draft);
    }
    advance(ctx, bg, &view, &verdict, draft);
}

fn point_services(ctx: &Context, bg: &BlueGreenStrategy, view: &View, draft: &mut Draft) {
    // Nothing is in the way of going back.
    if ctx.is_held() || (is_inconclusive(ctx) && !ctx.goes_back()) {
        return;
    }
    if let Some(preview) = &bg.preview_service {
        services::point(ctx, preview, ctx.new, draft);
    }
    let target = view.target(ctx);
    let is_there = target.is_none_or(|rs| Some(hash_of(rs)) == view.active_hash);
    if let Some(target) = target.filter(|rs| !is_there && view.can_carry(ctx, rs)) {
        services::point(ctx, &bg.active_service, Some(target), draft);
    } else if is_there {
        // What may be missing is the annotation of who manages the Service.
        services::point(ctx, &bg.active_service, view.active, draft);
    }
}

/// What of the update is done now.
fn advance(ctx: &Context, bg: &BlueGreenStrategy, view: &View, verdict: &Verdict, draft: &mut Draft) {
    if ctx.is_fully_promoted() {
        steps::settle(ctx, draft);
        reset(draft);
        return;
    }
    if ctx.is_promoted_by_user() {
        if ctx.status.aborted_at.is_some() {
            steps::say_retry(draft);
        }
        draft.clear_abort();
        draft.clear_pauses();
    } else if ctx.is_aborted() {
        draft.abort(canary::new_revision(ctx), None);
        return;
    } else if ctx.status.aborted_at.is_some() {
        steps::retry(ctx, draft);
        reset(draft);
        return;
    }
    if ctx.is_held() || !other_pauses(draft) {
        return;
    }
    // The first deployment is stable at once: there is nothing that it could be worse than.
    if ctx.stable.is_none() && view.active_hash.is_none() {
        promote(ctx, false, "Initial deploy", draft);
        return;
    }
    if view.is_switched(ctx) {
        let asked = view.fast.is_none() && is_asked(bg.post_promotion_analysis.as_ref());
        if !asked || verdict.step_done {
            let why = view.fast.unwrap_or("Completed blue-green update");
            promote(ctx, view.fast.is_some(), why, draft);
        }
        return;
    }
    if view.checked || view.fast.is_some() {
        draft.unpause(PauseReason::BlueGreenPause);
        return;
    }
    let analysed = !is_asked(bg.pre_promotion_analysis.as_ref()) || verdict.step_done;
    if analysed && is_saturated(ctx.new, preview_size(ctx, bg)) && is_pause_over(bg, draft) {
        draft.unpause(PauseReason::BlueGreenPause);
        draft
            .status
            .blue_green
            .get_or_insert_default()
            .scale_up_preview_check_point = Some(true);
    }
}

/// Whether an analysis is asked for; one without templates asks for nothing.
fn is_asked(analysis: Option<&RolloutAnalysis>) -> bool {
    analysis.is_some_and(|a| !a.templates.is_empty())
}

/// Whether no other pause than that of blue-green itself is in the way.
fn other_pauses(draft: &Draft) -> bool {
    let own = PauseReason::BlueGreenPause.as_str();
    draft.status.pause_conditions.iter().all(|p| p.reason == own)
}

/// Starts the pause before the switch where one is asked for, or says that it is over.
fn is_pause_over(bg: &BlueGreenStrategy, draft: &mut Draft) -> bool {
    let length = pauses::auto_promotion(bg);
    if bg.auto_promotion_enabled != Some(false) && length.is_none() {
        return true;
    }
    draft.is_pause_over(PauseReason::BlueGreenPause, length)
}

fn promote(ctx: &Context, fast: bool, why: &str, draft: &mut Draft) {
    let hash = canary::new_hash(ctx);
    let revision = canary::new_revision(ctx);
    draft.status.stable_rs = Some(hash.to_owned());
    timing::end(timing::promoted(ctx, fast), draft);
    steps::settle(ctx, draft);
    reset(draft);
    let message = format!("Rollout completed update to revision {revision} ({hash}): {why}");
    draft
        .notices
        .push(Notice::normal(reasons::ROLLOUT_COMPLETED, message));
}

/// Everything that belongs to one update ends.
pub(crate) fn reset(draft: &mut Draft) {
    if let Some(status) = &mut draft.status.blue_green {
        status.scale_up_preview_check_point = None;
        status.pre_promotion_analysis_run_status = None;
        status.post_promotion_analysis_run_status = None;
        status.pods_failing_since = None;
    }
}

/// The ReplicaSet whose pods answer production: the one that the active Service selects, else all.
pub(crate) fn active<'a>(ctx: &Context<'a>) -> Option<&'a ReplicaSet> {
    View::new(ctx, ctx.blue_green?).active
}

/// The analysis of the update that is under way, as this status tells it.
pub(crate) fn running_analysis(status: &RolloutStatus) -> Option<&AnalysisRunStatusRef> {
    let status = status.blue_green.as_ref()?;
    let runs = [
        &status.post_promotion_analysis_run_status,
        &status.pre_promotion_analysis_run_status,
    ];
    let under_way = [AnalysisPhase::Pending, AnalysisPhase::Running];
    runs.into_iter()
        .flatten()
        .find(|run| under_way.iter().any(|phase| phase.as_str() == run.status))
}

/// What the way back of an abort waits for, where it has to wait.
pub(crate) fn way_back(ctx: &Context, draft: &Draft) -> Option<String> {
    let view = View::new(ctx, ctx.blue_green?);
    let goes_back = draft.status.abort == Some(true) && !ctx.is_fully_promoted();
    let stable = ctx.stable.filter(|_| goes_back && view.awaits_stable(ctx))?;
    let (name, has) = (observed::name(&stable.metadata), stable.status.available_replicas);
    Some(format!(
        "Production goes back as soon as the stable ReplicaSet {name} can carry it: {has} of {} pods are available",
        ctx.replicas
    ))
}

#[cfg(test)]
mod tests;
