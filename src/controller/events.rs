//! Events on Rollouts and AnalysisRuns: published in order, in the background, never failing or delaying a pass.
//!
//! They are core `v1` Events of the component that clients of the contract know, and a repeated one raises the count of
//! the first instead of becoming another object.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{CALL_TIMEOUT, FIELD_MANAGER, clock};
use crate::api::names::EVENT_COMPONENT;
use crate::engine::Notice;

/// Events that may wait. Beyond that they are dropped, and counted: an API server that is down must not fill the memory.
const QUEUE: usize = 4096;
/// Events that are remembered, to recognise a repetition.
const REMEMBERED: usize = 4096;
/// The longest message that the API server takes.
const LONGEST: usize = 1024;

/// What is said of one object.
#[derive(Clone, Debug)]
struct Said {
    about: ObjectReference,
    notice: Notice,
    at: Timestamp,
}

/// Where passes put their events.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Said>,
}

/// Publishes what was put into the queue.
pub struct Publisher {
    client: Client,
    queue: mpsc::Receiver<Said>,
    known: HashMap<String, (String, i32)>,
    order: VecDeque<String>,
}

/// A queue and its publisher.
pub fn events(client: Client) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let publisher = Publisher {
        client,
        queue: receiver,
        known: HashMap::new(),
        order: VecDeque::new(),
    };
    (Events { queue: sender }, publisher)
}

impl Events {
    /// Says these about an object, in this order.
    pub fn publish(&self, about: &ObjectReference, notices: impl IntoIterator<Item = Notice>) {
        let at = clock::now();
        for notice in notices {
            let said = Said {
                about: about.clone(),
                notice,
                at,
            };
            if self.queue.try_send(said).is_err() {
                tracing::warn!(name = ?about.name, "dropped an event: too many are waiting");
            }
        }
    }
}

impl Publisher {
    /// Publishes until the last [`Events`] is dropped.
    pub async fn run(mut self) {
        while let Some(said) = self.queue.recv().await {
            match timeout(CALL_TIMEOUT, self.publish(&said)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, reason = said.notice.reason, "cannot publish an event");
                }
                Err(_) => tracing::warn!(reason = said.notice.reason, "cannot publish an event: timed out"),
            }
        }
    }

    async fn publish(&mut self, said: &Said) -> Result<(), kube::Error> {
        let Said { about, notice, at } = said;
        let api: Api<Event> = Api::namespaced(
            self.client.clone(),
            about.namespace.as_deref().unwrap_or("default"),
        );
        let key = format!(
            "{}/{}/{}",
            about.uid.as_deref().unwrap_or_default(),
            notice.reason,
            notice.message
        );
        if let Some((name, count)) = self.known.get_mut(&key) {
            *count = count.saturating_add(1);
            let patch = json!({"count": *count, "lastTimestamp": whole_second(*at)});
            match api
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
            {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let name = format!(
            "{}.{:x}",
            about.name.as_deref().unwrap_or_default(),
            at.as_nanosecond()
        );
        let created = match api.create(&PostParams::default(), &event(&name, said)).await {
            // Two events within one tick of the clock: the uid of the second tells them apart.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let name = format!("{name}-{:x}", self.order.len());
                api.create(&PostParams::default(), &event(&name, said)).await?
            }
            other => other?,
        };
        self.remember(key, created.metadata.name.unwrap_or_default());
        Ok(())
    }

    fn remember(&mut self, key: String, name: String) {
        if self.known.insert(key.clone(), (name, 1)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn whole_second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn event(name: &str, said: &Said) -> Event {
    let Said { about, notice, at } = said;
    let seen = whole_second(*at);
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: about.clone(),
        reason: Some(notice.reason.to_owned()),
        message: Some(shortened(&notice.message)),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        count: Some(1),
        first_timestamp: Some(seen.clone()),
        last_timestamp: Some(seen),
        event_time: None::<MicroTime>,
        source: Some(EventSource {
            component: Some(EVENT_COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(EVENT_COMPONENT.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        ..Event::default()
    }
}

/// The message within the API server's limit, cut between characters.
fn shortened(message: &str) -> String {
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let mut end = LONGEST - 3;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &message[..end])
}
