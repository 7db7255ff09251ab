//! What this process wrote last, so that no pass plans on a store that has not seen it (design section 3, KEP-5647).
//!
//! Nothing here decides anything: an entry that is lost or expires costs at most a pass that the guards on the writes
//! refuse.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// How long a write is waited for. A watch that lags longer is broken, and the guards on the writes have to do.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// The kinds that passes write and read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The object of the pass itself.
    Root,
    /// A ReplicaSet.
    ReplicaSet,
    /// An AnalysisRun of a Rollout.
    AnalysisRun,
    /// A Service.
    Service,
    /// A pod.
    Pod,
    /// A Deployment that `workloadRef` names.
    Deployment,
}

#[derive(Clone, Debug)]
struct Write {
    kind: Kind,
    name: String,
    version: u128,
    created: bool,
    at: Timestamp,
}

/// The last writes, by the uid of the object whose passes made them.
#[derive(Debug, Default)]
pub struct Written {
    by_owner: Mutex<HashMap<String, Vec<Write>>>,
}

impl Written {
    /// Notes a write that the API server answered with this resourceVersion. `created`: the store may not know the object
    /// at all yet; else its absence means that it was deleted since.
    pub fn note(
        &self,
        owner: &str,
        kind: Kind,
        name: &str,
        version: Option<&str>,
        created: bool,
        now: Timestamp,
    ) {
        // A version that is no number cannot be compared: the check is skipped.
        let Some(version) = version.and_then(|v| v.parse().ok()) else {
            return;
        };
        let mut all = self.by_owner.lock();
        let writes = all.entry(owner.to_owned()).or_default();
        writes.retain(|w| !(w.kind == kind && w.name == name));
        writes.push(Write {
            kind,
            name: name.to_owned(),
            version,
            created,
            at: now,
        });
    }

    /// Notes a write whose answer names no version, on an object that had this resourceVersion: any later one shows it.
    pub fn note_after(&self, owner: &str, kind: Kind, name: &str, before: &str, now: Timestamp) {
        let next = before
            .parse::<u128>()
            .ok()
            .map(|version| version.saturating_add(1).to_string());
        self.note(owner, kind, name, next.as_deref(), false, now);
    }

    /// Whether the stores show everything that was written. `stored` gives the resourceVersion that a store has for an
    /// object.
    pub fn is_seen(
        &self,
        owner: &str,
        now: Timestamp,
        stored: impl Fn(Kind, &str) -> Option<String>,
    ) -> bool {
        let mut all = self.by_owner.lock();
        let Some(writes) = all.get_mut(owner) else {
            return true;
        };
        writes.retain(|write| {
            let seen = match stored(write.kind, &write.name) {
                Some(version) => version.parse::<u128>().is_ok_and(|v| v >= write.version),
                None => !write.created,
            };
            !seen && now.duration_since(write.at) < PATIENCE
        });
        let seen = writes.is_empty();
        if seen {
            all.remove(owner);
        }
        seen
    }

    /// Forgets the objects that are gone.
    pub fn keep(&self, live: &HashSet<String>) {
        self.by_owner.lock().retain(|uid, _| live.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_waits_until_the_store_shows_the_last_write() {
        let written = Written::default();
        let t = |s| Timestamp::from_second(s).unwrap();
        written.note("u", Kind::ReplicaSet, "a", Some("100"), false, t(0));
        let stored = |version: &'static str| move |_: Kind, _: &str| Some(version.to_owned());
        assert!(!written.is_seen("u", t(1), stored("99")));
        assert!(written.is_seen("other", t(1), stored("99")));
        assert!(written.is_seen("u", t(1), stored("100")));
        assert!(written.is_seen("u", t(1), stored("1")), "seen once is seen");
    }

    #[test]
    fn an_absent_object_counts_as_seen_unless_it_was_just_created() {
        let written = Written::default();
        let t = |s| Timestamp::from_second(s).unwrap();
        written.note("u", Kind::ReplicaSet, "a", Some("1"), true, t(0));
        assert!(!written.is_seen("u", t(1), |_, _| None));
        assert!(written.is_seen("u", t(31), |_, _| None), "patience ends");
        written.note("u", Kind::ReplicaSet, "a", Some("1"), false, t(0));
        assert!(written.is_seen("u", t(1), |_, _| None));
    }
}
