//! The seeds apply as they stand, and run.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use crate::support::cluster::root;
use crate::support::world::{
    ANALYSIS_TEMPLATE, ROLLOUT, SERVICE, is_degraded, is_observed, is_paused_by, number, text,
};
use crate::support::{World, http, scenario};

const NAME: &str = "my-app";

#[test]
fn the_seed_of_canary_steps_runs_through_all_its_pauses() {
    scenario("seed-steps", |world| async move {
        world.apply("tests/seeds/canary-steps.yaml");
        world.healthy(NAME).await;
        let pause = |step: u32| json!({"op": "replace", "path": format!("/spec/strategy/canary/steps/{step}/pause/duration"), "value": "1s"});
        world
            .edit(
                ROLLOUT,
                NAME,
                json!([pause(1), pause(3), pause(5), image("my-app:v2")]),
            )
            .await;
        let record = world.record(ROLLOUT).await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 10]).await;
        let mut steps: Vec<i64> = record
            .applied()
            .iter()
            .map(|r| number(r, "/status/currentStepIndex"))
            .collect();
        steps.dedup();
        let last = steps.split_off(steps.len().min(1));
        assert!(
            last.is_sorted() && last.last() == Some(&7),
            "{steps:?} then {last:?}"
        );
    });
}

#[test]
fn the_seed_of_a_rolling_update_runs() {
    scenario("seed-rolling", |world| async move {
        world.apply("tests/seeds/rolling.yaml");
        world.healthy(NAME).await;
        world.set_image(NAME, "my-app:v2").await;
        world.healthy(NAME).await;
        world.until_scales(NAME, &[0, 10]).await;
    });
}

#[test]
fn the_seed_of_blue_green_switches_when_promoted() {
    scenario("seed-blue-green", |world| async move {
        for (service, port) in [("my-app", 80), ("my-app-preview", 80)] {
            world.create_service(service, &json!({"app": NAME}), port).await;
        }
        let selected = async |service: &str| {
            let service = world.get(SERVICE, service).await;
            text(&service, "/spec/selector/rollouts-pod-template-hash").to_owned()
        };
        world.apply("tests/seeds/blue-green.yaml");
        let first = text(&world.healthy(NAME).await, "/status/currentPodHash").to_owned();
        world
            .until("the first version is active", async || {
                (selected("my-app").await == first).then_some(())
            })
            .await;
        world.set_image(NAME, "my-app:v2").await;
        let is_waiting = |r: &serde_json::Value| is_observed(r) && is_paused_by(r, "BlueGreenPause");
        let rollout = world
            .until_rollout(NAME, "waiting for a promotion", is_waiting)
            .await;
        let second = text(&rollout, "/status/currentPodHash").to_owned();
        assert_eq!(
            (selected("my-app").await, selected("my-app-preview").await),
            (first.clone(), second.clone())
        );
        assert_eq!(world.scales(NAME).await, [4, 4], "a second, complete environment");
        world.promote(NAME).await;
        world.healthy(NAME).await;
        assert_eq!(selected("my-app").await, second);
    });
}

#[test]
fn the_seed_of_an_analysis_rolls_back_at_one_percent_of_errors() {
    scenario("seed-bad", |world| async move {
        let traffic = Traffic::start(&world).await;
        let new = update(&world, &traffic, 10).await;
        let rollout = world
            .until_rollout(NAME, "aborted", |r| {
                is_degraded(r, "Step-based analysis phase error/failed")
            })
            .await;
        assert_eq!(rollout["status"]["abort"], true);
        assert_ne!(rollout["status"]["stableRS"], new.as_str());
        assert!(
            text(&rollout, "/status/message").contains("failed (2) > failureLimit (1)"),
            "{}",
            rollout["status"]
        );
        // Everything is taken back without anybody's help.
        world.until_scales(NAME, &[10, 0]).await;
        let stable = &world.replica_sets(NAME).await[0];
        world
            .until("all stable pods available", async || {
                (number(stable, "/status/availableReplicas") == 10).then_some(())
            })
            .await;
        let run = &world.runs(NAME).await[0];
        assert_eq!(run["status"]["phase"], "Failed", "{run:#}");
        let value = text(run, "/status/metricResults/0/measurements/0/value");
        let rate: f64 = value.trim_matches(['[', ']']).parse().unwrap();
        assert!(
            (0.98..0.995).contains(&rate),
            "99 % of requests were answered well, measured: {value}"
        );
    });
}

#[test]
fn the_seed_of_an_analysis_promotes_at_a_tenth_of_a_percent_of_errors() {
    scenario("seed-good", |world| async move {
        let traffic = Traffic::start(&world).await;
        let new = update(&world, &traffic, 1).await;
        let rollout = world.healthy(NAME).await;
        assert_eq!(rollout["status"]["stableRS"], new.as_str());
        world.until_scales(NAME, &[0, 10]).await;
        let runs = world.runs(NAME).await;
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0]["status"]["phase"], "Successful");
        assert_eq!(runs[0]["status"]["metricResults"][0]["count"], 5);
    });
}

fn image(image: &str) -> serde_json::Value {
    json!({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image})
}

/// Applies the seed, and updates it to a version with so many errors in a thousand requests; the hash of that version.
async fn update(world: &World, traffic: &Traffic, errors: u64) -> String {
    world.apply("tests/seeds/canary-analysis.yaml");
    world.healthy(NAME).await;
    let metric = "/spec/metrics/0";
    world
        .edit(
            ANALYSIS_TEMPLATE,
            "success-rate",
            json!([
                {"op": "replace", "path": format!("{metric}/interval"), "value": "1s"},
                {"op": "replace", "path": format!("{metric}/provider/prometheus/address"), "value": traffic.prometheus},
            ]),
        )
        .await;
    let pause = |step: u32, duration: &str| json!({"op": "replace", "path": format!("/spec/strategy/canary/steps/{step}/pause/duration"), "value": duration});
    // The image names the namespace: Prometheus remembers the versions of earlier tests.
    let version = format!("my-app:v2-{}", world.namespace);
    world
        .edit(
            ROLLOUT,
            NAME,
            json!([pause(1, "3s"), pause(4, "1s"), image(&version)]),
        )
        .await;
    let started = world
        .until_rollout(NAME, "on its way", |r| {
            r["status"]["currentPodHash"] != r["status"]["stableRS"]
        })
        .await;
    let hash = text(&started, "/status/currentPodHash").to_owned();
    traffic.errors.lock().insert(hash.clone(), (errors, 0));
    hash
}

/// A target of a real Prometheus: a thousand requests to each version between two scrapes.
struct Traffic {
    prometheus: String,
    /// By pod template hash: errors in a thousand requests, and scrapes so far.
    errors: Arc<Mutex<HashMap<String, (u64, u64)>>>,
    /// Where Prometheus finds the target.
    file: PathBuf,
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Traffic {
    async fn start(world: &World) -> Traffic {
        let errors: Arc<Mutex<HashMap<String, (u64, u64)>>> = Arc::default();
        let counters = Arc::clone(&errors);
        let target = http::serve(move |_| {
            let mut text = String::new();
            for (hash, (errors, scrapes)) in counters.lock().iter_mut() {
                *scrapes += 1;
                for (code, each) in [("200", 1000 - *errors), ("503", *errors)] {
                    let count = *scrapes * each;
                    let labels = format!("code=\"{code}\",pod_template_hash=\"{hash}\"");
                    let _ = writeln!(text, "http_requests_total{{{labels}}} {count}");
                }
            }
            Some((200, text))
        })
        .await;
        let directory = world.cluster.directory.join("targets");
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join(format!("{}.json", world.namespace));
        let targets = json!([{"targets": [target]}]);
        std::fs::write(&file, targets.to_string()).unwrap();
        let config = directory.join("prometheus.yml");
        let text = std::fs::read_to_string(root("tests/support/prometheus.yml")).unwrap();
        let pattern = directory.join("*.json").display().to_string();
        std::fs::write(&config, text.replace("TARGETS", &pattern)).unwrap();
        let prometheus = world
            .cluster
            .command("prometheus", &[&config.display().to_string()])
            .trim()
            .to_owned();
        Traffic {
            prometheus,
            errors,
            file,
        }
    }
}
