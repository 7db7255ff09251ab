//! Whose ReplicaSets: adoption, release, and names that are taken.

use serde_json::{Value, json};

use super::support::{World, owner, rollout, set_version, touch};
use crate::engine::Intent;

fn healthy() -> World {
    let mut world = World::new(rollout("1", &json!([{"setWeight": 20}, {"pause": {}}])));
    world.settle();
    world
}

fn only(world: &World) -> Value {
    assert_eq!(world.others.len(), 1);
    world.others[0].clone()
}

#[test]
fn orphans_that_the_selector_matches_are_adopted() {
    let mut world = healthy();
    let name = only(&world)["metadata"]["name"].as_str().unwrap().to_owned();
    world.others[0]["metadata"]["ownerReferences"] = json!([]);
    let uid = only(&world)["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(world.plan().intents, [Intent::AdoptReplicaSet { name, uid }]);
    world.settle();
    assert_eq!(
        world.sizes(),
        [("app:1".to_owned(), 5)],
        "adopted, and neither another created nor this one scaled"
    );
    assert_eq!(world.status("/phase"), "Healthy");
}

#[test]
fn nothing_is_adopted_that_is_foreign_or_going_or_no_revision() {
    for (what, change) in [
        (
            "another owner",
            json!({"ownerReferences": [{"uid": "other", "controller": true, "kind": "Deployment",
            "apiVersion": "apps/v1", "name": "d"}]}),
        ),
        (
            "being deleted",
            json!({"ownerReferences": [], "deletionTimestamp": "2026-01-01T12:00:00Z"}),
        ),
        (
            "labels that do not match",
            json!({"ownerReferences": [], "labels": {"app": "x",
            "rollouts-pod-template-hash": "x"}}),
        ),
        (
            "no hash",
            json!({"ownerReferences": [], "labels": {"app": "app"}}),
        ),
    ] {
        let mut world = healthy();
        let mut other = only(&world);
        for (key, value) in change.as_object().unwrap() {
            other["metadata"][key] = value.clone();
        }
        other["metadata"]["name"] = json!("other");
        other["metadata"]["uid"] = json!("other");
        world.others.push(other);
        assert_eq!(world.plan().intents, [], "{what}");
    }
}

#[test]
fn a_rollout_that_is_being_deleted_adopts_nothing() {
    let mut world = healthy();
    world.others[0]["metadata"]["ownerReferences"] = json!([]);
    world.rollout["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    let plan = world.plan();
    assert_eq!((plan.intents, plan.notices), (Vec::new(), Vec::new()));
}

#[test]
fn a_replica_set_that_the_selector_matches_no_more_is_released() {
    let mut world = healthy();
    let rs = only(&world);
    world.rollout["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    world.rollout["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    touch(&mut world.rollout);
    let text = |key: &str| rs["metadata"][key].as_str().unwrap().to_owned();
    assert_eq!(
        world.plan().intents,
        [Intent::ReleaseReplicaSet {
            name: text("name"),
            uid: text("uid")
        }]
    );
    world.settle();
    assert_eq!(world.others[0]["metadata"]["ownerReferences"], json!([]));
    assert_eq!(
        world.sizes(),
        [("app:1".to_owned(), 5), ("app:1".to_owned(), 5)],
        "its pods are left alone"
    );
}

/// The ReplicaSet that an interrupted pass created: the status does not speak of it yet.
#[test]
fn a_replica_set_of_ours_with_the_same_template_is_used() {
    let mut world = healthy();
    set_version(&mut world.rollout, "2");
    let mut again = world.clone();
    again.step();
    world.others = again.others;
    world.settle();
    assert_eq!(world.sizes().len(), 2);
    assert_eq!(world.status("/collisionCount"), Value::Null);
    assert_eq!(world.status("/currentStepIndex"), 1);
}

#[test]
fn a_name_that_another_owner_has_gives_another_hash() {
    for (what, owners, labels) in [
        (
            "another owner",
            json!([{"uid": "other", "controller": true, "kind": "Rollout", "name": "other",
            "apiVersion": "argoproj.io/v1alpha1"}]),
            json!({"app": "app", "rollouts-pod-template-hash": "x"}),
        ),
        ("no owner, no match", json!([]), json!({"app": "x"})),
        ("ours, without a hash", json!([owner()]), json!({"app": "app"})),
    ] {
        let mut world = World::new(rollout("1", &json!([])));
        let mut taken = world.clone();
        taken.step();
        let mut rs = only(&taken);
        let first = rs["metadata"]["name"].clone();
        rs["metadata"]["ownerReferences"] = owners;
        rs["metadata"]["labels"] = labels;
        rs["metadata"]["uid"] = json!("other");
        world.others.push(rs);
        world.settle();
        assert_eq!(world.status("/collisionCount"), 1, "{what}");
        assert_eq!(world.others.len(), 2, "{what}");
        assert_ne!(world.others[1]["metadata"]["name"], first, "{what}");
        assert_eq!(world.status("/phase"), "Healthy", "{what}");
        assert_eq!(world.sizes()[0].1, 0, "{what}: the foreign one is left alone");
    }
}

#[test]
fn annotations_of_the_rollout_are_kept_on_its_new_replica_set() {
    let mut world = healthy();
    world.rollout["metadata"]["annotations"]["team"] = json!("birds");
    world.rollout["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!("{}");
    let plan = world.plan();
    let [Intent::PatchReplicaSet(patch)] = plan.intents.as_slice() else {
        panic!("{:?}", plan.intents)
    };
    assert_eq!(patch.scale, None);
    assert_eq!(
        patch.annotations,
        [("team".to_owned(), Some("birds".to_owned()))].into()
    );
    world.settle();
    assert_eq!(world.plan().intents, [], "once is enough");
    // Together with a scaling it is no call more.
    world.rollout["metadata"]["annotations"]["team"] = json!("finches");
    world.rollout["spec"]["replicas"] = json!(6);
    touch(&mut world.rollout);
    let plan = world.plan();
    let [Intent::PatchReplicaSet(patch)] = plan.intents.as_slice() else {
        panic!("{:?}", plan.intents)
    };
    assert_eq!(patch.scale, Some((5, 6)));
    assert_eq!(patch.annotations["team"], Some("finches".to_owned()));
    // An old revision keeps what it had.
    world.settle();
    set_version(&mut world.rollout, "2");
    world.rollout["metadata"]["annotations"]["team"] = json!("canaries");
    world.settle();
    let team = |i: usize| world.others[i]["metadata"]["annotations"]["team"].clone();
    assert_eq!((team(0), team(1)), (json!("finches"), json!("canaries")));
}

#[test]
fn annotations_are_kept_in_sync_while_a_user_holds_the_rollout() {
    let mut world = healthy();
    world.rollout["spec"]["paused"] = json!(true);
    touch(&mut world.rollout);
    world.settle();
    world.rollout["metadata"]["annotations"]["team"] = json!("birds");
    assert_eq!(world.plan().intents.len(), 1);
    world.settle();
    assert_eq!(only(&world)["metadata"]["annotations"]["team"], "birds");
}
