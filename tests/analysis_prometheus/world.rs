//! A real Prometheus, and targets whose error rate and latency a test sets.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A Prometheus; it is killed, and its directory removed, when the value goes.
pub struct Prometheus {
    child: Option<Child>,
    pub address: String,
    port: u16,
    directory: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Prometheus {
    pub fn start(scraped: &[&Target]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = std::env::temp_dir().join(format!("serin-analysis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let targets: Vec<String> = scraped
            .iter()
            .map(|target| format!("'{}'", target.address))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: app, static_configs: [{{targets: [{}]}}]}}]\n",
            targets.join(", ")
        );
        std::fs::write(directory.join("prometheus.yml"), config).unwrap();
        let mut prometheus = Prometheus {
            child: None,
            address: format!("http://127.0.0.1:{port}"),
            port,
            directory,
        };
        prometheus.run();
        prometheus
    }

    /// Starts it, on the port and the data that it had.
    pub fn run(&mut self) {
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                self.directory.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| {
            panic!(
                "this test needs a real Prometheus, and `prometheus` cannot be started ({error}): install it"
            )
        }));
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a version does.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// Requests a second.
    pub rate: f64,
    /// The part of them that fails.
    pub errors: f64,
    /// How long each takes, in seconds.
    pub latency: f64,
}

/// Good and quick.
pub const GOOD: Behaviour = Behaviour {
    rate: 1000.0,
    errors: 0.001,
    latency: 0.08,
};

const BUCKETS: [f64; 6] = [0.01, 0.05, 0.1, 0.2, 0.4, 0.8];

struct State {
    behaviour: Behaviour,
    since: Instant,
    silent: bool,
    requests: f64,
    failed: f64,
    buckets: [f64; BUCKETS.len()],
}

impl State {
    fn settle(&mut self) {
        let Behaviour {
            rate,
            errors,
            latency,
        } = self.behaviour;
        let requests = rate * self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        self.requests += requests;
        self.failed += requests * errors;
        for (bucket, limit) in self.buckets.iter_mut().zip(BUCKETS) {
            *bucket += if latency <= limit { requests } else { 0.0 };
        }
    }
}

/// A version of an application, with the metrics that the examples ask for.
pub struct Target {
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Target {
    /// Starts one whose pods have this hash.
    pub async fn start(hash: &'static str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (since, silent) = (Instant::now(), false);
        let state = State {
            behaviour,
            since,
            silent,
            requests: 0.0,
            failed: 0.0,
            buckets: [0.0; 6],
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        if !buffer[..count].ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        let Some(body) = page(hash, &state) else { return };
                        let head =
                            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length";
                        let _ = stream
                            .write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes())
                            .await;
                    }
                });
            }
        });
        Target { address, state }
    }

    /// From now on.
    pub fn set(&self, behaviour: Behaviour) {
        let mut state = self.state.lock().unwrap();
        state.settle();
        state.behaviour = behaviour;
    }

    /// All counters begin again at 0.
    pub fn restart(&self) {
        let mut state = self.state.lock().unwrap();
        (state.requests, state.failed, state.buckets) = (0.0, 0.0, [0.0; 6]);
    }

    /// Answers no scrape while true.
    pub fn silence(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }
}

fn page(hash: &str, state: &Mutex<State>) -> Option<String> {
    let mut state = state.lock().unwrap();
    state.settle();
    if state.silent {
        return None;
    }
    let label = format!("pod_template_hash=\"{hash}\"");
    let mut body = "# TYPE http_requests_total counter\n".to_owned();
    let (ok, failed) = (state.requests - state.failed, state.failed);
    let _ = writeln!(body, "http_requests_total{{{label},code=\"200\"}} {ok}");
    let _ = writeln!(body, "http_requests_total{{{label},code=\"500\"}} {failed}");
    body += "# TYPE http_request_duration_seconds histogram\n";
    for (bucket, limit) in state.buckets.iter().zip(BUCKETS) {
        let _ = writeln!(
            body,
            "http_request_duration_seconds_bucket{{{label},le=\"{limit}\"}} {bucket}"
        );
    }
    let all = state.requests;
    let _ = writeln!(
        body,
        "http_request_duration_seconds_bucket{{{label},le=\"+Inf\"}} {all}"
    );
    let _ = writeln!(body, "http_request_duration_seconds_sum{{{label}}} {all}");
    let _ = writeln!(body, "http_request_duration_seconds_count{{{label}}} {all}");
    Some(body)
}

/// Waits in real time.
pub async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
