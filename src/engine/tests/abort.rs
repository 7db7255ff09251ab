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
