use serde_json::{Value, json};

use crate::engine::testing::{add_pod, at, plan_at, replica_set, rollout, waiting, world};
use crate::engine::{Observed, Refusal, RefusalKind};

fn message(world: &Observed) -> String {
    plan_at(world, 1).status.message.unwrap_or_default()
}

fn updating(spec: &Value, status: &Value, old: (i32, i32), new: (i32, i32)) -> Observed {
    world(
        rollout(spec, status),
        vec![
            replica_set("old", 1, old.0, old.1),
            replica_set("new", 2, new.0, new.1),
        ],
    )
}

#[test]
fn the_words_of_the_contract_come_first_and_then_how_far_it_is() {
    let none = json!({});
    let promoted = json!({"stableRS": "new", "currentStepIndex": 2});
    let done = json!({"currentStepIndex": 2});
    for (world, want) in [
        (
            updating(&none, &none, (3, 3), (1, 1)),
            "more replicas need to be updated: 1 of 4 updated, step 1 of 2 (setWeight: 50)",
        ),
        (
            updating(&none, &done, (1, 1), (3, 3)),
            "more replicas need to be updated: 3 of 4 updated",
        ),
        (
            updating(&none, &promoted, (0, 0), (4, 3)),
            "updated replicas are still becoming available: 3 of 4 available",
        ),
        (
            updating(&none, &promoted, (2, 2), (4, 4)),
            "old replicas are pending termination: 2 left",
        ),
        (
            updating(&json!({"restartAt": at(-5)}), &promoted, (0, 0), (4, 4)),
            "",
        ),
        (
            updating(&json!({"restartAt": at(90)}), &promoted, (0, 0), (4, 4)),
            "rollout is restarting: pods restart at 2026-01-02T12:01:30Z",
        ),
        (updating(&none, &promoted, (0, 0), (4, 4)), ""),
        (
            updating(&json!({"paused": true}), &none, (3, 3), (1, 1)),
            "manually paused: until spec.paused is false",
        ),
    ] {
        assert_eq!(message(&world), want);
    }
}

#[test]
fn an_analysis_is_named_with_its_phase() {
    let spec = json!({"strategy": {"canary": {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "t"}]}}]}}});
    let status = json!({
        "currentStepIndex": 1,
        "canary": {"stepStartedIndex": 1, "currentStepAnalysisRunStatus": {"name": "r-new-2-1", "status": "Running"}},
    });
    let mut world = updating(&spec, &status, (2, 2), (2, 2));
    world.abilities.providers = &["web"];
    let template = json!({"metrics": [{"name": "m", "provider": {"web": {"url": "http://x"}}}]});
    world.templates.insert(
        ("t".to_owned(), false),
        std::sync::Arc::new(serde_json::from_value(template).unwrap()),
    );
    let run = json!({
        "metadata": {"name": "r-new-2-1", "namespace": "n"}, "spec": {"metrics": []}, "status": {"phase": "Running"},
    });
    world
        .analysis_runs
        .push(std::sync::Arc::new(serde_json::from_value(run).unwrap()));
    assert_eq!(
        message(&world),
        "more replicas need to be updated: 2 of 4 updated, step 2 of 2 (analysis r-new-2-1 is Running)"
    );
    world.replica_sets = vec![
        replica_set("old", 1, 0, 0).into(),
        replica_set("new", 2, 4, 4).into(),
    ];
    assert_eq!(
        message(&world),
        "waiting for all steps to complete: step 2 of 2 (analysis r-new-2-1 is Running)"
    );
}

#[test]
fn the_oldest_pod_in_trouble_is_named_and_stays_named() {
    let mut world = updating(&json!({}), &json!({}), (2, 2), (2, 0));
    add_pod(&mut world, "new", "r-new-a", -10, &waiting("ImagePullBackOff"));
    add_pod(&mut world, "new", "r-new-b", -20, &waiting("ErrImagePull"));
    add_pod(&mut world, "old", "r-old-a", -90, &waiting("CrashLoopBackOff"));
    let want = "more replicas need to be updated: 2 of 4 updated, step 1 of 2 (setWeight: 50), \
                waiting for pod r-new-b to become ready (ImagePullBackOff: image a:v2)";
    assert_eq!(message(&world), want);
    world.pods.get_mut("new-uid").unwrap().reverse();
    assert_eq!(message(&world), want);
}

#[test]
fn a_missed_deadline_names_the_pod_too() {
    let missed = json!({"conditions": [{
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out.",
        "lastUpdateTime": at(-900), "lastTransitionTime": at(-900),
    }], "updatedReplicas": 2, "replicas": 4, "readyReplicas": 2, "availableReplicas": 2});
    let mut world = updating(&json!({}), &missed, (2, 2), (2, 0));
    assert_eq!(message(&world), "ProgressDeadlineExceeded: timed out.");
    add_pod(
        &mut world,
        "new",
        "r-new-a",
        -10,
        &waiting("CreateContainerConfigError"),
    );
    let want = "ProgressDeadlineExceeded: timed out. It is waiting for pod r-new-a to become ready \
                (CreateContainerConfigError: container app)";
    assert_eq!(message(&world), want);
}

/// A permission, a quota or an admission webhook.
#[test]
fn a_replica_set_that_cannot_be_made_is_told_with_the_reason() {
    let mut world = world(rollout(&json!({}), &json!({})), vec![replica_set("old", 1, 4, 4)]);
    world.refusal = Some(Refusal {
        kind: RefusalKind::Denied,
        pod_hash: world.identity.pod_hash.clone(),
        message: "replicasets.apps \"r-new\" is forbidden: the quota is used up".to_owned(),
    });
    let want = "waiting for a ReplicaSet that cannot be made \
                (replicasets.apps \"r-new\" is forbidden: the quota is used up)";
    assert!(message(&world).ends_with(want), "{}", message(&world));
    // That of a template of before is no news.
    world.refusal.as_mut().unwrap().pod_hash = "before".to_owned();
    assert!(!message(&world).contains("cannot be made"));
}

#[test]
fn a_long_message_is_cut() {
    let mut world = updating(&json!({}), &json!({}), (2, 2), (2, 0));
    let rs = std::sync::Arc::make_mut(&mut world.replica_sets[1]);
    rs.status
        .conditions
        .push(crate::api::replica_set::ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            message: "exceeded quota ".repeat(100),
            ..Default::default()
        });
    let message = message(&world);
    assert!(
        message.contains("waiting for pods that cannot be made (exceeded quota"),
        "{message}"
    );
    assert!(message.chars().count() < 300, "{message}");
}
