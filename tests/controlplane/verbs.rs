//! What a user's commands do, in the middle of an update and at its ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::events::{reasons, until_events};
use crate::support::world::{
    EVENT, REPLICA_SET, ROLLOUT, annotation, is_degraded, is_observed, is_paused_by, number, say,
};
use crate::support::{World, canary, rollout, scenario};

const NAME: &str = "app";

/// Two weights, each with a pause until somebody promotes.
fn two_pauses() -> Value {
    canary(&json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]))
}

/// A first revision of four pods, and a second one that waits in the first pause.
async fn in_first_pause(world: &World) {
    world.deployed(rollout(NAME, 4, two_pauses())).await;
    world.set_image(NAME, "app:v2").await;
    world.paused_at(NAME, 1).await;
    assert_eq!(world.scales(NAME).await, [3, 1]);
}

#[test]
fn the_events_of_abort_retry_and_promote_come_in_the_order_that_clients_know() {
    scenario("events", |world| async move {
        let events = world.record(EVENT).await;
        let strategy = json!({"steps": [{"setWeight": 50}, {"pause": {}}]});
        world.deployed(rollout(NAME, 1, strategy)).await;
        let mut want = vec![
            "RolloutAddedToInformer",
            "RolloutUpdated",
            "NewReplicaSetCreated",
            "RolloutNotCompleted",
            "ScalingReplicaSet",
            "RolloutCompleted",
        ];
        until_events(&world, &events, &want).await;

        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        want.extend([
            "RolloutUpdated",
            "NewReplicaSetCreated",
            "RolloutNotCompleted",
            "ScalingReplicaSet",
            "RolloutStepCompleted",
            "RolloutPaused",
        ]);
        until_events(&world, &events, &want).await;

        world.abort(NAME).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted: "))
            .await;
        world.until_scales(NAME, &[1, 0]).await;
        want.extend(["ScalingReplicaSet", "RolloutAborted"]);
        until_events(&world, &events, &want).await;

        world.retry(NAME).await;
        world.paused_at(NAME, 1).await;
        want.extend(["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"]);
        until_events(&world, &events, &want).await;

        world.promote(NAME).await;
        world.healthy(NAME).await;
        want.extend([
            "RolloutStepCompleted",
            "RolloutResumed",
            "ScalingReplicaSet",
            "RolloutCompleted",
        ]);
        until_events(&world, &events, &want).await;
    });
}

#[test]
fn promote_ends_a_pause_and_the_next_one_begins() {
    scenario("promote", |world| async move {
        in_first_pause(&world).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        assert_eq!(world.scales(NAME).await, [2, 2]);
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 4]).await;
    });
}

#[test]
fn promote_skips_a_step_that_is_no_pause() {
    scenario("promote-skip", |world| async move {
        world.deployed(rollout(NAME, 4, two_pauses())).await;
        // Its pods never become ready: the first step waits for them.
        world.set_image(NAME, "broken:v2").await;
        let is_waiting = |r: &Value| is_observed(r) && number(r, "/status/updatedReplicas") == 1;
        world.until_rollout(NAME, "waiting for its pod", is_waiting).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 1).await;
        // And the pause that follows is a pause as any other.
        world.promote(NAME).await;
        world
            .until_rollout(NAME, "at the third step", |r| {
                r["status"]["currentStepIndex"] == 2
            })
            .await;
    });
}

#[test]
fn promote_full_skips_all_steps() {
    scenario("promote-full", |world| async move {
        in_first_pause(&world).await;
        world.promote_full(NAME).await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["currentStepIndex"], 4);
        assert_eq!(rollout["status"]["promoteFull"], Value::Null, "it is spent");
        world.until_scales(NAME, &[0, 4]).await;
    });
}

#[test]
fn abort_in_a_pause_takes_everything_back_and_retry_begins_anew() {
    scenario("abort-pause", |world| async move {
        in_first_pause(&world).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.abort(NAME).await;
        let want = "RolloutAborted: Rollout aborted update to revision 2";
        let rollout = world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, want))
            .await;
        assert_eq!(rollout["status"]["currentStepIndex"], 0);
        assert_eq!(rollout["status"]["pauseConditions"], Value::Null);
        world.until_scales(NAME, &[4, 0]).await;
        // Argo CD removes the field instead of writing false.
        world
            .edit_status(NAME, json!([{"op": "remove", "path": "/status/abort"}]))
            .await;
        world.paused_at(NAME, 1).await;
        assert_eq!(world.scales(NAME).await, [3, 1]);
    });
}

#[test]
fn abort_while_pods_are_awaited_takes_everything_back() {
    scenario("abort-weight", |world| async move {
        world.deployed(rollout(NAME, 4, two_pauses())).await;
        world.set_image(NAME, "broken:v2").await;
        let is_waiting = |r: &Value| is_observed(r) && number(r, "/status/updatedReplicas") == 1;
        world.until_rollout(NAME, "waiting for its pod", is_waiting).await;
        world.abort(NAME).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.until_scales(NAME, &[4, 0]).await;
        // A new template forgets the abort.
        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
    });
}

#[test]
fn a_pause_by_the_user_stops_an_update_and_its_end_goes_on() {
    scenario("pause", |world| async move {
        world
            .deployed(rollout(NAME, 6, json!({"maxSurge": 1, "maxUnavailable": 0})))
            .await;
        world.set_image(NAME, "app:v2").await;
        let is_midway = |r: &Value| is_observed(r) && (2..6).contains(&number(r, "/status/updatedReplicas"));
        world.until_rollout(NAME, "in the middle", is_midway).await;
        world.pause(NAME, true).await;
        let rollout = world
            .until_rollout(NAME, "paused", |r| {
                is_observed(r) && is_paused_by(r, "manually paused")
            })
            .await;
        assert_eq!(rollout["status"]["phase"], "Paused");
        let before = world.scales(NAME).await;
        let record = world.record(REPLICA_SET).await;
        // Each pod takes 1-2 s: within this time an update would have gone on.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(world.scales(NAME).await, before, "{:?}", record.changes());
        assert!(before[0] > 0 && before[1] > 0 && before[1] < 6, "{before:?}");
        world.pause(NAME, false).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 6]).await;
    });
}

#[test]
fn undo_to_stable_in_the_middle_skips_all_steps() {
    scenario("undo-stable", |world| async move {
        in_first_pause(&world).await;
        let events = world.record(EVENT).await;
        world.undo(NAME, "1").await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["currentStepIndex"], 4);
        assert_eq!(annotation(&rollout, "rollout.argoproj.io/revision"), "3");
        // The first revision is the third now.
        world.until_scales(NAME, &[0, 4]).await;
        let stable = &world.replica_sets(NAME).await[1];
        assert_eq!(annotation(stable, "rollout.argoproj.io/revision-history"), "1");
        world
            .until("SkipSteps", async || {
                reasons(&events).iter().any(|r| r == "SkipSteps").then_some(())
            })
            .await;
    });
}

#[test]
fn undo_to_an_older_revision_goes_through_the_steps_unless_the_window_covers_it() {
    scenario("undo-older", |world| async move {
        world
            .deployed(rollout(
                NAME,
                4,
                canary(&json!([{"setWeight": 25}, {"pause": {}}])),
            ))
            .await;
        for image in ["app:v2", "app:v3"] {
            world.set_image(NAME, image).await;
            world.paused_at(NAME, 1).await;
            world.promote_full(NAME).await;
            world.healthy(NAME).await;
        }
        world.until_scales(NAME, &[0, 0, 4]).await;
        world.undo(NAME, "1").await;
        world.paused_at(NAME, 1).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 0, 4]).await;
        assert_eq!(
            world.replica_sets(NAME).await.len(),
            3,
            "the ReplicaSet of the first revision is used again"
        );
        // The stable ReplicaSet is the oldest: going forward to v3 is no rollback, back to the oldest from there is one.
        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world
            .patch(NAME, json!({"spec": {"rollbackWindow": {"revisions": 3}}}))
            .await;
        world.set_image(NAME, "app:v1").await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["pauseConditions"], Value::Null);
        say(&format!(
            "ring 3: undo within the window: {}",
            rollout["status"]["stableRS"]
        ));
    });
}

#[test]
fn a_new_template_in_the_middle_starts_anew_and_the_one_between_goes() {
    scenario("new-template", |world| async move {
        in_first_pause(&world).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.until_scales(NAME, &[3, 0, 1]).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 0, 4]).await;
    });
}

#[test]
fn scaling_in_the_middle_keeps_the_ratio() {
    scenario("scale", |world| async move {
        in_first_pause(&world).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.scale(NAME, 8).await;
        world.until_scales(NAME, &[4, 4]).await;
        world.scale(NAME, 2).await;
        world.until_scales(NAME, &[1, 1]).await;
        world.paused_at(NAME, 3).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 2]).await;
        let scale = world.api(ROLLOUT).get_scale(NAME).await.unwrap();
        assert_eq!(scale.status.unwrap().replicas, 2, "what an autoscaler reads");
    });
}

#[test]
fn replicas_left_out_are_written_for_autoscalers() {
    scenario("replicas", |world| async move {
        let mut object = rollout(NAME, 1, two_pauses());
        object["spec"].as_object_mut().unwrap().remove("replicas");
        let rollout = world.deployed(object).await;
        assert_eq!(rollout["spec"]["replicas"], 1);
        assert_eq!(rollout["status"]["HPAReplicas"], 1);
        assert_eq!(rollout["status"]["selector"], format!("app={NAME}"));
    });
}

#[test]
fn changed_steps_in_the_middle_begin_anew_with_the_same_pods() {
    scenario("steps", |world| async move {
        in_first_pause(&world).await;
        let before = world.replica_sets(NAME).await;
        let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]);
        world
            .patch(NAME, json!({"spec": {"strategy": {"canary": {"steps": steps}}}}))
            .await;
        world.until_scales(NAME, &[2, 2]).await;
        world.paused_at(NAME, 1).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.until_scales(NAME, &[1, 3]).await;
        let uids =
            |sets: &[Value]| -> Vec<Value> { sets.iter().map(|rs| rs["metadata"]["uid"].clone()).collect() };
        assert_eq!(uids(&world.replica_sets(NAME).await), uids(&before));
        // Without any steps it is a rolling update, which goes to its end.
        world
            .patch(NAME, json!({"spec": {"strategy": {"canary": {"steps": null}}}}))
            .await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["currentStepIndex"], Value::Null);
        world.until_scales(NAME, &[0, 4]).await;
    });
}
