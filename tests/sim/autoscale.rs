//! An autoscaler in the middle of an update: 3 pods, then 12, then 4.

use jiff::SignedDuration;
use serin::api::analysis::AnalysisPhase;
use serin::sim::{Action, Delays, Faults, Outcome, Readiness, Simulation, When};

use super::case::{ACTIVE, BlueGreen, Case, Limit, StepKind, image};
use super::promises::{Convergence, capacity, within_bounds};
use super::watcher::{course, run_on, summary};

/// Version 1 stands with 3 pods; nothing else is going to happen.
fn case(surge: Limit, unavailable: Limit, delays: &[u32]) -> Case {
    let good = Outcome {
        phase: AnalysisPhase::Successful,
        silent: 0,
        takes: SignedDuration::ZERO,
    };
    Case {
        blue_green: None,
        services: false,
        fail_fast: None,
        workload: None,
        shows_pods: false,
        endpoints: delays.to_vec(),
        replicas: 3,
        surge,
        unavailable,
        min_ready: 2,
        deadline: 600,
        deadline_abort: false,
        window: None,
        threshold: None,
        steps: vec![StepKind::Weight(25), StepKind::Pause],
        background: None,
        pods: vec![Readiness::After(SignedDuration::from_secs(3)); 3],
        outcomes: vec![vec![good]; 2],
        script: Vec::new(),
        reaction: delays.to_vec(),
        delays: Delays {
            watch: delays.to_vec(),
            call: delays.to_vec(),
        },
        faults: Faults {
            crashes: vec![3],
            always: true,
        },
        error_limit: 4,
    }
}

/// What happens next, until all is quiet again; every step keeps the bounds, and no Service runs ahead of the pods.
fn after(simulation: &mut Simulation, case: &Case, convergence: &mut Convergence, action: Action) {
    let what = format!("{action:?}");
    simulation.then(When::Quiet, action);
    let ended = run_on(simulation, &mut |cluster, step| {
        within_bounds(cluster, step)?;
        capacity(cluster, step)?;
        convergence.check(cluster, step)
    });
    assert_eq!(ended, Ok(()), "{what}: {case:?}\n{}", course(case));
}

/// Pods of both sides, asked for and available: the new one, the stable one.
fn sides(simulation: &Simulation) -> [(i64, i64); 2] {
    let status = simulation.cluster.status();
    [status.current_pod_hash, status.stable_rs].map(|hash| {
        let (asked, _, available) = simulation.cluster.pods_of(&hash.unwrap_or_default());
        (asked, available)
    })
}

const LIMITS: [(Limit, Limit); 5] = [
    (Limit::Count(1), Limit::Count(0)),
    (Limit::Count(0), Limit::Count(1)),
    (Limit::Percent(25), Limit::Percent(25)),
    (Limit::Count(4), Limit::Count(3)),
    (Limit::Percent(100), Limit::Count(0)),
];
const DELAYS: [&[u32]; 3] = [&[], &[40, 700, 3], &[2500, 0, 90, 1400]];

pub fn canary() {
    for (surge, unavailable) in LIMITS {
        for delays in DELAYS {
            let case = case(surge, unavailable, delays);
            let mut simulation = case.simulation();
            let convergence = &mut Convergence::default();
            after(&mut simulation, &case, convergence, Action::SetImage(image(2)));
            // A quarter of three pods is one; with a surge it is one of four.
            let few = if surge == Limit::Count(0) { 2 } else { 3 };
            assert_eq!(sides(&simulation), [(1, 1), (few, few)], "{case:?}");
            after(&mut simulation, &case, convergence, Action::Scale(12));
            assert_eq!(sides(&simulation), [(3, 3), (9, 9)], "{case:?}");
            after(&mut simulation, &case, convergence, Action::Scale(4));
            assert_eq!(sides(&simulation), [(1, 1), (3, 3)], "{case:?}");
            after(&mut simulation, &case, convergence, Action::Promote);
            let status = simulation.cluster.status();
            assert_eq!(sides(&simulation), [(4, 4), (4, 4)], "{}", summary(&status));
            assert_eq!(status.phase.as_deref(), Some("Healthy"), "{}", summary(&status));
            assert_eq!(simulation.cluster.capacity().occupied, 4);
        }
    }
}

pub fn blue_green() {
    for (size, shown) in [(None, [3, 12, 4]), (Some(5), [3, 5, 4])] {
        for delays in DELAYS {
            let case = Case {
                blue_green: Some(BlueGreen {
                    preview: true,
                    auto: Some(false),
                    size,
                    ..BlueGreen::default()
                }),
                ..case(Limit::Count(1), Limit::Count(0), delays)
            };
            let mut simulation = case.simulation();
            let convergence = &mut Convergence::default();
            for (n, action) in [Action::SetImage(image(2)), Action::Scale(12), Action::Scale(4)]
                .into_iter()
                .enumerate()
            {
                after(&mut simulation, &case, convergence, action);
                let all = [3, 12, 4][n];
                let preview = (shown[n], shown[n]);
                assert_eq!(sides(&simulation), [preview, (all, all)], "{case:?}");
                // Production is what the autoscaler sees.
                let status = simulation.cluster.status();
                assert_eq!(status.hpa_replicas.map(i64::from), Some(all), "{case:?}");
            }
            after(&mut simulation, &case, convergence, Action::Promote);
            let status = simulation.cluster.status();
            assert_eq!(status.phase.as_deref(), Some("Healthy"), "{}", summary(&status));
            assert_eq!(sides(&simulation), [(4, 4), (4, 4)], "{}", summary(&status));
            assert_eq!(
                simulation.cluster.selected(ACTIVE),
                status.stable_rs.as_deref(),
                "{}",
                summary(&status)
            );
            assert_eq!(simulation.cluster.capacity().occupied, 4);
        }
    }
}
