//! The passes of all kinds: taken from the queues, so many at once, timed and counted.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use kube::Resource;
use kube::api::ObjectMeta;
use kube::runtime::applier;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::error::Error;
use super::metrics::{Ended, Kind, Metrics};
use super::observe::Stores;
use super::process::Options;
use super::watched::WatchedRollout;
use super::{abandoned, rollouts, runs};
use crate::api::analysis::AnalysisRun;
use crate::api::service::Service;
use crate::engine::observed;

type Queue<K> = UnboundedReceiver<ObjectRef<K>>;

/// What the watches ask to look at.
pub struct Queues {
    /// Rollouts.
    pub rollouts: Queue<WatchedRollout>,
    /// AnalysisRuns.
    pub runs: Queue<AnalysisRun>,
    /// Services that some Rollout managed.
    pub services: Queue<Service>,
    /// Asks for a pass of a run.
    pub run_trigger: UnboundedSender<ObjectRef<AnalysisRun>>,
}

/// What the passes of each kind share.
pub struct Contexts {
    /// Of Rollouts.
    pub rollouts: Arc<rollouts::Context>,
    /// Of AnalysisRuns.
    pub runs: Arc<runs::Context>,
    /// Of Services.
    pub abandoned: Arc<abandoned::Context>,
}

/// Runs the passes of all kinds until `stop`; those under way are finished.
pub fn run_passes(
    options: &Options,
    stores: &Arc<Stores>,
    queues: Queues,
    contexts: &Contexts,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let Queues {
        rollouts,
        runs,
        services,
        run_trigger: _,
    } = queues;
    let counted = Arc::clone(metrics);
    let rollout_passes = applier(
        move |watched: Arc<WatchedRollout>, ctx| {
            let metrics = Arc::clone(&counted);
            Box::pin(async move {
                let pass = Box::pin(rollouts::reconcile(Arc::clone(&watched), ctx));
                timed(&metrics, Kind::Rollout, watched.meta(), pass).await
            })
        },
        |watched, error, ctx| rollouts::failed(&watched, error, &ctx),
        Arc::clone(&contexts.rollouts),
        stores.rollouts.store().clone(),
        requests(rollouts, Kind::Rollout, metrics, stop),
        Config::default().concurrency(options.rollout_threads.max(1)),
    );
    let counted = Arc::clone(metrics);
    let run_passes = applier(
        move |run: Arc<AnalysisRun>, ctx| {
            let metrics = Arc::clone(&counted);
            Box::pin(async move {
                let pass = Box::pin(runs::reconcile(Arc::clone(&run), ctx));
                timed(&metrics, Kind::AnalysisRun, &run.metadata, pass).await
            })
        },
        |run, error, ctx| runs::failed(&run, error, &ctx),
        Arc::clone(&contexts.runs),
        stores.analysis_runs.store().clone(),
        requests(runs, Kind::AnalysisRun, metrics, stop),
        Config::default().concurrency(options.analysis_threads.max(1)),
    );
    let counted = Arc::clone(metrics);
    let service_passes = applier(
        move |service: Arc<Service>, ctx| {
            let metrics = Arc::clone(&counted);
            Box::pin(async move {
                let pass = Box::pin(abandoned::reconcile(Arc::clone(&service), ctx));
                let done = timed(&metrics, Kind::Service, &service.metadata, pass).await;
                if done.is_ok() {
                    metrics.passed(Kind::Service, Ended::Done);
                }
                done
            })
        },
        |service, error, ctx| abandoned::failed(&service, error, &ctx),
        Arc::clone(&contexts.abandoned),
        stores.services.store().clone(),
        requests(services, Kind::Service, metrics, stop),
        Config::default().concurrency(2),
    );
    let [of_rollouts, of_runs, of_services] = [(); 3].map(|()| Arc::clone(metrics));
    // A task each: what wakes the passes of one kind is no business of the others.
    let mut tasks = JoinSet::new();
    tasks.spawn(rollout_passes.for_each(move |done| {
        gone(&of_rollouts, Kind::Rollout, done);
        ready(())
    }));
    tasks.spawn(run_passes.for_each(move |done| {
        gone(&of_runs, Kind::AnalysisRun, done);
        ready(())
    }));
    tasks.spawn(service_passes.for_each(move |done| {
        gone(&of_services, Kind::Service, done);
        ready(())
    }));
    Box::pin(async move {
        while let Some(ended) = tasks.join_next().await {
            // A pass that panics ends the process, as it would without a task of its own.
            if let Err(panicked) = ended.map_err(JoinError::try_into_panic)
                && let Ok(panicked) = panicked
            {
                resume_unwind(panicked);
            }
        }
    })
}

/// What is asked for until `stop`.
fn requests<K>(
    queue: Queue<K>,
    kind: Kind,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> impl futures::Stream<Item = Result<ReconcileRequest<K>, Infallible>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    let mut stop = stop.clone();
    let metrics = Arc::clone(metrics);
    queue
        .take_until(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .inspect(move |wanted| {
            let namespace = wanted.namespace.as_deref().unwrap_or_default();
            metrics.queue(kind).added(format!("{namespace}/{}", wanted.name));
        })
        .map(|wanted| Ok(ReconcileRequest::from(wanted)))
}

/// An object that was gone before its pass waits no more.
fn gone<K, E>(
    metrics: &Metrics,
    kind: Kind,
    done: Result<(ObjectRef<K>, Action), controller::Error<Error, E>>,
) where
    K: Resource<DynamicType = ()>,
    E: std::error::Error + 'static,
{
    if let Err(controller::Error::ObjectNotFound(gone)) = done {
        let namespace = gone.namespace.as_deref().unwrap_or_default();
        metrics.queue(kind).gone(&format!("{namespace}/{}", gone.name));
    }
}

/// Times and counts a pass.
async fn timed(
    metrics: &Metrics,
    kind: Kind,
    meta: &ObjectMeta,
    pass: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error> {
    let queue = metrics.queue(kind);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let running = queue.begin(&format!("{namespace}/{}", observed::name(meta)));
    let done = pass.await;
    let failed = done.as_ref().err().map(Error::class);
    metrics.took(kind, meta, running.took(), failed);
    if let Some(class) = failed {
        metrics.passed(kind, Ended::Failed(class));
        queue.retried();
    }
    done
}
