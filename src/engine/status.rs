//! What is told of a rollout: counters, conditions, phase and message (wire contract 1.3 and 2.5).

use jiff::{SignedDuration, Timestamp};

use super::context::{self, Context};
use super::draft::{Draft, find_condition};
use super::observed;
use super::plan::Notice;
use super::{blue_green, canary, identity, phase, selector, timing, workload};
use crate::api::names::conditions::{
    AVAILABLE, COMPLETED, FALSE, HEALTHY, INVALID_SPEC, PAUSED, PROGRESSING, REPLICA_FAILURE, TRUE, UNKNOWN,
};
use crate::api::names::{events, labels, reasons};
use crate::api::rollout::RolloutStatus;

/// Brings everything in the draft's status that follows from the world up to date.
pub(crate) fn finish(ctx: &Context, draft: &mut Draft) {
    count(ctx, draft);
    draft.drop_condition(INVALID_SPEC);
    pause(ctx, draft);
    timing::follow_pauses(ctx, draft);
    let available = number(draft.status.available_replicas) >= ctx.replicas;
    let (status, message) = if available {
        (TRUE, "Rollout has minimum availability")
    } else {
        (FALSE, "Rollout does not have minimum availability")
    };
    draft.set_condition(AVAILABLE, status, reasons::AVAILABLE, message);
    complete(ctx, draft);
    progress(ctx, draft);
    failure(ctx, draft);
    let generation = Some(generation(ctx));
    let looked =
        draft.status.template_fingerprint.is_none() || draft.status.observed_generation != generation;
    if looked || ctx.spec.workload_ref.is_some() {
        draft.status.template_fingerprint = Some(identity::fingerprint(context::template(ctx.spec)));
    }
    draft.status.observed_generation = generation;
    draft.status.workload_observed_generation = workload::wanted_generation(ctx);
    phase::set(ctx, draft);
}

fn generation(ctx: &Context) -> String {
    ctx.rollout.metadata.generation.unwrap_or(0).to_string()
}

fn number(value: Option<i32>) -> i64 {
    i64::from(value.unwrap_or(0))
}

fn count(ctx: &Context, draft: &mut Draft) {
    let sum = |field: fn(&crate::api::replica_set::ReplicaSetStatus) -> i32| {
        ctx.all().map(|rs| field(&rs.status)).fold(0, i32::saturating_add)
    };
    let status = &mut draft.status;
    status.replicas = Some(sum(|s| s.replicas));
    status.updated_replicas = Some(ctx.new.map_or(0, |rs| rs.status.replicas));
    status.ready_replicas = Some(sum(|s| s.ready_replicas));
    status.available_replicas = Some(sum(|s| s.available_replicas));
    status.hpa_replicas = status.replicas;
    status.selector = ctx.spec.selector.as_ref().map(selector::to_text);
    // An autoscaler has to see the pods that answer production, not those of the preview beside them.
    if ctx.blue_green.is_some()
        && let Some(active) = blue_green::active(ctx)
    {
        status.ready_replicas = Some(active.status.ready_replicas);
        status.available_replicas = Some(active.status.available_replicas);
        status.hpa_replicas = Some(active.status.replicas);
        let hash = labels::POD_TEMPLATE_HASH;
        let own = status.selector.take().filter(|s| !s.is_empty());
        let with_hash = format!("{hash}={}", context::hash_of(active));
        status.selector = Some(own.map_or(with_hash.clone(), |own| format!("{own},{with_hash}")));
    }
}

/// The Paused condition, and the Unknown that Progressing becomes while a pause stops the clock.
fn pause(ctx: &Context, draft: &mut Draft) {
    let aborted = draft.status.abort == Some(true);
    let paused = !draft.status.pause_conditions.is_empty() || (ctx.is_held() && !aborted);
    let was = draft
        .condition(PROGRESSING)
        .is_some_and(|c| c.reason == reasons::ROLLOUT_PAUSED);
    let text = "Rollout is paused";
    if paused {
        draft.set_condition(PAUSED, TRUE, reasons::ROLLOUT_PAUSED, text);
    } else if draft.condition(PAUSED).is_some() {
        draft.set_condition(PAUSED, FALSE, reasons::ROLLOUT_PAUSED, text);
    }
    // Pausing a rollout at rest stops nothing, and must not unsettle what is Healthy.
    let at_rest = ctx.is_fully_promoted() && draft.status.pause_conditions.is_empty();
    if paused && !was && !at_rest && !aborted {
        draft.set_condition(PROGRESSING, UNKNOWN, reasons::ROLLOUT_PAUSED, text);
        let why = draft
            .status
            .pause_conditions
            .first()
            .map_or("user", |p| p.reason.as_str());
        draft.notices.push(Notice::normal(
            reasons::ROLLOUT_PAUSED,
            format!("Rollout is paused ({why})"),
        ));
    } else if !paused && was && !aborted {
        let text = "Rollout is resumed";
        draft.set_condition(PROGRESSING, UNKNOWN, reasons::ROLLOUT_RESUMED, text);
        // What the passing of the pause completed (a step, the whole update) is told after it in time, but was decided
        // with it: clients expect step, resume, completion in this order.
        let at = draft
            .notices
            .iter()
            .position(|n| n.reason == reasons::ROLLOUT_COMPLETED);
        let notice = Notice::normal(reasons::ROLLOUT_RESUMED, text);
        draft.notices.insert(at.unwrap_or(draft.notices.len()), notice);
    }
}

fn complete(ctx: &Context, draft: &mut Draft) {
    let status = &draft.status;
    let hash = status.current_pod_hash.clone().unwrap_or_default();
    let completed = !hash.is_empty() && status.stable_rs.as_deref() == Some(&hash);
    let revision = current_revision(ctx);
    if completed {
        let message = format!("Rollout completed update to revision {revision} ({hash})");
        draft.set_condition(COMPLETED, TRUE, reasons::ROLLOUT_COMPLETED, message);
    } else {
        let was = draft.condition(COMPLETED).is_none_or(|c| c.status == TRUE);
        let message = format!("Rollout not completed, started update to revision {revision} ({hash})");
        draft.set_condition(COMPLETED, FALSE, reasons::ROLLOUT_COMPLETED, message.clone());
        // The first deployment of blue-green is stable at once: clients expect no word of an update there.
        let at_once = ctx.blue_green.is_some() && ctx.status.stable_rs.is_none();
        if was && !at_once {
            draft
                .notices
                .push(Notice::normal(events::ROLLOUT_NOT_COMPLETED, message));
        }
    }
    if is_healthy(ctx, &draft.status) {
        draft.set_condition(HEALTHY, TRUE, reasons::ROLLOUT_HEALTHY, "Rollout is healthy");
    } else if draft.condition(HEALTHY).is_some() {
        draft.set_condition(HEALTHY, FALSE, reasons::ROLLOUT_HEALTHY, "Rollout is not healthy");
    }
}

/// The revision of the new ReplicaSet; of the one that this pass creates where there is none.
fn current_revision(ctx: &Context) -> i64 {
    let mine = ctx.new.map_or(0, |rs| observed::revision(&rs.metadata));
    if mine > ctx.highest_other_revision() {
        mine
    } else {
        ctx.highest_other_revision() + 1
    }
}

fn is_healthy(ctx: &Context, status: &RolloutStatus) -> bool {
    let steps_done = ctx.steps().is_empty()
        || number(status.current_step_index) >= i64::try_from(ctx.steps().len()).unwrap_or(i64::MAX);
    ctx.is_observed()
        && status.stable_rs.is_some()
        && status.stable_rs == status.current_pod_hash
        && steps_done
        && number(status.updated_replicas) == ctx.replicas
        && number(status.available_replicas) == ctx.replicas
        && match ctx.blue_green {
            None => number(status.replicas) == ctx.replicas,
            Some(bg) => {
                let selected = status.blue_green.as_ref();
                selected.is_some_and(|s| s.active_selector == status.current_pod_hash)
                    && (bg.preview_service.is_none()
                        || selected.is_some_and(|s| s.preview_selector == status.current_pod_hash))
            }
        }
}

fn progress(ctx: &Context, draft: &mut Draft) {
    if draft.status.abort == Some(true) {
        return;
    }
    let Some(new) = ctx.new else { return };
    let name = observed::name(&new.metadata);
    if is_healthy(ctx, &draft.status) {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        draft.set_condition(PROGRESSING, TRUE, reasons::NEW_REPLICA_SET_AVAILABLE, message);
        return;
    }
    let at_rest = draft
        .condition(PROGRESSING)
        .is_some_and(|c| c.reason == reasons::NEW_REPLICA_SET_AVAILABLE);
    if at_rest && ctx.is_fully_promoted() {
        // A pod of a finished rollout came or went: that is no new rollout whose progress could be overdue.
        return;
    }
    if has_progressed(ctx, &draft.status) {
        if !is_paused(draft) {
            let message = format!("ReplicaSet \"{name}\" is progressing.");
            draft.rewrite_condition(PROGRESSING, TRUE, reasons::REPLICA_SET_UPDATED, message);
        }
    } else if let Some(deadline) = deadline(ctx, draft) {
        if draft.now < deadline {
            draft.wake_at(deadline);
            return;
        }
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        if ctx.spec.progress_deadline_abort == Some(true) && !ctx.is_fully_promoted() && ctx.stable.is_some()
        {
            draft.abort(canary::new_revision(ctx), Some(&message));
        } else {
            draft.set_condition(PROGRESSING, FALSE, reasons::PROGRESS_DEADLINE_EXCEEDED, message);
        }
        return;
    }
    if let Some(deadline) = deadline(ctx, draft) {
        draft.wake_at(deadline);
    }
}

fn is_paused(draft: &Draft) -> bool {
    draft.condition(PAUSED).is_some_and(|c| c.status == TRUE)
}

/// Anything that moved since the committed status (wire contract 2.5).
fn has_progressed(ctx: &Context, status: &RolloutStatus) -> bool {
    let old = ctx.status;
    let older = |s: &RolloutStatus| number(s.replicas) - number(s.updated_replicas);
    status.updated_replicas != old.updated_replicas
        || older(status) < older(old)
        || number(status.ready_replicas) > number(old.ready_replicas)
        || number(status.available_replicas) > number(old.available_replicas)
        || status.stable_rs != old.stable_rs
        || status.current_step_index != old.current_step_index
        || status.current_step_hash != old.current_step_hash
        || selectors(status) != selectors(old)
}

/// Which revisions the Services of a blue-green Rollout select.
fn selectors(status: &RolloutStatus) -> Option<(&Option<String>, &Option<String>)> {
    status
        .blue_green
        .as_ref()
        .map(|s| (&s.active_selector, &s.preview_selector))
}

/// When the lack of progress becomes a failure. `None` while nothing is expected to progress: in a pause, and in a step
/// that waits by its nature. Once passed it stays so until something moves.
///
/// Worked: last progress 10:00:00, `progressDeadlineSeconds: 600`: in time until 10:10:00, and overdue from 10:10:01 on,
/// which is when it is looked at again. Times on the wire are whole seconds: the last progress may have been at
/// 10:00:00.9.
fn deadline(ctx: &Context, draft: &Draft) -> Option<Timestamp> {
    let waits = ctx
        .step()
        .is_some_and(|s| s.pause.is_some() || s.analysis.is_some() || s.experiment.is_some());
    // A full promotion waits for no analysis any more, whatever was last heard of one.
    let analysed = blue_green::running_analysis(&draft.status).is_some() && !ctx.is_promoted_by_user();
    if ((waits || analysed) && ctx.stable.is_some() && !ctx.is_fully_promoted()) || is_paused(draft) {
        return None;
    }
    // An old ReplicaSet that is kept for a while is part of the plan, not a lack of progress.
    // One that should be gone by now, and is not, is no excuse any more.
    let mut old = ctx.all().filter(|rs| !context::same(Some(rs), ctx.new));
    if old.any(|rs| blue_green::view::deadline(rs).is_some_and(|at| at > draft.now)) {
        return None;
    }
    let condition = draft.condition(PROGRESSING)?;
    if [
        reasons::ROLLOUT_ABORTED,
        reasons::ROLLOUT_PAUSED,
        reasons::NEW_REPLICA_SET_AVAILABLE,
    ]
    .contains(&condition.reason.as_str())
    {
        return None;
    }
    if condition.reason == reasons::PROGRESS_DEADLINE_EXCEEDED {
        return None;
    }
    let seconds = i64::from(progress_deadline(ctx.spec));
    condition
        .last_update_time
        .0
        .checked_add(SignedDuration::from_secs(seconds.saturating_add(1)))
        .ok()
}

/// `progressDeadlineSeconds` with its default of ten minutes.
pub(crate) fn progress_deadline(spec: &crate::api::rollout::RolloutSpec) -> i32 {
    spec.progress_deadline_seconds.unwrap_or(600)
}

/// A ReplicaSet that cannot create pods says why (a quota, an admission webhook): repeated here, the new one's first.
fn failure(ctx: &Context, draft: &mut Draft) {
    let failing = |rs: &'_ crate::api::replica_set::ReplicaSet| {
        rs.status
            .conditions
            .iter()
            .find(|c| c.type_ == REPLICA_FAILURE && c.status == TRUE)
            .cloned()
    };
    let found = ctx
        .all()
        .filter(|rs| context::spec_replicas(rs) > 0)
        .find_map(failing);
    match found {
        Some(c) => draft.set_condition(REPLICA_FAILURE, TRUE, &c.reason, c.message),
        None => draft.drop_condition(REPLICA_FAILURE),
    }
}

/// The status of a Rollout that cannot be worked with: one sentence, and nothing else moves. `committed` keeps all that
/// was known, so that a corrected object goes on where it was.
pub(crate) fn invalid(draft: &mut Draft, name: &str, generation: i64, error: &str) {
    let message = format!("The Rollout \"{name}\" is invalid: {error}");
    let known = find_condition(&draft.status, INVALID_SPEC).is_some_and(|c| c.message == message);
    draft.set_condition(INVALID_SPEC, TRUE, reasons::INVALID_SPEC, message.clone());
    draft.status.observed_generation = Some(generation.to_string());
    draft.status.phase = Some(crate::api::names::RolloutPhase::Degraded.as_str().to_owned());
    draft.status.message = Some(format!("InvalidSpec: {message}"));
    if !known {
        draft
            .notices
            .push(Notice::warning(reasons::INVALID_SPEC, message));
    }
}
