//! Giving up early: `failFast` of either strategy. New pods that cannot start say so long before the progress deadline.
//!
//! Serin's own, and off unless set.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::context::Context;
use super::draft::{Draft, whole_second};
use super::pods;
use crate::api::rollout::FailFast;

/// The number of failing pods that is too many, where the spec leaves it out.
const FAILING_PODS: i32 = 1;
/// Seconds for which they may be failing, where the spec leaves it out.
const GRACE_SECONDS: i32 = 60;

/// Why the update is to be aborted; `None` while it is not.
///
/// Since when too many new pods fail is in the status, so that it survives this process and the replacement of the pods.
/// A pod counts until it has been ready for as long as the grace: one that crashes is up for moments in between.
///
/// Worked: `failingPods: 2, graceSeconds: 60`. At 10:00:00 a first pod fails, at 10:00:10 a second: the clock starts, and
/// at 10:01:10 the update is aborted, if two fail still.
pub(crate) fn verdict(ctx: &Context, draft: &mut Draft) -> Option<String> {
    let settings = ctx.fail_fast().filter(|_| is_watched(ctx));
    let failing = settings.and_then(|settings| failing(ctx, settings, draft));
    let (Some(settings), Some(failing)) = (settings, failing) else {
        set_since(ctx, None, draft);
        return None;
    };
    let since = since(ctx, draft).unwrap_or_else(|| whole_second(draft.now));
    let end = since.0.checked_add(grace(settings)).unwrap_or(since.0);
    if draft.now < end {
        set_since(ctx, Some(since), draft);
        draft.wake_at(end);
        return None;
    }
    set_since(ctx, None, draft);
    Some(failing)
}

/// Since when too many pods fail, as the status tells it.
fn since(ctx: &Context, draft: &Draft) -> Option<Time> {
    let status = &draft.status;
    match ctx.blue_green {
        Some(_) => status.blue_green.as_ref()?.pods_failing_since.clone(),
        None => status.canary.as_ref()?.pods_failing_since.clone(),
    }
}

fn set_since(ctx: &Context, since: Option<Time>, draft: &mut Draft) {
    let status = &mut draft.status;
    match ctx.blue_green {
        Some(_) if since.is_some() => {
            status.blue_green.get_or_insert_default().pods_failing_since = since;
        }
        Some(_) => {
            if let Some(blue_green) = &mut status.blue_green {
                blue_green.pods_failing_since = None;
            }
        }
        None if since.is_some() => status.canary.get_or_insert_default().pods_failing_since = since,
        None => {
            if let Some(canary) = &mut status.canary {
                canary.pods_failing_since = None;
            }
        }
    }
}

/// Only while there is a stable revision to go back to. A user who promotes in full asked to wait for nothing.
fn is_watched(ctx: &Context) -> bool {
    ctx.stable.is_some()
        && !ctx.is_fully_promoted()
        && !ctx.is_aborted()
        && ctx.status.aborted_at.is_none()
        && ctx.status.promote_full != Some(true)
}

fn grace(settings: &FailFast) -> SignedDuration {
    SignedDuration::from_secs(i64::from(settings.grace_seconds.unwrap_or(GRACE_SECONDS).max(0)))
}

/// How many new pods fail, and the oldest of them with its trouble; `None` where they are few enough.
fn failing(ctx: &Context, settings: &FailFast, draft: &mut Draft) -> Option<String> {
    let most = usize::try_from(settings.failing_pods.unwrap_or(FAILING_PODS).max(1)).unwrap_or(usize::MAX);
    let grace = grace(settings);
    let all = pods::of(ctx.observed, ctx.new?);
    let failing: Vec<_> = all
        .iter()
        .filter(|pod| pods::is_failing(pod, grace, draft.now))
        .collect();
    if failing.len() < most {
        return None;
    }
    // One that is ready right now may have recovered when this moment comes.
    for at in failing.iter().filter_map(|pod| pods::recovers_at(pod, grace)) {
        draft.wake_at(at);
    }
    let (pod, trouble) = pods::oldest_in_trouble(failing.iter().copied())?;
    let (count, total) = (failing.len(), all.iter().filter(|pod| !pod.is_going()).count());
    Some(format!(
        "failFast: {count} of {total} new pods fail for more than {} s: pod {}: {}",
        grace.as_secs(),
        super::observed::name(&pod.metadata),
        trouble.text
    ))
}

#[cfg(test)]
mod tests;
