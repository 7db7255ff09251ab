//! Templates become one run: flattened, deduplicated, their arguments merged with what the Rollout or Experiment gives.

use crate::api::analysis::{
    AnalysisRunSpec, AnalysisTemplateRef, AnalysisTemplateSpec, Argument, DryRun, MeasurementRetention,
    Metric,
};
use std::collections::{BTreeMap, BTreeSet};

/// The templates that may be referred to, by name and scope: those of one namespace and those of the cluster.
#[derive(Clone, Debug, Default)]
pub struct TemplateSource<'a>(BTreeMap<(&'a str, bool), &'a AnalysisTemplateSpec>);

impl<'a> TemplateSource<'a> {
    /// Adds an AnalysisTemplate of the namespace.
    pub fn add(&mut self, name: &'a str, spec: &'a AnalysisTemplateSpec) {
        self.0.insert((name, false), spec);
    }

    /// Adds a ClusterAnalysisTemplate.
    pub fn add_cluster(&mut self, name: &'a str, spec: &'a AnalysisTemplateSpec) {
        self.0.insert((name, true), spec);
    }

    /// The template that a name and scope stand for.
    pub fn get(&self, name: &str, cluster_scope: bool) -> Option<&'a AnalysisTemplateSpec> {
        self.0.get(&(name, cluster_scope)).copied()
    }
}

/// Why references to templates do not make a run. Displayed, it is one sentence that names the template, the argument or
/// the metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A reference without a name.
    #[error("a reference to a template has no templateName")]
    Unnamed,
    /// A template that does not exist.
    #[error("{0} was not found")]
    NotFound(String),
    /// Two metrics with one name.
    #[error("two metrics have the same name {metric:?}: one in {first}, one in {second}")]
    DuplicateMetric {
        /// The name.
        metric: String,
        /// The template that has it first.
        first: String,
        /// The template that has it again.
        second: String,
    },
    /// Two templates that give one argument different values.
    #[error("argument {arg:?} has the value {first_value:?} in {first} and {second_value:?} in {second}")]
    ConflictingArg {
        /// The argument.
        arg: String,
        /// The template that gives the first value.
        first: String,
        /// The first value.
        first_value: String,
        /// The template that gives the other value.
        second: String,
        /// The other value.
        second_value: String,
    },
    /// An argument that nobody gives a value.
    #[error("argument {0:?} has no value: the template gives no default and the analysis does not set it")]
    NoValue(String),
    /// An argument with a value and a source of one.
    #[error("argument {0:?} has both a value and a valueFrom: give one of them")]
    TwoSources(String),
    /// A field that cannot be read.
    #[error("argument {arg:?} takes its value from the field {path:?}: {problem}")]
    Field {
        /// The argument.
        arg: String,
        /// The path of the field.
        path: String,
        /// Why it cannot be read.
        problem: String,
    },
}

/// How a template is named in sentences.
fn label(name: &str, cluster_scope: bool) -> String {
    format!(
        "{} {name:?}",
        if cluster_scope {
            "ClusterAnalysisTemplate"
        } else {
            "AnalysisTemplate"
        }
    )
}

/// The templates that `refs` reach, each once, in the order in which they are first reached: a template before those
/// that it refers to. A template that refers to itself, directly or through others, is simply already there.
fn reach<'a>(
    refs: &[AnalysisTemplateRef],
    source: &TemplateSource<'a>,
) -> Result<Vec<(String, &'a AnalysisTemplateSpec)>, ResolveError> {
    let mut seen = BTreeSet::new();
    let mut templates = Vec::new();
    let mut cluster_templates = Vec::new();
    // A stack of its own, because the depth is the users' choice.
    let mut pending: Vec<&AnalysisTemplateRef> = refs.iter().rev().collect();
    while let Some(AnalysisTemplateRef {
        template_name,
        cluster_scope,
    }) = pending.pop()
    {
        let name = template_name
            .as_deref()
            .filter(|name| !name.is_empty())
            .ok_or(ResolveError::Unnamed)?;
        if !seen.insert((name, *cluster_scope)) {
            continue;
        }
        let label = label(name, *cluster_scope);
        let Some(spec) = source.get(name, *cluster_scope) else {
            return Err(ResolveError::NotFound(label));
        };
        let list = if *cluster_scope {
            &mut cluster_templates
        } else {
            &mut templates
        };
        list.push((label, spec));
        pending.extend(spec.templates.iter().rev());
    }
    templates.append(&mut cluster_templates);
    Ok(templates)
}

/// Merges the templates that `refs` name, with all that they refer to, into one without references.
///
/// Metrics, dry-run rules and retention rules are concatenated, those of namespaced templates before those of the
/// cluster; a metric name may be there only once. An argument that several templates declare is one argument: a value
/// wins over no value, and two different values are an error.
pub fn resolve_templates(
    refs: &[AnalysisTemplateRef],
    source: &TemplateSource<'_>,
) -> Result<AnalysisTemplateSpec, ResolveError> {
    let mut merged = AnalysisTemplateSpec::default();
    let mut metric_origin: BTreeMap<&str, String> = BTreeMap::new();
    let mut arg_origin: BTreeMap<&str, String> = BTreeMap::new();
    for (label, spec) in reach(refs, source)? {
        let AnalysisTemplateSpec {
            metrics,
            args,
            dry_run,
            measurement_retention,
            templates: _,
        } = spec;
        for metric in metrics {
            if let Some(first) = metric_origin.insert(&metric.name, label.clone()) {
                return Err(ResolveError::DuplicateMetric {
                    metric: metric.name.clone(),
                    first,
                    second: label,
                });
            }
            merged.metrics.push(Metric::clone(metric));
        }
        for arg in args {
            merge_template_arg(&mut merged.args, &mut arg_origin, arg, &label)?;
        }
        merged.dry_run.extend(dry_run.iter().cloned());
        merged
            .measurement_retention
            .extend(measurement_retention.iter().cloned());
    }
    Ok(merged)
}

fn merge_template_arg<'a>(
    merged: &mut Vec<Argument>,
    origin: &mut BTreeMap<&'a str, String>,
    arg: &'a Argument,
    label: &str,
) -> Result<(), ResolveError> {
    let Some(known) = merged.iter_mut().find(|known| known.name == arg.name) else {
        merged.push(arg.clone());
        origin.insert(&arg.name, label.to_owned());
        return Ok(());
    };
    match (&known.value, &arg.value) {
        (Some(first_value), Some(second_value)) if first_value != second_value => {
            Err(ResolveError::ConflictingArg {
                arg: arg.name.clone(),
                first: origin.remove(arg.name.as_str()).unwrap_or_default(),
                first_value: first_value.clone(),
                second: label.to_owned(),
                second_value: second_value.clone(),
            })
        }
        (Some(_), Some(_) | None) => Ok(()),
        (None, _) => {
            // Only what gives a value may replace what may already give one.
            if arg.value.is_some() || arg.value_from.is_some() {
                *known = arg.clone();
                origin.insert(&arg.name, label.to_owned());
            }
            Ok(())
        }
    }
}

/// What a Rollout or an Experiment adds to the templates.
pub struct RunInputs<'a> {
    /// Arguments with their values already read (hashes, fields); a Secret stays a reference. Those that no template
    /// declares are left out of the run.
    pub args: &'a [Argument],
    /// Dry-run rules beside those of the templates.
    pub dry_run: &'a [DryRun],
    /// Retention rules beside those of the templates.
    pub measurement_retention: &'a [MeasurementRetention],
    /// Reads a field for a template's own `valueFrom.fieldRef`, by its path; the error is a sentence. Called only for
    /// arguments that `args` does not set.
    pub field: &'a dyn Fn(&str) -> Result<String, String>,
}

/// The spec of a run: the merged templates with every argument valued.
///
/// A given argument replaces a template's default, whatever that was. After that every argument has a value or is a
/// Secret; anything else is an error. The rules given here stand before those of the templates.
pub fn build_run_spec(
    template: &AnalysisTemplateSpec,
    inputs: &RunInputs<'_>,
) -> Result<AnalysisRunSpec, ResolveError> {
    let AnalysisTemplateSpec {
        metrics,
        args,
        dry_run,
        measurement_retention,
        templates: _,
    } = template;
    let args = args
        .iter()
        .map(|declared| {
            let given = inputs.args.iter().rev().find(|given| {
                given.name == declared.name && (given.value.is_some() || given.value_from.is_some())
            });
            valued(given.unwrap_or(declared), inputs.field)
        })
        .collect::<Result<_, _>>()?;
    Ok(AnalysisRunSpec {
        metrics: metrics.clone(),
        args,
        terminate: false,
        dry_run: inputs.dry_run.iter().chain(dry_run).cloned().collect(),
        measurement_retention: inputs
            .measurement_retention
            .iter()
            .chain(measurement_retention)
            .cloned()
            .collect(),
        ttl_strategy: None,
    })
}

/// The argument as a run holds it: with a value, or with nothing but a reference to a Secret.
fn valued(arg: &Argument, field: &dyn Fn(&str) -> Result<String, String>) -> Result<Argument, ResolveError> {
    let Argument {
        name,
        value,
        value_from,
    } = arg;
    let secret = value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
    let path = value_from
        .as_ref()
        .and_then(|from| from.field_ref.as_ref())
        .map(|from| &from.field_path);
    match (value, secret, path) {
        (Some(_), None, None) => Ok(Argument {
            value_from: None,
            ..arg.clone()
        }),
        (None, Some(_), None) => Ok(arg.clone()),
        (None, None, Some(path)) => match field(path) {
            Ok(value) => Ok(Argument {
                name: name.clone(),
                value: Some(value),
                value_from: None,
            }),
            Err(problem) => Err(ResolveError::Field {
                arg: name.clone(),
                path: path.clone(),
                problem,
            }),
        },
        (None, None, None) => Err(ResolveError::NoValue(name.clone())),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
            Err(ResolveError::TwoSources(name.clone()))
        }
    }
}
