//! `workloadRef`: the template (and the selector) of another workload, and taking that workload's pods down
//! (wire contract 2.15).
//!
//! What is taken from the workload lives in this pass only: it is put into a copy of the Rollout that nobody writes back.

use std::sync::Arc;

use super::context::Context;
use super::draft::Draft;
use super::observed::{self, Observed, Workload};
use super::plan::{Intent, Notice, WorkloadScale};
use super::validate::Invalid;
use super::{canary, context};
use crate::api::names::{RolloutPhase, ScaleDown, WorkloadKind, events};
use crate::api::rollout::{Rollout, WorkloadRef};

/// Which workload is meant. The error is a sentence with the field's path.
///
/// ```
/// use serin::api::names::WorkloadKind;
/// use serin::api::rollout::WorkloadRef;
/// use serin::engine::workload::target;
/// let reference = |api_version: &str, kind: &str| WorkloadRef {
///     api_version: Some(api_version.to_owned()),
///     kind: Some(kind.to_owned()),
///     name: Some("web".to_owned()),
///     scale_down: None,
/// };
/// assert_eq!(target(&reference("apps/v1", "Deployment")), Ok((WorkloadKind::Deployment, "web")));
/// assert_eq!(
///     target(&reference("apps/v1", "StatefulSet")).unwrap_err(),
///     "spec.workloadRef.kind: Unsupported value: \"StatefulSet\": supported values: Deployment, ReplicaSet, PodTemplate",
/// );
/// ```
pub fn target(reference: &WorkloadRef) -> Result<(WorkloadKind, &str), Invalid> {
    let kind = reference.kind.as_deref().unwrap_or_default();
    let Some(kind) = WorkloadKind::parse(kind) else {
        let all: Vec<&str> = WorkloadKind::ALL.iter().map(|k| k.as_str()).collect();
        let all = all.join(", ");
        return Err(format!(
            "spec.workloadRef.kind: Unsupported value: \"{kind}\": supported values: {all}"
        ));
    };
    let (version, want) = (
        reference.api_version.as_deref().unwrap_or_default(),
        api_version(kind),
    );
    if version != want {
        return Err(format!(
            "spec.workloadRef.apiVersion: Unsupported value: \"{version}\": a {kind} is of {want}"
        ));
    }
    match reference.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Ok((kind, name)),
        None => Err("spec.workloadRef.name: Required value: which workload it is".to_owned()),
    }
}

/// The apiVersion of a kind that can be referred to.
pub const fn api_version(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment | WorkloadKind::ReplicaSet => "apps/v1",
        WorkloadKind::PodTemplate => "v1",
    }
}

/// The workload that the Rollout refers to, where the reference can be understood.
pub fn referred(rollout: &Rollout) -> Option<(WorkloadKind, &str)> {
    rollout
        .spec
        .workload_ref
        .as_ref()
        .and_then(|reference| target(reference).ok())
}

/// The world with the workload's template and selector in the place of the Rollout's own; `None` where it refers to no
/// workload.
pub(crate) fn resolve(observed: &Observed) -> Result<Option<Observed>, Invalid> {
    let Some(reference) = &observed.rollout.spec.workload_ref else {
        return Ok(None);
    };
    let (kind, name) = target(reference)?;
    if observed
        .rollout
        .spec
        .template
        .as_ref()
        .is_some_and(|own| !own.is_empty())
    {
        return Err(format!(
            "spec.template: Invalid value: must be empty where spec.workloadRef is set; the template is that of the \
             {kind} \"{name}\""
        ));
    }
    let scale_down = reference.scale_down.as_deref().filter(|text| !text.is_empty());
    match scale_down.map(|text| ScaleDown::parse(text).ok_or(text)) {
        None | Some(Ok(ScaleDown::Never)) => {}
        Some(Ok(ScaleDown::OnSuccess | ScaleDown::Progressively)) if kind == WorkloadKind::Deployment => {}
        Some(Ok(mode)) => {
            return Err(format!(
                "spec.workloadRef.scaleDown: Invalid value: \"{mode}\": only a Deployment can be scaled down, not a {kind}"
            ));
        }
        Some(Err(text)) => {
            return Err(format!(
                "spec.workloadRef.scaleDown: Unsupported value: \"{text}\": supported values: never, onsuccess, \
                 progressively"
            ));
        }
    }
    let Some(workload) = &observed.workload else {
        return Err(format!(
            "spec.workloadRef: Invalid value: \"{name}\": {kind} \"{name}\" was not found"
        ));
    };
    let mut rollout = Rollout::clone(&observed.rollout);
    rollout.spec.template = Some(workload.template.clone());
    if rollout.spec.selector.is_none() {
        rollout.spec.selector.clone_from(&workload.selector);
    }
    Ok(Some(Observed {
        rollout: Arc::new(rollout),
        ..observed.clone()
    }))
}

/// An error about the template, said of the object that has it.
pub(crate) fn blame(observed: &Observed, error: Invalid) -> Invalid {
    match observed.workload.as_deref() {
        Some(Workload { kind, name, .. }) if error.starts_with("spec.template") => {
            format!("spec.workloadRef: Invalid value: \"{name}\": in the {kind}: {error}")
        }
        Some(_) | None => error,
    }
}

/// Takes the Deployment's pods down, as `scaleDown` asks, while the Rollout is at its first revision: never up, and never
/// again once the Rollout has a second one.
///
/// Worked, `progressively`, 5 replicas each: 2 pods of the Rollout ready, so the Deployment keeps 5 - 2 = 3; Healthy: 0.
/// `onsuccess`: 5 until Healthy, then 0.
pub(crate) fn scale_down(ctx: &Context, draft: &mut Draft) {
    let Some(workload) = ctx
        .observed
        .workload
        .as_ref()
        .filter(|w| w.kind == WorkloadKind::Deployment)
    else {
        return;
    };
    let reference = ctx.spec.workload_ref.as_ref();
    let mode = reference
        .and_then(|r| ScaleDown::parse(r.scale_down.as_deref()?))
        .unwrap_or(ScaleDown::Never);
    if canary::new_revision(ctx) != 1 {
        return;
    }
    let healthy = ctx.status.phase.as_deref() == Some(RolloutPhase::Healthy.as_str()) && ctx.is_observed();
    let ready: i64 = ctx.all().map(|rs| i64::from(rs.status.ready_replicas)).sum();
    let to = match mode {
        ScaleDown::OnSuccess | ScaleDown::Progressively if healthy => 0,
        ScaleDown::Never | ScaleDown::OnSuccess => return,
        ScaleDown::Progressively => (context::desired_replicas(ctx.spec) - ready).max(0),
    };
    let from = workload.replicas;
    if to >= i64::from(from) {
        return;
    }
    let name = workload.name.clone();
    let text = format!("Scaled down Deployment {name} from {from} to {to}");
    draft.intents.push(Intent::ScaleWorkload(WorkloadScale {
        name,
        uid: workload.uid.clone(),
        from,
        to: i32::try_from(to).unwrap_or(i32::MAX),
        notices: vec![Notice::normal(events::SCALING_REPLICA_SET, text)],
    }));
}

/// The annotation with the workload's generation that the Rollout should have.
pub(crate) fn wanted_generation(ctx: &Context) -> Option<String> {
    ctx.observed
        .workload
        .as_ref()
        .filter(|_| ctx.spec.workload_ref.is_some())
        .map(|w| w.generation.to_string())
}

/// Whether the annotation on the Rollout is another.
pub(crate) fn is_outdated(ctx: &Context) -> bool {
    let key = crate::api::names::annotations::WORKLOAD_GENERATION;
    observed::annotation(&ctx.rollout.metadata, key) != wanted_generation(ctx).unwrap_or_default()
}
