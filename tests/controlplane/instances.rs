//! Several controllers in one cluster, each with the Rollouts of its own instance id.

use serde_json::json;

use crate::support::audit::Audit;
use crate::support::world::{SERVICE, text};
use crate::support::{Controller, Run, rollout, scenario};

const HASH: &str = "/spec/selector/rollouts-pod-template-hash";

#[test]
fn a_controller_leaves_the_services_of_another_one_alone() {
    scenario("instances", |world| async move {
        world.create_service("app", &json!({"app": "app"}), 80).await;
        let mut object = rollout("app", 1, json!({}));
        object["spec"]["strategy"] = json!({"blueGreen": {"activeService": "app"}});
        world.deployed(object).await;
        world
            .until("a Service that selects by the hash", async || {
                (!text(&world.get(SERVICE, "app").await, HASH).is_empty()).then_some(())
            })
            .await;
        let record = world.record(SERVICE).await;
        let run = Run {
            user: format!("serin-{}", world.namespace),
            instance: "another".to_owned(),
            ..Run::default()
        };
        let audit = Audit::of(world.cluster, &run.user);
        let controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        // It has looked when it has asked whose the Service is.
        world
            .until("a look at the Service", async || {
                (!audit.counts(&world.namespace).is_empty()).then_some(())
            })
            .await;
        assert_eq!(
            audit.counts(&world.namespace),
            [("get rollouts".to_owned(), 1)].into()
        );
        for service in record.applied() {
            assert!(!text(&service, HASH).is_empty(), "{service:#}");
        }
    });
}
