//! What users do, as `kubectl argo rollouts` writes it (wire contract 2.6), and what the world does.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::api::names::{PauseReason, labels};
use crate::api::rollout::{Rollout, RolloutStatus};
use crate::engine::observed;

/// Something that somebody other than the controller does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `promote`: on with the next step.
    Promote,
    /// `promote --full`: no step, pause or analysis any more.
    PromoteFull,
    /// `promote --skip-current-step`: the cursor alone is moved.
    SkipStep,
    /// `promote --skip-all-steps`: the cursor is moved behind the last step.
    SkipAllSteps,
    /// `abort`.
    Abort,
    /// `retry rollout`.
    Retry,
    /// `pause`: `spec.paused`.
    Pause,
    /// `spec.paused` is taken back.
    Unpause,
    /// The pause conditions are taken away, and nothing else: how a dashboard resumes.
    Resume,
    /// `set image` of the first container.
    SetImage(String),
    /// `undo`: the template of the second highest revision.
    Undo,
    /// `kubectl scale`, or an autoscaler.
    Scale(i32),
    /// Other steps are applied.
    SetSteps(Value),
    /// Some field of the spec is applied, by its JSON pointer.
    SetField(String, Value),
    /// The Deployment that `workloadRef` names is applied with another image.
    SetWorkloadImage(String),
    /// `restart`: all pods created before this moment are to be replaced.
    Restart,
    /// The controller is replaced by one whose libraries print the same template in other bytes.
    Upgrade,
    /// Pods of an image stop being ready, and come back after a while or never.
    BreakPods {
        /// Whose pods.
        image: String,
        /// At most so many of each ReplicaSet.
        count: usize,
        /// After how long they are ready again.
        back: Option<SignedDuration>,
    },
    /// Pods of an image are gone at once, as with the loss of a node.
    LosePods {
        /// Whose pods.
        image: String,
        /// At most so many of each ReplicaSet.
        count: usize,
    },
}

impl Action {
    /// Whether a user of the Rollout does it, not the world.
    pub fn is_by_user(&self) -> bool {
        match self {
            Action::BreakPods { .. } | Action::LosePods { .. } | Action::Upgrade => false,
            Action::Promote
            | Action::PromoteFull
            | Action::SkipStep
            | Action::SkipAllSteps
            | Action::Abort
            | Action::Retry
            | Action::Pause
            | Action::Unpause
            | Action::Resume
            | Action::SetImage(_)
            | Action::Undo
            | Action::Scale(_)
            | Action::SetSteps(_)
            | Action::SetWorkloadImage(_)
            | Action::Restart
            | Action::SetField(..) => true,
        }
    }
}

impl Cluster {
    /// Does it, now.
    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Promote => self.promote(),
            Action::PromoteFull => {
                self.patch_status(|_, status| {
                    if status.current_pod_hash != status.stable_rs {
                        status.promote_full = Some(true);
                    }
                });
                self.unpause();
            }
            Action::SkipStep => self.patch_status(move_cursor),
            Action::SkipAllSteps => self.patch_status(|steps, status| {
                if steps > 0 {
                    status.current_step_index = Some(steps);
                }
            }),
            Action::Abort => self.patch_status(|_, status| status.abort = Some(true)),
            Action::Retry => self.patch_status(|_, status| status.abort = Some(false)),
            Action::Resume => self.patch_status(|_, status| status.pause_conditions.clear()),
            Action::Pause => self.set("/paused", json!(true)),
            Action::Unpause => self.unpause(),
            Action::SetImage(image) => self.set("/template/spec/containers/0/image", json!(image)),
            Action::Undo => self.undo(),
            Action::Scale(replicas) => self.set("/replicas", json!(replicas)),
            Action::SetSteps(steps) => self.set("/strategy/canary/steps", steps.clone()),
            Action::SetField(pointer, value) => self.set(pointer, value.clone()),
            Action::SetWorkloadImage(image) => self.set_workload_image(image),
            Action::Restart => self.set("/restartAt", json!(self.second().0.to_string())),
            Action::Upgrade => self.library = if self.library.is_empty() { "u" } else { "" },
            Action::BreakPods { image, count, back } => self.break_pods(image, *count, *back),
            Action::LosePods { image, count } => self.lose_pods(image, *count),
        }
    }

    fn promote(&mut self) {
        self.patch_status(|steps, status| {
            let paused = !status.pause_conditions.is_empty();
            if paused && status.controller_pause == Some(true) && is_inconclusive(status) {
                status.pause_conditions.clear();
                status.controller_pause = Some(false);
                move_cursor(steps, status);
            } else if paused {
                status.pause_conditions.clear();
            } else {
                move_cursor(steps, status);
            }
        });
        self.unpause();
    }

    fn unpause(&mut self) {
        if self.rollout().spec.paused == Some(true) {
            self.set("/paused", json!(false));
        }
    }

    /// A merge patch of the status; one that changes nothing is no write.
    fn patch_status(&mut self, change: impl FnOnce(i32, &mut RolloutStatus)) {
        let steps = step_count(self.rollout());
        let before = self.status();
        let mut after = before.clone();
        change(steps, &mut after);
        if after != before {
            self.write_rollout(|rollout| rollout.status = Some(after));
        }
    }

    /// Sets a field of the spec, with the objects on the way to it; one that changes nothing is no write.
    fn set(&mut self, pointer: &str, value: Value) {
        if self.spec.pointer(pointer).unwrap_or(&Value::Null) == &value {
            return;
        }
        self.write_spec(|spec| {
            let mut at = spec;
            for key in pointer.split('/').skip(1) {
                at = match key.parse::<usize>() {
                    Ok(index) => &mut at[index],
                    Err(_) => &mut at[key],
                };
            }
            *at = value;
        });
    }

    fn undo(&mut self) {
        let mut revisions: Vec<(i64, Value)> = self
            .replica_sets
            .all()
            .map(|(_, rs)| (observed::revision(&rs.metadata), rs.spec.template.read().0))
            .collect();
        revisions.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
        let Some((_, mut template)) = revisions.into_iter().nth(1) else {
            return;
        };
        if let Some(all) = template
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut)
        {
            all.remove(labels::POD_TEMPLATE_HASH);
        }
        self.set("/template", template);
    }
}

fn is_inconclusive(status: &RolloutStatus) -> bool {
    status
        .pause_conditions
        .iter()
        .any(|p| p.reason == PauseReason::InconclusiveAnalysisRun.as_str())
        && status
            .canary
            .as_ref()
            .and_then(|c| c.current_step_analysis_run_status.as_ref())
            .is_some_and(|run| run.status == "Inconclusive")
}

fn step_count(rollout: &Rollout) -> i32 {
    let canary = rollout.spec.strategy.as_ref().and_then(|s| s.canary.as_ref());
    canary.map_or(0, |canary| i32::try_from(canary.steps.len()).unwrap_or(i32::MAX))
}

fn move_cursor(steps: i32, status: &mut RolloutStatus) {
    if let Some(index) = status.current_step_index
        && index < steps
    {
        status.current_step_index = Some(index + 1);
    }
}
