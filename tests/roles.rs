//! The roles against the calls that the controllers of the whole suite made: nothing that was called is missing, and
//! nothing is granted that was never called. The calls are those of the audit logs of the suite's clusters, so this comes
//! after all other tests of ring 3 (`tests/run.sh controlplane`): `cargo test --features cluster-tests --test roles`.
//!
//! The roles of the chart, for all namespaces and for one, are these rights: `tests/chart/rights.rs` compares them.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde_json::Value;

#[allow(dead_code, reason = "the search for secrets uses the rest")]
#[path = "support/clusters.rs"]
mod clusters;

/// The file with the role that the suite's controllers have: the one to compare.
const ROLES: &str = "tests/support/rbac.yaml";
/// Whoever is in this group has the rights of that role.
const GROUP: &str = "serin-test-controllers";

/// The users of the tests of analyses, which have rights of their own: what they call is used, and what is refused to them
/// is what those tests are about.
const ANALYSES: &str = "controller-";

/// Rights that no call names: the admission plugin OwnerReferencesPermissionEnforcement asks for them when this call makes an
/// object that blocks the deletion of its owner. `tests/controlplane/start.rs` shows, on a cluster that has it, that the call is
/// refused without.
const BY_ADMISSION: [(&str, &str); 2] = [
    (
        "update rollouts.argoproj.io/finalizers",
        "create replicasets.apps",
    ),
    ("update analysisruns.argoproj.io/finalizers", "create jobs.batch"),
];

/// What is called and needs no role: every user who is known may.
const FREE: [&str; 2] = ["selfsubjectaccessreviews", "selfsubjectreviews"];

/// A right, such as `patch rollouts.argoproj.io/status`.
fn words(verb: &str, group: &str, resource: &str) -> String {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if sub.is_empty() { "" } else { "/" };
    format!("{verb} {resource}{dot}{group}{slash}{sub}")
}

fn granted() -> BTreeSet<String> {
    let path = format!("{}/{ROLES}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(path).unwrap();
    let mut all = BTreeSet::new();
    for text in file.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(text).unwrap();
        if object["kind"] != "ClusterRole" {
            continue;
        }
        for rule in object["rules"].as_array().unwrap() {
            let list = |key: &str| -> Vec<String> {
                let all = rule[key].as_array().unwrap().iter();
                all.map(|one| one.as_str().unwrap().to_owned()).collect()
            };
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        assert!(
                            ![&group, &resource, &verb].contains(&&"*".to_owned()),
                            "a role that grants everything: {rule}"
                        );
                        all.insert(words(&verb, &group, &resource));
                    }
                }
            }
        }
    }
    all
}

/// The audit logs of the clusters that are up and that the suite's controllers worked on.
fn logs() -> Vec<PathBuf> {
    let all = clusters::up();
    let logs = all.iter().map(|up| PathBuf::from(up.get("SERIN_AUDIT_LOG")));
    logs.filter(|path| path.exists()).collect()
}

/// What the controllers in the group called, how often; and what was refused to them.
fn called() -> (BTreeMap<String, usize>, BTreeSet<String>) {
    let (mut calls, mut refused) = (BTreeMap::new(), BTreeSet::new());
    for path in logs() {
        for line in BufReader::new(File::open(&path).unwrap()).lines() {
            let line = line.unwrap();
            if !line.contains(GROUP) && !line.contains(ANALYSES) {
                continue;
            }
            // The last line may be half written.
            let Ok(request) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let groups = request["user"]["groups"].as_array();
            let suite = groups.is_some_and(|groups| groups.iter().any(|group| group == GROUP));
            let user = request["user"]["username"].as_str().unwrap_or_default();
            if !suite && !user.starts_with(ANALYSES) {
                continue;
            }
            let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let resource = text("/objectRef/resource");
            if resource.is_empty() || FREE.contains(&resource) {
                continue;
            }
            let whole = match text("/objectRef/subresource") {
                "" => resource.to_owned(),
                sub => format!("{resource}/{sub}"),
            };
            let right = words(text("/verb"), text("/objectRef/apiGroup"), &whole);
            if suite
                && request["responseStatus"]["code"] == 403
                && text("/responseStatus/message").contains(" cannot ")
            {
                refused.insert(right.clone());
            }
            *calls.entry(right).or_default() += 1;
        }
    }
    (calls, refused)
}

#[test]
fn the_role_is_what_the_suite_called_and_nothing_else() {
    let granted = granted();
    let (calls, refused) = called();
    let used: BTreeSet<String> = calls.keys().cloned().collect();
    println!(
        "{} calls by {} rights, {} granted",
        calls.values().sum::<usize>(),
        used.len(),
        granted.len()
    );
    for (right, count) in &calls {
        println!("{count:>8}  {right}");
    }
    assert!(
        used.contains("patch rollouts.argoproj.io/status"),
        "the suite has not run: {used:?}"
    );
    assert_eq!(refused, BTreeSet::new(), "refused for want of a right");
    let by_admission = BY_ADMISSION.iter().filter(|(_, call)| used.contains(*call));
    let mut used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    used.extend(by_admission.map(|(right, _)| right));
    let granted: BTreeSet<&str> = granted.iter().map(String::as_str).collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "called and not granted: {missing:?}");
    let surplus: Vec<_> = granted.difference(&used).collect();
    assert!(surplus.is_empty(), "granted and never called: {surplus:?}");
}
