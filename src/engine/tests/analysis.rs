//! Analyses of a canary: when their runs begin, what their verdicts do, who ends them (wire contract 2.11).

use serde_json::{Value, json};

use super::support::{World, rollout, set_version, touch};

/// An AnalysisTemplate of the namespace; `fields` are of its one metric.
fn template(name: &str, fields: &Value) -> Value {
    let mut metric = json!({"name": name, "provider": {"web": {"url": "http://x"}}});
    for (key, value) in fields.as_object().unwrap() {
        metric[key] = value.clone();
    }
    json!({"kind": "AnalysisTemplate", "metadata": {"name": name}, "spec": {"metrics": [metric]}})
}

fn ask(name: &str) -> Value {
    json!({"templates": [{"templateName": name}]})
}

/// A world at rest on its first version, with a template `once` that is measured once and one `on` that goes on.
fn world(steps: &Value, background: Option<Value>) -> World {
    let mut own = rollout("1", steps);
    if let Some(background) = background {
        own["spec"]["strategy"]["canary"]["analysis"] = background;
    }
    let mut world = World::new(own);
    world.others.push(template("once", &json!({})));
    world.others.push(template("on", &json!({"interval": "1m"})));
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy", "{}", world.status(""));
    assert_eq!(
        runs(&world),
        [""; 0],
        "nothing is analysed at the first deployment"
    );
    world
}

/// The runs in the order of their creation; those that were told to end have a cross.
fn runs(world: &World) -> Vec<String> {
    let name = |run: &Value| run["metadata"]["name"].as_str().unwrap().to_owned();
    let hash = |world: &World| world.status("/currentPodHash").as_str().unwrap().to_owned();
    let short = |text: String| text.replace(&format!("app-{}-", hash(world)), "");
    world
        .others
        .iter()
        .filter(|o| o["kind"] == "AnalysisRun")
        .map(|run| {
            let ended = if run["spec"]["terminate"] == true { "+" } else { "" };
            format!("{}{ended}", short(name(run)))
        })
        .collect()
}

fn run<'a>(world: &'a mut World, ends_in: &str) -> &'a mut Value {
    let is_it = |o: &&mut Value| {
        o["kind"] == "AnalysisRun" && o["metadata"]["name"].as_str().unwrap().ends_with(ends_in)
    };
    world.others.iter_mut().find(is_it).unwrap()
}

/// Ends a run, as its own controller does.
fn end(world: &mut World, ends_in: &str, phase: &str, message: &str) {
    let status = json!({"phase": phase, "message": message, "completedAt": "2026-01-01T13:00:00Z"});
    run(world, ends_in)["status"] = status;
    world.settle();
}

fn update(world: &mut World, version: &str) {
    set_version(&mut world.rollout, version);
    world.settle();
}

#[test]
fn a_background_analysis_begins_at_its_step_and_ends_with_the_rollout() {
    let mut background = ask("on");
    background["startingStep"] = json!(2);
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}}]);
    let mut world = world(&steps, Some(background));
    update(&mut world, "2");
    assert_eq!(world.status("/currentStepIndex"), 1);
    assert_eq!(runs(&world), [""; 0], "not before its step");
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(world.status("/currentStepIndex"), 3);
    assert_eq!(runs(&world), ["2"]);
    let made = run(&mut world, "-2").clone();
    let labels = &made["metadata"]["labels"];
    assert_eq!(labels["rollout-type"], "Background");
    assert_eq!(
        labels["rollouts-pod-template-hash"],
        world.status("/currentPodHash")
    );
    assert_eq!(
        world.status("/canary/currentBackgroundAnalysisRunStatus/name"),
        made["metadata"]["name"]
    );
    run(&mut world, "-2")["status"] = json!({"phase": "Running"});
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
    assert_eq!(
        runs(&world),
        ["2+"],
        "one that has no end of its own is told to end"
    );
}

#[test]
fn a_background_analysis_that_fails_aborts_with_its_own_words() {
    for (phase, message, told) in [
        (
            "Failed",
            "Metric \"on\" assessed Failed due to failed (1) > failureLimit (0)",
            "Background analysis phase error/failed: Metric \"on\" assessed Failed due to failed (1) > failureLimit (0)",
        ),
        ("Error", "", "Background analysis phase error/failed"),
    ] {
        let steps = json!([{"setWeight": 20}, {"pause": {}}]);
        let mut world = world(&steps, Some(ask("on")));
        update(&mut world, "2");
        assert_eq!(runs(&world), ["2"]);
        end(&mut world, "-2", phase, message);
        assert_eq!(world.status("/phase"), "Degraded");
        assert_eq!(world.status("/abort"), true);
        let said = world.status("/message");
        assert!(said.as_str().unwrap().contains(told), "{said}");
        assert_eq!(
            world.sizes(),
            [("app:1".to_owned(), 5), ("app:2".to_owned(), 0)],
            "all is taken back"
        );
    }
}

#[test]
fn a_step_waits_for_its_analysis_and_goes_on_when_it_is_good() {
    let steps = json!([{"setWeight": 20}, {"analysis": ask("once")}, {"setWeight": 40}, {"pause": {}}]);
    let mut world = world(&steps, None);
    update(&mut world, "2");
    assert_eq!(
        (world.status("/currentStepIndex"), runs(&world)),
        (json!(1), vec!["2-1".to_owned()])
    );
    let made = run(&mut world, "-2-1").clone();
    assert_eq!(made["metadata"]["labels"]["rollout-type"], "Step");
    assert_eq!(made["metadata"]["labels"]["step-index"], "1");
    assert_eq!(
        made["metadata"]["labels"]["app"], "app",
        "the labels of the selector"
    );
    run(&mut world, "-2-1")["status"] = json!({"phase": "Running"});
    world.settle();
    assert_eq!(world.status("/currentStepIndex"), 1);
    end(&mut world, "-2-1", "Successful", "");
    assert_eq!(world.status("/currentStepIndex"), 3);
    assert_eq!(runs(&world), ["2-1"], "asked once");
}

/// Inconclusive is no verdict: a person has it, and may ask again, take it as good, or abort.
#[test]
fn an_inconclusive_analysis_is_a_pause_that_a_person_resolves() {
    let steps = json!([{"setWeight": 20}, {"analysis": ask("once")}, {"setWeight": 40}, {"pause": {}}]);
    let begin = || {
        let mut world = world(&steps, None);
        update(&mut world, "2");
        end(&mut world, "-2-1", "Inconclusive", "no data");
        assert_eq!(world.status("/phase"), "Paused");
        assert_eq!(
            world.status("/pauseConditions/0/reason"),
            "InconclusiveAnalysisRun"
        );
        assert_eq!(
            (world.status("/currentStepIndex"), world.status("/abort")),
            (json!(1), Value::Null)
        );
        world.wait(100_000);
        world.settle();
        assert_eq!(world.status("/phase"), "Paused", "as long as it takes");
        assert_eq!(runs(&world), ["2-1"]);
        world
    };
    // Resumed: asked anew, by another run, and that one decides.
    for (phase, want) in [("Successful", "Paused"), ("Failed", "Degraded")] {
        let mut world = begin();
        world.patch_status(&json!({"pauseConditions": null}));
        world.settle();
        assert_eq!(
            (world.status("/currentStepIndex"), runs(&world)),
            (json!(1), vec!["2-1".to_owned(), "2-1.1".to_owned()])
        );
        assert_eq!(world.status("/phase"), "Progressing");
        end(&mut world, "-2-1.1", phase, "");
        assert_eq!(world.status("/phase"), want);
        assert_eq!(
            world.status("/currentStepIndex"),
            if phase == "Failed" { 0 } else { 3 }
        );
    }
    // Promoted past the step, as the plugin writes it: taken as good, and no other run.
    let mut world = begin();
    world.patch_status(&json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": 2}));
    world.settle();
    assert_eq!(
        (world.status("/currentStepIndex"), runs(&world)),
        (json!(3), vec!["2-1".to_owned()])
    );
    // Aborted.
    let mut world = begin();
    world.patch_status(&json!({"abort": true}));
    world.settle();
    assert_eq!(world.status("/phase"), "Degraded");
    assert_eq!(world.sizes(), [("app:1".to_owned(), 5), ("app:2".to_owned(), 0)]);
}

/// Times on the wire are whole seconds, and a tool may be quicker than a person.
#[test]
fn a_resume_in_the_second_in_which_the_run_was_made_asks_anew_too() {
    let steps = json!([{"setWeight": 20}, {"analysis": ask("once")}, {"pause": {}}]);
    let mut world = world(&steps, None);
    update(&mut world, "2");
    end(&mut world, "-2-1", "Inconclusive", "no data");
    let now = world.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    run(&mut world, "-2-1")["metadata"]["creationTimestamp"] = json!(now);
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(runs(&world), ["2-1", "2-1.1"]);
}

#[test]
fn an_inconclusive_background_analysis_pauses_too() {
    let steps = json!([{"setWeight": 20}, {"pause": {"duration": 30}}, {"setWeight": 40}, {"pause": {}}]);
    let mut world = world(&steps, Some(ask("on")));
    update(&mut world, "2");
    end(&mut world, "-2", "Inconclusive", "no data");
    let reasons = |world: &World| -> Vec<String> {
        let all = world.status("/pauseConditions");
        all.as_array()
            .unwrap()
            .iter()
            .map(|pause| pause["reason"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(reasons(&world).contains(&"InconclusiveAnalysisRun".to_owned()));
    world.wait(1000);
    world.settle();
    assert!(
        reasons(&world).contains(&"InconclusiveAnalysisRun".to_owned()),
        "the step's own pause is over, this is not"
    );
    world.patch_status(&json!({"pauseConditions": null}));
    world.settle();
    assert_eq!(runs(&world), ["2", "2.1"], "asked anew");
    assert_eq!(
        world.status("/currentStepIndex"),
        3,
        "a resume ends the pause of the step as well"
    );
}

/// What is in doubt gets no more pods: a half of them was asked for, and one of ten is there.
#[test]
fn no_pod_more_gets_a_version_whose_analysis_is_inconclusive() {
    let mut world = world(&json!([{"setWeight": 50}, {"pause": {}}]), Some(ask("on")));
    world.broken = vec!["app:2".to_owned()];
    update(&mut world, "2");
    let sizes = |old, new| [("app:1".to_owned(), old), ("app:2".to_owned(), new)];
    assert_eq!(world.sizes(), sizes(5, 1));
    end(&mut world, "-2", "Inconclusive", "no data");
    world.broken.clear();
    world.step();
    world.settle();
    assert_eq!(world.sizes(), sizes(5, 1));
    let says = world.status("/message");
    let says = says.as_str().unwrap_or_default();
    assert!(
        says.starts_with("InconclusiveAnalysisRun: analysis ")
            && says.ends_with("-2 is inconclusive, until somebody promotes or aborts"),
        "{says}"
    );
    // An autoscaler is followed all the same.
    for (replicas, want) in [(8, sizes(7, 1)), (5, sizes(4, 1))] {
        world.rollout["spec"]["replicas"] = json!(replicas);
        touch(&mut world.rollout);
        world.settle();
        assert_eq!(world.sizes(), want, "{replicas}");
    }
    for (action, want, phase) in [
        (json!({"pauseConditions": null}), sizes(3, 3), "Paused"),
        (json!({"abort": true}), sizes(5, 0), "Degraded"),
        (json!({"promoteFull": true}), sizes(0, 5), "Healthy"),
    ] {
        let mut world = world.clone();
        world.patch_status(&action);
        world.settle();
        assert_eq!(
            (world.sizes(), world.status("/phase")),
            (want.into(), json!(phase)),
            "{action}"
        );
    }
}

#[test]
fn a_retry_asks_anew_with_new_runs() {
    let steps = json!([{"setWeight": 20}, {"analysis": ask("once")}, {"pause": {}}]);
    let mut world = world(&steps, Some(ask("on")));
    update(&mut world, "2");
    assert_eq!(runs(&world), ["2", "2-1"]);
    end(&mut world, "-2-1", "Failed", "");
    assert_eq!(runs(&world), ["2+", "2-1"], "an abort ends what else is asked");
    run(&mut world, "-2")["status"] = json!({"phase": "Successful"});
    world.settle();
    world.patch_status(&json!({"abort": false}));
    world.settle();
    assert_eq!(runs(&world), ["2+", "2-1", "2.1", "2-1.1"]);
    assert_eq!(world.status("/currentStepIndex"), 1);
    end(&mut world, "-2-1.1", "Successful", "");
    assert_eq!(
        world.status("/currentStepIndex"),
        2,
        "the new run decides, not the one before"
    );
}

#[test]
fn runs_are_told_to_end_when_nobody_waits_for_them_any_more() {
    let steps = json!([{"setWeight": 20}, {"analysis": ask("once")}, {"pause": {}}]);
    let begin = || {
        let mut world = world(&steps, Some(ask("on")));
        update(&mut world, "2");
        assert_eq!(runs(&world), ["2", "2-1"]);
        world
    };
    let mut world = begin();
    world.patch_status(&json!({"promoteFull": true}));
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
    assert_eq!(runs(&world), ["2+", "2-1+"], "a full promotion asks nobody");

    let mut world = begin();
    world.patch_status(&json!({"abort": true}));
    world.settle();
    assert_eq!(runs(&world), ["2+", "2-1+"], "an abort");

    let mut world = begin();
    let first = world.status("/currentPodHash").as_str().unwrap().to_owned();
    update(&mut world, "3");
    let ended = runs(&world)
        .iter()
        .filter(|run| run.contains(&first) && run.ends_with('+'))
        .count();
    assert_eq!(ended, 2, "a newer version: {:?}", runs(&world));

    let mut world = begin();
    world.patch_status(&json!({"currentStepIndex": 2}));
    world.settle();
    assert_eq!(runs(&world), ["2", "2-1+"], "a person who skips the step");

    let mut world = begin();
    update(&mut world, "1");
    assert_eq!(world.status("/phase"), "Healthy");
    assert!(
        runs(&world).iter().all(|run| run.ends_with('+')),
        "a way back: {:?}",
        runs(&world)
    );
}

#[test]
fn a_run_has_the_arguments_rules_and_metadata_that_the_rollout_gives() {
    let analysis = json!({
        "templates": [{"templateName": "args"}],
        "args": [
            {"name": "new", "valueFrom": {"podTemplateHashValue": "Latest"}},
            {"name": "old", "valueFrom": {"podTemplateHashValue": "Stable"}},
            {"name": "team", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
            {"name": "weight", "valueFrom": {"fieldRef": {"fieldPath": "spec.strategy.canary.steps[0].setWeight"}}},
            {"name": "limit", "value": "0.9"},
        ],
        "dryRun": [{"metricName": "ar.*"}],
        "measurementRetention": [{"metricName": "args", "limit": 3}],
        "analysisRunMetadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
    });
    let mut own = rollout("1", &json!([{"setWeight": 20}, {"analysis": analysis}]));
    own["metadata"]["labels"] = json!({"team": "shop"});
    let mut world = World::new(own);
    let mut args = template("args", &json!({"successCondition": "result > {{args.limit}}"}));
    args["spec"]["args"] = json!([
        {"name": "new"}, {"name": "old"}, {"name": "team"}, {"name": "weight"}, {"name": "limit", "value": "0.5"},
        {"name": "own", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "key", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]);
    args["spec"]["metrics"][0]["provider"]["web"]["url"] =
        json!("http://{{args.new}}.{{args.old}}/{{args.team}}");
    world.others.push(args);
    world.settle();
    assert_eq!(
        world.status("/phase"),
        "Healthy",
        "also before there is a stable hash: {}",
        world.status("/message")
    );
    let stable = world.status("/stableRS");
    update(&mut world, "2");
    let made = run(&mut world, "-2-1").clone();
    let value = |name: &str| {
        let all = made["spec"]["args"].as_array().unwrap();
        all.iter().find(|arg| arg["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(
        (value("new"), value("old")),
        (world.status("/currentPodHash"), stable)
    );
    assert_eq!(
        (
            value("team"),
            value("weight"),
            value("limit"),
            value("own"),
            value("key")
        ),
        (
            json!("shop"),
            json!("20"),
            json!("0.9"),
            json!("app"),
            Value::Null
        )
    );
    assert_eq!(made["spec"]["dryRun"], json!([{"metricName": "ar.*"}]));
    assert_eq!(
        made["spec"]["measurementRetention"],
        json!([{"metricName": "args", "limit": 3}])
    );
    assert_eq!(made["metadata"]["labels"]["l"], "1");
}

#[test]
fn an_analysis_that_never_ends_may_stand_beside_the_steps_and_not_among_them() {
    let mut world = World::new(rollout("1", &json!([{"analysis": ask("on")}])));
    world.others.push(template("on", &json!({"interval": "1m"})));
    world.settle();
    let said = world.status("/message");
    assert!(
        said.as_str().unwrap().contains("spec.strategy.canary.steps[0].analysis.templates: Invalid value: metric \"on\" has an interval but no count"),
        "{said}"
    );
    assert_eq!(world.sizes(), [], "nothing moves");
    world.rollout["spec"]["strategy"]["canary"] = json!({"steps": [], "analysis": ask("on")});
    touch(&mut world.rollout);
    world.settle();
    assert_eq!(world.status("/phase"), "Healthy");
}
