//! A namespace of its own for each test, and how a test looks at it and acts in it.

use std::future::Future;
use std::io::Write as _;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::Cluster;
use super::controller::{Controller, Run};
use super::marker::find;
use super::record::Record;

/// How long a test waits for something that should happen.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

/// A kind, as `group/version/Kind`.
pub type Kind = (&'static str, &'static str, &'static str);
pub const ROLLOUT: Kind = ("argoproj.io", "v1alpha1", "Rollout");
pub const ANALYSIS_RUN: Kind = ("argoproj.io", "v1alpha1", "AnalysisRun");
pub const ANALYSIS_TEMPLATE: Kind = ("argoproj.io", "v1alpha1", "AnalysisTemplate");
pub const REPLICA_SET: Kind = ("apps", "v1", "ReplicaSet");
pub const EVENT: Kind = ("", "v1", "Event");
pub const SERVICE: Kind = ("", "v1", "Service");
pub const SECRET: Kind = ("", "v1", "Secret");
pub const ENDPOINT_SLICE: Kind = ("discovery.k8s.io", "v1", "EndpointSlice");
pub const POD: Kind = ("", "v1", "Pod");
pub const POD_TEMPLATE: Kind = ("", "v1", "PodTemplate");
pub const DEPLOYMENT: Kind = ("apps", "v1", "Deployment");
pub const DISRUPTION_BUDGET: Kind = ("policy", "v1", "PodDisruptionBudget");
pub const LEASE: Kind = ("coordination.k8s.io", "v1", "Lease");

/// A namespace of the cluster, empty at first.
#[derive(Clone)]
pub struct World(Arc<Inner>);

/// What a [`World`] is made of.
pub struct Inner {
    /// The cluster.
    pub cluster: &'static Cluster,
    /// The administrator's client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The instance id that Rollouts get; none for those of the shared controller.
    instance: String,
}

impl Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Runs a test in a namespace of its own, under the shared controller. When it fails, it says how everything stood.
pub fn scenario<F: Future<Output = ()>>(name: &str, test: impl FnOnce(World) -> F) {
    let cluster = Cluster::shared();
    let controller = Controller::shared();
    run(cluster, name, "", |world| async move {
        controller.ready().await;
        test(world).await;
    });
}

/// Runs a test whose Rollouts carry an instance id, so that only controllers which the test itself starts see them.
pub fn isolated<F: Future<Output = ()>>(name: &str, test: impl FnOnce(World) -> F) {
    run(Cluster::shared(), name, name, test);
}

/// Runs a test in a namespace of its own.
pub fn run<F: Future<Output = ()>>(
    cluster: &'static Cluster,
    name: &str,
    instance: &str,
    test: impl FnOnce(World) -> F,
) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(async {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{:x}-{count}", std::process::id());
        let namespace = format!("{name}-{unique}");
        let instance = if instance.is_empty() {
            String::new()
        } else {
            format!("{instance}-{unique}")
        };
        let client = cluster.client().await;
        let world = World(Arc::new(Inner {
            cluster,
            client,
            namespace,
            instance,
        }));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
        let namespaces = cluster_api(&world.client, ("", "v1", "Namespace"));
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
        let outcome = AssertUnwindSafe(test(world.clone())).catch_unwind().await;
        if outcome.is_err() {
            world.describe(name).await;
        }
        // With secrets it stays, for tests/secrets.rs to look what became of them.
        let secrets = world.list(SECRET, "").await;
        if !secrets
            .iter()
            .any(|secret| find(&secret["data"].to_string()).is_some())
        {
            let _ = namespaces
                .delete(&world.namespace, &DeleteParams::background())
                .await;
        }
        outcome
    });
    say(&format!("ring 3: {name}: {:.1} s", began.elapsed().as_secs_f64()));
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Says something on standard error, also of a test that succeeds.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn resource((group, version, kind): Kind) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn cluster_api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource(kind))
}

impl World {
    /// Starts a controller for the Rollouts of this test alone.
    pub async fn controller(&self) -> Controller {
        let controller = Controller::start(self.cluster, &self.controller_run());
        controller.ready().await;
        controller
    }

    /// How such a controller is run.
    pub fn controller_run(&self) -> Run {
        assert!(
            !self.instance.is_empty(),
            "the shared controller works for this test"
        );
        let user = format!("serin-{}", self.instance);
        Run {
            user,
            instance: self.instance.clone(),
            ..Run::default()
        }
    }

    /// The objects of a kind in the namespace.
    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    /// Creates an object; the kind is the object's own.
    pub async fn create(&self, object: Value) -> Value {
        self.try_create(object).await.unwrap()
    }

    /// Tries to create an object.
    pub async fn try_create(&self, mut object: Value) -> kube::Result<Value> {
        let kinds = [
            ROLLOUT,
            ANALYSIS_RUN,
            ANALYSIS_TEMPLATE,
            DEPLOYMENT,
            DISRUPTION_BUDGET,
        ];
        let kind = kinds.into_iter().find(|k| object["kind"] == k.2).unwrap();
        if !self.instance.is_empty() && [ROLLOUT, ANALYSIS_RUN].contains(&kind) {
            let label = "argo-rollouts.argoproj.io/controller-instance-id";
            object["metadata"]["labels"][label] = json!(self.instance);
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = self.api(kind).create(&PostParams::default(), &object).await?;
        Ok(serde_json::to_value(created).unwrap())
    }

    /// Creates a Service that selects these labels.
    pub async fn create_service(&self, name: &str, selector: &Value, port: u16) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"port": port}]},
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(SERVICE)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// Creates an object of a kind that needs no instance id.
    pub async fn create_kind(&self, kind: Kind, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(kind)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// Deletes an object.
    pub async fn delete(&self, kind: Kind, name: &str) {
        let params = DeleteParams::background();
        self.api(kind).delete(name, &params).await.unwrap();
    }

    /// `kubectl apply` of a file, as a user does it.
    pub fn apply(&self, path: &str) {
        self.cluster
            .kubectl(&["apply", "-n", &self.namespace, "-f", &super::cluster::root(path)]);
    }

    /// An object.
    pub async fn get(&self, kind: Kind, name: &str) -> Value {
        serde_json::to_value(self.api(kind).get(name).await.unwrap()).unwrap()
    }

    /// A Rollout.
    pub async fn rollout(&self, name: &str) -> Value {
        self.get(ROLLOUT, name).await
    }

    /// All objects of a kind that carry this label.
    pub async fn list(&self, kind: Kind, selector: &str) -> Vec<Value> {
        let params = ListParams::default().labels(selector);
        let list = self.api(kind).list(&params).await.unwrap();
        list.items
            .into_iter()
            .map(|o| serde_json::to_value(o).unwrap())
            .collect()
    }

    /// The ReplicaSets of a Rollout, in the order of their revisions.
    pub async fn replica_sets(&self, rollout: &str) -> Vec<Value> {
        let mut all = self.list(REPLICA_SET, &format!("app={rollout}")).await;
        all.sort_by_key(|rs| {
            annotation(rs, "rollout.argoproj.io/revision")
                .parse::<i64>()
                .unwrap_or(0)
        });
        all
    }

    /// The replicas that the ReplicaSets of a Rollout are asked for, in the order of their revisions.
    pub async fn scales(&self, rollout: &str) -> Vec<i64> {
        self.replica_sets(rollout)
            .await
            .iter()
            .map(|rs| number(rs, "/spec/replicas"))
            .collect()
    }

    /// The runs of a Rollout, by name.
    pub async fn runs(&self, rollout: &str) -> Vec<Value> {
        self.list(ANALYSIS_RUN, &format!("app={rollout}")).await
    }

    /// Changes a Rollout by a merge patch.
    pub async fn patch(&self, name: &str, patch: Value) -> Value {
        self.patch_kind(ROLLOUT, name, patch).await
    }

    /// Changes an object by a merge patch.
    pub async fn patch_kind(&self, kind: Kind, name: &str, patch: Value) -> Value {
        let patched = self
            .api(kind)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        serde_json::to_value(patched.unwrap()).unwrap()
    }

    /// Changes a Rollout's status by a merge patch, as `kubectl argo rollouts` does.
    pub async fn patch_status(&self, name: &str, patch: Value) {
        let api = self.api(ROLLOUT);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Changes a Rollout's status by a JSON patch.
    pub async fn edit_status(&self, name: &str, patch: Value) {
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let params = PatchParams::default();
        self.api(ROLLOUT)
            .patch_status(name, &params, &Patch::<()>::Json(patch))
            .await
            .unwrap();
    }

    /// Changes an object by a JSON patch.
    pub async fn edit(&self, kind: Kind, name: &str, patch: Value) -> Value {
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let patched = self
            .api(kind)
            .patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
            .await;
        serde_json::to_value(patched.unwrap()).unwrap()
    }

    /// `set image`: a new revision.
    pub async fn set_image(&self, name: &str, image: &str) {
        let path = "/spec/template/spec/containers/0/image";
        self.edit(
            ROLLOUT,
            name,
            json!([{"op": "replace", "path": path, "value": image}]),
        )
        .await;
    }

    /// Waits until the probe gives something.
    pub async fn until<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited {PATIENCE:?} in vain for: {what}"
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until the Rollout is so.
    pub async fn until_rollout(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let rollout = self.rollout(name).await;
            if is(&rollout) {
                return rollout;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited {PATIENCE:?} in vain until {name} is {what}; its status: {:#}",
                rollout["status"]
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until the Rollout is Healthy, with the spec as it is now.
    pub async fn healthy(&self, name: &str) -> Value {
        self.until_rollout(name, "Healthy", is_healthy).await
    }

    /// Waits until the Rollout is paused on this step, with its pods as the step asks.
    pub async fn paused_at(&self, name: &str, step: i64) -> Value {
        let what = format!("paused at step {step}");
        self.until_rollout(name, &what, |r| {
            is_observed(r)
                && r["status"]["phase"] == "Paused"
                && r["status"]["currentStepIndex"] == step
                && !r["status"]["pauseConditions"].is_null()
        })
        .await
    }

    /// Creates a Rollout and waits until its first revision is out.
    pub async fn deployed(&self, rollout: Value) -> Value {
        let name = rollout["metadata"]["name"].as_str().unwrap().to_owned();
        self.create(rollout).await;
        self.healthy(&name).await
    }

    /// Waits until the ReplicaSets of a Rollout are asked for so many replicas, in the order of their revisions.
    pub async fn until_scales(&self, rollout: &str, want: &[i64]) {
        let what = format!("{rollout} scaled to {want:?}");
        self.until(&what, async || {
            let scales = self.scales(rollout).await;
            let ready = self.replica_sets(rollout).await;
            let settled = ready
                .iter()
                .all(|rs| number(rs, "/status/replicas") == number(rs, "/spec/replicas"));
            (scales == want && settled).then_some(())
        })
        .await;
    }

    /// Records a kind in this namespace from now on.
    pub async fn record(&self, kind: Kind) -> Record {
        Record::of(self.api(kind), watcher::Config::default()).await
    }

    /// How everything stands, for whoever reads that a test failed.
    async fn describe(&self, name: &str) {
        let mut text = format!(
            "---- {name} failed in {}; this is how it stood:\n",
            self.namespace
        );
        for r in self.list(ROLLOUT, "").await {
            text += &format!(
                "Rollout {} generation {}: {}\n",
                r["metadata"]["name"], r["metadata"]["generation"], r["status"]
            );
        }
        for rs in self.list(REPLICA_SET, "").await {
            let status = &rs["status"];
            text += &format!(
                "ReplicaSet {} {} {status}\n",
                rs["metadata"]["name"], rs["spec"]["replicas"]
            );
        }
        for run in self.list(ANALYSIS_RUN, "").await {
            text += &format!("AnalysisRun {} {}\n", run["metadata"]["name"], run["status"]);
        }
        for e in self
            .list(EVENT, "")
            .await
            .iter()
            .filter(|e| e["involvedObject"]["kind"] == "Rollout")
        {
            text += &format!(
                "Event {} {} {}\n",
                e["involvedObject"]["name"], e["reason"], e["message"]
            );
        }
        say(&text);
    }
}

/// Whether the controller has seen the spec as it is now.
pub fn is_observed(rollout: &Value) -> bool {
    // On the wire the one is text, the other a number.
    text(rollout, "/status/observedGeneration").parse() == Ok(number(rollout, "/metadata/generation"))
}

/// Whether the Rollout is Healthy, with the spec as it is now.
pub fn is_healthy(rollout: &Value) -> bool {
    is_observed(rollout) && rollout["status"]["phase"] == "Healthy"
}

/// Whether the Rollout is Degraded for a reason that contains this text, with the spec as it is now.
pub fn is_degraded(rollout: &Value, text: &str) -> bool {
    is_observed(rollout)
        && rollout["status"]["phase"] == "Degraded"
        && rollout["status"]["message"]
            .as_str()
            .is_some_and(|m| m.contains(text))
}

/// Whether the message is that of this pause: the contract's word, and behind it what ends the pause.
pub fn is_paused_by(rollout: &Value, word: &str) -> bool {
    let says = rollout["status"]["message"].as_str().unwrap_or_default();
    says.strip_prefix(word).is_some_and(|rest| rest.starts_with(": "))
}

/// The value of an annotation, or nothing.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key]
        .as_str()
        .unwrap_or_default()
}

/// A number; 0 where there is none.
pub fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

/// A text; empty where there is none.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
