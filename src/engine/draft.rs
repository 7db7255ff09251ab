//! A plan in the making.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{Intent, Notice, Plan};
use super::{duration, timing};
use crate::api::names::{CompletionStatus, PauseReason, conditions, reasons};
use crate::api::rollout::{PauseCondition, RolloutCondition, RolloutStatus};

/// A plan in the making: it starts as the committed status and gathers what this pass decides.
pub(crate) struct Draft {
    /// The status to commit.
    pub status: RolloutStatus,
    /// What to do.
    pub intents: Vec<Intent>,
    /// What to say once the status is committed.
    pub notices: Vec<Notice>,
    /// When to look again.
    pub wake: Option<Timestamp>,
    /// The moment of this pass.
    pub now: Timestamp,
}

impl Draft {
    /// Nothing decided yet.
    pub fn new(status: RolloutStatus, now: Timestamp) -> Self {
        Draft {
            status,
            intents: Vec::new(),
            notices: Vec::new(),
            wake: None,
            now,
        }
    }

    /// Asks to look again at `at`, unless something earlier was asked for.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// The finished plan.
    pub fn finish(self) -> Plan {
        Plan {
            intents: self.intents,
            status: self.status,
            notices: self.notices,
            wake: self.wake,
        }
    }

    /// This moment with the precision of the wire: whole seconds.
    pub fn time(&self) -> Time {
        whole_second(self.now)
    }

    /// Notes that the cursor stands on another step since this moment.
    pub fn enter_step(&mut self) {
        let at = self.time();
        let index = self.status.current_step_index;
        let canary = self.status.canary.get_or_insert_default();
        canary.step_started_at = index.map(|_| at);
        canary.step_started_index = index;
    }

    /// The same, with another visit of the step whose run of this creation was answered. Times are whole seconds: a run that
    /// was made in this very one would else be taken for one of the new visit. Worked: made at 12:00:00 and asked anew at
    /// 12:00:00, the visit begins at 12:00:01.
    pub fn enter_step_after(&mut self, made: Option<&Time>) {
        self.enter_step();
        let at = self
            .status
            .canary
            .as_mut()
            .and_then(|c| c.step_started_at.as_mut());
        if let (Some(at), Some(made)) = (at, made)
            && made.0 >= at.0
        {
            at.0 = duration::later(made.0, SignedDuration::from_secs(1));
        }
    }

    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&RolloutCondition> {
        find_condition(&self.status, type_)
    }

    /// Sets a condition; it is replaced only where status, reason or message changed, and keeps the time of its last
    /// transition while its status is the same (wire contract 2.5).
    pub fn set_condition(&mut self, type_: &str, status: &str, reason: &str, message: impl Into<String>) {
        let message = message.into();
        let unchanged = self
            .condition(type_)
            .is_some_and(|c| c.status == status && c.reason == reason && c.message == message);
        if !unchanged {
            self.rewrite_condition(type_, status, reason, message);
        }
    }

    /// As [`Self::set_condition`], but `lastUpdateTime` moves even where nothing else changes: the deadline of
    /// progress counts from it.
    pub fn rewrite_condition(&mut self, type_: &str, status: &str, reason: &str, message: impl Into<String>) {
        let now = self.time();
        let since = self
            .condition(type_)
            .filter(|c| c.status == status)
            .map(|c| c.last_transition_time.clone());
        let condition = RolloutCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            last_update_time: now.clone(),
            last_transition_time: since.unwrap_or(now),
        };
        match self.status.conditions.iter_mut().find(|c| c.type_ == type_) {
            Some(slot) => *slot = condition,
            None => self.status.conditions.push(condition),
        }
    }

    /// Removes a condition.
    pub fn drop_condition(&mut self, type_: &str) {
        self.status.conditions.retain(|c| c.type_ != type_);
    }

    /// Pauses for this reason, from now on.
    pub fn pause(&mut self, reason: PauseReason) {
        let start_time = self.time();
        self.status.pause_conditions.push(PauseCondition {
            reason: reason.as_str().to_owned(),
            start_time,
        });
        self.status.controller_pause = Some(true);
    }

    /// Ends the pause for this reason. `controllerPause` stands only while some pause is left.
    pub fn unpause(&mut self, reason: PauseReason) {
        self.status
            .pause_conditions
            .retain(|p| p.reason != reason.as_str());
        if self.status.pause_conditions.is_empty() {
            self.status.controller_pause = None;
        }
    }

    /// Starts the pause for this reason, or says that it is over: its time has come, or a user took the condition away
    /// while `controllerPause` still stands (wire contract 2.4). Without a length it lasts until then.
    ///
    /// Worked: a pause of 60 s that began at 10:00:00 is over from 10:01:00 on.
    pub fn is_pause_over(&mut self, reason: PauseReason, length: Option<SignedDuration>) -> bool {
        let paused = &self.status.pause_conditions;
        let since = paused
            .iter()
            .find(|p| p.reason == reason.as_str())
            .map(|p| p.start_time.0);
        if since.is_none() {
            if self.status.controller_pause == Some(true) {
                return true;
            }
            self.pause(reason);
        }
        let end = length.and_then(|length| since.unwrap_or(self.now).checked_add(length).ok());
        match end {
            Some(end) if since.is_some() && self.now >= end => true,
            Some(end) => {
                self.wake_at(end);
                false
            }
            None => false,
        }
    }

    /// No pause is left, whoever asked for it.
    pub fn clear_pauses(&mut self) {
        self.status.pause_conditions.clear();
        self.status.controller_pause = None;
    }

    /// Nothing of an abort is left.
    pub fn clear_abort(&mut self) {
        self.status.abort = None;
        self.status.aborted_at = None;
    }

    /// Aborts the update. `cause` is kept in the Progressing condition, which is where a person looks.
    pub fn abort(&mut self, revision: i64, cause: Option<&str>) {
        let at = self.time();
        let status = &mut self.status;
        let (index, begins) = (status.current_step_index, status.aborted_at.is_none());
        status.abort = Some(true);
        status.aborted_at.get_or_insert(at);
        // The two contradict each other: what is kept of the promotion would take the abort back with the next pass.
        status.promote_full = None;
        if status.current_step_index.is_some() {
            status.current_step_index = Some(0);
        }
        // What was done before the switch is to be done again by a retry.
        if let Some(blue_green) = &mut status.blue_green {
            blue_green.scale_up_preview_check_point = None;
        }
        let moved = status.current_step_index != index;
        self.clear_pauses();
        let known = find_condition(&self.status, conditions::PROGRESSING)
            .is_some_and(|c| c.reason == reasons::ROLLOUT_ABORTED && c.status == "False");
        // Every pass of an aborted rollout comes here: a time that moved with each would be a write without end.
        if begins || moved {
            self.enter_step();
        }
        timing::end(CompletionStatus::Aborted, self);
        if known && cause.is_none() {
            return;
        }
        let mut message = format!("Rollout aborted update to revision {revision}");
        if let Some(cause) = cause {
            message.push_str(": ");
            message.push_str(cause);
        }
        self.set_condition(
            conditions::PROGRESSING,
            "False",
            reasons::ROLLOUT_ABORTED,
            message.clone(),
        );
        if !known {
            self.notices
                .push(Notice::warning(reasons::ROLLOUT_ABORTED, message));
        }
    }
}

/// The condition of this type in a status.
pub(crate) fn find_condition<'a>(status: &'a RolloutStatus, type_: &str) -> Option<&'a RolloutCondition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

/// A moment with the precision of the wire.
pub(crate) fn whole_second(at: Timestamp) -> Time {
    Time(duration::whole_second(at))
}
