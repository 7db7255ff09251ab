//! `/metrics`. What objects are like is read off the stores when it is asked for; what has happened is counted here.
//! docs/metrics.md lists all of it.

mod calls;
mod objects;
mod own;
mod page;
mod queue;
mod series;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Uri};
use jiff::Timestamp;
use kube::api::ObjectMeta;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::page::Page;
pub use self::queue::Queue;
use self::series::{Counters, Histograms};
use super::clock;
use super::error::Class;
use super::observe::Stores;
use crate::api::analysis::{AnalysisPhase, Metric};
use crate::api::names::RolloutPhase;
use crate::engine::observed;
use crate::engine::timing::Ended as Update;

/// Upper bounds of the contract's histograms of passes, in seconds.
const PASSES: [f64; 5] = [0.01, 0.15, 0.25, 0.5, 1.0];
/// From a second to a day.
const PHASES: [f64; 8] = [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0];
/// Upper bounds of updates and what they consist of, in seconds: from ten seconds to a week.
const UPDATES: [f64; 10] = [
    10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 43200.0, 86400.0, 604_800.0,
];
const MEASUREMENTS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The kinds that have passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rollouts.
    Rollout,
    /// AnalysisRuns.
    AnalysisRun,
    /// Services that some Rollout managed.
    Service,
}

/// What became of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It looked, and did what there was to do.
    Done,
    /// The stores did not show this process's last write yet.
    Early,
    /// It could not be finished.
    Failed(Class),
}

/// What this process counts.
pub struct Metrics {
    started: Timestamp,
    leads: AtomicBool,
    passes: Counters<2>,
    rollout_passes: Histograms<2>,
    rollout_errors: Counters<2>,
    run_passes: Histograms<2>,
    run_errors: Counters<2>,
    events: Counters<4>,
    phases: Histograms<1>,
    updates: Histograms<1>,
    progressions: Histograms<1>,
    manual_pauses: Histograms<1>,
    measurements: Histograms<2>,
    calls: Counters<3>,
    held_back: AtomicU64,
    watch_errors: Counters<1>,
    rollout_queue: Queue,
    run_queue: Queue,
    service_queue: Queue,
    /// The phase of each Rollout, by uid, and since when this process knows it to last.
    lasting: Mutex<HashMap<String, (RolloutPhase, Instant)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let object = ["namespace", "name"];
        Metrics {
            started: clock::now(),
            leads: AtomicBool::new(false),
            passes: Counters::new(
                "serin_passes_total",
                "Passes by what became of them",
                ["kind", "outcome"],
            ),
            rollout_passes: Histograms::new(
                "rollout_reconcile",
                "How long passes of a Rollout took",
                object,
                &PASSES,
            ),
            rollout_errors: Counters::new(
                "rollout_reconcile_error",
                "Passes of a Rollout that failed",
                object,
            ),
            run_passes: Histograms::new(
                "analysis_run_reconcile",
                "How long passes of an AnalysisRun took",
                object,
                &PASSES,
            ),
            run_errors: Counters::new(
                "analysis_run_reconcile_error",
                "Passes of an AnalysisRun that failed",
                object,
            ),
            events: Counters::new(
                "rollout_events_total",
                "Events of a Rollout",
                ["namespace", "name", "type", "reason"],
            ),
            phases: Histograms::new(
                "serin_rollout_phase_duration_seconds",
                "How long a phase lasted that has ended",
                ["phase"],
                &PHASES,
            ),
            updates: Histograms::new(
                "rollout_duration_seconds",
                "How long updates took that have ended",
                ["status"],
                &UPDATES,
            ),
            progressions: Histograms::new(
                "rollout_progression_duration_seconds",
                "How long updates took that have ended, without their waits for people",
                ["status"],
                &UPDATES,
            ),
            manual_pauses: Histograms::new(
                "rollout_manual_pause_duration_seconds",
                "How long updates that have ended waited for people",
                ["status"],
                &UPDATES,
            ),
            measurements: Histograms::new(
                "serin_measurement_duration_seconds",
                "How long measurements took, by what became of them",
                ["provider", "phase"],
                &MEASUREMENTS,
            ),
            calls: Counters::new(
                "controller_clientset_k8s_request_total",
                "Calls to the API server",
                ["kind", "verb", "status_code"],
            ),
            held_back: AtomicU64::new(0),
            watch_errors: Counters::new("serin_watch_errors_total", "Failures of watches", ["kind"]),
            rollout_queue: Queue::new("Rollouts"),
            run_queue: Queue::new("AnalysisRuns"),
            service_queue: Queue::new("Services"),
            lasting: Mutex::default(),
        }
    }
}

fn object(meta: &ObjectMeta) -> [Cow<'static, str>; 2] {
    let namespace = meta.namespace.clone().unwrap_or_default();
    [namespace.into(), observed::name(meta).to_owned().into()]
}

impl Metrics {
    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// Whether this process leads.
    pub fn is_leading(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    /// The queue of a kind.
    pub fn queue(&self, kind: Kind) -> &Queue {
        match kind {
            Kind::Rollout => &self.rollout_queue,
            Kind::AnalysisRun => &self.run_queue,
            Kind::Service => &self.service_queue,
        }
    }

    /// Counts a pass.
    pub fn passed(&self, kind: Kind, outcome: Ended) {
        let word = match kind {
            Kind::Rollout => "Rollout",
            Kind::AnalysisRun => "AnalysisRun",
            Kind::Service => "Service",
        };
        let outcome = match outcome {
            Ended::Done => "done",
            Ended::Early => "early",
            Ended::Failed(class) => class.as_str(),
        };
        self.passes.count([word.into(), outcome.into()]);
    }

    /// Counts the time of a pass by its object, and whether it failed. A conflict is no failure.
    pub fn took(&self, kind: Kind, meta: &ObjectMeta, took: Duration, failed: Option<Class>) {
        let (passes, errors) = match kind {
            Kind::Rollout => (&self.rollout_passes, &self.rollout_errors),
            Kind::AnalysisRun => (&self.run_passes, &self.run_errors),
            Kind::Service => return,
        };
        passes.observe(object(meta), took);
        if failed.is_some_and(|class| class != Class::Conflict) {
            errors.count(object(meta));
        }
    }

    /// Counts an event of a Rollout.
    pub fn told(&self, namespace: &str, name: &str, warning: bool, reason: &'static str) {
        let kind = if warning { "Warning" } else { "Normal" };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.events
            .count([namespace.into(), name.into(), kind.into(), reason.into()]);
    }

    /// A Rollout has this phase now. The one before has ended, if this process saw it begin.
    pub fn phase_is(&self, uid: &str, phase: Option<&str>) {
        let mut lasting = self.lasting.lock();
        let Some(phase) = phase.and_then(RolloutPhase::parse) else {
            lasting.remove(uid);
            return;
        };
        let known = lasting.get(uid).copied();
        if known.is_some_and(|(known, _)| known == phase) {
            return;
        }
        if let Some((ended, since)) = known {
            self.phases.observe([ended.as_str().into()], since.elapsed());
        }
        lasting.insert(uid.to_owned(), (phase, Instant::now()));
    }

    /// Counts an update that has ended.
    pub fn ended(&self, Update { how, took, waited }: Update) {
        for (histogram, seconds) in [
            (&self.updates, took),
            (&self.progressions, took - waited),
            (&self.manual_pauses, waited),
        ] {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            histogram.observe([how.as_str().into()], Duration::from_secs(seconds));
        }
    }

    /// Counts a measurement.
    pub fn measured(&self, metric: &Metric, phase: AnalysisPhase, took: Duration) {
        let provider = objects::provider_type(&metric.provider);
        self.measurements
            .observe([provider.into(), phase.as_str().into()], took);
    }

    /// Counts a call; 0 where nothing answered.
    pub fn called(&self, method: &Method, uri: &Uri, status: u16) {
        let (verb, kind) = calls::describe(method, uri);
        self.calls
            .count([kind.into(), verb.into(), status.to_string().into()]);
    }

    /// Counts the time that a call waited for its turn.
    pub fn held_back(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.held_back.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Counts a failure of the watch of a kind.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors.count([kind.to_owned().into()]);
    }

    /// The age of the oldest pass under way.
    pub fn longest_pass(&self) -> Duration {
        let all = [&self.rollout_queue, &self.run_queue, &self.service_queue];
        all.map(Queue::longest).into_iter().max().unwrap_or_default()
    }

    /// Forgets the objects that are gone.
    pub fn sweep(&self, stores: &Stores) {
        let rollouts = stores.rollouts.store().state();
        let metas = rollouts.iter().map(|w| &w.rollout.metadata);
        let uids: HashSet<&str> = metas.clone().map(observed::uid).collect();
        let live: HashSet<[Cow<'static, str>; 2]> = metas.map(object).collect();
        self.lasting.lock().retain(|uid, _| uids.contains(uid.as_str()));
        self.rollout_passes.retain(|object| live.contains(object));
        self.rollout_errors.retain(|object| live.contains(object));
        self.events
            .retain(|[namespace, name, _, _]| live.contains(&[namespace.clone(), name.clone()]));
        let runs = stores.analysis_runs.store().state();
        let live: HashSet<[Cow<'static, str>; 2]> = runs.iter().map(|r| object(&r.metadata)).collect();
        self.run_passes.retain(|object| live.contains(object));
        self.run_errors.retain(|object| live.contains(object));
    }

    /// The page. The stores are absent until they are filled.
    pub fn text(&self, stores: Option<&Stores>) -> String {
        let mut page = Page::default();
        let version = env!("CARGO_PKG_VERSION");
        page.head("argo_rollouts_controller_info", "gauge", "Running controller");
        page.sample("argo_rollouts_controller_info", &[("version", version)], 1);
        page.head("build_info", "gauge", "What was built");
        let labels = [
            ("version", version),
            ("goversion", ""),
            ("goarch", architecture()),
            ("commit", option_env!("SERIN_COMMIT").unwrap_or_default()),
        ];
        page.sample("build_info", &labels, 1);
        let leads = u8::from(self.is_leading());
        page.single("serin_leader", "gauge", "Whether this process leads", leads);
        let ready = u8::from(stores.is_some());
        page.single("serin_ready", "gauge", "Whether the stores are filled", ready);
        self.passes.page(&mut page);
        self.calls.page(&mut page);
        let help = "Time that calls waited for their turn";
        let held_back = Duration::from_nanos(self.held_back.load(Ordering::Relaxed)).as_secs_f64();
        page.single("serin_api_held_back_seconds_total", "counter", help, held_back);
        self.watch_errors.page(&mut page);
        let queues = [&self.rollout_queue, &self.run_queue, &self.service_queue];
        queue::page(&queues, &mut page);
        self.rollout_passes.page(&mut page);
        self.rollout_errors.page(&mut page);
        self.events.page(&mut page);
        self.phases.page(&mut page);
        self.updates.page(&mut page);
        self.progressions.page(&mut page);
        self.manual_pauses.page(&mut page);
        self.run_passes.page(&mut page);
        self.run_errors.page(&mut page);
        self.measurements.page(&mut page);
        own::page(&mut page, self.started);
        if let Some(stores) = stores {
            objects::page(stores, clock::now(), &mut page);
        }
        page.into_text()
    }
}

/// The architecture in the words that image platforms use, too.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        std::env::consts::ARCH
    }
}

#[cfg(test)]
mod tests;
