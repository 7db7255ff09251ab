//! The page as a whole: what docs/metrics.md promises, and nothing else; and nothing of objects that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::channel::mpsc::unbounded;
use kube::Resource;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::api::analysis::{AnalysisRun, AnalysisTemplate};
use crate::api::names::CompletionStatus;
use crate::controller::cache::{Feed, cache};
use crate::controller::watched::WatchedRollout;
use crate::controller::workloads::Workloads;

/// Stores with a canary under way, a run and a template, and what feeds the first two.
fn world() -> (Stores, Feed<WatchedRollout>, Feed<AnalysisRun>) {
    let (rollouts, mut rollout_feed) = cache::<WatchedRollout>();
    let (analysis_runs, mut run_feed) = cache::<AnalysisRun>();
    let (templates, mut template_feed) = cache::<AnalysisTemplate>();
    rollout_feed.take(&Event::Apply(object(rollout())), &|_| {});
    run_feed.take(&Event::Apply(object(run())), &|_| {});
    let template = json!({
        "metadata": {"name": "t", "namespace": "n"},
        "spec": {"metrics": [{"name": "errors", "provider": {"prometheus": {"query": "q"}}}]},
    });
    template_feed.take(&Event::Apply(object(template)), &|_| {});
    let stores = Stores {
        rollouts,
        replica_sets: cache().0,
        pods: cache().0,
        services: cache().0,
        endpoint_slices: cache().0,
        analysis_runs,
        templates,
        workloads: Arc::new(Workloads::new(unbounded().0).0),
        cluster_templates: cache().0,
    };
    (stores, rollout_feed, run_feed)
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "n", "uid": "u"},
        "spec": {"replicas": 5, "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
        "status": {
            "phase": "Progressing", "stableRS": "a", "currentPodHash": "b", "currentStepIndex": 1,
            "conditions": [{
                "type": "Progressing", "reason": "ReplicaSetUpdated", "status": "True", "message": "",
                "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    })
}

fn run() -> Value {
    json!({
        "metadata": {"name": "app-1", "namespace": "n", "uid": "r"},
        "spec": {"metrics": [{"name": "errors", "provider": {"web": {"url": "http://x", "jsonPath": "{$}"}}}]},
        "status": {"phase": "Running", "metricResults": [{"name": "errors", "phase": "Running"}]},
    })
}

/// Something of everything that is counted.
fn counted(stores: &Stores) -> Metrics {
    let metrics = Metrics::default();
    let rollout = stores.rollouts.get("n", "app").unwrap();
    let run = stores.analysis_runs.get("n", "app-1").unwrap();
    for (kind, meta) in [
        (Kind::Rollout, rollout.meta()),
        (Kind::AnalysisRun, &run.metadata),
    ] {
        metrics.passed(kind, Ended::Failed(Class::Transient));
        metrics.took(kind, meta, Duration::from_millis(20), Some(Class::Transient));
        metrics.took(kind, meta, Duration::from_millis(20), Some(Class::Conflict));
    }
    metrics.told("n", "app", false, "RolloutUpdated");
    metrics.phase_is("u", Some("Progressing"));
    metrics.phase_is("u", Some("Progressing"));
    metrics.phase_is("u", Some("Healthy"));
    metrics.ended(Update {
        how: CompletionStatus::Promoted,
        took: 700,
        waited: 650,
    });
    metrics.measured(&run.spec.metrics[0], AnalysisPhase::Error, Duration::from_secs(1));
    metrics.called(&Method::GET, &"/api/v1/pods".parse().unwrap(), 200);
    metrics.watch_failed("Pod");
    metrics
}

/// The names of all metrics of a page, each with its type and the names of its labels.
fn promises(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut all = BTreeMap::new();
    let mut last = String::new();
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            last = name.to_owned();
            all.insert(last.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&last), "{line} stands under {last}");
            let labels = line
                .split_once('{')
                .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let names = labels.split("\",").filter_map(|pair| pair.split_once('='));
            let names = names.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
            all.get_mut(&last).unwrap().1.extend(names);
        }
    }
    all
}

/// The same, as the tables of docs/metrics.md have it.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = include_str!("../../../docs/metrics.md");
    let mut all = BTreeMap::new();
    let words =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [names, kind, labels, ..] = cells.as_slice() else {
            continue;
        };
        let names = words(names);
        let stem = names[0].rsplit_once('_').unwrap().0.to_owned();
        for name in &names {
            // `_available` is short for the name before it with another end.
            let name = if name.starts_with('_') {
                format!("{stem}{name}")
            } else {
                name.clone()
            };
            let kind = kind
                .split(',')
                .next()
                .unwrap()
                .trim_matches(['|', ' '])
                .to_owned();
            all.insert(name, (kind, words(labels).into_iter().collect()));
        }
    }
    all
}

#[tokio::test]
async fn the_page_is_what_the_document_says() {
    let (stores, _, _) = world();
    let page = counted(&stores).text(Some(&stores));
    let (mut found, mut told) = (promises(&page), documented());
    let own = |name: &String, _: &mut (String, BTreeSet<String>)| !name.starts_with("process_");
    found.retain(own);
    told.retain(own);
    assert_eq!(found, told);
    for line in [
        r#"rollout_info{namespace="n",name="app",strategy="canary",traffic_router="",phase="Progressing"} 1"#,
        r#"serin_rollout_canary_weight{namespace="n",name="app"} 20"#,
        r#"rollout_reconcile_count{namespace="n",name="app"} 2"#,
        r#"rollout_reconcile_error{namespace="n",name="app"} 1"#,
        r#"serin_rollout_phase_duration_seconds_count{phase="Progressing"} 1"#,
        r#"rollout_duration_seconds_sum{status="Promoted"} 700"#,
        r#"rollout_progression_duration_seconds_bucket{status="Promoted",le="60"} 1"#,
        r#"rollout_manual_pause_duration_seconds_sum{status="Promoted"} 650"#,
        r#"serin_measurement_duration_seconds_count{provider="Web",phase="Error"} 1"#,
        r#"analysis_run_metric_phase{namespace="n",name="app-1",metric="errors",type="Web",dry_run="false",phase="Running"} 1"#,
    ] {
        assert!(page.lines().any(|l| l == line), "{line} in {page}");
    }
}

#[tokio::test]
async fn the_series_of_an_object_are_gone_with_it() {
    let (stores, mut rollouts, mut runs) = world();
    let metrics = counted(&stores);
    let of_objects = |metrics: &Metrics| -> Vec<String> {
        let page = metrics.text(Some(&stores));
        let named = |line: &&str| line.contains(r#"name="app"#);
        page.lines().filter(named).map(str::to_owned).collect()
    };
    let before = of_objects(&metrics);
    metrics.sweep(&stores);
    assert_eq!(of_objects(&metrics).len(), before.len(), "what lives is kept");
    rollouts.take(&Event::Delete(object(rollout())), &|_| {});
    runs.take(&Event::Delete(object(run())), &|_| {});
    metrics.sweep(&stores);
    assert_eq!(of_objects(&metrics), Vec::<String>::new());
    assert!(metrics.lasting.lock().is_empty());
}
