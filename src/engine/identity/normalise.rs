//! Equality of pod templates by meaning.
//!
//! A ReplicaSet's template went through an API server, which filled in defaults and printed quantities its own way;
//! perhaps an older one, for a controller with other libraries. So both templates are brought to one form, in which a
//! difference means that pods would differ. The rules, each with its reason:
//!
//! 1. The label `rollouts-pod-template-hash` goes: only the ReplicaSet has it.
//! 2. What means nothing goes: `null`, empty maps and lists, and `""`, `0`, `false` and empty structs where the Go type
//!    cannot tell them from an absent field. Behind a Go pointer they do mean something and stay
//!    (`terminationGracePeriodSeconds: 0`, `namespaceSelector: {}`, `emptyDir: {}`), except for a few structs that are
//!    only containers of settings, see `SETTINGS`. `creationTimestamp: null` goes with the rest.
//! 3. Quantities become their exact value: `1000m` is `1`. Those of resources are rounded up to thousandths first, as
//!    the API server keeps them.
//! 4. Defaults of the API server are filled in, see `defaults`, on both sides, so that it does not matter
//!    which of the two has been through a server, nor through which one.
//! 5. What a controller of the contract wrote into the ReplicaSet's template is taken out again, see
//!    `injected`.
//!
//! A field that the table does not know, newer than our libraries, is compared as it is.

use super::encode::{is_empty, quantity_of};
use super::fields::{Kind, Table};
use super::quantity::Quantity;
use super::{defaults, injected};
use serde_json::{Map, Value, json};

/// Pointers to structs in which an empty struct says no more than none. `seLinuxOptions` and `windowsOptions` are not
/// among them: an empty one on a container hides the pod's. Nor are selectors: an empty one selects everything.
const SETTINGS: [&str; 9] = [
    "affinity",
    "capabilities",
    "dnsConfig",
    "lifecycle",
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
    "resources",
    "securityContext",
];

/// Whether the ReplicaSet's template is the Rollout's template, so that no new revision is needed.
///
/// `ephemeral` is the ReplicaSet's annotation `rollout.argoproj.io/ephemeral-metadata`: the labels and annotations that
/// were put on its pods for the time of a rollout. Text that is not the expected JSON is ignored.
///
/// ```
/// use serde_json::json;
/// use serin::engine::identity::equal_by_meaning;
/// let rollout = json!({"spec": {"containers": [{"name": "a", "image": "b:1"}]}});
/// let kept = json!({
///     "metadata": {"creationTimestamp": null, "labels": {"rollouts-pod-template-hash": "6b9b86fbd5"}},
///     "spec": {"restartPolicy": "Always", "containers": [{
///         "name": "a", "image": "b:1", "imagePullPolicy": "IfNotPresent", "resources": {}}]},
/// });
/// assert!(equal_by_meaning(&rollout, &kept, None));
/// ```
pub fn equal_by_meaning(rollout_template: &Value, rs_template: &Value, ephemeral: Option<&str>) -> bool {
    let rs_template = injected::taken_out(rs_template, rollout_template, ephemeral);
    normalise(rollout_template) == normalise(&rs_template)
}

/// The template in the form in which equal means the same pods. Only for comparing: quantities are spelled as digits
/// and a power of ten, and nothing else should read them.
pub fn normalise(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(injected::HASH_LABEL);
    }
    let table = Table::pod_template();
    let mut form = normal(table, &table.root, &template);
    defaults::fill(&mut form);
    form
}

/// The normal form of a value of this type; `Null` is the zero value, which elements of lists and maps may have.
fn normal(table: &Table, kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::Pointer(_), Value::Null) => Value::Null,
        (Kind::Pointer(inner), value) => normal(table, inner, value),
        (Kind::String, Value::Null) => json!(""),
        (Kind::Bool, Value::Null) => json!(false),
        (Kind::Int | Kind::IntOrString, Value::Null) => json!(0),
        (Kind::Quantity, value) => {
            // Go reads null as zero.
            let value = if value.is_null() { &json!("0") } else { value };
            quantity_of(value).map_or_else(|| value.clone(), |quantity| kept(&quantity))
        }
        (Kind::List(inner), Value::Array(items)) => {
            items.iter().map(|item| normal(table, inner, item)).collect()
        }
        (Kind::Map(inner), Value::Object(entries)) => {
            // Every map of quantities in a pod template is a resource list.
            let element = |entry: &Value| match quantity_of(entry).filter(|_| **inner == Kind::Quantity) {
                Some(quantity) => kept(&quantity.rounded_to_milli()),
                None => normal(table, inner, entry),
            };
            Value::Object(
                entries
                    .iter()
                    .map(|(key, entry)| (key.clone(), element(entry)))
                    .collect(),
            )
        }
        (Kind::Struct(_), Value::Null) => Value::Object(Map::new()),
        (Kind::Struct(number), Value::Object(entries)) => {
            let fields = table.fields(*number);
            let mut form = Map::new();
            for (key, entry) in entries.iter().filter(|(_, entry)| !entry.is_null()) {
                match fields.iter().find(|field| field.name == key) {
                    Some(field) => {
                        let entry = normal(table, &field.kind, entry);
                        if !means_nothing(key, &field.kind, &entry) {
                            form.insert(key.clone(), entry);
                        }
                    }
                    None => {
                        form.insert(key.clone(), entry.clone());
                    }
                }
            }
            Value::Object(form)
        }
        // Either nothing to change, or nothing that Go could read.
        (
            Kind::String
            | Kind::Bool
            | Kind::Int
            | Kind::IntOrString
            | Kind::Time
            | Kind::Raw
            | Kind::List(_)
            | Kind::Map(_)
            | Kind::Struct(_),
            value,
        ) => value.clone(),
    }
}

/// The value of a quantity as a server keeps it: the value of what it prints. That is the value itself, except for
/// absurd amounts beyond `E`, which Go prints without their suffix.
fn kept(quantity: &Quantity) -> Value {
    Quantity::parse(&quantity.canonical()).map_or(Value::Null, |printed| json!(printed.value_text()))
}

/// Whether a field in normal form is the same as no field.
fn means_nothing(name: &str, kind: &Kind, form: &Value) -> bool {
    let no_entries = form.as_object().is_some_and(Map::is_empty);
    match kind {
        Kind::Pointer(_) => form.is_null() || (no_entries && SETTINGS.contains(&name)),
        Kind::Struct(_) => form.is_null() || no_entries,
        Kind::Quantity => *form == "0",
        Kind::IntOrString => *form == 0,
        Kind::Time | Kind::Raw => form.is_null(),
        Kind::String | Kind::Bool | Kind::Int | Kind::List(_) | Kind::Map(_) => is_empty(kind, form),
    }
}

#[cfg(test)]
mod tests;
