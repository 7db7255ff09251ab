//! Objects for the tests.

use serde_json::{Value, json};

/// A canary Rollout with one container, whose image is `app:v1`.
pub fn rollout(name: &str, replicas: u32, canary: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
            },
            "strategy": {"canary": canary},
        },
    })
}

/// The strategy that moves one pod at a time and never has fewer than asked for.
pub fn canary(steps: &Value) -> Value {
    json!({"maxSurge": 1, "maxUnavailable": 0, "steps": steps})
}

/// An AnalysisTemplate that asks `url` for a JSON object, once a second, `count` times, and wants its `ok` to be true.
pub fn web_template(name: &str, url: &str, count: u32) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name},
        "spec": {"metrics": [{
            "name": "answer",
            "interval": "1s",
            "count": count,
            "successCondition": "result.ok",
            "provider": {"web": {"url": url, "timeoutSeconds": 5}},
        }]},
    })
}
