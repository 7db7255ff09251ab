//! A small world for the tests of the engine: a Rollout with its ReplicaSets and pods, as JSON.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Identity, Observed, Plan, plan};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;

/// Noon: the moment of every test, in which what exists has existed since eleven.
pub(crate) fn noon() -> Timestamp {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// So many seconds after noon, as on the wire.
pub(crate) fn at(seconds: i64) -> String {
    noon()
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
        .to_string()
}

/// The plan at so many seconds after noon.
pub(crate) fn plan_at(world: &Observed, seconds: i64) -> Plan {
    plan(
        world,
        noon().checked_add(SignedDuration::from_secs(seconds)).unwrap(),
    )
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A Rollout in namespace `n`, in the middle of an update from `old` (stable, revision 1) to `new` (revision 2): four
/// replicas, at the first of two steps `setWeight: 50` and a pause. `spec` and `status` are merged in.
pub(crate) fn rollout(spec: &Value, status: &Value) -> Rollout {
    let mut object = json!({
        "metadata": {
            "name": "r", "namespace": "n", "uid": "r-uid", "generation": 3, "resourceVersion": "1",
            "annotations": {"rollout.argoproj.io/revision": "2"},
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "app", "image": "a:v2"}]},
            },
            "strategy": {"canary": {
                "maxSurge": 0, "maxUnavailable": 1, "steps": [{"setWeight": 50}, {"pause": {}}],
            }},
        },
        "status": {
            "observedGeneration": "3", "currentPodHash": "new", "stableRS": "old", "currentStepHash": "steps",
            "currentStepIndex": 0,
        },
    });
    merge(&mut object["spec"], spec);
    merge(&mut object["status"], status);
    serde_json::from_value(object).unwrap()
}

/// A ReplicaSet of that Rollout, settled: so many pods asked for, made, and available.
pub(crate) fn replica_set(hash: &str, revision: i64, replicas: i32, available: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("r-{hash}"), "namespace": "n", "uid": format!("{hash}-uid"), "generation": 1,
            "resourceVersion": "1", "creationTimestamp": "2026-01-02T11:00:00Z",
            "labels": {"app": "a", "rollouts-pod-template-hash": hash},
            "annotations": {
                "rollout.argoproj.io/revision": revision.to_string(), "rollout.argoproj.io/desired-replicas": "4",
            },
            "ownerReferences": [
                {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "r", "uid": "r-uid", "controller": true},
            ],
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": "a", "rollouts-pod-template-hash": hash}},
                "spec": {"containers": [{"name": "app", "image": format!("a:{hash}")}]},
            },
        },
        "status": {
            "replicas": replicas, "readyReplicas": available, "availableReplicas": available, "observedGeneration": 1,
        },
    }))
    .unwrap()
}

/// What there is of the Rollout.
pub(crate) fn world(rollout: Rollout, replica_sets: Vec<ReplicaSet>) -> Observed {
    let identity = Identity {
        pod_hash: "new".to_owned(),
        legacy_pod_hash: "legacy".to_owned(),
        step_hash: "steps".to_owned(),
        legacy_step_hash: "legacy".to_owned(),
    };
    Observed {
        rollout: Arc::new(rollout),
        identity,
        replica_sets: replica_sets.into_iter().map(Arc::new).collect(),
        ..Observed::default()
    }
}

/// Adds a pod to the ReplicaSet of this hash: created so many seconds from noon, ready since then, with `status` merged in.
pub(crate) fn add_pod(world: &mut Observed, hash: &str, name: &str, created: i64, status: &Value) {
    let mut object = json!({
        "metadata": {
            "name": name, "namespace": "n", "uid": format!("{name}-uid"), "resourceVersion": "5",
            "creationTimestamp": at(created), "labels": {"app": "a", "rollouts-pod-template-hash": hash},
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(created)}],
        },
    });
    merge(&mut object["status"], status);
    let pod = serde_json::from_value(object).unwrap();
    world
        .pods
        .entry(format!("{hash}-uid"))
        .or_default()
        .push(Arc::new(pod));
}

/// The status of a pod whose container waits for this reason.
pub(crate) fn waiting(reason: &str) -> Value {
    json!({
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(0)}],
        "containerStatuses": [{
            "name": "app", "image": "a:v2", "restartCount": 3, "state": {"waiting": {"reason": reason}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }],
    })
}
