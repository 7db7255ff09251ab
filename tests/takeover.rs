//! Rollouts that another controller of the contract left in the middle, on the real API server and controller manager
//! with faked pods: they are continued. No ReplicaSet is created and no pod deleted, as the audit log has it.
//!
//! `cargo test --features cluster-tests --test takeover`. The cluster `serin-takeover` is found or started, and left up.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serin::engine::identity::{legacy_step_hash, legacy_template_hash, step_hash, template_hash};

const CLUSTER: &str = "serin-takeover";
/// By which the audit log knows the controller under test.
const USER: &str = "serin-taker";
/// How long the controller is watched doing nothing. Its passes come within milliseconds of its start.
const QUIET: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    audit: PathBuf,
    api_server: String,
    kubeconfig: String,
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn script(args: &[&str]) -> String {
    let out = Command::new(root("tests/cluster/cluster"))
        .args(args)
        .output()
        .unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "cluster {args:?}: {said}{error}");
    said.into_owned()
}

fn kubectl(args: &[&str]) -> String {
    script(&[&["kubectl", CLUSTER], args].concat())
}

fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let env = script(&["up", "fake", CLUSTER]);
        let value = |key: &str| {
            let line = env
                .lines()
                .find_map(|l| l.strip_prefix(&format!("export {key}='")));
            line.unwrap_or_else(|| panic!("no {key} in {env}"))
                .trim_end_matches('\'')
                .to_owned()
        };
        let crds = root("crds");
        kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            crds.to_str().unwrap(),
        ]);
        kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "--all",
        ]);
        Cluster {
            audit: value("SERIN_AUDIT_LOG").into(),
            api_server: value("SERIN_API_SERVER"),
            kubeconfig: script(&["kubeconfig", CLUSTER, USER, "system:masters", "serin-audited"])
                .trim()
                .to_owned(),
        }
    })
}

/// A namespace of its own with the objects of one fixture, and the place in the audit log from which to count.
struct Left {
    namespace: String,
    since: usize,
}

#[derive(Clone, Copy)]
enum Form {
    Present,
    UpTo1_8,
}

fn apply(namespace: &str, object: &Value) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.json"));
    fs::write(&file, object.to_string()).unwrap();
    kubectl(&["-n", namespace, "create", "-f", file.to_str().unwrap()]);
}

fn patch_status(namespace: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    kubectl(&[
        "-n",
        namespace,
        "patch",
        "rollout",
        "app",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

fn leave(name: &str, fixture: &str, form: Form, newer: &str) -> Left {
    let cluster = cluster();
    let namespace = format!("takeover-{name}");
    kubectl(&[
        "delete",
        "namespace",
        "--ignore-not-found",
        "--wait=true",
        &namespace,
    ]);
    kubectl(&["create", "namespace", &namespace]);
    let text = fs::read_to_string(root("tests/golden/takeover").join(fixture)).unwrap();
    let text = text
        .replace("@NEWER@", newer)
        .replace("@API_SERVER@", &cluster.api_server);
    let rollout: Value = serde_saphyr::from_str(text.split("---\n").next().unwrap()).unwrap();
    let template = &rollout["spec"]["template"];
    let mut old = template.clone();
    old["spec"]["containers"][0]["image"] = json!("app:1");
    let steps = rollout.pointer("/spec/strategy/canary/steps");
    let (canary, stable, steps) = match form {
        Form::Present => (
            template_hash(template, None),
            template_hash(&old, None),
            step_hash(steps),
        ),
        Form::UpTo1_8 => (
            legacy_template_hash(template, None),
            legacy_template_hash(&old, None),
            legacy_step_hash(steps),
        ),
    };
    let text = text
        .replace("@CANARY@", &canary)
        .replace("@STABLE@", &stable)
        .replace("@STEPS@", &steps);
    let (first, rest) = text.split_once("---\n").unwrap();
    let rollout: Value = serde_saphyr::from_str(first).unwrap();
    apply(&namespace, &rollout);
    patch_status(&namespace, &rollout["status"]);
    let uid = kubectl(&[
        "-n",
        &namespace,
        "get",
        "rollout",
        "app",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    for object in rest.split("---\n") {
        apply(
            &namespace,
            &serde_saphyr::from_str(&object.replace("@UID@", &uid)).unwrap(),
        );
    }
    wait(&namespace, "5 pods are available", |_| {
        let sets = get(&namespace, "replicasets");
        let available = |rs: &Value| rs["status"]["availableReplicas"].as_i64().unwrap_or(0);
        sets["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(available)
            .sum::<i64>()
            == 5
    });
    let since = fs::read_to_string(&cluster.audit).unwrap().len();
    Left { namespace, since }
}

fn get(namespace: &str, kind: &str) -> Value {
    serde_json::from_str(&kubectl(&["-n", namespace, "get", kind, "-o", "json"])).unwrap()
}

fn wait(namespace: &str, what: &str, done: impl Fn(&Value) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let rollout = get(namespace, "rollouts")["items"][0].clone();
        if done(&rollout) {
            return;
        }
        assert!(
            Instant::now() < until,
            "{namespace}: {what}: not within {PATIENCE:?}: {:#}",
            rollout["status"]
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

impl Left {
    /// How often this was answered with success in the namespace: by the controller under test, or by anybody.
    fn count(&self, verb: &str, resource: &str, by: Option<&str>) -> usize {
        let text = fs::read_to_string(&cluster().audit).unwrap();
        let lines = text[self.since..]
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let is = |e: &Value, path: &str, want: &str| e.pointer(path).and_then(Value::as_str) == Some(want);
        lines
            .filter(|e| {
                is(e, "/objectRef/namespace", &self.namespace) && is(e, "/objectRef/resource", resource)
            })
            .filter(|e| is(e, "/verb", verb) && by.is_none_or(|user| is(e, "/user/username", user)))
            .count()
    }

    fn nothing_moved(&self) {
        for (verb, resource) in [
            ("create", "replicasets"),
            ("patch", "replicasets"),
            ("create", "analysisruns"),
        ] {
            assert_eq!(
                self.count(verb, resource, Some(USER)),
                0,
                "{}: {verb} {resource}",
                self.namespace
            );
        }
        assert_eq!(
            self.count("delete", "pods", None),
            0,
            "{}: deleted pods",
            self.namespace
        );
    }
}

/// The controller under test; it ends with this value.
struct Controller(Child);

impl Controller {
    fn start(log: &str) -> Controller {
        let log = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(log)).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args([
                "controller",
                "--leader-elect=false",
                "--healthzPort=0",
                "--metricsPort=0",
            ])
            .arg("--kubeconfig")
            .arg(&cluster().kubeconfig)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Controller(process)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_rollout_that_was_left_behind_is_continued() {
    const NEWER: &str = "\n      newerFieldOfPods: {enabled: true}";
    let paused = [
        leave("paused", "paused.yaml", Form::Present, ""),
        leave("paused-1-8", "paused.yaml", Form::UpTo1_8, ""),
        leave("paused-newer", "paused.yaml", Form::Present, NEWER),
    ];
    let analysis = [
        leave("analysis", "analysis.yaml", Form::Present, ""),
        leave("analysis-1-8", "analysis.yaml", Form::UpTo1_8, ""),
    ];
    let promoted = [
        leave("promoted", "promoted.yaml", Form::Present, ""),
        leave("promoted-1-8", "promoted.yaml", Form::UpTo1_8, NEWER),
    ];
    let _controller = Controller::start("takeover.log");
    std::thread::sleep(QUIET);
    for left in paused.iter().chain(&promoted) {
        left.nothing_moved();
        let status = get(&left.namespace, "rollouts")["items"][0]["status"].clone();
        assert!(
            status["templateFingerprint"].is_string(),
            "{}: the controller has been here",
            left.namespace
        );
    }
    for left in &paused {
        wait(&left.namespace, "still paused", |r| {
            r["status"]["phase"] == "Paused" && r["status"]["currentStepIndex"] == 1
        });
    }
    for left in &promoted {
        wait(&left.namespace, "still healthy", |r| {
            r["status"]["phase"] == "Healthy"
        });
    }
    // The run of the other controller, with its one measurement, is finished by this one, and decides.
    for left in &analysis {
        wait(
            &left.namespace,
            "the analysis ends and the rollout with it",
            |r| r["status"]["phase"] == "Healthy" && r["status"]["stableRS"] == r["status"]["currentPodHash"],
        );
        assert_eq!(
            left.count("create", "analysisruns", Some(USER)),
            0,
            "{}",
            left.namespace
        );
        let runs = get(&left.namespace, "analysisruns");
        let metric = &runs["items"][0]["status"]["metricResults"][0];
        assert_eq!(
            (metric["count"].as_i64(), metric["phase"].as_str()),
            (Some(4), Some("Successful"))
        );
    }
    for left in &paused {
        patch_status(&left.namespace, &json!({"pauseConditions": null}));
    }
    for left in &paused {
        wait(&left.namespace, "promoted, it completes", |r| {
            r["status"]["phase"] == "Healthy" && r["status"]["stableRS"] == r["status"]["currentPodHash"]
        });
        assert_eq!(
            left.count("create", "analysisruns", Some(USER)),
            1,
            "{}",
            left.namespace
        );
    }
    for left in paused.iter().chain(&analysis).chain(&promoted) {
        assert_eq!(
            left.count("create", "replicasets", Some(USER)),
            0,
            "{}",
            left.namespace
        );
        assert_eq!(
            get(&left.namespace, "replicasets")["items"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
    }
}
