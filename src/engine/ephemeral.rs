//! Labels and annotations that pods have only while they play a part: `canaryMetadata` and `stableMetadata`, or
//! `previewMetadata` and `activeMetadata` (wire contract 2.14).
//!
//! The template of the ReplicaSet comes first, so that pods made from now on are right; then the living pods. What was
//! injected is recorded in an annotation of the ReplicaSet, and nothing else is ever removed. A key that is not wanted any
//! more stays in the record until no pod has it: a process that ends in between leaves nothing behind.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::context::{self, Context, counts};
use super::draft::Draft;
use super::observed;
use super::plan::{Intent, MetadataPatch, ReplicaSetPatch};
use super::pods;
use super::revision::patch_of;
use crate::api::common::{PodTemplate, PodTemplateMetadata};
use crate::api::names::annotations;
use crate::api::pod::Pod;
use crate::api::replica_set::ReplicaSet;

/// The most pods that one pass changes: a large ReplicaSet must not hold up what matters more.
const PODS_A_PASS: usize = 50;

type Map = BTreeMap<String, String>;

/// What the next new ReplicaSet gets at its creation: on the first deployment it is the stable one to be.
pub(crate) fn at_creation<'a>(ctx: &Context<'a>) -> Option<&'a PodTemplateMetadata> {
    let metadata = if ctx.stable.is_none() {
        ctx.stable_metadata()
    } else {
        ctx.update_metadata()
    };
    metadata.filter(|m| !is_empty(m))
}

/// Writes the metadata into a template.
pub(crate) fn inject(template: &mut Value, metadata: &PodTemplateMetadata) {
    for (part, wanted) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        if wanted.is_empty() {
            continue;
        }
        if !template["metadata"][part].is_object() {
            template["metadata"][part] = json!({});
        }
        for (key, value) in wanted {
            template["metadata"][part][key] = json!(value);
        }
    }
}

/// The record of what was injected.
pub(crate) fn record(metadata: &PodTemplateMetadata) -> String {
    serde_json::to_string(metadata).unwrap_or_default()
}

fn is_empty(metadata: &PodTemplateMetadata) -> bool {
    metadata.labels.is_empty() && metadata.annotations.is_empty()
}

/// One ReplicaSet and what its pods should carry.
struct Part<'a> {
    rs: &'a ReplicaSet,
    wanted: PodTemplateMetadata,
    /// What was injected, or may still be on some pod.
    recorded: PodTemplateMetadata,
    /// What the Rollout's template says of these keys itself; known for the new ReplicaSet only.
    own: PodTemplateMetadata,
    pods: Vec<&'a Pod>,
}

/// Those ReplicaSets for which there is anything to want or to remove.
fn parts<'a>(ctx: &Context<'a>) -> Vec<Part<'a>> {
    ctx.all().filter_map(|rs| part(ctx, rs)).collect()
}

fn part<'a>(ctx: &Context<'a>, rs: &'a ReplicaSet) -> Option<Part<'a>> {
    let is_new = context::same(Some(rs), ctx.new);
    let is_stable = context::same(Some(rs), ctx.stable) || (is_new && ctx.stable.is_none());
    let wanted = match (is_stable, is_new) {
        (true, _) => ctx.stable_metadata(),
        (false, true) => ctx.update_metadata(),
        (false, false) => None,
    };
    let wanted = wanted.cloned().unwrap_or_default();
    let recorded = observed::ephemeral_metadata(&rs.metadata);
    if is_empty(&wanted) && recorded.is_none() {
        return None;
    }
    let recorded = recorded
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let own = match ctx.spec.template.as_ref().filter(|_| is_new) {
        Some(template) => PodTemplateMetadata {
            labels: template.labels(),
            annotations: template.annotations(),
        },
        None => PodTemplateMetadata::default(),
    };
    let pods = pods::of(ctx.observed, rs)
        .iter()
        .map(AsRef::as_ref)
        .filter(|pod| !pod.is_going())
        .collect();
    Some(Part {
        rs,
        wanted,
        recorded,
        own,
        pods,
    })
}

impl Part<'_> {
    /// The changes to something that has the labels and annotations which the two functions tell of.
    fn changes(
        &self,
        has_label: impl Fn(&str, Option<&str>) -> bool,
        has_annotation: impl Fn(&str, Option<&str>) -> bool,
    ) -> MetadataPatch {
        let Part {
            wanted,
            recorded,
            own,
            ..
        } = self;
        MetadataPatch {
            labels: changes(&wanted.labels, &recorded.labels, &own.labels, has_label),
            annotations: changes(
                &wanted.annotations,
                &recorded.annotations,
                &own.annotations,
                has_annotation,
            ),
        }
    }

    fn template_changes(&self, template: &PodTemplate) -> MetadataPatch {
        let (labels, annotations) = (template.labels(), template.annotations());
        self.changes(
            |key, value| has(&labels, key, value),
            |key, value| has(&annotations, key, value),
        )
    }

    fn pod_changes(&self, pod: &Pod) -> MetadataPatch {
        self.changes(
            |k, v| pod.marks.has_label(k, v),
            |k, v| pod.marks.has_annotation(k, v),
        )
    }

    /// The record once `changes` are made to the template: what is wanted, and beside it what some pod may still have.
    fn next_record(&self, changes: &MetadataPatch) -> PodTemplateMetadata {
        let counts = counts(Some(self.rs));
        let seen = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        let idle = counts.spec == 0 && counts.created == 0 && seen == 0 && counts.observed;
        let settled = changes.is_empty()
            && counts.observed
            && seen >= counts.created
            && self.pods.iter().all(|pod| self.pod_changes(pod).is_empty());
        let mut next = self.wanted.clone();
        if !idle && !settled {
            for (into, from) in [
                (&mut next.labels, &self.recorded.labels),
                (&mut next.annotations, &self.recorded.annotations),
            ] {
                for (key, value) in from {
                    into.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        next
    }
}

fn has(map: &Map, key: &str, value: Option<&str>) -> bool {
    map.get(key)
        .is_some_and(|found| value.is_none_or(|value| found == value))
}

fn changes(
    wanted: &Map,
    recorded: &Map,
    own: &Map,
    has: impl Fn(&str, Option<&str>) -> bool,
) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for (key, value) in wanted.iter().filter(|(key, value)| !has(key, Some(value))) {
        all.insert(key.clone(), Some(value.clone()));
    }
    for key in recorded.keys().filter(|key| !wanted.contains_key(*key)) {
        match own.get(key) {
            Some(value) if !has(key, Some(value)) => {
                all.insert(key.clone(), Some(value.clone()));
            }
            None if has(key, None) => {
                all.insert(key.clone(), None);
            }
            Some(_) | None => {}
        }
    }
    all
}

/// Brings the templates of the ReplicaSets, and their records, up to date.
pub(crate) fn templates(ctx: &Context, draft: &mut Draft) {
    for part in parts(ctx) {
        let template = part.rs.spec.template.read();
        let changes = part.template_changes(&template);
        let next = part.next_record(&changes);
        let recorded = observed::ephemeral_metadata(&part.rs.metadata);
        let annotation = match (is_empty(&next), recorded) {
            (true, None) => None,
            (true, Some(_)) => Some(None),
            (false, Some(_)) if part.recorded == next => None,
            (false, _) => Some(Some(record(&next))),
        };
        if changes.is_empty() && annotation.is_none() {
            continue;
        }
        let key = annotations::EPHEMERAL_METADATA.to_owned();
        draft.intents.push(Intent::PatchReplicaSet(ReplicaSetPatch {
            annotations: annotation.into_iter().map(|value| (key.clone(), value)).collect(),
            has_template_annotations: !template.annotations().is_empty(),
            template: changes,
            ..patch_of(part.rs)
        }));
    }
}

/// Brings the living pods up to date, some in each pass.
pub(crate) fn living_pods(ctx: &Context, draft: &mut Draft) {
    let parts = parts(ctx);
    let outdated = parts.iter().flat_map(|part| {
        let changes = part.pods.iter().map(|pod| (*pod, part.pod_changes(pod)));
        changes.filter(|(_, changes)| !changes.is_empty())
    });
    for (i, (pod, metadata)) in outdated.take(PODS_A_PASS + 1).enumerate() {
        if i == PODS_A_PASS {
            draft.wake_at(
                draft
                    .now
                    .checked_add(SignedDuration::from_secs(1))
                    .unwrap_or(draft.now),
            );
            return;
        }
        draft.intents.push(Intent::PatchPod {
            name: observed::name(&pod.metadata).to_owned(),
            uid: observed::uid(&pod.metadata).to_owned(),
            metadata,
        });
    }
}

#[cfg(test)]
mod tests;
