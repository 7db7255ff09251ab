//! Malformed templates on the real control plane: one sentence with the field's path on the run and on the Rollout, and
//! nothing moves.

use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};
use serin::api::analysis::AnalysisPhase;

use super::world::{World, until};
use super::{phase, world};

/// Name, the one metric, and what is said of it. Those that the API server refuses itself never come to the controller.
fn table() -> Vec<(&'static str, Value, &'static str)> {
    let web = |fields: Value| {
        let mut web = json!({"url": "http://127.0.0.1:1"});
        for (key, value) in fields.as_object().unwrap() {
            web[key] = value.clone();
        }
        json!({"name": "m", "provider": {"web": web}})
    };
    let prometheus = |fields: Value| json!({"name": "m", "provider": {"prometheus": fields}});
    let job = |pod: Value| json!({"name": "m", "provider": {"job": {"spec": {"template": {"spec": pod}}}}});
    let with = |field: &str, value: Value| {
        let mut metric = web(json!({}));
        metric[field] = value;
        metric
    };
    let sigv4 = json!({"sigv4": {"region": "eu-west-1", "roleArn": "prometheus"}});
    vec![
        (
            "interval",
            with("interval", json!("5 minutes")),
            "interval \"5 minutes\" is not a duration",
        ),
        (
            "count",
            with("count", json!("many")),
            "count is \"many\" and must be a whole number",
        ),
        (
            "interval-needed",
            with("count", json!(3)),
            "interval is required because count is 3",
        ),
        (
            "condition",
            with("successCondition", json!("result >=")),
            "successCondition \"result >=\"",
        ),
        (
            "two",
            json!({"name": "m", "provider": {"web": {"url": "http://x"}, "job": {"spec": {}}}}),
            "provider: exactly one is wanted, and there are web, job",
        ),
        (
            "none",
            json!({"name": "m", "provider": {}}),
            "provider: none is specified",
        ),
        (
            "later",
            json!({"name": "m", "provider": {"graphite": {"query": "q"}}}),
            "provider.graphite is not supported by this controller",
        ),
        (
            "argument",
            with("failureCondition", json!("result > {{args.limit}}")),
            "there is no argument for {{args.limit}}",
        ),
        (
            "url",
            web(json!({"url": "shop/health"})),
            "provider.web.url \"shop/health\" is not a valid address",
        ),
        (
            "path",
            web(json!({"jsonPath": "{$.a"})),
            "provider.web.jsonPath \"{$.a\": expected `}`",
        ),
        (
            "method",
            web(json!({"method": "PATCH"})),
            "provider.web.method: \"PATCH\" is not one of GET, POST and PUT",
        ),
        (
            "query",
            prometheus(json!({"address": "http://127.0.0.1:1"})),
            "provider.prometheus.query: must be set",
        ),
        (
            "address",
            prometheus(json!({"address": "prometheus", "query": "up"})),
            "provider.prometheus.address \"prometheus\" is not a valid address",
        ),
        (
            "role",
            prometheus(json!({"address": "http://p", "query": "up", "authentication": sigv4})),
            "provider.prometheus.authentication.sigv4.roleArn: \"prometheus\" is not the ARN of a role",
        ),
        (
            "policy",
            job(json!({"containers": [{"name": "c", "image": "i"}]})),
            "provider.job.spec.template.spec.restartPolicy: must be set to Never or OnFailure",
        ),
        (
            "containers",
            job(json!({"restartPolicy": "Never"})),
            "provider.job.spec.template.spec.containers: must be a list of at least one container",
        ),
    ]
}

fn rollout(name: &str, template: &str, image: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}},
            "strategy": {"canary": {"steps": [{"analysis": {"templates": [{"templateName": template}]}}]}},
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_template_is_one_sentence_with_the_path_and_nothing_moves() {
    let world = world("malformed").await;
    let good = json!({"name": "m", "provider": {"web": {"url": "http://127.0.0.1:1"}}});
    let template = |name: &str, metric: &Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
               "spec": {"metrics": [metric]}})
    };
    world.create(&template("good", &good).to_string()).await;
    world
        .create(&rollout("edited", "good", "app:1").to_string())
        .await;
    status(&world, "edited", |status| status["phase"] == "Healthy").await;
    let table = table();
    for (name, metric, _) in &table {
        world.create(&template(name, metric).to_string()).await;
        let run = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": name},
                         "spec": {"metrics": [metric]}});
        world.create(&run.to_string()).await;
        world.create(&rollout(name, name, "app:1").to_string()).await;
    }
    for (name, _, says) in &table {
        let run = world.finished(name).await;
        assert_eq!(phase(&run), AnalysisPhase::Error, "{name}");
        let status_of_run = run.status.unwrap();
        let message = status_of_run.message.unwrap();
        assert!(
            message.contains(says) && !message.contains('\n'),
            "{name}: {message}"
        );
        assert!(
            status_of_run.metric_results.is_empty(),
            "{name}: nothing was measured"
        );
        let told = status(&world, name, |status| status["phase"] == "Degraded").await;
        let message = told["message"].as_str().unwrap();
        let start = format!(
            "InvalidSpec: The Rollout \"{name}\" is invalid: spec.strategy.canary.steps[0].analysis.templates: Invalid value: "
        );
        assert!(
            message.starts_with(&start) && message.contains(says) && !message.contains('\n'),
            "{name}: {message}"
        );
    }
    // One that runs, and is edited so that it asks for one of them with the next version.
    let patch = kube::api::Patch::Merge(json!({"spec": rollout("edited", "path", "app:2")["spec"]}));
    world
        .objects("argoproj.io", "v1alpha1", "Rollout")
        .patch("edited", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    status(&world, "edited", |status| {
        status["message"]
            .as_str()
            .is_some_and(|m| m.contains("provider.web.jsonPath"))
    })
    .await;
    let sets = world
        .objects("apps", "v1", "ReplicaSet")
        .list(&ListParams::default())
        .await
        .unwrap();
    let sets: Vec<&Value> = sets.items.iter().map(|rs| &rs.data["spec"]).collect();
    assert_eq!(sets.len(), 1, "the one that runs, as it was");
    assert_eq!(
        (
            &sets[0]["replicas"],
            &sets[0]["template"]["spec"]["containers"][0]["image"]
        ),
        (&json!(1), &json!("app:1"))
    );
    let runs = world.runs().list(&ListParams::default()).await.unwrap();
    let by_hand = runs
        .iter()
        .filter(|run| run.owner_references().is_empty())
        .count();
    assert_eq!(
        (runs.items.len(), by_hand),
        (table.len(), table.len()),
        "no run of a Rollout"
    );
    let jobs = world.jobs().list(&ListParams::default()).await.unwrap();
    assert_eq!(jobs.items.len(), 0);
}

/// The status of a Rollout, once it is so.
async fn status(world: &World, name: &str, is: impl Fn(&Value) -> bool) -> Value {
    let rollouts = world.objects("argoproj.io", "v1alpha1", "Rollout");
    let is = &is;
    until(60, &format!("{name} is as it should be"), || {
        let rollouts = rollouts.clone();
        async move {
            let status = rollouts.get(name).await.unwrap().data["status"].take();
            is(&status).then_some(status)
        }
    })
    .await
}
