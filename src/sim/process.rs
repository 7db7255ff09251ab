//! The memory of a controller process: all of it is lost with the process, and nothing may depend on it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::apply::{Kind, Write};
use super::cluster::{Cluster, ROLLOUT};
use super::view::View;
use crate::engine::Refusal;

/// The memory of one controller process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub view: View,
    pub own: BTreeMap<(Kind, String), Write>,
    pub refusal: Option<Refusal>,
    pub requeue: Option<Timestamp>,
    pub changed: bool,
}

impl Process {
    pub fn start(cluster: &Cluster) -> Self {
        Process {
            view: View::fresh(cluster),
            changed: true,
            ..Process::default()
        }
    }

    /// Whether the caches show everything that this process wrote. An object that is missing was deleted since, unless
    /// it was just created.
    pub fn has_seen_own_writes(&self) -> bool {
        self.own.values().all(|write| {
            let meta = match write.kind {
                Kind::Rollout => self
                    .view
                    .rollouts
                    .get(ROLLOUT)
                    .map(|stored| &stored.rollout.metadata),
                Kind::ReplicaSet => self.view.replica_sets.get(&write.name).map(|rs| &rs.metadata),
                Kind::AnalysisRun => self.view.analysis_runs.get(&write.name).map(|run| &run.metadata),
                Kind::Service => self
                    .view
                    .services
                    .get(&write.name)
                    .map(|service| &service.metadata),
                // What an eviction leads to is seen when it is seen, as in the shell; nobody writes slices; and a workload
                // is counted by generations.
                Kind::EndpointSlice | Kind::Pod | Kind::Workload => return true,
            };
            match meta {
                Some(meta) => {
                    let seen = meta
                        .resource_version
                        .as_deref()
                        .and_then(|v| v.parse::<u64>().ok());
                    seen >= Some(write.version)
                }
                None => !write.created,
            }
        })
    }
}
