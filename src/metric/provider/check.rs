//! What can be said of a provider's fields without asking anybody.
//!
//! A metric that can never be measured is refused before anything moves, and not by five errors in a row in the middle of
//! a release. Secrets are not known here: where one would stand there is [`MARK`], and a text that holds it is not looked
//! at any closer.

use super::redact::{MARK, Redactor};
use super::{Chosen, ProviderError, chosen};
use crate::api::analysis::{Authentication, MetricProvider, PrometheusMetric, WebMetric};
use crate::metric::auth::{self, Credential};
use crate::metric::prometheus::{self, http_url, seconds};
use crate::metric::{job, web};
use jiff::Timestamp;
use reqwest::Url;

/// Checks the fields of a metric's provider, with its arguments filled in. The error is one sentence that begins with the
/// path of the field below the metric.
pub fn check(provider: &MetricProvider) -> Result<(), String> {
    if let Some(job) = &provider.job {
        return job::check(job);
    }
    match chosen(provider) {
        Ok(Chosen::Prometheus(metric)) => check_prometheus(metric),
        Ok(Chosen::Web(metric)) => check_web(metric),
        Err(error) => Err(error),
    }
    .map_err(|error| error.to_string())
}

fn is_hidden(text: &str) -> bool {
    text.contains(MARK)
}

fn check_prometheus(metric: &PrometheusMetric) -> Result<(), ProviderError> {
    let field = prometheus::FIELD;
    if let Some(address) = metric.address.as_deref().filter(|text| !text.trim().is_empty()) {
        url("provider.prometheus.address", address)?;
    }
    seconds(metric.timeout, 1, "provider.prometheus.timeout")?;
    prometheus::query(metric)?;
    if let Some(range) = &metric.range_query
        && ![&range.start, &range.end, &range.step]
            .into_iter()
            .flatten()
            .any(|text| is_hidden(text))
    {
        // Which comes first depends on the moment that the query is asked at.
        prometheus::range(range, Timestamp::UNIX_EPOCH)?;
    }
    auth::headers(&metric.headers, field, &mut Redactor::default())?;
    authentication(metric.authentication.as_ref(), field).map(|_| ())
}

fn check_web(metric: &WebMetric) -> Result<(), ProviderError> {
    let field = web::FIELD;
    if !metric.json_path.as_deref().is_some_and(is_hidden) {
        web::json_path(metric)?;
    }
    let url = url("provider.web.url", &metric.url)?;
    seconds(metric.timeout_seconds, 1, "provider.web.timeoutSeconds")?;
    let mut headers = auth::headers(&metric.headers, field, &mut Redactor::default())?;
    web::request(metric, &mut headers)?;
    let credential = authentication(metric.authentication.as_ref(), field)?;
    if let (Some(url), Credential::SigV4(_)) = (url, credential)
        && web::aws_service(&url).is_none()
    {
        return Err(ProviderError::Spec {
            field: format!("{field}.authentication.sigv4"),
            message: web::NO_AWS_SERVICE.to_owned(),
        });
    }
    Ok(())
}

/// The URL, where all of it is known.
fn url(field: &'static str, text: &str) -> Result<Option<Url>, ProviderError> {
    if is_hidden(text) {
        return Ok(None);
    }
    http_url(field, text, &mut Redactor::default()).map(Some)
}

fn authentication(spec: Option<&Authentication>, field: &str) -> Result<Credential, ProviderError> {
    let mut spec = spec.cloned();
    if let Some(token_url) = spec
        .as_mut()
        .and_then(|spec| spec.oauth2.as_mut())
        .and_then(|oauth2| oauth2.token_url.as_mut())
        && is_hidden(token_url)
    {
        "https://hidden".clone_into(token_url);
    }
    // Whether this process has credentials of AWS, and a region, is told when they are needed: that is no fault of the metric.
    Credential::from_spec(spec.as_ref(), field, &mut Redactor::default())
}

#[cfg(test)]
mod tests;
