use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;

/// A cache with one object in it.
fn filled<K>(object: Value) -> Cache<K>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (cache, mut feed) = cache::<K>();
    for event in [
        Event::Init,
        Event::InitApply(serde_json::from_value(object).unwrap()),
        Event::InitDone,
    ] {
        feed.take(&event, &|_| {});
    }
    cache
}

fn owned_by(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true}])
}

fn pod(waiting: Option<&str>, ready: bool) -> Pod {
    let state = waiting.map_or(
        json!({"running": {}}),
        |reason| json!({"waiting": {"reason": reason}}),
    );
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "ownerReferences": owned_by("ReplicaSet", "r-1")},
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": "app", "image": "a", "state": state}],
        },
    }))
    .unwrap()
}

#[test]
fn a_pod_asks_for_a_pass_only_where_the_counters_do_not_tell() {
    let sets = filled::<ReplicaSet>(
        json!({"metadata": {"name": "r-1", "namespace": "n", "ownerReferences": owned_by("Rollout", "r")}}),
    );
    let rollouts = |restart: Value| {
        filled::<WatchedRollout>(
            json!({"metadata": {"name": "r", "namespace": "n"}, "spec": {"restartAt": restart}}),
        )
    };
    let idle = rollouts(Value::Null);
    let restarting = rollouts(json!("2026-01-02T03:04:05Z"));
    let (starting, up, pull) = (
        pod(None, false),
        pod(None, true),
        pod(Some("ErrImagePull"), false),
    );
    let back_off = pod(Some("ImagePullBackOff"), false);
    for (what, before, object, gone, all, want) in [
        ("created", None, &starting, false, &idle, false),
        ("ready", Some(&starting), &up, false, &idle, false),
        ("cannot pull", Some(&starting), &pull, false, &idle, true),
        ("cannot pull still", Some(&pull), &back_off, false, &idle, false),
        ("gone", Some(&up), &up, true, &idle, false),
        ("gone in a restart", Some(&up), &up, true, &restarting, true),
        (
            "ready in a restart",
            Some(&starting),
            &up,
            false,
            &restarting,
            false,
        ),
    ] {
        let found = stirred_by(&Change { before, object, gone }, &sets, all);
        assert_eq!(found.map(|r| r.name), want.then(|| "r".to_owned()), "{what}");
    }
}

/// The same name in every namespace, as where each has the same application: a look at their Services would cost a call for
/// each that another controller manages.
#[test]
fn a_rollout_asks_for_the_services_of_its_own_namespace_only() {
    let service = |namespace: &str, manager: &str| -> Service {
        serde_json::from_value(json!({"metadata": {
            "name": "s", "namespace": namespace,
            "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": manager},
        }}))
        .unwrap()
    };
    let rollout: ObjectMeta = serde_json::from_value(json!({"name": "web", "namespace": "n"})).unwrap();
    assert!(is_managed_by(&service("n", "web"), &rollout));
    assert!(!is_managed_by(&service("other", "web"), &rollout));
    assert!(!is_managed_by(&service("n", "shop"), &rollout));
    assert!(!is_managed_by(&service("n", ""), &rollout));
}
