//! The commands on a canary.

use serde_json::{Value, json};

use super::NAME;
use crate::events::until_events;
use crate::support::world::{EVENT, POD, annotation, is_degraded, is_observed, is_paused_by, number, text};
use crate::support::{World, canary, rollout, scenario};

const NEW: [&str; 6] = [
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "RolloutNotCompleted",
    "ScalingReplicaSet",
    "RolloutStepCompleted",
    "RolloutPaused",
];

/// The image that the Rollout asks for.
async fn image(world: &World) -> String {
    let rollout = world.rollout(NAME).await;
    text(&rollout, "/spec/template/spec/containers/0/image").to_owned()
}

async fn set_image(world: &World, image: &str) {
    let said = world.argo(&["set", "image", NAME, &format!("app={image}")]).await;
    assert_eq!(said, "rollout \"app\" image updated\n");
}

#[test]
fn the_plugin_takes_a_canary_through_its_life_and_the_events_are_those_of_the_contract() {
    scenario("plugin-story", |world| async move {
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
        set_image(&world, "app:v2").await;
        world.paused_at(NAME, 1).await;
        want.extend(NEW);
        until_events(&world, &events, &want).await;

        assert_eq!(world.argo(&["abort", NAME]).await, "rollout 'app' aborted\n");
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted: "))
            .await;
        world.until_scales(NAME, &[1, 0]).await;
        want.extend(["ScalingReplicaSet", "RolloutAborted"]);
        until_events(&world, &events, &want).await;

        let said = world.argo(&["retry", "rollout", NAME]).await;
        assert_eq!(said, "rollout 'app' retried\n");
        world.paused_at(NAME, 1).await;
        want.extend(["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"]);
        until_events(&world, &events, &want).await;

        assert_eq!(world.argo(&["promote", NAME]).await, "rollout 'app' promoted\n");
        world.healthy(NAME).await;
        want.extend([
            "RolloutStepCompleted",
            "RolloutResumed",
            "ScalingReplicaSet",
            "RolloutCompleted",
        ]);
        until_events(&world, &events, &want).await;

        set_image(&world, "app:v3").await;
        world.paused_at(NAME, 1).await;
        want.extend(NEW);
        let said = world.argo(&["promote", NAME, "--full"]).await;
        assert_eq!(said, "rollout 'app' fully promoted\n");
        world.healthy(NAME).await;
        want.extend(["ScalingReplicaSet", "RolloutResumed", "RolloutCompleted"]);
        until_events(&world, &events, &want).await;

        // The last but one, whose ReplicaSet is there already: an update as any other.
        assert_eq!(world.argo(&["undo", NAME]).await, "rollout 'app' undo\n");
        assert_eq!(image(&world).await, "app:v2");
        let rollout = world.paused_at(NAME, 1).await;
        assert_eq!(annotation(&rollout, "rollout.argoproj.io/revision"), "4");
        want.extend([
            "RolloutUpdated",
            "RolloutNotCompleted",
            "ScalingReplicaSet",
            "RolloutStepCompleted",
            "RolloutPaused",
        ]);
        until_events(&world, &events, &want).await;

        // The third one is stable: back to it in the middle.
        world.argo(&["undo", NAME, "--to-revision", "3"]).await;
        assert_eq!(image(&world).await, "app:v3");
        world.healthy(NAME).await;
        want.extend(["RolloutUpdated", "SkipSteps", "ScalingReplicaSet"]);
        until_events(&world, &events, &want).await;

        let said = world.try_argo(&["undo", NAME, "--to-revision", "9"]).await;
        assert_eq!(said.code, 1);
        assert!(
            said.err
                .contains("unable to find specified revision 9 in history"),
            "{said:?}"
        );
        assert_eq!(image(&world).await, "app:v3");
    });
}

#[test]
fn the_plugin_promotes_past_pauses_and_past_steps_that_are_none() {
    scenario("plugin-promote", |world| async move {
        let steps =
            json!([{"setWeight": 25}, {"pause": {}}, {"pause": {"duration": "1h"}}, {"setWeight": 75}]);
        world.deployed(rollout(NAME, 4, canary(&steps))).await;
        // Its pods never become ready: the first step waits for them.
        set_image(&world, "broken:v2").await;
        let is_waiting = |r: &Value| is_observed(r) && number(r, "/status/updatedReplicas") == 1;
        world.until_rollout(NAME, "waiting for its pod", is_waiting).await;
        world.argo(&["promote", NAME]).await;
        world.paused_at(NAME, 1).await;
        world.argo(&["promote", NAME]).await;
        world.paused_at(NAME, 2).await;
        // A pause that would end by itself, much later, with a new version that works in it.
        set_image(&world, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.argo(&["promote", NAME]).await;
        world.paused_at(NAME, 2).await;
        world.argo(&["promote", NAME]).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 0, 4]).await;
        // At rest there is nothing to promote, abort or retry, and nothing of it is left.
        for args in [
            &["promote", NAME] as &[&str],
            &["promote", NAME, "--full"],
            &["abort", NAME],
            &["retry", "rollout", NAME],
        ] {
            world.argo(args).await;
            let is_at_rest = |r: &Value| {
                r["status"]["phase"] == "Healthy"
                    && r["status"]["abort"] != true
                    && r["status"]["promoteFull"] != true
                    && r["status"]["currentStepIndex"] == 4
            };
            world.until_rollout(NAME, "at rest", is_at_rest).await;
        }
    });
}

#[test]
fn the_deprecated_ways_to_skip_one_step_or_all_work_too() {
    scenario("plugin-skip", |world| async move {
        let steps = json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
        world.deployed(rollout(NAME, 4, canary(&steps))).await;
        set_image(&world, "app:v2").await;
        world.paused_at(NAME, 1).await;
        // They leave the condition of the pause where it is.
        world.argo(&["promote", NAME, "--skip-current-step"]).await;
        world.paused_at(NAME, 3).await;
        world.until_scales(NAME, &[2, 2]).await;
        world.argo(&["promote", NAME, "--skip-all-steps"]).await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["pauseConditions"], Value::Null);
        assert_eq!(rollout["status"]["controllerPause"], Value::Null);
        world.until_scales(NAME, &[0, 4]).await;
    });
}

#[test]
fn what_the_plugin_pauses_goes_on_when_it_is_promoted() {
    scenario("plugin-pause", |world| async move {
        world
            .deployed(rollout(NAME, 6, json!({"maxSurge": 1, "maxUnavailable": 0})))
            .await;
        set_image(&world, "app:v2").await;
        let is_midway = |r: &Value| is_observed(r) && (2..6).contains(&number(r, "/status/updatedReplicas"));
        world.until_rollout(NAME, "in the middle", is_midway).await;
        assert_eq!(world.argo(&["pause", NAME]).await, "rollout 'app' paused\n");
        let is_held = |r: &Value| is_observed(r) && is_paused_by(r, "manually paused");
        world.until_rollout(NAME, "paused", is_held).await;
        let said = world.try_argo(&["status", NAME, "--timeout", "2s"]).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (1, "Paused - manually paused: until spec.paused is false\n"),
            "{said:?}"
        );
        assert!(
            said.err.contains("Rollout status watch exceeded timeout"),
            "{said:?}"
        );
        let scales = world.scales(NAME).await;
        assert!(scales.iter().all(|size| *size > 0), "it stands: {scales:?}");
        // There is no command to resume but this.
        world.argo(&["promote", NAME]).await;
        let said = world.argo(&["status", NAME, "--timeout", "90s"]).await;
        assert!(said.ends_with("Healthy\n"), "{said}");
        world.until_scales(NAME, &[0, 6]).await;

        // One promotion ends the pause of the user and that of the step.
        let steps = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}}});
        world.patch(NAME, steps).await;
        set_image(&world, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.argo(&["pause", NAME]).await;
        world.until_rollout(NAME, "held", is_held).await;
        world.argo(&["promote", NAME]).await;
        world.healthy(NAME).await;
    });
}

#[test]
fn the_plugin_restarts_all_pods_now_or_later() {
    scenario("plugin-restart", |world| async move {
        let pods = async || {
            let all = world.list(POD, &format!("app={NAME}")).await;
            let mut uids: Vec<String> = all
                .iter()
                .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
                .map(|pod| text(pod, "/metadata/uid").to_owned())
                .collect();
            uids.sort();
            uids
        };
        world.deployed(rollout(NAME, 2, canary(&json!([])))).await;
        let mut before = pods().await;
        for (args, says, message) in [
            (&["restart", NAME] as &[&str], "restarts in 0s", ""),
            (
                &["restart", NAME, "--in", "6s"],
                "restarts in 6s",
                "rollout is restarting: pods restart at ",
            ),
        ] {
            let said = world.argo(args).await;
            assert_eq!(said, format!("rollout 'app' {says}\n"));
            let rollout = world.rollout(NAME).await;
            let at = text(&rollout, "/spec/restartAt").to_owned();
            world
                .until_rollout(NAME, "restarting", |r| {
                    is_observed(r) && text(r, "/status/message").starts_with(message)
                })
                .await;
            world
                .until_rollout(NAME, "restarted", |r| text(r, "/status/restartedAt") == at)
                .await;
            world.healthy(NAME).await;
            let after = pods().await;
            assert_eq!(after.len(), 2);
            assert!(after.iter().all(|uid| !before.contains(uid)), "each is a new one");
            before = after;
        }
        assert_eq!(world.scales(NAME).await, [2], "of the same revision");
    });
}
