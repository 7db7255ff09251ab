//! What can go wrong in a pass, and how long to wait then. Mistakes of users are never here: they are conditions.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;

/// A pass that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error("cannot {verb} {kind} {name}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// A call to the API server did not answer in time.
    #[error("cannot {verb} {kind} {name}: no answer within {seconds} s")]
    Timeout {
        /// What was tried.
        verb: &'static str,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The world moved since it was looked at.
    #[error("{kind} {name} has changed since it was looked at")]
    Moved {
        /// Of which kind.
        kind: &'static str,
        /// Which object.
        name: String,
    },
    /// Something of ours could not be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
}

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Look again at once: somebody was faster.
    Conflict,
    /// Try again, later each time.
    Transient,
    /// A permission is missing: seldom.
    Denied,
    /// The API server will never take this.
    Terminal,
}

impl Class {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Conflict => "conflict",
            Class::Transient => "transient",
            Class::Denied => "denied",
            Class::Terminal => "terminal",
        }
    }
}

impl Error {
    /// What this error asks for.
    pub fn class(&self) -> Class {
        match self {
            Error::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
                    Class::Conflict
                }
                kube::Error::Api(status) if status.is_not_found() => Class::Conflict,
                kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => Class::Denied,
                kube::Error::Api(status) if status.code == 400 || status.is_invalid() => Class::Terminal,
                _ => Class::Transient,
            },
            Error::Moved { .. } => Class::Conflict,
            Error::Timeout { .. } => Class::Transient,
            Error::Json(_) => Class::Terminal,
        }
    }

    /// The sentence with its cause: what a log line or an event shows.
    pub fn sentence(&self) -> String {
        match self {
            Error::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => format!("{self}: {}", status.message),
                other => format!("{self}: {other}"),
            },
            other => other.to_string(),
        }
    }
}

/// How often an object's passes failed in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    rows: Mutex<HashMap<String, Row>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    failures: u32,
    conflicts: u32,
}

impl Backoff {
    /// The wait after one more failure of this class, and how many there were in a row. A conflict is no failure.
    ///
    /// Conflict: 50 to 200 ms, doubled with each that follows, 6.4 s at most. Somebody was faster, and the store shows it in
    /// a moment, which asks for the next pass by itself; but one whose watch is down stays behind for as long as that is.
    /// Transient: 1 s, 2 s, 4 s … 5 min, each less up to a quarter, so that objects that failed together do not come
    /// back together. Denied and terminal: at least a minute.
    pub fn failed(&self, uid: &str, class: Class) -> (Duration, u32) {
        let spread = spread(uid);
        let mut all = self.rows.lock();
        let row = all.entry(uid.to_owned()).or_default();
        if class == Class::Conflict {
            row.conflicts = row.conflicts.saturating_add(1);
            let doubled = (50 + spread % 150) << (row.conflicts - 1).min(5);
            return (Duration::from_millis(doubled), 0);
        }
        let count = &mut row.failures;
        *count = count.saturating_add(1);
        let first: u64 = if class == Class::Transient { 1_000 } else { 60_000 };
        let millis = first.saturating_mul(1 << (*count - 1).min(16)).min(300_000);
        (
            Duration::from_millis(millis - millis / 4 * (spread % 100) / 100),
            *count,
        )
    }

    /// Forgets the objects that are gone.
    pub fn keep(&self, live: &HashSet<String>) {
        self.rows.lock().retain(|uid, _| live.contains(uid));
    }

    /// A pass was finished.
    pub fn succeeded(&self, uid: &str) {
        let mut all = self.rows.lock();
        if !all.is_empty() {
            all.remove(uid);
        }
    }
}

/// A number that differs between objects and stays with each.
fn spread(uid: &str) -> u64 {
    uid.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store whose watch was down for a minute showed an old world, and each pass met a conflict: 13 calls a second.
    #[test]
    fn conflicts_in_a_row_are_no_hot_loop() {
        let backoff = Backoff::default();
        let (mut passed, mut calls) = (Duration::ZERO, 0);
        while passed < Duration::from_secs(60) {
            let (wait, count) = backoff.failed("u", Class::Conflict);
            assert_eq!(count, 0, "a conflict is no failure");
            assert!(calls > 0 || wait <= Duration::from_millis(200), "{wait:?}");
            passed += wait;
            calls += 1;
        }
        assert!(calls <= 6 + 60_000 / 1600, "{calls} calls in a minute");
        backoff.succeeded("u");
        assert!(backoff.failed("u", Class::Conflict).0 <= Duration::from_millis(200));
    }

    #[test]
    fn waits_grow_until_five_minutes_and_end_with_success() {
        let backoff = Backoff::default();
        let mut last = Duration::ZERO;
        for count in 1..=12 {
            let (wait, counted) = backoff.failed("u", Class::Transient);
            assert_eq!(counted, count);
            assert!(
                wait >= last && wait <= Duration::from_secs(300),
                "{wait:?} after {last:?}"
            );
            last = wait;
        }
        assert!(last >= Duration::from_secs(225));
        backoff.succeeded("u");
        assert_eq!(backoff.failed("u", Class::Transient).1, 1);
        assert_eq!(backoff.failed("u", Class::Conflict).1, 0);
        assert!(backoff.failed("v", Class::Denied).0 >= Duration::from_secs(45));
    }
}
