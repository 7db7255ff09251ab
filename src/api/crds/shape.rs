//! From what the derive prints to what the contract has.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Formats that the API server knows; it warns of others, such as `uint32`.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// Takes out of every schema what the contract does not have, and what a reader of `kubectl explain` cannot follow:
///
/// - `nullable`: without it the API server drops a `null` on the way in, so that absent and null are alike;
/// - defaults that say nothing (empty text, list or map, false, 0), which the derive prints for each `serde(default)`;
///   the key of a list map keeps its own, for it needs one;
/// - formats that the API server does not know;
/// - the brackets of links between our own docs.
pub(super) fn to_contract(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            shape(schema);
        }
    }
    crd
}

fn shape(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = description.replace("[`", "`").replace("`]", "`");
    }
    schema.default.take_if(|default| says_nothing(&default.0));
    schema
        .format
        .take_if(|format| !FORMATS.contains(&format.as_str()));
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        shape(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => {
            let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
            let defaults: Vec<_> = keys
                .iter()
                .filter_map(|key| Some((key, default_of(items, key)?)))
                .collect();
            shape(items);
            for (key, default) in defaults {
                if let Some(property) = items.properties.as_mut().and_then(|all| all.get_mut(key)) {
                    property.default = Some(default);
                }
            }
        }
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(shape),
        None => {}
    }
    match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => shape(values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => {}
    }
}

fn default_of(schema: &JSONSchemaProps, property: &str) -> Option<JSON> {
    schema.properties.as_ref()?.get(property)?.default.clone()
}

/// Whether a default is what its absence means too; for a struct: whether all of its fields are.
fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}
