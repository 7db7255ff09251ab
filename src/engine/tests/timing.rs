//! How long updates take and how they end: `status.duration` (wire contract 1.3).

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::support::{World, rollout, set_version, touch};
use crate::api::names::CompletionStatus;
use crate::api::rollout::RolloutDuration;
use crate::engine::timing::{Ended, ended};

fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}])
}

/// The first version is out.
fn released(steps: &Value) -> World {
    let mut world = World::new(rollout("1", steps));
    world.settle();
    world
}

/// The second version waits in its pause.
fn paused() -> World {
    let mut world = released(&steps());
    set_version(&mut world.rollout, "2");
    world.settle();
    assert_eq!(world.status("/phase"), "Paused");
    world
}

fn record(world: &World) -> Option<RolloutDuration> {
    serde_json::from_value(world.status("/duration")).unwrap()
}

/// How the update ended; `None` while it is under way.
fn how(world: &World) -> Option<String> {
    let record = record(world).unwrap();
    assert_eq!(record.finished_at.is_some(), record.completion_status.is_some());
    assert!(record.finished_at.is_none() || record.manual_pause_started_at.is_none());
    record.completion_status
}

/// Does it, and gives the update that ended by it.
fn end_of(world: &mut World, act: impl FnOnce(&mut World)) -> Option<Ended> {
    act(world);
    let mut found = None;
    for _ in 0..60 {
        let before = record(world);
        let changed = world.step();
        if let Some(ended) = ended(before.as_ref(), record(world).as_ref()) {
            assert_eq!(found.replace(ended), None, "told twice");
        }
        if !changed {
            return found;
        }
        world.now += SignedDuration::from_secs(1);
    }
    panic!("no rest");
}

fn outcome(ended: Option<Ended>) -> Option<CompletionStatus> {
    ended.map(|ended| ended.how)
}

#[test]
fn every_way_to_end_an_update_has_its_word() {
    use CompletionStatus::{Aborted, FastPromoted, FastRolledBack, Promoted, RolledBack, Superseded};
    let mut world = World::new(rollout("1", &steps()));
    assert_eq!(outcome(end_of(&mut world, |_| {})), Some(Promoted), "the first");
    let promote = |world: &mut World| world.patch_status(&json!({"pauseConditions": null}));
    let full = |world: &mut World| world.patch_status(&json!({"promoteFull": true}));

    let mut world = paused();
    assert_eq!(how(&world), None);
    assert_eq!(outcome(end_of(&mut world, promote)), Some(Promoted));
    assert_eq!(how(&world).as_deref(), Some("Promoted"));
    assert_eq!(outcome(end_of(&mut paused(), full)), Some(FastPromoted));

    let mut world = paused();
    let abort = |world: &mut World| world.patch_status(&json!({"abort": true}));
    assert_eq!(outcome(end_of(&mut world, abort)), Some(Aborted));
    // A retry is another try, with a record of its own; so is a full promotion after an abort.
    let retry = |world: &mut World| world.patch_status(&json!({"abort": false}));
    assert_eq!(outcome(end_of(&mut world, retry)), None);
    assert_eq!(how(&world), None);
    assert_eq!(outcome(end_of(&mut world, abort)), Some(Aborted));
    assert_eq!(outcome(end_of(&mut world, full)), Some(FastPromoted));

    let version = |version: &'static str| move |world: &mut World| set_version(&mut world.rollout, version);
    let mut world = paused();
    assert_eq!(outcome(end_of(&mut world, version("3"))), Some(Superseded));
    assert_eq!(how(&world), None, "that of the third begins");
    assert_eq!(outcome(end_of(&mut world, version("1"))), Some(FastRolledBack));
    assert_eq!(how(&world).as_deref(), Some("FastRolledBack"));

    // Back by the steps, skipping them, and by the window.
    for (window, act, want) in [
        (0, promote as fn(&mut World), RolledBack),
        (0, full, FastRolledBack),
    ] {
        let mut world = paused();
        world.rollout["spec"]["rollbackWindow"] = json!({"revisions": window});
        end_of(&mut world, promote);
        assert_eq!(outcome(end_of(&mut world, version("1"))), None);
        assert_eq!(outcome(end_of(&mut world, act)), Some(want));
    }
    let mut world = paused();
    world.rollout["spec"]["rollbackWindow"] = json!({"revisions": 1});
    end_of(&mut world, promote);
    assert_eq!(outcome(end_of(&mut world, version("1"))), Some(FastRolledBack));
}

#[test]
fn only_pauses_that_wait_for_somebody_count() {
    // 300 s in the pause of the step, then 90 s in one of the user, in the middle of the last scaling.
    let mut world = paused();
    let since = world.status("/duration/manualPauseStartedAt");
    assert_eq!(since, world.status("/pauseConditions/0/startTime"));
    let began: jiff::Timestamp = since.as_str().unwrap().parse().unwrap();
    world.now = began + SignedDuration::from_secs(300);
    world.broken = vec!["app:2".to_owned()];
    world.patch_status(&json!({"pauseConditions": null}));
    world.step();
    assert_eq!(world.status("/duration/manualPauseStartedAt"), Value::Null);
    assert_eq!(world.status("/duration/totalManualPauseDurationSeconds"), 300);
    world.settle();
    for paused in [true, false] {
        world.rollout["spec"]["paused"] = json!(paused);
        touch(&mut world.rollout);
        world.step();
        assert_eq!(world.status("/duration/manualPauseStartedAt").is_null(), !paused);
        world.wait(90);
    }
    assert_eq!(world.status("/duration/totalManualPauseDurationSeconds"), 390);
    world.broken.clear();
    let end = end_of(&mut world, |_| {}).unwrap();
    assert_eq!((end.how, end.waited), (CompletionStatus::Promoted, 390));
    let record = record(&world).unwrap();
    let took = record
        .finished_at
        .unwrap()
        .0
        .duration_since(record.rollout_started_at.unwrap().0);
    assert_eq!(end.took, took.as_secs());
    assert!(end.took > 390, "{end:?}");

    // One that ends by itself waits for nobody.
    let mut world = released(&json!([{"setWeight": 20}, {"pause": {"duration": "1h"}}]));
    set_version(&mut world.rollout, "2");
    world.settle();
    assert_eq!(world.status("/phase"), "Paused");
    assert_eq!(world.status("/duration/manualPauseStartedAt"), Value::Null);
    // At rest nothing is under way.
    let mut world = released(&steps());
    let before = world.status("/duration");
    world.rollout["spec"]["paused"] = json!(true);
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(
        (world.status("/phase"), world.status("/duration")),
        (json!("Paused"), before)
    );
}

#[test]
fn other_steps_alone_are_the_same_update() {
    let more = |world: &mut World| {
        world.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 40}, {"pause": {}}]);
        touch(&mut world.rollout);
    };
    let mut world = paused();
    let began = world.status("/duration/rolloutStartedAt");
    assert_eq!(end_of(&mut world, more), None);
    assert_eq!(
        (world.status("/duration/rolloutStartedAt"), how(&world)),
        (began, None)
    );
    // At rest they change nothing, and after an abort they begin a new try.
    let mut rest = released(&steps());
    let before = rest.status("/duration");
    assert_eq!(end_of(&mut rest, more), None);
    assert_eq!(rest.status("/duration"), before);
    let mut aborted = paused();
    end_of(&mut aborted, |world| world.patch_status(&json!({"abort": true})));
    assert_eq!(end_of(&mut aborted, more), None);
    assert_eq!((aborted.status("/phase"), how(&aborted)), (json!("Paused"), None));
}

#[test]
fn going_back_after_an_abort_leaves_it_an_abort() {
    let mut world = paused();
    end_of(&mut world, |world| world.patch_status(&json!({"abort": true})));
    assert_eq!(
        end_of(&mut world, |world| set_version(&mut world.rollout, "1")),
        None
    );
    assert_eq!(
        (world.status("/phase"), how(&world).as_deref()),
        (json!("Healthy"), Some("Aborted"))
    );
}

/// A Rollout that another controller left in the middle has no record, and gets none before its next update.
#[test]
fn an_update_that_has_no_record_gets_none() {
    let mut world = paused();
    world.patch_status(&json!({"duration": null}));
    assert!(!world.step(), "no write for its sake");
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!((world.status("/phase"), record(&world)), (json!("Healthy"), None));
    set_version(&mut world.rollout, "3");
    world.settle();
    assert_eq!(how(&world), None);
}
