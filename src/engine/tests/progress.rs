//! The progress deadline.

use jiff::SignedDuration;
use serde_json::json;

use super::world::{at, rollout, with_replica_set};
use crate::engine::plan;

#[test]
fn a_pass_before_the_moment_that_the_deadline_asked_for_does_not_find_it_exceeded() {
    let status = json!({
        "observedGeneration": "1", "currentPodHash": "new", "currentStepHash": "steps", "stableRS": "old",
        "currentStepIndex": 0, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2,
        "HPAReplicas": 3, "selector": "app=a", "phase": "Progressing", "message": "more replicas need to be updated",
        "conditions": [{
            "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "on its way",
            "lastUpdateTime": "2026-01-01T10:00:00Z", "lastTransitionTime": "2026-01-01T10:00:00Z",
        }],
        "canary": {},
    });
    let observed = rollout(&json!({"steps": [{"setWeight": 40}]}), &status);
    let observed = with_replica_set(observed, "old", 1, [2, 2, 2]);
    let observed = with_replica_set(observed, "new", 2, [1, 1, 0]);
    let reason = |now| {
        let plan = plan(&observed, now);
        let all = plan.status.conditions;
        (
            all.into_iter().find(|c| c.type_ == "Progressing").unwrap().reason,
            plan.wake,
        )
    };
    let wake = at(601);
    let early = wake - SignedDuration::from_millis(1);
    assert_eq!(reason(at(1)), ("ReplicaSetUpdated".to_owned(), Some(wake)));
    assert_eq!(reason(early), ("ReplicaSetUpdated".to_owned(), Some(wake)));
    assert_eq!(reason(wake), ("ProgressDeadlineExceeded".to_owned(), None));
}
