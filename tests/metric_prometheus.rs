//! The measurer against a real Prometheus: a target with known counters, and the query of a canary analysis.
//!
//! Needs the program `prometheus` on the PATH (Debian package `prometheus`; `make test` installs it). It runs
//! on a free port of loopback, in a directory of its own, and ends with the test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are the helpers of a test"
)]

use serin::api::analysis::{AnalysisPhase, Metric};
use serin::metric::http::TransportOptions;
use serin::metric::provider::{Defaults, Measured, Measurer, MeasurerOptions};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The metric of the example canary, word for word, with the address and the pod hash to fill in.
const METRIC: &str = r#"
name: success-rate
interval: 1m
count: 5
failureLimit: 1
successCondition: len(result) > 0 && result[0] >= 0.995
provider:
  prometheus:
    address: ADDRESS
    query: |
      sum(rate(http_requests_total{pod_template_hash="{{args.pod-hash}}",code!~"5.."}[5m]))
      /
      sum(rate(http_requests_total{pod_template_hash="{{args.pod-hash}}"}[5m]))
"#;

/// A running Prometheus; it is killed, and its directory removed, when the value goes.
struct Prometheus {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let directory = std::env::temp_dir().join(format!("serin-prometheus-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let config = directory.join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
                 scrape_configs: [{{job_name: app, static_configs: [{{targets: ['{target}']}}]}}]\n"
            ),
        )
        .unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Self {
                child,
                address: format!("http://127.0.0.1:{port}"),
                directory,
            },
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                panic!(
                    "this test needs a real Prometheus, and `prometheus` cannot be started ({error}): install it, for example with \
                 `apt-get install prometheus`, or run `make test`, which does"
                )
            }
        }
    }

    /// Stops or continues the process, so that it is there and does not answer.
    fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// A target whose counters grow with each scrape: 999 good and 1 bad request for `good`, 99 and 1 for `bad`,
/// none for `idle`.
async fn target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let scrapes = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let scrapes = Arc::clone(&scrapes);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                // Prometheus keeps its connection; each read that ends a head is one scrape.
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if !buffer[..count].ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let n = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
                    let mut body = "# TYPE http_requests_total counter\n".to_owned();
                    for (hash, ok, failed) in [("good", 999 * n, n), ("bad", 99 * n, n), ("idle", 7, 0)] {
                        for (code, value) in [(200, ok), (500, failed)] {
                            let _ = writeln!(
                                body,
                                "http_requests_total{{pod_template_hash=\"{hash}\",code=\"{code}\"}} {value}"
                            );
                        }
                    }
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                }
            });
        }
    });
    address
}

fn metric(address: &str, hash: &str) -> Metric {
    let text = METRIC
        .replace("ADDRESS", address)
        .replace("{{args.pod-hash}}", hash);
    serde_saphyr::from_str(&text).unwrap()
}

fn with(mut metric: Metric, change: impl FnOnce(&mut serin::api::analysis::PrometheusMetric)) -> Metric {
    change(metric.provider.prometheus.as_mut().unwrap());
    metric
}

async fn judged(meter: &Measurer, metric: &Metric) -> Measured {
    #[expect(clippy::disallowed_methods, reason = "a real Prometheus lives in real time")]
    let now = jiff::Timestamp::now();
    meter
        .measure_and_judge(metric, &Defaults::default(), &[], now)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_judged_by_a_real_prometheus() {
    let mut prometheus = Prometheus::start(&target().await);
    let address = prometheus.address.clone();
    let transport = TransportOptions {
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    let meter = Measurer::new(MeasurerOptions {
        transport,
        ..MeasurerOptions::default()
    })
    .unwrap();

    // Wait for what the queries need: some samples of each series.
    let ready = with(metric(&address, "good"), |p| {
        p.query = Some("min(count_over_time(http_requests_total[1m])) >= 4".to_owned());
        p.timeout = Some(1);
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = judged(&meter, &ready).await;
    while last.value.is_none() || last.value.as_deref() == Some("[]") {
        assert!(
            Instant::now() < deadline,
            "Prometheus has no samples after 60 s: {last:?}"
        );
        if let Some(status) = prometheus.child.try_wait().unwrap() {
            panic!("prometheus ended at once: {status}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = judged(&meter, &ready).await;
    }

    // One in a thousand requests fails: good enough. One in a hundred: not.
    for (hash, phase, about) in [
        ("good", AnalysisPhase::Successful, 0.999),
        ("bad", AnalysisPhase::Failed, 0.99),
    ] {
        let measured = judged(&meter, &metric(&address, hash)).await;
        assert_eq!(
            (measured.phase, measured.message.as_deref()),
            (phase, None),
            "{measured:?}"
        );
        let value = measured.value.unwrap();
        let number: f64 = value.trim_matches(['[', ']']).parse().unwrap();
        assert!((number - about).abs() < 1e-9, "{value}");
        assert!(
            measured.metric_metadata["ResolvedPrometheusQuery"]
                .contains(&format!("pod_template_hash=\"{hash}\""))
        );
    }

    // No requests, and no such series: neither is bad data, neither promotes, and a person can tell them
    // apart.
    let idle = judged(&meter, &metric(&address, "idle")).await;
    assert_eq!(
        (idle.phase, idle.value.as_deref()),
        (AnalysisPhase::Failed, Some("[NaN]"))
    );
    assert_eq!(
        idle.message.as_deref(),
        Some("the query returned NaN (usually 0/0: no requests)")
    );
    let absent = judged(&meter, &metric(&address, "absent")).await;
    assert_eq!(
        (absent.phase, absent.value.as_deref()),
        (AnalysisPhase::Failed, Some("[]"))
    );
    assert_eq!(
        absent.message.as_deref(),
        Some("the query returned no data (empty vector): no series matched it")
    );
    for hash in ["idle", "absent"] {
        let lax = Metric {
            success_condition: None,
            failure_condition: Some("any(result, # < 0.995)".to_owned()),
            ..metric(&address, hash)
        };
        assert_eq!(
            judged(&meter, &lax).await.phase,
            AnalysisPhase::Inconclusive,
            "{hash}"
        );
    }

    // A range, a scalar, a text, and a query that Prometheus cannot read.
    let range = with(metric(&address, "good"), |p| {
        p.query = Some("vector(1)".to_owned());
        p.range_query =
            serde_saphyr::from_str("{start: 'now() - duration(\"1m\")', end: 'now()', step: 20s}").unwrap();
    });
    assert_eq!(judged(&meter, &range).await.value.as_deref(), Some("[1,1,1,1]"));
    let ask = |query: &str| with(metric(&address, "good"), |p| p.query = Some(query.to_owned()));
    let scalar = Metric {
        success_condition: Some("result == 42".to_owned()),
        ..ask("scalar(vector(42))")
    };
    assert_eq!(judged(&meter, &scalar).await.phase, AnalysisPhase::Successful);
    let text = judged(&meter, &ask("\"text\"")).await;
    assert_eq!(
        (text.phase, text.error_kind),
        (AnalysisPhase::Error, Some("ResultType"))
    );
    let broken = judged(&meter, &ask("sum(rate(")).await;
    assert_eq!(
        (broken.phase, broken.error_kind),
        (AnalysisPhase::Error, Some("QueryError"))
    );
    let message = broken.message.unwrap();
    let expected =
        format!("Prometheus at {address} answered HTTP 400: bad_data: invalid parameter \"query\": ");
    assert!(
        message.starts_with(&expected) && message.contains("parse error"),
        "{message}"
    );

    // Its web pages are not its query interface.
    let page = judged(&meter, &metric(&format!("{address}/graph"), "good")).await;
    assert_eq!(page.phase, AnalysisPhase::Error, "{page:?}");

    // Slow, then gone.
    prometheus.signal("-STOP");
    let slow = judged(&meter, &with(metric(&address, "good"), |p| p.timeout = Some(1))).await;
    prometheus.signal("-CONT");
    assert_eq!(slow.phase, AnalysisPhase::Error);
    assert_eq!(
        slow.message.unwrap(),
        format!("Prometheus at {address} did not answer within 1 s")
    );
    prometheus.child.kill().unwrap();
    prometheus.child.wait().unwrap();
    let gone = judged(&meter, &metric(&address, "good")).await;
    assert_eq!(
        gone.message.unwrap(),
        format!("cannot reach Prometheus at {address}: connection refused")
    );
}
