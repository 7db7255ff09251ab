//! The API server's words about a ReplicaSet that it refused, for the reader of the Rollout. Pure.

use serde_json::Value;

use crate::engine::identity;

/// The API server speaks of the ReplicaSet that it refused; the user knows only the Rollout. The paths are the same, but
/// for a quantity that it could not even read it names none: that is looked for here.
pub fn refusal(message: &str, template: &Value) -> String {
    let rest = match message.split_once(" is invalid: ") {
        Some((_, rest)) => rest,
        None => message,
    };
    if let Some((_, fields)) = rest.split_once("strict decoding error: ") {
        return format!("spec.template: Invalid value: {fields}");
    }
    let Some((_, cause)) = rest.split_once(" cannot be handled as a ReplicaSet: ") else {
        return rest.to_owned();
    };
    match identity::wrong_quantity(template) {
        Some((path, value)) if cause.contains("quantit") => {
            format!("spec.template.{path}: Invalid value: {value}: {cause}")
        }
        Some(_) | None => format!("spec.template: Invalid value: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_field_of_the_rollout() {
        let template =
            json!({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "a lot"}}}]}});
        let unread = "ReplicaSet in version \"v1\" cannot be handled as a ReplicaSet: ";
        for (message, want) in [
            (
                "ReplicaSet.apps \"r-1\" is invalid: spec.template.spec.containers[0].name: Required value"
                    .to_owned(),
                "spec.template.spec.containers[0].name: Required value",
            ),
            (
                format!("{unread}strict decoding error: unknown field \"spec.template.spec.x\""),
                "spec.template: Invalid value: unknown field \"spec.template.spec.x\"",
            ),
            (
                format!("{unread}quantities must match the regular expression"),
                "spec.template.spec.containers[0].resources.requests[cpu]: Invalid value: \"a lot\": quantities must match \
                 the regular expression",
            ),
            (
                format!("{unread}json: cannot unmarshal string into Go struct field X of type int32"),
                "spec.template: Invalid value: json: cannot unmarshal string into Go struct field X of type int32",
            ),
        ] {
            assert_eq!(refusal(&message, &template), want);
        }
    }
}
