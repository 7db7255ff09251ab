//! What is missing when a controller starts is said in one sentence that ends it; what it may do is all that it needs.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::audit::Audit;
use crate::support::cluster::{Cluster, ROLES, root};
use crate::support::world::{self, ANALYSIS_RUN, LEASE, World, is_observed, isolated, say, text};
use crate::support::{Controller, Run, canary, http, rollout, web_template};

/// The rules of the suite's ClusterRole.
pub fn rules() -> Vec<Value> {
    let file = std::fs::read_to_string(root(ROLES)).unwrap();
    let documents = file.split("\n---\n");
    let objects = documents.map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let roles = objects.filter(|object| object["kind"] == "ClusterRole");
    roles
        .flat_map(|role| role["rules"].as_array().unwrap().clone())
        .collect()
}

fn bare() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::bare("test-start"))
}

impl World {
    fn file(&self, name: &str, object: &Value) -> String {
        let path = self
            .cluster
            .directory
            .join(format!("{name}-{}.json", self.namespace));
        std::fs::write(&path, object.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Gives the user these rights, in the namespace alone or everywhere.
    fn allow(&self, user: &str, rules: &[Value], everywhere: bool) {
        let (role, binding) = if everywhere {
            ("ClusterRole", "ClusterRoleBinding")
        } else {
            ("Role", "RoleBinding")
        };
        let group = "rbac.authorization.k8s.io";
        let version = format!("{group}/v1");
        let metadata = if everywhere {
            json!({"name": user})
        } else {
            json!({"name": user, "namespace": self.namespace})
        };
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": version, "kind": role, "metadata": metadata, "rules": rules},
            {"apiVersion": version, "kind": binding, "metadata": metadata,
             "roleRef": {"apiGroup": group, "kind": role, "name": user},
             "subjects": [{"apiGroup": group, "kind": "User", "name": user}]},
        ]});
        self.cluster.kubectl(&["apply", "-f", &self.file("roles", &list)]);
    }
}

/// Starts a controller that ends by itself, and gives its last words.
async fn refused(world: &World, user: &str) -> String {
    let run = Run {
        user: user.to_owned(),
        kubeconfig: Some(world.cluster.stranger_kubeconfig(user)),
        lease_namespace: Some(world.namespace.clone()),
        ..Run::default()
    };
    let mut controller = Controller::start(world.cluster, &run);
    let (words, well) = controller.ended().await;
    assert!(!well, "{words}");
    words
}

/// The definitions of crds/, as JSON.
fn definitions() -> Vec<Value> {
    let all = serin::api::crds();
    all.iter().map(|crd| serde_json::to_value(crd).unwrap()).collect()
}

#[test]
fn what_is_missing_at_the_start_is_said_in_one_sentence() {
    world::run(bare(), "start", "start", |world| async move {
        let user = "serin-start";
        let words = refused(&world, user).await;
        let want = "this cluster has no Rollouts: install the CustomResourceDefinitions first (kubectl apply -f crds/)";
        assert!(words.ends_with(want), "{words}");

        // Definitions of a version to come, and of one that is over.
        let mut later = definitions();
        later.truncate(1);
        later[0]["spec"]["versions"][0]["name"] = json!("v2");
        let path = world.file("later", &later[0]);
        world.cluster.kubectl(&["create", "-f", &path]);
        let words = refused(&world, user).await;
        let want = "this cluster serves argoproj.io in version v2 and not in v1alpha1, which this controller speaks: \
                    install its CustomResourceDefinitions (kubectl apply -f crds/)";
        assert!(words.ends_with(want), "{words}");
        world.cluster.kubectl(&["delete", "-f", &path]);
        let mut old = definitions();
        for crd in &mut old {
            if crd["spec"]["names"]["plural"] == "rollouts" {
                crd["spec"]["versions"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("subresources");
            }
        }
        let path = world.file("old", &json!({"apiVersion": "v1", "kind": "List", "items": old}));
        world.cluster.kubectl(&["create", "-f", &path]);
        let words = refused(&world, user).await;
        let want = "rollouts.argoproj.io has no status subresource: the CustomResourceDefinition is of another version: \
                    apply this controller's (kubectl apply -f crds/)";
        assert!(words.ends_with(want), "{words}");

        let crds = root("crds");
        world
            .cluster
            .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds]);
        let words = refused(&world, user).await;
        assert!(
            words.contains(r#""serin-start" is not allowed to get rollouts.argoproj.io in all namespaces, "#),
            "{words}"
        );
        assert!(
            words.ends_with("add these to the ClusterRole that it is bound to (as in deploy/install.yaml)"),
            "{words}"
        );
        let mut most = rules();
        most.retain(|rule| rule["resources"] != json!(["rollouts/status"]));
        world.allow(user, &most, true);
        let words = refused(&world, user).await;
        let want = "\"serin-start\" is not allowed to patch rollouts.argoproj.io/status in all namespaces: add this to the \
                    ClusterRole that it is bound to (as in deploy/install.yaml)";
        assert!(words.ends_with(want), "{words}");

        world.allow(user, &rules(), true);
        let run = Run {
            user: user.to_owned(),
            kubeconfig: Some(world.cluster.stranger_kubeconfig(user)),
            ..Run::default()
        };
        let controller = Controller::start(world.cluster, &run);
        controller.ready().await;
    });
    bare().down();
}

#[test]
fn a_role_of_one_namespace_is_enough_for_one_namespace() {
    isolated("namespaced", |world| async move {
        let user = format!("serin-{}", world.namespace);
        let mut rules = rules();
        for rule in &mut rules {
            let resources = rule["resources"].as_array_mut().unwrap();
            resources.retain(|resource| resource != "clusteranalysistemplates");
        }
        world.allow(&user, &rules, false);
        let run = Run {
            user: user.clone(),
            instance: world.controller_run().instance,
            kubeconfig: Some(world.cluster.stranger_kubeconfig(&user)),
            lease_namespace: Some(world.namespace.clone()),
            args: vec!["--namespaced".to_owned()],
        };
        let audit = Audit::of(world.cluster, &user);
        let mut controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        world
            .create(web_template("good", &format!("http://{server}/good"), 2))
            .await;
        let analysis = json!({"analysis": {"templates": [{"templateName": "good"}]}});
        world
            .deployed(rollout("app", 2, canary(&json!([{"setWeight": 50}, analysis]))))
            .await;
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;
        assert_eq!(world.runs("app").await.len(), 1);
        let (_, well) = controller.stop().await;
        assert!(well);
        // The log is written behind the answers.
        world
            .until("the release of the lease in the audit log", async || {
                let last = audit.requests().into_iter().rfind(|r| r["verb"] == "update");
                last.is_some_and(|r| r["objectRef"]["resource"] == "leases")
                    .then_some(())
            })
            .await;
        let all = audit.requests();
        let (mut asked, mut own) = (0, 0);
        for request in &all {
            assert_ne!(request["responseStatus"]["code"], 403, "{request:#}");
            let what = text(request, "/objectRef/resource");
            if ["selfsubjectaccessreviews", "selfsubjectreviews"].contains(&what) || what.is_empty() {
                asked += 1;
                continue;
            }
            assert_eq!(
                request["objectRef"]["namespace"],
                world.namespace.as_str(),
                "{request:#}"
            );
            own += 1;
        }
        say(&format!(
            "ring 3: namespaced: {own} calls, all in the namespace; {asked} of discovery and of its own rights"
        ));
        assert!(own > 30, "{all:#?}");
    });
}

fn enforcing() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let flags = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";
        let cluster = Cluster::with_flags("test-owners", flags);
        cluster.install();
        cluster
    })
}

/// Some clusters let nobody block the deletion of an owner who has no right to: it is told at the start, and said of the
/// Rollout.
#[test]
fn without_the_right_that_owners_need_no_replica_set_is_made_and_it_is_said_why() {
    world::run(enforcing(), "finalizers", "finalizers", |world| async move {
        let user = format!("serin-{}", world.namespace);
        let mut most = rules();
        most.retain(|rule| rule["resources"][0] != "rollouts/finalizers");
        assert_eq!(most.len() + 1, rules().len());
        world.allow(&user, &most, true);
        let run = Run {
            kubeconfig: Some(world.cluster.stranger_kubeconfig(&user)),
            user: user.clone(),
            ..world.controller_run()
        };
        let controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        let log = std::fs::read_to_string(&controller.log).unwrap();
        for right in ["rollouts", "analysisruns"] {
            let told = format!("update {right}.argoproj.io/finalizers");
            assert!(log.contains(&told), "{log}");
        }
        world
            .create(rollout("app", 1, canary(&json!([{"setWeight": 50}]))))
            .await;
        let want = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";
        world
            .until_rollout("app", "refused", |r| {
                text(r, "/status/message").contains(want) && is_observed(r)
            })
            .await;
        assert!(world.replica_sets("app").await.is_empty());
        let container = json!({"name": "check", "image": "check:v1"});
        let job =
            json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}});
        world
            .create(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "check"},
                "spec": {"metrics": [{"name": "job", "consecutiveErrorLimit": 0, "provider": {"job": job}}]},
            }))
            .await;
        world
            .until("a run that says why it has no Job", async || {
                let run = world.get(ANALYSIS_RUN, "check").await;
                (run["status"]["phase"] == "Error" && text(&run, "/status/message").contains(want))
                    .then_some(())
            })
            .await;
        // A denial is asked again within half a minute.
        world.allow(&user, &rules(), true);
        world.healthy("app").await;
    });
    enforcing().down();
}

/// Ready is who could take over at once: the standby too. Told to stop, a process finishes and gives the lease back.
#[test]
fn probes_and_metrics_follow_the_process() {
    isolated("probes", |world| async move {
        let mut run = world.controller_run();
        run.lease_namespace = Some(world.namespace.clone());
        run.args = [
            "--service-threads=5",
            "--qps=50",
            "--burst=10",
            "--leader-election-retry-period=1s",
        ]
        .map(str::to_owned)
        .into();
        let mut first = Controller::start(world.cluster, &run);
        first.ready().await;
        world
            .until("a leader", async || {
                (first.metric("serin_leader", "").await > 0.0).then_some(())
            })
            .await;
        let second = Controller::start(world.cluster, &run);
        second.ready().await;
        assert_eq!(second.metric("serin_leader", "").await, 0.0);
        for controller in [&first, &second] {
            let answer = controller.probe("/healthz").await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        world
            .deployed(rollout(
                "app",
                1,
                canary(&json!([{"setWeight": 50}, {"pause": {}}])),
            ))
            .await;
        world.set_image("app", "app:v2").await;
        world.paused_at("app", 1).await;
        let labels = format!(r#"{{namespace="{}",name="app"}}"#, world.namespace);
        for controller in [&first, &second] {
            world
                .until("the same gauges on both", async || {
                    let weight = controller.metric("serin_rollout_canary_weight", &labels).await;
                    let step = controller.metric("serin_rollout_step", &labels).await;
                    (weight == 50.0 && step == 1.0).then_some(())
                })
                .await;
        }
        let patched = r#"{kind="rollouts/status",verb="Patch",status_code="200"}"#;
        assert!(
            first
                .metric("controller_clientset_k8s_request_total", patched)
                .await
                > 2.0
        );
        assert_eq!(
            second.metric("serin_passes_total", "").await,
            0.0,
            "a standby makes no pass"
        );
        assert!(first.metric("rollout_reconcile_count", &labels).await > 2.0);
        let log = std::fs::read_to_string(&first.log).unwrap();
        assert!(log.contains("--service-threads changes nothing"), "{log}");
        // What is gone leaves nothing behind: a minute at most.
        world.delete(world::ROLLOUT, "app").await;
        world
            .until("no series of a Rollout that is gone", async || {
                (!first.metrics().await.contains(r#"name="app""#)).then_some(())
            })
            .await;
        let (took, well) = first.stop().await;
        assert!(well && took < Duration::from_secs(5), "{took:?}");
        let leases = world.list(LEASE, "").await;
        let holder = text(&leases[0], "/spec/holderIdentity").to_owned();
        world
            .until("the standby to lead", async || {
                (second.metric("serin_leader", "").await > 0.0).then_some(())
            })
            .await;
        say(&format!(
            "ring 3: stopped in {took:.1?}; the lease was then held by {holder:?}"
        ));
    });
}
