//! Secrets: used where they should be, and seen nowhere.

use kube::api::ListParams;
use serde_json::json;
use serin::api::analysis::AnalysisPhase;

use super::marker::{self, marked};
use super::world::{World, echo, serve, until};
use super::{job, metrics, phase, telling};

/// With characters that every layer writes in its own way.
const SECRET: &str = marked!("s3cr3t/of\"the+house");
/// One that can stand in a URL.
const SIMPLE: &str = marked!("pl41n-s3cr3t");
/// What an OAuth server gives for it.
const TOKEN: &str = marked!("t0ken-0f-the-issuer");

/// A metric with these fields of its provider, that an error ends at once or nearly.
fn metric(name: &str, provider: &str) -> String {
    format!("- name: {name}\n  consecutiveErrorLimit: 0\n  provider: {{{provider}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_object_event_or_log_line() {
    let world = telling("secrets").await;
    let url = echo().await;
    let host = url.strip_prefix("http://").unwrap().to_owned();
    // Refuses everybody, with all that it was told.
    let broken = serve(|asked| ("500 Oh", json!({"error": "no", "asked": asked}).to_string())).await;
    let refusing = serve(|asked| {
        let answer =
            json!({"status": "error", "errorType": "bad_data", "error": format!("I was asked: {asked}")});
        ("422 Hm", answer.to_string())
    })
    .await;
    let issuer = serve(|_| {
        (
            "200 OK",
            json!({"access_token": TOKEN, "expires_in": 60}).to_string(),
        )
    })
    .await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
                        "stringData": {"token": SECRET, "simple": SIMPLE}});
    world.create(&secret.to_string()).await;
    let args = "args: [{name: token, valueFrom: {secretKeyRef: {name: login, key: token}}}, \
                {name: simple, valueFrom: {secretKeyRef: {name: login, key: simple}}}]";
    let header = "headers: [{key: X-Token, value: '{{args.token}}'}]";
    let basic = "authentication: {basicAuth: {username: serin, password: '{{args.token}}'}}";
    let oauth2 = |token_url: &str| {
        format!(
            "authentication: {{oauth2: {{tokenUrl: '{token_url}', clientId: serin, clientSecret: '{{{{args.token}}}}', scopes: [a]}}}}"
        )
    };
    let (granted, denied) = (oauth2(&issuer), oauth2(&broken));
    let query = "query: 'up{t=`{{args.token}}`}'";
    let all = [
        // The server echoes the header, and the path with the query, into the value.
        format!(
            "- name: header\n  interval: 1s\n  count: 2\n  provider: {{web: {{url: '{url}/a', {header}}}}}"
        ),
        metric("query", &format!("web: {{url: '{url}/b?q={{{{args.token}}}}'}}")),
        metric(
            "body",
            &format!("web: {{url: '{url}', method: POST, jsonBody: {{t: '{{{{args.token}}}}'}}}}"),
        ),
        metric("web-basic", &format!("web: {{url: '{url}', {basic}}}")),
        metric("web-oauth2", &format!("web: {{url: '{url}', {granted}}}")),
        metric(
            "web-in-url",
            &format!("web: {{url: 'http://serin:{{{{args.simple}}}}@{host}/'}}"),
        ),
        // Not a Prometheus: the answer goes into the message; and the query is kept as metadata.
        metric(
            "prom",
            &format!("prometheus: {{address: '{url}', {query}, {header}}}"),
        ),
        // Prometheus' own error, and a server's, with everything that was sent.
        metric(
            "prom-refuses",
            &format!("prometheus: {{address: '{refusing}', {query}, {header}, {basic}}}"),
        ),
        metric(
            "prom-oauth2",
            &format!("prometheus: {{address: '{refusing}', query: up, {granted}}}"),
        ),
        metric(
            "prom-in-url",
            &format!("prometheus: {{address: 'http://serin:{{{{args.simple}}}}@{host}', query: up}}"),
        ),
        metric(
            "web-breaks",
            &format!("web: {{url: '{broken}/{{{{args.token}}}}', {header}}}"),
        ),
        // The token endpoint refuses, and says what it was told.
        metric("web-denied", &format!("web: {{url: '{url}', {denied}}}")),
        metric(
            "prom-denied",
            &format!("prometheus: {{address: '{url}', query: up, {denied}}}"),
        ),
        // Addresses that are none, or where nobody is.
        metric("no-address", "web: {url: 'http://serin:{{args.simple}}@[::/'}"),
        metric("nobody", "web: {url: 'http://127.0.0.1:1/{{args.token}}'}"),
        // A path and a condition that cannot be read or evaluated are quoted.
        metric(
            "path",
            &format!("web: {{url: '{url}', jsonPath: '{{$.{{{{args.simple}}}}}}'}}"),
        ),
        metric("condition", &format!("web: {{url: '{url}', {header}}}")).replace(
            "provider",
            "successCondition: 'result.no.such == \"{{args.token}}\"'\n  provider",
        ),
    ];
    for metric in &all {
        let name = metric.split(['\n', ' ']).nth(2).unwrap();
        world
            .run(
                name,
                &format!("{args}\n{}", metrics(std::slice::from_ref(metric))),
            )
            .await;
    }
    let container = "{name: main, image: checks, args: ['--token={{args.token}}'], env: [{name: T, value: '{{args.token}}'}]}";
    for (name, annotation) in [
        ("job", ""),
        ("job-fails", "fake.serin/exit-code: '1'"),
        ("job-image", "fake.serin/image-pull: 'true'"),
    ] {
        let job = job(name, annotation, "").replace("{name: main, image: checks}", container);
        world.run(name, &format!("{args}\n{}", metrics(&[job]))).await;
    }
    // From a template, by a Rollout.
    world
        .create(&format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {{name: gate}}, spec: {{{args}, metrics: \
             [{{name: gate, successCondition: 'result.ok', provider: {{web: {{url: '{broken}', {header}}}}}, consecutiveErrorLimit: 0}}]}}}}"
        ))
        .await;
    gate(&world).await;
    let names = all.iter().map(|metric| metric.split(['\n', ' ']).nth(2).unwrap());
    for name in names.chain(["job", "job-fails", "job-image"]) {
        let run = world.finished(name).await;
        let good = [
            "header",
            "query",
            "body",
            "web-basic",
            "web-oauth2",
            "web-in-url",
            "job",
        ];
        if good.contains(&name) {
            assert_eq!(phase(&run), AnalysisPhase::Successful, "{name}: {:?}", run.status);
        } else {
            assert_ne!(phase(&run), AnalysisPhase::Successful, "{name}: {:?}", run.status);
        }
    }
    let run = world.runs().get("header").await.unwrap();
    let value = run.status.unwrap().metric_results[0].measurements[0]
        .value
        .clone()
        .unwrap();
    assert!(
        value.contains("x-token: *****"),
        "the server had it and echoed it: {value}"
    );

    // The last events are on their way.
    until(30, "the events of all runs", || async {
        let events = world
            .objects("", "v1", "Event")
            .list(&ListParams::default())
            .await
            .unwrap();
        let ended = |e: &&kube::api::DynamicObject| {
            e.data["message"]
                .as_str()
                .unwrap_or("")
                .starts_with("Analysis Completed")
        };
        (events.items.iter().filter(ended).count() > all.len() + 3).then_some(())
    })
    .await;
    search(&world).await;
}

/// A Rollout whose second version the gate judges.
async fn gate(world: &World) {
    let rollout = |image: &str| {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "shop"}},
                "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
                "strategy": {"canary": {"steps": [{"analysis": {"templates": [{"templateName": "gate"}]}}]}},
            },
        })
    };
    world.create(&rollout("shop:1").to_string()).await;
    let rollouts = world.objects("argoproj.io", "v1alpha1", "Rollout");
    let is = |phase: &'static str| {
        let rollouts = rollouts.clone();
        until(60, phase, move || {
            let rollouts = rollouts.clone();
            async move { (rollouts.get("shop").await.unwrap().data["status"]["phase"] == phase).then_some(()) }
        })
    };
    is("Healthy").await;
    let params = kube::api::PatchParams::default();
    let template = json!({"spec": {"template": rollout("shop:2")["spec"]["template"]}});
    rollouts
        .patch("shop", &params, &kube::api::Patch::Merge(template))
        .await
        .unwrap();
    is("Degraded").await;
}

/// Looks for the secrets, in every way that they may be written, in all that the controller leaves behind, while it is new;
/// tests/secrets.rs does so again in what all tests leave.
async fn search(world: &World) {
    let mut places = vec![
        ("the log".to_owned(), std::fs::read_to_string(&world.log).unwrap()),
        (
            "the audit log".to_owned(),
            std::fs::read_to_string(&world.audit).unwrap(),
        ),
    ];
    for (group, version, kind) in [
        ("argoproj.io", "v1alpha1", "AnalysisRun"),
        ("argoproj.io", "v1alpha1", "AnalysisTemplate"),
        ("argoproj.io", "v1alpha1", "Rollout"),
        ("apps", "v1", "ReplicaSet"),
        ("batch", "v1", "Job"),
        ("", "v1", "Pod"),
        ("", "v1", "ConfigMap"),
        ("", "v1", "Event"),
        ("events.k8s.io", "v1", "Event"),
    ] {
        let found = world
            .objects(group, version, kind)
            .list(&ListParams::default())
            .await
            .unwrap();
        assert!(
            !found.items.is_empty(),
            "there are objects of kind {group} {kind}"
        );
        let text = serde_json::to_string(&found.items).unwrap();
        places.push((format!("{group} {kind}"), text));
    }
    for (place, text) in &places {
        for line in text.lines() {
            assert_eq!(marker::find(line), None, "{place}: {line}");
        }
    }
}
