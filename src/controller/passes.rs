//! How many passes there were, and what became of them: what a canary costs the controller itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the passes of Rollouts since the process started.
#[derive(Debug, Default)]
pub struct Passes {
    done: AtomicU64,
    early: AtomicU64,
    failed: AtomicU64,
}

/// What became of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It looked, and did what there was to do.
    Done,
    /// The stores did not show this process's last write yet.
    Early,
    /// A call failed, or the world had moved.
    Failed,
}

impl Passes {
    /// Counts one.
    pub fn count(&self, ended: Ended) {
        let counter = match ended {
            Ended::Done => &self.done,
            Ended::Early => &self.early,
            Ended::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The name of each outcome and how often it came.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [
            ("done", &self.done),
            ("early", &self.early),
            ("failed", &self.failed),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}
