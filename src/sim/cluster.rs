//! The API objects as values, under the API server's rules: versions, generations, uids, whole seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde_json::Value;

use super::apply::Kind;
use super::pods::{Pods, Readiness};
use super::runs::{Outcome, RunTurn};
use super::services::EndpointsTurn;
use super::store::Store;
use crate::api::analysis::AnalysisRun;
use crate::api::endpoint_slice::EndpointSlice;
use crate::api::names::API_VERSION;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{Rollout, RolloutSpec, RolloutStatus};
use crate::api::service::Service;
use crate::engine::observed::{Templates, Workload};
use crate::engine::{Abilities, Identity, identity};

/// The key of the one Rollout in its store.
pub(super) const ROLLOUT: &str = "rollout";
/// The key of the one workload in its store.
pub(super) const WORKLOAD: &str = "workload";

/// A Rollout with what a cache computes for it once.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The object.
    pub rollout: Arc<Rollout>,
    /// Its hashes, from the raw JSON.
    pub identity: Identity,
    /// Why the spec could not be decoded.
    pub malformed: Option<String>,
}

/// What a [`Cluster`] begins with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Name of the Rollout.
    pub name: String,
    /// `spec` of the Rollout, as its user wrote it.
    pub spec: Value,
    /// The AnalysisTemplates.
    pub templates: Templates,
    /// What the controller can measure and judge.
    pub abilities: Abilities,
    /// When the pods of an image become ready; at once where nothing is said.
    pub readiness: BTreeMap<String, Readiness>,
    /// What the measurements of a metric say, one run after the other; the last is repeated, and without any they are
    /// successful.
    pub outcomes: BTreeMap<String, Vec<Outcome>>,
    /// Images whose template the API server refuses.
    pub refused: BTreeSet<String>,
    /// Milliseconds that the ReplicaSet controller takes to react, one after the other and over again.
    pub reaction: Vec<u32>,
    /// Milliseconds that the endpoints controller takes to look, and again to write what it saw; one after the other and
    /// over again.
    pub endpoints: Vec<u32>,
    /// The Services beside the Rollout; they select all of its pods.
    pub services: Vec<String>,
    /// Whether the controller is shown single pods.
    pub shows_pods: bool,
    /// The Deployment that `workloadRef` names.
    pub workload: Option<Workload>,
    /// When the world begins.
    pub start: Timestamp,
}

/// A namespace with one Rollout and everything that it leads to.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The moment.
    pub now: Timestamp,
    pub(super) setup: Setup,
    pub(super) templates: Templates,
    pub(super) abilities: Abilities,
    /// The Rollout.
    pub rollouts: Store<Stored>,
    /// ReplicaSets.
    pub replica_sets: Store<ReplicaSet>,
    /// AnalysisRuns.
    pub runs: Store<AnalysisRun>,
    /// Services.
    pub services: Store<Service>,
    /// The EndpointSlice of each Service, by the name of the Service.
    pub slices: Store<EndpointSlice>,
    /// Single pods, where they are shown.
    pub shown_pods: Store<crate::api::pod::Pod>,
    /// The Deployment that `workloadRef` names.
    pub workloads: Store<Workload>,
    pub(super) endpoints: BTreeMap<String, EndpointsTurn>,
    pub(super) lookups: usize,
    /// What the library that prints templates adds to the hash of a template: nothing, until an upgrade.
    pub(super) library: &'static str,
    pub(super) pods: BTreeMap<String, Pods>,
    pub(super) turns: BTreeMap<String, RunTurn>,
    pub(super) attempts: BTreeMap<String, usize>,
    pub(super) spec: Value,
    pub(super) reactions: usize,
    version: u64,
    uids: u64,
}

/// The pods of all ReplicaSets together, with every deletion that was asked for carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Pods that exist or were asked for: the sum of the greater of the two for each ReplicaSet.
    pub occupied: i64,
    /// Available pods that are left when the ReplicaSets have shrunk to what they were asked for.
    pub available: i64,
}

impl Cluster {
    /// A cluster in which the user has just created the Rollout.
    pub fn new(setup: Setup) -> Self {
        let mut cluster = Cluster {
            now: setup.start,
            templates: setup.templates.clone(),
            abilities: setup.abilities,
            rollouts: Store::default(),
            replica_sets: Store::default(),
            runs: Store::default(),
            services: Store::default(),
            slices: Store::default(),
            shown_pods: Store::default(),
            workloads: Store::default(),
            endpoints: BTreeMap::new(),
            lookups: 0,
            library: "",
            pods: BTreeMap::new(),
            turns: BTreeMap::new(),
            attempts: BTreeMap::new(),
            spec: setup.spec.clone(),
            reactions: 0,
            version: 0,
            uids: 0,
            setup,
        };
        let name = cluster.setup.name.clone();
        let mut metadata = cluster.new_meta(&name);
        metadata.owner_references = None;
        let (spec, malformed) = decode(&cluster.spec);
        let rollout = Rollout {
            metadata,
            spec,
            status: None,
        };
        if let Some(workload) = cluster.setup.workload.clone() {
            cluster.workloads.put(WORKLOAD, workload);
        }
        cluster.store_rollout(rollout, malformed);
        for name in cluster.setup.services.clone() {
            cluster.create_service(&name);
        }
        cluster
    }

    /// The Rollout as it is.
    pub fn rollout(&self) -> &Rollout {
        &self.stored().rollout
    }

    /// The committed status of the Rollout.
    pub fn status(&self) -> RolloutStatus {
        self.rollout().status.clone().unwrap_or_default()
    }

    /// The pods now and when every deletion that was asked for is through.
    pub fn capacity(&self) -> Capacity {
        let mut sum = Capacity::default();
        for (name, rs) in self.replica_sets.all() {
            let Some(pods) = self.pods.get(name) else { continue };
            let spec = i64::from(rs.spec.replicas.unwrap_or(1));
            sum.occupied += spec.max(pods.count());
            sum.available += pods.available(rs, self.now).min(spec);
        }
        sum
    }

    /// All pods that are ready now.
    pub fn ready(&self) -> i64 {
        let pods = self.pods.values().flat_map(|pods| &pods.all);
        i64::try_from(pods.filter(|pod| pod.is_ready(self.now)).count()).unwrap_or(i64::MAX)
    }

    /// Pods of the ReplicaSet with this pod template hash: asked for, existing, available.
    pub fn pods_of(&self, hash: &str) -> (i64, i64, i64) {
        let found = self
            .replica_sets
            .all()
            .find(|(_, rs)| crate::engine::observed::pod_hash(&rs.metadata) == hash);
        let Some((name, rs)) = found else { return (0, 0, 0) };
        let pods = self.pods.get(name).cloned().unwrap_or_default();
        (
            i64::from(rs.spec.replicas.unwrap_or(1)),
            pods.count(),
            pods.available(rs, self.now),
        )
    }

    pub(super) fn stored(&self) -> &Stored {
        // The constructor stores it and nothing deletes it.
        self.rollouts
            .get(ROLLOUT)
            .expect("the Rollout exists from the start")
    }

    pub(super) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Metadata of an object that is created now, owned by the Rollout.
    pub(super) fn new_meta(&mut self, name: &str) -> ObjectMeta {
        self.uids += 1;
        let uid = format!("uid-{}", self.uids);
        let owner = self.rollouts.get(ROLLOUT).map(|stored| OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: "Rollout".to_owned(),
            name: stored.rollout.metadata.name.clone().unwrap_or_default(),
            uid: stored.rollout.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("default".to_owned()),
            uid: Some(uid),
            generation: Some(1),
            resource_version: Some(self.next_version()),
            creation_timestamp: Some(self.second()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// This moment as the wire has it: whole seconds.
    pub(super) fn second(&self) -> Time {
        Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now))
    }

    /// Writes something of the Rollout other than its spec. Gives its new resourceVersion.
    pub(super) fn write_rollout(&mut self, change: impl FnOnce(&mut Rollout)) -> String {
        let mut rollout = self.rollout().clone();
        let malformed = self.stored().malformed.clone();
        change(&mut rollout);
        let version = self.next_version();
        rollout.metadata.resource_version = Some(version.clone());
        self.store_rollout(rollout, malformed);
        version
    }

    /// Writes the spec of the Rollout, as its user has it: a new generation, decoded anew.
    pub(super) fn write_spec(&mut self, change: impl FnOnce(&mut Value)) -> String {
        change(&mut self.spec);
        let mut rollout = self.rollout().clone();
        let (spec, malformed) = decode(&self.spec);
        rollout.spec = spec;
        rollout.metadata.generation = rollout.metadata.generation.map(|g| g + 1);
        let version = self.next_version();
        rollout.metadata.resource_version = Some(version.clone());
        self.store_rollout(rollout, malformed);
        version
    }

    /// How many writes there were to objects of a kind.
    pub(super) fn writes(&self, kind: Kind) -> usize {
        match kind {
            Kind::Rollout => self.rollouts.writes(),
            Kind::ReplicaSet => self.replica_sets.writes(),
            Kind::AnalysisRun => self.runs.writes(),
            Kind::Service => self.services.writes(),
            Kind::EndpointSlice => self.slices.writes(),
            Kind::Pod => self.shown_pods.writes(),
            Kind::Workload => self.workloads.writes(),
        }
    }

    /// How many writes there were at all.
    pub fn all_writes(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.writes(kind)).sum()
    }

    fn store_rollout(&mut self, rollout: Rollout, malformed: Option<String>) {
        let collisions = rollout.status.as_ref().and_then(|s| s.collision_count);
        let known = self.rollouts.get(ROLLOUT).filter(|known| {
            known.rollout.metadata.generation == rollout.metadata.generation
                && known.rollout.status.as_ref().and_then(|s| s.collision_count) == collisions
        });
        let identity = match known {
            Some(known) => known.identity.clone(),
            None => identity_of(&self.spec, collisions),
        };
        self.rollouts.put(
            ROLLOUT,
            Stored {
                rollout: Arc::new(rollout),
                identity,
                malformed,
            },
        );
    }
}

/// The typed spec, or why there is none: then it is empty.
fn decode(spec: &Value) -> (RolloutSpec, Option<String>) {
    match serde_json::from_value(spec.clone()) {
        Ok(spec) => (spec, None),
        Err(error) => (RolloutSpec::default(), Some(format!("spec: {error}"))),
    }
}

/// The hashes of what the spec desires.
fn identity_of(spec: &Value, collisions: Option<i32>) -> Identity {
    let template = spec.get("template").unwrap_or(&Value::Null);
    let steps = spec.pointer("/strategy/canary/steps");
    let canary = spec.pointer("/strategy/blueGreen").is_none();
    Identity {
        pod_hash: identity::template_hash(template, collisions),
        legacy_pod_hash: identity::legacy_template_hash(template, collisions),
        step_hash: if canary {
            identity::step_hash(steps)
        } else {
            String::new()
        },
        legacy_step_hash: if canary {
            identity::legacy_step_hash(steps)
        } else {
            String::new()
        },
    }
}
