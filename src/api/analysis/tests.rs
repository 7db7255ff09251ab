use super::*;
use serde_json::{Value, json};

/// Every value in a JSON document with its path, such as `/spec/versions/0/name`.
fn walk<'a>(path: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), value));
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                walk(&format!("{path}/{key}"), entry, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}/{index}"), item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn crd(kind: &str) -> Value {
    let all = crds();
    serde_json::to_value(all.iter().find(|crd| crd.spec.names.kind == kind).unwrap()).unwrap()
}

fn schema(kind: &str, path: &str) -> Value {
    let crd = crd(kind);
    let root = "/spec/versions/0/schema/openAPIV3Schema/properties";
    crd.pointer(&format!("{root}{path}"))
        .unwrap_or_else(|| panic!("{kind} has no {path}"))
        .clone()
}

const METRIC: &str = "/spec/properties/metrics/items";

fn provider(path: &str) -> Value {
    schema(
        "AnalysisRun",
        &format!("{METRIC}/properties/provider/properties/{path}"),
    )
}

#[test]
fn the_definitions_are_those_of_the_contract() {
    let cases = [
        (
            "AnalysisRun",
            "analysisruns",
            "ar",
            "Namespaced",
            vec!["Status .status.phase", "Age .metadata.creationTimestamp"],
        ),
        (
            "AnalysisTemplate",
            "analysistemplates",
            "at",
            "Namespaced",
            vec!["Age .metadata.creationTimestamp"],
        ),
        (
            "ClusterAnalysisTemplate",
            "clusteranalysistemplates",
            "cat",
            "Cluster",
            vec!["Age .metadata.creationTimestamp"],
        ),
    ];
    assert_eq!(crds().len(), cases.len());
    for (kind, plural, short, scope, columns) in cases {
        let crd = crd(kind);
        assert_eq!(crd["metadata"]["name"], format!("{plural}.argoproj.io"));
        assert_eq!(
            (&crd["spec"]["group"], &crd["spec"]["scope"]),
            (&json!("argoproj.io"), &json!(scope))
        );
        assert_eq!(crd["spec"]["names"]["shortNames"], json!([short]));
        let versions = crd["spec"]["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 1);
        let version = &versions[0];
        assert_eq!(
            (&version["name"], &version["served"], &version["storage"]),
            (&json!("v1alpha1"), &json!(true), &json!(true))
        );
        assert_eq!(
            version.get("subresources"),
            None,
            "{kind}: status is written on the main resource"
        );
        let seen: Vec<String> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| {
                format!(
                    "{} {}",
                    column["name"].as_str().unwrap(),
                    column["jsonPath"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(seen, columns, "{kind}");
        let size = serde_json::to_string(&crd).unwrap().len();
        assert!(
            size < 262_144,
            "{kind} has {size} bytes and cannot be applied by a plain kubectl apply"
        );
    }
}

#[test]
fn schemas_are_structural_and_write_nothing_back() {
    for kind in ["AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate"] {
        let crd = crd(kind);
        let mut found = Vec::new();
        walk("", &crd["spec"]["versions"], &mut found);
        let mut defaults = Vec::new();
        for (path, value) in found {
            let key = path.rsplit('/').next().unwrap();
            let parent = path.rsplit('/').nth(1).unwrap_or_default();
            if parent == "properties" {
                continue;
            }
            assert!(
                !matches!(
                    key,
                    "$ref" | "anyOf" | "oneOf" | "allOf" | "definitions" | "$defs"
                ),
                "{kind}: {path}"
            );
            assert!(
                key != "format" || value != "uint32" && value != "uint64",
                "{kind}: {path}"
            );
            if key == "default" {
                defaults.push(format!("{parent}={}", value.as_str().unwrap()));
            }
        }
        defaults.sort();
        assert_eq!(
            defaults,
            ["apiVersion=v1", "interval=5m", "requestTimeout=10s"],
            "{kind}: only Datadog has defaults"
        );
    }
}

#[test]
fn what_is_required_and_what_is_free_is_as_the_contract_says() {
    assert_eq!(schema("AnalysisRun", "/spec/required"), json!(["metrics"]));
    assert_eq!(schema("AnalysisRun", "/status/required"), json!(["phase"]));
    for kind in ["AnalysisTemplate", "ClusterAnalysisTemplate"] {
        assert_eq!(schema(kind, "/spec").get("required"), None);
    }
    assert_eq!(
        schema("ClusterAnalysisTemplate", "/spec/properties"),
        schema("AnalysisTemplate", "/spec/properties")
    );
    assert_eq!(
        schema("AnalysisRun", &format!("{METRIC}/required")),
        json!(["name", "provider"])
    );
    assert_eq!(provider("web/required"), json!(["url"]));
    assert_eq!(provider("job/required"), json!(["spec"]));
    assert_eq!(provider("newRelic/required"), json!(["query"]));
    for free in ["job/properties/spec", "plugin", "web/properties/jsonBody"] {
        assert_eq!(
            provider(free)["x-kubernetes-preserve-unknown-fields"],
            json!(true),
            "{free}"
        );
    }
    let counts = [
        "count",
        "failureLimit",
        "inconclusiveLimit",
        "consecutiveErrorLimit",
        "consecutiveSuccessLimit",
    ];
    for count in counts {
        let schema = schema("AnalysisRun", &format!("{METRIC}/properties/{count}"));
        assert_eq!(schema["x-kubernetes-int-or-string"], json!(true), "{count}");
        assert_eq!(schema.get("type"), None, "{count}");
    }
    assert_eq!(
        schema("AnalysisRun", "/status/properties/startedAt")["format"],
        "date-time"
    );
}

/// One metric of each provider, every field set.
fn everything() -> Value {
    let authentication = json!({
        "basicAuth": {"username": "u", "password": "p"},
        "oauth2": {"tokenUrl": "t", "clientId": "i", "clientSecret": "s", "scopes": ["a"]},
        "sigv4": {"region": "r", "profile": "p", "roleArn": "a"},
    });
    let headers = json!([{"key": "k", "value": "v"}]);
    let scope = json!({"scope": "s", "region": "r", "step": 60, "start": "a", "end": "b"});
    let providers = json!({
        "prometheus": {"address": "a", "query": "q", "authentication": authentication, "timeout": 5, "insecure": true,
            "headers": headers, "rangeQuery": {"start": "now() - duration(\"1h\")", "end": "now()", "step": "1m"}},
        "web": {"method": "POST", "url": "u", "headers": headers, "body": "b", "jsonBody": {"a": [1, {"b": null}]},
            "timeoutSeconds": 3, "jsonPath": "{$.a}", "insecure": true, "authentication": authentication},
        "job": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"backoffLimit": 1, "fieldOfTomorrow": {"x": 1}, "template": {"spec": {"containers": []}}}},
        "datadog": {"interval": "5m", "query": "q", "queries": {"a": "b"}, "formula": "a/b", "apiVersion": "v2",
            "requestTimeout": "10s", "aggregator": "l2norm", "secretRef": {"name": "n", "namespaced": true}},
        "newRelic": {"profile": "p", "query": "q", "timeout": 5},
        "wavefront": {"address": "a", "query": "q"},
        "kayenta": {"address": "a", "application": "a", "canaryConfigName": "c", "metricsAccountName": "m",
            "configurationAccountName": "c", "storageAccountName": "s", "threshold": {"pass": 90, "marginal": 75},
            "scopes": [{"name": "n", "controlScope": scope, "experimentScope": scope}], "lookback": true},
        "cloudWatch": {"interval": "30m", "metricDataQueries": [{"id": "i", "expression": "e", "label": "l",
            "metricStat": {"metric": {"dimensions": [{"name": "n", "value": "v"}], "metricName": "m", "namespace": "n"},
                "period": 300, "stat": "Sum", "unit": "u"}, "period": "60", "returnData": false}]},
        "graphite": {"address": "a", "query": "q"},
        "influxdb": {"profile": "p", "query": "q"},
        "skywalking": {"address": "a", "query": "q", "interval": "3m"},
        "plugin": {"ns/name": {"any": [1, "thing"]}},
    });
    let metrics: Vec<Value> = providers
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, config)| {
            json!({"name": name, "interval": "1m", "initialDelay": "5s", "count": "{{args.n}}", "successCondition": "s",
                "failureCondition": "f", "failureLimit": -1, "inconclusiveLimit": 2, "consecutiveErrorLimit": "3",
                "consecutiveSuccessLimit": 4, "provider": {name: config}})
        })
        .collect();
    json!({
        "metrics": metrics,
        "args": [{"name": "n", "value": "5"}, {"name": "s", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "f", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}],
        "dryRun": [{"metricName": ".*"}],
        "measurementRetention": [{"metricName": "a", "limit": 20}],
    })
}

#[test]
fn every_field_survives_a_round_trip() {
    let mut run = everything();
    run["terminate"] = json!(true);
    run["ttlStrategy"] =
        json!({"secondsAfterCompletion": 1, "secondsAfterFailure": 2, "secondsAfterSuccess": 3});
    let status = json!({
        "phase": "Failed", "message": "m", "startedAt": "2024-01-02T03:04:05Z", "completedAt": "2024-01-02T03:04:06Z",
        "runSummary": {"count": 5, "successful": 1, "failed": 2, "inconclusive": 1, "error": 1},
        "dryRunSummary": {"count": 1, "successful": 1},
        "metricResults": [{"name": "a", "phase": "Failed", "message": "m", "dryRun": true, "metadata": {"k": "v"},
            "count": 1, "successful": 2, "failed": 3, "inconclusive": 4, "error": 5, "consecutiveError": 6,
            "consecutiveSuccess": 7, "measurements": [{"phase": "Running", "message": "m", "value": "[1]",
                "startedAt": "2024-01-02T03:04:05Z", "finishedAt": "2024-01-02T03:04:06Z",
                "resumeAt": "2024-01-02T03:04:07Z", "metadata": {"job-name": "j"}}]}],
    });
    let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "r"},
        "spec": run, "status": status});
    let decoded: AnalysisRun = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&decoded).unwrap(), object);

    let mut template = everything();
    template["templates"] = json!([{"templateName": "a"}, {"templateName": "b", "clusterScope": true}]);
    for kind in ["AnalysisTemplate", "ClusterAnalysisTemplate"] {
        let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": "t"}, "spec": template});
        let again = if kind == "AnalysisTemplate" {
            serde_json::to_value(serde_json::from_value::<AnalysisTemplate>(object.clone()).unwrap())
        } else {
            serde_json::to_value(serde_json::from_value::<ClusterAnalysisTemplate>(object.clone()).unwrap())
        };
        assert_eq!(again.unwrap(), object, "{kind}");
    }
}

/// The schema must name every field that the types have, or the API server would prune it.
#[test]
fn the_schema_knows_every_field() {
    fn pruned(schema: &Value, value: &Value, path: &str, lost: &mut Vec<String>) {
        if schema["x-kubernetes-preserve-unknown-fields"] == json!(true) {
            return;
        }
        match value {
            Value::Object(entries) => {
                for (key, entry) in entries {
                    let path = format!("{path}.{key}");
                    match schema["properties"]
                        .get(key)
                        .or(schema.get("additionalProperties"))
                    {
                        Some(inner) => pruned(inner, entry, &path, lost),
                        None => lost.push(path),
                    }
                }
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| pruned(&schema["items"], item, path, lost)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut lost = Vec::new();
    for kind in ["AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate"] {
        pruned(&schema(kind, "/spec"), &everything(), kind, &mut lost);
    }
    assert_eq!(lost, [""; 0]);
}

#[test]
fn nulls_and_empty_phases_of_other_clients_are_read() {
    let spec: AnalysisRunSpec =
        serde_json::from_value(json!({"metrics": null, "args": null, "terminate": null, "dryRun": null}))
            .unwrap();
    assert_eq!(spec, AnalysisRunSpec::default());
    assert_eq!(serde_json::to_value(&spec).unwrap(), json!({"metrics": []}));
    let status: AnalysisRunStatus =
        serde_json::from_value(json!({"phase": "", "metricResults": null})).unwrap();
    assert_eq!(status.phase, AnalysisPhase::Pending);
    assert!(serde_json::from_value::<AnalysisRunStatus>(json!({"phase": "Weird"})).is_err());
    let template: AnalysisTemplate =
        serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": {}, "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate"}))
            .unwrap();
    assert_eq!(serde_json::to_value(&template).unwrap()["spec"], json!({}));
}

#[test]
fn phases_know_when_they_are_final() {
    use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
    for phase in [Pending, Running, Successful, Failed, Error, Inconclusive] {
        assert_eq!(serde_json::to_value(phase).unwrap(), json!(phase.to_string()));
        assert_eq!(phase.is_completed(), !matches!(phase, Pending | Running));
    }
}
