//! The alerts and the dashboards: syntax, what fires when, and that they speak of metrics which there are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::tempfile;
use crate::world::{part, root};

fn promtool(args: &[&str], folder: &PathBuf) -> Result<String, String> {
    let out = Command::new(part("prometheus").join("promtool"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if out.status.success() {
        Ok(said.concat())
    } else {
        Err(said.concat())
    }
}

/// A folder with the alerts and their tests side by side, as promtool wants them.
fn workplace(name: &str) -> PathBuf {
    let folder = tempfile(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(root("charts/serin/files/alerts.yaml"), folder.join("alerts.yaml")).unwrap();
    std::fs::copy(
        root("tests/chart/alerts.test.yaml"),
        folder.join("alerts.test.yaml"),
    )
    .unwrap();
    folder
}

fn rules() -> Vec<Value> {
    let text = std::fs::read_to_string(root("charts/serin/files/alerts.yaml")).unwrap();
    let all: Value = serde_saphyr::from_str(&text).unwrap();
    all["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The expressions of all panels of all dashboards.
fn panels() -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root("charts/serin/files/dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                all.push(target["expr"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let folder = workplace("alerts");
    for args in [
        ["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"].as_slice(),
        &["test", "rules", "alerts.test.yaml"],
    ] {
        promtool(args, &folder).unwrap_or_else(|said| panic!("promtool {args:?}: {said}"));
    }
}

#[test]
fn each_alert_is_tested_and_has_its_place_in_the_runbook() {
    let tests = std::fs::read_to_string(root("tests/chart/alerts.test.yaml")).unwrap();
    let runbook = std::fs::read_to_string(root("docs/runbook.md")).unwrap();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        // Once where it is silent, and once where it fires.
        assert!(
            tests.matches(&format!("alertname: {name}\n")).count() >= 1,
            "{name} never fires"
        );
        assert!(
            tests.contains(&format!("alertname: {name}}}")),
            "{name} is never silent"
        );
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], *anchor);
        assert!(
            runbook.contains(&format!("# {name}\n")),
            "docs/runbook.md has no heading {name}"
        );
    }
}

#[test]
fn the_panels_of_the_dashboards_can_be_asked() {
    let folder = workplace("panels");
    let asked: Vec<Value> = panels()
        .iter()
        .enumerate()
        .map(|(n, expr)| {
            let expr = expr
                .replace("$namespace_label", "exported_namespace")
                .replace("$__rate_interval", "5m");
            json!({"record": format!("panel:{n}"), "expr": expr})
        })
        .collect();
    let group = json!({"groups": [{"name": "panels", "rules": asked}]});
    std::fs::write(folder.join("panels.yaml"), group.to_string()).unwrap();
    promtool(&["check", "rules", "panels.yaml"], &folder).unwrap_or_else(|said| panic!("{said}"));
}

/// The words of an expression that look like metrics: those that Serin's have in common.
fn metrics(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let of_ours = [
        "serin_",
        "rollout_",
        "analysis_",
        "workqueue_",
        "process_",
        "controller_",
    ];
    expression
        .split(|c| !word(c))
        .filter(|w| of_ours.iter().any(|prefix| w.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_that_is_looked_at_is_one_that_is_served() {
    let documented = std::fs::read_to_string(root("docs/metrics.md")).unwrap();
    let known = |metric: &str| {
        let series = ["_bucket", "_count", "_sum"];
        let base = series
            .iter()
            .find_map(|end| metric.strip_suffix(end))
            .unwrap_or(metric);
        // The list joins names that differ in their last word only.
        let short = base.strip_prefix("rollout_info_replicas").unwrap_or(base);
        [metric, base, short]
            .iter()
            .any(|name| documented.contains(&format!("`{name}`")))
    };
    let alerts = rules()
        .into_iter()
        .map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let mut seen = BTreeSet::new();
    for expression in panels().into_iter().chain(alerts) {
        seen.extend(metrics(&expression));
    }
    assert!(seen.len() > 15, "{seen:?}");
    let unknown: Vec<_> = seen.iter().filter(|metric| !known(metric)).collect();
    assert!(unknown.is_empty(), "not in docs/metrics.md: {unknown:?}");
}
