//! Which changes of a status matter enough to be written at once. Pure.
//!
//! Pods come and go one by one; a write for each would cost more calls than all scalings together. What decides or is
//! decided (phase, step, pause, abort, revision, conditions) is written at once; mere counters and the words around them
//! wait a few seconds for it (see `docs/adr`).

use serde_json::Value;

/// Fields that may lag.
const SOFT: [&str; 6] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "HPAReplicas",
    "message",
];
/// Reasons of the Progressing condition that all say: going on.
const GOING: [&str; 5] = [
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "ReplicaSetUpdated",
    "RolloutResumed",
    "RolloutRetry",
];

/// Whether anything but counters changed.
pub fn matters(before: &Value, after: &Value) -> bool {
    if before.get("observedGeneration").is_none() {
        return true;
    }
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return true;
    };
    let keys = old.keys().chain(new.keys().filter(|k| !old.contains_key(*k)));
    keys.filter(|key| old.get(*key) != new.get(*key) && !SOFT.contains(&key.as_str()))
        .any(|key| key != "conditions" || conditions(old.get(key)) != conditions(new.get(key)))
}

/// The conditions without their words, times and what only follows the counters.
fn conditions(list: Option<&Value>) -> Vec<(String, String, String)> {
    let text = |c: &Value, key: &str| c.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = list.and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter(|c| !["Available", "Healthy"].contains(&text(c, "type").as_str()))
        .map(|c| {
            let (mut status, mut reason) = (text(c, "status"), text(c, "reason"));
            if GOING.contains(&reason.as_str()) {
                (status, reason) = (String::new(), "going".to_owned());
            }
            // The sentence of a refusal is what the user waits for.
            if text(c, "type") == "InvalidSpec" {
                reason = text(c, "message");
            }
            (text(c, "type"), status, reason)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counters_wait_and_decisions_do_not() {
        let base = json!({
            "observedGeneration": "1", "phase": "Progressing", "message": "a", "replicas": 1,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "x"}],
        });
        let with = |key: &str, value: Value| {
            let mut after = base.clone();
            after[key] = value;
            after
        };
        let progressing = |status: &str, reason: &str| json!([{"type": "Progressing", "status": status, "reason": reason, "message": "y"}]);
        for (after, want) in [
            (with("replicas", json!(2)), false),
            (with("message", json!("b")), false),
            (with("phase", json!("Healthy")), true),
            (with("currentStepIndex", json!(1)), true),
            (with("abort", json!(true)), true),
            (
                with("conditions", progressing("True", "NewReplicaSetCreated")),
                false,
            ),
            (with("conditions", progressing("False", "RolloutAborted")), true),
            (with("conditions", json!([])), true),
        ] {
            assert_eq!(matters(&base, &after), want, "{after}");
        }
        assert!(
            matters(&json!({}), &base),
            "the first status is what autoscalers wait for"
        );
    }
}
