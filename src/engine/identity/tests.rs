use super::*;
use serde_json::json;

const HASHES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/template_hashes.jsonl"
));
const HASHES_1_8: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/template_hashes_1_8.txt"
));

fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": "nginx:1.19-alpine",
        "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
        "resources": {"requests": {"memory": "16Mi", "cpu": "5m"}},
    })
}

#[test]
fn the_contracts_templates_have_the_contracts_hashes() {
    let scale_down = json!({
        "metadata": {"labels": {"app": "canary-scaledowndelay"}},
        "spec": {"containers": [container("canary-scaledowndelay")]},
    });
    assert_eq!(template_hash(&scale_down, None), "674d8cf959");
    assert_eq!(legacy_template_hash(&scale_down, None), "66597877b7");
    let dynamic = json!({
        "metadata": {"labels": {"app": "dynamic-stable-scale"}},
        "spec": {
            "readinessGates": [{"conditionType": "argoproj.io/e2e-readiness"}],
            "containers": [container("dynamic-stable-scale")],
        },
    });
    assert_eq!(template_hash(&dynamic, None), "6b56c8cdb4");
    assert_eq!(legacy_template_hash(&dynamic, None), "868d98995b");
}

/// Some 200 templates with the hashes that the Go types of Kubernetes 0.36 and 0.29 give (`tests/tools/gotypes`).
#[test]
fn hashes_agree_with_go() {
    let mut wrong = Vec::new();
    for (number, (line, legacy)) in HASHES.lines().zip(HASHES_1_8.lines()).enumerate() {
        let row: Value = serde_json::from_str(line).unwrap();
        let ours = [
            template_hash(&row["template"], None),
            template_hash(&row["template"], Some(1)),
            legacy_template_hash(&row["template"], None),
        ];
        let go = [
            row["hash"].as_str().unwrap(),
            row["collision"].as_str().unwrap(),
            legacy,
        ];
        if ours != go {
            wrong.push(format!(
                "line {}: Go {go:?}, we {ours:?}: {}",
                number + 1,
                row["template"]
            ));
        }
    }
    assert!(HASHES.lines().count() >= 200);
    assert_eq!(HASHES.lines().count(), HASHES_1_8.lines().count());
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_collision_count_of_zero_is_hashed_too() {
    let template = json!({});
    assert_ne!(template_hash(&template, Some(0)), template_hash(&template, None));
    assert_ne!(
        template_hash(&template, Some(0)),
        template_hash(&template, Some(1))
    );
}

#[test]
fn steps_have_the_contracts_hashes() {
    for (steps, expected) in [
        (Value::Null, "5ffbfbbd64"),
        (json!([]), "5ffbfbbd64"),
        (json!([{"pause": {}}]), "6b9b86fbd5"),
        (json!([{"pause": {}}, {"pause": {}}]), "79c9b9f6bf"),
        (json!([{"setWeight": 10}, {"pause": {}}]), "849b756fd4"),
        (
            json!([{"setWeight": 10, "unknown": true}, {"pause": {"duration": null}}]),
            "849b756fd4",
        ),
    ] {
        assert_eq!(step_hash(Some(&steps)), expected, "{steps}");
        assert_eq!(legacy_step_hash(Some(&steps)), expected, "{steps}");
    }
    assert_eq!(step_hash(None), "5ffbfbbd64");
}

/// Every kind of step, as Go prints it: structs that are not pointers are always there, and so are fields without omitempty.
#[test]
fn steps_print_in_the_order_of_the_go_types() {
    let steps = json!([
        {"setWeight": 0},
        {"pause": {"duration": "1h"}},
        {"pause": {"duration": 10}},
        {"experiment": {"templates": [{"name": "a", "specRef": "canary", "service": {}}], "scaleDownDelaySeconds": 5,
            "analyses": [{"name": "x", "templateName": "t", "clusterScope": false}]}},
        {"analysis": {"templates": [{"clusterScope": true}], "args": [{"name": "h",
            "valueFrom": {"podTemplateHashValue": "Latest"}}], "measurementRetention": [{"metricName": "m"}]}},
        {"setCanaryScale": {"replicas": 0, "matchTrafficWeight": false}},
        {"setHeaderRoute": {"name": "", "match": [{"headerName": "h"}]}},
        {"setMirrorRoute": {"match": [{"headers": {"b": {"exact": "1"}, "a": {"regex": ".*"}}, "path": {"prefix": "/"}}]}},
        {"plugin": {"name": "p", "config": {"b": 1.0, "a": null}}},
        {"plugin": {"name": "q", "config": null}},
    ]);
    let modern = concat!(
        r#"[{"setWeight":0},{"pause":{"duration":"1h"}},{"pause":{"duration":10}},"#,
        r#"{"experiment":{"templates":[{"name":"a","specRef":"canary","metadata":{},"service":{}}],"#,
        r#""analyses":[{"name":"x","templateName":"t","clusterScope":false}],"analysisRunMetadata":{},"scaleDownDelaySeconds":5}},"#,
        r#"{"analysis":{"templates":[{"templateName":"","clusterScope":true}],"#,
        r#""args":[{"name":"h","valueFrom":{"podTemplateHashValue":"Latest"}}],"measurementRetention":[{"metricName":"m","limit":0}]}},"#,
        r#"{"setCanaryScale":{"replicas":0}},{"setHeaderRoute":{"match":[{"headerName":"h","headerValue":null}]}},"#,
        r#"{"setMirrorRoute":{"name":"","match":[{"path":{"prefix":"/"},"headers":{"a":{"regex":".*"},"b":{"exact":"1"}}}]}},"#,
        r#"{"plugin":{"name":"p","config":{"a":null,"b":1}}},{"plugin":{"name":"q","config":null}}]"#,
    );
    assert_eq!(encode::encode(Table::canary_steps(), Some(&steps)), modern);
    // What the contract's own Go types give, 1.10.
    assert_eq!(step_hash(Some(&steps)), "7fbbc8f584");
    let legacy = modern
        .replace(r#","clusterScope":false"#, "")
        .replace(r#","scaleDownDelaySeconds":5"#, "")
        .replace(r#""limit":0}]}"#, r#""limit":0}],"analysisRunMetadata":{}}"#);
    assert_eq!(encode::encode(Table::canary_steps_1_8(), Some(&steps)), legacy);
}

#[test]
fn what_go_cannot_decode_still_has_a_hash_that_follows_it() {
    let template = |cpu: Value| json!({"spec": {"containers": [{"resources": {"limits": {"cpu": cpu}}}]}});
    let much = template_hash(&template(json!("much")), None);
    assert_eq!(template_hash(&template(json!("much")), None), much);
    assert_ne!(template_hash(&template(json!("more")), None), much);
    for odd in [
        json!([]),
        json!("x"),
        json!(7),
        json!(true),
        json!({"spec": [1], "metadata": "x"}),
    ] {
        assert!(!template_hash(&odd, None).is_empty() && !step_hash(Some(&odd)).is_empty());
    }
}

#[test]
fn the_alphabet_has_no_vowels_and_digits_map_as_in_go() {
    assert_eq!(safe_encode("0123456789"), "456789bcdf");
    assert_eq!(safe_encode(""), "");
}
