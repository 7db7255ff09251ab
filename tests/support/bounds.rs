//! How many pods there were at any instant, over all ReplicaSets of a record.

use std::collections::HashMap;

use super::record::{Change, Record};
use super::world::{number, text};

/// The extremes of a record of ReplicaSets.
#[derive(Debug)]
pub struct Bounds {
    /// The fewest available pods.
    pub least: i64,
    /// The most pods that existed.
    pub most: i64,
    /// The most pods that were asked for.
    pub asked: i64,
}

impl Bounds {
    /// Over all that the record has seen. A ReplicaSet that was deleted had no pods and wanted none: it counts as last seen.
    pub fn of(record: &Record) -> Bounds {
        let mut sets: HashMap<String, (i64, i64, i64)> = HashMap::new();
        let mut bounds = Bounds {
            least: i64::MAX,
            most: 0,
            asked: 0,
        };
        for (index, change) in record.changes().into_iter().enumerate() {
            let rs = match change {
                Change::Applied(rs) => rs,
                Change::Deleted => continue,
                Change::Restarted => panic!("the watch was interrupted: the record has a gap"),
            };
            let counts = (
                number(&rs, "/status/availableReplicas"),
                number(&rs, "/status/replicas"),
                number(&rs, "/spec/replicas"),
            );
            sets.insert(text(&rs, "/metadata/name").to_owned(), counts);
            // Of those that were listed at first, all or none.
            if index + 1 < record.listed() {
                continue;
            }
            let sum = |of: fn(&(i64, i64, i64)) -> i64| sets.values().map(of).sum::<i64>();
            bounds.least = bounds.least.min(sum(|c| c.0));
            bounds.most = bounds.most.max(sum(|c| c.1));
            bounds.asked = bounds.asked.max(sum(|c| c.2));
        }
        bounds
    }
}
