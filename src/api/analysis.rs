//! AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun: what to measure, how to judge it, and what was measured.
//!
//! The three kinds share [`Metric`] and [`Argument`]. A template is only text with placeholders; an AnalysisRun is a
//! template resolved for one moment of one release, plus the record of every measurement.
//!
//! No kind here has a status subresource: the status of an AnalysisRun is an ordinary field of the main resource, so a
//! client may create a run with a status, and writing it raises `metadata.generation`. Therefore use [`crds`] for the
//! definitions, never `AnalysisRun::crd()` alone, which declares the subresource.

mod provider;
mod status;
mod vendor;
mod wire;

#[cfg(test)]
mod tests;

pub use provider::{
    Authentication, BasicAuth, JobMetadata, JobMetric, MetricProvider, OAuth2Config, PrometheusMetric,
    PrometheusRangeQuery, Sigv4Config, WebMetric, WebMetricHeader,
};
pub use status::{AnalysisPhase, AnalysisRunStatus, Measurement, MetricResult, RunSummary};
pub use vendor::{
    CloudWatchMetric, CloudWatchMetricDataQuery, CloudWatchMetricStat, CloudWatchMetricStatMetric,
    CloudWatchMetricStatMetricDimension, DatadogMetric, DatadogSecretRef, GraphiteMetric, InfluxdbMetric,
    KayentaMetric, KayentaScope, KayentaThreshold, NewRelicMetric, ScopeDetail, SkyWalkingMetric,
    WavefrontMetric,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `spec` of an AnalysisTemplate and, wrapped, of a ClusterAnalysisTemplate.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    plural = "analysistemplates",
    shortname = "at",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "AnalysisTemplate says what to measure and how to judge it; Rollouts and Experiments refer to it by name.",
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisTemplateSpec {
    /// What to measure. May be empty when `templates` supplies the metrics.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub metrics: Vec<Metric>,
    /// The arguments that the metrics use as `{{args.name}}`, with defaults.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<Argument>,
    /// Metrics that are measured and shown but never decide.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep, by metric.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Other templates whose metrics and arguments are merged into this one.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub templates: Vec<AnalysisTemplateRef>,
}

/// The `spec` of a ClusterAnalysisTemplate: on the wire exactly an [`AnalysisTemplateSpec`]. It is a type of its own only
/// because one Rust type can be the spec of one kind.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "ClusterAnalysisTemplate",
    plural = "clusteranalysistemplates",
    shortname = "cat",
    derive = "Default",
    derive = "PartialEq",
    doc = "ClusterAnalysisTemplate is an AnalysisTemplate that every namespace may use.",
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(transparent)]
pub struct ClusterAnalysisTemplateSpec(
    /// The template itself.
    pub AnalysisTemplateSpec,
);

/// The `spec` of an AnalysisRun: fully merged metrics, arguments with their values, and what ends or deletes the run.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisRun",
    plural = "analysisruns",
    shortname = "ar",
    namespaced,
    status = "AnalysisRunStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "AnalysisRun measures the metrics of templates with concrete arguments, and records and judges what it measured.",
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "AnalysisRun status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunSpec {
    /// What to measure; names are unique within the run.
    #[serde(deserialize_with = "wire::null_as_default")]
    pub metrics: Vec<Metric>,
    /// The values for `{{args.name}}`. A secret stays a reference here and is read at every measurement.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<Argument>,
    /// True asks the run to stop: nothing new is measured and measurements in flight are cancelled.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub terminate: bool,
    /// Metrics that are measured and shown but never decide.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep, by metric.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// When the finished run deletes itself. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<TtlStrategy>,
}

/// One thing to measure, repeatedly or once, and the limits that judge the measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// The name, unique within a run.
    pub name: String,
    /// Time between measurements, from the end of one to the start of the next (for example 30s, 5m). Absent: measure
    /// once only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Time from the start of the run to the first measurement (for example 30s). Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<String>,
    /// Measurements wanted. Absent: one without an interval, unbounded with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "wire::int_or_string")]
    pub count: Option<IntOrString>,
    /// An expression over `result` that makes a measurement Successful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// An expression over `result` that makes a measurement Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// Failed measurements tolerated; one more fails the metric. Absent: 0. Below 0: never fails by count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "wire::int_or_string")]
    pub failure_limit: Option<IntOrString>,
    /// Inconclusive measurements tolerated; one more makes the metric Inconclusive. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "wire::int_or_string")]
    pub inconclusive_limit: Option<IntOrString>,
    /// Errors in a row tolerated; one more makes the metric an Error. Absent: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "wire::int_or_string")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// Successes in a row that finish the metric early as Successful. Absent or 0: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "wire::int_or_string")]
    pub consecutive_success_limit: Option<IntOrString>,
    /// Where the measurement comes from; exactly one provider.
    pub provider: MetricProvider,
}

/// An argument of a template or a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// The name used in `{{args.name}}`.
    pub name: String,
    /// The value, or in a template its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where to take the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// A source of an argument's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret in the run's namespace, read at every measurement and never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// A field of the Rollout that creates the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// One key of one Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The Secret's name.
    pub name: String,
    /// The key inside it.
    pub key: String,
}

/// A path to a field, such as `metadata.labels['app']`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// The path.
    pub field_path: String,
}

/// Names metrics that are measured and shown but never decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// A regular expression over metric names; one that matches none is an error.
    pub metric_name: String,
}

/// How many measurements to keep for the metrics whose names match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementRetention {
    /// A regular expression over metric names; one that matches none is an error.
    pub metric_name: String,
    /// Measurements kept, in place of 10; a value below 1 is as if not given.
    pub limit: i32,
}

/// A reference to a template by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisTemplateRef {
    /// The name of an AnalysisTemplate in the same namespace, or of a ClusterAnalysisTemplate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// True looks the name up as a ClusterAnalysisTemplate.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub cluster_scope: bool,
}

/// When a finished run deletes itself, in seconds after `status.completedAt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtlStrategy {
    /// For every outcome that has no field of its own here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_after_completion: Option<i32>,
    /// For a Failed run; takes precedence over `secondsAfterCompletion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_after_failure: Option<i32>,
    /// For a Successful run; takes precedence over `secondsAfterCompletion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_after_success: Option<i32>,
}

/// The definitions of the three kinds, without any subresource: status is written on the main resource.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        AnalysisRun::crd(),
        AnalysisTemplate::crd(),
        ClusterAnalysisTemplate::crd(),
    ];
    for version in all.iter_mut().flat_map(|crd| &mut crd.spec.versions) {
        version.subresources = None;
    }
    all
}
