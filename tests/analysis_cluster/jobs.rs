//! Metrics that are Jobs.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use serin::api::analysis::AnalysisPhase;

use super::world::{Setup, World, until};
use super::{job, metrics, phase, with, with_rules, world};

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_of_a_job_decides() {
    let world = world("jobs-exit").await;
    world.run("good", &metrics(&[job("smoke", "", "")])).await;
    world
        .run("bad", &metrics(&[job("smoke", "fake.serin/exit-code: '1'", "")]))
        .await;

    let good = world.finished("good").await;
    assert_eq!(phase(&good), AnalysisPhase::Successful);
    let uid = good.metadata.uid.clone().unwrap();
    let measurement = &good.status.as_ref().unwrap().metric_results[0].measurements[0];
    let name = format!("{uid}.smoke.1");
    assert_eq!(measurement.metadata["job-name"], name);
    assert_eq!(measurement.metadata["job-namespace"], "jobs-exit");
    let made = world.jobs().get(&name).await.unwrap();
    assert_eq!(made.labels()["analysisrun.argoproj.io/uid"], uid);
    assert_eq!(made.labels()["team"], "shop");
    assert_eq!(made.annotations()["analysisrun.argoproj.io/name"], "good");
    assert_eq!(
        made.annotations()["analysisrun.argoproj.io/namespace"],
        "jobs-exit"
    );
    assert_eq!(made.annotations()["analysisrun.argoproj.io/metric-name"], "smoke");
    assert_eq!(made.owner_references()[0].uid, uid);

    let bad = world.finished("bad").await;
    assert_eq!(phase(&bad), AnalysisPhase::Failed);
    let message = bad.status.unwrap().metric_results[0].message.clone().unwrap();
    assert!(message.starts_with("BackoffLimitExceeded: "), "{message}");

    // The cluster's own garbage collector takes the Jobs with their run.
    world
        .runs()
        .delete("good", &DeleteParams::background())
        .await
        .unwrap();
    until(60, "the Job of a run that is gone is gone", || async {
        world.jobs().get_opt(&name).await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_says_nothing_of_the_version() {
    let world = world("jobs-image").await;
    world
        .run(
            "checks",
            &metrics(&[job("smoke", "fake.serin/image-pull: 'true'", "")]),
        )
        .await;
    let run = world.finished("checks").await;
    assert_eq!(phase(&run), AnalysisPhase::Inconclusive);
    let message = run.status.unwrap().metric_results[0].measurements[0]
        .message
        .clone()
        .unwrap();
    assert!(
        message.contains("container main: ImagePullBackOff: Back-off pulling image \"checks\""),
        "{message}"
    );
    no_jobs(
        &world,
        "a Job that is not waited for does not start at some later hour",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_costs_nothing_and_ends_with_its_run() {
    let world = world("jobs-terminate").await;
    world
        .run(
            "checks",
            &metrics(&[job("long", "fake.serin/never-ready: 'true'", "")]),
        )
        .await;
    until(30, "the Job is stored as in flight", || async {
        let run = world.runs().get("checks").await.unwrap();
        (run.status?.metric_results.first()?.measurements.first()?.phase == AnalysisPhase::Running)
            .then_some(())
    })
    .await;
    // The pod becomes what it will stay; then nothing changes, and nothing is asked.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = world.calls();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.calls()[before.len()..], [] as [String; 0]);
    let count = |call: &str| before.iter().filter(|known| *known == call).count();
    assert_eq!(
        (
            count("create jobs"),
            count("get jobs"),
            count("patch analysisruns")
        ),
        (1, 0, 2),
        "{before:?}"
    );

    let terminate = Patch::Merge(json!({"spec": {"terminate": true}}));
    world
        .runs()
        .patch("checks", &PatchParams::default(), &terminate)
        .await
        .unwrap();
    let run = world.finished("checks").await;
    assert_eq!(phase(&run), AnalysisPhase::Inconclusive);
    no_jobs(&world, "the Job of a terminated run is gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_metric_stops_the_jobs_beside_it() {
    let world = world("jobs-beside").await;
    let long = job("long", "fake.serin/never-ready: 'true'", "");
    world
        .run(
            "checks",
            &metrics(&[long, job("short", "fake.serin/exit-code: '2'", "")]),
        )
        .await;
    let run = world.finished("checks").await;
    assert_eq!(
        phase(&run),
        AnalysisPhase::Failed,
        "the worst decides, not what was stopped for it"
    );
    let results = run.status.unwrap().metric_results;
    let long = results.iter().find(|result| result.name == "long").unwrap();
    assert_eq!(long.measurements[0].phase, AnalysisPhase::Inconclusive);
    until(30, "only the Job that ended is left", || async {
        (world
            .jobs()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len()
            == 1)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_beyond_the_retention_are_deleted() {
    let world = world("jobs-retention").await;
    let spec = metrics(&[job("smoke", "", "interval: 1s\n  count: 3")]);
    world
        .run(
            "checks",
            &format!("measurementRetention: [{{metricName: smoke, limit: 1}}]\n{spec}"),
        )
        .await;
    let run = world.finished("checks").await;
    assert_eq!(phase(&run), AnalysisPhase::Successful);
    let last = format!("{}.smoke.3", run.metadata.uid.unwrap());
    until(30, "the last Job alone is kept", || async {
        let names: Vec<String> = world
            .jobs()
            .list(&ListParams::default())
            .await
            .unwrap()
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect();
        (names == [last.clone()]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_deletes_is_an_error() {
    let world = world("jobs-deleted").await;
    let spec = metrics(&[job(
        "long",
        "fake.serin/never-ready: 'true'",
        "consecutiveErrorLimit: 0",
    )]);
    world.run("checks", &spec).await;
    let name = until(30, "the Job is stored as in flight", || async {
        let run = world.runs().get("checks").await.unwrap();
        run.status?
            .metric_results
            .first()?
            .measurements
            .first()?
            .metadata
            .get("job-name")
            .cloned()
    })
    .await;
    world
        .jobs()
        .delete(&name, &DeleteParams::background())
        .await
        .unwrap();
    let run = world.finished("checks").await;
    assert_eq!(phase(&run), AnalysisPhase::Error);
    let message = run.status.unwrap().message.unwrap();
    assert!(
        message.contains(&format!(
            "Job {name} is gone: somebody deleted it before it ended"
        )),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_an_error_that_names_it() {
    let rules = json!([
        {"apiGroups": ["argoproj.io", "apps", "events.k8s.io", "discovery.k8s.io", ""], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "delete"]},
    ]);
    let world = with_rules("jobs-denied", rules).await;
    world
        .run(
            "checks",
            &metrics(&[job("smoke", "", "consecutiveErrorLimit: 0")]),
        )
        .await;
    let run = world.finished("checks").await;
    assert_eq!(phase(&run), AnalysisPhase::Error);
    let message = run.status.unwrap().message.unwrap();
    assert!(
        message.contains("the controller has no permission to create jobs.batch in namespace jobs-denied: "),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watch_of_jobs_each_is_asked_for() {
    let rules = json!([
        {"apiGroups": ["argoproj.io", "apps", "events.k8s.io", "discovery.k8s.io", ""], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create"]},
    ]);
    let world = with_rules("jobs-unwatched", rules).await;
    world.run("checks", &metrics(&[job("smoke", "", "")])).await;
    assert_eq!(phase(&world.finished("checks").await), AnalysisPhase::Successful);
}

/// Owner references do not reach into another namespace: the controller does there what the garbage collector does.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_another_namespace_go_with_their_run() {
    const ELSEWHERE: &str = "jobs-elsewhere-target";
    let world = with(Setup {
        namespace: "jobs-elsewhere",
        args: &["--analysis-job-namespace", ELSEWHERE],
        ..Setup::default()
    })
    .await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}});
    let _ = world
        .cluster("", "v1", "Namespace")
        .create(
            &PostParams::default(),
            &serde_json::from_value(namespace).unwrap(),
        )
        .await;
    let resource = kube::discovery::ApiResource::erase::<k8s_openapi::api::batch::v1::Job>(&());
    let jobs: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), ELSEWHERE, &resource);
    // That of another controller, of another cluster for all that is known here.
    let stranger = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "generateName": "stranger-",
            "labels": {"analysisrun.argoproj.io/uid": "4d1f"},
            "annotations": {"analysisrun.argoproj.io/name": "short", "analysisrun.argoproj.io/namespace": "jobs-elsewhere"},
        },
        "spec": {"template": {
            "metadata": {"annotations": {"fake.serin/never-ready": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
        }},
    });
    let stranger = jobs
        .create(&PostParams::default(), &serde_json::from_value(stranger).unwrap())
        .await
        .unwrap();

    world.run("short", &metrics(&[job("short", "", "")])).await;
    world
        .run(
            "long",
            &metrics(&[job("long", "fake.serin/never-ready: 'true'", "")]),
        )
        .await;
    let short = world.finished("short").await;
    assert_eq!(phase(&short), AnalysisPhase::Successful, "{:?}", short.status);
    let measurement = &short.status.as_ref().unwrap().metric_results[0].measurements[0];
    assert_eq!(measurement.metadata["job-namespace"], ELSEWHERE);
    let long = until(30, "the other Job is there", || async {
        let run = world.runs().get("long").await.unwrap();
        let measurement = run.status?.metric_results.first()?.measurements.first()?.clone();
        measurement.metadata.get("job-name").cloned()
    })
    .await;
    let names = [measurement.metadata["job-name"].clone(), long];
    for name in &names {
        let made = jobs.get(name).await.unwrap();
        assert_eq!(made.owner_references(), []);
        assert_eq!(
            made.data["spec"]["ttlSecondsAfterFinished"], 86400,
            "where nobody is left to do it"
        );
    }
    for run in ["short", "long"] {
        world
            .runs()
            .delete(run, &DeleteParams::background())
            .await
            .unwrap();
    }
    until(30, "the Jobs went with their runs", || async {
        let mut left = 0;
        for name in &names {
            left += usize::from(jobs.get_opt(name).await.unwrap().is_some());
        }
        (left == 0).then_some(())
    })
    .await;
    assert!(
        jobs.get_opt(&stranger.name_any()).await.unwrap().is_some(),
        "that of a run which this controller never knew is left alone"
    );
    let _ = jobs
        .delete(&stranger.name_any(), &DeleteParams::background())
        .await;
}

async fn no_jobs(world: &World, what: &str) {
    until(30, what, || async {
        let all = world.jobs().list(&ListParams::default()).await.unwrap().items;
        all.iter()
            .all(|job| job.metadata.deletion_timestamp.is_some())
            .then_some(())
    })
    .await;
}
