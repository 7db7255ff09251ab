//! Several controllers in one cluster, each with the Rollouts of its own instance id.

use serde_json::json;

use crate::support::audit::Audit;
use crate::support::world::{ROLLOUT, SERVICE, text};
use crate::support::{Controller, Run, canary, rollout, scenario};

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

/// As docs/migrate.md has it: tried beside another controller, and then without.
#[test]
fn a_rollout_goes_from_one_instance_to_another_in_the_middle_of_an_update() {
    scenario("instances-move", |world| async move {
        let instance = world.namespace.as_str();
        let run = Run {
            user: format!("serin-{instance}"),
            instance: instance.to_owned(),
            ..Run::default()
        };
        let mut first = Controller::start(world.cluster, &run);
        first.ready().await;
        let mut object = rollout("app", 2, canary(&json!([{"setWeight": 50}, {"pause": {}}])));
        let label = "argo-rollouts.argoproj.io/controller-instance-id";
        object["metadata"]["labels"][label] = json!(instance);
        world.deployed(object).await;
        world.set_image("app", "app:v2").await;
        world.paused_at("app", 1).await;
        let (_, well) = first.stop().await;
        assert!(well);
        let record = world.record(ROLLOUT).await;
        world.cluster.kubectl(&[
            "label",
            "rollouts,analysisruns",
            "-n",
            instance,
            "-l",
            &format!("{label}={instance}"),
            &format!("{label}-"),
        ]);
        world.promote("app").await;
        world.healthy("app").await;
        world.until_scales("app", &[0, 2]).await;
        for state in record.applied() {
            let step = state["status"]["currentStepIndex"].as_i64();
            assert!(step >= Some(1), "it began anew: {}", state["status"]);
        }
    });
}
