//! The way back: abort before and after the switch, retry, undo inside the delay and after it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NAME, Shop, asking, has_deadline, number, text, waits};
use crate::support::{http, scenario, web_template};

fn both(active: &str, preview: &str) -> (String, String) {
    (active.to_owned(), preview.to_owned())
}

#[test]
fn an_abort_before_the_switch_keeps_production_and_a_retry_begins_anew() {
    scenario("bg-abort", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "abortScaleDownDelaySeconds": 2});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.abort(NAME).await;
        let rollout = shop.until_aborted("revision 2").await;
        assert_eq!(rollout["status"]["pauseConditions"], Value::Null);
        shop.until_sizes(&[("app:v1", 2), ("app:v2", 0)]).await;
        shop.then(&["RolloutAborted", "ScalingReplicaSet"]).await;
        assert_eq!(shop.aims().await, both("app:v1", "app:v2"), "the preview stays");
        // Argo CD removes the field instead of writing false.
        shop.edit_status(NAME, json!([{"op": "remove", "path": "/status/abort"}]))
            .await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.then(&["ScalingReplicaSet", "RolloutPaused"]).await;
        assert_eq!(shop.selects(NAME).await, "app:v1", "tested and asked for anew");
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.then(&["RolloutResumed", "SwitchService", "RolloutCompleted"])
            .await;
        assert_eq!(shop.aims().await, both("app:v2", "app:v2"));
        shop.close();
    });
}

#[test]
fn an_abort_after_the_switch_goes_back_at_once_and_a_retry_is_tested_anew() {
    scenario("bg-abort-after", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        // So long that it runs when the abort comes.
        world
            .create(web_template("long", &format!("http://{server}/"), 1000))
            .await;
        let spec = json!({
            "autoPromotionEnabled": false, "postPromotionAnalysis": asking("long"), "abortScaleDownDelaySeconds": 60,
        });
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.promote(NAME).await;
        shop.until_active("app:v2").await;
        let rollout = shop
            .until_rollout(NAME, "analysed", |r| {
                let message = text(r, "/status/message");
                message.starts_with("waiting for analysis to complete: analysis app-")
            })
            .await;
        let run = text(&rollout, "/status/blueGreen/postPromotionAnalysisRunStatus/name").to_owned();
        assert!(run.ends_with("-2-post"), "{run}");
        shop.abort(NAME).await;
        shop.until_active("app:v1").await;
        shop.until_aborted("revision 2").await;
        shop.then(&[
            "RolloutResumed",
            "SwitchService",
            "SwitchService",
            "RolloutAborted",
        ])
        .await;
        shop.until_set("app:v2", "stands in its delay", has_deadline)
            .await;
        shop.until("the run is told to stop", async || {
            let runs = shop.runs(NAME).await;
            (runs[0]["spec"]["terminate"] == true).then_some(())
        })
        .await;
        // All pods of the second version stand: a retry is an update all the same, not a fast rollback.
        shop.retry(NAME).await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.then(&["RolloutPaused"]).await;
        assert_eq!(shop.selects(NAME).await, "app:v1");
        shop.until_set("app:v2", "is wanted again", |rs| !has_deadline(rs))
            .await;
        shop.close();
    });
}

#[test]
fn an_aborted_version_with_a_delay_of_zero_never_goes() {
    scenario("bg-abort-never", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "abortScaleDownDelaySeconds": 0});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.abort(NAME).await;
        shop.until_aborted("revision 2").await;
        // Long enough for a deadline of now, or of a second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for rs in shop.replica_sets(NAME).await {
            assert!(!has_deadline(&rs) && number(&rs, "/spec/replicas") == 2, "{rs:#}");
        }
        // A template that comes is another update, and takes it away after the usual delay.
        shop.tune(json!({"scaleDownDelaySeconds": 1, "autoPromotionEnabled": true}))
            .await;
        shop.set_image(NAME, "app:v3").await;
        shop.healthy(NAME).await;
        shop.until_sizes(&[("app:v1", 0), ("app:v2", 0), ("app:v3", 2)])
            .await;
        shop.close();
    });
}

#[test]
fn undo_inside_the_delay_goes_back_at_once_without_pause_and_analysis() {
    scenario("bg-undo", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        world
            .create(web_template("short", &format!("http://{server}/"), 1))
            .await;
        let spec = json!({
            "autoPromotionEnabled": false, "scaleDownDelaySeconds": 300,
            "prePromotionAnalysis": asking("short"), "postPromotionAnalysis": asking("short"),
        });
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.until_set("app:v1", "stands in its delay", has_deadline)
            .await;
        let runs = shop.runs(NAME).await.len();
        assert_eq!(runs, 2);
        shop.undo(NAME, "1").await;
        shop.healthy(NAME).await;
        assert_eq!(shop.aims().await, both("app:v1", "app:v1"));
        assert_eq!(shop.runs(NAME).await.len(), runs, "nothing is analysed again");
        shop.then(&[
            "AnalysisRunSuccessful",
            "RolloutPaused",
            "RolloutResumed",
            "SwitchService",
            "AnalysisRunSuccessful",
            "RolloutCompleted",
            "RolloutUpdated",
            "RolloutNotCompleted",
            "SwitchService",
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
        assert!(text(done, "/message").ends_with(": Fast rollback"), "{done}");
        shop.until_set("app:v1", "is at home", |rs| !has_deadline(rs))
            .await;
        shop.until_set("app:v2", "has its delay now", has_deadline).await;
        shop.close();
    });
}

#[test]
fn undo_after_the_delay_is_an_update_as_any_other() {
    scenario("bg-undo-late", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 0});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.promote(NAME).await;
        shop.until_sizes(&[("app:v1", 0), ("app:v2", 2)]).await;
        shop.then(&[
            "RolloutResumed",
            "SwitchService",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ])
        .await;
        shop.undo(NAME, "1").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.then(&[
            "RolloutUpdated",
            "RolloutNotCompleted",
            "SwitchService",
            "ScalingReplicaSet",
            "RolloutPaused",
        ])
        .await;
        assert_eq!(shop.aims().await, both("app:v2", "app:v1"));
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        assert_eq!(shop.aims().await, both("app:v1", "app:v1"));
        assert_eq!(
            shop.replica_sets(NAME).await.len(),
            2,
            "the ReplicaSet is used again"
        );
        shop.close();
    });
}

#[test]
fn undo_in_the_preview_goes_back_and_the_version_given_up_has_no_fast_way() {
    scenario("bg-undo-preview", |world| async move {
        let spec = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 300});
        let mut shop = Shop::with(world, spec).await;
        shop.previewed("app:v2").await;
        shop.undo(NAME, "1").await;
        shop.until("both Services are with the first version", async || {
            (shop.aims().await == both("app:v1", "app:v1")).then_some(())
        })
        .await;
        shop.healthy(NAME).await;
        shop.then(&["RolloutUpdated", "SwitchService"]).await;
        shop.until_set("app:v2", "stands in its delay", has_deadline)
            .await;
        // It stands complete, and was never promoted: going to it again asks again.
        shop.set_image(NAME, "app:v2").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.then(&[
            "RolloutUpdated",
            "RolloutNotCompleted",
            "SwitchService",
            "RolloutPaused",
        ])
        .await;
        assert_eq!(shop.aims().await, both("app:v1", "app:v2"));
        shop.close();
    });
}
