//! One measurement of a metric that is asked of a server.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::clock;
use super::runs::Context;
use super::secrets::secrets;
use crate::api::analysis::{AnalysisPhase, AnalysisRun, Measurement, Metric};
use crate::engine::analysis::{FinishedMeasurement, redact, resolve_metric};

/// One measurement, with the secrets of its arguments read now and kept nowhere.
pub async fn take(ctx: &Context, run: &AnalysisRun, metric: &Metric) -> FinishedMeasurement {
    let started = clock::now();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let mut measurement = Measurement {
        started_at: Some(Time(started)),
        ..Measurement::default()
    };
    let mut metadata = BTreeMap::new();
    match secrets(&ctx.client, namespace, &run.spec.args).await {
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
    let finished = clock::now();
    let took = Duration::try_from(finished.duration_since(started)).unwrap_or_default();
    ctx.metrics.measured(metric, measurement.phase, took);
    measurement.finished_at = Some(Time(finished));
    FinishedMeasurement {
        metric: String::new(),
        measurement,
        metadata,
    }
}
