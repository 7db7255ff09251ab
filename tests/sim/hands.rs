//! What a user's hand must do at any moment: abort, pause, and in the end make it whole again.

use serde_json::json;
use serin::engine::plan::Intent;
use serin::sim::{Action, Cluster, Readiness, Simulation, Step, When};

use super::case::{ACTIVE, Case};
use super::end;
use super::watcher::{course, run, run_on, short, summary};

/// An abort, whenever it comes, never scales the canary up, moves within two passes where it can, and ends without it.
pub fn abort(case: &Case) -> Result<(), String> {
    let mut simulation = run(case, &mut |_, _| Ok(()))?;
    let before = simulation.cluster.status();
    let updating = before.stable_rs.is_some() && before.stable_rs != before.current_pod_hash;
    let canary = before.current_pod_hash.clone().unwrap_or_default();
    let had = simulation.cluster.pods_of(&canary).0;
    let switched = case.blue_green.is_some() && simulation.cluster.selected(ACTIVE) == Some(&canary);
    simulation.then(When::Quiet, Action::Abort);
    let (mut acted, mut passes, mut moved, mut back) = (false, 0, None, None);
    run_on(&mut simulation, &mut |cluster, step| {
        match step {
            Step::Acted(_) => acted = true,
            Step::Planned { .. } if acted => passes += 1,
            Step::Applied {
                intent: Intent::PatchService(patch),
                ..
            } => {
                // Traffic goes before pods.
                moved.get_or_insert(passes);
                if patch.name == ACTIVE && before.stable_rs.as_ref() == Some(&patch.pod_hash) {
                    back.get_or_insert(passes);
                }
            }
            Step::Applied {
                observed,
                intent: Intent::PatchReplicaSet(patch),
                ..
            } => {
                let aborted = observed
                    .rollout
                    .status
                    .as_ref()
                    .is_some_and(|s| s.abort == Some(true));
                let Some((from, to)) = patch.scale else {
                    return Ok(());
                };
                moved.get_or_insert(passes);
                if aborted && updating && patch.name.ends_with(&canary) && to > from {
                    return Err(format!("the canary grows after an abort: {from} to {to}"));
                }
            }
            _ => {}
        }
        let _ = cluster;
        Ok(())
    })
    .map_err(|e| format!("{e}\n{}", course(case)))?;
    let status = simulation.cluster.status();
    let fail = |text: String| {
        Err(format!(
            "{text}: {}\nbefore: {}\n{}",
            summary(&status),
            summary(&before),
            course(case)
        ))
    };
    if !updating {
        let wrong = before.stable_rs.is_some() && (status.abort == Some(true) || moved.is_some());
        return if wrong {
            fail("an abort of nothing did something".to_owned())
        } else {
            Ok(())
        };
    }
    if let Some(bg) = &case.blue_green {
        // Two passes, from the abort to the traffic: stable stands, for nothing has been promoted yet.
        if switched && back.is_none_or(|passes| passes > 2) {
            return fail(format!("the way back of the traffic came with pass {back:?}"));
        }
        if bg.abort_delay == Some(0) {
            return end::is_at_rest(&simulation.cluster, true).or_else(fail);
        }
    }
    if simulation.cluster.pods_of(&canary).0 > 0 {
        return fail("pods of the aborted revision are left".to_owned());
    }
    if had > 0 && case.blue_green.is_none() && moved.is_none_or(|passes| passes > 2) {
        return fail(format!("the first move came with pass {moved:?}"));
    }
    end::is_at_rest(&simulation.cluster, true).or_else(fail)
}

/// While a user pauses, the new revision does not grow and no step is done, but a change of the replicas is followed.
pub fn pause(case: &Case) -> Result<(), String> {
    let end = run(case, &mut held)?;
    let cluster = &end.cluster;
    let status = cluster.status();
    if cluster.rollout().spec.paused != Some(true) || status.abort == Some(true) || status.stable_rs.is_none()
    {
        return Ok(());
    }
    let replicas = i64::from(cluster.rollout().spec.replicas.unwrap_or(1));
    let total: i64 = cluster
        .replica_sets
        .all()
        .map(|(_, rs)| i64::from(rs.spec.replicas.unwrap_or(1)))
        .sum();
    let observed = serin::sim::observe(cluster, serin::sim::Lag::default()).unwrap();
    let (_, posts) = super::watcher::limits(&observed);
    if total < replicas || total > replicas + posts.surge {
        return Err(format!(
            "paused with {total} pods for {replicas}: {}\n{}",
            summary(&status),
            course(case)
        ));
    }
    Ok(())
}

fn held(_: &Cluster, step: &Step<'_>) -> Result<(), String> {
    match step {
        Step::Applied {
            observed,
            intent: Intent::PatchReplicaSet(patch),
            ..
        } => {
            let status = observed.rollout.status.clone().unwrap_or_default();
            let Some((from, to)) = patch.scale else {
                return Ok(());
            };
            let updating = status.stable_rs.is_some() && status.stable_rs != status.current_pod_hash;
            let held = observed.rollout.spec.paused == Some(true) && status.abort != Some(true);
            let canary = patch
                .name
                .ends_with(status.current_pod_hash.as_deref().unwrap_or("-"));
            if held && updating && canary && to > from {
                return Err(format!("the canary grows while paused: {from} to {to}"));
            }
        }
        Step::Committed {
            observed,
            before,
            after,
        } => {
            let held = observed.rollout.spec.paused == Some(true);
            let same = before.current_pod_hash == after.current_pod_hash
                && before.current_step_hash == after.current_step_hash;
            let by_itself = before.promote_full != Some(true)
                && observed.rollout.spec.rollback_window.is_none()
                && before.stable_rs.is_some()
                && before.stable_rs != before.current_pod_hash;
            if held && same && by_itself && after.current_step_index > before.current_step_index {
                return Err("a step was done while paused".to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whatever state a rollout is in, a good image, promoted, heals it.
pub fn heal(case: &Case) -> Result<(), String> {
    let mut simulation = run(case, &mut |_, _| Ok(()))?;
    for action in [
        Action::Unpause,
        Action::SetField("/progressDeadlineAbort".to_owned(), json!(false)),
        Action::SetField("/rollbackWindow".to_owned(), json!(null)),
        match case.workload {
            Some(_) => Action::SetWorkloadImage("good".to_owned()),
            None => Action::SetImage("good".to_owned()),
        },
        Action::PromoteFull,
    ] {
        simulation.then(When::Quiet, action);
    }
    run_on(&mut simulation, &mut |_, _| Ok(())).map_err(|e| format!("{e}\n{}", course(case)))?;
    is_healthy(&simulation).map_err(|e| format!("{e}\nbefore the cure\n{}", course(case)))
}

fn is_healthy(simulation: &Simulation) -> Result<(), String> {
    let status = simulation.cluster.status();
    if status.phase.as_deref() == Some("Healthy") {
        return end::is_at_rest(&simulation.cluster, true);
    }
    let plan = serin::engine::plan(
        &serin::sim::observe(&simulation.cluster, serin::sim::Lag::default()).unwrap(),
        simulation.cluster.now,
    );
    let todo: Vec<String> = plan.intents.iter().map(short).collect();
    Err(format!(
        "a good image does not heal it: {} {todo:?} {:?}",
        summary(&status),
        simulation.cluster.capacity()
    ))
}

/// A new revision whose pods crash is given up by `failFast`, unless too few of them were asked for.
pub fn gives_up(case: &Case) -> Result<(), String> {
    let crashing = Case {
        pods: vec![case.pods[0], Readiness::Crashes, case.pods[2]],
        shows_pods: true,
        fail_fast: Some(case.fail_fast.unwrap_or((1, 5))),
        deadline: 600,
        deadline_abort: false,
        ..case.clone()
    };
    let end = run(&crashing, &mut |_, _| Ok(()))?;
    let status = end.cluster.status();
    let (asked, _, _) = end
        .cluster
        .pods_of(status.current_pod_hash.as_deref().unwrap_or_default());
    let enough = asked >= i64::from(crashing.fail_fast.map_or(1, |(pods, _)| pods.max(1)));
    let message = status.message.clone().unwrap_or_default();
    let aborted = status.abort == Some(true);
    if (aborted && !message.contains("failFast: ")) || (!aborted && enough) {
        return Err(format!(
            "{asked} pods crash: {}\n{}",
            summary(&status),
            course(&crashing)
        ));
    }
    Ok(())
}
