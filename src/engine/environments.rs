//! The two environments of blue-green: how many pods each ReplicaSet has, and when the old ones go
//! (wire contract 2.8: deadlines).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::blue_green::{ABORTED, View, deadline, is, preview_size};
use super::canary::push_patch;
use super::context::{Context, hash_of, spec_replicas};
use super::draft::{Draft, whole_second};
use super::observed;
use super::plan::{Intent, ReplicaSetPatch};
use super::revision::patch_of;
use crate::api::names::{PauseReason, annotations};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::BlueGreenStrategy;

/// Seconds for which an old environment stays, where the spec says nothing.
const DELAY: i32 = 30;

/// Scales every ReplicaSet of a blue-green Rollout.
pub(crate) fn scale(ctx: &Context, bg: &BlueGreenStrategy, view: &View, draft: &mut Draft) {
    let aborted = ctx.is_aborted() && !ctx.is_fully_promoted();
    if let Some(stable) = ctx.stable.filter(|rs| !is(rs, ctx.new)) {
        // Whatever happens, the stable side stands at full size: it is the way back.
        keep(ctx, stable, ctx.replicas, draft);
    }
    if let Some(new) = ctx.new {
        if aborted && ctx.stable.is_some() {
            leave_aborted(ctx, bg, view, new, draft);
        } else {
            keep(ctx, new, new_size(ctx, bg, view), draft);
        }
    }
    let inconclusive = PauseReason::InconclusiveAnalysisRun.as_str();
    if ctx
        .status
        .pause_conditions
        .iter()
        .any(|p| p.reason == inconclusive)
    {
        return;
    }
    // Without a delay of its own, what was active before stays until the analysis after the switch has spoken.
    let pending = bg.scale_down_delay_seconds.is_none()
        && bg.post_promotion_analysis.is_some()
        && !ctx.is_fully_promoted()
        && !aborted;
    let limit = bg
        .scale_down_delay_revision_limit
        .and_then(|n| usize::try_from(n).ok());
    let mut standing = 0;
    for rs in &ctx.others {
        if spec_replicas(rs) == 0 || is_served(ctx, view, rs) {
            continue;
        }
        standing += 1;
        if limit.is_some_and(|limit| standing > limit) && !has_endpoints(ctx, rs) {
            go(ctx, rs, draft);
        } else if !pending {
            leave(
                ctx,
                rs,
                bg.scale_down_delay_seconds.unwrap_or(DELAY),
                false,
                draft,
            );
        }
    }
}

/// The new side: as large as the preview asks for until everything before the switch is done.
fn new_size(ctx: &Context, bg: &BlueGreenStrategy, view: &View) -> i64 {
    let previewed = ctx.stable.is_some()
        && !ctx.is_fully_promoted()
        && !view.checked
        && view.fast.is_none()
        && !view.is_switched(ctx);
    if previewed {
        preview_size(ctx, bg)
    } else {
        ctx.replicas
    }
}

/// Keeps a side at this size. Its deadline goes when it is at home: stable, or switched to.
fn keep(ctx: &Context, rs: &ReplicaSet, size: i64, draft: &mut Draft) {
    push_patch(ctx, rs, size, draft);
    let home = is(rs, ctx.stable) || observed::annotation(&rs.metadata, ABORTED) == "true";
    if deadline(rs).is_some() && home {
        let mut changes = BTreeMap::new();
        changes.insert(annotations::SCALE_DOWN_DEADLINE.to_owned(), None);
        if !observed::annotation(&rs.metadata, ABORTED).is_empty() {
            changes.insert(ABORTED.to_owned(), None);
        }
        annotate(rs, changes, draft);
    }
}

/// Changes annotations, in the same call as a scaling of the same ReplicaSet where there is one.
fn annotate(rs: &ReplicaSet, changes: BTreeMap<String, Option<String>>, draft: &mut Draft) {
    let name = observed::name(&rs.metadata);
    for intent in &mut draft.intents {
        if let Intent::PatchReplicaSet(patch) = intent
            && patch.name == name
        {
            patch.annotations.extend(changes);
            return;
        }
    }
    draft.intents.push(Intent::PatchReplicaSet(ReplicaSetPatch {
        annotations: changes,
        ..patch_of(rs)
    }));
}

/// The new side of an aborted update stays for its delay, counted from when the stable side carries everything.
fn leave_aborted(ctx: &Context, bg: &BlueGreenStrategy, view: &View, new: &ReplicaSet, draft: &mut Draft) {
    let stable_carries = ctx
        .stable
        .is_some_and(|rs| i64::from(rs.status.available_replicas) >= ctx.replicas);
    if spec_replicas(new) == 0 {
        return;
    }
    if view.is_switched(ctx) || !stable_carries {
        push_patch(ctx, new, spec_replicas(new), draft);
        return;
    }
    match bg.abort_scale_down_delay_seconds.unwrap_or(DELAY) {
        // Never.
        0 => push_patch(ctx, new, spec_replicas(new), draft),
        seconds => leave(ctx, new, seconds, true, draft),
    }
}

/// Gives a ReplicaSet its deadline, or lets it go when that has passed and nobody is led to it any more.
fn leave(ctx: &Context, rs: &ReplicaSet, seconds: i32, aborted: bool, draft: &mut Draft) {
    let now = draft.now;
    let Some(deadline) = deadline(rs) else {
        let at = now
            .checked_add(SignedDuration::from_secs(i64::from(seconds.max(0))))
            .unwrap_or(now);
        let mut changes = BTreeMap::new();
        changes.insert(annotations::SCALE_DOWN_DEADLINE.to_owned(), Some(text(at)));
        if aborted {
            changes.insert(ABORTED.to_owned(), Some("true".to_owned()));
        }
        annotate(rs, changes, draft);
        draft.wake_at(at);
        return;
    };
    if now < deadline {
        draft.wake_at(deadline);
    } else if !has_endpoints(ctx, rs) {
        go(ctx, rs, draft);
    }
}

/// To no pods, without a deadline.
fn go(ctx: &Context, rs: &ReplicaSet, draft: &mut Draft) {
    push_patch(ctx, rs, 0, draft);
    let mut changes = BTreeMap::new();
    for key in [annotations::SCALE_DOWN_DEADLINE, ABORTED] {
        if !observed::annotation(&rs.metadata, key).is_empty() {
            changes.insert(key.to_owned(), None);
        }
    }
    if !changes.is_empty() {
        annotate(rs, changes, draft);
    }
}

/// RFC 3339 in UTC with whole seconds.
fn text(at: Timestamp) -> String {
    whole_second(at).0.to_string()
}

/// Whether a Service of this Rollout selects the ReplicaSet.
fn is_served(ctx: &Context, view: &View, rs: &ReplicaSet) -> bool {
    let hash = Some(hash_of(rs));
    let committed = ctx.status.blue_green.as_ref();
    let told = |hash: &Option<String>| hash.as_deref() == Some(hash_of(rs));
    view.active_hash == hash
        || view.preview_hash == hash
        || committed.is_some_and(|s| told(&s.active_selector) || told(&s.preview_selector))
}

/// Whether a Service of this Rollout still leads to a pod of the ReplicaSet: the switch has not arrived everywhere.
fn has_endpoints(ctx: &Context, rs: &ReplicaSet) -> bool {
    let prefix = format!("{}-", observed::name(&rs.metadata));
    ctx.observed
        .endpoints
        .values()
        .flatten()
        .any(|pod| pod.starts_with(&prefix))
}
