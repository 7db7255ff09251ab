//! The phase and its message: what Argo CD, the dashboard and `kubectl argo rollouts status` show.

use super::draft::Draft;
use crate::api::names::{RolloutPhase, reasons};
use crate::api::rollout::RolloutSpec;

/// Sets phase and message by the first rule that matches (wire contract 2.5). The message begins with the contract's
/// words, by which clients know it; where something is waited for, what and how far follows them.
pub(crate) fn set(spec: &RolloutSpec, replicas: i64, draft: &mut Draft) {
    let (phase, message) = of(spec, replicas, draft);
    draft.status.phase = Some(phase.as_str().to_owned());
    draft.status.message = Some(message).filter(|m| !m.is_empty());
}

fn of(spec: &RolloutSpec, replicas: i64, draft: &Draft) -> (RolloutPhase, String) {
    let status = &draft.status;
    let bad = [reasons::ROLLOUT_ABORTED, reasons::PROGRESS_DEADLINE_EXCEEDED];
    if let Some(c) = status
        .conditions
        .iter()
        .find(|c| bad.contains(&c.reason.as_str()))
    {
        return (RolloutPhase::Degraded, format!("{}: {}", c.reason, c.message));
    }
    if spec.paused == Some(true) {
        return (RolloutPhase::Paused, "manually paused".to_owned());
    }
    if let Some(pause) = status.pause_conditions.first() {
        return (RolloutPhase::Paused, pause.reason.clone());
    }
    let count = |n: Option<i32>| i64::from(n.unwrap_or(0));
    let (total, updated, available) = (
        count(status.replicas),
        count(status.updated_replicas),
        count(status.available_replicas),
    );
    let waiting = |text: &str| (RolloutPhase::Progressing, text.to_owned());
    if spec.restart_at.is_some() && spec.restart_at != status.restarted_at {
        return waiting("rollout is restarting");
    }
    if updated < replicas {
        return waiting("more replicas need to be updated");
    }
    if available < updated {
        return waiting("updated replicas are still becoming available");
    }
    if spec.strategy.as_ref().is_some_and(|s| s.blue_green.is_some()) {
        return of_blue_green(draft);
    }
    if total > updated {
        return waiting("old replicas are pending termination");
    }
    if status.stable_rs.is_none() || status.stable_rs != status.current_pod_hash {
        return waiting("waiting for all steps to complete");
    }
    (RolloutPhase::Healthy, String::new())
}

/// The last rules, as they are for blue-green.
fn of_blue_green(draft: &Draft) -> (RolloutPhase, String) {
    let status = &draft.status;
    let current = status.current_pod_hash.as_deref();
    let active = status
        .blue_green
        .as_ref()
        .and_then(|s| s.active_selector.as_deref());
    let waiting = |text: &str| (RolloutPhase::Progressing, text.to_owned());
    if active.is_none() || active != current {
        return waiting("active service cutover pending");
    }
    if status.stable_rs.as_deref() != current {
        let analysed = status
            .blue_green
            .as_ref()
            .is_some_and(|s| s.post_promotion_analysis_run_status.is_some());
        return waiting(if analysed {
            "waiting for analysis to complete"
        } else {
            "waiting for post-promotion verification to complete"
        });
    }
    (RolloutPhase::Healthy, String::new())
}
