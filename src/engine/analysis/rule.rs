//! From text to numbers: a valid metric becomes a [`MetricRule`], and nobody reads the wire form's strings after that.

use super::args::{ArgError, masked_secrets, resolve_metric};
use crate::api::analysis::{
    AnalysisRunSpec, DryRun, MeasurementRetention, Metric, MetricProvider, PrometheusRangeQuery,
};
use crate::engine::duration::{parse_duration, parse_positive};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use regex::Regex;
use std::collections::BTreeSet;

/// Measurements kept for a metric when no retention rule names it.
pub const DEFAULT_KEPT: usize = 10;
/// Errors in a row that a metric tolerates when it does not say.
pub const DEFAULT_CONSECUTIVE_ERROR_LIMIT: i32 = 4;

/// What a run is checked against that is not in the run.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// Whether a condition is an expression of the condition language; the error is a sentence.
    pub condition: &'a dyn Fn(&str) -> Result<(), String>,
    /// The wire names of the providers that this controller can measure with, such as `prometheus`.
    pub providers: &'a [&'a str],
    /// Whether a provider's fields can be measured with, as far as that can be told without asking anybody; the error is a
    /// sentence that begins with the field's path. Where a secret would stand, there is [`super::REDACTED`].
    pub provider: &'a dyn Fn(&MetricProvider) -> Result<(), String>,
}

/// What schedules and judges a metric, as numbers. The fields' defaults are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricRule {
    /// The name.
    pub name: String,
    /// From the end of a measurement to the start of the next. `None`: measured once.
    pub interval: Option<SignedDuration>,
    /// From the start of the run to the first measurement.
    pub initial_delay: SignedDuration,
    /// Measurements wanted: what `count` says, else 1 without an interval, else `None` for no end.
    pub count: Option<i32>,
    /// Failed measurements tolerated; below 0 any number.
    pub failure_limit: i32,
    /// Inconclusive measurements tolerated.
    pub inconclusive_limit: i32,
    /// Errors in a row tolerated.
    pub consecutive_error_limit: i32,
    /// Successes in a row that finish the metric; 0 is off.
    pub consecutive_success_limit: i32,
    /// Whether the metric is only shown.
    pub dry_run: bool,
    /// Measurements kept; at least 1.
    pub kept: usize,
}

/// A metric that cannot be measured or judged as it is written. Displayed, it is one sentence with the field's path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetric {
    /// A run without metrics.
    #[error("no metrics specified")]
    NoMetrics,
    /// Something in one metric.
    #[error("metrics[{index}] ({name:?}): {problem}")]
    Metric {
        /// Its place in the list.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong, with the field's name.
        problem: String,
    },
    /// A rule over metric names that is wrong or useless.
    #[error("{field}[{index}]: {problem}")]
    Rule {
        /// `dryRun` or `measurementRetention`.
        field: &'static str,
        /// Its place in the list.
        index: usize,
        /// What is wrong.
        problem: String,
    },
}

/// Why a run cannot start. Displayed, it is the message of a run that ends in Error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The arguments cannot be filled in.
    #[error("Unable to resolve metric arguments: {0}")]
    Args(#[from] ArgError),
    /// The metrics are not valid with the arguments filled in.
    #[error("Analysis spec invalid: {0}")]
    Spec(#[from] InvalidMetric),
}

/// A run that can be measured: what every pass over it needs of its spec, and what does not change until the spec does.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What schedules and judges each metric, in the order of `spec.metrics`.
    pub rules: Vec<MetricRule>,
    /// The metrics with their arguments filled in, and [`super::REDACTED`] for secrets.
    pub metrics: Vec<Metric>,
}

/// The rules of [`prepare`] alone.
pub fn prepare_run(spec: &AnalysisRunSpec, checks: &Checks<'_>) -> Result<Vec<MetricRule>, PrepareError> {
    prepare(spec, checks).map(|prepared| prepared.rules)
}

/// Everything that must hold before a run measures: arguments fill, metrics are valid, every rule matches a metric.
///
/// Secrets are not needed: a stand-in takes their place, and so they can be part of queries and headers but not of
/// counts and durations.
pub fn prepare(spec: &AnalysisRunSpec, checks: &Checks<'_>) -> Result<Prepared, PrepareError> {
    let masked = masked_secrets(&spec.args);
    let metrics = spec
        .metrics
        .iter()
        .map(|metric| resolve_metric(metric, &spec.args, &masked))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rules = validate_metrics(&metrics, checks)?;
    expand_rules(&mut rules, &spec.dry_run, &spec.measurement_retention)?;
    Ok(Prepared { rules, metrics })
}

/// Checks metrics whose arguments are filled in, and turns each into its rule (not dry-run, 10 measurements kept).
///
/// What is checked: names unique; exactly one provider, a supported one; conditions parse; durations parse and are not
/// negative; counts are whole numbers; `interval` present when `count` is above 1; `count` not below `failureLimit` or
/// `inconclusiveLimit`, because such a limit could never be exceeded; `inconclusiveLimit`, `consecutiveErrorLimit` and
/// `consecutiveSuccessLimit` not negative; a web body given once; what [`Checks::provider`] says.
pub fn validate_metrics(metrics: &[Metric], checks: &Checks<'_>) -> Result<Vec<MetricRule>, InvalidMetric> {
    if metrics.is_empty() {
        return Err(InvalidMetric::NoMetrics);
    }
    let mut names = BTreeSet::new();
    metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let rule = if names.insert(&metric.name) {
                validate_metric(metric, checks)
            } else {
                Err("there is another metric of the same name".to_owned())
            };
            rule.map_err(|problem| InvalidMetric::Metric {
                index,
                name: metric.name.clone(),
                problem,
            })
        })
        .collect()
}

fn validate_metric(metric: &Metric, checks: &Checks<'_>) -> Result<MetricRule, String> {
    let Metric {
        name,
        interval,
        initial_delay,
        count,
        success_condition,
        failure_condition,
        failure_limit,
        inconclusive_limit,
        consecutive_error_limit,
        consecutive_success_limit,
        provider,
    } = metric;
    let interval = duration("interval", interval.as_deref())?;
    let initial_delay = duration("initialDelay", initial_delay.as_deref())?.unwrap_or(SignedDuration::ZERO);
    let count = integer("count", count.as_ref())?.unwrap_or(0);
    let failure_limit = integer("failureLimit", failure_limit.as_ref())?.unwrap_or(0);
    let inconclusive_limit = not_negative("inconclusiveLimit", inconclusive_limit.as_ref())?.unwrap_or(0);
    let consecutive_error_limit = not_negative("consecutiveErrorLimit", consecutive_error_limit.as_ref())?
        .unwrap_or(DEFAULT_CONSECUTIVE_ERROR_LIMIT);
    let consecutive_success_limit =
        not_negative("consecutiveSuccessLimit", consecutive_success_limit.as_ref())?.unwrap_or(0);
    if count < 0 {
        return Err(format!("count is {count} and must not be negative"));
    }
    if count > 1 && interval.is_none() {
        return Err(format!("interval is required because count is {count}"));
    }
    for (field, limit) in [
        ("failureLimit", failure_limit),
        ("inconclusiveLimit", inconclusive_limit),
    ] {
        if count > 0 && count < limit {
            return Err(format!("count ({count}) must not be less than {field} ({limit})"));
        }
    }
    for (field, condition) in [
        ("successCondition", success_condition),
        ("failureCondition", failure_condition),
    ] {
        if let Some(condition) = condition.as_deref().filter(|condition| !condition.is_empty()) {
            (checks.condition)(condition).map_err(|problem| format!("{field} {condition:?}: {problem}"))?;
        }
    }
    validate_provider(provider, checks)?;
    let count = match (count, interval) {
        (0, None) => Some(1),
        (0, Some(_)) => None,
        (wanted, _) => Some(wanted),
    };
    Ok(MetricRule {
        name: name.clone(),
        interval,
        initial_delay,
        count,
        failure_limit,
        inconclusive_limit,
        consecutive_error_limit,
        consecutive_success_limit,
        dry_run: false,
        kept: DEFAULT_KEPT,
    })
}

fn validate_provider(provider: &MetricProvider, checks: &Checks<'_>) -> Result<(), String> {
    let (names, supported) = (provider_names(provider), checks.providers);
    match names.as_slice() {
        [] => return Err("provider: none is specified".to_owned()),
        [name] if supported.contains(name) => {}
        [name] => {
            return Err(format!(
                "provider.{name} is not supported by this controller, which supports {}",
                supported.join(", ")
            ));
        }
        several => {
            return Err(format!(
                "provider: exactly one is wanted, and there are {}",
                several.join(", ")
            ));
        }
    }
    if let Some(web) = &provider.web
        && web.body.is_some()
        && web.json_body.is_some()
    {
        return Err("provider.web: body and jsonBody exclude each other".to_owned());
    }
    if let Some(PrometheusRangeQuery { step: Some(step), .. }) = provider
        .prometheus
        .as_ref()
        .and_then(|prometheus| prometheus.range_query.as_ref())
    {
        parse_duration(step).map_err(|error| format!("provider.prometheus.rangeQuery.step {error}"))?;
    }
    (checks.provider)(provider)
}

/// The wire names of the providers that are set, in the order of the contract.
pub fn provider_names(provider: &MetricProvider) -> Vec<&'static str> {
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
    [
        ("prometheus", prometheus.is_some()),
        ("web", web.is_some()),
        ("job", job.is_some()),
        ("datadog", datadog.is_some()),
        ("newRelic", new_relic.is_some()),
        ("wavefront", wavefront.is_some()),
        ("kayenta", kayenta.is_some()),
        ("cloudWatch", cloud_watch.is_some()),
        ("graphite", graphite.is_some()),
        ("influxdb", influxdb.is_some()),
        ("skywalking", skywalking.is_some()),
        ("plugin", plugin.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

/// Whether every metric ends by itself: it has a count, or it is measured once. Analyses that a Rollout waits for (a
/// step, before and after a promotion) must be finite.
pub fn is_finite(rules: &[MetricRule]) -> bool {
    rules.iter().all(|rule| rule.count.is_some())
}

/// Applies dry-run and retention rules: each names metrics by a regular expression, unanchored, and must match at least
/// one. Of several retention rules for one metric the last wins; a limit below 1 leaves the default.
pub fn expand_rules(
    rules: &mut [MetricRule],
    dry_run: &[DryRun],
    measurement_retention: &[MeasurementRetention],
) -> Result<(), InvalidMetric> {
    for (index, DryRun { metric_name }) in dry_run.iter().enumerate() {
        for_each_match(rules, "dryRun", index, metric_name, |rule| rule.dry_run = true)?;
    }
    for (index, MeasurementRetention { metric_name, limit }) in measurement_retention.iter().enumerate() {
        let kept = usize::try_from(*limit)
            .ok()
            .filter(|limit| *limit > 0)
            .unwrap_or(DEFAULT_KEPT);
        for_each_match(rules, "measurementRetention", index, metric_name, |rule| {
            rule.kept = kept;
        })?;
    }
    Ok(())
}

fn for_each_match(
    rules: &mut [MetricRule],
    field: &'static str,
    index: usize,
    pattern: &str,
    mut apply: impl FnMut(&mut MetricRule),
) -> Result<(), InvalidMetric> {
    let invalid = |problem: String| InvalidMetric::Rule {
        field,
        index,
        problem,
    };
    let regex =
        Regex::new(pattern).map_err(|_| invalid(format!("{pattern:?} is not a regular expression")))?;
    let mut matched = false;
    for rule in rules.iter_mut().filter(|rule| regex.is_match(&rule.name)) {
        matched = true;
        apply(rule);
    }
    if matched {
        Ok(())
    } else {
        Err(invalid(format!("{pattern:?} matches no metric name")))
    }
}

/// A count as a number. An empty string, which a template leaves when an argument is empty, is as if absent.
fn integer(field: &str, value: Option<&IntOrString>) -> Result<Option<i32>, String> {
    match value {
        None => Ok(None),
        Some(IntOrString::Int(number)) => Ok(Some(*number)),
        Some(IntOrString::String(text)) if text.trim().is_empty() => Ok(None),
        Some(IntOrString::String(text)) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| format!("{field} is {text:?} and must be a whole number")),
    }
}

fn not_negative(field: &str, value: Option<&IntOrString>) -> Result<Option<i32>, String> {
    match integer(field, value)? {
        Some(number) if number < 0 => Err(format!("{field} is {number} and must not be negative")),
        number => Ok(number),
    }
}

/// A duration; an empty string is as if absent.
fn duration(field: &str, text: Option<&str>) -> Result<Option<SignedDuration>, String> {
    text.filter(|text| !text.is_empty())
        .map(|text| parse_positive(text).map_err(|error| format!("{field} {error}")))
        .transpose()
}
