//! Blue-green under requests: every way forth and back, one after the other, in one life of a Rollout.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::RATE;
use crate::load::Load;
use crate::world::{LONG, World, eventually};

/// How long after a client has seen the new side the old one may still answer it.
const GRACE: SignedDuration = SignedDuration::from_secs(1);

/// One move of production: from when on it may be seen, between which versions, and what moved it.
struct Move {
    after: Timestamp,
    from: &'static str,
    to: &'static str,
    what: &'static str,
}

/// Whether the preview waits for a promotion.
fn is_paused(status: &Value) -> bool {
    let says = status["message"].as_str().unwrap_or_default();
    says.starts_with("BlueGreenPause: ")
}

fn merge(world: &World, sub: &[&str], patch: &Value) {
    let text = patch.to_string();
    let args: Vec<&str> = ["patch", "rollout", "shop", "--type=merge", "-p", &text]
        .into_iter()
        .chain(sub.iter().copied())
        .collect();
    world.kubectl(&args);
}

fn promote(world: &World) {
    world.wait_for("the preview waits", is_paused);
    merge(
        world,
        &["--subresource=status"],
        &json!({"status": {"pauseConditions": null}}),
    );
}

/// Now, by the clock of the node, which is this machine's.
#[expect(
    clippy::disallowed_methods,
    reason = "what clients saw is compared with when the user acted"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Waits until production has this version, and the stable version is that.
fn reach(world: &World, version: &str) {
    eventually(&format!("production goes to {version}"), LONG, || {
        let hash = world.field("service", "shop", "{.spec.selector.rollouts-pod-template-hash}");
        let sets = world.get(&["replicasets", "-l", &format!("rollouts-pod-template-hash={hash}")]);
        let env = "/items/0/spec/template/spec/containers/0/env/0/value";
        (sets.pointer(env).and_then(Value::as_str) == Some(version)).then_some(())
    });
}

/// Waits until these versions, and no others, have pods.
fn settle(world: &World, versions: &[&str]) {
    eventually(&format!("only {versions:?} have pods"), LONG, || {
        let sizes = world.sizes();
        let rest = sizes
            .iter()
            .filter(|(version, _)| !versions.contains(&version.as_str()));
        let up = versions
            .iter()
            .all(|version| sizes.get(*version) == Some(&(4, 4)));
        (up && rest.clone().all(|(_, size)| size.0 == 0)).then_some(())
    });
}

#[test]
fn blue_green_loses_no_request_and_answers_with_one_version() {
    let world = World::enter("blue-green");
    let _controller = world.controller();
    let began = Instant::now();
    world.service("shop-preview");
    world.deploy(|rollout| {
        rollout["spec"]["replicas"] = json!(4);
        rollout["spec"]["strategy"] = json!({"blueGreen": {
            "activeService": "shop", "previewService": "shop-preview", "autoPromotionEnabled": false,
            "scaleDownDelaySeconds": 2, "abortScaleDownDelaySeconds": 1,
        }});
    });
    // What the preview answers is no number: the analysis fails, some moments after the switch.
    let address = world.field("service", "shop-preview", "{.spec.clusterIP}");
    world.apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "never-content"},
        "spec": {"metrics": [{
            "name": "contents", "initialDelay": "2s", "failureCondition": "len(result) > 0",
            "provider": {"web": {"url": format!("http://{address}/")}},
        }]},
    }));
    reach(&world, "v1");
    settle(&world, &["v1"]);
    let load = Load::reporting(&world, "shop", RATE, "50ms");
    let mut moves = Vec::new();

    // An abort before the switch: the client never hears of the second version.
    world.release("v2");
    world.wait_for("the preview waits", is_paused);
    merge(
        &world,
        &["--subresource=status"],
        &json!({"status": {"abort": true}}),
    );
    settle(&world, &["v1"]);

    // A promotion.
    world.release("v3");
    world.wait_for("the preview waits", is_paused);
    moves.push(Move {
        after: now(),
        from: "v1",
        to: "v3",
        what: "promotion",
    });
    promote(&world);
    reach(&world, "v3");
    settle(&world, &["v3"]);

    // An analysis after the switch that fails: it goes back by itself.
    let asked = json!({"postPromotionAnalysis": {"templates": [{"templateName": "never-content"}]}});
    merge(&world, &[], &json!({"spec": {"strategy": {"blueGreen": asked}}}));
    world.release("v4");
    world.wait_for("the preview waits", is_paused);
    moves.push(Move {
        after: now(),
        from: "v3",
        to: "v4",
        what: "promotion that does not last",
    });
    promote(&world);
    let status = world.wait_for("the analysis speaks", |status| status["abort"] == true);
    let at = status["abortedAt"].as_str().unwrap().parse().unwrap();
    moves.push(Move {
        after: at,
        from: "v4",
        to: "v3",
        what: "failed analysis after the switch (whole seconds)",
    });
    reach(&world, "v3");
    settle(&world, &["v3"]);

    // A promotion that is regretted while the old side still stands.
    let calm = json!({"postPromotionAnalysis": null, "scaleDownDelaySeconds": 300});
    merge(&world, &[], &json!({"spec": {"strategy": {"blueGreen": calm}}}));
    world.release("v5");
    world.wait_for("the preview waits", is_paused);
    moves.push(Move {
        after: now(),
        from: "v3",
        to: "v5",
        what: "promotion",
    });
    promote(&world);
    reach(&world, "v5");
    world.wait_for("version 5 is stable", |status| status["phase"] == "Healthy");
    // It is Healthy when the Service selects it, which the client notices some moments later.
    eventually("the client sees version 5", LONG, || {
        let history = load.history();
        history
            .iter()
            .any(|(_, versions)| versions.iter().any(|v| v == "v5"))
            .then_some(())
    });
    moves.push(Move {
        after: now(),
        from: "v5",
        to: "v3",
        what: "undo inside the delay",
    });
    world.release("v3");
    reach(&world, "v3");
    world.wait_for("version 3 is stable", |status| status["phase"] == "Healthy");
    assert_eq!(world.sizes()["v5"].0, 4, "it stands in its delay now");
    merge(
        &world,
        &[],
        &json!({"spec": {"strategy": {"blueGreen": {"scaleDownDelayRevisionLimit": 0}}}}),
    );
    settle(&world, &["v3"]);
    world.wait_quiet();

    let history = load.history();
    let counts = load.finish();
    counts.show(&format!(
        "blue-green, all ways forth and back, in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let ends = moves
        .iter()
        .skip(1)
        .map(|next| next.after)
        .chain([Timestamp::MAX]);
    for (one, until) in moves.iter().zip(ends) {
        judge(one, until, &history);
    }
    assert!(!counts.answered("v2"), "{counts:?}");
    for version in ["v1", "v3", "v4", "v5"] {
        assert!(counts.answered(version), "{version} never answered: {counts:?}");
    }
    counts.assert_none_failed(RATE.into());
    world.leave();
}

/// Looks at one move as the client saw it, until the next: nobody but these two versions answered, and the old one not
/// for long after the new one.
fn judge(one: &Move, until: Timestamp, history: &[(Timestamp, Vec<String>)]) {
    let Move {
        after,
        from,
        to,
        what,
    } = one;
    let seen: Vec<&(Timestamp, Vec<String>)> = history
        .iter()
        .filter(|(at, _)| at >= after && *at < until)
        .collect();
    let of = |version: &str| -> Vec<Timestamp> {
        let all = seen
            .iter()
            .filter(|(_, versions)| versions.iter().any(|v| v == version));
        all.map(|(at, _)| *at).collect()
    };
    let first = *of(to)
        .first()
        .unwrap_or_else(|| panic!("{what}: the client never saw {to}"));
    let last = of(from).last().copied().unwrap_or(first);
    println!(
        "{what}, {from} to {to}: the first request changed sides after {:.2} s, the last after {:.2} s",
        first.duration_since(*after).as_secs_f64(),
        last.max(first).duration_since(*after).as_secs_f64(),
    );
    let late = last.duration_since(first);
    assert!(
        late <= GRACE,
        "{what}: {from} answered {late:?} after {to} was seen"
    );
    let mut others = seen.iter().flat_map(|(_, versions)| versions);
    let others = others.find(|version| version != from && version != to);
    assert_eq!(others, None, "{what}: answered by a version of neither side");
}
