//! The pod template: raw JSON, kept whole, with a typed view of the few fields that we read.
//!
//! A typed `PodTemplateSpec` would drop, on every rewrite, the fields that are newer than our library
//! (design.md section 4). The view never fails: what is missing or of another type reads as absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template_schema;

/// A pod template as the user wrote it. Fields that this version of Serin does not know survive unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(pub Value);

/// What we read of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerView<'a> {
    /// Name; empty when the template has none.
    pub name: &'a str,
    /// Image; empty when the template has none.
    pub image: &'a str,
}

impl PodTemplate {
    /// Labels of the pods. An entry that is no string is left out.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.string_map("/metadata/labels")
    }

    /// Annotations of the pods. An entry that is no string is left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.string_map("/metadata/annotations")
    }

    /// Name and image of each container, in order, without init and ephemeral containers.
    pub fn containers(&self) -> Vec<ContainerView<'_>> {
        self.container_views("/spec/containers")
    }

    /// Name and image of each init container, in order.
    pub fn init_containers(&self) -> Vec<ContainerView<'_>> {
        self.container_views("/spec/initContainers")
    }

    /// `spec.restartPolicy`, where it is set. A Rollout's is `Always`, which is also the default.
    pub fn restart_policy(&self) -> Option<&str> {
        self.0.pointer("/spec/restartPolicy").and_then(Value::as_str)
    }

    /// Whether it says nothing: absent, or only nulls and empty values at every depth. With `workloadRef` the inline
    /// template has to be so.
    ///
    /// Clients written in Go send a template that nobody wrote as
    /// `{"metadata":{"creationTimestamp":null},"spec":{"containers":null}}`; that is empty.
    pub fn is_empty(&self) -> bool {
        says_nothing(&self.0)
    }

    fn string_map(&self, pointer: &str) -> BTreeMap<String, String> {
        let entries = self.0.pointer(pointer).and_then(Value::as_object);
        entries
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn container_views(&self, pointer: &str) -> Vec<ContainerView<'_>> {
        let containers = self.0.pointer(pointer).and_then(Value::as_array);
        containers
            .into_iter()
            .flatten()
            .map(|container| ContainerView {
                name: text_of(container, "name"),
                image: text_of(container, "image"),
            })
            .collect()
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(says_nothing),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

fn text_of<'a>(container: &'a Value, field: &str) -> &'a str {
    container.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl From<Value> for PodTemplate {
    fn from(template: Value) -> Self {
        Self(template)
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        template_schema::pod_template()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_fields_that_we_use() {
        let template = PodTemplate(json!({
            "metadata": { "labels": { "app": "shop" }, "annotations": { "note": "1" } },
            "spec": {
                "restartPolicy": "Always",
                "initContainers": [{ "name": "init", "image": "init:v1" }],
                "containers": [{ "name": "app", "image": "shop:v1" }, { "name": "proxy" }],
            },
        }));
        assert_eq!(
            template.labels(),
            BTreeMap::from([("app".to_owned(), "shop".to_owned())])
        );
        assert_eq!(
            template.annotations(),
            BTreeMap::from([("note".to_owned(), "1".to_owned())])
        );
        assert_eq!(template.restart_policy(), Some("Always"));
        assert_eq!(
            template.init_containers(),
            [ContainerView {
                name: "init",
                image: "init:v1"
            }]
        );
        assert_eq!(
            template.containers(),
            [
                ContainerView {
                    name: "app",
                    image: "shop:v1"
                },
                ContainerView {
                    name: "proxy",
                    image: ""
                }
            ]
        );
        assert!(!template.is_empty());
    }

    #[test]
    fn what_has_another_type_reads_as_absent() {
        for odd in [
            json!(null),
            json!("text"),
            json!([1]),
            json!({ "metadata": 3, "spec": { "containers": {} } }),
        ] {
            let template = PodTemplate(odd);
            assert!(template.labels().is_empty() && template.containers().is_empty());
            assert_eq!(template.restart_policy(), None);
        }
        let mixed = PodTemplate(
            json!({ "metadata": { "labels": { "n": 1, "t": "x" } }, "spec": { "containers": [7] } }),
        );
        assert_eq!(mixed.labels().into_keys().collect::<Vec<_>>(), ["t"]);
        assert_eq!(mixed.containers(), [ContainerView { name: "", image: "" }]);
    }

    #[test]
    fn what_a_go_client_sends_for_no_template_is_empty() {
        let sent = json!({ "metadata": { "creationTimestamp": null }, "spec": { "containers": null } });
        assert!(PodTemplate(sent).is_empty());
        assert!(PodTemplate(json!({})).is_empty());
        assert!(PodTemplate::default().is_empty());
        assert!(!PodTemplate(json!({ "spec": { "hostNetwork": false } })).is_empty());
    }
}
