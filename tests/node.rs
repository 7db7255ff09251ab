//! Ring 4: releases of ten real pods under real requests. Not one request may fail, whatever happens to the release.
//!
//! As root: `cargo test --features node-tests --test node -- --nocapture`. The node is brought up by the first test and
//! stays for the next run; `tests/cluster/cluster down serin-test-node` takes it away (`make node` does so by itself).
//!
//! 200 requests a second go through a Service, each on a connection of its own; the pods go on serving for 5 s after
//! SIGTERM, as pods should.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::default_trait_access,
    clippy::print_stdout,
    reason = "a test that cannot go on must say so and end"
)]

#[path = "node/blue_green.rs"]
mod blue_green;
#[path = "node/chart.rs"]
mod chart;
#[path = "node/load.rs"]
mod load;
#[path = "node/world.rs"]
mod world;

use std::thread::sleep;
use std::time::{Duration, Instant};

use load::Load;
use serde_json::{Value, json};
use world::{LONG, World, eventually};

const RATE: u32 = 200;

/// Waits until the cursor stands on this step or has passed it.
fn reach(world: &World, step: i64) {
    world.wait_for(&format!("step {step}"), |status| {
        status["currentStepIndex"].as_i64() >= Some(step)
    });
}

#[test]
fn a_promotion_loses_no_request() {
    let world = World::enter("promotion");
    let _controller = world.controller();
    world.deploy(|_| {});
    let load = Load::start(&world, "shop", RATE);
    let start = Instant::now();
    world.release("v2");
    world.wait_promoted();
    let took = start.elapsed();
    world.wait_quiet();
    let counts = load.finish();
    counts.show(&format!("promotion, done in {:.1} s", took.as_secs_f64()));
    assert!(counts.answered("v1") && counts.answered("v2"), "{counts:?}");
    assert_eq!(world.sizes()["v1"], (0, 0));
    counts.assert_none_failed(RATE.into());
    world.leave();
}

#[test]
fn an_abort_in_the_middle_loses_no_request() {
    let world = World::enter("abort");
    let _controller = world.controller();
    world.deploy(|_| {});
    let load = Load::start(&world, "shop", RATE);
    world.release("v2");
    // The pause at 50 %.
    reach(&world, 5);
    let start = Instant::now();
    let patch = json!({"status": {"abort": true}}).to_string();
    world.kubectl(&[
        "patch",
        "rollout",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
    eventually("version 1 has everything back", LONG, || {
        let sizes = world.sizes();
        (sizes["v1"] == (10, 10) && sizes["v2"].0 == 0).then_some(())
    });
    let took = start.elapsed();
    world.wait_for("the abort is told", |status| {
        status["phase"] == "Degraded" && status["abort"] == true
    });
    world.wait_quiet();
    let counts = load.finish();
    counts.show(&format!("abort at 50 %, undone in {:.1} s", took.as_secs_f64()));
    assert!(counts.answered("v1") && counts.answered("v2"), "{counts:?}");
    let pods = world.get(&["pods", "-l", "app=shop"]);
    let versions: Vec<&Value> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["spec"]["containers"][0]["env"][0]["value"])
        .collect();
    assert_eq!(versions, vec!["v1"; 10]);
    counts.assert_none_failed(RATE.into());
    world.leave();
}

/// The hash that a Service selects, and the Rollout that manages it.
fn aim(world: &World, service: &str) -> (Option<String>, Option<String>) {
    let service = world.get(&["service", service]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (
        text(&service["spec"]["selector"]["rollouts-pod-template-hash"]),
        text(&service["metadata"]["annotations"]["argo-rollouts.argoproj.io/managed-by-rollouts"]),
    )
}

#[test]
fn services_of_canary_and_stable_follow_without_a_lost_request() {
    let world = World::enter("services");
    let _controller = world.controller();
    world.service("shop-canary");
    world.service("shop-stable");
    world.deploy(|rollout| {
        rollout["spec"]["strategy"]["canary"]["canaryService"] = json!("shop-canary");
        rollout["spec"]["strategy"]["canary"]["stableService"] = json!("shop-stable");
    });
    let shop = Some("shop".to_owned());
    let status = world.rollout()["status"].clone();
    let hash = |status: &Value, key: &str| status[key].as_str().map(str::to_owned);
    let v1 = hash(&status, "stableRS");
    assert_eq!(aim(&world, "shop-stable"), (v1.clone(), shop.clone()));
    assert_eq!(aim(&world, "shop-canary"), (v1.clone(), shop.clone()));

    let load = Load::start(&world, "shop", RATE);
    let canary = Load::start(&world, "shop-canary", 50);
    let start = Instant::now();
    world.release("v2");
    reach(&world, 3);
    let v2 = hash(&world.rollout()["status"], "currentPodHash");
    assert_ne!(v1, v2);
    assert_eq!(aim(&world, "shop-stable"), (v1, shop.clone()));
    assert_eq!(aim(&world, "shop-canary"), (v2.clone(), shop.clone()));
    world.wait_promoted();
    let took = start.elapsed();
    eventually("the stable Service follows the promotion", LONG, || {
        (aim(&world, "shop-stable") == (v2.clone(), shop.clone())).then_some(())
    });
    assert_eq!(aim(&world, "shop-canary"), (v2, shop));

    let patch =
        json!({"spec": {"strategy": {"canary": {"canaryService": null, "stableService": null}}}}).to_string();
    world.kubectl(&["patch", "rollout", "shop", "--type=merge", "-p", &patch]);
    for service in ["shop-canary", "shop-stable"] {
        eventually("the Service is given back", LONG, || {
            (aim(&world, service) == (None, None)).then_some(())
        });
    }
    world.wait_quiet();
    for (load, service, rate) in [(load, "shop", RATE), (canary, "shop-canary", 50)] {
        let counts = load.finish();
        counts.show(&format!(
            "promotion with Services, through {service}, done in {:.1} s",
            took.as_secs_f64()
        ));
        assert!(counts.answered("v1") && counts.answered("v2"), "{counts:?}");
        counts.assert_none_failed(rate.into());
    }
    world.leave();
}

#[test]
fn a_killed_controller_loses_no_request_and_the_next_one_goes_on() {
    let world = World::enter("killed");
    let controller = world.controller();
    world.deploy(|_| {});
    let load = Load::start(&world, "shop", RATE);
    let start = Instant::now();
    world.release("v2");
    // Half of the pods are being replaced at this moment.
    reach(&world, 4);
    controller.murder();
    let before = world.sizes();
    sleep(Duration::from_secs(5));
    let after = world.sizes();
    for version in ["v1", "v2"] {
        assert_eq!(
            before[version].0, after[version].0,
            "{version} was scaled, and nobody was there"
        );
    }
    assert!(
        before["v2"].0 < 10,
        "killed too late to show anything: {before:?}"
    );
    let _controller = world.controller();
    world.wait_promoted();
    let took = start.elapsed();
    world.wait_quiet();
    let counts = load.finish();
    counts.show(&format!(
        "promotion with a killed controller, done in {:.1} s",
        took.as_secs_f64()
    ));
    assert!(counts.answered("v1") && counts.answered("v2"), "{counts:?}");
    counts.assert_none_failed(RATE.into());
    world.leave();
}
