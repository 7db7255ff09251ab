//! What the controller and its users may do with the roles of the chart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::world::{World, documents, eventually, root};
use crate::{NAMESPACE, tempfile, template};

/// Verbs by group, resource and the names that they are limited to.
type Rights = BTreeMap<(String, String, String), BTreeSet<String>>;

fn words(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn rights<'a>(roles: impl Iterator<Item = &'a Value>) -> Rights {
    let mut all = Rights::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        let names = words(&rule["resourceNames"]).join(" ");
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                let verbs = all.entry((group.clone(), resource, names.clone())).or_default();
                verbs.extend(words(&rule["verbs"]));
            }
        }
    }
    all
}

fn is_role(object: &Value) -> bool {
    let aggregated = object["metadata"]["labels"]
        .as_object()
        .is_some_and(|labels| labels.keys().any(|key| key.contains("aggregate-to")));
    matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")) && !aggregated
}

fn rights_of(manifests: &str) -> Rights {
    let all = documents(manifests);
    rights(all.iter().filter(|object| is_role(object)))
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// All tests of the control plane run with the rights of tests/support/rbac.yaml, and a call that needs another fails the
/// test that makes it. So the chart gives those, and only the two of them that depend on where it is installed differ.
#[test]
fn the_controller_may_do_what_the_tests_need_and_no_more() {
    let tested = documents(&std::fs::read_to_string(root("tests/support/rbac.yaml")).unwrap());
    let mut tested = rights(tested.iter().filter(|object| object["kind"] == "ClusterRole"));
    let key =
        |group: &str, resource: &str, names: &str| (group.to_owned(), resource.to_owned(), names.to_owned());
    assert_eq!(tested.remove(&key("", "secrets", "")), Some(set(&["get"])));
    // The same, but in the controller's own namespace only.
    let leases = key("coordination.k8s.io", "leases", "");
    let given = rights_of(&template(&[]));
    assert_eq!(given.get(&leases), tested.get(&leases));
    let manifests = documents(&template(&[]));
    let role = manifests.iter().find(|object| object["kind"] == "Role").unwrap();
    assert_eq!(role["metadata"]["namespace"], NAMESPACE);
    assert_eq!(role["rules"].as_array().unwrap().len(), 1, "{role:#}");
    assert_eq!(role["rules"][0]["resources"], json!(["leases"]));
    assert_eq!(given, tested);

    // For one namespace the same, but for the kind that has none; and its Secrets, by name.
    tested.remove(&key("argoproj.io", "clusteranalysistemplates", ""));
    tested.insert(key("", "secrets", ""), set(&["get"]));
    let namespaced = rights_of(&template(&["--values", "charts/serin/ci/namespaced-values.yaml"]));
    assert_eq!(namespaced, tested);
}

#[test]
fn secrets_are_read_only_where_it_was_said_and_never_listed() {
    let secrets = |set: &str| -> Vec<(Value, Value, Value)> {
        let all = documents(&template(&["--set", set]));
        let roles = all.iter().filter(|object| is_role(object));
        roles
            .flat_map(|role| {
                let given = role["rules"].as_array().unwrap().iter();
                given
                    .filter(|rule| rule["resources"][0] == "secrets")
                    .map(|rule| {
                        assert_eq!(rule["verbs"], json!(["get"]));
                        let meta = &role["metadata"];
                        (
                            role["kind"].clone(),
                            meta["namespace"].clone(),
                            rule["resourceNames"].clone(),
                        )
                    })
            })
            .collect()
    };
    assert_eq!(secrets("controller.replicas=2"), vec![]);
    let own = (json!("Role"), json!(NAMESPACE), Value::Null);
    assert_eq!(secrets("clusterInstall=false"), vec![own]);
    let one = (json!("Role"), json!("shop"), json!(["token"]));
    let named = "secretAccess.namespaces[0].namespace=shop,secretAccess.namespaces[0].names={token}";
    assert_eq!(secrets(named), vec![one]);
    let all = (json!("ClusterRole"), Value::Null, Value::Null);
    assert_eq!(secrets("secretAccess.cluster=true"), vec![all]);
}

#[test]
fn who_may_edit_a_namespace_may_release_there_and_who_may_view_may_look() {
    let world = World::shared();
    let may = |role: &str, verb: &str, what: &str, subresource: &str| {
        let user = format!("{role}-of-shop");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        world.apply(&binding.to_string());
        let subresource = format!("--subresource={subresource}");
        let args = [
            "auth",
            "can-i",
            verb,
            what,
            &subresource,
            "--as",
            &user,
            "-n",
            "shop",
        ];
        world.try_kubectl(&args, "").is_ok()
    };
    // The cluster's own controller gathers the rules a moment after they were made.
    eventually("the roles are gathered", || {
        may("view", "get", "rollouts.argoproj.io", "").then_some(())
    });
    eventually("the roles are gathered", || {
        may("edit", "patch", "rollouts.argoproj.io", "").then_some(())
    });
    eventually("the roles are gathered", || {
        may("admin", "patch", "rollouts.argoproj.io", "").then_some(())
    });
    for (verb, what, subresource) in [
        ("patch", "rollouts.argoproj.io", "status"),
        ("patch", "rollouts.argoproj.io", "scale"),
        ("create", "analysisruns.argoproj.io", ""),
        ("delete", "analysistemplates.argoproj.io", ""),
    ] {
        assert!(
            may("edit", verb, what, subresource),
            "edit {verb} {what}/{subresource}"
        );
        assert!(
            may("admin", verb, what, subresource),
            "admin {verb} {what}/{subresource}"
        );
        assert!(
            !may("view", verb, what, subresource),
            "view {verb} {what}/{subresource}"
        );
    }
}

/// A controller of one namespace; killed when dropped.
pub struct Controller {
    process: Child,
    /// What it logs.
    log: PathBuf,
}

impl Controller {
    /// Starts it with the rights of this kubeconfig.
    pub fn start(namespace: &str, kubeconfig: &Path) -> Self {
        let log = tempfile(&format!("{namespace}.log"));
        let process = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args([
                "controller",
                "--namespaced",
                "--healthzPort=0",
                "--metricsPort=0",
                "--kubeconfig",
            ])
            .arg(kubeconfig)
            .arg(format!("--namespace={namespace}"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Controller { process, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already, and nothing is left to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_controller_for_one_namespace_needs_nothing_outside_of_it() {
    let world = World::shared();
    for namespace in ["team", "elsewhere"] {
        world.apply(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).to_string(),
        );
    }
    world.kubectl(&[
        "apply",
        "--server-side",
        "-n",
        "team",
        "-f",
        "deploy/namespace-install.yaml",
    ]);
    // The faked pods of the Deployment do nothing; this process does, with their rights.
    let kubeconfig = world.kubeconfig_of("team", "serin");
    let controller = Controller::start("team", &kubeconfig);

    let rollout = |image: &str| {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "app", "image": image}]},
                },
                "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": [
                    {"setWeight": 50},
                    {"analysis": {"templates": [{"templateName": "one"}]}},
                ]}},
            },
        })
    };
    let analysis = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "one"},
        "spec": {"metrics": [{"name": "job", "provider": {"job": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}],
        }}}}}}]},
    });
    let release = |namespace: &str, image: &str| {
        for object in [&analysis, &rollout(image)] {
            let mut object = object.clone();
            object["metadata"]["namespace"] = json!(namespace);
            world.apply(&object.to_string());
        }
    };
    let healthy = |what: &str, image: &str| {
        eventually(what, || {
            let log = controller.log();
            assert!(!log.contains("forbidden"), "{log}");
            let now = world.get("team", &["rollout", "shop"]);
            let status = &now["status"];
            let generation = now["metadata"]["generation"].to_string();
            let current = now["spec"]["template"]["spec"]["containers"][0]["image"] == image
                && status["observedGeneration"] == *generation;
            (current && status["phase"] == "Healthy").then_some(())
        });
    };
    release("elsewhere", "app:v1");
    release("team", "app:v1");
    healthy("the first version is there", "app:v1");
    release("team", "app:v2");
    healthy("the second version is promoted after its analysis", "app:v2");
    let runs = world.get("team", &["analysisruns"]);
    assert_eq!(runs["items"][0]["status"]["phase"], "Successful", "{runs:#}");
    let left_alone = world.get("elsewhere", &["rollout", "shop"]);
    assert_eq!(left_alone["status"], Value::Null);
}
