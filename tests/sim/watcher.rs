//! Looking over the controller's shoulder: what must hold at every step of a run.

use std::fmt::Write as _;

use serin::api::replica_set::ReplicaSet;
use serin::api::rollout::RolloutStatus;
use serin::engine::plan::Intent;
use serin::engine::replicas::{DEFAULT_MAX, Fenceposts, fenceposts, percent_or_count};
use serin::engine::{Observed, observed, plan};
use serin::sim::{Cluster, Simulation, Step};

use super::case::{Case, start};

/// More passes than any case needs.
pub const BOUND: u32 = 1_000;

/// A rule over the steps of a run; the error says what is wrong.
/// A rule without a memory.
pub type PlainRule = fn(&Cluster, &Step<'_>) -> Result<(), String>;
pub type Rule<'a> = &'a mut dyn FnMut(&Cluster, &Step<'_>) -> Result<(), String>;

/// Runs the case to its end, under a rule. An error is the first violation, with the course of the run.
pub fn run(case: &Case, rule: Rule<'_>) -> Result<Simulation, String> {
    let mut simulation = case.simulation();
    match run_on(&mut simulation, rule) {
        Ok(()) => Ok(simulation),
        Err(error) => Err(format!("{error}\n{}", course(case))),
    }
}

/// Goes on with a simulation until it is quiet again, under a rule.
pub fn run_on(simulation: &mut Simulation, rule: Rule<'_>) -> Result<(), String> {
    let mut violation = None;
    let ended = simulation.run(BOUND, &mut |cluster, step| {
        if violation.is_none()
            && let Err(error) = rule(cluster, step)
        {
            violation = Some(format!("at {}: {error}", clock(cluster)));
        }
    });
    match (violation, ended) {
        (Some(violation), _) => Err(violation),
        (None, Err(endless)) => Err(format!("still busy after {} passes", endless.passes)),
        (None, Ok(())) => Ok(()),
    }
}

fn clock(cluster: &Cluster) -> String {
    let millis = cluster.now.duration_since(start()).as_millis();
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}

/// The course of a case as text: its last steps.
pub fn course(case: &Case) -> String {
    let mut lines = Vec::new();
    let mut simulation = case.simulation();
    // What does not end is cut off; the last lines show it going round.
    let _ = simulation.run(BOUND.min(400), &mut |cluster, step| {
        if let Some(line) = describe(cluster, step) {
            lines.push(format!("  {:>9} {line}", clock(cluster)));
        }
    });
    lines.push(format!("  at the end: {}", summary(&simulation.cluster.status())));
    let skip = lines.len().saturating_sub(40);
    lines.split_off(skip).join("\n")
}

fn describe(cluster: &Cluster, step: &Step<'_>) -> Option<String> {
    Some(match step {
        Step::Acted(action) => format!("** {action:?}"),
        Step::Crashed => "!! crash".to_owned(),
        Step::Skipped | Step::Planned { .. } | Step::Idle { .. } => return None,
        Step::Refused { intent, why } => format!("refused {:?}: {why:?}", intent.map(short)),
        Step::Applied { intent, .. } => {
            let after = cluster.capacity();
            format!(
                "{} => {} pods, {} available",
                short(intent),
                after.occupied,
                after.available
            )
        }
        Step::Committed { before, after, .. } => {
            let (was, is) = (summary(before), summary(after));
            if was == is {
                "status: counters or times".to_owned()
            } else {
                format!("status: {is}")
            }
        }
    })
}

pub fn short(intent: &Intent) -> String {
    match intent {
        Intent::PatchRollout {
            revision, replicas, ..
        } => format!("patch Rollout {revision:?} {replicas:?}"),
        Intent::CreateReplicaSet(new) => format!("create ReplicaSet {}", new.name),
        Intent::PatchReplicaSet(patch) => match patch.scale {
            Some((from, to)) => format!("scale {} {from}->{to}", patch.name),
            None => format!("annotate {} {:?}", patch.name, patch.annotations),
        },
        Intent::AdoptReplicaSet { name, .. } => format!("adopt {name}"),
        Intent::ReleaseReplicaSet { name, .. } => format!("release {name}"),
        Intent::DeleteReplicaSet { name, .. } => format!("delete ReplicaSet {name}"),
        Intent::EvictPod { name, .. } => format!("evict {name}"),
        Intent::PatchPod { name, .. } => format!("patch Pod {name}"),
        Intent::ScaleWorkload(scale) => format!("scale workload {}", scale.name),
        Intent::PatchService(patch) => format!("point Service {} at {}", patch.name, patch.pod_hash),
        Intent::CreateAnalysisRun(new) => format!("create AnalysisRun {}", new.name),
        Intent::TerminateAnalysisRun { name, .. } => format!("terminate {name}"),
        Intent::DeleteAnalysisRun { name, .. } => format!("delete AnalysisRun {name}"),
    }
}

pub fn summary(status: &RolloutStatus) -> String {
    let mut text = format!(
        "{} ({}) step {} current {} stable {} pods {}/{}/{}",
        status.phase.as_deref().unwrap_or("-"),
        status.message.as_deref().unwrap_or_default(),
        status
            .current_step_index
            .map_or("-".to_owned(), |i| i.to_string()),
        status.current_pod_hash.as_deref().unwrap_or("-"),
        status.stable_rs.as_deref().unwrap_or("-"),
        status.updated_replicas.unwrap_or(0),
        status.replicas.unwrap_or(0),
        status.available_replicas.unwrap_or(0),
    );
    for pause in &status.pause_conditions {
        let _ = write!(text, " paused:{}", pause.reason);
    }
    for (is, word) in [
        (status.abort == Some(true), " abort"),
        (status.aborted_at.is_some(), " abortedAt"),
        (status.promote_full == Some(true), " promoteFull"),
        (status.controller_pause == Some(true), " controllerPause"),
    ] {
        if is {
            text.push_str(word);
        }
    }
    if let Some(bg) = &status.blue_green {
        let _ = write!(
            text,
            " active {} preview {}{}",
            bg.active_selector.as_deref().unwrap_or("-"),
            bg.preview_selector.as_deref().unwrap_or("-"),
            if bg.scale_up_preview_check_point == Some(true) {
                " checked"
            } else {
                ""
            },
        );
        for run in [
            &bg.pre_promotion_analysis_run_status,
            &bg.post_promotion_analysis_run_status,
        ]
        .into_iter()
        .flatten()
        {
            let _ = write!(text, " {}={}", run.name, run.status);
        }
    }
    if let Some(canary) = &status.canary {
        for run in [
            &canary.current_step_analysis_run_status,
            &canary.current_background_analysis_run_status,
        ]
        .into_iter()
        .flatten()
        {
            let _ = write!(text, " {}={}", run.name, run.status);
        }
    }
    text
}

/// Desired replicas and the two limits, as a pass saw them.
pub fn limits(observed: &Observed) -> (i64, Fenceposts) {
    let spec = &observed.rollout.spec;
    let replicas = i64::from(spec.replicas.unwrap_or(1));
    let canary = spec.strategy.as_ref().and_then(|s| s.canary.as_ref()).unwrap();
    let resolve = |value: Option<_>| value.and_then(percent_or_count).unwrap_or(DEFAULT_MAX);
    let posts = fenceposts(
        replicas,
        resolve(canary.max_surge.as_ref()),
        resolve(canary.max_unavailable.as_ref()),
    );
    (replicas, posts)
}

/// Promise 4: no intent takes away an available pod below `replicas - maxUnavailable`, nor lets there be more pods than
/// `replicas + maxSurge`.
pub fn bounds(cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Applied {
        observed,
        intent,
        before,
    } = step
    else {
        return Ok(());
    };
    let (replicas, posts) = limits(observed);
    let after = cluster.capacity();
    let unseen = cluster.unseen_losses(observed.replica_sets.iter().map(AsRef::as_ref));
    // A restart takes one at a time where none may be missing: else it could never be done (wire contract 2.13).
    let unavailable = match intent {
        Intent::EvictPod { .. } => posts.unavailable.max(1),
        _ => posts.unavailable,
    };
    // A pod that became ready unseen may be taken for one that is not: nobody could know.
    let available =
        |rs: &ReplicaSet| i64::from(rs.status.available_replicas.min(rs.spec.replicas.unwrap_or(1)));
    let seen: i64 = observed.replica_sets.iter().map(|rs| available(rs)).sum();
    let floor = before.available.min(seen).min(replicas - unavailable - unseen);
    if after.available < floor {
        return Err(format!(
            "{} leaves {} pods available, fewer than {floor} (before it {}, replicas {replicas}, {posts:?}, {unseen} lost \
             unseen)",
            short(intent),
            after.available,
            before.available
        ));
    }
    let ceiling = before.occupied.max(replicas + posts.surge);
    if after.occupied > ceiling {
        return Err(format!(
            "{} asks for {} pods, more than {ceiling} (before it {}, replicas {replicas}, {posts:?})",
            short(intent),
            after.occupied,
            before.occupied
        ));
    }
    Ok(())
}

/// Promise 5: a pass asks for a later moment, and before that moment it has nothing to say.
pub fn wakes(cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    use jiff::SignedDuration;
    if let Step::Planned { plan, .. } = step
        && let Some(wake) = plan.wake.filter(|wake| *wake <= cluster.now)
    {
        return Err(format!("asks for {wake}, which is not in the future"));
    }
    let Step::Idle { observed, wake } = step else {
        return Ok(());
    };
    let far = cluster.now + SignedDuration::from_hours(30);
    let end = wake.unwrap_or(far);
    let span = end.duration_since(cluster.now);
    let committed = observed.rollout.status.clone().unwrap_or_default();
    for at in [cluster.now + span / 2, end - SignedDuration::from_millis(1)] {
        let early = plan(observed, at);
        if let Some(intent) = early.intents.first() {
            return Err(format!(
                "woken at {at} instead of {wake:?}, it would {}",
                short(intent)
            ));
        }
        if early.status != committed {
            return Err(format!(
                "woken at {at} instead of {wake:?}, it would say {} instead of {}",
                summary(&early.status),
                summary(&committed)
            ));
        }
    }
    Ok(())
}

/// What is committed comes back from the API server as it was: the wire can carry it.
pub fn carried(_: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Committed { after, .. } = step else {
        return Ok(());
    };
    let back: RolloutStatus =
        serde_json::from_value(serde_json::to_value(after).unwrap()).map_err(|e| e.to_string())?;
    if back == **after {
        Ok(())
    } else {
        Err(format!("{} comes back as {}", summary(after), summary(&back)))
    }
}

/// The same input gives the same plan.
pub fn determined(cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Planned {
        observed,
        plan: first,
    } = step
    else {
        return Ok(());
    };
    let second = plan(observed, cluster.now);
    if &second == *first {
        Ok(())
    } else {
        Err("the same input gave another plan".to_owned())
    }
}

/// While the world does not move and no time passes, the passes come to an end by themselves.
#[derive(Default)]
pub struct Settles {
    outside: usize,
    own: usize,
    passes: usize,
    at: Option<jiff::Timestamp>,
}

impl Settles {
    /// A new revision takes a pass each to create, to commit, to scale, and to see that nothing is left; a chain of
    /// transitions that are already fulfilled (weights of no more pods than there are) takes one each.
    pub fn check(&mut self, most: usize, cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
        match step {
            Step::Applied { .. } | Step::Committed { .. } => self.own += 1,
            Step::Acted(_) | Step::Crashed => self.passes = 0,
            Step::Planned { .. } => {
                let all = cluster.all_writes();
                let outside = all - self.own.min(all);
                if outside != self.outside || self.at != Some(cluster.now) {
                    self.passes = 0;
                    self.outside = outside;
                    self.at = Some(cluster.now);
                }
                self.passes += 1;
            }
            Step::Skipped | Step::Refused { .. } | Step::Idle { .. } => {}
        }
        if self.passes > most {
            return Err(format!(
                "{} passes at one moment in a world that does not move",
                self.passes
            ));
        }
        Ok(())
    }
}

/// The cursor rises by one, or jumps for a reason.
pub fn cursor(_: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Committed {
        observed,
        before,
        after,
    } = step
    else {
        return Ok(());
    };
    let count = i32::try_from(steps_of(observed).len()).unwrap();
    let (from, to) = (before.current_step_index, after.current_step_index);
    let jump = |why: &str, allowed: &[Option<i32>]| {
        if allowed.contains(&to) {
            Ok(())
        } else {
            Err(format!(
                "the cursor went from {from:?} to {to:?} of {count}: {why}"
            ))
        }
    };
    let end = (count > 0).then_some(count);
    let begin = (count > 0).then_some(0);
    if before.current_pod_hash != after.current_pod_hash
        || before.current_step_hash != after.current_step_hash
    {
        return jump("another template or other steps", &[begin, end]);
    }
    let promoted = before.stable_rs.is_some() && before.stable_rs == before.current_pod_hash;
    let has_window = observed.rollout.spec.rollback_window.is_some();
    if promoted || after.stable_rs != before.stable_rs {
        return jump("a rollout at rest", &[end]);
    }
    if after.abort == Some(true) {
        return jump("an abort", &[begin]);
    }
    if before.promote_full == Some(true) {
        return jump("a full promotion", &[end]);
    }
    if before.aborted_at.is_some() {
        let allowed = [begin, if has_window { end } else { begin }];
        return jump("a retry", &allowed);
    }
    if has_window && to == end {
        return Ok(());
    }
    let next = from.map(|from| from + 1);
    jump("nothing allows it", &[from, next])
}

/// Verdicts: a bad one aborts, a doubtful one pauses, and only a good one lets a step pass.
pub fn verdicts(_: &Cluster, step: &Step<'_>) -> Result<(), String> {
    use serin::api::analysis::AnalysisPhase as Phase;
    let Step::Committed {
        observed,
        before,
        after,
    } = step
    else {
        return Ok(());
    };
    let same = before.current_pod_hash == after.current_pod_hash
        && before.current_step_hash == after.current_step_hash
        && before.stable_rs.is_some()
        && before.stable_rs != before.current_pod_hash
        && before.abort != Some(true)
        && before.aborted_at.is_none()
        && before.promote_full != Some(true)
        && observed.rollout.spec.rollback_window.is_none();
    if !same {
        return Ok(());
    }
    let Some(canary) = &before.canary else {
        return Ok(());
    };
    let moved = canary.step_started_index != before.current_step_index;
    let phase = |name: &str| {
        let run = observed
            .analysis_runs
            .iter()
            .find(|run| observed::name(&run.metadata) == name)?;
        Some(run.status.as_ref().map_or(Phase::Pending, |s| s.phase))
    };
    let index = usize::try_from(before.current_step_index.unwrap_or(0)).unwrap();
    let at_analysis = steps_of(observed)
        .get(index)
        .is_some_and(|step| step.analysis.is_some());
    let step_run = canary
        .current_step_analysis_run_status
        .as_ref()
        .filter(|_| at_analysis && !moved);
    let background = canary.current_background_analysis_run_status.as_ref();
    for run in step_run.into_iter().chain(background) {
        match phase(&run.name) {
            Some(Phase::Failed | Phase::Error) if after.abort != Some(true) => {
                return Err(format!("{} failed, and there is no abort", run.name));
            }
            Some(Phase::Inconclusive)
                if run.status != "Inconclusive"
                    && after.pause_conditions.is_empty()
                    && after.abort != Some(true) =>
            {
                return Err(format!("{} is inconclusive, and there is no pause", run.name));
            }
            _ => {}
        }
    }
    let passed = after.current_step_index > before.current_step_index;
    if at_analysis && passed && !moved {
        let good = step_run.and_then(|run| phase(&run.name)) == Some(Phase::Successful);
        if !good {
            return Err("an analysis step was passed without a good verdict".to_owned());
        }
    }
    Ok(())
}

pub fn steps_of(observed: &Observed) -> &[serin::api::rollout::CanaryStep] {
    let canary = observed
        .rollout
        .spec
        .strategy
        .as_ref()
        .and_then(|s| s.canary.as_ref());
    canary.map_or(&[], |canary| canary.steps.as_slice())
}
