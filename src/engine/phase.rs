//! The phase and its message: what Argo CD, the dashboard and `kubectl argo rollouts status` show.

use super::context::Context;
use super::draft::Draft;
use super::{blue_green, pauses, pods, waiting};
use crate::api::names::{RolloutPhase, reasons};

/// Sets phase and message by the first rule that matches (wire contract 2.5). The message begins with the contract's
/// words, by which clients know it; where something is waited for, what and how far follows them.
pub(crate) fn set(ctx: &Context, draft: &mut Draft) {
    let (phase, message) = of(ctx, draft);
    draft.status.phase = Some(phase.as_str().to_owned());
    draft.status.message = Some(message).filter(|m| !m.is_empty());
}

fn of(ctx: &Context, draft: &Draft) -> (RolloutPhase, String) {
    let status = &draft.status;
    let bad = [reasons::ROLLOUT_ABORTED, reasons::PROGRESS_DEADLINE_EXCEEDED];
    if let Some(c) = status
        .conditions
        .iter()
        .find(|c| bad.contains(&c.reason.as_str()))
    {
        let mut message = format!("{}: {}", c.reason, c.message);
        if c.reason == reasons::PROGRESS_DEADLINE_EXCEEDED
            && let Some(obstacle) = waiting::obstacle(ctx, draft)
        {
            message = pods::shortened(&format!("{message} It is {obstacle}"), waiting::LONGEST);
        }
        if c.reason == reasons::ROLLOUT_ABORTED
            && let Some(wait) = blue_green::way_back(ctx, draft)
        {
            // The cause may be long; what ends the wait is what whoever reads it needs first.
            let room = waiting::LONGEST.saturating_sub(wait.chars().count() + 2);
            message = format!("{}. {wait}", pods::shortened(&message, room));
        }
        return (RolloutPhase::Degraded, message);
    }
    if let Some(message) = pauses::describe(ctx, draft) {
        return (RolloutPhase::Paused, message);
    }
    match waiting::what(ctx, draft) {
        Some(message) => (RolloutPhase::Progressing, message),
        None => (RolloutPhase::Healthy, String::new()),
    }
}
