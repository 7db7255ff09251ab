//! Restarting pods: `spec.restartAt` (wire contract 2.13). Pods that were created before it are evicted, as many at a time
//! as availability allows; PodDisruptionBudgets have their say with each.

use jiff::{SignedDuration, Timestamp};

use super::context::{self, Context};
use super::draft::Draft;
use super::observed;
use super::plan::Intent;
use super::pods;
use super::replicas::Counts;
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{Rollout, RolloutStatus};

/// How long until pods that were asked to go are looked at again when nothing is heard of them: a budget that says no does
/// not say when it says yes.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Whether a restart is asked for that is not through.
pub fn is_wanted(rollout: &Rollout) -> bool {
    pending(rollout, context::committed(rollout)).is_some()
}

/// The moment before which pods must not have been created, while a restart is not through.
fn pending(rollout: &Rollout, status: &RolloutStatus) -> Option<Timestamp> {
    let at = rollout.spec.restart_at.as_ref()?;
    (status.restarted_at.as_ref() != Some(at)).then_some(at.0)
}

/// Evicts as many old pods as may be missing, or notes that none is left.
///
/// Of the stable ReplicaSet first, then of the new one, then of the others; within one, the oldest first. Pods that are not
/// ready carry nothing and go freely: a revision that crashes can always be restarted.
pub(crate) fn reconcile(ctx: &Context, draft: &mut Draft) {
    let Some(at) = pending(ctx.rollout, &draft.status) else {
        return;
    };
    if draft.now < at {
        draft.wake_at(at);
        return;
    }
    if in_order(ctx).iter().all(|rs| old_pods_of(ctx, rs, at).is_empty()) {
        draft.status.restarted_at.clone_from(&ctx.spec.restart_at);
        return;
    }
    let mut shared = budget(ctx, &in_order(ctx), ctx.replicas, draft.now);
    for rs in in_order(ctx) {
        // Under blue-green each side answers for itself: what the preview has is nothing to production.
        let mut own = budget(ctx, &[rs], context::spec_replicas(rs), draft.now);
        let budget = if ctx.blue_green.is_some() {
            &mut own
        } else {
            &mut shared
        };
        for pod in old_pods_of(ctx, rs, at).into_iter().filter(|pod| !pod.is_going()) {
            if pod.is_ready() {
                if *budget <= 0 {
                    continue;
                }
                *budget -= 1;
            }
            draft.intents.push(Intent::EvictPod {
                name: observed::name(&pod.metadata).to_owned(),
                uid: observed::uid(&pod.metadata).to_owned(),
                resource_version: pod.metadata.resource_version.clone().unwrap_or_default(),
            });
        }
    }
    // Where no pod may go, a change of the counts says when one may; but nobody tells of a budget that says yes by now, nor
    // of pods that catch up with the counts.
    if !draft.intents.is_empty() || lags(ctx) {
        draft.wake_at(draft.now.checked_add(AGAIN).unwrap_or(draft.now));
    }
    for rs in ctx.all() {
        let pods = pods::of(ctx.observed, rs).iter();
        let coming = pods
            .filter_map(|pod| available_at(pod, rs))
            .filter(|at| *at > draft.now);
        if let Some(at) = coming.min() {
            draft.wake_at(at);
        }
    }
}

/// The counts of a ReplicaSet for those who scale it. While pods are being evicted, the ReplicaSet may still count one as
/// available that was told to go: then as many are as the pods themselves say.
///
/// Worked: 5 replicas, 2 may be missing, 2 new and 3 old pods available; both new ones have just been evicted, and the
/// counters say 2 still. By those an old pod could go, which would leave 2 of 5; by the pods none can.
pub(crate) fn counts(ctx: &Context, rs: Option<&ReplicaSet>) -> Counts {
    let counts = context::counts(rs);
    let Some(rs) = rs.filter(|_| is_wanted(ctx.rollout)) else {
        return counts;
    };
    let staying = pods::of(ctx.observed, rs)
        .iter()
        .filter(|pod| pod.is_ready() && !pod.is_going());
    let staying = i64::try_from(staying.count()).unwrap_or(i64::MAX);
    Counts {
        available: counts.available.min(staying),
        ..counts
    }
}

/// Whether the counters of the ReplicaSets and their pods tell different things: one of the two is late.
fn lags(ctx: &Context) -> bool {
    ctx.all().any(|rs| {
        let ready = pods::of(ctx.observed, rs).iter().filter(|pod| pod.is_ready());
        i64::try_from(ready.count()) != Ok(i64::from(rs.status.ready_replicas))
    })
}

/// The ReplicaSets in the order in which their pods go.
fn in_order<'a>(ctx: &Context<'a>) -> Vec<&'a ReplicaSet> {
    let new = ctx.new.filter(|_| !context::same(ctx.new, ctx.stable));
    let arms = ctx.stable.into_iter().chain(new);
    arms.chain(ctx.others.iter().copied()).collect()
}

/// The pods of a ReplicaSet that were created before `at`, those on their way out included, the oldest first.
fn old_pods_of<'a>(ctx: &Context<'a>, rs: &ReplicaSet, at: Timestamp) -> Vec<&'a Pod> {
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let ended = |pod: &Pod| ["Succeeded", "Failed"].contains(&pod.phase.as_str());
    let mut old: Vec<&Pod> = pods::of(ctx.observed, rs)
        .iter()
        .map(AsRef::as_ref)
        .filter(|pod| created(pod).is_some_and(|created| created < at) && !ended(pod))
        .collect();
    old.sort_by(|a, b| (created(a), &a.metadata.name).cmp(&(created(b), &b.metadata.name)));
    old
}

/// How many ready pods of these ReplicaSets, which should be `size` together, may go now:
/// `available - (max(size, total) - max(1, maxUnavailable))`. Available is what both the ReplicaSets' counters and the pods
/// themselves say, for either may lag.
///
/// Worked: 10 replicas, maxUnavailable 25 % (2), 10 of 10 available: 10 - (10 - 2) = 2. One of them is on its way out:
/// 9 - 8 = 1. With a surge there are 12, all available: 12 - (12 - 2) = 2. maxUnavailable 0 counts as 1.
fn budget(ctx: &Context, all: &[&ReplicaSet], size: i64, now: Timestamp) -> i64 {
    // Of a ReplicaSet that shrinks, pods still count that were told to go.
    let counted: i64 = all
        .iter()
        .map(|rs| i64::from(rs.status.available_replicas).min(context::spec_replicas(rs)))
        .sum();
    let seen = all
        .iter()
        .map(|rs| {
            let all = pods::of(ctx.observed, rs).iter();
            all.filter(|pod| available_at(pod, rs).is_some_and(|at| at <= now))
                .count()
        })
        .sum::<usize>();
    let available = counted.min(i64::try_from(seen).unwrap_or(i64::MAX));
    let total: i64 = all.iter().map(|rs| i64::from(rs.status.replicas)).sum();
    available - (size.max(total) - ctx.limits.unavailable.max(1))
}

/// When the pod will have been ready for `minReadySeconds`, if it is ready: the replacement of one that went may be seen
/// before the counts show that it went.
fn available_at(pod: &Pod, rs: &ReplicaSet) -> Option<Timestamp> {
    let wait = SignedDuration::from_secs(i64::from(rs.spec.min_ready_seconds.unwrap_or(0).max(0)));
    let ready = pod.ready.as_ref().filter(|_| pod.is_ready())?;
    match &ready.since {
        Some(since) => since.0.checked_add(wait).ok(),
        None => Some(Timestamp::MIN),
    }
}

/// How far a restart is, for `status.message`; nothing where none is under way.
pub(crate) fn describe(ctx: &Context, status: &RolloutStatus, now: Timestamp) -> Option<String> {
    let at = pending(ctx.rollout, status)?;
    if now < at {
        return Some(format!("pods restart at {at}"));
    }
    let left: usize = in_order(ctx)
        .iter()
        .map(|rs| old_pods_of(ctx, rs, at).len())
        .sum();
    Some(format!("{left} pods that were created before {at} are left"))
}

#[cfg(test)]
mod tests;
