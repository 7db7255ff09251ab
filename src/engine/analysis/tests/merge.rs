use super::cases::*;
use crate::api::analysis::{AnalysisTemplateRef, AnalysisTemplateSpec, Argument};
use crate::engine::analysis::{ResolveError, RunInputs, TemplateSource, build_run_spec, resolve_templates};

fn template(yaml: &str) -> AnalysisTemplateSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// `"name"` refers to an AnalysisTemplate, `"cluster/name"` to a ClusterAnalysisTemplate.
fn refs(names: &[&str]) -> Vec<AnalysisTemplateRef> {
    names
        .iter()
        .map(|name| AnalysisTemplateRef {
            template_name: Some(name.trim_start_matches("cluster/").to_owned()),
            cluster_scope: name.starts_with("cluster/"),
        })
        .collect()
}

fn resolve(
    names: &[&str],
    templates: &[(&str, AnalysisTemplateSpec)],
) -> Result<AnalysisTemplateSpec, ResolveError> {
    let mut source = TemplateSource::default();
    for (name, spec) in templates {
        match name.strip_prefix("cluster/") {
            Some(name) => source.add_cluster(name, spec),
            None => source.add(name, spec),
        }
    }
    resolve_templates(&refs(names), &source)
}

fn one_metric(name: &str) -> AnalysisTemplateSpec {
    AnalysisTemplateSpec {
        metrics: vec![metric(name, "")],
        ..AnalysisTemplateSpec::default()
    }
}

fn nested(metric: &str, children: &[&str]) -> AnalysisTemplateSpec {
    AnalysisTemplateSpec {
        templates: refs(children),
        ..one_metric(metric)
    }
}

fn with_args(args: Vec<Argument>) -> AnalysisTemplateSpec {
    AnalysisTemplateSpec {
        args,
        ..AnalysisTemplateSpec::default()
    }
}

fn metric_names(spec: &AnalysisTemplateSpec) -> Vec<&str> {
    spec.metrics.iter().map(|metric| metric.name.as_str()).collect()
}

#[test]
fn nested_templates_are_flattened_and_each_is_taken_once() {
    let templates = [
        ("a", nested("ma", &["b", "cluster/c"])),
        ("b", nested("mb", &["cluster/c", "d"])),
        ("cluster/c", nested("mc", &["a"])),
        ("d", one_metric("md")),
        ("cluster/d", one_metric("cluster-md")),
    ];
    let merged = resolve(&["a", "d", "cluster/d", "a"], &templates).unwrap();
    assert_eq!(metric_names(&merged), ["ma", "mb", "md", "mc", "cluster-md"]);
    assert!(merged.templates.is_empty());
    assert_eq!(metric_names(&resolve(&[], &templates).unwrap()), [""; 0]);
}

#[test]
fn a_template_that_refers_to_itself_is_taken_once() {
    let merged = resolve(
        &["a"],
        &[("a", nested("ma", &["a", "b"])), ("b", nested("mb", &["a"]))],
    )
    .unwrap();
    assert_eq!(metric_names(&merged), ["ma", "mb"]);
}

#[test]
fn a_chain_of_any_length_is_flattened() {
    let names: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
    let specs: Vec<AnalysisTemplateSpec> = (0..5000)
        .map(|n| {
            nested(
                &format!("m{n}"),
                &names
                    .get(n + 1)
                    .map(String::as_str)
                    .into_iter()
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let mut source = TemplateSource::default();
    for (name, spec) in names.iter().zip(&specs) {
        source.add(name, spec);
    }
    assert_eq!(
        resolve_templates(&refs(&["t0"]), &source).unwrap().metrics.len(),
        5000
    );
}

#[test]
fn what_cannot_be_merged_is_said_in_one_sentence() {
    let conflicting = [
        ("a", with_args(vec![arg("x", "1")])),
        ("b", with_args(vec![arg("x", "2")])),
    ];
    let cases = [
        (resolve(&["gone"], &[]), "AnalysisTemplate \"gone\" was not found"),
        (
            resolve(&["a"], &[("a", nested("m", &["cluster/gone"]))]),
            "ClusterAnalysisTemplate \"gone\" was not found",
        ),
        (
            resolve(&["a"], &[("cluster/a", one_metric("m"))]),
            "AnalysisTemplate \"a\" was not found",
        ),
        (
            resolve(&[""], &[]),
            "a reference to a template has no templateName",
        ),
        (
            resolve(&["a", "b"], &[("a", one_metric("m")), ("b", one_metric("m"))]),
            "two metrics have the same name \"m\": one in AnalysisTemplate \"a\", one in AnalysisTemplate \"b\"",
        ),
        (
            resolve(&["a", "b"], &conflicting),
            "argument \"x\" has the value \"1\" in AnalysisTemplate \"a\" and \"2\" in AnalysisTemplate \"b\"",
        ),
    ];
    for (resolved, sentence) in cases {
        assert_eq!(resolved.unwrap_err().to_string(), sentence);
    }
}

#[test]
fn an_argument_of_several_templates_is_one_argument() {
    let merged = resolve(
        &["a", "b", "c"],
        &[
            (
                "a",
                with_args(vec![no_value("x"), arg("y", "1"), secret("token", "k")]),
            ),
            (
                "b",
                with_args(vec![arg("x", "2"), arg("y", "1"), no_value("token")]),
            ),
            ("c", with_args(vec![no_value("x"), no_value("y")])),
        ],
    )
    .unwrap();
    assert_eq!(merged.args, [arg("x", "2"), arg("y", "1"), secret("token", "k")]);
}

fn build(template: &AnalysisTemplateSpec, given: &[Argument]) -> Result<Vec<Argument>, String> {
    let field = |path: &str| match path {
        "metadata.name" => Ok("guestbook".to_owned()),
        _ => Err("there is no such field".to_owned()),
    };
    let inputs = RunInputs {
        args: given,
        dry_run: &[],
        measurement_retention: &[],
        field: &field,
    };
    build_run_spec(template, &inputs)
        .map(|spec| spec.args)
        .map_err(|error| error.to_string())
}

fn field(name: &str, path: &str) -> Argument {
    let value_from =
        serde_json::from_value(serde_json::json!({ "fieldRef": { "fieldPath": path } })).unwrap();
    Argument {
        name: name.into(),
        value: None,
        value_from: Some(value_from),
    }
}

#[test]
fn a_given_value_overrides_the_default_and_every_argument_needs_one() {
    let declared = with_args(vec![
        no_value("x"),
        arg("y", "1"),
        secret("token", "k"),
        field("app", "metadata.name"),
    ]);
    let built = build(&declared, &[arg("x", "2"), arg("unknown", "3")]).unwrap();
    assert_eq!(
        built,
        [
            arg("x", "2"),
            arg("y", "1"),
            secret("token", "k"),
            arg("app", "guestbook")
        ]
    );
    let built = build(
        &declared,
        &[arg("x", ""), arg("y", "9"), arg("token", "t"), arg("app", "a")],
    )
    .unwrap();
    assert_eq!(
        built,
        [arg("x", ""), arg("y", "9"), arg("token", "t"), arg("app", "a")]
    );
    let built = build(&declared, &[secret("x", "other"), no_value("y")]).unwrap();
    assert_eq!(
        built[..2],
        [secret("x", "other"), arg("y", "1")],
        "a Secret counts as a value, nothing does not"
    );
    assert_eq!(
        build(&declared, &[]).unwrap_err(),
        "argument \"x\" has no value: the template gives no default and the analysis does not set it"
    );
    assert_eq!(
        build(&with_args(vec![field("x", "spec.gone")]), &[]).unwrap_err(),
        "argument \"x\" takes its value from the field \"spec.gone\": there is no such field"
    );
    let both = Argument {
        value: Some("1".into()),
        ..secret("x", "k")
    };
    assert!(
        build(&with_args(vec![both]), &[])
            .unwrap_err()
            .contains("both a value and a valueFrom")
    );
}

#[test]
fn rules_of_the_rollout_stand_before_those_of_the_templates() {
    let declared = template(
        "{metrics: [], dryRun: [{metricName: from-template}], measurementRetention: [{metricName: a, limit: 3}]}",
    );
    let given =
        template("{dryRun: [{metricName: from-rollout}], measurementRetention: [{metricName: b, limit: 4}]}");
    let inputs = RunInputs {
        args: &[],
        dry_run: &given.dry_run,
        measurement_retention: &given.measurement_retention,
        field: &|_| Err(String::new()),
    };
    let spec = build_run_spec(&declared, &inputs).unwrap();
    let dry_run: Vec<&str> = spec
        .dry_run
        .iter()
        .map(|rule| rule.metric_name.as_str())
        .collect();
    let limits: Vec<i32> = spec.measurement_retention.iter().map(|rule| rule.limit).collect();
    assert_eq!(
        (dry_run, limits),
        (vec!["from-rollout", "from-template"], vec![4, 3])
    );
    assert!(!spec.terminate && spec.ttl_strategy.is_none());
}
