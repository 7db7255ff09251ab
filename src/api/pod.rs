//! The Pod as Serin keeps it in memory. There are more pods than anything else, so that only what a pass decides on is
//! kept: all else is dropped while the object is read off the wire.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::Deserialize;

use super::common::without_managed_fields;

/// A `v1` Pod, read only.
#[derive(Resource, Clone, Debug, Default, PartialEq, Deserialize)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
#[serde(from = "Wire")]
pub struct Pod {
    /// Name, namespace, uid, version, owner, times of creation and deletion. Labels and annotations are in `marks`.
    pub metadata: ObjectMeta,
    /// Its labels and annotations, to be asked for one by one.
    pub marks: Marks,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// The condition Ready; absent until the kubelet has seen the pod.
    pub ready: Option<Ready>,
    /// Why the scheduler finds no node: its words. Absent where it found one, or has not looked yet.
    pub unschedulable: Option<String>,
    /// Whether an eviction was granted that has not become a deletion yet.
    pub is_evicted: bool,
    /// The containers that wait or have failed, those of initialisation first; none of a pod that is well.
    pub containers: Vec<ContainerTrouble>,
}

/// The condition Ready of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whether it is.
    pub is_true: bool,
    /// Since when.
    pub since: Option<Time>,
}

/// A container that waits or has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerTrouble {
    /// Its name.
    pub name: String,
    /// Its image as the pod names it.
    pub image: String,
    /// Why it waits, such as `ImagePullBackOff`; empty while it does not wait.
    pub waiting: String,
    /// The kubelet's words on that.
    pub message: String,
    /// How often it was started again.
    pub restarts: i32,
    /// The exit code of its last end, and the kubelet's word for it, such as `OOMKilled`.
    pub ended: Option<(i32, String)>,
}

impl Pod {
    /// Whether it is on its way out.
    pub fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || self.is_evicted
    }

    /// Whether it is ready and stays.
    pub fn is_ready(&self) -> bool {
        !self.is_going() && self.ready.as_ref().is_some_and(|ready| ready.is_true)
    }
}

/// Labels and annotations as a set of fingerprints, 64 bits for each key and each pair: enough to ask whether one is there,
/// a tenth of the memory, and no text of the user's in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Box<[u64]>);

impl Marks {
    /// The fingerprints of these labels and annotations.
    pub fn new(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Self {
        let pairs = |kind, map: &BTreeMap<String, String>| {
            map.iter()
                .flat_map(|(key, value)| [fingerprint(kind, key, None), fingerprint(kind, key, Some(value))])
                .collect::<Vec<_>>()
        };
        let mut all = pairs(b'l', labels);
        all.extend(pairs(b'a', annotations));
        all.sort_unstable();
        Marks(all.into_boxed_slice())
    }

    /// Whether there is a label of this key, and of this value where one is given.
    pub fn has_label(&self, key: &str, value: Option<&str>) -> bool {
        self.0.binary_search(&fingerprint(b'l', key, value)).is_ok()
    }

    /// Whether there is an annotation of this key, and of this value where one is given.
    pub fn has_annotation(&self, key: &str, value: Option<&str>) -> bool {
        self.0.binary_search(&fingerprint(b'a', key, value)).is_ok()
    }
}

/// FNV-1a with 64 bits over the parts, told apart by a byte that occurs in no text.
fn fingerprint(kind: u8, key: &str, value: Option<&str>) -> u64 {
    let separator = value.map(|_| 0xff);
    let bytes = std::iter::once(kind)
        .chain(key.bytes())
        .chain(separator)
        .chain(value.unwrap_or_default().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What of a Pod is read off the wire. Everything else, `managedFields` and the spec above all, is skipped unread.
#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "without_managed_fields")]
    metadata: ObjectMeta,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    conditions: Vec<WireCondition>,
    #[serde(default)]
    init_container_statuses: Vec<WireContainer>,
    #[serde(default)]
    container_statuses: Vec<WireContainer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    last_transition_time: Option<Time>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    restart_count: i32,
    #[serde(default)]
    state: WireState,
    #[serde(default)]
    last_state: WireState,
}

#[derive(Default, Deserialize)]
struct WireState {
    waiting: Option<WireWaiting>,
    terminated: Option<WireTerminated>,
}

#[derive(Deserialize)]
struct WireWaiting {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTerminated {
    exit_code: i32,
    #[serde(default)]
    reason: String,
}

impl From<Wire> for Pod {
    fn from(Wire { metadata, status }: Wire) -> Self {
        let mut owners = metadata.owner_references.into_iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true));
        let condition = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_);
        let unschedulable = condition("PodScheduled")
            .filter(|c| c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))
            .map(|c| c.message.clone().unwrap_or_default());
        let ready = condition("Ready").map(|c| Ready {
            is_true: c.status == "True",
            since: c.last_transition_time.clone(),
        });
        let is_evicted = condition("DisruptionTarget").is_some_and(|c| c.status == "True");
        let containers = status
            .init_container_statuses
            .into_iter()
            .chain(status.container_statuses)
            .filter_map(trouble)
            .collect();
        let marks = Marks::new(
            &metadata.labels.unwrap_or_default(),
            &metadata.annotations.unwrap_or_default(),
        );
        Pod {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                creation_timestamp: metadata.creation_timestamp,
                deletion_timestamp: metadata.deletion_timestamp,
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            marks,
            phase: status.phase,
            ready,
            unschedulable,
            is_evicted,
            containers,
        }
    }
}

/// What there is to say of a container; nothing of one that runs and never failed, nor of one that is being started.
fn trouble(container: WireContainer) -> Option<ContainerTrouble> {
    let WireContainer {
        name,
        image,
        restart_count,
        state,
        last_state,
    } = container;
    let (waiting, message) = match state.waiting {
        Some(WireWaiting { reason, message })
            if !["ContainerCreating", "PodInitializing"].contains(&&*reason) =>
        {
            (reason, message)
        }
        Some(_) | None => (String::new(), String::new()),
    };
    let ended = state
        .terminated
        .or(last_state.terminated)
        .map(|t| (t.exit_code, t.reason));
    let failed = ended.as_ref().is_some_and(|(code, _)| *code != 0);
    (!waiting.is_empty() || failed).then_some(ContainerTrouble {
        name,
        image,
        waiting,
        message,
        restarts: restart_count,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pod_that_is_well_keeps_next_to_nothing() {
        let pod = pod(json!({
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generateName": "a-",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "a"}, "annotations": {"note": "long"}, "managedFields": [{"manager": "kubelet"}],
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "1"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "2", "controller": true},
                ],
            },
            "spec": {"containers": [{"name": "app"}]},
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
                    {"type": "PodScheduled", "status": "True"},
                ],
                "containerStatuses": [{"name": "app", "image": "a:v1", "restartCount": 0, "state": {"running": {}}}],
            },
        }));
        assert!(pod.is_ready() && pod.containers.is_empty() && pod.unschedulable.is_none());
        let meta = &pod.metadata;
        assert_eq!(
            meta.owner_references.as_ref().unwrap().len(),
            1,
            "the controller only"
        );
        assert!(meta.labels.is_none() && meta.annotations.is_none() && meta.managed_fields.is_none());
        assert!(pod.marks.has_label("app", None) && pod.marks.has_label("app", Some("a")));
        assert!(!pod.marks.has_label("app", Some("b")) && !pod.marks.has_label("note", None));
        assert!(
            pod.marks.has_annotation("note", Some("long")) && !pod.marks.has_annotation("app", Some("a"))
        );
    }

    #[test]
    fn containers_that_fail_and_pods_without_a_node_are_kept() {
        let pod = pod(json!({
            "metadata": {"name": "a"},
            "status": {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes"},
                    {"type": "DisruptionTarget", "status": "True"},
                ],
                "initContainerStatuses": [
                    {"name": "done", "state": {"terminated": {"exitCode": 0}}},
                    {"name": "init", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                     "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}},
                ],
                "containerStatuses": [
                    {"name": "app", "state": {"waiting": {"reason": "PodInitializing"}}},
                    {"name": "side", "image": "s:v9", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}},
                ],
            },
        }));
        assert_eq!(pod.unschedulable.as_deref(), Some("0/5 nodes"));
        assert!(pod.is_going() && !pod.is_ready(), "an eviction was granted");
        let names: Vec<&str> = pod.containers.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["init", "side"]);
        assert_eq!(pod.containers[0].ended, Some((3, "Error".to_owned())));
    }
}
