//! Bounds of a rolling update, and updates that make no progress.

use serde_json::json;

use crate::support::bounds::Bounds;
use crate::support::world::{REPLICA_SET, ROLLOUT, is_degraded, say, text};
use crate::support::{canary, rollout, scenario};

#[test]
fn a_rolling_update_keeps_within_its_bounds_at_every_instant() {
    scenario("bounds", |world| async move {
        world
            .deployed(rollout("app", 10, json!({"maxSurge": 2, "maxUnavailable": 1})))
            .await;
        let record = world.record(REPLICA_SET).await;
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;
        world.until_scales("app", &[0, 10]).await;
        let Bounds { least, most, asked } = Bounds::of(&record);
        say(&format!(
            "ring 3: rolling update of 10 (surge 2, unavailable 1): available >= {least}, total <= {most}"
        ));
        assert!(least >= 9, "available went down to {least}");
        assert!(most <= 12, "total went up to {most}");
        assert!(asked <= 12, "{asked} were asked for");
        assert_eq!(most, 12, "the surge is made use of");
    });
}

#[test]
fn pods_that_never_become_ready_exceed_the_deadline_and_a_fixed_template_recovers() {
    scenario("deadline", |world| async move {
        for (name, abort) in [("waits", false), ("aborts", true)] {
            let mut object = rollout(name, 2, canary(&json!([{"setWeight": 50}, {"setWeight": 100}])));
            object["spec"]["progressDeadlineSeconds"] = json!(4);
            object["spec"]["progressDeadlineAbort"] = json!(abort);
            world.create(object).await;
        }
        for name in ["waits", "aborts"] {
            world.healthy(name).await;
            world.set_image(name, "broken:v2").await;
        }
        let rollout = world
            .until_rollout("waits", "overdue", |r| is_degraded(r, "ProgressDeadlineExceeded"))
            .await;
        assert_ne!(rollout["status"]["abort"], true);
        let name = format!("waits-{}", text(&rollout, "/status/currentPodHash"));
        let want = format!("ProgressDeadlineExceeded: ReplicaSet \"{name}\" has timed out progressing.");
        assert_eq!(text(&rollout, "/status/message"), want);
        // No pod of the first revision may go before one of the second is available.
        world.until_scales("waits", &[2, 1]).await;
        let rollout = world
            .until_rollout("aborts", "aborted", |r| {
                is_degraded(r, "has timed out progressing")
            })
            .await;
        assert!(
            text(&rollout, "/status/message").starts_with("RolloutAborted: "),
            "{}",
            rollout["status"]
        );
        assert_eq!(rollout["status"]["abort"], true);
        world.until_scales("aborts", &[2, 0]).await;
        for name in ["waits", "aborts"] {
            // With time enough, however slow the machine is.
            world
                .edit(
                    ROLLOUT,
                    name,
                    json!([
                        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:v3"},
                        {"op": "replace", "path": "/spec/progressDeadlineSeconds", "value": 600},
                    ]),
                )
                .await;
        }
        for name in ["waits", "aborts"] {
            world.healthy(name).await;
            world.until_scales(name, &[0, 0, 2]).await;
        }
    });
}

#[test]
fn a_first_revision_that_never_becomes_ready_is_replaced_by_a_fixed_one() {
    scenario("first", |world| async move {
        let mut object = rollout("app", 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("broken:v1");
        object["spec"]["progressDeadlineSeconds"] = json!(3);
        world.create(object).await;
        world
            .until_rollout("app", "overdue", |r| is_degraded(r, "ProgressDeadlineExceeded"))
            .await;
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;
        world.until_scales("app", &[0, 2]).await;
    });
}
