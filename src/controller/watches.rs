//! The watches: one a kind, each filling its store and telling the queues what to look at.

use std::sync::Arc;

use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use tokio::task::JoinSet;

use super::cache::{Cache, Change, cache};
use super::metrics::Metrics;
use super::observe::Stores;
use super::process::Options;
use super::rollouts;
use super::watched::WatchedRollout;
use super::workloads::Workloads;
use crate::api::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
use crate::api::endpoint_slice::EndpointSlice;
use crate::api::names::labels;
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;
use crate::api::service::Service;
use crate::engine::pods::{self, Stirs};
use crate::engine::{observed, restart, services};

fn api<K>(client: &Client, options: &Options) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match &options.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Where the watches say what to look at.
pub(super) struct Triggers {
    pub(super) rollout: UnboundedSender<ObjectRef<WatchedRollout>>,
    pub(super) run: UnboundedSender<ObjectRef<AnalysisRun>>,
    pub(super) service: UnboundedSender<ObjectRef<Service>>,
    /// Rollouts that were deleted while this process leads.
    pub(super) deleted: UnboundedSender<ObjectReference>,
    /// Where failures of watches are counted.
    pub(super) metrics: Arc<Metrics>,
}

/// Starts one watch a kind. Each tells the queues which Rollout or run to look at.
pub(super) fn start_watches(
    client: &Client,
    options: &Options,
    triggers: &Triggers,
    tasks: &mut JoinSet<()>,
) -> Stores {
    let Triggers {
        rollout: rollout_trigger,
        run: run_trigger,
        service: service_trigger,
        deleted,
        metrics,
    } = triggers;
    let instance = if options.instance_id.is_empty() {
        format!("!{}", labels::INSTANCE_ID)
    } else {
        format!("{}={}", labels::INSTANCE_ID, options.instance_id)
    };
    let mine = watcher::Config::default().labels(&instance);
    let (workloads, lanes) = Workloads::new(rollout_trigger.clone());
    let workloads = Arc::new(workloads);
    lanes.start(
        &workloads,
        (api(client, options), api(client, options), api(client, options)),
        metrics,
        tasks,
    );
    let (services, service_feed) = cache::<Service>();
    let (rollouts, feed) = cache::<WatchedRollout>();
    let (trigger, service_queue, known) =
        (rollout_trigger.clone(), service_trigger.clone(), services.clone());
    let referred = Arc::clone(&workloads);
    let (deleted, leader) = (deleted.clone(), Arc::clone(metrics));
    let changed = move |change: Change<WatchedRollout>| {
        let r = change.object;
        // A standby tells nothing: whoever leads has seen it too.
        if change.gone && leader.is_leading() {
            let _ = deleted.unbounded_send(rollouts::reference(&r.rollout));
        }
        referred.note(&r.rollout);
        send(&trigger, ObjectRef::from_obj(r));
        let generation = |r: &WatchedRollout| r.rollout.metadata.generation;
        let same_spec = change
            .before
            .is_some_and(|before| generation(before) == generation(r));
        if same_spec && !change.gone {
            return;
        }
        // Whether some Service is abandoned by it now: to look over them all is dear, and what is written most is the status.
        for service in known.store().state() {
            if is_managed_by(&service, &r.rollout.metadata) {
                send(&service_queue, ObjectRef::from_obj(service.as_ref()));
            }
        }
    };
    tasks.spawn(
        feed.counted(metrics)
            .run_changes(api(client, options), mine.clone(), |_| {}, changed),
    );
    let (trigger, service_queue, all) = (rollout_trigger.clone(), service_trigger.clone(), rollouts.clone());
    let touched = move |service: &Service| {
        if services::manager(service).is_some() {
            send(&service_queue, ObjectRef::from_obj(service));
        }
        for watched in all.store().state() {
            let same = watched.rollout.metadata.namespace == service.metadata.namespace;
            if same && services::refers_to(&watched.rollout, observed::name(&service.metadata)) {
                send(&trigger, ObjectRef::from_obj(watched.as_ref()));
            }
        }
    };
    let slim = |service: &mut Service| service.metadata.labels = None;
    tasks.spawn(service_feed.counted(metrics).run(
        api(client, options),
        watcher::Config::default(),
        slim,
        touched,
    ));

    let (replica_sets, feed) = cache::<ReplicaSet>();
    let config = watcher::Config::default().labels(labels::POD_TEMPLATE_HASH);
    let (trigger, all) = (rollout_trigger.clone(), rollouts.clone());
    let touched = move |rs: &ReplicaSet| {
        if observed::controller_uid(&rs.metadata).is_some() {
            if let Some(rollout) = owner(&rs.metadata) {
                send(&trigger, rollout);
            }
        } else {
            send_all(&all, &trigger, rs.metadata.namespace.as_deref());
        }
    };
    tasks.spawn(
        feed.counted(metrics)
            .run(api(client, options), config.clone(), |_| {}, touched),
    );

    let (pods, feed) = cache::<Pod>();
    let (trigger, sets, all) = (rollout_trigger.clone(), replica_sets.clone(), rollouts.clone());
    let changed = move |change: Change<Pod>| {
        if let Some(rollout) = stirred_by(&change, &sets, &all) {
            send(&trigger, rollout);
        }
    };
    tasks.spawn(
        feed.counted(metrics)
            .run_changes(api(client, options), config, |_| {}, changed),
    );

    let (endpoint_slices, feed) = cache::<EndpointSlice>();
    let (trigger, all, known) = (rollout_trigger.clone(), rollouts.clone(), services.clone());
    let touched = move |slice: &EndpointSlice| {
        // Only of a Service that was switched by a Rollout is it of interest where it leads to.
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        let service = known.get(namespace, slice.service());
        let manager = service.as_ref().and_then(|s| services::manager(s));
        if let Some(rollout) = manager.and_then(|name| all.get(namespace, name)) {
            send(&trigger, ObjectRef::from_obj(rollout.as_ref()));
        }
    };
    let slim = |slice: &mut EndpointSlice| slice.metadata.annotations = None;
    tasks.spawn(
        feed.counted(metrics)
            .run(api(client, options), watcher::Config::default(), slim, touched),
    );

    let (analysis_runs, feed) = cache::<AnalysisRun>();
    let (trigger, own) = (rollout_trigger.clone(), run_trigger.clone());
    let touched = move |run: &AnalysisRun| {
        send(&own, ObjectRef::from_obj(run));
        if let Some(rollout) = owner(&run.metadata) {
            send(&trigger, rollout);
        }
    };
    tasks.spawn(
        feed.counted(metrics)
            .run(api(client, options), mine, |_| {}, touched),
    );

    let (templates, feed) = cache::<AnalysisTemplate>();
    let (trigger, all) = (rollout_trigger.clone(), rollouts.clone());
    let touched = move |t: &AnalysisTemplate| send_all(&all, &trigger, t.metadata.namespace.as_deref());
    tasks.spawn(
        feed.counted(metrics)
            .run(api(client, options), watcher::Config::default(), |_| {}, touched),
    );

    let (cluster_templates, mut feed) = cache::<ClusterAnalysisTemplate>();
    if options.namespace.is_none() {
        let (trigger, all) = (rollout_trigger.clone(), rollouts.clone());
        let touched = move |_: &ClusterAnalysisTemplate| send_all(&all, &trigger, None);
        tasks.spawn(feed.counted(metrics).run(
            Api::all(client.clone()),
            watcher::Config::default(),
            |_| {},
            touched,
        ));
    } else {
        feed.take(&watcher::Event::Init, &|_| {});
        feed.take(&watcher::Event::InitDone, &|_| {});
    }
    Stores {
        rollouts,
        replica_sets,
        pods,
        services,
        endpoint_slices,
        analysis_runs,
        templates,
        cluster_templates,
        workloads,
    }
}

/// Whether a Service says that this Rollout manages it.
fn is_managed_by(service: &Service, rollout: &ObjectMeta) -> bool {
    service.metadata.namespace == rollout.namespace && services::manager(service) == rollout.name.as_deref()
}

/// The queue lives as long as the process; at its end nobody listens any more.
fn send<K: Resource<DynamicType = ()>>(trigger: &UnboundedSender<ObjectRef<K>>, what: ObjectRef<K>) {
    let _ = trigger.unbounded_send(what);
}

fn send_all(
    rollouts: &Cache<WatchedRollout>,
    trigger: &UnboundedSender<ObjectRef<WatchedRollout>>,
    namespace: Option<&str>,
) {
    for rollout in rollouts.store().state() {
        if namespace.is_none() || rollout.meta().namespace.as_deref() == namespace {
            send(trigger, ObjectRef::from_obj(rollout.as_ref()));
        }
    }
}

/// The Rollout of a pod, where the plan may change with it. Most of what happens to pods shows in the counters of their
/// ReplicaSet, which asks for the pass: those events cost nothing here.
fn stirred_by(
    change: &Change<Pod>,
    replica_sets: &Cache<ReplicaSet>,
    rollouts: &Cache<WatchedRollout>,
) -> Option<ObjectRef<WatchedRollout>> {
    let stirs = pods::stirs(change.before, change.object, change.gone);
    if stirs == Stirs::Nobody {
        return None;
    }
    let meta = &change.object.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let controller = meta
        .owner_references
        .iter()
        .flatten()
        .find(|o| o.controller == Some(true))?;
    let rs = replica_sets.get(namespace, &controller.name)?;
    let rollout = owner(&rs.metadata)?;
    let restarts = || {
        let watched = rollouts.get(namespace, &rollout.name)?;
        Some(restart::is_wanted(&watched.rollout))
    };
    (stirs == Stirs::Everybody || restarts() == Some(true)).then_some(rollout)
}

/// The Rollout that owns an object.
fn owner(meta: &ObjectMeta) -> Option<ObjectRef<WatchedRollout>> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let owner = owners
        .iter()
        .find(|o| o.controller == Some(true) && o.kind == Rollout::kind(&()))?;
    Some(ObjectRef::new(&owner.name).within(meta.namespace.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
