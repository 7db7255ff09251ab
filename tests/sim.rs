//! The promises of the design as properties on the model cluster: whatever the limits, the steps, the pods, the verdicts,
//! the users and the delays are, and wherever the controller dies.
//!
//! `PROPTEST_CASES=100000 cargo test --test sim` looks longer. A failure prints the smallest case as a script, what is
//! wrong, and the course of the run.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests do")]
#![allow(missing_docs, reason = "the names of the properties say it")]

#[path = "sim/case.rs"]
mod case;
#[path = "sim/crash.rs"]
mod crash;
#[path = "sim/end.rs"]
mod end;
#[path = "sim/generate.rs"]
mod generate;
#[path = "sim/hands.rs"]
mod hands;
#[path = "sim/watcher.rs"]
mod watcher;

use generate::World;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

const WORLD: World = World {
    healthy: false,
    good: false,
    background: true,
    slow: true,
    mortal: true,
    actions: generate::anything,
};

/// Tries so many cases, or as many as `PROPTEST_CASES` says.
fn holds(cases: u32, world: World, property: impl Fn(&case::Case) -> Result<(), String>) {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(cases);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&generate::case(world), |case| {
        property(&case).map_err(TestCaseError::fail)
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[test]
fn pods_stay_within_the_bounds_at_every_instant() {
    holds(2_000, WORLD, |case| {
        watcher::run(case, &mut watcher::bounds).map(drop)
    });
}

#[test]
fn every_rollout_of_healthy_pods_comes_to_rest() {
    let world = World {
        healthy: true,
        actions: generate::users,
        ..WORLD
    };
    holds(2_000, world, |case| {
        let end = watcher::run(case, &mut |_, _| Ok(()))?;
        end::is_at_rest(&end.cluster, true).map_err(|e| format!("{e}\n{}", watcher::course(case)))
    });
}

#[test]
fn nothing_ever_goes_round_in_circles() {
    holds(2_000, WORLD, |case| {
        let end = watcher::run(case, &mut |_, _| Ok(()))?;
        end::is_at_rest(&end.cluster, false).map_err(|e| format!("{e}\n{}", watcher::course(case)))
    });
}

#[test]
fn the_same_input_gives_the_same_plan_and_passes_end_by_themselves() {
    holds(1_000, WORLD, |case| {
        let mut settles = watcher::Settles::default();
        watcher::run(case, &mut |cluster, step| {
            watcher::determined(cluster, step)?;
            settles.check(12, cluster, step)
        })
        .map(drop)
    });
}

#[test]
fn a_pass_before_its_time_has_nothing_to_say() {
    holds(1_000, WORLD, |case| {
        watcher::run(case, &mut watcher::wakes).map(drop)
    });
}

#[test]
fn the_cursor_rises_by_one_or_jumps_for_a_reason() {
    holds(2_000, WORLD, |case| {
        watcher::run(case, &mut watcher::cursor).map(drop)
    });
}

#[test]
fn only_a_good_verdict_goes_on() {
    holds(2_000, WORLD, |case| {
        watcher::run(case, &mut watcher::verdicts).map(drop)
    });
}

#[test]
fn a_crash_after_any_call_changes_neither_the_way_nor_the_end() {
    let world = World {
        healthy: true,
        slow: false,
        background: false,
        actions: generate::patient_users,
        ..WORLD
    };
    holds(1_000, world, crash::changes_nothing);
}

#[test]
fn an_abort_from_any_state_goes_back_at_once() {
    let world = World {
        healthy: true,
        mortal: false,
        actions: generate::users,
        ..WORLD
    };
    holds(1_000, world, hands::abort);
}

#[test]
fn a_pause_holds_the_canary_and_follows_the_replicas() {
    let world = World {
        healthy: true,
        actions: generate::pausing,
        ..WORLD
    };
    holds(1_000, world, hands::pause);
}

#[test]
fn a_good_image_heals_every_state() {
    holds(
        1_000,
        World {
            mortal: false,
            ..WORLD
        },
        hands::heal,
    );
}
