use super::*;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use kube::runtime::watcher::Event;
use serde_json::json;

fn rollout(name: &str, kind: &str) -> Rollout {
    let version = if kind == "PodTemplate" { "v1" } else { "apps/v1" };
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"workloadRef": {"apiVersion": version, "kind": kind, "name": "web"}},
    }))
    .unwrap()
}

fn watched(rollout: &Rollout) -> Arc<WatchedRollout> {
    Arc::new(serde_json::from_value(serde_json::to_value(rollout).unwrap()).unwrap())
}

fn deployment(name: &str, generation: i64) -> PartialObjectMeta<Deployment> {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "generation": generation},
    }))
    .unwrap()
}

fn told(queue: &mut UnboundedReceiver<ObjectRef<WatchedRollout>>) -> Vec<String> {
    std::iter::from_fn(|| queue.try_recv().ok())
        .map(|r| r.name)
        .collect()
}

#[test]
fn a_kind_is_watched_only_while_some_rollout_refers_to_one() {
    let (workloads, _lanes) = Workloads::new(unbounded().0);
    let needed = |w: &Workloads| {
        (
            *w.deployments.needed.borrow(),
            *w.replica_sets.needed.borrow(),
            *w.pod_templates.needed.borrow(),
        )
    };
    assert_eq!(needed(&workloads), (false, false, false));
    let mut plain = rollout("plain", "Deployment");
    plain.spec.workload_ref = None;
    workloads.note(&plain);
    assert_eq!(needed(&workloads), (false, false, false));
    let (a, b) = (rollout("a", "Deployment"), rollout("b", "PodTemplate"));
    workloads.note(&a);
    workloads.note(&b);
    assert_eq!(needed(&workloads), (true, false, true));
    workloads.sweep(&[watched(&a), watched(&plain)]);
    assert_eq!(needed(&workloads), (true, false, false));
    workloads.sweep(&[]);
    assert_eq!(needed(&workloads), (false, false, false));
}

#[test]
fn whoever_refers_to_a_workload_is_told_when_it_comes_changes_and_goes() {
    let (trigger, mut queue) = unbounded();
    let (workloads, mut lanes) = Workloads::new(trigger);
    workloads.note(&rollout("a", "Deployment"));
    workloads.note(&rollout("b", "Deployment"));
    workloads.note(&rollout("c", "PodTemplate"));
    let touched = |object: &PartialObjectMeta<Deployment>| {
        workloads.changed(WorkloadKind::Deployment, &object.metadata)
    };
    let feed = &mut lanes.deployments;
    feed.take(&Event::Init, &touched);
    feed.take(&Event::InitDone, &touched);
    let mut seen = |what: &str, want: &[&str]| {
        let mut names = told(&mut queue);
        names.sort();
        assert_eq!(names, want, "{what}");
    };
    seen("nothing is there", &[]);
    feed.take(&Event::Apply(deployment("other", 1)), &touched);
    seen("another one came", &[]);
    feed.take(&Event::Apply(deployment("web", 1)), &touched);
    seen("it came", &["a", "b"]);
    feed.take(&Event::Apply(deployment("web", 2)), &touched);
    seen("it changed", &["a", "b"]);
    feed.take(&Event::Delete(deployment("web", 2)), &touched);
    seen("it went", &["a", "b"]);
}

#[test]
fn each_kind_is_read_where_it_keeps_its_template() {
    let object = |value: Value| serde_json::from_value::<DynamicObject>(value).unwrap();
    let meta = json!({"name": "web", "namespace": "n", "uid": "1", "generation": 7});
    let template = json!({"metadata": {"labels": {"app": "a"}}});
    let selector = json!({"matchLabels": {"app": "a"}});
    let deployment = object(
        json!({"metadata": meta, "spec": {"template": template, "selector": selector, "replicas": 3}}),
    );
    let got = read(WorkloadKind::Deployment, &deployment);
    assert_eq!((got.generation, got.replicas, got.uid.as_str()), (7, 3, "1"));
    assert_eq!(got.template.0, template);
    assert_eq!(serde_json::to_value(got.selector).unwrap(), selector);
    let got = read(
        WorkloadKind::PodTemplate,
        &object(json!({"metadata": meta, "template": template})),
    );
    assert_eq!((got.template.0, got.selector, got.replicas), (template, None, 0));
    assert!(
        read(WorkloadKind::ReplicaSet, &object(json!({"metadata": meta})))
            .template
            .is_empty()
    );
}
