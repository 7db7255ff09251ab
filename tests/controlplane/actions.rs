//! The events of every action of a user on a canary, in the contract's order (wire contract 4.2).

use serde_json::json;

use crate::events::until_events;
use crate::support::world::{EVENT, ROLLOUT, is_observed, text};
use crate::support::{Controller, rollout, scenario};

const NAME: &str = "app";

/// What follows a new template up to the first pause, where its ReplicaSet has to be made.
const NEW: [&str; 6] = [
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "RolloutNotCompleted",
    "ScalingReplicaSet",
    "RolloutStepCompleted",
    "RolloutPaused",
];

#[test]
fn every_action_is_told_in_the_order_that_clients_know() {
    scenario("actions", |world| async move {
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

        // Set image.
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        want.extend(NEW);
        until_events(&world, &events, &want).await;

        // Pause and resume, in a pause of the step: nothing that a client has to hear of.
        world.pause(NAME, true).await;
        world.until_rollout(NAME, "observed", is_observed).await;
        world.pause(NAME, false).await;
        world.paused_at(NAME, 1).await;
        until_events(&world, &events, &want).await;

        // Scale up, which both sides follow, and back.
        world.scale(NAME, 2).await;
        world.until_scales(NAME, &[1, 1]).await;
        world.paused_at(NAME, 1).await;
        until_events(&world, &events, &want).await;

        // Promote in full.
        world.promote_full(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 2]).await;
        want.extend([
            "ScalingReplicaSet",
            "RolloutResumed",
            "ScalingReplicaSet",
            "RolloutCompleted",
        ]);
        until_events(&world, &events, &want).await;

        let how = async |want: &str| {
            let rollout = world.rollout(NAME).await;
            let record = &rollout["status"]["duration"];
            assert_eq!(record["completionStatus"], want, "{record}");
            assert!(!record["finishedAt"].is_null(), "{record}");
            let counted = Controller::shared()
                .metric("rollout_duration_seconds_count", &format!("status=\"{want}\""))
                .await;
            assert!(counted >= 1.0, "{want}: {counted}");
        };
        how("FastPromoted").await;

        // Undo: the ReplicaSet is there already.
        world.undo(NAME, "1").await;
        world.paused_at(NAME, 1).await;
        want.extend([
            "RolloutUpdated",
            "RolloutNotCompleted",
            "ScalingReplicaSet",
            "ScalingReplicaSet",
            "RolloutStepCompleted",
            "RolloutPaused",
        ]);
        until_events(&world, &events, &want).await;

        // Back to stable in the middle.
        world.undo(NAME, "2").await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 2]).await;
        // It was stable all the time: nothing is completed.
        want.extend([
            "RolloutUpdated",
            "SkipSteps",
            "ScalingReplicaSet",
            "ScalingReplicaSet",
        ]);
        until_events(&world, &events, &want).await;

        how("FastRolledBack").await;

        // Restart.
        let at = text(&world.rollout(NAME).await, "/metadata/creationTimestamp").to_owned();
        world.patch(NAME, json!({"spec": {"restartAt": at}})).await;
        world
            .until_rollout(NAME, "restarted", |r| text(r, "/status/restartedAt") == at)
            .await;
        until_events(&world, &events, &want).await;

        world.delete(ROLLOUT, NAME).await;
        want.push("RolloutDeleted");
        until_events(&world, &events, &want).await;
    });
}
