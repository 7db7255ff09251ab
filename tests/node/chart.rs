//! The chart on a real node: what happens to a release when its controller crashes, is stopped, upgraded and uninstalled.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::Load;
use crate::world::{LONG, World, eventually};

/// Where the chart is installed.
const NAMESPACE: &str = "serin";
const LEASE: &str = "argo-rollouts-controller-lock";
/// After a crash: the lease's 15 s, and what a pass takes.
const AFTER_A_CRASH: Duration = Duration::from_secs(20);
/// After a stop, which is when the lease is free: a standby looks at it every 2 s.
const AFTER_A_STOP: Duration = Duration::from_secs(3);
const RATE: u32 = 100;

/// The chart, installed; uninstalled when dropped.
struct Installed<'a> {
    world: &'a World,
    helm: PathBuf,
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        // After a test that failed; one that did not has done it already.
        let _ = self.try_helm(&["uninstall", "serin", "--ignore-not-found", "--wait"]);
    }
}

impl<'a> Installed<'a> {
    /// Installs it in a namespace that takes restricted pods only, and waits until both replicas are ready.
    fn install(world: &'a World) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/image.sh");
        let out = Command::new(script)
            .arg(env!("CARGO_BIN_EXE_serin"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(out.status.success(), "{script} failed");
        let helm = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
        let installed = Installed { world, helm };
        // What a run that was killed has left.
        let _ = installed.try_helm(&["uninstall", "serin", "--ignore-not-found", "--wait"]);
        world.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }));
        // The definitions are there, put by hand: as where another controller was before.
        installed.helm(&[
            "install",
            "serin",
            "charts/serin",
            "--take-ownership",
            "--wait",
            "--timeout=4m",
            IMAGE[0],
            IMAGE[1],
        ]);
        installed
    }

    fn try_helm(&self, args: &[&str]) -> Result<String, String> {
        let out = self
            .world
            .inside(self.helm.to_str().unwrap())
            .args(["--namespace", NAMESPACE, "--kubeconfig", self.world.kubeconfig()])
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if out.status.success() {
            Ok(text(out.stdout))
        } else {
            Err(text(out.stderr))
        }
    }

    fn helm(&self, args: &[&str]) -> String {
        self.try_helm(args)
            .unwrap_or_else(|complaint| panic!("helm {args:?}: {complaint}"))
    }

    fn kubectl(&self, args: &[&str]) -> String {
        let all: Vec<&str> = args.iter().copied().chain(["-n", NAMESPACE]).collect();
        self.world.kubectl(&all)
    }

    /// The pod that leads.
    fn leader(&self) -> Option<String> {
        let holder = self
            .world
            .try_kubectl(&[
                "get",
                "lease",
                LEASE,
                "-n",
                NAMESPACE,
                "-o",
                "jsonpath={.spec.holderIdentity}",
            ])
            .ok()?;
        let (pod, _) = holder.split_once('_')?;
        Some(pod.to_owned())
    }

    /// The pod that leads, while another stands by.
    fn leader_with_standby(&self) -> String {
        let args = ["get", "pods", "-l", "app.kubernetes.io/name=serin", "-o", READY];
        eventually("two replicas, one of which leads", LONG, || {
            let ready = self.kubectl(&args);
            let ready: Vec<&str> = ready
                .lines()
                .filter_map(|line| line.strip_suffix(" True"))
                .collect();
            let leader = self.leader()?;
            (ready.len() == 2 && ready.contains(&leader.as_str())).then_some(leader)
        })
    }
}

const IMAGE: [&str; 2] = [
    "--set=controller.image.repository=serin",
    "--set=controller.image.tag=test",
];
/// Name and readiness of each pod that is not on its way out.
const READY: &str = "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}\
    {{range .status.conditions}}{{if eq .type \"Ready\"}} {{.status}}{{end}}{{end}}{{\"\\n\"}}{{end}}{{end}}";

/// The host's process of the controller in this pod.
fn process_of(pod: &str) -> String {
    let mine = format!("HOSTNAME={pod}");
    let all = std::fs::read_dir("/proc").unwrap();
    let mut found = all.filter_map(|entry| {
        let entry = entry.ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        let is_theirs = environment
            .split(|byte| *byte == 0)
            .any(|line| line == mine.as_bytes());
        (is_theirs && name.trim() == "serin").then(|| entry.file_name().into_string().unwrap())
    });
    let pid = found.next().unwrap_or_else(|| panic!("no process of {pod}"));
    assert_eq!(found.next(), None);
    pid
}

/// Every state that an object goes through, as a client that watches sees it.
struct Film {
    watch: Child,
    path: PathBuf,
}

impl Film {
    fn start(world: &World, what: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{what}.json"));
        let watch = world
            .command(&["get", what, "--watch", "-o", "json"])
            .stdout(File::create(&path).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Film { watch, path }
    }

    fn finish(mut self) -> Vec<Value> {
        self.watch.kill().unwrap();
        self.watch.wait().unwrap();
        let text = std::fs::read_to_string(&self.path).unwrap();
        // The last one may not be complete.
        serde_json::Deserializer::from_str(&text)
            .into_iter::<Value>()
            .map_while(Result::ok)
            .collect()
    }
}

/// A canary that a person lets go on twice, with an analysis that asks the API server for its version.
fn edit(rollout: &mut Value) {
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([
        {"setWeight": 10},
        {"pause": {}},
        {"analysis": {"templates": [{"templateName": "version"}]}},
        {"setWeight": 25},
        {"setWeight": 50},
        {"pause": {}},
        {"setWeight": 75},
        {"pause": {"duration": "1s"}},
        {"setWeight": 100},
    ]);
}

fn analysis() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "version"},
        "spec": {"metrics": [{
            "name": "version", "interval": "1s", "count": 3, "successCondition": "result == \"1\"",
            "provider": {"web": {"url": "https://198.18.0.1/version", "insecure": true, "jsonPath": "{$.major}"}},
        }]},
    })
}

/// Waits until the release is held at this step.
fn held_at(world: &World, step: i64) {
    world.wait_for(&format!("the pause at step {step}"), |status| {
        status["currentStepIndex"] == step
            && status["pauseConditions"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
    });
}

fn promote(world: &World) {
    let patch = r#"{"status":{"pauseConditions":null}}"#;
    world.kubectl(&[
        "patch",
        "rollout",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    ]);
}

/// How long after `start` the cursor has left this step.
fn left(world: &World, step: i64, start: Instant) -> Duration {
    eventually(&format!("step {step} is left"), LONG, || {
        let now: i64 = world
            .field("rollout", "shop", "{.status.currentStepIndex}")
            .parse()
            .unwrap();
        (now > step).then(|| start.elapsed())
    })
}

/// Never does a number fall and rise again, nor rise and fall and rise.
fn one_hill(sizes: &[i64]) -> bool {
    let top = sizes.iter().max().copied().unwrap_or(0);
    let peak = sizes.iter().position(|size| *size == top).unwrap_or(0);
    sizes[..peak].is_sorted() && sizes[peak..].iter().rev().is_sorted()
}

#[test]
fn a_release_goes_on_whatever_happens_to_its_controllers() {
    let world = World::enter("chart");
    let installed = Installed::install(&world);
    let audited = usize::try_from(std::fs::metadata(world.audit_log()).unwrap().len()).unwrap();
    world.apply(&analysis());
    world.deploy(edit);
    let load = Load::start(&world, "shop", RATE);
    let rollouts = Film::start(&world, "rollouts");
    let replica_sets = Film::start(&world, "replicasets");

    // A crash: nobody else hears of it, and the lease has to run out.
    world.release("v2");
    held_at(&world, 1);
    let leader = installed.leader_with_standby();
    let start = Instant::now();
    assert!(
        Command::new("kill")
            .args(["-KILL", &process_of(&leader)])
            .status()
            .unwrap()
            .success()
    );
    installed.kubectl(&["delete", "pod", &leader, "--grace-period=0", "--force"]);
    promote(&world);
    let crash = left(&world, 1, start);

    // A stop: the lease is given back.
    held_at(&world, 5);
    let leader = installed.leader_with_standby();
    let start = Instant::now();
    installed.kubectl(&["delete", "pod", &leader, "--wait=false"]);
    eventually("the lease is given back", LONG, || {
        (installed.leader().as_ref() != Some(&leader)).then_some(())
    });
    let free = start.elapsed();
    promote(&world);
    let stop = left(&world, 5, start).saturating_sub(free);
    world.wait_promoted();
    println!(
        "went on {:.1} s after a crash, {:.1} s after a stop (which took {:.1} s)",
        crash.as_secs_f64(),
        stop.as_secs_f64(),
        free.as_secs_f64()
    );
    assert!(crash <= AFTER_A_CRASH, "{crash:?}");
    assert!(stop <= AFTER_A_STOP, "{stop:?}");

    // An upgrade while pods are being replaced.
    world.release("v3");
    held_at(&world, 1);
    promote(&world);
    let before = installed.leader_with_standby();
    let start = Instant::now();
    installed.helm(&[
        "upgrade",
        "serin",
        "charts/serin",
        "--wait",
        "--timeout=4m",
        IMAGE[0],
        IMAGE[1],
        "--set=controller.logging.level=debug",
    ]);
    println!("the upgrade took {:.1} s", start.elapsed().as_secs_f64());
    assert_ne!(installed.leader_with_standby(), before);
    held_at(&world, 5);
    promote(&world);
    world.wait_promoted();
    world.wait_quiet();
    nothing_was_repeated(&world, rollouts, replica_sets, audited);

    // Without any controller the pods go on.
    let pods = || {
        world.get(&["pods", "-l", "app=shop"])["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let uids = |pods: &[Value]| {
        pods.iter()
            .map(|pod| pod["metadata"]["uid"].clone())
            .collect::<Vec<_>>()
    };
    let before = uids(&pods());
    let events = world.kubectl(&[
        "get",
        "rollout",
        "shop",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ]);
    installed.helm(&["uninstall", "serin", "--wait"]);
    for kind in [
        "rollouts",
        "analysisruns",
        "analysistemplates",
        "clusteranalysistemplates",
        "experiments",
    ] {
        world.kubectl(&["get", "crd", &format!("{kind}.argoproj.io")]);
    }
    let kept = world.kubectl(&[
        "get",
        "rollout",
        "shop",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ]);
    assert_eq!(kept, events);
    let counts = load.finish();
    let after = pods();
    assert_eq!(uids(&after), before);
    assert_eq!(before.len(), 10);
    for pod in &after {
        let ready = pod["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        assert!(ready, "{pod:#}");
    }
    counts.show("two releases, a crash, a stop, an upgrade and an uninstall");
    counts.assert_none_failed(RATE.into());
    installed.kubectl(&["delete", "namespace", NAMESPACE, "--wait"]);
    drop(installed);
    world.leave();
}

/// Each cursor only ever rose, each ReplicaSet grew once and shrank once, each pod was made once, each analysis ran once.
/// `before` is the length of the audit log when all this began.
fn nothing_was_repeated(world: &World, rollouts: Film, replica_sets: Film, before: usize) {
    let hash = |state: &Value| {
        state["status"]["currentPodHash"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let states = rollouts.finish();
    assert!(states.len() > 20, "{} states of the Rollout", states.len());
    for pair in states.windows(2).filter(|pair| hash(&pair[0]) == hash(&pair[1])) {
        let cursor = |state: &Value| state["status"]["currentStepIndex"].as_i64();
        assert!(
            cursor(&pair[0]) <= cursor(&pair[1]),
            "{:#}\nthen\n{:#}",
            pair[0]["status"],
            pair[1]["status"]
        );
        assert_eq!(pair[1]["status"]["abort"], Value::Null);
    }
    let mut sizes = std::collections::BTreeMap::<String, Vec<i64>>::new();
    for state in replica_sets.finish() {
        let name = state["metadata"]["name"].as_str().unwrap().to_owned();
        sizes
            .entry(name)
            .or_default()
            .push(state["spec"]["replicas"].as_i64().unwrap());
    }
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    for (name, sizes) in &sizes {
        assert!(one_hill(sizes), "{name}: {sizes:?}");
    }
    let audit = std::fs::read(world.audit_log()).unwrap();
    let audit = String::from_utf8_lossy(&audit[before..]);
    let made = audit.lines().filter(|line| {
        line.contains("\"verb\":\"create\"")
            && line.contains("system:serviceaccount:kube-system:replicaset-controller")
            && {
                let entry: Value = serde_json::from_str(line).unwrap();
                entry["objectRef"]["resource"] == "pods"
                    && entry["objectRef"]["namespace"] == "chart"
                    && entry["responseStatus"]["code"] == 201
            }
    });
    assert_eq!(made.count(), 30, "three versions of ten pods");
    let runs = world.get(&["analysisruns"]);
    let phases: Vec<&Value> = runs["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["status"]["phase"])
        .collect();
    assert_eq!(phases, ["Successful", "Successful"]);
}
