//! What the runbook quotes is what Serin says.

use std::cell::RefCell;

use regex::Regex;
use serde_json::{Value, json};

use crate::rights::Controller;
use crate::world::{World, eventually, eventually_telling, root};

/// A line of the runbook as a pattern: what is in angle brackets differs.
fn pattern(line: &str) -> Regex {
    let placeholder = Regex::new("<[a-z]+>").unwrap();
    let rest: Vec<String> = placeholder.split(line).map(regex::escape).collect();
    Regex::new(&format!("^{}$", rest.join("[a-z0-9-]+"))).unwrap()
}

/// The only quoted line of the runbook that ends with these words.
fn quoted(words: &str) -> String {
    let text = std::fs::read_to_string(root("docs/runbook.md")).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("Progressing: ") || line.starts_with("Degraded: "));
    let found: Vec<&str> = lines.filter(|line| line.ends_with(words)).collect();
    assert_eq!(found.len(), 1, "{words}: {found:?}");
    found[0].to_owned()
}

fn job(exit_code: &str) -> Value {
    json!({"job": {"spec": {"backoffLimit": 0, "template": {
        "metadata": {"annotations": {"fake.serin/exit-code": exit_code}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": "migrate:1"}]},
    }}}})
}

fn template(name: &str, metric: &Value) -> Value {
    let mut metric = metric.clone();
    metric["name"] = json!(name);
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": name}, "spec": {"metrics": [metric]},
    })
}

/// A Rollout of this version. What it is called says what will be wrong with its second version.
fn rollout(trouble: &str, version: u32) -> Value {
    let analysis = match trouble {
        "failed" => Some("success-rate"),
        "migration" => Some("migration"),
        "missing" => Some("nothere"),
        _ => None,
    };
    let gate = match analysis {
        Some(template) => json!({"analysis": {"templates": [{"templateName": template}]}}),
        None => json!({"pause": {}}),
    };
    let annotations = match trouble {
        "image" if version == 2 => json!({"fake.serin/image-pull": "true"}),
        "crash" | "deadline" if version == 2 => json!({"fake.serin/crash": "true"}),
        "slow" if version == 2 => json!({"fake.serin/never-ready": "true"}),
        _ => json!({}),
    };
    let mut steps = vec![json!({"setWeight": 25}), gate];
    if analysis.is_some() {
        steps.push(json!({"setWeight": 50}));
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": trouble},
        "spec": {
            "replicas": 4,
            "progressDeadlineSeconds": if trouble == "deadline" { 5 } else { 600 },
            "selector": {"matchLabels": {"app": trouble}},
            "template": {
                "metadata": {"labels": {"app": trouble}, "annotations": annotations},
                "spec": {"containers": [{"name": "app", "image": format!("app:v{version}")}]},
            },
            "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": steps}},
        },
    })
}

#[test]
fn what_the_runbook_quotes_is_what_serin_says() {
    let world = World::shared();
    for namespace in ["runbook", "runbook-quota"] {
        world.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait"]);
        world.kubectl(&["create", "namespace", namespace]);
    }
    world.kubectl(&["create", "quota", "pods", "--hard=pods=4", "-n", "runbook-quota"]);
    let apply = |namespace: &str, mut object: Value| {
        object["metadata"]["namespace"] = json!(namespace);
        world.apply(&object.to_string());
    };
    apply("runbook", template("migration", &json!({"provider": job("1")})));
    let wrong = json!({"interval": "1s", "count": 3, "failureLimit": 0, "successCondition": "result.major == \"0\"",
        "provider": {"web": {"url": format!("{}/version", world.server()), "insecure": true}}});
    apply("runbook", template("success-rate", &wrong));
    let _controllers =
        ["runbook", "runbook-quota"].map(|namespace| Controller::start(namespace, world.kubeconfig()));

    // Which Rollout, and the end of the runbook's line about it.
    let crash = "to become ready (CrashLoopBackOff: container app exited with code 1)";
    let crash_in_step = format!("(setWeight: 25), waiting for pod <pod> {crash}");
    let crash_too_long = format!("has timed out progressing. It is waiting for pod <pod> {crash}");
    let expected = [
        ("runbook", "image", "(ImagePullBackOff: image app:v2)"),
        ("runbook", "crash", &crash_in_step),
        ("runbook", "slow", "step 1 of 2 (setWeight: 25)"),
        ("runbook", "deadline", &crash_too_long),
        ("runbook", "failed", "due to failed (1) > failureLimit (0)"),
        (
            "runbook",
            "migration",
            "Job has reached the specified backoff limit\"",
        ),
        ("runbook-quota", "quota", "limited: pods=4)"),
        ("runbook", "missing", "AnalysisTemplate \"nothere\" was not found"),
    ];
    let moving = || expected.iter().filter(|(_, name, _)| *name != "missing");
    let said = |namespace: &str, name: &str| {
        let now = world.get(namespace, &["rollout", name]);
        let status = &now["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let generation = now["metadata"]["generation"].to_string();
        if status["observedGeneration"] == *generation {
            format!("{}: {}", text(&status["phase"]), text(&status["message"]))
        } else {
            "nothing yet".to_owned()
        }
    };
    for (namespace, name, _) in expected {
        apply(namespace, rollout(name, 1));
    }
    for (namespace, name, _) in moving() {
        eventually("the first version is there", || {
            (said(namespace, name) == "Healthy: ").then_some(())
        });
    }
    for (namespace, name, _) in moving() {
        apply(namespace, rollout(name, 2));
    }
    for (namespace, name, words) in expected {
        let quote = quoted(words);
        let is_said = pattern(&quote);
        let last = RefCell::new(String::new());
        let what = || format!("{name}: {quote}\nbut: {}", last.borrow());
        eventually_telling(what, || {
            *last.borrow_mut() = said(namespace, name);
            is_said.is_match(&last.borrow()).then_some(())
        });
    }
}
