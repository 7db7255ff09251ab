#![expect(
    clippy::needless_pass_by_value,
    reason = "the samples are made where they are used"
)]

use serde_json::{Value, json};

use super::*;

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
}

fn container(restarts: i32, state: Value, last: Value) -> Pod {
    pod(&json!({
        "phase": "Running",
        "containerStatuses": [
            {"name": "fine", "image": "f:v1", "restartCount": 0, "state": {"running": {}}},
            {"name": "app", "image": "a:v9", "restartCount": restarts, "state": state, "lastState": last},
        ],
    }))
}

fn waits(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "some\n words"}})
}

fn ended(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason}})
}

#[test]
fn the_words_say_what_is_wrong() {
    let unschedulable = |words: &str| {
        pod(&json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words},
        ]}))
    };
    for (pod, want) in [
        (
            container(0, waits("ErrImagePull"), json!({})),
            Some("ImagePullBackOff: image a:v9"),
        ),
        (
            container(0, waits("ImagePullBackOff"), json!({})),
            Some("ImagePullBackOff: image a:v9"),
        ),
        (
            container(0, waits("InvalidImageName"), json!({})),
            Some("InvalidImageName: image a:v9"),
        ),
        (
            container(0, waits("CreateContainerConfigError"), json!({})),
            Some("CreateContainerConfigError: container app: some words"),
        ),
        (
            container(1, waits("CrashLoopBackOff"), ended(137, "OOMKilled")),
            Some("CrashLoopBackOff: container app exited with code 137 (OOMKilled)"),
        ),
        (
            container(5, waits("CrashLoopBackOff"), ended(0, "Completed")),
            Some("CrashLoopBackOff: container app exited with code 0"),
        ),
        (
            container(2, json!({"running": {}}), ended(1, "Error")),
            Some("CrashLoopBackOff: container app exited with code 1"),
        ),
        (container(1, json!({"running": {}}), ended(1, "Error")), None),
        (container(7, json!({"running": {}}), ended(0, "Completed")), None),
        (container(0, waits("ContainerCreating"), json!({})), None),
        (
            unschedulable("0/5 nodes are available"),
            Some("Unschedulable: 0/5 nodes are available"),
        ),
        (pod(&json!({"phase": "Pending"})), None),
    ] {
        assert_eq!(trouble(&pod).map(|t| t.text).as_deref(), want, "{pod:?}");
    }
    let long = trouble(&unschedulable(&"ä ".repeat(500))).unwrap().text;
    assert!(long.ends_with("...") && long.chars().count() < 160, "{long}");
}

#[test]
fn a_pod_that_ended_or_goes_is_in_no_trouble() {
    let mut gone = container(3, waits("CrashLoopBackOff"), ended(1, "Error"));
    assert!(trouble(&gone).is_some());
    gone.phase = "Failed".to_owned();
    assert_eq!(trouble(&gone), None);
    gone.phase = "Running".to_owned();
    gone.is_evicted = true;
    assert_eq!(trouble(&gone), None);
}

#[test]
fn only_a_change_of_the_trouble_stirs() {
    let well = container(0, json!({"running": {}}), json!({}));
    let pull = |reason| container(0, waits(reason), json!({}));
    let crash = |restarts| container(restarts, json!({"running": {}}), ended(1, "Error"));
    for (before, now, gone, want) in [
        (None, &well, false, Stirs::Nobody),
        (Some(&well), &well, false, Stirs::Nobody),
        (Some(&well), &pull("ErrImagePull"), false, Stirs::Everybody),
        (
            Some(&pull("ErrImagePull")),
            &pull("ImagePullBackOff"),
            false,
            Stirs::Nobody,
        ),
        (Some(&pull("ImagePullBackOff")), &well, false, Stirs::Everybody),
        (Some(&crash(1)), &crash(2), false, Stirs::Everybody),
        (Some(&crash(2)), &crash(3), false, Stirs::Nobody),
        (Some(&well), &well, true, Stirs::Restarting),
        (Some(&crash(3)), &crash(3), true, Stirs::Everybody),
    ] {
        assert_eq!(stirs(before, now, gone), want, "{before:?} -> {now:?}");
    }
}

#[test]
fn a_crashing_pod_fails_until_it_has_been_ready_for_long_enough() {
    let since = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    let mut pod = container(3, json!({"running": {}}), ended(1, "Error"));
    let recovery = SignedDuration::from_secs(60);
    assert!(is_failing(&pod, recovery, since(1000)));
    let ready = crate::api::pod::Ready {
        is_true: true,
        since: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(since(1000))),
    };
    pod.ready = Some(ready);
    assert!(is_failing(&pod, recovery, since(1059)));
    assert!(!is_failing(&pod, recovery, since(1060)));
}
