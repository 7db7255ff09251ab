//! What analyses before and after the switch decide.

use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{NAME, Shop, asking, has_deadline, is_observed, is_paused_by, number, text, waits};
use crate::support::judge::{Answer, Judge};
use crate::support::scenario;
use crate::support::world::{ANALYSIS_RUN, Kind, POD, REPLICA_SET, ROLLOUT, World};

const QUOTA: Kind = ("", "v1", "ResourceQuota");

/// A template `ask` whose answer the test may change: good, bad, or neither.
async fn judge(world: &World, count: u32) -> Judge {
    let judge = Judge::new(Answer::Good).await;
    world.create(judge.template("ask", Some(count))).await;
    judge
}

#[test]
fn an_analysis_before_the_switch_comes_before_the_pause_and_after_the_pods() {
    scenario("bg-pre", |world| async move {
        judge(&world, 2).await;
        let spec = json!({"autoPromotionEnabled": false, "prePromotionAnalysis": asking("ask")});
        let mut shop = Shop::with(world, spec).await;
        let began = shop.record(ANALYSIS_RUN).await;
        shop.update("app:v2").await;
        shop.until_rollout(NAME, "waiting for a promotion", waits).await;
        shop.then(&["AnalysisRunSuccessful", "RolloutPaused"]).await;
        let runs = shop.runs(NAME).await;
        assert_eq!(runs.len(), 1);
        let labels = &runs[0]["metadata"]["labels"];
        assert_eq!(labels["rollout-type"], "PrePromotion");
        let name = text(&runs[0], "/metadata/name");
        assert!(name.ends_with("-2-pre"), "{name}");
        let at = |object: &Value| -> u64 { text(object, "/metadata/resourceVersion").parse().unwrap() };
        let sets = shop.sets.applied();
        let complete = sets
            .iter()
            .filter(|rs| super::image(rs) == "app:v2")
            .find(|rs| number(rs, "/status/availableReplicas") == 2)
            .unwrap();
        let seen = began.applied();
        assert!(
            at(complete) < at(&seen[0]),
            "begun before its pods were available"
        );
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.then(&["RolloutResumed", "SwitchService", "RolloutCompleted"])
            .await;
        shop.close();
    });
}

#[test]
fn a_failed_analysis_before_the_switch_aborts_and_moves_nothing() {
    scenario("bg-pre-bad", |world| async move {
        judge(&world, 1).await.says(Answer::Bad);
        let spec = json!({"prePromotionAnalysis": asking("ask"), "abortScaleDownDelaySeconds": 1});
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        let cause = "Blue/green pre-promotion analysis phase error/failed: Metric \"answer\" assessed Failed";
        shop.until_aborted(cause).await;
        shop.until_sizes(&[("app:v1", 2), ("app:v2", 0)]).await;
        shop.then(&["AnalysisRunFailed", "RolloutAborted", "ScalingReplicaSet"])
            .await;
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v2".to_owned()));
        shop.close();
    });
}

#[test]
fn an_inconclusive_analysis_before_the_switch_waits_for_a_person_and_then_asks_again() {
    scenario("bg-pre-open", |world| async move {
        let answer = judge(&world, 1).await;
        answer.says(Answer::Neither);
        let mut shop = Shop::with(world, json!({"prePromotionAnalysis": asking("ask")})).await;
        shop.update("app:v2").await;
        shop.until_rollout(NAME, "waiting for a person", |r| {
            is_observed(r) && is_paused_by(r, "InconclusiveAnalysisRun")
        })
        .await;
        shop.then(&["AnalysisRunInconclusive", "RolloutPaused"]).await;
        assert_eq!(shop.selects(NAME).await, "app:v1");
        answer.says(Answer::Good);
        shop.promote(NAME).await;
        shop.healthy(NAME).await;
        shop.then(&[
            "RolloutResumed",
            "AnalysisRunSuccessful",
            "SwitchService",
            "RolloutCompleted",
        ])
        .await;
        let names: Vec<String> = shop
            .runs(NAME)
            .await
            .iter()
            .map(|run| text(run, "/metadata/name").to_owned())
            .collect();
        assert!(names.iter().any(|name| name.ends_with("-2-pre.1")), "{names:?}");
        shop.close();
    });
}

#[test]
fn an_analysis_after_the_switch_decides_when_the_new_version_is_stable() {
    scenario("bg-post", |world| async move {
        judge(&world, 3).await;
        let spec = json!({"postPromotionAnalysis": asking("ask"), "scaleDownDelaySeconds": 1});
        let mut shop = Shop::with(world, spec).await;
        let record = shop.record(ROLLOUT).await;
        shop.update("app:v2").await;
        shop.healthy(NAME).await;
        shop.then(&[
            "SwitchService",
            "AnalysisRunSuccessful",
            "RolloutCompleted",
            "ScalingReplicaSet",
        ])
        .await;
        shop.until_sizes(&[("app:v1", 0), ("app:v2", 2)]).await;
        // The old side gets its deadline when the verdict is in, not when the switch is done.
        let at = |object: &Value| -> u64 { text(object, "/metadata/resourceVersion").parse().unwrap() };
        let (rollouts, sets) = (record.applied(), shop.sets.applied());
        let is_stable = |r: &&Value| r["status"]["stableRS"] == r["status"]["currentPodHash"];
        let mut second = rollouts
            .iter()
            .skip_while(|r| r["status"]["stableRS"] == r["status"]["currentPodHash"]);
        let stable = second.find(is_stable).unwrap();
        let begun = sets.iter().find(|rs| has_deadline(rs)).unwrap();
        assert!(at(begun) > at(stable));
        let run = &shop.runs(NAME).await[0];
        assert_eq!(run["metadata"]["labels"]["rollout-type"], "PostPromotion");
        assert_eq!(run["status"]["metricResults"][0]["count"], 3);
        shop.close();
    });
}

#[test]
fn a_failed_analysis_after_the_switch_goes_back_by_itself() {
    scenario("bg-post-bad", |world| async move {
        judge(&world, 1).await.says(Answer::Bad);
        let spec = json!({
            "postPromotionAnalysis": asking("ask"), "scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 1,
        });
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        shop.then(&[
            "SwitchService",
            "AnalysisRunFailed",
            "RolloutAborted",
            "SwitchService",
            "ScalingReplicaSet",
        ])
        .await;
        let rollout = shop
            .until_aborted("Blue/green post-promotion analysis phase error/failed")
            .await;
        assert_ne!(rollout["status"]["stableRS"], rollout["status"]["currentPodHash"]);
        assert_eq!(shop.aims().await, ("app:v1".to_owned(), "app:v2".to_owned()));
        shop.until_sizes(&[("app:v1", 2), ("app:v2", 0)]).await;
        shop.close();
    });
}

#[test]
fn a_way_back_whose_side_was_taken_away_is_brought_up_first() {
    scenario("bg-post-gone", |world| async move {
        let answer = judge(&world, 1000).await;
        let mut shop = Shop::with(world, json!({"postPromotionAnalysis": asking("ask")})).await;
        shop.update("app:v2").await;
        shop.until_active("app:v2").await;
        shop.then(&["SwitchService"]).await;
        // Pods of the old side that cannot be made for a while, as on a node that is full.
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "2"}},
        });
        let quotas = shop.api(QUOTA);
        quotas
            .create(&PostParams::default(), &serde_json::from_value(quota).unwrap())
            .await
            .unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
            "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        shop.until("the quota is in force", async || {
            let known = shop.get(QUOTA, "none").await["status"]["used"]["pods"] == "4";
            let refusal = shop.api(POD).create(&dry, &pod).await.err();
            let refused = refusal.is_some_and(|e| e.to_string().contains("exceeded quota"));
            (known && refused).then_some(())
        })
        .await;
        let hash = text(&shop.rollout(NAME).await, "/status/stableRS").to_owned();
        for pod in shop
            .list(POD, &format!("rollouts-pod-template-hash={hash}"))
            .await
        {
            let name = text(&pod, "/metadata/name");
            shop.api(POD)
                .delete(name, &DeleteParams::default())
                .await
                .unwrap();
        }
        shop.until_set("app:v1", "has no pod", |rs| {
            number(rs, "/status/availableReplicas") == 0
        })
        .await;
        answer.says(Answer::Bad);
        let message = "Production goes back as soon as the stable ReplicaSet app-";
        shop.until_aborted(message).await;
        assert_eq!(shop.selects(NAME).await, "app:v2", "the way back has no pods yet");
        quotas.delete("none", &DeleteParams::default()).await.unwrap();
        // Kubernetes tries again after longer and longer waits; a change of the object asks at once.
        let set = format!("{NAME}-{hash}");
        shop.patch_kind(
            REPLICA_SET,
            &set,
            json!({"metadata": {"annotations": {"now": "please"}}}),
        )
        .await;
        shop.until_active("app:v1").await;
        shop.then(&["AnalysisRunFailed", "RolloutAborted", "SwitchService"])
            .await;
        shop.close();
    });
}

#[test]
fn a_full_promotion_ends_the_analysis_and_asks_for_no_other() {
    scenario("bg-full-analysed", |world| async move {
        judge(&world, 1000).await;
        let spec = json!({"prePromotionAnalysis": asking("ask"), "postPromotionAnalysis": asking("ask")});
        let mut shop = Shop::with(world, spec).await;
        shop.update("app:v2").await;
        shop.until_rollout(NAME, "analysed", |r| {
            r["status"]["blueGreen"]["prePromotionAnalysisRunStatus"]["status"] == "Running"
        })
        .await;
        shop.promote_full(NAME).await;
        shop.healthy(NAME).await;
        let runs = shop.runs(NAME).await;
        assert_eq!(runs.len(), 1, "none after the switch");
        assert_eq!(runs[0]["spec"]["terminate"], true);
        assert_eq!(shop.selects(NAME).await, "app:v2");
        shop.close();
    });
}
