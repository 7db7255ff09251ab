//! A Rollout that takes its template from another workload.

use serde_json::{Value, json};

use super::support::{World, rollout, template, touch};
use crate::api::common::PodTemplate;
use crate::api::names::WorkloadKind;
use crate::engine::Intent;
use crate::engine::observed::Workload;

/// A Rollout of 5 pods that refers to a Deployment of 5 pods of version 1.
fn referring(scale_down: Option<&str>) -> World {
    let mut own = rollout("1", &json!([{"setWeight": 20}, {"pause": {}}]));
    own["spec"].as_object_mut().unwrap().remove("template");
    own["spec"].as_object_mut().unwrap().remove("selector");
    own["spec"]["workloadRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": scale_down});
    let workload = Workload {
        kind: WorkloadKind::Deployment,
        name: "web".to_owned(),
        uid: "w".to_owned(),
        generation: 3,
        template: PodTemplate(template("1")),
        selector: serde_json::from_value(json!({"matchLabels": {"app": "app"}})).unwrap(),
        replicas: 5,
    };
    World {
        workload: Some(workload),
        ..World::new(own)
    }
}

fn set_version(world: &mut World, version: &str) {
    let workload = world.workload.as_mut().unwrap();
    workload.template = PodTemplate(template(version));
    workload.generation += 1;
}

fn annotation(world: &World) -> Value {
    world.rollout["metadata"]["annotations"]["rollout.argoproj.io/workload-generation"].clone()
}

#[test]
fn template_and_selector_come_from_the_workload_and_are_never_persisted() {
    let mut world = referring(None);
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
    assert_eq!(world.sizes(), [("app:1".to_owned(), 5)]);
    assert_eq!(world.status("/selector"), "app=app");
    assert_eq!(
        (annotation(&world), world.status("/workloadObservedGeneration")),
        (json!("3"), json!("3"))
    );
    assert_eq!(world.rollout["spec"].get("template"), None);
    assert_eq!(world.rollout["spec"].get("selector"), None);
    assert_eq!(
        world.workload.unwrap().replicas,
        5,
        "scaleDown is never by default"
    );
}

#[test]
fn a_change_of_the_workload_flows_through() {
    let mut world = referring(None);
    world.settle();
    let generation = world.rollout["metadata"]["generation"].clone();
    set_version(&mut world, "2");
    world.settle();
    assert_eq!(world.sizes(), [("app:1".to_owned(), 4), ("app:2".to_owned(), 1)]);
    assert_eq!(world.status("/phase"), "Paused");
    assert_eq!(
        (annotation(&world), world.status("/workloadObservedGeneration")),
        (json!("4"), json!("4"))
    );
    // Undo on the Deployment.
    set_version(&mut world, "1");
    world.settle();
    assert_eq!(world.sizes(), [("app:1".to_owned(), 5), ("app:2".to_owned(), 0)]);
    assert_eq!(world.status("/phase"), "Healthy");
    assert_eq!(
        world.rollout["metadata"]["generation"], generation,
        "the Rollout itself was never changed"
    );
}

#[test]
fn scaling_the_workload_is_no_new_revision() {
    let mut world = referring(None);
    world.settle();
    let workload = world.workload.as_mut().unwrap();
    workload.replicas = 2;
    workload.generation = 9;
    let plan = world.plan();
    assert!(
        matches!(plan.intents.as_slice(), [Intent::PatchRollout { .. }]),
        "{:?}",
        plan.intents
    );
    world.settle();
    assert_eq!(world.sizes().len(), 1);
    assert_eq!(
        (annotation(&world), world.status("/workloadObservedGeneration")),
        (json!("9"), json!("9"))
    );
}

#[test]
fn a_workload_that_is_missing_is_waited_for() {
    let mut world = referring(None);
    let workload = world.workload.take();
    world.settle();
    assert_eq!(world.status("/phase"), "Degraded");
    let message = "InvalidSpec: The Rollout \"app\" is invalid: spec.workloadRef: Invalid value: \"web\": Deployment \
                   \"web\" was not found";
    assert_eq!(world.status("/message"), message);
    assert_eq!(world.sizes(), []);
    world.workload = workload;
    world.settle();
    assert_eq!(
        (world.status("/phase"), world.condition("InvalidSpec")),
        (json!("Healthy"), None)
    );
    // It may also go later: then nothing moves, and nothing is forgotten.
    world.workload = None;
    world.settle();
    assert_eq!(world.sizes(), [("app:1".to_owned(), 5)]);
    assert_eq!(world.status("/phase"), "Degraded");
}

#[test]
fn what_cannot_be_referred_to_is_said_with_its_path() {
    let with = |path: &str, value: Value| {
        let mut world = referring(None);
        *world.rollout["spec"].pointer_mut(path).unwrap() = value;
        world
    };
    let mut inline = referring(None);
    inline.rollout["spec"]["template"] = template("1");
    let mut broken = referring(None);
    broken.workload.as_mut().unwrap().template = PodTemplate(json!({"metadata": {"labels": {"app": "app"}}}));
    let mut bare = with("/workloadRef/kind", json!("PodTemplate"));
    bare.rollout["spec"]["workloadRef"]["apiVersion"] = json!("v1");
    bare.workload.as_mut().unwrap().kind = WorkloadKind::PodTemplate;
    bare.workload.as_mut().unwrap().selector = None;
    let mut scaled = with("/workloadRef/kind", json!("ReplicaSet"));
    scaled.rollout["spec"]["workloadRef"]["scaleDown"] = json!("onsuccess");
    for (mut world, want) in [
        (
            inline,
            "spec.template: Invalid value: must be empty where spec.workloadRef is set",
        ),
        (
            with("/workloadRef/kind", json!("StatefulSet")),
            "spec.workloadRef.kind: Unsupported value: \"StatefulSet\"",
        ),
        (
            with("/workloadRef/apiVersion", json!("v1")),
            "spec.workloadRef.apiVersion: Unsupported value: \"v1\"",
        ),
        (
            with("/workloadRef/name", json!("")),
            "spec.workloadRef.name: Required value",
        ),
        (
            with("/workloadRef/scaleDown", json!("soon")),
            "spec.workloadRef.scaleDown: Unsupported value: \"soon\"",
        ),
        (
            scaled,
            "spec.workloadRef.scaleDown: Invalid value: \"onsuccess\": only a Deployment",
        ),
        (
            broken,
            "spec.workloadRef: Invalid value: \"web\": in the Deployment: spec.template.spec.containers: Required",
        ),
        (bare, "spec.selector: Required value"),
    ] {
        world.settle();
        let message = world.status("/message");
        let at = format!("InvalidSpec: The Rollout \"app\" is invalid: {want}");
        assert!(message.as_str().unwrap().starts_with(&at), "{message} for {want}");
        assert_eq!(world.sizes(), [], "{want}");
    }
}

/// The Deployment's replicas after each pass in which they changed.
fn downs(world: &mut World) -> Vec<i32> {
    let mut all = vec![world.workload.as_ref().unwrap().replicas];
    for _ in 0..30 {
        world.step();
        let now = world.workload.as_ref().unwrap().replicas;
        if all.last() != Some(&now) {
            all.push(now);
        }
    }
    all
}

#[test]
fn the_deployment_is_taken_down_as_asked() {
    let unready = |mut world: World| {
        world.broken = vec!["app:1".to_owned()];
        world
    };
    for (what, mut world, want) in [
        ("never", referring(Some("never")), vec![5]),
        ("onsuccess", referring(Some("onsuccess")), vec![5, 0]),
        (
            "onsuccess, never ready",
            unready(referring(Some("onsuccess"))),
            vec![5],
        ),
        ("progressively", referring(Some("progressively")), vec![5, 0]),
        (
            "progressively, never ready",
            unready(referring(Some("progressively"))),
            vec![5],
        ),
    ] {
        assert_eq!(downs(&mut world), want, "{what}");
    }
}

#[test]
fn the_deployment_goes_down_as_pods_become_ready() {
    let mut world = referring(Some("progressively"));
    world.broken = vec!["app:1".to_owned()];
    world.settle();
    for (ready, want) in [(0, 5), (2, 3), (1, 3), (4, 1), (5, 0)] {
        let rs = world
            .others
            .iter_mut()
            .find(|o| o["kind"] == "ReplicaSet")
            .unwrap();
        rs["status"]["readyReplicas"] = json!(ready);
        let plan = world.plan();
        for intent in &plan.intents {
            if let Intent::ScaleWorkload(scale) = intent {
                world.workload.as_mut().unwrap().replicas = scale.to;
            }
        }
        assert_eq!(
            world.workload.as_ref().unwrap().replicas,
            want,
            "{ready} ready: never up again"
        );
    }
}

#[test]
fn the_deployment_is_left_alone_after_the_first_revision() {
    let mut world = referring(Some("onsuccess"));
    world.settle();
    assert_eq!(world.workload.as_ref().unwrap().replicas, 0);
    set_version(&mut world, "2");
    world.patch_status(&json!({}));
    world.settle();
    world.workload.as_mut().unwrap().replicas = 3;
    world.patch_status(&json!({"promoteFull": true}));
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
    assert_eq!(
        world.workload.as_ref().unwrap().replicas,
        3,
        "somebody scaled it up on purpose"
    );
}

#[test]
fn a_rollout_that_refers_to_none_any_more_forgets_the_generation() {
    let mut world = referring(None);
    world.settle();
    world.rollout["spec"]
        .as_object_mut()
        .unwrap()
        .remove("workloadRef");
    world.rollout["spec"]["template"] = template("1");
    world.rollout["spec"]["selector"] = json!({"matchLabels": {"app": "app"}});
    world.workload = None;
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(annotation(&world), Value::Null);
    assert_eq!(world.status("/workloadObservedGeneration"), Value::Null);
    assert_eq!(
        world.sizes(),
        [("app:1".to_owned(), 5)],
        "the same template: no new revision"
    );
}
