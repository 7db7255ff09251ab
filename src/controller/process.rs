//! The process: rights first, then stores filled, then leadership, then passes, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::abandoned;
pub use super::client::Limit;
use super::client::client;
use super::error::Backoff;
use super::events::events;
use super::health::Health;
pub use super::jobs::JobTarget;
use super::jobs::Jobs;
use super::leader::{Election, Elector, Ended};
use super::metrics::Metrics;
use super::observe::Stores;
use super::passes::{Contexts, Queues, run_passes};
use super::preflight;
use super::serve::{self, Probed, Readiness};
use super::watches::{Triggers, start_watches};
use super::{rollouts, runs};
use crate::api::names;
use crate::engine::Notice;
use crate::metric::provider::{Defaults, Measurer, MeasurerOptions};

/// How often what is remembered of deleted objects is dropped.
const SWEEP: Duration = Duration::from_secs(60);

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
    /// How many calls a second; no limit where absent.
    pub limit: Option<Limit>,
    /// After so long a Rollout is looked at although nothing was heard of it.
    pub resync: Duration,
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

#[cfg(test)]
impl Options {
    /// All namespaces, no election, no limit.
    pub(super) fn for_tests() -> Self {
        Options {
            namespace: None,
            instance_id: String::new(),
            election: None,
            rollout_threads: 1,
            analysis_threads: 1,
            limit: None,
            resync: Duration::from_secs(900),
            prometheus_address: None,
            measuring: MeasurerOptions::default(),
            jobs: JobTarget::default(),
            healthz_port: 0,
            metrics_port: 0,
        }
    }
}

/// Runs until `stop` turns true. An error is a sentence for the operator: the process should end with it.
pub async fn run(config: Config, options: Options, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let (ready, readiness) = watch::channel(Readiness::Starting);
    // The probes answer until the very end of the work, the release of the lease included.
    let (worked, finished) = watch::channel(false);
    let metrics = Arc::<Metrics>::default();
    let health = Arc::new(Health::new(Arc::clone(&metrics)));
    let client = client(config, options.limit, Arc::clone(&metrics)).context("cannot set up the client")?;
    let answers = Probed {
        ready: readiness,
        health: Arc::clone(&health),
        metrics: Arc::clone(&metrics),
    };
    let probes = serve::serve(options.healthz_port, options.metrics_port, answers, finished);
    let work = async {
        let process = Process {
            client,
            options,
            stop,
            ready,
            metrics,
        };
        let ended = process.work(&health).await;
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

struct Process {
    client: Client,
    options: Options,
    stop: watch::Receiver<bool>,
    ready: watch::Sender<Readiness>,
    metrics: Arc<Metrics>,
}

impl Process {
    /// Comes back when the process is told to stop.
    async fn told_to_stop(&self) {
        // An error means that nobody is left who could tell.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Works until it is told to stop, or until a watch ends.
    async fn work(self, health: &Health) -> anyhow::Result<()> {
        tokio::select! {
            checked = preflight::check(&self.client, &self.options) => checked?,
            () = self.told_to_stop() => return Ok(()),
        }
        let mut tasks = JoinSet::new();
        let (rollout_trigger, rollouts) = unbounded();
        let (run_trigger, runs) = unbounded();
        let (service_trigger, services) = unbounded();
        let (deleted_trigger, deleted) = unbounded();
        let triggers = Triggers {
            rollout: rollout_trigger,
            run: run_trigger.clone(),
            service: service_trigger,
            deleted: deleted_trigger,
            metrics: Arc::clone(&self.metrics),
        };
        let stores = Arc::new(start_watches(&self.client, &self.options, &triggers, &mut tasks));
        let jobs = Jobs::start(&self.client, &self.options, &triggers, &mut tasks).await?;
        // The watches hold the queues from now on.
        drop(triggers);
        let queues = Queues {
            rollouts,
            runs,
            services,
            run_trigger,
        };
        let stopping = async {
            self.told_to_stop().await;
            self.ready.send_if_modified(|ready| {
                if let Readiness::Ready(stores) = ready {
                    *ready = Readiness::Stopping(Arc::clone(stores));
                    return true;
                }
                false
            });
            std::future::pending::<anyhow::Result<()>>().await
        };
        tokio::select! {
            ended = self.lead(stores, jobs, queues, deleted) => ended,
            never = stopping => never,
            ended = health.supervise(&mut tasks) => {
                bail!("{ended}: this process ends, for its stores would show the past for ever")
            }
        }
    }

    /// Fills the stores, waits for the lease, and makes passes until it is told to stop.
    async fn lead(
        &self,
        stores: Arc<Stores>,
        jobs: Jobs,
        queues: Queues,
        mut deleted: UnboundedReceiver<ObjectReference>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            filled = wait_for(&stores) => filled?,
            () = self.told_to_stop() => return Ok(()),
        }
        jobs.settle().await;
        self.ready.send_replace(Readiness::Ready(Arc::clone(&stores)));
        let election = self.options.election.clone();
        let mut elector = election.map(|election| Elector::new(self.client.clone(), election));
        if let Some(elector) = &mut elector
            && elector.acquire(&mut self.stop.clone()).await.is_some()
        {
            return Ok(());
        }
        self.metrics.leads(true);
        let (events, publisher) = events(&self.client, &self.metrics);
        let publisher = tokio::spawn(publisher.run());
        let contexts = self.contexts(&stores, jobs, &events, &queues)?;
        let (swept, swept_runs) = (Arc::clone(&contexts.rollouts), Arc::clone(&contexts.runs));
        let (swept_stores, metrics) = (Arc::clone(&stores), Arc::clone(&self.metrics));
        let mut helpers = JoinSet::new();
        helpers.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                swept.sweep();
                swept_runs.sweep(swept_stores.analysis_runs.store());
                metrics.sweep(&swept_stores);
            }
        });
        let (of_runs, run_stores) = (Arc::clone(&contexts.runs), Arc::clone(&stores));
        helpers.spawn(async move { of_runs.jobs.collect(&run_stores.analysis_runs).await });
        let told = events.clone();
        helpers.spawn(async move {
            while let Some(about) = deleted.next().await {
                let name = about.name.as_deref().unwrap_or_default();
                let text = format!("Rollout {name} is deleted");
                told.publish(&about, [Notice::normal(names::events::ROLLOUT_DELETED, text)]);
            }
        });
        let (finished, mut all_passed) = watch::channel(false);
        let passes = run_passes(
            &self.options,
            &stores,
            queues,
            &contexts,
            &self.metrics,
            &self.stop,
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
        self.metrics.leads(false);
        if ended == Ended::Lost {
            bail!("lost the leader election: another process may lead now, so this one ends");
        }
        helpers.shutdown().await;
        drop((events, contexts));
        let _ = tokio::time::timeout(Duration::from_secs(3), publisher).await;
        Ok(())
    }

    fn contexts(
        &self,
        stores: &Arc<Stores>,
        jobs: Jobs,
        events: &super::events::Events,
        queues: &Queues,
    ) -> anyhow::Result<Contexts> {
        let rollouts = rollouts::Context::new(
            self.client.clone(),
            Arc::clone(stores),
            events.clone(),
            Arc::clone(&self.metrics),
            self.options.resync,
        );
        let measurer =
            Measurer::new(self.options.measuring.clone()).context("cannot set up the HTTP client")?;
        let defaults = Defaults {
            prometheus_address: self.options.prometheus_address.clone(),
            ..Defaults::default()
        };
        let runs = runs::Context::new(
            self.client.clone(),
            events.clone(),
            Arc::new(measurer),
            defaults,
            jobs,
            queues.run_trigger.clone(),
            Arc::clone(&self.metrics),
        );
        let abandoned = abandoned::Context {
            client: self.client.clone(),
            stores: Arc::clone(stores),
            backoff: Backoff::default(),
        };
        Ok(Contexts {
            rollouts: Arc::new(rollouts),
            runs: Arc::new(runs),
            abandoned: Arc::new(abandoned),
        })
    }
}

/// Waits until every store is filled: a pass on an empty world would start every rollout anew.
async fn wait_for(stores: &Stores) -> anyhow::Result<()> {
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
    filled.await.context("a watch ended before its store was filled")
}
