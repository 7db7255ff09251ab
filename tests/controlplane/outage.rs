//! The API server is gone for a minute in the middle of a canary, and etcd is compacted meanwhile, so that no watch can go
//! on from where it was. On a cluster of its own: the others go on.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::faults::{begin, check_end};
use crate::support::Controller;
use crate::support::cluster::Cluster;
use crate::support::world::{self, say};

/// How long, in seconds; `SERIN_OUTAGE_SECONDS` is another time.
const OUTAGE: u64 = 60;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::up("test-outage"))
}

/// Asks etcd for something over its JSON gateway.
fn etcd(cluster: &Cluster, path: &str, body: &str) -> Value {
    let vars = std::fs::read_to_string(cluster.directory.join("vars")).unwrap();
    let port = vars
        .split_whitespace()
        .find_map(|word| word.strip_prefix("etcd_port="))
        .unwrap();
    let url = format!("http://127.0.0.1:{port}{path}");
    let output = Command::new("curl")
        .args(["-sf", "--noproxy", "*", "--max-time", "10", "-d", body, &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{url}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_canary_outlives_a_minute_without_an_api_server() {
    world::run(cluster(), "outage", "outage", |world| async move {
        let seconds = std::env::var("SERIN_OUTAGE_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok());
        let lasts = Duration::from_secs(seconds.unwrap_or(OUTAGE));
        let controller = Controller::start(world.cluster, &world.controller_run());
        controller.ready().await;
        // Another one, that is elected: it must give up its lease, and be started again as a node does it.
        let mut elected = world.controller_run();
        elected.user += "-elected";
        elected.instance = "nobody".to_owned();
        elected.lease_namespace = Some(world.namespace.clone());
        let mut leader = Controller::start(world.cluster, &elected);
        leader.ready().await;
        world
            .until("a leader", async || {
                (leader.metric("serin_leader", "").await > 0.0).then_some(())
            })
            .await;
        let seen = begin(&world).await;
        let unanswered = r#"status_code="0""#;
        let before = controller
            .metric("controller_clientset_k8s_request_total", unanswered)
            .await;
        world.cluster.command("stop-apiserver", &[]);
        let revision = etcd(world.cluster, "/v3/maintenance/status", "{}");
        let revision = revision["header"]["revision"].as_str().unwrap().to_owned();
        let compact = format!(r#"{{"revision": "{revision}", "physical": true}}"#);
        etcd(world.cluster, "/v3/kv/compaction", &compact);
        sleep(lasts).await;
        let (words, well) = leader.ended().await;
        assert!(!well && words.contains("lost the leader election"), "{words}");
        let healthy = controller.probe("/healthz").await.unwrap_or_default();
        assert!(
            healthy.starts_with("HTTP/1.1 200"),
            "an outage is no fault of the process: {healthy}"
        );
        let calls = controller
            .metric("controller_clientset_k8s_request_total", unanswered)
            .await
            - before;
        world.cluster.command("start-apiserver", &[]);
        let leader = Controller::start(world.cluster, &elected);
        leader.ready().await;
        check_end(&world, &seen).await;
        let errors = controller.metric("serin_watch_errors_total", "").await;
        say(&format!(
            "ring 3: {lasts:?} without an API server, etcd compacted at {revision}: {calls} calls in vain, {errors} errors of watches"
        ));
        assert!(calls > 0.0, "the outage was not seen");
        // Ten watches and a few passes: a watch after 1, 2, 4, 8 and then each 8 s.
        assert!(calls <= 200.0, "{calls} calls to an API server that is not there");
    });
    cluster().down();
}
