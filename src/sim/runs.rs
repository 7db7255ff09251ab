//! The AnalysisRun controller, with measurements by script.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::cluster::Cluster;
use crate::api::analysis::{AnalysisPhase, AnalysisRun, Measurement};
use crate::engine::analysis::{FinishedMeasurement, plan_run};

/// What a measurement of a run says, and how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `Successful`, `Failed`, `Error` or `Inconclusive`.
    pub phase: AnalysisPhase,
    /// How many measurements have no answer before the first that says it.
    pub silent: u32,
    /// How long it takes.
    pub takes: SignedDuration,
}

impl Outcome {
    const GOOD: Outcome = Outcome {
        phase: AnalysisPhase::Successful,
        silent: 0,
        takes: SignedDuration::ZERO,
    };
}

/// What becomes of a run next.
#[derive(Clone, Debug, Default)]
pub(super) struct RunTurn {
    /// What its measurements say.
    outcome: Option<Outcome>,
    /// When its controller looks at it next.
    at: Option<Timestamp>,
    /// Measurements under way, and when each is finished.
    under_way: Vec<(Timestamp, FinishedMeasurement)>,
    /// Measurements that were begun.
    begun: u32,
}

impl Cluster {
    /// What the measurements of a run say, whatever its controller makes of it.
    pub fn outcome_of(&self, run: &str) -> Option<Outcome> {
        self.turns.get(run)?.outcome
    }

    /// The next moment at which something happens to a run.
    pub(super) fn next_run_change(&self) -> Option<Timestamp> {
        self.turns.values().filter_map(RunTurn::next).min()
    }

    /// Something about this run changed: its controller looks at it now.
    pub(super) fn wake_run(&mut self, name: &str) {
        let outcome = self.outcome(name);
        let now = self.now;
        let turn = self.turns.entry(name.to_owned()).or_default();
        turn.outcome.get_or_insert(outcome);
        turn.at = Some(now);
    }

    /// Every run of a metric takes the next outcome of its list.
    fn outcome(&mut self, name: &str) -> Outcome {
        if self.turns.contains_key(name) {
            return Outcome::GOOD;
        }
        let metric = self.runs.get(name).and_then(|run| run.spec.metrics.first());
        let Some(metric) = metric.map(|metric| metric.name.clone()) else {
            return Outcome::GOOD;
        };
        let attempt = self.attempts.entry(metric.clone()).or_default();
        let list = self
            .setup
            .outcomes
            .get(&metric)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let outcome = list
            .get(*attempt)
            .or(list.last())
            .copied()
            .unwrap_or(Outcome::GOOD);
        *attempt += 1;
        outcome
    }

    /// Lets the controller of the runs act on what is due now.
    pub(super) fn run_runs(&mut self) {
        let due: Vec<String> = self
            .turns
            .iter()
            .filter(|(_, turn)| turn.next().is_some_and(|at| at <= self.now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.measure(&name);
        }
    }

    fn measure(&mut self, name: &str) {
        let now = self.now;
        let Some(mut turn) = self.turns.remove(name) else {
            return;
        };
        let Some(run) = self.runs.get(name).cloned() else {
            return;
        };
        let abilities = self.abilities;
        let checks = abilities.checks();
        let (done, rest): (Vec<_>, Vec<_>) = turn.under_way.into_iter().partition(|(at, _)| *at <= now);
        turn.under_way = rest;
        let done: Vec<FinishedMeasurement> = done.into_iter().map(|(_, report)| report).collect();
        let busy: Vec<&str> = turn
            .under_way
            .iter()
            .map(|(_, report)| report.metric.as_str())
            .collect();
        let plan = plan_run(&run, &done, &busy, &checks, now);
        let outcome = turn.outcome.unwrap_or(Outcome::GOOD);
        let started_at = Some(self.second());
        for measure in plan.measure {
            let at = now.checked_add(outcome.takes).unwrap_or(now);
            let finished_at = Timestamp::from_second(at.as_second()).unwrap_or(at);
            let phase = if turn.begun < outcome.silent {
                AnalysisPhase::Error
            } else {
                outcome.phase
            };
            turn.begun = turn.begun.saturating_add(1);
            let measurement = Measurement {
                phase,
                message: (phase == AnalysisPhase::Error).then(|| "no answer".to_owned()),
                started_at: started_at.clone(),
                finished_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(finished_at)),
                value: Some("1".to_owned()),
                ..Measurement::default()
            };
            turn.under_way.push((
                at,
                FinishedMeasurement {
                    metric: measure.metric,
                    measurement,
                    metadata: BTreeMap::default(),
                },
            ));
        }
        for cancel in plan.cancel {
            turn.under_way
                .retain(|(_, report)| report.metric != cancel.metric);
        }
        turn.at = plan.wake;
        self.turns.insert(name.to_owned(), turn);
        if run.status.as_ref() != Some(&plan.status) {
            // There is no status subresource: every write of the status is a change of the object.
            let mut run = AnalysisRun::clone(&run);
            run.status = Some(plan.status);
            run.metadata.generation = run.metadata.generation.map(|g| g + 1);
            run.metadata.resource_version = Some(self.next_version());
            self.runs.put(name, run);
        }
    }
}

impl RunTurn {
    fn next(&self) -> Option<Timestamp> {
        self.under_way.iter().map(|(at, _)| *at).chain(self.at).min()
    }
}
