//! The validated view of one Rollout that a pass decides on: defaults resolved, ReplicaSets told apart.

use std::sync::{Arc, OnceLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::draft::find_condition;
use super::identity;
use super::observed::{self, Identity, Observed};
use super::replicas::{self, Counts, Fenceposts};
use crate::api::common::{PodTemplate, PodTemplateMetadata};
use crate::api::names::conditions;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{
    AntiAffinity, BlueGreenStrategy, CanaryStep, CanaryStrategy, FailFast, Rollout, RolloutSpec,
    RolloutStatus,
};

/// The one strategy that a spec describes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'a> {
    /// Step by step.
    Canary(&'a CanaryStrategy),
    /// Two environments.
    BlueGreen(&'a BlueGreenStrategy),
}

/// The validated view of one Rollout. Everything in it is what was committed or observed, never what this pass decides.
pub(crate) struct Context<'a> {
    /// The world.
    pub observed: &'a Observed,
    /// The Rollout.
    pub rollout: &'a Rollout,
    /// What the user asks for.
    pub spec: &'a RolloutSpec,
    /// The strategy, where it is a canary; else an empty one: no steps, no Services.
    pub canary: &'a CanaryStrategy,
    /// The strategy, where it is blue-green.
    pub blue_green: Option<&'a BlueGreenStrategy>,
    /// Which pods are its own.
    pub selector: Option<&'a LabelSelector>,
    /// What was committed last.
    pub status: &'a RolloutStatus,
    /// Desired pods, with the default of 1.
    pub replicas: i64,
    /// The limits of surge and unavailability.
    pub limits: Fenceposts,
    /// The ReplicaSet of the desired template.
    pub new: Option<&'a ReplicaSet>,
    /// The ReplicaSet that was promoted last; it may be the new one.
    pub stable: Option<&'a ReplicaSet>,
    /// Every other ReplicaSet of this Rollout, highest revision first.
    pub others: Vec<&'a ReplicaSet>,
}

impl<'a> Context<'a> {
    /// Tells the ReplicaSets apart. The strategy comes from a spec that was found valid.
    pub fn new(observed: &'a Observed, strategy: Chosen<'a>) -> Self {
        static NONE: OnceLock<CanaryStrategy> = OnceLock::new();
        let (canary, blue_green) = match strategy {
            Chosen::Canary(canary) => (canary, None),
            Chosen::BlueGreen(blue_green) => (NONE.get_or_init(CanaryStrategy::default), Some(blue_green)),
        };
        let (surge, unavailable) = match blue_green {
            // A second environment is no surge: nothing is scaled by it.
            Some(blue_green) => (None, blue_green.max_unavailable.as_ref()),
            None => (canary.max_surge.as_ref(), canary.max_unavailable.as_ref()),
        };
        let limits = limits(surge, unavailable, desired_replicas(&observed.rollout.spec));
        let rollout: &Rollout = &observed.rollout;
        let status = committed(rollout);
        let owned: Vec<&ReplicaSet> = owned(observed).collect();
        let new = find_new(observed, &owned);
        let stable_hash = status.stable_rs.as_deref().unwrap_or_default();
        let stable = owned
            .iter()
            .copied()
            .find(|rs| !stable_hash.is_empty() && hash_of(rs) == stable_hash);
        let mut others: Vec<&ReplicaSet> = owned
            .into_iter()
            .filter(|rs| !same(Some(rs), new) && !same(Some(rs), stable))
            .collect();
        others.sort_by_key(|rs| std::cmp::Reverse(observed::revision(&rs.metadata)));
        Context {
            observed,
            rollout,
            spec: &rollout.spec,
            canary,
            blue_green,
            selector: rollout.spec.selector.as_ref(),
            status,
            replicas: desired_replicas(&rollout.spec),
            limits,
            new,
            stable,
            others,
        }
    }

    /// The steps of the canary.
    pub fn steps(&self) -> &'a [CanaryStep] {
        &self.canary.steps
    }

    /// The committed step cursor, within the steps. `None` when there are no steps.
    pub fn step_index(&self) -> Option<usize> {
        if self.steps().is_empty() {
            return None;
        }
        let index = self.status.current_step_index.unwrap_or(0);
        Some(usize::try_from(index).unwrap_or(0).min(self.steps().len()))
    }

    /// The step that the cursor stands on; `None` when all are done.
    pub fn step(&self) -> Option<&'a CanaryStep> {
        self.steps().get(self.step_index()?)
    }

    /// Whether the committed status says that the new revision is the stable one.
    pub fn is_fully_promoted(&self) -> bool {
        let stable = self.status.stable_rs.as_deref().unwrap_or_default();
        !stable.is_empty() && Some(stable) == self.status.current_pod_hash.as_deref()
    }

    /// Whether a user aborted, or a verdict did.
    pub fn is_aborted(&self) -> bool {
        self.status.abort == Some(true)
    }

    /// Whether a user asked to skip everything that is left of the update. An abort that came after wins; one that was
    /// already acted on (`abortedAt`) came before, and is overruled.
    pub fn is_promoted_by_user(&self) -> bool {
        let aborted_since = self.is_aborted() && self.status.aborted_at.is_none();
        self.status.promote_full == Some(true) && !aborted_since
    }

    /// Whether the user holds everything: `spec.paused`. Not the way back of an abort: nothing comes before that.
    pub fn is_held(&self) -> bool {
        self.spec.paused == Some(true) && !self.goes_back()
    }

    /// Whether an aborted update is on its way back to the stable revision, or there.
    pub fn goes_back(&self) -> bool {
        self.is_aborted() && self.stable.is_some() && !self.is_fully_promoted() && !self.is_promoted_by_user()
    }

    /// How new pods are kept off the nodes of stable ones, whichever the strategy.
    pub fn anti_affinity(&self) -> Option<&'a AntiAffinity> {
        match self.blue_green {
            Some(blue_green) => blue_green.anti_affinity.as_ref(),
            None => self.canary.anti_affinity.as_ref(),
        }
    }

    /// The labels and annotations that pods have while they are stable: active, under blue-green.
    pub fn stable_metadata(&self) -> Option<&'a PodTemplateMetadata> {
        match self.blue_green {
            Some(blue_green) => blue_green.active_metadata.as_ref(),
            None => self.canary.stable_metadata.as_ref(),
        }
    }

    /// The labels and annotations that new pods have during an update: in the preview, under blue-green.
    pub fn update_metadata(&self) -> Option<&'a PodTemplateMetadata> {
        match self.blue_green {
            Some(blue_green) => blue_green.preview_metadata.as_ref(),
            None => self.canary.canary_metadata.as_ref(),
        }
    }

    /// When new pods that cannot start end the update, whichever the strategy.
    pub fn fail_fast(&self) -> Option<&'a FailFast> {
        match self.blue_green {
            Some(blue_green) => blue_green.fail_fast.as_ref(),
            None => self.canary.fail_fast.as_ref(),
        }
    }

    /// Whether the last full pass saw the present generation.
    pub fn is_observed(&self) -> bool {
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        self.status
            .observed_generation
            .as_deref()
            .and_then(|g| g.parse::<i64>().ok())
            == Some(generation)
    }

    /// All ReplicaSets of this Rollout.
    pub fn all(&self) -> impl Iterator<Item = &'a ReplicaSet> + '_ {
        let stable = self.stable.filter(|_| !same(self.new, self.stable));
        self.new
            .into_iter()
            .chain(stable)
            .chain(self.others.iter().copied())
    }

    /// The highest revision among the ReplicaSets other than the new one.
    pub fn highest_other_revision(&self) -> i64 {
        self.all()
            .filter(|rs| !same(Some(rs), self.new))
            .map(|rs| observed::revision(&rs.metadata))
            .max()
            .unwrap_or(0)
    }
}

/// The committed status; empty for a Rollout that was never seen before.
pub(crate) fn committed(rollout: &Rollout) -> &RolloutStatus {
    static EMPTY: OnceLock<RolloutStatus> = OnceLock::new();
    rollout
        .status
        .as_ref()
        .unwrap_or_else(|| EMPTY.get_or_init(RolloutStatus::default))
}

/// `spec.replicas` with its default, never negative.
pub(crate) fn desired_replicas(spec: &RolloutSpec) -> i64 {
    i64::from(spec.replicas.unwrap_or(1).max(0))
}

/// The desired pod template as JSON.
pub(crate) fn template(spec: &RolloutSpec) -> &serde_json::Value {
    static NULL: serde_json::Value = serde_json::Value::Null;
    spec.template.as_ref().map_or(&NULL, |PodTemplate(value)| value)
}

/// Whether both are the same object.
pub(crate) fn same(a: Option<&ReplicaSet>, b: Option<&ReplicaSet>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.metadata.uid == b.metadata.uid && a.metadata.name == b.metadata.name,
        (None | Some(_), None) | (None, Some(_)) => false,
    }
}

/// The hash that a ReplicaSet is labelled with.
pub(crate) fn hash_of(rs: &ReplicaSet) -> &str {
    observed::pod_hash(&rs.metadata)
}

/// A ReplicaSet as the arithmetic sees it.
pub(crate) fn counts(rs: Option<&ReplicaSet>) -> Counts {
    let Some(rs) = rs else {
        return Counts {
            observed: true,
            ..Counts::default()
        };
    };
    let generation = rs.metadata.generation.unwrap_or(0);
    // What was created without pods and never scaled has none, whoever has looked at it.
    Counts {
        spec: spec_replicas(rs),
        created: i64::from(rs.status.replicas),
        available: i64::from(rs.status.available_replicas),
        observed: rs.status.observed_generation >= generation || (generation <= 1 && spec_replicas(rs) == 0),
    }
}

/// `spec.replicas` of a ReplicaSet; the API server's default is 1.
pub(crate) fn spec_replicas(rs: &ReplicaSet) -> i64 {
    i64::from(rs.spec.replicas.unwrap_or(1))
}

/// maxSurge and maxUnavailable with their defaults of 25 %. The texts were found to be numbers before.
fn limits(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, replicas: i64) -> Fenceposts {
    let resolve = |value: Option<&IntOrString>| {
        value
            .and_then(replicas::percent_or_count)
            .unwrap_or(replicas::DEFAULT_MAX)
    };
    replicas::fenceposts(replicas, resolve(surge), resolve(unavailable))
}

fn owned(observed: &Observed) -> impl Iterator<Item = &ReplicaSet> {
    let me = observed::uid(&observed.rollout.metadata);
    observed.replica_sets.iter().map(Arc::as_ref).filter(move |rs| {
        let meta = &rs.metadata;
        // One without a hash is no revision: it only stands in the way of a name.
        observed::is_controlled_by(meta, me) && meta.deletion_timestamp.is_none() && !hash_of(rs).is_empty()
    })
}

/// The ReplicaSet of the desired template (wire contract 2.1): by our hash, by the hash of older controllers, and by
/// meaning; the oldest of each. The last makes a take-over and an upgrade move no pod.
///
/// A hash leaves out the fields that it does not know, so that equal hashes have to mean the same as well. What a full
/// pass has found for this template, of Serin or of the controller before it, is not looked into again: comparing costs
/// more than the rest of a pass, and a controller that did not know a field of the template left it out of the
/// ReplicaSet, which is no reason to replace pods when the Rollout is next scaled.
fn find_new<'a>(observed: &'a Observed, owned: &[&'a ReplicaSet]) -> Option<&'a ReplicaSet> {
    let mut by_age = owned.to_vec();
    by_age.sort_by(|a, b| {
        let key = |rs: &ReplicaSet| (rs.metadata.creation_timestamp.clone(), rs.metadata.name.clone());
        key(a).cmp(&key(b))
    });
    let by_hash = |hash: &str| {
        by_age
            .iter()
            .copied()
            .find(|rs| !hash.is_empty() && hash_of(rs) == hash)
    };
    let status = committed(&observed.rollout);
    let generation = observed.rollout.metadata.generation.unwrap_or(0).to_string();
    let desired = template(&observed.rollout.spec);
    let judged = match &status.template_fingerprint {
        // The same generation needs no fingerprint; another one may well have the same template.
        Some(known) => {
            is_same_generation(observed, status, &generation) || *known == identity::fingerprint(desired)
        }
        None => is_same_generation(observed, status, &generation),
    };
    if judged && let Some(current) = by_hash(status.current_pod_hash.as_deref().unwrap_or_default()) {
        return Some(current);
    }
    let same_meaning = |rs: &&ReplicaSet| {
        let injected = observed::ephemeral_metadata(&rs.metadata);
        identity::equal_by_meaning(desired, &rs.spec.template.read().0, injected)
    };
    let Identity {
        pod_hash,
        legacy_pod_hash,
        ..
    } = &observed.identity;
    by_hash(pod_hash)
        .filter(same_meaning)
        .or_else(|| by_hash(legacy_pod_hash).filter(same_meaning))
        .or_else(|| by_age.iter().copied().find(same_meaning))
}

/// Whether the last full pass, of whichever controller, was about the present generation and found it valid.
fn is_same_generation(observed: &Observed, status: &RolloutStatus, generation: &str) -> bool {
    let workload = observed.workload.as_ref().map(|w| w.generation.to_string());
    (observed.rollout.spec.workload_ref.is_none() || status.workload_observed_generation == workload)
        && status.observed_generation.as_deref() == Some(generation)
        && find_condition(status, conditions::INVALID_SPEC).is_none()
}
