//! What Argo CD makes of an object: its own scripts, by the program of tests/cluster/argocd.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use kube::api::{Patch, PatchParams};
use serde_json::Value;

use super::World;
use super::cluster::root;
use super::world::{Kind, text};

/// The program, built if it is not there.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = ". tests/cluster/parts.sh && tests/cluster/build.sh argocd >&2 && part_dir argocd";
        let output = Command::new("bash")
            .args(["-c", script])
            .current_dir(root("."))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        format!("{}/argocd", String::from_utf8(output.stdout).unwrap().trim())
    })
}

fn argocd(args: &[&str], object: &Value) -> Value {
    let mut child = Command::new(program())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(object.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "argocd {args:?}: {}\n{object:#}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The health that its users see, such as `Suspended`, and the message beside it.
pub fn health(object: &Value) -> (String, String) {
    let health = argocd(&["health"], object);
    (
        text(&health, "/status").to_owned(),
        text(&health, "/message").to_owned(),
    )
}

/// The actions that can be chosen now.
pub fn enabled(object: &Value) -> BTreeSet<String> {
    let all = argocd(&["actions"], object);
    let all = all.as_object().unwrap().iter();
    all.filter(|(_, enabled)| **enabled == true)
        .map(|(name, _)| name.clone())
        .collect()
}

impl World {
    /// An action on an object as it is now: what differs after the script has edited it is sent, first as a patch of the
    /// status, then what is not status. Gives the two patches, null where there is none.
    pub async fn argocd_action(&self, kind: Kind, name: &str, action: &str) -> (Value, Value) {
        let live = self.get(kind, name).await;
        assert!(
            enabled(&live).contains(action),
            "{action} is not offered: {live:#}"
        );
        let mut patches = argocd(&["run", action], &live);
        let (status, object) = (patches["status"].take(), patches["object"].take());
        let (api, params) = (self.api(kind), PatchParams::default());
        if !status.is_null() {
            let patch = Patch::Merge(&status);
            api.patch_status(name, &params, &patch).await.unwrap();
        }
        if !object.is_null() {
            api.patch(name, &params, &Patch::Merge(&object)).await.unwrap();
        }
        (status, object)
    }
}
