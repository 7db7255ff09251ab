//! Bad input: each object says in one sentence what is wrong with it and where, nothing of it moves, others go on, and a
//! corrected one recovers by itself.

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::world::{
    ANALYSIS_TEMPLATE, REPLICA_SET, ROLLOUT, World, is_degraded, is_observed, number, run, say, text,
};
use crate::support::{Controller, Run, canary, rollout, scenario};

/// What a user may get wrong.
struct Mistake {
    name: &'static str,
    /// The JSON patch that makes it.
    patch: Value,
    /// What the sentence says: the path, and what is wrong.
    says: &'static [&'static str],
}

const STRATEGY: &str = "/spec/strategy/canary";
const CONTAINER: &str = "/spec/template/spec/containers/0";

fn replace(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

fn first_step(step: Value) -> Value {
    replace(&format!("{STRATEGY}/steps/0"), step)
}

/// Asks this AnalysisTemplate in the first step.
fn asking(template: &str) -> Value {
    first_step(json!({"analysis": {"templates": [{"templateName": template}]}}))
}

fn mistakes() -> Vec<Mistake> {
    let mistake = |name, patch, says| Mistake { name, patch, says };
    vec![
        mistake(
            "unknown-field",
            replace(&format!("{CONTAINER}/imagePullPolice"), json!("IfNotPresent")),
            &["spec.template.spec.containers[0].imagePullPolice"],
        ),
        mistake(
            "both-strategies",
            replace("/spec/strategy/blueGreen", json!({"activeService": "app"})),
            &["spec.strategy: ", "canary and blueGreen are both set"],
        ),
        mistake(
            "no-strategy",
            json!([{"op": "remove", "path": STRATEGY}]),
            &["spec.strategy: Required value"],
        ),
        mistake(
            "selector",
            replace("/spec/template/metadata/labels", json!({"app": "another"})),
            &[
                "spec.template.metadata.labels: ",
                "the selector app=",
                "does not match",
            ],
        ),
        mistake(
            "template",
            asking("absent"),
            &["spec.strategy.canary.steps[0].analysis.templates", "\"absent\""],
        ),
        mistake(
            "expression",
            asking("unreadable"),
            &[
                "spec.strategy.canary.steps[0].analysis.templates",
                "successCondition",
            ],
        ),
        mistake(
            "duration",
            first_step(json!({"pause": {"duration": "5 minutes"}})),
            &["spec.strategy.canary.steps[0].pause.duration: ", "\"5 minutes\""],
        ),
        mistake(
            "weight",
            first_step(json!({"setWeight": 120})),
            &[
                "spec.strategy.canary.steps[0].setWeight: Invalid value: 120",
                "between 0 and 100",
            ],
        ),
        mistake(
            "two-actions",
            first_step(json!({"setWeight": 10, "pause": {}})),
            &["spec.strategy.canary.steps[0]: ", "setWeight and pause"],
        ),
        mistake(
            "no-room",
            json!([
                {"op": "add", "path": format!("{STRATEGY}/maxSurge"), "value": 0},
                {"op": "add", "path": format!("{STRATEGY}/maxUnavailable"), "value": "0%"},
            ]),
            &["spec.strategy.canary.maxUnavailable: ", "maxSurge"],
        ),
        mistake(
            "quantity",
            replace(
                &format!("{CONTAINER}/resources"),
                json!({"requests": {"cpu": "a lot"}}),
            ),
            &["spec.template.spec.containers[0].resources.requests[cpu]: Invalid value: \"a lot\""],
        ),
        mistake(
            "nameless",
            json!([{"op": "remove", "path": format!("{CONTAINER}/name")}]),
            &["spec.template.spec.containers[0].name", "Required value"],
        ),
        mistake(
            "unsupported",
            replace(&format!("{STRATEGY}/trafficRouting"), json!({"smi": {}})),
            &["spec.strategy.canary.trafficRouting"],
        ),
    ]
}

fn good(name: &str) -> Value {
    rollout(name, 1, canary(&json!([{"setWeight": 100}])))
}

/// Name, replicas and version of each ReplicaSet's spec.
async fn sets(world: &World, rollout: &str) -> Vec<(String, i64, i64)> {
    let all = world.replica_sets(rollout).await;
    all.iter()
        .map(|rs| {
            (
                text(rs, "/metadata/name").to_owned(),
                number(rs, "/spec/replicas"),
                number(rs, "/metadata/generation"),
            )
        })
        .collect()
}

/// Waits for the refusal of a Rollout, and checks its words.
async fn refused(world: &World, name: &str, says: &[&str]) -> String {
    let start = format!("InvalidSpec: The Rollout \"{name}\" is invalid: ");
    let what = format!("refused for {says:?}");
    let rollout = world
        .until_rollout(name, &what, |r| {
            is_observed(r) && is_degraded(r, &start) && says.iter().all(|part| is_degraded(r, part))
        })
        .await;
    let message = text(&rollout, "/status/message").to_owned();
    let conditions = rollout["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|c| c["type"] == "InvalidSpec").unwrap();
    assert_eq!(condition["status"], "True");
    assert_eq!(format!("InvalidSpec: {}", text(condition, "/message")), message);
    message
}

#[test]
fn bad_input_is_refused_in_one_sentence_and_moves_nothing() {
    scenario("bad-input", |world| async move {
        world
            .create(json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AnalysisTemplate",
                "metadata": {"name": "unreadable"},
                "spec": {"metrics": [{
                    "name": "rate",
                    "successCondition": "result[0] >=",
                    "provider": {"prometheus": {"address": "http://127.0.0.1:1", "query": "up"}},
                }]},
            }))
            .await;
        world.create(good("good")).await;
        let all = mistakes();
        for mistake in &all {
            world.create(good(&format!("edited-{}", mistake.name))).await;
        }
        // Made wrong from the start. What the API server itself refuses, with the path, never comes to the controller.
        let mut created = Vec::new();
        for mistake in &all {
            let name = format!("created-{}", mistake.name);
            let mut object = good(&name);
            let patch: json_patch::Patch = serde_json::from_value(mistake.patch.clone()).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
            match world.try_create(object).await {
                Ok(_) => created.push((name, mistake)),
                Err(kube::Error::Api(status)) => {
                    say(&format!(
                        "ring 3: {name}: refused at the door: {}",
                        status.message
                    ));
                    assert!(
                        status.is_invalid() && status.message.contains(mistake.says[0]),
                        "{}",
                        status.message
                    );
                }
                Err(error) => panic!("{error}"),
            }
        }
        world.healthy("good").await;
        let mut edited = Vec::new();
        for mistake in all
            .iter()
            .filter(|mistake| created.iter().any(|(_, m)| m.name == mistake.name))
        {
            let name = format!("edited-{}", mistake.name);
            world.healthy(&name).await;
            let before = sets(&world, &name).await;
            let mut patch = mistake.patch.clone();
            let image = json!({"op": "add", "path": format!("{CONTAINER}/image"), "value": "app:v2"});
            patch.as_array_mut().unwrap().insert(0, image);
            world.edit(ROLLOUT, &name, patch).await;
            edited.push((name, mistake, before));
        }
        for (name, mistake) in &created {
            let message = refused(&world, name, mistake.says).await;
            say(&format!("ring 3: {message}"));
        }
        for (name, mistake, _) in &edited {
            refused(&world, name, mistake.says).await;
        }
        // A good one beside them goes its way.
        world.set_image("good", "app:v2").await;
        world.healthy("good").await;
        world.until_scales("good", &[0, 1]).await;
        for (name, _) in &created {
            assert_eq!(sets(&world, name).await, [], "{name}");
        }
        for (name, _, before) in &edited {
            assert_eq!(&sets(&world, name).await, before, "{name}");
        }
        // Corrected, whether they ever ran or not.
        for name in created
            .iter()
            .map(|(name, _)| name)
            .chain(edited.iter().map(|(name, _, _)| name))
        {
            let mut spec = good(name)["spec"].take();
            spec["template"]["spec"]["containers"][0]["image"] = json!("app:v3");
            world.edit(ROLLOUT, name, replace("/spec", spec)).await;
        }
        for name in created
            .iter()
            .map(|(name, _)| name)
            .chain(edited.iter().map(|(name, _, _)| name))
        {
            let rollout = world.healthy(name).await;
            let conditions = rollout["status"]["conditions"].as_array().unwrap();
            assert!(
                !conditions.iter().any(|c| c["type"] == "InvalidSpec"),
                "{}",
                rollout["status"]
            );
        }
    });
}

#[test]
fn a_template_that_comes_later_or_is_corrected_is_noticed() {
    scenario("late-template", |world| async move {
        let mut object = good("app");
        object["spec"]["strategy"]["canary"]["steps"] =
            json!([{"analysis": {"templates": [{"templateName": "late"}]}}]);
        world.create(object).await;
        refused(
            &world,
            "app",
            &["spec.strategy.canary.steps[0].analysis.templates", "late"],
        )
        .await;
        let metric = |condition: &str| {
            json!([{
                "name": "rate",
                "successCondition": condition,
                "provider": {"web": {"url": "http://127.0.0.1:1"}},
            }])
        };
        let template = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": "late"},
            "spec": {"metrics": metric("result >=")},
        });
        world.create(template).await;
        refused(
            &world,
            "app",
            &[
                "spec.strategy.canary.steps[0].analysis.templates",
                "successCondition",
            ],
        )
        .await;
        assert_eq!(sets(&world, "app").await, []);
        world
            .patch_kind(
                ANALYSIS_TEMPLATE,
                "late",
                json!({"spec": {"metrics": metric("result >= 1")}}),
            )
            .await;
        world.healthy("app").await;
    });
}

/// A cluster whose API server lets everything pass as the weight of a step; it goes with this value.
struct Lax(&'static Cluster);

impl Drop for Lax {
    fn drop(&mut self) {
        self.0.down();
    }
}

#[test]
fn an_object_that_cannot_be_read_disturbs_no_other() {
    let lax = Lax(Box::leak(Box::new(Cluster::up("test-malformed"))));
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/strategy/properties/canary/properties/steps\
                /items/properties/setWeight";
    let patch =
        json!([{"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": true}}]);
    lax.0.kubectl(&[
        "patch",
        "crd",
        "rollouts.argoproj.io",
        "--type=json",
        "-p",
        &patch.to_string(),
    ]);
    run(lax.0, "malformed", "", |world| async move {
        let mut malformed = good("malformed");
        malformed["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": "ten"}]);
        // The new schema is served a moment after it was written.
        world
            .until("the lax schema", async || {
                world.try_create(malformed.clone()).await.ok()
            })
            .await;
        world.create(good("before")).await;
        let user = "serin-malformed".to_owned();
        let options = Run {
            user,
            instance: String::new(),
            ..Run::default()
        };
        let controller = Controller::start(world.cluster, &options);
        controller.ready().await;
        let says = ["spec.strategy.canary.steps[0].setWeight: "];
        let message = refused(&world, "malformed", &says).await;
        say(&format!("ring 3: {message}"));
        world.healthy("before").await;
        world.deployed(good("after")).await;
        assert_eq!(sets(&world, "malformed").await, []);
        // One that runs, and becomes unreadable.
        let weight = format!("{STRATEGY}/steps/0/setWeight");
        let before = sets(&world, "before").await;
        world
            .edit(ROLLOUT, "before", replace(&weight, json!({"percent": 10})))
            .await;
        refused(&world, "before", &says).await;
        world.set_image("before", "app:v2").await;
        refused(&world, "before", &says).await;
        assert_eq!(sets(&world, "before").await, before);
        world.set_image("after", "app:v2").await;
        world.healthy("after").await;
        for name in ["malformed", "before"] {
            world.edit(ROLLOUT, name, replace(&weight, json!(10))).await;
            world.healthy(name).await;
        }
        assert_eq!(world.list(REPLICA_SET, "app=before").await.len(), 2);
    });
}
