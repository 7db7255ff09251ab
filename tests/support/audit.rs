//! What a user asked of the API server, from the audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use parking_lot::Mutex;
use serde_json::Value;

use super::cluster::Cluster;

/// A place in the audit log: what comes behind it is looked at, each line once.
pub struct Audit {
    file: Mutex<Read>,
    user: String,
}

/// How far the log was read.
struct Read {
    file: BufReader<File>,
    /// The beginning of a line that was not complete yet.
    rest: String,
    requests: Vec<Value>,
}

impl Audit {
    /// From now on, for this user.
    pub fn of(cluster: &Cluster, user: &str) -> Audit {
        let mut file = File::open(&cluster.audit_log).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        let read = Read {
            file: BufReader::new(file),
            rest: String::new(),
            requests: Vec::new(),
        };
        Audit {
            file: Mutex::new(read),
            user: user.to_owned(),
        }
    }

    /// The answered requests of the user since, without the long wait of a watch: one line for its start.
    pub fn requests(&self) -> Vec<Value> {
        let mut read = self.file.lock();
        let Read { file, rest, requests } = &mut *read;
        while file.read_line(rest).unwrap() > 0 && rest.ends_with('\n') {
            let line = std::mem::take(rest);
            if !line.contains(&self.user) {
                continue;
            }
            let entry: Value = serde_json::from_str(&line).unwrap();
            let is_theirs = entry.pointer("/user/username").and_then(Value::as_str) == Some(&self.user);
            if is_theirs && (entry["verb"] != "watch" || entry["stage"] == "ResponseStarted") {
                requests.push(entry);
            }
        }
        requests.clone()
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
