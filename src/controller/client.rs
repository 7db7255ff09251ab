//! The client of the API server, and the one place that all calls pass: each waits for its turn, and is counted.
//!
//! Two things hold a call back. A limit that the operator sets (`--qps`, `--burst`); without one there is none, for the API
//! server has its own fairness and says 429 when it has had enough ([ADR 0010]). And that 429 itself: for as long as its
//! `Retry-After` asks, nobody else calls either.
//!
//! The lease is never held back: a queue of other calls must not cost the leadership. Nor is an eviction's 429 the API
//! server's own: it is a PodDisruptionBudget that refuses one pod.
//!
//! A watch is begun once a second at most. The library begins one that has ended anew without a wait, and who ends every
//! watch at once, such as a proxy in between, would be asked without an end.
//!
//! [ADR 0010]: ../../../docs/adr/0010-no-client-limit.md

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service};

use super::metrics::Metrics;

/// The longest that a `Retry-After` holds back all calls. An object that was refused waits longer by itself, each time
/// that it is refused.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The least time between two beginnings of the same watch.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

/// How many calls a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Calls a second, in the long run: above zero.
    pub qps: f64,
    /// Calls at once, after a time of rest: one at least.
    pub burst: u32,
}

/// A client whose calls keep to the limit and are counted. Error: a configuration that cannot be used.
pub fn client(config: Config, limit: Option<Limit>, metrics: Arc<Metrics>) -> Result<Client, kube::Error> {
    let gate = Arc::new(Gate {
        bucket: limit.map(|limit| tokio::sync::Mutex::new(Bucket::full(limit, Instant::now()))),
        rest_until: Mutex::new(None),
        begun: Mutex::default(),
        metrics,
    });
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&GateLayer { gate })
        .build())
}

/// Calls that may be made now: as many as `burst`, refilled at `qps` a second.
#[derive(Debug)]
struct Bucket {
    limit: Limit,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(limit: Limit, now: Instant) -> Self {
        Bucket {
            limit,
            left: f64::from(limit.burst),
            at: now,
        }
    }

    /// Takes one call, or says how long until there is one.
    ///
    /// Worked: 10 a second, 2 at once. Two calls at once, then one each 100 ms.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let refilled = (now - self.at).as_secs_f64() * self.limit.qps;
        self.left = (self.left + refilled).min(f64::from(self.limit.burst));
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // A moment more than needed, so that rounding does not ask again for nothing.
        Err(Duration::from_secs_f64((1.0 - self.left) / self.limit.qps) + Duration::from_micros(10))
    }
}

struct Gate {
    /// Its lock is fair: calls take their turn in the order in which they came.
    bucket: Option<tokio::sync::Mutex<Bucket>>,
    rest_until: Mutex<Option<Instant>>,
    /// When each watch was begun last, by what is watched.
    begun: Mutex<HashMap<String, Instant>>,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// Comes back when it is this call's turn. A call that is given up meanwhile takes nothing.
    async fn turn(&self) {
        let began = Instant::now();
        let rest = *self.rest_until.lock();
        if let Some(until) = rest.filter(|until| *until > began) {
            sleep_until(until).await;
        }
        if let Some(bucket) = &self.bucket {
            let mut bucket = bucket.lock().await;
            while let Err(wait) = bucket.take(Instant::now()) {
                sleep(wait).await;
            }
        }
        let waited = began.elapsed();
        if waited > Duration::ZERO {
            self.metrics.held_back(waited);
        }
    }

    /// How long this call has to wait because it begins a watch that was begun a moment ago.
    fn watch_wait(&self, uri: &Uri, now: Instant) -> Duration {
        let Some(watched) = watched(uri) else {
            return Duration::ZERO;
        };
        let mut begun = self.begun.lock();
        let at = begun
            .get(&watched)
            .map_or(now, |last| now.max(*last + BETWEEN_WATCHES));
        begun.insert(watched, at);
        at - now
    }

    fn answered<B>(&self, uri: &Uri, answer: &Response<B>) {
        if answer.status() != StatusCode::TOO_MANY_REQUESTS || uri.path().ends_with("/eviction") {
            return;
        }
        let after = answer.headers().get(http::header::RETRY_AFTER);
        let seconds = after.and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(seconds) = seconds {
            let rest = Duration::from_secs(seconds).min(LONGEST_REST);
            *self.rest_until.lock() = Some(Instant::now() + rest);
        }
    }
}

/// What a call watches, if it begins a watch: path and query without the version from which it goes on.
fn watched(uri: &Uri) -> Option<String> {
    let pairs: Vec<&str> = uri.query()?.split('&').collect();
    pairs.contains(&"watch=true").then(|| {
        let lasting = pairs
            .into_iter()
            .filter(|pair| !pair.starts_with("resourceVersion="));
        format!("{}?{}", uri.path(), lasting.collect::<Vec<_>>().join("&"))
    })
}

fn is_lease(uri: &Uri) -> bool {
    uri.path().starts_with("/apis/coordination.k8s.io/")
}

struct GateLayer {
    gate: Arc<Gate>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            inner,
            gate: Arc::clone(&self.gate),
        }
    }
}

/// A service behind the gate.
struct Gated<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S, B> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let gate = Arc::clone(&self.gate);
        // Nothing is sent before this is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if !is_lease(&uri) {
                let wait = gate.watch_wait(&uri, Instant::now());
                if !wait.is_zero() {
                    sleep(wait).await;
                }
                gate.turn().await;
            }
            let answer = answer.await;
            let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            gate.metrics.called(&method, &uri, status);
            if let Ok(answer) = &answer {
                gate.answered(&uri, answer);
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests;
