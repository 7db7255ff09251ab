//! Keeping new pods off the nodes of the stable ones: `antiAffinity` (wire contract 2.14).

use serde_json::{Value, json};

use crate::api::names::labels;
use crate::api::rollout::AntiAffinity;

/// Adds the term to a template: pods of the stable revision, in this namespace, on the same node.
pub(crate) fn inject(template: &mut Value, settings: &AntiAffinity, stable_hash: &str, namespace: &str) {
    let term = json!({
        "labelSelector": {"matchExpressions": [
            {"key": labels::POD_TEMPLATE_HASH, "operator": "In", "values": [stable_hash]},
        ]},
        "namespaces": [namespace],
        "topologyKey": "kubernetes.io/hostname",
    });
    if let Some(preferred) = &settings.preferred_during_scheduling_ignored_during_execution {
        let weighted = json!({"weight": preferred.weight, "podAffinityTerm": term});
        add(
            template,
            "preferredDuringSchedulingIgnoredDuringExecution",
            weighted,
        );
    } else if settings
        .required_during_scheduling_ignored_during_execution
        .is_some()
    {
        add(template, "requiredDuringSchedulingIgnoredDuringExecution", term);
    }
}

fn add(template: &mut Value, strength: &str, term: Value) {
    let mut at = template;
    for key in ["spec", "affinity", "podAntiAffinity"] {
        if !at[key].is_object() {
            at[key] = json!({});
        }
        at = &mut at[key];
    }
    match at[strength].as_array_mut() {
        Some(terms) => terms.push(term),
        None => at[strength] = json!([term]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::identity::equal_by_meaning;
    use crate::engine::testing::{replica_set, rollout, world};
    use crate::engine::{Intent, plan};

    fn settings(value: Value) -> AntiAffinity {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_term_stands_beside_those_of_the_user_and_changes_no_meaning() {
        let own = json!({"labelSelector": {"matchLabels": {"app": "b"}}, "topologyKey": "zone"});
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        for (template, how, path, want) in [
            (
                json!({"spec": {}}),
                json!({required: {}}),
                format!("{required}/0/topologyKey"),
                "kubernetes.io/hostname",
            ),
            (
                json!({"spec": {"affinity": {"podAntiAffinity": {required: [own]}}}}),
                json!({required: {}}),
                format!("{required}/1/labelSelector/matchExpressions/0/values/0"),
                "abc",
            ),
            (
                json!({"spec": {"affinity": {"nodeAffinity": {}}}}),
                json!({preferred: {"weight": 7}}),
                format!("{preferred}/0/podAffinityTerm/namespaces/0"),
                "n",
            ),
        ] {
            let mut injected = template.clone();
            inject(&mut injected, &settings(how), "abc", "n");
            let found = injected.pointer(&format!("/spec/affinity/podAntiAffinity/{path}"));
            assert_eq!(found, Some(&json!(want)), "{injected}");
            assert!(equal_by_meaning(&template, &injected, None), "{injected}");
        }
    }

    #[test]
    fn a_new_replica_set_gets_it_once_there_is_a_stable_one() {
        let spec = json!({"strategy": {"canary": {
            "antiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1}},
        }}});
        let weight = |status: Value, sets| {
            let plan = plan(
                &world(rollout(&spec, &status), sets),
                crate::engine::testing::noon(),
            );
            let Some(Intent::CreateReplicaSet(new)) = plan.intents.first().cloned() else {
                panic!("{plan:?}")
            };
            let path =
                "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight";
            new.template.pointer(path).and_then(Value::as_i64)
        };
        assert_eq!(
            weight(json!({"stableRS": null, "currentPodHash": null}), vec![]),
            None
        );
        assert_eq!(
            weight(
                json!({"currentPodHash": "old", "observedGeneration": "2"}),
                vec![replica_set("old", 1, 4, 4)]
            ),
            Some(1)
        );
    }
}
