use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::engine::testing::{add_pod, at, noon, plan_at, replica_set, rollout, waiting, world};
use crate::engine::{Observed, Plan};

fn updating(fail_fast: &Value, status: &Value, pods: &[(&str, Value)]) -> Observed {
    let spec = json!({"strategy": {"canary": {"failFast": fail_fast}}});
    let mut world = world(
        rollout(&spec, status),
        vec![replica_set("old", 1, 2, 2), replica_set("new", 2, 2, 0)],
    );
    for (name, status) in pods {
        add_pod(&mut world, "new", name, -10, status);
    }
    world
}

fn since(plan: &Plan) -> Option<String> {
    plan.status
        .canary
        .as_ref()?
        .pods_failing_since
        .as_ref()
        .map(|t| t.0.to_string())
}

fn failing_since(seconds: i64) -> Value {
    json!({"canary": {"podsFailingSince": at(seconds)}})
}

#[test]
fn the_clock_starts_with_the_first_failing_pod_and_ends_in_an_abort_that_says_why() {
    let pods = [
        ("r-new-b", waiting("ImagePullBackOff")),
        ("r-new-a", waiting("ImagePullBackOff")),
    ];
    let plan = plan_at(&updating(&json!({}), &json!({}), &pods), 0);
    assert_eq!((plan.status.abort, since(&plan)), (None, Some(at(0))));
    assert_eq!(plan.wake, Some(noon() + SignedDuration::from_secs(60)));

    let plan = plan_at(&updating(&json!({}), &failing_since(0), &pods), 59);
    assert_eq!((plan.status.abort, since(&plan)), (None, Some(at(0))));

    let plan = plan_at(&updating(&json!({}), &failing_since(0), &pods), 60);
    assert_eq!((plan.status.abort, since(&plan)), (Some(true), None));
    assert_eq!(
        plan.status.message.as_deref(),
        Some(
            "RolloutAborted: Rollout aborted update to revision 2: failFast: 2 of 2 new pods fail for more than 60 s: \
             pod r-new-a: ImagePullBackOff: image a:v2"
        )
    );
    assert!(
        plan.notices
            .iter()
            .any(|n| n.reason == "RolloutAborted" && n.warning)
    );
    assert!(plan.intents.is_empty(), "the abort is committed first");
}

#[test]
fn nothing_is_aborted_without_reason() {
    let crash = waiting("CrashLoopBackOff");
    let starts = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    let one = [("a", crash.clone())];
    let mixed = [("a", crash.clone()), ("b", starts.clone())];
    let two = json!({"failingPods": 2});
    for (why, world) in [
        ("off unless set", updating(&Value::Null, &failing_since(0), &one)),
        ("too few", updating(&two, &failing_since(0), &mixed)),
        (
            "a pod that only starts",
            updating(&json!({}), &failing_since(0), &[("a", starts)]),
        ),
        (
            "no stable to go back to",
            updating(&json!({}), &json!({"stableRS": null}), &one),
        ),
        (
            "promoted",
            updating(&json!({}), &json!({"stableRS": "new"}), &one),
        ),
        (
            "promoted in full",
            updating(&json!({}), &json!({"promoteFull": true}), &one),
        ),
    ] {
        let plan = plan_at(&world, 1000);
        assert_eq!((plan.status.abort, since(&plan)), (None, None), "{why}");
    }
}

#[test]
fn without_grace_the_first_look_aborts() {
    let world = updating(
        &json!({"graceSeconds": 0}),
        &json!({}),
        &[("a", waiting("CreateContainerConfigError"))],
    );
    assert_eq!(plan_at(&world, 0).status.abort, Some(true));
}

/// Between two crashes a pod without a probe is ready for moments: the clock must not start anew each time.
#[test]
fn a_pod_that_is_up_between_two_crashes_still_fails() {
    let mut up = waiting("");
    up["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(40)}]);
    let world = updating(&json!({}), &failing_since(0), &[("a", up)]);
    assert_eq!(since(&plan_at(&world, 50)), Some(at(0)));
    assert_eq!(plan_at(&world, 60).status.abort, Some(true));
    let world = updating(
        &json!({"graceSeconds": 20}),
        &failing_since(50),
        &[("a", {
            let mut up = waiting("");
            up["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(40)}]);
            up
        })],
    );
    assert_eq!(
        since(&plan_at(&world, 61)),
        None,
        "ready for longer than the grace: recovered"
    );
}
