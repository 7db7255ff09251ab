//! Changes to objects that are not the Rollout's own: Services, pods, and the workload that it refers to.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Applier, Done, call, gone};
use crate::api::names::{annotations, labels};
use crate::api::pod::Pod;
use crate::api::service::Service;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::written::Kind;
use crate::engine::plan::{MetadataPatch, ServicePatch, WorkloadScale};

impl Applier<'_> {
    pub(super) async fn patch_service(&self, patch: &ServicePatch) -> Result<Done, Error> {
        let ServicePatch {
            name,
            uid,
            resource_version,
            pod_hash,
            managed_by,
            notices,
        } = patch;
        let body = json!({
            "metadata": {
                "uid": uid,
                "resourceVersion": resource_version,
                "annotations": {annotations::MANAGED_BY_ROLLOUTS: managed_by},
            },
            "spec": {"selector": {labels::POD_TEMPLATE_HASH: pod_hash}},
        });
        let api: Api<Service> = Api::namespaced(self.client.clone(), self.namespace());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let done = call(
            "patch",
            "Service",
            name,
            api.patch(name, &params, &Patch::Merge(&body)),
        )
        .await?;
        self.note(
            Kind::Service,
            name,
            done.metadata.resource_version.as_deref(),
            false,
        );
        self.events.publish(self.about, notices.iter().cloned());
        Ok(Done::Yes(None))
    }

    /// An eviction of exactly the pod that was looked at. Refused by a PodDisruptionBudget (429), by several of them that the
    /// API server cannot reconcile (500), or gone already: then another pass asks again, or has nothing to ask for. Nothing
    /// else of the rollout waits for it.
    pub(super) async fn evict_pod(
        &self,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<Done, Error> {
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.namespace()},
            "deleteOptions": {"preconditions": {"uid": uid, "resourceVersion": resource_version}},
        });
        let uri = format!(
            "/api/v1/namespaces/{}/pods/{name}/eviction?fieldManager={FIELD_MANAGER}",
            self.namespace()
        );
        let request = http::Request::post(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body)?)
            .map_err(kube::Error::HttpError);
        let evicted = call("evict", "Pod", name, async {
            self.client.request::<Value>(request?).await
        })
        .await;
        match evicted {
            Ok(_) => self
                .written
                .note_after(self.uid(), Kind::Pod, name, resource_version, self.now),
            Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if [404, 429, 500].contains(&s.code)) =>
            {
                tracing::debug!(name, reason = %source, "a pod was not evicted");
            }
            Err(error) => return Err(error),
        }
        Ok(Done::Yes(None))
    }

    pub(super) async fn patch_pod(
        &self,
        name: &str,
        uid: &str,
        changes: &MetadataPatch,
    ) -> Result<Done, Error> {
        let MetadataPatch { labels, annotations } = changes;
        let mut metadata = json!({"uid": uid});
        for (part, changes) in [("labels", labels), ("annotations", annotations)] {
            if !changes.is_empty() {
                metadata[part] = json!(changes);
            }
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let done = call("patch", "Pod", name, api.patch_metadata(name, &params, &patch)).await;
        if let Ok(pod) = &done {
            self.note(Kind::Pod, name, pod.metadata.resource_version.as_deref(), false);
        }
        gone(done.map(|_| ()))
    }

    /// A JSON patch of the scale whose tests refuse when another Deployment has the name, or another hand has scaled it.
    pub(super) async fn scale_workload(&self, scale: &WorkloadScale) -> Result<Done, Error> {
        let WorkloadScale {
            name,
            uid,
            from,
            to,
            notices,
        } = scale;
        let body: json_patch::Patch = serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/spec/replicas", "value": from},
            {"op": "replace", "path": "/spec/replicas", "value": to},
        ]))?;
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match call(
            "scale",
            "Deployment",
            name,
            api.patch_scale(name, &params, &Patch::<()>::Json(body)),
        )
        .await
        {
            Ok(done) => {
                self.note(
                    Kind::Deployment,
                    name,
                    done.metadata.resource_version.as_deref(),
                    false,
                );
                self.events.publish(self.about, notices.iter().cloned());
                Ok(Done::Yes(None))
            }
            Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_invalid()) => {
                Err(Error::Moved {
                    kind: "Deployment",
                    name: name.clone(),
                })
            }
            Err(error) => Err(error),
        }
    }
}
