//! The demo's own judgement: the story as it should go holds, and each way in which it can go wrong
//! fails the claim that speaks of it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{manifest, set_env};
use crate::claims::{judge, mark, summary};
use crate::record::{BAD, FIRST, GOOD, Record, RolledBack, percent};
use crate::story;
use crate::view::{block, clip};
use crate::world::{Answers, Change, Load, World};

fn steps() -> Value {
    json!([
        {"setWeight": 10}, {"pause": {"duration": "10s"}}, {"analysis": {}},
        {"setWeight": 25}, {"pause": {"duration": "10s"}}, {"analysis": {}},
        {"setWeight": 50}, {"pause": {"duration": "10s"}}, {"analysis": {}},
        {"setWeight": 100}, {"pause": {"duration": "10s"}}, {"analysis": {}},
    ])
}

/// A cluster and a client that do as they are told.
#[derive(Default)]
struct Tale {
    world: World,
    record: Record,
    load: Load,
    lines: Vec<String>,
}

impl Tale {
    fn tell(&mut self, change: Change) {
        let before = self.world.clone();
        self.world.apply(change);
        self.record.note(&self.world);
        self.lines.extend(story::news(&before, &self.world));
    }

    fn rollout(&mut self, generation: i64, status: Value) {
        self.tell(Change::Rollout(json!({
            "metadata": {"name": "demo-app", "generation": generation},
            "spec": {"strategy": {"canary": {"steps": steps()}}},
            "status": status,
        })));
    }

    fn pods(&mut self, version: &str, available: u64) {
        self.tell(Change::ReplicaSet(json!({
            "metadata": {
                "name": format!("demo-app-hash{version}"),
                "labels": {"rollouts-pod-template-hash": format!("hash{version}")},
                "annotations": {"rollout.argoproj.io/revision": version.trim_start_matches('v')},
            },
            "spec": {"replicas": available, "template": {"spec": {"containers": [
                {"env": [{"name": "POD_NAME"}, {"name": "VERSION", "value": version}]}]}}},
            "status": {"replicas": available, "availableReplicas": available},
        })));
    }

    fn run(&mut self, version: &str, step: usize, phase: &str, values: &[&str]) {
        let measurements: Vec<_> = values
            .iter()
            .map(|value| json!({"value": format!("[{value}]")}))
            .collect();
        let message = match phase {
            "Failed" => "Metric \"success-rate\" assessed Failed due to failed (2) > failureLimit (1)",
            _ => "",
        };
        self.tell(Change::Run(json!({
            "metadata": {
                "name": format!("demo-app-hash{version}-{step}"),
                "labels": {"rollouts-pod-template-hash": format!("hash{version}"), "step-index": step.to_string()},
            },
            "status": {"phase": phase, "message": message, "metricResults": [{"measurements": measurements}]},
        })));
    }

    fn answers(&mut self, counts: &[(&str, u64, u64)]) {
        for (version, requests, errors) in counts {
            let answers = self.load.versions.entry((*version).to_owned()).or_default();
            *answers = Answers {
                requests: answers.requests + requests,
                errors: answers.errors + errors,
            };
        }
        self.load.elapsed_ms += 8000;
        self.tell(Change::Load(self.load.clone()));
    }

    fn gate(&mut self, step: usize, new: u64, old: u64) {
        self.pods(GOOD, new);
        self.pods(FIRST, old);
        self.run(GOOD, step, "Running", &[]);
        self.answers(&[
            (GOOD, 1600 * new / (new + old), 0),
            (FIRST, 1600 * old / (new + old), 0),
        ]);
        self.run(GOOD, step, "Successful", &["1", "1", "1", "0.9995", "1"]);
    }

    fn start() -> Self {
        let mut tale = Self::default();
        tale.pods(FIRST, 10);
        tale.rollout(1, status(1, "Healthy", FIRST, FIRST, 12));
        assert!(tale.world.promoted(FIRST));
        tale.record.first_healthy = Some(mark(Duration::from_secs(14), &tale.world.load));
        tale.answers(&[(FIRST, 1600, 0)]);
        tale.record.good_started = Some(mark(Duration::from_secs(20), &tale.world.load));
        tale.pods(GOOD, 0);
        tale.rollout(2, status(2, "Progressing", FIRST, GOOD, 0));
        assert!(!tale.world.promoted(FIRST) && !tale.world.promoted(GOOD));
        tale
    }

    fn promote(&mut self) {
        self.rollout(2, status(2, "Healthy", GOOD, GOOD, 12));
        assert!(self.world.promoted(GOOD));
        self.record.good_promoted = Some(mark(Duration::from_secs(90), &self.world.load));
    }

    fn start_bad(&mut self) {
        self.record.bad_started = Some(mark(Duration::from_secs(91), &self.world.load));
        self.pods(BAD, 1);
        self.pods(GOOD, 9);
        self.rollout(3, status(3, "Progressing", GOOD, BAD, 2));
        self.run(BAD, 2, "Running", &[]);
        self.answers(&[(GOOD, 1440, 0), (BAD, 160, 8)]);
        self.run(BAD, 2, "Failed", &["0.95", "0.95"]);
    }

    fn roll_back(&mut self, message: &str, generation: i64) {
        let mut aborted = status(3, "Degraded", GOOD, BAD, 0);
        aborted["abort"] = json!(true);
        aborted["message"] = json!(message);
        self.rollout(3, aborted);
        self.pods(GOOD, 10);
        self.pods(BAD, 0);
        assert!(self.world.aborted(BAD));
        self.answers(&[(GOOD, 600, 0)]);
        let rollout = &self.world.rollout;
        self.record.rolled_back = Some(RolledBack {
            mark: mark(Duration::from_secs(108), &self.world.load),
            phase: rollout.phase.clone(),
            message: rollout.message.clone(),
            generation: (3, generation),
        });
    }

    /// The texts of the claims that do not hold.
    fn failed(&self) -> Vec<String> {
        judge(&self.record)
            .into_iter()
            .filter(|claim| !claim.holds)
            .map(|claim| claim.text)
            .collect()
    }
}

fn status(generation: i64, phase: &str, stable: &str, current: &str, step: usize) -> Value {
    json!({
        "observedGeneration": generation.to_string(), "phase": phase, "currentStepIndex": step,
        "stableRS": format!("hash{stable}"), "currentPodHash": format!("hash{current}"),
    })
}

const ABORTED: &str = "RolloutAborted: Rollout aborted update to revision 3: Step-based analysis phase error/failed: \
     Metric \"success-rate\" assessed Failed due to failed (2) > failureLimit (1)";

const GATES: [(usize, u64, u64); 4] = [(2, 1, 9), (5, 3, 8), (8, 5, 5), (11, 10, 0)];

fn good_tale() -> Tale {
    let mut tale = Tale::start();
    for (step, new, old) in GATES {
        tale.gate(step, new, old);
    }
    tale.promote();
    tale.start_bad();
    tale.roll_back(ABORTED, 3);
    tale
}

#[track_caller]
fn only_fails(tale: &Tale, words: &str) {
    let failed = tale.failed();
    assert!(
        failed.len() == 1 && failed[0].contains(words),
        "failed claims: {failed:?}"
    );
}

#[test]
fn the_story_as_it_should_go_holds() {
    let tale = good_tale();
    assert_eq!(tale.failed(), Vec::<String>::new());
    assert_eq!(tale.record.fewest, Some(10));
    let text = summary(&judge(&tale.record), &tale.record, Duration::from_secs(110)).join("\n");
    for words in [
        "8 of 8 held",
        "25: 3 of 11 pods, 27 % of requests",
        "160 requests, 8 of them errors (5.0 %)",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
}

#[test]
fn nothing_seen_holds_nothing() {
    assert_eq!(
        judge(&Record::default())
            .iter()
            .filter(|claim| claim.holds)
            .count(),
        0
    );
}

#[test]
fn a_weight_left_out_or_passed_without_its_pods_fails() {
    let mut tale = Tale::start();
    for (step, new, old) in [GATES[0], GATES[2], GATES[3]] {
        tale.gate(step, new, old);
    }
    tale.promote();
    tale.start_bad();
    tale.roll_back(ABORTED, 3);
    assert_eq!(tale.failed().len(), 2, "{:?}", tale.failed());

    let mut tale = Tale::start();
    for (step, new, old) in [(2, 1, 9), (5, 3, 8), (8, 4, 6), (11, 10, 0)] {
        tale.gate(step, new, old);
    }
    tale.promote();
    tale.start_bad();
    tale.roll_back(ABORTED, 3);
    only_fails(&tale, "went through the weights");
}

#[test]
fn a_share_of_requests_that_is_not_the_weight_fails() {
    let mut tale = good_tale();
    tale.record.gates[1].share = Some(50.0);
    only_fails(&tale, "went through the weights");
    tale.record.gates[1].share = None;
    only_fails(&tale, "went through the weights");
}

#[test]
fn a_gate_without_measurements_fails() {
    let mut tale = good_tale();
    tale.record.gates[3].values = vec!["[]".to_owned(), "[NaN]".to_owned()];
    only_fails(&tale, "gated by the measured success rate");
}

#[test]
fn a_hand_on_the_spec_or_other_words_fail() {
    let mut tale = good_tale();
    tale.roll_back(ABORTED, 4);
    only_fails(&tale, "nobody touching it");
    tale.roll_back("RolloutAborted: Rollout aborted update to revision 3", 3);
    only_fails(&tale, "nobody touching it");
}

#[test]
fn a_bad_version_that_reaches_a_second_pod_fails() {
    let mut tale = good_tale();
    tale.record.most.insert(BAD.to_owned(), 2);
    only_fails(&tale, "few requests");
}

#[test]
fn a_lost_request_or_an_error_of_a_good_version_fails() {
    let mut tale = good_tale();
    tale.record
        .total
        .failed
        .insert("connection refused".to_owned(), 1);
    only_fails(&tale, "no request was lost");
    let mut tale = good_tale();
    tale.record.total.versions.insert(
        GOOD.to_owned(),
        Answers {
            requests: 900,
            errors: 1,
        },
    );
    only_fails(&tale, "no request was lost");
}

#[test]
fn a_verdict_is_noted_once() {
    let mut tale = good_tale();
    tale.run(BAD, 2, "Failed", &["0.95", "0.95"]);
    assert_eq!(tale.record.gates_of(BAD).len(), 1);
}

#[test]
fn the_news_name_step_verdict_and_abort() {
    let told = good_tale().lines.join("\n");
    for words in [
        "v2: step 1 of 12: setWeight 10",
        "is Successful, success rate 100.0 %, 100.0 %, 100.0 %, 100.0 %, 100.0 %",
        "is Failed, success rate 95.0 %, 95.0 %: Metric",
        "v3 is aborted",
        "Rollout is Degraded: RolloutAborted",
    ] {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
}

#[test]
fn the_view_shows_weight_pods_and_counts() {
    let mut tale = Tale::start();
    tale.gate(2, 1, 9);
    tale.rollout(2, status(2, "Progressing", FIRST, GOOD, 4));
    let text: String = block(&tale.world, "chapter", Duration::from_secs(75)).join("\n");
    for words in [
        "01:15  chapter",
        "weight     25",
        "[pause]",
        " 9 ●●●●●●●●●",
        "analysis at  10",
        "without an answer",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
}

#[test]
fn a_line_is_cut_by_what_is_seen() {
    assert_eq!(clip("\x1b[1mabcdef\x1b[0m", 3), "\x1b[1mabc\x1b[0m");
    assert_eq!(clip("●●●", 5), "●●●");
}

#[test]
fn a_value_is_shown_as_percent_or_as_it_is() {
    assert_eq!(percent("[0.95]"), "95.0 %");
    assert_eq!(percent("[NaN]"), "[NaN]");
    assert_eq!(percent("[]"), "[]");
}

#[test]
fn the_manifests_are_what_the_judge_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let mut rollout = manifest(&folder, "rollout.yaml").unwrap();
    let mut tale = Tale::default();
    tale.tell(Change::Rollout(rollout.clone()));
    let gates = tale
        .world
        .rollout
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| *step == "analysis");
    let weights: Vec<_> = gates.map(|(step, _)| tale.world.weight_at(step)).collect();
    assert_eq!(weights, [10, 25, 50, 100]);
    assert_eq!(rollout["spec"]["replicas"], 10);
    let steps = rollout["spec"]["strategy"]["canary"]["steps"].as_array().unwrap();
    assert_eq!(steps[11], steps[2], "an alias is read as what it stands for");

    let spec = rollout.pointer_mut("/spec/template/spec").unwrap();
    set_env(spec, "VERSION", BAD).unwrap();
    assert_eq!(spec["containers"][0]["env"][0]["value"], BAD);
    assert!(set_env(spec, "VERSIONS", BAD).is_err());
    for file in ["namespace.yaml", "service.yaml", "analysis.yaml", "load.yaml"] {
        assert!(
            manifest(&folder, file).unwrap()["metadata"]["name"].is_string(),
            "{file}"
        );
    }
}
