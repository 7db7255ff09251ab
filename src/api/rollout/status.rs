//! How far a Rollout has come: all state is here, none is in the memory of a controller.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::common::{Condition, null_as_default, schema};

/// A condition of a Rollout.
pub type RolloutCondition = Condition;

/// How far a Rollout has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// `metadata.generation` of the last full pass, in decimal. A string, for the sake of older clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<String>,
    /// Generation of the referenced workload that was last used; absent for an inline template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_observed_generation: Option<String>,
    /// `Healthy`, `Degraded`, `Progressing` or `Paused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why the phase is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Pods of all ReplicaSets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Pods of the new ReplicaSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
    /// Ready pods: canary of all ReplicaSets, blue-green of the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Available pods: canary of all ReplicaSets, blue-green of the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<i32>,
    /// Pods that an autoscaler counts: canary of all ReplicaSets, blue-green of the active one.
    #[serde(rename = "HPAReplicas", skip_serializing_if = "Option::is_none")]
    pub hpa_replicas: Option<i32>,
    /// Label selector of the pods that an autoscaler counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Pod template hash of the new ReplicaSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_pod_hash: Option<String>,
    /// Pod template hash of the ReplicaSet that was promoted last.
    #[serde(rename = "stableRS", skip_serializing_if = "Option::is_none")]
    pub stable_rs: Option<String>,
    /// Index of the step that runs; the number of steps when all are done. Absent without steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Hash of the steps, so that a change of them is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_hash: Option<String>,
    /// Fingerprint of the template that `currentPodHash` was found for. Serin's own field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_fingerprint: Option<String>,
    /// How often a hash met a foreign ReplicaSet of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Whether the update is aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<bool>,
    /// Since when the update is aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<Time>,
    /// Whether steps, pauses and analyses are skipped until the new version is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote_full: Option<bool>,
    /// Why the rollout pauses. Emptied by a user to resume it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pause_conditions: Vec<PauseCondition>,
    /// Whether the controller, not a user, paused. Stays true after a user emptied the pause conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_pause: Option<bool>,
    /// The last `restartAt` that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// Conditions.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub conditions: Vec<RolloutCondition>,
    /// State of a canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStatus>,
    /// State of a blue-green rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStatus>,
    /// AWS resources of the one Ingress, when weights are verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<AlbStatus>,
    /// AWS resources of each of several Ingresses, when weights are verified.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub albs: Vec<AlbStatus>,
    /// How long the update took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<RolloutDuration>,
}

/// Why the rollout pauses, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    /// `CanaryPauseStep`, `BlueGreenPause`, `InconclusiveAnalysisRun` or `InconclusiveExperiment`.
    pub reason: String,
    /// Since when.
    pub start_time: Time,
}

impl Default for PauseCondition {
    /// No reason at the Unix epoch, for struct update syntax: every writer sets both.
    fn default() -> Self {
        Self {
            reason: String::new(),
            start_time: Time(jiff::Timestamp::UNIX_EPOCH),
        }
    }
}

/// State of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The AnalysisRun of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// The AnalysisRun beside the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// Name of the Experiment of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_experiment: Option<String>,
    /// The weights that were last written to the router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
    /// `ping` or `pong`: which of the two Services is stable now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<String>,
    /// State of the plugin steps.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub step_plugin_statuses: Vec<StepPluginStatus>,
    /// When the current step was entered. Serin's own field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Time>,
    /// The step that `stepStartedAt` speaks of. Where it is not `currentStepIndex`, a client moved the cursor. Serin's own
    /// field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_started_index: Option<i32>,
    /// Since when there are too many failing new pods for `failFast`. Serin's own field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods_failing_since: Option<Time>,
}

/// State of a blue-green rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenStatus {
    /// Pod template hash in the selector of the preview Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_selector: Option<String>,
    /// Pod template hash in the selector of the active Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_selector: Option<String>,
    /// Whether the new version has left `previewReplicaCount` for its full size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_preview_check_point: Option<bool>,
    /// The AnalysisRun before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// The AnalysisRun after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<AnalysisRunStatusRef>,
    /// Since when there are too many failing new pods for `failFast`. Serin's own field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods_failing_since: Option<Time>,
}

/// An AnalysisRun and what it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatusRef {
    /// Name of the AnalysisRun.
    #[serde(default)]
    pub name: String,
    /// Its phase; empty before it has one.
    #[serde(default)]
    pub status: String,
    /// Its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The weights that were last written to the router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWeights {
    /// The canary's.
    #[serde(default)]
    pub canary: WeightDestination,
    /// The stable pods'.
    #[serde(default)]
    pub stable: WeightDestination,
    /// Those of the ReplicaSets of an experiment.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub additional: Vec<WeightDestination>,
    /// Whether the router has taken them; absent where the router cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// A weight and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightDestination {
    /// Share of traffic: 0 to `maxTrafficWeight`.
    #[serde(default)]
    pub weight: i32,
    /// Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Pod template hash of the ReplicaSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template_hash: Option<String>,
}

/// State of a plugin step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPluginStatus {
    /// Index of the step.
    #[serde(default)]
    pub index: i32,
    /// Name of the plugin.
    #[serde(default)]
    pub name: String,
    /// `Run`, `Terminate` or `Abort`.
    #[serde(default)]
    pub operation: String,
    /// `Running`, `Successful`, `Failed` or `Error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What the plugin says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the operation began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the plugin was last called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// When the operation ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How long to wait until the next call, such as `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// How often the plugin was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions: Option<i32>,
    /// Whether the plugin is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// State of the plugin's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::free_value")]
    pub status: Option<Value>,
}

/// AWS resources behind an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlbStatus {
    /// Name of the Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// The load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<AwsResourceRef>,
    /// Target group of the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_target_group: Option<AwsResourceRef>,
    /// Target group of the stable pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_target_group: Option<AwsResourceRef>,
}

/// An AWS resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsResourceRef {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Resource name in AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Name as CloudWatch has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

/// How long the update took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDuration {
    /// When the update began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<Time>,
    /// When the pause by a user that still lasts began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<Time>,
    /// Seconds of all ended pauses by a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_manual_pause_duration_seconds: Option<i64>,
    /// When the update ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// `Promoted`, `FastPromoted`, `Aborted`, `Superseded`, `RolledBack` or `FastRolledBack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_status: Option<String>,
}
