//! Whose ReplicaSets, Services and replica counts they are: taken over, given back, and scaled by somebody else.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::audit::Audit;
use crate::support::bounds::Bounds;
use crate::support::controller::SHARED_USER;
use crate::support::record::Record;
use crate::support::world::{POD, REPLICA_SET, ROLLOUT, SERVICE, annotation, number, text};
use crate::support::{World, canary, rollout, scenario};

const NAME: &str = "app";
const HASH: &str = "/spec/selector/rollouts-pod-template-hash";
const MANAGED: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

fn half() -> Value {
    canary(&json!([{"setWeight": 50}, {"pause": {}}]))
}

async fn pod_uids(world: &World) -> Vec<String> {
    let all = world.list(POD, &format!("app={NAME}")).await;
    let mut uids: Vec<String> = all
        .iter()
        .map(|pod| text(pod, "/metadata/uid").to_owned())
        .collect();
    uids.sort();
    uids
}

#[test]
fn services_select_their_side_and_are_given_back() {
    scenario("services", |world| async move {
        for name in ["canary", "stable"] {
            world.create_service(name, &json!({"app": NAME}), 80).await;
        }
        let mut strategy = half();
        strategy["canaryService"] = json!("canary");
        strategy["stableService"] = json!("stable");
        world.deployed(rollout(NAME, 2, strategy)).await;
        world.set_image(NAME, "app:v2").await;
        let paused = world.paused_at(NAME, 1).await;
        let (new, old) = (
            text(&paused, "/status/currentPodHash"),
            text(&paused, "/status/stableRS"),
        );
        let selected = async |name: &'static str, want: Option<&str>| {
            world
                .until(&format!("{name} selects {want:?}"), async || {
                    let service = world.get(SERVICE, name).await;
                    let managed = annotation(&service, MANAGED);
                    let is = match want {
                        Some(hash) => text(&service, HASH) == hash && managed == NAME,
                        None => service.pointer(HASH).is_none() && managed.is_empty(),
                    };
                    is.then_some(())
                })
                .await;
        };
        selected("canary", Some(new)).await;
        selected("stable", Some(old)).await;
        world.abort(NAME).await;
        selected("canary", Some(old)).await;
        world.retry(NAME).await;
        world.paused_at(NAME, 1).await;
        selected("canary", Some(new)).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        selected("canary", Some(new)).await;
        selected("stable", Some(new)).await;
        // One that is referred to no more is everybody's again, the other one stays as it is.
        let without = json!({"spec": {"strategy": {"canary": {"canaryService": null}}}});
        world.patch(NAME, without).await;
        selected("canary", None).await;
        selected("stable", Some(new)).await;
        world
            .api(ROLLOUT)
            .delete(NAME, &kube::api::DeleteParams::background())
            .await
            .unwrap();
        selected("stable", None).await;
    });
}

/// The objects of both records in the order in which the API server wrote them.
fn in_order(records: &[&Record]) -> Vec<Value> {
    let mut all: Vec<Value> = records.iter().flat_map(|record| record.applied()).collect();
    all.sort_by_key(|object| text(object, "/metadata/resourceVersion").parse::<u64>().unwrap());
    all
}

#[test]
fn both_services_lead_to_pods_that_answer_at_every_moment() {
    scenario("services-lead", |world| async move {
        for name in ["canary", "stable"] {
            world.create_service(name, &json!({"app": NAME}), 80).await;
        }
        let mut strategy =
            canary(&json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]));
        strategy["canaryService"] = json!("canary");
        strategy["stableService"] = json!("stable");
        world.deployed(rollout(NAME, 2, strategy)).await;
        let (sets, services) = (world.record(REPLICA_SET).await, world.record(SERVICE).await);
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        // Another template in the middle, which gets as far as all the weight there is, and back from there.
        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.promote(NAME).await;
        world.paused_at(NAME, 3).await;
        world.until_scales(NAME, &[0, 0, 2]).await;
        world.abort(NAME).await;
        world.until_scales(NAME, &[2, 0, 0]).await;
        world.retry(NAME).await;
        world.paused_at(NAME, 1).await;
        world.promote_full(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 0, 2]).await;
        let mut now: HashMap<String, Value> = HashMap::new();
        let mut looks = 0;
        for object in in_order(&[&sets, &services]) {
            let of = |o: &Value| format!("{}/{}", text(o, "/kind"), text(o, "/metadata/name"));
            now.insert(of(&object), object);
            for service in ["canary", "stable"] {
                let Some(hash) = now
                    .get(&format!("Service/{service}"))
                    .map(|s| text(s, HASH).to_owned())
                else {
                    continue;
                };
                let Some(rs) = now
                    .get(&format!("ReplicaSet/{NAME}-{hash}"))
                    .filter(|_| !hash.is_empty())
                else {
                    continue;
                };
                looks += 1;
                let (wants, has) = (
                    number(rs, "/spec/replicas"),
                    number(rs, "/status/availableReplicas"),
                );
                assert!(wants > 0 && has > 0, "{service} leads to {rs:#}");
            }
        }
        assert!(looks > 20, "{looks} looks");
    });
}

/// Watched are the ReplicaSets with a hash: one without is met when the new one is to get its name.
#[test]
fn a_name_that_a_replica_set_without_a_hash_has_is_looked_at_and_left_alone() {
    scenario("name-taken", |world| async move {
        // A first life tells the name.
        world.deployed(rollout(NAME, 1, half())).await;
        let first = world.replica_sets(NAME).await;
        let name = text(&first[0], "/metadata/name").to_owned();
        world.delete(ROLLOUT, NAME).await;
        world
            .until("the first ReplicaSet gone", async || {
                let found = world.api(REPLICA_SET).get_opt(&name).await.unwrap();
                found.is_none().then_some(())
            })
            .await;
        let labels = json!({"of": "somebody-else"});
        let container = json!({"name": "other", "image": "other:v1"});
        world
            .create_kind(
                REPLICA_SET,
                json!({
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": {"name": name},
                    "spec": {
                        "replicas": 1,
                        "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                    },
                }),
            )
            .await;
        let theirs = world.get(REPLICA_SET, &name).await;
        let audit = Audit::of(world.cluster, SHARED_USER);
        let again = world.deployed(rollout(NAME, 1, half())).await;
        assert_eq!(number(&again, "/status/collisionCount"), 1);
        let ours = world.replica_sets(NAME).await;
        assert_eq!(ours.len(), 1);
        assert_ne!(ours[0]["metadata"]["name"], name.as_str());
        assert_eq!(world.get(REPLICA_SET, &name).await["spec"], theirs["spec"]);
        assert_eq!(audit.counts(&world.namespace)["get replicasets"], 1);
    });
}

#[test]
fn pods_that_a_deleted_rollout_left_behind_are_taken_over_as_they_are() {
    scenario("adopt", |world| async move {
        world.deployed(rollout(NAME, 3, half())).await;
        let (sets, before) = (world.replica_sets(NAME).await, pod_uids(&world).await);
        let params = kube::api::DeleteParams {
            propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
            ..Default::default()
        };
        world.api(ROLLOUT).delete(NAME, &params).await.unwrap();
        world
            .until("an orphan", async || {
                let all = world.replica_sets(NAME).await;
                (all.len() == 1 && all[0]["metadata"]["ownerReferences"].is_null()).then_some(())
            })
            .await;
        world
            .until("the Rollout gone", async || {
                world.list(ROLLOUT, "").await.is_empty().then_some(())
            })
            .await;
        let created = world.create(rollout(NAME, 3, half())).await;
        world.healthy(NAME).await;
        let adopted = world.replica_sets(NAME).await;
        assert_eq!(adopted.len(), 1);
        assert_eq!(adopted[0]["metadata"]["uid"], sets[0]["metadata"]["uid"]);
        let owner = &adopted[0]["metadata"]["ownerReferences"];
        assert_eq!(owner[0]["uid"], created["metadata"]["uid"]);
        assert_eq!(owner[0]["controller"], true);
        assert_eq!(pod_uids(&world).await, before, "no pod was restarted");
    });
}

#[test]
fn a_replica_set_that_is_relabelled_is_let_go_and_replaced() {
    scenario("release", |world| async move {
        world.deployed(rollout(NAME, 1, half())).await;
        let name = text(&world.replica_sets(NAME).await[0], "/metadata/name").to_owned();
        let other = json!({"metadata": {"labels": {"app": "other"}}});
        world.patch_kind(REPLICA_SET, &name, other).await;
        world
            .until("let go", async || {
                let rs = world.get(REPLICA_SET, &name).await;
                rs["metadata"]["ownerReferences"].is_null().then_some(())
            })
            .await;
        // Its name is taken: the one that replaces it has another.
        world
            .until("a replacement", async || {
                let all = world.replica_sets(NAME).await;
                (all.len() == 1 && number(&all[0], "/status/availableReplicas") == 1).then_some(())
            })
            .await;
        world.healthy(NAME).await;
        assert_ne!(text(&world.replica_sets(NAME).await[0], "/metadata/name"), name);
        let left = world.get(REPLICA_SET, &name).await;
        assert_eq!(number(&left, "/spec/replicas"), 1, "whose it is now decides");
    });
}

#[test]
fn an_autoscaler_scales_from_3_to_12_to_4_in_the_middle_of_a_canary() {
    scenario("autoscaler", |world| async move {
        let steps = json!([{"setWeight": 25}, {"pause": {}}]);
        world.deployed(rollout(NAME, 3, canary(&steps))).await;
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        world.until_scales(NAME, &[3, 1]).await;
        let up = world.record(REPLICA_SET).await;
        world.scale(NAME, 12).await;
        world.until_scales(NAME, &[9, 3]).await;
        let bounds = Bounds::of(&up);
        assert!(bounds.least >= 3 && bounds.asked <= 13, "going up: {bounds:?}");
        world.paused_at(NAME, 1).await;
        let down = world.record(REPLICA_SET).await;
        world.scale(NAME, 4).await;
        world.until_scales(NAME, &[3, 1]).await;
        let bounds = Bounds::of(&down);
        assert!(bounds.least >= 4 && bounds.asked <= 13, "going down: {bounds:?}");
        world.paused_at(NAME, 1).await;
        let rest = world.record(REPLICA_SET).await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 4]).await;
        let bounds = Bounds::of(&rest);
        assert!(bounds.least >= 4 && bounds.most <= 5, "to the end: {bounds:?}");
        let rollout = world.rollout(NAME).await;
        let selector = text(&rollout, "/status/selector");
        assert_eq!(selector, format!("app={NAME}"), "what an autoscaler reads");
        assert_eq!(number(&rollout, "/status/HPAReplicas"), 4);
    });
}
