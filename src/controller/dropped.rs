//! Status fields that the API server does not keep: its CustomResourceDefinitions may be older than this controller, or
//! another controller's of the same contract. A field that is pruned would look unwritten in every pass, and be written
//! in every pass; so it is given up for a while once a write of it alone changed nothing.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;

/// How long a field is given up. After that it is tried once more: the definitions may have been brought up to date.
const LASTS: SignedDuration = SignedDuration::from_mins(10);

/// The fields that were given up, as JSON pointers.
#[derive(Debug, Default)]
pub struct Dropped {
    pointers: Mutex<HashMap<String, Timestamp>>,
}

impl Dropped {
    /// Gives up the fields of a merge patch that changed nothing.
    pub fn note(&self, change: &Value, now: Timestamp) {
        let mut pointers = self.pointers.lock();
        leaves(change, String::new(), &mut |pointer| {
            if pointers.insert(pointer.clone(), now).is_none() {
                tracing::warn!(
                    field = pointer,
                    "the API server does not keep this field of a Rollout's status: update the CustomResourceDefinitions"
                );
            }
        });
    }

    /// Whether nothing is given up: the rule.
    pub fn is_empty(&self) -> bool {
        self.pointers.lock().is_empty()
    }

    /// Takes the fields that were given up out of a wanted status: they read as they are stored.
    pub fn leave_out(&self, before: &Value, after: &mut Value, now: Timestamp) {
        let pointers = self.pointers.lock();
        for (pointer, at) in pointers.iter() {
            if now.duration_since(*at) >= LASTS {
                continue;
            }
            let Some((parent, key)) = pointer.rsplit_once('/') else {
                continue;
            };
            let Some(parent) = after.pointer_mut(parent).and_then(Value::as_object_mut) else {
                continue;
            };
            let key = key.replace("~1", "/").replace("~0", "~");
            match before.pointer(pointer) {
                Some(stored) => parent.insert(key, stored.clone()),
                None => parent.remove(&key),
            };
        }
    }
}

/// The pointers of all values in a merge patch; lists are values, as the patch replaces them whole.
fn leaves(change: &Value, at: String, found: &mut impl FnMut(String)) {
    match change {
        // An empty object says nothing of any field.
        Value::Object(fields) => {
            for (key, value) in fields {
                leaves(
                    value,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        _ => found(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_is_not_kept_is_left_out_and_tried_again_later() {
        let dropped = Dropped::default();
        let now = Timestamp::UNIX_EPOCH;
        dropped.note(&json!({"fingerprint": "x", "canary": {"since": 1}}), now);
        let before = json!({"phase": "Healthy", "canary": {"weight": 5}});
        let wanted = json!({"phase": "Paused", "fingerprint": "y", "canary": {"weight": 6, "since": 2}});
        let left = |at| {
            let mut after = wanted.clone();
            dropped.leave_out(&before, &mut after, at);
            after
        };
        assert_eq!(left(now), json!({"phase": "Paused", "canary": {"weight": 6}}));
        assert_eq!(left(now + LASTS), wanted);
        let mut bare = json!({"phase": "Paused"});
        dropped.leave_out(&before, &mut bare, now);
        assert_eq!(bare, json!({"phase": "Paused"}), "nothing is invented");
    }
}
