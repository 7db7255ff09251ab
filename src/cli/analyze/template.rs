//! From a file of manifests to the spec of a run, without a cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::analysis::{AnalysisRunSpec, AnalysisTemplateRef, AnalysisTemplateSpec, Argument};
use crate::engine::analysis::{RunInputs, TemplateSource, build_run_spec, resolve_templates, secret_refs};

/// What a person gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The text of the file: one or more YAML documents. Those that are no analysis are passed over.
    pub manifests: String,
    /// The templates to run, where the file has more than one; else all that no other of the file includes.
    pub templates: Vec<String>,
    /// Values of arguments, those of Secrets too.
    pub args: Vec<(String, String)>,
}

/// The spec of the run, and the values of its secret arguments, which are not in it.
pub(super) fn run_spec(inputs: &Inputs) -> Result<(AnalysisRunSpec, BTreeMap<String, String>), String> {
    let found = read(&inputs.manifests)?;
    let merged = match (&found.run, found.templates.is_empty()) {
        (Some(run), true) => AnalysisTemplateSpec {
            metrics: run.metrics.clone(),
            args: run.args.clone(),
            dry_run: run.dry_run.clone(),
            measurement_retention: run.measurement_retention.clone(),
            templates: Vec::new(),
        },
        _ => merge(&found, &inputs.templates)?,
    };
    for (name, _) in &inputs.args {
        if !merged.args.iter().any(|arg| arg.name == *name) {
            let known: Vec<&str> = merged.args.iter().map(|arg| arg.name.as_str()).collect();
            let known = if known.is_empty() {
                "it declares none".to_owned()
            } else {
                format!("it declares {}", known.join(", "))
            };
            return Err(format!(
                "--arg {name}: the template has no such argument; {known}"
            ));
        }
    }
    let given = |name: &str| {
        inputs
            .args
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.clone())
    };
    let mut secrets = BTreeMap::new();
    for (name, key) in secret_refs(&merged.args) {
        let value = given(name).ok_or_else(|| {
            format!(
                "argument {name:?} is the key {:?} of Secret {:?}: give its value with --arg {name}=...",
                key.key, key.name
            )
        })?;
        secrets.insert(name.to_owned(), value);
    }
    let args: Vec<Argument> = inputs
        .args
        .iter()
        .filter(|(name, _)| !secrets.contains_key(name))
        .map(|(name, value)| Argument {
            name: name.clone(),
            value: Some(value.clone()),
            value_from: None,
        })
        .collect();
    let field = |_: &str| Err("there is no Rollout here: give its value with --arg".to_owned());
    let run_inputs = RunInputs {
        args: &args,
        dry_run: &[],
        measurement_retention: &[],
        field: &field,
    };
    let spec = build_run_spec(&merged, &run_inputs).map_err(|error| error.to_string())?;
    Ok((spec, secrets))
}

/// What a file holds of analyses.
#[derive(Default)]
struct Found {
    templates: BTreeMap<(String, bool), AnalysisTemplateSpec>,
    run: Option<AnalysisRunSpec>,
}

fn read(manifests: &str) -> Result<Found, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(manifests).map_err(|error| format!("the file is no YAML: {error}"))?;
    let mut found = Found::default();
    for document in documents {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let label = format!("{kind} {name:?}");
        match kind.as_str() {
            "AnalysisTemplate" | "ClusterAnalysisTemplate" => {
                let spec = spec(&document, &label)?;
                if found
                    .templates
                    .insert((name, kind == "ClusterAnalysisTemplate"), spec)
                    .is_some()
                {
                    return Err(format!("{label} is in the file twice"));
                }
            }
            "AnalysisRun" => found.run = Some(spec(&document, &label)?),
            _ => {}
        }
    }
    if found.templates.is_empty() && found.run.is_none() {
        return Err("the file has no AnalysisTemplate, ClusterAnalysisTemplate or AnalysisRun".to_owned());
    }
    Ok(found)
}

fn spec<T: DeserializeOwned>(document: &Value, label: &str) -> Result<T, String> {
    serde_path_to_error::deserialize(&document["spec"])
        .map_err(|error| format!("{label}: spec.{}: {}", error.path(), error.inner()))
}

/// The wanted templates as one.
fn merge(found: &Found, wanted: &[String]) -> Result<AnalysisTemplateSpec, String> {
    let mut source = TemplateSource::default();
    for ((name, cluster_scope), spec) in &found.templates {
        if *cluster_scope {
            source.add_cluster(name, spec);
        } else {
            source.add(name, spec);
        }
    }
    let included: BTreeSet<(&str, bool)> = found
        .templates
        .values()
        .flat_map(|spec| &spec.templates)
        .filter_map(|reference| Some((reference.template_name.as_deref()?, reference.cluster_scope)))
        .collect();
    let reference = |name: &str, cluster_scope| AnalysisTemplateRef {
        template_name: Some(name.to_owned()),
        cluster_scope,
    };
    let all = found.templates.keys();
    let refs: Vec<AnalysisTemplateRef> = if wanted.is_empty() {
        let roots: Vec<_> = all
            .clone()
            .filter(|(name, cluster)| !included.contains(&(name.as_str(), *cluster)))
            .collect();
        // Templates that include each other in a ring have no root: then each of them is one.
        let roots = if roots.is_empty() { all.collect() } else { roots };
        roots
            .into_iter()
            .map(|(name, cluster)| reference(name, *cluster))
            .collect()
    } else {
        let scope = |name: &String| {
            found.templates.contains_key(&(name.clone(), true))
                && !found.templates.contains_key(&(name.clone(), false))
        };
        wanted.iter().map(|name| reference(name, scope(name))).collect()
    };
    resolve_templates(&refs, &source).map_err(|error| error.to_string())
}
