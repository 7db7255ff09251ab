//! Keeping new pods off the nodes of the stable ones: `antiAffinity` (wire contract 2.14). The term stands in the template
//! of the new ReplicaSet while an update runs; no living pod is changed.

use serde_json::{Value, json};

use super::context::{self, Context, hash_of};
use super::draft::Draft;
use super::observed;
use super::plan::{Intent, ReplicaSetPatch};
use super::revision::patch_of;
use crate::api::common::PodTemplate;
use crate::api::names::labels;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::AntiAffinity;

/// The word without which no template has a term.
const ANTI_AFFINITY: &str = "podAntiAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Brings the templates of the new and the stable ReplicaSet up to date: one that is used again keeps off the stable of now,
/// and one that was promoted off nobody.
pub(crate) fn reconcile(ctx: &Context, draft: &mut Draft) {
    let stable = ctx.stable.filter(|_| !context::same(ctx.new, ctx.stable));
    if let Some(new) = ctx.new {
        let against = stable.map(hash_of).filter(|_| !ctx.is_fully_promoted());
        update(ctx, new, wanted(ctx, against), draft);
    }
    if let Some(stable) = stable {
        update(ctx, stable, None, draft);
    }
}

/// The term against the ReplicaSet of this hash, with the name of its list.
fn wanted(ctx: &Context, against: Option<&str>) -> Option<(&'static str, Value)> {
    let namespace = ctx.rollout.metadata.namespace.as_deref().unwrap_or_default();
    term(ctx.anti_affinity()?, against?, namespace)
}

fn update(ctx: &Context, rs: &ReplicaSet, wanted: Option<(&'static str, Value)>, draft: &mut Draft) {
    let stored = &rs.spec.template;
    if wanted.is_none() && !stored.mentions(ANTI_AFFINITY) {
        return;
    }
    let PodTemplate(mut template) = stored.read();
    let users = context::template(ctx.spec);
    let found = ours(&template, users);
    let same = found.iter().map(|(strength, term)| (*strength, summary(term)));
    if same.eq(wanted.iter().map(|(strength, term)| (*strength, summary(term)))) {
        return;
    }
    take_out(&mut template, users);
    if let Some((strength, term)) = wanted {
        add(&mut template, strength, term);
    }
    let affinity = Some(template["spec"]["affinity"].take());
    let uid = observed::uid(&rs.metadata);
    let planned = draft.intents.iter_mut().find_map(|intent| match intent {
        Intent::PatchReplicaSet(patch) if patch.uid == uid => Some(patch),
        _ => None,
    });
    match planned {
        Some(patch) => patch.affinity = affinity,
        None => draft.intents.push(Intent::PatchReplicaSet(ReplicaSetPatch {
            affinity,
            ..patch_of(rs)
        })),
    }
}

/// What tells one of our terms from another: whom it keeps off, and how much.
fn summary(term: &Value) -> (Option<i64>, Option<String>) {
    let inner = term.get("podAffinityTerm").unwrap_or(term);
    let hash = inner
        .pointer("/labelSelector/matchExpressions/0/values/0")
        .and_then(Value::as_str);
    (
        term.get("weight").and_then(Value::as_i64),
        hash.map(str::to_owned),
    )
}

/// Whether a controller of the contract injected this term: it selects by nothing but the pod template hash, and the
/// user's template has it not.
fn is_ours(term: &Value, strength: &str, users: &Value) -> bool {
    let of_user = users
        .pointer(&format!("/spec/affinity/podAntiAffinity/{strength}"))
        .and_then(Value::as_array);
    if of_user.is_some_and(|terms| terms.contains(term)) {
        return false;
    }
    let term = term.get("podAffinityTerm").unwrap_or(term);
    let needs = term
        .pointer("/labelSelector/matchExpressions")
        .and_then(Value::as_array);
    let labels = term
        .pointer("/labelSelector/matchLabels")
        .and_then(Value::as_object);
    labels.is_none_or(serde_json::Map::is_empty)
        && needs.is_some_and(|needs| {
            needs.len() == 1 && needs[0]["key"] == labels::POD_TEMPLATE_HASH && needs[0]["operator"] == "In"
        })
}

fn ours<'a>(template: &'a Value, users: &Value) -> Vec<(&'static str, &'a Value)> {
    let terms = |strength: &'static str| {
        let list = template.pointer(&format!("/spec/affinity/podAntiAffinity/{strength}"));
        let list = list.and_then(Value::as_array).into_iter().flatten();
        let ours: Vec<&Value> = list.filter(|term| is_ours(term, strength, users)).collect();
        ours.into_iter().map(move |term| (strength, term))
    };
    terms(REQUIRED).chain(terms(PREFERRED)).collect()
}

/// Removes our terms, and whatever is empty without them.
fn take_out(template: &mut Value, users: &Value) {
    for strength in [REQUIRED, PREFERRED] {
        let list = template.pointer_mut(&format!("/spec/affinity/podAntiAffinity/{strength}"));
        if let Some(terms) = list.and_then(Value::as_array_mut) {
            terms.retain(|term| !is_ours(term, strength, users));
        }
    }
    for (at, key) in [
        ("/spec/affinity/podAntiAffinity", REQUIRED),
        ("/spec/affinity/podAntiAffinity", PREFERRED),
        ("/spec/affinity", "podAntiAffinity"),
        ("/spec", "affinity"),
    ] {
        let Some(parent) = template.pointer_mut(at).and_then(Value::as_object_mut) else {
            continue;
        };
        let empty = parent.get(key).is_some_and(|value| match value {
            Value::Array(all) => all.is_empty(),
            Value::Object(all) => all.is_empty(),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        });
        if empty {
            parent.remove(key);
        }
    }
}

/// Adds the term to a new template.
pub(crate) fn inject(ctx: &Context, template: &mut Value) {
    if let Some((strength, term)) = wanted(ctx, ctx.stable.map(hash_of)) {
        add(template, strength, term);
    }
}

/// The term and its list: off the nodes of the stable revision's pods, in this namespace.
fn term(settings: &AntiAffinity, stable_hash: &str, namespace: &str) -> Option<(&'static str, Value)> {
    let term = json!({
        "labelSelector": {"matchExpressions": [
            {"key": labels::POD_TEMPLATE_HASH, "operator": "In", "values": [stable_hash]},
        ]},
        "namespaces": [namespace],
        "topologyKey": "kubernetes.io/hostname",
    });
    if let Some(preferred) = &settings.preferred_during_scheduling_ignored_during_execution {
        return Some((
            PREFERRED,
            json!({"weight": preferred.weight, "podAffinityTerm": term}),
        ));
    }
    settings
        .required_during_scheduling_ignored_during_execution
        .as_ref()
        .map(|_| (REQUIRED, term))
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
    use crate::engine::plan;
    use crate::engine::testing::{replica_set, rollout, world};

    fn settings(value: Value) -> AntiAffinity {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_term_stands_beside_those_of_the_user_and_changes_no_meaning() {
        let own = json!({"labelSelector": {"matchLabels": {"app": "b"}}, "topologyKey": "zone"});
        let (required, preferred) = (REQUIRED, PREFERRED);
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
            let (strength, term) = term(&settings(how), "abc", "n").unwrap();
            add(&mut injected, strength, term);
            let found = injected.pointer(&format!("/spec/affinity/podAntiAffinity/{path}"));
            assert_eq!(found, Some(&json!(want)), "{injected}");
            assert!(equal_by_meaning(&template, &injected, None), "{injected}");
            take_out(&mut injected, &template);
            assert!(
                ours(&injected, &template).is_empty() && equal_by_meaning(&template, &injected, None),
                "{injected}"
            );
        }
    }

    #[test]
    fn the_term_follows_the_stable_revision_and_ends_with_the_update() {
        let spec = |how: Value| json!({"strategy": {"canary": {"antiAffinity": how}}});
        let with = |hash: &str| {
            let mut rs = replica_set("new", 2, 0, 0);
            let (strength, term) = term(&settings(json!({REQUIRED: {}})), hash, "n").unwrap();
            rs.spec.template.edit(|template| add(template, strength, term));
            rs
        };
        let stable = || replica_set("old", 1, 4, 4);
        let paused = json!({"currentStepIndex": 1});
        let changed = |how: &Value, status: &Value, sets| {
            let intents = plan(
                &world(rollout(&spec(how.clone()), status), sets),
                crate::engine::testing::noon(),
            )
            .intents;
            intents.into_iter().find_map(|intent| match intent {
                Intent::PatchReplicaSet(patch) if patch.affinity.is_some() => {
                    Some((patch.name, patch.affinity.unwrap()))
                }
                _ => None,
            })
        };
        let required = json!({REQUIRED: {}});
        assert_eq!(changed(&required, &paused, vec![stable(), with("old")]), None);
        for (how, sets) in [
            (&required, vec![stable(), with("older")]),
            (&required, vec![stable(), replica_set("new", 2, 0, 0)]),
        ] {
            let (name, affinity) = changed(how, &paused, sets).unwrap();
            let path = format!("/podAntiAffinity/{REQUIRED}/0/labelSelector/matchExpressions/0/values");
            assert_eq!(
                (name.as_str(), affinity.pointer(&path)),
                ("r-new", Some(&json!(["old"])))
            );
        }
        let gone = Some(("r-new".to_owned(), Value::Null));
        assert_eq!(
            changed(&Value::Null, &paused, vec![stable(), with("old")]),
            gone,
            "not asked for any more"
        );
        let mut users = spec(Value::Null);
        users["template"]["spec"]["affinity"] =
            with("old").spec.template.read().0["spec"]["affinity"].clone();
        let kept = plan(
            &world(rollout(&users, &paused), vec![stable(), with("old")]),
            crate::engine::testing::noon(),
        );
        assert!(
            kept.intents
                .iter()
                .all(|i| !matches!(i, Intent::PatchReplicaSet(p) if p.affinity.is_some()))
        );
        let promoted = json!({"stableRS": "new", "currentStepIndex": 2});
        assert_eq!(
            changed(&required, &promoted, vec![stable(), with("old")]),
            gone,
            "promoted"
        );
        let (_, stronger) = changed(
            &json!({PREFERRED: {"weight": 9}}),
            &paused,
            vec![stable(), with("old")],
        )
        .unwrap();
        assert_eq!(stronger["podAntiAffinity"][PREFERRED][0]["weight"], json!(9));
        assert_eq!(stronger["podAntiAffinity"].get(REQUIRED), None);
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
