//! The limits that a user sets: how far a rollback is fast, how much history is kept, how long progress may take, when a
//! pod counts, when a step counts (wire contract 2.5, 2.7 and 2.10).

use serde_json::{Value, json};

use super::support::{World, rollout, set_version, touch};
use crate::engine::Intent;

fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}])
}

/// Versions 1 to `n`, each fully promoted, the last one stable.
fn released(n: usize, change: impl Fn(&mut Value)) -> World {
    let mut own = rollout("1", &steps());
    change(&mut own["spec"]);
    let mut world = World::new(own);
    world.settle();
    for version in 2..=n {
        set_version(&mut world.rollout, &version.to_string());
        world.settle();
        world.patch_status(&json!({"promoteFull": true}));
        world.settle();
        assert_eq!(world.status("/phase"), "Healthy");
    }
    world.told();
    world
}

#[test]
fn a_rollback_within_the_window_skips_steps() {
    // Five revisions, the fifth is stable. Back to version v, between which and the fifth there are 4 - v others.
    for (window, version, skips) in [
        (None, 4, false),
        (Some(0), 4, false),
        (Some(1), 4, true),
        (Some(1), 3, false),
        (Some(2), 3, true),
        (Some(2), 2, false),
        (Some(4), 1, true),
        (Some(3), 1, false),
    ] {
        let mut world = released(5, |spec| spec["rollbackWindow"] = json!({"revisions": window}));
        set_version(&mut world.rollout, &version.to_string());
        world.settle();
        let what = format!("window {window:?}, back to {version}");
        let (phase, stable) = (
            world.status("/phase"),
            world.status("/stableRS") == world.status("/currentPodHash"),
        );
        assert_eq!((phase == "Healthy", stable), (skips, skips), "{what}: {phase}");
        let told = world.told();
        assert_eq!(
            told.contains(&"RolloutPaused".to_owned()),
            !skips,
            "{what}: {told:?}"
        );
    }
}

#[test]
fn a_rollback_to_a_revision_that_still_runs_says_that_it_skips() {
    let mut world = released(2, |spec| spec["rollbackWindow"] = json!({"revisions": 1}));
    let running = world
        .others
        .iter_mut()
        .find(|o| o["kind"] == "ReplicaSet")
        .unwrap();
    running["spec"]["replicas"] = json!(1);
    running["status"]["replicas"] = json!(1);
    set_version(&mut world.rollout, "1");
    world.step();
    assert_eq!(
        world.status("/currentStepIndex"),
        2,
        "jumps in the pass that notices"
    );
    assert!(world.told().contains(&"SkipSteps".to_owned()));
}

#[test]
fn a_new_revision_is_never_a_rollback() {
    let mut world = released(3, |spec| spec["rollbackWindow"] = json!({"revisions": 5}));
    set_version(&mut world.rollout, "4");
    world.settle();
    assert_eq!(world.status("/phase"), "Paused");
}

#[test]
fn a_fast_rollback_waits_for_all_pods() {
    let mut world = released(2, |spec| spec["rollbackWindow"] = json!({"revisions": 1}));
    world.broken = vec!["app:1".to_owned()];
    let stable = world.status("/stableRS");
    set_version(&mut world.rollout, "1");
    world.settle();
    assert_eq!(world.status("/stableRS"), stable);
    assert_eq!(
        world.sizes(),
        [("app:1".to_owned(), 1), ("app:2".to_owned(), 5)],
        "no more than maxSurge of them"
    );
}

#[test]
fn old_replica_sets_are_kept_as_many_as_asked_for() {
    // Seven revisions: the last is stable, six are old; the oldest go.
    for (limit, kept) in [
        (None, 7),
        (Some(10), 7),
        (Some(6), 7),
        (Some(5), 6),
        (Some(2), 3),
        (Some(0), 1),
    ] {
        let world = released(7, |spec| spec["revisionHistoryLimit"] = json!(limit));
        let sizes = world.sizes();
        assert_eq!(sizes.len(), kept, "{limit:?}");
        assert_eq!(sizes.last(), Some(&("app:7".to_owned(), 5)), "{limit:?}");
        let first = sizes.first().map(|(image, _)| image.clone());
        assert_eq!(
            first,
            Some(format!("app:{}", 8 - kept)),
            "{limit:?}: the newest are kept"
        );
    }
    let world = released(14, |_| {});
    assert_eq!(world.sizes().len(), 11, "ten old ones by default");
}

#[test]
fn among_failed_runs_of_the_same_second_the_last_revision_is_kept() {
    let mut world = released(1, |spec| {
        spec["analysis"] = json!({"unsuccessfulRunHistoryLimit": 1});
    });
    // The names are made of hashes: their order says nothing.
    for (name, revision) in [("app-d-7", "7"), ("app-a-10", "10"), ("app-b-9", "9")] {
        world.others.push(json!({
            "kind": "AnalysisRun",
            "metadata": {"name": name, "namespace": "n", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                         "annotations": {"rollout.argoproj.io/revision": revision}},
            "spec": {"metrics": []},
            "status": {"phase": "Failed"},
        }));
    }
    let mut gone: Vec<String> = world
        .plan()
        .intents
        .iter()
        .filter_map(|intent| match intent {
            Intent::DeleteAnalysisRun { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect();
    gone.sort();
    assert_eq!(gone, ["app-b-9", "app-d-7"]);
}

#[test]
fn no_replica_set_with_pods_is_deleted() {
    let mut world = released(3, |spec| spec["revisionHistoryLimit"] = json!(2));
    world.rollout["spec"]["revisionHistoryLimit"] = json!(0);
    touch(&mut world.rollout);
    for (path, value) in [("/status/replicas", 1), ("/metadata/generation", 9)] {
        let mut busy = world.clone();
        for rs in busy.others.iter_mut().filter(|o| o["spec"]["replicas"] == 0) {
            *rs.pointer_mut(path).unwrap() = json!(value);
        }
        assert!(
            !busy
                .plan()
                .intents
                .iter()
                .any(|i| matches!(i, Intent::DeleteReplicaSet { .. })),
            "{path}"
        );
    }
    let gone = world
        .plan()
        .intents
        .iter()
        .filter(|i| matches!(i, Intent::DeleteReplicaSet { .. }))
        .count();
    assert_eq!(gone, 2);
}

/// An update to a version whose pods never become available, at the moment of its last progress.
fn stuck(change: impl Fn(&mut Value)) -> World {
    let mut world = released(1, |spec| {
        spec["progressDeadlineSeconds"] = json!(60);
        change(spec);
    });
    world.broken = vec!["app:2".to_owned()];
    set_version(&mut world.rollout, "2");
    world.settle();
    world
}

fn last_progress(world: &World) -> jiff::Timestamp {
    let all = world.rollout["status"]["conditions"].as_array().unwrap();
    let progressing = all.iter().find(|c| c["type"] == "Progressing").unwrap();
    progressing["lastUpdateTime"].as_str().unwrap().parse().unwrap()
}

#[test]
fn lack_of_progress_is_told_after_the_deadline_and_not_before() {
    let mut world = stuck(|_| {});
    let since = last_progress(&world);
    let plan = world.plan();
    assert_eq!(
        plan.wake,
        Some(since + jiff::SignedDuration::from_secs(61)),
        "looked at a second after the deadline"
    );
    world.now = since + jiff::SignedDuration::from_secs(60);
    assert!(!world.step());
    world.now = since + jiff::SignedDuration::from_secs(61);
    world.settle();
    let reason = ("False".to_owned(), "ProgressDeadlineExceeded".to_owned());
    assert_eq!(world.condition("Progressing"), Some(reason.clone()));
    assert_eq!(world.status("/phase"), "Degraded");
    let message = world.status("/message");
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("ProgressDeadlineExceeded: ReplicaSet \"app-"),
        "{message}"
    );
    assert!(
        message
            .as_str()
            .unwrap()
            .ends_with("\" has timed out progressing."),
        "{message}"
    );
    assert_eq!(world.status("/abort"), Value::Null, "only told");
    // It stays so until something moves.
    world.wait(3600);
    world.settle();
    assert_eq!(world.condition("Progressing"), Some(reason));
    world.broken.clear();
    world.step();
    world.settle();
    assert_eq!(
        world.status("/phase"),
        "Paused",
        "the pod came up late, and the rollout went on"
    );
}

#[test]
fn lack_of_progress_aborts_where_the_spec_says_so() {
    let mut world = stuck(|spec| spec["progressDeadlineAbort"] = json!(true));
    world.wait(3600);
    world.settle();
    assert_eq!(world.status("/abort"), true);
    assert_eq!(world.sizes(), [("app:1".to_owned(), 5), ("app:2".to_owned(), 0)]);
    let message = world.status("/message");
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("RolloutAborted: Rollout aborted update to revision 2: ReplicaSet")
    );
    assert_eq!(world.told().iter().filter(|r| *r == "RolloutAborted").count(), 1);
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let mut own = rollout("1", &steps());
    own["spec"]["progressDeadlineAbort"] = json!(true);
    let mut world = World::new(own);
    world.broken = vec!["app:1".to_owned()];
    world.settle();
    world.wait(3600);
    world.settle();
    assert_eq!(world.status("/abort"), Value::Null);
    assert_eq!(
        world.condition("Progressing").unwrap().1,
        "ProgressDeadlineExceeded"
    );
}

#[test]
fn waiting_is_no_lack_of_progress() {
    let paused = {
        let mut world = released(1, |spec| spec["progressDeadlineSeconds"] = json!(60));
        set_version(&mut world.rollout, "2");
        world.settle();
        world
    };
    let held = {
        let mut world = stuck(|_| {});
        world.rollout["spec"]["paused"] = json!(true);
        touch(&mut world.rollout);
        world.settle();
        world
    };
    let kept = {
        let mut world = stuck(|_| {});
        world.others[0]["metadata"]["annotations"]["scale-down-deadline"] = json!("2027-01-01T00:00:00Z");
        world
    };
    let rest = released(1, |spec| spec["progressDeadlineSeconds"] = json!(60));
    for (what, mut world) in [
        ("a pause step", paused),
        ("a user's pause", held),
        ("a scale-down delay", kept),
        ("rest", rest),
    ] {
        let before = world.status("/phase");
        world.wait(7200);
        world.settle();
        assert_ne!(
            world.condition("Progressing").unwrap().1,
            "ProgressDeadlineExceeded",
            "{what}"
        );
        assert_eq!(world.status("/phase"), before, "{what}");
    }
}

#[test]
fn a_resumed_rollout_has_all_its_time_again() {
    let mut world = stuck(|_| {});
    world.rollout["spec"]["paused"] = json!(true);
    touch(&mut world.rollout);
    world.settle();
    world.wait(7200);
    world.rollout["spec"]["paused"] = json!(false);
    touch(&mut world.rollout);
    let resumed = world.now;
    world.settle();
    assert_eq!(last_progress(&world), resumed);
    assert_ne!(world.status("/phase"), "Degraded");
    world.wait(62);
    world.settle();
    assert_eq!(world.status("/phase"), "Degraded");
}

#[test]
fn min_ready_seconds_are_those_of_the_pods_and_no_new_revision() {
    let mut world = released(1, |spec| spec["minReadySeconds"] = json!(5));
    assert_eq!(world.others[0]["spec"]["minReadySeconds"], 5);
    set_version(&mut world.rollout, "2");
    world.settle();
    world.rollout["spec"]["minReadySeconds"] = json!(9);
    touch(&mut world.rollout);
    world.settle();
    let all: Vec<&Value> = world
        .others
        .iter()
        .map(|rs| &rs["spec"]["minReadySeconds"])
        .collect();
    assert_eq!(all, [9, 9], "of both arms");
    assert_eq!(world.status("/phase"), "Paused");
}

#[test]
fn a_step_counts_from_the_threshold_on() {
    // setWeight 50 of 10 pods, so many of the 5 available.
    for (kind, value, available, done) in [
        ("", 0, 4, false),
        ("", 0, 5, true),
        ("Percent", 100, 4, false),
        ("Percent", 80, 4, true),
        ("Percent", 81, 4, false),
        ("Percent", 80, 3, false),
        ("Percent", 33, 1, false),
        ("Percent", 33, 2, true),
        ("Pods", 3, 2, false),
        ("Pods", 3, 3, true),
        ("Pods", 9, 4, false),
        ("Pods", 9, 5, true),
    ] {
        let mut own = rollout("1", &json!([{"setWeight": 50}, {"pause": {}}]));
        own["spec"]["replicas"] = json!(10);
        own["spec"]["strategy"]["canary"]["maxSurge"] = json!("100%");
        if !kind.is_empty() {
            own["spec"]["strategy"]["canary"]["replicaProgressThreshold"] =
                json!({"type": kind, "value": value});
        }
        let mut world = World::new(own);
        world.settle();
        world.broken = vec!["app:2".to_owned()];
        set_version(&mut world.rollout, "2");
        world.settle();
        // Scaled, and the stable side made room as far as it may.
        assert_eq!(world.status("/currentStepIndex"), 0);
        for (index, n, up) in [(0, 5, 5), (1, 5, available)] {
            world.others[index]["spec"]["replicas"] = json!(n);
            world.others[index]["status"] =
                json!({"replicas": n, "readyReplicas": up, "availableReplicas": up, "observedGeneration": 1});
        }
        let index = world.plan().status.current_step_index;
        assert_eq!(index, Some(i32::from(done)), "{kind} {value}: {available} of 5");
    }
}

/// A HorizontalPodAutoscaler in the middle of a canary: the ratio follows the number.
#[test]
fn replicas_that_change_in_the_middle_of_a_step_keep_the_ratio() {
    // setWeight 20 with maxSurge 1: 1 of 3 or 1 of 4, whichever is nearer (25 %); 2 of 12 (16.7 %) or 3 of 13 (23.1 %):
    // the latter is nearer by 0.2; 1 of 4 or 1 of 5 (20 %).
    let mut own = rollout("1", &steps());
    own["spec"]["replicas"] = json!(3);
    let mut world = World::new(own);
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    for (replicas, canary, stable) in [
        (3, 1, 3),
        (12, 3, 10),
        (4, 1, 4),
        (0, 0, 0),
        (12, 3, 10),
        (1, 1, 1),
        (5, 1, 4),
    ] {
        world.rollout["spec"]["replicas"] = json!(replicas);
        touch(&mut world.rollout);
        world.settle();
        let want = [("app:1".to_owned(), stable), ("app:2".to_owned(), canary)];
        assert_eq!(world.sizes(), want, "{replicas}");
        assert_eq!(
            world.status("/phase"),
            "Paused",
            "{replicas}: {}",
            world.status("/message")
        );
    }
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
}

/// Promote as `kubectl argo rollouts promote` writes it for an inconclusive analysis: everything at once.
#[test]
fn a_promote_that_moves_the_cursor_too_is_one_step() {
    let mut world = World::new(rollout(
        "1",
        &json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}}]),
    ));
    world.settle();
    set_version(&mut world.rollout, "2");
    world.settle();
    for patch in [
        json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": 2}),
        // As Argo CD's skip-current-step does it, and the plugin's deprecated option.
        json!({"pauseConditions": null, "currentStepIndex": 2}),
        json!({"currentStepIndex": 2}),
    ] {
        let mut world = world.clone();
        world.patch_status(&patch);
        world.settle();
        assert_eq!(
            (world.status("/phase"), world.status("/currentStepIndex")),
            (json!("Paused"), json!(3)),
            "{patch}"
        );
        assert_eq!(world.sizes(), [("app:1".to_owned(), 3), ("app:2".to_owned(), 2)]);
    }
}

/// The steps change under way: from the first one on, with what is there.
#[test]
fn changed_steps_begin_anew_with_the_same_pods() {
    let mut world = released(1, |_| {});
    set_version(&mut world.rollout, "2");
    world.settle();
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setWeight": 40}, {"pause": {}}, {"pause": {}}]);
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(
        (world.status("/phase"), world.status("/currentStepIndex")),
        (json!("Paused"), json!(1))
    );
    assert_eq!(world.sizes(), [("app:1".to_owned(), 3), ("app:2".to_owned(), 2)]);
    // At rest changed steps are all done already.
    let mut rest = released(2, |_| {});
    rest.rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"pause": {}}]);
    touch(&mut rest.rollout);
    rest.settle();
    assert_eq!(
        (rest.status("/phase"), rest.status("/currentStepIndex")),
        (json!("Healthy"), json!(1))
    );
    assert!(!rest.told().contains(&"RolloutPaused".to_owned()));
}
