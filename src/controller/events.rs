//! Events on Rollouts and AnalysisRuns: published in order, in the background, never failing or delaying a pass.
//!
//! They are core `v1` Events of the component that clients of the contract know, and a repeated one raises the count of
//! the first instead of becoming another object.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::version_after;
use super::metrics::Metrics;
use super::{CALL_TIMEOUT, FIELD_MANAGER, clock};
use crate::api::names::EVENT_COMPONENT;
use crate::api::rollout::Rollout;
use crate::engine::Notice;
use crate::engine::duration::whole_second;

/// How many events are published at once. Those of one object go one after the other, by the same lane: an object that
/// has much to say, or a namespace that is slow, delays few others.
const LANES: usize = 8;
/// Events that may wait in a lane. Beyond that they are dropped, and logged: an API server that is down must not fill the
/// memory.
const QUEUE: usize = 1024;
/// Events that a lane remembers, to recognise a repetition.
const REMEMBERED: usize = 512;
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
#[derive(Clone)]
pub struct Events {
    lanes: Vec<mpsc::Sender<Said>>,
    metrics: Arc<Metrics>,
}

/// Publishes what was put into the queues.
pub struct Publisher {
    lanes: Vec<Lane>,
}

/// One event after the other.
struct Lane {
    client: Client,
    queue: mpsc::Receiver<Said>,
    known: HashMap<String, (String, i32)>,
    order: VecDeque<String>,
}

/// The queues and their publisher.
pub fn events(client: &Client, metrics: &Arc<Metrics>) -> (Events, Publisher) {
    let lane = move || {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lane = Lane {
            client: client.clone(),
            queue,
            known: HashMap::new(),
            order: VecDeque::new(),
        };
        (sender, lane)
    };
    let (senders, lanes) = std::iter::repeat_with(lane).take(LANES).unzip();
    let events = Events {
        lanes: senders,
        metrics: Arc::clone(metrics),
    };
    (events, Publisher { lanes })
}

/// The lane of an object.
fn lane_of(about: &ObjectReference) -> usize {
    let bytes = about.uid.as_deref().unwrap_or_default().bytes();
    bytes.fold(0, |sum: usize, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    }) % LANES
}

impl Events {
    /// Says these about an object, in this order.
    pub fn publish(&self, about: &ObjectReference, notices: impl IntoIterator<Item = Notice>) {
        let now = clock::now();
        for (n, notice) in (0..).zip(notices) {
            if about.kind.as_deref() == Some(&*Rollout::kind(&())) {
                let namespace = about.namespace.as_deref().unwrap_or_default();
                let name = about.name.as_deref().unwrap_or_default();
                self.metrics.told(namespace, name, notice.warning, notice.reason);
            }
            // The moment is part of the name: a nanosecond each keeps those of one pass apart.
            let at = now.checked_add(SignedDuration::from_nanos(n)).unwrap_or(now);
            let said = Said {
                about: about.clone(),
                notice,
                at,
            };
            let lane = self.lanes.get(lane_of(about));
            if lane.is_none_or(|lane| lane.try_send(said).is_err()) {
                tracing::warn!(name = ?about.name, "dropped an event: too many are waiting");
            }
        }
    }
}

impl Publisher {
    /// Publishes until the last [`Events`] is dropped.
    pub async fn run(self) {
        join_all(self.lanes.into_iter().map(Lane::run)).await;
    }
}

impl Lane {
    async fn run(mut self) {
        while let Some(said) = self.queue.recv().await {
            match timeout(CALL_TIMEOUT, self.publish(&said)).await {
                Ok(Ok(())) => {}
                // Nobody can read there any more what is told of an object that goes with its namespace.
                Ok(Err(error)) if is_of_namespace_that_goes(&error) => {
                    tracing::debug!(%error, reason = said.notice.reason, "dropped an event with its namespace");
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, reason = said.notice.reason, "cannot publish an event");
                }
                Err(_) => tracing::warn!(reason = said.notice.reason, "cannot publish an event: timed out"),
            }
        }
    }

    async fn publish(&mut self, said: &Said) -> Result<(), kube::Error> {
        let Said { about, notice, at } = said;
        let url = Event::url_path(&(), Some(about.namespace.as_deref().unwrap_or("default")));
        let key = format!(
            "{}/{}/{}",
            about.uid.as_deref().unwrap_or_default(),
            notice.reason,
            notice.message
        );
        if let Some((name, count)) = self.known.get_mut(&key) {
            *count = count.saturating_add(1);
            let patch = json!({"count": *count, "lastTimestamp": Time(whole_second(*at))});
            let request = Request::new(&url)
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .map_err(kube::Error::BuildRequest);
            match version_after(&self.client, request).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let mut name = format!(
            "{}.{:x}",
            about.name.as_deref().unwrap_or_default(),
            at.as_nanosecond()
        );
        match self.create(&url, &event(&name, said)).await {
            // Two passes within one tick of the clock.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                name = format!("{name}-{:x}", self.order.len());
                self.create(&url, &event(&name, said)).await?;
            }
            other => other?,
        }
        self.remember(key, name);
        Ok(())
    }

    async fn create(&self, url: &str, event: &Event) -> Result<(), kube::Error> {
        let body = serde_json::to_vec(event).map_err(kube::Error::SerdeError)?;
        let request = Request::new(url)
            .create(&PostParams::default(), body)
            .map_err(kube::Error::BuildRequest);
        version_after(&self.client, request).await.map(|_| ())
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

fn is_of_namespace_that_goes(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_not_found()
        || causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
}

fn event(name: &str, said: &Said) -> Event {
    let Said { about, notice, at } = said;
    let seen = Time(whole_second(*at));
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

#[cfg(test)]
mod tests;
