//! Every malformed template answers with the path and the reason, before anybody is asked.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the cases are written where they are passed"
)]

use super::check;
use crate::api::analysis::AnalysisRunSpec;
use crate::engine::analysis::{Checks, prepare_run};
use crate::metric::condition;
use crate::metric::provider::supported_providers;
use serde_json::{Value, json};

/// What the API server takes and the controller is to judge: a run's spec. The error is what a person reads.
fn judged(spec: Value) -> Result<(), String> {
    let checks = Checks {
        condition: &condition::check,
        providers: supported_providers(),
        provider: &check,
    };
    let path =
        |error: serde_path_to_error::Error<serde_json::Error>| format!("{}: {}", error.path(), error.inner());
    let spec: AnalysisRunSpec = serde_path_to_error::deserialize(spec).map_err(path)?;
    prepare_run(&spec, &checks)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// A run of one good Prometheus metric, with this merged into the metric.
fn metric(fields: Value) -> Value {
    let mut metric =
        json!({"name": "rate", "provider": {"prometheus": {"address": "http://p:9090", "query": "up"}}});
    merge(&mut metric, fields);
    json!({"metrics": [metric]})
}

fn merge(into: &mut Value, from: Value) {
    match from {
        Value::Object(fields) if into.is_object() => {
            for (name, field) in fields {
                merge(&mut into[name], field);
            }
        }
        other => *into = other,
    }
}

fn prometheus(fields: Value) -> Value {
    metric(json!({"provider": {"prometheus": fields}}))
}

fn web(fields: Value) -> Value {
    let mut web = json!({"url": "http://shop/health"});
    merge(&mut web, fields);
    metric(json!({"provider": {"prometheus": null, "web": web}}))
}

fn job(fields: Value) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let mut job = json!({"spec": {"template": {"spec": pod}}});
    merge(&mut job, fields);
    metric(json!({"provider": {"prometheus": null, "job": job}}))
}

fn with_secret(mut spec: Value) -> Value {
    spec["args"] = json!([
        {"name": "secret", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "plain", "value": "v"},
    ]);
    spec
}

#[test]
fn every_malformed_template_answers_with_the_path_and_the_reason() {
    let auth = |kind: Value| json!({ "authentication": kind });
    let oauth2 = json!({"tokenUrl": "https://t/token", "clientId": "i", "clientSecret": "s"});
    let oauth2_without = |field: &str| {
        let mut oauth2 = oauth2.clone();
        oauth2[field] = json!("");
        auth(json!({ "oauth2": oauth2 }))
    };
    let role = json!({"region": "eu-west-1", "roleArn": "prometheus"});
    let profile = json!({"region": "eu-west-1", "profile": "p"});
    let pod = |fields: Value| job(json!({"spec": {"template": {"spec": fields}}}));
    let secret_in_job = |fields: Value| with_secret(job(fields));
    let rows: Vec<(Value, &str)> = vec![
        // What all metrics have.
        (json!({"metrics": []}), "no metrics specified"),
        (
            json!({"metrics": [{"name": "rate"}]}),
            "metrics[0]: missing field `provider`",
        ),
        (
            metric(json!({"interval": 5})),
            "metrics[0].interval: invalid type: integer `5`, expected a string",
        ),
        (
            metric(json!({"interval": "5"})),
            "metrics[0] (\"rate\"): interval \"5\" is not a duration: a unit is missing",
        ),
        (
            metric(json!({"initialDelay": "-1m"})),
            "metrics[0] (\"rate\"): initialDelay \"-1m\" is negative",
        ),
        (
            metric(json!({"count": 3})),
            "metrics[0] (\"rate\"): interval is required because count is 3",
        ),
        (
            metric(json!({"count": "many"})),
            "metrics[0] (\"rate\"): count is \"many\" and must be a whole number",
        ),
        (
            metric(json!({"failureLimit": "5%"})),
            "metrics[0] (\"rate\"): failureLimit is \"5%\" and must be a whole number",
        ),
        (
            metric(json!({"inconclusiveLimit": -1})),
            "metrics[0] (\"rate\"): inconclusiveLimit is -1 and must not be negative",
        ),
        (
            metric(json!({"consecutiveErrorLimit": -2})),
            "metrics[0] (\"rate\"): consecutiveErrorLimit is -2 and must not",
        ),
        (
            metric(json!({"consecutiveSuccessLimit": -1})),
            "metrics[0] (\"rate\"): consecutiveSuccessLimit is -1 and must not",
        ),
        (
            metric(json!({"successCondition": "result[0] >="})),
            "metrics[0] (\"rate\"): successCondition \"result[0] >=\": \"result[0] >=\": column 13: expected a value",
        ),
        (
            metric(json!({"failureCondition": "resalt > 1"})),
            "metrics[0] (\"rate\"): failureCondition \"resalt > 1\": \"resalt > 1\": column 1: ",
        ),
        (
            metric(json!({"provider": {"prometheus": null}})),
            "metrics[0] (\"rate\"): provider: none is specified",
        ),
        (
            metric(json!({"provider": {"web": {"url": "http://x"}}})),
            "metrics[0] (\"rate\"): provider: exactly one is wanted, and there are prometheus, web",
        ),
        (
            metric(json!({"provider": {"prometheus": null, "datadog": {"query": "q"}}})),
            "metrics[0] (\"rate\"): provider.datadog is not supported by this controller",
        ),
        // Arguments and rules.
        (
            prometheus(json!({"query": "up{pod=\"{{args.pod}}\"}"})),
            "metric \"rate\": there is no argument for {{args.pod}}",
        ),
        (
            prometheus(json!({"query": "{{args.pod"})),
            "metric \"rate\": a placeholder is opened with {{ and never closed",
        ),
        (
            json!({"metrics": metric(json!({}))["metrics"], "args": [{"name": "a"}]}),
            "Unable to resolve metric arguments: argument \"a\" has no value",
        ),
        (
            json!({"metrics": metric(json!({}))["metrics"], "dryRun": [{"metricName": "("}]}),
            "Analysis spec invalid: dryRun[0]: \"(\" is not a regular expression",
        ),
        (
            json!({"metrics": metric(json!({}))["metrics"], "measurementRetention": [{"metricName": "x", "limit": 1}]}),
            "Analysis spec invalid: measurementRetention[0]: \"x\" matches no metric name",
        ),
        // Prometheus.
        (
            prometheus(json!({"address": "prometheus:9090"})),
            "provider.prometheus.address \"prometheus:9090\" is not a valid address: it must begin with http:// or https://",
        ),
        (
            prometheus(json!({"address": "http://user:hunter2@[::"})),
            "provider.prometheus.address \"*****@[::\" is not a valid address: invalid IPv6 address",
        ),
        (
            prometheus(json!({"query": " "})),
            "metrics[0] (\"rate\"): provider.prometheus.query: must be set",
        ),
        (
            prometheus(json!({"timeout": -1})),
            "provider.prometheus.timeout: must not be negative",
        ),
        (
            prometheus(json!({"timeout": "5s"})),
            "metrics[0].provider.prometheus.timeout: invalid type: string",
        ),
        (
            prometheus(json!({"rangeQuery": {"end": "now()", "step": "1m"}})),
            "provider.prometheus.rangeQuery.start: must be set",
        ),
        (
            prometheus(json!({"rangeQuery": {"start": "yesterday", "end": "now()", "step": "1m"}})),
            "provider.prometheus.rangeQuery.start: ",
        ),
        (
            prometheus(json!({"rangeQuery": {"start": "now()", "end": "now()", "step": "0s"}})),
            "provider.prometheus.rangeQuery.step: \"0s\" is not a duration above 0",
        ),
        (
            prometheus(json!({"headers": [{"key": "X Y", "value": ""}]})),
            "provider.prometheus.headers[\"X Y\"]: is not a header name",
        ),
        // Web.
        (
            web(json!({"url": ""})),
            "provider.web.url \"\" is not a valid address: it must begin with http:// or https://",
        ),
        (
            web(json!({"url": "ftp://shop"})),
            "provider.web.url \"ftp://shop\" is not a valid address",
        ),
        (
            web(json!({"method": "DELETE"})),
            "provider.web.method: \"DELETE\" is not one of GET, POST and PUT",
        ),
        (
            web(json!({"body": "x"})),
            "provider.web.method: must be POST or PUT when there is a body",
        ),
        (
            web(json!({"body": "x", "jsonBody": {}})),
            "provider.web: body and jsonBody exclude each other",
        ),
        (
            web(json!({"jsonPath": "{$.a"})),
            "provider.web.jsonPath \"{$.a\": expected `}` (at character 5)",
        ),
        (
            web(json!({"timeoutSeconds": -1})),
            "provider.web.timeoutSeconds: must not be negative",
        ),
        (
            web(json!({"headers": [{"key": "X", "value": "a\nb"}]})),
            "provider.web.headers[\"X\"]: the value holds characters that a header cannot carry",
        ),
        (
            web(auth(json!({"sigv4": {"region": "eu-west-1"}}))),
            "provider.web.authentication.sigv4: no AWS service is known for this host",
        ),
        // Credentials, the same for both.
        (
            web(auth(json!({"basicAuth": {"username": "u"}, "oauth2": oauth2}))),
            "provider.web.authentication: has more than one of basicAuth, oauth2 and sigv4; give one",
        ),
        (
            prometheus(oauth2_without("tokenUrl")),
            "provider.prometheus.authentication.oauth2.tokenUrl: must be set",
        ),
        (
            web(oauth2_without("clientId")),
            "provider.web.authentication.oauth2.clientId: must be set",
        ),
        (
            prometheus(oauth2_without("clientSecret")),
            "provider.prometheus.authentication.oauth2.clientSecret: must be set",
        ),
        (
            prometheus(auth(
                json!({"sigv4": {"profile": "", "region": "", "roleArn": "r"}}),
            )),
            "provider.prometheus.authentication.sigv4.roleArn: \"r\" is not the ARN of a role, such as \
             arn:aws:iam::123456789012:role/prometheus",
        ),
        (
            web(auth(json!({"sigv4": role}))),
            "provider.web.authentication.sigv4.roleArn: \"prometheus\" is not the ARN of a role",
        ),
        (
            web(auth(json!({"sigv4": profile}))),
            "provider.web.authentication.sigv4.profile: is not supported: a container has no file of profiles",
        ),
        // Jobs.
        (job(json!({"spec": null})), "provider.job.spec: must be set"),
        (
            job(json!({"spec": {"template": "pod"}})),
            "provider.job.spec.template: must be an object",
        ),
        (
            job(json!({"spec": {"template": {"spec": null}}})),
            "provider.job.spec.template.spec: must be set",
        ),
        (
            pod(json!({"containers": []})),
            "provider.job.spec.template.spec.containers: must be a list of at least one container",
        ),
        (
            pod(json!({"containers": ["c"]})),
            "provider.job.spec.template.spec.containers[0]: must be an object",
        ),
        (
            pod(json!({"initContainers": {}})),
            "provider.job.spec.template.spec.initContainers: must be a list",
        ),
        (
            pod(json!({"restartPolicy": null})),
            "provider.job.spec.template.spec.restartPolicy: must be set to Never or OnFailure",
        ),
        (
            pod(json!({"restartPolicy": "Always"})),
            "provider.job.spec.template.spec.restartPolicy: is \"Always\" and must be Never or OnFailure",
        ),
        (
            secret_in_job(json!({"metadata": {"labels": {"token": "{{args.secret}}"}}})),
            "provider.job.metadata.labels.token: holds an argument that is a secret",
        ),
        (
            secret_in_job(
                json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:{{args.secret}}"}]}}}}),
            ),
            "provider.job.spec.template.spec.containers[0].image: holds an argument that is a secret",
        ),
    ];
    for (spec, sentence) in rows {
        let said = judged(spec.clone()).expect_err(&format!("taken: {spec}"));
        assert!(said.contains(sentence), "{said}\n  does not say\n{sentence}");
        assert!(
            !said.contains('\n') && !said.contains("hunter2"),
            "one sentence without secrets: {said}"
        );
    }
}

/// A secret may be any text of a metric: what it will be is not known, and so it is not judged.
#[test]
fn a_secret_is_taken_wherever_it_may_stand() {
    let oauth2 = json!({"tokenUrl": "{{args.secret}}", "clientId": "{{args.secret}}", "clientSecret": "{{args.secret}}"});
    let hidden = "{{args.secret}}";
    for spec in [
        prometheus(json!({"address": hidden, "query": hidden, "headers": [{"key": "X", "value": hidden}]})),
        prometheus(
            json!({"address": "http://u:{{args.secret}}@p", "rangeQuery": {"start": hidden, "end": "now()", "step": "1m"}}),
        ),
        prometheus(json!({"authentication": {"basicAuth": {"username": hidden, "password": hidden}}})),
        prometheus(json!({"authentication": {"oauth2": oauth2}})),
        web(
            json!({"url": hidden, "jsonPath": hidden, "method": "POST", "jsonBody": {"{{args.secret}}": hidden}}),
        ),
        web(json!({"authentication": {"oauth2": oauth2}})),
        job(json!({"spec": {"template": {"spec": {"containers": [
            {"name": "c", "command": [hidden], "args": ["--t={{args.secret}}"], "env": [{"name": "T", "value": hidden}]},
        ]}}}})),
        job(json!({"metadata": {"labels": {"a": "{{args.plain}}"}}})),
        metric(json!({"successCondition": "result[0] == \"{{args.secret}}\""})),
    ] {
        assert_eq!(judged(with_secret(spec.clone())), Ok(()), "{spec}");
    }
}
