//! Every action of a user in every phase of a canary: where it ends, and what is told of it.
//!
//! A test brings one Rollout for each action into a phase, acts on all of them, and looks at where each one comes to rest: two
//! pods of `app:v1` are stable; the update is to `v2`, with the steps `setWeight: 50` and a pause.

use serde_json::{Value, json};

use crate::events::reasons_of;
use crate::support::record::Record;
use crate::support::world::{EVENT, POD, is_degraded, is_observed, is_paused_by, number, text};
use crate::support::{World, canary, http, rollout, scenario, web_template};

#[path = "phases/tables.rs"]
mod tables;

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Promote,
    PromoteFull,
    Abort,
    Retry,
    Pause,
    Resume,
    /// Undo to the first revision, which is stable.
    Undo,
    /// Another version, `v3`, whose pods are healthy.
    SetImage,
    Restart,
    /// From two pods to four.
    Scale,
}

use Action::{Abort, Pause, Promote, PromoteFull, Restart, Resume, Retry, Scale, SetImage, Undo};

/// An action, and where it ends.
struct Case {
    action: Action,
    /// `status.phase`.
    phase: &'static str,
    /// What `status.message` begins with.
    says: &'static str,
    /// The step cursor.
    step: i64,
    /// The pods that the ReplicaSets are asked for, in the order of their revisions.
    sizes: &'static [i64],
    /// The events that follow the action.
    events: &'static [&'static str],
}

/// `action -> phase, message, step, sizes, events`.
const fn case(
    action: Action,
    (phase, says): (&'static str, &'static str),
    step: i64,
    sizes: &'static [i64],
    events: &'static [&'static str],
) -> Case {
    Case {
        action,
        phase,
        says,
        step,
        sizes,
        events,
    }
}

impl Case {
    /// The name of its Rollout.
    fn name(&self) -> String {
        format!("{:?}", self.action).to_lowercase()
    }

    /// Whether the Rollout stands where this case ends. A restart ends with its last pod.
    fn is_reached(&self, rollout: &Value, sizes: &[i64]) -> bool {
        let status = &rollout["status"];
        let restarts = self.action == Restart && !self.says.starts_with("rollout is restarting");
        is_observed(rollout)
            && status["phase"] == self.phase
            && text(rollout, "/status/message").starts_with(self.says)
            && number(rollout, "/status/currentStepIndex") == self.step
            && sizes == self.sizes
            && (!restarts || status["restartedAt"] == rollout["spec"]["restartAt"])
    }
}

async fn act(world: &World, name: &str, action: Action) {
    match action {
        Promote => world.promote(name).await,
        PromoteFull => world.promote_full(name).await,
        Abort => world.abort(name).await,
        Retry => world.retry(name).await,
        Pause => world.pause(name, true).await,
        Resume => world.pause(name, false).await,
        Undo => world.undo(name, "1").await,
        SetImage => world.set_image(name, "app:v3").await,
        Restart => {
            let pods = world.list(POD, &format!("app={name}")).await;
            let created = |pod: &Value| -> jiff::Timestamp {
                text(pod, "/metadata/creationTimestamp").parse().unwrap()
            };
            let last = pods.iter().map(created).max().unwrap();
            let at = (last + jiff::SignedDuration::from_secs(1)).to_string();
            world.patch(name, json!({"spec": {"restartAt": at}})).await;
        }
        Scale => world.scale(name, 4).await,
    }
}

/// Acts on the Rollouts of all cases, which stand in the same phase, of which `last` was told last, and waits until each is
/// where it should end. Looks once more when all of them are: an action that changes nothing has had its time by then.
async fn check(world: &World, events: &Record, last: &[&str], cases: &[Case]) {
    let before = told(world, events, last, cases).await;
    for case in cases {
        act(world, &case.name(), case.action).await;
    }
    end(world, events, &before, cases).await;
}

/// How much was told of each Rollout when `last` was told of it last.
async fn told(world: &World, events: &Record, last: &[&str], cases: &[Case]) -> Vec<usize> {
    let mut before = Vec::new();
    for case in cases {
        // Events are published after what they tell of.
        let count = world
            .until("the events of the phase", async || {
                let told = reasons_of(events, &case.name());
                let told: Vec<&str> = told.iter().map(String::as_str).collect();
                told.ends_with(last).then_some(told.len())
            })
            .await;
        before.push(count);
    }
    before
}

/// Waits until each is where it should end, with what was told since `before`.
async fn end(world: &World, events: &Record, before: &[usize], cases: &[Case]) {
    let stands = async |case: &Case, before: usize| {
        let name = case.name();
        let (rollout, sizes) = (world.rollout(&name).await, world.scales(&name).await);
        let told = reasons_of(events, &name).split_off(before);
        (case.is_reached(&rollout, &sizes) && told == case.events)
            .then_some(())
            .ok_or_else(|| {
                let status = &rollout["status"];
                format!(
                    "{name}: {}, {}, step {}, {sizes:?}, {told:?}, restarted {}",
                    status["phase"], status["message"], status["currentStepIndex"], status["restartedAt"]
                )
            })
    };
    let mut wrong = Vec::new();
    for (case, before) in cases.iter().zip(before) {
        let began = std::time::Instant::now();
        while let Err(how) = stands(case, *before).await {
            if began.elapsed() > std::time::Duration::from_secs(30) {
                wrong.push(how);
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    for (case, before) in cases.iter().zip(before) {
        if let Err(how) = stands(case, *before).await
            && !wrong.iter().any(|w| w.starts_with(&case.name()))
        {
            wrong.push(format!("later {how}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Rollout of two pods for each case, changed by `change`, whose first version is out.
async fn deployed(world: &World, cases: &[Case], change: impl Fn(&mut Value)) -> Record {
    let events = world.record(EVENT).await;
    for case in cases {
        let mut object = rollout(
            &case.name(),
            2,
            canary(&json!([{"setWeight": 50}, {"pause": {}}])),
        );
        change(&mut object["spec"]);
        world.create(object).await;
    }
    for case in cases {
        world.healthy(&case.name()).await;
    }
    events
}

/// Brings every Rollout to `image`, and waits until it is so.
async fn updated(world: &World, cases: &[Case], image: &str, is: impl Fn(&Value) -> bool) {
    for case in cases {
        world.set_image(&case.name(), image).await;
    }
    for case in cases {
        world
            .until_rollout(&case.name(), "in its phase", |r| is_observed(r) && is(r))
            .await;
    }
}

fn is_at_pause(r: &Value) -> bool {
    r["status"]["currentStepIndex"] == 1 && r["status"]["phase"] == "Paused"
}

#[test]
fn every_action_while_the_pods_of_a_step_are_awaited() {
    scenario("phase-waiting", |world| async move {
        let cases = &tables::WAITING;
        let events = deployed(&world, cases, |_| {}).await;
        updated(&world, cases, "broken:v2", |r| {
            number(r, "/status/updatedReplicas") == 1
        })
        .await;
        check(&world, &events, &[tables::SCALED], cases).await;
    });
}

#[test]
fn every_action_in_the_pause_of_a_step() {
    scenario("phase-paused", |world| async move {
        let cases = &tables::PAUSED;
        let events = deployed(&world, cases, |_| {}).await;
        updated(&world, cases, "app:v2", is_at_pause).await;
        check(&world, &events, &[tables::STOPPED], cases).await;
    });
}

#[test]
fn every_action_while_an_analysis_is_running() {
    scenario("phase-analysis", |world| async move {
        let cases = &tables::IN_ANALYSIS;
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        let template = web_template("answers", &format!("http://{server}/"), 1000);
        world.create(template).await;
        let events = deployed(&world, cases, |spec| {
            let analysis = json!({"analysis": {"templates": [{"templateName": "answers"}]}});
            spec["strategy"]["canary"]["steps"] = json!([{"setWeight": 50}, analysis, {"pause": {}}]);
        })
        .await;
        updated(&world, cases, "app:v2", |r| {
            text(r, "/status/canary/currentStepAnalysisRunStatus/status") == "Running"
        })
        .await;
        check(&world, &events, &[tables::STEP], cases).await;
    });
}

/// As in the pause of a step, when the spec is corrected; and nothing before.
#[test]
fn every_action_on_a_spec_that_cannot_be_carried_out_waits_for_its_correction() {
    scenario("phase-invalid", |world| async move {
        let cases = &tables::PAUSED;
        let events = deployed(&world, cases, |_| {}).await;
        updated(&world, cases, "app:v2", is_at_pause).await;
        let surge = async |value: Value| {
            for case in cases {
                let patch = json!({"spec": {"strategy": {"canary": {"maxSurge": value}}}});
                world.patch(&case.name(), patch).await;
            }
        };
        let all_are_invalid = async || {
            for case in cases {
                let is_invalid = |r: &Value| is_degraded(r, "InvalidSpec: ");
                world.until_rollout(&case.name(), "invalid", is_invalid).await;
                assert_eq!(world.scales(&case.name()).await, [1, 1], "{}", case.name());
            }
        };
        surge(json!("many")).await;
        all_are_invalid().await;
        let before = told(&world, &events, &["InvalidSpec"], cases).await;
        for case in cases {
            act(&world, &case.name(), case.action).await;
        }
        all_are_invalid().await;
        surge(json!(1)).await;
        end(&world, &events, &before, cases).await;
    });
}

#[test]
fn every_action_in_a_pause_of_the_user() {
    scenario("phase-held", |world| async move {
        let cases = &tables::HELD;
        let events = deployed(&world, cases, |_| {}).await;
        updated(&world, cases, "app:v2", is_at_pause).await;
        for case in cases {
            world.pause(&case.name(), true).await;
        }
        for case in cases {
            let is_held = |r: &Value| is_observed(r) && is_paused_by(r, "manually paused");
            world.until_rollout(&case.name(), "held", is_held).await;
        }
        check(&world, &events, &[tables::STOPPED], cases).await;
    });
}

#[test]
fn every_action_after_an_abort() {
    scenario("phase-aborted", |world| async move {
        let cases = &tables::ABORTED;
        let events = deployed(&world, cases, |_| {}).await;
        updated(&world, cases, "app:v2", is_at_pause).await;
        for case in cases {
            world.abort(&case.name()).await;
        }
        for case in cases {
            world.until_scales(&case.name(), &[2, 0]).await;
        }
        check(
            &world,
            &events,
            &[tables::SCALED, tables::ABORT, tables::SCALED],
            cases,
        )
        .await;
    });
}

#[test]
fn every_action_after_the_deadline_of_progress() {
    scenario("phase-overdue", |world| async move {
        let cases = &tables::OVERDUE;
        let events = deployed(&world, cases, |spec| spec["progressDeadlineSeconds"] = json!(5)).await;
        updated(&world, cases, "broken:v2", |r| {
            text(r, "/status/message").starts_with("ProgressDeadlineExceeded")
        })
        .await;
        check(&world, &events, &[tables::SCALED], cases).await;
    });
}

#[test]
fn every_action_at_rest() {
    scenario("phase-rest", |world| async move {
        let cases = &tables::AT_REST;
        let events = deployed(&world, cases, |_| {}).await;
        check(&world, &events, &[tables::DONE], cases).await;
    });
}

#[test]
fn every_action_in_a_first_deployment_whose_pods_do_not_come_up() {
    scenario("phase-first", |world| async move {
        let cases = &tables::FIRST;
        let events = world.record(EVENT).await;
        for case in cases {
            let mut object = rollout(
                &case.name(),
                2,
                canary(&json!([{"setWeight": 50}, {"pause": {}}])),
            );
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("broken:v1");
            world.create(object).await;
        }
        for case in cases {
            let is_waiting = |r: &Value| is_observed(r) && number(r, "/status/updatedReplicas") == 2;
            world.until_rollout(&case.name(), "waiting", is_waiting).await;
        }
        check(&world, &events, &[tables::SCALED], cases).await;
    });
}
