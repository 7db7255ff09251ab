//! The news between two moments, one line each, for the terminal and for a log. Pure.

use crate::record::percent;
use crate::world::{Run, World};

pub(crate) fn news(before: &World, after: &World) -> Vec<String> {
    let mut lines = Vec::new();
    let (old, new) = (&before.rollout, &after.rollout);
    for (name, set) in &after.sets {
        if !before.sets.contains_key(name) {
            lines.push(format!(
                "{}: ReplicaSet {name}, revision {}",
                set.version, set.revision
            ));
        }
    }
    if new.aborted && !old.aborted {
        lines.push(format!(
            "{} is aborted: back to the stable version",
            current(after)
        ));
    }
    if (old.step, &old.current) != (new.step, &new.current)
        && !new.aborted
        && new.stable != new.current
        && let Some(words) = new.step.and_then(|step| new.steps.get(step))
    {
        let step = new.step.unwrap_or_default() + 1;
        lines.push(format!(
            "{}: step {step} of {}: {words}",
            current(after),
            new.steps.len()
        ));
    }
    if (&old.phase, &old.stable) != (&new.phase, &new.stable) {
        let message = if new.message.is_empty() {
            String::new()
        } else {
            format!(": {}", new.message)
        };
        lines.push(format!("Rollout is {}{message}", new.phase));
    }
    for (name, run) in &after.runs {
        let earlier = before.runs.get(name).map_or("", |run| run.phase.as_str());
        if run.phase != earlier && !run.phase.is_empty() {
            lines.push(run_line(after, name, run));
        }
    }
    if after.load_ended.is_some() && before.load_ended.is_none() {
        lines.push(format!(
            "client ended: {}",
            after.load_ended.as_deref().unwrap_or_default()
        ));
    }
    lines
}

fn current(world: &World) -> &str {
    world.version_of(&world.rollout.current).unwrap_or("new version")
}

fn run_line(world: &World, name: &str, run: &Run) -> String {
    let version = world.version_of(&run.hash).unwrap_or("?");
    let values: Vec<_> = run.values.iter().map(|value| percent(value)).collect();
    let values = if values.is_empty() {
        String::new()
    } else {
        format!(", success rate {}", values.join(", "))
    };
    let message = if run.message.is_empty() {
        String::new()
    } else {
        format!(": {}", run.message)
    };
    format!("{version}: AnalysisRun {name} is {}{values}{message}", run.phase)
}

/// Pods per version and the client's counts in one line, for output that is no terminal.
pub(crate) fn state_line(world: &World) -> String {
    let pods: Vec<_> = world
        .sets
        .values()
        .filter(|set| set.desired > 0 || set.replicas > 0)
        .map(|set| format!("{} {}/{}", set.version, set.available, set.desired))
        .collect();
    let client: Vec<_> = world
        .load
        .versions
        .iter()
        .map(|(version, answers)| format!("{version} {} ({} errors)", answers.requests, answers.errors))
        .collect();
    let client = match client.as_slice() {
        [] => String::new(),
        counts => format!("  client {}, unanswered {}", counts.join(", "), world.load.lost()),
    };
    format!(
        "weight {:>3}  pods ready {}{client}",
        world.rollout.weight,
        pods.join(", ")
    )
}
