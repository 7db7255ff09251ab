//! What Rollouts refer to by `workloadRef`: Deployments, ReplicaSets and PodTemplates.
//!
//! A kind is watched only while some Rollout refers to one of it, and by its metadata only: a cluster has many
//! Deployments, and few of them matter here. The template is fetched once for each generation of a workload that is
//! referred to.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplate;
use kube::api::PartialObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::apply::call;
use super::cache::{Cache, Feed, cache};
use super::error::Error;
use super::metrics::Metrics;
use super::watched::WatchedRollout;
use crate::api::common;
use crate::api::names::WorkloadKind;
use crate::api::rollout::Rollout;
use crate::engine::observed::{self, Workload};
use crate::engine::workload;

/// The workloads that Rollouts refer to.
pub struct Workloads {
    deployments: Lane<Deployment>,
    replica_sets: Lane<ReplicaSet>,
    pod_templates: Lane<PodTemplate>,
    referrers: Mutex<HashMap<Key, Referrers>>,
    fetched: Mutex<HashMap<String, Arc<Workload>>>,
    trigger: UnboundedSender<ObjectRef<WatchedRollout>>,
}

/// What a look at the workload of a Rollout gave.
pub enum Lookup {
    /// The workload, if the Rollout refers to one and it exists.
    Done(Option<Arc<Workload>>),
    /// The watch of its kind has just begun.
    NotYet,
}

/// Kind, namespace and name.
type Key = (WorkloadKind, String, String);

#[derive(Default)]
struct Referrers {
    rollouts: HashSet<ObjectRef<WatchedRollout>>,
    /// The generation that they were last told of.
    told: Option<i64>,
}

/// The watch of one kind.
struct Lane<K: Resource<DynamicType = ()> + 'static> {
    cache: Cache<PartialObjectMeta<K>>,
    needed: watch::Sender<bool>,
    filled: Arc<AtomicBool>,
}

/// What feeds the watches.
pub struct Lanes {
    deployments: Feed<PartialObjectMeta<Deployment>>,
    replica_sets: Feed<PartialObjectMeta<ReplicaSet>>,
    pod_templates: Feed<PartialObjectMeta<PodTemplate>>,
}

impl<K> Lane<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync,
{
    fn new() -> (Self, Feed<PartialObjectMeta<K>>) {
        let (cache, feed) = cache();
        (
            Lane {
                cache,
                needed: watch::Sender::new(false),
                filled: Arc::default(),
            },
            feed,
        )
    }

    fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    fn meta(&self, namespace: &str, name: &str) -> Option<Arc<PartialObjectMeta<K>>> {
        self.cache.get(namespace, name)
    }

    /// Watches while the kind is needed; forgets all of it when it is no more.
    fn run(
        &self,
        kind: WorkloadKind,
        all: &Arc<Workloads>,
        mut feed: Feed<PartialObjectMeta<K>>,
        api: Api<PartialObjectMeta<K>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (mut needed, filled, all) = (self.needed.subscribe(), Arc::clone(&self.filled), Arc::clone(all));
        async move {
            while needed.wait_for(|needed| *needed).await.is_ok() {
                let stream = watcher::watcher(api.clone(), watcher::Config::default());
                let stream = stream.modify(|object| {
                    let meta = &mut object.metadata;
                    (meta.managed_fields, meta.annotations, meta.labels) = (None, None, None);
                    (meta.owner_references, meta.finalizers) = (None, None);
                });
                let watching = feed.follow(
                    stream,
                    |object: &PartialObjectMeta<K>| all.changed(kind, &object.metadata),
                    || {
                        filled.store(true, Ordering::Release);
                        all.tell_all(kind);
                    },
                );
                tokio::select! {
                    () = watching => {}
                    _ = needed.wait_for(|needed| !*needed) => {}
                }
                filled.store(false, Ordering::Release);
                feed.take(&watcher::Event::Init, &|_| {});
                feed.take(&watcher::Event::InitDone, &|_| {});
            }
        }
    }
}

/// The metadata of the three kinds, in the namespaces that are watched.
pub type MetaApis = (
    Api<PartialObjectMeta<Deployment>>,
    Api<PartialObjectMeta<ReplicaSet>>,
    Api<PartialObjectMeta<PodTemplate>>,
);

impl Lanes {
    /// Starts the tasks that watch when asked to.
    pub fn start(
        self,
        all: &Arc<Workloads>,
        apis: MetaApis,
        metrics: &Arc<Metrics>,
        tasks: &mut JoinSet<()>,
    ) {
        let Lanes {
            deployments,
            replica_sets,
            pod_templates,
        } = self;
        tasks.spawn(all.deployments.run(
            WorkloadKind::Deployment,
            all,
            deployments.counted(metrics),
            apis.0,
        ));
        tasks.spawn(all.replica_sets.run(
            WorkloadKind::ReplicaSet,
            all,
            replica_sets.counted(metrics),
            apis.1,
        ));
        tasks.spawn(all.pod_templates.run(
            WorkloadKind::PodTemplate,
            all,
            pod_templates.counted(metrics),
            apis.2,
        ));
    }
}

impl Workloads {
    /// None referred to yet. `trigger` asks for a pass of a Rollout.
    pub fn new(trigger: UnboundedSender<ObjectRef<WatchedRollout>>) -> (Self, Lanes) {
        let (deployments, feed_deployments) = Lane::new();
        let (replica_sets, feed_replica_sets) = Lane::new();
        let (pod_templates, feed_pod_templates) = Lane::new();
        let lanes = Lanes {
            deployments: feed_deployments,
            replica_sets: feed_replica_sets,
            pod_templates: feed_pod_templates,
        };
        let (referrers, fetched) = (Mutex::default(), Mutex::default());
        (
            Workloads {
                deployments,
                replica_sets,
                pod_templates,
                referrers,
                fetched,
                trigger,
            },
            lanes,
        )
    }

    /// Notes what a Rollout that has come or changed refers to. What it referred to before is forgotten by the next sweep.
    pub fn note(&self, rollout: &Rollout) {
        let Some((kind, name)) = workload::referred(rollout) else {
            return;
        };
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        let key = (kind, namespace.to_owned(), name.to_owned());
        let from = ObjectRef::new(observed::name(&rollout.metadata)).within(namespace);
        self.referrers
            .lock()
            .entry(key)
            .or_default()
            .rollouts
            .insert(from);
        self.need(kind, true);
    }

    /// Forgets what none of these Rollouts refers to, and stops watching the kinds of which there is none.
    pub fn sweep(&self, rollouts: &[Arc<WatchedRollout>]) {
        let mut live: HashMap<Key, HashSet<ObjectRef<WatchedRollout>>> = HashMap::new();
        for watched in rollouts {
            let meta = &watched.rollout.metadata;
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            if let Some((kind, name)) = workload::referred(&watched.rollout) {
                let from = ObjectRef::new(observed::name(meta)).within(namespace);
                live.entry((kind, namespace.to_owned(), name.to_owned()))
                    .or_default()
                    .insert(from);
            }
        }
        let mut referrers = self.referrers.lock();
        // Rollouts that came since `rollouts` was read are noted again by their next event at the latest.
        referrers.retain(|key, known| {
            known.rollouts = live.remove(key).unwrap_or_default();
            !known.rollouts.is_empty()
        });
        let kept: HashSet<String> = referrers
            .keys()
            .filter_map(|(kind, namespace, name)| Some(self.seen(*kind, namespace, name)?.0))
            .collect();
        for kind in WorkloadKind::ALL {
            self.need(*kind, referrers.keys().any(|(of, _, _)| of == kind));
        }
        drop(referrers);
        self.fetched.lock().retain(|uid, _| kept.contains(uid));
    }

    /// The workload that the Rollout refers to: from memory while its generation is the same, else fetched.
    pub async fn of(&self, client: &Client, rollout: &Rollout) -> Result<Lookup, Error> {
        let Some((kind, name)) = workload::referred(rollout) else {
            return Ok(Lookup::Done(None));
        };
        self.note(rollout);
        let filled = match kind {
            WorkloadKind::Deployment => self.deployments.is_filled(),
            WorkloadKind::ReplicaSet => self.replica_sets.is_filled(),
            WorkloadKind::PodTemplate => self.pod_templates.is_filled(),
        };
        if !filled {
            return Ok(Lookup::NotYet);
        }
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        let Some((uid, generation)) = self.seen(kind, namespace, name) else {
            return Ok(Lookup::Done(None));
        };
        let known = self
            .fetched
            .lock()
            .get(&uid)
            .filter(|known| known.generation >= generation)
            .cloned();
        if known.is_some() {
            return Ok(Lookup::Done(known));
        }
        let resource = match kind {
            WorkloadKind::Deployment => ApiResource::erase::<Deployment>(&()),
            WorkloadKind::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
            WorkloadKind::PodTemplate => ApiResource::erase::<PodTemplate>(&()),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let Some(object) = call("get", kind.as_str(), name, api.get_opt(name)).await? else {
            return Ok(Lookup::Done(None));
        };
        let found = Arc::new(read(kind, &object));
        self.fetched.lock().insert(found.uid.clone(), Arc::clone(&found));
        Ok(Lookup::Done(Some(found)))
    }

    /// The resourceVersion that the watch has shown of a Deployment.
    pub fn deployment_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.deployments
            .meta(namespace, name)?
            .metadata
            .resource_version
            .clone()
    }

    fn need(&self, kind: WorkloadKind, is: bool) {
        let needed = match kind {
            WorkloadKind::Deployment => &self.deployments.needed,
            WorkloadKind::ReplicaSet => &self.replica_sets.needed,
            WorkloadKind::PodTemplate => &self.pod_templates.needed,
        };
        needed.send_if_modified(|needed| std::mem::replace(needed, is) != is);
    }

    /// Uid and generation of a workload, as the watch has them.
    fn seen(&self, kind: WorkloadKind, namespace: &str, name: &str) -> Option<(String, i64)> {
        let of =
            |meta: &kube::api::ObjectMeta| (observed::uid(meta).to_owned(), meta.generation.unwrap_or(0));
        match kind {
            WorkloadKind::Deployment => self.deployments.meta(namespace, name).map(|o| of(&o.metadata)),
            WorkloadKind::ReplicaSet => self.replica_sets.meta(namespace, name).map(|o| of(&o.metadata)),
            WorkloadKind::PodTemplate => self.pod_templates.meta(namespace, name).map(|o| of(&o.metadata)),
        }
    }

    /// A workload came, changed or went: whoever refers to it looks at it, unless only its status is new.
    fn changed(&self, kind: WorkloadKind, meta: &kube::api::ObjectMeta) {
        let namespace = meta.namespace.clone().unwrap_or_default();
        let key = (kind, namespace, observed::name(meta).to_owned());
        let mut referrers = self.referrers.lock();
        let Some(known) = referrers.get_mut(&key) else {
            return;
        };
        let generation = self.seen(kind, &key.1, &key.2).map(|(_, generation)| generation);
        if generation.is_none() || known.told != generation {
            known.told = generation;
            self.send(known);
        }
    }

    fn tell_all(&self, kind: WorkloadKind) {
        for (_, known) in self.referrers.lock().iter().filter(|((of, _, _), _)| *of == kind) {
            self.send(known);
        }
    }

    fn send(&self, known: &Referrers) {
        for rollout in &known.rollouts {
            // Nobody listens any more only when the process ends.
            let _ = self.trigger.unbounded_send(rollout.clone());
        }
    }
}

/// What is read of a workload. A template that is not there reads as an empty one, which validation finds.
fn read(kind: WorkloadKind, object: &DynamicObject) -> Workload {
    let data = &object.data;
    let at = match kind {
        WorkloadKind::Deployment | WorkloadKind::ReplicaSet => "/spec/template",
        WorkloadKind::PodTemplate => "/template",
    };
    let replicas = match kind {
        WorkloadKind::Deployment | WorkloadKind::ReplicaSet => {
            let written = data.pointer("/spec/replicas").and_then(Value::as_i64);
            written.and_then(|n| i32::try_from(n).ok()).unwrap_or(1)
        }
        WorkloadKind::PodTemplate => 0,
    };
    let selector = data.pointer("/spec/selector").cloned();
    Workload {
        kind,
        name: observed::name(&object.metadata).to_owned(),
        uid: observed::uid(&object.metadata).to_owned(),
        generation: object.metadata.generation.unwrap_or(0),
        template: common::PodTemplate(data.pointer(at).cloned().unwrap_or_default()),
        selector: selector.and_then(|s| serde_json::from_value(s).ok()),
        replicas,
    }
}

#[cfg(test)]
mod tests;
