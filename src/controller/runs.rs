//! The pass of one AnalysisRun, and the measurements it asks for.
//!
//! A pass never waits for a provider: measurements run beside it, and each one that ends asks for the next pass. So a
//! provider that hangs delays neither the other metrics of its run nor any other run. What is under way is known to this
//! process only; one that starts anew measures anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::AbortHandle;

use super::apply::call;
use super::error::{Backoff, Class, Error};
use super::events::Events;
use super::observe::abilities;
use super::written::{Kind, Written};
use super::{FIELD_MANAGER, clock, merge_patch};
use crate::api::analysis::{AnalysisPhase, AnalysisRun, Argument, Measurement, Metric};
use crate::engine::analysis::{
    Checks, FinishedMeasurement, Measure, RunPlan, plan_run, redact, resolve_metric, secret_refs,
};
use crate::engine::observed;
use crate::metric::provider::{Defaults, Measurer};

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
    /// Asks for a pass.
    pub trigger: UnboundedSender<ObjectRef<AnalysisRun>>,
    written: Written,
    backoff: Backoff,
    live: Mutex<HashMap<String, Live>>,
}

/// What this process knows of a run beside its status.
#[derive(Default)]
struct Live {
    /// Measurements under way, by metric.
    measuring: HashMap<String, AbortHandle>,
    /// Measurements that ended and are not in the committed status yet.
    finished: Vec<FinishedMeasurement>,
}

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
        trigger: UnboundedSender<ObjectRef<AnalysisRun>>,
    ) -> Self {
        let (written, backoff, live) = (Written::default(), Backoff::default(), Mutex::default());
        Context {
            client,
            events,
            measurer,
            defaults,
            trigger,
            written,
            backoff,
            live,
        }
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
    if !ctx
        .written
        .is_seen(uid, now, |_, _| meta.resource_version.clone())
    {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let (finished, measuring) = {
        let live = ctx.live.lock();
        match live.get(uid) {
            Some(live) => (live.finished.clone(), live.measuring.keys().cloned().collect()),
            None => (Vec::new(), Vec::new()),
        }
    };
    let measuring: Vec<&str> = measuring.iter().map(String::as_str).collect();
    let plan = {
        let abilities = abilities();
        let checks = Checks {
            condition: &abilities.condition,
            providers: abilities.providers,
        };
        plan_run(&run, &finished, &measuring, &checks, now)
    };
    commit(&ctx, &run, &plan, now).await?;
    if let Some(live) = ctx.live.lock().get_mut(uid) {
        live.finished.retain(|f| !finished.contains(f));
        for cancel in &plan.cancel {
            if let Some(handle) = live.measuring.remove(&cancel.metric) {
                handle.abort();
            }
        }
    }
    let about = run.object_ref(&());
    ctx.events.publish(&about, plan.events);
    for measure in plan.measure {
        start(&ctx, &run, measure);
    }
    if plan.status.phase.is_completed() {
        ctx.live.lock().remove(uid);
    }
    ctx.backoff.succeeded(uid);
    if plan.delete {
        delete(&ctx, &run).await?;
        return Ok(Action::await_change());
    }
    Ok(plan.wake.map_or_else(Action::await_change, |at| {
        let left = Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO);
        Action::requeue(left.max(Duration::from_millis(1)))
    }))
}

/// Writes the difference between the stored and the wanted status, guarded by the version it was decided on. The status
/// of a run is an ordinary field: there is no subresource (wire contract 1.0).
async fn commit(ctx: &Context, run: &AnalysisRun, plan: &RunPlan, now: Timestamp) -> Result<(), Error> {
    let before = match &run.status {
        Some(status) => serde_json::to_value(status)?,
        None => json!({}),
    };
    let Some(change) = merge_patch::diff(&before, &serde_json::to_value(&plan.status)?) else {
        return Ok(());
    };
    let meta = &run.metadata;
    let name = observed::name(meta);
    let patch = json!({"metadata": {"resourceVersion": meta.resource_version}, "status": change});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = runs(ctx, run);
    let done = call(
        "patch",
        "AnalysisRun",
        name,
        api.patch_metadata(name, &params, &Patch::Merge(&patch)),
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
    if run.status.as_ref().map(|s| s.phase) != Some(plan.status.phase) {
        tracing::info!(
            namespace = meta.namespace.as_deref().unwrap_or_default(),
            name,
            phase = plan.status.phase.as_str(),
            "{}",
            plan.status.message.as_deref().unwrap_or("analysis"),
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
    Api::namespaced(
        ctx.client.clone(),
        run.metadata.namespace.as_deref().unwrap_or_default(),
    )
}

/// Measures beside the pass.
fn start(ctx: &Arc<Context>, run: &Arc<AnalysisRun>, measure: Measure) {
    let Some(metric) = run.spec.metrics.get(measure.index).cloned() else {
        return;
    };
    let uid = observed::uid(&run.metadata).to_owned();
    let name = measure.metric;
    let mut live = ctx.live.lock();
    let state = live.entry(uid.clone()).or_default();
    if state.measuring.contains_key(&name) {
        return;
    }
    let task = {
        let (ctx, run, name) = (Arc::clone(ctx), Arc::clone(run), name.clone());
        async move {
            let mut report = take(&ctx, &run, &metric).await;
            report.metric.clone_from(&name);
            if let Some(live) = ctx.live.lock().get_mut(&uid) {
                live.measuring.remove(&name);
                live.finished.push(report);
            }
            // A process that shuts down listens no more.
            let _ = ctx.trigger.unbounded_send(ObjectRef::from_obj(run.as_ref()));
        }
    };
    let handle = tokio::spawn(task).abort_handle();
    state.measuring.insert(name, handle);
}

/// One measurement, with the secrets of its arguments read now and kept nowhere.
async fn take(ctx: &Context, run: &AnalysisRun, metric: &Metric) -> FinishedMeasurement {
    let started = clock::now();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let mut measurement = Measurement {
        started_at: Some(Time(started)),
        ..Measurement::default()
    };
    let mut metadata = BTreeMap::new();
    match secrets(ctx, namespace, &run.spec.args).await {
        Ok(secrets) => match resolve_metric(metric, &run.spec.args, &secrets) {
            Ok(resolved) => {
                let values: Vec<String> = secrets.values().cloned().collect();
                let measured = ctx
                    .measurer
                    .measure_and_judge(&resolved, &ctx.defaults, &values, started)
                    .await;
                measurement.phase = measured.phase;
                measurement.message = measured.message;
                measurement.value = measured.value;
                measurement.metadata = measured.metadata;
                metadata = measured.metric_metadata;
            }
            Err(error) => {
                measurement.phase = AnalysisPhase::Error;
                measurement.message = Some(redact(&error.to_string(), secrets.values()));
            }
        },
        Err(message) => {
            measurement.phase = AnalysisPhase::Error;
            measurement.message = Some(message);
        }
    }
    measurement.finished_at = Some(Time(clock::now()));
    FinishedMeasurement {
        metric: String::new(),
        measurement,
        metadata,
    }
}

/// The values of the arguments that are keys of Secrets. Only the Secrets that the run names are read, by name.
async fn secrets(
    ctx: &Context,
    namespace: &str,
    args: &[Argument],
) -> Result<BTreeMap<String, String>, String> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let mut values = BTreeMap::new();
    for (arg, key) in secret_refs(args) {
        let secret = call("read", "Secret", &key.name, api.get(&key.name))
            .await
            .map_err(|error| format!("argument \"{arg}\": {}", error.sentence()))?;
        let bytes = secret
            .data
            .as_ref()
            .and_then(|data| data.get(&key.key))
            .ok_or_else(|| {
                format!(
                    "argument \"{arg}\": Secret \"{}\" has no key \"{}\"",
                    key.name, key.key
                )
            })?;
        let value = String::from_utf8(bytes.0.clone()).map_err(|_| {
            format!(
                "argument \"{arg}\": key \"{}\" of Secret \"{}\" is not text",
                key.key, key.name
            )
        })?;
        values.insert(arg.to_owned(), value);
    }
    Ok(values)
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
