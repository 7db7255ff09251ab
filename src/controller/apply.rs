//! Carrying out intents: each is one guarded call, refused when the world moved since it was decided on.

mod foreign;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, Request};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::answer::version_after;
use super::error::Error;
use super::events::Events;
use super::refusal::refusal;
use super::written::{Kind, Written};
use super::{CALL_TIMEOUT, FIELD_MANAGER};
use crate::api::analysis::AnalysisRun;
use crate::api::names::annotations;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::Rollout;
use crate::engine::plan::{Intent, NewAnalysisRun, NewReplicaSet, ReplicaSetPatch, WorkloadGeneration};
use crate::engine::{RefusalKind, observed};

/// What the intents of one Rollout are carried out with.
pub struct Applier<'a> {
    /// The client.
    pub client: &'a Client,
    /// Whose intents these are.
    pub rollout: &'a Rollout,
    /// Where writes are noted.
    pub written: &'a Written,
    /// Where events go.
    pub events: &'a Events,
    /// The Rollout as the subject of events.
    pub about: &'a ObjectReference,
    /// The moment of the pass.
    pub now: Timestamp,
}

/// How an intent ended, other than by an error.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// Carried out. The resourceVersion of the Rollout, where the intent wrote it.
    Yes(Option<String>),
    /// The API server does not create the ReplicaSet, in these words.
    Refused(RefusalKind, String),
    /// The name of the new ReplicaSet is taken, by this one, which no store has shown.
    Taken(Arc<ReplicaSet>),
}

/// One call with a time limit and a name for its errors.
pub async fn call<T>(
    verb: &'static str,
    kind: &'static str,
    name: &str,
    future: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match timeout(CALL_TIMEOUT, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Api {
            verb,
            kind,
            name: name.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::Timeout {
            verb,
            kind,
            name: name.to_owned(),
            seconds: CALL_TIMEOUT.as_secs(),
        }),
    }
}

impl Applier<'_> {
    fn namespace(&self) -> &str {
        self.rollout.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        observed::uid(&self.rollout.metadata)
    }

    fn note(&self, kind: Kind, name: &str, version: Option<&str>, created: bool) {
        self.written
            .note(self.uid(), kind, name, version, created, self.now);
    }

    fn replica_sets(&self) -> Api<ReplicaSet> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    fn analysis_runs(&self) -> Api<AnalysisRun> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    /// Carries out one intent. `version` is the resourceVersion of the Rollout that it was decided on.
    pub async fn apply(&self, intent: &Intent, version: Option<&str>) -> Result<Done, Error> {
        match intent {
            Intent::PatchRollout {
                revision,
                workload_generation,
                replicas,
                notices,
            } => {
                let new = self
                    .patch_rollout(*revision, *workload_generation, *replicas, version)
                    .await?;
                self.events.publish(self.about, notices.iter().cloned());
                Ok(Done::Yes(new))
            }
            Intent::CreateReplicaSet(new) => self.create_replica_set(new).await,
            Intent::PatchReplicaSet(patch) => self.patch_replica_set(patch).await,
            Intent::AdoptReplicaSet { name, uid } => {
                self.still_wants().await?;
                let owners = json!([self.owner()]);
                self.patch_owners(
                    "adopt",
                    name,
                    json!({"metadata": {"uid": uid, "ownerReferences": owners}}),
                )
                .await
            }
            Intent::ReleaseReplicaSet { name, uid } => {
                let owners = json!([{"$patch": "delete", "uid": self.uid()}]);
                self.patch_owners(
                    "release",
                    name,
                    json!({"metadata": {"uid": uid, "ownerReferences": owners}}),
                )
                .await
            }
            Intent::DeleteReplicaSet {
                name,
                uid,
                resource_version,
            } => {
                let params = DeleteParams::background().preconditions(Preconditions {
                    uid: Some(uid.clone()),
                    resource_version: Some(resource_version.clone()).filter(|v| !v.is_empty()),
                });
                let api = self.replica_sets();
                gone(
                    call("delete", "ReplicaSet", name, api.delete(name, &params))
                        .await
                        .map(|_| ()),
                )
            }
            Intent::EvictPod {
                name,
                uid,
                resource_version,
            } => self.evict_pod(name, uid, resource_version).await,
            Intent::PatchPod { name, uid, metadata } => self.patch_pod(name, uid, metadata).await,
            Intent::PatchService(patch) => self.patch_service(patch).await,
            Intent::ScaleWorkload(scale) => self.scale_workload(scale).await,
            Intent::CreateAnalysisRun(new) => self.create_analysis_run(new).await,
            Intent::TerminateAnalysisRun { name, uid } => {
                let patch = json!({"metadata": {"uid": uid}, "spec": {"terminate": true}});
                let api = self.analysis_runs();
                let params = PatchParams::default();
                let done = call(
                    "terminate",
                    "AnalysisRun",
                    name,
                    api.patch(name, &params, &Patch::Merge(&patch)),
                )
                .await?;
                self.note(
                    Kind::AnalysisRun,
                    name,
                    done.metadata.resource_version.as_deref(),
                    false,
                );
                Ok(Done::Yes(None))
            }
            Intent::DeleteAnalysisRun { name, uid } => {
                let params = DeleteParams::background().preconditions(Preconditions {
                    uid: Some(uid.clone()),
                    resource_version: None,
                });
                let api = self.analysis_runs();
                gone(
                    call("delete", "AnalysisRun", name, api.delete(name, &params))
                        .await
                        .map(|_| ()),
                )
            }
        }
    }

    /// Right before a ReplicaSet is adopted: whether the Rollout of this uid still is, and is not being deleted. Else the
    /// garbage collector would take the ReplicaSet along that somebody has just kept back (wire contract 2.2).
    async fn still_wants(&self) -> Result<(), Error> {
        let name = observed::name(&self.rollout.metadata);
        let moved = || Error::Moved {
            kind: "Rollout",
            name: name.to_owned(),
        };
        let api = rollouts(self.client, self.namespace());
        let live = call("get", "Rollout", name, api.get_metadata_opt(name))
            .await?
            .ok_or_else(moved)?;
        let same =
            live.metadata.uid == self.rollout.metadata.uid && live.metadata.deletion_timestamp.is_none();
        if same { Ok(()) } else { Err(moved()) }
    }

    /// Changes the owners of a ReplicaSet by a strategic merge patch, which leaves other owners alone. Owners are told apart
    /// by uid. Somebody who has adopted it meanwhile is found by the API server, which takes no second controller.
    async fn patch_owners(&self, verb: &'static str, name: &str, patch: Value) -> Result<Done, Error> {
        let api = self.replica_sets();
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match call(
            verb,
            "ReplicaSet",
            name,
            api.patch(name, &params, &Patch::Strategic(&patch)),
        )
        .await
        {
            Ok(done) => {
                self.note(
                    Kind::ReplicaSet,
                    name,
                    done.metadata.resource_version.as_deref(),
                    false,
                );
                Ok(Done::Yes(None))
            }
            Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_invalid()) => {
                Err(Error::Moved {
                    kind: "ReplicaSet",
                    name: name.to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn patch_rollout(
        &self,
        revision: Option<i64>,
        workload_generation: Option<WorkloadGeneration>,
        replicas: Option<i32>,
        version: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let mut patch = json!({"metadata": {"resourceVersion": version}});
        if let Some(revision) = revision {
            patch["metadata"]["annotations"][annotations::REVISION] = json!(revision.to_string());
        }
        match workload_generation {
            Some(WorkloadGeneration::Is(generation)) => {
                let text = generation.to_string();
                patch["metadata"]["annotations"][annotations::WORKLOAD_GENERATION] = json!(text);
            }
            Some(WorkloadGeneration::Forget) => {
                patch["metadata"]["annotations"][annotations::WORKLOAD_GENERATION] = Value::Null;
            }
            None => {}
        }
        if let Some(replicas) = replicas {
            patch["spec"] = json!({"replicas": replicas});
        }
        let name = observed::name(&self.rollout.metadata);
        let api = rollouts(self.client, self.namespace());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let done = call(
            "patch",
            "Rollout",
            name,
            api.patch_metadata(name, &params, &Patch::Merge(&patch)),
        )
        .await?;
        let new = done.metadata.resource_version;
        self.note(Kind::Root, name, new.as_deref(), false);
        Ok(new)
    }

    fn owner(&self) -> Value {
        json!({
            "apiVersion": Rollout::api_version(&()),
            "kind": Rollout::kind(&()),
            "name": self.rollout.metadata.name,
            "uid": self.rollout.metadata.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Creates under strict field validation: what the API server does not know or cannot take, it says here, before
    /// anything has moved.
    async fn create_replica_set(&self, new: &NewReplicaSet) -> Result<Done, Error> {
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": new.name,
                "namespace": self.namespace(),
                "labels": new.labels,
                "annotations": new.annotations,
                "ownerReferences": [self.owner()],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": new.min_ready_seconds,
                "selector": new.selector,
                "template": new.template,
            },
        });
        let uri = format!(
            "/apis/apps/v1/namespaces/{}/replicasets?fieldManager={FIELD_MANAGER}&fieldValidation=Strict",
            self.namespace()
        );
        let request = http::Request::post(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&object)?)
            .map_err(kube::Error::HttpError);
        let created = call(
            "create",
            "ReplicaSet",
            &new.name,
            version_after(self.client, request),
        )
        .await;
        match created {
            Ok(version) => {
                self.note(Kind::ReplicaSet, &new.name, version.as_deref(), true);
                self.events.publish(self.about, new.notices.iter().cloned());
                Ok(Done::Yes(None))
            }
            Err(Error::Api {
                source,
                verb,
                kind,
                name,
            }) => match *source {
                kube::Error::Api(status) if status.code == 400 || status.is_invalid() => Ok(Done::Refused(
                    RefusalKind::Invalid,
                    refusal(&status.message, &new.template),
                )),
                kube::Error::Api(status) if status.is_forbidden() => {
                    Ok(Done::Refused(RefusalKind::Denied, status.message.clone()))
                }
                kube::Error::Api(status) if status.is_already_exists() => self.taken(&new.name).await,
                source => Err(Error::Api {
                    source: Box::new(source),
                    verb,
                    kind,
                    name,
                }),
            },
            Err(error) => Err(error),
        }
    }

    /// Who has the name that a new ReplicaSet was to have: perhaps our own of an interrupted pass, perhaps another one that
    /// the watch cannot see because it carries no hash. The engine tells them apart.
    async fn taken(&self, name: &str) -> Result<Done, Error> {
        let found = call("get", "ReplicaSet", name, self.replica_sets().get(name)).await?;
        if !observed::pod_hash(&found.metadata).is_empty() {
            self.note(
                Kind::ReplicaSet,
                name,
                found.metadata.resource_version.as_deref(),
                true,
            );
        }
        Ok(Done::Taken(Arc::new(found)))
    }

    /// A JSON patch whose tests refuse when another ReplicaSet has the name, or another hand has scaled it.
    async fn patch_replica_set(&self, patch: &ReplicaSetPatch) -> Result<Done, Error> {
        let mut steps = vec![json!({"op": "test", "path": "/metadata/uid", "value": patch.uid})];
        if let Some((from, to)) = patch.scale {
            steps.push(json!({"op": "test", "path": "/spec/replicas", "value": from}));
            steps.push(json!({"op": "replace", "path": "/spec/replicas", "value": to}));
        }
        if let Some(seconds) = patch.min_ready_seconds {
            steps.push(json!({"op": "add", "path": "/spec/minReadySeconds", "value": seconds}));
        }
        if !patch.has_annotations && !patch.annotations.is_empty() {
            steps.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
        }
        keys(&mut steps, "/metadata/annotations", &patch.annotations);
        let metadata = "/spec/template/metadata";
        keys(&mut steps, &format!("{metadata}/labels"), &patch.template.labels);
        if !patch.has_template_annotations && !patch.template.annotations.is_empty() {
            steps.push(json!({"op": "add", "path": format!("{metadata}/annotations"), "value": {}}));
        }
        keys(
            &mut steps,
            &format!("{metadata}/annotations"),
            &patch.template.annotations,
        );
        match &patch.affinity {
            None => {}
            Some(Value::Null) => steps.push(json!({"op": "remove", "path": "/spec/template/spec/affinity"})),
            Some(value) => {
                steps.push(json!({"op": "add", "path": "/spec/template/spec/affinity", "value": value}));
            }
        }
        let body: json_patch::Patch = serde_json::from_value(Value::Array(steps))?;
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = &patch.name;
        let request = Request::new(ReplicaSet::url_path(&(), Some(self.namespace())))
            .patch(name, &params, &Patch::<()>::Json(body))
            .map_err(kube::Error::BuildRequest);
        match call("patch", "ReplicaSet", name, version_after(self.client, request)).await {
            Ok(version) => {
                self.note(Kind::ReplicaSet, name, version.as_deref(), false);
                self.events.publish(self.about, patch.notices.iter().cloned());
                Ok(Done::Yes(None))
            }
            // A test that fails is answered 422.
            Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_invalid()) => {
                Err(Error::Moved {
                    kind: "ReplicaSet",
                    name: name.clone(),
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn create_analysis_run(&self, new: &NewAnalysisRun) -> Result<Done, Error> {
        let run = json!({
            "apiVersion": AnalysisRun::api_version(&()),
            "kind": AnalysisRun::kind(&()),
            "metadata": {
                "name": new.name,
                "namespace": self.namespace(),
                "labels": new.labels,
                "annotations": new.annotations,
                "ownerReferences": [self.owner()],
            },
            "spec": new.spec,
        });
        let resource = ApiResource::erase::<AnalysisRun>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace(), &resource);
        let run: DynamicObject = serde_json::from_value(run)?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: false,
        };
        let done = call("create", "AnalysisRun", &new.name, api.create(&params, &run)).await?;
        self.note(
            Kind::AnalysisRun,
            &new.name,
            done.metadata.resource_version.as_deref(),
            true,
        );
        Ok(Done::Yes(None))
    }
}

/// The steps of a JSON patch that set or remove these keys of an object.
fn keys(steps: &mut Vec<Value>, at: &str, changes: &BTreeMap<String, Option<String>>) {
    for (key, value) in changes {
        let path = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        steps.push(match value {
            Some(value) => json!({"op": "add", "path": path, "value": value}),
            None => json!({"op": "remove", "path": path}),
        });
    }
}

/// What is gone already needs no deletion; what changed in between is looked at again.
fn gone(result: Result<(), Error>) -> Result<Done, Error> {
    match result {
        Err(Error::Api { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_not_found()) => {
            Ok(Done::Yes(None))
        }
        other => other.map(|()| Done::Yes(None)),
    }
}

/// The Rollouts of a namespace, for writes: whatever the answer holds beside the metadata is not read.
pub fn rollouts(client: &Client, namespace: &str) -> Api<Rollout> {
    Api::namespaced(client.clone(), namespace)
}

#[cfg(test)]
mod tests;
