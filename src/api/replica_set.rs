//! The ReplicaSet as Serin keeps it in memory: what it decides on and no more, with the pod template as text.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::common::{StoredTemplate, without_managed_fields};

/// An `apps/v1` ReplicaSet, read only: it is never written back whole, so that no field can be lost.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::apps::v1::ReplicaSet)]
pub struct ReplicaSet {
    /// Name, labels, annotations, owner.
    #[serde(deserialize_with = "without_managed_fields")]
    pub metadata: ObjectMeta,
    /// How many pods, and which.
    #[serde(default)]
    pub spec: ReplicaSetSpec,
    /// What there is of them.
    #[serde(default)]
    pub status: ReplicaSetStatus,
}

/// The part of `spec` that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetSpec {
    /// Desired pods; the API server defaults it to 1.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// Seconds for which a pod has to be ready to count as available.
    #[serde(default)]
    pub min_ready_seconds: Option<i32>,
    /// The pods.
    #[serde(default)]
    pub template: StoredTemplate,
}

/// The part of `status` that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetStatus {
    /// Pods that exist and do not terminate.
    #[serde(default)]
    pub replicas: i32,
    /// Of these, ready ones.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Of these, ones that have been ready for `minReadySeconds`.
    #[serde(default)]
    pub available_replicas: i32,
    /// The generation that this status answers.
    #[serde(default)]
    pub observed_generation: i64,
    /// Such as ReplicaFailure: pods cannot be created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ReplicaSetCondition>,
}

/// A condition of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetCondition {
    /// `ReplicaFailure` is the only one that there is.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason in one word.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people, such as the words of an exceeded quota.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    #[serde(default)]
    pub last_transition_time: Option<Time>,
}
