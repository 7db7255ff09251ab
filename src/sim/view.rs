//! What the controller sees: caches of each kind, each behind by its own number of writes.

use std::sync::Arc;

use super::cluster::{Cluster, ROLLOUT, Stored};
use super::store::Cache;
use crate::api::analysis::AnalysisRun;
use crate::api::replica_set::ReplicaSet;
use crate::engine::observed::{self, Templates};
use crate::engine::{Abilities, Observed, Refusal};

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
    templates: Templates,
    abilities: Abilities,
}

impl View {
    /// A controller that has just listed everything.
    pub fn fresh(cluster: &Cluster) -> Self {
        View {
            rollouts: Cache::list(&cluster.rollouts),
            replica_sets: Cache::list(&cluster.replica_sets),
            analysis_runs: Cache::list(&cluster.runs),
            templates: cluster.templates.clone(),
            abilities: cluster.abilities,
        }
    }

    /// The world as it was so many writes ago.
    pub fn behind(cluster: &Cluster, lag: Lag) -> Self {
        let mut view = View {
            templates: cluster.templates.clone(),
            abilities: cluster.abilities,
            ..View::default()
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

    /// The input of a pass; `None` when the Rollout is not there.
    pub fn observe(&self, refusal: Option<Refusal>) -> Option<Observed> {
        let stored = self.rollouts.get(ROLLOUT)?;
        let Stored {
            rollout,
            identity,
            malformed,
        } = stored.as_ref();
        let me = observed::uid(&rollout.metadata);
        let next = format!("{}-{}", observed::name(&rollout.metadata), identity.pod_hash);
        let replica_sets = self
            .replica_sets
            .all()
            .filter(|rs| {
                let owner = observed::controller_uid(&rs.metadata);
                owner.is_none() || owner == Some(me) || observed::name(&rs.metadata) == next
            })
            .cloned()
            .collect();
        Some(Observed {
            rollout: Arc::clone(rollout),
            malformed: malformed.clone(),
            identity: identity.clone(),
            replica_sets,
            analysis_runs: self.analysis_runs.all().cloned().collect(),
            templates: self.templates.clone(),
            abilities: self.abilities,
            refusal,
            ..Observed::default()
        })
    }
}

/// What the controller would see, so many writes behind.
pub fn observe(cluster: &Cluster, lag: Lag) -> Option<Observed> {
    View::behind(cluster, lag).observe(None)
}
