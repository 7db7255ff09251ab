//! The chart and the plain manifests, before an API server that validates strictly and admits nothing but restricted pods.
//!
//! `cargo test --features cluster-tests --test chart`. The cluster is called `test-chart`; it is found or started, the chart is
//! installed in it with its defaults, and it is left up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]

#[path = "chart/alerts.rs"]
mod alerts;
#[path = "chart/rights.rs"]
mod rights;
#[path = "chart/runbook.rs"]
mod runbook;
#[path = "chart/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use world::{NAMESPACE, World, documents, helm, root, try_helm};

/// Every documented set of values, by its file.
fn documented() -> Vec<PathBuf> {
    let all = std::fs::read_dir(root("charts/serin/ci")).unwrap();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 7, "{all:?}");
    all
}

fn template(more: &[&str]) -> String {
    template_of("serin", more)
}

fn template_of(release: &str, more: &[&str]) -> String {
    let mut args = vec!["template", release, "charts/serin", "--namespace", NAMESPACE];
    args.extend(more);
    helm(&args)
}

/// The pod that a manifest's only Deployment would make, under a name of its own.
fn pod(manifests: &str) -> Value {
    let all = documents(manifests);
    let mut of_kind = all.iter().filter(|o| o["kind"] == "Deployment");
    let deployment = of_kind.next().unwrap();
    assert_eq!(of_kind.next(), None);
    let template = &deployment["spec"]["template"];
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "one-of-its-pods", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    })
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for values in documented() {
        let values = values.to_str().unwrap();
        helm(&["lint", "--strict", "charts/serin", "--values", values]);
    }
}

#[test]
fn every_documented_set_of_values_is_taken_as_it_stands_and_its_pods_are_restricted() {
    let world = World::shared();
    for values in documented() {
        // A release of its own: applied to what is installed it would be merged with that.
        let release = values.file_stem().unwrap().to_str().unwrap();
        let manifests = template_of(release, &["--values", values.to_str().unwrap()]);
        world.accepts(&values.display().to_string(), &manifests);
        // A Deployment is only warned of: it is its pods that the standard refuses.
        let mut pod = pod(&manifests);
        pod["spec"]["serviceAccountName"] = json!("default");
        world.accepts(&format!("a pod of {}", values.display()), &pod.to_string());
    }
}

#[test]
fn a_pod_that_is_not_restricted_would_be_refused() {
    let world = World::shared();
    let manifests = template(&[
        "--set",
        "controller.containerSecurityContext.allowPrivilegeEscalation=true",
    ]);
    let refusal = world.try_accept(&pod(&manifests).to_string()).unwrap_err();
    assert!(refusal.contains("violates PodSecurity \"restricted"), "{refusal}");
}

/// The paths of all values, those of maps and lists too.
fn paths(value: &Value, at: &str, all: &mut BTreeSet<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{at}.{key}");
        paths(inner, &path, all);
        all.insert(path);
    }
}

#[test]
fn every_value_is_set_in_some_documented_set() {
    let read = |path: &PathBuf| documents(&std::fs::read_to_string(path).unwrap()).remove(0);
    let (mut there, mut set) = (BTreeSet::new(), BTreeSet::new());
    paths(&read(&root("charts/serin/values.yaml")), "", &mut there);
    for values in documented() {
        paths(&read(&values), "", &mut set);
    }
    let never: Vec<_> = there.difference(&set).collect();
    assert!(there.len() > 80 && never.is_empty(), "{never:?}");
}

#[test]
fn the_chart_installs_this_version() {
    let text = std::fs::read_to_string(root("charts/serin/Chart.yaml")).unwrap();
    assert_eq!(documents(&text)[0]["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_program_knows_every_flag_that_the_chart_gives_it() {
    for values in documented() {
        let pod = pod(&template(&["--values", values.to_str().unwrap()]));
        let args = pod["spec"]["containers"][0]["args"].as_array().unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args(args.iter().map(|arg| arg.as_str().unwrap()))
            .arg("--kubeconfig=/nowhere")
            .output()
            .unwrap();
        // It got as far as looking for the cluster; a flag that it does not know ends it before, with 2.
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("cannot read the kubeconfig /nowhere"), "{said}");
    }
}

#[test]
fn the_application_of_argo_cd_gives_values_that_the_chart_knows() {
    let text = std::fs::read_to_string(root("deploy/argocd/serin.yaml")).unwrap();
    let application = &documents(&text)[0];
    let values = tempfile("argocd-values.json");
    std::fs::write(
        &values,
        application["spec"]["source"]["helm"]["valuesObject"].to_string(),
    )
    .unwrap();
    let manifests = documents(&template(&["--values", values.to_str().unwrap()]));
    let kept = manifests.iter().filter(|object| {
        object["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
            && object["kind"] == "CustomResourceDefinition"
    });
    assert_eq!(kept.count(), 5);
}

#[test]
fn what_is_installed_runs_two_pods_on_different_nodes() {
    let world = World::shared();
    let pods = world.get(NAMESPACE, &["pods", "-l", "app.kubernetes.io/name=serin"]);
    let nodes: Vec<&str> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| pod["spec"]["nodeName"].as_str().unwrap())
        .collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert_ne!(nodes[0], nodes[1]);
    let budget = world.get(NAMESPACE, &["poddisruptionbudget", "serin"]);
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

#[test]
fn the_plain_manifests_are_those_of_the_chart() {
    let made = tempfile("plain");
    std::fs::create_dir_all(&made).unwrap();
    world::script("deploy/generate.sh", &[made.to_str().unwrap()]);
    for file in ["install.yaml", "namespace-install.yaml"] {
        let committed = std::fs::read_to_string(root(&format!("deploy/{file}"))).unwrap();
        let fresh = std::fs::read_to_string(made.join(file)).unwrap();
        assert!(
            committed == fresh,
            "deploy/{file} is not what the chart makes: run `make manifests`"
        );
    }
}

#[test]
fn the_plain_manifests_are_taken_as_they_stand_and_their_pods_are_restricted() {
    let world = World::shared();
    for file in ["install.yaml", "namespace-install.yaml"] {
        let manifests = std::fs::read_to_string(root(&format!("deploy/{file}"))).unwrap();
        world.accepts(file, &manifests);
        world.accepts(&format!("a pod of {file}"), &pod(&manifests).to_string());
    }
    // The namespace says itself that it takes no other pods.
    let install = std::fs::read_to_string(root("deploy/install.yaml")).unwrap();
    let namespace = documents(&install)
        .into_iter()
        .find(|o| o["kind"] == "Namespace")
        .unwrap();
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
}

#[test]
fn the_plain_manifests_for_one_namespace_name_none() {
    let manifests = std::fs::read_to_string(root("deploy/namespace-install.yaml")).unwrap();
    for object in documents(&manifests) {
        assert_eq!(object["metadata"]["namespace"], Value::Null, "{object:#}");
        let kind = object["kind"].as_str().unwrap();
        assert!(
            !kind.starts_with("Cluster") && kind != "CustomResourceDefinition",
            "{kind}"
        );
    }
}

#[test]
fn definitions_are_kept_unless_told_otherwise() {
    let keep = |set: &str| -> Vec<Value> {
        documents(&template(&["--set", set]))
            .into_iter()
            .filter(|o| o["kind"] == "CustomResourceDefinition")
            .map(|o| o["metadata"]["annotations"]["helm.sh/resource-policy"].clone())
            .collect()
    };
    assert_eq!(keep("keepCRDs=true"), vec![json!("keep"); 5]);
    assert_eq!(keep("keepCRDs=false"), vec![Value::Null; 5]);
    assert_eq!(keep("installCRDs=false"), Vec::<Value>::new());
    // Those of the cluster are the chart's.
    let world = World::shared();
    let rollouts = world.get(NAMESPACE, &["crd", "rollouts.argoproj.io"]);
    let meta = &rollouts["metadata"];
    assert_eq!(meta["annotations"]["helm.sh/resource-policy"], "keep");
    assert_eq!(meta["labels"]["app.kubernetes.io/managed-by"], "Helm");
}

#[test]
fn a_value_that_is_not_there_or_wrong_is_refused_by_its_path() {
    for (set, path) in [
        ("controller.replica=3", "replica"),
        ("dashboard.enabled=true", "dashboard"),
        ("controller.replicas=two", "controller.replicas"),
        ("controller.logging.format=xml", "controller.logging.format"),
        (
            "controller.prometheusAddress=prometheus:9090",
            "controller.prometheusAddress",
        ),
        ("controller.extraArgs={rollout-threads}", "controller.extraArgs"),
        ("secretAccess.namespaces[0].names={a}", "secretAccess.namespaces"),
        ("clusterInstall=false,secretAccess.cluster=true", "secretAccess"),
        (
            "controller.metrics.enabled=false,controller.metrics.serviceMonitor.enabled=true",
            "serviceMonitor",
        ),
        ("serviceAccount.create=false", "serviceAccount.name"),
    ] {
        let args = [
            "template",
            "serin",
            "charts/serin",
            "--namespace",
            NAMESPACE,
            "--set",
            set,
        ];
        let refusal = try_helm(&args).expect_err(set);
        let dotted = refusal.replace('/', ".");
        assert!(dotted.contains(path), "{set}: {refusal}");
    }
}

/// A path for files of this test run.
fn tempfile(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{name}-{}", std::process::id()))
}
