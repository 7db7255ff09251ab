//! What a pass wants: intents in order, the new status, the events of its transitions, and when to look again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::analysis::AnalysisRunSpec;
use crate::api::rollout::RolloutStatus;

/// The answer to one look at the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do, in this order; the first failure ends the list and nothing is committed.
    pub intents: Vec<Intent>,
    /// The status to commit when all intents are done.
    pub status: RolloutStatus,
    /// Said once the status is committed.
    pub notices: Vec<Notice>,
    /// The earliest moment at which time alone changes the answer.
    pub wake: Option<Timestamp>,
}

/// An event on the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Reason: one of `names::reasons`.
    pub reason: &'static str,
    /// Whether the type is Warning.
    pub warning: bool,
    /// A sentence for people.
    pub message: String,
}

impl Notice {
    /// An event of type Normal.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Notice {
            reason,
            warning: false,
            message: message.into(),
        }
    }

    /// An event of type Warning.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Notice {
            reason,
            warning: true,
            message: message.into(),
        }
    }
}

/// One change to one object, with what it was decided on: whoever applies it refuses when the world has moved.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Writes the annotations with the revision and the workload's generation, and `spec.replicas` where the user left it out.
    PatchRollout {
        /// The new value of the revision annotation.
        revision: Option<i64>,
        /// The new value of the annotation with the workload's generation.
        workload_generation: Option<WorkloadGeneration>,
        /// The default of `spec.replicas`.
        replicas: Option<i32>,
        /// Said once it is done.
        notices: Vec<Notice>,
    },
    /// Creates the ReplicaSet of a new revision, without pods, under strict field validation: the API server's own
    /// judgement of the template comes before anything moves.
    CreateReplicaSet(Box<NewReplicaSet>),
    /// Scales a ReplicaSet, or changes its annotations.
    PatchReplicaSet(ReplicaSetPatch),
    /// Takes over an orphan that the selector matches.
    AdoptReplicaSet {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Gives up a ReplicaSet that the selector matches no more: it and its pods stay.
    ReleaseReplicaSet {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Deletes an old ReplicaSet that has no pods.
    DeleteReplicaSet {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// The version that was seen without pods.
        resource_version: String,
    },
    /// Points a Service at a ReplicaSet.
    PatchService(ServicePatch),
    /// Asks the API server to evict a pod. It refuses where a PodDisruptionBudget forbids it: that is an answer, not an error.
    EvictPod {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// The version that was looked at.
        resource_version: String,
    },
    /// Changes labels and annotations of a pod.
    PatchPod {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// What changes.
        metadata: MetadataPatch,
    },
    /// Takes pods of the Deployment that `workloadRef` names down.
    ScaleWorkload(WorkloadScale),
    /// Starts an analysis.
    CreateAnalysisRun(Box<NewAnalysisRun>),
    /// Asks a run to stop.
    TerminateAnalysisRun {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Deletes a finished run.
    DeleteAnalysisRun {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// What becomes of the annotation with the workload's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadGeneration {
    /// The workload is of this generation.
    Is(i64),
    /// The Rollout refers to no workload any more.
    Forget,
}

/// A change of the replicas of the Deployment that `workloadRef` names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadScale {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The replicas that it was seen with.
    pub from: i32,
    /// The replicas that it gets.
    pub to: i32,
    /// Said once it is done.
    pub notices: Vec<Notice>,
}

/// The ReplicaSet of a new revision. It is owned by the Rollout and starts with no pods (wire contract 2.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewReplicaSet {
    /// `<rollout>-<hash>`.
    pub name: String,
    /// The hash of its template.
    pub pod_hash: String,
    /// Labels of the object.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the object.
    pub annotations: BTreeMap<String, String>,
    /// Its selector: the Rollout's and the hash.
    pub selector: Value,
    /// Its pods, with the hash label.
    pub template: Value,
    /// Seconds for which a pod has to be ready to count as available.
    pub min_ready_seconds: i32,
    /// Said once it exists.
    pub notices: Vec<Notice>,
}

/// A change to a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSetPatch {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// `spec.replicas` from and to.
    pub scale: Option<(i32, i32)>,
    /// Annotations to set, or with `None` to remove.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Whether the object has any annotation already: a JSON patch cannot add to what is not there.
    pub has_annotations: bool,
    /// Changes to the labels and annotations of its template.
    pub template: MetadataPatch,
    /// The whole of the template's affinity anew; null to remove it.
    pub affinity: Option<Value>,
    /// Whether the template has any annotation already.
    pub has_template_annotations: bool,
    /// The new `spec.minReadySeconds`.
    pub min_ready_seconds: Option<i32>,
    /// Said once it is done.
    pub notices: Vec<Notice>,
}

/// Labels and annotations to set, or with `None` to remove. What is removed was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataPatch {
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
}

impl MetadataPatch {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// A change of whom a Service selects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePatch {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
    /// The pod template hash to select.
    pub pod_hash: String,
    /// The Rollout that manages it from now on.
    pub managed_by: String,
    /// Said once it is done.
    pub notices: Vec<Notice>,
}

/// An analysis of a Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewAnalysisRun {
    /// Its name (wire contract 2.2).
    pub name: String,
    /// Labels of the object.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the object.
    pub annotations: BTreeMap<String, String>,
    /// What to measure.
    pub spec: AnalysisRunSpec,
}
