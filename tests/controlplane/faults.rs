//! An API server that refuses, fails, dawdles, loses answers or ends its watches, in the middle of a canary: nothing is
//! lost, nothing doubled, and nobody calls in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::proxy::{Fault, Proxy, Watches};
use crate::support::record::{Change, Record};
use crate::support::world::{REPLICA_SET, ROLLOUT, World, annotation, isolated, say, text};
use crate::support::{Controller, canary, http, rollout, web_template};

/// The watches of a controller without a workloadRef.
const WATCHES: usize = 10;

/// What was seen of one Rollout.
pub struct Seen {
    rollouts: Record,
    sets: Record,
}

/// The steps of the canary, and those of them that have a run.
fn steps() -> Value {
    let pause = json!({"pause": {"duration": "2s"}});
    let analysis = json!({"analysis": {"templates": [{"templateName": "good"}]}});
    json!([{"setWeight": 34}, pause, analysis, {"setWeight": 67}, pause, analysis])
}

const RUNS: [&str; 2] = ["2", "5"];

/// Deploys the first revision and begins the second.
pub async fn begin(world: &World) -> Seen {
    let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
    world
        .create(web_template("good", &format!("http://{server}/good"), 2))
        .await;
    let seen = Seen {
        rollouts: world.record(ROLLOUT).await,
        sets: world.record(REPLICA_SET).await,
    };
    world.deployed(rollout("app", 3, canary(&steps()))).await;
    world.set_image("app", "app:v2").await;
    world
        .until_rollout("app", "in its first step", |r| {
            r["status"]["currentStepIndex"].as_i64() >= Some(1)
                && text(r, "/status/stableRS") != text(r, "/status/currentPodHash")
        })
        .await;
    seen
}

/// Waits for the end of the canary, and checks that each thing was done once and in order.
pub async fn check_end(world: &World, seen: &Seen) {
    world.healthy("app").await;
    world.until_scales("app", &[0, 3]).await;
    let sets = world.replica_sets("app").await;
    let (old, new) = (&sets[0], &sets[1]);
    assert_eq!(annotation(new, "rollout.argoproj.io/revision"), "2");
    let mut created = BTreeSet::new();
    for change in seen.sets.changes() {
        match change {
            Change::Applied(rs) => created.insert(text(&rs, "/metadata/uid").to_owned()),
            Change::Deleted => panic!("a ReplicaSet was deleted"),
            Change::Restarted => false,
        };
    }
    assert_eq!(created.len(), 2, "one ReplicaSet for each revision");
    let hash = |rs: &Value| text(rs, "/metadata/labels/rollouts-pod-template-hash").to_owned();
    // The watch of the test itself may be behind after an outage.
    let cursor = world
        .until("a record up to the last step", async || {
            let mut cursor: Vec<i64> = Vec::new();
            for change in seen.rollouts.changes() {
                let Change::Applied(object) = change else { continue };
                let index = object.pointer("/status/currentStepIndex").and_then(Value::as_i64);
                if text(&object, "/status/currentPodHash") == hash(new)
                    && let Some(index) = index
                    && cursor.last() != Some(&index)
                {
                    cursor.push(index);
                }
            }
            (cursor.last() == Some(&6)).then_some(cursor)
        })
        .await;
    assert!(cursor.is_sorted(), "steps out of order: {cursor:?}");
    assert_ne!(hash(old), hash(new));
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    for run in world.runs("app").await {
        assert_eq!(run["status"]["phase"], "Successful", "{run:#}");
        *runs
            .entry(text(&run, "/metadata/labels/step-index").to_owned())
            .or_default() += 1;
    }
    let want: BTreeMap<String, u32> = RUNS.iter().map(|step| ((*step).to_owned(), 1)).collect();
    assert_eq!(runs, want, "one run for each step that has one");
}

/// A controller that reaches the API server through a proxy.
async fn through(world: &World) -> (Proxy, Controller) {
    let mut run = world.controller_run();
    let proxy = Proxy::start(world.cluster, &run.user).await;
    run.kubeconfig = Some(proxy.kubeconfig.clone());
    let controller = Controller::start(world.cluster, &run);
    controller.ready().await;
    (proxy, controller)
}

/// A fault for so long in the middle of a canary; at most so many calls meanwhile.
fn under(name: &str, fault: Fault, lasts: Duration, most: usize) {
    isolated(name, |world| async move {
        let (proxy, controller) = through(&world).await;
        let seen = begin(&world).await;
        let began = Instant::now();
        proxy.set(fault);
        sleep(lasts).await;
        proxy.set(Fault::None);
        let calls = proxy.calls_since(began).len();
        say(&format!("ring 3: {fault:?} for {lasts:?}: {calls} calls"));
        check_end(&world, &seen).await;
        assert!(calls > 0, "nothing was asked: the fault was not seen");
        assert!(calls <= most, "{calls} calls within {lasts:?} under {fault:?}");
        assert_eq!(
            controller
                .metric("serin_passes_total", r#"outcome="terminal""#)
                .await,
            0.0
        );
    });
}

/// The most calls within a fault of half a minute or less: some 50 to 150 were seen. Who asks in circles makes thousands.
const CALM: usize = 300;

// A watch that fails is tried again after some 1, 2, 4 and 8 s, and so is the pass of a Rollout and of its run; the rest of
// the bounds is for events, and for calls that were under way.

#[test]
fn told_that_it_is_too_many_it_waits() {
    under("too-many", Fault::TooMany(2), Duration::from_secs(20), CALM);
}

#[test]
fn an_api_server_that_fails_is_not_asked_in_circles() {
    under("broken", Fault::Broken, Duration::from_secs(20), CALM);
}

#[test]
fn an_api_server_that_dawdles_only_takes_longer() {
    under(
        "slow",
        Fault::Slow(Duration::from_secs(4)),
        Duration::from_secs(30),
        CALM,
    );
}

#[test]
fn what_was_done_although_the_answer_was_lost_is_not_done_again() {
    under("lost", Fault::Lost, Duration::from_secs(15), CALM);
}

#[test]
fn watches_closed_every_second_lose_nothing() {
    isolated("closed", |world| async move {
        let (proxy, _controller) = through(&world).await;
        proxy.set_watches(Watches::Closed(Duration::from_secs(1)));
        let began = Instant::now();
        let seen = begin(&world).await;
        check_end(&world, &seen).await;
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        let (watches, others): (Vec<_>, Vec<_>) = proxy
            .calls_since(began)
            .into_iter()
            .partition(|call| call.is_watch);
        let (watches, others) = (watches.len(), others.len());
        say(&format!(
            "ring 3: watches closed every second for {seconds} s: {watches} watches, {others} other calls"
        ));
        assert!(
            watches >= seconds,
            "only {watches} watches in {seconds} s: they were not closed"
        );
        assert!(
            watches <= WATCHES * (seconds + 2),
            "{watches} watches in {seconds} s"
        );
        // The stores are up to a second old all the time, so that passes meet conflicts; in a hot loop it is dozens a second.
        assert!(
            others <= 60 + 8 * seconds,
            "{others} calls beside the watches in {seconds} s"
        );
    });
}

/// What a watch is told after etcd was compacted: it begins anew with a list.
#[test]
fn watches_that_must_begin_anew_lose_nothing() {
    isolated("gone", |world| async move {
        let (proxy, _controller) = through(&world).await;
        proxy.set_watches(Watches::Gone(Duration::from_secs(1)));
        let began = Instant::now();
        let seen = begin(&world).await;
        check_end(&world, &seen).await;
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        let all = proxy.calls_since(began);
        let lists = all
            .iter()
            .filter(|call| !call.is_watch && call.line == "GET /apis/argoproj.io/v1alpha1/rollouts")
            .count();
        say(&format!(
            "ring 3: watches told 410 after a second for {seconds} s: {} calls, {lists} lists of Rollouts",
            all.len()
        ));
        assert!(lists >= 2, "the lists were not asked for anew");
        // A list and a watch of each kind, a second at most.
        assert!(
            all.len() <= 2 * WATCHES * (seconds + 2) + 60 + 8 * seconds,
            "{} calls",
            all.len()
        );
    });
}
