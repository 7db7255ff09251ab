//! From what the derive prints to what the contract has.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Formats that the API server knows; it warns of others, such as `uint32`.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// Takes out of every schema what the contract does not have:
///
/// - `nullable`: without it the API server drops a `null` on the way in, so that absent and null are alike;
/// - defaults that say nothing (empty list, empty map, false, 0), which the derive prints for every `serde(default)`;
/// - formats that the API server does not know.
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
    if schema
        .default
        .as_ref()
        .is_some_and(|default| says_nothing(&default.0))
    {
        schema.default = None;
    }
    if schema
        .format
        .as_ref()
        .is_some_and(|format| !FORMATS.contains(&format.as_str()))
    {
        schema.format = None;
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
        .for_each(shape);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => shape(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(shape),
        None => {}
    }
    match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => shape(values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => {}
    }
}

fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            // The default of a struct whose fields all have one, such as `{"weight": 0}`.
            fields.values().all(says_nothing)
        }
    }
}
