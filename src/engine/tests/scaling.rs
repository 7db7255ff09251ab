//! Scaling by whole passes.

use std::sync::Arc;

use serde_json::json;

use super::world::{at, rollout, with_replica_set};
use crate::engine::plan::Intent;
use crate::engine::{Observed, plan};

fn updating(canary: &serde_json::Value, index: i32) -> Observed {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": index,
    });
    rollout(canary, &status)
}

fn scalings(observed: &Observed) -> Vec<(String, i32, i32)> {
    let scaled = |intent: &Intent| match intent {
        Intent::PatchReplicaSet(patch) => patch.scale.map(|(from, to)| (patch.name.clone(), from, to)),
        _ => None,
    };
    plan(observed, at(0)).intents.iter().filter_map(scaled).collect()
}

#[test]
fn nothing_grows_while_a_replica_set_has_not_answered_its_last_scaling() {
    let observed = updating(
        &json!({"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 50}]}),
        1,
    );
    // Scaled from 1 to 2 and back at once: there may be two pods, whatever spec and status say.
    let mut observed = with_replica_set(observed, "old", 1, [1, 1, 1]);
    Arc::make_mut(&mut observed.replica_sets[0]).metadata.generation = Some(3);
    let observed = with_replica_set(observed, "new", 2, [1, 1, 1]);
    assert_eq!(scalings(&observed), []);
}

#[test]
fn a_replica_set_that_was_never_scaled_needs_no_answer() {
    let observed = updating(
        &json!({"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 50}]}),
        0,
    );
    let observed = with_replica_set(observed, "old", 1, [2, 2, 2]);
    let mut observed = with_replica_set(observed, "new", 2, [0, 0, 0]);
    Arc::make_mut(&mut observed.replica_sets[1])
        .status
        .observed_generation = 0;
    assert_eq!(scalings(&observed), [("demo-new".to_owned(), 0, 1)]);
}

#[test]
fn a_stable_pod_that_is_not_ready_for_a_moment_is_not_given_up_for_a_canary() {
    let observed = updating(
        &json!({"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 100}]}),
        0,
    );
    let observed = with_replica_set(observed, "old", 1, [2, 2, 1]);
    let observed = with_replica_set(observed, "new", 2, [1, 1, 0]);
    assert_eq!(scalings(&observed), []);
}
