//! The rights of this process, asked of the API server before anything starts: what a pass cannot do without ends it with
//! one sentence, what only some Rollouts need is told in the log.

use futures::future::try_join_all;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::Obstacle;
use crate::api::names::GROUP;
use crate::controller::process::Options;

/// Rights to one resource.
struct Right {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    verbs: &'static [&'static str],
    /// What does not work without them; empty where nothing does.
    without: &'static str,
    scope: Scope,
}

/// Where a right is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In the namespaces that are watched.
    Watched,
    /// In the whole cluster, and not at all where only one namespace is watched.
    Cluster,
    /// In the controller's own namespace, where several are to elect a leader.
    Lease,
}

const fn right(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    without: &'static str,
) -> Right {
    Right {
        group,
        resource,
        subresource: "",
        verbs,
        without,
        scope: Scope::Watched,
    }
}

const WATCH: &[&str] = &["list", "watch"];

/// All rights that this program uses. `tests/roles.rs` compares the roles with the calls; this is only what is told at the
/// start. That to read Secrets is left out: it may be given in some namespaces, or for some names.
const RIGHTS: [Right; 19] = [
    right(GROUP, "rollouts", &["get", "list", "watch", "patch"], ""),
    Right {
        subresource: "status",
        ..right(GROUP, "rollouts", &["patch"], "")
    },
    right(
        GROUP,
        "analysisruns",
        &["list", "watch", "create", "patch", "delete"],
        "",
    ),
    right(GROUP, "analysistemplates", WATCH, ""),
    Right {
        scope: Scope::Cluster,
        ..right(GROUP, "clusteranalysistemplates", WATCH, "")
    },
    right(
        "apps",
        "replicasets",
        &["get", "list", "watch", "create", "patch", "delete"],
        "",
    ),
    right("", "services", &["list", "watch", "patch"], ""),
    right("", "pods", WATCH, ""),
    right("discovery.k8s.io", "endpointslices", WATCH, ""),
    Right {
        scope: Scope::Lease,
        ..right("coordination.k8s.io", "leases", &["get", "create", "update"], "")
    },
    right("", "events", &["create", "patch"], "nothing is told by events"),
    right(
        "",
        "pods",
        &["patch"],
        "canaryMetadata and its like do not reach living pods",
    ),
    Right {
        subresource: "eviction",
        ..right("", "pods", &["create"], "spec.restartAt restarts nothing")
    },
    right(
        "apps",
        "deployments",
        &["get", "list", "watch"],
        "a workloadRef to a Deployment does not work",
    ),
    Right {
        subresource: "scale",
        ..right(
            "apps",
            "deployments",
            &["patch"],
            "workloadRef.scaleDown does not work",
        )
    },
    Right {
        subresource: "finalizers",
        ..right(
            GROUP,
            "rollouts",
            &["update"],
            "no ReplicaSet can be made where the API server runs OwnerReferencesPermissionEnforcement",
        )
    },
    Right {
        subresource: "finalizers",
        ..right(
            GROUP,
            "analysisruns",
            &["update"],
            "analyses with a job end in Error where the API server runs OwnerReferencesPermissionEnforcement",
        )
    },
    right(
        "",
        "podtemplates",
        &["get", "list", "watch"],
        "a workloadRef to a PodTemplate does not work",
    ),
    right(
        "batch",
        "jobs",
        &["get", "list", "watch", "create", "delete"],
        "analyses with a job end in Error",
    ),
];

/// One verb on one resource.
struct Asked<'a> {
    right: &'a Right,
    verb: &'static str,
    namespace: Option<&'a str>,
}

impl Asked<'_> {
    /// Such as `patch rollouts.argoproj.io/status`.
    fn words(&self) -> String {
        let Right {
            group,
            resource,
            subresource,
            ..
        } = self.right;
        let mut words = format!("{} {resource}", self.verb);
        for (mark, part) in [('.', group), ('/', subresource)] {
            if !part.is_empty() {
                words.push(mark);
                words.push_str(part);
            }
        }
        words
    }

    async fn is_allowed(&self, client: &Client) -> Result<bool, kube::Error> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: some(self.right.group),
                    resource: some(self.right.resource),
                    subresource: some(self.right.subresource),
                    verb: some(self.verb),
                    namespace: self.namespace.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// What is asked for a process that is run like this.
fn asked(options: &Options) -> impl Iterator<Item = Asked<'_>> {
    let watched = options.namespace.as_deref();
    let lease = options.election.as_ref().map(|e| e.namespace.as_str());
    RIGHTS
        .iter()
        .filter_map(move |right| {
            let namespace = match right.scope {
                Scope::Watched => watched,
                Scope::Cluster if watched.is_some() => return None,
                Scope::Cluster => None,
                Scope::Lease => Some(lease?),
            };
            Some((right, namespace))
        })
        .flat_map(|(right, namespace)| {
            right.verbs.iter().map(move |verb| Asked {
                right,
                verb,
                namespace,
            })
        })
}

/// Asks for all rights. Those that nothing works without are the obstacle; the others are told in the log.
pub(super) async fn check(client: &Client, options: &Options) -> Result<(), Obstacle> {
    let answers = asked(options).map(|asked| async move {
        let allowed = asked.is_allowed(client).await?;
        Ok((asked, allowed))
    });
    let answers = match try_join_all(answers).await {
        Ok(answers) => answers,
        // Not every API server lets one ask. Then the calls themselves will tell.
        Err(kube::Error::Api(status)) if [403, 404].contains(&status.code) => {
            tracing::warn!(error = %status.message, "cannot ask which rights this controller has");
            return Ok(());
        }
        Err(error) => return Err(Obstacle::Unreachable(error)),
    };
    let missing: Vec<Asked> = answers
        .into_iter()
        .filter_map(|(asked, allowed)| (!allowed).then_some(asked))
        .collect();
    let (needed, wanted): (Vec<_>, Vec<_>) = missing.iter().partition(|asked| asked.right.without.is_empty());
    if needed.is_empty() {
        for asked in wanted {
            tracing::warn!(
                right = asked.words(),
                "a right is missing: {}",
                asked.right.without
            );
        }
        return Ok(());
    }
    let (role, file) = match &options.namespace {
        Some(_) => ("Role", "deploy/namespace-install.yaml"),
        None => ("ClusterRole", "deploy/install.yaml"),
    };
    let whole = |asked: &&Asked| match asked.namespace {
        Some(namespace) => format!("{} in namespace {namespace}", asked.words()),
        None => format!("{} in all namespaces", asked.words()),
    };
    let all: Vec<String> = needed.iter().map(whole).collect();
    Err(Obstacle::Missing(format!(
        "{} is not allowed to {}: add {} to the {role} that it is bound to (as in {file})",
        name(client).await,
        all.join(", "),
        if all.len() == 1 { "this" } else { "these" },
    )))
}

/// Who this process is, for the API server.
async fn name(client: &Client) -> String {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let user = review.ok().and_then(|review| review.status?.user_info?.username);
    user.map_or_else(|| "this controller".to_owned(), |user| format!("{user:?}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The role that all tests run with, which is that of the chart.
    fn role() -> BTreeSet<String> {
        let documents = include_str!("../../../tests/support/rbac.yaml").split("\n---\n");
        let objects = documents.map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
        let rules = objects.flat_map(|object| object["rules"].as_array().cloned().unwrap_or_default());
        let mut all = BTreeSet::new();
        for rule in rules {
            let list = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap() };
            let group = list("apiGroups").remove(0);
            let dot = if group.is_empty() { "" } else { "." };
            for resource in list("resources") {
                let (resource, sub) = resource
                    .find('/')
                    .map_or((&*resource, ""), |at| resource.split_at(at));
                all.extend(
                    list("verbs")
                        .iter()
                        .map(|verb| format!("{verb} {resource}{dot}{group}{sub}")),
                );
            }
        }
        all
    }

    #[test]
    fn what_is_asked_for_is_the_role_but_for_secrets() {
        let asked = RIGHTS.iter().flat_map(|right| {
            right.verbs.iter().map(move |verb| Asked {
                right,
                verb,
                namespace: None,
            })
        });
        let mut asked: BTreeSet<String> = asked.map(|asked| asked.words()).collect();
        // It may be given in some namespaces, or for some names.
        asked.insert("get secrets".to_owned());
        assert_eq!(asked, role());
    }

    #[test]
    fn rights_are_asked_for_where_they_are_needed() {
        let mut options = Options::for_tests();
        let words = |options: &Options| -> Vec<String> { asked(options).map(|a| a.words()).collect() };
        let everywhere = words(&options);
        assert!(everywhere.contains(&"patch rollouts.argoproj.io/status".to_owned()));
        assert!(everywhere.contains(&"create pods/eviction".to_owned()));
        assert!(everywhere.contains(&"watch clusteranalysistemplates.argoproj.io".to_owned()));
        assert!(
            !everywhere.iter().any(|words| words.contains("leases")),
            "nobody is elected"
        );
        options.namespace = Some("n".to_owned());
        assert!(
            !words(&options)
                .iter()
                .any(|words| words.contains("clusteranalysistemplates"))
        );
        assert!(asked(&options).all(|asked| asked.namespace == Some("n")));
    }
}
