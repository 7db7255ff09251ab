//! The promises of the design that speak of Services and verdicts, each as a rule over the steps of a run. What is looked
//! at is the world itself, never what the controller thinks of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serin::api::analysis::{AnalysisPhase, AnalysisRun};
use serin::api::names::annotations::SCALE_DOWN_DEADLINE;
use serin::api::replica_set::ReplicaSet;
use serin::api::rollout::{BlueGreenStrategy, RolloutStatus};
use serin::engine::plan::{Intent, ReplicaSetPatch, ServicePatch};
use serin::engine::{Observed, observed, services};
use serin::sim::{Action, Cluster, Step};

use super::case::{ACTIVE, CANARY, Case, PREVIEW, STABLE, ScaleDown};
use super::watcher::{bounds, limits, short};

pub fn blue_green(observed: &Observed) -> Option<&BlueGreenStrategy> {
    observed.rollout.spec.strategy.as_ref()?.blue_green.as_ref()
}

pub fn replicas(observed: &Observed) -> i64 {
    i64::from(observed.rollout.spec.replicas.unwrap_or(1))
}

fn status(observed: &Observed) -> RolloutStatus {
    observed.rollout.status.clone().unwrap_or_default()
}

fn by_hash<'a>(observed: &'a Observed, hash: &str) -> Option<&'a ReplicaSet> {
    observed
        .replica_sets
        .iter()
        .map(AsRef::as_ref)
        .find(|rs| observed::pod_hash(&rs.metadata) == hash)
}

/// Pods that carry, now and when what was asked for is through; those that the world took unseen count as there, for
/// nobody could know.
fn carrying(cluster: &Cluster, observed: &Observed, hash: &str) -> i64 {
    let (spec, _, available) = cluster.pods_of(hash);
    let lost = by_hash(observed, hash).map_or(0, |rs| cluster.unseen_losses(std::iter::once(rs)));
    (available + lost).min(spec)
}

/// Promise 2, capacity before traffic: a Service is pointed only at a side that can carry what it gets.
///
/// The active Service of blue-green: all replicas, or on the way back to stable at least as many as the side that answers
/// now. The Services of a canary: all pods at the first time, as many as the other side has left on the way back to stable,
/// `replicas - maxUnavailable` where production goes to the new side; and one of a canary.
pub fn capacity(cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Applied {
        observed,
        intent: Intent::PatchService(patch),
        ..
    } = step
    else {
        return Ok(());
    };
    let has = carrying(cluster, observed, &patch.pod_hash);
    let status = status(observed);
    let to_stable = status.stable_rs.as_deref() == Some(patch.pod_hash.as_str());
    let service = &observed.services[&patch.name];
    let from = services::selected_hash(service);
    if from == Some(patch.pod_hash.as_str()) {
        // Only who manages it was written.
        return Ok(());
    }
    // What the side that is left has and keeps: by what was seen, and really.
    let other = |hash: &str| {
        let seen = by_hash(observed, hash).map_or(0, |rs| i64::from(rs.status.available_replicas));
        let (spec, _, available) = cluster.pods_of(hash);
        seen.min(available).min(spec)
    };
    let need = if blue_green(observed).is_some() {
        if patch.name == PREVIEW {
            return Ok(());
        }
        let all = replicas(observed);
        let other = from.map_or(all, other);
        if to_stable { all.min(other.max(1)) } else { all }
    } else {
        let all = replicas(observed) - limits(observed).1.unavailable;
        match services::manager(service) {
            // No pods are asked for: none can be waited for.
            _ if replicas(observed) == 0 => 0,
            None => cluster.pods_of(&patch.pod_hash).0.max(1),
            Some(_) if to_stable => other(from.unwrap_or_default()).max(1),
            Some(_) if patch.name == STABLE && from == status.stable_rs.as_deref() => all.max(1),
            // Of a version between: as many as it has left.
            Some(_) if patch.name == STABLE => all.min(other(from.unwrap_or_default())).max(1),
            Some(_) => 1,
        }
    };
    // A restart takes pods of each side meanwhile, one at least: the caches do not show all of them yet.
    let restarts = observed.rollout.spec.restart_at != status.restarted_at;
    let gone = if restarts {
        (replicas(observed) / 4).max(1)
    } else {
        0
    };
    if has + gone < need {
        return Err(format!(
            "{} leads to {has} pods that can carry, where {need} are needed",
            short(&Intent::PatchService(ServicePatch::clone(patch)))
        ));
    }
    Ok(())
}

/// Promise 3, traffic before pods: what the active Service leads to keeps its pods, until the EndpointSlices show the
/// switch and the delay has passed.
#[derive(Default)]
pub struct Convergence {
    active: Option<String>,
    left: BTreeMap<String, Timestamp>,
}

impl Convergence {
    pub fn check(&mut self, cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
        let Step::Applied { observed, intent, .. } = step else {
            return Ok(());
        };
        let Some(bg) = blue_green(observed) else {
            return last_pods(cluster, observed, intent);
        };
        match intent {
            Intent::PatchService(patch) if patch.name == ACTIVE => {
                let now = Some(patch.pod_hash.clone());
                if now != self.active {
                    if let Some(before) = self.active.take() {
                        self.left.insert(before, cluster.now);
                    }
                    self.left.remove(&patch.pod_hash);
                    self.active = now;
                }
                Ok(())
            }
            Intent::PatchReplicaSet(patch) => match patch.scale {
                Some((from, to)) if to < from && i64::from(to) < replicas(observed) => {
                    self.shrink(cluster, observed, bg, patch)
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn shrink(
        &self,
        cluster: &Cluster,
        observed: &Observed,
        bg: &BlueGreenStrategy,
        patch: &ReplicaSetPatch,
    ) -> Result<(), String> {
        let what = short(&Intent::PatchReplicaSet(patch.clone()));
        let Some(rs) = cluster.replica_sets.get(&patch.name) else {
            return Ok(());
        };
        let hash = observed::pod_hash(&rs.metadata);
        if cluster.selected(ACTIVE) == Some(hash) {
            return Err(format!("{what}: the active Service selects it"));
        }
        if leads_to(cluster, observed, ACTIVE, &patch.name) {
            return Err(format!("{what}: the active Service still leads to its pods"));
        }
        let status = status(observed);
        let is_new = status.current_pod_hash.as_deref() == Some(hash);
        // An update that was given up keeps its own delay, whatever comes after it.
        let given_up = !observed::annotation(&rs.metadata, "rollouts.serin.dev/aborted").is_empty();
        let aborted = given_up || (is_new && status.abort == Some(true));
        let delay = match (aborted, is_new) {
            (true, _) => bg.abort_scale_down_delay_seconds.unwrap_or(30),
            // It is being prepared anew.
            (false, true) => return Ok(()),
            (false, false) => bg.scale_down_delay_seconds.unwrap_or(30),
        };
        if aborted && delay == 0 {
            return Err(format!("{what}: abortScaleDownDelaySeconds 0 means never"));
        }
        if bg.scale_down_delay_revision_limit.is_some() && !aborted {
            return Ok(());
        }
        // Times on the wire are whole seconds.
        let least = SignedDuration::from_secs(i64::from(delay)) - SignedDuration::from_secs(1);
        match self.left.get(hash) {
            Some(left) if cluster.now.duration_since(*left) < least => Err(format!(
                "{what}: {:#} after the switch, and its delay is {delay}s",
                cluster.now.duration_since(*left)
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a Service leads to pods of this ReplicaSet, and the controller can know it: one that went forth and back faster
/// than its slices are heard of is not known to lead there.
fn leads_to(cluster: &Cluster, observed: &Observed, service: &str, replica_set: &str) -> bool {
    let pods = format!("{replica_set}-");
    let heard = observed.endpoints.get(service);
    let is_heard = heard.is_some_and(|all| all.iter().any(|pod| pod.starts_with(&pods)));
    is_heard && cluster.leads_to(service, replica_set)
}

/// Promise 3 for the Services of a canary, which are not the whole of production: the last pods that one of them leads to
/// stay until it leads elsewhere, unless no other pod is there that could answer: the limits allow that.
fn last_pods(cluster: &Cluster, observed: &Observed, intent: &Intent) -> Result<(), String> {
    let Intent::PatchReplicaSet(patch) = intent else {
        return Ok(());
    };
    let (Some((_, 0)), Some(rs)) = (patch.scale, cluster.replica_sets.get(&patch.name)) else {
        return Ok(());
    };
    let hash = observed::pod_hash(&rs.metadata);
    let (_, _, available) = cluster.pods_of(hash);
    let elsewhere: i64 = observed
        .replica_sets
        .iter()
        .filter(|other| other.metadata.name != rs.metadata.name)
        .map(|other| {
            i64::from(
                other
                    .status
                    .available_replicas
                    .min(other.spec.replicas.unwrap_or(1)),
            )
        })
        .sum();
    if available == 0 || elsewhere == 0 || replicas(observed) == 0 {
        return Ok(());
    }
    for service in [STABLE, CANARY] {
        let is_led = leads_to(cluster, observed, service, &patch.name) && cluster.selected(service).is_some();
        if cluster.selected(service) == Some(hash) || is_led {
            return Err(format!("{}: {service} leads to its pods", short(intent)));
        }
    }
    Ok(())
}

/// Promise 4, bounds: of a canary those of maxSurge and maxUnavailable; of blue-green: no side is larger than the
/// replicas, only the new, the stable and the one that answers grow,
/// and the latter two never shrink below them.
pub fn within_bounds(cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Applied { observed, intent, .. } = step else {
        return Ok(());
    };
    if blue_green(observed).is_none() {
        return bounds(cluster, step);
    }
    let Intent::PatchReplicaSet(patch) = intent else {
        return Ok(());
    };
    let (Some((from, to)), Some(rs)) = (patch.scale, cluster.replica_sets.get(&patch.name)) else {
        return Ok(());
    };
    let (replicas, status) = (replicas(observed), status(observed));
    let hash = Some(observed::pod_hash(&rs.metadata));
    let is_stable = status.stable_rs.as_deref() == hash;
    let is_new = status.current_pod_hash.as_deref() == hash;
    let answers = cluster.selected(ACTIVE) == hash;
    let wrong = if to > from && i64::from(to) > replicas {
        "more pods than replicas"
    } else if to > from && !is_stable && !is_new && !answers {
        "an old side grows"
    } else if to < from && i64::from(to) < replicas && (is_stable || answers) {
        "fewer pods than replicas of the side that has to stand"
    } else {
        return Ok(());
    };
    Err(format!("{}: {wrong}", short(intent)))
}

/// Promise 6, never wedged: what is not healthy says what it waits for, and what is over is told as over.
pub fn message(_: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Idle { observed, .. } = step else {
        return Ok(());
    };
    let status = status(observed);
    let silent = status.message.as_deref().unwrap_or_default().is_empty();
    if silent != (status.phase.as_deref() == Some("Healthy")) {
        return Err(format!(
            "it is {:?} and says {:?}",
            status.phase.unwrap_or_default(),
            status.message.unwrap_or_default()
        ));
    }
    Ok(())
}

/// Promise 8, no data is not bad data: a rollout is aborted by a measurement that was bad, or by more measurements without
/// an answer in a row than are allowed, and says which of the two it was. A doubtful one pauses.
pub fn no_data(case: &Case, cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Committed {
        observed,
        before,
        after,
    } = step
    else {
        return Ok(());
    };
    let begins = after.aborted_at.is_some() && before.aborted_at.is_none() && before.abort != Some(true);
    if !begins {
        return Ok(());
    }
    let told = after
        .conditions
        .iter()
        .find(|c| c.type_ == "Progressing")
        .map_or("", |c| c.message.as_str());
    if told.contains("timed out progressing") || told.contains("failFast") {
        return Ok(());
    }
    let phase = |run: &AnalysisRun| run.status.as_ref().map(|s| s.phase);
    let bad = runs_of(before, observed)
        .into_iter()
        .find(|run| matches!(phase(run), Some(AnalysisPhase::Failed | AnalysisPhase::Error)));
    let Some(run) = bad else {
        return Err(format!("aborted without a bad verdict: {told}"));
    };
    let name = observed::name(&run.metadata);
    let truth = cluster
        .outcome_of(name)
        .ok_or("a run that the world does not know")?;
    let unanswered = i64::from(truth.silent) > i64::from(case.error_limit);
    let (expected, word) = if unanswered || truth.phase == AnalysisPhase::Error {
        (AnalysisPhase::Error, "consecutiveErrorLimit")
    } else {
        (AnalysisPhase::Failed, "failureLimit")
    };
    let really = unanswered || matches!(truth.phase, AnalysisPhase::Failed | AnalysisPhase::Error);
    if !really || phase(run) != Some(expected) || !told.contains(word) {
        return Err(format!(
            "{name} is {:?} and aborts with \"{told}\", but what was measured is {truth:?}",
            phase(run)
        ));
    }
    Ok(())
}

/// The runs that a status refers to.
fn runs_of<'a>(status: &RolloutStatus, observed: &'a Observed) -> Vec<&'a AnalysisRun> {
    let canary = status.canary.as_ref();
    let bg = status.blue_green.as_ref();
    let refs = [
        canary.and_then(|c| c.current_step_analysis_run_status.as_ref()),
        canary.and_then(|c| c.current_background_analysis_run_status.as_ref()),
        bg.and_then(|b| b.pre_promotion_analysis_run_status.as_ref()),
        bg.and_then(|b| b.post_promotion_analysis_run_status.as_ref()),
    ];
    let names: Vec<&str> = refs.into_iter().flatten().map(|run| run.name.as_str()).collect();
    observed
        .analysis_runs
        .iter()
        .map(AsRef::as_ref)
        .filter(|run| names.contains(&observed::name(&run.metadata)))
        .collect()
}

/// What goes before the switch of blue-green: a good verdict, and the word of a user where it is asked for. And what goes
/// before the new side is stable: a good verdict after the switch.
#[derive(Default)]
pub struct Permission {
    granted: bool,
}

impl Permission {
    pub fn check(&mut self, case: &Case, _: &Cluster, step: &Step<'_>) -> Result<(), String> {
        match step {
            Step::Acted(Action::Promote | Action::PromoteFull | Action::Resume) => self.granted = true,
            Step::Applied {
                observed,
                intent: Intent::PatchService(patch),
                ..
            } if patch.name == ACTIVE => return self.switch(case, observed, patch),
            Step::Committed {
                observed,
                before,
                after,
            } => {
                if before.current_pod_hash != after.current_pod_hash {
                    self.granted = false;
                }
                let updated = before.stable_rs.is_some() && before.stable_rs != after.stable_rs;
                let asked = blue_green(observed).is_some_and(|bg| bg.post_promotion_analysis.is_some());
                if updated && asked && !is_fast(observed) && !is_good(before, observed, "-post") {
                    return Err("stable without a good verdict after the switch".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn switch(&self, case: &Case, observed: &Observed, patch: &ServicePatch) -> Result<(), String> {
        let status = status(observed);
        let from = services::selected_hash(&observed.services[ACTIVE]);
        let Some(bg) = &case.blue_green else { return Ok(()) };
        let update = from.is_some()
            && from != Some(patch.pod_hash.as_str())
            && status.stable_rs.is_some()
            && status.stable_rs.as_deref() != Some(patch.pod_hash.as_str());
        if !update || is_fast(observed) {
            return Ok(());
        }
        let waits = bg.auto == Some(false) && bg.seconds.is_none_or(|s| s == 0);
        if waits && !self.granted {
            return Err("the active Service is switched, and no user said so".to_owned());
        }
        if bg.pre.is_some() && !is_good(&status, observed, "-pre") {
            return Err("the active Service is switched without a good verdict".to_owned());
        }
        Ok(())
    }
}

/// A full promotion, or the way back to a side that stands in its delay, or perhaps in the rollback window.
fn is_fast(observed: &Observed) -> bool {
    let status = status(observed);
    let recent = observed.rollout.spec.rollback_window.is_some();
    let current = status.current_pod_hash.as_deref().unwrap_or_default();
    let stands = by_hash(observed, current)
        .is_some_and(|rs| !observed::annotation(&rs.metadata, SCALE_DOWN_DEADLINE).is_empty());
    status.promote_full == Some(true) || stands || recent
}

fn is_good(status: &RolloutStatus, observed: &Observed, kind: &str) -> bool {
    runs_of(status, observed).iter().any(|run| {
        observed::name(&run.metadata).contains(kind)
            && run.status.as_ref().map(|s| s.phase) == Some(AnalysisPhase::Successful)
    })
}

/// Promise 4 for `workloadRef`: the Deployment gives up its pods only where the Rollout has others; never at all where
/// nobody asked for it, and all at once only when the Rollout is healthy.
pub fn hand_over(case: &Case, cluster: &Cluster, step: &Step<'_>) -> Result<(), String> {
    let Step::Applied {
        observed,
        intent: Intent::ScaleWorkload(scale),
        ..
    } = step
    else {
        return Ok(());
    };
    let what = format!("the Deployment goes from {} to {}", scale.from, scale.to);
    if scale.to >= scale.from {
        return Err(format!("{what}: that is not down"));
    }
    let status = status(observed);
    match case.workload {
        None | Some(ScaleDown::Never) => return Err(format!("{what}: nobody asked for it")),
        Some(ScaleDown::OnSuccess) if status.phase.as_deref() != Some("Healthy") => {
            return Err(format!("{what}: the Rollout is not healthy yet"));
        }
        Some(ScaleDown::OnSuccess | ScaleDown::Progressively) => {}
    }
    let seen = observed.replica_sets.iter().map(AsRef::as_ref);
    let ready = cluster.ready() + cluster.unseen_losses(seen);
    if ready + i64::from(scale.to) < replicas(observed) {
        return Err(format!("{what}: the Rollout has {ready} ready pods"));
    }
    Ok(())
}
