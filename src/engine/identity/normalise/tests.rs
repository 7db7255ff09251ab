#![expect(
    clippy::needless_pass_by_value,
    reason = "the samples are made where they are used"
)]

use super::*;

fn template(spec: Value) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
}

fn container(container: Value) -> Value {
    template(json!({"containers": [container]}))
}

fn volume(volume: Value) -> Value {
    template(json!({"containers": [], "volumes": [volume]}))
}

#[track_caller]
fn same(one: &Value, other: &Value) {
    assert!(
        equal_by_meaning(one, other, None),
        "\n{}\n{}",
        normalise(one),
        normalise(other)
    );
    assert!(equal_by_meaning(other, one, None), "not the other way round");
}

#[track_caller]
fn differ(one: &Value, other: &Value) {
    assert!(!equal_by_meaning(one, other, None), "\n{}", normalise(one));
    assert!(!equal_by_meaning(other, one, None), "not the other way round");
}

const TEMPLATES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/template_hashes.jsonl"
));
const KEPT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/template_defaults.jsonl"
));

/// Removes what the samples have and no server knows: it would be compared, and the server drops it.
fn without_unknown(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| key != "notAField" && key != "unknown");
            entries.values_mut().for_each(without_unknown);
        }
        Value::Array(items) => items.iter_mut().for_each(without_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Some 200 templates, and each as Kubernetes 1.36 keeps it in a ReplicaSet (`tests/tools/godefaults`).
#[test]
fn a_template_is_the_same_after_the_api_server_had_it() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut forms: Vec<Value> = Vec::new();
    assert_eq!(TEMPLATES.lines().count(), KEPT.lines().count());
    for (given, kept) in TEMPLATES.lines().zip(KEPT.lines()) {
        let mut given = parse(given)["template"].take();
        without_unknown(&mut given);
        same(&given, &parse(kept));
        forms.push(normalise(&given));
    }
    // And none is taken for another, except the ways to write nothing.
    let nothing = normalise(&json!({}));
    for (number, form) in forms.iter().enumerate().filter(|(_, form)| **form != nothing) {
        assert!(!forms[..number].contains(form), "line {}: {form}", number + 1);
    }
    assert!(forms.iter().filter(|form| **form == nothing).count() < 30);
}

#[test]
fn the_hash_label_does_not_count() {
    let plain = json!({"metadata": {"labels": {"app": "web"}}});
    let labelled = json!({"metadata": {"labels": {"app": "web", "rollouts-pod-template-hash": "abc"}}});
    same(&plain, &labelled);
    same(
        &json!({}),
        &json!({"metadata": {"labels": {"rollouts-pod-template-hash": "abc"}}}),
    );
    differ(
        &plain,
        &json!({"metadata": {"labels": {"app": "db", "rollouts-pod-template-hash": "abc"}}}),
    );
}

#[test]
fn nothing_is_nothing_however_written() {
    same(
        &json!({}),
        &json!({"metadata": {"creationTimestamp": null, "annotations": {}}, "spec": {"volumes": [], "hostNetwork": false,
            "nodeName": "", "affinity": {"podAntiAffinity": {}}, "securityContext": {}, "dnsConfig": {"options": null}}}),
    );
    same(
        &container(json!({"name": "a"})),
        &container(json!({"name": "a", "args": [], "resources": {"limits": {}},
        "securityContext": {"capabilities": {"add": []}}, "lifecycle": {}})),
    );
    same(&json!(null), &json!({}));
}

/// Behind a pointer, zero and empty are values of their own.
#[test]
fn what_means_something_though_zero_or_empty_counts() {
    differ(
        &template(json!({})),
        &template(json!({"terminationGracePeriodSeconds": 0})),
    );
    differ(
        &template(json!({})),
        &template(json!({"automountServiceAccountToken": false})),
    );
    differ(
        &container(json!({})),
        &container(json!({"securityContext": {"runAsUser": 0}})),
    );
    differ(
        &container(json!({})),
        &container(json!({"securityContext": {"seLinuxOptions": {}}})),
    );
    differ(
        &container(json!({})),
        &container(json!({"resources": {"limits": {"cpu": "0"}}})),
    );
    let term = |term: Value| {
        template(
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
        )
    };
    differ(
        &term(json!({"topologyKey": "z"})),
        &term(json!({"topologyKey": "z", "namespaceSelector": {}})),
    );
    differ(
        &term(json!({"topologyKey": "z"})),
        &term(json!({"topologyKey": "z", "labelSelector": {}})),
    );
}

#[test]
fn order_in_lists_counts_and_order_of_keys_does_not() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    same(
        &parse(r#"{"spec":{"nodeName":"n","hostname":"h"}}"#),
        &parse(r#"{"spec":{"hostname":"h","nodeName":"n"}}"#),
    );
    differ(
        &container(json!({"args": ["a", "b"]})),
        &container(json!({"args": ["b", "a"]})),
    );
}

#[test]
fn quantities_are_compared_by_value() {
    let limits = |cpu: Value| container(json!({"resources": {"limits": {"cpu": cpu}}}));
    for other in [
        json!("1000m"),
        json!(1),
        json!("1e0"),
        json!("0.9999"),
        json!(1.0),
    ] {
        same(&limits(json!("1")), &limits(other));
    }
    differ(&limits(json!("1")), &limits(json!("1001m")));
    differ(&limits(json!("much")), &limits(json!("more")));
    let size = |size: &str| volume(json!({"name": "v", "emptyDir": {"sizeLimit": size}}));
    same(&size("1Gi"), &size("1024Mi"));
    // Not a resource, so not rounded.
    differ(&size("0.1m"), &size("1m"));
    let divisor = |reference: Value| {
        container(json!({"env": [{"name": "a", "valueFrom": {"resourceFieldRef": reference}}]}))
    };
    same(
        &divisor(json!({"resource": "limits.cpu"})),
        &divisor(json!({"resource": "limits.cpu", "divisor": "0"})),
    );
    differ(
        &divisor(json!({"resource": "limits.cpu"})),
        &divisor(json!({"resource": "limits.cpu", "divisor": "1m"})),
    );
}

#[test]
fn pod_defaults() {
    same(
        &template(json!({})),
        &template(
            json!({"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "securityContext": {}}),
        ),
    );
    for other in [
        json!({"dnsPolicy": "Default"}),
        json!({"restartPolicy": "Never"}),
        json!({"schedulerName": "mine"}),
        json!({"terminationGracePeriodSeconds": 31}),
        json!({"enableServiceLinks": false}),
        json!({"securityContext": {"runAsNonRoot": true}}),
    ] {
        differ(&template(json!({})), &template(other));
    }
}

#[test]
fn the_service_account_has_two_names() {
    let both = template(json!({"serviceAccountName": "a", "serviceAccount": "a"}));
    same(&template(json!({"serviceAccountName": "a"})), &both);
    same(&template(json!({"serviceAccount": "a"})), &both);
    differ(&template(json!({})), &both);
    differ(&template(json!({"serviceAccountName": "b"})), &both);
}

#[test]
fn container_defaults() {
    let plain = json!({"name": "a", "image": "a:1"});
    let full = json!({"name": "a", "image": "a:1", "imagePullPolicy": "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
    same(&container(plain.clone()), &container(full.clone()));
    same(
        &template(json!({"initContainers": [plain]})),
        &template(json!({"initContainers": [full]})),
    );
    let port = |port: Value| container(json!({"ports": [port]}));
    same(
        &port(json!({"containerPort": 80})),
        &port(json!({"containerPort": 80, "protocol": "TCP", "hostPort": 0})),
    );
    differ(
        &port(json!({"containerPort": 80})),
        &port(json!({"containerPort": 80, "protocol": "UDP"})),
    );
}

#[test]
fn images_are_pulled_by_their_tag() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry:5000/nginx", "Always"),
        ("nginx:latest@sha256:0", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("registry:5000/a/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0", "IfNotPresent"),
        ("localhost/a_b/c.d", "Always"),
        ("Registry/nginx", "Always"),
        ("", "IfNotPresent"),
        ("Nginx", "IfNotPresent"),
        ("{{image}}", "IfNotPresent"),
    ] {
        let with = |policy: &str| container(json!({"image": image, "imagePullPolicy": policy}));
        same(&container(json!({"image": image})), &with(policy));
        differ(&container(json!({"image": image})), &with("Never"));
        let source = |fields: Value| volume(json!({"name": "v", "image": fields}));
        same(
            &source(json!({"reference": image})),
            &source(json!({"reference": image, "pullPolicy": policy})),
        );
    }
}

#[test]
fn probe_and_hook_defaults() {
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let with = |value: Value| container(json!({probe: value}));
        same(
            &with(json!({"httpGet": {"port": 80}, "periodSeconds": 0})),
            &with(
                json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                "successThreshold": 1, "failureThreshold": 3}),
            ),
        );
        same(
            &with(json!({"grpc": {"port": 1}})),
            &with(json!({"grpc": {"port": 1, "service": ""}})),
        );
        differ(
            &with(json!({"httpGet": {"port": 80}})),
            &with(json!({"httpGet": {"port": "80"}})),
        );
        differ(
            &with(json!({"httpGet": {"port": 80}})),
            &with(json!({"httpGet": {"port": 80}, "timeoutSeconds": 2})),
        );
    }
    let hook = |action: Value| container(json!({"lifecycle": {"preStop": {"httpGet": action}}}));
    same(
        &hook(json!({"port": 1})),
        &hook(json!({"port": 1, "path": "/", "scheme": "HTTP"})),
    );
}

#[test]
fn references_to_fields_are_of_version_one() {
    let variable = |source: Value| container(json!({"env": [{"name": "a", "valueFrom": source}]}));
    same(
        &variable(json!({"fieldRef": {"fieldPath": "metadata.name"}})),
        &variable(json!({"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}})),
    );
    same(
        &variable(json!({"fileKeyRef": {"key": "k"}})),
        &variable(json!({"fileKeyRef": {"key": "k", "optional": false}})),
    );
    let item =
        |reference: Value| volume(json!({"name": "v", "downwardAPI": {"items": [{"fieldRef": reference}]}}));
    same(
        &item(json!({"fieldPath": "a"})),
        &item(json!({"fieldPath": "a", "apiVersion": "v1"})),
    );
}

#[test]
fn limits_are_requests_where_there_are_none() {
    let resources = |resources: Value| container(json!({"resources": resources}));
    same(
        &resources(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})),
        &resources(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}),
        ),
    );
    differ(
        &resources(json!({"limits": {"cpu": "1"}})),
        &resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "0"}})),
    );
}

#[test]
fn on_the_hosts_network_ports_are_the_hosts() {
    let pod = |network: bool, port: Value| {
        template(json!({"hostNetwork": network, "containers": [{"ports": [port]}]}))
    };
    let host_port = json!({"containerPort": 80, "hostPort": 80});
    same(
        &pod(true, json!({"containerPort": 80})),
        &pod(true, host_port.clone()),
    );
    differ(&pod(false, json!({"containerPort": 80})), &pod(false, host_port));
}

#[test]
fn volume_defaults() {
    for (plain, full) in [
        (json!({}), json!({"emptyDir": {}})),
        (
            json!({"secret": {"secretName": "s"}}),
            json!({"secret": {"secretName": "s", "defaultMode": 420}}),
        ),
        (
            json!({"configMap": {"name": "c"}}),
            json!({"configMap": {"name": "c", "defaultMode": 420}}),
        ),
        (
            json!({"downwardAPI": {}}),
            json!({"downwardAPI": {"defaultMode": 420}}),
        ),
        (
            json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
            json!({"projected": {"defaultMode": 420, "sources":
                [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}}),
        ),
        (
            json!({"hostPath": {"path": "/p"}}),
            json!({"hostPath": {"path": "/p", "type": ""}}),
        ),
        (
            json!({"iscsi": {"iqn": "i"}}),
            json!({"iscsi": {"iqn": "i", "iscsiInterface": "default"}}),
        ),
        (
            json!({"rbd": {"image": "i"}}),
            json!({"rbd": {"image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}}),
        ),
        (
            json!({"azureDisk": {"diskName": "d"}}),
            json!({"azureDisk": {"diskName": "d", "cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": false,
                "kind": "Shared"}}),
        ),
        (
            json!({"scaleIO": {"system": "s"}}),
            json!({"scaleIO": {"system": "s", "storageMode": "ThinProvisioned", "fsType": "xfs"}}),
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"creationTimestamp": null}, "spec": {}}}}),
            json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem", "resources": {}}}}}),
        ),
    ] {
        let named = |mut source: Value| {
            source["name"] = json!("v");
            volume(source)
        };
        same(&named(plain), &named(full.clone()));
        if full != json!({"emptyDir": {}}) {
            differ(&named(json!({})), &named(full));
        }
    }
    differ(
        &volume(json!({"name": "v", "secret": {"secretName": "s"}})),
        &volume(json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 256}})),
    );
}

#[test]
fn unknown_fields_are_compared_as_they_are() {
    let newer = |value: Value| container(json!({"name": "a", "newerField": value}));
    same(&newer(json!({"a": ""})), &newer(json!({"a": ""})));
    differ(&newer(json!({"a": ""})), &newer(json!({})));
    differ(&newer(json!(1)), &container(json!({"name": "a"})));
    same(&newer(Value::Null), &container(json!({"name": "a"})));
    // A volume of a kind that we do not know is not a volume of no kind.
    differ(
        &volume(json!({"name": "v", "newerKind": {}})),
        &volume(json!({"name": "v", "newerKind": {}, "emptyDir": {}})),
    );
}

#[test]
fn injected_metadata_is_taken_out_by_its_record() {
    let rollout = json!({"metadata": {"labels": {"app": "web", "own": "1"}}});
    let kept = json!({"metadata": {"labels": {"app": "web", "own": "1", "role": "canary", "rollouts-pod-template-hash": "x"},
        "annotations": {"a": "b"}}});
    let record = r#"{"labels":{"role":"canary","own":"1"},"annotations":{"a":"b"}}"#;
    assert!(equal_by_meaning(&rollout, &kept, Some(record)));
    assert!(!equal_by_meaning(&rollout, &kept, None));
    assert!(!equal_by_meaning(
        &rollout,
        &kept,
        Some(r#"{"labels":{"role":"canary"}}"#)
    ));
    for broken in ["", "{", "[]", "{\"labels\":7}", "null"] {
        assert!(!equal_by_meaning(&rollout, &kept, Some(broken)), "{broken}");
    }
    // The Rollout's template is never changed: a label that it has too is no injected one.
    assert!(!equal_by_meaning(&kept, &rollout, Some(record)));
}

#[test]
fn injected_anti_affinity_is_taken_out_of_the_replica_set_only() {
    let injected = json!({"labelSelector": {"matchExpressions": [{"key": "rollouts-pod-template-hash", "operator": "In",
        "values": ["6b9b86fbd5"]}]}, "namespaces": ["n"], "topologyKey": "kubernetes.io/hostname"});
    let own = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"});
    let required = |terms: Value| {
        template(
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}),
        )
    };
    let preferred = |terms: Value| {
        template(
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}}),
        )
    };
    let none = template(json!({}));
    assert!(equal_by_meaning(&none, &required(json!([injected])), None));
    assert!(equal_by_meaning(
        &none,
        &preferred(json!([{"weight": 1, "podAffinityTerm": injected}])),
        None
    ));
    assert!(equal_by_meaning(
        &required(json!([own])),
        &required(json!([own, injected])),
        None
    ));
    assert!(!equal_by_meaning(&none, &required(json!([own, injected])), None));
    // A user's own term of that form counts, on whichever side.
    assert!(!equal_by_meaning(&required(json!([injected])), &none, None));
    assert!(equal_by_meaning(
        &required(json!([injected])),
        &required(json!([injected])),
        None
    ));
}

#[test]
fn any_json_has_a_normal_form() {
    for odd in [
        json!(7),
        json!([]),
        json!({"spec": "x", "metadata": {"labels": []}}),
        json!({"spec": {"containers": [null, 7, {"resources": {"limits": 5, "requests": []}, "env": {}}], "volumes": [7]}}),
        json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [7, null]}}}}),
    ] {
        assert!(
            equal_by_meaning(&odd, &odd, Some("{\"labels\":{\"a\":\"b\"}}")),
            "{odd}"
        );
        assert!(!equal_by_meaning(&odd, &json!({}), None), "{odd}");
    }
}
