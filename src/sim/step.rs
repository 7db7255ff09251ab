//! What a simulation is given (delays, faults, a script) and what it tells of (steps).

use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use super::apply::Refused;
use super::cluster::Capacity;
use crate::api::rollout::RolloutStatus;
use crate::engine::{Intent, Observed, Plan};

/// When something happens, counted from what happened before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So much later.
    After(SignedDuration),
    /// When nothing else is going to happen any more.
    Quiet,
}

/// How long things take, in milliseconds; each list is gone through over and over, and an empty one is no delay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// From a write to the cache that shows it.
    pub watch: Vec<u32>,
    /// One call.
    pub call: Vec<u32>,
}

/// What goes wrong with the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// After how many further writes it dies, each time; the list is gone through once.
    pub crashes: Vec<u32>,
    /// Whether the last entry of `crashes` is repeated for ever.
    pub always: bool,
}

/// Something that happened. The [`Cluster`] that is handed out with it is as it was right after.
#[derive(Debug)]
pub enum Step<'a> {
    /// Somebody other than the controller did something.
    Acted(&'a Action),
    /// A pass was skipped, because the caches do not show this controller's own writes yet.
    Skipped,
    /// A pass was planned.
    Planned {
        /// What it saw.
        observed: &'a Observed,
        /// What it wants.
        plan: &'a Plan,
    },
    /// An intent was carried out.
    Applied {
        /// What it was decided on.
        observed: &'a Observed,
        /// The intent.
        intent: &'a Intent,
        /// The pods right before it.
        before: Capacity,
    },
    /// An intent or the status was refused, and the pass ended.
    Refused {
        /// The intent; `None` for the status.
        intent: Option<&'a Intent>,
        /// Why.
        why: &'a Refused,
    },
    /// The status was committed.
    Committed {
        /// What it was decided on.
        observed: &'a Observed,
        /// What was committed before.
        before: &'a RolloutStatus,
        /// What is committed now.
        after: &'a RolloutStatus,
    },
    /// The pass had nothing to do and nothing to say.
    Idle {
        /// What it saw.
        observed: &'a Observed,
        /// When it wants to look again.
        wake: Option<Timestamp>,
    },
    /// The controller died, and begins again with nothing but the objects.
    Crashed,
}

/// The controller was still busy after the last pass that it was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless {
    /// Passes that it had.
    pub passes: u32,
}
