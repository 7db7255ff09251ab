//! What happened, as it was seen while it happened: each gate with the pods and the share of requests
//! behind it, and the moments that the driver waited for. Pure; the claims are judged from this alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{Load, World};

/// Pods of the Rollout, as in rollout.yaml.
pub(crate) const REPLICAS: u64 = 10;
pub(crate) const GOOD: &str = "v2";
pub(crate) const BAD: &str = "v3";
pub(crate) const FIRST: &str = "v1";

/// One AnalysisRun of one step, at the moment of its verdict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    pub(crate) version: String,
    pub(crate) weight: u64,
    pub(crate) verdict: String,
    pub(crate) message: String,
    /// Ready pods of the new version and of all others.
    pub(crate) new: u64,
    pub(crate) old: u64,
    /// Percent of the client's answers that came from the new version while the run was measuring.
    pub(crate) share: Option<f64>,
    pub(crate) values: Vec<String>,
}

/// A moment, on the demo's clock, and the client's totals at it.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Duration,
    pub(crate) load: Load,
}

/// How the bad version ended.
#[derive(Clone, Debug)]
pub(crate) struct RolledBack {
    pub(crate) mark: Mark,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// `metadata.generation` right after the new template was applied, and at the end.
    pub(crate) generation: (i64, i64),
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) gates: Vec<Gate>,
    /// The most pods of each version that were ready at one time.
    pub(crate) most: BTreeMap<String, u64>,
    /// The fewest pods of all versions that were ready at one time, since version 1 was Healthy.
    pub(crate) fewest: Option<u64>,
    pub(crate) first_healthy: Option<Mark>,
    pub(crate) good_started: Option<Mark>,
    pub(crate) good_promoted: Option<Mark>,
    pub(crate) bad_started: Option<Mark>,
    pub(crate) rolled_back: Option<RolledBack>,
    /// The client's totals when it stopped.
    pub(crate) total: Load,
    /// Runs that are measuring, with the client's totals at their start.
    open: BTreeMap<String, Load>,
    closed: BTreeSet<String>,
}

impl Record {
    /// Takes note of the world after each change.
    pub(crate) fn note(&mut self, world: &World) {
        for set in world.sets.values() {
            let most = self.most.entry(set.version.clone()).or_default();
            *most = set.available.max(*most);
        }
        if self.first_healthy.is_some() {
            let ready = world.sets.values().map(|set| set.available).sum();
            self.fewest = Some(self.fewest.map_or(ready, |fewest| fewest.min(ready)));
        }
        for (name, run) in &world.runs {
            if self.closed.contains(name) {
                continue;
            }
            let start = self
                .open
                .entry(name.clone())
                .or_insert_with(|| world.load.clone());
            if !run.finished() {
                continue;
            }
            let version = world.version_of(&run.hash).unwrap_or("unknown").to_owned();
            let new = world.available(&version);
            self.gates.push(Gate {
                weight: run.step.map_or(0, |step| world.weight_at(step)),
                verdict: run.phase.clone(),
                message: run.message.clone(),
                new,
                old: world.sets.values().map(|set| set.available).sum::<u64>() - new,
                share: world.load.share_since(start, &version),
                values: run.values.clone(),
                version,
            });
            self.open.remove(name);
            self.closed.insert(name.clone());
        }
        self.total = world.load.clone();
    }

    pub(crate) fn gates_of(&self, version: &str) -> Vec<&Gate> {
        self.gates.iter().filter(|gate| gate.version == version).collect()
    }
}

/// The number in a measured value, `[0.9912345]`; None where nothing was measured (`[]`, `[NaN]`).
pub(crate) fn rate(value: &str) -> Option<f64> {
    value
        .trim_matches(['[', ']'])
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite())
}

/// A value as Prometheus gives it, `[0.9912345]`, in percent with one place; other text stays as it is.
pub(crate) fn percent(value: &str) -> String {
    rate(value).map_or_else(|| value.to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}
