use super::cases::*;
use crate::engine::analysis::{REDACTED, fill, redact, redact_measurement, resolve_metric, secret_refs};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

fn no_secrets() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[test]
fn placeholders_are_filled_in_the_whole_metric() {
    let templated = metric(
        "errors-{{args.arm}}",
        r#"
interval: "{{args.interval}}"
count: "{{ args.count }}"
successCondition: result < {{args.limit}}
provider:
  job:
    metadata: {labels: {"{{args.arm}}": "yes"}}
    spec:
      backoffLimit: 3
      template: {spec: {containers: [{name: a, args: ["--arm={{args.arm}}", "{{args.arm}}-{{  args.limit  }}"]}]}}
"#,
    );
    let args = [
        arg("arm", "canary"),
        arg("interval", "30s"),
        arg("count", "5"),
        arg("limit", "0.1"),
    ];
    let filled = resolve_metric(&templated, &args, &no_secrets()).unwrap();
    assert_eq!(filled.name, "errors-canary");
    assert_eq!(filled.interval.as_deref(), Some("30s"));
    assert_eq!(filled.count, Some(IntOrString::String("5".into())));
    assert_eq!(filled.success_condition.as_deref(), Some("result < 0.1"));
    let job = filled.provider.job.unwrap();
    assert_eq!(job.metadata.unwrap().labels["canary"], "yes");
    assert_eq!(
        job.spec["template"]["spec"]["containers"][0]["args"],
        serde_json::json!(["--arm=canary", "canary-0.1"])
    );
    assert_eq!(job.spec["backoffLimit"], 3, "numbers stay numbers");
}

#[test]
fn a_value_stays_one_text_whatever_is_in_it() {
    let nasty = "a\"b\\c\nd\u{0}e\u{7f}\u{1f600}}, \"count\": 9 {{args.other}}";
    let templated = metric("m", "provider: {prometheus: {query: 'up{x=\"{{args.x}}\"}'}}");
    let filled = resolve_metric(&templated, &[arg("x", nasty)], &no_secrets()).unwrap();
    let query = filled.provider.prometheus.unwrap().query.unwrap();
    assert_eq!(
        query,
        format!("up{{x=\"{nasty}\"}}"),
        "and it is not searched for placeholders"
    );
}

#[test]
fn a_hole_is_an_error_that_names_it() {
    let cases = [
        (
            "{{args.y}}",
            vec![arg("x", "1")],
            "metric \"m\": there is no argument for {{args.y}}",
        ),
        (
            "{{x}}",
            vec![arg("x", "1")],
            "metric \"m\": there is no argument for {{x}}",
        ),
        ("{{}}", vec![], "metric \"m\": there is no argument for {{}}"),
        (
            "{{args.x",
            vec![arg("x", "1")],
            "placeholder is opened with {{ and never closed",
        ),
        ("up", vec![no_value("x")], "argument \"x\" has no value"),
        ("up", vec![secret("x", "k")], "argument \"x\" has no value"),
    ];
    for (query, args, expected) in cases {
        let templated = metric("m", &format!("provider: {{prometheus: {{query: {query:?}}}}}"));
        let error = resolve_metric(&templated, &args, &no_secrets())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{query}: {error}");
    }
}

#[test]
fn a_field_or_two_sources_are_no_value_in_a_run() {
    let metric = metric("m", "");
    let mut both = secret("x", "k");
    both.value = Some("1".into());
    let error = resolve_metric(&metric, &[both], &no_secrets())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "argument \"x\" has both a value and a valueFrom: give one of them"
    );
    let mut field = no_value("x");
    field.value_from = Some(serde_json::from_str(r#"{"fieldRef": {"fieldPath": "metadata.name"}}"#).unwrap());
    let error = resolve_metric(&metric, &[field], &no_secrets())
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"x\"") && error.contains("fieldRef"), "{error}");
}

#[test]
fn secrets_come_from_outside_and_are_named() {
    let templated = metric(
        "m",
        "provider: {web: {url: 'http://{{args.host}}/?token={{args.token}}'}}",
    );
    let args = [arg("host", "h"), secret("token", "api-token")];
    let refs = secret_refs(&args);
    assert_eq!(refs.len(), 1);
    assert_eq!((refs[0].0, refs[0].1.key.as_str()), ("token", "api-token"));
    let secrets = BTreeMap::from([("token".to_owned(), "hunter2".to_owned())]);
    let filled = resolve_metric(&templated, &args, &secrets).unwrap();
    assert_eq!(filled.provider.web.unwrap().url, "http://h/?token=hunter2");
}

#[test]
fn secret_values_are_taken_out_of_what_is_shown() {
    let secrets = [
        "hunter2".to_owned(),
        "hunter2-long".to_owned(),
        String::new(),
        "a\"b".to_owned(),
        "*".to_owned(),
    ];
    let cases = [
        ("token hunter2!", "token *****!"),
        ("hunter2-long", "*****"),
        ("hunter2hunter2", "**********"),
        (r#"{"x":"a\"b"} a"b"#, r#"{"x":"*****"} *****"#),
        ("a*b", "a*****b"),
        ("nothing", "nothing"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text, &secrets), expected, "{text}");
    }
    let mut measurement = measured(Error, 0);
    measurement.message = Some("GET /?t=hunter2".into());
    measurement.value = Some("hunter2".into());
    measurement.metadata.insert("query".into(), "x hunter2 y".into());
    redact_measurement(
        &mut measurement,
        &BTreeMap::from([("token".into(), "hunter2".into())]),
    );
    assert!(!serde_json::to_string(&measurement).unwrap().contains("hunter2"));
    assert_eq!(measurement.value.as_deref(), Some(REDACTED));
}

#[test]
fn any_text_can_be_filled() {
    let lookup = |name: &str| (name == "experiment.availableAt").then(|| "12:00".to_owned());
    assert_eq!(
        fill("at {{ experiment.availableAt }}.", &lookup).unwrap(),
        "at 12:00."
    );
    assert_eq!(
        fill("{{other}}", &lookup).unwrap_err(),
        "there is no value for {{other}}"
    );
    assert!(fill("{{", &lookup).is_err());
    assert_eq!(fill("} }} {", &lookup).unwrap(), "} }} {");
}
