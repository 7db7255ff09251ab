//! What a pass of a blue-green Rollout looks at: whom the Services select, who can carry production, and where it should be.

use jiff::Timestamp;

use super::super::context::{Context, counts, hash_of, same};
use super::super::observed;
use super::super::revision;
use super::super::services;
use crate::api::names::{PauseReason, RunType, annotations};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{BlueGreenStatus, BlueGreenStrategy};

/// Marks a ReplicaSet whose update did not come to its end: it was aborted, or another template came. Going back to it
/// is a new update, not a fast rollback, also while it still stands in its delay. Serin's own annotation.
pub const ABORTED: &str = "rollouts.serin.dev/aborted";

/// What a pass of a blue-green Rollout looks at.
pub(crate) struct View<'a> {
    /// The hash that the active Service selects.
    pub active_hash: Option<&'a str>,
    /// The hash that the preview Service selects.
    pub preview_hash: Option<&'a str>,
    /// The ReplicaSet that the active Service selects.
    pub active: Option<&'a ReplicaSet>,
    /// Why pause and analysis are skipped: the first deployment, a full promotion, a fast rollback.
    pub fast: Option<&'static str>,
    /// Everything before the switch was committed as done.
    pub checked: bool,
    /// The active Service still leads to pods of another side than the one that it selects: the switch has not arrived.
    pub lags: bool,
}

impl<'a> View<'a> {
    /// Looks at the Services.
    pub fn new(ctx: &Context<'a>, bg: &BlueGreenStrategy) -> Self {
        let hash = |name: &str| {
            let service = ctx.observed.services.get(name);
            service.and_then(|s| services::selected_hash(s))
        };
        let active_hash = hash(&bg.active_service);
        let preview_hash = bg.preview_service.as_deref().and_then(hash);
        let active = ctx.all().find(|rs| Some(hash_of(rs)) == active_hash);
        let fast = if ctx.is_promoted_by_user() {
            Some("Full promotion requested")
        } else if ctx.stable.is_none() {
            Some("Initial deploy")
        } else if is_fast_rollback(ctx) {
            Some("Fast rollback")
        } else if revision::is_within_rollback_window(ctx) {
            Some("Rollback within window")
        } else {
            None
        };
        // What was done before an abort does not count for the retry, whose first pass this may be.
        let checked = ctx.status.aborted_at.is_none()
            && committed(ctx).is_some_and(|s| s.scale_up_preview_check_point == Some(true));
        let lags = ctx
            .all()
            .filter(|rs| Some(hash_of(rs)) != active_hash)
            .any(|rs| services::leads_to(ctx, &bg.active_service, rs));
        View {
            active_hash,
            preview_hash,
            active,
            fast,
            checked,
            lags,
        }
    }

    /// Whether the active Service selects the new ReplicaSet.
    pub fn is_switched(&self, ctx: &Context) -> bool {
        self.active_hash.is_some() && self.active_hash == ctx.new.map(hash_of)
    }

    /// Where production should be: at the stable side after an abort; at the new one once everything before the switch is
    /// done; else where it is. A Service that has lost its hash, or selects a ReplicaSet that is gone, gets that of stable.
    pub fn target(&self, ctx: &Context<'a>) -> Option<&'a ReplicaSet> {
        if ctx.goes_back() {
            ctx.stable
        } else if ctx.is_fully_promoted() || self.fast.is_some() || self.checked {
            ctx.new
        } else {
            self.active.or(ctx.stable)
        }
    }

    /// Whether a side has what it takes to carry what the active one carries: all pods; or, going back to stable, as many
    /// as the other has left, because a broken version is not better for being complete.
    ///
    /// A count that does not answer the last scaling yet, or counts pods that were told to go, is no capacity.
    ///
    /// Worked, 4 replicas: new 3 of 4 available: not yet. Stable 3 of 4, the active side 4 of 4: not yet. Stable 3 of 4,
    /// the active side crashing with 1 left: now. Nobody is active (the Service selects a ReplicaSet that is gone):
    /// stable with its first pod.
    pub fn can_carry(&self, ctx: &Context, side: &ReplicaSet) -> bool {
        let side_has = counts(Some(side));
        let has = side_has.countable();
        let carried = match (self.active, self.active_hash) {
            (Some(active), _) => i64::from(active.status.available_replicas),
            (None, Some(_)) => 0,
            // Every pod behind the Service still answers.
            (None, None) => ctx.replicas,
        };
        side_has.observed
            && (has >= ctx.replicas || (has > 0 && has >= carried && same(Some(side), ctx.stable)))
    }

    /// Whether production has to go back and cannot yet, because the stable side does not stand.
    pub fn awaits_stable(&self, ctx: &Context<'a>) -> bool {
        let behind = ctx.stable.filter(|rs| Some(hash_of(rs)) != self.active_hash);
        ctx.stable.is_some() && behind.is_some_and(|rs| !self.can_carry(ctx, rs))
    }

    /// Which analysis is asked for now, if any.
    pub fn wanted(&self, ctx: &Context, bg: &BlueGreenStrategy) -> Option<RunType> {
        let update = ctx.stable.is_some() && !ctx.is_fully_promoted() && !ctx.is_aborted();
        if !update || ctx.status.aborted_at.is_some() || self.fast.is_some() {
            return None;
        }
        let known = committed(ctx);
        if self.is_switched(ctx) {
            // What is measured before the switch has arrived tells of the old version.
            let begun = known.is_some_and(|s| s.post_promotion_analysis_run_status.is_some());
            let asked = bg.post_promotion_analysis.is_some() && (begun || !self.lags);
            return asked.then_some(RunType::PostPromotion);
        }
        let ready = is_saturated(ctx.new, preview_size(ctx, bg));
        let asked = bg.pre_promotion_analysis.is_some() && !self.checked;
        let begun = known.is_some_and(|s| s.pre_promotion_analysis_run_status.is_some());
        (asked && (ready || begun)).then_some(RunType::PrePromotion)
    }
}

pub(super) fn committed<'a>(ctx: &Context<'a>) -> Option<&'a BlueGreenStatus> {
    ctx.status.blue_green.as_ref()
}

/// Going back to a ReplicaSet that was stable and still stands in its delay: nothing has to be tested again.
fn is_fast_rollback(ctx: &Context) -> bool {
    ctx.new
        .is_some_and(|new| deadline(new).is_some() && !is_unfinished(new))
}

/// Whether the update to this ReplicaSet did not come to its end.
pub(crate) fn is_unfinished(rs: &ReplicaSet) -> bool {
    !observed::annotation(&rs.metadata, ABORTED).is_empty()
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
pub(crate) fn is_saturated(rs: Option<&ReplicaSet>, size: i64) -> bool {
    rs.is_some_and(|rs| {
        let counts = counts(Some(rs));
        counts.observed && counts.spec >= size && counts.available >= size
    })
}

/// Whether a verdict that nobody can give, a person must: an analysis was inconclusive.
pub(crate) fn is_inconclusive(ctx: &Context) -> bool {
    let inconclusive = PauseReason::InconclusiveAnalysisRun.as_str();
    ctx.status
        .pause_conditions
        .iter()
        .any(|p| p.reason == inconclusive)
}
