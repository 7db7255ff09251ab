//! `/metrics`: read off the stores when it is asked for, so that a series is gone when its object is.

use std::fmt::Write as _;

use super::observe::Stores;
use super::passes::Passes;
use crate::api::analysis::AnalysisRun;
use crate::api::rollout::Rollout;
use crate::engine::observed;

/// All metrics in Prometheus' text format. Names and labels are those of the contract, section 4.1.
pub fn text(stores: Option<&Stores>, passes: &Passes) -> String {
    let mut out = Page::default();
    let version = env!("CARGO_PKG_VERSION");
    out.gauge("argo_rollouts_controller_info", "Running controller");
    out.sample("argo_rollouts_controller_info", &[("version", version)], 1);
    out.head(
        "serin_passes_total",
        "Passes of Rollouts by what became of them",
        "counter",
    );
    for (outcome, count) in passes.all() {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        out.sample("serin_passes_total", &[("outcome", outcome)], count);
    }
    let Some(stores) = stores else { return out.text };
    let rollouts = stores.rollouts.store().state();
    out.gauge("rollout_info", "Information about a Rollout");
    for watched in &rollouts {
        let rollout = &watched.rollout;
        let phase = rollout
            .status
            .as_ref()
            .and_then(|s| s.phase.as_deref())
            .unwrap_or_default();
        let [namespace, name] = identity(&rollout.metadata);
        let labels = [
            namespace,
            name,
            ("strategy", strategy(rollout)),
            ("traffic_router", ""),
            ("phase", phase),
        ];
        out.sample("rollout_info", &labels, 1);
    }
    let counts: [Count; 4] = [
        (
            "rollout_info_replicas_available",
            "Available replicas of a Rollout",
            |r| number(r, |s| s.available_replicas),
        ),
        (
            "rollout_info_replicas_unavailable",
            "Missing replicas of a Rollout",
            |r| (number(r, |s| s.replicas) - number(r, |s| s.available_replicas)).max(0),
        ),
        (
            "rollout_info_replicas_desired",
            "Desired replicas of a Rollout",
            |r| i64::from(r.spec.replicas.unwrap_or(1)),
        ),
        (
            "rollout_info_replicas_updated",
            "Replicas of the newest revision",
            |r| number(r, |s| s.updated_replicas),
        ),
    ];
    for (metric, help, read) in counts {
        out.gauge(metric, help);
        for watched in &rollouts {
            out.sample(
                metric,
                &identity(&watched.rollout.metadata),
                read(&watched.rollout),
            );
        }
    }
    out.gauge("analysis_run_info", "Information about an AnalysisRun");
    for run in stores.analysis_runs.store().state() {
        let [namespace, name] = identity(&run.metadata);
        out.sample("analysis_run_info", &[namespace, name, ("phase", phase(&run))], 1);
    }
    out.text
}

/// A metric, its help, and how it is read off a Rollout.
type Count = (&'static str, &'static str, fn(&Rollout) -> i64);

fn identity(meta: &kube::api::ObjectMeta) -> [(&'static str, &str); 2] {
    [
        ("namespace", meta.namespace.as_deref().unwrap_or_default()),
        ("name", observed::name(meta)),
    ]
}

fn strategy(rollout: &Rollout) -> &'static str {
    match rollout.spec.strategy.as_ref() {
        Some(strategy) if strategy.blue_green.is_some() => "blueGreen",
        Some(strategy) if strategy.canary.is_some() => "canary",
        Some(_) | None => "none",
    }
}

fn number(rollout: &Rollout, field: fn(&crate::api::rollout::RolloutStatus) -> Option<i32>) -> i64 {
    i64::from(rollout.status.as_ref().and_then(field).unwrap_or(0))
}

fn phase(run: &AnalysisRun) -> &'static str {
    run.status
        .as_ref()
        .map_or("Pending", |status| status.phase.as_str())
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: i64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                format!("{key}=\"{value}\"")
            })
            .collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }
}
