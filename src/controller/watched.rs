//! A Rollout as it comes from the watch: decoded, or with the one sentence that says why it could not be.
//!
//! One malformed object must neither break the watch nor go unnoticed: its metadata and whatever of its status can be read
//! stay, so that the condition InvalidSpec can be written on it.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::common::without_managed_fields;
use crate::api::rollout::{Rollout, RolloutSpec, RolloutStatus};
use crate::engine::observed::Workload;
use crate::engine::{Identity, identity};

/// A Rollout from the watch.
#[derive(Clone, Debug)]
pub struct WatchedRollout {
    /// The Rollout; with an empty spec where it could not be decoded.
    pub rollout: Arc<Rollout>,
    /// Why it could not be decoded, beginning with the field's path.
    pub malformed: Option<String>,
    /// The steps as they stand on the wire: their hash is over what was written, not over what we read of it.
    steps: Option<Value>,
}

impl WatchedRollout {
    /// The hashes of what the Rollout desires, with the template of the workload that it refers to, if any. Costs some tens
    /// of microseconds: keep it by generation.
    pub fn identity(&self, workload: Option<&Workload>) -> Identity {
        let spec = &self.rollout.spec;
        let null = Value::Null;
        let own = spec.template.as_ref().map_or(&null, |t| &t.0);
        let template = workload
            .filter(|_| spec.workload_ref.is_some())
            .map_or(own, |w| &w.template.0);
        let collisions = self.rollout.status.as_ref().and_then(|s| s.collision_count);
        let canary = spec.strategy.as_ref().is_some_and(|s| s.canary.is_some());
        let steps = self.steps.as_ref();
        Identity {
            pod_hash: identity::template_hash(template, collisions),
            legacy_pod_hash: identity::legacy_template_hash(template, collisions),
            step_hash: if canary {
                identity::step_hash(steps)
            } else {
                String::new()
            },
            legacy_step_hash: if canary {
                identity::legacy_step_hash(steps)
            } else {
                String::new()
            },
        }
    }
}

/// A Rollout on the wire, its parts still text.
#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "without_managed_fields")]
    metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

/// Where the steps stand in the text of a spec.
#[derive(Deserialize)]
struct SpecText {
    strategy: Option<StrategyText>,
}

#[derive(Deserialize)]
struct StrategyText {
    canary: Option<CanaryText>,
}

#[derive(Deserialize)]
struct CanaryText {
    steps: Option<Value>,
}

/// The steps as they were written.
fn steps(spec: &str) -> Option<Value> {
    let spec: SpecText = serde_json::from_str(spec).ok()?;
    spec.strategy?.canary?.steps
}

/// Reads a part; the error begins with the path of the field. Keeping track of the path takes longer than the reading, and
/// almost no object needs it: so it is looked for when the reading has failed.
fn read<T: DeserializeOwned>(text: &str, at: &str) -> Result<T, String> {
    serde_json::from_str(text).or_else(|_| {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("{at}: Invalid value: {e}"))?;
        serde_path_to_error::deserialize(&value).map_err(|error| {
            let path = match error.path().to_string() {
                path if path == "." => at.to_owned(),
                path => format!("{at}.{path}"),
            };
            format!("{path}: Invalid value: {}", error.inner())
        })
    })
}

impl<'de> Deserialize<'de> for WatchedRollout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire {
            metadata,
            spec: spec_text,
            status,
        } = Wire::deserialize(deserializer)?;
        let spec_text = spec_text.as_ref().map_or("{}", |text| text.get());
        let spec: Result<RolloutSpec, String> = read(spec_text, "spec");
        let status: Result<Option<RolloutStatus>, String> =
            status.map(|text| read(text.get(), "status")).transpose();
        let mut rollout = Rollout::new("", RolloutSpec::default());
        rollout.metadata = metadata;
        let mut malformed = None;
        match spec {
            Ok(spec) => rollout.spec = spec,
            Err(error) => malformed = Some(error),
        }
        match status {
            Ok(status) => rollout.status = status,
            Err(error) => malformed = malformed.or(Some(error)),
        }
        if malformed.is_some() {
            rollout.spec = RolloutSpec::default();
        }
        Ok(WatchedRollout {
            rollout: Arc::new(rollout),
            steps: steps(spec_text).filter(|_| malformed.is_none()),
            malformed,
        })
    }
}

impl Resource for WatchedRollout {
    type DynamicType = ();
    type Scope = <Rollout as Resource>::Scope;

    fn kind(dt: &()) -> Cow<'_, str> {
        Rollout::kind(dt)
    }

    fn group(dt: &()) -> Cow<'_, str> {
        Rollout::group(dt)
    }

    fn version(dt: &()) -> Cow<'_, str> {
        Rollout::version(dt)
    }

    fn plural(dt: &()) -> Cow<'_, str> {
        Rollout::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.rollout.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut Arc::make_mut(&mut self.rollout).metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_malformed_rollout_keeps_its_name_and_says_where_it_is_wrong() {
        let watched: WatchedRollout = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "resourceVersion": "5"},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": "ten"}]}}},
            "status": {"stableRS": "abc"},
        }))
        .unwrap();
        let malformed = watched.malformed.unwrap();
        assert!(
            malformed.starts_with("spec.strategy.canary.steps[0].setWeight: Invalid value: "),
            "{malformed}"
        );
        assert_eq!(watched.rollout.metadata.name.as_deref(), Some("r"));
        assert_eq!(
            watched.rollout.status.as_ref().unwrap().stable_rs.as_deref(),
            Some("abc")
        );
    }

    #[test]
    fn what_is_malformed_is_told_whatever_part_it_stands_in() {
        let read = |object: Value| {
            let watched: WatchedRollout = serde_json::from_value(object).unwrap();
            (watched.malformed, watched.rollout.status.is_some())
        };
        for (object, want, has_status) in [
            (json!({"metadata": {"name": "r"}}), None, false),
            (
                json!({"metadata": {"name": "r"}, "spec": null, "status": null}),
                None,
                false,
            ),
            (
                json!({"metadata": {"name": "r"}, "spec": "all", "status": {"phase": "Healthy"}}),
                Some("spec: Invalid value: invalid type: string \"all\", expected struct RolloutSpec"),
                true,
            ),
            (
                json!({"metadata": {"name": "r"}, "spec": {}, "status": {"replicas": "many"}}),
                Some("status.replicas: Invalid value: invalid type: string \"many\", expected i32"),
                false,
            ),
        ] {
            assert_eq!(read(object), (want.map(str::to_owned), has_status));
        }
    }

    #[test]
    fn it_is_read_from_a_list_and_from_a_watch() {
        let one = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "r", "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"strategy": {"canary": {"steps": [{"pause": {}}]}}},
        });
        let list = json!({"apiVersion": "v1", "kind": "RolloutList", "metadata": {}, "items": [one]});
        let list: kube::core::ObjectList<WatchedRollout> = serde_json::from_str(&list.to_string()).unwrap();
        let event = format!(r#"{{"type":"MODIFIED","object":{one}}}"#);
        let event: kube::core::WatchEvent<WatchedRollout> = serde_json::from_str(&event).unwrap();
        let kube::core::WatchEvent::Modified(watched) = event else {
            panic!("{event:?}")
        };
        for read in [&list.items[0], &watched] {
            assert_eq!(read.meta().name.as_deref(), Some("r"));
            assert_eq!(read.meta().managed_fields, None);
            assert_eq!(read.identity(None).step_hash, "6b9b86fbd5");
        }
    }

    #[test]
    fn steps_are_hashed_as_they_were_written() {
        let watched: WatchedRollout = serde_json::from_value(json!({
            "metadata": {"name": "r"},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}}},
        }))
        .unwrap();
        assert_eq!(watched.identity(None).step_hash, "849b756fd4");
    }
}
