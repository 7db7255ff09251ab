//! What the demo knows at one moment: the Rollout, its ReplicaSets and runs as the watches tell them,
//! and the client's counts. Pure: objects come in as JSON, nothing goes out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The label by which the controller marks what belongs to one revision.
const HASH_LABEL: &str = "rollouts-pod-template-hash";
const REVISION: &str = "rollout.argoproj.io/revision";

/// One piece of news.
#[derive(Debug)]
pub(crate) enum Change {
    Rollout(Value),
    ReplicaSet(Value),
    ReplicaSetGone(String),
    Run(Value),
    RunGone(String),
    Load(Load),
    /// The client gives no more counts, and why.
    LoadEnded(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) rollout: Rollout,
    /// By name.
    pub(crate) sets: BTreeMap<String, ReplicaSet>,
    /// By name.
    pub(crate) runs: BTreeMap<String, Run>,
    pub(crate) load: Load,
    /// Requests a second by version, over the last two lines of counts.
    pub(crate) pace: BTreeMap<String, f64>,
    pub(crate) load_ended: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rollout {
    pub(crate) generation: i64,
    /// The controller has seen this generation.
    pub(crate) observed: bool,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// The steps in words, `setWeight 10`.
    pub(crate) steps: Vec<String>,
    pub(crate) step: Option<usize>,
    /// The weight of the new version, in percent, that the current step asks for.
    pub(crate) weight: u64,
    pub(crate) stable: String,
    pub(crate) current: String,
    pub(crate) aborted: bool,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReplicaSet {
    pub(crate) version: String,
    pub(crate) hash: String,
    pub(crate) revision: String,
    pub(crate) desired: u64,
    pub(crate) replicas: u64,
    pub(crate) available: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Run {
    pub(crate) hash: String,
    /// The index of the Rollout's step that this run is the gate of.
    pub(crate) step: Option<usize>,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// The measured values of its first metric, as printed.
    pub(crate) values: Vec<String>,
}

/// The client's totals; the format is that of `demo-app load`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Load {
    pub(crate) elapsed_ms: u64,
    pub(crate) versions: BTreeMap<String, Answers>,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) skipped: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Answers {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
}

impl Run {
    /// No more measurements will come.
    pub(crate) fn finished(&self) -> bool {
        matches!(
            self.phase.as_str(),
            "Successful" | "Failed" | "Error" | "Inconclusive"
        )
    }
}

impl Load {
    pub(crate) fn of(&self, version: &str) -> Answers {
        self.versions.get(version).copied().unwrap_or_default()
    }

    /// All requests, with and without an answer.
    pub(crate) fn requests(&self) -> u64 {
        self.versions
            .values()
            .map(|answers| answers.requests)
            .sum::<u64>()
            + self.lost()
    }

    /// Requests that nobody answered.
    pub(crate) fn lost(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The share of `version` in the answers since `earlier`, in percent; None without any answer.
    pub(crate) fn share_since(&self, earlier: &Load, version: &str) -> Option<f64> {
        let answered = |load: &Load| {
            load.versions
                .values()
                .map(|answers| answers.requests)
                .sum::<u64>()
        };
        let all = answered(self)
            .checked_sub(answered(earlier))
            .filter(|all| *all > 0)?;
        let own = self
            .of(version)
            .requests
            .saturating_sub(earlier.of(version).requests);
        Some(ratio(own, all) * 100.0)
    }
}

/// Counts of requests are far below 2^52, so the quotient is exact enough for a percentage.
#[expect(clippy::cast_precision_loss, reason = "counts of one short demo")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl World {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Rollout(object) => self.rollout = rollout(&object),
            Change::ReplicaSet(object) => {
                self.sets
                    .insert(text(&object, "/metadata/name"), replica_set(&object));
            }
            Change::ReplicaSetGone(name) => {
                self.sets.remove(&name);
            }
            Change::Run(object) => {
                self.runs.insert(text(&object, "/metadata/name"), run(&object));
            }
            Change::RunGone(name) => {
                self.runs.remove(&name);
            }
            Change::Load(load) => {
                self.pace = pace(&self.load, &load);
                self.load = load;
            }
            Change::LoadEnded(why) => self.load_ended = Some(why),
        }
    }

    /// The ReplicaSet of a version, if there is one yet.
    pub(crate) fn set(&self, version: &str) -> Option<&ReplicaSet> {
        self.sets.values().find(|set| set.version == version)
    }

    /// How many pods of a version are ready to serve.
    pub(crate) fn available(&self, version: &str) -> u64 {
        self.set(version).map_or(0, |set| set.available)
    }

    /// How many pods of a version exist, those that are ending not counted.
    pub(crate) fn replicas(&self, version: &str) -> u64 {
        self.set(version).map_or(0, |set| set.replicas)
    }

    /// The version whose ReplicaSet carries this hash.
    pub(crate) fn version_of(&self, hash: &str) -> Option<&str> {
        self.sets
            .values()
            .find(|set| set.hash == hash)
            .map(|set| set.version.as_str())
    }

    /// The rollout of `version` is over and good.
    pub(crate) fn promoted(&self, version: &str) -> bool {
        let rollout = &self.rollout;
        rollout.observed
            && rollout.phase == "Healthy"
            && rollout.stable == rollout.current
            && self.version_of(&rollout.stable) == Some(version)
    }

    /// The rollout of `version` was given up, by whomever.
    pub(crate) fn aborted(&self, version: &str) -> bool {
        self.rollout.aborted && self.version_of(&self.rollout.current) == Some(version)
    }

    /// The weight that a step at this index stands under, in percent.
    pub(crate) fn weight_at(&self, step: usize) -> u64 {
        weight_at(&self.rollout.steps, step)
    }
}

fn text(object: &Value, path: &str) -> String {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(object: &Value, path: &str) -> u64 {
    object.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

fn rollout(object: &Value) -> Rollout {
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let steps: Vec<String> = object
        .pointer("/spec/strategy/canary/steps")
        .and_then(Value::as_array)
        .map(|steps| steps.iter().map(step_words).collect())
        .unwrap_or_default();
    let step = object
        .pointer("/status/currentStepIndex")
        .and_then(Value::as_u64)
        .and_then(|step| usize::try_from(step).ok());
    let stable = text(object, "/status/stableRS");
    let current = text(object, "/status/currentPodHash");
    let aborted = object
        .pointer("/status/abort")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    let weight = match step {
        _ if aborted => 0,
        _ if stable == current => 100,
        Some(step) => weight_at(&steps, step),
        None => 0,
    };
    Rollout {
        generation,
        observed: text(object, "/status/observedGeneration") == generation.to_string(),
        phase: text(object, "/status/phase"),
        message: text(object, "/status/message"),
        steps,
        step,
        weight,
        stable,
        current,
        aborted,
        conditions: object
            .pointer("/status/conditions")
            .and_then(|conditions| Vec::deserialize(conditions).ok())
            .unwrap_or_default(),
    }
}

fn step_words(step: &Value) -> String {
    if let Some(weight) = step.get("setWeight") {
        return format!("setWeight {weight}");
    }
    step.as_object()
        .and_then(|step| step.keys().next().cloned())
        .unwrap_or_default()
}

/// The last `setWeight` at or before `step`; none yet is 0, beyond the last step is 100.
fn weight_at(steps: &[String], step: usize) -> u64 {
    if step >= steps.len() {
        return 100;
    }
    steps[..=step]
        .iter()
        .rev()
        .find_map(|words| words.strip_prefix("setWeight ")?.parse().ok())
        .unwrap_or_default()
}

fn replica_set(object: &Value) -> ReplicaSet {
    let env = object
        .pointer("/spec/template/spec/containers/0/env")
        .and_then(Value::as_array);
    let version = env.into_iter().flatten().find(|entry| entry["name"] == "VERSION");
    ReplicaSet {
        version: version.map(|entry| text(entry, "/value")).unwrap_or_default(),
        hash: text(object, &format!("/metadata/labels/{HASH_LABEL}")),
        revision: text(
            object,
            &format!("/metadata/annotations/{}", REVISION.replace('/', "~1")),
        ),
        desired: number(object, "/spec/replicas"),
        replicas: number(object, "/status/replicas"),
        available: number(object, "/status/availableReplicas"),
    }
}

fn run(object: &Value) -> Run {
    let measurements = object
        .pointer("/status/metricResults/0/measurements")
        .and_then(Value::as_array);
    Run {
        hash: text(object, &format!("/metadata/labels/{HASH_LABEL}")),
        step: text(object, "/metadata/labels/step-index").parse().ok(),
        phase: text(object, "/status/phase"),
        message: text(object, "/status/message"),
        values: measurements
            .into_iter()
            .flatten()
            .map(|one| text(one, "/value"))
            .collect(),
    }
}

fn pace(before: &Load, now: &Load) -> BTreeMap<String, f64> {
    let Some(millis) = now
        .elapsed_ms
        .checked_sub(before.elapsed_ms)
        .filter(|millis| *millis > 0)
    else {
        return BTreeMap::new();
    };
    let of = |version: &String| {
        now.of(version)
            .requests
            .saturating_sub(before.of(version).requests)
    };
    now.versions
        .keys()
        .map(|version| (version.clone(), ratio(of(version) * 1000, millis)))
        .collect()
}
