//! The metrics of objects, read off the stores when they are asked for: a series is gone when its object is.

use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::page::Page;
use crate::api::analysis::{AnalysisRun, Metric, MetricProvider};
use crate::api::common::Condition;
use crate::api::names::{RolloutPhase, conditions, reasons};
use crate::api::rollout::{Rollout, RolloutStatus, RolloutTrafficRouting};
use crate::controller::observe::Stores;
use crate::engine::observed;

/// The lines of all Rollouts, runs and templates.
pub fn page(stores: &Stores, now: Timestamp, page: &mut Page) {
    rollouts(stores, now, page);
    runs(stores, page);
    templates(stores, page);
}

/// The label `type` of a metric, in the contract's words: the provider that it has.
pub fn provider_type(provider: &MetricProvider) -> &'static str {
    let MetricProvider {
        prometheus,
        web,
        job,
        datadog,
        new_relic,
        wavefront,
        kayenta,
        cloud_watch,
        graphite,
        influxdb,
        skywalking,
        plugin,
    } = provider;
    let named = [
        (prometheus.is_some(), "Prometheus"),
        (web.is_some(), "Web"),
        (job.is_some(), "Job"),
        (datadog.is_some(), "Datadog"),
        (new_relic.is_some(), "NewRelic"),
        (wavefront.is_some(), "Wavefront"),
        (kayenta.is_some(), "Kayenta"),
        (cloud_watch.is_some(), "CloudWatch"),
        (graphite.is_some(), "Graphite"),
        (influxdb.is_some(), "Influxdb"),
        (skywalking.is_some(), "SkyWalking"),
        (plugin.is_some(), "Plugin"),
    ];
    let found = named.into_iter().find(|(is, _)| *is);
    found.map_or("Unknown", |(_, name)| name)
}

fn identity(meta: &ObjectMeta) -> [(&'static str, &str); 2] {
    [
        ("namespace", meta.namespace.as_deref().unwrap_or_default()),
        ("name", observed::name(meta)),
    ]
}

fn rollouts(stores: &Stores, now: Timestamp, page: &mut Page) {
    let mut all = stores.rollouts.store().state();
    all.sort_by(|a, b| identity(&a.rollout.metadata).cmp(&identity(&b.rollout.metadata)));
    page.head("rollout_info", "gauge", "Information about a Rollout");
    for rollout in all.iter().map(|w| &w.rollout) {
        let [namespace, name] = identity(&rollout.metadata);
        let labels = [
            namespace,
            name,
            ("strategy", strategy(rollout)),
            ("traffic_router", router(rollout)),
            ("phase", phase(rollout)),
        ];
        page.sample("rollout_info", &labels, 1);
    }
    page.head(
        "rollout_phase",
        "gauge",
        "The phase of a Rollout, by its older name",
    );
    for rollout in all.iter().map(|w| &w.rollout) {
        let [namespace, name] = identity(&rollout.metadata);
        let labels = [
            namespace,
            name,
            ("strategy", strategy(rollout)),
            ("phase", phase(rollout)),
        ];
        page.sample("rollout_phase", &labels, 1);
    }
    for (metric, help, read) in GAUGES {
        page.head(metric, "gauge", help);
        for rollout in all.iter().map(|w| &w.rollout) {
            if let Some(value) = read(rollout, now) {
                page.sample(metric, &identity(&rollout.metadata), value);
            }
        }
    }
}

/// A metric, its help, and how it is read off a Rollout; none where it has no meaning.
type Gauge = (&'static str, &'static str, fn(&Rollout, Timestamp) -> Option<i64>);

const GAUGES: [Gauge; 8] = [
    (
        "rollout_info_replicas_available",
        "Available pods of a Rollout",
        |r, _| Some(number(r, |s| s.available_replicas)),
    ),
    (
        "rollout_info_replicas_unavailable",
        "Missing pods of a Rollout",
        |r, _| Some((number(r, |s| s.replicas) - number(r, |s| s.available_replicas)).max(0)),
    ),
    (
        "rollout_info_replicas_desired",
        "Wanted pods of a Rollout",
        |r, _| Some(i64::from(r.spec.replicas.unwrap_or(1))),
    ),
    (
        "rollout_info_replicas_updated",
        "Pods of the newest revision",
        |r, _| Some(number(r, |s| s.updated_replicas)),
    ),
    (
        "serin_rollout_canary_weight",
        "The share that the canary is given now, in percent",
        |r, _| canary_weight(r),
    ),
    (
        "serin_rollout_step",
        "The current step, from 0; the number of steps when all are done",
        |r, _| {
            let index = r.status.as_ref().and_then(|s| s.current_step_index);
            (steps(r) > 0).then(|| i64::from(index.unwrap_or(0)))
        },
    ),
    ("serin_rollout_steps", "How many steps there are", |r, _| {
        Some(steps(r)).filter(|steps| *steps > 0)
    }),
    (
        "serin_rollout_seconds_since_progress",
        "Time since the last progress of an update under way",
        since_progress,
    ),
];

fn steps(rollout: &Rollout) -> i64 {
    let canary = rollout.spec.strategy.as_ref().and_then(|s| s.canary.as_ref());
    canary.map_or(0, |canary| i64::try_from(canary.steps.len()).unwrap_or(i64::MAX))
}

/// What a router was given, or what the steps ask for (`setWeight` is the share of the pods then).
///
/// Worked: steps `[setWeight 20, pause, setWeight 60, pause]`; at step 0 and 1: 20, at 3: 60, at 4: 100, at rest: 0.
fn canary_weight(rollout: &Rollout) -> Option<i64> {
    let canary = rollout.spec.strategy.as_ref()?.canary.as_ref()?;
    let status = rollout.status.as_ref()?;
    if let Some(weights) = status.canary.as_ref().and_then(|c| c.weights.as_ref()) {
        return Some(i64::from(weights.canary.weight));
    }
    let updates = status.stable_rs.is_some() && status.stable_rs != status.current_pod_hash;
    if !updates || status.abort == Some(true) {
        return Some(0);
    }
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
    let done = status.promote_full == Some(true) || index >= canary.steps.len();
    let reached = || {
        let mut so_far = canary.steps.iter().take(index + 1).rev();
        so_far.find_map(|step| step.set_weight)
    };
    Some(if done { 100 } else { reached().map_or(0, i64::from) })
}

/// By the condition whose `lastUpdateTime` starts the progress deadline.
fn since_progress(rollout: &Rollout, now: Timestamp) -> Option<i64> {
    let status = rollout.status.as_ref()?;
    let rests = status.phase.as_deref() == Some(RolloutPhase::Healthy.as_str());
    let since = condition(status, conditions::PROGRESSING)?.last_update_time.0;
    (!rests).then(|| now.duration_since(since).as_secs().max(0))
}

fn condition<'a>(status: &'a RolloutStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
}

/// The phase of the contract's metrics, by the conditions. Source: wire contract 4.1.
fn phase(rollout: &Rollout) -> &'static str {
    let Some(status) = rollout.status.as_ref() else {
        return "Progressing";
    };
    if condition(status, conditions::INVALID_SPEC).is_some() {
        return "InvalidSpec";
    }
    match condition(status, conditions::PROGRESSING).map(|c| c.reason.as_str()) {
        Some(reasons::NEW_REPLICA_SET_AVAILABLE) => "Completed",
        Some(reasons::ROLLOUT_PAUSED) => "Paused",
        Some(reasons::REPLICA_SET_CREATE_ERROR) => "Error",
        Some(reasons::PROGRESS_DEADLINE_EXCEEDED) => "Timeout",
        Some(reasons::ROLLOUT_ABORTED) => "Abort",
        Some(_) | None => "Progressing",
    }
}

fn strategy(rollout: &Rollout) -> &'static str {
    match rollout.spec.strategy.as_ref() {
        Some(strategy) if strategy.blue_green.is_some() => "blueGreen",
        Some(strategy) if strategy.canary.is_some() => "canary",
        Some(_) | None => "none",
    }
}

fn router(rollout: &Rollout) -> &'static str {
    let canary = rollout.spec.strategy.as_ref().and_then(|s| s.canary.as_ref());
    let Some(routing) = canary.and_then(|c| c.traffic_routing.as_ref()) else {
        return "";
    };
    let RolloutTrafficRouting {
        managed_routes: _,
        max_traffic_weight: _,
        istio,
        nginx,
        alb,
        smi,
        ambassador,
        app_mesh,
        traefik,
        apisix,
        plugins,
    } = routing;
    let named = [
        (alb.is_some(), "ALB"),
        (ambassador.is_some(), "Ambassador"),
        (istio.is_some(), "Istio"),
        (nginx.is_some(), "Nginx"),
        (smi.is_some(), "SMI"),
        (app_mesh.is_some(), "AppMesh"),
        (traefik.is_some(), "Traefik"),
        (apisix.is_some(), "Apisix"),
        (!plugins.is_empty(), "Plugin"),
    ];
    named.into_iter().find(|(is, _)| *is).map_or("", |(_, name)| name)
}

fn number(rollout: &Rollout, field: fn(&RolloutStatus) -> Option<i32>) -> i64 {
    i64::from(rollout.status.as_ref().and_then(field).unwrap_or(0))
}

fn runs(stores: &Stores, page: &mut Page) {
    let mut all = stores.analysis_runs.store().state();
    all.sort_by(|a, b| identity(&a.metadata).cmp(&identity(&b.metadata)));
    let phase = |run: &AnalysisRun| {
        run.status
            .as_ref()
            .map_or("Pending", |status| status.phase.as_str())
    };
    for (metric, help) in [
        ("analysis_run_info", "Information about an AnalysisRun"),
        (
            "analysis_run_phase",
            "The phase of an AnalysisRun, by its older name",
        ),
    ] {
        page.head(metric, "gauge", help);
        for run in &all {
            let [namespace, name] = identity(&run.metadata);
            page.sample(metric, &[namespace, name, ("phase", phase(run))], 1);
        }
    }
    let metric = "analysis_run_metric_type";
    page.head(metric, "gauge", "The provider of a metric of an AnalysisRun");
    for run in &all {
        let [namespace, name] = identity(&run.metadata);
        for one in &run.spec.metrics {
            let labels = [namespace, name, ("metric", &one.name), ("type", kind(one))];
            page.sample(metric, &labels, 1);
        }
    }
    let metric = "analysis_run_metric_phase";
    page.head(metric, "gauge", "The phase of a metric of an AnalysisRun");
    for run in &all {
        let [namespace, name] = identity(&run.metadata);
        for result in run.status.iter().flat_map(|status| &status.metric_results) {
            let one = run.spec.metrics.iter().find(|one| one.name == result.name);
            let labels = [
                namespace,
                name,
                ("metric", &result.name),
                ("type", one.map_or("Unknown", kind)),
                ("dry_run", if result.dry_run { "true" } else { "false" }),
                ("phase", result.phase.as_str()),
            ];
            page.sample(metric, &labels, 1);
        }
    }
}

fn kind(metric: &Metric) -> &'static str {
    provider_type(&metric.provider)
}

fn templates(stores: &Stores, page: &mut Page) {
    let own = stores.templates.store().state();
    let clusters = stores.cluster_templates.store().state();
    let own = own.iter().map(|t| (&t.metadata, &t.spec));
    let clusters = clusters.iter().map(|t| (&t.metadata, &t.spec.0));
    let mut all: Vec<_> = own.chain(clusters).collect();
    all.sort_by(|a, b| identity(a.0).cmp(&identity(b.0)));
    let metric = "analysis_template_info";
    page.head(metric, "gauge", "Information about an AnalysisTemplate");
    for (meta, _) in &all {
        page.sample(metric, &identity(meta), 1);
    }
    let metric = "analysis_template_metric_info";
    page.head(metric, "gauge", "The provider of a metric of an AnalysisTemplate");
    for (meta, spec) in &all {
        let [namespace, name] = identity(meta);
        for one in &spec.metrics {
            let labels = [namespace, name, ("type", kind(one)), ("metric", &one.name)];
            page.sample(metric, &labels, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(status: &serde_json::Value) -> Rollout {
        serde_json::from_value(json!({
            "metadata": {"name": "app", "namespace": "n"},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]}}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_weight_is_what_the_steps_ask_for_until_a_router_has_its_own() {
        let at = |index: i32| json!({"stableRS": "a", "currentPodHash": "b", "currentStepIndex": index});
        for (status, want) in [
            (
                json!({"stableRS": "a", "currentPodHash": "a", "currentStepIndex": 4}),
                0,
            ),
            (at(0), 20),
            (at(1), 20),
            (at(3), 60),
            (at(4), 100),
            (
                json!({"stableRS": "a", "currentPodHash": "b", "currentStepIndex": 1, "abort": true}),
                0,
            ),
            (
                json!({"stableRS": "a", "currentPodHash": "b", "currentStepIndex": 1, "promoteFull": true}),
                100,
            ),
            (
                json!({"canary": {"weights": {
                    "canary": {"weight": 7, "podTemplateHash": "b"}, "stable": {"weight": 93, "podTemplateHash": "a"},
                }}}),
                7,
            ),
        ] {
            assert_eq!(canary_weight(&rollout(&status)), Some(want), "{status}");
        }
    }

    #[test]
    fn the_phase_follows_the_conditions_and_a_rollout_at_rest_waits_for_nothing() {
        let with = |kind: &str, reason: &str, phase: &str| {
            rollout(&json!({"phase": phase, "conditions": [{
                "type": kind, "reason": reason, "status": "True", "message": "",
                "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]}))
        };
        let now = "2026-01-01T00:02:00Z".parse().unwrap();
        for (kind, reason, own, want, since) in [
            (
                "Progressing",
                "NewReplicaSetAvailable",
                "Healthy",
                "Completed",
                None,
            ),
            (
                "Progressing",
                "ReplicaSetUpdated",
                "Progressing",
                "Progressing",
                Some(120),
            ),
            ("Progressing", "RolloutPaused", "Paused", "Paused", Some(120)),
            (
                "Progressing",
                "ProgressDeadlineExceeded",
                "Degraded",
                "Timeout",
                Some(120),
            ),
            ("Progressing", "RolloutAborted", "Degraded", "Abort", Some(120)),
            (
                "Progressing",
                "ReplicaSetCreateError",
                "Degraded",
                "Error",
                Some(120),
            ),
            ("InvalidSpec", "InvalidSpec", "Degraded", "InvalidSpec", None),
        ] {
            let rollout = with(kind, reason, own);
            assert_eq!(phase(&rollout), want, "{reason}");
            assert_eq!(since_progress(&rollout, now), since, "{reason}");
        }
    }
}
