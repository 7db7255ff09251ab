//! Arguments: filling `{{args.name}}` placeholders, and keeping secret values out of what is shown.
//!
//! Every text inside a metric may hold placeholders: queries, conditions, counts, durations, the whole Job. They are
//! filled in the decoded texts, keys of maps included, and so a value with quotes or line breaks stays one text and
//! cannot break the JSON around it. A `{{` that names no argument is an error, because a query with a hole in it would
//! measure something else.

use crate::api::analysis::{Argument, Measurement, Metric, SecretKeyRef};
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in place of a secret value.
pub const REDACTED: &str = "*****";

/// Why the arguments of a metric cannot be filled in. Displayed, it is one sentence that names the argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// A placeholder that names nothing known.
    #[error("metric {metric:?}: there is no argument for {{{{{placeholder}}}}}")]
    Unknown {
        /// The metric.
        metric: String,
        /// What stood between the braces.
        placeholder: String,
    },
    /// A `{{` without a `}}`.
    #[error("metric {metric:?}: a placeholder is opened with {{{{ and never closed in {text:?}")]
    Unclosed {
        /// The metric.
        metric: String,
        /// The text that holds it.
        text: String,
    },
    /// An argument that has no value when it is needed.
    #[error("argument {0:?} has no value")]
    NoValue(String),
    /// An argument whose value comes from a field, which only the Rollout that creates a run can read.
    #[error(
        "argument {0:?} takes its value from a fieldRef, which is resolved only when a Rollout creates the run"
    )]
    UnresolvedField(String),
    /// An argument with a value and a source of one.
    #[error("argument {0:?} has both a value and a valueFrom: give one of them")]
    TwoSources(String),
    /// The metric is no valid metric once the values are in it.
    #[error("metric {metric:?} is not valid with its arguments filled in: {problem}")]
    Malformed {
        /// The metric.
        metric: String,
        /// What the decoder says.
        problem: String,
    },
}

/// A placeholder that could not be filled.
pub(super) enum Hole {
    Unknown(String),
    Unclosed,
}

/// Fills every `{{name}}` of a text by `lookup`, which gets the name without the spaces around it.
///
/// This is the form for texts outside of metrics, such as the arguments of an Experiment's analyses
/// (`{{templates.canary.podTemplateHash}}`). The error is a sentence.
pub fn fill(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    fill_text(text, lookup).map_err(|hole| match hole {
        Hole::Unknown(name) => format!("there is no value for {{{{{name}}}}}"),
        Hole::Unclosed => format!("a placeholder is opened with {{{{ and never closed in {text:?}"),
    })
}

fn fill_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Hole> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, opened) = rest.split_at(start);
        let Some(end) = opened.find("}}") else {
            return Err(Hole::Unclosed);
        };
        let name = opened[2..end].trim();
        let Some(value) = lookup(name) else {
            return Err(Hole::Unknown(name.to_owned()));
        };
        filled.push_str(before);
        // A value is never searched for placeholders again: an argument cannot smuggle in another one.
        filled.push_str(&value);
        rest = &opened[end + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn fill_value(
    value: &mut Value,
    metric: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ArgError> {
    let fill = |text: &str| {
        fill_text(text, lookup).map_err(|hole| match hole {
            Hole::Unknown(placeholder) => ArgError::Unknown {
                metric: metric.to_owned(),
                placeholder,
            },
            Hole::Unclosed => ArgError::Unclosed {
                metric: metric.to_owned(),
                text: text.to_owned(),
            },
        })
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if text.contains("{{") {
                *text = fill(text)?;
            }
        }
        Value::Array(items) => {
            for item in items {
                fill_value(item, metric, lookup)?;
            }
        }
        Value::Object(entries) => {
            for entry in entries.values_mut() {
                fill_value(entry, metric, lookup)?;
            }
            let templated: Vec<String> = entries.keys().filter(|key| key.contains("{{")).cloned().collect();
            for key in templated {
                if let Some(entry) = entries.remove(&key) {
                    entries.insert(fill(&key)?, entry);
                }
            }
        }
    }
    Ok(())
}

/// The values that placeholders are filled with, by argument name; secrets come from `secrets`, by argument name.
fn values(
    args: &[Argument],
    secrets: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ArgError> {
    let mut values = BTreeMap::new();
    for Argument {
        name,
        value,
        value_from,
    } in args
    {
        let secret = value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        let field = value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let value = match (value, secret, field) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
                return Err(ArgError::TwoSources(name.clone()));
            }
            (Some(value), None, None) => value.clone(),
            (None, Some(_), None) => secrets
                .get(name)
                .cloned()
                .ok_or_else(|| ArgError::NoValue(name.clone()))?,
            (None, None, Some(_)) => return Err(ArgError::UnresolvedField(name.clone())),
            (None, None, None) => return Err(ArgError::NoValue(name.clone())),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// The metric with every `{{args.name}}` filled in.
///
/// `secrets` holds the values of the arguments that [`secret_refs`] lists, by argument name. What comes back contains
/// them in clear: it is for the provider alone and must never be stored.
pub fn resolve_metric(
    metric: &Metric,
    args: &[Argument],
    secrets: &BTreeMap<String, String>,
) -> Result<Metric, ArgError> {
    let values = values(args, secrets)?;
    let malformed = |error: serde_json::Error| ArgError::Malformed {
        metric: metric.name.clone(),
        problem: error.to_string(),
    };
    // Most metrics have nothing to fill in, and this is done in every pass.
    let text = serde_json::to_string(metric).map_err(malformed)?;
    if !text.contains("{{") {
        return Ok(metric.clone());
    }
    let mut json: Value = serde_json::from_str(&text).map_err(malformed)?;
    let lookup = |name: &str| {
        name.strip_prefix("args.")
            .and_then(|name| values.get(name))
            .cloned()
    };
    fill_value(&mut json, &metric.name, &lookup)?;
    serde_json::from_value(json).map_err(malformed)
}

/// The arguments whose values are Secrets, with the key to read; to be read anew for every measurement.
pub fn secret_refs(args: &[Argument]) -> Vec<(&str, &SecretKeyRef)> {
    args.iter()
        .filter_map(|arg| {
            Some((
                arg.name.as_str(),
                arg.value_from.as_ref()?.secret_key_ref.as_ref()?,
            ))
        })
        .collect()
}

/// For planning: every secret argument with a stand-in for its value.
pub(super) fn masked_secrets(args: &[Argument]) -> BTreeMap<String, String> {
    secret_refs(args)
        .into_iter()
        .map(|(name, _)| (name.to_owned(), REDACTED.to_owned()))
        .collect()
}

/// Replaces each secret value in a text by [`REDACTED`], also where it stands as a JSON string with its escapes.
///
/// Longer values go first, so that a secret that contains another leaves no rest behind. An empty value hides nothing.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a String>) -> String {
    let mut needles: Vec<String> = Vec::new();
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        let json = Value::String(secret.clone()).to_string();
        needles.push(json[1..json.len() - 1].to_owned());
        needles.push(secret.clone());
    }
    needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    // One pass over the text, never over what was put in: a secret such as "*" must not find itself in the stars.
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(needle) = needles.iter().find(|needle| rest.starts_with(needle.as_str())) {
            shown.push_str(REDACTED);
            rest = &rest[needle.len()..];
        } else {
            shown.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    shown
}

/// Redacts everything in a measurement that is shown: its message, value and metadata.
pub fn redact_measurement(measurement: &mut Measurement, secrets: &BTreeMap<String, String>) {
    for text in measurement
        .message
        .iter_mut()
        .chain(&mut measurement.value)
        .chain(measurement.metadata.values_mut())
    {
        *text = redact(text, secrets.values());
    }
}
