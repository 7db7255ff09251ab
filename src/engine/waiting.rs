//! What a rollout that is under way waits for, and what ends the wait: the words after the contract's own.

use super::context::{self, Context};
use super::draft::{Draft, find_condition};
use super::observed::{self, RefusalKind};
use super::pods;
use super::{blue_green, restart, services, steps};
use crate::api::names::conditions::{REPLICA_FAILURE, TRUE};
use crate::api::rollout::RolloutStatus;

/// The longest message, in characters: the status is no place for a log.
pub(crate) const LONGEST: usize = 290;

/// The message by rules 5 to 11 of the contract (2.5); `None` when there is nothing left to wait for.
pub(crate) fn what(ctx: &Context, draft: &Draft) -> Option<String> {
    let status = &draft.status;
    let count = |n: Option<i32>| i64::from(n.unwrap_or(0));
    let (total, updated, available) = (
        count(status.replicas),
        count(status.updated_replicas),
        count(status.available_replicas),
    );
    let replicas = ctx.replicas;
    let (rule, how_far) = if let Some(progress) = restart::describe(ctx, status, draft.now) {
        ("rollout is restarting", Some(progress))
    } else if updated < replicas {
        (
            "more replicas need to be updated",
            Some(format!("{updated} of {replicas} updated")),
        )
    } else if available < updated {
        let text = format!("{available} of {updated} available");
        ("updated replicas are still becoming available", Some(text))
    } else if ctx.blue_green.is_some() {
        (blue_green_rule(status)?, blue_green_progress(ctx, status))
    } else if total > updated {
        let old = total - updated;
        (
            "old replicas are pending termination",
            Some(match services::canary::still_leading(ctx) {
                Some(service) => format!("{old} left, Service {service} still leads to them"),
                None => format!("{old} left"),
            }),
        )
    } else if status.stable_rs.is_none() || status.stable_rs != status.current_pod_hash {
        ("waiting for all steps to complete", None)
    } else {
        return None;
    };
    let parts: Vec<String> = how_far
        .into_iter()
        .chain(step(ctx, draft))
        .chain(obstacle(ctx, draft))
        .collect();
    if parts.is_empty() {
        return Some(rule.to_owned());
    }
    Some(pods::shortened(&format!("{rule}: {}", parts.join(", ")), LONGEST))
}

/// Rules 8 and 9, which are those of blue-green.
fn blue_green_rule(status: &RolloutStatus) -> Option<&'static str> {
    let current = status.current_pod_hash.as_deref();
    let own = status.blue_green.as_ref();
    let active = own.and_then(|s| s.active_selector.as_deref());
    if active.is_none() || active != current {
        Some("active service cutover pending")
    } else if status.stable_rs.as_deref() == current {
        None
    } else if own.is_some_and(|s| s.post_promotion_analysis_run_status.is_some()) {
        Some("waiting for analysis to complete")
    } else {
        Some("waiting for post-promotion verification to complete")
    }
}

/// What ends the wait of blue-green: an analysis, or pods of the new version.
fn blue_green_progress(ctx: &Context, status: &RolloutStatus) -> Option<String> {
    if let Some(run) = blue_green::running_analysis(status) {
        return Some(format!("analysis {} is {}", run.name, run.status));
    }
    let (new, replicas) = (context::counts(ctx.new), ctx.replicas);
    let has = new.available;
    (has < replicas).then(|| format!("{has} of {replicas} new pods available"))
}

/// The step that the cursor stands on, with its analysis.
fn step(ctx: &Context, draft: &Draft) -> Option<String> {
    let status = &draft.status;
    if ctx.stable.is_none()
        || status.stable_rs == status.current_pod_hash
        || status.promote_full == Some(true)
    {
        return None;
    }
    let (index, step) = steps::under(ctx, status)?;
    let run = status
        .canary
        .as_ref()
        .and_then(|c| c.current_step_analysis_run_status.as_ref());
    let what = match run.filter(|_| step.analysis.is_some()) {
        Some(run) => format!("analysis {} is {}", run.name, run.status),
        None => steps::describe(step),
    };
    Some(steps::place(ctx, index, &what))
}

/// What stands in the way: a ReplicaSet or pods that cannot be made, or the oldest pod that cannot start; those of the new
/// revision first.
/// A pod that merely takes its time is not named: names that come and go would only make noise.
pub(crate) fn obstacle(ctx: &Context, draft: &Draft) -> Option<String> {
    let denied = ctx.observed.refusal.as_ref().filter(|refusal| {
        refusal.kind == RefusalKind::Denied && refusal.pod_hash == ctx.observed.identity.pod_hash
    });
    if let Some(refusal) = denied.filter(|_| ctx.new.is_none()) {
        return Some(format!(
            "waiting for a ReplicaSet that cannot be made ({})",
            refusal.message
        ));
    }
    if let Some(failure) = find_condition(&draft.status, REPLICA_FAILURE).filter(|c| c.status == TRUE) {
        return Some(format!(
            "waiting for pods that cannot be made ({})",
            failure.message
        ));
    }
    let new = ctx.new.into_iter();
    let rest = ctx.all().filter(|rs| !context::same(Some(rs), ctx.new));
    let (pod, trouble) = new.chain(rest).find_map(|rs| {
        let pods = pods::of(ctx.observed, rs).iter();
        pods::oldest_in_trouble(pods.filter(|pod| !pod.is_ready()))
    })?;
    Some(format!(
        "waiting for pod {} to become ready ({})",
        observed::name(&pod.metadata),
        trouble.text
    ))
}

#[cfg(test)]
mod tests;
