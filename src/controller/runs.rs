//! The pass of one AnalysisRun, and the measurements it asks for.
//!
//! A pass never waits for a provider: measurements run beside it, and each one that ends asks for the next pass. So a
//! provider that hangs delays neither the other metrics of its run nor any other run. What is under way is known to this
//! process only; one that starts anew measures anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::apply::call;
use super::error::{Backoff, Class, Error};
use super::events::Events;
use super::jobs::Jobs;
use super::metrics::{self, Ended, Metrics};
use super::observe::abilities;
use super::written::{Kind, Written};
use super::{FIELD_MANAGER, clock, merge_patch};
use crate::api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus};
use crate::engine::analysis::{FinishedMeasurement, PrepareError, Prepared, RunPlan, plan_prepared, prepare};
use crate::engine::observed;
use crate::metric::job;
use crate::metric::provider::{Defaults, Measurer};

mod measuring;

/// What the passes of all runs share.
pub struct Context {
    /// The client.
    pub client: Client,
    /// Where events go.
    pub events: Events,
    /// What measures.
    pub measurer: Arc<Measurer>,
    /// What a metric may leave out.
    pub defaults: Defaults,
    /// Metrics that are Jobs.
    pub jobs: Jobs,
    /// Asks for a pass.
    pub trigger: UnboundedSender<ObjectRef<AnalysisRun>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    written: Written,
    backoff: Backoff,
    live: Mutex<HashMap<String, Live>>,
    writers: Semaphore,
}

/// What this process knows of a run beside its status.
#[derive(Default)]
struct Live {
    /// Measurements under way, by metric.
    measuring: HashMap<String, AbortHandle>,
    /// Measurements that ended and are not in the committed status yet.
    finished: Vec<FinishedMeasurement>,
    /// When the status was last written by this process.
    written: Option<Timestamp>,
    /// Whether measurements are being written beside the passes.
    writing: bool,
    /// What the passes need of the spec.
    prepared: Option<Arc<ForSpec>>,
}

/// What a spec comes to; kept while it is the same, because it costs more than the rest of a pass.
struct ForSpec {
    spec: AnalysisRunSpec,
    outcome: Result<Prepared, PrepareError>,
}

/// How many runs write measurements at once, beside the passes.
const WRITERS: usize = 16;

/// The least time between two writes that only add measurements to a run.
///
/// A run with a shorter interval keeps them in memory until then, and measures on: otherwise many such runs would be as
/// late as the API server is slow. What decides anything is written at once (see [`is_routine`]); what a controller that
/// dies had not written, the next one measures anew.
const ROUTINE: SignedDuration = SignedDuration::from_secs(10);

impl Drop for Live {
    fn drop(&mut self) {
        for handle in self.measuring.values() {
            handle.abort();
        }
    }
}

impl Context {
    /// Nothing measured yet.
    pub fn new(
        client: Client,
        events: Events,
        measurer: Arc<Measurer>,
        defaults: Defaults,
        jobs: Jobs,
        trigger: UnboundedSender<ObjectRef<AnalysisRun>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (written, backoff, live) = (Written::default(), Backoff::default(), Mutex::default());
        let writers = Semaphore::new(WRITERS);
        Context {
            client,
            events,
            measurer,
            defaults,
            jobs,
            trigger,
            metrics,
            written,
            backoff,
            live,
            writers,
        }
    }

    /// What the passes need of the spec of a run.
    fn prepared(&self, run: &AnalysisRun) -> Arc<ForSpec> {
        let uid = observed::uid(&run.metadata);
        let known = self.live.lock().get(uid).and_then(|live| live.prepared.clone());
        if let Some(known) = known.filter(|known| known.spec == run.spec) {
            return known;
        }
        let spec = run.spec.clone();
        let outcome = prepare(&spec, &abilities().checks());
        let prepared = Arc::new(ForSpec { spec, outcome });
        // A finished run is looked at once, and costs nothing after that.
        if run
            .status
            .as_ref()
            .is_none_or(|status| !status.phase.is_completed())
        {
            self.live.lock().entry(uid.to_owned()).or_default().prepared = Some(Arc::clone(&prepared));
        }
        prepared
    }

    /// Forgets the runs that are gone, and stops measuring for them.
    pub fn sweep(&self, all: &Store<AnalysisRun>) {
        let live: HashSet<String> = all
            .state()
            .iter()
            .map(|r| observed::uid(&r.metadata).to_owned())
            .collect();
        self.written.keep(&live);
        self.backoff.keep(&live);
        self.live.lock().retain(|uid, _| live.contains(uid));
    }
}

/// One pass.
pub async fn reconcile(run: Arc<AnalysisRun>, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = clock::now();
    let meta = &run.metadata;
    let uid = observed::uid(meta);
    if meta.deletion_timestamp.is_some() {
        ctx.live.lock().remove(uid);
        return Ok(Action::await_change());
    }
    let (finished, measuring, written, writing) = {
        let live = ctx.live.lock();
        match live.get(uid) {
            Some(live) => (
                live.finished.clone(),
                live.measuring.keys().cloned().collect(),
                live.written,
                live.writing,
            ),
            None => (Vec::new(), Vec::new(), None, false),
        }
    };
    // After the reports were taken: a write beside the pass is noted before it takes away what it has written, so a pass
    // sees a report here, or that the store lags, but never neither.
    if !ctx
        .written
        .is_seen(uid, now, |_, _| meta.resource_version.clone())
    {
        ctx.metrics.passed(metrics::Kind::AnalysisRun, Ended::Early);
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let measuring: Vec<&str> = measuring.iter().map(String::as_str).collect();
    let prepared = ctx.prepared(&run);
    let plan = plan_prepared(&run, &prepared.outcome, &finished, &measuring, now);
    let routine = is_routine(&run, &plan, &finished);
    let later = written
        .and_then(|written| written.checked_add(ROUTINE).ok())
        .filter(|at| routine && *at > now);
    if !routine {
        commit(&ctx, &run, &plan.status, now).await?;
    } else if later.is_none() && !writing && !finished.is_empty() {
        write_beside(&ctx, &run, plan.status.clone(), finished.clone());
    }
    if let Some(live) = ctx.live.lock().get_mut(uid) {
        if !routine {
            live.finished.retain(|f| !finished.contains(f));
            live.written = Some(now);
        }
        for cancel in &plan.cancel {
            if let Some(handle) = live.measuring.remove(&cancel.metric) {
                handle.abort();
            }
        }
    }
    let about = run.object_ref(&());
    ctx.events.publish(&about, plan.events);
    let closing = !plan.cancel.is_empty();
    for cancel in plan.cancel {
        measuring::close(&ctx, &run, cancel, now);
    }
    for measure in plan.measure {
        measuring::start(&ctx, &run, &prepared, measure, now);
    }
    // What a finished run left in flight is closed by one more pass, which needs its report.
    if plan.status.phase.is_completed() && !closing {
        ctx.live.lock().remove(uid);
    }
    let measured = |metric: &str| {
        ctx.live
            .lock()
            .get(uid)
            .is_some_and(|live| live.measuring.contains_key(metric))
    };
    ctx.jobs.clean(uid, &plan.status, &measured).await?;
    ctx.backoff.succeeded(uid);
    ctx.metrics.passed(metrics::Kind::AnalysisRun, Ended::Done);
    if plan.delete {
        delete(&ctx, &run).await?;
        return Ok(Action::await_change());
    }
    let write = later.filter(|_| !finished.is_empty());
    let wake = plan.wake.into_iter().chain(write).min();
    Ok(wake.map_or_else(Action::await_change, |at| {
        let left = Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO);
        Action::requeue(left.max(Duration::from_millis(1)))
    }))
}

/// Writes measurements beside the passes, so that an API server that is slow delays no measurement.
fn write_beside(
    ctx: &Arc<Context>,
    run: &Arc<AnalysisRun>,
    wanted: AnalysisRunStatus,
    finished: Vec<FinishedMeasurement>,
) {
    let uid = observed::uid(&run.metadata).to_owned();
    ctx.live.lock().entry(uid.clone()).or_default().writing = true;
    let (ctx, run) = (Arc::clone(ctx), Arc::clone(run));
    tokio::spawn(async move {
        let _turn = ctx.writers.acquire().await;
        let done = commit(&ctx, &run, &wanted, clock::now()).await;
        if let Some(live) = ctx.live.lock().get_mut(&uid) {
            live.writing = false;
            live.written = Some(clock::now());
            if done.is_ok() {
                live.finished.retain(|f| !finished.contains(f));
            }
        }
        if let Err(error) = &done {
            // They are kept, and written with the next ones.
            failed(&run, error, &ctx);
        }
        let _ = ctx.trigger.unbounded_send(ObjectRef::from_obj(run.as_ref()));
    });
}

/// Whether a plan does nothing but add measurements that are over, and may be written later: no phase changes, of the run
/// or of a metric, nothing is stopped, and nothing is in flight that must be found again.
fn is_routine(run: &AnalysisRun, plan: &RunPlan, finished: &[FinishedMeasurement]) -> bool {
    let Some(stored) = &run.status else { return false };
    let phases = |status: &AnalysisRunStatus| -> Vec<(String, AnalysisPhase)> {
        status
            .metric_results
            .iter()
            .map(|result| (result.name.clone(), result.phase))
            .collect()
    };
    let ended_at_once = |report: &FinishedMeasurement| {
        report.measurement.phase.is_completed() && !report.measurement.metadata.contains_key(job::JOB_NAME)
    };
    stored.phase == plan.status.phase
        && phases(stored) == phases(&plan.status)
        && plan.cancel.is_empty()
        && plan.events.is_empty()
        && !plan.delete
        && finished.iter().all(ended_at_once)
}

/// Writes the difference between the stored and the wanted status, guarded by the version it was decided on. The status
/// of a run is an ordinary field: there is no subresource (wire contract 1.0).
async fn commit(
    ctx: &Context,
    run: &AnalysisRun,
    wanted: &AnalysisRunStatus,
    now: Timestamp,
) -> Result<(), Error> {
    let before = match &run.status {
        Some(status) => serde_json::to_value(status)?,
        None => json!({}),
    };
    let Some(change) = merge_patch::diff(&before, &serde_json::to_value(wanted)?) else {
        return Ok(());
    };
    let meta = &run.metadata;
    let name = observed::name(meta);
    let patch = json!({"metadata": {"resourceVersion": meta.resource_version}, "status": change});
    let options = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = runs(ctx, run);
    let done = call(
        "patch",
        "AnalysisRun",
        name,
        api.patch_metadata(name, &options, &Patch::Merge(&patch)),
    )
    .await?;
    let version = done.metadata.resource_version;
    ctx.written.note(
        observed::uid(meta),
        Kind::Root,
        name,
        version.as_deref(),
        false,
        now,
    );
    if run.status.as_ref().map(|s| s.phase) != Some(wanted.phase) {
        tracing::info!(
            namespace = meta.namespace.as_deref().unwrap_or_default(),
            name,
            phase = wanted.phase.as_str(),
            "{}",
            wanted.message.as_deref().unwrap_or("analysis"),
        );
    }
    Ok(())
}

async fn delete(ctx: &Context, run: &AnalysisRun) -> Result<(), Error> {
    let name = observed::name(&run.metadata);
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: run.metadata.uid.clone(),
        resource_version: None,
    });
    match call(
        "delete",
        "AnalysisRun",
        name,
        runs(ctx, run).delete(name, &params),
    )
    .await
    {
        Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_not_found()) => {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

fn runs(ctx: &Context, run: &AnalysisRun) -> Api<AnalysisRun> {
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced(ctx.client.clone(), namespace)
}

/// What to do after a pass that failed.
pub fn failed(run: &AnalysisRun, error: &Error, ctx: &Context) -> Action {
    let class = error.class();
    let (wait, count) = ctx.backoff.failed(observed::uid(&run.metadata), class);
    let (namespace, name) = (
        run.metadata.namespace.as_deref().unwrap_or_default(),
        observed::name(&run.metadata),
    );
    let sentence = error.sentence();
    if class == Class::Conflict {
        tracing::debug!(namespace, name, error = %sentence, "the world moved; looking again");
    } else {
        tracing::warn!(namespace, name, error = %sentence, count, class = class.as_str(), "the pass failed");
    }
    Action::requeue(wait)
}
