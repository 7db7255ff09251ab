//! Capacity before traffic and traffic before pods, forth and back.

use super::*;

fn sides(old: i32, new: i32) -> Vec<ReplicaSet> {
    vec![replica_set("old", 1, 4, old), replica_set("new", 2, 4, new)]
}

#[test]
fn production_moves_only_to_a_side_that_can_carry_it() {
    let forth = checked();
    // What the status says, the available pods of both sides, the active side, and where production goes, if it does.
    for (status, old, new, active, goes) in [
        (&forth, 4, 3, "old", ""),
        (&forth, 4, 4, "old", "new"),
        (&forth, 0, 3, "old", ""),
        (&aborted(), 3, 4, "new", ""),
        (&aborted(), 4, 4, "new", "old"),
        (&aborted(), 3, 3, "new", "old"),
        (&aborted(), 1, 0, "new", "old"),
        (&aborted(), 0, 0, "new", ""),
        // A Service whose hash somebody took away goes back to stable, whatever the update.
        (&json!({}), 4, 4, "", "old"),
        (&json!({}), 3, 4, "", ""),
        // The one that it selects is gone: any pod is better.
        (&json!({}), 1, 4, "gone", "old"),
    ] {
        let plan = plan_at(&update(&json!({}), status, sides(old, new), active, "new"), 0);
        let want = if goes.is_empty() {
            vec![]
        } else {
            to("active", goes)
        };
        assert_eq!(
            switched(&plan),
            want,
            "{old} and {new} available, at {active:?}: {status}"
        );
    }
}

#[test]
fn counts_that_do_not_answer_the_last_scaling_are_no_capacity() {
    let mut stale = sides(4, 4);
    stale[1].metadata.generation = Some(2);
    let plan = plan_at(&update(&json!({}), &checked(), stale, "old", "new"), 0);
    assert_eq!(switched(&plan), []);
    let mut going = sides(4, 4);
    going[1].spec.replicas = Some(0);
    let plan = plan_at(&update(&json!({}), &checked(), going, "old", "new"), 0);
    assert_eq!(switched(&plan), []);
    assert_eq!(scaled(&plan), [("r-new".to_owned(), 0, 4)]);
}

#[test]
fn a_way_back_that_has_to_wait_for_stable_pods_says_so() {
    let stays = update(&json!({}), &aborted(), sides(2, 4), "new", "new");
    let message = plan_at(&stays, 0).status.message.unwrap();
    assert_eq!(
        message,
        "RolloutAborted: Rollout aborted update to revision 2. Production goes back as soon as the stable ReplicaSet r-old \
         can carry it: 2 of 4 pods are available"
    );
    let goes = update(&json!({}), &aborted(), sides(4, 4), "new", "new");
    let message = plan_at(&goes, 0).status.message.unwrap();
    assert_eq!(message, "RolloutAborted: Rollout aborted update to revision 2");
}

#[test]
fn a_stable_side_that_was_taken_away_is_brought_up_before_the_way_back() {
    let sets = vec![replica_set("old", 1, 0, 0), replica_set("new", 2, 4, 4)];
    let plan = plan_at(&update(&json!({}), &aborted(), sets, "new", "new"), 0);
    assert_eq!(scaled(&plan), [("r-old".to_owned(), 0, 4)]);
    assert_eq!(switched(&plan), []);
}

#[test]
fn an_abort_waits_for_nobody_not_even_for_an_open_question_or_a_pause() {
    let mut status = aborted();
    status["pauseConditions"] = json!([{"reason": "InconclusiveAnalysisRun", "startTime": at(-9)}]);
    let mut world = update(&json!({}), &status, sides(4, 4), "new", "new");
    Arc::make_mut(&mut world.rollout).spec.paused = Some(true);
    assert_eq!(switched(&plan_at(&world, 0)), to("active", "old"));
}

#[test]
fn the_first_pass_of_a_retry_does_not_switch_on_what_was_checked_before_the_abort() {
    let mut status = checked();
    status["abortedAt"] = json!(at(-5));
    let plan = plan_at(&update(&json!({}), &status, sides(4, 4), "old", "new"), 0);
    assert_eq!(switched(&plan), []);
    let after = plan.status.blue_green.unwrap();
    assert_eq!(after.scale_up_preview_check_point, None);
    assert_eq!(plan.status.aborted_at, None);
}

#[test]
fn an_abort_takes_back_what_was_checked_and_keeps_what_was_found() {
    let mut status = checked();
    status["abort"] = json!(true);
    status["blueGreen"]["prePromotionAnalysisRunStatus"] = json!({"name": "pre", "status": "Successful"});
    let plan = plan_at(&update(&json!({}), &status, sides(4, 4), "old", "new"), 0);
    let after = plan.status.blue_green.unwrap();
    assert_eq!(after.scale_up_preview_check_point, None);
    assert!(after.pre_promotion_analysis_run_status.is_some());
}

#[test]
fn the_old_side_goes_when_its_delay_is_over_and_no_slice_leads_to_it() {
    let promoted = json!({"stableRS": "new"});
    let old = |deadline: i64| annotated(replica_set("old", 1, 4, 4), &[(DEADLINE, &at(deadline))]);
    let look = |deadline: i64, active: &[&str], preview: &[&str]| {
        let sets = vec![old(deadline), replica_set("new", 2, 4, 4)];
        let mut world = update(&json!({}), &promoted, sets, "new", "new");
        lead(&mut world, "active", active);
        lead(&mut world, "preview", preview);
        plan_at(&world, 0)
    };
    let waits = look(10, &["r-new-a"], &[]);
    assert_eq!(scaled(&waits), []);
    assert_eq!(waits.wake, Some(noon() + SignedDuration::from_secs(10)));
    for (active, preview) in [
        (&["r-new-a", "r-old-a"][..], &[][..]),
        (&["r-new-a"][..], &["r-old-b"][..]),
    ] {
        assert_eq!(scaled(&look(-1, active, preview)), [], "{active:?} {preview:?}");
    }
    let goes = look(-1, &["r-new-a"], &["r-new-a"]);
    assert_eq!(scaled(&goes), [("r-old".to_owned(), 4, 0)]);
    assert_eq!(noted(&goes, "r-old", DEADLINE), Some(REMOVED.to_owned()));
    // Its delay begins when the promotion is committed.
    let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 4)];
    let begins = plan_at(
        &update(
            &json!({"scaleDownDelaySeconds": 7}),
            &promoted,
            sets,
            "new",
            "new",
        ),
        0,
    );
    assert_eq!(noted(&begins, "r-old", DEADLINE), Some(at(7)));
    assert_eq!(noted(&begins, "r-old", MARK), None);
}

#[test]
fn pods_are_told_apart_by_their_owner_where_long_names_are_cut() {
    let long = "a".repeat(60);
    let mut sets = vec![
        annotated(replica_set("old", 1, 4, 4), &[(DEADLINE, &at(-1))]),
        replica_set("new", 2, 4, 4),
    ];
    for (rs, hash) in sets.iter_mut().zip(["old", "new"]) {
        rs.metadata.name = Some(format!("{long}-{hash}"));
    }
    let mut world = update(&json!({}), &json!({"stableRS": "new"}), sets, "new", "new");
    let pod = format!("{}xyz12", "a".repeat(58));
    lead(&mut world, "active", &[&pod]);
    assert_eq!(scaled(&plan_at(&world, 0)), [], "it may be the old one's");
    add_pod(&mut world, "new", &pod, -60, &json!({}));
    assert_eq!(scaled(&plan_at(&world, 0)), [(format!("{long}-old"), 4, 0)]);
}

#[test]
fn beyond_the_limit_of_revisions_old_sides_go_at_once_but_not_before_the_slices() {
    let sets = || {
        vec![
            replica_set("older", 1, 4, 4),
            replica_set("old", 2, 4, 4),
            replica_set("new", 3, 4, 4),
        ]
    };
    let spec = json!({"scaleDownDelayRevisionLimit": 1});
    let mut world = update(&spec, &json!({"stableRS": "new"}), sets(), "new", "new");
    lead(&mut world, "active", &["r-older-a"]);
    assert_eq!(scaled(&plan_at(&world, 0)), []);
    lead(&mut world, "active", &["r-new-a"]);
    let plan = plan_at(&world, 0);
    assert_eq!(scaled(&plan), [("r-older".to_owned(), 4, 0)]);
    assert_eq!(noted(&plan, "r-old", DEADLINE), Some(at(30)));
}

#[test]
fn the_new_side_of_an_abort_has_its_own_delay_and_never_goes_with_zero() {
    let spec = |seconds: i64| json!({"abortScaleDownDelaySeconds": seconds});
    let begins = plan_at(&update(&spec(5), &aborted(), sides(4, 4), "old", "new"), 0);
    assert_eq!(noted(&begins, "r-new", DEADLINE), Some(at(5)));
    assert_eq!(noted(&begins, "r-new", MARK), Some("true".to_owned()));
    let not_yet = plan_at(&update(&spec(5), &aborted(), sides(3, 4), "old", "new"), 0);
    assert_eq!(noted(&not_yet, "r-new", DEADLINE), None, "stable does not stand");
    let never = plan_at(&update(&spec(0), &aborted(), sides(4, 4), "old", "new"), 0);
    assert_eq!((scaled(&never), noted(&never, "r-new", DEADLINE)), (vec![], None));
    // The preview Service stays with it: that is no traffic which could be lost.
    let mut sets = sides(4, 4);
    sets[1] = annotated(sets[1].clone(), &[(DEADLINE, &at(-1)), (MARK, "true")]);
    let mut world = update(&spec(5), &aborted(), sets, "old", "new");
    lead(&mut world, "preview", &["r-new-a"]);
    lead(&mut world, "active", &["r-new-a"]);
    assert_eq!(scaled(&plan_at(&world, 0)), [], "production still comes");
    lead(&mut world, "active", &["r-old-a"]);
    assert_eq!(scaled(&plan_at(&world, 0)), [("r-new".to_owned(), 4, 0)]);
}

#[test]
fn a_retry_does_not_shrink_to_the_preview_what_production_is_still_led_to() {
    let spec = json!({"previewReplicaCount": 1, "autoPromotionEnabled": false});
    let mut world = update(&spec, &json!({}), sides(4, 4), "old", "new");
    lead(&mut world, "active", &["r-new-a"]);
    assert_eq!(scaled(&plan_at(&world, 0)), []);
    lead(&mut world, "active", &["r-old-a"]);
    assert_eq!(scaled(&plan_at(&world, 0)), [("r-new".to_owned(), 4, 1)]);
}

#[test]
fn only_a_version_that_was_stable_has_the_fast_way_back() {
    let spec = json!({"autoPromotionEnabled": false});
    let back_to = |notes: &[(&str, &str)]| {
        let sets = vec![
            replica_set("old", 1, 4, 4),
            annotated(replica_set("new", 2, 4, 4), notes),
        ];
        plan_at(&update(&spec, &json!({}), sets, "old", "new"), 0)
    };
    assert_eq!(switched(&back_to(&[(DEADLINE, &at(9))])), to("active", "new"));
    let marked = back_to(&[(DEADLINE, &at(9)), (MARK, "true")]);
    assert_eq!(switched(&marked), []);
    assert_eq!(noted(&marked, "r-new", DEADLINE), Some(REMOVED.to_owned()));
    assert_eq!(noted(&marked, "r-new", MARK), Some(REMOVED.to_owned()));
    assert_eq!(marked.status.pause_conditions[0].reason, "BlueGreenPause");
}

#[test]
fn a_rollback_within_the_window_skips_pause_and_analysis() {
    for (window, created, goes) in [
        (1, "2026-01-02T10:00:00Z", true),
        (0, "2026-01-02T10:00:00Z", false),
        (1, "2026-01-02T11:30:00Z", false),
    ] {
        let mut sets = sides(4, 4);
        sets[1].metadata.creation_timestamp = Some(serde_json::from_value(json!(created)).unwrap());
        let mut world = update(
            &json!({"autoPromotionEnabled": false}),
            &json!({}),
            sets,
            "old",
            "new",
        );
        let spec = &mut Arc::make_mut(&mut world.rollout).spec;
        spec.rollback_window = Some(serde_json::from_value(json!({"revisions": window})).unwrap());
        let plan = plan_at(&world, 0);
        let want = if goes { to("active", "new") } else { vec![] };
        assert_eq!(switched(&plan), want, "{window} {created}");
        assert_eq!(plan.status.pause_conditions.is_empty(), goes);
    }
}

#[test]
fn a_version_that_another_template_overtakes_is_marked_unless_it_was_stable_once() {
    // Which notes the version between has, and what becomes of the mark.
    for (notes, stable, want) in [
        (vec![], "old", Some("true".to_owned())),
        (vec![(DEADLINE, at(9))], "old", None),
        (vec![], "between", None),
    ] {
        let notes: Vec<(&str, &str)> = notes.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let mut sets = vec![
            replica_set("old", 1, 4, 4),
            annotated(replica_set("between", 2, 4, 4), &notes),
            // The ReplicaSet of the template.
            replica_set("new", 3, 0, 0),
        ];
        sets[2]
            .spec
            .template
            .edit(|template| template["spec"]["containers"][0]["image"] = json!("a:v2"));
        let status = json!({"currentPodHash": "between", "stableRS": stable});
        let mut world = update(&json!({}), &status, sets, "old", "between");
        Arc::make_mut(&mut world.rollout).metadata.generation = Some(4);
        let plan = plan_at(&world, 0);
        assert_eq!(plan.status.current_pod_hash.as_deref(), Some("new"));
        assert_eq!(noted(&plan, "r-between", MARK), want, "{notes:?} {stable}");
    }
}

#[test]
fn the_version_between_is_production_until_the_next_one_is_ready_and_follows_an_autoscaler() {
    let sets = vec![
        replica_set("old", 1, 4, 4),
        annotated(replica_set("between", 2, 2, 2), &[(DEADLINE, &at(-1))]),
        replica_set("new", 3, 4, 4),
    ];
    let world = update(
        &json!({"autoPromotionEnabled": false}),
        &json!({}),
        sets,
        "between",
        "new",
    );
    let plan = plan_at(&world, 0);
    assert_eq!(scaled(&plan), [("r-between".to_owned(), 2, 4)]);
    assert_eq!(noted(&plan, "r-between", DEADLINE), Some(REMOVED.to_owned()));
    assert_eq!(switched(&plan), []);
    // What goes back does so to stable; until then production grows with the demand where it is.
    let sets = vec![replica_set("old", 1, 4, 1), replica_set("new", 2, 2, 2)];
    let plan = plan_at(&update(&json!({}), &aborted(), sets, "new", "new"), 0);
    assert_eq!(scaled(&plan), [("r-new".to_owned(), 2, 4)]);
}

#[test]
fn without_a_stable_version_nothing_is_tested_and_nothing_waits_for_ever() {
    let analysis = json!({"templates": [{"templateName": "t"}]});
    let spec = json!({"autoPromotionEnabled": false, "prePromotionAnalysis": analysis, "postPromotionAnalysis": analysis});
    let template = Arc::new(
        serde_json::from_value(
            json!({"metrics": [{"name": "m", "provider": {"web": {"url": "http://h/"}}}]}),
        )
        .unwrap(),
    );
    for (active, switches, promotes) in [("", true, true), ("gone", true, false), ("new", false, true)] {
        let mut world = update(
            &spec,
            &json!({"stableRS": null}),
            vec![replica_set("new", 1, 4, 4)],
            active,
            "new",
        );
        world.abilities.providers = &["web"];
        world
            .templates
            .insert(("t".to_owned(), false), Arc::clone(&template));
        let plan = plan_at(&world, 0);
        let want = if switches { to("active", "new") } else { vec![] };
        assert_eq!(switched(&plan), want, "{active:?}");
        assert_eq!(plan.status.stable_rs.is_some(), promotes, "{active:?}");
        assert!(plan.status.pause_conditions.is_empty());
    }
}

#[test]
fn an_old_side_without_a_delay_asks_for_no_moment_that_is_over() {
    let status = json!({"currentPodHash": "new", "stableRS": "new", "blueGreen": {"activeSelector": "new"}});
    let sets = sides(4, 4);
    let plan = plan_at(
        &update(&json!({"scaleDownDelaySeconds": 0}), &status, sets, "new", "new"),
        0,
    );
    assert!(noted(&plan, "r-old", DEADLINE).is_some());
    assert_eq!(plan.wake, None);
}

#[test]
fn an_abort_of_nothing_does_not_lift_a_pause() {
    let status = json!({"currentPodHash": "new", "stableRS": "new", "abort": true});
    let mut world = update(&json!({}), &status, sides(4, 4), "new", "old");
    Arc::make_mut(&mut world.rollout).spec.paused = Some(true);
    assert_eq!(
        switched(&plan_at(&world, 0)),
        Vec::new(),
        "the preview Service waits as before"
    );
}
