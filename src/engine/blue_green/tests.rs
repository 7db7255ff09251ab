//! Blue-green in single passes: what is done about a world that is given.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::api::replica_set::ReplicaSet;
use crate::engine::testing::{add_pod, at, noon, plan_at, replica_set, rollout, waiting, world};
use crate::engine::{Intent, Observed, Plan};

mod features;
mod paths;

const DEADLINE: &str = "scale-down-deadline";
const MARK: &str = "rollouts.serin.dev/aborted";

/// An update from `old` (stable) to `new` of four pods each, under blue-green with the Services `active` and `preview`,
/// which select these hashes. `spec` is merged into the strategy.
fn update(spec: &Value, status: &Value, sets: Vec<ReplicaSet>, active: &str, preview: &str) -> Observed {
    let mut strategy = json!({"activeService": "active", "previewService": "preview"});
    strategy
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    let whole = json!({"strategy": {"canary": null, "blueGreen": strategy}});
    let mut steady = json!({"currentStepIndex": null});
    steady
        .as_object_mut()
        .unwrap()
        .extend(status.as_object().unwrap().clone());
    let mut world = world(rollout(&whole, &steady), sets);
    for (name, hash) in [("active", active), ("preview", preview)] {
        let mut selector = json!({"app": "a"});
        if !hash.is_empty() {
            selector["rollouts-pod-template-hash"] = json!(hash);
        }
        let service = json!({
            "metadata": {
                "name": name, "uid": name, "resourceVersion": "1",
                "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "r"},
            },
            "spec": {"selector": selector},
        });
        let service = serde_json::from_value(service).unwrap();
        world.services.insert(name.to_owned(), Arc::new(service));
    }
    world
}

/// A ReplicaSet with these annotations too.
fn annotated(mut rs: ReplicaSet, annotations: &[(&str, &str)]) -> ReplicaSet {
    let all = rs.metadata.annotations.get_or_insert_default();
    for (key, value) in annotations {
        all.insert((*key).to_owned(), (*value).to_owned());
    }
    rs
}

/// The pods that a Service leads to.
fn lead(world: &mut Observed, service: &str, pods: &[&str]) {
    let pods = pods.iter().map(|pod| (*pod).to_owned()).collect();
    world.endpoints.insert(service.to_owned(), pods);
}

/// Which Service is pointed where.
fn switched(plan: &Plan) -> Vec<(String, String)> {
    let all = plan.intents.iter();
    all.filter_map(|intent| match intent {
        Intent::PatchService(patch) => Some((patch.name.clone(), patch.pod_hash.clone())),
        _ => None,
    })
    .collect()
}

fn to(service: &str, hash: &str) -> Vec<(String, String)> {
    vec![(service.to_owned(), hash.to_owned())]
}

/// How ReplicaSets are scaled.
fn scaled(plan: &Plan) -> Vec<(String, i32, i32)> {
    let all = plan.intents.iter();
    all.filter_map(|intent| match intent {
        Intent::PatchReplicaSet(patch) => patch.scale.map(|(from, to)| (patch.name.clone(), from, to)),
        _ => None,
    })
    .collect()
}

/// What becomes of one annotation of a ReplicaSet: its value, or [`REMOVED`]; `None` where nothing does.
fn noted(plan: &Plan, name: &str, key: &str) -> Option<String> {
    let changes = plan.intents.iter().find_map(|intent| match intent {
        Intent::PatchReplicaSet(patch) if patch.name == name => patch.annotations.get(key),
        _ => None,
    });
    changes.map(|value| value.clone().unwrap_or_else(|| REMOVED.to_owned()))
}

const REMOVED: &str = "(removed)";

fn checked() -> Value {
    json!({"blueGreen": {"activeSelector": "old", "previewSelector": "new", "scaleUpPreviewCheckPoint": true}})
}

fn aborted() -> Value {
    json!({
        "abort": true, "abortedAt": at(-5),
        "conditions": [{
            "type": "Progressing", "status": "False", "reason": "RolloutAborted", "lastUpdateTime": at(-5),
            "lastTransitionTime": at(-5), "message": "Rollout aborted update to revision 2",
        }],
    })
}
