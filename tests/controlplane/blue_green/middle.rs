//! What happens in the middle: new templates, scaling, restarts, metadata, a workload that is referred to.

use serde_json::{Value, json};

use super::{NAME, Shop, asking, has_deadline, is_observed, number, of, strategy, text, waits};
use crate::support::world::{DEPLOYMENT, POD, ROLLOUT};
use crate::support::{http, scenario, web_template};

/// The events of an update that overtakes another.
const OVERTAKES: [&str; 4] = [
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "SwitchService",
    "ScalingReplicaSet",
];

#[test]
fn a_new_template_in_the_preview_takes_the_preview_over() {
    scenario("bg-new-preview", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 300});
        let mut shop = Shop::with(world, spec).await;
        // Its pods never become ready.
        shop.update("broken:v2").await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "broken:v2".to_owned()));
        shop.set_image(NAME, "app:v3").await;
        shop.then(&OVERTAKES).await;
        shop.then(&["RolloutPaused"]).await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v3".to_owned()));
        shop.until_set("broken:v2", "stands in its delay", has_deadline)
            .await;
        shop.tune(json!({"scaleDownDelayRevisionLimit": 0})).await;
        shop.until_sizes(&[("app:v1", 2), ("broken:v2", 0), ("app:v3", 2)])
            .await;
        shop.then(&["ScalingReplicaSet"]).await;
        shop.promote(NAME).await;
        shop.until_sizes(&[("app:v1", 0), ("app:v3", 2)]).await;
        shop.healthy(NAME).await;
        shop.then(&[
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ])
        .await;
        shop.close();
    });
}

#[test]
fn a_new_template_in_the_pause_is_asked_for_anew() {
    scenario("bg-new-pause", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 300});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.set_image(NAME, "app:v3").await;
        shop.then(&OVERTAKES).await;
        shop.then(&["RolloutPaused"]).await;
        shop.until_set("app:v2", "stands in its delay", has_deadline)
            .await;
        shop.until_sizes(&[("app:v1", 2), ("app:v2", 2), ("app:v3", 2)])
            .await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v3".to_owned()));
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.then(&["RolloutResumed", "SwitchService", "RolloutCompleted"])
            .await;
        assert_eq!(shop.selects(NAME).await, "app:v3");
        shop.close();
    });
}

#[test]
fn a_new_template_in_the_analysis_after_the_switch_and_its_abort_go_back_to_what_was_stable() {
    scenario("bg-new-post", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        world
            .create(web_template("long", &format!("http://{server}/"), 1000))
            .await;
        let spec = json!({"postPromotionAnalysis": asking("long"), "scaleDownDelaySeconds": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        shop.until_active("app:v2").await;
        shop.until_rollout(NAME, "analysed", |r| {
            r["status"]["blueGreen"]["postPromotionAnalysisRunStatus"]["status"] == "Running"
        })
        .await;
        shop.then(&["SwitchService"]).await;
        shop.set_image(NAME, "broken:v3").await;
        shop.then(&OVERTAKES).await;
        let asked = |rs: &Value| number(rs, "/spec/replicas") == 2;
        shop.until_set("broken:v3", "is asked for its pods", asked).await;
        // Production stays where it is until the third version is ready, and grows with the demand.
        assert_eq!(shop.aims().await, ("app:v2".to_owned(), "broken:v3".to_owned()));
        shop.scale(NAME, 3).await;
        shop.then(&["ScalingReplicaSet"; 3]).await;
        shop.until_sizes(&[("app:v1", 3), ("app:v2", 3)]).await;
        shop.until("the analysis of the second version ends", async || {
            (shop.runs(NAME).await[0]["spec"]["terminate"] == true).then_some(())
        })
        .await;
        let all_up = |rs: &Value| number(rs, "/status/availableReplicas") == 3;
        shop.until_set("app:v1", "is complete", all_up).await;
        shop.abort(NAME).await;
        shop.until_active("app:v1").await;
        shop.until_sizes(&[("app:v2", 0)]).await;
        shop.then(&["SwitchService", "RolloutAborted", "ScalingReplicaSet"])
            .await;
        shop.close();
    });
}

#[test]
fn scaling_in_the_middle_reaches_both_sides_and_tells_the_active_one() {
    scenario("bg-scale", |world| async move {
        let mut shop = Shop::with(
            world,
            json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 300}),
        )
        .await;
        shop.previewed("app:v2").await;
        shop.scale(NAME, 4).await;
        shop.until_sizes(&[("app:v1", 4), ("app:v2", 4)]).await;
        shop.then(&["ScalingReplicaSet"; 2]).await;
        let read = async |want: i32| {
            let scale = shop.api(ROLLOUT).get_scale(NAME).await.unwrap().status.unwrap();
            (scale.replicas == want).then_some(scale.selector.unwrap())
        };
        let before = shop
            .until("an autoscaler reads the active side", async || read(4).await)
            .await;
        shop.scale(NAME, 1).await;
        shop.until_sizes(&[("app:v1", 1), ("app:v2", 1)]).await;
        shop.until_rollout(NAME, "paused as before", waits).await;
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        let after = shop
            .until("an autoscaler reads the active side", async || read(1).await)
            .await;
        assert_ne!(before, after, "the selector follows production");
        // The old side stands in its delay, and does not grow any more.
        shop.scale(NAME, 2).await;
        shop.until_sizes(&[("app:v1", 1), ("app:v2", 2)]).await;
        shop.then(&[
            "ScalingReplicaSet",
            "ScalingReplicaSet",
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ])
        .await;
        shop.close();
    });
}

#[test]
fn a_restart_replaces_the_pods_of_both_sides_one_at_a_time() {
    scenario("bg-restart", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "maxUnavailable": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        let before = names(&shop).await;
        // Times on the wire are whole seconds: all pods are older than the second after the youngest.
        let pods = shop.list(POD, "app=app").await;
        let created = pods.iter().map(|pod| {
            text(pod, "/metadata/creationTimestamp")
                .parse::<jiff::Timestamp>()
                .unwrap()
        });
        let next = created.max().unwrap() + jiff::SignedDuration::from_secs(1);
        shop.patch(NAME, json!({"spec": {"restartAt": next.to_string()}}))
            .await;
        shop.until_rollout(NAME, "restarted", |r| {
            is_observed(r) && r["status"]["restartedAt"] == next.to_string()
        })
        .await;
        let after = names(&shop).await;
        assert!(
            !after.iter().any(|pod| before.contains(pod)),
            "{before:?} {after:?}"
        );
        let active = shop.until_set("app:v1", "is there", |_| true).await;
        let seen = shop.sets.applied();
        let since = seen
            .iter()
            .filter(|rs| rs["metadata"]["uid"] == active["metadata"]["uid"]);
        let least = since
            .skip_while(|rs| number(rs, "/status/availableReplicas") < 2)
            .map(|rs| number(rs, "/status/availableReplicas"))
            .min();
        assert_eq!(least, Some(1), "one pod may be missing, and one was");
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.close();
    });
}

/// The pods that are not on their way out.
async fn names(shop: &Shop) -> Vec<String> {
    let mut pods = shop.list(POD, "app=app").await;
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods.iter()
        .map(|pod| text(pod, "/metadata/name").to_owned())
        .collect()
}

#[test]
fn pods_carry_the_metadata_of_preview_and_active_in_turn() {
    scenario("bg-metadata", |world| async move {
        let spec = json!({
            "autoPromotionEnabled": false,
            "activeMetadata": {"labels": {"role": "active"}}, "previewMetadata": {"labels": {"role": "preview"}},
        });
        let shop = Shop::with(world, spec).await;
        let roles = async |want: [usize; 2]| {
            let (active, preview) = (
                shop.list(POD, "role=active").await,
                shop.list(POD, "role=preview").await,
            );
            ([active.len(), preview.len()] == want).then_some(())
        };
        assert!(roles([2, 0]).await.is_some(), "from their creation on");
        shop.set_image(NAME, "app:v2").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.until("both roles", async || roles([2, 2]).await).await;
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.until("one role", async || roles([2, 0]).await).await;
        shop.until_set("app:v1", "stands in its delay", has_deadline)
            .await;
        shop.close();
    });
}

#[test]
fn a_preview_whose_pods_cannot_start_is_given_up_early() {
    scenario("bg-fail-fast", |world| async move {
        let spec = json!({"failFast": {"graceSeconds": 2}, "abortScaleDownDelaySeconds": 1});
        let shop = Shop::with(world, spec).await;
        let labels = json!({"app": NAME, "fake.serin/crash": "true"});
        shop.patch(
            NAME,
            json!({"spec": {"template": {"metadata": {"labels": labels}}}}),
        )
        .await;
        let why = "of 2 new pods fail for more than 2 s: pod app-";
        shop.until_aborted(why).await;
        shop.until_scales(NAME, &[2, 0]).await;
        assert_eq!(shop.selects(NAME).await, "app:v1");
        shop.close();
    });
}

#[test]
fn new_pods_stand_on_nodes_without_stable_ones() {
    scenario("bg-apart", |world| async move {
        let spec = json!({
            "autoPromotionEnabled": false, "antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}},
        });
        let shop = Shop::with(world, spec).await;
        let nodes = async |version: &str| -> Vec<String> {
            let mut pods = shop.list(POD, "app=app").await;
            pods.retain(|pod| text(pod, "/spec/containers/0/image") == version);
            pods.iter()
                .map(|pod| text(pod, "/spec/nodeName").to_owned())
                .collect()
        };
        let old = nodes("app:v1").await;
        shop.set_image(NAME, "app:v2").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        let new = nodes("app:v2").await;
        assert_eq!((old.len(), new.len()), (2, 2));
        assert!(!new.iter().any(|node| old.contains(node)), "{old:?} {new:?}");
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        let path = "/spec/template/spec/affinity";
        shop.until_set("app:v2", "keeps off nobody any more", |rs| {
            rs.pointer(path).is_none()
        })
        .await;
        shop.close();
    });
}

#[test]
fn a_workload_is_taken_over_and_its_template_starts_updates() {
    scenario("bg-workload", |world| async move {
        let template = of(json!({}))["spec"]["template"].clone();
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": NAME}}, "template": template},
        });
        world.create(deployment).await;
        world
            .until("the Deployment is up", async || {
                let deployment = world.get(DEPLOYMENT, "old").await;
                (number(&deployment, "/status/availableReplicas") == 2).then_some(())
            })
            .await;
        let mut object = of(strategy(
            json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 1}),
        ));
        let spec = object["spec"].as_object_mut().unwrap();
        spec.remove("template");
        spec.remove("selector");
        let reference =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "old", "scaleDown": "onsuccess"});
        spec.insert("workloadRef".to_owned(), reference);
        for service in [NAME, super::PREVIEW] {
            world.create_service(service, &json!({"app": NAME}), 80).await;
        }
        world.deployed(object).await;
        world
            .until("the Deployment gives up its pods", async || {
                let deployment = world.get(DEPLOYMENT, "old").await;
                (number(&deployment, "/status/replicas") == 0 && number(&deployment, "/spec/replicas") == 0)
                    .then_some(())
            })
            .await;
        let path = "/spec/template/spec/containers/0/image";
        let image = json!([{"op": "replace", "path": path, "value": "app:v2"}]);
        world.edit(DEPLOYMENT, "old", image).await;
        let rollout = world.until_rollout(NAME, "waiting for a promotion", waits).await;
        let generation = text(&rollout, "/status/workloadObservedGeneration").to_owned();
        assert_eq!(
            generation,
            world.get(DEPLOYMENT, "old").await["metadata"]["generation"].to_string()
        );
        assert_eq!(
            rollout["spec"]["template"],
            Value::Null,
            "the template is never persisted"
        );
        world.promote(NAME).await;
        world.healthy(NAME).await;
        let deployment = world.get(DEPLOYMENT, "old").await;
        assert_eq!(deployment["spec"]["replicas"], 0, "and never comes back");
    });
}
