//! What the process answers over HTTP: probes that mean what they say, and metrics.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::health::Health;
use super::metrics::Metrics;
use super::observe::Stores;

/// How far the process has come.
#[derive(Clone, Default)]
pub enum Readiness {
    /// Filling its stores.
    #[default]
    Starting,
    /// Able to take over at once: stores filled, waiting for the lease or holding it.
    Ready(Arc<Stores>),
    /// Told to stop: it finishes what it began, and takes nothing over.
    Stopping(Arc<Stores>),
}

/// What the answers are made of.
#[derive(Clone)]
pub struct Probed {
    /// How far the process has come.
    pub ready: watch::Receiver<Readiness>,
    /// Whether it can make progress.
    pub health: Arc<Health>,
    /// What it has counted.
    pub metrics: Arc<Metrics>,
}

type Answer = (StatusCode, String);

impl Probed {
    /// 200 while the process can make progress.
    fn healthz(&self) -> Answer {
        match self.health.ailment() {
            None => (StatusCode::OK, "ok".to_owned()),
            Some(ailment) => (StatusCode::SERVICE_UNAVAILABLE, ailment),
        }
    }

    /// 200 while it could take over at once: of a standby as of the leader.
    fn readyz(&self) -> Answer {
        let refused = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
        match *self.ready.borrow() {
            Readiness::Ready(_) => (StatusCode::OK, "ok".to_owned()),
            Readiness::Starting => refused("the stores are not filled yet"),
            Readiness::Stopping(_) => refused("told to stop"),
        }
    }

    fn page(&self) -> String {
        let ready = self.ready.borrow().clone();
        let stores = match &ready {
            Readiness::Ready(stores) | Readiness::Stopping(stores) => Some(stores.as_ref()),
            Readiness::Starting => None,
        };
        self.metrics.text(stores)
    }
}

/// Answers on both ports until `stop` turns true. `/healthz` is 200 while the process can make progress; `/readyz` is 200
/// while it could take over at once; `/metrics` is for Prometheus, of standbys as well.
pub async fn serve(
    healthz_port: u16,
    metrics_port: u16,
    state: Probed,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (healthz, readyz) = (state.clone(), state.clone());
    let probes = Router::new()
        .route("/healthz", get(async move || healthz.healthz()))
        .route("/readyz", get(async move || readyz.readyz()));
    let kind = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    let metrics = Router::new().route("/metrics", get(async move || (kind, state.page())));
    tokio::try_join!(
        listen(healthz_port, "--healthzPort", probes, stop.clone()),
        listen(metrics_port, "--metricsPort", metrics, stop)
    )
    .map(|_| ())
}

async fn listen(port: u16, flag: &str, app: Router, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let listener = match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => listener,
        // A machine without IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", port))
            .await
            .with_context(|| format!("cannot listen on port {port}; choose another with {flag}"))?,
    };
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped)
        .await
        .with_context(|| format!("cannot serve {flag}"))
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc::unbounded;
    use tokio::task::JoinSet;

    use super::*;
    use crate::controller::cache::cache;
    use crate::controller::workloads::Workloads;

    fn stores() -> Arc<Stores> {
        Arc::new(Stores {
            rollouts: cache().0,
            replica_sets: cache().0,
            pods: cache().0,
            services: cache().0,
            endpoint_slices: cache().0,
            analysis_runs: cache().0,
            templates: cache().0,
            workloads: Arc::new(Workloads::new(unbounded().0).0),
            cluster_templates: cache().0,
        })
    }

    #[tokio::test]
    async fn probes_mean_what_they_say() {
        let metrics = Arc::<Metrics>::default();
        let health = Arc::new(Health::new(Arc::clone(&metrics)));
        let (state, ready) = watch::channel(Readiness::Starting);
        let probed = Probed {
            ready,
            health: Arc::clone(&health),
            metrics,
        };
        let codes = || (probed.healthz().0.as_u16(), probed.readyz().0.as_u16());
        assert_eq!(codes(), (200, 503));
        assert!(probed.page().contains("\nserin_ready 0\n"));
        state.send_replace(Readiness::Ready(stores()));
        assert_eq!(codes(), (200, 200), "a standby is ready as the leader is");
        assert!(probed.page().contains("\nserin_ready 1\n"));
        state.send_replace(Readiness::Stopping(stores()));
        assert_eq!(codes(), (200, 503));
        state.send_replace(Readiness::Ready(stores()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        health.supervise(&mut tasks).await;
        assert_eq!(
            probed.healthz(),
            (StatusCode::SERVICE_UNAVAILABLE, "a watch has ended".to_owned())
        );
    }
}
