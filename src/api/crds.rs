//! The CustomResourceDefinitions, as they are installed.

mod shape;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::experiment::Experiment;
use super::rollout::Rollout;

/// All definitions, as they are installed, in the order of their names in a cluster.
///
/// Always use these, never `Kind::crd()`: the derive adds a status subresource where the contract has none, and the
/// keywords `nullable`, `default` and unknown formats where the contract has neither.
///
/// ```
/// let names: Vec<_> = serin::api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
/// assert!(names.contains(&"Rollout".to_owned()));
/// ```
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![without_status(Experiment::crd()), Rollout::crd()];
    crds.extend(super::analysis::crds());
    crds.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    crds.into_iter().map(shape::to_contract).collect()
}

/// A definition as a YAML document, with the line that says where it comes from.
///
/// # Panics
/// Never: a definition has string keys only, so that it is always YAML.
pub fn crds_yaml(crd: &CustomResourceDefinition) -> String {
    let body = serde_saphyr::to_string(crd).expect("a definition has string keys only");
    format!("# Generated from src/api by `serin crds`; do not edit.\n{body}")
}

/// Takes out the subresources, where the contract has none: the status is an ordinary field (section 1.0).
fn without_status(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.subresources = None;
    }
    crd
}
