//! The commands on a Rollout whose template is that of a Deployment: `set image` and `undo` edit the Deployment.

use serde_json::{Value, json};

use crate::support::world::{DEPLOYMENT, annotation, is_degraded, is_observed, is_paused_by, text};
use crate::support::{World, canary, scenario};

const WEB: &str = "web";

/// Waits until the update to this image waits in its pause.
async fn paused_with(world: &World, image: &str) -> Value {
    let deployment = world.get(DEPLOYMENT, WEB).await;
    assert_eq!(text(&deployment, "/spec/template/spec/containers/0/image"), image);
    let generation = deployment["metadata"]["generation"].to_string();
    world
        .until_rollout(WEB, "paused with the new template", |r| {
            is_observed(r)
                && text(r, "/status/workloadObservedGeneration") == generation
                && is_paused_by(r, "CanaryPauseStep")
        })
        .await
}

#[test]
fn the_plugin_releases_by_the_deployment_that_a_rollout_refers_to() {
    scenario("plugin-workload", |world| async move {
        world
            .create(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": WEB},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": WEB}},
                    "template": {
                        "metadata": {"labels": {"app": WEB}},
                        "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
                    },
                },
            }))
            .await;
        world
            .deployed(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": WEB},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": WEB}},
                    "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB},
                    "strategy": {"canary": canary(&json!([{"setWeight": 50}, {"pause": {}}]))},
                },
            }))
            .await;
        let said = world.argo(&["set", "image", WEB, "app=app:v2"]).await;
        assert_eq!(said, "deployment \"web\" image updated\n");
        paused_with(&world, "app:v2").await;
        world.argo(&["abort", WEB]).await;
        world
            .until_rollout(WEB, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.argo(&["retry", "rollout", WEB]).await;
        paused_with(&world, "app:v2").await;
        world.argo(&["promote", WEB]).await;
        world.healthy(WEB).await;

        assert_eq!(world.argo(&["undo", WEB]).await, "rollout 'web' undo\n");
        let rollout = paused_with(&world, "app:v1").await;
        assert_eq!(annotation(&rollout, "rollout.argoproj.io/revision"), "3");
        assert_eq!(
            rollout["spec"]["template"],
            Value::Null,
            "it stays with the Deployment"
        );
        world.argo(&["undo", WEB, "--to-revision", "2"]).await;
        let rollout = world
            .until_rollout(WEB, "back at the second version", |r| {
                annotation(r, "rollout.argoproj.io/revision") == "4"
                    && is_observed(r)
                    && r["status"]["phase"] == "Healthy"
            })
            .await;
        assert_eq!(rollout["status"]["stableRS"], rollout["status"]["currentPodHash"]);
        let list = world.argo(&["list", "rollouts", "--name", WEB]).await;
        let row: Vec<&str> = list.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row[..5], [WEB, "Canary", "Healthy", "2/2", "100"], "{list}");
    });
}
