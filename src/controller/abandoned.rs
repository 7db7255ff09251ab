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
