//! What controllers of the contract write into a ReplicaSet's template besides the Rollout's: taken out again here,
//! before the two are compared.

use serde_json::Value;

/// The label with the template's hash, on ReplicaSets, their selectors and their pods.
pub(super) const HASH_LABEL: &str = "rollouts-pod-template-hash";

/// The ReplicaSet's template without ephemeral metadata and injected anti-affinity.
///
/// What the Rollout's template asks for itself is not taken for injected: a recorded label with the very value that the
/// Rollout's template gives it, a term that the Rollout's template has too.
pub(super) fn taken_out(rs_template: &Value, rollout_template: &Value, ephemeral: Option<&str>) -> Value {
    let mut template = rs_template.clone();
    if let Some(recorded) = ephemeral.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        for part in ["labels", "annotations"] {
            take_metadata(&mut template, rollout_template, &recorded, part);
        }
    }
    for strength in [
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    ] {
        take_terms(&mut template, rollout_template, strength);
    }
    template
}

/// Removes the labels (or annotations) that the annotation records as injected. Their present values do not matter:
/// the controllers remove them by key too. Where the Rollout's template has the key itself, its value stood there before.
fn take_metadata(template: &mut Value, rollout_template: &Value, recorded: &Value, part: &str) {
    let (Some(recorded), Some(found)) = (
        recorded[part].as_object(),
        template
            .pointer_mut(&format!("/metadata/{part}"))
            .and_then(Value::as_object_mut),
    ) else {
        return;
    };
    for key in recorded.keys() {
        let own = &rollout_template["metadata"][part][key];
        if own.is_null() {
            found.remove(key);
        } else {
            found.insert(key.clone(), own.clone());
        }
    }
}

/// Removes the pod anti-affinity terms that keep new pods away from the stable ones: those that select by the hash label.
fn take_terms(template: &mut Value, rollout_template: &Value, strength: &str) {
    let path = format!("/spec/affinity/podAntiAffinity/{strength}");
    let own = rollout_template.pointer(&path).and_then(Value::as_array);
    if let Some(terms) = template.pointer_mut(&path).and_then(Value::as_array_mut) {
        terms.retain(|term| !selects_by_hash(term) || own.is_some_and(|own| own.contains(term)));
    }
}

/// Whether the term, or the term inside a weighted one, has the requirement `rollouts-pod-template-hash In [..]`.
fn selects_by_hash(term: &Value) -> bool {
    let term = term.get("podAffinityTerm").unwrap_or(term);
    term.pointer("/labelSelector/matchExpressions")
        .and_then(Value::as_array)
        .is_some_and(|requirements| {
            requirements
                .iter()
                .any(|one| one["key"] == HASH_LABEL && one["operator"] == "In")
        })
}
