//! Measuring beside the passes: each measurement is a task of its own, and asks for a pass when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::ObjectRef;

use super::{Context, ForSpec};
use crate::api::analysis::{AnalysisPhase, AnalysisRun, Measurement, Metric};
use crate::controller::clock;
use crate::controller::jobs::Look;
use crate::controller::secrets::secrets;
use crate::engine::analysis::{Cancel, FinishedMeasurement, Measure, redact, resolve_metric, secret_refs};
use crate::engine::observed;
use crate::metric::job;
use crate::metric::provider::Measured;

/// Reports how a measurement ended that the run leaves in flight; its Job goes when that is stored.
pub(super) fn close(ctx: &Arc<Context>, run: &Arc<AnalysisRun>, cancel: Cancel, now: Timestamp) {
    let Some(stored) = cancel.measurement else { return };
    report(ctx, run, &cancel.metric, job::terminated(&stored, now));
}

/// Takes in a measurement and asks for the pass that stores it.
fn report(ctx: &Context, run: &AnalysisRun, metric: &str, measurement: Measurement) {
    let report = FinishedMeasurement {
        metric: metric.to_owned(),
        measurement,
        metadata: BTreeMap::new(),
    };
    ctx.live
        .lock()
        .entry(observed::uid(&run.metadata).to_owned())
        .or_default()
        .finished
        .push(report);
    // A process that shuts down listens no more.
    let _ = ctx.trigger.unbounded_send(ObjectRef::from_obj(run));
}

/// What a measurement asks for.
enum Work {
    /// Ask a server for the metric of this place.
    Measure(Arc<ForSpec>, usize),
    /// Create a Job, as the how-manieth measurement of the metric.
    CreateJob(i64),
    /// Ask the API server for the Job of a measurement in flight.
    AskForJob(Measurement),
}

/// Measures beside the pass.
pub(super) fn start(
    ctx: &Arc<Context>,
    run: &Arc<AnalysisRun>,
    prepared: &Arc<ForSpec>,
    measure: Measure,
    now: Timestamp,
) {
    let Measure {
        index,
        metric: name,
        ordinal,
        resume,
    } = measure;
    let Some(metric) = run.spec.metrics.get(index) else {
        return;
    };
    let work = match (metric.provider.job.is_some(), resume) {
        (false, _) => Work::Measure(Arc::clone(prepared), index),
        (true, None) => Work::CreateJob(ordinal),
        (true, Some(stored)) => match ctx.jobs.look(observed::uid(&run.metadata), &stored, now) {
            Look::Running => return,
            Look::Ended(ended) => return report(ctx, run, &name, ended),
            Look::Unknown => Work::AskForJob(stored),
        },
    };
    let uid = observed::uid(&run.metadata).to_owned();
    let mut live = ctx.live.lock();
    let state = live.entry(uid.clone()).or_default();
    if state.measuring.contains_key(&name) {
        return;
    }
    let task = {
        let (ctx, run, name) = (Arc::clone(ctx), Arc::clone(run), name.clone());
        async move {
            let report = carry_out(&ctx, &run, index, work).await;
            if let Some(live) = ctx.live.lock().get_mut(&uid) {
                live.measuring.remove(&name);
                live.finished.extend(report.map(|report| FinishedMeasurement {
                    metric: name,
                    ..report
                }));
            }
            // A process that shuts down listens no more.
            let _ = ctx.trigger.unbounded_send(ObjectRef::from_obj(run.as_ref()));
        }
    };
    let handle = tokio::spawn(task).abort_handle();
    state.measuring.insert(name, handle);
}

/// The report of one piece of work; `None` when there is nothing new.
async fn carry_out(
    ctx: &Context,
    run: &AnalysisRun,
    index: usize,
    work: Work,
) -> Option<FinishedMeasurement> {
    let measurement = match work {
        Work::Measure(prepared, index) => return Some(take(ctx, run, &prepared, index).await),
        Work::CreateJob(ordinal) => ctx.jobs.create(run, index, ordinal).await,
        Work::AskForJob(stored) => ctx.jobs.ask(&stored).await?,
    };
    Some(FinishedMeasurement {
        metric: String::new(),
        measurement,
        metadata: BTreeMap::new(),
    })
}

/// One measurement, with the secrets of its arguments read now and kept nowhere.
async fn take(ctx: &Context, run: &AnalysisRun, prepared: &ForSpec, index: usize) -> FinishedMeasurement {
    let started = clock::now();
    let mut measurement = Measurement {
        started_at: Some(Time(started)),
        ..Measurement::default()
    };
    let mut metadata = BTreeMap::new();
    match measure(ctx, run, prepared, index, started).await {
        Ok(measured) => {
            measurement.phase = measured.phase;
            measurement.message = measured.message;
            measurement.value = measured.value;
            measurement.metadata = measured.metadata;
            metadata = measured.metric_metadata;
        }
        Err(message) => {
            measurement.phase = AnalysisPhase::Error;
            measurement.message = Some(message);
        }
    }
    let finished = clock::now();
    if let Some(metric) = run.spec.metrics.get(index) {
        let took = Duration::try_from(finished.duration_since(started)).unwrap_or_default();
        ctx.metrics.measured(metric, measurement.phase, took);
    }
    measurement.finished_at = Some(Time(finished));
    FinishedMeasurement {
        metric: String::new(),
        measurement,
        metadata,
    }
}

async fn measure(
    ctx: &Context,
    run: &AnalysisRun,
    prepared: &ForSpec,
    index: usize,
    now: Timestamp,
) -> Result<Measured, String> {
    let ask = async |metric: &Metric, values: &[String]| {
        ctx.measurer
            .measure_and_judge(metric, &ctx.defaults, values, now)
            .await
    };
    let args = &run.spec.args;
    // Without secrets the metric is filled in already.
    if let Ok(prepared) = &prepared.outcome
        && let Some(metric) = prepared.metrics.get(index)
        && secret_refs(args).is_empty()
    {
        return Ok(ask(metric, &[]).await);
    }
    let metric = run
        .spec
        .metrics
        .get(index)
        .ok_or_else(|| format!("metrics[{index}] is not there"))?;
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let secrets = secrets(&ctx.client, namespace, args).await?;
    let metric = resolve_metric(metric, args, &secrets)
        .map_err(|error| redact(&error.to_string(), secrets.values()))?;
    let values: Vec<String> = secrets.into_values().collect();
    Ok(ask(&metric, &values).await)
}
