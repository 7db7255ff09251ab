//! Gathering what a pass decides on: stores only, no call.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::cache::Cache;
use super::watched::WatchedRollout;
use super::workloads::Workloads;
use crate::api::analysis::{AnalysisRun, AnalysisTemplate, AnalysisTemplateRef, ClusterAnalysisTemplate};
use crate::api::endpoint_slice::EndpointSlice;
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;
use crate::api::service::Service;
use crate::engine::observed::{self, Templates, Workload};
use crate::engine::{Abilities, Identity, Observed, Refusal, services};
use crate::metric::condition;
use crate::metric::provider::{self, supported_providers};

/// The stores of all watched kinds.
pub struct Stores {
    /// Rollouts.
    pub rollouts: Cache<WatchedRollout>,
    /// ReplicaSets that carry a pod template hash.
    pub replica_sets: Cache<ReplicaSet>,
    /// Pods that carry a pod template hash.
    pub pods: Cache<Pod>,
    /// Services.
    pub services: Cache<Service>,
    /// EndpointSlices.
    pub endpoint_slices: Cache<EndpointSlice>,
    /// AnalysisRuns.
    pub analysis_runs: Cache<AnalysisRun>,
    /// AnalysisTemplates.
    pub templates: Cache<AnalysisTemplate>,
    /// ClusterAnalysisTemplates; empty in a namespaced install.
    pub cluster_templates: Cache<ClusterAnalysisTemplate>,
    /// What Rollouts refer to by `workloadRef`.
    pub workloads: Arc<Workloads>,
}

/// The hashes of a generation; kept, because they cost more than the rest of a pass.
#[derive(Default)]
pub struct Identities {
    by_uid: Mutex<HashMap<String, (Key, Identity)>>,
}

/// Generation and collisions of the Rollout; uid and generation of the workload that it refers to.
type Key = (Option<i64>, Option<i32>, Option<(String, i64)>);

impl Identities {
    fn of(&self, watched: &WatchedRollout, workload: Option<&Workload>) -> Identity {
        let meta = &watched.rollout.metadata;
        let collisions = watched.rollout.status.as_ref().and_then(|s| s.collision_count);
        let key = (
            meta.generation,
            collisions,
            workload.map(|w| (w.uid.clone(), w.generation)),
        );
        let uid = observed::uid(meta);
        if let Some((known, identity)) = self.by_uid.lock().get(uid)
            && *known == key
        {
            return identity.clone();
        }
        let identity = watched.identity(workload);
        self.by_uid.lock().insert(uid.to_owned(), (key, identity.clone()));
        identity
    }

    /// Forgets the objects that are gone.
    pub fn keep(&self, live: &HashSet<String>) {
        self.by_uid.lock().retain(|uid, _| live.contains(uid));
    }
}

/// What this controller can measure and judge.
pub fn abilities() -> Abilities {
    Abilities {
        condition: condition::check,
        providers: supported_providers(),
        provider: provider::check,
    }
}

/// The world as the stores have it, and the ReplicaSet that this pass met without them.
pub fn observe(
    stores: &Stores,
    identities: &Identities,
    watched: &WatchedRollout,
    refusal: Option<Refusal>,
    met: Option<Arc<ReplicaSet>>,
    workload: Option<Arc<Workload>>,
) -> Observed {
    let rollout = Arc::clone(&watched.rollout);
    let meta = &rollout.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let uid = observed::uid(meta);
    let identity = identities.of(watched, workload.as_deref());
    let mut replica_sets = stores.replica_sets.owned_by(uid);
    replica_sets.extend(stores.replica_sets.orphans(namespace));
    let next = format!("{}-{}", observed::name(meta), identity.pod_hash);
    if let Some(in_the_way) = met.or_else(|| stores.replica_sets.get(namespace, &next))
        && !replica_sets
            .iter()
            .any(|rs| rs.metadata.uid == in_the_way.metadata.uid)
    {
        replica_sets.push(in_the_way);
    }
    let pods = replica_sets
        .iter()
        .map(|rs| observed::uid(&rs.metadata))
        .map(|rs| (rs.to_owned(), stores.pods.owned_by(rs)))
        .filter(|(_, pods)| !pods.is_empty())
        .collect();
    Observed {
        pods,
        malformed: watched.malformed.clone(),
        workload,
        identity,
        replica_sets,
        analysis_runs: stores.analysis_runs.owned_by(uid),
        services: services::referenced(&rollout.spec)
            .into_iter()
            .filter_map(|(_, name)| Some((name.to_owned(), stores.services.get(namespace, name)?)))
            .collect(),
        endpoints: endpoints(stores, namespace, &rollout),
        templates: templates(stores, namespace, &rollout),
        abilities: abilities(),
        refusal,
        rollout,
    }
}

/// The pods behind the Services of a Rollout. Slices are owned by their Service.
fn endpoints(stores: &Stores, namespace: &str, rollout: &Rollout) -> BTreeMap<String, Vec<String>> {
    let pods = |name: &str| {
        let uid = stores.services.get(namespace, name)?.metadata.uid.clone()?;
        let slices = stores.endpoint_slices.owned_by(&uid);
        Some(
            slices
                .iter()
                .flat_map(|slice| slice.pods())
                .map(str::to_owned)
                .collect(),
        )
    };
    services::referenced(&rollout.spec)
        .into_iter()
        .filter_map(|(_, name)| Some((name.to_owned(), pods(name)?)))
        .collect()
}

/// The templates that the Rollout refers to, and those that they refer to, as far as they exist.
fn templates(stores: &Stores, namespace: &str, rollout: &Rollout) -> Templates {
    let mut found = Templates::new();
    let canary = rollout.spec.strategy.as_ref().and_then(|s| s.canary.as_ref());
    let steps = canary
        .into_iter()
        .flat_map(|c| c.steps.iter().filter_map(|s| s.analysis.as_ref()));
    let background = canary.and_then(|c| c.analysis.as_ref()).map(|b| &b.analysis);
    let blue_green = rollout.spec.strategy.as_ref().and_then(|s| s.blue_green.as_ref());
    let around_the_switch = blue_green.into_iter().flat_map(|b| {
        let both = [&b.pre_promotion_analysis, &b.post_promotion_analysis];
        both.into_iter().flatten()
    });
    let mut wanted: Vec<AnalysisTemplateRef> = steps
        .chain(background)
        .chain(around_the_switch)
        .flat_map(|a| a.templates.iter().cloned())
        .collect();
    while let Some(AnalysisTemplateRef {
        template_name,
        cluster_scope,
    }) = wanted.pop()
    {
        let Some(name) = template_name else { continue };
        let key = (name, cluster_scope);
        if found.contains_key(&key) {
            continue;
        }
        let spec = if cluster_scope {
            stores.cluster_templates.get("", &key.0).map(|t| t.spec.0.clone())
        } else {
            stores.templates.get(namespace, &key.0).map(|t| t.spec.clone())
        };
        if let Some(spec) = spec {
            wanted.extend(spec.templates.iter().cloned());
            found.insert(key, Arc::new(spec));
        }
    }
    found
}
