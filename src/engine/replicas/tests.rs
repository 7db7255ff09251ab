use proptest::prelude::*;

use super::*;

fn counts(spec: i64, available: i64) -> Counts {
    Counts {
        spec,
        created: spec,
        available,
        observed: true,
    }
}

fn arms(
    replicas: i64,
    surge: i64,
    unavailable: i64,
    want: (i64, i64),
    canary: Counts,
    stable: Counts,
) -> Arms {
    let want = Pair {
        canary: want.0,
        stable: want.1,
    };
    Arms {
        replicas,
        limits: Fenceposts { surge, unavailable },
        want,
        canary,
        stable,
        older: Vec::new(),
    }
}

#[test]
fn fenceposts_round_surge_up_and_unavailable_down() {
    use CountOrPercent::{Count, Percent};
    for (replicas, surge, unavailable, want) in [
        (10, Percent(25), Percent(25), (3, 2)),
        (1, Percent(25), Percent(25), (1, 0)),
        (10, Count(0), Count(0), (0, 1)),
        (10, Count(0), Percent(5), (0, 1)),
        (4, Count(2), Count(9), (2, 4)),
        (0, Percent(25), Percent(25), (0, 0)),
        (0, Count(1), Count(1), (1, 0)),
    ] {
        let got = fenceposts(replicas, surge, unavailable);
        assert_eq!(
            (got.surge, got.unavailable),
            want,
            "{replicas} {surge:?} {unavailable:?}"
        );
    }
}

#[test]
fn a_string_is_always_a_percentage() {
    for (text, want) in [
        ("25%", Some(25)),
        ("3", Some(3)),
        ("x", None),
        ("", None),
        ("12.5%", None),
    ] {
        let got = percent_or_count(&IntOrString::String(text.into()));
        assert_eq!(got, want.map(CountOrPercent::Percent), "{text}");
    }
    assert_eq!(
        percent_or_count(&IntOrString::Int(3)),
        Some(CountOrPercent::Count(3))
    );
}

#[test]
fn the_pair_comes_as_close_to_the_weight_as_pods_allow() {
    for (replicas, weight, surge, want) in [
        (10, 10, 1, (1, 9)),
        (10, 25, 0, (3, 7)),
        (10, 5, 1, (1, 10)),
        (10, 5, 0, (1, 9)),
        (10, 30, 3, (3, 7)),
        (1, 5, 1, (1, 1)),
        (1, 95, 1, (1, 1)),
        (1, 5, 0, (0, 1)),
        (1, 50, 0, (1, 0)),
        (2, 75, 0, (1, 1)),
        (5, 20, 1, (1, 4)),
        (5, 60, 1, (3, 2)),
        (3, 0, 1, (0, 3)),
        (3, 100, 1, (3, 0)),
        (0, 50, 1, (0, 0)),
    ] {
        let got = approximate(replicas, weight, FULL_WEIGHT, surge);
        assert_eq!(
            (got.canary, got.stable),
            want,
            "replicas {replicas} weight {weight} surge {surge}"
        );
    }
}

#[test]
fn one_pass_goes_as_far_as_the_bounds_allow() {
    // (replicas, surge, unavailable, want, canary, stable) -> (canary, stable)
    for (input, want) in [
        (arms(10, 1, 1, (1, 9), counts(0, 0), counts(10, 10)), (1, 9)),
        (arms(10, 3, 0, (3, 7), counts(0, 0), counts(10, 10)), (3, 10)),
        (arms(10, 0, 5, (3, 7), counts(0, 0), counts(10, 10)), (0, 7)),
        (arms(1, 1, 0, (1, 1), counts(0, 0), counts(1, 1)), (1, 1)),
        (arms(5, 1, 0, (5, 0), counts(3, 3), counts(2, 2)), (4, 2)),
        (arms(5, 1, 0, (5, 0), counts(4, 4), counts(2, 2)), (4, 1)),
        (arms(5, 1, 0, (5, 0), counts(4, 4), counts(2, 0)), (4, 1)),
        (arms(4, 1, 0, (1, 3), counts(3, 3), counts(9, 9)), (1, 3)),
    ] {
        let got = scale(&input);
        assert_eq!((got.canary, got.stable), want, "{input:?}");
    }
}

#[test]
fn a_crashing_stable_does_not_block_an_abort() {
    let input = arms(10, 1, 0, (0, 10), counts(6, 0), counts(5, 3));
    let got = scale(&input);
    assert_eq!((got.canary, got.stable), (5, 5));
}

#[test]
fn a_broken_stable_behind_healthy_older_pods_does_not_block_the_fix() {
    let mut input = arms(10, 1, 0, (10, 0), counts(0, 0), counts(8, 0));
    input.older = vec![counts(3, 3)];
    assert_eq!(
        scale(&input),
        Scaled {
            canary: 0,
            stable: 7,
            older: vec![3]
        }
    );
}

#[test]
fn older_replica_sets_go_first_and_unhealthy_pods_of_them_at_once() {
    let mut input = arms(10, 1, 1, (2, 8), counts(1, 1), counts(6, 6));
    input.older = vec![counts(2, 2), counts(2, 1)];
    let got = scale(&input);
    assert_eq!(
        got.older,
        vec![1, 1],
        "one of ten may be missing: one available pod, and the unready one"
    );
    assert_eq!((got.canary, got.stable), (1, 6), "eleven pods exist already");
}

#[test]
fn nothing_grows_while_its_own_pods_are_still_going() {
    let shrinking = Counts {
        spec: 5,
        created: 7,
        available: 7,
        observed: true,
    };
    let got = scale(&arms(10, 10, 0, (0, 10), counts(5, 5), shrinking));
    assert_eq!(got.stable, 5);
}

fn any_counts() -> impl Strategy<Value = Counts> {
    (0i64..15, 0i64..15, prop::bool::weighted(0.9)).prop_map(|(spec, available, observed)| Counts {
        spec,
        created: spec,
        available: available.min(spec),
        observed,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_pass_keeps_both_bounds(
        replicas in 0i64..15, surge in 0i64..5, unavailable in 0i64..5, weight in 0i64..=100,
        canary in any_counts(), stable in any_counts(), older in prop::collection::vec(any_counts(), 0..3),
    ) {
        let limits = fenceposts(replicas, CountOrPercent::Count(surge), CountOrPercent::Count(unavailable));
        let want = approximate(replicas, weight, FULL_WEIGHT, limits.surge);
        let input = Arms { replicas, limits, want, canary, stable, older: older.clone() };
        let got = scale(&input);
        let before: i64 = canary.spec + stable.spec + older.iter().map(|c| c.spec).sum::<i64>();
        let after: i64 = got.canary + got.stable + got.older.iter().sum::<i64>();
        prop_assert!(after <= before.max(replicas + limits.surge), "total {before} -> {after}");
        let available: i64 = canary.available + stable.available + older.iter().map(|c| c.available).sum::<i64>();
        // Unready pods of a ReplicaSet are deleted first.
        let left = |c: &Counts, to: i64| c.available.min(to);
        let remaining = left(&canary, got.canary) + left(&stable, got.stable)
            + older.iter().zip(&got.older).map(|(c, to)| left(c, *to)).sum::<i64>();
        prop_assert!(remaining >= available.min(replicas - limits.unavailable), "available {available} -> {remaining}");
    }

    #[test]
    fn healthy_pods_always_converge(
        replicas in 0i64..15, surge in 0i64..5, unavailable in 0i64..5, weight in 0i64..=100,
        canary in 0i64..15, stable in 0i64..15, older in prop::collection::vec(0i64..15, 0..3),
    ) {
        let limits = fenceposts(replicas, CountOrPercent::Count(surge), CountOrPercent::Count(unavailable));
        let want = approximate(replicas, weight, FULL_WEIGHT, limits.surge);
        let mut at = Scaled { canary, stable, older };
        for _ in 0..200 {
            let input = Arms {
                replicas, limits, want, canary: counts(at.canary, at.canary), stable: counts(at.stable, at.stable),
                older: at.older.iter().map(|n| counts(*n, *n)).collect(),
            };
            at = scale(&input);
        }
        prop_assert_eq!((at.canary, at.stable), (want.canary, want.stable));
        prop_assert!(at.older.iter().all(|n| *n == 0));
    }
}
