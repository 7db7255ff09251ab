//! What is told: conditions, phase, message and events, by what happens (wire contract 2.5 and 4.2).

use serde_json::{Value, json};

use super::support::{World, rollout, set_version, touch};

/// One pod, as the contract's own example: each scaling is one event.
fn single() -> World {
    let mut own = rollout("1", &json!([{"setWeight": 50}, {"pause": {}}]));
    own["spec"]["replicas"] = json!(1);
    World::new(own)
}

/// The condition types that are True, the others with their status; in the contract's order of types.
fn conditions(world: &World) -> String {
    let mut all = Vec::new();
    for type_ in [
        "InvalidSpec",
        "Available",
        "Progressing",
        "Paused",
        "Completed",
        "Healthy",
    ] {
        if let Some((status, reason)) = world.condition(type_) {
            all.push(match type_ {
                "Progressing" => format!("{type_} {status} {reason}"),
                _ => format!("{type_} {status}"),
            });
        }
    }
    all.join(", ")
}

#[track_caller]
fn check(world: &mut World, events: &[&str], phase: &str, message: &str, want: &str) {
    assert_eq!(world.told(), events);
    let said = world.status("/message");
    assert_eq!(
        (world.status("/phase"), said.as_str().unwrap_or_default()),
        (json!(phase), message)
    );
    assert_eq!(conditions(world), want);
}

const RESTING: &str = "Available True, Progressing True NewReplicaSetAvailable, Completed True, Healthy True";
const RESTING_AFTER_A_PAUSE: &str =
    "Available True, Progressing True NewReplicaSetAvailable, Paused False, Completed True, Healthy True";
const PAUSED: &str =
    "Available True, Progressing Unknown RolloutPaused, Paused True, Completed False, Healthy False";
const STEP_PAUSE: &str = "CanaryPauseStep: step 2 of 2 (pause), until somebody promotes";
const HELD: &str = "manually paused: until spec.paused is false";
const ABORTED: &str =
    "Available True, Progressing False RolloutAborted, Paused False, Completed False, Healthy False";

/// Initial deployment, update, abort, retry, promote: the very order that the contract's tests assert.
#[test]
fn the_contracts_story() {
    let mut world = single();
    world.settle();
    let deployed = [
        "RolloutAddedToInformer",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ];
    check(&mut world, &deployed, "Healthy", "", RESTING);

    set_version(&mut world.rollout, "2");
    world.settle();
    let updated = [
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "RolloutStepCompleted",
        "RolloutPaused",
    ];
    check(&mut world, &updated, "Paused", STEP_PAUSE, PAUSED);
    assert_eq!(world.status("/controllerPause"), true);

    world.patch_status(&json!({"abort": true}));
    world.settle();
    let message = "RolloutAborted: Rollout aborted update to revision 2";
    check(
        &mut world,
        &["ScalingReplicaSet", "RolloutAborted"],
        "Degraded",
        message,
        ABORTED,
    );
    assert_eq!(
        (
            world.status("/currentStepIndex"),
            world.status("/pauseConditions")
        ),
        (json!(0), Value::Null)
    );
    assert_eq!(world.status("/controllerPause"), Value::Null);

    world.patch_status(&json!({"abort": false}));
    world.settle();
    let retried = ["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"];
    check(&mut world, &retried, "Paused", STEP_PAUSE, PAUSED);
    assert_eq!(world.status("/abortedAt"), Value::Null);

    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    let promoted = [
        "RolloutStepCompleted",
        "RolloutResumed",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ];
    check(&mut world, &promoted, "Healthy", "", RESTING_AFTER_A_PAUSE);
}

/// The sentences of the events, where they are the contract's.
#[test]
fn the_contracts_sentences() {
    let mut world = single();
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    let said: Vec<String> = world
        .events
        .iter()
        .map(|(reason, message)| format!("{reason}: {message}"))
        .collect();
    let hash = world.status("/currentPodHash").as_str().unwrap().to_owned();
    for want in [
        format!("NewReplicaSetCreated: Created ReplicaSet app-{hash} (revision 2)"),
        format!("RolloutNotCompleted: Rollout not completed, started update to revision 2 ({hash})"),
        format!("ScalingReplicaSet: Scaled up ReplicaSet app-{hash} (revision 2) from 0 to 1"),
        "RolloutStepCompleted: Rollout step 1/2 completed (setWeight: 50)".to_owned(),
        "RolloutPaused: Rollout is paused (CanaryPauseStep)".to_owned(),
        "RolloutStepCompleted: Rollout step 2/2 completed (pause)".to_owned(),
        "RolloutResumed: Rollout is resumed".to_owned(),
        format!(
            "RolloutCompleted: Rollout completed update to revision 2 ({hash}): Completed all 2 canary steps"
        ),
    ] {
        assert_eq!(
            said.iter().filter(|s| **s == want).count(),
            1,
            "{want} in {said:#?}"
        );
    }
}

fn paused() -> World {
    let mut world = single();
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    world.told();
    world
}

#[test]
fn promote_full_skips_what_is_left() {
    let mut world = paused();
    world.patch_status(&json!({"promoteFull": true}));
    world.settle();
    let events = world.events.clone();
    check(
        &mut world,
        &["ScalingReplicaSet", "RolloutResumed", "RolloutCompleted"],
        "Healthy",
        "",
        RESTING_AFTER_A_PAUSE,
    );
    assert!(
        events.last().unwrap().1.ends_with(": Full promotion requested"),
        "{events:?}"
    );
    assert_eq!(
        (world.status("/promoteFull"), world.status("/currentStepIndex")),
        (Value::Null, json!(2))
    );
}

#[test]
fn undo_to_stable_skips_the_steps() {
    let mut world = paused();
    set_version(&mut world.rollout, "1");
    world.settle();
    check(
        &mut world,
        &["RolloutUpdated", "SkipSteps", "ScalingReplicaSet"],
        "Healthy",
        "",
        RESTING_AFTER_A_PAUSE,
    );
    assert_eq!(world.sizes(), [("app:1".to_owned(), 1), ("app:2".to_owned(), 0)]);
}

#[test]
fn a_new_template_in_a_pause_or_an_abort_begins_anew() {
    for action in [json!({}), json!({"abort": true}), json!({"promoteFull": true})] {
        let mut world = paused();
        // Version 2 never gets ready again, so that a full promotion stays under way.
        world.broken = vec!["app:2".to_owned()];
        world.patch_status(&action);
        world.step();
        set_version(&mut world.rollout, "3");
        world.settle();
        assert_eq!(world.status("/phase"), "Paused", "{action}");
        assert_eq!(world.status("/currentStepIndex"), 1, "{action}");
        for gone in ["/abort", "/abortedAt", "/promoteFull"] {
            assert_eq!(world.status(gone), Value::Null, "{action} {gone}");
        }
        let last = world.sizes().last().cloned();
        assert_eq!(last, Some(("app:3".to_owned(), 1)), "{action}");
    }
}

#[test]
fn a_users_pause_and_its_end() {
    let mut world = paused();
    world.rollout["spec"]["paused"] = json!(true);
    touch(&mut world.rollout);
    world.settle();
    check(&mut world, &[], "Paused", HELD, PAUSED);
    // Promote: the status first, then the spec.
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(world.status("/currentStepIndex"), 1, "held");
    world.rollout["spec"]["paused"] = json!(false);
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(
        world.status("/phase"),
        "Healthy",
        "the promote that came first still counts: {:#}",
        world.rollout
    );
}

/// `spec.paused` on a rollout at rest must not unsettle it.
#[test]
fn a_users_pause_at_rest_changes_the_phase_only() {
    let mut world = single();
    world.settle();
    world.told();
    world.rollout["spec"]["paused"] = json!(true);
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(
        (world.status("/phase"), world.status("/message")),
        (json!("Paused"), json!(HELD))
    );
    assert_eq!(
        world.condition("Progressing").unwrap().1,
        "NewReplicaSetAvailable"
    );
    world.rollout["spec"]["paused"] = json!(false);
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(
        (world.status("/phase"), world.told()),
        (json!("Healthy"), Vec::new())
    );
}

#[test]
fn abort_of_a_rollout_at_rest_is_dropped_silently() {
    for action in [
        json!({"abort": true}),
        json!({"promoteFull": true}),
        json!({"currentStepIndex": 0}),
    ] {
        let mut world = single();
        world.settle();
        world.told();
        world.patch_status(&action);
        world.settle();
        check(&mut world, &[], "Healthy", "", RESTING);
        assert_eq!(
            (world.status("/abort"), world.status("/currentStepIndex")),
            (Value::Null, json!(2)),
            "{action}"
        );
    }
}

/// A step's end is due to time alone here: the same order as when a user ends it.
#[test]
fn a_timed_pause_ends_by_itself() {
    let mut own = rollout("1", &json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}]));
    own["spec"]["replicas"] = json!(1);
    let mut world = World::new(own);
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    world.told();
    let wake = world.plan().wake.unwrap();
    let since = world
        .status("/pauseConditions/0/startTime")
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    assert_eq!(wake, since + jiff::SignedDuration::from_hours(1));
    world.now = wake - jiff::SignedDuration::from_secs(1);
    assert!(!world.step());
    world.now = wake;
    world.settle();
    let promoted = [
        "RolloutStepCompleted",
        "RolloutResumed",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ];
    check(&mut world, &promoted, "Healthy", "", RESTING_AFTER_A_PAUSE);
}

/// What is waited for, by the contract's words; how far it has come may follow them.
#[test]
fn the_message_says_what_is_waited_for() {
    let waits = |world: &World, want: &str| {
        assert_eq!(world.status("/phase"), "Progressing");
        let message = world.status("/message");
        assert!(message.as_str().unwrap().starts_with(want), "{message}");
    };
    let mut world = World::new(rollout("1", &json!([{"setWeight": 40}, {"pause": {}}])));
    world.broken = vec!["app:1".to_owned()];
    world.step();
    waits(&world, "more replicas need to be updated");
    world.settle();
    waits(&world, "updated replicas are still becoming available");
    world.broken.clear();
    world.step();
    world.settle();
    assert_eq!(world.status("/message"), Value::Null);
    world.broken = vec!["app:2".to_owned()];
    set_version(&mut world.rollout, "2");
    world.settle();
    waits(&world, "more replicas need to be updated");
}

/// The scale subresource reads these from the first write on.
#[test]
fn autoscalers_find_counts_and_selector_in_the_first_status() {
    let mut world = single();
    world.step();
    assert_eq!(
        (world.status("/HPAReplicas"), world.status("/selector")),
        (json!(0), json!("app=app"))
    );
    assert_eq!(world.status("/observedGeneration"), "1");
    world.settle();
    assert_eq!(world.status("/HPAReplicas"), 1);
}

/// `spec.replicas` is written back, and the status says so from then on.
#[test]
fn replicas_that_are_not_given_are_one() {
    let mut world = single();
    world.rollout["spec"].as_object_mut().unwrap().remove("replicas");
    world.settle();
    assert_eq!(world.rollout["spec"]["replicas"], 1);
    assert_eq!(world.status("/phase"), "Healthy");
}

#[test]
fn a_bad_spec_is_said_once_and_taken_back() {
    let mut world = paused();
    world.rollout["spec"]["strategy"]["canary"]["maxSurge"] = json!("many");
    touch(&mut world.rollout);
    world.settle();
    let message = "InvalidSpec: The Rollout \"app\" is invalid: spec.strategy.canary.maxSurge: Invalid value: \"many\": \
                   must be a whole number, or a percentage such as \"25%\"";
    let want = format!("InvalidSpec True, {PAUSED}");
    check(&mut world, &["InvalidSpec"], "Degraded", message, &want);
    assert_eq!(
        world.status("/observedGeneration"),
        world.rollout["metadata"]["generation"].to_string()
    );
    world.rollout["spec"]["strategy"]["canary"]["maxSurge"] = json!(1);
    touch(&mut world.rollout);
    world.settle();
    check(&mut world, &[], "Paused", STEP_PAUSE, PAUSED);
}
