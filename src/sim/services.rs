//! Services and the endpoints controller, which leads them to pods: late, and by what it saw a while ago.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::apply::{Kind, Refused, Write, number};
use super::cluster::Cluster;
use crate::api::endpoint_slice::{Endpoint, EndpointSlice, Target};
use crate::api::names::{annotations, labels};
use crate::api::service::{Service, ServiceSpec};
use crate::engine::observed;
use crate::engine::plan::ServicePatch;
use crate::engine::services::selected_hash;

/// What the endpoints controller has before it for one Service.
#[derive(Clone, Debug, Default)]
pub(super) struct EndpointsTurn {
    /// When it looks next.
    look: Option<Timestamp>,
    /// What it saw, and when it is written.
    write: Option<(Timestamp, Vec<String>)>,
}

impl EndpointsTurn {
    /// One after the other: it looks again when what it saw is written.
    fn next(&self) -> Option<Timestamp> {
        self.write.as_ref().map(|(at, _)| *at).or(self.look)
    }
}

impl Cluster {
    /// The hash that a Service selects now; `None` where it selects all pods.
    pub fn selected(&self, service: &str) -> Option<&str> {
        selected_hash(self.services.get(service)?)
    }

    /// The pods that a Service leads to now, as the data plane of every node has it.
    pub fn led_to(&self, service: &str) -> Vec<&str> {
        self.slices
            .get(service)
            .map_or(Vec::new(), |slice| slice.pods().collect())
    }

    /// Whether a Service leads to a pod of the ReplicaSet of this name.
    pub fn leads_to(&self, service: &str, replica_set: &str) -> bool {
        self.led_to(service).iter().any(|pod| {
            pod.strip_prefix(replica_set)
                .is_some_and(|rest| rest.starts_with('-'))
        })
    }

    /// A Service that its user wrote: it selects all pods of the Rollout.
    pub(super) fn create_service(&mut self, name: &str) {
        let mut metadata = self.new_meta(name);
        metadata.owner_references = None;
        let selector = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
        let spec = ServiceSpec {
            selector: Some(selector),
        };
        self.services.put(name, Service { metadata, spec });
        self.endpoints.insert(name.to_owned(), EndpointsTurn::default());
        self.wake_endpoints(name);
    }

    /// A guarded patch: the hash in the selector, and who manages the Service.
    pub(super) fn patch_service(&mut self, patch: &ServicePatch) -> Result<Write, Refused> {
        let mut service = Service::clone(self.services.get(&patch.name).ok_or(Refused::Missing)?);
        let same = observed::uid(&service.metadata) == patch.uid
            && service.metadata.resource_version.as_deref() == Some(&patch.resource_version);
        if !same {
            return Err(Refused::Moved);
        }
        let selector = service.spec.selector.get_or_insert_default();
        selector.insert(labels::POD_TEMPLATE_HASH.to_owned(), patch.pod_hash.clone());
        let notes = service.metadata.annotations.get_or_insert_default();
        notes.insert(
            annotations::MANAGED_BY_ROLLOUTS.to_owned(),
            patch.managed_by.clone(),
        );
        let version = self.next_version();
        service.metadata.resource_version = Some(version.clone());
        self.services.put(&patch.name, service);
        self.wake_endpoints(&patch.name);
        Ok(Write {
            kind: Kind::Service,
            name: patch.name.clone(),
            version: number(&version),
            created: false,
        })
    }

    /// The next moment at which the endpoints controller does something.
    pub(super) fn next_endpoints_change(&self) -> Option<Timestamp> {
        self.endpoints.values().filter_map(EndpointsTurn::next).min()
    }

    /// Pods came, went, or changed: whoever leads to them will look.
    pub(super) fn pods_changed(&mut self, replica_set: &str) {
        self.show_pods(replica_set);
        let names: Vec<String> = self.endpoints.keys().cloned().collect();
        for name in names {
            self.wake_endpoints(&name);
        }
    }

    fn wake_endpoints(&mut self, service: &str) {
        let at = self.after_lookup();
        if let Some(turn) = self.endpoints.get_mut(service) {
            turn.look = Some(turn.look.map_or(at, |earlier| earlier.min(at)));
        }
    }

    fn after_lookup(&mut self) -> Timestamp {
        let delay = match self.setup.endpoints.len() {
            0 => 0,
            n => self.setup.endpoints[self.lookups % n],
        };
        self.lookups += 1;
        let delay = SignedDuration::from_millis(i64::from(delay));
        self.now.checked_add(delay).unwrap_or(self.now)
    }

    /// Lets the endpoints controller act on what is due now.
    pub(super) fn run_endpoints(&mut self) {
        let names: Vec<String> = self.endpoints.keys().cloned().collect();
        for name in names {
            self.run_endpoints_of(&name);
        }
    }

    fn run_endpoints_of(&mut self, name: &str) {
        let Some(mut turn) = self.endpoints.get(name).cloned() else {
            return;
        };
        while let Some(at) = turn.next().filter(|at| *at <= self.now) {
            if let Some((_, pods)) = turn.write.take() {
                self.write_slice(name, pods);
            } else if turn.look.take() == Some(at) {
                turn.write = Some((self.after_lookup(), self.pods_behind(name)));
            }
        }
        self.endpoints.insert(name.to_owned(), turn);
    }

    /// The pods that the selector of a Service matches, ready or not, as an EndpointSlice lists them.
    fn pods_behind(&self, service: &str) -> Vec<String> {
        let hash = self.selected(service);
        let selected = self
            .replica_sets
            .all()
            .filter(|(_, rs)| hash.is_none_or(|hash| observed::pod_hash(&rs.metadata) == hash));
        let pods = selected.filter_map(|(name, _)| self.pods.get(name));
        pods.flat_map(|pods| pods.all.iter().map(|pod| pod.name.clone()))
            .collect()
    }

    fn write_slice(&mut self, service: &str, pods: Vec<String>) {
        let endpoints: Vec<Endpoint> = pods
            .into_iter()
            .map(|name| Endpoint {
                target_ref: Some(Target { name }),
            })
            .collect();
        let endpoints = Some(endpoints).filter(|all| !all.is_empty());
        let known = self.slices.get(service);
        if known.is_some_and(|slice| slice.endpoints == endpoints) {
            return;
        }
        let metadata = ObjectMeta {
            name: Some(service.to_owned()),
            resource_version: Some(self.next_version()),
            ..ObjectMeta::default()
        };
        self.slices.put(service, EndpointSlice { metadata, endpoints });
    }
}
