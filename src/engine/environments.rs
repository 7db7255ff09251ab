//! The two environments of blue-green: how many pods each ReplicaSet has, and when the old ones go
//! (wire contract 2.8: deadlines).

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::blue_green::view::{ABORTED, View, deadline, is_inconclusive, is_unfinished, preview_size};
use super::canary::push_patch;
use super::context::{Context, hash_of, same, spec_replicas};
use super::draft::{Draft, whole_second};
use super::observed;
use super::plan::{Intent, ReplicaSetPatch};
use super::revision::patch_of;
use super::services;
use crate::api::names::annotations;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::BlueGreenStrategy;

/// Seconds for which an old environment stays, where the spec says nothing.
const DELAY: i32 = 30;

/// Scales every ReplicaSet of a blue-green Rollout.
pub(crate) fn scale(ctx: &Context, bg: &BlueGreenStrategy, view: &View, draft: &mut Draft) {
    if let Some(stable) = ctx.stable.filter(|rs| !same(Some(rs), ctx.new)) {
        // Whatever happens, the stable side stands at full size: it is the way back.
        keep(ctx, stable, ctx.replicas, draft);
    }
    if let Some(new) = ctx.new {
        if ctx.goes_back() {
            leave_aborted(ctx, bg, view, new, draft);
        } else {
            keep(ctx, new, new_size(ctx, bg, view), draft);
        }
    }
    // A person has to speak first; or, where the spec has no delay of its own, the analysis after the switch.
    let pending = bg.scale_down_delay_seconds.is_none()
        && bg.post_promotion_analysis.is_some()
        && !ctx.is_fully_promoted()
        && !ctx.goes_back();
    let may_go = !pending && !is_inconclusive(ctx);
    let limit = bg
        .scale_down_delay_revision_limit
        .and_then(|n| usize::try_from(n).ok());
    let mut standing = 0;
    for rs in ctx.others.iter().copied() {
        if same(Some(rs), view.active) {
            // The version between, after whose switch another template came: it is production until that one is ready.
            keep(ctx, rs, ctx.replicas, draft);
            // The delay of its own begins when it is no longer.
            if deadline(rs).is_some() {
                annotate(
                    rs,
                    BTreeMap::from([(annotations::SCALE_DOWN_DEADLINE.to_owned(), None)]),
                    draft,
                );
            }
            continue;
        }
        if spec_replicas(rs) == 0 || is_served(ctx, view, rs) {
            continue;
        }
        standing += 1;
        if limit.is_some_and(|limit| standing > limit) {
            if may_go && !services::is_led_to(ctx, rs) {
                go(ctx, rs, draft);
            }
            continue;
        }
        let seconds = bg.scale_down_delay_seconds.unwrap_or(DELAY);
        if has_passed(rs, draft) {
            if may_go && !services::is_led_to(ctx, rs) {
                go(ctx, rs, draft);
            }
        } else if deadline(rs).is_none() {
            set_deadline(rs, seconds, BTreeMap::new(), draft);
        }
    }
}

/// The new side: as large as the preview asks for until everything before the switch is done. It is not made smaller
/// while production is still led to it.
fn new_size(ctx: &Context, bg: &BlueGreenStrategy, view: &View) -> i64 {
    let previewed = ctx.stable.is_some()
        && !ctx.is_fully_promoted()
        && !view.checked
        && view.fast.is_none()
        && !view.is_switched(ctx)
        && !ctx
            .new
            .is_some_and(|rs| services::leads_to(ctx, &bg.active_service, rs));
    if previewed {
        preview_size(ctx, bg)
    } else {
        ctx.replicas
    }
}

/// Keeps a side at this size. Its deadline goes when it is stable; that of a side which was given up once, and is wanted
/// again, goes with the mark of that, so that what follows is an update as any other.
fn keep(ctx: &Context, rs: &ReplicaSet, size: i64, draft: &mut Draft) {
    push_patch(ctx, rs, size, draft);
    let wanted = same(Some(rs), ctx.stable) || same(Some(rs), ctx.new);
    let mut changes = BTreeMap::new();
    if wanted && is_unfinished(rs) {
        changes.insert(ABORTED.to_owned(), None);
    }
    let home = same(Some(rs), ctx.stable) || (wanted && is_unfinished(rs));
    if home && deadline(rs).is_some() {
        changes.insert(annotations::SCALE_DOWN_DEADLINE.to_owned(), None);
    }
    if !changes.is_empty() {
        annotate(rs, changes, draft);
    }
}

/// Marks the ReplicaSet of an update that another template has overtaken: it was never promoted, so that going back to
/// it within its delay is no fast rollback.
pub(crate) fn forsake(ctx: &Context, draft: &mut Draft) {
    let before = ctx.status.current_pod_hash.as_deref().unwrap_or_default();
    if ctx.blue_green.is_none() || ctx.stable.is_none() || ctx.is_fully_promoted() {
        return;
    }
    // One that has a deadline without the mark was stable once, and was on its way to be it again.
    let overtaken = ctx.others.iter().find(|rs| {
        hash_of(rs) == before && spec_replicas(rs) > 0 && deadline(rs).is_none() && !is_unfinished(rs)
    });
    if let Some(rs) = overtaken {
        annotate(rs, BTreeMap::from([marked()]), draft);
    }
}

fn marked() -> (String, Option<String>) {
    (ABORTED.to_owned(), Some("true".to_owned()))
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

/// The new side of an aborted update stays for its delay, counted from when the stable side carries everything. While it
/// carries production itself, it is as large as that needs.
fn leave_aborted(ctx: &Context, bg: &BlueGreenStrategy, view: &View, new: &ReplicaSet, draft: &mut Draft) {
    let size = spec_replicas(new);
    if view.is_switched(ctx) {
        push_patch(ctx, new, ctx.replicas, draft);
        return;
    }
    if size == 0 {
        return;
    }
    let stable_carries = ctx
        .stable
        .is_some_and(|rs| i64::from(rs.status.available_replicas) >= ctx.replicas);
    let seconds = bg.abort_scale_down_delay_seconds.unwrap_or(DELAY);
    // 0 is never.
    if !stable_carries || seconds == 0 {
        push_patch(ctx, new, size, draft);
    } else if deadline(new).is_none() || !is_unfinished(new) {
        set_deadline(new, seconds, BTreeMap::from([marked()]), draft);
    } else if has_passed(new, draft) && !services::leads_to(ctx, &bg.active_service, new) {
        // The preview Service stays with it, and leads to nobody then.
        go(ctx, new, draft);
    }
}

/// Lets a ReplicaSet go in so many seconds.
fn set_deadline(
    rs: &ReplicaSet,
    seconds: i32,
    mut changes: BTreeMap<String, Option<String>>,
    draft: &mut Draft,
) {
    let delay = SignedDuration::from_secs(i64::from(seconds.max(0)));
    let at = draft.now.checked_add(delay).unwrap_or(draft.now);
    let key = annotations::SCALE_DOWN_DEADLINE.to_owned();
    changes.insert(key, Some(whole_second(at).0.to_string()));
    annotate(rs, changes, draft);
    // Without a delay the pass that this write leads to comes soon enough.
    if at > draft.now {
        draft.wake_at(at);
    }
}

/// Whether the ReplicaSet has a deadline, and it is over. Asks to look again when it will be.
fn has_passed(rs: &ReplicaSet, draft: &mut Draft) -> bool {
    let Some(deadline) = deadline(rs) else {
        return false;
    };
    if draft.now < deadline {
        draft.wake_at(deadline);
        return false;
    }
    true
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

/// Whether a Service of this Rollout selects the ReplicaSet.
fn is_served(ctx: &Context, view: &View, rs: &ReplicaSet) -> bool {
    let hash = Some(hash_of(rs));
    let committed = ctx.status.blue_green.as_ref();
    let told = |hash: &Option<String>| hash.as_deref() == Some(hash_of(rs));
    view.active_hash == hash
        || view.preview_hash == hash
        || committed.is_some_and(|s| told(&s.active_selector) || told(&s.preview_selector))
}
