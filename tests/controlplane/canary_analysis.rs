//! The analyses of a canary, in a step and in the background: when they begin and end, what each verdict does, and what a
//! person does about it. With the events that clients know, in their order.

use serde_json::{Value, json};

use crate::events::{of_run, until_events};
use crate::support::judge::{Answer, Judge};
use crate::support::record::Record;
use crate::support::world::{
    ANALYSIS_RUN, EVENT, World, annotation, is_degraded, is_observed, is_paused_by, text,
};
use crate::support::{rollout, scenario};

const NAME: &str = "app";

/// How often the template `ask` asks the judge; `watch` asks for ever.
const COUNT: u32 = 2;

/// The events of a new template until its pods are asked for.
const BEGUN: [&str; 4] = [
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "RolloutNotCompleted",
    "ScalingReplicaSet",
];

/// A Rollout of one pod whose first version is out, and what was seen of it.
struct Release {
    world: World,
    judge: Judge,
    events: Record,
    runs: Record,
    want: Vec<&'static str>,
}

fn asking(template: &str) -> Value {
    json!({"templates": [{"templateName": template}]})
}

/// Whether the Rollout waits for a person to resolve an analysis.
fn is_open(rollout: &Value) -> bool {
    is_observed(rollout)
        && rollout["status"]["phase"] == "Paused"
        && is_paused_by(rollout, "InconclusiveAnalysisRun")
}

impl Release {
    /// The first version, with these steps and this analysis in the background.
    async fn open(world: World, steps: Value, background: Value) -> Release {
        let judge = Judge::new(Answer::Good).await;
        world.create(judge.template("ask", Some(COUNT))).await;
        world.create(judge.template("watch", None)).await;
        // Of another judge, who is always content: it goes on until somebody ends it.
        let content = Judge::new(Answer::Good).await;
        world.create(content.template("long", Some(1000))).await;
        let release = Release {
            judge,
            events: world.record(EVENT).await,
            runs: world.record(ANALYSIS_RUN).await,
            want: vec![
                "RolloutAddedToInformer",
                "RolloutUpdated",
                "NewReplicaSetCreated",
                "RolloutNotCompleted",
                "ScalingReplicaSet",
                "RolloutCompleted",
            ],
            world,
        };
        let mut strategy = json!({"steps": steps});
        if !background.is_null() {
            strategy["analysis"] = background;
        }
        release.world.deployed(rollout(NAME, 1, strategy)).await;
        until_events(&release.world, &release.events, &release.want).await;
        assert!(
            release.runs.applied().is_empty(),
            "nothing is asked of the first version"
        );
        release
    }

    /// Waits until these events have followed those before, in this order and no others.
    async fn then(&mut self, more: &[&'static str]) {
        self.want.extend(more);
        until_events(&self.world, &self.events, &self.want).await;
    }

    async fn update(&mut self, image: &str) {
        self.world.set_image(NAME, image).await;
        self.then(&BEGUN).await;
    }

    /// Waits until the Rollout was aborted for this cause, and stable has its pods.
    async fn until_aborted(&self, cause: &str) -> Value {
        let rollout = self
            .world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, cause))
            .await;
        self.world.until_scales(NAME, &[1, 0]).await;
        rollout
    }

    /// The runs that there are, by the end of their names behind `app-HASH`, in the order of their making.
    async fn names(&self) -> Vec<String> {
        let hash = text(&self.world.rollout(NAME).await, "/status/currentPodHash").to_owned();
        let mut all = self.world.runs(NAME).await;
        all.sort_by_key(|run| {
            let name = text(run, "/metadata/name");
            (
                text(run, "/metadata/creationTimestamp").to_owned(),
                name.len(),
                name.to_owned(),
            )
        });
        let end = |run: &Value| {
            let name = text(run, "/metadata/name");
            let end = name.strip_prefix(&format!("{NAME}-{hash}"));
            end.unwrap_or_else(|| panic!("{name} is not of {hash}"))
                .to_owned()
        };
        all.iter().map(end).collect()
    }

    /// The run whose name ends so, once it is so.
    async fn run(&self, end: &str, is: impl Fn(&Value) -> bool) -> Value {
        let what = format!("the run {end}");
        self.world
            .until(&what, async || {
                let all = self.world.runs(NAME).await;
                all.into_iter()
                    .find(|run| text(run, "/metadata/name").ends_with(end) && is(run))
            })
            .await
    }

    /// What the run and its metrics told, once the last of it was published.
    async fn told(&self, run: &Value, want: &[&str]) {
        let name = text(run, "/metadata/name");
        self.world
            .until(&format!("{want:?} of {name}"), async || {
                (of_run(&self.events, name) == want).then_some(())
            })
            .await;
    }
}

fn is_phase(phase: &'static str) -> impl Fn(&Value) -> bool {
    move |run| run["status"]["phase"] == phase
}

fn measured(run: &Value) -> i64 {
    crate::support::world::number(run, "/status/metricResults/0/count")
}

#[test]
fn a_background_analysis_begins_at_its_step_and_ends_with_the_rollout() {
    scenario("background", |world| async move {
        let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
        let mut background = asking("watch");
        background["startingStep"] = json!(2);
        let mut release = Release::open(world, steps, background).await;
        release.update("app:v2").await;
        release.world.paused_at(NAME, 1).await;
        release.then(&["RolloutStepCompleted", "RolloutPaused"]).await;
        assert!(release.runs.applied().is_empty(), "begun before its step");

        release.world.promote(NAME).await;
        release.world.paused_at(NAME, 3).await;
        // It measures on in the pause.
        let run = release.run("-2", |run| measured(run) >= 2).await;
        assert_eq!(run["metadata"]["labels"]["rollout-type"], "Background");
        assert_eq!(run["metadata"]["labels"]["step-index"], Value::Null);
        assert_eq!(annotation(&run, "rollout.argoproj.io/revision"), "2");
        let rollout = release.world.rollout(NAME).await;
        assert_eq!(
            rollout["status"]["canary"]["currentBackgroundAnalysisRunStatus"]["name"],
            run["metadata"]["name"]
        );
        release
            .then(&[
                "RolloutStepCompleted",
                "RolloutResumed",
                "RolloutStepCompleted",
                "RolloutPaused",
            ])
            .await;

        release.world.promote(NAME).await;
        release.world.healthy(NAME).await;
        let run = release.run("-2", is_phase("Successful")).await;
        assert_eq!(
            (&run["spec"]["terminate"], text(&run, "/status/message")),
            (&json!(true), "Run Terminated")
        );
        release
            .told(&run, &["MetricSuccessful", "AnalysisRunSuccessful"])
            .await;
        assert_eq!(release.names().await, ["-2"]);
        release
            .then(&[
                "RolloutStepCompleted",
                "RolloutResumed",
                "ScalingReplicaSet",
                "RolloutCompleted",
            ])
            .await;
    });
}

#[test]
fn a_background_analysis_that_fails_aborts_in_the_middle_of_a_pause_and_a_retry_asks_anew() {
    scenario("background-bad", |world| async move {
        let steps = json!([{"setWeight": 50}, {"pause": {}}]);
        let mut release = Release::open(world, steps, asking("watch")).await;
        release.update("app:v2").await;
        release.world.paused_at(NAME, 1).await;
        release.run("-2", |run| measured(run) >= 1).await;
        release.judge.says(Answer::Bad);
        let cause = "Background analysis phase error/failed: Metric \"answer\" assessed Failed due to failed (1) > \
                     failureLimit (0)";
        let rollout = release.until_aborted(cause).await;
        assert_eq!(rollout["status"]["currentStepIndex"], 0);
        let run = release.run("-2", is_phase("Failed")).await;
        release.told(&run, &["MetricFailed", "AnalysisRunFailed"]).await;
        release
            .then(&[
                "RolloutStepCompleted",
                "RolloutPaused",
                "AnalysisRunFailed",
                "RolloutAborted",
                "ScalingReplicaSet",
            ])
            .await;

        // After an abort nothing is asked, until somebody tries again.
        assert_eq!(release.names().await, ["-2"]);
        release.judge.says(Answer::Good);
        release.world.retry(NAME).await;
        release.world.paused_at(NAME, 1).await;
        release.run("-2.1", |run| measured(run) >= 1).await;
        release
            .then(&["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"])
            .await;
        release.world.promote(NAME).await;
        release.world.healthy(NAME).await;
        release.run("-2.1", is_phase("Successful")).await;
        assert_eq!(release.names().await, ["-2", "-2.1"]);
    });
}

#[test]
fn an_analysis_in_a_step_is_waited_for_and_a_failed_one_aborts_and_a_retry_asks_anew() {
    scenario("inline", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("ask")}]);
        let mut release = Release::open(world, steps, Value::Null).await;
        release.judge.says(Answer::Bad);
        release.update("app:v2").await;
        let cause = "Step-based analysis phase error/failed: Metric \"answer\" assessed Failed due to failed (1) > \
                     failureLimit (0)";
        release.until_aborted(cause).await;
        let run = release.run("-2-1", is_phase("Failed")).await;
        let labels = &run["metadata"]["labels"];
        assert_eq!(
            (&labels["rollout-type"], &labels["step-index"], &labels["app"]),
            (&json!("Step"), &json!("1"), &json!(NAME))
        );
        release.told(&run, &["MetricFailed", "AnalysisRunFailed"]).await;
        release
            .then(&[
                "RolloutStepCompleted",
                "AnalysisRunFailed",
                "RolloutAborted",
                "ScalingReplicaSet",
            ])
            .await;

        release.judge.says(Answer::Good);
        release.world.retry(NAME).await;
        release.world.healthy(NAME).await;
        assert_eq!(release.names().await, ["-2-1", "-2-1.1"]);
        let run = release.run("-2-1.1", is_phase("Successful")).await;
        assert_eq!(measured(&run), i64::from(COUNT));
        release
            .told(&run, &["MetricSuccessful", "AnalysisRunSuccessful"])
            .await;
        release
            .then(&[
                "ScalingReplicaSet",
                "RolloutStepCompleted",
                "AnalysisRunSuccessful",
                "RolloutStepCompleted",
                "ScalingReplicaSet",
                "RolloutCompleted",
            ])
            .await;
    });
}

#[test]
fn an_inconclusive_step_waits_for_a_person_and_promote_goes_past_it() {
    scenario("open-promote", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("ask")}]);
        let mut release = Release::open(world, steps, Value::Null).await;
        release.judge.says(Answer::Neither);
        release.update("app:v2").await;
        let rollout = release.world.until_rollout(NAME, "open", is_open).await;
        assert_eq!(rollout["status"]["controllerPause"], true);
        assert_eq!(rollout["status"]["currentStepIndex"], 1);
        release.world.until_scales(NAME, &[1, 1]).await;
        let run = release.run("-2-1", is_phase("Inconclusive")).await;
        release
            .told(&run, &["MetricInconclusive", "AnalysisRunInconclusive"])
            .await;
        release
            .then(&["RolloutStepCompleted", "AnalysisRunInconclusive", "RolloutPaused"])
            .await;

        release.world.promote(NAME).await;
        release.world.healthy(NAME).await;
        assert_eq!(release.names().await, ["-2-1"], "the person has answered");
        // The person completed the step: nothing is told of that.
        release
            .then(&["ScalingReplicaSet", "RolloutResumed", "RolloutCompleted"])
            .await;
    });
}

#[test]
fn an_inconclusive_step_that_is_resumed_is_asked_anew() {
    scenario("open-resume", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("ask")}]);
        let mut release = Release::open(world, steps, Value::Null).await;
        release.judge.says(Answer::Neither);
        release.update("app:v2").await;
        release.world.until_rollout(NAME, "open", is_open).await;
        release
            .then(&["RolloutStepCompleted", "AnalysisRunInconclusive", "RolloutPaused"])
            .await;
        // As Argo CD's action writes it.
        let resume = json!({"status": {"pauseConditions": null}});
        release.world.patch_status(NAME, resume.clone()).await;
        // It is no better now.
        release.run("-2-1.1", is_phase("Inconclusive")).await;
        release.world.until_rollout(NAME, "open again", is_open).await;
        release
            .then(&["RolloutResumed", "AnalysisRunInconclusive", "RolloutPaused"])
            .await;
        release.judge.says(Answer::Good);
        release.world.patch_status(NAME, resume).await;
        release.world.healthy(NAME).await;
        release.run("-2-1.2", is_phase("Successful")).await;
        assert_eq!(release.names().await, ["-2-1", "-2-1.1", "-2-1.2"]);
        release
            .then(&[
                "RolloutResumed",
                "AnalysisRunSuccessful",
                "RolloutStepCompleted",
                "ScalingReplicaSet",
                "RolloutCompleted",
            ])
            .await;
    });
}

#[test]
fn an_inconclusive_step_that_is_aborted_goes_back() {
    scenario("open-abort", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("ask")}]);
        let mut release = Release::open(world, steps, Value::Null).await;
        release.judge.says(Answer::Neither);
        release.update("app:v2").await;
        release.world.until_rollout(NAME, "open", is_open).await;
        release
            .then(&["RolloutStepCompleted", "AnalysisRunInconclusive", "RolloutPaused"])
            .await;
        release.world.abort(NAME).await;
        let cause = "RolloutAborted: Rollout aborted update to revision 2";
        let rollout = release.until_aborted(cause).await;
        assert_eq!(rollout["status"]["pauseConditions"], Value::Null);
        release.then(&["ScalingReplicaSet", "RolloutAborted"]).await;
        // A retry begins anew, with a run of its own.
        release.judge.says(Answer::Good);
        release.world.retry(NAME).await;
        release.world.healthy(NAME).await;
        assert_eq!(release.names().await, ["-2-1", "-2-1.1"]);
    });
}

#[test]
fn an_inconclusive_background_analysis_waits_for_a_person_and_is_asked_anew() {
    scenario("open-background", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("long")}]);
        let mut release = Release::open(world, steps, asking("watch")).await;
        release.update("app:v2").await;
        release.run("-2", |run| measured(run) >= 1).await;
        release.run("-2-1", |run| measured(run) >= 1).await;
        release.judge.says(Answer::Neither);
        let rollout = release.world.until_rollout(NAME, "open", is_open).await;
        assert_eq!(rollout["status"]["controllerPause"], true);
        let run = release.run("-2", is_phase("Inconclusive")).await;
        release
            .told(&run, &["MetricInconclusive", "AnalysisRunInconclusive"])
            .await;
        release
            .then(&["RolloutStepCompleted", "AnalysisRunInconclusive", "RolloutPaused"])
            .await;

        release.judge.says(Answer::Good);
        release.world.promote(NAME).await;
        release.run("-2.1", |run| measured(run) >= 1).await;
        release.then(&["RolloutResumed"]).await;
        // The step's own analysis went on all the time, and is the only one of its kind.
        let step = release.run("-2-1", is_phase("Running")).await;
        assert_eq!(release.world.runs(NAME).await.len(), 3);
        release.world.terminate(text(&step, "/metadata/name")).await;
        release.world.healthy(NAME).await;
        release.run("-2.1", is_phase("Successful")).await;
    });
}

#[test]
fn a_run_of_a_step_that_a_person_terminates_counts_as_good() {
    scenario("terminate", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("long")}]);
        let mut release = Release::open(world, steps, Value::Null).await;
        release.update("app:v2").await;
        let run = release.run("-2-1", |run| measured(run) >= 1).await;
        release.world.terminate(text(&run, "/metadata/name")).await;
        release.world.healthy(NAME).await;
        let run = release.run("-2-1", is_phase("Successful")).await;
        assert_eq!(text(&run, "/status/message"), "Run Terminated");
        release
            .told(&run, &["MetricSuccessful", "AnalysisRunSuccessful"])
            .await;
        release
            .then(&[
                "RolloutStepCompleted",
                "AnalysisRunSuccessful",
                "RolloutStepCompleted",
                "ScalingReplicaSet",
                "RolloutCompleted",
            ])
            .await;
    });
}

#[test]
fn a_new_template_ends_the_runs_of_the_old_one() {
    scenario("overtaken", |world| async move {
        let steps = json!([{"setWeight": 50}, {"analysis": asking("long")}]);
        let mut release = Release::open(world, steps, asking("watch")).await;
        release.update("app:v2").await;
        release.run("-2-1", |run| measured(run) >= 1).await;
        release.run("-2", |run| measured(run) >= 1).await;
        release.world.set_image(NAME, "app:v3").await;
        release.run("-3-1", |run| measured(run) >= 1).await;
        for end in ["-2", "-2-1"] {
            let run = release.run(end, is_phase("Successful")).await;
            assert_eq!(run["spec"]["terminate"], true, "{end}");
        }
        release.world.promote_full(NAME).await;
        release.world.healthy(NAME).await;
        for end in ["-3", "-3-1"] {
            let run = release.run(end, is_phase("Successful")).await;
            assert_eq!(run["spec"]["terminate"], true, "{end}");
        }
    });
}
