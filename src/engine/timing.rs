//! How long an update takes, as `status.duration` has it (wire contract 1.3): when it began, how long it waited for people,
//! when it ended and how.
//!
//! Nothing here is a reason to write: an update begins, waits for somebody, and ends with changes that are written anyway.
//! A Rollout whose update was begun by a controller that keeps no such record gets its first one with its next update.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::context::{Context, same};
use super::draft::Draft;
use super::pauses;
use crate::api::names::CompletionStatus;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::RolloutDuration;

/// Another update begins: another template, or a new try after an abort.
pub(crate) fn begin(draft: &mut Draft) {
    draft.status.duration = Some(RolloutDuration {
        rollout_started_at: Some(draft.time()),
        ..RolloutDuration::default()
    });
}

/// The desire has changed. Other steps alone are the same update, unless it had ended; back to stable ends the one that is
/// under way; everything else is another update, and what was under way is superseded by it.
///
/// | was | comes | becomes |
/// |---|---|---|
/// | under way | another template | begins |
/// | under way | the stable template | ends, `FastRolledBack` |
/// | under way | other steps | goes on |
/// | aborted | another template, or other steps | begins |
/// | aborted | the stable template | stays `Aborted` |
/// | at rest | other steps | stays as it ended |
pub(crate) fn changed(ctx: &Context, to: Option<&ReplicaSet>, template_changed: bool, draft: &mut Draft) {
    let to_stable = to.is_some() && same(to, ctx.stable);
    if to_stable {
        end(CompletionStatus::FastRolledBack, draft);
    } else if template_changed || ctx.status.aborted_at.is_some() {
        begin(draft);
    }
}

/// The update under way ends. What has ended stays as it ended.
pub(crate) fn end(how: CompletionStatus, draft: &mut Draft) {
    end_pause(draft);
    let now = draft.time();
    if let Some(record) = draft.status.duration.as_mut().filter(|record| is_open(record)) {
        record.finished_at = Some(now);
        record.completion_status = Some(how.as_str().to_owned());
    }
}

/// How an update that is promoted now ends: back where its ReplicaSet is older than the stable one; fast where steps, pauses
/// and analyses were skipped.
pub(crate) fn promoted(ctx: &Context, fast: bool) -> CompletionStatus {
    let created = |rs: &ReplicaSet| rs.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let (new, stable) = (ctx.new.and_then(created), ctx.stable.and_then(created));
    let back = new.zip(stable).is_some_and(|(new, stable)| new < stable);
    match (back, fast && ctx.stable.is_some()) {
        (false, false) => CompletionStatus::Promoted,
        (false, true) => CompletionStatus::FastPromoted,
        (true, false) => CompletionStatus::RolledBack,
        (true, true) => CompletionStatus::FastRolledBack,
    }
}

/// Notes when the update begins to wait for somebody, and when that ends.
///
/// Worked: a pause without a length from 10:00:00 to 10:05:00, and `spec.paused` from 10:10:00 to 10:11:30: 390 s. A pause
/// of an hour waits for nobody.
pub(crate) fn follow_pauses(ctx: &Context, draft: &mut Draft) {
    if !waits_for_somebody(ctx, draft) {
        end_pause(draft);
        return;
    }
    let now = draft.time();
    if let Some(record) = draft.status.duration.as_mut().filter(|record| is_open(record)) {
        record.manual_pause_started_at.get_or_insert(now);
    }
}

fn end_pause(draft: &mut Draft) {
    let now = draft.time();
    let Some(record) = &mut draft.status.duration else {
        return;
    };
    if let Some(since) = record.manual_pause_started_at.take() {
        let total = &mut record.total_manual_pause_duration_seconds;
        *total = Some(total.unwrap_or(0).saturating_add(seconds(&since, &now)));
    }
}

/// Whether nothing but a person's word ends the pause.
fn waits_for_somebody(ctx: &Context, draft: &Draft) -> bool {
    let status = &draft.status;
    if ctx.is_held() {
        return true;
    }
    let mut pauses = status.pause_conditions.iter();
    pauses.any(|pause| pauses::ends_at(ctx, status, pause).is_none())
}

fn is_open(record: &RolloutDuration) -> bool {
    record.rollout_started_at.is_some() && record.finished_at.is_none()
}

fn seconds(from: &Time, to: &Time) -> i64 {
    to.0.duration_since(from.0).as_secs().max(0)
}

/// An update that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: CompletionStatus,
    /// Seconds from its beginning to its end.
    pub took: i64,
    /// Seconds of these in which it waited for people.
    pub waited: i64,
}

/// The update that ended with the write of a status: that of `before`, by an end of its own or by the beginning of another.
///
/// Worked: `before` began at 10:00:00 and has waited for 60 s; `after` began at 10:10:00: Superseded, 600 s, 60 of them
/// waiting.
pub fn ended(before: Option<&RolloutDuration>, after: Option<&RolloutDuration>) -> Option<Ended> {
    let (after, began) = (after?, after?.rollout_started_at.as_ref()?);
    if let Some(end) = &after.finished_at {
        let known = before.is_some_and(|before| before.finished_at.is_some() && same_start(before, began));
        let how = CompletionStatus::parse(after.completion_status.as_deref()?)?;
        return (!known).then(|| Ended {
            how,
            took: seconds(began, end),
            waited: waited(after, end.0),
        });
    }
    let before = before.filter(|before| is_open(before) && !same_start(before, began))?;
    Some(Ended {
        how: CompletionStatus::Superseded,
        took: seconds(before.rollout_started_at.as_ref()?, began),
        waited: waited(before, began.0),
    })
}

fn same_start(record: &RolloutDuration, began: &Time) -> bool {
    record.rollout_started_at.as_ref() == Some(began)
}

fn waited(record: &RolloutDuration, until: Timestamp) -> i64 {
    let open = record.manual_pause_started_at.as_ref();
    let open = open.map_or(0, |since| seconds(since, &Time(until)));
    record
        .total_manual_pause_duration_seconds
        .unwrap_or(0)
        .saturating_add(open)
}
