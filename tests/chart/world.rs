//! Helm, the cluster, and the chart installed in it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Where the chart is installed: a namespace that takes restricted pods only.
pub const NAMESPACE: &str = "serin";
const CLUSTER: &str = "test-chart";
/// How long anything may take on a slow machine that others use too.
pub const LONG: Duration = Duration::from_secs(120);

/// The path of a file of the project.
pub fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn output(command: &mut Command) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.current_dir(root(".")).output().unwrap();
    if status.success() {
        Ok(String::from_utf8(stdout).unwrap())
    } else {
        let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Err(said.concat())
    }
}

/// What a script of the project prints.
pub fn script(path: &str, args: &[&str]) -> String {
    output(Command::new(root(path)).args(args)).unwrap_or_else(|said| panic!("{path} {args:?}: {said}"))
}

/// The folder of a part of the test clusters, built if it is not there.
pub fn part(name: &str) -> PathBuf {
    let text = format!(". tests/cluster/parts.sh && tests/cluster/build.sh {name} >&2 && part_dir {name}");
    PathBuf::from(output(Command::new("bash").args(["-c", &text])).unwrap().trim())
}

fn helm_command() -> Command {
    static HELM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(HELM.get_or_init(|| part("helm").join("helm")));
    // None of the user's own settings.
    command.env("HELM_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// What Helm prints, or its complaint.
pub fn try_helm(args: &[&str]) -> Result<String, String> {
    output(helm_command().args(args))
}

/// What Helm prints.
pub fn helm(args: &[&str]) -> String {
    try_helm(args).unwrap_or_else(|complaint| panic!("helm {args:?}: {complaint}"))
}

/// The objects of a stream of YAML documents.
pub fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|object| !object.is_null()).collect()
}

/// A cluster with the chart.
pub struct World {
    kubeconfig: PathBuf,
    kubectl: String,
    server: String,
}

impl World {
    /// The one that all tests share.
    pub fn shared() -> &'static World {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(World::up)
    }

    fn up() -> World {
        let env = script("tests/cluster/cluster", &["up", "fake", CLUSTER]);
        let value = |key: &str| {
            let line = env
                .lines()
                .find_map(|l| l.strip_prefix(&format!("export {key}='")));
            line.unwrap().trim_end_matches('\'').to_owned()
        };
        // Whatever names no namespace goes into the chart's.
        let text = std::fs::read_to_string(value("KUBECONFIG")).unwrap();
        let mut config: Value = serde_saphyr::from_str(&text).unwrap();
        config["contexts"][0]["context"]["namespace"] = NAMESPACE.into();
        let kubeconfig = super::tempfile("admin.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let world = World {
            kubeconfig,
            kubectl: value("SERIN_KUBECTL"),
            server: value("SERIN_API_SERVER"),
        };
        for namespace in [NAMESPACE, "shop", "monitoring"] {
            world.apply(&format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
            ));
        }
        let module = output(Command::new("bash").args([
            "-c",
            "cd tests/cluster/monitoring && go mod download && go list -m -f '{{.Dir}}' all | tail -1",
        ]));
        let folder = format!("{}/example/prometheus-operator-crd", module.unwrap().trim());
        for kind in ["servicemonitors", "prometheusrules"] {
            let file = format!("{folder}/monitoring.coreos.com_{kind}.yaml");
            world.kubectl(&["apply", "--server-side", "-f", &file]);
        }
        world.helm(&[
            "upgrade",
            "--install",
            "serin",
            "charts/serin",
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout",
            "2m",
        ]);
        for crd in [
            "rollouts.argoproj.io",
            "servicemonitors.monitoring.coreos.com",
            "prometheusrules.monitoring.coreos.com",
        ] {
            eventually("the definitions are served", || {
                let wait = ["wait", "--for=condition=Established", "--timeout=30s", "crd", crd];
                world.try_kubectl(&wait, "").ok()
            });
        }
        world
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What Helm says of this cluster.
    pub fn helm(&self, args: &[&str]) -> String {
        output(helm_command().args(args).env("KUBECONFIG", &self.kubeconfig))
            .unwrap_or_else(|complaint| panic!("helm {args:?}: {complaint}"))
    }

    /// What kubectl prints, or its complaint.
    pub fn try_kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .current_dir(root("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // Beside the reading of what it says: either pipe may be full.
        let writer = std::thread::spawn(move || {
            // A kubectl that needs no input may have gone.
            let _ = stdin.write_all(input.as_bytes());
        });
        let out = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() {
            Ok(text(&out.stdout))
        } else {
            Err(text(&out.stderr))
        }
    }

    /// What kubectl prints.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args, "")
            .unwrap_or_else(|complaint| panic!("kubectl {args:?}: {complaint}"))
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) {
        self.try_kubectl(
            &["apply", "--server-side", "--validate=strict", "-f", "-"],
            manifests,
        )
        .unwrap_or_else(|complaint| panic!("{complaint}"));
    }

    /// An object, or a list of them.
    pub fn get(&self, namespace: &str, args: &[&str]) -> Value {
        let all: Vec<&str> = ["get", "-o", "json", "-n", namespace]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    /// Whether the API server would take these manifests, strictly validated and admitted; nothing is stored.
    pub fn try_accept(&self, manifests: &str) -> Result<String, String> {
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        self.try_kubectl(&args, manifests)
    }

    /// The API server would take these manifests.
    pub fn accepts(&self, what: &str, manifests: &str) {
        self.try_accept(manifests)
            .unwrap_or_else(|complaint| panic!("{what}: {complaint}"));
    }

    /// A kubeconfig with a token of this service account.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", account, "-n", namespace]);
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = serde_saphyr::from_str(&text).unwrap();
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let path = super::tempfile(&format!("{namespace}-{account}.kubeconfig"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

/// Tries until there is an answer.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_telling(|| what.to_owned(), look)
}

/// Tries until there is an answer; what is missing is told as it was last seen.
pub fn eventually_telling<T>(what: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(start.elapsed() < LONG, "not within {LONG:?}: {}", what());
        // Each look is a kubectl, which costs more than this wait.
        sleep(Duration::from_millis(300));
    }
}
