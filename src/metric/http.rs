//! One HTTP exchange with a measured server: bounded in time, in size and in number per address.
//!
//! What is absent on purpose: retries (the next measurement is the retry), compression (a small answer could
//! unpack to a large one), cookies, and redirects to other hosts.

use super::provider::{ProviderError, Stage};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Method, Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

mod failure;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// Bounds of all exchanges of the process.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests under way to one address (scheme, host and port) at once; more wait for their turn.
    pub per_address: usize,
    /// The largest answer that is read, in bytes.
    pub body_bytes: usize,
    /// How long a TCP connection may take to come about.
    pub connect: Duration,
    /// Redirects followed on one host.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_address: 16,
            body_bytes: 8 * 1024 * 1024,
            connect: Duration::from_secs(5),
            redirects: 3,
        }
    }
}

/// How the transport is set up; fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Bounds.
    pub limits: Limits,
    /// Certificate authorities in PEM to trust beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// True heeds `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy_from_env: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ca_pem: None,
            proxy_from_env: true,
        }
    }
}

/// Why the transport cannot be set up at all; shown when the process starts.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The given certificates cannot be read.
    #[error("the CA certificates for metric providers are not usable PEM: {0}")]
    CaPem(String),
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client for metric providers")]
    Client(#[source] reqwest::Error),
}

/// The moment at which a measurement gives up, and the limit that a person set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    seconds: u64,
}

impl Deadline {
    /// The longest time that one measurement may take; a larger `timeout` counts as this.
    const MAX: u64 = 3600;

    /// So many seconds from now.
    pub(crate) fn after(seconds: u64) -> Self {
        let seconds = seconds.min(Self::MAX);
        Self {
            at: Instant::now() + Duration::from_secs(seconds),
            seconds,
        }
    }

    /// What a future brings, or nothing when the time is over first.
    pub(crate) async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        timeout_at(self.at, future).await.ok()
    }

    /// The limit that a person set, in seconds.
    pub(crate) const fn seconds(self) -> u64 {
        self.seconds
    }

    /// This deadline, or one after so many seconds when that is sooner.
    pub(crate) fn or_after(self, seconds: u64) -> Self {
        let other = Self::after(seconds);
        if other.at < self.at { other } else { self }
    }
}

/// Who is asked, in the words of a message: `Prometheus at http://prometheus:9090`.
///
/// Never holds user, password, path or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) String);

impl Target {
    /// A target from what it is and where it is.
    pub(crate) fn new(noun: &str, url: &reqwest::Url) -> Self {
        Self(format!("{noun} at {}", origin(url)))
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) url: reqwest::Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// True does not verify the server's certificate.
    pub(crate) insecure: bool,
}

/// One answer, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Code and reason, such as `500 Internal Server Error`.
    pub(crate) fn status_text(&self) -> String {
        match self.status.canonical_reason() {
            Some(reason) => format!("{} {reason}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }
}

/// The clients and the gates; shared by all measurements of the process.
pub(crate) struct Transport {
    limits: Limits,
    /// For plain http: reads no certificates, so it works in an image that has none.
    plain: Client,
    /// For https; built at the first use, because it reads the system's certificates.
    verified: OnceLock<Result<Client, String>>,
    insecure: Client,
    options: TransportOptions,
    /// One gate an address. Weak, so that the map holds only what is in use, and is swept as it grows.
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Transport {
    pub(crate) fn new(options: TransportOptions) -> Result<Self, SetupError> {
        // The binary installs the provider; a test or another embedder may not have.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error only says that somebody else was faster.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        if let Some(pem) = &options.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| SetupError::CaPem(failure::chain(&error)))?;
            if certificates.is_empty() {
                return Err(SetupError::CaPem("there is no certificate in it".to_owned()));
            }
            // Only building a client reads what is inside a certificate.
            builder(&options)
                .tls_certs_only(certificates)
                .build()
                .map_err(|error| SetupError::CaPem(failure::chain(&error)))?;
        }
        let plain = builder(&options)
            .tls_certs_only([])
            .build()
            .map_err(SetupError::Client)?;
        let insecure = builder(&options)
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(SetupError::Client)?;
        Ok(Self {
            limits: options.limits.clone(),
            plain,
            verified: OnceLock::new(),
            insecure,
            options,
            gates: Mutex::new(HashMap::new()),
        })
    }

    /// Sends the request and reads the whole answer, following redirects on the same host only.
    ///
    /// `sign` is asked for further headers of each request that is really sent: a signature is valid for one
    /// URL.
    pub(crate) async fn exchange(
        &self,
        mut call: Call,
        deadline: Deadline,
        sign: impl Fn(&Call) -> Result<HeaderMap, ProviderError>,
    ) -> Result<Reply, ProviderError> {
        let mut followed = 0;
        loop {
            let extra = sign(&call)?;
            let (reply, location) = self.send(&call, extra, deadline).await?;
            let Some(location) = location.filter(|_| reply.status.is_redirection()) else {
                return Ok(reply);
            };
            let Ok(next) = call.url.join(&location) else {
                return Ok(reply);
            };
            if followed == self.limits.redirects || !same_host(&call.url, &next) {
                return Err(ProviderError::Redirect {
                    target: call.target.0,
                    status: reply.status.as_u16(),
                    location: origin(&next),
                });
            }
            followed += 1;
            call.url = next;
            // 303 asks for a GET of something else. All others repeat the request: what is sent here only
            // reads.
            if reply.status == StatusCode::SEE_OTHER {
                call.method = Method::GET;
                call.body = None;
                call.headers.remove(CONTENT_TYPE);
            }
        }
    }

    async fn send(
        &self,
        call: &Call,
        extra: HeaderMap,
        deadline: Deadline,
    ) -> Result<(Reply, Option<String>), ProviderError> {
        let late = |stage| ProviderError::Timeout {
            target: call.target.0.clone(),
            seconds: deadline.seconds,
            stage,
        };
        let client = self.client(call)?;
        let queued = Instant::now();
        let _permit = timeout_at(deadline.at, self.enter(&call.url))
            .await
            .map_err(|_| late(Stage::Queue))?;
        let asked = Instant::now();
        // A request whose turn came only at the end says so, and does not blame the server's last
        // milliseconds.
        let waited = asked.saturating_duration_since(queued) > deadline.at.saturating_duration_since(asked);
        let unanswered = if waited { Stage::Queue } else { Stage::Answer };

        let mut headers = call.headers.clone();
        headers.extend(extra);
        let mut request = client
            .request(call.method.clone(), call.url.clone())
            .headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let failed = |error: &reqwest::Error| ProviderError::Unreachable {
            target: call.target.0.clone(),
            cause: failure::cause(
                error,
                call.url.host_str().unwrap_or_default(),
                self.limits.connect,
            ),
        };
        let response = timeout_at(deadline.at, request.send())
            .await
            .map_err(|_| late(unanswered))?
            .map_err(|error| failed(&error))?;
        let status = response.status();
        let text = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let (content_type, location) = (text(CONTENT_TYPE).unwrap_or_default(), text(LOCATION));
        let (body, whole) = timeout_at(deadline.at, read(response, self.limits.body_bytes))
            .await
            .map_err(|_| late(Stage::Body))?
            .map_err(|error| failed(&error))?;
        // Of an error page the beginning is enough; half a result is none.
        if !whole && status.is_success() {
            return Err(ProviderError::TooLarge {
                target: call.target.0.clone(),
                limit: self.limits.body_bytes,
            });
        }
        Ok((
            Reply {
                status,
                content_type,
                body,
            },
            location,
        ))
    }

    fn client(&self, call: &Call) -> Result<&Client, ProviderError> {
        if call.url.scheme() != "https" {
            return Ok(&self.plain);
        }
        if call.insecure {
            return Ok(&self.insecure);
        }
        self.verified
            .get_or_init(|| verified(&self.options))
            .as_ref()
            .map_err(|message| ProviderError::Tls {
                target: call.target.0.clone(),
                message: message.clone(),
            })
    }

    /// Waits for a place among the requests to this address.
    async fn enter(&self, url: &reqwest::Url) -> Option<OwnedSemaphorePermit> {
        // The gate is never closed, so there is always a permit in the end.
        self.gate(&origin(url)).acquire_owned().await.ok()
    }

    fn gate(&self, address: &str) -> Arc<Semaphore> {
        const SWEEP_AT: usize = 256;
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(address).and_then(Weak::upgrade) {
            return gate;
        }
        if gates.len() >= SWEEP_AT {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        let gate = Arc::new(Semaphore::new(self.limits.per_address.max(1)));
        gates.insert(address.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

fn builder(options: &TransportOptions) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.limits.connect)
        // Measurements are a minute apart or more: a connection kept that long is mostly one that a proxy has
        // dropped.
        .pool_idle_timeout(Duration::from_secs(20))
        // As many as may be under way at once: with fewer, a busy address is connected to anew all the time.
        .pool_max_idle_per_host(options.limits.per_address.max(1));
    if options.proxy_from_env {
        builder
    } else {
        builder.no_proxy()
    }
}

fn verified(options: &TransportOptions) -> Result<Client, String> {
    let given = match &options.ca_pem {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem).map_err(|error| failure::chain(&error))?,
        None => return builder(options).build().map_err(|error| failure::chain(&error)),
    };
    // A system without certificates of its own still has the given ones.
    builder(options)
        .tls_certs_merge(given.clone())
        .build()
        .or_else(|_| builder(options).tls_certs_only(given).build())
        .map_err(|error| failure::chain(&error))
}

/// The body up to `limit` bytes, and whether that is all of it.
async fn read(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let announced = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if response.status().is_success() && announced.is_some_and(|length| length > limit) {
        return Ok((Vec::new(), false));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body, false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, true))
}

/// Scheme, host and port: what a gate and a message call an address.
pub(crate) fn origin(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// True when credentials for `from` may go to `to`: the same origin, or the same host one step up from http
/// to https.
fn same_host(from: &reqwest::Url, to: &reqwest::Url) -> bool {
    let upgrade = from.scheme() == "http" && to.scheme() == "https";
    from.host_str() == to.host_str()
        && (upgrade
            || (from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default()))
}
