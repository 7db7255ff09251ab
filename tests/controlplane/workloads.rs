//! Rollouts that take their template from another workload (wire contract 2.15).

use serde_json::{Value, json};

use crate::support::audit::Audit;
use crate::support::bounds::Bounds;
use crate::support::controller::SHARED_USER;
use crate::support::world::{
    DEPLOYMENT, Kind, POD_TEMPLATE, REPLICA_SET, annotation, is_degraded, is_observed, number, text,
};
use crate::support::{World, canary, scenario};

const NAME: &str = "web";
const GENERATION: &str = "rollout.argoproj.io/workload-generation";

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
            },
        },
    })
}

/// A Rollout without template and selector of its own.
fn referring(replicas: u32, scale_down: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": replicas,
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME, "scaleDown": scale_down},
            "strategy": {"canary": canary(&json!([{"setWeight": 50}, {"pause": {}}]))},
        },
    })
}

async fn deployed(world: &World, replicas: u32) {
    world.create(deployment(replicas)).await;
    world
        .until("an available Deployment", async || {
            let deployment = world.get(DEPLOYMENT, NAME).await;
            (number(&deployment, "/status/availableReplicas") == i64::from(replicas)).then_some(())
        })
        .await;
}

async fn until_deployment_wants(world: &World, replicas: i64) {
    world
        .until("the Deployment scaled", async || {
            (number(&world.get(DEPLOYMENT, NAME).await, "/spec/replicas") == replicas).then_some(())
        })
        .await;
}

#[test]
fn a_deployment_goes_when_the_rollout_is_out_and_its_changes_are_updates() {
    scenario("workload-success", |world| async move {
        deployed(&world, 2).await;
        let sets = world.record(REPLICA_SET).await;
        let deployments = world.record(DEPLOYMENT).await;
        world.create(referring(2, "onsuccess")).await;
        world.healthy(NAME).await;
        until_deployment_wants(&world, 0).await;
        // The Deployment's ReplicaSet has no revision of ours: it comes first.
        world.until_scales(NAME, &[0, 2]).await;
        let bounds = Bounds::of(&sets);
        assert!(bounds.least >= 2, "{bounds:?}");
        let asked: Vec<i64> = deployments
            .applied()
            .iter()
            .map(|d| number(d, "/spec/replicas"))
            .filter(|n| *n != 2)
            .collect();
        assert!(asked.iter().all(|n| *n == 0), "at once and not before: {asked:?}");

        let changed = world.set_deployment_image("app:v2").await;
        let rollout = paused_with(&world, &changed).await;
        assert_eq!(annotation(&rollout, "rollout.argoproj.io/revision"), "2");
        for field in ["template", "selector"] {
            assert_eq!(
                rollout["spec"][field],
                Value::Null,
                "{field} stays with the workload"
            );
        }
        world.promote(NAME).await;
        world.healthy(NAME).await;
        // The Deployment has a second ReplicaSet by now, of no pods.
        world.until_scales(NAME, &[0, 0, 0, 2]).await;
        assert_eq!(
            number(&world.get(DEPLOYMENT, NAME).await, "/spec/replicas"),
            0,
            "an update does not bring it back"
        );
    });
}

#[test]
fn a_deployment_goes_step_by_step_with_the_pods_that_replace_it() {
    scenario("workload-progress", |world| async move {
        deployed(&world, 4).await;
        let sets = world.record(REPLICA_SET).await;
        world.create(referring(4, "progressively")).await;
        world.healthy(NAME).await;
        until_deployment_wants(&world, 0).await;
        world.until_scales(NAME, &[0, 4]).await;
        let bounds = Bounds::of(&sets);
        assert!(bounds.least >= 4, "{bounds:?}");
    });
}

#[test]
fn a_deployment_stays_where_nothing_is_said() {
    scenario("workload-never", |world| async move {
        deployed(&world, 1).await;
        let deployments = world.record(DEPLOYMENT).await;
        world.create(referring(1, "never")).await;
        world.healthy(NAME).await;
        world.set_deployment_image("app:v2").await;
        world
            .until_rollout(NAME, "paused", |r| r["status"]["phase"] == "Paused")
            .await;
        let asked: Vec<i64> = deployments
            .applied()
            .iter()
            .map(|d| number(d, "/spec/replicas"))
            .collect();
        assert!(asked.iter().all(|n| *n == 1), "{asked:?}");
    });
}

#[test]
fn a_replica_set_is_referred_to_as_a_deployment_is() {
    scenario("workload-set", |world| async move {
        let mut set = deployment(1);
        set["kind"] = json!("ReplicaSet");
        world.create_kind(REPLICA_SET, set).await;
        let audit = Audit::of(world.cluster, SHARED_USER);
        let mut object = referring(2, "never");
        object["spec"]["workloadRef"]["kind"] = json!("ReplicaSet");
        world.deployed(object).await;
        goes_on_with_the_workload(&world, REPLICA_SET, "/spec/template").await;
        let set = world.get(REPLICA_SET, NAME).await;
        assert_eq!(number(&set, "/spec/replicas"), 1, "it is its owner's business");
        assert_eq!(set["metadata"]["ownerReferences"], Value::Null);
        let reads = audit.counts(&world.namespace)["get replicasets"];
        assert_eq!(reads, 2, "once for each generation");
    });
}

#[test]
fn a_pod_template_is_referred_to_by_a_rollout_with_a_selector() {
    scenario("workload-template", |world| async move {
        world
            .create_kind(
                POD_TEMPLATE,
                json!({
                    "apiVersion": "v1",
                    "kind": "PodTemplate",
                    "metadata": {"name": NAME},
                    "template": deployment(1)["spec"]["template"],
                }),
            )
            .await;
        let audit = Audit::of(world.cluster, SHARED_USER);
        let mut object = referring(2, "never");
        object["spec"]["workloadRef"] = json!({"apiVersion": "v1", "kind": "PodTemplate", "name": NAME});
        // There is none that could be taken from it.
        world.create(object).await;
        world
            .until_rollout(NAME, "invalid", |r| is_degraded(r, "spec.selector"))
            .await;
        let selector = json!({"spec": {"selector": {"matchLabels": {"app": NAME}}}});
        world.patch(NAME, selector).await;
        world.healthy(NAME).await;
        goes_on_with_the_workload(&world, POD_TEMPLATE, "/template").await;
        let reads = audit.counts(&world.namespace)["get podtemplates"];
        assert_eq!(reads, 2, "once for each generation");
    });
}

/// The Rollout when it is paused with the template of the workload as it is now.
async fn paused_with(world: &World, workload: &Value) -> Value {
    let generation = number(workload, "/metadata/generation").to_string();
    let rollout = world
        .until_rollout(NAME, "paused with the new template", |r| {
            is_observed(r)
                && r["status"]["phase"] == "Paused"
                && text(r, "/status/workloadObservedGeneration") == generation
        })
        .await;
    assert_eq!(annotation(&rollout, GENERATION), generation);
    rollout
}

/// A change of the workload's template is an update of the Rollout.
async fn goes_on_with_the_workload(world: &World, kind: Kind, template: &str) {
    let path = format!("{template}/spec/containers/0/image");
    let changed = world
        .edit(
            kind,
            NAME,
            json!([{"op": "replace", "path": path, "value": "app:v2"}]),
        )
        .await;
    paused_with(world, &changed).await;
    world.promote(NAME).await;
    world.healthy(NAME).await;
    world.until_scales(NAME, &[0, 2]).await;
}

#[test]
fn a_workload_that_is_missing_is_named_and_awaited() {
    scenario("workload-missing", |world| async move {
        world.create(referring(1, "never")).await;
        let want = "The Rollout \"web\" is invalid: spec.workloadRef: Invalid value: \"web\": Deployment \"web\" was not found";
        let rollout = world
            .until_rollout(NAME, "invalid", |r| is_degraded(r, "InvalidSpec"))
            .await;
        assert!(
            text(&rollout, "/status/message").contains(want),
            "{}",
            rollout["status"]
        );
        assert_eq!(world.replica_sets(NAME).await.len(), 0);
        deployed(&world, 1).await;
        world.healthy(NAME).await;
    });
}

impl World {
    /// `set image` where the Rollout refers to a Deployment.
    async fn set_deployment_image(&self, image: &str) -> Value {
        let path = "/spec/template/spec/containers/0/image";
        self.edit(
            DEPLOYMENT,
            NAME,
            json!([{"op": "replace", "path": path, "value": image}]),
        )
        .await
    }
}
