//! The definitions in `crds/` and in the chart are those of the types, and say what the contract says (section 1.0).
//!
//! `UPDATE=1 cargo test --test crds` writes the files anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests do")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use serin::api::crds_yaml;

/// Above this a client-side `kubectl apply` fails: the limit of all annotations of an object together.
const ANNOTATIONS_LIMIT: usize = 262_144;

/// Making the definitions takes longer than any test of them.
fn crds() -> &'static [CustomResourceDefinition] {
    static CRDS: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(serin::api::crds);
    &CRDS
}

/// Where they are: for people, and for Helm, which takes nothing from outside of a chart.
const FOLDERS: [&str; 2] = ["crds", "charts/serin/files/crds"];

fn file_of(folder: &str, crd: &CustomResourceDefinition) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("{folder}/{}.yaml", crd.spec.names.plural))
}

fn schema_of(crd: &CustomResourceDefinition) -> Value {
    let schema = crd.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Every schema below this one, with its path: `.spec.steps[].pause`.
fn walk<'a>(schema: &'a Value, path: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            walk(&schema[below], &format!("{path}[]"), visit);
        }
    }
}

/// What a keyword says, wherever a schema has it: `path = value`.
fn keyword(schema: &Value, word: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(schema, "", &mut |path, schema| {
        if let Some(value) = schema.get(word) {
            found.insert(format!("{path} = {value}"));
        }
    });
    found
}

fn crd_named(kind: &str) -> &'static CustomResourceDefinition {
    crds().iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

#[test]
fn files_are_those_of_the_types() {
    for (folder, crd) in FOLDERS
        .iter()
        .flat_map(|folder| crds().iter().map(move |crd| (folder, crd)))
    {
        let (path, generated) = (file_of(folder, crd), crds_yaml(crd));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == generated,
            "{} is not up to date: UPDATE=1 cargo test --test crds",
            path.display()
        );
    }
}

#[test]
fn no_file_is_left_of_a_kind_that_is_gone() {
    for name in FOLDERS {
        let expected: BTreeSet<_> = crds().iter().map(|crd| file_of(name, crd)).collect();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        let stored: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(stored, expected);
    }
}

#[test]
fn yaml_reads_back_as_the_same_definition() {
    for crd in crds() {
        let read: CustomResourceDefinition = serde_saphyr::from_str(&crds_yaml(crd)).unwrap();
        assert_eq!(&read, crd);
    }
}

#[test]
fn each_is_small_enough_for_a_plain_apply() {
    for crd in crds() {
        let (yaml, last_applied) = (crds_yaml(crd).len(), serde_json::to_string(crd).unwrap().len());
        assert!(
            yaml < ANNOTATIONS_LIMIT,
            "{}: {yaml} bytes as YAML",
            crd.spec.names.plural
        );
        assert!(
            last_applied < ANNOTATIONS_LIMIT,
            "{}: {last_applied} bytes as JSON",
            crd.spec.names.plural
        );
    }
}

/// Kind, plural, short name, scope, subresources, printer columns: the table of section 1.0.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Value,
    Vec<[&'static str; 3]>,
);

fn inventory() -> Vec<Row> {
    let age = ["Age", "date", ".metadata.creationTimestamp"];
    let status = ["Status", "string", ".status.phase"];
    let scale = json!({
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.HPAReplicas",
            "labelSelectorPath": ".status.selector",
        },
    });
    let rollout = vec![
        ["Desired", "integer", ".spec.replicas"],
        ["Current", "integer", ".status.replicas"],
        ["Up-to-date", "integer", ".status.updatedReplicas"],
        ["Available", "integer", ".status.availableReplicas"],
        age,
    ];
    vec![
        (
            "AnalysisRun",
            "analysisruns",
            "ar",
            "Namespaced",
            Value::Null,
            vec![status, age],
        ),
        (
            "AnalysisTemplate",
            "analysistemplates",
            "at",
            "Namespaced",
            Value::Null,
            vec![age],
        ),
        (
            "ClusterAnalysisTemplate",
            "clusteranalysistemplates",
            "cat",
            "Cluster",
            Value::Null,
            vec![age],
        ),
        (
            "Experiment",
            "experiments",
            "exp",
            "Namespaced",
            Value::Null,
            vec![status, age],
        ),
        ("Rollout", "rollouts", "ro", "Namespaced", scale, rollout),
    ]
}

#[test]
fn kinds_are_those_of_the_contract() {
    let (crds, inventory) = (crds(), inventory());
    assert_eq!(crds.len(), inventory.len());
    for (crd, (kind, plural, short, scope, subresources, columns)) in crds.iter().zip(inventory) {
        let (names, version) = (&crd.spec.names, &crd.spec.versions[0]);
        assert_eq!(
            crd.metadata.name.as_deref(),
            Some(format!("{plural}.argoproj.io").as_str())
        );
        assert_eq!(crd.spec.group, "argoproj.io");
        assert_eq!((names.kind.as_str(), names.plural.as_str()), (kind, plural));
        assert_eq!(
            names.short_names.as_deref(),
            Some([short.to_owned()].as_slice()),
            "{kind}"
        );
        assert_eq!(crd.spec.scope, scope, "{kind}");
        assert!(crd.spec.conversion.is_none(), "{kind}");
        assert_eq!(crd.spec.versions.len(), 1, "{kind}");
        assert_eq!(
            (version.name.as_str(), version.served, version.storage),
            ("v1alpha1", true, true),
            "{kind}"
        );
        assert_eq!(
            serde_json::to_value(&version.subresources).unwrap(),
            subresources,
            "{kind}"
        );
        let printed: Vec<_> = version.additional_printer_columns.iter().flatten().collect();
        let printed: Vec<_> = printed
            .iter()
            .map(|column| [column.name.as_str(), &column.type_, &column.json_path])
            .collect();
        assert_eq!(printed, columns, "{kind}");
    }
}

#[test]
fn only_the_selector_is_immutable() {
    let rule = r#"[{"message":".spec.selector is immutable","rule":"self == oldSelf"}]"#;
    let found = keyword(&schema_of(crd_named("Rollout")), "x-kubernetes-validations");
    assert_eq!(found, BTreeSet::from([format!(".spec.selector = {rule}")]));
    assert!(keyword(&schema_of(crd_named("Experiment")), "x-kubernetes-validations").is_empty());
}

#[test]
fn only_keys_of_list_maps_have_defaults() {
    let of_template = |template: &str| -> BTreeSet<String> {
        let ports = ["containers", "initContainers", "ephemeralContainers"]
            .map(|list| format!("{template}.spec.{list}[].ports[].protocol = \"TCP\""));
        let secrets = format!("{template}.spec.imagePullSecrets[].name = \"\"");
        ports.into_iter().chain([secrets]).collect()
    };
    assert_eq!(
        keyword(&schema_of(crd_named("Rollout")), "default"),
        of_template(".spec.template")
    );
    assert_eq!(
        keyword(&schema_of(crd_named("Experiment")), "default"),
        of_template(".spec.templates[].template")
    );
}

#[test]
fn no_keyword_makes_the_api_server_keep_nulls_or_warn() {
    for crd in crds() {
        let schema = schema_of(crd);
        assert_eq!(
            keyword(&schema, "nullable"),
            BTreeSet::new(),
            "{}",
            crd.spec.names.kind
        );
        for format in keyword(&schema, "format") {
            assert!(
                ["int32", "int64", "date-time"]
                    .iter()
                    .any(|known| format.ends_with(&format!("= \"{known}\""))),
                "{format}"
            );
        }
    }
}

#[test]
fn descriptions_have_no_links_of_our_own_docs() {
    for crd in crds() {
        for description in keyword(&schema_of(crd), "description") {
            assert!(
                !description.contains("[`") && !description.contains("::"),
                "{description}"
            );
        }
    }
}

#[test]
fn keys_of_list_maps_are_required_or_have_a_default() {
    for crd in crds() {
        let mut checked = 0;
        walk(&schema_of(crd), "", &mut |path, schema| {
            if schema["x-kubernetes-list-type"] != "map" {
                return;
            }
            for key in schema["x-kubernetes-list-map-keys"].as_array().unwrap() {
                let property = &schema["items"]["properties"][key.as_str().unwrap()];
                let required = schema["items"]["required"]
                    .as_array()
                    .is_some_and(|keys| keys.contains(key));
                assert!(required || property.get("default").is_some(), "{path}: {key}");
                checked += 1;
            }
        });
        if ["Rollout", "Experiment"].contains(&crd.spec.names.kind.as_str()) {
            assert_eq!(
                checked, 29,
                "{}: list maps of the pod template",
                crd.spec.names.kind
            );
        }
    }
}

#[test]
fn lists_of_a_pod_template_merge_as_in_a_deployment() {
    let schema = schema_of(crd_named("Rollout"));
    let spec = &schema["properties"]["spec"]["properties"]["template"]["properties"]["spec"];
    let mut found = BTreeSet::new();
    walk(spec, "", &mut |path, schema| {
        if schema["x-kubernetes-list-type"] == "map" && !path.contains("nitContainers") {
            found.insert(format!("{path} by {}", schema["x-kubernetes-list-map-keys"]));
        }
    });
    let of_container = |list: &str| {
        [
            format!(".{list} by [\"name\"]"),
            format!(".{list}[].env by [\"name\"]"),
            format!(".{list}[].ports by [\"containerPort\",\"protocol\"]"),
            format!(".{list}[].resources.claims by [\"name\"]"),
            format!(".{list}[].volumeDevices by [\"devicePath\"]"),
            format!(".{list}[].volumeMounts by [\"mountPath\"]"),
        ]
    };
    let mut expected: BTreeSet<String> = [
        ".hostAliases by [\"ip\"]",
        ".imagePullSecrets by [\"name\"]",
        ".resourceClaims by [\"name\"]",
        ".resources.claims by [\"name\"]",
        ".schedulingGates by [\"name\"]",
        ".topologySpreadConstraints by [\"topologyKey\",\"whenUnsatisfiable\"]",
        ".volumes by [\"name\"]",
    ]
    .map(str::to_owned)
    .into();
    expected.extend(of_container("containers"));
    expected.extend(of_container("ephemeralContainers"));
    assert_eq!(found, expected);
}

/// The paths that a client has to write; the pod template has its own test.
fn required(kind: &str, template: &str) -> BTreeSet<String> {
    let found = keyword(&schema_of(crd_named(kind)), "required");
    found
        .into_iter()
        .filter(|line| !line.starts_with(template))
        .collect()
}

#[test]
fn required_fields_of_a_rollout_are_those_of_the_contract() {
    let mut expected = BTreeSet::from([r#" = ["spec"]"#.to_owned()]);
    let mut add = |lines: &[&str]| expected.extend(lines.iter().map(|line| (*line).to_owned()));
    add(&[r#".spec.selector.matchExpressions[] = ["key","operator"]"#]);
    add(&[
        r#".spec.strategy.blueGreen = ["activeService"]"#,
        r#".spec.strategy.canary.pingPong = ["pingService","pongService"]"#,
        r#".spec.strategy.canary.replicaProgressThreshold = ["type","value"]"#,
        r#".status.conditions[] = ["lastTransitionTime","lastUpdateTime","message","reason","status","type"]"#,
        r#".status.pauseConditions[] = ["reason","startTime"]"#,
    ]);
    for strategy in ["blueGreen", "canary"] {
        add(&[&format!(
            r#".spec.strategy.{strategy}.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution = ["weight"]"#
        )]);
    }
    for analysis in [
        "blueGreen.prePromotionAnalysis",
        "blueGreen.postPromotionAnalysis",
        "canary.analysis",
        "canary.steps[].analysis",
    ] {
        let path = format!(".spec.strategy.{analysis}");
        add(&[
            &format!(r#"{path}.args[] = ["name"]"#),
            &format!(r#"{path}.args[].valueFrom.fieldRef = ["fieldPath"]"#),
            &format!(r#"{path}.dryRun[] = ["metricName"]"#),
            &format!(r#"{path}.measurementRetention[] = ["limit","metricName"]"#),
        ]);
    }
    for (path, fields) in [
        ("experiment", r#"["templates"]"#),
        ("experiment.templates[]", r#"["name","specRef"]"#),
        (
            "experiment.templates[].selector.matchExpressions[]",
            r#"["key","operator"]"#,
        ),
        ("experiment.analyses[]", r#"["name","templateName"]"#),
        ("experiment.analyses[].args[]", r#"["name"]"#),
        (
            "experiment.analyses[].args[].valueFrom.fieldRef",
            r#"["fieldPath"]"#,
        ),
        ("experiment.dryRun[]", r#"["metricName"]"#),
        ("setHeaderRoute.match[]", r#"["headerName","headerValue"]"#),
        ("setMirrorRoute", r#"["name"]"#),
        ("plugin", r#"["name"]"#),
    ] {
        add(&[&format!(".spec.strategy.canary.steps[].{path} = {fields}")]);
    }
    for (path, fields) in [
        ("managedRoutes[]", r#"["name"]"#),
        ("istio.virtualService", r#"["name"]"#),
        ("istio.virtualServices[]", r#"["name"]"#),
        (
            "istio.destinationRule",
            r#"["canarySubsetName","name","stableSubsetName"]"#,
        ),
        ("alb", r#"["servicePort"]"#),
        ("alb.stickinessConfig", r#"["durationSeconds","enabled"]"#),
        ("ambassador", r#"["mappings"]"#),
        ("appMesh.virtualService", r#"["name"]"#),
        (
            "appMesh.virtualNodeGroup",
            r#"["canaryVirtualNodeRef","stableVirtualNodeRef"]"#,
        ),
        ("appMesh.virtualNodeGroup.canaryVirtualNodeRef", r#"["name"]"#),
        ("appMesh.virtualNodeGroup.stableVirtualNodeRef", r#"["name"]"#),
        ("traefik", r#"["weightedTraefikServiceName"]"#),
        ("apisix.route", r#"["name"]"#),
    ] {
        add(&[&format!(".spec.strategy.canary.trafficRouting.{path} = {fields}")]);
    }
    assert_eq!(required("Rollout", ".spec.template"), expected);
}

#[test]
fn required_fields_of_an_experiment_are_those_of_the_contract() {
    let expected = [
        r#" = ["spec"]"#,
        r#".spec = ["templates"]"#,
        r#".spec.analyses[] = ["name","templateName"]"#,
        r#".spec.analyses[].args[] = ["name"]"#,
        r#".spec.analyses[].args[].valueFrom.fieldRef = ["fieldPath"]"#,
        r#".spec.analyses[].args[].valueFrom.secretKeyRef = ["key","name"]"#,
        r#".spec.dryRun[] = ["metricName"]"#,
        r#".spec.measurementRetention[] = ["limit","metricName"]"#,
        r#".spec.templates[] = ["name","selector","template"]"#,
        r#".spec.templates[].selector.matchExpressions[] = ["key","operator"]"#,
        r#".status.conditions[] = ["lastTransitionTime","lastUpdateTime","message","reason","status","type"]"#,
    ];
    assert_eq!(
        required("Experiment", ".spec.templates[].template."),
        expected.map(str::to_owned).into()
    );
}
