//! What happens to single pods: restarts, updates given up early for their sake, and metadata that is put on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::bounds::Bounds;
use crate::support::world::{DISRUPTION_BUDGET, POD, REPLICA_SET, is_degraded, is_observed, text};
use crate::support::{World, canary, rollout, scenario};

const NAME: &str = "app";

/// The pods that are not on their way out, name by uid.
async fn pods(world: &World) -> BTreeMap<String, Value> {
    let all = world.list(POD, &format!("app={NAME}")).await;
    all.into_iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| (text(&pod, "/metadata/uid").to_owned(), pod))
        .collect()
}

#[test]
fn a_restart_replaces_all_pods_and_disruption_budgets_have_their_say() {
    scenario("restart", |world| async move {
        let budget = |least: u32| {
            json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": NAME},
                "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": NAME}}},
            })
        };
        world.create(budget(3)).await;
        world
            .deployed(rollout(
                NAME,
                3,
                canary(&json!([{"setWeight": 50}, {"pause": {}}])),
            ))
            .await;
        let before = pods(&world).await;
        assert_eq!(before.len(), 3);
        let sets = world.record(REPLICA_SET).await;
        let created =
            |pod: &Value| -> jiff::Timestamp { text(pod, "/metadata/creationTimestamp").parse().unwrap() };
        let last = before.values().map(created).max().unwrap();
        let at = (last + jiff::SignedDuration::from_secs(1)).to_string();
        world.patch(NAME, json!({"spec": {"restartAt": at}})).await;
        let rollout = world
            .until_rollout(NAME, "restarting", |r| {
                is_observed(r) && text(r, "/status/message").contains("3 pods that were created before")
            })
            .await;
        assert_eq!(rollout["status"]["phase"], "Progressing");
        assert_eq!(rollout["status"]["restartedAt"], Value::Null);
        let kept = pods(&world).await;
        assert!(kept.keys().eq(before.keys()), "the budget forbids it");

        let allowed = json!({"spec": budget(2)["spec"]});
        world.patch_kind(DISRUPTION_BUDGET, NAME, allowed).await;
        let is_restarted = |r: &Value| text(r, "/status/restartedAt") == at;
        world.until_rollout(NAME, "restarted", is_restarted).await;
        world.healthy(NAME).await;
        let after = pods(&world).await;
        assert_eq!(after.len(), 3);
        assert!(
            after.keys().all(|uid| !before.contains_key(uid)),
            "each is a new one"
        );
        assert_eq!(world.scales(NAME).await, [3], "of the same revision");
        let bounds = Bounds::of(&sets);
        assert!(bounds.least >= 2, "one at a time: {bounds:?}");
    });
}

/// An update by this change of the template, whose pods cannot start, and the Rollout as it is in the end.
async fn given_up(world: &World, name: &str, template: Value) -> Value {
    let mut object = rollout(name, 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
    object["spec"]["strategy"]["canary"]["failFast"] = json!({"failingPods": 1, "graceSeconds": 2});
    world.deployed(object).await;
    world.patch(name, json!({"spec": {"template": template}})).await;
    let rollout = world
        .until_rollout(name, "given up", |r| is_degraded(r, "RolloutAborted: "))
        .await;
    world.until_scales(name, &[2, 0]).await;
    rollout
}

#[test]
fn an_update_whose_pods_cannot_start_is_given_up_early_and_says_which_and_why() {
    scenario("fail-fast", |world| async move {
        let labelled = |label: &str| json!({"metadata": {"labels": {label: "true"}}});
        for (name, template, why) in [
            (
                "pulls",
                labelled("fake.serin/image-pull"),
                "ImagePullBackOff: image ",
            ),
            (
                "crashes",
                labelled("fake.serin/crash"),
                "CrashLoopBackOff: container app exited with code 1",
            ),
            (
                "homeless",
                json!({"spec": {"nodeSelector": {"disk": "none"}}}),
                "Unschedulable: 0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector",
            ),
        ] {
            let rollout = given_up(&world, name, template).await;
            let message = text(&rollout, "/status/message");
            let pod = format!("pod {name}-{}-", text(&rollout, "/status/currentPodHash"));
            for part in ["failFast: 1 of 1 new pods fail for more than 2 s", &pod, why] {
                assert!(message.contains(part), "{part:?} in {message:?}");
            }
            assert_eq!(rollout["status"]["abort"], true);
        }
    });
}

#[test]
fn pods_carry_the_metadata_of_their_role_and_change_it_without_a_restart() {
    scenario("metadata", |world| async move {
        let mut object = rollout(NAME, 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        let own = &mut object["spec"]["strategy"]["canary"];
        own["canaryMetadata"] = json!({"labels": {"role": "canary"}, "annotations": {"who": "new"}});
        own["stableMetadata"] = json!({"labels": {"role": "stable"}});
        world.deployed(object).await;
        let roles = async |want: &[(&str, &str)]| {
            world
                .until(&format!("pods {want:?}"), async || {
                    let all = pods(&world).await;
                    let mut roles: Vec<(&str, &str)> = all
                        .values()
                        .map(|pod| {
                            (
                                text(pod, "/spec/containers/0/image"),
                                text(pod, "/metadata/labels/role"),
                            )
                        })
                        .collect();
                    roles.sort_unstable();
                    (roles == want).then(|| all.keys().cloned().collect::<Vec<_>>())
                })
                .await
        };
        let stable = roles(&[("app:v1", "stable"), ("app:v1", "stable")]).await;
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        let both = roles(&[("app:v1", "stable"), ("app:v2", "canary")]).await;
        let new = both.iter().find(|uid| !stable.contains(uid)).unwrap();
        assert_eq!(text(&pods(&world).await[new], "/metadata/annotations/who"), "new");
        world.promote(NAME).await;
        world.healthy(NAME).await;
        let promoted = roles(&[("app:v2", "stable"), ("app:v2", "stable")]).await;
        assert!(promoted.contains(new), "the canary's pod is the same");
        assert_eq!(text(&pods(&world).await[new], "/metadata/annotations/who"), "");
        assert_eq!(world.scales(NAME).await, [0, 2], "no revision of its own");
    });
}

#[test]
fn an_update_that_waits_for_a_pod_in_trouble_names_it_and_why() {
    scenario("trouble", |world| async move {
        world
            .deployed(rollout(
                NAME,
                2,
                canary(&json!([{"setWeight": 50}, {"pause": {}}])),
            ))
            .await;
        for (template, why) in [
            (
                json!({"spec": {"nodeSelector": {"disk": "none"}}}),
                "(Unschedulable: 0/5 nodes are available: 5 node(s) didn't match",
            ),
            (
                json!({"metadata": {"labels": {"fake.serin/crash": "true"}}, "spec": {"nodeSelector": null}}),
                "(CrashLoopBackOff: container app exited with code 1)",
            ),
        ] {
            world.patch(NAME, json!({"spec": {"template": template}})).await;
            let rollout = world
                .until_rollout(NAME, why, |r| {
                    is_observed(r) && text(r, "/status/message").contains(why)
                })
                .await;
            let message = text(&rollout, "/status/message");
            let hash = text(&rollout, "/status/currentPodHash");
            for part in [
                "more replicas need to be updated: 1 of 2 updated",
                "step 1 of 2 (setWeight: 50)",
                &format!("waiting for pod {NAME}-{hash}-"),
            ] {
                assert!(message.contains(part), "{part:?} in {message:?}");
            }
            assert_eq!(rollout["status"]["phase"], "Progressing");
        }
    });
}

#[test]
fn new_pods_of_a_canary_stand_on_nodes_without_stable_ones() {
    scenario("apart", |world| async move {
        let mut object = rollout(NAME, 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        object["spec"]["strategy"]["canary"]["antiAffinity"] =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {}});
        world.deployed(object).await;
        world.set_image(NAME, "app:v2").await;
        let rollout = world.paused_at(NAME, 1).await;
        let term =
            "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
        let sets = world.replica_sets(NAME).await;
        assert_eq!(
            sets[1].pointer(&format!("{term}/labelSelector/matchExpressions/0")),
            Some(&json!({
                "key": "rollouts-pod-template-hash", "operator": "In", "values": [rollout["status"]["stableRS"]],
            })),
        );
        assert_eq!(sets[0].pointer(term), None, "stable pods keep off nobody");
        let nodes = async |version: &str| -> Vec<String> {
            let all = pods(&world).await;
            let of = |pod: &&Value| text(pod, "/spec/containers/0/image") == version;
            all.values()
                .filter(of)
                .map(|pod| text(pod, "/spec/nodeName").to_owned())
                .collect()
        };
        let (old, new) = (nodes("app:v1").await, nodes("app:v2").await);
        assert_eq!((old.len(), new.len()), (1, 1));
        assert_ne!(old, new);
        world.promote(NAME).await;
        world.healthy(NAME).await;
        world
            .until("nobody to keep off", async || {
                let sets = world.replica_sets(NAME).await;
                sets[1]
                    .pointer("/spec/template/spec/affinity")
                    .is_none()
                    .then_some(())
            })
            .await;
        assert_eq!(world.scales(NAME).await, [0, 2], "no revision of its own");
    });
}
