//! The process: stores filled first, then leadership, then passes, until it is told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{StreamExt, stream};
use kube::api::ListParams;
use kube::runtime::applier;
use kube::runtime::controller::{Config, ReconcileRequest};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::abandoned;
use super::error::Backoff;
use super::events::events;
pub use super::jobs::JobTarget;
use super::jobs::Jobs;
use super::leader::{Election, Elector, Ended};
use super::observe::Stores;
use super::passes::Passes;
use super::serve::{self, Readiness};
use super::watched::WatchedRollout;
use super::watches::{Triggers, start_watches};
use super::{rollouts, runs};
use crate::api::analysis::AnalysisRun;
use crate::api::rollout::Rollout;
use crate::api::service::Service;
use crate::metric::provider::{Defaults, Measurer, MeasurerOptions};

/// How often what is remembered of deleted objects is dropped.
const SWEEP: Duration = Duration::from_secs(60);

/// How long an install that is under way is waited for.
const INSTALLING: Duration = Duration::from_secs(10);

/// How a controller is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this namespace; all where absent.
    pub namespace: Option<String>,
    /// Only objects that carry this instance id; only those without one where empty.
    pub instance_id: String,
    /// Take part in an election; lead at once where absent.
    pub election: Option<Election>,
    /// How many Rollouts at once.
    pub rollout_threads: u16,
    /// How many AnalysisRuns at once.
    pub analysis_threads: u16,
    /// The Prometheus of metrics without an address.
    pub prometheus_address: Option<String>,
    /// Bounds, authorities and credentials of measuring.
    pub measuring: MeasurerOptions,
    /// Where the Jobs of analyses go.
    pub jobs: JobTarget,
    /// Port of the probes.
    pub healthz_port: u16,
    /// Port of the metrics.
    pub metrics_port: u16,
}

/// Runs until `stop` turns true. An error is a sentence for the operator: the process should end with it.
pub async fn run(client: Client, options: Options, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let (ready, readiness) = watch::channel(Readiness::Starting);
    // The probes answer until the very end of the work, the release of the lease included.
    let (worked, finished) = watch::channel(false);
    let passes = Arc::<Passes>::default();
    let probes = serve::serve(
        options.healthz_port,
        options.metrics_port,
        readiness,
        Arc::clone(&passes),
        finished,
    );
    let work = async {
        let ended = work(client, options, stop, ready, passes).await;
        worked.send_replace(true);
        ended
    };
    tokio::pin!(probes, work);
    tokio::select! {
        ended = &mut work => {
            probes.await?;
            ended
        }
        // Without probes nobody would know how this process does: it ends, and with it the work.
        ended = &mut probes => ended,
    }
}

async fn work(
    client: Client,
    options: Options,
    stop: watch::Receiver<bool>,
    ready: watch::Sender<Readiness>,
    counted: Arc<Passes>,
) -> anyhow::Result<()> {
    check_definitions(&client, &options).await?;
    let mut tasks = JoinSet::new();
    let (rollout_trigger, rollout_queue) = unbounded();
    let (run_trigger, run_queue) = unbounded();
    let (service_trigger, service_queue) = unbounded();
    let triggers = Triggers {
        rollout: rollout_trigger,
        run: run_trigger.clone(),
        service: service_trigger,
    };
    let stores = Arc::new(start_watches(&client, &options, &triggers, &mut tasks));
    // The watches hold the queues from now on.
    drop(triggers);
    let jobs = Jobs::start(&client, &options, &run_trigger, &mut tasks).await?;
    wait_for(&stores, stop.clone()).await?;
    jobs.settle().await;
    ready.send_replace(Readiness::Ready(Arc::clone(&stores)));
    let mut elector = options
        .election
        .clone()
        .map(|election| Elector::new(client.clone(), election));
    let mut stopping = stop.clone();
    if let Some(elector) = &mut elector
        && elector.acquire(&mut stopping).await.is_some()
    {
        return Ok(());
    }
    let (events, publisher) = events(&client);
    let publisher = tokio::spawn(publisher.run());
    let rollouts = Arc::new(rollouts::Context::new(
        client.clone(),
        Arc::clone(&stores),
        events.clone(),
        counted,
    ));
    let measurer = Measurer::new(options.measuring.clone()).context("cannot set up the HTTP client")?;
    let defaults = Defaults {
        prometheus_address: options.prometheus_address.clone(),
        ..Defaults::default()
    };
    let runs = Arc::new(runs::Context::new(
        client.clone(),
        events.clone(),
        Arc::new(measurer),
        defaults,
        jobs,
        run_trigger.clone(),
    ));
    let (swept, swept_runs) = (Arc::clone(&rollouts), Arc::clone(&runs));
    let swept_stores = Arc::clone(&stores);
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            swept.sweep();
            swept_runs.sweep(swept_stores.analysis_runs.store());
        }
    });
    let (of_runs, run_stores) = (Arc::clone(&runs), Arc::clone(&stores));
    tasks.spawn(async move { of_runs.jobs.collect(&run_stores.analysis_runs).await });
    let (finished, mut all_passed) = watch::channel(false);
    let backoff = Backoff::default();
    let abandoned = Arc::new(abandoned::Context {
        client,
        stores: Arc::clone(&stores),
        backoff,
    });
    let passes = run_passes(
        &options,
        &stores,
        (rollout_queue, &rollouts),
        (run_queue, &runs),
        (service_queue, &abandoned),
        &stop,
    );
    let passes = async {
        passes.await;
        finished.send_replace(true);
    };
    // The lease is held until the passes under way are finished, and then given to whoever comes next.
    let hold = async {
        if let Some(elector) = &mut elector {
            elector.hold(&mut all_passed).await
        } else {
            let _ = all_passed.wait_for(|passed| *passed).await;
            Ended::Released
        }
    };
    tokio::pin!(passes, hold);
    let ended = tokio::select! {
        () = &mut passes => hold.await,
        ended = &mut hold => ended,
    };
    if ended == Ended::Lost {
        bail!("lost the leader election: another process may lead now, so this one ends");
    }
    drop((events, rollouts, runs));
    tasks.shutdown().await;
    let _ = tokio::time::timeout(Duration::from_secs(3), publisher).await;
    Ok(())
}

/// Whether the API server knows our kinds, and lets us list them: the two mistakes of a first install. Definitions and
/// rights that were applied together with this process take a moment to be known, so that a no is asked again for a while.
async fn check_definitions(client: &Client, options: &Options) -> anyhow::Result<()> {
    let mut found = look_for_rollouts(client, options).await;
    for _ in 0..INSTALLING.as_secs() {
        match &found {
            Err(kube::Error::Api(status)) if is_unknown(status) || status.is_forbidden() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                found = look_for_rollouts(client, options).await;
            }
            Ok(()) | Err(_) => break,
        }
    }
    match found {
        Ok(()) => Ok(()),
        Err(kube::Error::Api(status)) if is_unknown(&status) => Err(anyhow!(
            "this cluster has no Rollouts: install the CustomResourceDefinitions first (kubectl apply -f crds/)"
        )),
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            Err(anyhow!("not allowed to list Rollouts: {}", status.message))
        }
        Err(error) => Err(error).context("cannot reach the API server"),
    }
}

/// A group that the API server has never heard of is answered by a plain page, and not by a Status with a reason.
fn is_unknown(status: &kube::core::Status) -> bool {
    status.is_not_found() || status.code == 404
}

async fn look_for_rollouts(client: &Client, options: &Options) -> Result<(), kube::Error> {
    let api: Api<Rollout> = match &options.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    api.list_metadata(&ListParams::default().limit(1))
        .await
        .map(|_| ())
}

/// Waits until every store is filled: a pass on an empty world would start every rollout anew.
async fn wait_for(stores: &Stores, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let Stores {
        rollouts,
        replica_sets,
        pods,
        services,
        endpoint_slices,
        analysis_runs,
        templates,
        cluster_templates,
        workloads: _,
    } = stores;
    let filled = async {
        rollouts.store().wait_until_ready().await?;
        replica_sets.store().wait_until_ready().await?;
        pods.store().wait_until_ready().await?;
        services.store().wait_until_ready().await?;
        endpoint_slices.store().wait_until_ready().await?;
        analysis_runs.store().wait_until_ready().await?;
        templates.store().wait_until_ready().await?;
        cluster_templates.store().wait_until_ready().await
    };
    tokio::select! {
        filled = filled => filled.context("a watch ended before its store was filled"),
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    }
}

type Queue<K> = UnboundedReceiver<ObjectRef<K>>;

/// Runs the passes of both kinds until `stop`; those under way are finished.
fn run_passes<'a>(
    options: &Options,
    stores: &Arc<Stores>,
    (rollout_queue, rollouts): (Queue<WatchedRollout>, &Arc<rollouts::Context>),
    (run_queue, runs): (Queue<AnalysisRun>, &Arc<runs::Context>),
    (service_queue, abandoned): (Queue<Service>, &Arc<abandoned::Context>),
    stop: &watch::Receiver<bool>,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    let until = |mut stop: watch::Receiver<bool>| async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let rollout_passes = applier(
        |watched, ctx| Box::pin(rollouts::reconcile(watched, ctx)),
        |watched, error, ctx| rollouts::failed(&watched, error, &ctx),
        Arc::clone(rollouts),
        stores.rollouts.store().clone(),
        rollout_queue
            .take_until(until(stop.clone()))
            .map(|r| Ok::<_, Infallible>(ReconcileRequest::from(r))),
        Config::default().concurrency(options.rollout_threads.max(1)),
    );
    let run_passes = applier(
        |run, ctx| Box::pin(runs::reconcile(run, ctx)),
        |run, error, ctx| runs::failed(&run, error, &ctx),
        Arc::clone(runs),
        stores.analysis_runs.store().clone(),
        run_queue
            .take_until(until(stop.clone()))
            .map(|r| Ok::<_, Infallible>(ReconcileRequest::from(r))),
        Config::default().concurrency(options.analysis_threads.max(1)),
    );
    let service_passes = applier(
        |service, ctx| Box::pin(abandoned::reconcile(service, ctx)),
        |service, error, ctx| abandoned::failed(&service, error, &ctx),
        Arc::clone(abandoned),
        stores.services.store().clone(),
        service_queue
            .take_until(until(stop.clone()))
            .map(|r| Ok::<_, Infallible>(ReconcileRequest::from(r))),
        Config::default().concurrency(2),
    );
    let all = stream::select(rollout_passes.map(|_| ()), run_passes.map(|_| ()));
    let all = stream::select(all, service_passes.map(|_| ()));
    Box::pin(all.for_each(|()| async {}))
}
