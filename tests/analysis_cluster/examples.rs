//! The examples of `examples/analysis` as people use them, each once well and once badly. Only the times are shortened.

use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};
use serin::api::analysis::{AnalysisPhase, AnalysisRun, MetricResult};

use super::marker::marked;
use super::world::{Setup, World, serve, until};
use super::{phase, telling, with, world};

/// The documents of an example, with `interval: 1s` and a count of two in place of what it says.
pub fn example(name: &str) -> Vec<Value> {
    let path = format!("{}/examples/analysis/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    for metric in all
        .iter_mut()
        .flat_map(|document| document["spec"]["metrics"].as_array_mut().unwrap())
    {
        if metric["interval"].is_string() {
            metric["interval"] = json!("1s");
            metric["count"] = json!(2);
        }
    }
    all
}

/// Runs the example's template by hand, as a pre-deployment or post-deployment check, with these arguments.
pub async fn by_hand(world: &World, run: &str, template: &Value, args: &[(&str, &str)]) -> AnalysisRun {
    let mut spec = template["spec"].clone();
    for arg in spec["args"].as_array_mut().unwrap() {
        if let Some((_, value)) = args.iter().find(|(name, _)| arg["name"] == *name) {
            arg["value"] = json!(value);
        }
    }
    let run_object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": run}, "spec": spec});
    world.create(&run_object.to_string()).await;
    world.finished(run).await
}

/// Makes the Job's pod end with this code.
fn exiting(mut template: Value, code: &str) -> Value {
    let pod = template
        .pointer_mut("/spec/metrics/0/provider/job/spec/template")
        .unwrap();
    pod["metadata"]["annotations"]["fake.serin/exit-code"] = json!(code);
    template["spec"]["metrics"][0]["provider"]["job"]["spec"]["backoffLimit"] = json!(0);
    template
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smoke_test() {
    let world = world("example-smoke").await;
    let template = &example("smoke-test")[0];
    let args = [("url", "http://shop/health")];
    let good = by_hand(&world, "good", template, &args).await;
    assert_eq!(phase(&good), AnalysisPhase::Successful, "{:?}", good.status);
    let name = format!("{}.smoke-test.1", good.metadata.uid.unwrap());
    let made = world.jobs().get(&name).await.unwrap();
    let container = &made.data["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["args"].as_array().unwrap().last().unwrap(),
        "http://shop/health"
    );
    assert_eq!(made.labels()["app.kubernetes.io/component"], "smoke-test");
    let bad = by_hand(&world, "bad", &exiting(template.clone(), "22"), &args).await;
    assert_eq!(phase(&bad), AnalysisPhase::Failed, "{:?}", bad.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_check() {
    let world = telling("example-migration").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-database"},
                        "stringData": {"url": concat!("postgres://u:", marked!("p4ssw0rd"), "@db/shop")}});
    world.create(&secret.to_string()).await;
    let template = &example("migration-check")[0];
    let args = [("image", "shop:2")];
    let good = by_hand(&world, "good", template, &args).await;
    assert_eq!(phase(&good), AnalysisPhase::Successful, "{:?}", good.status);
    let name = format!("{}.migration-check.1", good.metadata.uid.unwrap());
    let made = world.jobs().get(&name).await.unwrap();
    let container = &made.data["spec"]["template"]["spec"]["containers"][0];
    let from = json!({"name": "SERIN_ARG_0", "valueFrom": {"secretKeyRef": {"name": "shop-database", "key": "url"}}});
    assert_eq!(
        (&container["image"], &container["env"]),
        (
            &json!("shop:2"),
            &json!([from, {"name": "DATABASE_URL", "value": "$(SERIN_ARG_0)"}])
        ),
        "the kubelet fills it in"
    );
    let bad = by_hand(&world, "bad", &exiting(template.clone(), "1"), &args).await;
    assert_eq!(phase(&bad), AnalysisPhase::Failed, "{:?}", bad.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_endpoint() {
    let world = telling("example-health").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "health-endpoint"},
                        "stringData": {"token": marked!("t0ken")}});
    world.create(&secret.to_string()).await;
    let template = &example("health-endpoint")[0];
    for (name, status, body, want) in [
        (
            "good",
            "200 OK",
            json!({"status": "ok", "checks": [{"healthy": true}]}),
            AnalysisPhase::Successful,
        ),
        (
            "bad",
            "200 OK",
            json!({"status": "ok", "checks": [{"healthy": true}, {"healthy": false}]}),
            AnalysisPhase::Failed,
        ),
        // Not a verdict on the version: five in a row, ten seconds apart, would be an Error.
        ("none", "503 No", json!({}), AnalysisPhase::Error),
    ] {
        let mut template = template.clone();
        if want == AnalysisPhase::Error {
            template["spec"]["metrics"][0]["consecutiveErrorLimit"] = json!(0);
        }
        let body = body.to_string();
        let url = serve(move |asked| {
            let known = asked.contains(concat!("authorization: Bearer ", marked!("t0ken"), "\r\n"));
            (if known { status } else { "401 Who" }, body.clone())
        })
        .await;
        let host = url.strip_prefix("http://").unwrap();
        let run = by_hand(&world, name, &template, &[("host", host)]).await;
        assert_eq!(phase(&run), want, "{name}: {:?}", run.status);
    }
}

/// As the last step of a canary, with the template that it includes and the Prometheus of the controller.
#[tokio::test(flavor = "multi_thread")]
async fn the_integration_test() {
    let asked = std::sync::Arc::new(parking_lot::Mutex::new(String::new()));
    let log = std::sync::Arc::clone(&asked);
    let url = serve(move |question| {
        log.lock().push_str(question);
        let one = json!({"metric": {}, "value": [1_700_000_000, "0.999"]});
        let answer = json!({"status": "success", "data": {"resultType": "vector", "result": [one]}});
        ("200 OK", answer.to_string())
    })
    .await;
    let world = with(Setup {
        namespace: "example-integration",
        args: &["--prometheus-address", &url],
        ..Setup::default()
    })
    .await;
    for template in example("integration-test") {
        world.create(&template.to_string()).await;
    }
    let rollout = |image: &str| {
        let analysis = json!({
            "templates": [{"templateName": "integration-test"}],
            "args": [
                {"name": "base-url", "value": "http://shop-canary"},
                {"name": "pod-hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
            ],
        });
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "shop"}},
                "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
                "strategy": {"canary": {"steps": [{"setWeight": 100}, {"analysis": analysis}]}},
            },
        })
    };
    world.create(&rollout("shop:1").to_string()).await;
    let rollouts = world.objects("argoproj.io", "v1alpha1", "Rollout");
    let stable = |image: &'static str| {
        let rollouts = rollouts.clone();
        until(60, image, move || {
            let rollouts = rollouts.clone();
            async move {
                let found = rollouts.get("shop").await.unwrap().data;
                let runs = &found["spec"]["template"]["spec"]["containers"][0]["image"];
                let done = found["status"]["phase"] == "Healthy"
                    && found["status"]["stableRS"] == found["status"]["currentPodHash"];
                let hash = found["status"]["currentPodHash"].as_str().map(str::to_owned);
                hash.filter(|_| done && runs == image)
            }
        })
    };
    let first = stable("shop:1").await;
    let patch = kube::api::Patch::Merge(json!({"spec": {"template": rollout("shop:2")["spec"]["template"]}}));
    rollouts
        .patch("shop", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    // Until its first pass the status is that of the version before.
    let second = until(60, "the second version is stable", || async {
        Some(stable("shop:2").await).filter(|hash| *hash != first)
    })
    .await;
    let run = world
        .runs()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .remove(0);
    let status = run.status.as_ref().unwrap();
    let mut counts: Vec<(&str, i32)> = status
        .metric_results
        .iter()
        .map(|result| (result.name.as_str(), result.successful))
        .collect();
    // In the order in which they were first measured.
    counts.sort_unstable();
    assert_eq!(
        counts,
        [("integration-test", 2), ("success-rate-after", 2)],
        "{status:?}"
    );
    assert!(
        asked.lock().contains(&second),
        "the query is about the new version"
    );
    let of_query = |result: &&MetricResult| result.name == "success-rate-after";
    let query = &status.metric_results.iter().find(of_query).unwrap().metadata["ResolvedPrometheusQuery"];
    assert!(
        query.contains(&format!("pod_template_hash=\"{second}\"")),
        "{query}"
    );
    // Both Jobs are kept, with their logs, as the example says.
    assert_eq!(
        world
            .jobs()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}
