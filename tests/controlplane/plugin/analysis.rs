//! The commands while an analysis is running, and those about runs.

use serde_json::{Value, json};

use super::{NAME, View};
use crate::support::world::{ANALYSIS_RUN, is_paused_by, text};
use crate::support::{World, canary, http, rollout, scenario, web_template};

/// A Rollout of two pods whose second version is in its first step: an analysis by a template that answers `body`, and
/// behind it a pause. Gives the name of the run.
async fn in_analysis(world: &World, template: impl FnOnce(&mut Value)) -> String {
    let server = http::serve(|_| Some((200, json!({"ok": 1}).to_string()))).await;
    let mut object = web_template("answers", &format!("http://{server}/"), 1000);
    template(&mut object["spec"]["metrics"][0]);
    world.create(object).await;
    let steps = json!([{"analysis": {"templates": [{"templateName": "answers"}]}}, {"pause": {}}]);
    world.deployed(rollout(NAME, 2, canary(&steps))).await;
    world.set_image(NAME, "app:v2").await;
    let run = "/status/canary/currentStepAnalysisRunStatus";
    let rollout = world
        .until_rollout(NAME, "in its analysis", |r| {
            ["Running", "Inconclusive"].contains(&text(r, &format!("{run}/status")))
        })
        .await;
    text(&rollout, &format!("{run}/name")).to_owned()
}

/// A metric that goes on measuring, and finds all well.
fn endless(metric: &mut Value) {
    metric["successCondition"] = json!("result.ok == 1");
}

async fn until_run(world: &World, name: &str, phase: &str) -> Value {
    world
        .until(&format!("{name} is {phase}"), async || {
            // It may have to be created first.
            let run = world.api(ANALYSIS_RUN).get_opt(name).await.unwrap()?;
            let run = serde_json::to_value(run).unwrap();
            (text(&run, "/status/phase") == phase).then_some(run)
        })
        .await
}

#[test]
fn a_promotion_skips_a_running_analysis_and_ends_its_run() {
    scenario("plugin-skip-analysis", |world| async move {
        let name = in_analysis(&world, endless).await;
        let view = View::of(&world, NAME).await;
        let leaves = view.leaves();
        let run = leaves.iter().find(|leaf| leaf.kind == "AnalysisRun").unwrap();
        assert_eq!((run.revision, run.status.as_str()), (2, "Running"), "{}", view.0);
        assert_eq!(view.status().0, "Progressing", "{}", view.0);
        world.argo(&["promote", NAME]).await;
        let rollout = world.paused_at(NAME, 1).await;
        assert_eq!(
            rollout["status"]["canary"]["currentStepAnalysisRunStatus"],
            Value::Null
        );
        let run = until_run(&world, &name, "Successful").await;
        assert_eq!(run["spec"]["terminate"], true);
        world.argo(&["promote", NAME]).await;
        world.healthy(NAME).await;
    });
}

#[test]
fn a_run_that_is_terminated_ends_its_step_without_a_failure() {
    scenario("plugin-terminate", |world| async move {
        let name = in_analysis(&world, endless).await;
        let said = world.argo(&["terminate", "analysisrun", &name]).await;
        assert_eq!(said, format!("analysisRun '{name}' terminated\n"));
        world.paused_at(NAME, 1).await;
        until_run(&world, &name, "Successful").await;
    });
}

#[test]
fn a_promotion_resolves_an_inconclusive_analysis_and_the_pause_behind_it_is_one_as_any_other() {
    scenario("plugin-inconclusive", |world| async move {
        let name = in_analysis(&world, |metric| {
            metric["count"] = json!(1);
            metric["successCondition"] = json!("result.ok == 2");
            metric["failureCondition"] = json!("result.ok == 3");
        })
        .await;
        until_run(&world, &name, "Inconclusive").await;
        let is_paused = |r: &Value| is_paused_by(r, "InconclusiveAnalysisRun");
        world.until_rollout(NAME, "paused", is_paused).await;
        let view = View::of(&world, NAME).await;
        let says = format!(
            "InconclusiveAnalysisRun: analysis {name} is inconclusive, until somebody promotes or aborts"
        );
        assert_eq!(view.status(), ("Paused", says.as_str()), "{}", view.0);
        world.argo(&["promote", NAME]).await;
        let rollout = world.paused_at(NAME, 1).await;
        let pauses = &rollout["status"]["pauseConditions"];
        assert_eq!(pauses[0]["reason"], "CanaryPauseStep", "{pauses}");
        assert_eq!(pauses.as_array().unwrap().len(), 1, "{pauses}");
        assert_eq!(world.runs(NAME).await.len(), 1, "nothing is asked anew");
        world.argo(&["promote", NAME]).await;
        world.healthy(NAME).await;
    });
}

#[test]
fn an_abort_ends_a_running_analysis_and_a_retry_asks_anew() {
    scenario("plugin-abort-analysis", |world| async move {
        let name = in_analysis(&world, endless).await;
        world.argo(&["abort", NAME]).await;
        until_run(&world, &name, "Successful").await;
        world.until_scales(NAME, &[2, 0]).await;
        world.argo(&["retry", "rollout", NAME]).await;
        until_run(&world, &format!("{name}.1"), "Running").await;
        world.argo(&["promote", NAME, "--full"]).await;
        world.healthy(NAME).await;
        until_run(&world, &format!("{name}.1"), "Successful").await;
    });
}

#[test]
fn runs_are_created_from_a_template_by_hand() {
    scenario("plugin-create-run", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        let mut template = web_template("answers", &format!("http://{server}/{{{{args.path}}}}"), 2);
        template["spec"]["args"] = json!([{"name": "path"}]);
        world.create(template).await;
        let args = [
            "create",
            "analysisrun",
            "--name",
            "mine",
            "--from",
            "answers",
            "-a",
            "path=index",
        ];
        let said = world.argo(&args).await;
        assert!(said.contains("mine"), "{said}");
        let run = until_run(&world, "mine", "Successful").await;
        assert_eq!(
            run["status"]["runSummary"],
            json!({"count": 1, "successful": 1}),
            "{run:#}"
        );
    });
}
