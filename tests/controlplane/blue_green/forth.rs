//! The way forth: preview, pause, size, switch, and the end of the old side.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    DEADLINE, NAME, Shop, annotation, has_deadline, image, is_observed, is_paused_by, number, of, text, waits,
};
use crate::events::until_events;
use crate::support::scenario;
use crate::support::world::{EVENT, REPLICA_SET, ROLLOUT, SERVICE};

#[test]
fn the_events_of_a_first_deployment_and_an_update_come_in_the_order_that_clients_know() {
    scenario("bg-events", |world| async move {
        let events = world.record(EVENT).await;
        world.create_service(NAME, &json!({"app": NAME}), 80).await;
        let strategy = json!({"blueGreen": {"activeService": NAME, "scaleDownDelaySeconds": 1}});
        world.deployed(of(strategy)).await;
        let mut want = vec![
            "RolloutAddedToInformer",
            "RolloutUpdated",
            "NewReplicaSetCreated",
            "ScalingReplicaSet",
            "RolloutCompleted",
            "SwitchService",
        ];
        until_events(&world, &events, &want).await;
        world.set_image(NAME, "app:v2").await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 2]).await;
        want.extend([
            "RolloutUpdated",
            "NewReplicaSetCreated",
            "RolloutNotCompleted",
            "ScalingReplicaSet",
            "SwitchService",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ]);
        until_events(&world, &events, &want).await;
    });
}

#[test]
fn a_preview_waits_for_a_promotion_and_the_old_side_stands_for_its_delay() {
    scenario("bg-promote", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 3});
        let mut shop = Shop::with(world, spec).await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v1".to_owned()));
        shop.previewed("app:v2").await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v2".to_owned()));
        let rollout = shop.rollout(NAME).await;
        assert_eq!(rollout["status"]["phase"], "Paused");
        assert_eq!(
            rollout["status"]["pauseConditions"][0]["reason"],
            "BlueGreenPause"
        );
        assert_eq!(rollout["status"]["HPAReplicas"], 2, "those of the active side");
        let active = &rollout["status"]["blueGreen"]["activeSelector"];
        let selector = format!("app=app,rollouts-pod-template-hash={}", active.as_str().unwrap());
        assert_eq!(rollout["status"]["selector"], selector);
        shop.promote(NAME).await;
        let rollout = shop.healthy(NAME).await;
        assert_eq!(shop.aims().await, ("app:v2".to_owned(), "app:v2".to_owned()));
        assert_eq!(
            rollout["status"]["blueGreen"]["scaleUpPreviewCheckPoint"],
            Value::Null
        );
        shop.until_sizes(&[("app:v1", 0), ("app:v2", 2)]).await;
        shop.then(&[
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ])
        .await;
        let sets = shop.replica_sets(NAME).await;
        assert!(!sets.iter().any(has_deadline), "the deadline goes with the pods");
        let seen = shop.sets.applied();
        let delayed = seen.iter().find(|rs| has_deadline(rs)).unwrap();
        assert_eq!((image(delayed), number(delayed, "/spec/replicas")), ("app:v1", 2));
        // Between the switch and the end lies the delay, by the clocks of the objects themselves.
        let passed = shop
            .told("ScalingReplicaSet")
            .duration_since(shop.told("SwitchService"));
        assert!(passed.as_secs() >= 2, "{passed:?}");
        shop.close();
    });
}

#[test]
fn an_update_promotes_itself_after_its_seconds() {
    scenario("bg-seconds", |world| async move {
        let mut shop = Shop::with(world, json!({"autoPromotionSeconds": 3})).await;
        let record = shop.record(ROLLOUT).await;
        shop.update("app:v2").await;
        shop.healthy(NAME).await;
        shop.until_active("app:v2").await;
        shop.then(&[
            "RolloutPaused",
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
        ])
        .await;
        let all = record.applied();
        let paused = all.iter().find(|r| is_paused_by(r, "BlueGreenPause")).unwrap();
        let since: jiff::Timestamp = text(paused, "/status/pauseConditions/0/startTime")
            .parse()
            .unwrap();
        let passed = shop.told("SwitchService").duration_since(since);
        assert!(passed.as_secs() >= 3, "{passed:?}");
        shop.close();
    });
}

#[test]
fn an_update_without_a_pause_switches_when_its_pods_are_available() {
    scenario("bg-auto", |world| async move {
        let mut shop = Shop::with(world, json!({"autoPromotionEnabled": true})).await;
        shop.update("app:v2").await;
        let pending = "active service cutover pending";
        shop.until_rollout(NAME, "switching", |r| {
            is_observed(r) && text(r, "/status/message").starts_with(pending)
                || r["status"]["blueGreen"]["activeSelector"] == r["status"]["currentPodHash"]
        })
        .await;
        shop.healthy(NAME).await;
        shop.then(&["SwitchService", "RolloutCompleted"]).await;
        assert_eq!(shop.aims().await, ("app:v2".to_owned(), "app:v2".to_owned()));
        shop.close();
    });
}

#[test]
fn a_small_preview_grows_to_full_size_before_the_switch() {
    scenario("bg-small", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "previewReplicaCount": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.until_sizes(&[("app:v1", 2), ("app:v2", 1)]).await;
        let record = shop.record(ROLLOUT).await;
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.then(&[
            "RolloutResumed",
            "ScalingReplicaSet",
            "SwitchService",
            "RolloutCompleted",
        ])
        .await;
        let point = "/status/blueGreen/scaleUpPreviewCheckPoint";
        let all = record.applied();
        let checked: Vec<&Value> = all
            .iter()
            .filter(|r| r.pointer(point) == Some(&json!(true)))
            .collect();
        assert!(
            !checked.is_empty(),
            "the check point is in the status while it counts"
        );
        assert_ne!(
            checked[0]["status"]["blueGreen"]["activeSelector"], checked[0]["status"]["currentPodHash"],
            "it comes before the switch"
        );
        shop.until_sizes(&[("app:v2", 2)]).await;
        shop.close();
    });
}

#[test]
fn a_full_promotion_waits_for_nothing_but_pods() {
    scenario("bg-full", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "previewReplicaCount": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.promote_full(NAME).await;
        let rollout = shop.healthy(NAME).await;
        assert_eq!(rollout["status"]["promoteFull"], Value::Null, "it is spent");
        assert_eq!(shop.selects(NAME).await, "app:v2");
        shop.until_sizes(&[("app:v2", 2)]).await;
        shop.then(&[
            "ScalingReplicaSet",
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
        ])
        .await;
        let told = shop.events.applied();
        let done = told
            .iter()
            .rev()
            .find(|e| e["reason"] == "RolloutCompleted")
            .unwrap();
        assert!(
            text(done, "/message").ends_with("Full promotion requested"),
            "{done}"
        );
        shop.close();
    });
}

#[test]
fn the_example_runs_as_it_stands() {
    scenario("bg-example", |world| async move {
        world.apply("examples/blue-green.yaml");
        world.healthy("shop").await;
        world.set_image("shop", "registry.example.com/shop:v2").await;
        world
            .until_rollout("shop", "waiting for a promotion", waits)
            .await;
        assert_eq!(world.scales("shop").await, [3, 1]);
        world.promote("shop").await;
        world.healthy("shop").await;
        world.until_scales("shop", &[3, 3]).await;
    });
}

#[test]
fn old_sides_beyond_the_limit_go_at_once() {
    scenario("bg-limit", |world| async move {
        let spec = json!({"scaleDownDelaySeconds": 300, "scaleDownDelayRevisionLimit": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        shop.then(&["SwitchService", "RolloutCompleted"]).await;
        shop.update("app:v3").await;
        // The first version goes with the completion, not some time after it.
        shop.then(&["SwitchService", "RolloutCompleted", "ScalingReplicaSet"])
            .await;
        shop.until_sizes(&[("app:v1", 0), ("app:v2", 2), ("app:v3", 2)])
            .await;
        let kept = shop
            .until_set("app:v2", "stands in its delay", has_deadline)
            .await;
        assert!(annotation(&kept, DEADLINE).parse::<jiff::Timestamp>().is_ok());
        shop.close();
    });
}

#[test]
fn a_service_that_lost_its_hash_gets_that_of_the_stable_version_back() {
    scenario("bg-lost", |world| async move {
        let mut shop = Shop::with(world, json!({"autoPromotionEnabled": false})).await;
        shop.previewed("app:v2").await;
        let path = "/spec/selector/rollouts-pod-template-hash";
        shop.edit(SERVICE, NAME, json!([{"op": "remove", "path": path}]))
            .await;
        shop.then(&["SwitchService"]).await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v2".to_owned()));
        shop.until_rollout(NAME, "paused as before", waits).await;
        shop.close();
    });
}

#[test]
fn a_pause_by_the_user_holds_the_switch_and_not_the_pods() {
    scenario("bg-held", |world| async move {
        let shop = Shop::with(world, json!({})).await;
        shop.pause(NAME, true).await;
        shop.set_image(NAME, "app:v2").await;
        let all_up = |rs: &Value| number(rs, "/status/availableReplicas") == 2;
        shop.until_set("app:v2", "is complete", all_up).await;
        shop.until_rollout(NAME, "held", |r| {
            is_observed(r) && is_paused_by(r, "manually paused")
        })
        .await;
        // An update that nobody holds would have switched within this time.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v1".to_owned()));
        shop.pause(NAME, false).await;
        shop.healthy(NAME).await;
        assert_eq!(shop.aims().await, ("app:v2".to_owned(), "app:v2".to_owned()));
        let versions: Vec<String> = shop
            .list(REPLICA_SET, "")
            .await
            .iter()
            .map(|rs| image(rs).to_owned())
            .collect();
        assert_eq!(versions.len(), 2, "{versions:?}");
        shop.close();
    });
}
