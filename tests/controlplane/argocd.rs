//! What Argo CD shows of Rollouts and AnalysisRuns, and what its actions do, by its own scripts, unchanged (wire contract 2.18).

use serde_json::{Value, json};

use crate::support::argocd::health;
use crate::support::cluster::root;
use crate::support::record::Record;
use crate::support::world::{
    ANALYSIS_RUN, DEPLOYMENT, ROLLOUT, annotation, is_degraded, is_healthy, is_observed, number, text,
};
use crate::support::{World, canary, http, rollout, scenario, web_template};

#[path = "argocd/actions.rs"]
mod actions;

const NAME: &str = "app";

/// Two weights, each with a pause until somebody promotes.
fn two_pauses() -> Value {
    canary(&json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]))
}

/// A Rollout under blue-green behind the Service of its own name.
fn blue_green() -> Value {
    let mut object = rollout(NAME, 2, json!({}));
    object["spec"]["strategy"] = json!({"blueGreen": {"activeService": NAME, "autoPromotionEnabled": false}});
    object
}

impl World {
    /// The health of a Rollout as it is now: the status, then the message.
    async fn shows(&self, name: &str, status: &str, message: &str) {
        let rollout = self.rollout(name).await;
        let (is, says) = health(&rollout);
        assert_eq!(is, status, "{}", rollout["status"]);
        assert!(
            says.starts_with(message) && says.is_empty() == message.is_empty(),
            "{says:?}, wanted {message:?}"
        );
    }

    async fn until_paused(&self, name: &str) {
        self.until_rollout(name, "paused", |r| {
            is_observed(r) && r["status"]["phase"] == "Paused"
        })
        .await;
    }
}

/// The health of every version of a Rollout, each change once: from the one before an update, with which the record begins, to
/// one that is so.
async fn healths(world: &World, record: &Record, is: impl Fn(&Value) -> bool) -> Vec<String> {
    world
        .until("a record up to the end", async || {
            record.applied().last().is_some_and(&is).then_some(())
        })
        .await;
    let mut all: Vec<String> = record.applied().iter().map(|o| health(o).0).collect();
    all.dedup();
    all
}

#[test]
fn a_canary_is_never_healthy_between_its_beginning_and_its_end() {
    scenario("argocd-canary", |world| async move {
        let created = world.create(rollout(NAME, 2, two_pauses())).await;
        let waiting = "Waiting for rollout spec update to be observed";
        assert_eq!(health(&created), ("Progressing".to_owned(), waiting.to_owned()));
        world.healthy(NAME).await;
        world.shows(NAME, "Healthy", "").await;

        let record = world.record(ROLLOUT).await;
        world.set_image(NAME, "app:v2").await;
        world.paused_at(NAME, 1).await;
        world.shows(NAME, "Suspended", "CanaryPauseStep").await;
        world.promote_full(NAME).await;
        world.healthy(NAME).await;
        let want = ["Healthy", "Progressing", "Suspended", "Progressing", "Healthy"];
        assert_eq!(healths(&world, &record, is_healthy).await, want);

        world.set_image(NAME, "app:v3").await;
        world.paused_at(NAME, 1).await;
        world.abort(NAME).await;
        world
            .until_rollout(NAME, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        let aborted = "RolloutAborted: Rollout aborted update to revision 3";
        world.shows(NAME, "Degraded", aborted).await;
    });
}

#[test]
fn whatever_holds_a_rollout_up_is_shown_with_its_message() {
    scenario("argocd-held", |world| async move {
        // Held by its user, in the middle of the first deployment.
        let mut held = rollout("held", 2, two_pauses());
        held["spec"]["paused"] = json!(true);
        world.create(held).await;
        // Never ready.
        let mut late = rollout("late", 2, two_pauses());
        late["spec"]["progressDeadlineSeconds"] = json!(4);
        world.create(late).await;
        // Not to be understood.
        let mut wrong = rollout("wrong", 2, two_pauses());
        wrong["spec"]["minReadySeconds"] = json!(700);
        world.create(wrong).await;

        world.healthy("late").await;
        world.set_image("late", "broken:v2").await;
        world
            .until_rollout("late", "waiting for its pod", |r| {
                is_observed(r) && number(r, "/status/updatedReplicas") == 1
            })
            .await;
        world
            .shows("late", "Progressing", "more replicas need to be updated")
            .await;
        world
            .until_rollout("late", "overdue", |r| is_degraded(r, "ProgressDeadlineExceeded"))
            .await;
        world
            .shows("late", "Degraded", "ProgressDeadlineExceeded: ReplicaSet")
            .await;

        world.until_paused("held").await;
        world.shows("held", "Suspended", "manually paused").await;

        world
            .until_rollout("wrong", "invalid", |r| is_degraded(r, "InvalidSpec"))
            .await;
        let refusal = "InvalidSpec: The Rollout \"wrong\" is invalid: spec.";
        world.shows("wrong", "Degraded", refusal).await;
    });
}

#[test]
fn a_change_of_the_workload_that_is_referred_to_is_no_moment_healthy() {
    scenario("argocd-workload", |world| async move {
        let template = json!({
            "metadata": {"labels": {"app": NAME}},
            "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
        });
        world
            .create(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "template": template},
            }))
            .await;
        let mut object = rollout(NAME, 1, two_pauses());
        let spec = object["spec"].as_object_mut().unwrap();
        spec.remove("template");
        spec.remove("selector");
        spec.insert(
            "workloadRef".to_owned(),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}),
        );
        world.deployed(object).await;
        world.shows(NAME, "Healthy", "").await;
        let record = world.record(ROLLOUT).await;
        let path = "/spec/template/spec/containers/0/image";
        let changed = world
            .edit(
                DEPLOYMENT,
                NAME,
                json!([{"op": "replace", "path": path, "value": "app:v2"}]),
            )
            .await;
        let generation = number(&changed, "/metadata/generation").to_string();
        world
            .until_rollout(NAME, "paused with the new template", |r| {
                annotation(r, "rollout.argoproj.io/workload-generation") == generation
                    && text(r, "/status/workloadObservedGeneration") == generation
                    && r["status"]["phase"] == "Paused"
            })
            .await;
        world.shows(NAME, "Suspended", "CanaryPauseStep").await;
        let is_paused = |r: &Value| r["status"]["phase"] == "Paused";
        let all = healths(&world, &record, is_paused).await;
        assert_eq!(all, ["Healthy", "Progressing", "Suspended"]);
    });
}

#[test]
fn a_blue_green_update_is_healthy_when_it_is_switched() {
    scenario("argocd-blue-green", |world| async move {
        world.create_service(NAME, &json!({"app": NAME}), 80).await;
        world.deployed(blue_green()).await;
        world.shows(NAME, "Healthy", "").await;
        let record = world.record(ROLLOUT).await;
        world.set_image(NAME, "app:v2").await;
        world.until_paused(NAME).await;
        world.shows(NAME, "Suspended", "BlueGreenPause").await;
        world.promote(NAME).await;
        world.healthy(NAME).await;
        let want = ["Healthy", "Progressing", "Suspended", "Progressing", "Healthy"];
        assert_eq!(healths(&world, &record, is_healthy).await, want);
    });
}

#[test]
fn runs_are_shown_by_their_verdict() {
    scenario("argocd-runs", |world| async move {
        let server = http::serve(|path| match path {
            "/good" => Some((200, json!({"ok": true}).to_string())),
            "/bad" => Some((200, json!({"ok": false}).to_string())),
            "/down" => Some((500, "the disk is full".to_owned())),
            _ => None,
        })
        .await;
        let verdicts = [
            ("good", "Healthy", "Analysis run completed successfully"),
            (
                "bad",
                "Degraded",
                "Metric \"answer\" assessed Failed due to failed (1)",
            ),
            (
                "down",
                "Degraded",
                "Metric \"answer\" assessed Error due to consecutiveErrors",
            ),
            ("unsure", "Unknown", "Metric \"answer\" assessed Inconclusive"),
            ("hangs", "Progressing", "Analysis run is running"),
        ];
        for (name, _, _) in verdicts {
            let path = if name == "unsure" { "good" } else { name };
            let mut run = web_template(name, &format!("http://{server}/{path}"), 1);
            run["kind"] = json!("AnalysisRun");
            let metric = &mut run["spec"]["metrics"][0];
            metric["consecutiveErrorLimit"] = json!(0);
            if name == "unsure" {
                metric["successCondition"] = json!("!result.ok");
                metric["failureCondition"] = json!("!result.ok");
            }
            if name == "hangs" {
                metric["provider"]["web"]["timeoutSeconds"] = json!(300);
            }
            let created = world.create(run).await;
            let waiting = "Waiting for analysis run to finish: status has not been reconciled.";
            assert_eq!(health(&created), ("Progressing".to_owned(), waiting.to_owned()));
        }
        for (name, status, message) in verdicts {
            let what = format!("{name} is {status}: {message}");
            world
                .until(&what, async || {
                    let run = world.get(ANALYSIS_RUN, name).await;
                    let (is, says) = health(&run);
                    (is == status && says.starts_with(message)).then_some(())
                })
                .await;
        }
    });
}

/// What Argo CD calls OutOfSync: a field that Git has and the cluster has otherwise.
#[test]
fn what_serin_writes_does_not_differ_from_what_was_applied() {
    scenario("argocd-synced", |world| async move {
        let name = "shop";
        let text = std::fs::read_to_string(root("examples/blue-green.yaml")).unwrap();
        let commit = |version: &str| {
            let path = world.cluster.directory.join(format!("{}.yaml", world.namespace));
            std::fs::write(&path, text.replace("shop:v1", &format!("shop:{version}"))).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let kubectl =
            |verb: &str, file: &str| world.cluster.kubectl(&[verb, "-n", &world.namespace, "-f", file]);
        kubectl("apply", &commit("v1"));
        world.healthy(name).await;
        let file = commit("v2");
        kubectl("apply", &file);
        world.until_paused(name).await;
        assert_eq!(kubectl("diff", &file), "", "in the middle");
        world.promote(name).await;
        world.healthy(name).await;
        assert_eq!(kubectl("diff", &file), "", "at the end");
        let file = commit("v3");
        kubectl("apply", &file);
        world.until_paused(name).await;
        world.abort(name).await;
        world
            .until_rollout(name, "aborted", |r| is_degraded(r, "RolloutAborted"))
            .await;
        assert_eq!(kubectl("diff", &file), "", "after an abort");
    });
}
