//! Analyses on a real control plane with faked pods (tests/cluster): Jobs, runs made by hand, templates, secrets.
//!
//! Each test has a namespace and a controller of its own, told apart by instance id.

#![expect(clippy::unwrap_used, reason = "these are the helpers of a test")]

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin::api::analysis::{AnalysisPhase, AnalysisRun};
use world::{Setup, World, echo, until};

mod aws;
mod credentials;
mod examples;
mod jobs;
mod malformed;
#[path = "../support/marker.rs"]
mod marker;
mod world;

async fn world(namespace: &str) -> World {
    with_rules(namespace, Value::Null).await
}

/// One whose controller is given secrets: it logs all that it and its libraries have to say, for tests/secrets.rs to search.
async fn telling(namespace: &str) -> World {
    with(Setup {
        namespace,
        log_level: "trace",
        ..Setup::default()
    })
    .await
}

async fn with_rules(namespace: &str, rules: Value) -> World {
    with(Setup {
        namespace,
        rules,
        ..Setup::default()
    })
    .await
}

async fn with(setup: Setup<'_>) -> World {
    let level = setup.log_level;
    World::start(Setup {
        program: env!("CARGO_BIN_EXE_serin"),
        log_level: if level.is_empty() { "debug" } else { level },
        // What they write is in the audit log with all that they wrote (tests/cluster), for tests/secrets.rs.
        groups: &["serin-audited"],
        ..setup
    })
    .await
}

fn phase(run: &AnalysisRun) -> AnalysisPhase {
    run.status.as_ref().unwrap().phase
}

/// A metric whose Job's pod does what the annotation says.
fn job(name: &str, annotation: &str, more: &str) -> String {
    format!(
        r"- name: {name}
  {more}
  provider:
    job:
      metadata: {{labels: {{team: shop}}}}
      spec:
        backoffLimit: 0
        template:
          metadata: {{annotations: {{{annotation}}}}}
          spec: {{restartPolicy: Never, containers: [{{name: main, image: checks}}]}}"
    )
}

fn metrics(all: &[String]) -> String {
    format!("metrics:\n{}", all.join("\n"))
}

fn web(name: &str, url: &str, condition: &str, more: &str) -> String {
    format!(
        "- name: {name}\n  successCondition: {condition}\n  {more}\n  provider: {{web: {{url: '{url}'}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_made_by_hand_work_before_and_after_a_deployment_and_delete_themselves() {
    let world = world("by-hand").await;
    let url = echo().await;
    for (name, condition, ttl, expected) in [
        (
            "pre-deployment",
            "result.ok",
            "secondsAfterSuccess: 2",
            AnalysisPhase::Successful,
        ),
        (
            "post-deployment",
            "!result.ok",
            "secondsAfterFailure: 2",
            AnalysisPhase::Failed,
        ),
        (
            "no-verdict",
            "result.nothing.there == 1",
            "secondsAfterCompletion: 2",
            AnalysisPhase::Error,
        ),
        (
            "open",
            "!result.ok",
            "secondsAfterCompletion: 2, secondsAfterFailure: 3600, secondsAfterSuccess: 3600",
            AnalysisPhase::Inconclusive,
        ),
        // Those of another outcome's time stay.
        (
            "good-stays",
            "result.ok",
            "secondsAfterFailure: 1, secondsAfterCompletion: 3600",
            AnalysisPhase::Successful,
        ),
        (
            "bad-stays",
            "!result.ok",
            "secondsAfterSuccess: 1",
            AnalysisPhase::Failed,
        ),
    ] {
        let more = if expected == AnalysisPhase::Inconclusive {
            "failureCondition: 'false'"
        } else {
            "consecutiveErrorLimit: 0"
        };
        let metric = web("health", &url, &format!("'{condition}'"), more);
        world
            .run(name, &format!("ttlStrategy: {{{ttl}}}\n{}", metrics(&[metric])))
            .await;
        let run = world.finished(name).await;
        assert_eq!(phase(&run), expected, "{name}: {:?}", run.status);
        let summary = run.status.unwrap().run_summary.unwrap();
        assert_eq!(summary.count, 1);
    }
    for name in ["pre-deployment", "post-deployment", "no-verdict", "open"] {
        until(20, &format!("{name} deletes itself"), || async {
            world.runs().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    for name in ["good-stays", "bad-stays"] {
        assert!(world.runs().get_opt(name).await.unwrap().is_some(), "{name}");
    }
    // One that would run for ever is ended by hand, and a finished one costs nothing.
    world
        .run(
            "endless",
            &format!(
                "ttlStrategy: {{secondsAfterSuccess: 6}}\n{}",
                metrics(&[web("health", &url, "result.ok", "interval: 1s")])
            ),
        )
        .await;
    until(20, "it measures", || async {
        (world
            .runs()
            .get("endless")
            .await
            .unwrap()
            .status?
            .metric_results
            .first()?
            .count
            >= 2)
            .then_some(())
    })
    .await;
    let terminate = Patch::Merge(json!({"spec": {"terminate": true}}));
    world
        .runs()
        .patch("endless", &PatchParams::default(), &terminate)
        .await
        .unwrap();
    let run = world.finished("endless").await;
    assert_eq!(phase(&run), AnalysisPhase::Successful);
    assert_eq!(run.status.unwrap().message.as_deref(), Some("Run Terminated"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = world.calls().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.calls()[before..], [] as [String; 0]);
    until(20, "what was terminated deletes itself too", || async {
        world
            .runs()
            .get_opt("endless")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

/// As a template has them, whose numbers and durations are arguments: the API server takes them as text.
#[tokio::test(flavor = "multi_thread")]
async fn counts_limits_and_rules_by_name_are_filled_in_and_kept_to() {
    let world = world("numbers").await;
    let url = echo().await;
    let often = "interval: '{{args.interval}}'\n  count: '{{args.count}}'\n  failureLimit: '{{args.limit}}'";
    let all = [
        // -1: as many as there are.
        web("bad", &url, "'!result.ok'", often),
        web("shown-bad", &url, "'!result.ok'", "interval: 1s"),
        web("shown-good", &url, "result.ok", ""),
        web(
            "enough",
            &url,
            "result.ok",
            "interval: 1s\n  consecutiveSuccessLimit: '{{args.row}}'",
        ),
        web(
            "never",
            &url,
            "'!result.ok'",
            "interval: 1s\n  count: 2\n  failureLimit: -1\n  consecutiveSuccessLimit: 1",
        ),
    ];
    let spec = format!(
        "args: [{{name: interval, value: 1s}}, {{name: count, value: '3'}}, {{name: limit, value: '-1'}}, {{name: row, value: '2'}}]\n\
         dryRun: [{{metricName: '^shown-'}}, {{metricName: never}}]\n\
         measurementRetention: [{{metricName: '^b.d$', limit: 2}}]\n{}",
        metrics(&all)
    );
    world.run("numbers", &spec).await;
    let run = world.finished("numbers").await;
    let status = run.status.unwrap();
    assert_eq!(status.phase, AnalysisPhase::Successful, "{status:?}");
    let result = |name: &str| {
        let found = status.metric_results.iter().find(|result| result.name == name);
        found.unwrap_or_else(|| panic!("no result of {name}: {status:?}"))
    };
    let bad = result("bad");
    assert_eq!(
        (bad.phase, bad.count, bad.failed, bad.measurements.len()),
        (AnalysisPhase::Successful, 3, 3, 2),
        "kept are the last two"
    );
    assert_eq!(
        (result("enough").count, result("enough").consecutive_success),
        (2, 2)
    );
    assert_eq!(
        (result("shown-bad").phase, result("shown-bad").dry_run),
        (AnalysisPhase::Failed, true)
    );
    // The only way to succeed was not found.
    assert_eq!(
        (result("never").phase, result("never").count),
        (AnalysisPhase::Failed, 2)
    );
    let (deciding, shown) = (
        status.run_summary.as_ref().unwrap(),
        status.dry_run_summary.as_ref().unwrap(),
    );
    assert_eq!((deciding.count, deciding.successful), (2, 2));
    assert_eq!((shown.count, shown.successful, shown.failed), (3, 1, 2));

    // A rule that matches nothing, and an argument that is no number, end a run before it measures.
    for (name, wrong, says) in [
        (
            "rule",
            "dryRun: [{metricName: other}]",
            "dryRun[0]: \"other\" matches no metric name",
        ),
        (
            "number",
            "args: [{name: count, value: many}]",
            "count is \"many\" and must be a whole number",
        ),
    ] {
        let metric = web("bad", &url, "result.ok", "interval: 1s\n  count: COUNT");
        let metric = metric.replace("COUNT", if name == "number" { "'{{args.count}}'" } else { "1" });
        world.run(name, &format!("{wrong}\n{}", metrics(&[metric]))).await;
        let run = world.finished(name).await;
        assert_eq!(phase(&run), AnalysisPhase::Error);
        let message = run.status.unwrap().message.unwrap();
        assert!(message.contains(says), "{name}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_template_that_includes_others_gates_a_rollout() {
    let world = world("templates").await;
    let url = echo().await;
    let template = |kind: &str, name: &str, spec: String| {
        format!("apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}")
    };
    let cluster: kube::Api<serin::api::analysis::ClusterAnalysisTemplate> =
        kube::Api::all(world.client.clone());
    let _ = cluster
        .delete("templates-test-all", &DeleteParams::default())
        .await;
    let metric = "  metrics:\n  - {name: NAME, successCondition: result.ok, provider: {web: {url: 'URL/{{args.path}}'}}}\n  \
                  args: [{name: path}]\n";
    let metric = |name: &str| metric.replace("NAME", name).replace("URL", &url);
    let included = "  templates: [{templateName: inner}]\n";
    world
        .create(&template("AnalysisTemplate", "inner", metric("inner")))
        .await;
    world
        .create(&template(
            "ClusterAnalysisTemplate",
            "templates-test-all",
            metric("outer") + included,
        ))
        .await;
    let rollout = |image: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: shop}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec: {{containers: [{{name: main, image: '{image}'}}]}}
  strategy:
    canary:
      steps:
      - analysis:
          templates: [{{templateName: templates-test-all, clusterScope: true}}]
          args: [{{name: path, value: health}}]
"
        )
    };
    world.create(&rollout("shop:1")).await;
    let rollouts = world.objects("argoproj.io", "v1alpha1", "Rollout");
    let healthy = |image: &'static str| {
        let rollouts = rollouts.clone();
        async move {
            until(60, &format!("{image} is stable"), || async {
                let found = rollouts.get("shop").await.unwrap().data;
                let stable = &found["status"]["stableRS"];
                let done =
                    found["status"]["phase"] == "Healthy" && stable == &found["status"]["currentPodHash"];
                done.then_some(())
            })
            .await;
        }
    };
    healthy("shop:1").await;
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop:2"}]);
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    rollouts
        .patch("shop", &PatchParams::default(), &Patch::<()>::Json(patch))
        .await
        .unwrap();
    let run = until(60, "the run of the step", || async {
        world
            .runs()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .pop()
    })
    .await;
    let run = world.finished(&run.name_any()).await;
    assert_eq!(phase(&run), AnalysisPhase::Successful);
    let mut names: Vec<&str> = run
        .spec
        .metrics
        .iter()
        .map(|metric| metric.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["inner", "outer"]);
    let value = run.status.as_ref().unwrap().metric_results[0].measurements[0]
        .value
        .clone()
        .unwrap();
    assert!(value.contains("GET /health "), "{value}");
    healthy("shop:2").await;
    let _ = cluster
        .delete("templates-test-all", &DeleteParams::default())
        .await;
}
