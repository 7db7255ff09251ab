//! A proxy between a controller and the API server that misbehaves on demand, as an API server under stress does. It
//! writes down every call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::StreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::cluster::Cluster;

/// How the API server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As it is.
    None,
    /// 429, and `Retry-After` so many seconds. Nothing reaches it.
    TooMany(u32),
    /// 500. Nothing reaches it.
    Broken,
    /// After so long.
    Slow(Duration),
    /// 504 to every write, which was carried out; reads are answered.
    Lost,
}

/// How watches fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watches {
    /// As they should.
    Fine,
    /// Closed after so long, over and over.
    Closed(Duration),
    /// After so long each is told that what it has seen is too old to go on from (410 Gone).
    Gone(Duration),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// Method and path.
    pub line: String,
    /// Whether it is a watch.
    pub is_watch: bool,
}

/// A proxy for one controller. It lives as long as the runtime of the test.
pub struct Proxy {
    /// A kubeconfig that leads to it.
    pub kubeconfig: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    fault: Mutex<Fault>,
    watches: Mutex<Watches>,
    /// Changes when all watches are to be cut.
    cut: watch::Sender<u32>,
    calls: Mutex<Vec<Call>>,
}

impl Proxy {
    /// In front of the cluster's API server, with the rights of this user.
    pub async fn start(cluster: &Cluster, user: &str) -> Proxy {
        let file = Kubeconfig::read_from(cluster.controller_kubeconfig(user)).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.default_retry = false;
        let inner = Arc::new(Inner {
            client: Client::try_from(config).unwrap(),
            fault: Mutex::new(Fault::None),
            watches: Mutex::new(Watches::Fine),
            cut: watch::Sender::new(0),
            calls: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let kubeconfig = cluster.directory.join(format!("proxy-{user}.kubeconfig"));
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "p",
            "contexts": [{"name": "p", "context": {"cluster": "p", "user": "p"}}],
            "clusters": [{"name": "p", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "p", "user": {}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        Proxy { kubeconfig, inner }
    }

    /// From now on calls are answered so. Watches that stand are cut, as when an API server goes.
    pub fn set(&self, fault: Fault) {
        *self.inner.fault.lock() = fault;
        if fault != Fault::None {
            self.inner.cut.send_modify(|cut| *cut += 1);
        }
    }

    /// From now on watches fare so.
    pub fn set_watches(&self, watches: Watches) {
        *self.inner.watches.lock() = watches;
        self.inner.cut.send_modify(|cut| *cut += 1);
    }

    /// The calls since.
    pub fn calls_since(&self, since: Instant) -> Vec<Call> {
        let calls = self.inner.calls.lock();
        calls.iter().filter(|call| call.at >= since).cloned().collect()
    }
}

fn status(code: u16, reason: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": format!("{reason}, as the test has it"),
    });
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let is_watch = query.contains("watch=true") || query.contains("watch=1");
    let is_write = request.method() != "GET";
    inner.calls.lock().push(Call {
        at: Instant::now(),
        line: format!("{} {}", request.method(), request.uri().path()),
        is_watch,
    });
    let fault = *inner.fault.lock();
    match fault {
        Fault::TooMany(seconds) => {
            let mut response = status(429, "TooManyRequests");
            response.headers_mut().insert("retry-after", seconds.into());
            return response;
        }
        Fault::Broken => return status(500, "InternalError"),
        Fault::Slow(by) => sleep(by).await,
        Fault::None | Fault::Lost => {}
    }
    let mut cut = inner.cut.subscribe();
    let Some(response) = forward(&inner.client, request).await else {
        return status(502, "BadGateway");
    };
    if fault == Fault::Lost && is_write {
        return status(504, "Timeout");
    }
    if !is_watch || response.status() != StatusCode::OK {
        return response;
    }
    let watches = *inner.watches.lock();
    let (parts, body) = response.into_parts();
    let end = async move {
        let over = async {
            match watches {
                Watches::Fine => std::future::pending().await,
                Watches::Closed(after) | Watches::Gone(after) => sleep(after).await,
            }
        };
        tokio::select! {
            () = over => {}
            _ = cut.changed() => {}
        }
    };
    let body = body.into_data_stream().take_until(Box::pin(end));
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 1 (2)",
    }});
    let last = matches!(watches, Watches::Gone(_)).then(|| Ok(format!("{gone}\n").into()));
    Response::from_parts(parts, Body::from_stream(body.chain(futures::stream::iter(last))))
}

/// The API server's own answer.
async fn forward(client: &Client, request: Request) -> Option<Response> {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
    for name in ["host", "content-length", "connection", "transfer-encoding"] {
        parts.headers.remove(name);
    }
    let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body));
    let response = client.send(request).await.ok()?;
    let (mut parts, body) = response.into_parts();
    for name in ["content-length", "connection", "transfer-encoding"] {
        parts.headers.remove(name);
    }
    Some(Response::from_parts(parts, Body::new(body)))
}
