//! Aborts.

use serde_json::json;

use super::world::{at, committed, rollout, with_replica_set};
use crate::engine::plan;

#[test]
fn an_aborted_rollout_is_at_rest_however_often_it_is_looked_at() {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": 1, "abort": true,
    });
    let observed = rollout(&json!({"steps": [{"setWeight": 50}, {"pause": {}}]}), &status);
    let observed = with_replica_set(observed, "old", 1, [2, 2, 2]);
    let observed = with_replica_set(observed, "new", 2, [0, 0, 0]);
    let first = plan(&observed, at(0));
    let observed = committed(observed, &first);
    assert_eq!(first.status.current_step_index, Some(0));
    for seconds in [0, 1, 3600] {
        let again = plan(&observed, at(seconds));
        assert_eq!(
            (again.intents, again.status, again.wake),
            (Vec::new(), first.status.clone(), None)
        );
    }
}

fn promoting(aborted_at: Option<&str>) -> crate::engine::Observed {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": 1, "abort": true, "abortedAt": aborted_at, "promoteFull": true,
    });
    let observed = rollout(&json!({"steps": [{"setWeight": 50}]}), &status);
    let observed = with_replica_set(observed, "old", 1, [1, 1, 1]);
    with_replica_set(observed, "new", 2, [1, 1, 1])
}

#[test]
fn an_abort_during_a_full_promotion_ends_it() {
    let status = plan(&promoting(None), at(0)).status;
    assert_eq!((status.abort, status.promote_full), (Some(true), None));
}

#[test]
fn a_full_promotion_after_an_abort_overrules_it() {
    let status = plan(&promoting(Some("2026-01-01T09:59:00Z")), at(0)).status;
    assert_eq!((status.abort, status.promote_full), (None, Some(true)));
}

#[test]
fn a_full_promotion_after_an_abort_is_degraded_no_more() {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "abort": true, "abortedAt": "2026-01-01T09:59:00Z", "promoteFull": true, "replicas": 2,
        "conditions": [{
            "type": "Progressing", "status": "False", "reason": "RolloutAborted", "message": "aborted",
            "lastUpdateTime": "2026-01-01T09:59:00Z", "lastTransitionTime": "2026-01-01T09:59:00Z",
        }],
    });
    let observed = with_replica_set(rollout(&json!({}), &status), "old", 1, [2, 2, 0]);
    let plan = plan(&with_replica_set(observed, "new", 2, [0, 0, 0]), at(0));
    assert_eq!(
        (plan.status.phase.as_deref(), plan.wake),
        (Some("Progressing"), Some(at(601)))
    );
}

#[test]
fn a_full_promotion_that_is_overdue_is_aborted_once_and_stays_so() {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": 1, "promoteFull": true, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [{
            "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "on its way",
            "lastUpdateTime": "2026-01-01T10:00:00Z", "lastTransitionTime": "2026-01-01T10:00:00Z",
        }],
    });
    let mut observed = rollout(&json!({"steps": [{"setWeight": 50}]}), &status);
    std::sync::Arc::make_mut(&mut observed.rollout)
        .spec
        .progress_deadline_abort = Some(true);
    let observed = with_replica_set(observed, "old", 1, [1, 1, 1]);
    let observed = with_replica_set(observed, "new", 2, [1, 1, 0]);
    let first = plan(&observed, at(601));
    assert_eq!(
        (first.status.abort, first.status.promote_full),
        (Some(true), None)
    );
    let observed = committed(observed, &first);
    assert_eq!(plan(&observed, at(602)).status.abort, Some(true));
}

#[test]
fn an_abort_goes_back_although_the_rollout_is_paused() {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": 1, "abort": true,
    });
    let mut observed = rollout(&json!({"steps": [{"setWeight": 50}, {"pause": {}}]}), &status);
    std::sync::Arc::make_mut(&mut observed.rollout).spec.paused = Some(true);
    let observed = with_replica_set(observed, "old", 1, [1, 1, 1]);
    let observed = with_replica_set(observed, "new", 2, [1, 1, 1]);
    let plan = plan(&observed, at(0));
    let scaled: Vec<_> = plan
        .intents
        .iter()
        .filter_map(|intent| match intent {
            crate::engine::Intent::PatchReplicaSet(patch) => Some((patch.name.as_str(), patch.scale?)),
            _ => None,
        })
        .collect();
    assert_eq!(scaled, [("demo-old", (1, 2))]);
}
