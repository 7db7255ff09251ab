//! The cluster under test: one for all tests, found or started by `tests/cluster/cluster`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Once, OnceLock};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The name of the shared cluster. It is left up for the next test binary; `make test` takes away, at its end, all clusters
/// whose names begin with `test-`.
const SHARED: &str = "test-controlplane";
/// Whoever is in this group has the rights of tests/support/rbac.yaml.
pub const GROUP: &str = "serin-test-controllers";
/// What users of this group write is in the audit log with all that they wrote (tests/cluster).
pub const AUDITED: &str = "serin-audited";
/// Their rights: the file with the ClusterRole that the suite runs under, and that `tests/roles.rs` compares with the calls.
pub const ROLES: &str = "tests/support/rbac.yaml";

/// A cluster of faked nodes with Serin's kinds installed.
pub struct Cluster {
    name: String,
    /// Kubeconfig of the administrator.
    pub kubeconfig: PathBuf,
    /// All of the cluster's files.
    pub directory: PathBuf,
    /// Every request as a line of JSON.
    pub audit_log: PathBuf,
}

impl Cluster {
    /// The one that all tests share.
    pub fn shared() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Cluster::up(SHARED))
    }

    /// Starts, or finds, the cluster of this name, and installs Serin's kinds and the controllers' rights.
    pub fn up(name: &str) -> Cluster {
        let cluster = Cluster::bare(name);
        cluster.install();
        cluster
    }

    /// Installs Serin's kinds and the controllers' rights.
    pub fn install(&self) {
        let (crds, rbac) = (root("crds"), root(ROLES));
        self.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            &crds,
            "-f",
            &rbac,
        ]);
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "--all",
        ]);
    }

    /// Starts, or finds, the cluster of this name.
    pub fn bare(name: &str) -> Cluster {
        Cluster::with_flags(name, "")
    }

    /// Starts the cluster of this name with more flags for its API server, or finds it as it is.
    pub fn with_flags(name: &str, flags: &str) -> Cluster {
        let env = script_with(flags, &["up", "fake", name]);
        let value = |key: &str| {
            let line = env
                .lines()
                .find_map(|l| l.strip_prefix(&format!("export {key}='")));
            PathBuf::from(
                line.unwrap_or_else(|| panic!("no {key} in {env}"))
                    .trim_end_matches('\''),
            )
        };
        Cluster {
            name: name.to_owned(),
            kubeconfig: value("KUBECONFIG"),
            directory: value("SERIN_CLUSTER_DIR"),
            audit_log: value("SERIN_AUDIT_LOG"),
        }
    }

    /// Stops it and removes all of it.
    pub fn down(&self) {
        script(&["down", &self.name]);
    }

    /// The output of kubectl, as the administrator.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.command("kubectl", args)
    }

    /// The output of a command of the script that names this cluster.
    pub fn command(&self, command: &str, args: &[&str]) -> String {
        let mut all = vec![command, &self.name];
        all.extend(args);
        script(&all)
    }

    /// The path of a kubeconfig for somebody who has no rights until a role gives some.
    pub fn stranger_kubeconfig(&self, user: &str) -> PathBuf {
        PathBuf::from(self.command("kubeconfig", &[user]).trim())
    }

    /// The path of a kubeconfig for a controller of this user name.
    pub fn controller_kubeconfig(&self, user: &str) -> PathBuf {
        PathBuf::from(self.command("kubeconfig", &[user, GROUP, AUDITED]).trim())
    }

    /// A client of the administrator. It belongs to the runtime that it is made in.
    pub async fn client(&self) -> Client {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let file = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

/// The path of a file of the project.
pub fn root(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The output of the script; it panics, with what was said, when it fails.
fn script(args: &[&str]) -> String {
    script_with("", args)
}

fn script_with(apiserver_flags: &str, args: &[&str]) -> String {
    let output = Command::new(root("tests/cluster/cluster"))
        .args(args)
        .env("SERIN_APISERVER_FLAGS", apiserver_flags)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "tests/cluster/cluster {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
