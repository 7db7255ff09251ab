//! A Kubernetes Job as a measurement: the object to create, and what its state says. Pure; the calls are the
//! controller's.
//!
//! There are no conditions: the exit decides. The states and what they mean:
//!
//! | Job or pod | measurement |
//! |---|---|
//! | condition `Complete` | Successful |
//! | condition `Failed` | Failed, with the condition's words |
//! | a container waits in ErrImagePull, ImagePullBackOff or InvalidImageName | Inconclusive, with the pod's words |
//! | the run ends first | Inconclusive; the Job is deleted |
//! | it cannot be created, or somebody deleted it | Error |
//!
//! # Secrets
//! A Job is an object that many may read, so the value of a secret argument never goes into it. Where a command, an
//! argument or the value of a variable holds `{{args.token}}`, the container gets a variable that the kubelet fills from
//! the Secret, and the text refers to it as `$(SERIN_ARG_0)`. Anywhere else a secret is refused.

use crate::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunStatus, JobMetadata, JobMetric, Measurement, SecretKeyRef,
};
use crate::api::names::{API_VERSION, annotations, labels};
use crate::engine::analysis::{resolve_metric, secret_refs};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

mod check;
#[cfg(test)]
mod tests;

pub(crate) use check::check;

/// Key of a measurement's metadata: the name of its Job.
pub const JOB_NAME: &str = "job-name";
/// Key of a measurement's metadata: the namespace of its Job.
pub const JOB_NAMESPACE: &str = "job-namespace";

/// The longest name of a Job: its pods carry it as a label.
const MAX_NAME: usize = 63;

/// How long a Job stays that no owner reference ties to its run, in seconds after its end, unless it says so itself.
const ELSEWHERE_TTL: i64 = 24 * 60 * 60;

/// Why a container that waits will not start without somebody's help. Source: wire contract 2.11.
const STUCK: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"];

/// Where a Job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Whether the run can own it: in the run's own namespace and cluster. A Secret can be used only there.
    pub beside_run: bool,
}

/// The Job of a metric's measurement, as JSON. Error: the sentence that says what is wrong with the metric.
pub fn build(run: &AnalysisRun, index: usize, ordinal: i64, place: &Place<'_>) -> Result<Value, String> {
    let spec = &run.spec;
    let meta = &run.metadata;
    let (name, uid) = (
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
    );
    let references: BTreeMap<String, String> = secret_refs(&spec.args)
        .into_iter()
        .enumerate()
        .map(|(place, (arg, _))| (arg.to_owned(), reference(place)))
        .collect();
    let metrics = spec
        .metrics
        .iter()
        .map(|metric| resolve_metric(metric, &spec.args, &references))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let metric = metrics
        .get(index)
        .ok_or_else(|| format!("metrics[{index}] is not there"))?;
    let Some(JobMetric {
        metadata,
        spec: job_spec,
    }) = &metric.provider.job
    else {
        return Err("provider.job is not there".to_owned());
    };
    let JobMetadata {
        labels: mut job_labels,
        annotations: mut job_annotations,
    } = metadata.clone().unwrap_or_default();
    let mut job_spec = job_spec.clone();
    let given = json!({"metadata": {"labels": job_labels, "annotations": job_annotations}, "spec": job_spec});
    keep_secrets_out(&mut job_spec, &given, &secret_refs(&spec.args), place)?;

    let template = child(&mut job_spec, "provider.job.spec", "template")?;
    let template_meta = child(template, "provider.job.spec.template", "metadata")?;
    child(template_meta, "provider.job.spec.template.metadata", "labels")?[labels::ANALYSIS_RUN_UID] =
        uid.into();
    job_labels.insert(labels::ANALYSIS_RUN_UID.to_owned(), uid.to_owned());
    for (key, value) in [
        (annotations::ANALYSIS_RUN_NAME, name),
        (
            annotations::ANALYSIS_RUN_NAMESPACE,
            meta.namespace.as_deref().unwrap_or_default(),
        ),
        (annotations::ANALYSIS_RUN_METRIC, &metric.name),
    ] {
        job_annotations.insert(key.to_owned(), value.to_owned());
    }
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(uid, &names, index, ordinal),
            "namespace": place.namespace,
            "labels": job_labels,
            "annotations": job_annotations,
        },
        "spec": job_spec,
    });
    if place.beside_run {
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": API_VERSION,
            "kind": "AnalysisRun",
            "name": name,
            "uid": uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    } else {
        // Nothing else deletes it when its run goes while no controller lives.
        let spec = child(&mut job, "the Job", "spec")?;
        if spec["ttlSecondsAfterFinished"].is_null() {
            spec["ttlSecondsAfterFinished"] = ELSEWHERE_TTL.into();
        }
    }
    Ok(job)
}

/// The object in a field, which is made where it is absent.
fn child<'a>(parent: &'a mut Value, path: &str, field: &str) -> Result<&'a mut Value, String> {
    let parent = parent
        .as_object_mut()
        .ok_or_else(|| format!("{path} must be an object"))?;
    let child = parent.entry(field).or_insert(Value::Null);
    if child.is_null() {
        *child = Value::Object(Map::new());
    }
    if child.is_object() {
        Ok(child)
    } else {
        Err(format!("{path}.{field} must be an object"))
    }
}

/// `<uid of the run>.<metric>.<n>`, with the metric's part cut so that all of it has 63 characters.
///
/// What a name cannot hold becomes `-`. Two metrics that would get the same name get their places in the run behind it:
/// with a uid of 36 characters `integration-test-checkout-happy` and `integration-test-checkout-error` become
/// `integration-test-check-0` and `integration-test-check-1`.
pub fn job_name(uid: &str, metrics: &[&str], index: usize, ordinal: i64) -> String {
    let number = ordinal.to_string();
    let room = MAX_NAME.saturating_sub(uid.len() + number.len() + 2);
    let name = metrics.get(index).copied().unwrap_or_default();
    let own = part(name, room);
    let taken = metrics
        .iter()
        .enumerate()
        .any(|(other, name)| other != index && part(name, room) == own);
    let own = if taken {
        let place = format!("-{index}");
        part(name, room.saturating_sub(place.len())) + &place
    } else {
        own
    };
    format!("{uid}.{own}.{number}")
}

fn part(name: &str, room: usize) -> String {
    let clean: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .skip_while(|c| *c == '-')
        .take(room)
        .collect();
    match clean.trim_end_matches('-') {
        "" => "metric".to_owned(),
        clean => clean.to_owned(),
    }
}

fn variable(place: usize) -> String {
    format!("SERIN_ARG_{place}")
}

fn reference(place: usize) -> String {
    format!("$({})", variable(place))
}

/// Gives each container that refers to a secret argument the variable it refers to, first of all: only what stands
/// before may be referred to. `given` is everything that the metric says of the Job.
fn keep_secrets_out(
    spec: &mut Value,
    given: &Value,
    secrets: &[(&str, &SecretKeyRef)],
    place: &Place<'_>,
) -> Result<(), String> {
    let mut rest = given.clone();
    drop_places_of_secrets(&mut rest);
    for (place_of_arg, (arg, key)) in secrets.iter().enumerate() {
        let reference = reference(place_of_arg);
        let all = given.to_string();
        if !all.contains(&reference) {
            continue;
        }
        if rest.to_string().contains(&reference) || all.contains(&format!("${reference}")) {
            return Err(format!(
                "argument {arg:?} is a secret and everybody who may read the Job would read it: use it only in command, args and \
                 env of a container, and not behind a $"
            ));
        }
        if !place.beside_run {
            return Err(format!(
                "argument {arg:?} is a Secret of the run's namespace, and the Job goes to another one: take the value from a \
                 Secret there, with env.valueFrom in the Job"
            ));
        }
        for list in ["initContainers", "containers"] {
            for container in containers(spec, list) {
                if !Value::Object(container.clone()).to_string().contains(&reference) {
                    continue;
                }
                let from = json!({
                    "name": variable(place_of_arg),
                    "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}},
                });
                let env = container.entry("env").or_insert(Value::Null);
                if env.is_null() {
                    *env = json!([]);
                }
                let env = env
                    .as_array_mut()
                    .ok_or("the env of a container must be a list")?;
                env.insert(0, from);
            }
        }
    }
    Ok(())
}

/// Takes away where a secret may stand: command, args and values of variables. `given` is everything that the metric says
/// of the Job.
fn drop_places_of_secrets(given: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in containers(&mut given["spec"], list) {
            container.remove("command");
            container.remove("args");
            for variable in container
                .get_mut("env")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                variable.as_object_mut().map(|variable| variable.remove("value"));
            }
        }
    }
}

fn containers<'a>(spec: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    spec.pointer_mut(&format!("/template/spec/{list}"))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// The measurement of a Job that was just created.
pub fn started(job: &str, namespace: &str, now: Timestamp) -> Measurement {
    Measurement {
        phase: AnalysisPhase::Running,
        started_at: Some(Time(now)),
        metadata: BTreeMap::from([
            (JOB_NAME.to_owned(), job.to_owned()),
            (JOB_NAMESPACE.to_owned(), namespace.to_owned()),
        ]),
        ..Measurement::default()
    }
}

/// A measurement in flight with its outcome.
pub fn ended(
    measurement: &Measurement,
    phase: AnalysisPhase,
    message: Option<String>,
    now: Timestamp,
) -> Measurement {
    Measurement {
        phase,
        message,
        finished_at: Some(Time(now)),
        resume_at: None,
        ..measurement.clone()
    }
}

/// The measurement of a Job that ends because its run does.
pub fn terminated(measurement: &Measurement, now: Timestamp) -> Measurement {
    let message = "the run ended before the measurement did".to_owned();
    ended(measurement, AnalysisPhase::Inconclusive, Some(message), now)
}

/// Where a Job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Not at its end.
    Running,
    /// All of its pods that had to succeed have done so.
    Complete,
    /// It failed, for this reason.
    Failed(String),
}

/// Where a Job stands, by its conditions.
pub fn state(job: &Job) -> JobState {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions.filter(|condition| condition.status == "True") {
        match condition.type_.as_str() {
            "Complete" => return JobState::Complete,
            "Failed" => {
                let words = [condition.reason.as_deref(), condition.message.as_deref()];
                let words: Vec<&str> = words
                    .into_iter()
                    .flatten()
                    .filter(|text| !text.is_empty())
                    .collect();
                return JobState::Failed(words.join(": "));
            }
            _ => {}
        }
    }
    JobState::Running
}

/// Why a pod will not start without somebody's help, in its own words; `None` while it may.
pub fn stuck(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    containers.into_iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting
            .reason
            .as_deref()
            .filter(|reason| STUCK.contains(reason))?;
        let words = waiting
            .message
            .as_deref()
            .map(|words| format!(": {words}"))
            .unwrap_or_default();
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        Some(format!(
            "pod {pod}, container {}: {reason}{words}",
            container.name
        ))
    })
}

/// The outcome of a measurement in flight by its Job and the Job's pods; `None` while there is none.
pub fn outcome<'a>(
    measurement: &Measurement,
    job: &Job,
    pods: impl IntoIterator<Item = &'a Pod>,
    now: Timestamp,
) -> Option<Measurement> {
    let (phase, message) = match state(job) {
        JobState::Complete => (AnalysisPhase::Successful, None),
        JobState::Failed(words) => (
            AnalysisPhase::Failed,
            Some(words).filter(|words| !words.is_empty()),
        ),
        JobState::Running => (
            AnalysisPhase::Inconclusive,
            Some(pods.into_iter().find_map(stuck)?),
        ),
    };
    Some(ended(measurement, phase, message, now))
}

/// Whether a Job of a run is not needed any more, by the run's committed status.
///
/// - Its measurement is kept and over, and the Job is not: it was cancelled, or its image cannot be pulled. It must not
///   start its work at some later hour.
/// - Its measurement is not kept any more: beyond the retention.
/// - Its measurement was never stored, and never will be: the run is over and nobody is at it (`measured` is false).
///
/// A Job whose measurement is not stored yet, because a controller died between creating and storing, is none: it has the
/// number of the next measurement, which will find it.
pub fn is_surplus(job: &Job, status: &AnalysisRunStatus, measured: bool) -> bool {
    let meta = &job.metadata;
    if meta.deletion_timestamp.is_some() {
        return false;
    }
    let name = meta.name.as_deref().unwrap_or_default();
    let mut measurements = status
        .metric_results
        .iter()
        .flat_map(|result| &result.measurements);
    if let Some(measurement) =
        measurements.find(|measurement| measurement.metadata.get(JOB_NAME).is_some_and(|job| job == name))
    {
        return measurement.phase.is_completed() && state(job) == JobState::Running;
    }
    if measured {
        return false;
    }
    let metric = meta
        .annotations
        .as_ref()
        .and_then(|all| all.get(annotations::ANALYSIS_RUN_METRIC));
    let result = status
        .metric_results
        .iter()
        .find(|result| Some(&result.name) == metric);
    let taken = result.map_or(0, |result| i64::from(result.count) + i64::from(result.error));
    let number = name
        .rsplit('.')
        .next()
        .and_then(|number| number.parse::<i64>().ok());
    status.phase.is_completed() || number.is_some_and(|number| number <= taken)
}
