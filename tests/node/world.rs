//! The cluster, the controller and the Rollout of a test.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take on a slow machine that others use too.
pub const LONG: Duration = Duration::from_secs(240);

/// A namespace of its own on the node, and the node for itself while it lives.
pub struct World {
    namespace: String,
    env: &'static HashMap<String, String>,
    _alone: MutexGuard<'static, ()>,
}

/// A controller; killed when dropped.
pub struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already, and nothing is left to do about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Controller {
    /// SIGKILL: it gets no chance to finish, or to release its lease.
    pub fn murder(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Tries until there is an answer.
pub fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(200));
    }
}

fn environment() -> &'static HashMap<String, String> {
    static ENVIRONMENT: OnceLock<HashMap<String, String>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let up = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/up.sh");
        let out = Command::new(up)
            .arg(env!("CARGO_BIN_EXE_serin"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(out.status.success(), "{up} failed");
        let text = String::from_utf8(out.stdout).unwrap();
        let exports = text
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        exports
            .map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned()))
            .collect()
    })
}

impl World {
    /// A fresh namespace with the Service `shop`.
    pub fn enter(namespace: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed has left nothing in memory that another could trip over.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let world = World {
            namespace: namespace.to_owned(),
            env: environment(),
            _alone: alone,
        };
        world.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait"]);
        world.kubectl(&["create", "namespace", namespace]);
        world.service("shop");
        world
    }

    /// A Service over all pods of the app.
    pub fn service(&self, name: &str) {
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        }));
    }

    /// A program inside the node's network.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.env["SERIN_NETNS"]))
            .arg(program);
        command
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &str {
        &self.env["KUBECONFIG"]
    }

    /// Every request that the API server answered, as a line of JSON.
    pub fn audit_log(&self) -> &str {
        &self.env["SERIN_AUDIT_LOG"]
    }

    /// kubectl, as the administrator, in the namespace unless the arguments name another.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.inside(&self.env["SERIN_KUBECTL"]);
        command
            .args(["--kubeconfig", &self.env["KUBECONFIG"], "-n", &self.namespace])
            .args(args);
        command
    }

    /// What kubectl prints, or its complaint.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        let out = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if out.status.success() {
            Ok(text(out.stdout))
        } else {
            Err(text(out.stderr))
        }
    }

    /// What kubectl prints.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args)
            .unwrap_or_else(|complaint| panic!("kubectl {args:?}: {complaint}"))
    }

    /// One field of an object, by a JSONPath.
    pub fn field(&self, kind: &str, name: &str, path: &str) -> String {
        self.kubectl(&["get", kind, name, "-o", &format!("jsonpath={path}")])
    }

    /// An object, or a list of them.
    pub fn get(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["get", "-o", "json"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        serde_json::from_str(&self.kubectl(&args)).unwrap()
    }

    /// Applies an object.
    pub fn apply(&self, object: &Value) {
        let mut child = self
            .command(&["apply", "--server-side", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(object.to_string().as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "cannot apply {object}");
    }

    /// Starts a controller and waits until it leads.
    pub fn controller(&self) -> Controller {
        let log =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("controller-{}.log", self.namespace));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = self
            .inside(env!("CARGO_BIN_EXE_serin"))
            .args([
                "controller",
                "--kubeconfig",
                &self.env["SERIN_CONTROLLER_KUBECONFIG"],
            ])
            .args([
                "--namespace",
                &self.namespace,
                "--healthzPort",
                "18080",
                "--metricsPort",
                "18090",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Controller(child)
    }

    /// Deploys version 1 and waits until all of it is there. `edit` may change the manifest.
    pub fn deploy(&self, edit: impl FnOnce(&mut Value)) {
        let mut rollout: Value = serde_saphyr::from_str(include_str!("rollout.yaml")).unwrap();
        edit(&mut rollout);
        self.apply(&rollout);
        self.wait_for("version 1 is healthy", |status| status["phase"] == "Healthy");
    }

    /// The Rollout.
    pub fn rollout(&self) -> Value {
        self.get(&["rollout", "shop"])
    }

    /// Waits for a status that answers the present generation.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, LONG, || {
            let rollout = self.rollout();
            let status = &rollout["status"];
            let generation = rollout["metadata"]["generation"].to_string();
            (status["observedGeneration"] == *generation && is_so(status)).then(|| status.clone())
        })
    }

    /// A new version of the template.
    pub fn release(&self, version: &str) {
        let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": version}]);
        self.kubectl(&[
            "patch",
            "rollout",
            "shop",
            "--type=json",
            "-p",
            &patch.to_string(),
        ]);
    }

    /// Waits until the newest version is the stable one and has all pods.
    pub fn wait_promoted(&self) {
        self.wait_for("the new version is promoted", |status| {
            status["phase"] == "Healthy"
                && status["stableRS"] == status["currentPodHash"]
                && status["availableReplicas"] == 10
                && status["replicas"] == 10
        });
    }

    /// Desired and available pods by version.
    pub fn sizes(&self) -> HashMap<String, (i64, i64)> {
        let all = self.get(&["replicasets"]);
        let all = all["items"].as_array().unwrap().iter();
        all.map(|rs| {
            let version = rs
                .pointer("/spec/template/spec/containers/0/env/0/value")
                .and_then(Value::as_str);
            let number = |path: &str| rs.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let size = (number("/spec/replicas"), number("/status/availableReplicas"));
            (version.unwrap_or_default().to_owned(), size)
        })
        .collect()
    }

    /// Waits until no pod is on its way out any more: those that go take requests until their very end.
    pub fn wait_quiet(&self) {
        eventually("no pod terminates", LONG, || {
            let pods = self.get(&["pods", "-l", "app=shop"]);
            let going = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
            (!pods["items"].as_array().unwrap().iter().any(going)).then_some(())
        });
    }

    /// Takes the namespace away, so that the next test has the node for itself.
    pub fn leave(self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait"]);
    }
}
