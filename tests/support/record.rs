//! Recording what a watch shows, so that nothing between two looks is missed.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object as it became.
    Applied(Value),
    /// An object went.
    Deleted,
    /// The watch broke and began anew with a list: what was between is not known.
    Restarted,
}

/// All changes since the beginning, in the order of the API server.
#[derive(Clone)]
pub struct Record {
    changes: Arc<Mutex<Vec<Change>>>,
    listed: usize,
}

impl Record {
    /// Records until the runtime ends. Comes back when the watch stands.
    pub async fn of(api: Api<DynamicObject>, config: watcher::Config) -> Record {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let mut record = Record {
            changes: Arc::clone(&changes),
            listed: 0,
        };
        let (started, start) = oneshot::channel();
        tokio::spawn(async move {
            let mut started = Some(started);
            let mut stream = watcher(api, config).default_backoff().boxed();
            loop {
                let event = match stream.try_next().await {
                    Ok(Some(event)) => event,
                    Ok(None) => return,
                    Err(_) => continue,
                };
                let value = |o: DynamicObject| serde_json::to_value(o).unwrap();
                match event {
                    watcher::Event::Apply(o) | watcher::Event::InitApply(o) => {
                        changes.lock().push(Change::Applied(value(o)));
                    }
                    watcher::Event::Delete(_) => changes.lock().push(Change::Deleted),
                    watcher::Event::Init => {
                        if started.is_none() {
                            changes.lock().push(Change::Restarted);
                        }
                    }
                    watcher::Event::InitDone => {
                        if let Some(started) = started.take() {
                            let _ = started.send(changes.lock().len());
                        }
                    }
                }
            }
        });
        record.listed = start.await.unwrap();
        record
    }

    /// How many of the changes are the objects that there were at the beginning.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// All that was seen so far.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().clone()
    }

    /// The objects as they were applied, one after the other. Panics when something may have been missed.
    pub fn applied(&self) -> Vec<Value> {
        let all = self.changes();
        all.into_iter()
            .filter_map(|change| match change {
                Change::Applied(object) => Some(object),
                Change::Deleted => None,
                Change::Restarted => panic!("the watch was interrupted: the record has a gap"),
            })
            .collect()
    }
}
