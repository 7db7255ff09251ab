use std::sync::Arc;

use super::*;
use crate::engine::Observed;
use crate::engine::identity::equal_by_meaning;
use crate::engine::plan::NewReplicaSet;
use crate::engine::testing::{add_pod, plan_at, replica_set, rollout, world};

const RECORD: &str = annotations::EPHEMERAL_METADATA;

fn canary() -> Value {
    json!({
        "canaryMetadata": {"labels": {"role": "canary", "only": "canary"}},
        "stableMetadata": {"labels": {"role": "stable"}, "annotations": {"since": "x"}},
    })
}

fn updating(canary: &Value, status: &Value) -> Observed {
    let spec = json!({"strategy": {"canary": canary}});
    let mut world = world(
        rollout(&spec, status),
        vec![replica_set("old", 1, 2, 2), replica_set("new", 2, 2, 2)],
    );
    for (hash, name) in [
        ("old", "old-a"),
        ("old", "old-b"),
        ("new", "new-a"),
        ("new", "new-b"),
    ] {
        add_pod(&mut world, hash, name, -60, &json!({}));
    }
    world
}

/// Carries out what a plan wants of templates, records and pods; says what that was.
fn carry_out(world: &mut Observed, seconds: i64) -> Vec<String> {
    let mut done = Vec::new();
    for intent in plan_at(world, seconds).intents {
        match intent {
            Intent::PatchReplicaSet(patch) if patch.scale.is_none() => {
                done.push(format!(
                    "{} {:?} {:?}",
                    patch.name, patch.template, patch.annotations
                ));
                let rs = world
                    .replica_sets
                    .iter_mut()
                    .find(|rs| rs.metadata.uid.as_deref() == Some(&patch.uid));
                let rs = Arc::make_mut(rs.unwrap());
                for (part, changes) in [
                    ("labels", patch.template.labels),
                    ("annotations", patch.template.annotations),
                ] {
                    rs.spec.template.edit(|template| {
                        let at = &mut template["metadata"][part];
                        for (key, value) in changes {
                            match value {
                                Some(value) => at[&key] = json!(value),
                                None => drop(at.as_object_mut().unwrap().remove(&key)),
                            }
                        }
                    });
                }
                for (key, value) in patch.annotations {
                    let all = rs.metadata.annotations.as_mut().unwrap();
                    match value {
                        Some(value) => drop(all.insert(key, value)),
                        None => drop(all.remove(&key)),
                    }
                }
            }
            Intent::PatchPod { name, metadata, .. } => {
                done.push(format!("{name} {metadata:?}"));
                let pod = world
                    .pods
                    .values_mut()
                    .flatten()
                    .find(|p| p.metadata.name.as_deref() == Some(&name))
                    .unwrap();
                let mut labels = Map::from([("app".to_owned(), "a".to_owned())]);
                let mut notes = Map::new();
                for key in ["role", "only"] {
                    for value in ["canary", "stable"] {
                        if pod.marks.has_label(key, Some(value)) {
                            labels.insert(key.to_owned(), value.to_owned());
                        }
                    }
                }
                if pod.marks.has_annotation("since", None) {
                    notes.insert("since".to_owned(), "x".to_owned());
                }
                for (map, changes) in [(&mut labels, metadata.labels), (&mut notes, metadata.annotations)] {
                    for (key, value) in changes {
                        match value {
                            Some(value) => drop(map.insert(key, value)),
                            None => drop(map.remove(&key)),
                        }
                    }
                }
                Arc::make_mut(pod).marks = crate::api::pod::Marks::new(&labels, &notes);
            }
            other => panic!("{other:?}"),
        }
    }
    done
}

fn template_labels(world: &Observed, index: usize) -> Map {
    world.replica_sets[index].spec.template.read().labels()
}

fn recorded(world: &Observed, index: usize) -> Option<Value> {
    let text = observed::ephemeral_metadata(&world.replica_sets[index].metadata)?;
    serde_json::from_str(text).unwrap()
}

#[test]
fn each_part_gets_its_own_first_in_the_template_and_then_in_the_living_pods() {
    let mut world = updating(
        &canary(),
        &json!({"currentStepIndex": 1, "pauseConditions": [
        {"reason": "CanaryPauseStep", "startTime": "2026-01-02T11:00:00Z"}]}),
    );
    let done = carry_out(&mut world, 0);
    let names: Vec<&str> = done.iter().map(|d| d.split_once(' ').unwrap().0).collect();
    assert_eq!(
        names,
        ["r-new", "r-old", "new-a", "new-b", "old-a", "old-b"],
        "{done:#?}"
    );
    assert_eq!(template_labels(&world, 0)["role"], "stable");
    assert_eq!(template_labels(&world, 1)["role"], "canary");
    assert_eq!(recorded(&world, 0).unwrap()["annotations"], json!({"since": "x"}));
    assert!(carry_out(&mut world, 1).is_empty(), "once is enough");
}

#[test]
fn a_promoted_revision_changes_its_part_and_what_is_gone_is_forgotten_last() {
    let mut world = updating(
        &canary(),
        &json!({"currentStepIndex": 1, "pauseConditions": [
        {"reason": "CanaryPauseStep", "startTime": "2026-01-02T11:00:00Z"}]}),
    );
    carry_out(&mut world, 0);
    let spec = json!({"strategy": {"canary": canary()}});
    world.rollout = Arc::new(rollout(&spec, &json!({"stableRS": "new", "currentStepIndex": 2})));
    world.replica_sets[0] = {
        let mut gone = (*world.replica_sets[0]).clone();
        gone.spec.replicas = Some(0);
        gone.status = replica_set("old", 1, 0, 0).status;
        Arc::new(gone)
    };
    world.replica_sets[1] = {
        let mut grown = (*world.replica_sets[1]).clone();
        grown.spec.replicas = Some(4);
        grown.status = replica_set("new", 2, 4, 4).status;
        Arc::new(grown)
    };
    world.pods.remove("old-uid");
    for name in ["new-c", "new-d"] {
        add_pod(&mut world, "new", name, -10, &json!({}));
    }
    let done = carry_out(&mut world, 10);
    assert_eq!(done.len(), 6, "{done:#?}");
    // The template is right at once; the record still knows of what pods may have.
    assert_eq!(template_labels(&world, 1).get("only"), None);
    assert_eq!(
        recorded(&world, 1).unwrap()["labels"],
        json!({"role": "stable", "only": "canary"})
    );
    assert_eq!(
        (template_labels(&world, 0).get("role"), recorded(&world, 0)),
        (None, None),
        "nothing is left of it"
    );
    assert!(
        world.pods["new-uid"]
            .iter()
            .all(|p| !p.marks.has_label("only", None) && p.marks.has_label("role", Some("stable")))
    );
    let done = carry_out(&mut world, 11);
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(recorded(&world, 1).unwrap()["labels"], json!({"role": "stable"}));
    assert!(carry_out(&mut world, 12).is_empty());
}

#[test]
fn a_key_of_the_template_comes_back_and_means_no_other_revision() {
    let pause = json!({"currentStepIndex": 1, "pauseConditions": [
        {"reason": "CanaryPauseStep", "startTime": "2026-01-02T11:00:00Z"}]});
    let spec = |metadata: Value| json!({"template": {"metadata": {"labels": {"role": "own"}}}, "strategy": {"canary": metadata}});
    let mut world = updating(&json!({}), &pause);
    world.rollout = Arc::new(rollout(
        &spec(json!({"canaryMetadata": {"labels": {"role": "canary"}}})),
        &pause,
    ));
    Arc::make_mut(&mut world.replica_sets[1])
        .spec
        .template
        .edit(|template| template["metadata"]["labels"]["role"] = json!("own"));
    carry_out(&mut world, 0);
    assert_eq!(template_labels(&world, 1)["role"], "canary");
    let desired = context::template(&world.rollout.spec);
    let mut injected = world.replica_sets[1].spec.template.read().0;
    injected["spec"] = desired["spec"].clone();
    let record = observed::ephemeral_metadata(&world.replica_sets[1].metadata);
    assert!(equal_by_meaning(desired, &injected, record), "{injected}");
    world.rollout = Arc::new(rollout(&spec(json!({})), &pause));
    carry_out(&mut world, 1);
    assert_eq!(template_labels(&world, 1)["role"], "own");
}

fn created(status: &Value, sets: Vec<ReplicaSet>) -> NewReplicaSet {
    let spec = json!({"strategy": {"canary": canary()}});
    let plan = plan_at(&world(rollout(&spec, status), sets), 0);
    let Some(Intent::CreateReplicaSet(new)) = plan.intents.first().cloned() else {
        panic!("{plan:?}")
    };
    *new
}

#[test]
fn a_new_replica_set_has_it_from_its_creation() {
    let first = created(&json!({"stableRS": null, "currentPodHash": null}), vec![]);
    assert_eq!(first.template["metadata"]["labels"]["role"], "stable");
    assert_eq!(first.template["metadata"]["annotations"]["since"], "x");
    assert_eq!(first.labels.get("role"), None, "it is the pods' alone");
    let next = created(
        &json!({"currentPodHash": "old", "observedGeneration": "2"}),
        vec![replica_set("old", 1, 4, 4)],
    );
    assert_eq!(next.template["metadata"]["labels"]["role"], "canary");
    let recorded: Value = serde_json::from_str(&next.annotations[RECORD]).unwrap();
    assert_eq!(recorded, json!({"labels": {"role": "canary", "only": "canary"}}));
}

#[test]
fn many_pods_are_changed_over_several_passes() {
    let spec =
        json!({"replicas": 120, "strategy": {"canary": {"stableMetadata": {"labels": {"role": "stable"}}}}});
    let status = json!({"stableRS": "new", "currentStepIndex": 2});
    let mut world = world(rollout(&spec, &status), vec![replica_set("new", 2, 120, 120)]);
    for i in 0..120 {
        add_pod(&mut world, "new", &format!("p-{i}"), -60, &json!({}));
    }
    let pods = |world: &Observed| {
        let plan = plan_at(world, 0);
        assert!(plan.wake.is_some());
        plan.intents
            .iter()
            .filter(|i| matches!(i, Intent::PatchPod { .. }))
            .count()
    };
    assert_eq!(pods(&world), PODS_A_PASS);
}
