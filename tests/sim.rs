//! The promises of the design as properties on the model cluster, for canaries and blue-green rollouts: whatever the limits,
//! the steps, the delays, the pods, the verdicts, the users and the autoscalers are, and wherever the controller dies.
//!
//! `PROPTEST_CASES=100000 cargo test --test sim` looks longer. A failure prints the smallest case as a script, what is
//! wrong, and the course of the run.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests do")]
#![allow(missing_docs, reason = "the names of the properties say it")]

#[path = "sim/autoscale.rs"]
mod autoscale;
#[path = "sim/case.rs"]
mod case;
#[path = "sim/crash.rs"]
mod crash;
#[path = "sim/doubt.rs"]
mod doubt;
#[path = "sim/end.rs"]
mod end;
#[path = "sim/generate.rs"]
mod generate;
#[path = "sim/hands.rs"]
mod hands;
#[path = "sim/promises.rs"]
mod promises;
#[path = "sim/record.rs"]
mod record;
#[path = "sim/upgrade.rs"]
mod upgrade;
#[path = "sim/watcher.rs"]
mod watcher;

use generate::{Kind, World};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

const WORLD: World = World {
    healthy: false,
    good: false,
    background: true,
    slow: true,
    mortal: true,
    kind: Kind::Either,
    services: false,
    silent: false,
    rich: true,
    actions: generate::anything,
};

/// Tries so many cases, the same everywhere, so that a run tells of the change under test and of nothing else; or as many
/// others as `PROPTEST_CASES` says.
fn holds(cases: u32, world: World, property: impl Fn(&case::Case) -> Result<(), String>) {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let rng_seed = if asked.is_some() {
        RngSeed::Random
    } else {
        RngSeed::Fixed(0x5e41)
    };
    let cases = asked.and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config = Config {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&generate::case(world), |case| {
        property(&case).map_err(TestCaseError::fail)
    });
    assert!(
        tried.is_ok(),
        "{}",
        tried.err().map_or(String::new(), |error| error.to_string())
    );
}

/// Every rule over every step of the same runs, because the runs are what costs time.
fn whole(case: &case::Case) -> Result<(), String> {
    let mut settles = watcher::Settles::default();
    let mut convergence = promises::Convergence::default();
    let mut permission = promises::Permission::default();
    let mut count = 0_u32;
    let end = watcher::run(case, &mut |cluster, step| {
        count += 1;
        // Plans and the wire are dear to try twice, and what is wrong with them is wrong often.
        let dear = |rule: watcher::PlainRule| {
            if count.is_multiple_of(3) {
                rule(cluster, step)
            } else {
                Ok(())
            }
        };
        let rules = [
            (
                "promise 2, capacity before traffic,",
                promises::capacity(cluster, step),
            ),
            (
                "promise 3, traffic before pods,",
                convergence.check(cluster, step),
            ),
            ("promise 4, bounds,", promises::within_bounds(cluster, step)),
            (
                "promise 4, no gap in the hand-over,",
                promises::hand_over(case, cluster, step),
            ),
            (
                "promise 6, a word for every wait,",
                promises::message(cluster, step),
            ),
            (
                "promise 8, no data is not bad data,",
                promises::no_data(case, cluster, step),
            ),
            ("promise 8, no pod more in doubt,", doubt::no_more_pods(step)),
            ("a switch needs permission", permission.check(case, cluster, step)),
            (
                "the cursor rises by one or jumps for a reason",
                watcher::cursor(cluster, step),
            ),
            ("the record of an update ends with it", record::of_update(step)),
            ("only a good verdict goes on", watcher::verdicts(cluster, step)),
            ("the same input gives the same plan", dear(watcher::determined)),
            ("the wire carries the status", dear(watcher::carried)),
            ("passes end by themselves", settles.check(14, cluster, step)),
            ("a pass before its time has nothing to say", dear(watcher::wakes)),
        ];
        rules
            .into_iter()
            .try_for_each(|(name, rule)| rule.map_err(|e| format!("{name} is broken: {e}")))
    })?;
    end::is_at_rest(&end.cluster, false).map_err(|e| format!("{e}\n{}", watcher::course(case)))
}

#[test]
fn a_canary_in_any_world_keeps_every_rule_and_ends_at_rest() {
    let kind = Kind::Canary;
    holds(2400, World { kind, ..WORLD }, whole);
}

#[test]
fn a_blue_green_rollout_in_any_world_keeps_every_rule_and_ends_at_rest() {
    let kind = Kind::BlueGreen;
    holds(2400, World { kind, ..WORLD }, whole);
}

/// Promise 2, capacity before traffic: no Service runs ahead of its pods, whichever way the rollout takes (a step, an
/// abort, a new template in the middle, undo, a full promotion, an autoscaler) and however late the caches and the
/// endpoints are. The pods stay as they are: nothing else takes capacity away.
#[test]
fn no_service_leads_to_a_side_that_cannot_carry_it_on_any_path() {
    let world = World {
        healthy: true,
        services: true,
        actions: generate::users,
        ..WORLD
    };
    holds(2400, world, |case| {
        watcher::run(case, &mut promises::capacity).map(drop)
    });
}

/// Promise 3, traffic before pods: what a Service leads to stands, until the EndpointSlices show that it leads elsewhere,
/// and under blue-green until the delay is over.
#[test]
fn no_pods_go_while_a_service_leads_to_them() {
    let world = World {
        healthy: true,
        services: true,
        actions: generate::users,
        ..WORLD
    };
    holds(2400, world, |case| {
        let mut convergence = promises::Convergence::default();
        watcher::run(case, &mut |cluster, step| convergence.check(cluster, step)).map(drop)
    });
}

/// Promise 4, bounds: never fewer pods than may be missing, never more than the surge, whatever the pods do.
#[test]
fn pods_stay_within_the_bounds_in_any_world() {
    holds(2400, WORLD, |case| {
        watcher::run(case, &mut |cluster, step| {
            promises::within_bounds(cluster, step)?;
            promises::hand_over(case, cluster, step)
        })
        .map(drop)
    });
}

/// Promise 8, no data is not bad data: measurements without an answer abort nothing until there are too many in a row, and
/// then the abort says that it was no answer; a doubtful one pauses. (That an empty answer and NaN are told apart is shown
/// where answers are read, in `src/metric`.)
#[test]
fn no_data_is_not_bad_data() {
    let world = World {
        healthy: true,
        silent: true,
        actions: generate::users,
        ..WORLD
    };
    holds(1800, world, |case| {
        let mut permission = promises::Permission::default();
        watcher::run(case, &mut |cluster, step| {
            promises::no_data(case, cluster, step)?;
            permission.check(case, cluster, step)
        })
        .map(drop)
    });
}

/// Promise 6, never wedged, for those whose pods are well: the end is where the rollout should be.
#[test]
fn every_rollout_of_healthy_pods_comes_to_rest_where_it_should() {
    let world = World {
        healthy: true,
        actions: generate::users,
        ..WORLD
    };
    holds(1600, world, |case| {
        let end = watcher::run(case, &mut promises::within_bounds)?;
        end::is_at_rest(&end.cluster, true).map_err(|e| format!("{e}\n{}", watcher::course(case)))
    });
}

/// Promise 5, if the controller dies, nothing moves: it goes on from the objects alone, by the same steps to the same end.
#[test]
fn a_crash_after_any_call_changes_neither_the_way_nor_the_end() {
    let world = World {
        healthy: true,
        slow: false,
        background: false,
        actions: generate::patient_users,
        ..WORLD
    };
    holds(1000, world, crash::changes_nothing);
}

/// Promise 7, abort is the fastest path: two passes, and nothing else first.
#[test]
fn an_abort_from_any_state_goes_back_at_once() {
    let world = World {
        healthy: true,
        mortal: false,
        actions: generate::users,
        ..WORLD
    };
    holds(1000, world, hands::abort);
}

/// Promise 6, never wedged: scaling works while a user pauses, and nothing else moves.
#[test]
fn a_pause_holds_the_canary_and_follows_the_replicas() {
    let world = World {
        healthy: true,
        kind: Kind::Canary,
        actions: generate::pausing,
        ..WORLD
    };
    holds(1000, world, hands::pause);
}

/// Promise 6, never wedged: there is a way out of every state.
#[test]
fn a_good_image_heals_every_state() {
    holds(
        800,
        World {
            mortal: false,
            ..WORLD
        },
        hands::heal,
    );
}

/// Promise 9, an upgrade moves no pod.
#[test]
fn an_upgrade_of_the_controller_moves_no_pod() {
    let world = World {
        healthy: true,
        slow: false,
        mortal: false,
        background: false,
        actions: generate::patient_users,
        ..WORLD
    };
    holds(1000, world, upgrade::moves_nothing);
}

#[test]
fn an_autoscaler_scales_3_to_12_to_4_in_the_middle_of_a_canary_bounds_hold_the_ratio_follows_it_completes() {
    autoscale::canary();
}

#[test]
fn an_autoscaler_scales_3_to_12_to_4_in_the_middle_of_a_blue_green_rollout_both_sides_follow_it_completes() {
    autoscale::blue_green();
}

/// `failFast` gives up long before the deadline, whatever the steps, and says why.
#[test]
fn new_pods_that_crash_are_given_up_by_fail_fast() {
    let world = World {
        healthy: true,
        good: true,
        background: false,
        kind: Kind::Canary,
        actions: generate::only_an_update,
        ..WORLD
    };
    holds(1400, world, hands::gives_up);
}
