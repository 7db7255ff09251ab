//! Giving up early: `strategy.canary.failFast`. New pods that cannot start say so long before the progress deadline.
//!
//! Serin's own, and off unless set.

use jiff::SignedDuration;

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
    let settings = ctx.canary.fail_fast.as_ref().filter(|_| is_watched(ctx));
    let failing = settings.and_then(|settings| failing(ctx, settings, draft));
    let (Some(settings), Some(failing)) = (settings, failing) else {
        if let Some(canary) = &mut draft.status.canary {
            canary.pods_failing_since = None;
        }
        return None;
    };
    let canary = draft.status.canary.get_or_insert_default();
    let since = canary.pods_failing_since.get_or_insert(whole_second(draft.now)).0;
    let end = since.checked_add(grace(settings)).unwrap_or(since);
    if draft.now < end {
        draft.wake_at(end);
        return None;
    }
    canary.pods_failing_since = None;
    Some(failing)
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
