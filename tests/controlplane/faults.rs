//! An API server that refuses, fails, dawdles, loses answers or ends its watches, in the middle of a canary: nothing is
//! lost, nothing doubled, and nobody calls in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::proxy::{Call, Fault, Proxy, Watches};
use crate::support::record::{Change, Record};
use crate::support::world::{REPLICA_SET, ROLLOUT, World, annotation, isolated, say, text};
use crate::support::{Controller, canary, http, rollout, web_template};

/// The watches of a controller without a workloadRef.
const WATCHES: usize = 10;

/// Some of the lists that watches begin with, of kinds that nothing else lists.
const LISTED: [&str; 4] = [
    "GET /apis/argoproj.io/v1alpha1/rollouts",
    "GET /apis/argoproj.io/v1alpha1/analysisruns",
    "GET /apis/apps/v1/replicasets",
    "GET /api/v1/services",
];

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
        let all = own_calls(&proxy, began, &world);
        let calls = all.len();
        say(&format!("ring 3: {fault:?} for {lasts:?}: {calls} calls"));
        check_end(&world, &seen).await;
        assert!(calls > 0, "nothing was asked: the fault was not seen");
        assert!(
            calls <= most,
            "{calls} calls within {lasts:?} under {fault:?}: {:#?}",
            counted(&all)
        );
        assert_eq!(
            controller
                .metric("serin_passes_total", r#"outcome="terminal""#)
                .await,
            0.0
        );
    });
}

/// The calls since, without those about the Services of other tests, which switch theirs meanwhile: each is looked at once.
fn own_calls(proxy: &Proxy, since: Instant, world: &World) -> Vec<Call> {
    let own = format!("/namespaces/{}/", world.namespace);
    let mut calls = proxy.calls_since(since);
    calls.retain(|call| !call.line.contains("/namespaces/") || call.line.contains(&own));
    calls
}

/// The calls by method and path.
fn counted(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.line.as_str()).or_default() += 1;
    }
    counts
}

/// The most calls within a fault of half a minute or less: some six of each watch and of each object's passes, and a few
/// events. Who asks for each list every second makes 300, and who asks in circles thousands.
const CALM: usize = 150;

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

/// As a proxy in between does it that has lost its way. Nothing is seen meanwhile, and nobody asks in circles.
#[test]
fn watches_closed_at_once_are_begun_once_a_second() {
    isolated("closed-at-once", |world| async move {
        let (proxy, _controller) = through(&world).await;
        let seen = begin(&world).await;
        let began = Instant::now();
        proxy.set_watches(Watches::Closed(Duration::ZERO));
        sleep(Duration::from_secs(10)).await;
        proxy.set_watches(Watches::Fine);
        let all = own_calls(&proxy, began, &world);
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        let watches = all.iter().filter(|call| call.is_watch).count();
        say(&format!(
            "ring 3: watches closed at once for {seconds} s: {watches} watches, {} other calls",
            all.len() - watches
        ));
        assert!(watches >= 2 * WATCHES, "{watches} watches: they were not closed");
        assert!(watches <= WATCHES * (seconds + 1), "{:#?}", counted(&all));
        assert!(all.len() - watches <= 60, "{:#?}", counted(&all));
        check_end(&world, &seen).await;
    });
}

/// After an outage a watch is too old to go on, and begins anew with a list. One that fails is asked for later each time.
#[test]
fn lists_that_fail_are_not_asked_for_in_circles() {
    isolated("lists-broken", |world| async move {
        let (proxy, _controller) = through(&world).await;
        let seen = begin(&world).await;
        let told = Instant::now();
        proxy.set_watches(Watches::Gone(Duration::ZERO));
        world
            .until("each watch told that it is too old", async || {
                let calls = proxy.calls_since(told);
                (calls.iter().filter(|call| call.is_watch).count() >= WATCHES).then_some(())
            })
            .await;
        let began = Instant::now();
        proxy.set(Fault::Broken);
        sleep(Duration::from_secs(30)).await;
        let all = own_calls(&proxy, began, &world);
        proxy.set_watches(Watches::Fine);
        proxy.set(Fault::None);
        let is_list = |call: &&Call| !call.is_watch && LISTED.contains(&call.line.as_str());
        let lists = all.iter().filter(is_list).count();
        say(&format!(
            "ring 3: lists that fail for 30 s: {lists} of {} calls",
            all.len()
        ));
        assert!(lists >= 5, "the lists were not asked for: {:#?}", counted(&all));
        assert!(all.len() <= CALM, "{:#?}", counted(&all));
        check_end(&world, &seen).await;
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
