//! A Rollout and what belongs to it, as a pass sees them, written down in few words.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::names::{annotations, labels};
use crate::engine::{Identity, Observed, Plan};

/// The moment `seconds` after 10:00.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_261_600 + seconds).unwrap()
}

/// `demo` with two replicas in its generation 1, the template hash `new` and the step hash `steps`.
pub(crate) fn rollout(canary: &Value, status: &Value) -> Observed {
    let rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "demo", "namespace": "default", "uid": "u", "generation": 1, "resourceVersion": "1",
            "annotations": {annotations::REVISION: "2"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "a"}},
            "template": template("new"),
            "strategy": {"canary": canary},
        },
        "status": status,
    }))
    .unwrap();
    let hash = |text: &str| text.to_owned();
    Observed {
        rollout: Arc::new(rollout),
        identity: Identity {
            pod_hash: hash("new"),
            legacy_pod_hash: hash("new"),
            step_hash: hash("steps"),
            legacy_step_hash: hash("steps"),
        },
        ..Observed::default()
    }
}

fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

/// Adds a ReplicaSet with so many pods, asked for, existing and available; `hash` is also its image.
pub(crate) fn with_replica_set(
    mut observed: Observed,
    hash: &str,
    revision: i64,
    pods: [i32; 3],
) -> Observed {
    let [spec, created, available] = pods;
    let rs = serde_json::from_value(json!({
        "metadata": {
            "name": format!("demo-{hash}"), "namespace": "default", "uid": hash, "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T09:00:00Z",
            "labels": {labels::POD_TEMPLATE_HASH: hash},
            "annotations": {annotations::REVISION: revision.to_string(), annotations::DESIRED_REPLICAS: "2"},
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "demo", "uid": "u",
                "controller": true,
            }],
        },
        "spec": {"replicas": spec, "minReadySeconds": 0, "template": template(hash)},
        "status": {
            "replicas": created, "readyReplicas": available, "availableReplicas": available,
            "observedGeneration": 1,
        },
    }))
    .unwrap();
    observed.replica_sets.push(Arc::new(rs));
    observed
}

/// The same world with the status that a pass asked to commit.
pub(crate) fn committed(mut observed: Observed, plan: &Plan) -> Observed {
    Arc::make_mut(&mut observed.rollout).status = Some(plan.status.clone());
    observed
}
