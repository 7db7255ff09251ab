//! The types lose nothing of what a client writes.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests do")]

use std::fmt::Debug;
use std::path::PathBuf;

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serin::api::analysis::AnalysisTemplate;
use serin::api::crds;
use serin::api::experiment::Experiment;
use serin::api::rollout::{Rollout, RolloutSpec, RolloutStatus};

fn documents(path: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_saphyr::from_multiple(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn one_document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// Decodes, encodes, and compares what comes out with what went in.
fn round_trip<K: DeserializeOwned + Serialize>(document: &Value) -> K {
    let decoded: K = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&decoded).unwrap(), document);
    decoded
}

/// Paths that the schema has and the document has not.
fn missing(schema: &Value, document: &[&Value], path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let values: Vec<_> = document.iter().filter_map(|value| value.get(name)).collect();
        let path = format!("{path}.{name}");
        if values.is_empty() {
            found.push(path);
        } else {
            missing(property, &values, &path, found);
        }
    }
    if schema["items"].is_object() {
        let items: Vec<_> = document
            .iter()
            .filter_map(|value| value.as_array())
            .flatten()
            .collect();
        missing(&schema["items"], &items, &format!("{path}[]"), found);
    }
    if schema["additionalProperties"].is_object() {
        let maps = document.iter().filter_map(|value| value.as_object());
        let values: Vec<_> = maps.flat_map(|map| map.values()).collect();
        missing(
            &schema["additionalProperties"],
            &values,
            &format!("{path}[]"),
            found,
        );
    }
}

fn every_field_survives<K>(path: &str)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + Clone + PartialEq + Debug,
{
    let document = one_document(path);
    let kind = K::kind(&());
    let crd = crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap();
    let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
    let mut forgotten = Vec::new();
    missing(&schema, &[&document], "", &mut forgotten);
    assert_eq!(
        forgotten,
        Vec::<String>::new(),
        "{path} has to have every field of the schema"
    );
    let decoded: K = round_trip(&document);
    assert_eq!(decoded.name_any(), "every-field");
}

#[test]
fn a_rollout_with_every_field_survives() {
    every_field_survives::<Rollout>("tests/wire/rollout.yaml");
}

#[test]
fn an_experiment_with_every_field_survives() {
    every_field_survives::<Experiment>("tests/wire/experiment.yaml");
}

#[test]
fn seeds_survive() {
    let (mut rollouts, mut others) = (0, Vec::new());
    for file in [
        "blue-green",
        "canary-analysis",
        "canary-steps",
        "rolling",
        "argocd-application",
    ] {
        for document in documents(&format!("tests/seeds/{file}.yaml")) {
            match document["kind"].as_str().unwrap() {
                "Rollout" => {
                    let rollout: Rollout = round_trip(&document);
                    assert_eq!(rollout.name_any(), "my-app");
                    rollouts += 1;
                }
                "AnalysisTemplate" => {
                    let template: AnalysisTemplate = round_trip(&document);
                    assert_eq!(template.name_any(), "success-rate");
                }
                other => others.push(other.to_owned()),
            }
        }
    }
    assert_eq!(rollouts, 4);
    assert_eq!(others, ["Application"], "an Application is Argo CD's, not ours");
}

#[test]
fn absent_null_and_empty_decode_alike() {
    let spec = |canary: Value| -> RolloutSpec {
        serde_json::from_value(json!({ "strategy": { "canary": canary } })).unwrap()
    };
    let absent = spec(json!({}));
    assert_eq!(
        spec(json!({ "steps": null, "maxSurge": null, "trafficRouting": null })),
        absent
    );
    assert_eq!(spec(json!({ "steps": [] })), absent);
    assert_eq!(
        serde_json::to_value(&absent).unwrap(),
        json!({ "strategy": { "canary": {} } })
    );
}

#[test]
fn a_mirror_route_without_match_is_not_one_with_an_empty_match() {
    let route = |json: Value| -> Value {
        let spec: RolloutSpec = serde_json::from_value(
            json!({ "strategy": { "canary": { "steps": [{ "setMirrorRoute": json }] } } }),
        )
        .unwrap();
        let step = spec.strategy.unwrap().canary.unwrap().steps.remove(0);
        serde_json::to_value(step.set_mirror_route.unwrap().match_).unwrap()
    };
    assert_eq!(route(json!({ "name": "a" })), Value::Null);
    assert_eq!(route(json!({ "name": "a", "match": [] })), json!([]));
}

#[test]
fn times_are_written_in_utc_to_the_second() {
    let status: RolloutStatus =
        serde_json::from_value(json!({ "abortedAt": "2026-01-02T05:04:05.678+02:00" })).unwrap();
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({ "abortedAt": "2026-01-02T03:04:05Z" })
    );
}

#[test]
fn words_that_we_do_not_know_do_not_break_a_status() {
    let document = json!({ "phase": "Hesitating", "pauseConditions": [
        { "reason": "Tired", "startTime": "2026-01-02T03:04:05Z" }
    ] });
    round_trip::<RolloutStatus>(&document);
}
