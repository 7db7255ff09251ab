//! What the process answers over HTTP: `/healthz` and `/readyz` that mean what they say.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How far the process has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// Filling its stores, or on its way out.
    #[default]
    Starting,
    /// Able to take over at once: stores filled, waiting for the lease or holding it.
    Ready,
}

/// Answers probes on `port` until `stop` turns true. `/healthz` is 200 while the process serves at all; `/readyz` is 200
/// while it could take over at once.
pub async fn probes(
    port: u16,
    ready: watch::Receiver<Readiness>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let readyz = move || {
        let ready = *ready.borrow();
        async move {
            match ready {
                Readiness::Ready => (StatusCode::OK, "ok"),
                Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "the stores are not filled yet"),
            }
        }
    };
    let app = Router::new().route("/healthz", get(|| async { "ok" })).route("/readyz", get(readyz));
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        // A machine without IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", port))
            .await
            .with_context(|| format!("cannot listen on port {port}; another port: --healthzPort"))?,
    };
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await.context("cannot serve the probes")
}
