//! Carrying out intents as the controller does: each is one guarded call, refused when the world moved.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::pods::Pods;
use crate::api::analysis::AnalysisRun;
use crate::api::common::PodTemplate;
use crate::api::names::annotations;
use crate::api::replica_set::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};
use crate::api::rollout::RolloutStatus;
use crate::engine::observed;
use crate::engine::plan::{Intent, NewAnalysisRun, NewReplicaSet, ReplicaSetPatch, WorkloadGeneration};

/// The kinds that a pass writes and reads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The Rollout.
    Rollout,
    /// A ReplicaSet.
    ReplicaSet,
    /// An AnalysisRun.
    AnalysisRun,
    /// A Service.
    Service,
    /// The EndpointSlice of a Service.
    EndpointSlice,
    /// A Pod.
    Pod,
    /// The Deployment that `workloadRef` names.
    Workload,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Rollout,
        Kind::ReplicaSet,
        Kind::AnalysisRun,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Pod,
        Kind::Workload,
    ];
}

/// A write that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What kind of object was written.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The resourceVersion that it has now; 0 where it was deleted.
    pub version: u64,
    /// Whether it was created: a cache that does not have it has not seen it yet.
    pub created: bool,
}

/// A call that the API server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is another object of that name already.
    Exists,
    /// There is no such object.
    Missing,
    /// The object is no longer what the intent was decided on: another uid, size or version.
    Moved,
    /// The pod template is wrong; the words are the API server's.
    Template(String),
}

impl Cluster {
    /// Carries out one intent. `version` is the resourceVersion of the Rollout that it was decided on.
    pub fn apply(&mut self, intent: &Intent, version: &str) -> Result<Write, Refused> {
        match intent {
            Intent::PatchRollout {
                revision,
                replicas,
                workload_generation,
                notices: _,
            } => self.patch_rollout(*revision, *workload_generation, *replicas, version),
            Intent::CreateReplicaSet(new) => self.create_replica_set(new),
            Intent::PatchReplicaSet(patch) => self.patch_replica_set(patch),
            Intent::AdoptReplicaSet { name, uid } => {
                let owners = self.new_meta(name).owner_references;
                self.change_replica_set(name, uid, |rs| {
                    rs.metadata.owner_references = owners;
                    Ok(())
                })
            }
            Intent::ReleaseReplicaSet { name, uid, .. } => self.change_replica_set(name, uid, |rs| {
                rs.metadata.owner_references = None;
                Ok(())
            }),
            Intent::DeleteReplicaSet {
                name,
                uid,
                resource_version,
            } => self.delete_replica_set(name, uid, resource_version),
            Intent::PatchService(patch) => self.patch_service(patch),
            Intent::ScaleWorkload(scale) => self.scale_workload(scale),
            Intent::EvictPod { name, uid, .. } => self.evict(name, uid),
            // The pods of the model have no labels or annotations that a view would show: nothing is to be changed.
            Intent::PatchPod { .. } => Err(Refused::Missing),
            Intent::CreateAnalysisRun(new) => self.create_run(new),
            Intent::TerminateAnalysisRun { name, uid } => self.terminate_run(name, uid),
            Intent::DeleteAnalysisRun { name, uid } => {
                if self
                    .runs
                    .get(name)
                    .is_some_and(|run| observed::uid(&run.metadata) != uid)
                {
                    return Err(Refused::Moved);
                }
                self.runs.remove(name);
                self.turns.remove(name);
                Ok(Write {
                    kind: Kind::AnalysisRun,
                    name: name.clone(),
                    version: 0,
                    created: false,
                })
            }
        }
    }

    /// Writes the status, unless the Rollout has another version than `version`.
    pub fn commit(&mut self, status: &RolloutStatus, version: &str) -> Result<Write, Refused> {
        self.guard(version)?;
        let version = self.write_rollout(|rollout| rollout.status = Some(status.clone()));
        Ok(self.rollout_write(&version))
    }

    fn guard(&self, version: &str) -> Result<(), Refused> {
        let current = self.rollout().metadata.resource_version.as_deref();
        if current == Some(version) {
            Ok(())
        } else {
            Err(Refused::Moved)
        }
    }

    fn rollout_write(&self, version: &str) -> Write {
        let name = observed::name(&self.rollout().metadata).to_owned();
        Write {
            kind: Kind::Rollout,
            name,
            version: number(version),
            created: false,
        }
    }

    fn patch_rollout(
        &mut self,
        revision: Option<i64>,
        workload_generation: Option<WorkloadGeneration>,
        replicas: Option<i32>,
        version: &str,
    ) -> Result<Write, Refused> {
        self.guard(version)?;
        if let Some(replicas) = replicas {
            self.write_spec(|spec| spec["replicas"] = replicas.into());
        }
        let version = self.write_rollout(|rollout| {
            if let Some(revision) = revision {
                let notes = rollout.metadata.annotations.get_or_insert_default();
                notes.insert(annotations::REVISION.to_owned(), revision.to_string());
            }
            let key = annotations::WORKLOAD_GENERATION;
            match workload_generation {
                Some(WorkloadGeneration::Is(generation)) => {
                    let notes = rollout.metadata.annotations.get_or_insert_default();
                    notes.insert(key.to_owned(), generation.to_string());
                }
                Some(WorkloadGeneration::Forget) => {
                    rollout.metadata.annotations.get_or_insert_default().remove(key);
                }
                None => {}
            }
        });
        Ok(self.rollout_write(&version))
    }

    fn create_replica_set(&mut self, new: &NewReplicaSet) -> Result<Write, Refused> {
        if self.replica_sets.get(&new.name).is_some() {
            return Err(Refused::Exists);
        }
        let template = PodTemplate(new.template.clone());
        if let Some(image) = template.containers().first().map(|c| c.image)
            && self.setup.refused.contains(image)
        {
            return Err(Refused::Template(format!(
                "spec.template.spec.containers[0].image: Invalid value: \"{image}\""
            )));
        }
        let mut metadata = self.new_meta(&new.name);
        metadata.labels = Some(new.labels.clone());
        metadata.annotations = Some(new.annotations.clone()).filter(|all| !all.is_empty());
        let version = number(metadata.resource_version.as_deref().unwrap_or_default());
        let spec = ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: Some(new.min_ready_seconds),
            template: (&template).into(),
        };
        self.replica_sets.put(
            &new.name,
            ReplicaSet {
                metadata,
                spec,
                status: ReplicaSetStatus::default(),
            },
        );
        self.pods.insert(new.name.clone(), Pods::default());
        self.wake_pods(&new.name);
        Ok(Write {
            kind: Kind::ReplicaSet,
            name: new.name.clone(),
            version,
            created: true,
        })
    }

    /// Changes a ReplicaSet; a change of its spec is a new generation.
    fn change_replica_set(
        &mut self,
        name: &str,
        uid: &str,
        change: impl FnOnce(&mut ReplicaSet) -> Result<(), Refused>,
    ) -> Result<Write, Refused> {
        let mut rs = ReplicaSet::clone(self.replica_sets.get(name).ok_or(Refused::Missing)?);
        if observed::uid(&rs.metadata) != uid {
            return Err(Refused::Moved);
        }
        let before = rs.spec.clone();
        change(&mut rs)?;
        if rs.spec != before {
            rs.metadata.generation = rs.metadata.generation.map(|g| g + 1);
        }
        let version = self.next_version();
        rs.metadata.resource_version = Some(version.clone());
        self.replica_sets.put(name, rs);
        self.wake_pods(name);
        let version = number(&version);
        Ok(Write {
            kind: Kind::ReplicaSet,
            name: name.to_owned(),
            version,
            created: false,
        })
    }

    /// A JSON patch with tests: another uid or another size refuses it. `has_annotations` false replaces whatever
    /// annotations there are, as adding the empty object does.
    fn patch_replica_set(&mut self, patch: &ReplicaSetPatch) -> Result<Write, Refused> {
        self.change_replica_set(&patch.name, &patch.uid, |rs| {
            if let Some((from, to)) = patch.scale {
                if rs.spec.replicas != Some(from) {
                    return Err(Refused::Moved);
                }
                rs.spec.replicas = Some(to);
            }
            if let Some(seconds) = patch.min_ready_seconds {
                rs.spec.min_ready_seconds = Some(seconds);
            }
            if patch.annotations.is_empty() {
                return Ok(());
            }
            let notes = rs.metadata.annotations.get_or_insert_default();
            if !patch.has_annotations {
                *notes = BTreeMap::new();
            }
            for (key, value) in &patch.annotations {
                match value {
                    Some(value) => {
                        notes.insert(key.clone(), value.clone());
                    }
                    // A JSON patch cannot remove what is not there.
                    None => drop(notes.remove(key).ok_or(Refused::Moved)?),
                }
            }
            Ok(())
        })
    }

    fn delete_replica_set(&mut self, name: &str, uid: &str, version: &str) -> Result<Write, Refused> {
        if let Some(rs) = self.replica_sets.get(name) {
            let same = observed::uid(&rs.metadata) == uid
                && rs.metadata.resource_version.as_deref() == Some(version);
            if !same {
                return Err(Refused::Moved);
            }
        }
        self.replica_sets.remove(name);
        self.pods.remove(name);
        self.pods_changed(name);
        Ok(Write {
            kind: Kind::ReplicaSet,
            name: name.to_owned(),
            version: 0,
            created: false,
        })
    }

    fn create_run(&mut self, new: &NewAnalysisRun) -> Result<Write, Refused> {
        if self.runs.get(&new.name).is_some() {
            return Err(Refused::Exists);
        }
        let mut metadata = self.new_meta(&new.name);
        metadata.labels = Some(new.labels.clone());
        metadata.annotations = Some(new.annotations.clone());
        let version = number(metadata.resource_version.as_deref().unwrap_or_default());
        self.runs.put(
            &new.name,
            AnalysisRun {
                metadata,
                spec: new.spec.clone(),
                status: None,
            },
        );
        self.wake_run(&new.name);
        Ok(Write {
            kind: Kind::AnalysisRun,
            name: new.name.clone(),
            version,
            created: true,
        })
    }

    fn terminate_run(&mut self, name: &str, uid: &str) -> Result<Write, Refused> {
        let mut run = AnalysisRun::clone(self.runs.get(name).ok_or(Refused::Missing)?);
        if observed::uid(&run.metadata) != uid {
            return Err(Refused::Moved);
        }
        run.spec.terminate = true;
        run.metadata.generation = run.metadata.generation.map(|g| g + 1);
        let version = self.next_version();
        run.metadata.resource_version = Some(version.clone());
        self.runs.put(name, run);
        self.wake_run(name);
        let version = number(&version);
        Ok(Write {
            kind: Kind::AnalysisRun,
            name: name.to_owned(),
            version,
            created: false,
        })
    }
}

pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}
