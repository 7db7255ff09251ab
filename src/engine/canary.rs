//! The canary without a router: the ratio of pods is the weight.
//!
//! Intents follow from the committed status alone; what this pass decides (a step done, a pause, a promotion) only
//! changes the status that it asks to commit, and is acted on by the next pass.

use std::collections::BTreeMap;

use super::blue_green::view::is_inconclusive;
use super::context::{self, Context, counts, hash_of};
use super::draft::Draft;
use super::observed;
use super::plan::{Intent, Notice, ReplicaSetPatch};
use super::replicas::{self, Arms, Counts, FULL_WEIGHT, Pair, Scaled};
use super::revision::{self, patch_of};
use super::{anti_affinity, ephemeral, fail_fast, restart, runs, services, steps};
use crate::api::names::{annotations, events};
use crate::api::replica_set::ReplicaSet;

/// The pass of a canary whose new ReplicaSet exists and is committed as the current one.
pub(crate) fn reconcile(ctx: &Context, draft: &mut Draft) {
    let verdict = runs::reconcile(ctx, draft);
    if let Some(cause) = verdict.abort.or_else(|| fail_fast::verdict(ctx, draft)) {
        draft.abort(new_revision(ctx), Some(&cause));
        return;
    }
    services::canary::point(ctx, draft);
    ephemeral::templates(ctx, draft);
    anti_affinity::reconcile(ctx, draft);
    scale(ctx, draft);
    ephemeral::living_pods(ctx, draft);
    // While ReplicaSets are scaled, their counts say nothing of how many pods may be missing. A restart waits for that, and
    // never the other way round: evictions may be refused for ever.
    if draft.intents.is_empty() {
        restart::reconcile(ctx, draft);
    }
    steps::advance(ctx, verdict.step_done, draft);
}

/// The revision of the new ReplicaSet.
pub(crate) fn new_revision(ctx: &Context) -> i64 {
    ctx.new.map_or(0, |rs| observed::revision(&rs.metadata)).max(1)
}

/// The weight that the committed status asks for (wire contract 2.7).
pub(crate) fn desired_weight(ctx: &Context) -> i64 {
    if ctx.is_promoted_by_user() || ctx.stable.is_none() || ctx.is_fully_promoted() {
        return FULL_WEIGHT;
    }
    if ctx.is_aborted() {
        return 0;
    }
    weight_at(ctx, ctx.step_index())
}

/// The last `setWeight` at or before the step; none yet is 0, and beyond the last step, or without steps, everything.
fn weight_at(ctx: &Context, index: Option<usize>) -> i64 {
    let steps = ctx.steps();
    match index {
        Some(index) if index < steps.len() => {
            let last = steps[..=index].iter().rev().find_map(|s| s.set_weight);
            last.map_or(0, i64::from)
        }
        Some(_) | None => FULL_WEIGHT,
    }
}

/// How many pods each side should have for the committed weight.
pub(crate) fn desired_pair(ctx: &Context) -> Pair {
    if ctx.stable.is_none() || context::same(ctx.new, ctx.stable) {
        return Pair {
            canary: ctx.replicas,
            stable: 0,
        };
    }
    replicas::approximate(ctx.replicas, desired_weight(ctx), FULL_WEIGHT, ctx.limits.surge)
}

/// Whether the ratio stands: the user holds it, or an analysis came to no verdict, and until a person has resolved it no more
/// pods get the new version. Neither is in the way of going back, nor of a full promotion.
fn stands(ctx: &Context) -> bool {
    let in_doubt = is_inconclusive(ctx) && !ctx.goes_back() && !ctx.is_promoted_by_user();
    ctx.is_held() || in_doubt
}

/// Where the ratio stands: the new pods stay as many as they are, and only a change of the replicas is followed.
fn held_pair(ctx: &Context) -> Pair {
    let canary = ctx.new.map_or(0, context::spec_replicas);
    if context::same(ctx.new, ctx.stable) {
        return Pair {
            canary: ctx.replicas,
            stable: 0,
        };
    }
    let canary = canary.min(ctx.replicas);
    let stable = if ctx.stable.is_some() {
        ctx.replicas - canary
    } else {
        0
    };
    Pair { canary, stable }
}

/// How many pods each side should have now.
pub(crate) fn wanted_pair(ctx: &Context) -> Pair {
    if stands(ctx) {
        held_pair(ctx)
    } else {
        desired_pair(ctx)
    }
}

/// The arithmetic's view of this Rollout.
fn arms(ctx: &Context) -> Arms {
    let stable = ctx.stable.filter(|_| !context::same(ctx.new, ctx.stable));
    Arms {
        replicas: ctx.replicas,
        limits: ctx.limits,
        want: wanted_pair(ctx),
        canary: restart::counts(ctx, ctx.new),
        stable: restart::counts(ctx, stable),
        older: ctx
            .others
            .iter()
            .map(|rs| restart::counts(ctx, Some(rs)))
            .collect(),
    }
}

fn scale(ctx: &Context, draft: &mut Draft) {
    let arms = arms(ctx);
    // The ratio may stand, but never the number: what an autoscaler asks for is followed.
    if stands(ctx) && !is_scaling_event(ctx) && arms.older.iter().all(|c| c.spec == 0) {
        if let Some(new) = ctx.new {
            push_patch(ctx, new, context::spec_replicas(new), draft);
        }
        return;
    }
    let Scaled {
        canary,
        stable,
        older,
    } = replicas::scale(&arms);
    let stable_rs = ctx.stable.filter(|_| !context::same(ctx.new, ctx.stable));
    let targets = [(stable_rs, stable), (ctx.new, canary)];
    let targets = targets.into_iter().filter_map(|(rs, to)| Some((rs?, to)));
    for (rs, to) in targets.chain(ctx.others.iter().copied().zip(older)) {
        let to = if to == 0 {
            services::canary::kept(ctx, rs)
        } else {
            to
        };
        push_patch(ctx, rs, to, draft);
    }
}

/// Whether the replicas changed since the ReplicaSets were last scaled, or a pass of that is not through.
fn is_scaling_event(ctx: &Context) -> bool {
    let arms = [ctx.new, ctx.stable];
    let total: i64 = ctx.all().map(context::spec_replicas).sum();
    arms.into_iter()
        .flatten()
        .any(|rs| context::spec_replicas(rs) > 0 && !is_annotated(ctx, rs))
        || (ctx.stable.is_some() && !(ctx.replicas..=ctx.replicas + ctx.limits.surge).contains(&total))
}

fn is_annotated(ctx: &Context, rs: &ReplicaSet) -> bool {
    observed::annotation(&rs.metadata, annotations::DESIRED_REPLICAS) == ctx.replicas.to_string()
}

/// Scales a ReplicaSet, together with whatever else of it is out of date: one call.
pub(crate) fn push_patch(ctx: &Context, rs: &ReplicaSet, to: i64, draft: &mut Draft) {
    let from = context::spec_replicas(rs);
    let is_arm = context::same(Some(rs), ctx.new) || context::same(Some(rs), ctx.stable);
    let scales = to != from;
    let ready = ctx.spec.min_ready_seconds.unwrap_or(0).max(0);
    let min_ready_seconds = (is_arm && rs.spec.min_ready_seconds.unwrap_or(0) != ready).then_some(ready);
    let renumber = (scales || (is_arm && (from > 0 || to > 0))) && !is_annotated(ctx, rs);
    let is_new = context::same(Some(rs), ctx.new);
    let outdated = if is_new {
        revision::outdated_annotations(ctx, rs)
    } else {
        BTreeMap::new()
    };
    if !scales && !renumber && min_ready_seconds.is_none() && outdated.is_empty() {
        return;
    }
    let mut patch = ReplicaSetPatch {
        min_ready_seconds,
        annotations: outdated,
        ..patch_of(rs)
    };
    if renumber {
        let key = annotations::DESIRED_REPLICAS.to_owned();
        patch.annotations.insert(key, Some(ctx.replicas.to_string()));
    }
    if scales {
        let size = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        patch.scale = Some((size(from), size(to)));
        let way = if to > from { "up" } else { "down" };
        let name = &patch.name;
        let revision = observed::revision(&rs.metadata);
        patch.notices.push(Notice::normal(
            events::SCALING_REPLICA_SET,
            format!("Scaled {way} ReplicaSet {name} (revision {revision}) from {from} to {to}"),
        ));
    }
    draft.intents.push(Intent::PatchReplicaSet(patch));
}

/// Whether the pods are as the committed weight asks (wire contract 2.7): canary pods available, stable pods created
/// (ready or not: a stable that was broken before must not hold the fix), no older pod available.
pub(crate) fn is_scaled(ctx: &Context) -> bool {
    let want = desired_pair(ctx);
    let canary = counts(ctx.new);
    let stable_rs = ctx.stable.filter(|_| !context::same(ctx.new, ctx.stable));
    let stable = counts(stable_rs);
    canary_reached(ctx, &canary, want.canary)
        && stable.observed
        && stable.spec == want.stable
        && stable.created == want.stable
        && ctx.others.iter().all(|rs| rs.status.available_replicas == 0)
}

/// All canary pods are available; or as many as `replicaProgressThreshold` asks for.
fn canary_reached(ctx: &Context, canary: &Counts, want: i64) -> bool {
    if !canary.observed || canary.spec != want {
        return false;
    }
    let Some(threshold) = &ctx.canary.replica_progress_threshold else {
        return canary.available == want;
    };
    let value = i64::from(threshold.value);
    if threshold.type_ == crate::api::names::ThresholdType::Pods.as_str() {
        canary.available >= value.min(want)
    } else {
        canary.available * 100 >= want * value
    }
}

/// Why the new revision becomes the stable one now; `None` while it does not. The committed cursor decides: in the pass
/// that completes the last step the old pods have not been told to go yet, and clients expect that (ScalingReplicaSet)
/// before the completion (RolloutCompleted).
pub(crate) fn promotion(ctx: &Context) -> Option<String> {
    let canary = counts(ctx.new);
    if !canary.observed || canary.available < ctx.replicas || ctx.is_aborted() {
        return None;
    }
    if ctx.stable.is_none() {
        return Some("Initial deploy".to_owned());
    }
    if ctx.is_promoted_by_user() {
        return Some("Full promotion requested".to_owned());
    }
    if revision::is_within_rollback_window(ctx) {
        return Some("Rollback within window".to_owned());
    }
    let total = ctx.steps().len();
    let done = ctx.step_index().is_none_or(|index| index >= total);
    done.then(|| format!("Completed all {total} canary steps"))
}

/// The hash of the new ReplicaSet.
pub(crate) fn new_hash<'a>(ctx: &Context<'a>) -> &'a str {
    ctx.new.map_or("", hash_of)
}

#[cfg(test)]
mod tests;
