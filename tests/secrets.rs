//! No value of a secret is in any object, event or log line of the whole ring 3: searched for, in all that its tests left
//! behind. Every secret that they give to a controller begins with one word ([`marker::MARKER`]), which is nowhere else.
//!
//! This comes after all other tests of ring 3, while their clusters are up (`tests/run.sh controlplane`):
//! `cargo test --features cluster-tests --test secrets`. What is searched:
//!
//! - every object of every kind that the API servers hold, events among them, except Secrets;
//! - the audit logs, in which all that the suite's controllers ever wrote is whole, so also what was overwritten since, and
//!   what was in namespaces that are gone;
//! - every file that the tests left, the logs of all their controllers among them.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and end; its helpers are read by people, not called by programs"
)]
#![allow(missing_docs, reason = "the names of the tests say it")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Discovery, verbs};
use kube::{Client, Config};
use serde_json::Value;

#[path = "support/clusters.rs"]
mod clusters;
#[path = "support/marker.rs"]
mod marker;

/// A search that sees less than this has not looked: a few tests alone leave 1600 objects (the clusters' own among them), 3000
/// writes and 56 000 lines.
const OBJECTS: usize = 1_000;
const WRITES: usize = 2_000;
const LINES: usize = 40_000;
const SECRETS: usize = 4;

/// What was looked at, and where the word was.
#[derive(Default)]
struct Search {
    objects: usize,
    kinds: BTreeSet<String>,
    secrets: usize,
    writes: usize,
    files: usize,
    lines: usize,
    found: Vec<String>,
}

impl Search {
    /// All texts of a value, with the path that leads to each.
    fn value(&mut self, what: &str, value: &Value) {
        let mut hits = Vec::new();
        walk(value, &mut String::new(), &mut hits);
        self.found
            .extend(hits.into_iter().map(|hit| format!("{what}: {hit}")));
    }

    /// Every object of a kind. Those of Secrets show that the search finds what is there.
    async fn kind(&mut self, cluster: &str, client: &Client, resource: &ApiResource) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
        let mut params = ListParams::default().limit(500);
        loop {
            let page = api.list(&params).await;
            let page = page.unwrap_or_else(|error| panic!("{cluster}: list of {}: {error}", resource.plural));
            for mut object in page.items {
                object.types.get_or_insert_with(|| kube::core::TypeMeta {
                    api_version: resource.api_version.clone(),
                    kind: resource.kind.clone(),
                });
                let value = serde_json::to_value(&object).unwrap();
                let (namespace, name) = (
                    object.metadata.namespace.unwrap_or_default(),
                    object.metadata.name.unwrap_or_default(),
                );
                let what = format!("{cluster}: {} {namespace}/{name}", resource.kind);
                if resource.kind == "Secret" && resource.group.is_empty() {
                    let mut hits = Vec::new();
                    walk(&value["data"], &mut String::new(), &mut hits);
                    self.secrets += usize::from(!hits.is_empty());
                } else {
                    self.objects += 1;
                    self.kinds.insert(format!("{}/{}", resource.group, resource.kind));
                    self.value(&what, &value);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = ListParams::default().limit(500).continue_token(&token),
                None => return,
            }
        }
    }

    /// The audit log of a cluster: requests, and all that the suite's controllers wrote by them.
    fn audit(&mut self, cluster: &str, path: &Path) {
        for line in BufReader::new(File::open(path).unwrap()).split(b'\n') {
            let line = line.unwrap();
            let line = String::from_utf8_lossy(&line);
            self.lines += 1;
            self.writes += usize::from(line.contains("\"requestObject\":"));
            if let Some(how) = marker::find(&line) {
                match serde_json::from_str::<Value>(&line) {
                    Ok(entry) => {
                        let what = format!(
                            "{cluster}: audit log: {} {} by {}",
                            entry["verb"], entry["requestURI"], entry["user"]["username"]
                        );
                        self.value(&what, &entry);
                    }
                    Err(_) => self
                        .found
                        .push(format!("{cluster}: audit log, a line that is not whole: {how}")),
                }
            }
        }
    }

    /// A file, line by line.
    fn file(&mut self, path: &Path) {
        self.files += 1;
        for (number, line) in BufReader::new(File::open(path).unwrap()).split(b'\n').enumerate() {
            let line = line.unwrap();
            let line = String::from_utf8_lossy(&line);
            self.lines += 1;
            if let Some(how) = marker::find(&line) {
                let start: String = line.chars().take(2000).collect();
                self.found
                    .push(format!("{} line {}: {how}: {start}", path.display(), number + 1));
            }
        }
    }

    /// All files of a folder and below that are younger than this.
    fn folder(&mut self, folder: &Path, since: SystemTime) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::symlink_metadata(&path).unwrap();
            if data.is_dir() {
                self.folder(&path, since);
            } else if data.is_file() && data.modified().unwrap() >= since {
                self.file(&path);
            }
        }
    }
}

/// The paths at which a value has the word, in a text or in a key.
fn walk(value: &Value, path: &mut String, hits: &mut Vec<String>) {
    let depth = path.len();
    match value {
        Value::String(text) => {
            if let Some(how) = marker::find(text) {
                hits.push(format!("{path}: {how}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(item, path, hits);
                path.truncate(depth);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                path.push_str(&format!(".{key}"));
                if let Some(how) = marker::find(key) {
                    hits.push(format!("{path} (the key): {how}"));
                }
                walk(item, path, hits);
                path.truncate(depth);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A client of the administrator.
async fn client(kubeconfig: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn no_secret_is_in_any_object_event_or_log_line_of_the_whole_run() {
    let mut search = Search::default();
    // Clusters with a real node are those of another ring.
    let all = clusters::up();
    let all: Vec<_> = all
        .iter()
        .filter(|up| up.get("SERIN_CLUSTER_FLAVOUR") == "fake")
        .collect();
    assert!(
        !all.is_empty(),
        "no cluster is up: this comes after the other tests of ring 3"
    );
    #[expect(clippy::disallowed_methods, reason = "files have the time of the machine")]
    let mut since = SystemTime::now();
    for up in &all {
        let began = Path::new(up.get("SERIN_CLUSTER_DIR")).join("vars");
        since = since.min(std::fs::metadata(began).unwrap().modified().unwrap());
        let client = client(up.get("KUBECONFIG")).await;
        let discovery = Discovery::new(client.clone()).run().await.unwrap();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                if capabilities.supports_operation(verbs::LIST) {
                    search.kind(&up.name, &client, &resource).await;
                }
            }
        }
        search.audit(&up.name, Path::new(up.get("SERIN_AUDIT_LOG")));
    }
    search.folder(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")), since);
    let Search {
        objects,
        kinds,
        secrets,
        writes,
        files,
        lines,
        found,
    } = search;
    println!(
        "ring 3: searched {objects} objects of {} kinds, {writes} writes of controllers, {lines} lines in {files} files and \
         the audit logs of {} clusters; the word is in {secrets} Secrets",
        kinds.len(),
        all.len()
    );
    assert!(
        found.is_empty(),
        "a secret was shown (what is old goes with `tests/cluster/cluster down --all`):\n{}",
        found.join("\n")
    );
    for kind in [
        "argoproj.io/AnalysisRun",
        "argoproj.io/Rollout",
        "events.k8s.io/Event",
        "batch/Job",
        "/Pod",
    ] {
        assert!(kinds.contains(kind), "no {kind} was searched: {kinds:?}");
    }
    assert!(
        objects >= OBJECTS && writes >= WRITES && lines >= LINES && secrets >= SECRETS,
        "the suite has not run, or was not searched"
    );
}

/// What would slip through the search if it were wrong.
#[test]
fn the_word_is_found_however_it_is_written() {
    let word = marker::MARKER;
    for text in [
        format!("Bearer {word}-and-more"),
        // base64 of the word at each place of a group, and with a user before it.
        base64(&format!("{word}s3cret")),
        base64(&format!("u{word}s3cret")),
        base64(&format!("us{word}s3cret")),
        base64(&format!("serin:{word}")),
        base64(&format!("a:{word}")).trim_end_matches('=').to_owned(),
        // Escaped, once and twice, letter by letter.
        word.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        word.bytes().map(|byte| format!("%25{byte:02x}")).collect(),
        format!("q=%22{}", base64(word).replace('=', "%3D")),
        word.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        assert!(marker::find(&text).is_some(), "{text}");
    }
    for text in ["", "100 % of it", "%zz%", "%", "N3verToBeShow", "a secret"] {
        assert_eq!(marker::find(text), None, "{text}");
    }
    let object = serde_json::json!({"status": {"metricResults": [{"measurements": [{"message": format!("HTTP 401: {word}x")}]}]}});
    let mut search = Search::default();
    search.value("AnalysisRun a/b", &object);
    assert_eq!(
        search.found,
        ["AnalysisRun a/b: .status.metricResults[0].measurements[0].message: as it is"]
    );
}

/// By a program that is not ours.
fn base64(text: &str) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("base64")
        .arg("-w0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
