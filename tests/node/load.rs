//! The client: a pod that asks a Service at a fixed rate, each request on a connection of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::world::{World, eventually};

/// A client at work.
pub struct Load<'a> {
    world: &'a World,
    pod: String,
}

/// What the client has seen since it started: one line of its log.
#[derive(Debug, Default, Deserialize)]
pub struct Counts {
    elapsed_ms: u64,
    versions: BTreeMap<String, Answers>,
    failed: BTreeMap<String, u64>,
    skipped: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Answers {
    requests: u64,
    errors: u64,
}

impl<'a> Load<'a> {
    /// Starts asking the Service `rate` times a second; the first answer has come when this returns.
    pub fn start(world: &'a World, service: &str, rate: u32) -> Self {
        Load::reporting(world, service, rate, "500ms")
    }

    /// The same with a report as often as this.
    pub fn reporting(world: &'a World, service: &str, rate: u32, report: &str) -> Self {
        let address = world.field("service", service, "{.spec.clusterIP}");
        let pod = format!("load-{service}");
        world.apply(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 10,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "dnsPolicy": "Default",
                "containers": [{
                    "name": "load",
                    "image": "demo-app:demo",
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["load", format!("-rate={rate}"), format!("-report={report}")],
                    "env": [{"name": "TARGET", "value": format!("http://{address}")}],
                }],
            },
        }));
        let load = Load { world, pod };
        eventually("the client gets answers", Duration::from_secs(60), || {
            load.counts().filter(Counts::has_answers)
        });
        load
    }

    /// When answers of each version came: for every report, its moment and the versions that answered since the one
    /// before.
    pub fn history(&self) -> Vec<(Timestamp, Vec<String>)> {
        let log = self.world.kubectl(&["logs", "--timestamps", &self.pod]);
        let mut before = BTreeMap::new();
        log.lines()
            .map(|line| {
                let (at, report) = line.split_once(' ').unwrap();
                let counts: Counts = serde_json::from_str(report).unwrap();
                let now: BTreeMap<String, u64> = counts
                    .versions
                    .into_iter()
                    .map(|(version, a)| (version, a.requests))
                    .collect();
                let since = now.iter().filter(|(version, n)| before.get(*version) != Some(*n));
                let since = since.map(|(version, _)| version.clone()).collect();
                before = now;
                (at.parse().unwrap(), since)
            })
            .collect()
    }

    /// The newest counts.
    pub fn counts(&self) -> Option<Counts> {
        let log = self.world.try_kubectl(&["logs", "--tail=1", &self.pod]).ok()?;
        serde_json::from_str(log.lines().last()?).ok()
    }

    /// Ends the client: all that it has seen, requests included that were under way.
    pub fn finish(self) -> Counts {
        // The last line tells of what came before it; one report more covers all that happened until now.
        let before = self.counts().map_or(0, |counts| counts.elapsed_ms);
        eventually("the client reports", Duration::from_secs(30), || {
            self.counts().filter(|counts| counts.elapsed_ms > before + 1000)
        })
    }
}

impl Counts {
    fn has_answers(&self) -> bool {
        self.versions.values().any(|answers| answers.requests > 0)
    }

    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.versions.values().map(|answers| answers.requests).sum()
    }

    /// Requests without an answer, or with an error as the answer.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum::<u64>() + self.versions.values().map(|answers| answers.errors).sum::<u64>()
    }

    /// Whether this version has answered.
    pub fn answered(&self, version: &str) -> bool {
        self.versions
            .get(version)
            .is_some_and(|answers| answers.requests > 0)
    }

    /// One line for people.
    pub fn show(&self, what: &str) {
        println!(
            "{what}: {} requests in {:.1} s, {} failed {:?}, {} not sent in time, by version {:?}",
            self.requests(),
            std::time::Duration::from_millis(self.elapsed_ms).as_secs_f64(),
            self.failures(),
            self.failed,
            self.skipped,
            self.versions
                .iter()
                .map(|(version, a)| (version, a.requests))
                .collect::<Vec<_>>(),
        );
    }

    /// Not one request failed, and enough were sent for that to mean something.
    pub fn assert_none_failed(&self, rate: u64) {
        assert_eq!(self.failures(), 0, "requests failed: {self:?}");
        let least = rate / 2 * self.elapsed_ms / 1000;
        assert!(
            self.requests() >= least,
            "only {} requests, fewer than {least}: {self:?}",
            self.requests()
        );
    }
}
