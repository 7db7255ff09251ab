//! Web: one HTTP request whose answer, or a part of it, is the value.

use super::auth::{self, Credential};
use super::condition::Value;
use super::http::{Call, Deadline, Reply, Target};
use super::jsonpath::{JsonPath, PathError};
use super::prometheus::{http_url, seconds};
use super::provider::redact::{Redactor, one_line};
use super::provider::{Measurer, ProviderError, Reading};
use crate::api::analysis::WebMetric;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

pub(super) const FIELD: &str = "provider.web";

/// Why a request cannot be signed.
pub(super) const NO_AWS_SERVICE: &str =
    "no AWS service is known for this host; sigv4 here is for *.amazonaws.com and *.on.aws";

/// Seconds to wait for an answer when the metric does not say. Source: wire contract 1.5.
const TIMEOUT: u64 = 10;

/// Measures one web metric.
pub(super) async fn measure(
    measurer: &Measurer,
    metric: &WebMetric,
    redactor: &mut Redactor,
    now: Timestamp,
) -> Result<Reading, ProviderError> {
    let path = json_path(metric)?;
    let url = http_url("provider.web.url", &metric.url, redactor)?;
    let target = Target::new("the web endpoint", &url);
    let deadline = Deadline::after(seconds(
        metric.timeout_seconds,
        TIMEOUT,
        "provider.web.timeoutSeconds",
    )?);
    let credential = Credential::from_spec(metric.authentication.as_ref(), FIELD, redactor)?;
    let mut headers = auth::headers(&metric.headers, FIELD, redactor)?;
    let (method, body) = request(metric, &mut headers)?;
    let proof = credential.prove(measurer, &url, deadline, redactor, now).await?;
    proof.add_to(&mut headers);
    let call = Call {
        target: target.clone(),
        method,
        url,
        headers,
        body,
        insecure: metric.insecure,
    };
    let sign = |call: &Call| proof.sign(call, service, now);
    let reply = measurer.transport.exchange(call, deadline, sign).await?;
    proof.learn(measurer, reply.status, now);
    read(
        &target,
        &reply,
        &path,
        metric.json_path.as_deref().unwrap_or_default(),
        redactor,
    )
}

fn spec(field: &str, message: &str) -> ProviderError {
    ProviderError::Spec {
        field: format!("{FIELD}.{field}"),
        message: message.to_owned(),
    }
}

pub(super) fn json_path(metric: &WebMetric) -> Result<JsonPath, ProviderError> {
    let text = metric
        .json_path
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .unwrap_or("{$}");
    JsonPath::parse(text).map_err(|error| path_error(text, &error))
}

fn path_error(path: &str, error: &PathError) -> ProviderError {
    ProviderError::JsonPath {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// Method and body; a JSON body names its content type unless the metric does.
pub(super) fn request(
    metric: &WebMetric,
    headers: &mut HeaderMap,
) -> Result<(Method, Option<Vec<u8>>), ProviderError> {
    let method = match metric.method.as_deref().unwrap_or_default() {
        "" | "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        other => {
            return Err(spec(
                "method",
                &format!("{other:?} is not one of GET, POST and PUT"),
            ));
        }
    };
    let text = metric.body.as_deref().filter(|text| !text.is_empty());
    let body = match (text, &metric.json_body) {
        (None, None) => return Ok((method, None)),
        (Some(_), Some(_)) => return Err(spec("body", "and jsonBody are both set; give one")),
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(json)) => {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            json.to_string().into_bytes()
        }
    };
    if method == Method::GET {
        return Err(spec("method", "must be POST or PUT when there is a body"));
    }
    Ok((method, Some(body)))
}

/// The AWS service of a request, by the name of its host.
fn service(call: &Call) -> Result<&str, ProviderError> {
    aws_service(&call.url).ok_or_else(|| ProviderError::Authentication {
        target: call.target.0.clone(),
        message: NO_AWS_SERVICE.to_owned(),
    })
}

/// The name under which the service behind this host checks signatures.
pub(super) fn aws_service(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    if host.ends_with(".on.aws") {
        return host.contains(".lambda-url.").then_some("lambda");
    }
    let labels: Vec<&str> = host.strip_suffix(".amazonaws.com")?.split('.').collect();
    // `<api>.execute-api.<region>` and `<service>.<region>`: the service is the last label before the region.
    match labels.iter().rev().nth(1)? {
        &"aps-workspaces" => Some("aps"),
        service => Some(service),
    }
}

fn read(
    target: &Target,
    reply: &Reply,
    path: &JsonPath,
    written: &str,
    redactor: &Redactor,
) -> Result<Reading, ProviderError> {
    let text = String::from_utf8_lossy(&reply.body);
    if !reply.status.is_success() {
        return Err(ProviderError::Status {
            target: target.0.clone(),
            status: reply.status_text(),
            body: one_line(&redactor.scrub(&text), 200),
        });
    }
    let json: serde_json::Value = match serde_json::from_slice(&reply.body) {
        Ok(json) => json,
        Err(_) if path.is_root() => serde_json::Value::from(text.into_owned()),
        Err(_) => {
            return Err(ProviderError::JsonPath {
                path: written.to_owned(),
                message: format!(
                    "the answer of {} is not JSON: {}",
                    target.0,
                    one_line(&redactor.scrub(&text), 80)
                ),
            });
        }
    };
    let found = path.first(&json).map_err(|error| path_error(written, &error))?;
    Ok(Reading {
        value: Value::from(found),
        text: plain_numbers(found).to_string(),
        gap: None,
        metadata: BTreeMap::new(),
    })
}

/// The same JSON with whole numbers written whole: `2.0` becomes `2`, as in the contract's values.
fn plain_numbers(json: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}")
                .parse::<i64>()
                .map_or_else(|_| json.clone(), Json::from),
            _ => json.clone(),
        },
        Json::Array(items) => items.iter().map(plain_numbers).collect(),
        Json::Object(fields) => Json::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), plain_numbers(value)))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::String(_) => json.clone(),
    }
}
