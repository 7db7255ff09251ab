use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::Observed;
use crate::engine::testing::{add_pod, at, noon, plan_at, replica_set, rollout, waiting, world};

fn evicted(world: &Observed, seconds: i64) -> Vec<String> {
    let intents = plan_at(world, seconds).intents;
    intents
        .iter()
        .map(|intent| match intent {
            Intent::EvictPod { name, .. } => name.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Two stable and two new pods, all available, in the pause after `setWeight: 50`.
fn paused(restart_at: i64) -> Observed {
    let rollout = rollout(
        &json!({"restartAt": at(restart_at)}),
        &json!({"currentStepIndex": 1, "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": at(-60)}],
                "controllerPause": true}),
    );
    let mut world = world(
        rollout,
        vec![replica_set("old", 1, 2, 2), replica_set("new", 2, 2, 2)],
    );
    for (hash, name, created) in [
        ("new", "new-a", -500),
        ("new", "new-b", -600),
        ("old", "old-a", -800),
        ("old", "old-b", -900),
    ] {
        add_pod(&mut world, hash, name, created, &json!({}));
    }
    world
}

#[test]
fn the_oldest_stable_pod_goes_first_and_only_as_many_as_may_be_missing() {
    let mut world = paused(0);
    assert_eq!(evicted(&world, 1), ["old-b"], "maxUnavailable 1 of 4");
    let plan = plan_at(&world, 1);
    assert_eq!(plan.status.restarted_at, None);
    assert_eq!(
        plan.wake,
        Some(noon() + SignedDuration::from_secs(31)),
        "budgets of disruption are asked again"
    );
    // Its replacement is not available yet: nothing more goes.
    world.replica_sets[0] = replica_set("old", 1, 2, 1).into();
    world.pods.get_mut("old-uid").unwrap().pop();
    assert!(evicted(&world, 2).is_empty());
    assert_eq!(
        plan_at(&world, 2).wake,
        None,
        "nobody is asked: a change will tell"
    );
    add_pod(&mut world, "old", "old-c", 1, &json!({}));
    assert_ne!(
        plan_at(&world, 2).wake,
        None,
        "the pods say otherwise than the counts"
    );
    world.pods.get_mut("old-uid").unwrap().pop();
    // It is: the next, and when no stable one is left, those of the new revision.
    world.replica_sets[0] = replica_set("old", 1, 2, 2).into();
    add_pod(&mut world, "old", "old-c", 1, &json!({}));
    assert_eq!(evicted(&world, 5), ["old-a"]);
    world.pods.get_mut("old-uid").unwrap().remove(0);
    add_pod(&mut world, "old", "old-d", 1, &json!({}));
    assert_eq!(evicted(&world, 9), ["new-b"]);
}

#[test]
fn counters_that_lag_behind_an_eviction_let_no_further_pod_go() {
    let mut world = paused(0);
    let pod = std::sync::Arc::make_mut(&mut world.pods.get_mut("old-uid").unwrap()[1]);
    pod.metadata.deletion_timestamp = pod.metadata.creation_timestamp.clone();
    assert!(evicted(&world, 1).is_empty());
    assert_eq!(
        plan_at(&world, 1).status.restarted_at,
        None,
        "one that is on its way out is not gone"
    );
}

#[test]
fn the_restart_is_over_when_no_old_pod_is_left() {
    let world = paused(-1000);
    let plan = plan_at(&world, 1);
    assert!(plan.intents.is_empty());
    assert_eq!(plan.status.restarted_at, world.rollout.spec.restart_at);
    assert_eq!(
        plan.status.message.as_deref(),
        Some("CanaryPauseStep: step 2 of 2 (pause), until somebody promotes"),
        "the pause goes on"
    );
}

#[test]
fn a_restart_in_the_future_is_waited_for() {
    let world = paused(300);
    let plan = plan_at(&world, 1);
    assert!(plan.intents.is_empty());
    assert_eq!(plan.wake, Some(noon() + SignedDuration::from_secs(300)));
}

#[test]
fn pods_that_are_not_ready_go_freely() {
    let rollout = rollout(
        &json!({"restartAt": at(0)}),
        &json!({"stableRS": "new", "currentStepIndex": 2}),
    );
    let mut world = world(rollout, vec![replica_set("new", 2, 4, 0)]);
    for name in ["a", "b", "c", "d"] {
        add_pod(&mut world, "new", name, -60, &waiting("CrashLoopBackOff"));
    }
    assert_eq!(evicted(&world, 1), ["a", "b", "c", "d"]);
}

#[test]
fn scaling_goes_first() {
    let rollout = rollout(&json!({"restartAt": at(0)}), &json!({}));
    let mut world = world(
        rollout,
        vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 0, 0)],
    );
    for name in ["a", "b", "c", "d"] {
        add_pod(&mut world, "old", name, -60, &json!({}));
    }
    let intents = plan_at(&world, 1).intents;
    assert!(
        matches!(intents.as_slice(), [Intent::PatchReplicaSet(_)]),
        "{intents:?}"
    );
}

#[test]
fn a_replacement_that_is_ready_but_not_yet_available_does_not_let_the_next_pod_go() {
    let mut world = paused(0);
    std::sync::Arc::make_mut(&mut world.rollout)
        .spec
        .min_ready_seconds = Some(10);
    for rs in &mut world.replica_sets {
        std::sync::Arc::make_mut(rs).spec.min_ready_seconds = Some(10);
    }
    // The counts do not show yet that old-b went.
    world.pods.get_mut("old-uid").unwrap().pop();
    add_pod(&mut world, "old", "old-c", 2, &json!({}));
    assert!(evicted(&world, 11).is_empty());
    let then = noon() + SignedDuration::from_secs(12);
    assert_eq!(plan_at(&world, 11).wake, Some(then));
    assert_eq!(evicted(&world, 12), ["old-a"]);
}

#[test]
fn pods_that_were_told_to_go_do_not_let_others_go() {
    let mut world = paused(0);
    assert_eq!(evicted(&world, 1), ["old-b"]);
    // One of each was told to go, and the counts do not show it yet.
    for rs in &mut world.replica_sets {
        std::sync::Arc::make_mut(rs).spec.replicas = Some(1);
    }
    let held = plan_at(&world, 1);
    let evictions = held
        .intents
        .iter()
        .filter(|i| matches!(i, Intent::EvictPod { .. }));
    assert_eq!(evictions.count(), 0);
}

#[test]
fn what_was_just_evicted_is_no_capacity_for_scaling() {
    let mut world = paused(0);
    Arc::make_mut(&mut world.rollout)
        .status
        .as_mut()
        .unwrap()
        .promote_full = Some(true);
    let scaled = |world: &Observed| {
        let intents = plan_at(world, 1).intents;
        intents
            .iter()
            .any(|intent| matches!(intent, Intent::PatchReplicaSet(_)))
    };
    assert!(scaled(&world), "one of four may be missing: an old one goes");
    let going = Arc::make_mut(&mut world.pods.get_mut("new-uid").unwrap()[0]);
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    assert!(
        !scaled(&world),
        "the counters do not know it yet, and nothing else may go"
    );
}
