//! Prometheus: instant and range queries.
//!
//! The results are read with the types of `prometheus-http-query`, but the request is our own: that crate
//! reads an answer of any size, drops the warnings, and says of an HTML page only that it is no JSON. Here
//! each of these is told apart.
//!
//! The query goes by POST, because its length is not bounded, and by GET to a server that refuses POST (405
//! or 501): the order in which Prometheus' own client tries them.

use super::auth::{self, Credential};
use super::aws::{Signer, host::is_managed_prometheus};
use super::condition::Value;
use super::http::{Call, Deadline, Reply, Target};
use super::provider::redact::{Redactor, one_line};
use super::provider::{Defaults, Gap, Measurer, ProviderError, Reading};
use super::sigv4::{percent_decode, percent_encode};
use crate::api::analysis::{PrometheusMetric, PrometheusRangeQuery};
use crate::engine::duration::parse_duration;
use jiff::{SignedDuration, Timestamp};
use prometheus_http_query::response::{Data, Sample};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[cfg(test)]
mod tests;

pub(super) const FIELD: &str = "provider.prometheus";

/// Seconds to wait for an answer when the metric does not say. Source: wire contract 1.5.
const TIMEOUT: u64 = 30;

/// The service name under which Amazon's managed Prometheus checks signatures.
const AWS_SERVICE: &str = "aps";

/// Measures one Prometheus metric.
pub(super) async fn measure(
    measurer: &Measurer,
    metric: &PrometheusMetric,
    defaults: &Defaults,
    redactor: &mut Redactor,
    now: Timestamp,
) -> Result<Reading, ProviderError> {
    let request = Request::new(metric, defaults, redactor, now)?;
    let deadline = Deadline::after(request.timeout);
    let mut headers = request.headers.clone();
    let proof = request
        .credential
        .prove(measurer, &request.url, deadline, redactor, now)
        .await?;
    proof.add_to(&mut headers);
    let sign = |call: &Call| proof.sign(call, |_| Ok(AWS_SERVICE), now);
    let mut reply = measurer
        .transport
        .exchange(request.call(Method::POST, headers.clone()), deadline, sign)
        .await?;
    if matches!(reply.status.as_u16(), 405 | 501) {
        reply = measurer
            .transport
            .exchange(request.call(Method::GET, headers), deadline, sign)
            .await?;
    }
    proof.learn(measurer, reply.status, now);
    read(&request.target, &reply, redactor)
}

/// A query, complete and checked.
struct Request {
    target: Target,
    url: Url,
    parameters: String,
    headers: HeaderMap,
    credential: Credential,
    timeout: u64,
    insecure: bool,
}

impl Request {
    fn new(
        metric: &PrometheusMetric,
        defaults: &Defaults,
        redactor: &mut Redactor,
        now: Timestamp,
    ) -> Result<Self, ProviderError> {
        let mut url = address(metric, defaults, redactor)?;
        let target = Target::new("Prometheus", &url);
        let timeout = seconds(metric.timeout, TIMEOUT, "provider.prometheus.timeout")?;
        let query = query(metric)?;
        // Prometheus stops an evaluation that nobody waits for any more.
        let mut parameters = format!(
            "query={}&timeout={timeout}s",
            percent_encode(query.as_bytes(), false)
        );
        let mut endpoint = "query";
        if let Some(range) = &metric.range_query {
            endpoint = "query_range";
            parameters.push_str(&range_parameters(range, defaults.evaluated_at.unwrap_or(now))?);
        } else if let Some(at) = defaults.evaluated_at {
            let _ = write!(parameters, "&time={}", unix(at));
        }
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/v1/{endpoint}"));
        let mut headers = auth::headers(&metric.headers, FIELD, redactor)?;
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        let given = Credential::from_spec(metric.authentication.as_ref(), FIELD, redactor)?;
        let credential = match given {
            Credential::None if is_managed_prometheus(&url) && !headers.contains_key(AUTHORIZATION) => {
                Credential::SigV4(Signer {
                    field: format!("{FIELD}.authentication.sigv4"),
                    region: None,
                    role: None,
                })
            }
            given => given,
        };
        Ok(Self {
            target,
            url,
            parameters,
            headers,
            credential,
            timeout,
            insecure: metric.insecure,
        })
    }

    fn call(&self, method: Method, mut headers: HeaderMap) -> Call {
        let mut url = self.url.clone();
        let body = if method == Method::POST {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            Some(self.parameters.clone().into_bytes())
        } else {
            let query = url.query().map_or_else(
                || self.parameters.clone(),
                |given| format!("{given}&{}", self.parameters),
            );
            url.set_query(Some(&query));
            None
        };
        Call {
            target: self.target.clone(),
            method,
            url,
            headers,
            body,
            insecure: self.insecure,
        }
    }
}

/// The query; it must be there.
pub(super) fn query(metric: &PrometheusMetric) -> Result<&str, ProviderError> {
    metric
        .query
        .as_deref()
        .filter(|query| !query.trim().is_empty())
        .ok_or_else(|| ProviderError::Spec {
            field: format!("{FIELD}.query"),
            message: "must be set".to_owned(),
        })
}

/// The metric's own address, or the controller's default; an absolute http or https URL.
fn address(
    metric: &PrometheusMetric,
    defaults: &Defaults,
    redactor: &mut Redactor,
) -> Result<Url, ProviderError> {
    let filled = |text: &&str| !text.trim().is_empty();
    let own = metric.address.as_deref().filter(filled);
    let (field, text) = match (own, defaults.prometheus_address.as_deref().filter(filled)) {
        (Some(own), _) => ("provider.prometheus.address", own),
        (None, Some(default)) => ("the controller's default Prometheus address", default),
        (None, None) => return Err(ProviderError::AddressMissing),
    };
    http_url(field, text, redactor)
}

/// An absolute http or https URL. A password in it becomes a secret, and no error repeats it.
pub(super) fn http_url(
    field: &'static str,
    text: &str,
    redactor: &mut Redactor,
) -> Result<Url, ProviderError> {
    let refuse = |reason: String| {
        // What cannot be read may still hold a password before an `@`.
        let address = text
            .rsplit_once('@')
            .map_or_else(|| text.to_owned(), |(_, host)| format!("*****@{host}"));
        ProviderError::AddressInvalid {
            field,
            address,
            reason,
        }
    };
    let scheme = "it must begin with http:// or https://";
    let url = Url::parse(text.trim()).map_err(|error| match error.to_string() {
        text if text.contains("relative URL without a base") => refuse(scheme.to_owned()),
        text => refuse(text),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(scheme.to_owned()));
    }
    if let Some(password) = url.password() {
        // The HTTP client sends them decoded, as a Basic header.
        let plain = String::from_utf8_lossy(&percent_decode(password)).into_owned();
        let user = String::from_utf8_lossy(&percent_decode(url.username())).into_owned();
        redactor.add(password);
        redactor.add(&auth::base64(format!("{user}:{plain}").as_bytes()));
        redactor.add(&plain);
    }
    Ok(url)
}

/// The limit in seconds: absent and 0 mean the default, a negative one is refused.
pub(super) fn seconds(given: Option<i64>, default: u64, field: &str) -> Result<u64, ProviderError> {
    match given {
        None | Some(0) => Ok(default),
        Some(given) => u64::try_from(given).map_err(|_| ProviderError::Spec {
            field: field.to_owned(),
            message: "must not be negative".to_owned(),
        }),
    }
}

fn unix(time: Timestamp) -> String {
    format!("{}.{:03}", time.as_second(), time.subsec_millisecond())
}

fn range_field(name: &str) -> String {
    format!("{FIELD}.rangeQuery.{name}")
}

/// Start, end and step of a range, each by itself.
pub(super) fn range(
    range: &PrometheusRangeQuery,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp, SignedDuration), ProviderError> {
    let field = range_field;
    let required = |value: &Option<String>, name: &str| {
        value
            .clone()
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| ProviderError::Spec {
                field: field(name),
                message: "must be set".to_owned(),
            })
    };
    let moment = |value: &Option<String>, name: &str| {
        super::condition::eval_time(&required(value, name)?, now).map_err(|error| ProviderError::Spec {
            field: field(name),
            message: error.to_string(),
        })
    };
    let (start, end) = (moment(&range.start, "start")?, moment(&range.end, "end")?);
    let step = required(&range.step, "step")?;
    let span = parse_duration(&step)
        .ok()
        .filter(SignedDuration::is_positive)
        .ok_or_else(|| ProviderError::Spec {
            field: field("step"),
            message: format!("{step:?} is not a duration above 0, such as 30s or 1m"),
        })?;
    Ok((start, end, span))
}

fn range_parameters(given: &PrometheusRangeQuery, now: Timestamp) -> Result<String, ProviderError> {
    let (start, end, span) = range(given, now)?;
    if end < start {
        return Err(ProviderError::Spec {
            field: range_field("end"),
            message: format!("{end} is before the start {start}"),
        });
    }
    Ok(format!(
        "&start={}&end={}&step={}",
        unix(start),
        unix(end),
        span.as_secs_f64()
    ))
}

/// What a query may return. Source: Prometheus HTTP API, "Expression query result formats".
const RESULT_TYPES: [&str; 4] = ["vector", "matrix", "scalar", "string"];

/// The part of an answer that says what the rest is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status: String,
    #[serde(default)]
    data: Option<Kind>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    result_type: String,
}

/// The result itself. `Data` keeps the labels for the time of this call only.
#[derive(Deserialize)]
struct Body {
    data: Data,
}

/// Tells the answers apart.
fn read(target: &Target, reply: &Reply, redactor: &Redactor) -> Result<Reading, ProviderError> {
    let target = target.0.clone();
    let head: Option<Head> = serde_json::from_slice(&reply.body).ok();
    match head {
        Some(head) if head.status == "error" => Err(ProviderError::Prometheus {
            target,
            status: reply.status.as_u16(),
            error_type: if head.error_type.is_empty() {
                "error".to_owned()
            } else {
                head.error_type
            },
            message: one_line(&redactor.scrub(&head.error), 600),
        }),
        _ if !reply.status.is_success() => Err(ProviderError::Status {
            target,
            status: reply.status_text(),
            body: one_line(&redactor.scrub(&String::from_utf8_lossy(&reply.body)), 200),
        }),
        Some(Head {
            status,
            data: Some(kind),
            warnings,
            ..
        }) if status == "success" && RESULT_TYPES.contains(&kind.result_type.as_str()) => result(
            target,
            &kind.result_type,
            &reply.body,
            &warnings.unwrap_or_default(),
        ),
        Some(_) | None => Err(ProviderError::NotPrometheus {
            target,
            found: strange(reply, redactor),
        }),
    }
}

/// What came in place of a query result.
fn strange(reply: &Reply, redactor: &Redactor) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let begin = text.trim_start();
    if begin.is_empty() {
        return "the answer is empty".to_owned();
    }
    if reply.content_type.contains("html") || begin.starts_with('<') {
        return format!(
            "it is a web page or XML ({})",
            one_line(&redactor.scrub(begin), 80)
        );
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&reply.body).is_ok() {
        return format!("it is other JSON ({})", one_line(&redactor.scrub(begin), 80));
    }
    format!("it is not JSON ({})", one_line(&redactor.scrub(begin), 80))
}

fn result(target: String, kind: &str, body: &[u8], warnings: &[String]) -> Result<Reading, ProviderError> {
    if kind == "string" {
        return Err(ProviderError::ResultType {
            target,
            found: "a string".to_owned(),
        });
    }
    let data = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.data,
        // A native histogram stands in `histogram` or `histograms`; `sample` and `samples` are what the crate
        // calls the numbers.
        Err(error) if error.to_string().contains("missing field `sample") => {
            return Err(ProviderError::ResultType {
                target,
                found: "a native histogram (histogram_quantile() makes a number of it)".to_owned(),
            });
        }
        Err(error) => {
            return Err(ProviderError::NotPrometheus {
                target,
                found: format!("the {kind} cannot be read: {error}"),
            });
        }
    };
    let (value, text, gap) = match &data {
        Data::Scalar(sample) => {
            let number = sample.value();
            (Value::Float(number), float(number), Gap::of(&[number], kind))
        }
        Data::Vector(series) => list(series.iter().map(|one| one.sample().value()).collect(), kind),
        Data::Matrix(series) => list(
            series
                .iter()
                .flat_map(|one| one.samples().iter().map(Sample::value))
                .collect(),
            kind,
        ),
    };
    let metadata = if warnings.is_empty() {
        BTreeMap::new()
    } else {
        let quoted: Vec<String> = warnings.iter().map(|warning| format!("\"{warning}\"")).collect();
        BTreeMap::from([("warnings".to_owned(), quoted.join(", "))])
    };
    Ok(Reading {
        value,
        text,
        gap,
        metadata,
    })
}

fn list(numbers: Vec<f64>, kind: &str) -> (Value, String, Option<Gap>) {
    let mut text = "[".to_owned();
    for (place, number) in numbers.iter().enumerate() {
        let _ = write!(text, "{}{}", if place == 0 { "" } else { "," }, float(*number));
    }
    text.push(']');
    let gap = Gap::of(&numbers, kind);
    (
        Value::List(numbers.into_iter().map(Value::Float).collect()),
        text,
        gap,
    )
}

/// A number as Prometheus prints it: the shortest digits that read back the same, never an exponent; `NaN`,
/// `+Inf`, `-Inf`.
fn float(number: f64) -> String {
    if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        number.to_string()
    }
}

/// What belongs to the metric rather than to one measurement: the query as it was sent, under
/// `ResolvedPrometheusQuery`.
pub(super) fn metadata(metric: &PrometheusMetric, redactor: &Redactor) -> BTreeMap<String, String> {
    metric
        .query
        .as_deref()
        .filter(|query| !query.is_empty())
        .map(|query| ("ResolvedPrometheusQuery".to_owned(), redactor.value(query)))
        .into_iter()
        .collect()
}
