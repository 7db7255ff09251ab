//! Value types that more than one kind uses, and how they look in a CRD.

mod metadata;
mod pod_template;
pub mod schema;
mod stored_template;
mod template_schema;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::analysis::{
    AnalysisTemplateRef, Argument, DryRun, FieldRef, MeasurementRetention, SecretKeyRef, ValueFrom,
};
pub(crate) use metadata::without_managed_fields;
pub use pod_template::{ContainerView, PodTemplate};
pub use stored_template::StoredTemplate;

/// Reads an explicit `null` as the default: absent and null are alike on the wire.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Labels and annotations for pods: canary, stable, active and preview metadata, and that of experiment templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplateMetadata {
    /// Labels to put on the pods.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on the pods.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Labels and annotations that an AnalysisRun gets beside its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunMetadata {
    /// Labels to put on the AnalysisRun.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on the AnalysisRun.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// An object in the same namespace, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Name of the object.
    pub name: String,
}

/// How a string is matched. Exactly one of the fields is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StringMatch {
    /// The whole string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The beginning of the string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression, in the syntax of the router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// A condition of a Rollout or of an Experiment. All fields are required on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type, such as `Progressing`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason, in one word.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When the condition was last written.
    pub last_update_time: Time,
    /// When `status` last changed.
    pub last_transition_time: Time,
}

impl Default for Condition {
    /// Empty texts at the Unix epoch, for struct update syntax: every writer sets all of it.
    fn default() -> Self {
        let epoch = Time(jiff::Timestamp::UNIX_EPOCH);
        Self {
            type_: String::new(),
            status: String::new(),
            reason: String::new(),
            message: String::new(),
            last_update_time: epoch.clone(),
            last_transition_time: epoch,
        }
    }
}
