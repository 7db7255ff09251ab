//! What one update costs the API server. By its name it comes last, when the machine has little else to do: mere counters
//! that change slowly are written more often.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use crate::cost::until_quiet;
use crate::support::audit::Audit;
use crate::support::controller::SHARED_USER;
use crate::support::world::say;
use crate::support::{canary, rollout, scenario};

/// Calls of one canary, other than events.
const MOST: usize = 22;
#[test]
fn a_canary_of_five_takes_few_calls() {
    scenario("calls", |world| async move {
        let steps = json!([
            {"setWeight": 20}, {"pause": {"duration": "2s"}}, {"setWeight": 60}, {"pause": {"duration": "2s"}},
        ]);
        let before = Audit::of(world.cluster, SHARED_USER);
        world.deployed(rollout("app", 5, canary(&steps))).await;
        until_quiet(|| before.counts(&world.namespace).values().sum()).await;
        let audit = Audit::of(world.cluster, SHARED_USER);
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;
        until_quiet(|| audit.counts(&world.namespace).values().sum()).await;
        let counts = audit.counts(&world.namespace);
        let (events, others): (BTreeMap<_, _>, BTreeMap<_, _>) = counts
            .into_iter()
            .partition(|(call, _)| call.ends_with(" events"));
        let total: usize = others.values().sum();
        let mut table = format!("ring 3: calls of a canary of 5 (20 %, 60 %, two pauses): {total}\n");
        for (call, count) in others.iter().chain(&events) {
            let _ = writeln!(table, "  {count:>4}  {call}");
        }
        say(table.trim_end());
        assert!(total <= MOST, "{table}");
    });
}
