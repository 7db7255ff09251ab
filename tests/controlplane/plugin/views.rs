//! What the plugin shows of a canary: `get`, `list` and `status`, in every phase.

use serde_json::json;

use super::{NAME, View};
use crate::support::world::{is_degraded, is_observed};
use crate::support::{canary, rollout, scenario};

#[test]
fn the_tree_names_revisions_roles_steps_and_weights() {
    scenario("plugin-tree", |world| async move {
        let steps = json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
        world.deployed(rollout(NAME, 4, canary(&steps))).await;
        let view = View::of(&world, NAME).await;
        assert_eq!(view.status(), ("Healthy", ""), "{}", view.0);
        assert_eq!(view.field("Strategy"), "Canary");
        assert_eq!(
            ["Step", "SetWeight", "ActualWeight"].map(|name| view.field(name)),
            ["4/4", "100", "100"]
        );
        assert_eq!(view.images(), ["app:v1 (stable)"]);
        view.assert_sets(&[(1, "Healthy", "stable")]);

        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        let view = View::of(&world, NAME).await;
        let says = "CanaryPauseStep: step 2 of 4 (pause), until somebody promotes";
        assert_eq!(view.status(), ("Paused", says), "{}", view.0);
        assert_eq!(
            ["Step", "SetWeight", "ActualWeight"].map(|name| view.field(name)),
            ["1/4", "25", "25"]
        );
        assert_eq!(
            ["Desired", "Current", "Updated", "Ready", "Available"].map(|name| view.field(name)),
            ["4", "4", "1", "4", "4"]
        );
        assert_eq!(view.images(), ["app:v1 (stable)", "app:v2 (canary)"]);
        view.assert_sets(&[(2, "Healthy", "canary"), (1, "Healthy", "stable")]);
        let list = world.argo(&["list", "rollouts"]).await;
        let row: Vec<&str> = list.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(
            row,
            [NAME, "Canary", "Paused", "1/4", "25", "4/4", "4", "1", "4"],
            "{list}"
        );

        world.abort(NAME).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.until_scales(NAME, &[4, 0]).await;
        let view = View::of(&world, NAME).await;
        let message = "RolloutAborted: Rollout aborted update to revision 2";
        assert_eq!(view.status(), ("Degraded", message), "{}", view.0);
        assert_eq!(["Step", "SetWeight"].map(|name| view.field(name)), ["0/4", "0"]);
        view.assert_sets(&[(2, "ScaledDown", "canary"), (1, "Healthy", "stable")]);

        // A third version, in the middle of which the second is nobody's any more.
        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        let view = View::of(&world, NAME).await;
        view.assert_sets(&[
            (3, "Healthy", "canary"),
            (2, "ScaledDown", ""),
            (1, "Healthy", "stable"),
        ]);
        world.promote_full(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 0, 4]).await;
        // The first one again: it has the highest number now.
        world.undo(NAME, "1").await;
        world.paused_at(NAME, 1).await;
        let view = View::of(&world, NAME).await;
        view.assert_sets(&[
            (4, "Healthy", "canary"),
            (3, "Healthy", "stable"),
            (2, "ScaledDown", ""),
        ]);
    });
}

#[test]
fn status_waits_for_the_end_and_its_exit_code_says_which() {
    scenario("plugin-status", |world| async move {
        let mut object = rollout(NAME, 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        object["spec"]["progressDeadlineSeconds"] = json!(5);
        world.create(object).await;
        // From the first moment to the end of the first deployment.
        world.until_rollout(NAME, "seen", is_observed).await;
        let said = world.argo(&["status", NAME, "--timeout", "90s"]).await;
        assert!(said.ends_with("Healthy\n"), "{said}");
        assert_eq!(world.argo(&["status", NAME, "--watch=false"]).await, "Healthy\n");

        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        let paused = "Paused - CanaryPauseStep: step 2 of 2 (pause), until somebody promotes\n";
        assert_eq!(world.argo(&["status", NAME, "--watch=false"]).await, paused);
        let said = world.try_argo(&["status", NAME, "--timeout", "1s"]).await;
        assert_eq!((said.code, said.out.as_str()), (1, paused), "{said:?}");

        // Pods that never become ready: it waits until the deadline of progress, and says why.
        world.set_image(NAME, "broken:v3").await;
        let said = world.try_argo(&["status", NAME, "--timeout", "90s"]).await;
        assert_eq!(said.code, 1, "{said:?}");
        let why = "The rollout is in a degraded state with message: ProgressDeadlineExceeded: ReplicaSet";
        assert!(said.err.contains(why), "{said:?}");
        assert!(
            said.out
                .contains("Progressing - more replicas need to be updated: "),
            "{said:?}"
        );

        // A spec that cannot be carried out.
        let surge = json!({"spec": {"strategy": {"canary": {"maxSurge": "many"}}}});
        world.patch(NAME, surge).await;
        world
            .until_rollout(NAME, "invalid", |r| is_degraded(r, "InvalidSpec"))
            .await;
        let said = world.try_argo(&["status", NAME, "--watch=false"]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err
                .contains("InvalidSpec: The Rollout \"app\" is invalid: spec.strategy.canary.maxSurge"),
            "{said:?}"
        );
        let said = world.try_argo(&["status", "nobody", "--watch=false"]).await;
        assert_eq!(said.code, 1, "{said:?}");
    });
}

#[test]
fn rollouts_are_created_and_watched_by_the_plugin() {
    scenario("plugin-create", |world| async move {
        let file =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", world.namespace));
        let object = rollout(NAME, 1, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        std::fs::write(&file, object.to_string()).unwrap();
        let said = world.argo(&["create", "-f", file.to_str().unwrap()]).await;
        assert!(said.contains("rollout.argoproj.io/app created"), "{said}");
        world.healthy(NAME).await;
        // Everything that happens meanwhile is drawn, and none of it is too much for it.
        let watcher = world.clone();
        let watched = tokio::spawn(async move {
            let args = [
                "get",
                "rollout",
                NAME,
                "--watch",
                "--no-color",
                "--timeout-seconds",
                "12",
            ];
            watcher.argo(&args).await
        });
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        world.abort(NAME).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.retry(NAME).await;
        world.paused_at(NAME, 1).await;
        let drawn = watched.await.unwrap();
        for status in ["Paused", "CanaryPauseStep", "canary", "stable"] {
            assert!(drawn.contains(status), "{status} in {drawn}");
        }
    });
}
