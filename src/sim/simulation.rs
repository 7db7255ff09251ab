//! The shell around the engine, in virtual time: watch, observe, plan, apply, commit; with everything that goes wrong.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use super::apply::{Kind, Refused, Write};
use super::cluster::Cluster;
use super::process::Process;
use super::step::{Delays, Endless, Faults, Step, When};
use crate::engine::{self, Observed, Refusal, RefusalKind};

/// After how long a pass that was refused is tried again, should no change come before.
const BACKOFF: SignedDuration = SignedDuration::from_millis(50);

/// News on the way to a cache.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    at: Timestamp,
    kind: Kind,
    upto: usize,
}

/// A cluster, the controller in it, and what is going to happen to them.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The cluster.
    pub cluster: Cluster,
    /// Passes so far, the skipped ones aside.
    pub passes: u32,
    /// Writes of the controller so far.
    pub writes: u32,
    script: VecDeque<(When, Action)>,
    last_action: Timestamp,
    delays: Delays,
    faults: Faults,
    until_crash: Option<u32>,
    drawn: usize,
    process: Process,
    deliveries: VecDeque<Delivery>,
    scheduled: BTreeMap<Kind, usize>,
}

type Watch<'a> = &'a mut dyn FnMut(&Cluster, &Step<'_>);

impl Simulation {
    /// A controller starts beside this cluster; `script` is what will happen, one after the other.
    pub fn new(cluster: Cluster, script: Vec<(When, Action)>, delays: Delays, faults: Faults) -> Self {
        let process = Process::start(&cluster);
        let mut simulation = Simulation {
            passes: 0,
            writes: 0,
            script: script.into(),
            last_action: cluster.now,
            delays,
            until_crash: None,
            faults,
            drawn: 0,
            process,
            deliveries: VecDeque::new(),
            scheduled: BTreeMap::new(),
            cluster,
        };
        simulation.arm();
        simulation.scheduled = simulation.written();
        simulation
    }

    /// Goes on until nothing is going to happen any more, for `bound` passes at the most. `watch` is told of everything.
    pub fn run(&mut self, bound: u32, watch: Watch<'_>) -> Result<(), Endless> {
        let end = self.passes.saturating_add(bound);
        loop {
            if self.process.changed {
                if self.passes >= end {
                    return Err(Endless { passes: self.passes });
                }
                self.pass(watch);
                continue;
            }
            let due = [self.next_outside(), self.process.requeue]
                .into_iter()
                .flatten()
                .min();
            if let Some(at) = due {
                self.pass_time(at, watch);
            } else if let Some((_, action)) = self.script.pop_front() {
                self.act(&action, watch);
            } else {
                return Ok(());
            }
        }
    }

    /// Adds to what is going to happen.
    pub fn then(&mut self, when: When, action: Action) {
        if self.script.is_empty() {
            self.last_action = self.cluster.now;
        }
        self.script.push_back((when, action));
    }

    /// The memory of the controller is lost, and another one starts.
    pub fn crash(&mut self) {
        self.process = Process::start(&self.cluster);
        self.deliveries.clear();
        self.scheduled = self.written();
    }

    fn act(&mut self, action: &Action, watch: Watch<'_>) {
        self.cluster.act(action);
        if *action == Action::Upgrade {
            self.crash();
        }
        self.last_action = self.cluster.now;
        self.publish();
        watch(&self.cluster, &Step::Acted(action));
    }

    /// The next moment at which something happens that is not the controller's.
    fn next_outside(&self) -> Option<Timestamp> {
        let scripted = match self.script.front() {
            Some((When::After(delay), _)) => self.last_action.checked_add(*delay).ok(),
            Some((When::Quiet, _)) | None => None,
        };
        let delivered = self.deliveries.iter().map(|d| d.at).min();
        let all = [
            scripted,
            delivered,
            self.cluster.next_pod_change(),
            self.cluster.next_run_change(),
            self.cluster.next_endpoints_change(),
        ];
        all.into_iter().flatten().min()
    }

    /// Lets time pass until `until`, with all that happens outside of the controller.
    fn pass_time(&mut self, until: Timestamp, watch: Watch<'_>) {
        while let Some(at) = self.next_outside().filter(|at| *at <= until) {
            let since = self.cluster.now;
            self.cluster.now = at.max(since);
            self.happen(since, watch);
        }
        self.cluster.now = self.cluster.now.max(until);
        if self.process.requeue.is_some_and(|at| at <= self.cluster.now) {
            self.process.requeue = None;
            self.process.changed = true;
        }
    }

    fn happen(&mut self, since: Timestamp, watch: Watch<'_>) {
        let now = self.cluster.now;
        self.cluster.run_pods(since);
        self.cluster.run_runs();
        self.cluster.run_endpoints();
        self.publish();
        if let Some((When::After(delay), _)) = self.script.front()
            && self.last_action.checked_add(*delay).is_ok_and(|at| at <= now)
            && let Some((_, action)) = self.script.pop_front()
        {
            self.act(&action, watch);
        }
        let mut late = VecDeque::new();
        for delivery in std::mem::take(&mut self.deliveries) {
            if delivery.at > now {
                late.push_back(delivery);
                continue;
            }
            let (view, cluster) = (&mut self.process.view, &self.cluster);
            view.follow(cluster, delivery.kind, delivery.upto);
            self.process.changed = true;
        }
        self.deliveries = late;
    }

    fn written(&self) -> BTreeMap<Kind, usize> {
        Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.cluster.writes(kind)))
            .collect()
    }

    /// Sends the news of the latest writes on their way. The news of one kind arrive in order.
    fn publish(&mut self) {
        for (kind, upto) in self.written() {
            if self.scheduled.get(&kind).is_some_and(|known| *known >= upto) {
                continue;
            }
            self.scheduled.insert(kind, upto);
            let last = self
                .deliveries
                .iter()
                .filter(|d| d.kind == kind)
                .map(|d| d.at)
                .max();
            let delay = Self::draw(&mut self.drawn, &self.delays.watch);
            let at = self.later(delay);
            self.deliveries.push_back(Delivery {
                at: last.map_or(at, |last| last.max(at)),
                kind,
                upto,
            });
        }
    }

    fn draw(drawn: &mut usize, list: &[u32]) -> SignedDuration {
        *drawn += 1;
        let millis = if list.is_empty() {
            0
        } else {
            list[*drawn % list.len()]
        };
        SignedDuration::from_millis(i64::from(millis))
    }

    fn later(&self, by: SignedDuration) -> Timestamp {
        self.cluster.now.checked_add(by).unwrap_or(self.cluster.now)
    }

    fn arm(&mut self) {
        self.until_crash = match self.faults.crashes.len() {
            0 => None,
            1 if self.faults.always => Some(self.faults.crashes[0]),
            _ => Some(self.faults.crashes.remove(0)),
        };
    }

    /// Whether the controller dies after this write.
    fn dies(&mut self) -> bool {
        self.writes += 1;
        match &mut self.until_crash {
            Some(left) if *left <= 1 => {
                self.arm();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn pass(&mut self, watch: Watch<'_>) {
        self.process.changed = false;
        if !self.process.has_seen_own_writes() {
            // The news that show the write ask for the next pass.
            watch(&self.cluster, &Step::Skipped);
            return;
        }
        self.passes += 1;
        let Some(observed) = self.process.view.observe(self.process.refusal.clone()) else {
            return;
        };
        let now = self.cluster.now;
        let plan = engine::plan(&observed, now);
        watch(
            &self.cluster,
            &Step::Planned {
                observed: &observed,
                plan: &plan,
            },
        );
        let mut version = observed
            .rollout
            .metadata
            .resource_version
            .clone()
            .unwrap_or_default();
        for intent in &plan.intents {
            self.call(watch);
            let before = self.cluster.capacity();
            match self.cluster.apply(intent, &version) {
                Ok(write) => {
                    if write.kind == Kind::Rollout {
                        version = write.version.to_string();
                    }
                    watch(
                        &self.cluster,
                        &Step::Applied {
                            observed: &observed,
                            intent,
                            before,
                        },
                    );
                    if self.note(write, watch) {
                        return;
                    }
                }
                Err(why) => {
                    watch(
                        &self.cluster,
                        &Step::Refused {
                            intent: Some(intent),
                            why: &why,
                        },
                    );
                    self.refused(why, &observed);
                    return;
                }
            }
        }
        let before = observed.rollout.status.clone().unwrap_or_default();
        if plan.status != before || observed.rollout.status.is_none() {
            self.call(watch);
            match self.cluster.commit(&plan.status, &version) {
                Ok(write) => {
                    let after = self.cluster.status();
                    watch(
                        &self.cluster,
                        &Step::Committed {
                            observed: &observed,
                            before: &before,
                            after: &after,
                        },
                    );
                    if self.note(write, watch) {
                        return;
                    }
                }
                Err(why) => {
                    watch(
                        &self.cluster,
                        &Step::Refused {
                            intent: None,
                            why: &why,
                        },
                    );
                    self.refused(why, &observed);
                    return;
                }
            }
        } else if plan.intents.is_empty() {
            watch(
                &self.cluster,
                &Step::Idle {
                    observed: &observed,
                    wake: plan.wake,
                },
            );
        }
        // The real shell does the same: whatever is asked for, it is not asked again within ten milliseconds.
        let soon = self.later(SignedDuration::from_millis(10));
        self.process.requeue = plan.wake.map(|at| at.max(soon));
    }

    /// One call takes its time, and the world does not stand still.
    fn call(&mut self, watch: Watch<'_>) {
        let delay = Self::draw(&mut self.drawn, &self.delays.call);
        let until = self.later(delay);
        if until > self.cluster.now {
            let requeue = self.process.requeue.take();
            self.pass_time(until, watch);
            self.process.requeue = requeue;
        }
    }

    /// Remembers a write; whether the controller died of it.
    fn note(&mut self, write: Write, watch: Watch<'_>) -> bool {
        self.process.own.insert((write.kind, write.name.clone()), write);
        self.publish();
        if !self.dies() {
            return false;
        }
        self.crash();
        watch(&self.cluster, &Step::Crashed);
        true
    }

    fn refused(&mut self, why: Refused, observed: &Observed) {
        match why {
            Refused::Template(message) => {
                // An observation: planned with at once, so that the pass ends with the condition.
                self.process.refusal = Some(Refusal {
                    kind: RefusalKind::Invalid,
                    pod_hash: observed.identity.pod_hash.clone(),
                    message,
                });
                self.process.changed = true;
            }
            Refused::Exists | Refused::Missing | Refused::Moved => {
                self.process.requeue = Some(self.later(BACKOFF));
            }
        }
    }
}
