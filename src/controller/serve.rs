//! What the process answers over HTTP: probes that mean what they say, and metrics.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics;
use super::observe::Stores;
use super::passes::Passes;

/// How far the process has come.
#[derive(Clone, Default)]
pub enum Readiness {
    /// Filling its stores, or on its way out.
    #[default]
    Starting,
    /// Able to take over at once: stores filled, waiting for the lease or holding it.
    Ready(Arc<Stores>),
}

/// Answers on both ports until `stop` turns true. `/healthz` is 200 while the process serves at all; `/readyz` is 200
/// while it could take over at once; `/metrics` is for Prometheus, of followers as well.
pub async fn serve(
    healthz_port: u16,
    metrics_port: u16,
    ready: watch::Receiver<Readiness>,
    passes: Arc<Passes>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let state = ready.clone();
    let readyz = move || {
        let ready = state.borrow().clone();
        async move {
            match ready {
                Readiness::Ready(_) => (StatusCode::OK, "ok"),
                Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "the stores are not filled yet"),
            }
        }
    };
    let probes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz));
    let scrape = move || {
        let (ready, passes) = (ready.borrow().clone(), Arc::clone(&passes));
        async move {
            let stores = match &ready {
                Readiness::Ready(stores) => Some(stores.as_ref()),
                Readiness::Starting => None,
            };
            (
                [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
                metrics::text(stores, &passes),
            )
        }
    };
    let metrics = Router::new().route("/metrics", get(scrape));
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
