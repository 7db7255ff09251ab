//! Services that some Rollout managed and none refers to any more: the hash and the annotation are taken back, so that
//! each selects by its own labels again (wire contract 2.2).

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, Client};
use serde_json::json;

use super::FIELD_MANAGER;
use super::apply::call;
use super::error::{Backoff, Error};
use super::observe::Stores;
use crate::api::names::{annotations, labels};
use crate::api::rollout::Rollout;
use crate::api::service::Service;
use crate::engine::{observed, services};

/// What the passes of all Services share.
pub struct Context {
    /// The client.
    pub client: Client,
    /// The stores.
    pub stores: Arc<Stores>,
    /// The waits after failures.
    pub backoff: Backoff,
}

/// One look at one Service.
pub async fn reconcile(service: Arc<Service>, ctx: Arc<Context>) -> Result<Action, Error> {
    let meta = &service.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if services::manager(&service).is_none() || meta.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let rollouts = ctx.stores.rollouts.store().state();
    let here: Vec<&Rollout> = rollouts
        .iter()
        .map(|watched| watched.rollout.as_ref())
        .filter(|rollout| rollout.metadata.namespace.as_deref() == Some(namespace))
        .collect();
    // What a Rollout refers to is not known while it cannot be read: then nothing is taken back.
    let unreadable = rollouts.iter().any(|watched| {
        watched.malformed.is_some() && watched.rollout.metadata.namespace.as_deref() == Some(namespace)
    });
    if unreadable || !services::is_abandoned(&service, here) {
        return Ok(Action::await_change());
    }
    if is_of_another_controller(&service, &ctx, namespace).await? {
        return Ok(Action::await_change());
    }
    let name = observed::name(meta);
    let patch = json!({
        "metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "annotations": {annotations::MANAGED_BY_ROLLOUTS: null},
        },
        "spec": {"selector": {labels::POD_TEMPLATE_HASH: null}},
    });
    let api: Api<Service> = Api::namespaced(ctx.client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    call(
        "patch",
        "Service",
        name,
        api.patch(name, &params, &Patch::Merge(&patch)),
    )
    .await?;
    tracing::info!(
        namespace,
        name,
        "the Service selects by its own labels again: no Rollout refers to it"
    );
    ctx.backoff.succeeded(observed::uid(meta));
    Ok(Action::await_change())
}

/// Whether the Rollout that manages the Service exists and is not among those that this process watches: then it is
/// another controller's, with another instance id or of another namespace, and so is the Service. Asked of the API
/// server, for no store of this process shows it; only a Service that seems to be abandoned costs this call.
async fn is_of_another_controller(service: &Service, ctx: &Context, namespace: &str) -> Result<bool, Error> {
    let Some(manager) = services::manager(service) else {
        return Ok(false);
    };
    let api: Api<Rollout> = Api::namespaced(ctx.client.clone(), namespace);
    let found = call("read", "Rollout", manager, api.get_metadata_opt(manager)).await?;
    let watched = ctx.stores.rollouts.get(namespace, manager);
    Ok(found.is_some_and(|there| watched.is_none_or(|ours| ours.rollout.metadata.uid != there.metadata.uid)))
}

/// What to do after a pass that failed.
pub fn failed(service: &Service, error: &Error, ctx: &Context) -> Action {
    let (wait, count) = ctx
        .backoff
        .failed(observed::uid(&service.metadata), error.class());
    let (namespace, name) = (
        service.metadata.namespace.as_deref().unwrap_or_default(),
        observed::name(&service.metadata),
    );
    tracing::debug!(namespace, name, error = %error.sentence(), count, "the pass failed");
    Action::requeue(wait)
}

#[cfg(test)]
mod tests;
