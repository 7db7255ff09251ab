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

use jiff::{SignedDuration, Timestamp};

use super::context::{self, Context, counts, hash_of, same};
use super::draft::Draft;
use super::environments;
use super::observed;
use super::plan::Notice;
use super::runs::{self, Verdict};
use super::services::{self, Need};
use super::{canary, steps};
use crate::api::names::{PauseReason, RunType, annotations, reasons};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{BlueGreenStatus, BlueGreenStrategy};

/// Marks a ReplicaSet whose update was aborted, beside the deadline that it then has: going back to it is a new update,
/// not a fast rollback. Serin's own annotation.
pub const ABORTED: &str = "rollouts.serin.dev/aborted";

/// The pass of a blue-green Rollout whose new ReplicaSet exists and is committed as the current one.
pub(crate) fn reconcile(ctx: &Context, bg: &BlueGreenStrategy, draft: &mut Draft) {
    let view = View::new(ctx, bg);
    let status = draft.status.blue_green.get_or_insert_default();
    status.active_selector = view.active_hash.map(str::to_owned);
    status.preview_selector = view.preview_hash.map(str::to_owned);
    let verdict = runs::reconcile_blue_green(ctx, bg, view.wanted(ctx, bg), draft);
    if let Some(cause) = verdict.abort {
        draft.abort(canary::new_revision(ctx), Some(&cause));
        return;
    }
    point_services(ctx, bg, &view, draft);
    environments::scale(ctx, bg, &view, draft);
    advance(ctx, bg, &view, &verdict, draft);
}

/// What a pass of a blue-green Rollout looks at.
pub(crate) struct View<'a> {
    /// The hash that the active Service selects.
    pub active_hash: Option<&'a str>,
    /// The hash that the preview Service selects.
    pub preview_hash: Option<&'a str>,
    /// The ReplicaSet that the active Service selects.
    pub active: Option<&'a ReplicaSet>,
    /// Pause and analysis are skipped: the first deployment, a full promotion, a fast rollback.
    pub fast: Option<&'static str>,
    /// Everything before the switch was committed as done.
    pub checked: bool,
}

impl<'a> View<'a> {
    fn new(ctx: &Context<'a>, bg: &BlueGreenStrategy) -> Self {
        let hash = |name: &str| {
            ctx.observed
                .services
                .get(name)
                .and_then(|s| services::selected_hash(s))
        };
        let active_hash = hash(&bg.active_service);
        let preview_hash = bg.preview_service.as_deref().and_then(hash);
        let active = ctx.all().find(|rs| Some(hash_of(rs)) == active_hash);
        let fast = if ctx.is_promoted_by_user() {
            Some("Full promotion requested")
        } else if active_hash.is_none() {
            Some("Initial deploy")
        } else if is_fast_rollback(ctx) {
            Some("Fast rollback")
        } else {
            None
        };
        let checked = committed(ctx).is_some_and(|s| s.scale_up_preview_check_point == Some(true));
        View {
            active_hash,
            preview_hash,
            active,
            fast,
            checked,
        }
    }

    /// Whether the active Service selects the new ReplicaSet.
    pub(crate) fn is_switched(&self, ctx: &Context) -> bool {
        self.active_hash.is_some() && self.active_hash == ctx.new.map(hash_of)
    }

    /// Which analysis is asked for now, if any.
    fn wanted(&self, ctx: &Context, bg: &BlueGreenStrategy) -> Option<RunType> {
        let update = ctx.stable.is_some() && !ctx.is_fully_promoted() && !ctx.is_aborted();
        if !update || ctx.status.aborted_at.is_some() || self.fast.is_some() {
            return None;
        }
        if self.is_switched(ctx) {
            return bg
                .post_promotion_analysis
                .as_ref()
                .map(|_| RunType::PostPromotion);
        }
        let ready = is_saturated(ctx.new, preview_size(ctx, bg));
        let asked = bg.pre_promotion_analysis.is_some() && !self.checked;
        let begun = committed(ctx).is_some_and(|s| s.pre_promotion_analysis_run_status.is_some());
        (asked && (ready || begun)).then_some(RunType::PrePromotion)
    }
}

fn committed<'a>(ctx: &Context<'a>) -> Option<&'a BlueGreenStatus> {
    ctx.status.blue_green.as_ref()
}

/// Going back to a ReplicaSet that still stands in its delay after having been active: nothing has to be tested again.
fn is_fast_rollback(ctx: &Context) -> bool {
    ctx.new.is_some_and(|new| {
        deadline(new).is_some()
            && observed::annotation(&new.metadata, ABORTED).is_empty()
            && i64::from(new.status.available_replicas) >= ctx.replicas
    })
}

/// The moment at which an old ReplicaSet may go.
pub(crate) fn deadline(rs: &ReplicaSet) -> Option<Timestamp> {
    observed::annotation(&rs.metadata, annotations::SCALE_DOWN_DEADLINE)
        .parse()
        .ok()
}

/// How many pods the new side has until everything before the switch is done.
pub(crate) fn preview_size(ctx: &Context, bg: &BlueGreenStrategy) -> i64 {
    bg.preview_replica_count
        .map_or(ctx.replicas, |n| i64::from(n).min(ctx.replicas.max(0)))
}

/// Whether a ReplicaSet has all of these pods, available.
fn is_saturated(rs: Option<&ReplicaSet>, size: i64) -> bool {
    rs.is_some_and(|rs| {
        let counts = counts(Some(rs));
        counts.observed && counts.spec >= size && counts.available >= size
    })
}

/// Whether a side can carry what the active one carries now: all pods, or as many as the other has left.
fn can_carry(ctx: &Context, side: &ReplicaSet, active: Option<&ReplicaSet>) -> bool {
    let has = i64::from(side.status.available_replicas);
    let carries = active.map_or(ctx.replicas, |rs| i64::from(rs.status.available_replicas));
    has >= ctx.replicas || (has > 0 && has >= carries && same(Some(side), ctx.stable))
}

fn point_services(ctx: &Context, bg: &BlueGreenStrategy, view: &View, draft: &mut Draft) {
    let inconclusive = PauseReason::InconclusiveAnalysisRun.as_str();
    let asked = ctx
        .status
        .pause_conditions
        .iter()
        .any(|p| p.reason == inconclusive);
    if ctx.is_held() || asked {
        return;
    }
    if let Some(preview) = &bg.preview_service {
        services::point(ctx, preview, ctx.new, Need::Nothing, draft);
    }
    let aborted = ctx.is_aborted() && !ctx.is_fully_promoted();
    let target = if aborted { ctx.stable } else { ctx.new };
    let Some(target) = target.filter(|rs| Some(hash_of(rs)) != view.active_hash) else {
        // The switch is done; what may be missing is the annotation of who manages the Service.
        services::point(ctx, &bg.active_service, view.active, Need::Nothing, draft);
        return;
    };
    let allowed = aborted || view.fast.is_some() || view.checked || ctx.is_fully_promoted();
    if allowed && can_carry(ctx, target, view.active) {
        services::point(ctx, &bg.active_service, Some(target), Need::Nothing, draft);
    }
}

/// What of the update is done now.
fn advance(ctx: &Context, bg: &BlueGreenStrategy, view: &View, verdict: &Verdict, draft: &mut Draft) {
    if ctx.is_fully_promoted() {
        steps::settle(ctx, draft);
        let status = draft.status.blue_green.get_or_insert_default();
        status.scale_up_preview_check_point = None;
        status.pre_promotion_analysis_run_status = None;
        status.post_promotion_analysis_run_status = None;
        return;
    }
    if ctx.is_promoted_by_user() {
        draft.status.abort = None;
        draft.status.aborted_at = None;
        draft.status.pause_conditions.clear();
        draft.status.controller_pause = None;
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
        promote(ctx, "Initial deploy", draft);
        return;
    }
    if view.is_switched(ctx) {
        let asked = view.fast.is_none()
            && bg
                .post_promotion_analysis
                .as_ref()
                .is_some_and(|a| !a.templates.is_empty());
        if !asked || verdict.step_done {
            promote(ctx, view.fast.unwrap_or("Completed blue-green update"), draft);
        }
        return;
    }
    if view.checked || view.fast.is_some() {
        draft.unpause(PauseReason::BlueGreenPause);
        return;
    }
    let analysed = bg
        .pre_promotion_analysis
        .as_ref()
        .is_none_or(|a| a.templates.is_empty())
        || verdict.step_done;
    if analysed && is_saturated(ctx.new, preview_size(ctx, bg)) && is_pause_over(bg, draft) {
        draft.unpause(PauseReason::BlueGreenPause);
        draft
            .status
            .blue_green
            .get_or_insert_default()
            .scale_up_preview_check_point = Some(true);
    }
}

/// Whether no other pause than that of blue-green itself is in the way.
fn other_pauses(draft: &Draft) -> bool {
    let own = PauseReason::BlueGreenPause.as_str();
    draft.status.pause_conditions.iter().all(|p| p.reason == own)
}

/// Starts the pause before the switch where one is asked for, or says that it is over: its seconds have passed, or a user
/// took the condition away while `controllerPause` still stands.
fn is_pause_over(bg: &BlueGreenStrategy, draft: &mut Draft) -> bool {
    let seconds = bg.auto_promotion_seconds.filter(|s| *s > 0);
    if bg.auto_promotion_enabled != Some(false) && seconds.is_none() {
        return true;
    }
    let reason = PauseReason::BlueGreenPause;
    let since = draft
        .status
        .pause_conditions
        .iter()
        .find(|p| p.reason == reason.as_str())
        .map(|p| p.start_time.0);
    let Some(since) = since else {
        if draft.status.controller_pause == Some(true) {
            return true;
        }
        draft.pause(reason);
        if let Some(seconds) = seconds
            && let Ok(end) = draft
                .now
                .checked_add(SignedDuration::from_secs(i64::from(seconds)))
        {
            draft.wake_at(end);
        }
        return false;
    };
    let end = seconds.and_then(|s| since.checked_add(SignedDuration::from_secs(i64::from(s))).ok());
    match end {
        Some(end) if draft.now >= end => true,
        Some(end) => {
            draft.wake_at(end);
            false
        }
        None => false,
    }
}

fn promote(ctx: &Context, why: &str, draft: &mut Draft) {
    let hash = canary::new_hash(ctx);
    let revision = canary::new_revision(ctx);
    draft.status.stable_rs = Some(hash.to_owned());
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
    }
}

/// The ReplicaSet whose pods answer production: the one that the active Service selects, else all.
pub(crate) fn active<'a>(ctx: &Context<'a>) -> Option<&'a ReplicaSet> {
    let bg = ctx.blue_green?;
    let hash = ctx
        .observed
        .services
        .get(&bg.active_service)
        .and_then(|s| services::selected_hash(s))?;
    ctx.all().find(|rs| hash_of(rs) == hash)
}

/// Whether both name the same ReplicaSet.
pub(crate) fn is(rs: &ReplicaSet, other: Option<&ReplicaSet>) -> bool {
    context::same(Some(rs), other)
}
