//! `kubectl argo rollouts` as users have it: the plugin's own commands, as a program that is built from its module
//! (`tests/cluster/plugin`).

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::cluster::root;
use super::world::World;

/// What a command of the plugin came to.
#[derive(Debug)]
pub struct Said {
    /// How it ended: 0 where all is well.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl World {
    /// `kubectl argo rollouts ARGS` in this namespace, as the administrator, however it ends. That it panics is the one
    /// thing which no test allows.
    pub async fn try_argo(&self, args: &[&str]) -> Said {
        let mut command = Command::new(program());
        command
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .args(args)
            .args(["--namespace", &self.namespace])
            .args(["--request-timeout", "60s"]);
        // Off the test's only thread, on which its watches are recorded.
        let done = tokio::task::spawn_blocking(move || command.output());
        let output = done.await.unwrap().unwrap();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(
            [0, 1].contains(&said.code) && !said.err.contains("panic:"),
            "{args:?}: {said:?}"
        );
        said
    }

    /// The same where it has to succeed; what it printed.
    pub async fn argo(&self, args: &[&str]) -> String {
        let said = self.try_argo(args).await;
        assert!(said.code == 0, "{args:?}: {said:?}");
        said.out
    }
}

/// The program, built if it is not there.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let text = ". tests/cluster/parts.sh && tests/cluster/build.sh plugin >&2 && part_dir plugin";
        let output = Command::new("bash")
            .args(["-c", text])
            .current_dir(root("."))
            .output()
            .unwrap();
        let folder = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "building the plugin: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        PathBuf::from(folder.trim()).join("kubectl-argo-rollouts")
    })
}
