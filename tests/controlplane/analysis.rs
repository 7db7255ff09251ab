//! What an analysis makes of a metric provider that does not give what was asked for, and how long its runs are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::world::{is_degraded, is_observed, is_paused_by, number, text};
use crate::support::{canary, http, rollout, scenario, web_template};

/// A way in which Prometheus gives no answer to go by.
struct Ill {
    name: &'static str,
    /// Where it is asked; `BASE` becomes the address of the server of this test.
    address: &'static str,
    condition: &'static str,
    /// The phase of the measurement, and what its message says.
    phase: &'static str,
    says: &'static [&'static str],
}

const ILLS: [Ill; 8] = [
    Ill {
        name: "down",
        address: "http://127.0.0.1:1",
        condition: "result[0] >= 0.95",
        phase: "Error",
        says: &["cannot reach", "127.0.0.1:1", "connection refused"],
    },
    Ill {
        name: "slow",
        address: "BASE/slow",
        condition: "result[0] >= 0.95",
        phase: "Error",
        says: &["did not answer within 1 s"],
    },
    Ill {
        name: "failing",
        address: "BASE/failing",
        condition: "result[0] >= 0.95",
        phase: "Error",
        says: &["HTTP 500", "the disk is full"],
    },
    Ill {
        name: "empty",
        address: "BASE/empty",
        condition: "result[0] >= 0.95",
        phase: "Error",
        says: &["the query returned no data (empty vector)"],
    },
    Ill {
        name: "empty-unheeded",
        address: "BASE/empty",
        condition: "all(result, # >= 0.95)",
        phase: "Inconclusive",
        says: &[
            "the query returned no data (empty vector)",
            "does not count as success",
        ],
    },
    Ill {
        name: "empty-heeded",
        address: "BASE/empty",
        condition: "len(result) > 0 && result[0] >= 0.95",
        phase: "Failed",
        says: &["the query returned no data (empty vector)"],
    },
    Ill {
        name: "nan",
        address: "BASE/nan",
        condition: "result[0] >= 0.95",
        phase: "Failed",
        says: &["the query returned NaN"],
    },
    Ill {
        name: "nan-unheeded",
        address: "BASE/nan",
        condition: "!(result[0] < 0.95)",
        phase: "Inconclusive",
        says: &["the query returned NaN", "does not count as success"],
    },
];

#[test]
fn a_prometheus_that_gives_no_answer_says_why_and_never_promotes() {
    scenario("no-answer", |world| async move {
        let vector = |result: &str| {
            Some((
                200,
                format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#),
            ))
        };
        let server = http::serve(move |path| match path.split('/').nth(1) {
            Some("failing") => Some((500, "the disk is full".to_owned())),
            Some("empty") => vector(""),
            Some("nan") => vector(r#"{"metric":{},"value":[1700000000,"NaN"]}"#),
            _ => None,
        })
        .await;
        let base = format!("http://{server}");
        for ill in &ILLS {
            let template = json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AnalysisTemplate",
                "metadata": {"name": ill.name},
                "spec": {"metrics": [{
                    "name": "rate",
                    "consecutiveErrorLimit": 0,
                    "successCondition": ill.condition,
                    "provider": {"prometheus": {
                        "address": ill.address.replace("BASE", &base),
                        "query": "up",
                        "timeout": 1,
                    }},
                }]},
            });
            world.create(template).await;
            let steps = json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": ill.name}]}}]);
            world.create(rollout(ill.name, 2, canary(&steps))).await;
        }
        for ill in &ILLS {
            world.healthy(ill.name).await;
            world.set_image(ill.name, "app:v2").await;
        }
        for ill in &ILLS {
            let what = format!("{}: {}", ill.name, ill.phase);
            let run = world
                .until(&what, async || {
                    let mut runs = world.runs(ill.name).await;
                    runs.retain(|run| run["status"]["phase"] == ill.phase);
                    runs.pop()
                })
                .await;
            let measurement = &run["status"]["metricResults"][0]["measurements"][0];
            assert_eq!(measurement["phase"], ill.phase, "{run:#}");
            let message = text(measurement, "/message");
            for part in ill.says {
                assert!(
                    message.contains(part),
                    "{}: {message:?} does not say {part:?}",
                    ill.name
                );
            }
            let rollout = if ill.phase == "Inconclusive" {
                world
                    .until_rollout(ill.name, "paused", |r| is_paused_by(r, "InconclusiveAnalysisRun"))
                    .await
            } else {
                let reason = "Step-based analysis phase error/failed";
                world
                    .until_rollout(ill.name, "aborted", |r| is_degraded(r, reason))
                    .await
            };
            assert_ne!(
                rollout["status"]["stableRS"], rollout["status"]["currentPodHash"],
                "{} was promoted",
                ill.name
            );
            if ill.phase != "Inconclusive" {
                world.until_scales(ill.name, &[2, 0]).await;
            }
        }
    });
}

#[test]
fn old_replica_sets_and_runs_are_deleted_beyond_their_limits() {
    scenario("history", |world| async move {
        let is_good = Arc::new(AtomicBool::new(true));
        let answer = Arc::clone(&is_good);
        let server =
            http::serve(move |_| Some((200, json!({"ok": answer.load(Ordering::Relaxed)}).to_string())))
                .await;
        world
            .create(web_template("ok", &format!("http://{server}/"), 1))
            .await;
        let steps = json!([{"analysis": {"templates": [{"templateName": "ok"}]}}]);
        let mut object = rollout("app", 1, canary(&steps));
        object["spec"]["revisionHistoryLimit"] = json!(3);
        object["spec"]["analysis"] =
            json!({"successfulRunHistoryLimit": 2, "unsuccessfulRunHistoryLimit": 1});
        world.deployed(object).await;
        for revision in 2..=6 {
            world.set_image("app", &format!("app:v{revision}")).await;
            world.healthy("app").await;
        }
        let revisions = |all: Vec<Value>| -> Vec<String> {
            let of =
                |o: &Value| crate::support::world::annotation(o, "rollout.argoproj.io/revision").to_owned();
            all.iter().map(of).collect()
        };
        world
            .until("three old ReplicaSets beside the stable one", async || {
                (revisions(world.replica_sets("app").await) == ["3", "4", "5", "6"]).then_some(())
            })
            .await;
        world
            .until("two successful runs", async || {
                let mut kept = revisions(world.runs("app").await);
                kept.sort();
                (kept == ["5", "6"]).then_some(())
            })
            .await;
        is_good.store(false, Ordering::Relaxed);
        for revision in 7..=9 {
            world.set_image("app", &format!("app:v{revision}")).await;
            world
                .until_rollout("app", "aborted", |r| {
                    is_observed(r) && is_degraded(r, "RolloutAborted")
                })
                .await;
        }
        // The run that the status speaks of does not count.
        world
            .until("one failed run beside the last one", async || {
                let mut kept = world.runs("app").await;
                kept.retain(|run| run["status"]["phase"] == "Failed");
                let mut kept = revisions(kept);
                kept.sort();
                (kept == ["8", "9"]).then_some(())
            })
            .await;
        let sets = world.replica_sets("app").await;
        let running: Vec<i64> = sets
            .iter()
            .map(|rs| number(rs, "/spec/replicas"))
            .filter(|n| *n > 0)
            .collect();
        assert_eq!(running, [1], "only the stable one has a pod");
    });
}
