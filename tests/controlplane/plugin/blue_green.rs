//! The commands on a blue-green Rollout, and what they show of it.

use serde_json::{Value, json};

use super::{NAME, View};
use crate::support::world::{is_degraded, is_observed, is_paused_by};
use crate::support::{World, rollout, scenario};

/// Two pods behind the Services `app` and `app-preview`; an update waits for a promotion.
async fn deployed(world: &World) {
    for service in [NAME, "app-preview"] {
        world.create_service(service, &json!({"app": NAME}), 80).await;
    }
    let mut object = rollout(NAME, 2, json!({}));
    object["spec"]["strategy"] = json!({"blueGreen": {
        "activeService": NAME, "previewService": "app-preview",
        "autoPromotionEnabled": false, "scaleDownDelaySeconds": 60,
    }});
    world.deployed(object).await;
}

/// What the pause before the switch says.
const PAUSED: &str = "BlueGreenPause: before Service app is switched, until somebody promotes";

async fn previewed(world: &World, image: &str) {
    world.argo(&["set", "image", NAME, &format!("*={image}")]).await;
    let waits = |r: &Value| is_observed(r) && is_paused_by(r, "BlueGreenPause");
    world.until_rollout(NAME, "waiting for a promotion", waits).await;
}

/// The last column, without the seconds that are left of a delay.
fn roles(view: &View) -> Vec<(u32, String)> {
    let role = |info: String| {
        let (role, delay) = info.split_once(",delay:").unwrap_or((&info, ""));
        match (role, info.starts_with("delay:"), delay.is_empty()) {
            (_, true, _) => "delay".to_owned(),
            (role, _, true) => role.to_owned(),
            (role, _, false) => format!("{role},delay"),
        }
    };
    view.sets()
        .into_iter()
        .map(|(revision, _, info)| (revision, role(info)))
        .collect()
}

#[test]
fn the_plugin_takes_a_blue_green_rollout_through_its_life() {
    scenario("plugin-bg", |world| async move {
        deployed(&world).await;
        let view = View::of(&world, NAME).await;
        assert_eq!(view.status(), ("Healthy", ""), "{}", view.0);
        assert_eq!(view.field("Strategy"), "BlueGreen");
        assert_eq!(view.images(), ["app:v1 (stable, active)"]);
        view.assert_sets(&[(1, "Healthy", "stable,active")]);

        previewed(&world, "app:v2").await;
        let view = View::of(&world, NAME).await;
        assert_eq!(view.status(), ("Paused", PAUSED), "{}", view.0);
        assert_eq!(view.images(), ["app:v1 (stable, active)", "app:v2 (preview)"]);
        view.assert_sets(&[(2, "Healthy", "preview"), (1, "Healthy", "stable,active")]);
        let said = world.try_argo(&["status", NAME, "--timeout", "1s"]).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (1, format!("Paused - {PAUSED}\n").as_str()),
            "{said:?}"
        );
        let list = world.argo(&["list", "rollouts"]).await;
        let row: Vec<&str> = list.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(
            row,
            [NAME, "BlueGreen", "Paused", "-", "-", "2/4", "2", "2", "2"],
            "{list}"
        );

        world.argo(&["abort", NAME]).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        let said = world.try_argo(&["status", NAME]).await;
        let why = "The rollout is in a degraded state with message: RolloutAborted: Rollout aborted update to revision 2";
        assert!(said.code == 1 && said.err.contains(why), "{said:?}");
        world.argo(&["retry", "rollout", NAME]).await;
        let waits = |r: &Value| is_paused_by(r, "BlueGreenPause");
        world.until_rollout(NAME, "waiting again", waits).await;

        world.argo(&["promote", NAME]).await;
        let said = world.argo(&["status", NAME, "--timeout", "90s"]).await;
        assert!(said.ends_with("Healthy\n"), "{said}");
        let view = View::of(&world, NAME).await;
        let want = [(2, "stable,active".to_owned()), (1, "delay".to_owned())];
        assert_eq!(roles(&view), want, "{}", view.0);

        // Back inside the delay: at once.
        world.argo(&["undo", NAME]).await;
        let is_back = |r: &Value| is_observed(r) && r["status"]["phase"] == "Healthy";
        world.until_rollout(NAME, "back", is_back).await;
        let view = View::of(&world, NAME).await;
        let want = [(3, "stable,active".to_owned()), (2, "delay".to_owned())];
        assert_eq!(roles(&view), want, "{}", view.0);

        previewed(&world, "app:v3").await;
        world.argo(&["promote", NAME, "--full"]).await;
        world.healthy(NAME).await;
        let view = View::of(&world, NAME).await;
        assert_eq!(roles(&view)[0], (4, "stable,active".to_owned()), "{}", view.0);
    });
}

#[test]
fn a_pause_by_the_plugin_holds_the_switch_until_it_is_promoted() {
    scenario("plugin-bg-pause", |world| async move {
        deployed(&world).await;
        world.argo(&["pause", NAME]).await;
        let is_held = |r: &Value| is_observed(r) && is_paused_by(r, "manually paused");
        world.until_rollout(NAME, "held", is_held).await;
        world.argo(&["set", "image", NAME, "app=app:v2"]).await;
        world.until_scales(NAME, &[2, 2]).await;
        world.until_rollout(NAME, "held still", is_held).await;
        // The pause of the user ends; that of the strategy begins.
        world.argo(&["promote", NAME]).await;
        let waits = |r: &Value| is_paused_by(r, "BlueGreenPause");
        world.until_rollout(NAME, "waiting for a promotion", waits).await;
        world.argo(&["promote", NAME]).await;
        world.healthy(NAME).await;
        let before = world.rollout(NAME).await;
        world.argo(&["restart", NAME]).await;
        let restarted = |r: &Value| {
            !r["status"]["restartedAt"].is_null()
                && r["status"]["restartedAt"] != before["status"]["restartedAt"]
        };
        world.until_rollout(NAME, "restarted", restarted).await;
        world.healthy(NAME).await;
        // Of a canary only.
        let said = world.try_argo(&["promote", NAME, "--skip-current-step"]).await;
        assert_eq!(said.code, 1, "{said:?}");
    });
}
