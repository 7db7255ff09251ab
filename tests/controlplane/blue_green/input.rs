//! Mistakes in the Services: one clear sentence each, and nothing moves.

use serde_json::{Value, json};

use super::{HASH, NAME, PREVIEW, of, strategy};
use crate::support::scenario;
use crate::support::world::{SERVICE, is_degraded, is_observed, number, text};

/// A Rollout of this name with these Services.
fn named(name: &str, active: &str, preview: &str) -> Value {
    let mut object = of(strategy(
        json!({"activeService": active, "previewService": preview}),
    ));
    object["metadata"]["name"] = json!(name);
    object
}

#[test]
fn services_that_cannot_be_switched_are_refused_and_nothing_moves() {
    scenario("bg-input", |world| async move {
        for (service, app) in [
            (NAME, NAME),
            (PREVIEW, NAME),
            ("free", NAME),
            ("other", "another"),
        ] {
            world.create_service(service, &json!({"app": app}), 80).await;
        }
        world.deployed(named("good", NAME, PREVIEW)).await;
        let mistakes = [
            (
                "missing",
                "absent",
                "free",
                "activeService: Invalid value: \"absent\": Service \"absent\" was not found",
            ),
            (
                "no-preview",
                "free",
                "gone",
                "previewService: Invalid value: \"gone\": Service \"gone\" was not found",
            ),
            (
                "shared",
                "free",
                NAME,
                "previewService: Invalid value: \"app\": Service \"app\" is managed by another Rollout, \"good\"",
            ),
            (
                "same",
                "free",
                "free",
                "previewService: Invalid value: \"free\": must not be the activeService too",
            ),
            (
                "selector",
                "other",
                "free",
                "activeService: Invalid value: \"other\": Service \"other\" has the selector app=another, which \
                 spec.template.metadata.labels does not match",
            ),
        ];
        for (name, active, preview, _) in &mistakes {
            world.create(named(name, active, preview)).await;
        }
        for (name, _, _, says) in &mistakes {
            let sentence =
                format!("InvalidSpec: The Rollout \"{name}\" is invalid: spec.strategy.blueGreen.{says}");
            let refused = |r: &Value| is_observed(r) && is_degraded(r, "InvalidSpec");
            let rollout = world.until_rollout(name, "refused", refused).await;
            assert_eq!(text(&rollout, "/status/message"), sentence);
        }
        let sets = world.replica_sets(NAME).await;
        assert_eq!(sets.len(), 1, "none but that of the good one: {sets:#?}");
        for service in ["free", "other"] {
            let service = world.get(SERVICE, service).await;
            assert_eq!(service["spec"]["selector"][HASH], Value::Null);
        }
        // A Service that comes heals the Rollout that waits for it, by itself.
        world.create_service("absent", &json!({"app": NAME}), 80).await;
        let healed = |r: &Value| {
            is_observed(r) && r["status"]["phase"] == "Healthy" && number(r, "/status/availableReplicas") == 2
        };
        world.until_rollout("missing", "healed", healed).await;
    });
}
