//! Bugs that were fixed, by what was seen.

use serde_json::json;

use super::support::{World, rollout, set_version};

/// A world where version 1 is stable and version 2 is at the first step.
fn updating() -> World {
    let mut world = World::new(rollout("1", &json!([{"setWeight": 20}, {"pause": {}}])));
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    world
}

#[test]
fn an_aborted_rollout_at_rest_writes_nothing() {
    let mut world = updating();
    world.patch_status(&json!({"abort": true}));
    world.settle();
    let before = world.rollout["status"].clone();
    world.wait(3600);
    assert!(!world.step(), "{:#} became {:#}", before, world.rollout["status"]);
}
