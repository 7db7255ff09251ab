//! What blue-green shares with the canary: restarts, metadata, anti-affinity, failing pods, deadlines, refusals.

use super::*;

fn evicted(plan: &Plan) -> Vec<String> {
    let all = plan.intents.iter();
    all.filter_map(|intent| match intent {
        Intent::EvictPod { name, .. } => Some(name.clone()),
        _ => None,
    })
    .collect()
}

/// Both sides with their pods, waiting for a promotion, with a restart asked for at noon.
fn restarting(max_unavailable: &Value, new: i32) -> Observed {
    let spec = json!({"maxUnavailable": max_unavailable, "autoPromotionEnabled": false});
    let status = json!({
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": at(-60)}], "controllerPause": true,
    });
    let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, new)];
    let mut world = update(&spec, &status, sets, "old", "new");
    Arc::make_mut(&mut world.rollout).spec.restart_at = Some(serde_json::from_value(json!(at(0))).unwrap());
    for hash in ["old", "new"] {
        for (i, letter) in ["a", "b", "c", "d"].iter().enumerate() {
            let age = -100 + i64::try_from(i).unwrap();
            let status = if hash == "new" && i >= usize::try_from(new).unwrap() {
                waiting("CrashLoopBackOff")
            } else {
                json!({})
            };
            add_pod(&mut world, hash, &format!("r-{hash}-{letter}"), age, &status);
        }
    }
    world
}

#[test]
fn a_restart_takes_as_many_pods_of_each_side_as_max_unavailable_says() {
    for (most, want) in [
        (json!(0), &["r-old-a", "r-new-a"][..]),
        (json!(null), &["r-old-a", "r-new-a"][..]),
        (json!(2), &["r-old-a", "r-old-b", "r-new-a", "r-new-b"][..]),
        (
            json!("75%"),
            &["r-old-a", "r-old-b", "r-old-c", "r-new-a", "r-new-b", "r-new-c"][..],
        ),
    ] {
        assert_eq!(evicted(&plan_at(&restarting(&most, 4), 1)), want, "{most}");
    }
    // A preview that crashes does not hold up the restart of production, and its own pods go freely.
    let plan = plan_at(&restarting(&json!(1), 0), 1);
    assert_eq!(
        evicted(&plan),
        ["r-old-a", "r-new-a", "r-new-b", "r-new-c", "r-new-d"]
    );
    assert_eq!(plan.status.restarted_at, None);
    assert_eq!(
        evicted(&plan_at(&restarting(&json!(1), 4), -1)),
        Vec::<String>::new()
    );
}

#[test]
fn a_restart_is_done_when_no_old_pod_is_left_and_never_delays_the_way_back() {
    let mut world = restarting(&json!(1), 4);
    world.pods.clear();
    let plan = plan_at(&world, 1);
    assert_eq!(plan.status.restarted_at.map(|t| t.0.to_string()), Some(at(0)));
    let mut world = restarting(&json!(1), 4);
    let rollout = Arc::make_mut(&mut world.rollout);
    let status = rollout.status.as_mut().unwrap();
    (status.abort, status.pause_conditions, status.controller_pause) = (Some(true), vec![], None);
    Arc::make_mut(&mut world.replica_sets[0])
        .status
        .available_replicas = 3;
    let selector = &mut Arc::make_mut(world.services.get_mut("active").unwrap())
        .spec
        .selector;
    let hash = "rollouts-pod-template-hash".to_owned();
    selector.as_mut().unwrap().insert(hash, "new".to_owned());
    let plan = plan_at(&world, 1);
    assert_eq!((evicted(&plan), switched(&plan)), (vec![], vec![]));
}

#[test]
fn pods_carry_the_metadata_of_their_side() {
    let spec = json!({
        "previewMetadata": {"labels": {"role": "preview"}}, "activeMetadata": {"labels": {"role": "active"}},
    });
    let label = |plan: &Plan, name: &str| {
        plan.intents.iter().find_map(|intent| match intent {
            Intent::PatchReplicaSet(patch) if patch.name == name => {
                patch.template.labels.get("role").cloned()
            }
            _ => None,
        })
    };
    let sets = || vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 4)];
    let mut world = update(&spec, &json!({}), sets(), "old", "new");
    add_pod(&mut world, "new", "r-new-a", -60, &json!({}));
    let plan = plan_at(&world, 0);
    assert_eq!(label(&plan, "r-old"), Some(Some("active".to_owned())));
    assert_eq!(label(&plan, "r-new"), Some(Some("preview".to_owned())));
    let living = plan.intents.iter().any(|intent| match intent {
        Intent::PatchPod { name, metadata, .. } => {
            name == "r-new-a" && metadata.labels.get("role") == Some(&Some("preview".to_owned()))
        }
        _ => false,
    });
    assert!(living, "{:?}", plan.intents);
    // Once promoted it is active, and what was injected into the one before is taken out.
    let record = json!({"labels": {"role": "active"}}).to_string();
    let mut old = annotated(
        replica_set("old", 1, 4, 4),
        &[("rollout.argoproj.io/ephemeral-metadata", &record)],
    );
    old.spec
        .template
        .edit(|template| template["metadata"]["labels"]["role"] = json!("active"));
    let sets = vec![old, replica_set("new", 2, 4, 4)];
    let plan = plan_at(&update(&spec, &json!({"stableRS": "new"}), sets, "new", "new"), 0);
    assert_eq!(label(&plan, "r-new"), Some(Some("active".to_owned())));
    assert_eq!(label(&plan, "r-old"), Some(None));
    // The first version is active from its creation on.
    let first = json!({"stableRS": null, "currentPodHash": null});
    let plan = plan_at(&update(&spec, &first, vec![], "", ""), 0);
    let Some(Intent::CreateReplicaSet(new)) = plan.intents.first() else {
        panic!("{plan:?}")
    };
    assert_eq!(new.template["metadata"]["labels"]["role"], "active");
}

#[test]
fn new_pods_keep_off_the_nodes_of_stable_ones_while_the_update_runs() {
    let spec = json!({"antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}});
    let sets = || vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 0, 0)];
    let plan = plan_at(&update(&spec, &json!({}), sets(), "old", "new"), 0);
    let against = plan.intents.iter().find_map(|intent| match intent {
        Intent::PatchReplicaSet(patch) if patch.name == "r-new" => patch.affinity.clone(),
        _ => None,
    });
    let path = "/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector/matchExpressions/0/values";
    assert_eq!(against.unwrap().pointer(path), Some(&json!(["old"])));
    let plan = plan_at(
        &update(&spec, &json!({"stableRS": "new"}), sets(), "new", "new"),
        0,
    );
    let any = plan.intents.iter().any(|intent| match intent {
        Intent::PatchReplicaSet(change) => change.affinity.is_some(),
        _ => false,
    });
    assert!(!any, "promoted: there is nobody to keep off");
}

#[test]
fn a_preview_whose_pods_cannot_start_is_aborted_by_fail_fast() {
    let spec = json!({"failFast": {"failingPods": 2, "graceSeconds": 10}});
    let sets = || vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 2)];
    let look = |status: &Value, seconds| {
        let mut world = update(&spec, status, sets(), "old", "new");
        for name in ["r-new-a", "r-new-b"] {
            add_pod(&mut world, "new", name, -60, &waiting("ImagePullBackOff"));
        }
        plan_at(&world, seconds)
    };
    let begins = look(&json!({}), 0);
    assert_eq!(begins.status.abort, None);
    assert_eq!(begins.wake, Some(noon() + SignedDuration::from_secs(10)));
    let since = begins.status.blue_green.unwrap().pods_failing_since;
    assert_eq!(since.map(|t| t.0.to_string()), Some(at(0)));
    let ends = look(&json!({"blueGreen": {"podsFailingSince": at(0)}}), 10);
    assert_eq!(ends.status.abort, Some(true));
    let message = ends.status.message.unwrap_or_default();
    assert!(message.is_empty() || message.contains("failFast"), "{message}");
    assert_eq!(ends.status.blue_green.unwrap().pods_failing_since, None);
    assert!(
        ends.notices
            .iter()
            .any(|n| n.message.contains("failFast: 2 of 2 new pods fail"))
    );
}

#[test]
fn an_analysis_that_runs_is_no_lack_of_progress() {
    let progressing = json!([{
        "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": at(-700),
        "lastTransitionTime": at(-700), "message": "",
    }]);
    for (phase, overdue) in [("Running", false), ("Successful", true)] {
        let status = json!({
            "conditions": progressing, "updatedReplicas": 4, "replicas": 8, "readyReplicas": 4, "availableReplicas": 4,
            "blueGreen": {
                "activeSelector": "old", "previewSelector": "new",
                "prePromotionAnalysisRunStatus": {"name": "pre", "status": phase},
            },
        });
        let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 3)];
        let plan = plan_at(&update(&json!({}), &status, sets, "old", "new"), 0);
        assert_eq!(
            plan.status.phase.as_deref() == Some("Degraded"),
            overdue,
            "{phase}"
        );
        let message = plan.status.message.unwrap();
        if !overdue {
            assert_eq!(message, "active service cutover pending: analysis pre is Running");
        }
    }
}

#[test]
fn the_wait_for_the_switch_says_what_it_is_for() {
    let status = json!({"updatedReplicas": 4});
    let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 3)];
    let plan = plan_at(&update(&json!({}), &status, sets, "old", "new"), 0);
    assert_eq!(
        plan.status.message.as_deref(),
        Some("active service cutover pending: 3 of 4 new pods available")
    );
}

#[test]
fn an_analysis_after_the_switch_begins_when_the_slices_have_followed() {
    let spec = json!({"postPromotionAnalysis": {"templates": [{"templateName": "t"}]}});
    let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 4)];
    let mut world = update(&spec, &json!({}), sets, "new", "new");
    world.abilities.providers = &["web"];
    let template = json!({"metrics": [{"name": "m", "provider": {"web": {"url": "http://h/"}}}]});
    let template = serde_json::from_value(template).unwrap();
    world
        .templates
        .insert(("t".to_owned(), false), Arc::new(template));
    let started = |world: &Observed| {
        let intents = plan_at(world, 0).intents;
        intents.iter().any(|i| matches!(i, Intent::CreateAnalysisRun(_)))
    };
    lead(&mut world, "active", &["r-new-a", "r-old-a"]);
    assert!(!started(&world));
    lead(&mut world, "active", &["r-new-a"]);
    assert!(started(&world));
}

#[test]
fn what_cannot_be_carried_out_is_refused_in_one_sentence() {
    for (spec, says) in [
        (
            json!({"failFast": {"failingPods": 0}}),
            "failFast.failingPods: Invalid value: 0: must be greater than or equal to 1",
        ),
        (
            json!({"previewMetadata": {"labels": {"app": "x"}}}),
            "previewMetadata.labels: Invalid value: \"app\": pods are selected by this label",
        ),
        (
            json!({"activeMetadata": {"annotations": {"no key": "x"}}}),
            "activeMetadata.annotations: Invalid value: \"no key\"",
        ),
        (json!({"antiAffinity": {}}), "antiAffinity: Required value"),
        (
            json!({"activeService": ""}),
            "activeService: Required value: the Service that receives production traffic",
        ),
        (
            json!({"previewService": "active"}),
            "previewService: Invalid value: \"active\": must not be the activeService too",
        ),
        (
            json!({"activeService": "absent"}),
            "activeService: Invalid value: \"absent\": Service \"absent\" was not found",
        ),
        (
            json!({"maxUnavailable": "many"}),
            "maxUnavailable: Invalid value: \"many\": must be a whole number",
        ),
        (
            json!({"scaleDownDelayRevisionLimit": 11}),
            "scaleDownDelayRevisionLimit: Invalid value: 11: must not be greater than revisionHistoryLimit (10)",
        ),
    ] {
        let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 4)];
        let plan = plan_at(&update(&spec, &json!({}), sets, "old", "new"), 0);
        let message = plan.status.message.unwrap();
        let start = format!("InvalidSpec: The Rollout \"r\" is invalid: spec.strategy.blueGreen.{says}");
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(plan.intents, [], "nothing moves");
    }
}

#[test]
fn the_pause_before_the_switch_says_what_it_is_before_and_what_ends_it() {
    let message = |seconds: Value| {
        let spec = json!({"autoPromotionEnabled": false, "autoPromotionSeconds": seconds});
        let status = json!({
            "pauseConditions": [{"reason": "BlueGreenPause", "startTime": at(-60)}], "controllerPause": true,
        });
        let sets = vec![replica_set("old", 1, 4, 4), replica_set("new", 2, 4, 4)];
        let world = update(&spec, &status, sets, "old", "new");
        plan_at(&world, 1).status.message.unwrap_or_default()
    };
    assert_eq!(
        message(json!(null)),
        "BlueGreenPause: before Service active is switched, until somebody promotes"
    );
    assert_eq!(
        message(json!(300)),
        "BlueGreenPause: before Service active is switched, until 2026-01-02T12:04:00Z"
    );
}
