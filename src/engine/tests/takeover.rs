//! A rollout that another controller of the contract left in the middle is continued, not restarted.

use serde_json::{Value, json};

use super::support::{World, identity_of};
use crate::engine::Intent;
use crate::engine::identity::{legacy_step_hash, legacy_template_hash, step_hash, template_hash};

const PAUSED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/takeover/paused.yaml"
));
const ANALYSIS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/takeover/analysis.yaml"
));
const PROMOTED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/takeover/promoted.yaml"
));
/// A pod field that no library of ours knows.
const NEWER: &str = "\n      newerFieldOfPods: {enabled: true}";

/// Which controller left the objects behind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Present,
    UpTo1_8,
}

/// The world of a fixture, its hashes in this form.
fn world(fixture: &str, form: Form, newer: &str) -> World {
    let text = fixture
        .replace("@NEWER@", newer)
        .replace("@UID@", "u")
        .replace("@API_SERVER@", "https://api");
    let rollout: Value = serde_saphyr::from_str(text.split("---\n").next().unwrap()).unwrap();
    let mut old = rollout["spec"]["template"].clone();
    old["spec"]["containers"][0]["image"] = json!("app:1");
    let (template, steps) = (
        &rollout["spec"]["template"],
        rollout.pointer("/spec/strategy/canary/steps"),
    );
    let (canary, stable, steps) = match form {
        Form::Present => (
            template_hash(template, None),
            template_hash(&old, None),
            step_hash(steps),
        ),
        Form::UpTo1_8 => (
            legacy_template_hash(template, None),
            legacy_template_hash(&old, None),
            legacy_step_hash(steps),
        ),
    };
    let text = text
        .replace("@CANARY@", &canary)
        .replace("@STABLE@", &stable)
        .replace("@STEPS@", &steps);
    let mut all = text
        .split("---\n")
        .map(|one| serde_saphyr::from_str::<Value>(one).unwrap());
    let mut rollout = all.next().unwrap();
    rollout["metadata"]["uid"] = json!("u");
    rollout["metadata"]["generation"] = json!(1);
    let mut others: Vec<Value> = all.collect();
    for (i, object) in others.iter_mut().enumerate() {
        object["metadata"]["uid"] = json!(format!("{i}"));
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!(format!("2026-01-01T10:0{i}:00Z"));
        if object["kind"] == "ReplicaSet" {
            let n = object["spec"]["replicas"].clone();
            object["status"] =
                json!({"replicas": n, "readyReplicas": n, "availableReplicas": n, "observedGeneration": 1});
        }
    }
    World {
        others,
        ..World::new(rollout)
    }
}

/// Every combination of fixture, form and newer field.
fn every(fixture: &str) -> Vec<(String, World)> {
    let mut all = Vec::new();
    for form in [Form::Present, Form::UpTo1_8] {
        for newer in ["", NEWER] {
            let name = format!("{form:?} {}", if newer.is_empty() { "" } else { "newer field" });
            all.push((name, world(fixture, form, newer)));
        }
    }
    all
}

#[test]
fn the_forms_differ_and_the_hashes_are_those_of_the_objects() {
    let present = world(ANALYSIS, Form::Present, "");
    let identity = identity_of(&present.rollout);
    assert_eq!(present.status("/currentPodHash"), identity.pod_hash);
    assert_eq!(present.status("/currentStepHash"), identity.step_hash);
    let old = world(ANALYSIS, Form::UpTo1_8, "");
    assert_eq!(old.status("/currentPodHash"), identity.legacy_pod_hash);
    assert_ne!(identity.pod_hash, identity.legacy_pod_hash);
    assert_eq!(old.status("/currentStepHash"), identity.legacy_step_hash);
    assert_ne!(
        identity.step_hash, identity.legacy_step_hash,
        "an inline analysis prints otherwise"
    );
}

#[test]
fn nothing_moves_when_a_rollout_is_taken_over() {
    for fixture in [PAUSED, ANALYSIS, PROMOTED] {
        for (name, mut world) in every(fixture) {
            let kept = [
                "currentPodHash",
                "stableRS",
                "currentStepIndex",
                "pauseConditions",
                "controllerPause",
                "phase",
            ];
            let before = world.rollout["status"].clone();
            let plan = world.plan();
            assert_eq!(plan.intents, [], "{name}");
            assert_eq!(plan.notices, [], "{name}");
            world.settle();
            for key in kept {
                assert_eq!(world.rollout["status"].get(key), before.get(key), "{name}: {key}");
            }
            let run = "/canary/currentStepAnalysisRunStatus";
            assert_eq!(
                world.status(run),
                before.pointer(run).cloned().unwrap_or_default(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_rollout_that_was_taken_over_goes_on_when_it_is_promoted() {
    for (name, mut world) in every(PAUSED) {
        world.settle();
        world.patch_status(&json!({"pauseConditions": null}));
        world.settle();
        assert_eq!(
            world.status("/currentStepIndex"),
            3,
            "{name}: the analysis is asked now, once"
        );
        let runs: Vec<&Value> = world
            .others
            .iter()
            .filter(|o| o["kind"] == "AnalysisRun")
            .collect();
        assert_eq!(runs.len(), 1, "{name}");
        assert_eq!(sizes_of(&world), [3, 2], "{name}");
    }
}

#[test]
fn the_analysis_of_the_other_controller_decides() {
    for (name, mut world) in every(ANALYSIS) {
        world.settle();
        let run = world
            .others
            .iter_mut()
            .find(|o| o["kind"] == "AnalysisRun")
            .unwrap();
        run["status"]["phase"] = json!("Successful");
        world.settle();
        assert_eq!(world.status("/phase"), "Healthy", "{name}");
        assert_eq!(
            world.status("/stableRS"),
            world.status("/currentPodHash"),
            "{name}"
        );
        assert_eq!(
            sizes_of(&world),
            [0, 5],
            "{name}: no other ReplicaSet, and all pods on the new one"
        );
    }
}

#[test]
fn a_failed_analysis_of_the_other_controller_aborts() {
    let mut world = world(ANALYSIS, Form::UpTo1_8, "");
    let run = world
        .others
        .iter_mut()
        .find(|o| o["kind"] == "AnalysisRun")
        .unwrap();
    run["status"]["phase"] = json!("Failed");
    world.settle();
    assert_eq!(world.status("/phase"), "Degraded");
    assert_eq!(sizes_of(&world), [5, 0]);
}

/// The reported number of pods changes nothing about what they are.
#[test]
fn scaling_after_a_take_over_keeps_the_revision() {
    for fixture in [PAUSED, PROMOTED] {
        for (name, mut world) in every(fixture) {
            world.settle();
            world.rollout["spec"]["replicas"] = json!(10);
            super::support::touch(&mut world.rollout);
            world.settle();
            assert_eq!(
                world.sizes().len(),
                2,
                "{name}: a field that the other controller dropped is no new revision"
            );
            assert_eq!(world.sizes().iter().map(|(_, n)| n).sum::<i64>(), 10, "{name}");
        }
    }
}

#[test]
fn a_new_version_after_a_take_over_is_a_new_revision() {
    for (name, mut world) in every(PROMOTED) {
        world.settle();
        world.rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:3");
        super::support::touch(&mut world.rollout);
        world.settle();
        assert_eq!(world.sizes().len(), 3, "{name}");
        assert_eq!(world.status("/currentStepIndex"), 1, "{name}");
    }
}

/// Promote on the analysis step writes the cursor. Nobody had seen where it stood before.
#[test]
fn a_cursor_moved_between_two_controllers_leaves_the_old_analysis_behind() {
    let mut world = world(ANALYSIS, Form::Present, "");
    world.rollout["spec"]["strategy"]["canary"]["steps"][4] =
        world.rollout["spec"]["strategy"]["canary"]["steps"][3].clone();
    let steps = identity_of(&world.rollout).step_hash;
    world.patch_status(&json!({"currentStepIndex": 4, "currentStepHash": steps}));
    let old = world.status("/canary/currentStepAnalysisRunStatus/name");
    let plan = world.plan();
    let created = plan
        .intents
        .iter()
        .filter(|i| matches!(i, Intent::CreateAnalysisRun(_)))
        .count();
    let ended = plan
        .intents
        .iter()
        .filter(|i| matches!(i, Intent::TerminateAnalysisRun { name, .. } if *name == old));
    assert_eq!((created, ended.count()), (1, 1), "{:?}", plan.intents);
}

fn sizes_of(world: &World) -> Vec<i64> {
    world.sizes().into_iter().map(|(_, n)| n).collect()
}
