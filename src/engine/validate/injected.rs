//! Checking what is to be injected into pods: their part's metadata, and the anti-affinity to stable pods.

use std::collections::BTreeMap;

use super::Invalid;
use crate::api::common::PodTemplateMetadata;
use crate::api::names::labels;
use crate::api::rollout::{AntiAffinity, RolloutSpec};

/// Labels and annotations that Kubernetes takes, none of which the selectors rest on: ReplicaSets and Services would lose
/// their pods.
pub(super) fn metadata(
    at: &str,
    spec: &RolloutSpec,
    metadata: Option<&PodTemplateMetadata>,
) -> Result<(), Invalid> {
    let Some(PodTemplateMetadata {
        labels: own,
        annotations,
    }) = metadata
    else {
        return Ok(());
    };
    let selector = spec.selector.clone().unwrap_or_default();
    let in_expressions = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|need| need.key.clone());
    let mut reserved: Vec<String> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect();
    reserved.extend(in_expressions);
    reserved.push(labels::POD_TEMPLATE_HASH.to_owned());
    keys(&format!("{at}.labels"), own)?;
    for (key, value) in own {
        if reserved.contains(key) {
            return Err(format!(
                "{at}.labels: Invalid value: \"{key}\": pods are selected by this label"
            ));
        }
        if !is_label_value(value) {
            return Err(format!(
                "{at}.labels[{key}]: Invalid value: \"{value}\": a label has at most 63 letters, digits, '-', '_' and \
                 '.', and begins and ends with a letter or digit"
            ));
        }
    }
    keys(&format!("{at}.annotations"), annotations)
}

fn keys(at: &str, map: &BTreeMap<String, String>) -> Result<(), Invalid> {
    match map.keys().find(|key| !is_key(key)) {
        Some(key) => Err(format!(
            "{at}: Invalid value: \"{key}\": must be a name such as 'role', or one with a prefix such as \
             'example.com/role'"
        )),
        None => Ok(()),
    }
}

/// A qualified name: at most 63 characters of a label's, after an optional DNS name and a slash.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_part = |part: &str| {
        let inner = part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    !name.is_empty()
        && is_label_value(name)
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_part))
}

fn is_label_value(value: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let ends = [value.bytes().next(), value.bytes().last()];
    value.len() <= 63
        && value.bytes().all(known)
        && ends.into_iter().flatten().all(|b| b.is_ascii_alphanumeric())
}

/// Exactly one of the two variants; a weight that the scheduler takes.
pub(super) fn anti_affinity(at: &str, settings: Option<&AntiAffinity>) -> Result<(), Invalid> {
    let Some(settings) = settings else { return Ok(()) };
    let required = settings
        .required_during_scheduling_ignored_during_execution
        .is_some();
    match &settings.preferred_during_scheduling_ignored_during_execution {
        Some(_) if required => Err(format!(
            "{at}: Invalid value: requiredDuringSchedulingIgnoredDuringExecution and \
             preferredDuringSchedulingIgnoredDuringExecution are both set; set exactly one of them"
        )),
        None if !required => Err(format!(
            "{at}: Required value: set requiredDuringSchedulingIgnoredDuringExecution or \
             preferredDuringSchedulingIgnoredDuringExecution"
        )),
        Some(preferred) if !(1..=100).contains(&preferred.weight) => Err(format!(
            "{at}.preferredDuringSchedulingIgnoredDuringExecution.weight: Invalid value: {}: must be between 1 and 100",
            preferred.weight
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::engine::testing::rollout;
    use crate::engine::validate;

    fn refusal(canary: &Value) -> String {
        let spec = json!({"strategy": {"canary": canary}});
        validate::spec(&rollout(&spec, &json!({})).spec)
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn every_mistake_is_named_with_its_path() {
        let metadata = |labels: Value| json!({"canaryMetadata": {"labels": labels}});
        let affinity = |value: Value| json!({"antiAffinity": value});
        let preferred =
            |weight: i32| json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": weight}});
        for (canary, want) in [
            (metadata(json!({"role": "canary", "example.com/x": ""})), ""),
            (
                metadata(json!({"app": "b"})),
                "canaryMetadata.labels: Invalid value: \"app\": pods are selected",
            ),
            (
                metadata(json!({"rollouts-pod-template-hash": "b"})),
                "canaryMetadata.labels: Invalid value: \"rollouts-pod-template-hash\": pods",
            ),
            (
                metadata(json!({"role": "a b"})),
                "canaryMetadata.labels[role]: Invalid value: \"a b\": a label",
            ),
            (
                metadata(json!({"-role": "a"})),
                "canaryMetadata.labels: Invalid value: \"-role\": must be a name",
            ),
            (
                json!({"stableMetadata": {"annotations": {"A.b/c": "any thing"}}}),
                "stableMetadata.annotations: Invalid value: \"A.b/c\": must be a name",
            ),
            (
                json!({"stableMetadata": {"annotations": {"b.c/D": "any thing"}}}),
                "",
            ),
            (affinity(json!({})), "antiAffinity: Required value: set"),
            (affinity(preferred(1)), ""),
            (affinity(preferred(100)), ""),
            (
                affinity(preferred(101)),
                "antiAffinity.preferredDuringSchedulingIgnoredDuringExecution.weight: Invalid value: 101: must be",
            ),
            (
                affinity(json!({"requiredDuringSchedulingIgnoredDuringExecution": {}})),
                "",
            ),
            (
                affinity(json!({
                    "requiredDuringSchedulingIgnoredDuringExecution": {},
                    "preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1},
                })),
                "antiAffinity: Invalid value: requiredDuringSchedulingIgnoredDuringExecution and",
            ),
            (json!({"failFast": {}}), ""),
            (
                json!({"failFast": {"failingPods": 0}}),
                "failFast.failingPods: Invalid value: 0: must be",
            ),
            (
                json!({"failFast": {"graceSeconds": -1}}),
                "failFast.graceSeconds: Invalid value: -1: must be",
            ),
        ] {
            let found = refusal(&canary);
            let found = found.strip_prefix("spec.strategy.canary.").unwrap_or(&found);
            assert!(
                found.starts_with(want) && found.is_empty() == want.is_empty(),
                "{canary}: {found}"
            );
        }
    }
}
