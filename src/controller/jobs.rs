//! The Jobs of analyses: created, watched, and taken away when their measurement is over.
//!
//! Two watches, of Jobs and of their pods, see only what carries the uid of an AnalysisRun. So a Job that runs costs no
//! call, and its end, or an image that cannot be pulled, is known at once. A controller that may not watch them asks for
//! each Job every [`LOOK_AGAIN`] instead.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::apply::call;
use super::cache::{Cache, cache};
use super::client::client;
use super::error::Error;
use super::metrics::Metrics;
use super::process::Options;
use super::watches::Triggers;
use super::{FIELD_MANAGER, clock};
use crate::api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement};
use crate::api::names::{annotations, labels};
use crate::engine::observed;
use crate::metric::job::{self, Place};

/// How often to ask for a Job that no watch tells of.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// How often to look for Jobs elsewhere whose run is gone.
const COLLECT: Duration = Duration::from_secs(5);

/// How long the watch may take to show what was just created.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// The labels by which the Job controller marks the pods of a Job, the newer first.
const JOB_OF_POD: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Where Jobs go. Source: wire contract 2.11.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobTarget {
    /// A kubeconfig of another cluster.
    pub kubeconfig: Option<String>,
    /// Another namespace than that of the run.
    pub namespace: Option<String>,
}

/// Makes and watches Jobs.
pub struct Jobs {
    client: Client,
    namespace: Option<String>,
    elsewhere: bool,
    /// The runs of this controller that have a Job where no owner reference reaches, by uid.
    known: Mutex<HashSet<String>>,
    cache: Cache<Job>,
    pods: Cache<Pod>,
}

/// What the stores say of a measurement in flight.
pub enum Look {
    /// Nothing new.
    Running,
    /// This is its outcome.
    Ended(Measurement),
    /// The stores do not have the Job.
    Unknown,
}

impl Jobs {
    /// Starts the two watches. Error: a kubeconfig that cannot be used.
    pub async fn start(
        client: &Client,
        options: &Options,
        triggers: &Triggers,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let (trigger, metrics) = (&triggers.run, &triggers.metrics);
        let JobTarget {
            kubeconfig,
            namespace,
        } = &options.jobs;
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (kubeconfig, namespace) = (filled(kubeconfig), filled(namespace));
        let client = match &kubeconfig {
            None => client.clone(),
            Some(path) => other_cluster(path, metrics).await?,
        };
        let (jobs, job_feed) = cache::<Job>();
        let (pods, pod_feed) = cache::<Pod>();
        let watched = namespace.as_ref().or(options.namespace.as_ref());
        let config = watcher::Config::default().labels(labels::ANALYSIS_RUN_UID);
        let (of_job, of_pod, known) = (trigger.clone(), trigger.clone(), jobs.clone());
        let touched = move |job: &Job| tell(&of_job, &job.metadata);
        tasks.spawn(
            job_feed
                .counted(metrics)
                .run(api(&client, watched), config.clone(), slim_job, touched),
        );
        let touched = move |pod: &Pod| {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            if job::stuck(pod).is_some()
                && let Some(job) = job_of(pod).and_then(|name| known.get(namespace, name))
            {
                tell(&of_pod, &job.metadata);
            }
        };
        tasks.spawn(
            pod_feed
                .counted(metrics)
                .run(api(&client, watched), config, slim_pod, touched),
        );
        Ok(Jobs {
            client,
            namespace,
            elsewhere: kubeconfig.is_some(),
            known: Mutex::default(),
            cache: jobs,
            pods,
        })
    }

    /// Waits until the stores are filled, but not for long: a controller that may not watch Jobs can do without.
    pub async fn settle(&self) {
        let filled = async {
            let _ = self.cache.store().wait_until_ready().await;
            let _ = self.pods.store().wait_until_ready().await;
        };
        if timeout(SEEN_WITHIN, filled).await.is_err() {
            tracing::warn!(
                "Jobs of analyses are not watched (yet): those that run are asked for every {LOOK_AGAIN:#}"
            );
        }
    }

    /// Creates the Job of a measurement. One that is there already was created by a controller that died before it could
    /// store so: it is taken over.
    pub async fn create(&self, run: &AnalysisRun, index: usize, ordinal: i64) -> Measurement {
        let own = run.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = self.namespace.as_deref().unwrap_or(own);
        let place = Place {
            namespace,
            beside_run: namespace == own && !self.elsewhere,
        };
        if let Some(uid) = run.metadata.uid.as_ref().filter(|_| !place.beside_run) {
            self.known.lock().insert(uid.clone());
        }
        let started = clock::now();
        match self.try_create(run, index, ordinal, &place).await {
            Ok(name) => {
                // The next pass looks into the store, and would ask the API server for what is not there yet.
                let seen = async {
                    while self.cache.get(namespace, &name).is_none() {
                        sleep(Duration::from_millis(50)).await;
                    }
                };
                let _ = timeout(SEEN_WITHIN, seen).await;
                job::started(&name, namespace, started)
            }
            Err(message) => Measurement {
                phase: AnalysisPhase::Error,
                message: Some(message),
                started_at: Some(Time(started)),
                finished_at: Some(Time(clock::now())),
                ..Measurement::default()
            },
        }
    }

    async fn try_create(
        &self,
        run: &AnalysisRun,
        index: usize,
        ordinal: i64,
        place: &Place<'_>,
    ) -> Result<String, String> {
        let object = job::build(run, index, ordinal, place)?;
        let object: DynamicObject = serde_json::from_value(object).map_err(|error| error.to_string())?;
        let name = object.metadata.name.clone().unwrap_or_default();
        let resource = ApiResource::erase::<Job>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), place.namespace, &resource);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: false,
        };
        match call("create", "Job", &name, api.create(&params, &object)).await {
            Ok(_) => Ok(name),
            Err(error) if is_there(&error) => {
                let there = call("read", "Job", &name, api.get_metadata(&name))
                    .await
                    .map_err(|e| e.sentence())?;
                if uid_label(&there.metadata) == run.metadata.uid.as_deref() {
                    Ok(name)
                } else {
                    Err(format!(
                        "cannot create Job {name}: another Job of this name is in namespace {}",
                        place.namespace
                    ))
                }
            }
            Err(error) => Err(refusal(&error, place.namespace)),
        }
    }

    /// What the stores say of a measurement in flight.
    pub fn look(&self, uid: &str, stored: &Measurement, now: Timestamp) -> Look {
        let name = stored.metadata.get(job::JOB_NAME).map_or("", String::as_str);
        let all = self.cache.owned_by(uid);
        let Some(job) = all.iter().find(|job| job.metadata.name.as_deref() == Some(name)) else {
            return Look::Unknown;
        };
        let pods = self.pods.owned_by(uid);
        let pods = pods
            .iter()
            .map(AsRef::as_ref)
            .filter(|pod| job_of(pod) == Some(name));
        job::outcome(stored, job, pods, now).map_or(Look::Running, Look::Ended)
    }

    /// Asks the API server for the Job of a measurement in flight; `None` when the watch will tell the rest.
    pub async fn ask(&self, stored: &Measurement) -> Option<Measurement> {
        let (Some(name), Some(namespace)) = (
            stored.metadata.get(job::JOB_NAME),
            stored.metadata.get(job::JOB_NAMESPACE),
        ) else {
            let message = "the measurement does not say which Job it is".to_owned();
            return Some(job::ended(
                stored,
                AnalysisPhase::Error,
                Some(message),
                clock::now(),
            ));
        };
        let api: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let found = call("read", "Job", name, api.get_opt(name)).await;
        let now = clock::now();
        match found {
            Ok(Some(job)) => job::outcome(stored, &job, [], now).or_else(|| {
                let known = self.cache.get(namespace, name).is_some();
                (!known).then(|| later(stored, now))
            }),
            Ok(None) => {
                let message = format!("Job {name} is gone: somebody deleted it before it ended");
                Some(job::ended(stored, AnalysisPhase::Error, Some(message), now))
            }
            Err(error) => {
                tracing::warn!(namespace, name, error = %error.sentence(), "cannot look at the Job of a measurement");
                Some(later(stored, now))
            }
        }
    }

    /// Deletes the Jobs of a run that are not needed any more, by its committed status.
    pub async fn clean(
        &self,
        uid: &str,
        status: &AnalysisRunStatus,
        measured: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), Error> {
        for job in self.cache.owned_by(uid) {
            let meta = &job.metadata;
            let metric = meta
                .annotations
                .iter()
                .flatten()
                .find(|(key, _)| *key == annotations::ANALYSIS_RUN_METRIC);
            if job::is_surplus(&job, status, metric.is_some_and(|(_, metric)| measured(metric))) {
                self.delete(&job).await?;
            }
        }
        Ok(())
    }

    /// Deletes the Jobs of runs that are gone, where no owner reference reaches: in another namespace or cluster.
    ///
    /// Only of runs that this process knew, because the Jobs of other controllers may be there too. What is missed, when a
    /// run is deleted while no controller lives, deletes itself in time (see [`job::build`]).
    pub async fn collect(&self, runs: &Cache<AnalysisRun>) {
        if self.namespace.is_none() && !self.elsewhere {
            return;
        }
        loop {
            sleep(COLLECT).await;
            for job in self.orphans(runs) {
                if let Err(error) = self.delete(&job).await {
                    let name = observed::name(&job.metadata);
                    tracing::warn!(name, error = %error.sentence(), "cannot delete the Job of a run that is gone");
                }
            }
        }
    }

    /// The Jobs elsewhere whose run is gone.
    fn orphans(&self, runs: &Cache<AnalysisRun>) -> Vec<Arc<Job>> {
        let mut with_jobs = HashSet::new();
        let mut orphans = Vec::new();
        let mut known = self.known.lock();
        for job in self.cache.store().state() {
            let Some(uid) = uid_label(&job.metadata).map(str::to_owned) else {
                continue;
            };
            let run = run_of(&job.metadata).and_then(|run| runs.store().get(&run));
            if run.is_some_and(|run| run.metadata.uid.as_ref() == Some(&uid)) {
                known.insert(uid.clone());
            } else if known.contains(&uid) && job.metadata.deletion_timestamp.is_none() {
                orphans.push(job);
            }
            with_jobs.insert(uid);
        }
        // A Job that was created a moment ago may not be in the store yet: its run lives, and is known again by then.
        known.retain(|uid| with_jobs.contains(uid));
        orphans
    }

    async fn delete(&self, job: &Job) -> Result<(), Error> {
        let meta = &job.metadata;
        let name = observed::name(meta);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: meta.uid.clone(),
            resource_version: None,
        });
        let api: Api<Job> =
            Api::namespaced(self.client.clone(), meta.namespace.as_deref().unwrap_or_default());
        match call("delete", "Job", name, api.delete(name, &params)).await {
            Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_not_found()) => {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }
}

/// The measurement in flight, to be looked at again.
fn later(stored: &Measurement, now: Timestamp) -> Measurement {
    let again = now.checked_add(LOOK_AGAIN).unwrap_or(now);
    Measurement {
        resume_at: Some(Time(again)),
        ..stored.clone()
    }
}

async fn other_cluster(path: &str, metrics: &Arc<Metrics>) -> anyhow::Result<Client> {
    use anyhow::Context as _;
    let what = || format!("cannot use {path}, the kubeconfig for the Jobs of analyses");
    let file = kube::config::Kubeconfig::read_from(path).with_context(what)?;
    let mut config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
        .await
        .with_context(what)?;
    config.default_retry = false;
    client(config, None, Arc::clone(metrics)).with_context(what)
}

fn api<K>(client: &Client, namespace: Option<&String>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Asks for a pass of the run that a Job names.
fn tell(trigger: &UnboundedSender<ObjectRef<AnalysisRun>>, meta: &ObjectMeta) {
    if let Some(run) = run_of(meta) {
        // A process that shuts down listens no more.
        let _ = trigger.unbounded_send(run);
    }
}

/// The run that a Job names.
fn run_of(meta: &ObjectMeta) -> Option<ObjectRef<AnalysisRun>> {
    let given = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
    let name = given(annotations::ANALYSIS_RUN_NAME)?;
    let namespace = given(annotations::ANALYSIS_RUN_NAMESPACE)?;
    Some(ObjectRef::new(name).within(namespace))
}

fn uid_label(meta: &ObjectMeta) -> Option<&str> {
    meta.labels
        .as_ref()?
        .get(labels::ANALYSIS_RUN_UID)
        .map(String::as_str)
}

fn job_of(pod: &Pod) -> Option<&str> {
    let all = pod.metadata.labels.as_ref()?;
    JOB_OF_POD
        .iter()
        .find_map(|label| all.get(*label))
        .map(String::as_str)
}

/// In the store the run owns what carries its uid, wherever that is: the cache finds it by owner.
fn own(meta: &mut ObjectMeta) {
    let owner = uid_label(meta).map(|uid| OwnerReference {
        uid: uid.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    });
    meta.owner_references = owner.map(|owner| vec![owner]);
}

fn slim_job(job: &mut Job) {
    own(&mut job.metadata);
    job.spec = None;
    let keep = [
        annotations::ANALYSIS_RUN_NAME,
        annotations::ANALYSIS_RUN_NAMESPACE,
        annotations::ANALYSIS_RUN_METRIC,
    ];
    if let Some(all) = &mut job.metadata.annotations {
        all.retain(|key, _| keep.contains(&key.as_str()));
    }
}

fn slim_pod(pod: &mut Pod) {
    own(&mut pod.metadata);
    pod.spec = None;
    pod.metadata.annotations = None;
    if let Some(status) = &mut pod.status {
        let containers = status.container_statuses.take();
        let init = status.init_container_statuses.take();
        *status = PodStatus::default();
        status.container_statuses = containers;
        status.init_container_statuses = init;
    }
}

fn is_there(error: &Error) -> bool {
    matches!(error, Error::Api { source, .. }
        if matches!(source.as_ref(), kube::Error::Api(status) if status.is_already_exists()))
}

/// Why a Job could not be created. A missing permission is told apart from a Job that the API server refuses, such as for
/// a quota: who is woken by it looks somewhere else.
fn refusal(error: &Error, namespace: &str) -> String {
    if let Error::Api { source, .. } = error
        && let kube::Error::Api(status) = source.as_ref()
    {
        if status.is_forbidden() && status.message.contains(" cannot create resource ") {
            return format!(
                "the controller has no permission to create jobs.batch in namespace {namespace}: {}",
                status.message
            );
        }
        if status.is_forbidden() || status.is_invalid() || status.code == 400 {
            return format!("the API server refuses the Job: {}", status.message);
        }
    }
    error.sentence()
}
