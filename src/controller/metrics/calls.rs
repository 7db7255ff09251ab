//! Calls to the API server, by verb and resource.

use http::{Method, Uri};

/// The resources that this controller speaks of. Others are counted as one: a label never takes what somebody sends.
const KNOWN: [&str; 20] = [
    "analysisruns",
    "analysistemplates",
    "clusteranalysistemplates",
    "deployments",
    "deployments/scale",
    "endpointslices",
    "events",
    "experiments",
    "httproutes",
    "jobs",
    "leases",
    "pods",
    "pods/eviction",
    "podtemplates",
    "replicasets",
    "rollouts",
    "rollouts/status",
    "secrets",
    "selfsubjectaccessreviews",
    "services",
];

/// Verb and resource of a call, in the words of `controller_clientset_k8s_request_total`.
///
/// Worked: `GET /apis/apps/v1/namespaces/n/replicasets/r` is `Get replicasets`, without the name `List`, and with
/// `?watch=true` `Watch`; `PATCH /apis/argoproj.io/v1alpha1/namespaces/n/rollouts/r/status` is `Patch rollouts/status`.
pub fn describe(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub, ..] => (format!("{resource}/{sub}"), true),
        [] => (String::new(), true),
    };
    let kind = KNOWN.iter().find(|known| **known == resource);
    let watches = || {
        let query = uri.query().unwrap_or_default();
        query
            .split('&')
            .any(|pair| pair == "watch=true" || pair == "watch=1")
    };
    let verb = match method.as_str() {
        "GET" if watches() => "Watch",
        "GET" if named => "Get",
        "GET" => "List",
        "POST" => "Create",
        "PUT" => "Update",
        "PATCH" => "Patch",
        "DELETE" => "Delete",
        _ => "Unknown",
    };
    (verb, kind.copied().unwrap_or("other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_verb_and_resource_and_by_nothing_else() {
        for (method, uri, want) in [
            (
                Method::GET,
                "/apis/apps/v1/namespaces/n/replicasets/r",
                ("Get", "replicasets"),
            ),
            (
                Method::GET,
                "/apis/apps/v1/replicasets?labelSelector=a",
                ("List", "replicasets"),
            ),
            (
                Method::GET,
                "/api/v1/namespaces/n/pods?watch=true&resourceVersion=1",
                ("Watch", "pods"),
            ),
            (
                Method::POST,
                "/api/v1/namespaces/n/pods/p/eviction?fieldManager=x",
                ("Create", "pods/eviction"),
            ),
            (Method::POST, "/api/v1/namespaces/n/events?", ("Create", "events")),
            (
                Method::PATCH,
                "/apis/argoproj.io/v1alpha1/namespaces/n/rollouts/r/status",
                ("Patch", "rollouts/status"),
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/n/leases/l",
                ("Update", "leases"),
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/n/jobs/j",
                ("Delete", "jobs"),
            ),
            (Method::GET, "/apis/argoproj.io/v1alpha1", ("Get", "other")),
            (Method::GET, "/version", ("Get", "other")),
            (Method::GET, "/api/v1/namespaces/n", ("Get", "other")),
        ] {
            assert_eq!(describe(&method, &uri.parse().unwrap()), want, "{method} {uri}");
        }
    }
}
