use serde_json::{Value, json};

use crate::engine::Observed;
use crate::engine::testing::{at, plan_at, replica_set, rollout, world};

fn message(world: &Observed) -> String {
    plan_at(world, 1).status.message.unwrap_or_default()
}

fn since(reason: &str) -> Value {
    json!([{"reason": reason, "startTime": at(0)}])
}

/// A canary half way, in the pause of its second step.
fn canary(spec: &Value, status: &Value) -> Observed {
    let sets = vec![replica_set("old", 1, 2, 2), replica_set("new", 2, 2, 2)];
    let mut paused = json!({
        "currentStepIndex": 1, "controllerPause": true, "pauseConditions": since("CanaryPauseStep"),
        "canary": {"stepStartedIndex": 1},
    });
    for (key, value) in status.as_object().unwrap() {
        paused[key] = value.clone();
    }
    world(rollout(spec, &paused), sets)
}

#[test]
fn the_word_of_a_canarys_pause_comes_first_and_then_what_ends_it() {
    let pause = |duration: Value| json!({"strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": duration}}]}}});
    let none = json!({});
    for (world, want) in [
        (
            canary(&none, &none),
            "CanaryPauseStep: step 2 of 2 (pause), until somebody promotes",
        ),
        (
            canary(&pause(json!("10m")), &none),
            "CanaryPauseStep: step 2 of 2 (pause: 10m), until 2026-01-02T12:10:00Z",
        ),
        (
            canary(&pause(json!(90)), &none),
            "CanaryPauseStep: step 2 of 2 (pause: 90s), until 2026-01-02T12:01:30Z",
        ),
        (
            canary(&json!({"paused": true}), &none),
            "manually paused: until spec.paused is false",
        ),
    ] {
        assert_eq!(message(&world), want);
    }
}

#[test]
fn whoever_has_to_judge_is_told_which_analysis() {
    let spec = json!({"strategy": {"canary": {"steps": [
        {"setWeight": 50}, {"analysis": {"templates": [{"templateName": "t"}]}},
    ]}}});
    let status = json!({
        "pauseConditions": since("InconclusiveAnalysisRun"),
        "canary": {
            "stepStartedIndex": 1, "stepStartedAt": at(-60),
            "currentStepAnalysisRunStatus": {"name": "r-new-2-1", "status": "Inconclusive"},
        },
    });
    let mut world = canary(&spec, &status);
    world.abilities.providers = &["web"];
    let template = json!({"metrics": [{"name": "m", "provider": {"web": {"url": "http://x"}}}]});
    world.templates.insert(
        ("t".to_owned(), false),
        std::sync::Arc::new(serde_json::from_value(template).unwrap()),
    );
    let run = json!({
        "metadata": {
            "name": "r-new-2-1", "namespace": "n", "creationTimestamp": at(-60),
            "labels": {"rollout-type": "Step", "step-index": "1", "rollouts-pod-template-hash": "new"},
        },
        "spec": {"metrics": []}, "status": {"phase": "Inconclusive"},
    });
    world.analysis_runs = vec![std::sync::Arc::new(serde_json::from_value(run).unwrap())];
    assert_eq!(
        message(&world),
        "InconclusiveAnalysisRun: analysis r-new-2-1 is inconclusive, until somebody promotes or aborts"
    );
}
