//! What is looked at before anything starts: the kinds that the API server knows, and the rights that it gives this process.
//! Each refusal is one sentence that says what is missing and how to get it.

mod rights;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use tokio::time::sleep;

use super::process::Options;
use crate::api::names::{API_VERSION, GROUP, VERSION};

/// How long an install that is under way is waited for.
const INSTALLING: Duration = Duration::from_secs(10);

/// The kinds that must be there, by their resources.
const KINDS: [&str; 4] = [
    "rollouts",
    "analysisruns",
    "analysistemplates",
    "clusteranalysistemplates",
];

/// Why this process cannot start now.
#[derive(Debug)]
enum Obstacle {
    /// It may go by itself: an install is under way.
    Missing(String),
    /// The API server cannot be asked.
    Unreachable(kube::Error),
}

impl From<kube::Error> for Obstacle {
    fn from(error: kube::Error) -> Self {
        Obstacle::Unreachable(error)
    }
}

/// Whether the API server knows our kinds, and lets us work with them. Definitions and rights that were applied together
/// with this process take a moment to be known, so that a no is asked again for a while. Error: the sentence to end with.
pub async fn check(client: &Client, options: &Options) -> anyhow::Result<()> {
    let mut found = look(client, options).await;
    for _ in 0..INSTALLING.as_secs() {
        if !matches!(found, Err(Obstacle::Missing(_))) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
        found = look(client, options).await;
    }
    match found {
        Ok(()) => Ok(()),
        Err(Obstacle::Missing(sentence)) => Err(anyhow!(sentence)),
        Err(Obstacle::Unreachable(error)) => Err(error).context("cannot reach the API server"),
    }
}

async fn look(client: &Client, options: &Options) -> Result<(), Obstacle> {
    let served = match client.list_api_group_resources(API_VERSION).await {
        Ok(served) => served,
        // Without a version, it is no Status that says so.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Err(Obstacle::Missing(other_version(client).await?));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(sentence) = wrong_definitions(&served) {
        return Err(Obstacle::Missing(sentence));
    }
    rights::check(client, options).await
}

/// The group is there in other versions, or not at all.
async fn other_version(client: &Client) -> Result<String, kube::Error> {
    let groups = client.list_api_groups().await?.groups;
    let served: Vec<String> = groups
        .into_iter()
        .filter(|group| group.name == GROUP)
        .flat_map(|group| group.versions)
        .map(|version| version.version)
        .collect();
    Ok(if served.is_empty() {
        "this cluster has no Rollouts: install the CustomResourceDefinitions first (kubectl apply -f crds/)"
            .to_owned()
    } else {
        format!(
            "this cluster serves {GROUP} in version {} and not in {VERSION}, which this controller speaks: install its \
             CustomResourceDefinitions (kubectl apply -f crds/)",
            served.join(", ")
        )
    })
}

/// What is wrong with the definitions as the API server serves them.
fn wrong_definitions(served: &APIResourceList) -> Option<String> {
    let is_there = |name: &str| served.resources.iter().any(|resource| resource.name == name);
    let missing: Vec<String> = KINDS
        .iter()
        .filter(|kind| !is_there(kind))
        .map(|kind| format!("{kind}.{GROUP}"))
        .collect();
    if !missing.is_empty() {
        return Some(format!(
            "this cluster has no {}: install the CustomResourceDefinitions first (kubectl apply -f crds/)",
            missing.join(", no ")
        ));
    }
    // The contract has the one and not the other, since its first versions: writes would go nowhere.
    let other = "the CustomResourceDefinition is of another version: apply this controller's (kubectl apply -f crds/)";
    if !is_there("rollouts/status") {
        return Some(format!("rollouts.{GROUP} has no status subresource: {other}"));
    }
    if is_there("analysisruns/status") {
        return Some(format!("analysisruns.{GROUP} has a status subresource: {other}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served(names: &[&str]) -> APIResourceList {
        let resources: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": []}))
            .collect();
        serde_json::from_value(json!({"groupVersion": API_VERSION, "resources": resources})).unwrap()
    }

    #[test]
    fn what_is_wrong_with_the_definitions_is_said_in_one_sentence() {
        let all = [
            "rollouts",
            "rollouts/status",
            "analysisruns",
            "analysistemplates",
            "clusteranalysistemplates",
        ];
        assert_eq!(wrong_definitions(&served(&all)), None);
        let sentence = |names: &[&str]| wrong_definitions(&served(names)).unwrap();
        // Argo CD's kinds are in the same group and version.
        assert_eq!(
            sentence(&["applications"]),
            "this cluster has no rollouts.argoproj.io, no analysisruns.argoproj.io, no analysistemplates.argoproj.io, \
             no clusteranalysistemplates.argoproj.io: install the CustomResourceDefinitions first (kubectl apply -f crds/)"
        );
        assert!(
            sentence(&[&all[..1], &all[2..]].concat())
                .starts_with("rollouts.argoproj.io has no status subresource")
        );
        let old = [&all[..], &["analysisruns/status"]].concat();
        assert!(sentence(&old).starts_with("analysisruns.argoproj.io has a status subresource"));
    }
}
