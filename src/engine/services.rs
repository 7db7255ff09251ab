//! The Services of a rollout: whom each selects, and when it may be switched (wire contract 2.2 and 2.16).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::{Context, hash_of};
use super::draft::Draft;
use super::observed::{self, Observed};
use super::plan::{Intent, Notice, ServicePatch};
use super::pods;
use super::validate::Invalid;
use crate::api::common::PodTemplate;
use crate::api::names::{annotations, events, labels};
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{Rollout, RolloutSpec};
use crate::api::service::Service;

/// The longest part of a ReplicaSet's name and its dash that the names of its pods begin with: the API server cuts what
/// it adds five characters to, so that 63 are enough.
const NAME_BASE: usize = 58;

/// The Services that a spec refers to, each with the path of the field that names it.
pub fn referenced(spec: &RolloutSpec) -> Vec<(String, &str)> {
    let mut all = Vec::new();
    let Some(strategy) = &spec.strategy else {
        return all;
    };
    if let Some(canary) = &strategy.canary {
        for (field, name) in [
            ("canaryService", &canary.canary_service),
            ("stableService", &canary.stable_service),
        ] {
            if let Some(name) = name {
                all.push((format!("spec.strategy.canary.{field}"), name.as_str()));
            }
        }
        if let Some(pair) = &canary.ping_pong {
            let at = "spec.strategy.canary.pingPong";
            all.push((format!("{at}.pingService"), pair.ping_service.as_str()));
            all.push((format!("{at}.pongService"), pair.pong_service.as_str()));
        }
    }
    if let Some(blue_green) = &strategy.blue_green {
        all.push((
            "spec.strategy.blueGreen.activeService".to_owned(),
            blue_green.active_service.as_str(),
        ));
        if let Some(preview) = &blue_green.preview_service {
            all.push((
                "spec.strategy.blueGreen.previewService".to_owned(),
                preview.as_str(),
            ));
        }
    }
    all
}

/// The pod template hash that a Service selects; `None` when it selects none in particular.
pub fn selected_hash(service: &Service) -> Option<&str> {
    service
        .spec
        .selector
        .as_ref()?
        .get(labels::POD_TEMPLATE_HASH)
        .map(String::as_str)
        .filter(|h| !h.is_empty())
}

/// The name of the Rollout that manages a Service.
pub fn manager(service: &Service) -> Option<&str> {
    Some(observed::annotation(
        &service.metadata,
        annotations::MANAGED_BY_ROLLOUTS,
    ))
    .filter(|name| !name.is_empty())
}

/// Whether this Rollout refers to the Service of this name.
pub fn refers_to(rollout: &Rollout, service: &str) -> bool {
    referenced(&rollout.spec).iter().any(|(_, name)| *name == service)
}

/// Checks that every Service exists, belongs to no other Rollout, and selects the pods of the template.
pub fn check(observed: &Observed) -> Result<(), Invalid> {
    let rollout = &observed.rollout;
    let own = observed::name(&rollout.metadata);
    let referenced = referenced(&rollout.spec);
    if referenced.is_empty() {
        return Ok(());
    }
    let template = rollout
        .spec
        .template
        .as_ref()
        .map(PodTemplate::labels)
        .unwrap_or_default();
    for (path, name) in referenced {
        let Some(service) = observed.services.get(name) else {
            return Err(format!(
                "{path}: Invalid value: \"{name}\": Service \"{name}\" was not found"
            ));
        };
        if let Some(other) = manager(service).filter(|other| *other != own) {
            return Err(format!(
                "{path}: Invalid value: \"{name}\": Service \"{name}\" is managed by another Rollout, \"{other}\""
            ));
        }
        let selector = service
            .spec
            .selector
            .iter()
            .flatten()
            .filter(|(key, _)| *key != labels::POD_TEMPLATE_HASH);
        for (key, value) in selector {
            if template.get(key) != Some(value) {
                return Err(format!(
                    "{path}: Invalid value: \"{name}\": Service \"{name}\" has the selector {key}={value}, which \
                     spec.template.metadata.labels does not match"
                ));
            }
        }
    }
    Ok(())
}

/// Points one Service at a ReplicaSet, and takes over its management.
pub(crate) fn point(ctx: &Context, name: &str, rs: Option<&ReplicaSet>, draft: &mut Draft) {
    let (Some(rs), Some(service)) = (rs, ctx.observed.services.get(name)) else {
        return;
    };
    let hash = hash_of(rs);
    let from = selected_hash(service);
    let managed = manager(service).is_some();
    if from == Some(hash) && managed {
        return;
    }
    let mut notices = Vec::new();
    if from != Some(hash) {
        let text = format!(
            "Switched selector for service '{name}' from '{}' to '{hash}'",
            from.unwrap_or_default()
        );
        notices.push(Notice::normal(events::SWITCH_SERVICE, text));
    }
    draft.intents.push(Intent::PatchService(ServicePatch {
        name: name.to_owned(),
        uid: observed::uid(&service.metadata).to_owned(),
        resource_version: service.metadata.resource_version.clone().unwrap_or_default(),
        pod_hash: hash.to_owned(),
        managed_by: observed::name(&ctx.rollout.metadata).to_owned(),
        notices,
    }));
}

pub(crate) mod canary;

/// Whether a Service leads to a pod of the ReplicaSet, as its EndpointSlices show it. A pod that the controller has not
/// heard of is told by its name.
pub(crate) fn leads_to(ctx: &Context, service: &str, rs: &ReplicaSet) -> bool {
    let Some(endpoints) = ctx.observed.endpoints.get(service) else {
        return false;
    };
    let is_pod_of = |rs: &ReplicaSet, name: &str| {
        let known = pods::of(ctx.observed, rs);
        known.iter().any(|pod| observed::name(&pod.metadata) == name)
    };
    let base: String = format!("{}-", observed::name(&rs.metadata))
        .chars()
        .take(NAME_BASE)
        .collect();
    endpoints.iter().any(|name| {
        is_pod_of(rs, name) || (name.starts_with(&base) && !ctx.all().any(|other| is_pod_of(other, name)))
    })
}

/// Whether any Service of the Rollout leads to a pod of the ReplicaSet.
pub(crate) fn is_led_to(ctx: &Context, rs: &ReplicaSet) -> bool {
    let mut services = ctx.observed.endpoints.keys();
    services.any(|service| leads_to(ctx, service, rs))
}

/// Services by name.
pub type Services = BTreeMap<String, Arc<Service>>;

/// Whether a Service that some Rollout manages is referred to by none of these any more: then the hash and the
/// annotation are taken back, so that it selects by its own labels again.
pub fn is_abandoned<'a>(service: &Service, rollouts: impl IntoIterator<Item = &'a Rollout>) -> bool {
    let name = observed::name(&service.metadata);
    manager(service).is_some() && !rollouts.into_iter().any(|rollout| refers_to(rollout, name))
}
