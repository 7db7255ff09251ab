//! Controller processes: the real program, with the rights of tests/support/rbac.yaml.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::cluster::Cluster;

/// The user of the controller that all tests share.
pub const SHARED_USER: &str = "serin";
/// How long a controller may take to become ready.
const START: Duration = Duration::from_secs(30);

/// How a controller is run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its user name, by which the audit log knows it, and the name of its log.
    pub user: String,
    /// Its instance id; the empty one belongs to the shared controller.
    pub instance: String,
    /// The namespace of its lease; no election without one.
    pub lease_namespace: Option<String>,
    /// Another kubeconfig than that of the user in the controllers' group.
    pub kubeconfig: Option<PathBuf>,
    /// Other flags.
    pub args: Vec<String>,
}

/// A running controller. It ends with this value, and with the test process however that ends.
pub struct Controller {
    process: Child,
    /// Ends the controller when its standard input closes: when the test process is gone.
    watchdog: Child,
    port: u16,
    metrics_port: u16,
    /// What it logs.
    pub log: PathBuf,
}

impl Controller {
    /// The one that all tests share: it watches everything without an instance id. Started with the first test, stopped by
    /// its watchdog with the last.
    pub fn shared() -> &'static Controller {
        static CONTROLLER: OnceLock<Controller> = OnceLock::new();
        CONTROLLER.get_or_init(|| {
            let run = Run {
                user: SHARED_USER.to_owned(),
                instance: String::new(),
                lease_namespace: Some("default".to_owned()),
                ..Run::default()
            };
            Controller::start(Cluster::shared(), &run)
        })
    }

    /// Starts one. [`Self::ready`] waits until it serves.
    pub fn start(cluster: &Cluster, run: &Run) -> Controller {
        let kubeconfig = run
            .kubeconfig
            .clone()
            .unwrap_or_else(|| cluster.controller_kubeconfig(&run.user));
        let (port, metrics_port) = (next_port(), next_port());
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("controller-{}.log", run.user));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.arg("controller").arg("--kubeconfig").arg(kubeconfig);
        command
            .arg(format!("--healthzPort={port}"))
            .arg(format!("--metricsPort={metrics_port}"));
        command.arg(format!("--instance-id={}", run.instance));
        if !run.args.iter().any(|arg| arg.starts_with("--loglevel")) {
            command.arg("--loglevel=serin=debug,info");
        }
        command.args(&run.args);
        match &run.lease_namespace {
            Some(namespace) => command.env("POD_NAMESPACE", namespace),
            None => command.arg("--leader-elect=false"),
        };
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap();
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "read -r _; kill -s TERM \"$1\"",
                "sh",
                &process.id().to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Controller {
            process,
            watchdog,
            port,
            metrics_port,
            log,
        }
    }

    /// Waits until its stores are filled.
    pub async fn ready(&self) {
        let until = Instant::now() + START;
        while !self.is_ready().await {
            assert!(
                Instant::now() < until,
                "the controller is not ready after {START:?}: {}",
                self.last_words()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where its log is, and the last line of it.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!(
            "{} ends with: {}",
            self.log.display(),
            text.lines().last().unwrap_or_default()
        )
    }

    async fn is_ready(&self) -> bool {
        let answer = ask(self.port, "/readyz").await;
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// What a probe answers; nothing when nobody listens.
    pub async fn probe(&self, path: &str) -> Option<String> {
        ask(self.port, path).await
    }

    /// The process id.
    #[allow(dead_code, reason = "of use where memory is measured")]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its metrics, or nothing when it serves none now.
    pub async fn metrics(&self) -> String {
        ask(self.metrics_port, "/metrics").await.unwrap_or_default()
    }

    /// The sum of the samples of a metric whose labels contain this.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.metrics().await;
        let samples = page.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        });
        samples
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until it has ended by itself; what it said last, and whether it ended well.
    pub async fn ended(&mut self) -> (String, bool) {
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (self.last_words(), status.success());
            }
            assert!(
                since.elapsed() < START * 2,
                "the controller does not end: {}",
                self.last_words()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it at once, as a lost node would.
    pub fn kill(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to stop, and waits until it has; how long that took, and whether it ended well.
    pub async fn stop(&mut self) -> (Duration, bool) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let asked = Instant::now();
        let pid = self.process.id().to_string();
        assert!(
            Command::new("sh")
                .args(["-c", "kill -s TERM \"$1\"", "sh", &pid])
                .status()
                .unwrap()
                .success()
        );
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (asked.elapsed(), status.success());
            }
            assert!(
                asked.elapsed() < START,
                "the controller does not stop: {}",
                self.last_words()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The whole answer to a GET.
async fn ask(port: u16, path: &str) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    timeout(Duration::from_secs(2), ask).await.ok()?.ok()
}

/// Ports between those that the cluster takes and those that the system gives out.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000).unwrap();
    loop {
        let port = 31_500 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 1200;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
