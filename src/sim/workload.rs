//! The Deployment that `workloadRef` names, as far as a Rollout has to do with it; and single pods, as they are shown.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde_json::json;

use super::apply::{Kind, Refused, Write};
use super::cluster::{Cluster, WORKLOAD};
use super::pods::image_of;
use crate::api::pod::{ContainerTrouble, Pod, Ready};
use crate::engine::observed::{self, Workload};
use crate::engine::plan::WorkloadScale;

impl Cluster {
    /// The replicas that the workload has now; 0 where there is none.
    pub fn workload_replicas(&self) -> i64 {
        self.workloads
            .get(WORKLOAD)
            .map_or(0, |workload| i64::from(workload.replicas))
    }

    /// A guarded patch of the scale: refused where the Deployment has another number by now.
    pub(super) fn scale_workload(&mut self, scale: &WorkloadScale) -> Result<Write, Refused> {
        let mut workload = Workload::clone(self.workloads.get(WORKLOAD).ok_or(Refused::Missing)?);
        if workload.uid != scale.uid || workload.replicas != scale.from {
            return Err(Refused::Moved);
        }
        workload.replicas = scale.to;
        workload.generation += 1;
        self.workloads.put(WORKLOAD, workload);
        Ok(Write {
            kind: Kind::Workload,
            name: scale.name.clone(),
            version: 0,
            created: false,
        })
    }

    /// The user applies the workload with another image.
    pub(super) fn set_workload_image(&mut self, image: &str) {
        let Some(workload) = self.workloads.get(WORKLOAD) else {
            return;
        };
        let mut workload = Workload::clone(workload);
        workload.template.0["spec"]["containers"][0]["image"] = json!(image);
        if self.workloads.get(WORKLOAD).map(AsRef::as_ref) != Some(&workload) {
            workload.generation += 1;
            self.workloads.put(WORKLOAD, workload);
        }
    }

    /// An eviction: the pod goes, and its ReplicaSet replaces it.
    pub(super) fn evict(&mut self, name: &str, uid: &str) -> Result<Write, Refused> {
        let done = Write {
            kind: Kind::Pod,
            name: name.to_owned(),
            version: 0,
            created: false,
        };
        // One that is gone already is what was wanted.
        let Some(pod) = self.shown_pods.get(name) else {
            return Ok(done);
        };
        if observed::uid(&pod.metadata) != uid {
            return Err(Refused::Moved);
        }
        let mut owner = None;
        for (replica_set, pods) in &mut self.pods {
            let before = pods.all.len();
            pods.all.retain(|pod| pod.name != name);
            if pods.all.len() < before {
                owner = Some(replica_set.clone());
            }
        }
        if let Some(owner) = owner {
            self.wake_pods(&owner);
            self.pods_changed(&owner);
        }
        Ok(done)
    }

    /// Brings the objects of the pods of a ReplicaSet up to date, where single pods are shown.
    pub(super) fn show_pods(&mut self, replica_set: &str) {
        if !self.setup.shows_pods {
            return;
        }
        let wanted = self.pod_objects(replica_set);
        let prefix = format!("{replica_set}-");
        let gone: Vec<String> = self
            .shown_pods
            .all()
            .filter(|(name, _)| name.starts_with(&prefix) && !wanted.iter().any(|(wanted, _)| wanted == name))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in gone {
            self.shown_pods.remove(&name);
        }
        for (name, mut pod) in wanted {
            let known = self.shown_pods.get(&name);
            let version = known.and_then(|known| known.metadata.resource_version.clone());
            pod.metadata.resource_version = version;
            if known.map(AsRef::as_ref) != Some(&pod) {
                pod.metadata.resource_version = Some(self.next_version());
                self.shown_pods.put(&name, pod);
            }
        }
    }

    fn pod_objects(&self, replica_set: &str) -> Vec<(String, Pod)> {
        let (Some(rs), Some(pods)) = (self.replica_sets.get(replica_set), self.pods.get(replica_set)) else {
            return Vec::new();
        };
        let owner = OwnerReference {
            kind: "ReplicaSet".to_owned(),
            name: replica_set.to_owned(),
            uid: observed::uid(&rs.metadata).to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        let object = |pod: &super::pods::Pod| {
            let is_true = pod.is_ready(self.now);
            let second = |at| Time(crate::engine::duration::whole_second(at));
            let trouble = pod.crashes.then(|| ContainerTrouble {
                name: "main".to_owned(),
                image: image_of(rs),
                waiting: "CrashLoopBackOff".to_owned(),
                message: String::new(),
                restarts: 3,
                ended: Some((1, "Error".to_owned())),
            });
            Pod {
                metadata: ObjectMeta {
                    name: Some(pod.name.clone()),
                    namespace: Some("default".to_owned()),
                    uid: Some(format!("uid-{}", pod.name)),
                    creation_timestamp: Some(second(pod.created)),
                    owner_references: Some(vec![owner.clone()]),
                    ..ObjectMeta::default()
                },
                phase: "Running".to_owned(),
                ready: Some(Ready {
                    is_true,
                    since: pod.ready.filter(|_| is_true).map(second),
                }),
                containers: trouble.into_iter().collect(),
                ..Pod::default()
            }
        };
        pods.all
            .iter()
            .map(|pod| (pod.name.clone(), object(pod)))
            .collect()
    }
}
