//! Which changes of a status matter enough to be written at once. Pure.
//!
//! Pods come and go one by one; a write for each would cost more calls than all scalings together. What decides or is
//! decided (phase, step, pause, abort, revision, conditions) is written at once; mere counters and the words around them
//! wait a few seconds for it (see `docs/adr`).

use crate::api::names::{conditions, reasons};
use crate::api::rollout::{RolloutCondition, RolloutStatus};

/// Reasons of the Progressing condition that all say: going on.
const GOING: [&str; 5] = [
    reasons::NEW_REPLICA_SET_CREATED,
    reasons::FOUND_NEW_REPLICA_SET,
    reasons::REPLICA_SET_UPDATED,
    reasons::ROLLOUT_RESUMED,
    reasons::ROLLOUT_RETRY,
];

/// Whether anything but counters changed. Most passes of an update ask this: nothing is copied for the answer.
pub fn matters(before: &RolloutStatus, after: &RolloutStatus) -> bool {
    // The first status is what autoscalers wait for.
    if before.observed_generation.is_none() {
        return true;
    }
    // Every field is named here, so that a new one has to be thought of.
    let RolloutStatus {
        observed_generation,
        workload_observed_generation,
        phase,
        message: _,
        replicas: _,
        updated_replicas: _,
        ready_replicas: _,
        available_replicas: _,
        hpa_replicas: _,
        selector,
        current_pod_hash,
        stable_rs,
        current_step_index,
        current_step_hash,
        template_fingerprint,
        collision_count,
        abort,
        aborted_at,
        promote_full,
        pause_conditions,
        controller_pause,
        restarted_at,
        conditions,
        canary,
        blue_green,
        alb,
        albs,
        duration,
    } = after;
    *observed_generation != before.observed_generation
        || *workload_observed_generation != before.workload_observed_generation
        || *phase != before.phase
        || *selector != before.selector
        || *current_pod_hash != before.current_pod_hash
        || *stable_rs != before.stable_rs
        || *current_step_index != before.current_step_index
        || *current_step_hash != before.current_step_hash
        || *template_fingerprint != before.template_fingerprint
        || *collision_count != before.collision_count
        || *abort != before.abort
        || *aborted_at != before.aborted_at
        || *promote_full != before.promote_full
        || *pause_conditions != before.pause_conditions
        || *controller_pause != before.controller_pause
        || *restarted_at != before.restarted_at
        || *canary != before.canary
        || *blue_green != before.blue_green
        || *alb != before.alb
        || *albs != before.albs
        || *duration != before.duration
        || !weighty(&before.conditions).eq(weighty(conditions))
}

/// The conditions without their words, times and what only follows the counters.
fn weighty(all: &[RolloutCondition]) -> impl Iterator<Item = (&str, &str, &str)> {
    all.iter()
        .filter(|c| ![conditions::AVAILABLE, conditions::HEALTHY].contains(&c.type_.as_str()))
        .map(|c| {
            let (type_, status, reason) = (c.type_.as_str(), c.status.as_str(), c.reason.as_str());
            if type_ == conditions::INVALID_SPEC {
                // The sentence of a refusal is what the user waits for.
                (type_, status, c.message.as_str())
            } else if GOING.contains(&reason) {
                (type_, "", "going")
            } else {
                (type_, status, reason)
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(value: Value) -> RolloutStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn counters_wait_and_decisions_do_not() {
        let condition = |status: &str, reason: &str, message: &str| {
            json!([{"type": "Progressing", "status": status, "reason": reason, "message": message,
                "lastUpdateTime": "2026-01-02T12:00:00Z", "lastTransitionTime": "2026-01-02T12:00:00Z"}])
        };
        let base = json!({
            "observedGeneration": "1", "phase": "Progressing", "message": "a", "replicas": 1,
            "conditions": condition("True", "ReplicaSetUpdated", "x"),
        });
        let with = |key: &str, value: Value| {
            let mut after = base.clone();
            after[key] = value;
            after
        };
        for (after, want) in [
            (with("replicas", json!(2)), false),
            (with("HPAReplicas", json!(2)), false),
            (with("message", json!("b")), false),
            (with("phase", json!("Healthy")), true),
            (with("currentStepIndex", json!(1)), true),
            (with("abort", json!(true)), true),
            (
                with("conditions", condition("True", "NewReplicaSetCreated", "y")),
                false,
            ),
            (
                with("conditions", condition("False", "RolloutAborted", "y")),
                true,
            ),
            (with("conditions", json!([])), true),
        ] {
            assert_eq!(
                matters(&status(base.clone()), &status(after.clone())),
                want,
                "{after}"
            );
        }
        assert!(
            matters(&status(json!({})), &status(base)),
            "the first status is what autoscalers wait for"
        );
    }
}
