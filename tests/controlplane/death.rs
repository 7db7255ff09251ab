//! If the controller dies, nothing moves, and whoever comes next goes on from the objects alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::record::Change;
use crate::support::world::{
    LEASE, REPLICA_SET, ROLLOUT, World, annotation, is_degraded, is_healthy, is_observed, isolated, say, text,
};
use crate::support::{Controller, canary, http, rollout, web_template};

/// How often the controller is killed.
const KILLS: u32 = 50;

/// Numbers that look random and can be had again (xorshift).
struct Random(u64);

impl Random {
    /// From `SERIN_SEED`, or another one each time.
    fn seeded() -> Random {
        let given = std::env::var("SERIN_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish()) | 1;
        say(&format!("ring 3: SERIN_SEED={seed}"));
        Random(seed)
    }

    fn millis(&mut self, below: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % below)
    }
}

/// A Rollout that is updated over and over.
struct Subject {
    name: &'static str,
    strategy: Value,
    /// The values that the step cursor takes in each update, one after the other.
    cursor: &'static [i64],
    /// The steps that have a run, in each update; -1 is the one in the background.
    runs: &'static [i64],
    /// Whether each update ends well.
    is_good: bool,
}

fn subjects() -> Vec<Subject> {
    let analysis = |template: &str| json!({"analysis": {"templates": [{"templateName": template}]}});
    let pause = json!({"pause": {"duration": "1s"}});
    let weight = |weight: u32| json!({"setWeight": weight});
    let mut background = canary(&json!([weight(50), pause, weight(100)]));
    background["analysis"] = json!({"templates": [{"templateName": "endless"}]});
    vec![
        Subject {
            name: "steps",
            strategy: canary(&json!([weight(34), pause, weight(67), pause])),
            cursor: &[0, 1, 2, 3, 4],
            runs: &[],
            is_good: true,
        },
        Subject {
            name: "analysed",
            strategy: canary(&json!([weight(50), analysis("good"), pause, analysis("good")])),
            cursor: &[0, 1, 2, 3, 4],
            runs: &[1, 3],
            is_good: true,
        },
        Subject {
            name: "background",
            strategy: background,
            cursor: &[0, 1, 2, 3],
            runs: &[-1],
            is_good: true,
        },
        Subject {
            name: "aborting",
            strategy: canary(&json!([weight(50), analysis("bad"), pause])),
            cursor: &[0, 1, 0],
            runs: &[1],
            is_good: false,
        },
        Subject {
            name: "rolling",
            strategy: json!({"maxSurge": 1, "maxUnavailable": 1}),
            cursor: &[],
            runs: &[],
            is_good: true,
        },
    ]
}

/// Whether the update under way has ended.
fn has_ended(subject: &Subject, rollout: &Value) -> bool {
    if subject.is_good {
        is_healthy(rollout)
    } else {
        is_observed(rollout) && is_degraded(rollout, "RolloutAborted")
    }
}

#[test]
fn killed_fifty_times_it_repeats_and_skips_nothing() {
    isolated("killed", |world| async move {
        let server = http::serve(|path| Some((200, json!({"ok": path == "/good"}).to_string()))).await;
        world
            .create(web_template("good", &format!("http://{server}/good"), 2))
            .await;
        world
            .create(web_template("bad", &format!("http://{server}/bad"), 1))
            .await;
        let mut endless = web_template("endless", &format!("http://{server}/good"), 0);
        endless["spec"]["metrics"][0]
            .as_object_mut()
            .unwrap()
            .remove("count");
        world.create(endless).await;
        let (rollouts, sets) = (world.record(ROLLOUT).await, world.record(REPLICA_SET).await);
        let subjects = subjects();
        let mut controller = world.controller().await;
        for subject in &subjects {
            let mut object = rollout(subject.name, 3, subject.strategy.clone());
            object["spec"]["revisionHistoryLimit"] = json!(1000);
            object["spec"]["analysis"] =
                json!({"successfulRunHistoryLimit": 1000, "unsuccessfulRunHistoryLimit": 1000});
            world.create(object).await;
        }
        for subject in &subjects {
            world.healthy(subject.name).await;
        }
        let mut random = Random::seeded();
        let mut revisions: BTreeMap<&str, u32> = BTreeMap::new();
        for subject in &subjects {
            world.set_image(subject.name, "app:v2").await;
            revisions.insert(subject.name, 2);
        }
        for kill in 0..KILLS {
            // Within the start, or in the middle of the work.
            sleep(random.millis(if kill % 5 == 0 { 300 } else { 2000 })).await;
            controller.kill();
            for subject in &subjects {
                if has_ended(subject, &world.rollout(subject.name).await) {
                    let revision = revisions.get_mut(subject.name).unwrap();
                    *revision += 1;
                    world.set_image(subject.name, &format!("app:v{revision}")).await;
                }
            }
            controller = Controller::start(world.cluster, &world.controller_run());
        }
        for subject in &subjects {
            world
                .until_rollout(subject.name, "at the end of its update", |r| {
                    has_ended(subject, r)
                })
                .await;
        }
        say(&format!("ring 3: killed {KILLS} times; revisions: {revisions:?}"));
        let seen = rollouts.applied();
        for subject in &subjects {
            let revisions = revisions[subject.name];
            check(&world, subject, revisions, &seen).await;
        }
        let mut created = BTreeSet::new();
        for change in sets.changes() {
            match change {
                Change::Applied(rs) => created.insert(text(&rs, "/metadata/uid").to_owned()),
                Change::Deleted | Change::Restarted => panic!("{change:?}"),
            };
        }
        let total: u32 = revisions.values().sum();
        assert_eq!(
            created.len(),
            usize::try_from(total).unwrap(),
            "one ReplicaSet for each revision"
        );
    });
}

/// How it ended, and that each step was taken once and in order.
async fn check(world: &World, subject: &Subject, revisions: u32, seen: &[Value]) {
    let Subject {
        name,
        cursor,
        runs,
        is_good,
        ..
    } = subject;
    let sets = world.replica_sets(name).await;
    let numbers: Vec<&str> = sets
        .iter()
        .map(|rs| annotation(rs, "rollout.argoproj.io/revision"))
        .collect();
    let all: Vec<String> = (1..=revisions).map(|n| n.to_string()).collect();
    assert_eq!(numbers, all, "{name}");
    let mut scales = vec![0; sets.len()];
    scales[if *is_good { sets.len() - 1 } else { 0 }] = 3;
    world.until_scales(name, &scales).await;

    let mut cursors: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for object in seen.iter().filter(|object| object["metadata"]["name"] == *name) {
        let hash = text(object, "/status/currentPodHash");
        let Some(index) = object.pointer("/status/currentStepIndex").and_then(Value::as_i64) else {
            continue;
        };
        let steps = cursors.entry(hash).or_default();
        if steps.last() != Some(&index) {
            steps.push(index);
        }
    }
    // The first revision takes no steps.
    let first = text(&sets[0], "/metadata/labels/rollouts-pod-template-hash");
    for (hash, steps) in cursors.iter().filter(|(hash, _)| **hash != first) {
        assert_eq!(steps, cursor, "{name}, {hash}");
    }
    if !cursor.is_empty() {
        assert_eq!(cursors.len(), sets.len(), "{name}");
    }

    let mut counts: BTreeMap<(String, i64), u32> = BTreeMap::new();
    for run in world.runs(name).await {
        let revision = annotation(&run, "rollout.argoproj.io/revision").to_owned();
        let step = text(&run, "/metadata/labels/step-index").parse().unwrap_or(-1);
        *counts.entry((revision, step)).or_default() += 1;
    }
    let want: BTreeMap<(String, i64), u32> = all
        .iter()
        .skip(1)
        .flat_map(|revision| runs.iter().map(|step| ((revision.clone(), *step), 1)))
        .collect();
    assert_eq!(counts, want, "{name}: revision and step of each run");
}

/// Who holds the lease of the controllers of this test.
async fn holder(world: &World) -> String {
    let leases = world.list(LEASE, "").await;
    leases
        .first()
        .map(|lease| text(lease, "/spec/holderIdentity").to_owned())
        .unwrap_or_default()
}

/// Waits until another one holds it.
async fn next_holder(world: &World, before: &str) -> String {
    world
        .until("another leader", async || {
            Some(holder(world).await).filter(|holder| !holder.is_empty() && *holder != before)
        })
        .await
}

#[test]
fn a_second_controller_takes_over_from_one_that_stops_or_dies() {
    isolated("takeover", |world| async move {
        let mut run = world.controller_run();
        run.lease_namespace = Some(world.namespace.clone());
        let mut first = Controller::start(world.cluster, &run);
        let one = world
            .until("a leader", async || {
                Some(holder(&world).await).filter(|holder| !holder.is_empty())
            })
            .await;
        let mut second = Controller::start(world.cluster, &run);
        second.ready().await;
        world.deployed(rollout("app", 1, canary(&json!([])))).await;
        assert_eq!(holder(&world).await, one, "a second controller waits");

        let stopped = Instant::now();
        let (took, well) = first.stop().await;
        assert!(well, "a controller that is asked to stop ends well");
        let two = next_holder(&world, &one).await;
        let after = stopped.elapsed();
        say(&format!(
            "ring 3: stopped in {took:.1?}, taken over {after:.1?} after it was asked to"
        ));
        assert!(after < Duration::from_secs(3), "taken over after {after:?}");
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;

        let third = Controller::start(world.cluster, &run);
        third.ready().await;
        assert_eq!(holder(&world).await, two);
        second.kill();
        let killed = Instant::now();
        world.set_image("app", "app:v3").await;
        let three = next_holder(&world, &two).await;
        let after = killed.elapsed();
        say(&format!("ring 3: taken over {after:.1?} after a kill"));
        assert!(after < Duration::from_secs(20), "taken over after {after:?}");
        assert_ne!(three, one);
        world.healthy("app").await;
    });
}
