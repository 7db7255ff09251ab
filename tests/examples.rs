//! The examples are what people copy: each parses, is valid, and becomes a run with nothing but its arguments.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are the helpers of a test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use serin::api::analysis::{
    AnalysisRun, AnalysisRunSpec, AnalysisTemplateRef, AnalysisTemplateSpec, Argument,
};
use serin::engine::analysis::{
    Checks, RunInputs, TemplateSource, build_run_spec, is_finite, prepare_run, resolve_templates,
};
use serin::metric::condition;
use serin::metric::job::{Place, build};
use serin::metric::provider::{self, supported_providers};

/// The arguments that have no default, by file.
fn arguments(file: &str) -> &'static [&'static str] {
    match file {
        "error-rate.yaml" | "success-rate.yaml" => &["pod-hash"],
        "p99-doubles.yaml" => &["canary-hash", "stable-hash"],
        "health-endpoint.yaml" => &["host"],
        "smoke-test.yaml" => &["url"],
        "migration-check.yaml" => &["image"],
        "integration-test.yaml" => &["base-url", "pod-hash"],
        "managed-prometheus.yaml" => &["pod-hash", "workspace", "role"],
        other => panic!("say here which arguments {other} needs"),
    }
}

/// A value that the argument may have.
fn value_of(arg: &str) -> &'static str {
    match arg {
        "role" => "arn:aws:iam::123456789012:role/prometheus-reader",
        _ => "a",
    }
}

#[test]
fn each_analysis_example_becomes_a_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/analysis");
    let checks = Checks {
        condition: &condition::check,
        providers: supported_providers(),
        provider: &provider::check,
    };
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{name} begins with what it is for");
        let spec = run_spec(&name, &text);
        let rules = prepare_run(&spec, &checks).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(is_finite(&rules), "{name} can be waited for");
        assert_eq!(rules.len(), spec.metrics.len());
        let run: AnalysisRun = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
            "metadata": {"name": "r", "namespace": "n", "uid": "0f9a3c1e-52b7-4a53-9d58-2f1f3c8e6a11"},
            "spec": spec,
        }))
        .unwrap();
        for (index, metric) in spec.metrics.iter().enumerate() {
            if metric.provider.job.is_some() {
                let place = Place {
                    namespace: "n",
                    beside_run: true,
                };
                build(&run, index, 1, &place).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 8, "all files were found");
}

fn run_spec(name: &str, text: &str) -> AnalysisRunSpec {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let specs: BTreeMap<(String, bool), AnalysisTemplateSpec> = documents
        .iter()
        .map(|document| {
            let cluster = document["kind"] == "ClusterAnalysisTemplate";
            assert!(cluster || document["kind"] == "AnalysisTemplate", "{name}");
            let spec =
                serde_json::from_value(document["spec"].clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let written = &document["spec"];
            let read = serde_json::to_value::<&AnalysisTemplateSpec>(&spec).unwrap();
            assert_eq!(
                &read, written,
                "{name}: a field that is not known would be dropped in silence"
            );
            (
                (document["metadata"]["name"].as_str().unwrap().to_owned(), cluster),
                spec,
            )
        })
        .collect();
    let mut source = TemplateSource::default();
    for ((template, cluster), spec) in &specs {
        if *cluster {
            source.add_cluster(template, spec);
        } else {
            source.add(template, spec);
        }
    }
    let root = documents[0]["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        format!("{root}.yaml"),
        name,
        "the file is named after its template"
    );
    let cluster_scope = specs.contains_key(&(root.clone(), true));
    let merged = resolve_templates(
        &[AnalysisTemplateRef {
            template_name: Some(root),
            cluster_scope,
        }],
        &source,
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"));
    let args: Vec<Argument> = arguments(name)
        .iter()
        .map(|arg| Argument {
            name: (*arg).to_owned(),
            value: Some(value_of(arg).to_owned()),
            value_from: None,
        })
        .collect();
    let inputs = RunInputs {
        args: &args,
        dry_run: &[],
        measurement_retention: &[],
        field: &|path| Err(path.to_owned()),
    };
    build_run_spec(&merged, &inputs).unwrap_or_else(|error| panic!("{name}: {error}"))
}
