//! A namespace of the faked cluster with a controller of its own, and a small HTTP server to measure.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};
use serin::api::analysis::AnalysisRun;

/// The cluster of these tests.
pub const CLUSTER: &str = "serin-analysis";

/// A namespace, a user of its own, and a controller that works there as that user.
pub struct World {
    pub client: Client,
    pub namespace: String,
    pub user: String,
    pub log: PathBuf,
    pub audit: PathBuf,
    /// Where the audit log stood when the controller was started.
    pub audited: usize,
    pub controller: Child,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.controller.kill();
        let _ = self.controller.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the controller's log, newest first\n{}", tail.join("\n"));
        }
    }
}

fn script(args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cluster");
    let done = Command::new(script)
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(done.status.success(), "cluster {args:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// How a world is made.
#[derive(Default)]
pub struct Setup<'a> {
    /// The namespace; made anew.
    pub namespace: &'a str,
    /// Rules of the controller's user; all rights where empty.
    pub rules: Value,
    /// The program.
    pub program: &'a str,
    /// What it logs.
    pub log_level: &'a str,
    /// Further arguments.
    pub args: &'a [&'a str],
    /// Groups of the controller's user.
    pub groups: &'a [&'a str],
    /// Further variables of its environment.
    pub env: &'a [(&'a str, &'a str)],
}

impl World {
    /// Brings up the cluster if need be, and starts a controller that sees only what carries the namespace's name as its
    /// instance id, so that tests run beside each other.
    pub async fn start(setup: Setup<'_>) -> Self {
        // Once: two at the same time would each find the other's half started cluster, and start it anew.
        static ENV: OnceLock<String> = OnceLock::new();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let env = ENV.get_or_init(|| script(&["up", "fake", CLUSTER]));
        let value = |name: &str| {
            let line = env
                .lines()
                .find_map(|line| line.strip_prefix(&format!("export {name}='")))
                .unwrap();
            line.trim_end_matches('\'').to_owned()
        };
        let file = kube::config::Kubeconfig::read_from(value("KUBECONFIG")).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        let namespace = setup.namespace.to_owned();
        let user = format!("controller-{namespace}");
        let kubeconfig = script(&[&["kubeconfig", CLUSTER, &user], setup.groups].concat());
        let kubeconfig = kubeconfig.trim().to_owned();
        // Where tests/secrets.rs looks into it.
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{user}.log"));
        // A program that ends at once only makes room for the real one.
        let idle = Command::new("true").spawn().unwrap();
        let audit = PathBuf::from(value("SERIN_AUDIT_LOG"));
        let audited = usize::try_from(std::fs::metadata(&audit).unwrap().len()).unwrap();
        let mut world = World {
            client,
            namespace,
            user,
            log,
            audit,
            audited,
            controller: idle,
        };
        world.install().await;
        world.allow(setup.rules).await;
        let out = std::fs::File::create(&world.log).unwrap();
        let _ = world.controller.wait();
        world.controller = Command::new(setup.program)
            .args([
                "controller",
                "--kubeconfig",
                &kubeconfig,
                "--leader-elect=false",
                "--healthzPort",
                "0",
                "--metricsPort",
                "0",
            ])
            .args(["--instance-id", &world.namespace, "--loglevel", setup.log_level])
            .args(setup.args)
            .env("NO_PROXY", "127.0.0.1")
            .envs(setup.env.iter().copied())
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .unwrap();
        world
    }

    async fn install(&self) {
        for crd in serin::api::crds() {
            let api: Api<DynamicObject> =
                self.cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
            let name = crd.metadata.name.clone().unwrap();
            let patch = Patch::Apply(serde_json::to_value(&crd).unwrap());
            api.patch(&name, &PatchParams::apply("tests").force(), &patch)
                .await
                .unwrap();
        }
        until(30, "the kinds are served", || async {
            let api: Api<AnalysisRun> = Api::all(self.client.clone());
            api.list(&ListParams::default().limit(1)).await.ok()
        })
        .await;
        let namespaces: Api<DynamicObject> = self.cluster("", "v1", "Namespace");
        let _ = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        let new = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let new: DynamicObject = serde_json::from_value(new).unwrap();
        until(60, "the namespace is made anew", || async {
            namespaces.create(&PostParams::default(), &new).await.ok()
        })
        .await;
    }

    async fn allow(&self, rules: Value) {
        let name = &self.user;
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        let rules = if rules.is_null() { all } else { rules };
        for object in [
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]}),
        ] {
            let api = self.cluster(
                "rbac.authorization.k8s.io",
                "v1",
                object["kind"].as_str().unwrap(),
            );
            api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(object))
                .await
                .unwrap();
        }
    }

    /// Objects of a kind in the whole cluster.
    pub fn cluster(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::all_with(self.client.clone(), &resource)
    }

    /// Objects of a kind in the namespace.
    pub fn objects(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub fn runs(&self) -> Api<AnalysisRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn jobs(&self) -> Api<DynamicObject> {
        self.objects("batch", "v1", "Job")
    }

    /// Creates an object from YAML, with the instance id of this world's controller.
    pub async fn create(&self, yaml: &str) -> DynamicObject {
        let mut object: Value = serde_saphyr::from_str(yaml).unwrap();
        object["metadata"]["labels"]["argo-rollouts.argoproj.io/controller-instance-id"] =
            self.namespace.clone().into();
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = object["kind"].as_str().unwrap();
        let api = if kind.starts_with("Cluster") {
            self.cluster(group, version, kind)
        } else {
            self.objects(group, version, kind)
        };
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    /// Creates an AnalysisRun.
    pub async fn run(&self, name: &str, spec: &str) {
        let spec = spec.replace('\n', "\n  ");
        self.create(&format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {{name: {name}}}\nspec:\n  {spec}"
        ))
        .await;
    }

    /// The run once it is complete, and all that it left in flight is closed.
    pub async fn finished(&self, name: &str) -> AnalysisRun {
        until(60, &format!("{name} is complete"), || async {
            let run = self.runs().get_opt(name).await.unwrap()?;
            let status = run.status.as_ref()?;
            let mut measurements = status
                .metric_results
                .iter()
                .flat_map(|result| &result.measurements);
            (status.phase.is_completed() && measurements.all(|m| m.phase.is_completed())).then_some(run)
        })
        .await
    }

    /// The calls of the controller's user so far, without its watches and events, as `verb resource`.
    pub fn calls(&self) -> Vec<String> {
        let bytes = std::fs::read(&self.audit).unwrap();
        let text = String::from_utf8_lossy(&bytes[self.audited..]);
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["user"]["username"] == self.user.as_str() && line["verb"] != "watch")
            .filter(|line| line["objectRef"]["resource"] != "events")
            .map(|line| {
                format!(
                    "{} {}",
                    line["verb"].as_str().unwrap_or(""),
                    line["objectRef"]["resource"].as_str().unwrap_or("")
                )
            })
            .collect()
    }
}

/// Looks again until there is something.
pub async fn until<T, F: Future<Output = Option<T>>>(seconds: u64, what: &str, look: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {seconds} s not yet: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server that answers every request with JSON that holds the whole request.
pub async fn echo() -> String {
    serve(|asked| ("200 OK", json!({"ok": true, "asked": asked}).to_string())).await
}

/// A server that makes status and JSON of each request.
pub async fn serve(answer: impl Fn(&str) -> (&'static str, String) + Send + Sync + 'static) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut buffer = vec![0; 16384];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let (status, body) = answer(&String::from_utf8_lossy(&buffer[..count]));
                    let head =
                        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length");
                    let _ = stream
                        .write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes())
                        .await;
                }
            });
        }
    });
    address
}
