//! A day of rollouts in ten minutes, and the memory of the controller meanwhile: `make soak`.
//!
//! An hour takes 25 s. Each hour every one of twenty teams ships: canaries with and without analysis, some of which are
//! aborted, and blue-green. Every second hour a team takes its Rollout away and makes it anew. So a day is some 480
//! updates, each with its ReplicaSets, pods, runs and events.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]

#[path = "support/support.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::support::cluster::Cluster;
use crate::support::world::{self, ROLLOUT, World, say};
use crate::support::{Controller, canary, http, rollout, web_template};

/// How long it takes, in seconds; `SERIN_SOAK_SECONDS` is another time.
const SOAK: u64 = 600;
/// When the memory is taken that the end is compared with.
const SETTLED: Duration = Duration::from_secs(60);
/// Hours of the day.
const HOURS: u32 = 24;
const TEAMS: u32 = 20;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::up("test-soak"))
}

/// Memory in use, in kilobytes.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn megabytes(kilobytes: u64) -> String {
    format!("{:.1} MB", kilobytes as f64 / 1024.0)
}

/// The Rollout of a team.
async fn begin(world: &World, team: u32) {
    let name = format!("team-{team}");
    let analysis = |template: &str| json!({"analysis": {"templates": [{"templateName": template}]}});
    let pause = json!({"pause": {"duration": "2s"}});
    let mut object = match team % 4 {
        0 => rollout(
            &name,
            3,
            canary(&json!([{"setWeight": 34}, pause, {"setWeight": 67}, pause])),
        ),
        1 => rollout(
            &name,
            2,
            canary(&json!([{"setWeight": 50}, analysis("good"), pause])),
        ),
        2 => rollout(
            &name,
            2,
            canary(&json!([{"setWeight": 50}, analysis("bad"), pause])),
        ),
        _ => {
            let mut object = rollout(&name, 2, json!({}));
            world.create_service(&name, &json!({"app": name}), 80).await;
            object["spec"]["strategy"] =
                json!({"blueGreen": {"activeService": name, "scaleDownDelaySeconds": 2}});
            object
        }
    };
    object["spec"]["revisionHistoryLimit"] = json!(2);
    world.create(object).await;
}

#[test]
fn a_day_of_rollouts_leaves_no_memory_behind() {
    world::run(cluster(), "soak", "soak", |world| async move {
        let seconds = std::env::var("SERIN_SOAK_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok());
        let lasts = Duration::from_secs(seconds.unwrap_or(SOAK));
        let server = http::serve(|path| Some((200, json!({"ok": path == "/good"}).to_string()))).await;
        for (name, count) in [("good", 2), ("bad", 1)] {
            world
                .create(web_template(name, &format!("http://{server}/{name}"), count))
                .await;
        }
        let mut run = world.controller_run();
        run.args.push("--loglevel=info".to_owned());
        let controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        let began = Instant::now();
        for team in 0..TEAMS {
            begin(&world, team).await;
        }
        let hour = lasts / HOURS;
        let (mut settled, mut highest, mut updates) = (None, 0, 0);
        let mut last = Vec::new();
        for now in 1..=HOURS {
            for team in 0..TEAMS {
                let name = format!("team-{team}");
                if now % 2 == 0 && team == now % TEAMS {
                    world.delete(ROLLOUT, &name).await;
                    if team % 4 == 3 {
                        world.delete(world::SERVICE, &name).await;
                    }
                    begin(&world, team).await;
                } else {
                    world.set_image(&name, &format!("app:v{}", now + 1)).await;
                    updates += 1;
                }
                sleep(hour / TEAMS / 2).await;
            }
            while began.elapsed() < hour * now {
                sleep(Duration::from_secs(1).min(hour / 10)).await;
                let used = memory(controller.id());
                highest = highest.max(used);
                if settled.is_none() && began.elapsed() >= SETTLED.min(lasts / 4) {
                    settled = Some(used);
                    say(&format!("soak: {} after the first minute", megabytes(used)));
                }
                if now == HOURS {
                    last.push(used);
                }
            }
            say(&format!(
                "soak: hour {now}: {}",
                megabytes(memory(controller.id()))
            ));
        }
        let settled = settled.unwrap();
        // The last hour as a whole: one look may fall into a burst.
        last.sort_unstable();
        let end = last[last.len() / 2];
        let passes = controller.metric("serin_passes_total", "").await;
        let calls = controller
            .metric("controller_clientset_k8s_request_total", "")
            .await;
        let failed = controller.metric("rollout_reconcile_error", "").await;
        say(&format!(
            "soak: a day in {:.0} s: {updates} updates, {passes} passes ({failed} failed), {calls} calls; \
             {} after the first minute, {} in the last hour ({:+.1} %), {} at its highest",
            began.elapsed().as_secs_f64(),
            megabytes(settled),
            megabytes(end),
            (end as f64 / settled as f64 - 1.0) * 100.0,
            megabytes(highest)
        ));
        assert!(updates >= 400 && calls > 1000.0, "nothing happened");
        assert!(end * 10 <= settled * 11, "the memory grew by more than 10 %");
    });
    cluster().down();
}
