//! What the controller sees: caches of each kind, each behind by its own number of writes.

use std::sync::Arc;

use super::apply::Kind;
use super::cluster::{Cluster, ROLLOUT, Stored, WORKLOAD};
use super::store::Cache;
use crate::api::analysis::AnalysisRun;
use crate::api::endpoint_slice::EndpointSlice;
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;
use crate::api::service::Service;
use crate::engine::observed::{self, Pods, Templates, Workload};
use crate::engine::{Abilities, Identity, Observed, Refusal, identity, services};

/// By how many writes the caches are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The cache of Rollouts.
    pub rollouts: usize,
    /// The cache of ReplicaSets.
    pub replica_sets: usize,
    /// The cache of AnalysisRuns.
    pub analysis_runs: usize,
}

/// The caches of a controller.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The Rollout.
    pub rollouts: Cache<Stored>,
    /// ReplicaSets.
    pub replica_sets: Cache<ReplicaSet>,
    /// AnalysisRuns.
    pub analysis_runs: Cache<AnalysisRun>,
    /// Services.
    pub services: Cache<Service>,
    /// EndpointSlices, by the name of their Service.
    pub slices: Cache<EndpointSlice>,
    /// Single pods.
    pub pods: Cache<Pod>,
    /// The workload.
    pub workloads: Cache<Workload>,
    templates: Templates,
    abilities: Abilities,
    library: &'static str,
}

impl View {
    /// A controller that has just listed everything.
    pub fn fresh(cluster: &Cluster) -> Self {
        View {
            rollouts: Cache::list(&cluster.rollouts),
            replica_sets: Cache::list(&cluster.replica_sets),
            analysis_runs: Cache::list(&cluster.runs),
            services: Cache::list(&cluster.services),
            slices: Cache::list(&cluster.slices),
            pods: Cache::list(&cluster.shown_pods),
            workloads: Cache::list(&cluster.workloads),
            templates: cluster.templates.clone(),
            abilities: cluster.abilities,
            library: cluster.library,
        }
    }

    /// The world as it was so many writes ago.
    pub fn behind(cluster: &Cluster, lag: Lag) -> Self {
        let mut view = View {
            rollouts: Cache::default(),
            replica_sets: Cache::default(),
            analysis_runs: Cache::default(),
            ..View::fresh(cluster)
        };
        let upto = |writes: usize, lag: usize| writes.saturating_sub(lag);
        view.rollouts.follow(
            &cluster.rollouts,
            upto(cluster.rollouts.writes(), lag.rollouts).max(1),
        );
        view.replica_sets.follow(
            &cluster.replica_sets,
            upto(cluster.replica_sets.writes(), lag.replica_sets),
        );
        view.analysis_runs
            .follow(&cluster.runs, upto(cluster.runs.writes(), lag.analysis_runs));
        view
    }

    /// Sees the writes to objects of a kind up to the `upto`-th.
    pub fn follow(&mut self, cluster: &Cluster, kind: Kind, upto: usize) {
        match kind {
            Kind::Rollout => self.rollouts.follow(&cluster.rollouts, upto),
            Kind::ReplicaSet => self.replica_sets.follow(&cluster.replica_sets, upto),
            Kind::AnalysisRun => self.analysis_runs.follow(&cluster.runs, upto),
            Kind::Service => self.services.follow(&cluster.services, upto),
            Kind::EndpointSlice => self.slices.follow(&cluster.slices, upto),
            Kind::Pod => self.pods.follow(&cluster.shown_pods, upto),
            Kind::Workload => self.workloads.follow(&cluster.workloads, upto),
        }
    }

    /// The hashes as this process computes them: of the workload's template where one is referred to, and printed by its
    /// own library.
    fn identity(&self, rollout: &Rollout, own: &Identity, workload: Option<&Workload>) -> Identity {
        let mut identity = own.clone();
        if let Some(workload) = workload {
            let collisions = rollout.status.as_ref().and_then(|s| s.collision_count);
            let template = &workload.template.0;
            identity.pod_hash = identity::template_hash(template, collisions);
            identity.legacy_pod_hash = identity::legacy_template_hash(template, collisions);
        }
        identity.pod_hash.push_str(self.library);
        identity.legacy_pod_hash.push_str(self.library);
        identity
    }

    /// The input of a pass; `None` when the Rollout is not there.
    pub fn observe(&self, refusal: Option<Refusal>) -> Option<Observed> {
        let stored = self.rollouts.get(ROLLOUT)?;
        let Stored {
            rollout,
            identity,
            malformed,
        } = stored.as_ref();
        let me = observed::uid(&rollout.metadata);
        let workload = self
            .workloads
            .get(WORKLOAD)
            .filter(|_| rollout.spec.workload_ref.is_some());
        let identity = self.identity(rollout, identity, workload.map(AsRef::as_ref));
        let next = format!("{}-{}", observed::name(&rollout.metadata), identity.pod_hash);
        let replica_sets: Vec<Arc<ReplicaSet>> = self
            .replica_sets
            .all()
            .filter(|rs| {
                let owner = observed::controller_uid(&rs.metadata);
                owner.is_none() || owner == Some(me) || observed::name(&rs.metadata) == next
            })
            .cloned()
            .collect();
        let mut pods = Pods::new();
        for pod in self.pods.all() {
            let owner = observed::controller_uid(&pod.metadata).unwrap_or_default();
            pods.entry(owner.to_owned()).or_default().push(Arc::clone(pod));
        }
        let referenced = services::referenced(&rollout.spec);
        let names = || referenced.iter().map(|(_, name)| *name);
        let endpoints = |name: &str| -> Option<Vec<String>> {
            Some(self.slices.get(name)?.pods().map(str::to_owned).collect())
        };
        Some(Observed {
            pods,
            services: names()
                .filter_map(|name| Some((name.to_owned(), Arc::clone(self.services.get(name)?))))
                .collect(),
            endpoints: names()
                .filter_map(|name| Some((name.to_owned(), endpoints(name)?)))
                .collect(),
            workload: workload.cloned(),
            rollout: Arc::clone(rollout),
            malformed: malformed.clone(),
            identity,
            replica_sets,
            analysis_runs: self.analysis_runs.all().cloned().collect(),
            templates: self.templates.clone(),
            abilities: self.abilities,
            refusal,
        })
    }
}

/// What the controller would see, so many writes behind.
pub fn observe(cluster: &Cluster, lag: Lag) -> Option<Observed> {
    View::behind(cluster, lag).observe(None)
}
