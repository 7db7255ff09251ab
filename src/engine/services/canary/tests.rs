use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::replica_set::ReplicaSet;
use crate::engine::testing::{plan_at, replica_set, rollout, world};
use crate::engine::{Intent, Observed, Plan};

/// An update from `old` to `new` of four pods, one at a time, no surge, with both Services of the canary, which select
/// these hashes.
fn update(weight: i64, status: &Value, sets: Vec<ReplicaSet>, stable: &str, canary: &str) -> Observed {
    let spec = json!({"strategy": {"canary": {
        "stableService": "stable", "canaryService": "canary",
        "steps": [{"setWeight": weight}, {"pause": {}}],
    }}});
    let mut world = world(rollout(&spec, status), sets);
    for (name, hash) in [("stable", stable), ("canary", canary)] {
        let service = json!({
            "metadata": {
                "name": name, "uid": name, "resourceVersion": "1",
                "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "r"},
            },
            "spec": {"selector": {"app": "a", "rollouts-pod-template-hash": hash}},
        });
        let service = serde_json::from_value(service).unwrap();
        world.services.insert(name.to_owned(), Arc::new(service));
    }
    world
}

/// Which Service is pointed where, and which ReplicaSet is scaled to what.
fn done(plan: &Plan) -> Vec<String> {
    let all = plan.intents.iter();
    all.filter_map(|intent| match intent {
        Intent::PatchService(patch) => Some(format!("{} -> {}", patch.name, patch.pod_hash)),
        Intent::PatchReplicaSet(patch) => patch.scale.map(|(_, to)| format!("{} = {to}", patch.name)),
        _ => None,
    })
    .collect()
}

#[test]
fn the_last_stable_pods_go_when_nothing_leads_to_them_any_more() {
    // Weight 100: three of four new pods are what the limits ask for.
    let sets = || vec![replica_set("old", 1, 1, 1), replica_set("new", 2, 3, 3)];
    let first = update(100, &json!({}), sets(), "old", "new");
    assert_eq!(done(&plan_at(&first, 0)), ["stable -> new"], "the pod stays");

    let mut second = update(100, &json!({}), sets(), "new", "new");
    second
        .endpoints
        .insert("stable".to_owned(), vec!["r-old-x".to_owned()]);
    assert_eq!(done(&plan_at(&second, 0)), [""; 0], "it is led to still");

    second
        .endpoints
        .insert("stable".to_owned(), vec!["r-new-x".to_owned()]);
    assert_eq!(done(&plan_at(&second, 0)), ["r-old = 0"]);
}

#[test]
fn who_waits_for_a_service_is_told_which() {
    let sets = vec![replica_set("old", 1, 1, 1), replica_set("new", 2, 4, 4)];
    let mut world = update(100, &json!({}), sets, "new", "new");
    world
        .endpoints
        .insert("stable".to_owned(), vec!["r-old-x".to_owned()]);
    let plan = plan_at(&world, 0);
    assert_eq!(done(&plan), [""; 0]);
    let message = plan.status.message.unwrap_or_default();
    assert!(
        message.contains("1 left, Service stable still leads to them"),
        "{message}"
    );
}

#[test]
fn a_side_that_cannot_carry_it_gets_no_service() {
    // Two of four are available: one less than the limits ask for.
    let sets = vec![replica_set("old", 1, 1, 1), replica_set("new", 2, 3, 2)];
    let world = update(100, &json!({}), sets, "old", "new");
    assert_eq!(done(&plan_at(&world, 0)), [""; 0]);
}

#[test]
fn one_replica_without_surge_is_replaced_with_the_gap_that_the_limits_allow() {
    let sets = vec![replica_set("old", 1, 1, 1), replica_set("new", 2, 0, 0)];
    let mut world = update(100, &json!({}), sets, "old", "old");
    Arc::make_mut(&mut world.rollout).spec.replicas = Some(1);
    assert!(done(&plan_at(&world, 0)).contains(&"r-old = 0".to_owned()));
}

#[test]
fn after_an_abort_both_services_go_back_when_stable_can_carry_it() {
    let status = json!({"abort": true, "abortedAt": "2026-01-02T11:59:00Z"});
    // What the abort finds at weight 100, then what comes of it.
    for (old, new, want) in [
        (0, 4, &["r-new = 3"][..]),
        (1, 3, &["r-new = 2"]),
        (2, 2, &["stable -> old", "canary -> old", "r-new = 1"]),
        (4, 0, &["stable -> old", "canary -> old"]),
    ] {
        let sets = vec![replica_set("old", 1, old, old), replica_set("new", 2, new, new)];
        let done = done(&plan_at(&update(100, &status, sets, "new", "new"), 0));
        assert_eq!(done, want, "{old} old, {new} new");
    }
    let sets = vec![replica_set("old", 1, 3, 3), replica_set("new", 2, 1, 1)];
    let mut arrived = update(100, &status, sets, "old", "old");
    arrived
        .endpoints
        .insert("canary".to_owned(), vec!["r-new-x".to_owned()]);
    let held = done(&plan_at(&arrived, 0));
    assert!(!held.contains(&"r-new = 0".to_owned()), "{held:?}");
    arrived.endpoints.clear();
    assert_eq!(done(&plan_at(&arrived, 0)), ["r-new = 0"]);
}

#[test]
fn pods_of_a_version_between_do_not_go_while_the_canary_service_leads_to_them() {
    // Version `mid` was at 50 % when `new` came, which has no pod yet.
    let sets = || {
        vec![
            replica_set("old", 1, 4, 4),
            replica_set("mid", 2, 1, 1),
            replica_set("new", 3, 0, 0),
        ]
    };
    let world = update(20, &json!({}), sets(), "old", "mid");
    assert_eq!(done(&plan_at(&world, 0)), ["canary -> old"]);
    let world = update(20, &json!({}), sets(), "old", "old");
    assert_eq!(done(&plan_at(&world, 0)), ["r-mid = 0"]);
}

#[test]
fn a_service_of_a_replica_set_that_is_gone_gets_pods_that_answer() {
    let sets = vec![replica_set("old", 1, 3, 3), replica_set("new", 2, 1, 0)];
    let world = update(25, &json!({}), sets, "gone", "gone");
    assert_eq!(done(&plan_at(&world, 0)), ["stable -> old", "canary -> old"]);
    let sets = vec![replica_set("old", 1, 3, 3), replica_set("new", 2, 1, 1)];
    let world = update(25, &json!({}), sets, "old", "old");
    assert_eq!(done(&plan_at(&world, 0)), ["canary -> new"]);
}

#[test]
fn one_pod_stays_behind_a_service_while_the_side_that_takes_over_waits_for_the_room_of_the_others() {
    let status = json!({"abort": true, "abortedAt": "2026-01-01T11:59:55Z"});
    let sets = |new| vec![replica_set("old", 1, 1, 1), replica_set("new", 2, new, new)];
    let mut world = update(75, &status, sets(3), "old", "new");
    let strategy = Arc::make_mut(&mut world.rollout).spec.strategy.as_mut().unwrap();
    strategy.canary.as_mut().unwrap().max_unavailable = Some(serde_json::from_value(json!(3)).unwrap());
    assert_eq!(done(&plan_at(&world, 0)), ["r-new = 1"]);
    world.replica_sets = sets(1).into_iter().map(Arc::new).collect();
    let then = done(&plan_at(&world, 0));
    assert_eq!(
        then,
        ["canary -> old", "r-old = 3"],
        "it goes when nothing leads to it"
    );
}

#[test]
fn pods_of_a_version_between_make_room_for_the_new_one_but_for_the_last() {
    // Three replicas, two may be missing, no surge: `new` gets no pod before `mid` gives one.
    let mid = |pods| {
        vec![
            replica_set("old", 1, 1, 1),
            replica_set("mid", 2, pods, pods),
            replica_set("new", 3, 0, 0),
        ]
    };
    let with = |pods, new: &str| {
        let mut world = update(50, &json!({"promoteFull": true}), mid(pods), "old", new);
        let spec = &mut Arc::make_mut(&mut world.rollout).spec;
        spec.replicas = Some(3);
        let canary = spec.strategy.as_mut().unwrap().canary.as_mut().unwrap();
        canary.max_unavailable = Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(2));
        done(&plan_at(&world, 0))
    };
    assert_eq!(with(2, "mid"), ["r-mid = 1"]);
}
