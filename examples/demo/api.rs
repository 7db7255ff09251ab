//! The cluster: manifests in, news out. What is asked is asked with a time limit.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, wait};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{Change, Condition};

const MANAGER: &str = "serin-demo";
pub(crate) const NAMESPACE: &str = "serin-demo";
const APP: &str = "demo-app";
const LOAD: &str = "demo-load";
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// What differs from one cluster to another.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The image of the app; that of the manifests without one.
    pub(crate) image: Option<String>,
    /// The controller that shall answer for the objects, if it is not the one without an id.
    pub(crate) instance_id: Option<String>,
}

pub(crate) struct Cluster {
    client: Client,
    settings: Settings,
}

async fn limited<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    tokio::time::timeout(CALL_LIMIT, call)
        .await
        .map_err(|_| anyhow!("{what}: no answer within {} s", CALL_LIMIT.as_secs()))?
        .with_context(|| what.to_owned())
}

/// A manifest as JSON, its YAML aliases resolved.
pub(crate) fn manifest(folder: &Path, file: &str) -> Result<Value> {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// Sets a variable of the first container; it must be there already, with a literal value.
pub(crate) fn set_env(pod_spec: &mut Value, name: &str, value: &str) -> Result<()> {
    let entries = pod_spec
        .pointer_mut("/containers/0/env")
        .and_then(Value::as_array_mut);
    let entry = entries.into_iter().flatten().find(|entry| entry["name"] == name);
    let entry = entry.with_context(|| format!("the manifest has no variable {name}"))?;
    entry["value"] = json!(value);
    Ok(())
}

fn kind(version: &str, kind: &str) -> ApiResource {
    let group = if version.contains('/') {
        version.split('/').next().unwrap_or_default()
    } else {
        ""
    };
    let version = version.rsplit('/').next().unwrap_or_default();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

impl Cluster {
    pub(crate) async fn connect(settings: Settings) -> Result<Self> {
        let client = Client::try_default().await.context("reading the kubeconfig")?;
        limited(
            "asking the API server for its version",
            client.apiserver_version(),
        )
        .await?;
        Ok(Self { client, settings })
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, resource)
    }

    fn rollouts(&self) -> Api<DynamicObject> {
        self.api(&kind("argoproj.io/v1alpha1", "Rollout"))
    }

    /// Applies an object of the demo's namespace and gives back what the API server made of it.
    pub(crate) async fn apply(&self, mut object: Value) -> Result<DynamicObject> {
        if let Some(id) = &self.settings.instance_id
            && object["apiVersion"] == "argoproj.io/v1alpha1"
        {
            object["metadata"]["labels"]["argo-rollouts.argoproj.io/controller-instance-id"] = json!(id);
        }
        let object: DynamicObject =
            serde_json::from_value(object).context("a manifest without kind or metadata")?;
        let types = object
            .types
            .clone()
            .context("a manifest without apiVersion and kind")?;
        let api = self.api(&kind(&types.api_version, &types.kind));
        let name = object.name_any();
        let params = PatchParams::apply(MANAGER).force();
        let what = format!("applying {} {name}", types.kind);
        limited(&what, api.patch(&name, &params, &Patch::Apply(&object))).await
    }

    /// Applies the Rollout with another version in its template. Returns its generation.
    pub(crate) async fn apply_version(
        &self,
        rollout: &Value,
        version: &str,
        error_rate: &str,
    ) -> Result<i64> {
        let mut object = rollout.clone();
        let spec = object
            .pointer_mut("/spec/template/spec")
            .context("rollout.yaml has no pod template")?;
        set_env(spec, "VERSION", version)?;
        set_env(spec, "ERROR_RATE", error_rate)?;
        self.set_image(spec);
        let applied = self.apply(object).await?;
        applied
            .metadata
            .generation
            .context("the API server gave the Rollout no generation")
    }

    fn set_image(&self, pod_spec: &mut Value) {
        if let Some(image) = &self.settings.image {
            pod_spec["containers"][0]["image"] = json!(image);
        }
    }

    /// Starts the client and sends its counts until it ends.
    pub(crate) async fn start_load(&self, mut pod: Value, news: mpsc::Sender<Change>) -> Result<()> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        let service = limited("reading the Service", services.get(APP)).await?;
        let address = service
            .spec
            .and_then(|spec| spec.cluster_ip)
            .context("the Service has no address")?;
        let spec = pod.pointer_mut("/spec").context("load.yaml has no spec")?;
        // The address and not the name: the demo does not depend on the cluster's DNS.
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address
        };
        set_env(spec, "TARGET", &format!("http://{host}/"))?;
        self.set_image(spec);
        self.apply(pod).await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        tokio::spawn(async move {
            let why = match follow(&pods, &news).await {
                Ok(phase) => format!("pod {LOAD} is {phase}"),
                Err(error) => format!("{error:#}"),
            };
            // Nobody listens any more when the demo is over.
            let _ = news.send(Change::LoadEnded(why)).await;
        });
        Ok(())
    }

    /// Watches what the story is made of. The stream never ends; watch errors are retried inside.
    pub(crate) fn watch(&self) -> impl Stream<Item = Change> + Send + use<> {
        let config = || watcher::Config::default();
        let rollouts = watcher(self.rollouts(), config().fields(&format!("metadata.name={APP}")))
            .default_backoff()
            .filter_map(async |event| match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    serde_json::to_value(object).ok().map(Change::Rollout)
                }
                _ => None,
            })
            .boxed();
        let sets = self.api(&kind("apps/v1", "ReplicaSet"));
        let runs = self.api(&kind("argoproj.io/v1alpha1", "AnalysisRun"));
        stream::select_all([
            rollouts,
            children(sets, Change::ReplicaSet, Change::ReplicaSetGone),
            children(runs, Change::Run, Change::RunGone),
        ])
    }

    /// What helps to see why it did not work: conditions are printed by the caller; here are the events
    /// and the pods that are not ready.
    pub(crate) async fn state(&self) -> Vec<String> {
        let mut lines = vec!["Pods that are not ready".to_owned()];
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        match limited("listing pods", pods.list(&ListParams::default())).await {
            Ok(list) => lines.extend(list.items.iter().filter_map(unready)),
            Err(error) => lines.push(format!("  {error:#}")),
        }
        lines.push("Last events".to_owned());
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        match limited("listing events", events.list(&ListParams::default())).await {
            Ok(mut list) => {
                list.items.retain(telling);
                list.items.sort_by_key(ResourceExt::creation_timestamp);
                let skip = list.items.len().saturating_sub(25);
                lines.extend(list.items.iter().skip(skip).map(event_line));
            }
            Err(error) => lines.push(format!("  {error:#}")),
        }
        lines
    }
}

/// Conditions as lines, for the same purpose.
pub(crate) fn condition_line(condition: &Condition) -> String {
    let Condition {
        kind,
        status,
        reason,
        message,
    } = condition;
    format!("  {kind} {status} {reason}: {message}")
}

/// The ordinary life of a hundred pods would hide the rest.
fn telling(event: &Event) -> bool {
    event.involved_object.kind.as_deref() != Some("Pod") || event.type_.as_deref() != Some("Normal")
}

fn event_line(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let object = &event.involved_object;
    let (kind, name) = (text(&object.kind), text(&object.name));
    format!(
        "  {} {kind} {name}: {}",
        text(&event.reason),
        text(&event.message)
    )
}

fn unready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let ready = conditions
        .clone()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let waiting: Vec<_> = status
        .container_statuses
        .iter()
        .flatten()
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .map(|waiting| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{} {}", text(&waiting.reason), text(&waiting.message))
        })
        .collect();
    let phase = status.phase.clone().unwrap_or_default();
    (!ready).then(|| format!("  {} {phase} {}", pod.name_any(), waiting.join("; ")))
}

/// All of a kind: the namespace is the demo's own. After a broken watch the whole list comes again; names that
/// are not in it any more have gone.
fn children(
    api: Api<DynamicObject>,
    here: fn(Value) -> Change,
    gone: fn(String) -> Change,
) -> stream::BoxStream<'static, Change> {
    let mut known = BTreeSet::new();
    let mut listed = BTreeSet::new();
    watcher(api, watcher::Config::default())
        .default_backoff()
        .map(move |event| match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.name_any());
                known.insert(object.name_any());
                serde_json::to_value(object).ok().map(here).into_iter().collect()
            }
            Ok(watcher::Event::InitDone) => {
                let lost: Vec<String> = known.difference(&listed).cloned().collect();
                known = std::mem::take(&mut listed);
                lost.into_iter().map(gone).collect()
            }
            Ok(watcher::Event::Apply(object)) => {
                known.insert(object.name_any());
                serde_json::to_value(object).ok().map(here).into_iter().collect()
            }
            Ok(watcher::Event::Delete(object)) => {
                known.remove(&object.name_any());
                vec![gone(object.name_any())]
            }
            Err(_) => Vec::new(),
        })
        .flat_map(stream::iter)
        .boxed()
}

/// Reads the client's log as long as its pod runs; returns the phase in which it ended. A log stream
/// that breaks off is opened again: the lines are totals, so the last one makes up for those missed.
async fn follow(pods: &Api<Pod>, news: &mpsc::Sender<Change>) -> Result<String> {
    let started = |pod: Option<&Pod>| pod.and_then(phase).is_some_and(|phase| phase != "Pending");
    tokio::time::timeout(
        Duration::from_secs(60),
        wait::await_condition(pods.clone(), LOAD, started),
    )
    .await
    .context("the client's pod did not start within 60 s")??;
    let params = LogParams {
        follow: true,
        tail_lines: Some(1),
        ..LogParams::default()
    };
    loop {
        if let Ok(log) = pods.log_stream(LOAD, &params).await {
            let mut lines = log.lines();
            while let Ok(Some(line)) = lines.try_next().await {
                if line.starts_with('{') {
                    let load =
                        serde_json::from_str(&line).with_context(|| format!("the client wrote {line}"))?;
                    news.send(Change::Load(load)).await.context("the demo is over")?;
                } else if !line.is_empty() {
                    bail!("the client says: {line}");
                }
            }
        }
        let pod = limited("reading the client's pod", pods.get(LOAD)).await?;
        match phase(&pod) {
            Some("Running") => tokio::time::sleep(Duration::from_millis(500)).await,
            other => return Ok(other.unwrap_or("gone").to_owned()),
        }
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}
