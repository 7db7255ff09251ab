//! The CRD schema of a pod template: unknown fields are kept, and the lists that a Deployment merges by key are declared.
//!
//! What is declared, and nothing else:
//! - every list of `core/v1` PodSpec that is a map, with its keys, so that server-side apply merges as for a Deployment;
//! - maps that are replaced as a whole there (`nodeSelector`);
//! - the text fields that people get wrong most often (an environment value without quotes), so that the API server
//!   says so at once. All else is judged by the dry run of the ReplicaSet.
//!
//! A key of a list map needs to be required or to have a default: the only defaults are the ones that a Deployment
//! has too (protocol `TCP`, an empty name of a pull secret).

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

/// The schema of a pod template.
pub(super) fn pod_template() -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "metadata": object(&[], json!({ "labels": string_map(), "annotations": string_map() })),
            "spec": pod_spec(),
        }
    })
}

fn pod_spec() -> Value {
    object(
        &["containers"],
        json!({
            "containers": list_map(&["name"], container()),
            "initContainers": list_map(&["name"], container()),
            "ephemeralContainers": list_map(&["name"], container()),
            "volumes": named(),
            "imagePullSecrets": list_map(&["name"], object(&[], json!({ "name": { "type": "string", "default": "" } }))),
            "hostAliases": list_map(&["ip"], keyed(&["ip"])),
            "topologySpreadConstraints": list_map(
                &["topologyKey", "whenUnsatisfiable"],
                keyed(&["topologyKey", "whenUnsatisfiable"]),
            ),
            "resourceClaims": named(),
            "schedulingGates": named(),
            "resources": resources(),
            "nodeSelector": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "additionalProperties": { "type": "string" },
            },
        }),
    )
}

fn container() -> Value {
    object(
        &["name"],
        json!({
            "name": { "type": "string" },
            "image": { "type": "string" },
            "command": strings(),
            "args": strings(),
            "env": list_map(
                &["name"],
                object(&["name"], json!({ "name": { "type": "string" }, "value": { "type": "string" } })),
            ),
            "ports": list_map(&["containerPort", "protocol"], object(&["containerPort"], json!({
                "containerPort": { "type": "integer", "format": "int32" },
                "protocol": { "type": "string", "default": "TCP" },
            }))),
            "volumeMounts": list_map(&["mountPath"], keyed(&["mountPath"])),
            "volumeDevices": list_map(&["devicePath"], keyed(&["devicePath"])),
            "resources": resources(),
        }),
    )
}

fn resources() -> Value {
    object(&[], json!({ "claims": named() }))
}

/// A list whose entries are told apart by their name.
fn named() -> Value {
    list_map(&["name"], keyed(&["name"]))
}

/// An object of which only the given text fields, all required, are known.
fn keyed(keys: &[&str]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), json!({ "type": "string" })))
        .collect();
    object(keys, Value::Object(properties))
}

/// An object that keeps the fields that are not declared.
fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    schema["properties"] = properties;
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A list that is merged by the given keys of its entries.
fn list_map(keys: &[&str], items: Value) -> Value {
    let mut schema =
        json!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys });
    schema["items"] = items;
    schema
}

fn strings() -> Value {
    json!({ "type": "array", "x-kubernetes-list-type": "atomic", "items": { "type": "string" } })
}

fn string_map() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}
