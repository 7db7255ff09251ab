//! Which revision is desired: creating its ReplicaSet, numbering it, and noticing that the desire has changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::context::{self, Context, hash_of};
use super::draft::Draft;
use super::observed::{self, RefusalKind};
use super::plan::{Intent, NewReplicaSet, Notice, ReplicaSetPatch, WorkloadGeneration};
use super::{anti_affinity, blue_green, environments, ephemeral, selector, timing, workload};
use crate::api::names::{annotations, conditions, events, labels, reasons};
use crate::api::replica_set::ReplicaSet;

/// What became of the question which ReplicaSet is the new one.
pub(crate) enum Settled {
    /// It exists and is committed as the current one: the strategy may go on.
    Yes,
    /// It does not, or the desire has just changed: that comes first, and this pass ends with it.
    Changed,
    /// The name of its ReplicaSet is taken: only the collision count is committed, which gives it another.
    Taken,
    /// The API server refused the template.
    Refused(String),
}

/// Creates the ReplicaSet of the desired template, numbers it, and starts the update where the template or the steps
/// have changed since the committed status.
pub(crate) fn settle(ctx: &Context, draft: &mut Draft) -> Settled {
    let Some(new) = ctx.new else {
        return create(ctx, draft);
    };
    number(ctx, new, draft);
    let hash = hash_of(new);
    let template_changed = ctx.status.current_pod_hash.as_deref() != Some(hash);
    if template_changed || steps_changed(ctx) {
        restart(ctx, new, template_changed, draft);
        return Settled::Changed;
    }
    Settled::Yes
}

/// The name of the ReplicaSet of a revision.
pub(crate) fn replica_set_name(rollout: &str, hash: &str) -> String {
    format!("{rollout}-{hash}")
}

fn create(ctx: &Context, draft: &mut Draft) -> Settled {
    let identity = &ctx.observed.identity;
    if let Some(refusal) = ctx
        .observed
        .refusal
        .as_ref()
        .filter(|r| r.pod_hash == identity.pod_hash)
    {
        match refusal.kind {
            RefusalKind::Invalid => return Settled::Refused(refusal.message.clone()),
            RefusalKind::Denied => {
                denied(ctx, &refusal.message, draft);
                return Settled::Changed;
            }
        }
    }
    let meta = &ctx.rollout.metadata;
    let name = replica_set_name(observed::name(meta), &identity.pod_hash);
    if ctx
        .observed
        .replica_sets
        .iter()
        .any(|rs| observed::name(&rs.metadata) == name)
    {
        // Another template has this hash, or another owner this name: the next count gives another hash.
        let count = ctx.status.collision_count.unwrap_or(0).saturating_add(1);
        draft.status.collision_count = Some(count);
        return Settled::Taken;
    }
    let revision = ctx.highest_other_revision() + 1;
    let first = ctx.status.observed_generation.is_none();
    let mut notices = Vec::new();
    if first {
        notices.push(Notice::normal(
            events::ROLLOUT_ADDED_TO_INFORMER,
            "Rollout resource added to informer cache",
        ));
    }
    notices.push(updated(revision));
    notices.push(Notice::normal(
        reasons::NEW_REPLICA_SET_CREATED,
        format!("Created ReplicaSet {name} (revision {revision})"),
    ));
    draft
        .intents
        .push(Intent::CreateReplicaSet(Box::new(new_replica_set(
            ctx, &name, revision, notices,
        ))));
    patch_rollout(ctx, revision, Vec::new(), draft);
    timing::changed(ctx, None, true, draft);
    begin(ctx, &identity.pod_hash, draft);
    draft.set_condition(
        conditions::PROGRESSING,
        "True",
        reasons::NEW_REPLICA_SET_CREATED,
        format!("Created new replica set \"{name}\""),
    );
    Settled::Changed
}

/// A quota, an admission webhook or a missing permission stands in the way: said, and tried again later.
fn denied(ctx: &Context, message: &str, draft: &mut Draft) {
    let name = replica_set_name(
        observed::name(&ctx.rollout.metadata),
        &ctx.observed.identity.pod_hash,
    );
    let message = format!("Failed to create new replica set \"{name}\": {message}");
    let known = draft
        .condition(conditions::PROGRESSING)
        .is_some_and(|c| c.reason == reasons::REPLICA_SET_CREATE_ERROR);
    draft.set_condition(
        conditions::PROGRESSING,
        "False",
        reasons::REPLICA_SET_CREATE_ERROR,
        message.clone(),
    );
    if !known {
        draft
            .notices
            .push(Notice::warning(reasons::REPLICA_SET_CREATE_ERROR, message));
    }
}

fn updated(revision: i64) -> Notice {
    Notice::normal(
        events::ROLLOUT_UPDATED,
        format!("Rollout updated to revision {revision}"),
    )
}

fn new_replica_set(ctx: &Context, name: &str, revision: i64, notices: Vec<Notice>) -> NewReplicaSet {
    let hash = &ctx.observed.identity.pod_hash;
    let mut template = stamped_template(context::template(ctx.spec), hash);
    let mut own = crate::api::common::PodTemplate(template.clone()).labels();
    own.insert(labels::POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let mut notes = inherited_annotations(ctx);
    notes.insert(annotations::REVISION.to_owned(), revision.to_string());
    notes.insert(annotations::DESIRED_REPLICAS.to_owned(), ctx.replicas.to_string());
    if let Some(metadata) = ephemeral::at_creation(ctx) {
        ephemeral::inject(&mut template, metadata);
        notes.insert(
            annotations::EPHEMERAL_METADATA.to_owned(),
            ephemeral::record(metadata),
        );
    }
    anti_affinity::inject(ctx, &mut template);
    NewReplicaSet {
        name: name.to_owned(),
        pod_hash: hash.clone(),
        labels: own,
        annotations: notes,
        selector: selector::with_label(ctx.spec.selector.as_ref(), labels::POD_TEMPLATE_HASH, hash),
        template,
        min_ready_seconds: ctx.spec.min_ready_seconds.unwrap_or(0).max(0),
        notices,
    }
}

/// The template with the hash label, everything else untouched.
fn stamped_template(template: &Value, hash: &str) -> Value {
    let mut template = if template.is_object() {
        template.clone()
    } else {
        json!({})
    };
    let mut at = &mut template;
    for key in ["metadata", "labels"] {
        if !at[key].is_object() {
            at[key] = json!({});
        }
        at = &mut at[key];
    }
    at[labels::POD_TEMPLATE_HASH] = json!(hash);
    template
}

/// The Rollout's annotations that its ReplicaSets carry too (wire contract 2.2): all but those that speak of the one
/// object only.
fn inherited_annotations(ctx: &Context) -> BTreeMap<String, String> {
    let mut all = ctx.rollout.metadata.annotations.clone().unwrap_or_default();
    for own in annotations::NOT_COPIED_TO_REPLICA_SETS {
        all.remove(own);
    }
    all
}

/// What of the Rollout's annotations the ReplicaSet lacks or has otherwise. One that the Rollout no longer has stays, as with
/// a Deployment: it may be somebody else's.
pub(crate) fn outdated_annotations(ctx: &Context, rs: &ReplicaSet) -> BTreeMap<String, Option<String>> {
    let mut wanted = inherited_annotations(ctx);
    let has = rs.metadata.annotations.as_ref();
    wanted.retain(|key, value| has.and_then(|all| all.get(key)) != Some(value));
    // What changes with every scaling of a workload is worth no call of its own.
    if wanted.keys().all(|key| key == annotations::WORKLOAD_GENERATION) {
        wanted.clear();
    }
    wanted
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect()
}

/// Gives the new ReplicaSet the highest number. One that is used again keeps its old numbers in its history.
fn number(ctx: &Context, new: &ReplicaSet, draft: &mut Draft) {
    let mine = observed::revision(&new.metadata);
    let highest = ctx.highest_other_revision();
    let revision = if mine > highest { mine } else { highest + 1 };
    if revision != mine {
        let mut changes = outdated_annotations(ctx, new);
        changes.insert(annotations::REVISION.to_owned(), Some(revision.to_string()));
        if mine > 0 {
            let history = observed::annotation(&new.metadata, annotations::REVISION_HISTORY);
            let history = if history.is_empty() {
                mine.to_string()
            } else {
                format!("{history},{mine}")
            };
            changes.insert(annotations::REVISION_HISTORY.to_owned(), Some(history));
        }
        draft.intents.push(Intent::PatchReplicaSet(ReplicaSetPatch {
            annotations: changes,
            ..patch_of(new)
        }));
    }
    let notices = if revision == mine {
        Vec::new()
    } else {
        vec![updated(revision)]
    };
    patch_rollout(ctx, revision, notices, draft);
}

/// A patch of this ReplicaSet that changes nothing yet.
pub(crate) fn patch_of(rs: &ReplicaSet) -> ReplicaSetPatch {
    ReplicaSetPatch {
        name: observed::name(&rs.metadata).to_owned(),
        uid: observed::uid(&rs.metadata).to_owned(),
        has_annotations: rs
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|all| !all.is_empty()),
        ..ReplicaSetPatch::default()
    }
}

/// Writes what the Rollout itself lacks: its revision, and the default of `spec.replicas` (an autoscaler reads it).
fn patch_rollout(ctx: &Context, revision: i64, notices: Vec<Notice>, draft: &mut Draft) {
    let outdated = observed::annotation(&ctx.rollout.metadata, annotations::REVISION) != revision.to_string();
    let replicas = ctx.spec.replicas.is_none().then_some(1);
    let workload_generation = workload::is_outdated(ctx).then(|| match &ctx.observed.workload {
        Some(workload) if ctx.spec.workload_ref.is_some() => WorkloadGeneration::Is(workload.generation),
        Some(_) | None => WorkloadGeneration::Forget,
    });
    if outdated || replicas.is_some() || workload_generation.is_some() {
        let revision = outdated.then_some(revision);
        draft.intents.push(Intent::PatchRollout {
            revision,
            workload_generation,
            replicas,
            notices,
        });
    }
}

/// Whether the committed step hash belongs to other steps. A hash of the older form belongs to these.
fn steps_changed(ctx: &Context) -> bool {
    let committed = ctx.status.current_step_hash.as_deref().unwrap_or_default();
    let identity = &ctx.observed.identity;
    committed != identity.step_hash && committed != identity.legacy_step_hash
}

fn restart(ctx: &Context, new: &ReplicaSet, template_changed: bool, draft: &mut Draft) {
    timing::changed(ctx, ctx.new, template_changed, draft);
    begin(ctx, hash_of(new), draft);
    if template_changed {
        let name = observed::name(&new.metadata);
        draft.set_condition(
            conditions::PROGRESSING,
            "True",
            reasons::FOUND_NEW_REPLICA_SET,
            format!("Found new replica set \"{name}\""),
        );
    }
    let steps = i32::try_from(ctx.steps().len()).unwrap_or(i32::MAX);
    let to_stable = ctx.stable.is_some() && context::same(ctx.new, ctx.stable);
    if to_stable {
        if steps > 0 {
            draft.status.current_step_index = Some(steps);
            if template_changed {
                draft.notices.push(Notice::normal(
                    events::SKIP_STEPS,
                    "Rollback to stable ReplicaSet",
                ));
            }
        }
    } else if is_within_rollback_window(ctx) && context::spec_replicas(new) > 0 && steps > 0 {
        draft.status.current_step_index = Some(steps);
        draft
            .notices
            .push(Notice::normal(events::SKIP_STEPS, "Rollback within the window"));
    }
}

/// Everything that belonged to the update before ends: pause, abort, promotion, analysis, the cursor.
fn begin(ctx: &Context, hash: &str, draft: &mut Draft) {
    let status = &mut draft.status;
    status.current_pod_hash = Some(hash.to_owned());
    status.current_step_hash = Some(ctx.observed.identity.step_hash.clone());
    status.current_step_index = (!ctx.steps().is_empty()).then_some(0);
    status.promote_full = None;
    status.restarted_at.clone_from(&ctx.spec.restart_at);
    let canary = status.canary.get_or_insert_default();
    canary.current_step_analysis_run_status = None;
    canary.current_background_analysis_run_status = None;
    canary.pods_failing_since = None;
    draft.clear_abort();
    draft.clear_pauses();
    blue_green::reset(draft);
    environments::forsake(ctx, draft);
    draft.enter_step();
}

/// Whether the update goes back to a revision that is recent enough to skip steps and analysis (wire contract 2.10):
/// older than stable, with fewer than N of this Rollout's ReplicaSets created strictly between the two.
///
/// Worked: `revisions: 1`, ReplicaSets of 10:00, 11:00 and 12:00 (stable). Back to 11:00: none between, fewer than 1.
/// Back to 10:00: one between, not fewer than 1.
pub(crate) fn is_within_rollback_window(ctx: &Context) -> bool {
    let window = ctx
        .spec
        .rollback_window
        .as_ref()
        .and_then(|w| w.revisions)
        .unwrap_or(0);
    let (Some(new), Some(stable)) = (ctx.new, ctx.stable) else {
        return false;
    };
    let created = |rs: &ReplicaSet| rs.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let (Some(target), Some(current)) = (created(new), created(stable)) else {
        return false;
    };
    if window <= 0 || target >= current {
        return false;
    }
    let between = ctx
        .all()
        .filter_map(created)
        .filter(|at| *at > target && *at < current)
        .count();
    i64::try_from(between).is_ok_and(|n| n < i64::from(window))
}
