//! Small worlds for the engine: built as JSON, planned, and moved on by hand.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::observed::Workload;
use crate::engine::plan::WorkloadGeneration;
use crate::engine::{self, Abilities, Identity, Intent, Observed, Plan, identity};

/// The hashes of a Rollout's template and steps, as the shell computes them.
pub(super) fn identity_of(rollout: &Value) -> Identity {
    let template = &rollout["spec"]["template"];
    let collisions = rollout["status"]["collisionCount"]
        .as_i64()
        .and_then(|n| i32::try_from(n).ok());
    let steps = rollout
        .pointer("/spec/strategy/canary/steps")
        .filter(|s| !s.is_null());
    Identity {
        pod_hash: identity::template_hash(template, collisions),
        legacy_pod_hash: identity::legacy_template_hash(template, collisions),
        step_hash: identity::step_hash(steps),
        legacy_step_hash: identity::legacy_step_hash(steps),
    }
}

/// What a pass sees of these objects; ReplicaSets, runs and templates are told apart by their kind.
pub(super) fn observed(rollout: &Value, others: &[Value]) -> Observed {
    let of = |kind: &str| {
        others
            .iter()
            .filter(move |o| o["kind"] == kind)
            .cloned()
            .collect::<Vec<Value>>()
    };
    Observed {
        rollout: Arc::new(serde_json::from_value(rollout.clone()).unwrap()),
        identity: identity_of(rollout),
        replica_sets: of("ReplicaSet")
            .into_iter()
            .map(|o| Arc::new(serde_json::from_value(o).unwrap()))
            .collect(),
        analysis_runs: of("AnalysisRun")
            .into_iter()
            .map(|o| Arc::new(serde_json::from_value(o).unwrap()))
            .collect(),
        services: of("Service")
            .into_iter()
            .map(|o| {
                let name = o["metadata"]["name"].as_str().unwrap().to_owned();
                (name, Arc::new(serde_json::from_value(o).unwrap()))
            })
            .collect(),
        templates: of("AnalysisTemplate")
            .into_iter()
            .map(|o| {
                let name = o["metadata"]["name"].as_str().unwrap().to_owned();
                (
                    (name, false),
                    Arc::new(serde_json::from_value(o["spec"].clone()).unwrap()),
                )
            })
            .collect(),
        abilities: Abilities {
            providers: &["web"],
            ..Abilities::default()
        },
        ..Observed::default()
    }
}

/// A Rollout `app` of 5 pods of `app:<version>` with these steps; maxSurge 1, maxUnavailable 0, never seen before.
pub(super) fn rollout(version: &str, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1},
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(version),
            "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": steps}},
        },
    })
}

/// The pods of a version.
pub(super) fn template(version: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "app", "image": format!("app:{version}")}]},
    })
}

/// Moves `version` into the template, as a user does.
pub(super) fn set_version(rollout: &mut Value, version: &str) {
    rollout["spec"]["template"] = template(version);
    touch(rollout);
}

/// A change of the spec: the API server counts it.
pub(super) fn touch(rollout: &mut Value) {
    let generation = rollout["metadata"]["generation"].as_i64().unwrap();
    rollout["metadata"]["generation"] = json!(generation + 1);
}

/// A world that carries plans out at once: ReplicaSets have the pods that they should, all of them available, in the
/// order in which they were made a minute apart.
#[derive(Clone)]
pub(super) struct World {
    /// The Rollout.
    pub rollout: Value,
    /// Everything else.
    pub others: Vec<Value>,
    /// The time.
    pub now: Timestamp,
    /// Reasons and messages of all events, in order.
    pub events: Vec<(String, String)>,
    /// What `workloadRef` names.
    pub workload: Option<Workload>,
    /// Images whose pods never become available.
    pub broken: Vec<String>,
}

impl World {
    /// Nothing but the Rollout, at noon.
    pub fn new(rollout: Value) -> Self {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        World {
            rollout,
            others: Vec::new(),
            now,
            events: Vec::new(),
            workload: None,
            broken: Vec::new(),
        }
    }

    /// The plan for this moment.
    pub fn plan(&self) -> Plan {
        let mut observed = observed(&self.rollout, &self.others);
        if let Some(workload) = &self.workload {
            let mut resolved = self.rollout.clone();
            resolved["spec"]["template"] = workload.template.0.clone();
            observed.identity = identity_of(&resolved);
            observed.workload = Some(Arc::new(workload.clone()));
        }
        engine::plan(&observed, self.now)
    }

    /// Carries out one plan as the shell does: intents, status, events. Whether it changed anything.
    pub fn step(&mut self) -> bool {
        let plan = self.plan();
        let before = (self.rollout.clone(), self.others.clone(), self.workload.clone());
        for intent in &plan.intents {
            self.apply(intent);
        }
        self.rollout["status"] = serde_json::to_value(&plan.status).unwrap();
        self.tell(&plan.notices);
        self.run_pods();
        before != (self.rollout.clone(), self.others.clone(), self.workload.clone())
    }

    /// Passes until nothing changes any more.
    pub fn settle(&mut self) {
        for _ in 0..60 {
            if !self.step() {
                return;
            }
            self.now += jiff::SignedDuration::from_secs(1);
        }
        panic!("no rest after 60 passes: {:#}", self.rollout["status"]);
    }

    /// Lets time pass, with a pass at the end.
    pub fn wait(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    /// The reasons of the events since last asked.
    pub fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
            .into_iter()
            .map(|(reason, _)| reason)
            .collect()
    }

    /// The field of the status, null where absent.
    pub fn status(&self, path: &str) -> Value {
        self.rollout["status"].pointer(path).cloned().unwrap_or_default()
    }

    /// A merge patch of the status, as clients write it.
    pub fn patch_status(&mut self, patch: &Value) {
        for (key, value) in patch.as_object().unwrap() {
            if value.is_null() {
                self.rollout["status"].as_object_mut().unwrap().remove(key);
            } else {
                self.rollout["status"][key] = value.clone();
            }
        }
    }

    /// Status and reason of a condition.
    pub fn condition(&self, type_: &str) -> Option<(String, String)> {
        let all = self.rollout["status"]["conditions"].as_array()?;
        let found = all.iter().find(|c| c["type"] == type_)?;
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        Some((text("status"), text("reason")))
    }

    /// Image and `spec.replicas` of each ReplicaSet, oldest first.
    pub fn sizes(&self) -> Vec<(String, i64)> {
        let sets = self.others.iter().filter(|o| o["kind"] == "ReplicaSet");
        sets.map(|o| (image(o), o["spec"]["replicas"].as_i64().unwrap()))
            .collect()
    }

    fn tell(&mut self, notices: &[engine::Notice]) {
        self.events
            .extend(notices.iter().map(|n| (n.reason.to_owned(), n.message.clone())));
    }

    fn named(&mut self, name: &str) -> &mut Value {
        self.others
            .iter_mut()
            .find(|o| o["metadata"]["name"] == name)
            .unwrap()
    }

    fn apply(&mut self, intent: &Intent) {
        let notices = match intent {
            Intent::ScaleWorkload(scale) => {
                let workload = self.workload.as_mut().unwrap();
                assert_eq!((workload.replicas, &workload.uid), (scale.from, &scale.uid));
                workload.replicas = scale.to;
                workload.generation += 1;
                scale.notices.clone()
            }
            Intent::PatchRollout {
                revision,
                workload_generation,
                replicas,
                notices,
            } => {
                let key = "rollout.argoproj.io/workload-generation";
                match workload_generation {
                    Some(WorkloadGeneration::Is(n)) => {
                        self.rollout["metadata"]["annotations"][key] = json!(n.to_string());
                    }
                    Some(WorkloadGeneration::Forget) => {
                        self.rollout["metadata"]["annotations"]
                            .as_object_mut()
                            .unwrap()
                            .remove(key);
                    }
                    None => {}
                }
                if let Some(revision) = revision {
                    self.rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"] =
                        json!(revision.to_string());
                }
                if let Some(replicas) = replicas {
                    self.rollout["spec"]["replicas"] = json!(replicas);
                    touch(&mut self.rollout);
                }
                notices.clone()
            }
            Intent::CreateReplicaSet(new) => {
                self.others.push(json!({
                    "apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": {
                        "name": new.name, "namespace": "n", "uid": format!("uid of {}", new.name), "generation": 1,
                        "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                        "labels": new.labels, "annotations": new.annotations, "ownerReferences": [owner()],
                    },
                    "spec": {"replicas": 0, "minReadySeconds": new.min_ready_seconds, "selector": new.selector,
                             "template": new.template},
                }));
                self.wait(60);
                new.notices.clone()
            }
            Intent::EvictPod { .. } | Intent::PatchPod { .. } => panic!("this world has no pods"),
            Intent::PatchReplicaSet(patch) => {
                let rs = self.named(&patch.name);
                if let Some((from, to)) = patch.scale {
                    assert_eq!(rs["spec"]["replicas"], from);
                    rs["spec"]["replicas"] = json!(to);
                }
                if let Some(seconds) = patch.min_ready_seconds {
                    rs["spec"]["minReadySeconds"] = json!(seconds);
                }
                for (key, value) in &patch.annotations {
                    match value {
                        Some(value) => rs["metadata"]["annotations"][key] = json!(value),
                        None => {
                            rs["metadata"]["annotations"].as_object_mut().unwrap().remove(key);
                        }
                    }
                }
                patch.notices.clone()
            }
            Intent::AdoptReplicaSet { name, .. } => {
                self.named(name)["metadata"]["ownerReferences"] = json!([owner()]);
                Vec::new()
            }
            Intent::ReleaseReplicaSet { name, .. } => {
                self.named(name)["metadata"]["ownerReferences"] = json!([]);
                Vec::new()
            }
            Intent::DeleteReplicaSet { name, .. } | Intent::DeleteAnalysisRun { name, .. } => {
                let name = name.clone();
                self.others.retain(|o| o["metadata"]["name"] != name);
                Vec::new()
            }
            Intent::CreateAnalysisRun(new) => {
                self.others.push(json!({
                    "kind": "AnalysisRun",
                    "metadata": {"name": new.name, "namespace": "n", "uid": new.name, "labels": new.labels,
                                 "ownerReferences": [owner()]},
                    "spec": new.spec,
                }));
                Vec::new()
            }
            Intent::TerminateAnalysisRun { name, .. } => {
                self.named(name)["spec"]["terminate"] = json!(true);
                Vec::new()
            }
            Intent::PatchService(patch) => {
                let service = self.named(&patch.name);
                service["spec"]["selector"]["rollouts-pod-template-hash"] = json!(patch.pod_hash);
                service["metadata"]["annotations"]["argo-rollouts.argoproj.io/managed-by-rollouts"] =
                    json!(patch.managed_by);
                patch.notices.clone()
            }
        };
        self.tell(&notices);
    }

    /// Gives every ReplicaSet the pods that it asks for.
    fn run_pods(&mut self) {
        let broken = self.broken.clone();
        for rs in self.others.iter_mut().filter(|o| o["kind"] == "ReplicaSet") {
            let pods = rs["spec"]["replicas"].clone();
            let up = if broken.contains(&image(rs)) {
                json!(0)
            } else {
                pods.clone()
            };
            rs["status"] = json!({
                "replicas": pods, "readyReplicas": up, "availableReplicas": up, "observedGeneration": 1,
            });
        }
    }
}

fn image(rs: &Value) -> String {
    rs.pointer("/spec/template/spec/containers/0/image")
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

/// The reference to the Rollout that its objects carry.
pub(super) fn owner() -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "u", "controller": true,
           "blockOwnerDeletion": true})
}
