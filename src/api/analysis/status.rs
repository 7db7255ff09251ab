//! The record of a run: phases, measurements and their counts.

use super::wire;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a run, a metric or a measurement stands.
///
/// The empty string, which some clients write before anything happened, reads as Pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AnalysisPhase {
    /// Nothing was measured yet.
    #[default]
    #[serde(alias = "")]
    Pending,
    /// Measuring.
    Running,
    /// Finished, and good.
    Successful,
    /// Finished, and bad.
    Failed,
    /// Could not be measured.
    Error,
    /// Finished, neither good nor bad: a person decides.
    Inconclusive,
}

impl AnalysisPhase {
    /// Whether nothing more happens: Successful, Failed, Error or Inconclusive.
    pub const fn is_completed(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Successful | Self::Failed | Self::Error | Self::Inconclusive => true,
        }
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
        }
    }
}

impl fmt::Display for AnalysisPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for AnalysisPhase {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnalysisPhase".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        wire::phase(generator)
    }
}

/// The `status` of an AnalysisRun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatus {
    /// The verdict of the run so far.
    pub phase: AnalysisPhase,
    /// Why the phase is what it is, when that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// One entry for each metric that was measured.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub metric_results: Vec<MetricResult>,
    /// When the run was assessed for the first time; every `initialDelay` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the run finished; `ttlStrategy` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// The deciding metrics, counted by outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_summary: Option<RunSummary>,
    /// The dry-run metrics, counted by outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
}

/// How many metrics there are and how many ended in each way. These are counts of metrics, not of measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// All metrics of this kind (deciding or dry-run).
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub count: i32,
    /// Metrics that ended Successful.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub successful: i32,
    /// Metrics that ended Failed.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub failed: i32,
    /// Metrics that ended Inconclusive.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub inconclusive: i32,
    /// Metrics that ended in Error.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub error: i32,
}

/// The measurements of one metric, their counts, and the metric's verdict. The counts cover every measurement ever
/// taken; `measurements` keeps only the newest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    /// The metric's name.
    pub name: String,
    /// The metric's verdict so far.
    pub phase: AnalysisPhase,
    /// The newest measurements, oldest first.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub measurements: Vec<Measurement>,
    /// Why the metric ended as it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Measurements that finished without an error.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub count: i32,
    /// Successful measurements.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub successful: i32,
    /// Failed measurements.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub failed: i32,
    /// Inconclusive measurements.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub inconclusive: i32,
    /// Measurements that ended in an error.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub error: i32,
    /// Errors since the last measurement without one.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub consecutive_error: i32,
    /// Successes since the last measurement that was none.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub consecutive_success: i32,
    /// Whether the metric is only shown and never decides.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub dry_run: bool,
    /// What the provider says of the metric as a whole, such as the resolved query.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
}

/// One measurement, in flight or finished.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// The judgement of this measurement alone.
    pub phase: AnalysisPhase,
    /// Why, when that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it finished; absent while it is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What was measured, as text; structured results are JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the provider needs to find the measurement again, such as the name of a Job.
    #[serde(
        default,
        deserialize_with = "wire::null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
    /// When to look again at a measurement that is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Time>,
}
