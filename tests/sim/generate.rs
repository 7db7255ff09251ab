//! Cases at random, simple ones first when they shrink.

use jiff::SignedDuration;
use proptest::prelude::*;
use serin::api::analysis::AnalysisPhase;
use serin::sim::{Action, Delays, Faults, Outcome, Readiness, When};

use super::case::{BlueGreen, Case, Limit, ScaleDown, StepKind, image, steps_json};

/// Which strategies a property is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Canary,
    BlueGreen,
    Either,
}

/// What a property is about; everything else stays simple.
#[derive(Clone, Copy)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of one generator"
)]
pub struct World {
    /// Whether all pods become ready sooner or later, and stay so.
    pub healthy: bool,
    /// Whether all measurements are good.
    pub good: bool,
    /// Whether there may be a run beside the steps, whose verdict comes when it comes.
    pub background: bool,
    /// Whether things take time, and caches lag.
    pub slow: bool,
    /// Whether the controller dies now and then.
    pub mortal: bool,
    /// Whether it is a canary, blue-green, or either.
    pub kind: Kind,
    /// Whether every canary has its two Services; else some have.
    pub services: bool,
    /// Whether measurements often have no answer, and every rollout is analysed.
    pub silent: bool,
    /// Whether there may be single pods, `failFast` and `workloadRef`.
    pub rich: bool,
    /// Which actions there are, and how many of them.
    pub actions: fn() -> BoxedStrategy<Vec<(When, Action)>>,
}

/// An update that begins when the first deployment is through, and whatever may happen to it.
pub fn anything() -> BoxedStrategy<Vec<(When, Action)>> {
    updated(prop::collection::vec((when(), action()), 0..6)).boxed()
}

/// An update, and nothing else.
pub fn only_an_update() -> BoxedStrategy<Vec<(When, Action)>> {
    updated(Just(Vec::new())).boxed()
}

/// As [`anything`], but the pods stay as they are.
pub fn users() -> BoxedStrategy<Vec<(When, Action)>> {
    updated(prop::collection::vec((when(), user_action()), 0..6)).boxed()
}

/// Users who act only when everything has come to rest.
pub fn patient_users() -> BoxedStrategy<Vec<(When, Action)>> {
    updated(prop::collection::vec((Just(When::Quiet), user_action()), 0..5)).boxed()
}

/// Users who pause in the middle, and then scale.
pub fn pausing() -> BoxedStrategy<Vec<(When, Action)>> {
    let hand = prop_oneof![(0..8_i32).prop_map(Action::Scale), Just(Action::Resume)];
    let after = prop::collection::vec((when(), hand), 0..4);
    updated((when(), after).prop_map(|(when, after)| {
        let mut all = vec![(when, Action::Pause)];
        all.extend(after);
        all
    }))
    .boxed()
}

/// The first deployment is through, an update begins, and then the rest.
pub fn updated(
    rest: impl Strategy<Value = Vec<(When, Action)>> + 'static,
) -> impl Strategy<Value = Vec<(When, Action)>> {
    rest.prop_map(|rest| {
        let mut all = vec![(When::Quiet, Action::SetImage(image(2)))];
        all.extend(rest);
        all
    })
}

pub fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        2 => Just(When::Quiet),
        1 => Just(When::After(SignedDuration::ZERO)),
        2 => (1..3_000_i64).prop_map(|ms| When::After(SignedDuration::from_millis(ms))),
        2 => (1..40_i64).prop_map(|s| When::After(SignedDuration::from_secs(s))),
    ]
}

pub fn user_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Promote),
        2 => Just(Action::Resume),
        2 => Just(Action::PromoteFull),
        2 => Just(Action::SkipStep),
        1 => Just(Action::SkipAllSteps),
        4 => Just(Action::Abort),
        3 => Just(Action::Retry),
        2 => Just(Action::Pause),
        2 => Just(Action::Unpause),
        4 => (1..4_usize).prop_map(|n| Action::SetImage(image(n))),
        2 => Just(Action::Undo),
        3 => (0..8_i32).prop_map(Action::Scale),
        1 => steps().prop_map(|steps| Action::SetSteps(steps_json(&steps))),
        1 => Just(Action::Restart),
    ]
}

fn world_action() -> impl Strategy<Value = Action> {
    let back = prop_oneof![
        Just(None),
        (1..30_i64).prop_map(|s| Some(SignedDuration::from_secs(s)))
    ];
    prop_oneof![
        (1..4_usize, 1..4_usize, back).prop_map(|(n, count, back)| Action::BreakPods {
            image: image(n),
            count,
            back
        }),
        (1..4_usize, 1..4_usize).prop_map(|(n, count)| Action::LosePods {
            image: image(n),
            count
        }),
        Just(Action::Upgrade),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![3 => user_action(), 1 => world_action()]
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        3 => (0..4_i32).prop_map(Limit::Count),
        1 => (0..5_i32).prop_map(|q| Limit::Percent(q * 25)),
    ]
}

/// maxSurge and maxUnavailable, which may not both be nothing.
fn limits() -> impl Strategy<Value = (Limit, Limit)> {
    (limit(), limit()).prop_map(|(surge, unavailable)| match (surge, unavailable) {
        (Limit::Count(0) | Limit::Percent(0), Limit::Count(0) | Limit::Percent(0)) => {
            (Limit::Count(1), unavailable)
        }
        other => other,
    })
}

fn weight() -> impl Strategy<Value = i32> {
    prop_oneof![0..=100_i32, (0..=10_i32).prop_map(|n| n * 10)]
}

fn step() -> impl Strategy<Value = StepKind> {
    prop_oneof![
        4 => weight().prop_map(StepKind::Weight),
        2 => Just(StepKind::Pause),
        1 => (1..30_i32).prop_map(StepKind::PauseFor),
        2 => (0..2_usize).prop_map(StepKind::Analysis),
    ]
}

pub fn steps() -> impl Strategy<Value = Vec<StepKind>> {
    prop::collection::vec(step(), 0..5)
}

fn readiness(healthy: bool) -> BoxedStrategy<Readiness> {
    let after = prop_oneof![
        Just(Readiness::After(SignedDuration::ZERO)),
        (1..20_i64).prop_map(|s| Readiness::After(SignedDuration::from_secs(s))),
    ];
    if healthy {
        after.boxed()
    } else {
        prop_oneof![4 => after, 1 => Just(Readiness::Never), 1 => Just(Readiness::Crashes)].boxed()
    }
}

fn outcomes(good: bool, silent: bool) -> BoxedStrategy<Vec<Outcome>> {
    use AnalysisPhase::{Error, Failed, Inconclusive, Successful};
    let phase = if good {
        Just(Successful).boxed()
    } else {
        prop_oneof![3 => Just(Successful), 1 => Just(Failed), 1 => Just(Error), 1 => Just(Inconclusive)]
            .boxed()
    };
    let silent = if silent {
        (0..7_u32).boxed()
    } else {
        prop_oneof![4 => Just(0_u32), 1 => 1..4_u32].boxed()
    };
    let outcome = (phase, silent, 0..10_i64).prop_map(|(phase, silent, seconds)| Outcome {
        phase,
        silent,
        takes: SignedDuration::from_secs(seconds),
    });
    prop::collection::vec(outcome, 1..3).boxed()
}

fn millis(slow: bool) -> BoxedStrategy<Vec<u32>> {
    if !slow {
        return Just(Vec::new()).boxed();
    }
    let one = prop_oneof![2 => Just(0_u32), 2 => 1..200_u32, 1 => 200..4_000_u32];
    prop::collection::vec(one, 0..6).boxed()
}

fn faults(mortal: bool) -> BoxedStrategy<Faults> {
    if !mortal {
        return Just(Faults::default()).boxed();
    }
    prop_oneof![
        (1..5_u32).prop_map(|n| Faults {
            crashes: vec![n],
            always: true
        }),
        prop::collection::vec(1..20_u32, 1..4).prop_map(|crashes| Faults {
            crashes,
            always: false
        }),
    ]
    .boxed()
}

pub fn case(world: World) -> impl Strategy<Value = Case> {
    let World {
        healthy,
        good,
        background,
        slow,
        mortal,
        kind,
        services: served,
        silent,
        rich,
        actions,
    } = world;
    let size = (prop_oneof![4 => 1..7_i32, 1 => 7..21_i32, 1 => Just(0)], limits());
    let rules = (
        prop_oneof![3 => Just(0), 1 => 1..15_i32],
        prop_oneof![2 => Just(600), 1 => 20..60_i32],
        any::<bool>(),
        prop::option::weighted(0.2, 1..3_i32),
        prop::option::weighted(0.2, 0..=100_i32),
    );
    let what = (steps(), beside(background));
    let course = (
        prop::collection::vec(readiness(healthy), 3),
        prop::collection::vec(outcomes(good, silent), 2),
        actions(),
    );
    let time = (
        millis(slow),
        millis(slow),
        millis(slow),
        millis(slow),
        faults(mortal),
    );
    (size, rules, what, course, time, beyond(kind, rich)).prop_map(
        move |(
            (replicas, (surge, unavailable)),
            (min_ready, deadline, deadline_abort, window, threshold),
            (steps, background),
            (pods, outcomes, script),
            (reaction, endpoints, watch, call, faults),
            (blue_green, services, fail_fast, workload, shows_pods, error_limit),
        )| Case {
            services: services || (served && blue_green.is_none()),
            fail_fast,
            workload,
            shows_pods,
            error_limit: if good { 4 } else { error_limit },
            endpoints,
            replicas,
            surge,
            unavailable,
            min_ready,
            deadline,
            deadline_abort,
            window,
            threshold,
            steps,
            background,
            pods,
            outcomes,
            script: fitting(script, blue_green.is_some(), workload.is_some()),
            blue_green,
            reaction,
            delays: Delays { watch, call },
            faults,
        },
    )
}

type Beyond = (
    Option<BlueGreen>,
    bool,
    Option<(i32, i32)>,
    Option<ScaleDown>,
    bool,
    i32,
);

/// What not every case has.
fn beyond(kind: Kind, rich: bool) -> BoxedStrategy<Beyond> {
    let strategy = match kind {
        Kind::Canary => Just(None).boxed(),
        Kind::BlueGreen => blue_green().prop_map(Some).boxed(),
        Kind::Either => prop::option::of(blue_green()).boxed(),
    };
    let rich = if rich {
        let mode = prop_oneof![
            Just(ScaleDown::Never),
            Just(ScaleDown::OnSuccess),
            Just(ScaleDown::Progressively)
        ];
        (
            prop::option::of((1..3_i32, 0..20_i32)),
            prop::option::weighted(0.4, mode),
            any::<bool>(),
        )
            .boxed()
    } else {
        Just((None, None, false)).boxed()
    };
    (strategy, any::<bool>(), rich, prop_oneof![Just(0), Just(4)])
        .prop_map(|(blue_green, services, (fail_fast, workload, shows), limit)| {
            let canary = blue_green.is_none();
            let fail_fast = fail_fast.filter(|_| canary);
            let shows = shows || fail_fast.is_some();
            (blue_green, services && canary, fail_fast, workload, shows, limit)
        })
        .boxed()
}

fn blue_green() -> impl Strategy<Value = BlueGreen> {
    let seconds = || prop_oneof![2 => Just(None), 1 => Just(Some(0)), 2 => (1..40_i32).prop_map(Some)];
    let pauses = (
        any::<bool>(),
        prop_oneof![2 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))],
        seconds(),
        prop::option::weighted(0.3, 0..5_i32),
    );
    let delays = (seconds(), prop::option::weighted(0.2, 0..3_i32), seconds());
    let analyses = (
        prop::option::weighted(0.4, 0..2_usize),
        prop::option::weighted(0.4, 0..2_usize),
    );
    (pauses, delays, analyses).prop_map(
        |((preview, auto, seconds, size), (delay, limit, abort_delay), (pre, post))| BlueGreen {
            preview,
            auto,
            seconds,
            size,
            delay,
            limit,
            abort_delay,
            pre,
            post,
        },
    )
}

/// What is done to the template is done to the Deployment where that has it, and blue-green has no steps.
fn fitting(script: Vec<(When, Action)>, blue_green: bool, workload: bool) -> Vec<(When, Action)> {
    let fit = |(when, action)| {
        let action = match action {
            Action::SetSteps(_) if blue_green => return None,
            Action::Undo if workload => return None,
            Action::SetImage(image) if workload => Action::SetWorkloadImage(image),
            other => other,
        };
        Some((when, action))
    };
    script.into_iter().filter_map(fit).collect()
}

fn beside(background: bool) -> BoxedStrategy<Option<usize>> {
    if background {
        prop::option::weighted(0.3, 0..2_usize).boxed()
    } else {
        Just(None).boxed()
    }
}
