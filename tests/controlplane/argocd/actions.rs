//! The actions of Argo CD's menu: which are offered when, exactly what is sent, and what comes of it.

use serde_json::{Value, json};

use super::{NAME, blue_green, two_pauses};
use crate::support::argocd::{enabled, health};
use crate::support::world::{
    ANALYSIS_RUN, POD, ROLLOUT, annotation, is_degraded, is_observed, is_paused_by, number, text,
};
use crate::support::{World, http, rollout, scenario, web_template};

/// A Rollout of four pods whose template has what a round trip through Lua could change: what is empty, and what is null.
fn delicate(strategy: Value) -> Value {
    let mut object = rollout(NAME, 4, strategy);
    let template = &mut object["spec"]["template"];
    template["metadata"]["creationTimestamp"] = Value::Null;
    template["metadata"]["annotations"] = json!({});
    template["spec"]["securityContext"] = json!({});
    template["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    let container = &mut template["spec"]["containers"][0];
    container["resources"] = json!({});
    container["command"] = json!([]);
    object
}

/// A patch without the removal of what is null already: Lua knows no null, so that each action takes it out.
fn meant(mut patch: Value) -> Value {
    let removal = json!({"metadata": {"creationTimestamp": null}});
    if patch["spec"]["template"] == removal {
        let spec = patch["spec"].as_object_mut().unwrap();
        spec.remove("template");
        if spec.is_empty() {
            patch.as_object_mut().unwrap().remove("spec");
        }
    }
    let is_empty = patch.as_object().is_some_and(serde_json::Map::is_empty);
    if is_empty { Value::Null } else { patch }
}

async fn is_offered(world: &World, want: &[&str]) {
    let rollout = world.rollout(NAME).await;
    let all = enabled(&rollout);
    assert_eq!(
        all.iter().map(String::as_str).collect::<Vec<_>>(),
        want,
        "{}",
        rollout["status"]
    );
}

/// Runs an action on the Rollout, which sends these patches, and changes no template.
async fn act(world: &World, action: &str, status: Value, object: Value) {
    let revision = |r: &Value| annotation(r, "rollout.argoproj.io/revision").to_owned();
    let before = world.rollout(NAME).await;
    let (first, second) = world.argocd_action(ROLLOUT, NAME, action).await;
    assert_eq!((meant(first), meant(second)), (status, object), "{action}");
    let after = world.until_rollout(NAME, "observed", is_observed).await;
    assert_eq!(revision(&after), revision(&before), "{action} is no update");
}

#[test]
fn each_action_on_a_canary_is_offered_when_it_makes_sense_and_does_what_it_says() {
    scenario("argocd-actions", |world| async move {
        world.deployed(delicate(two_pauses())).await;
        is_offered(&world, &["restart"]).await;
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        let in_a_pause = [
            "abort",
            "pause",
            "promote-full",
            "restart",
            "resume",
            "skip-current-step",
        ];
        is_offered(&world, &in_a_pause).await;

        let resumed = json!({"status": {"pauseConditions": null}});
        act(&world, "resume", resumed.clone(), Value::Null).await;
        world.paused_at(NAME, 3).await;
        world.until_scales(NAME, &[2, 2]).await;

        act(&world, "abort", json!({"status": {"abort": true}}), Value::Null).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.until_scales(NAME, &[4, 0]).await;
        let aborted = ["promote-full", "restart", "retry", "skip-current-step"];
        is_offered(&world, &aborted).await;
        act(&world, "retry", json!({"status": {"abort": null}}), Value::Null).await;
        world.paused_at(NAME, 1).await;

        let skipped = json!({"status": {"currentStepIndex": 2, "pauseConditions": null}});
        act(&world, "skip-current-step", skipped, Value::Null).await;
        world.paused_at(NAME, 3).await;

        // Held by its user in the pause of a step, and let go: both pauses end.
        act(&world, "pause", Value::Null, json!({"spec": {"paused": true}})).await;
        let is_held = |r: &Value| is_observed(r) && is_paused_by(r, "manually paused");
        world.until_rollout(NAME, "held", is_held).await;
        assert!(!enabled(&world.rollout(NAME).await).contains("pause"));
        // The whole difference goes to the status, of which the API server takes what is status.
        let both = json!({"spec": {"paused": false}, "status": {"pauseConditions": null}});
        act(&world, "resume", both, json!({"spec": {"paused": false}})).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 4]).await;
        is_offered(&world, &["restart"]).await;

        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        let promoted = json!({"status": {"promoteFull": true}});
        act(&world, "promote-full", promoted, Value::Null).await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(number(&rollout, "/status/currentStepIndex"), 4);
        world.until_scales(NAME, &[0, 0, 4]).await;
    });
}

#[test]
fn skip_goes_past_a_step_that_waits_for_pods() {
    scenario("argocd-skip", |world| async move {
        world.deployed(delicate(two_pauses())).await;
        world.set_image(NAME, "broken:v2").await;
        let is_waiting = |r: &Value| is_observed(r) && number(r, "/status/updatedReplicas") == 1;
        world.until_rollout(NAME, "waiting for its pod", is_waiting).await;
        let skipped = json!({"status": {"currentStepIndex": 1}});
        act(&world, "skip-current-step", skipped, Value::Null).await;
        world.paused_at(NAME, 1).await;
    });
}

#[test]
fn restart_replaces_every_pod() {
    scenario("argocd-restart", |world| async move {
        world.deployed(delicate(two_pauses())).await;
        let pods = async || -> Vec<String> {
            let all = world.list(POD, &format!("app={NAME}")).await;
            all.iter()
                .map(|pod| text(pod, "/metadata/uid").to_owned())
                .collect()
        };
        let before = pods().await;
        let (status, object) = world.argocd_action(ROLLOUT, NAME, "restart").await;
        assert_eq!(status, Value::Null);
        let at = text(&object, "/spec/restartAt").to_owned();
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{object:#}");
        let rollout = world.rollout(NAME).await;
        let (shown, _) = health(&rollout);
        assert!(
            shown == "Progressing" || text(&rollout, "/status/restartedAt") == at,
            "{rollout:#}"
        );
        world
            .until_rollout(NAME, "restarted", |r| text(r, "/status/restartedAt") == at)
            .await;
        world.healthy(NAME).await;
        let after = pods().await;
        assert!(
            before.iter().all(|pod| !after.contains(pod)),
            "{before:?} {after:?}"
        );
        world.until_scales(NAME, &[4]).await;
    });
}

#[test]
fn each_action_on_a_blue_green_update_does_what_it_says() {
    scenario("argocd-blue-green-actions", |world| async move {
        world.create_service(NAME, &json!({"app": NAME}), 80).await;
        world.deployed(blue_green()).await;
        is_offered(&world, &["restart"]).await;
        let waits = async || {
            let is_waiting = |r: &Value| is_observed(r) && is_paused_by(r, "BlueGreenPause");
            world
                .until_rollout(NAME, "waiting for a promotion", is_waiting)
                .await;
        };
        let resumed = json!({"status": {"pauseConditions": null}});
        world.set_image(NAME, "app:v2").await;
        waits().await;
        let in_a_pause = ["abort", "pause", "promote-full", "restart", "resume"];
        is_offered(&world, &in_a_pause).await;
        act(&world, "resume", resumed, Value::Null).await;
        world.healthy(NAME).await;

        world.set_image(NAME, "app:v3").await;
        waits().await;
        act(&world, "abort", json!({"status": {"abort": true}}), Value::Null).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        act(&world, "retry", json!({"status": {"abort": null}}), Value::Null).await;
        waits().await;
        let promoted = json!({"status": {"promoteFull": true}});
        act(&world, "promote-full", promoted, Value::Null).await;
        world.healthy(NAME).await;
        is_offered(&world, &["restart"]).await;
    });
}

#[test]
fn terminate_ends_a_run() {
    scenario("argocd-terminate", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        let mut run = web_template("endless", &format!("http://{server}/good"), 1);
        run["kind"] = json!("AnalysisRun");
        run["spec"]["metrics"][0].as_object_mut().unwrap().remove("count");
        world.create(run).await;
        world
            .until("a run that measures", async || {
                let run = world.get(ANALYSIS_RUN, "endless").await;
                (run["status"]["phase"] == "Running").then_some(())
            })
            .await;
        let sent = world.argocd_action(ANALYSIS_RUN, "endless", "terminate").await;
        assert_eq!(sent, (Value::Null, json!({"spec": {"terminate": true}})));
        let run = world
            .until("the end of the run", async || {
                let run = world.get(ANALYSIS_RUN, "endless").await;
                (run["status"]["phase"] == "Successful").then_some(run)
            })
            .await;
        assert_eq!(health(&run), ("Healthy".to_owned(), "Run Terminated".to_owned()));
        assert!(enabled(&run).is_empty());
    });
}
