//! Measuring: a metric goes in, one sample comes out; then the sample is judged.
//!
//! Every call has a time limit, a size cap and a place in a queue per address, so one slow server starves
//! nobody else. What went wrong is a closed list ([`ProviderError`]). Nothing that leaves this module holds a
//! secret.
//!
//! # A deliberate difference: no data never promotes
//!
//! The contract's own controller counts a measurement as Successful whenever the conditions say so, also when
//! there was nothing to judge: `all(result, # > 0.9)` holds for an empty list, `result[0] > 0.05` as a
//! failureCondition does not hold for NaN, and a metric without conditions is Successful whatever came back.
//! Here an empty Prometheus result, or one in which every value is NaN, is Successful only when the condition
//! that grants the success deals with that case in its own text: for an empty result it calls `len`, uses
//! `??` or compares with `[]`; for NaN it calls `isNaN`. (`isNil` and `default` do not count: an empty list
//! is not nil.) The condition that grants it is the successCondition, or the failureCondition where there is
//! no other. Otherwise the measurement is Inconclusive and its message says what was missing. Failed and
//! Error stay as the contract has them, with the same words in the message.

use super::auth::token::Tokens;
use super::aws::{self, Aws};
use super::condition::Value;
use super::http::{SetupError, Transport, TransportOptions};
use super::{prometheus, web};
use crate::api::analysis::{AnalysisPhase, Metric, MetricProvider};
use jiff::Timestamp;
use redact::Redactor;
use std::collections::BTreeMap;

mod check;
mod error;
mod gap;
pub(crate) mod redact;
#[cfg(test)]
mod tests;
mod verdict;

pub use check::check;
pub use error::{ProviderError, Stage, Unreached};
pub use gap::Gap;

/// The environment variable that names the default Prometheus. Source: wire contract 1.5.
pub const ADDRESS_ENV: &str = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS";

/// The providers that the controller speaks, by their field names. [`Measurer::measure`] asks the first two; a `job` is
/// created and watched in the cluster (see [`super::job`]).
pub fn supported_providers() -> &'static [&'static str] {
    &["prometheus", "web", "job"]
}

/// What a metric may leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The Prometheus of a metric without an address.
    pub prometheus_address: Option<String>,
    /// The moment that queries and conditions are evaluated at; the present where absent. What a Prometheus says of the
    /// past, it says only as long as it keeps its samples.
    pub evaluated_at: Option<Timestamp>,
}

/// How a [`Measurer`] is set up.
#[derive(Debug, Clone, Default)]
pub struct MeasurerOptions {
    /// Bounds, certificate authorities, proxies.
    pub transport: TransportOptions,
    /// Where credentials for `authentication.sigv4` come from.
    pub aws: aws::Environment,
}

/// Measures; one for the whole process, shared by all runs.
///
/// # Guarantees
/// A measurement ends within the metric's own limit (30 s for Prometheus, 10 s for web, unless the metric
/// says otherwise), waiting for its turn included. It reads no clock of the wall: `now` comes in.
pub struct Measurer {
    pub(super) transport: Transport,
    pub(super) tokens: Tokens,
    pub(super) aws: Aws,
}

/// What a measurement brought.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The value, or why there is none.
    pub outcome: Result<Value, ProviderError>,
    /// The value as it is stored in `measurements[].value`: at most 4096 characters, empty when there is
    /// none.
    pub value_text: String,
    /// What the value lacks, where that matters for a verdict.
    pub gap: Option<Gap>,
    /// For `measurements[].metadata`: `warnings`, where the server gave any.
    pub metadata: BTreeMap<String, String>,
    /// For `metricResults[].metadata`: `ResolvedPrometheusQuery`, the query as it was sent.
    pub metric_metadata: BTreeMap<String, String>,
}

/// A sample and its verdict: what a `Measurement` in the status is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Successful, Failed, Inconclusive or Error.
    pub phase: AnalysisPhase,
    /// Why, where that needs saying; at most 1024 characters.
    pub message: Option<String>,
    /// The value as text; absent when there is none.
    pub value: Option<String>,
    /// For `measurements[].metadata`.
    pub metadata: BTreeMap<String, String>,
    /// For `metricResults[].metadata`.
    pub metric_metadata: BTreeMap<String, String>,
    /// The kind of the provider's error, a label from a closed list; absent when the provider answered.
    pub error_kind: Option<&'static str>,
}

/// A value as a provider read it, before it is made fit to store.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) value: Value,
    pub(crate) text: String,
    pub(crate) gap: Option<Gap>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Measurer {
    /// A measurer with its HTTP clients. Errors: CA certificates that cannot be read.
    pub fn new(options: MeasurerOptions) -> Result<Self, SetupError> {
        Ok(Self {
            transport: Transport::new(options.transport)?,
            tokens: Tokens::default(),
            aws: Aws::new(options.aws),
        })
    }

    /// Measures once. `metric` has its arguments substituted; `secrets` are the values among them that must
    /// not be stored.
    ///
    /// Dropping the future cancels the measurement.
    pub async fn measure(
        &self,
        metric: &Metric,
        defaults: &Defaults,
        secrets: &[String],
        now: Timestamp,
    ) -> Sample {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add(secret);
        }
        self.sample(metric, defaults, &mut redactor, now).await
    }

    /// Measures once and judges the value by the metric's conditions.
    pub async fn measure_and_judge(
        &self,
        metric: &Metric,
        defaults: &Defaults,
        secrets: &[String],
        now: Timestamp,
    ) -> Measured {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add(secret);
        }
        // A condition that nobody can understand needs no query to say so.
        let conditions = match verdict::Conditions::of(metric) {
            Ok(conditions) => conditions,
            Err(message) => return verdict::error(&message, "InvalidCondition", &redactor),
        };
        let sample = self.sample(metric, defaults, &mut redactor, now).await;
        verdict::judge(
            &conditions,
            sample,
            &redactor,
            defaults.evaluated_at.unwrap_or(now),
        )
    }

    async fn sample(
        &self,
        metric: &Metric,
        defaults: &Defaults,
        redactor: &mut Redactor,
        now: Timestamp,
    ) -> Sample {
        redactor.add(self.aws.secret());
        let reading = match chosen(&metric.provider) {
            Ok(Chosen::Prometheus(prometheus)) => {
                prometheus::measure(self, prometheus, defaults, redactor, now).await
            }
            Ok(Chosen::Web(web)) => web::measure(self, web, redactor, now).await,
            Err(error) => Err(error),
        };
        let metric_metadata = metric
            .provider
            .prometheus
            .as_ref()
            .map(|metric| prometheus::metadata(metric, redactor))
            .unwrap_or_default();
        match reading {
            Ok(Reading {
                value,
                text,
                gap,
                metadata,
            }) => Sample {
                outcome: Ok(value),
                value_text: redactor.value(&text),
                gap,
                metadata: metadata
                    .into_iter()
                    .map(|(name, text)| (name, redactor.line(&text)))
                    .collect(),
                metric_metadata,
            },
            Err(error) => Sample {
                outcome: Err(error.redacted(redactor)),
                value_text: String::new(),
                gap: None,
                metadata: BTreeMap::new(),
                metric_metadata,
            },
        }
    }
}

enum Chosen<'a> {
    Prometheus(&'a crate::api::analysis::PrometheusMetric),
    Web(&'a crate::api::analysis::WebMetric),
}

/// The one provider of a metric. Destructured without `..`, so that a new provider must be decided on here.
fn chosen(provider: &MetricProvider) -> Result<Chosen<'_>, ProviderError> {
    let MetricProvider {
        prometheus,
        web,
        job,
        datadog,
        new_relic,
        wavefront,
        kayenta,
        cloud_watch,
        graphite,
        influxdb,
        skywalking,
        plugin,
    } = provider;
    let others = [
        ("datadog", datadog.is_some()),
        ("newRelic", new_relic.is_some()),
        ("wavefront", wavefront.is_some()),
        ("kayenta", kayenta.is_some()),
        ("cloudWatch", cloud_watch.is_some()),
        ("graphite", graphite.is_some()),
        ("influxdb", influxdb.is_some()),
        ("skywalking", skywalking.is_some()),
        ("plugin", plugin.is_some()),
    ];
    let other = others.iter().find(|(_, set)| *set).map(|(name, _)| *name);
    if job.is_some() {
        return Err(ProviderError::Spec {
            field: "provider.job".to_owned(),
            message: "a Job runs in a cluster; there is nothing to ask here".to_owned(),
        });
    }
    match (prometheus, web, other) {
        (Some(prometheus), None, None) => Ok(Chosen::Prometheus(prometheus)),
        (None, Some(web), None) => Ok(Chosen::Web(web)),
        (None, None, Some(other)) => Err(ProviderError::Unsupported {
            provider: other.to_owned(),
        }),
        (None, None, None) => Err(ProviderError::Spec {
            field: "provider".to_owned(),
            message: "names no provider".to_owned(),
        }),
        _ => Err(ProviderError::Spec {
            field: "provider".to_owned(),
            message: "names more than one provider".to_owned(),
        }),
    }
}
