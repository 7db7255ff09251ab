//! The events of a Rollout, in the order in which they were published.

use std::time::{Duration, Instant};

use crate::support::World;
use crate::support::record::Record;
use crate::support::world::{PATIENCE, text};

/// Phases through which a run may pass between two looks of the Rollout: told only where they were seen.
const PASSING: [&str; 2] = ["AnalysisRunPending", "AnalysisRunRunning"];

/// The reasons of the Rollout's events so far; one that happens again counts again.
pub fn reasons(events: &Record) -> Vec<String> {
    reasons_where(events, |_| true)
}

/// Those of the Rollout of this name, where there are several.
pub fn reasons_of(events: &Record, name: &str) -> Vec<String> {
    reasons_where(events, |about| about == name)
}

fn reasons_where(events: &Record, is: impl Fn(&str) -> bool) -> Vec<String> {
    let all = events.applied();
    all.iter()
        .filter(|e| text(e, "/involvedObject/kind") == "Rollout" && is(text(e, "/involvedObject/name")))
        .map(|e| text(e, "/reason").to_owned())
        .filter(|reason| !PASSING.contains(&reason.as_str()))
        .collect()
}

/// The reasons of the events of a run and its metrics so far, in their order.
pub fn of_run(events: &Record, run: &str) -> Vec<String> {
    let all = events.applied();
    all.iter()
        .filter(|e| {
            text(e, "/involvedObject/kind") == "AnalysisRun" && text(e, "/involvedObject/name") == run
        })
        .map(|e| text(e, "/reason").to_owned())
        .collect()
}

/// Waits until these events were published, in this order and no others.
pub async fn until_events(world: &World, events: &Record, want: &[&str]) {
    let began = Instant::now();
    loop {
        let got = reasons(events);
        if got == want {
            return;
        }
        let (late, wrong) = (
            began.elapsed() > PATIENCE,
            !want.starts_with(&got.iter().map(String::as_str).collect::<Vec<_>>()),
        );
        assert!(
            !late && !wrong,
            "events of {}:\n  {got:?}, wanted\n  {want:?}",
            world.namespace
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
