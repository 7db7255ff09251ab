//! What a user asked of the API server, from the audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use serde_json::Value;

use super::cluster::Cluster;

/// A place in the audit log: what comes behind it is looked at.
pub struct Audit {
    path: std::path::PathBuf,
    offset: u64,
    user: String,
}

impl Audit {
    /// From now on, for this user.
    pub fn of(cluster: &Cluster, user: &str) -> Audit {
        let path = cluster.audit_log.clone();
        let offset = std::fs::metadata(&path).unwrap().len();
        Audit {
            path,
            offset,
            user: user.to_owned(),
        }
    }

    /// The answered requests of the user since, without the long wait of a watch: one line for its start.
    pub fn requests(&self) -> Vec<Value> {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        BufReader::new(file)
            .lines()
            .map(|line| line.unwrap())
            .filter(|line| line.contains(&self.user))
            // The last line may still be being written.
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .filter(|e| e.pointer("/user/username").and_then(Value::as_str) == Some(&self.user))
            .filter(|e| e["verb"] != "watch" || e["stage"] == "ResponseStarted")
            .collect()
    }

    /// The requests that concern this namespace, counted by verb and resource.
    pub fn counts(&self, namespace: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in self.requests() {
            if request.pointer("/objectRef/namespace").and_then(Value::as_str) == Some(namespace) {
                *counts.entry(describe(&request)).or_default() += 1;
            }
        }
        counts
    }
}

/// Verb, resource and subresource, such as `patch rollouts/status`.
pub fn describe(request: &Value) -> String {
    let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (verb, resource) = (text("/verb"), text("/objectRef/resource"));
    match text("/objectRef/subresource") {
        "" => format!("{verb} {resource}"),
        sub => format!("{verb} {resource}/{sub}"),
    }
}
