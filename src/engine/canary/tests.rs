//! Regressions of the canary's pass.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::{Identity, Intent, Observed, plan};

/// A second revision of one pod that runs beside the first, with the cursor of two steps as the status has it.
fn observed(status: &Value) -> Observed {
    let template = |image: &str| {
        json!({
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [{"name": "app", "image": image}]},
        })
    };
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app", "uid": "r", "generation": 2, "annotations": {"rollout.argoproj.io/revision": "2"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template("v2"),
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
        },
        "status": status,
    });
    let replica_set = |hash: &str, revision: &str| {
        let rs = json!({
            "metadata": {
                "name": format!("app-{hash}"),
                "uid": hash,
                "generation": 1,
                "labels": {"app": "app", "rollouts-pod-template-hash": hash},
                "annotations": {
                    "rollout.argoproj.io/revision": revision,
                    "rollout.argoproj.io/desired-replicas": "1",
                },
                "ownerReferences": [
                    {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "r", "controller": true},
                ],
            },
            "spec": {"replicas": 1, "template": template(if hash == "new" { "v2" } else { "v1" })},
            "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1},
        });
        Arc::new(serde_json::from_value(rs).unwrap())
    };
    Observed {
        rollout: Arc::new(serde_json::from_value(rollout).unwrap()),
        identity: Identity {
            pod_hash: "new".to_owned(),
            step_hash: "steps".to_owned(),
            ..Identity::default()
        },
        replica_sets: vec![replica_set("old", "1"), replica_set("new", "2")],
        ..Observed::default()
    }
}

/// Clients expect ScalingReplicaSet of the old pods before RolloutCompleted.
#[test]
fn the_old_pods_are_told_to_go_before_the_completion_is_told() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let status = json!({
        "currentPodHash": "new",
        "stableRS": "old",
        "currentStepHash": "steps",
        "currentStepIndex": 1,
        // A user's promote has taken the pause condition away.
        "controllerPause": true,
        "canary": {"stepStartedIndex": 1},
    });
    let resumed = plan(&observed(&status), now);
    let reasons: Vec<&str> = resumed.notices.iter().map(|n| n.reason).collect();
    assert!(
        reasons.contains(&"RolloutStepCompleted") && !reasons.contains(&"RolloutCompleted"),
        "{reasons:?}"
    );
    assert_eq!(resumed.status.current_step_index, Some(2));
    assert_eq!(resumed.status.stable_rs.as_deref(), Some("old"));

    let completed = plan(&observed(&serde_json::to_value(&resumed.status).unwrap()), now);
    let [Intent::PatchReplicaSet(patch)] = completed.intents.as_slice() else {
        panic!("{:?}", completed.intents);
    };
    assert_eq!((patch.name.as_str(), patch.scale), ("app-old", Some((1, 0))));
    assert!(
        completed.notices.iter().any(|n| n.reason == "RolloutCompleted"),
        "{:?}",
        completed.notices
    );
    assert_eq!(completed.status.stable_rs.as_deref(), Some("new"));
}
