//! What the controller costs the API server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::audit::{Audit, describe};
use crate::support::world::{ROLLOUT, is_degraded, is_healthy, isolated, say};
use crate::support::{Controller, canary, rollout};

/// After so long without a call nothing more comes of what happened: mere counters wait up to 5 s to be written.
const QUIET: Duration = Duration::from_secs(8);

/// Waits until the number of calls stays the same.
pub async fn until_quiet(count: impl Fn() -> usize) {
    let began = Instant::now();
    let (mut last, mut since) = (count(), Instant::now());
    while since.elapsed() < QUIET {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "the calls do not end: {last}"
        );
        sleep(Duration::from_millis(500)).await;
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

#[test]
fn a_hundred_rollouts_at_rest_cost_nothing_but_watches_and_the_lease() {
    isolated("idle", |world| async move {
        let mut run = world.controller_run();
        run.lease_namespace = Some(world.namespace.clone());
        let controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        let audit = Audit::of(world.cluster, &run.user);
        for i in 0..100 {
            let steps = json!([{"setWeight": 50}, {"pause": {}}]);
            world
                .create(rollout(&format!("app-{i}"), 1, canary(&steps)))
                .await;
        }
        world
            .until("a hundred healthy Rollouts", async || {
                let all = world.list(ROLLOUT, "").await;
                (all.len() == 100 && all.iter().all(is_healthy)).then_some(())
            })
            .await;
        // A few of the other ways to be at rest.
        world.set_image("app-0", "app:v2").await;
        world.paused_at("app-0", 1).await;
        world.set_image("app-1", "app:v2").await;
        world.paused_at("app-1", 1).await;
        world.abort("app-1").await;
        world
            .until_rollout("app-1", "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        world.patch("app-2", json!({"spec": {"paused": true}})).await;
        world
            .until_rollout("app-2", "paused", |r| r["status"]["phase"] == "Paused")
            .await;
        world
            .patch("app-3", json!({"spec": {"strategy": {"canary": null}}}))
            .await;
        world
            .until_rollout("app-3", "refused", |r| is_degraded(r, "InvalidSpec"))
            .await;
        let is_work = |request: &Value| {
            let call = describe(request);
            // A Service of another test's namespace may make it ask whose it is.
            let of_others =
                ![&json!(world.namespace), &Value::Null].contains(&&request["objectRef"]["namespace"]);
            !of_others
                && !call.starts_with("watch ")
                && !["get leases", "update leases"].contains(&call.as_str())
        };
        let work = |audit: &Audit| {
            audit
                .requests()
                .into_iter()
                .filter(is_work)
                .map(|r| describe(&r))
                .collect::<Vec<_>>()
        };
        until_quiet(|| work(&audit).len()).await;
        let minute = Audit::of(world.cluster, &run.user);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            let calls = work(&minute);
            assert!(calls.is_empty(), "an idle controller called: {calls:?}");
            sleep(Duration::from_secs(1)).await;
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for request in minute.requests() {
            *counts.entry(describe(&request)).or_default() += 1;
        }
        say(&format!(
            "ring 3: calls of a minute with 100 Rollouts at rest: {counts:?}"
        ));
        assert!(
            counts.keys().any(|call| call.ends_with(" leases")),
            "the log shows nothing of this controller: {counts:?}"
        );
    });
}
