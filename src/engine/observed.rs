//! What a pass sees of the world: a value, read once, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::analysis::Checks;
use super::services::Services;
use crate::api::analysis::{AnalysisRun, AnalysisTemplateSpec, MetricProvider};
use crate::api::common::PodTemplate;
use crate::api::names::{WorkloadKind, annotations, labels};
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;

/// Everything that [`super::plan`] decides on.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The Rollout as the API server has it. Where it could not be decoded: its metadata and status only.
    pub rollout: Arc<Rollout>,
    /// Why it could not be decoded: one sentence with the field's path.
    pub malformed: Option<String>,
    /// The workload that `workloadRef` names, where it exists.
    pub workload: Option<Arc<Workload>>,
    /// The hashes of the desired template and steps.
    pub identity: Identity,
    /// ReplicaSets owned by this Rollout, orphans that its selector matches, and whichever one stands in the way of the
    /// name of the next.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The pods of these, by the uid of their ReplicaSet.
    pub pods: Pods,
    /// AnalysisRuns owned by this Rollout.
    pub analysis_runs: Vec<Arc<AnalysisRun>>,
    /// The Services that the Rollout refers to, as far as they exist.
    pub services: Services,
    /// The names of the pods that each of these Services leads to, as its EndpointSlices show it.
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// The AnalysisTemplates and ClusterAnalysisTemplates that the Rollout refers to, as far as they exist.
    pub templates: Templates,
    /// What this controller can measure and judge.
    pub abilities: Abilities,
    /// The API server's refusal of a pod template, with the hash of the template that was refused.
    pub refusal: Option<Refusal>,
}

/// Pods by the uid of the ReplicaSet that owns them.
pub type Pods = BTreeMap<String, Vec<Arc<Pod>>>;

/// AnalysisTemplates by name; the flag says whether it is a ClusterAnalysisTemplate.
pub type Templates = BTreeMap<(String, bool), Arc<AnalysisTemplateSpec>>;

/// What this controller can measure and judge; the engine checks templates against it before anything moves.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Whether a text is an expression of the condition language; the error is a sentence.
    pub condition: fn(&str) -> Result<(), String>,
    /// The wire names of the metric providers, such as `prometheus`.
    pub providers: &'static [&'static str],
    /// Whether a provider's fields can be measured with; the error is a sentence with the field's path.
    pub provider: fn(&MetricProvider) -> Result<(), String>,
}

impl Abilities {
    /// What a run is checked against.
    pub fn checks(&self) -> Checks<'_> {
        Checks {
            condition: &self.condition,
            providers: self.providers,
            provider: &self.provider,
        }
    }
}

impl Default for Abilities {
    /// No provider at all.
    fn default() -> Self {
        Abilities {
            condition: |_| Ok(()),
            providers: &[],
            provider: |_| Ok(()),
        }
    }
}

/// The hashes of what the Rollout desires (wire contract 2.1). Values, because they cost time and change rarely.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Of the pod template, with the collision count of the status.
    pub pod_hash: String,
    /// Of the pod template as controllers up to 1.8 computed it.
    pub legacy_pod_hash: String,
    /// Of the steps; empty for blue-green.
    pub step_hash: String,
    /// Of the steps as controllers up to 1.8 computed it.
    pub legacy_step_hash: String,
}

/// Why the API server does not create a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The template is wrong: the user has to correct it.
    Invalid,
    /// Something forbids it, such as a quota or an admission webhook: it may pass later.
    Denied,
}

/// What is read of a workload that a Rollout refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The pods.
    pub template: PodTemplate,
    /// Which pods; a PodTemplate has none.
    pub selector: Option<LabelSelector>,
    /// `spec.replicas` with the API server's default of 1; 0 for a PodTemplate.
    pub replicas: i32,
}

/// The API server refused to create a ReplicaSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether the template is wrong.
    pub kind: RefusalKind,
    /// Hash of the template that was refused.
    pub pod_hash: String,
    /// The API server's words.
    pub message: String,
}

/// The value of a label, or nothing.
pub fn label<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    meta.labels
        .as_ref()
        .and_then(|all| all.get(key))
        .map_or("", String::as_str)
}

/// The value of an annotation, or nothing.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    meta.annotations
        .as_ref()
        .and_then(|all| all.get(key))
        .map_or("", String::as_str)
}

/// The metadata that was injected into a ReplicaSet's template, as recorded on it.
pub fn ephemeral_metadata(meta: &ObjectMeta) -> Option<&str> {
    meta.annotations
        .as_ref()?
        .get(annotations::EPHEMERAL_METADATA)
        .map(String::as_str)
}

/// The pod template hash that an object is labelled with.
pub fn pod_hash(meta: &ObjectMeta) -> &str {
    label(meta, labels::POD_TEMPLATE_HASH)
}

/// The revision that an object is annotated with; 0 when it has none.
pub fn revision(meta: &ObjectMeta) -> i64 {
    annotation(meta, annotations::REVISION).parse().unwrap_or(0)
}

/// The name of an object.
pub fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The uid of an object.
pub fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// Whether `meta` has a controlling owner with this uid.
pub fn is_controlled_by(meta: &ObjectMeta, owner: &str) -> bool {
    controller_uid(meta) == Some(owner)
}

/// The uid of the controlling owner.
pub fn controller_uid(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|o| o.controller == Some(true))
        .map(|o| o.uid.as_str())
}
