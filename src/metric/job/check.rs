//! What can be said of a Job's spec without creating it: its shape, and where secrets stand. The rest is the API server's
//! to judge, when the Job is created.

use super::drop_places_of_secrets;
use crate::api::analysis::JobMetric;
use crate::metric::provider::redact::MARK;
use serde_json::{Value, json};

const FIELD: &str = "provider.job";

/// Checks a Job metric whose arguments are filled in, with [`MARK`] for secrets. The error is a sentence that begins with
/// the path of the field.
pub(crate) fn check(metric: &JobMetric) -> Result<(), String> {
    let JobMetric { metadata, spec } = metric;
    object(spec, &format!("{FIELD}.spec"))?;
    let template = &spec["template"];
    object(template, &format!("{FIELD}.spec.template"))?;
    let pod = &template["spec"];
    let at = format!("{FIELD}.spec.template.spec");
    object(pod, &at)?;
    for (list, required) in [("containers", true), ("initContainers", false)] {
        match &pod[list] {
            Value::Null if !required => {}
            Value::Array(all) if !all.is_empty() || !required => {
                for (place, container) in all.iter().enumerate() {
                    object(container, &format!("{at}.{list}[{place}]"))?;
                }
            }
            _ => return Err(format!("{at}.{list}: must be a list of at least one container")),
        }
    }
    match &pod["restartPolicy"] {
        Value::String(policy) if policy == "Never" || policy == "OnFailure" => {}
        // Without it a pod's policy is Always, which the API server takes for no Job.
        Value::Null => return Err(format!("{at}.restartPolicy: must be set to Never or OnFailure")),
        other => {
            return Err(format!(
                "{at}.restartPolicy: is {other} and must be Never or OnFailure"
            ));
        }
    }
    let mut rest = json!({"metadata": metadata, "spec": spec});
    drop_places_of_secrets(&mut rest);
    match find(&rest, FIELD) {
        None => Ok(()),
        Some(path) => Err(format!(
            "{path}: holds an argument that is a secret, and everybody who may read the Job would read it: use it only in \
             command, args and env of a container"
        )),
    }
}

fn object(value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::Object(_) => Ok(()),
        Value::Null => Err(format!("{path}: must be set")),
        _ => Err(format!("{path}: must be an object")),
    }
}

/// The path of a text, or a key, that holds a secret.
fn find(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains(MARK).then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(place, item)| find(item, &format!("{path}[{place}]"))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains(MARK) {
                Some(path.to_owned())
            } else {
                find(field, &format!("{path}.{name}"))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
