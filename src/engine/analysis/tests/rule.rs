use super::cases::*;
use crate::api::analysis::{AnalysisRunSpec, MetricProvider};
use crate::engine::analysis::{MetricRule, is_finite, prepare_run, provider_names, validate_metrics};
use jiff::SignedDuration;

fn valid(yaml: &str) -> MetricRule {
    validate_metrics(&[metric("m", yaml)], &CHECKS)
        .unwrap_or_else(|error| panic!("{yaml}: {error}"))
        .remove(0)
}

fn spec(yaml: &str) -> AnalysisRunSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn a_metric_becomes_numbers_with_the_defaults_of_the_contract() {
    assert_eq!(
        valid(""),
        MetricRule {
            interval: None,
            count: Some(1),
            ..rule("m")
        }
    );
    assert_eq!(
        valid("interval: 1m"),
        MetricRule {
            count: None,
            ..rule("m")
        }
    );
    assert_eq!(
        valid("{interval: 1m, count: 0}").count,
        None,
        "zero is as if absent"
    );
    assert_eq!(valid("count: 0").count, Some(1));
    let all = valid(
        "{interval: 1m30s, initialDelay: 500ms, count: '5', failureLimit: -1, inconclusiveLimit: ' 2 ',
          consecutiveErrorLimit: 0, consecutiveSuccessLimit: '3', successCondition: result > 1}",
    );
    let expected = MetricRule {
        interval: Some(seconds(90)),
        initial_delay: SignedDuration::from_millis(500),
        count: Some(5),
        failure_limit: -1,
        inconclusive_limit: 2,
        consecutive_error_limit: 0,
        consecutive_success_limit: 3,
        ..rule("m")
    };
    assert_eq!(all, expected);
    assert_eq!(
        valid("{count: '', interval: '', initialDelay: ''}").count,
        Some(1),
        "empty is as if absent"
    );
    assert_eq!(
        valid("{interval: 1s, count: 3, failureLimit: 3, inconclusiveLimit: 3}").failure_limit,
        3
    );
}

#[test]
fn what_is_invalid_is_said_with_the_path_of_the_field() {
    let cases = [
        ("count: 2", "interval is required because count is 2"),
        ("count: -1", "count is -1 and must not be negative"),
        (
            "{count: 2, interval: 1s, failureLimit: 3}",
            "count (2) must not be less than failureLimit (3)",
        ),
        (
            "{count: 1, inconclusiveLimit: 2}",
            "count (1) must not be less than inconclusiveLimit (2)",
        ),
        (
            "inconclusiveLimit: -1",
            "inconclusiveLimit is -1 and must not be negative",
        ),
        (
            "consecutiveErrorLimit: '-1'",
            "consecutiveErrorLimit is -1 and must not be negative",
        ),
        (
            "consecutiveSuccessLimit: -1",
            "consecutiveSuccessLimit is -1 and must not be negative",
        ),
        (
            "failureLimit: 5%",
            "failureLimit is \"5%\" and must be a whole number",
        ),
        (
            "interval: 5",
            "interval \"5\" is not a duration: a unit is missing",
        ),
        ("interval: -5s", "interval \"-5s\" is negative"),
        ("initialDelay: later", "initialDelay \"later\" is not a duration"),
        (
            "successCondition: broken(",
            "successCondition \"broken(\": unexpected token",
        ),
        (
            "failureCondition: broken(",
            "failureCondition \"broken(\": unexpected token",
        ),
        ("provider: {}", "provider: none is specified"),
        (
            "provider: {web: {url: x}, job: {spec: {}}}",
            "provider: exactly one is wanted, and there are web, job",
        ),
        (
            "provider: {graphite: {}}",
            "provider.graphite is not supported by this controller, which supports prometheus, web, job",
        ),
        (
            "provider: {web: {url: x, body: a, jsonBody: {}}}",
            "provider.web: body and jsonBody exclude each other",
        ),
        (
            "provider: {prometheus: {rangeQuery: {step: 7}}}",
            "provider.prometheus.rangeQuery.step \"7\" is not a duration",
        ),
    ];
    for (yaml, sentence) in cases {
        // A bare number is a YAML number, and a duration is a string.
        let yaml = yaml
            .replace("interval: 5", "interval: '5'")
            .replace("step: 7", "step: '7'");
        let error = validate_metrics(&[metric("ok", ""), metric("m", &yaml)], &CHECKS)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("metrics[1] (\"m\"): {sentence}")),
            "{yaml}: {error}"
        );
    }
    assert_eq!(
        validate_metrics(&[], &CHECKS).unwrap_err().to_string(),
        "no metrics specified"
    );
    assert_eq!(
        validate_metrics(&[metric("m", ""), metric("m", "")], &CHECKS)
            .unwrap_err()
            .to_string(),
        "metrics[1] (\"m\"): there is another metric of the same name"
    );
}

#[test]
fn every_provider_of_the_contract_has_its_name() {
    let names = [
        "prometheus",
        "web",
        "job",
        "datadog",
        "newRelic",
        "wavefront",
        "kayenta",
        "cloudWatch",
        "graphite",
        "influxdb",
        "skywalking",
        "plugin",
    ];
    let all = r#"{"prometheus": {}, "web": {"url": ""}, "job": {"spec": {}}, "datadog": {}, "newRelic": {"query": ""},
        "wavefront": {}, "kayenta": {"address": "", "application": "", "canaryConfigName": "", "metricsAccountName": "",
        "configurationAccountName": "", "storageAccountName": "", "threshold": {"pass": 1, "marginal": 1}, "scopes": []},
        "cloudWatch": {"metricDataQueries": []}, "graphite": {}, "influxdb": {}, "skywalking": {}, "plugin": {}}"#;
    let provider: MetricProvider = serde_json::from_str(all).unwrap();
    assert_eq!(provider_names(&provider), names);
}

#[test]
fn a_finite_analysis_ends_by_itself() {
    let finite = |yamls: &[&str]| is_finite(&yamls.iter().map(|yaml| valid(yaml)).collect::<Vec<_>>());
    assert!(finite(&[""]));
    assert!(finite(&["{count: 3, interval: 1s}"]));
    assert!(!finite(&["interval: 1s"]));
    assert!(!finite(&["", "interval: 1s"]));
}

#[test]
fn dry_run_and_retention_name_metrics_by_regular_expression() {
    let rules = prepare_run(
        &spec(
            "{metrics: [{name: total-5xx, provider: {prometheus: {}}}, {name: total-4xx, provider: {prometheus: {}}},
                        {name: latency, provider: {prometheus: {}}}],
              dryRun: [{metricName: 'total-.*'}],
              measurementRetention: [{metricName: '.*', limit: 20}, {metricName: lat, limit: 3}, {metricName: '4xx', limit: 0}]}",
        ),
        &CHECKS,
    )
    .unwrap();
    let seen: Vec<(bool, usize)> = rules.iter().map(|rule| (rule.dry_run, rule.kept)).collect();
    assert_eq!(
        seen,
        [(true, 20), (true, 10), (false, 3)],
        "unanchored, the last rule wins, 0 is as if not given"
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let cases = [
        (
            "dryRun: [{metricName: m}, {metricName: x}]",
            "dryRun[1]: \"x\" matches no metric name",
        ),
        (
            "dryRun: [{metricName: '('}]",
            "dryRun[0]: \"(\" is not a regular expression",
        ),
        (
            "measurementRetention: [{metricName: x, limit: 1}]",
            "measurementRetention[0]: \"x\" matches no metric name",
        ),
    ];
    for (yaml, sentence) in cases {
        let spec = spec(&format!(
            "{{metrics: [{{name: m, provider: {{prometheus: {{}}}}}}], {yaml}}}"
        ));
        assert_eq!(
            prepare_run(&spec, &CHECKS).unwrap_err().to_string(),
            format!("Analysis spec invalid: {sentence}")
        );
    }
}

#[test]
fn arguments_are_filled_before_the_numbers_are_read() {
    let text = "{metrics: [{name: m, interval: '{{args.i}}', count: '{{args.n}}',
        provider: {web: {url: '{{args.token}}'}}}], args: [ARGS {name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}]}";
    let good = spec(&text.replace("ARGS", "{name: i, value: 10s}, {name: n, value: '3'},"));
    let rules = prepare_run(&good, &CHECKS).unwrap();
    assert_eq!((rules[0].interval, rules[0].count), (Some(seconds(10)), Some(3)));
    let bad = spec(&text.replace("ARGS", "{name: i, value: 10s}, {name: n, value: three},"));
    assert_eq!(
        prepare_run(&bad, &CHECKS).unwrap_err().to_string(),
        "Analysis spec invalid: metrics[0] (\"m\"): count is \"three\" and must be a whole number"
    );
    let bad = spec(&text.replace("ARGS", "{name: i, value: 10s},"));
    assert_eq!(
        prepare_run(&bad, &CHECKS).unwrap_err().to_string(),
        "Unable to resolve metric arguments: metric \"m\": there is no argument for {{args.n}}"
    );
}
