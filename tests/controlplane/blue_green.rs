//! Blue-green: two environments of two pods each behind the Services `app` and `app-preview`, on every path.
//!
//! Whatever a test is about, at its end the record of its whole life shows that production moved only to pods that could
//! carry it, and that no pod was told to go while the EndpointSlices still led to it.

use std::ops::Deref;

use serde_json::{Value, json};

use crate::events::until_events;
use crate::support::record::Record;
use crate::support::world::{
    ENDPOINT_SLICE, EVENT, REPLICA_SET, ROLLOUT, SERVICE, annotation, is_observed, is_paused_by, number, text,
};
use crate::support::{World, rollout};

#[path = "blue_green/analysis.rs"]
mod analysis;
#[path = "blue_green/back.rs"]
mod back;
#[path = "blue_green/forth.rs"]
mod forth;
#[path = "blue_green/input.rs"]
mod input;
#[path = "blue_green/middle.rs"]
mod middle;

const NAME: &str = "app";
const PREVIEW: &str = "app-preview";
const HASH: &str = "rollouts-pod-template-hash";
const DEADLINE: &str = "scale-down-deadline";

/// The events of a first deployment with a preview Service.
const FIRST: [&str; 7] = [
    "RolloutAddedToInformer",
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "SwitchService",
    "ScalingReplicaSet",
    "RolloutCompleted",
    "SwitchService",
];
/// The events of an update with a preview Service until its pods are asked for.
const BEGUN: [&str; 5] = [
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "RolloutNotCompleted",
    "SwitchService",
    "ScalingReplicaSet",
];

/// A Rollout under blue-green whose first version is out, and everything that was seen of it.
struct Shop {
    world: World,
    events: Record,
    services: Record,
    sets: Record,
    slices: Record,
    /// The reasons of the events so far.
    want: Vec<&'static str>,
}

impl Deref for Shop {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// The strategy with both Services, and this in it.
fn strategy(spec: Value) -> Value {
    let mut strategy = json!({"activeService": NAME, "previewService": PREVIEW});
    strategy
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    json!({"blueGreen": strategy})
}

/// A Rollout of two pods with this strategy.
fn of(strategy: Value) -> Value {
    let mut object = rollout(NAME, 2, json!({}));
    object["spec"]["strategy"] = strategy;
    object
}

/// The wish for an analysis by this template.
fn asking(template: &str) -> Value {
    json!({"templates": [{"templateName": template}]})
}

/// Whether the Rollout waits for a promotion.
fn waits(rollout: &Value) -> bool {
    is_observed(rollout) && is_paused_by(rollout, "BlueGreenPause")
}

impl Shop {
    /// Creates the Services and the Rollout, and waits until production is with the first version.
    async fn open(world: World, object: Value) -> Shop {
        for service in [NAME, PREVIEW] {
            world.create_service(service, &json!({"app": NAME}), 80).await;
        }
        let shop = Shop {
            events: world.record(EVENT).await,
            services: world.record(SERVICE).await,
            sets: world.record(REPLICA_SET).await,
            slices: world.record(ENDPOINT_SLICE).await,
            want: FIRST.to_vec(),
            world,
        };
        shop.deployed(object).await;
        until_events(&shop.world, &shop.events, &shop.want).await;
        shop
    }

    /// The same with a strategy.
    async fn with(world: World, spec: Value) -> Shop {
        Shop::open(world, of(strategy(spec))).await
    }

    /// Waits until these events have followed those before, in this order and no others.
    async fn then(&mut self, more: &[&'static str]) {
        self.want.extend(more);
        until_events(&self.world, &self.events, &self.want).await;
    }

    /// A new version, of which these events tell until its pods are asked for.
    async fn update(&mut self, image: &str) {
        self.set_image(NAME, image).await;
        self.then(&BEGUN).await;
    }

    /// A new version, whose preview waits for a promotion.
    async fn previewed(&mut self, image: &str) {
        self.update(image).await;
        self.until_rollout(NAME, "waiting for a promotion", waits).await;
        self.then(&["RolloutPaused"]).await;
    }

    /// The version whose pods a Service selects.
    async fn selects(&self, service: &str) -> String {
        let service = self.get(SERVICE, service).await;
        let hash = service["spec"]["selector"][HASH].as_str().unwrap_or_default();
        let sets = self.replica_sets(NAME).await;
        let found = sets.iter().find(|rs| rs["metadata"]["labels"][HASH] == hash);
        found.map_or(String::new(), |rs| image(rs).to_owned())
    }

    /// Whom production and preview go to now.
    async fn aims(&self) -> (String, String) {
        (self.selects(NAME).await, self.selects(PREVIEW).await)
    }

    /// Waits until production goes to this version.
    async fn until_active(&self, image: &str) {
        let what = format!("production goes to {image}");
        self.until(&what, async || (self.selects(NAME).await == image).then_some(()))
            .await;
    }

    /// When the last event with this reason was.
    fn told(&self, reason: &str) -> jiff::Timestamp {
        let all = self.events.applied();
        let event = all.iter().rev().find(|e| text(e, "/reason") == reason).unwrap();
        text(event, "/lastTimestamp").parse().unwrap()
    }

    /// Waits until the ReplicaSet of a version is so.
    async fn until_set(&self, version: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let what = format!("the ReplicaSet of {version} {what}");
        self.until(&what, async || {
            let mut sets = self.replica_sets(NAME).await;
            sets.retain(|rs| image(rs) == version && is(rs));
            sets.pop()
        })
        .await
    }

    /// Waits until the ReplicaSets of these versions are asked for so many pods.
    async fn until_sizes(&self, want: &[(&str, i64)]) {
        for (version, size) in want {
            let is =
                |rs: &Value| number(rs, "/spec/replicas") == *size && number(rs, "/status/replicas") == *size;
            self.until_set(version, &format!("has {size} pods"), is).await;
        }
    }

    /// Waits until the Rollout is aborted, for a reason that contains this.
    async fn until_aborted(&self, cause: &str) -> Value {
        let reason = "RolloutAborted: Rollout aborted update to revision ";
        self.until_rollout(NAME, "aborted", |r| {
            is_observed(r)
                && r["status"]["phase"] == "Degraded"
                && text(r, "/status/message").starts_with(reason)
                && text(r, "/status/message").contains(cause)
        })
        .await
    }

    /// Changes the strategy.
    async fn tune(&self, spec: Value) {
        self.patch_kind(ROLLOUT, NAME, json!({"spec": {"strategy": {"blueGreen": spec}}}))
            .await;
    }

    /// Production never was without pods that could carry it, and no pod left before its traffic.
    fn close(self) {
        let sets = self.sets.applied();
        let at = |object: &Value| -> u64 { text(object, "/metadata/resourceVersion").parse().unwrap() };
        let mut selected = String::new();
        let mut moves = 0;
        for service in self
            .services
            .applied()
            .iter()
            .filter(|s| s["metadata"]["name"] == NAME)
        {
            let hash = service["spec"]["selector"][HASH].as_str().unwrap_or_default();
            if hash == selected || hash.is_empty() {
                continue;
            }
            let before = |rs: &&Value| rs["metadata"]["labels"][HASH] == hash && at(rs) < at(service);
            let rs = sets.iter().filter(before).max_by_key(|rs| at(rs)).unwrap();
            let (size, up) = (
                number(rs, "/spec/replicas"),
                number(rs, "/status/availableReplicas"),
            );
            assert!(
                size > 0 && up >= size,
                "production moved to {} with {up} of {size} pods",
                image(rs)
            );
            hash.clone_into(&mut selected);
            moves += 1;
        }
        assert!(moves > 0, "nothing was seen of the Service");
        let slices = self.slices.applied();
        for rs in sets.iter().filter(|rs| number(rs, "/spec/replicas") == 0) {
            let name = text(rs, "/metadata/name");
            let earlier = sets
                .iter()
                .filter(|o| o["metadata"]["name"] == name && at(o) < at(rs));
            if earlier
                .max_by_key(|o| at(o))
                .is_none_or(|o| number(o, "/spec/replicas") == 0)
            {
                continue;
            }
            let of_production =
                |s: &&Value| s["metadata"]["labels"]["kubernetes.io/service-name"] == NAME && at(s) < at(rs);
            let slice = slices.iter().filter(of_production).max_by_key(|s| at(s)).unwrap();
            let led: Vec<&str> = slice["endpoints"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|e| text(e, "/targetRef/name"))
                .filter(|pod| pod.starts_with(&format!("{name}-")))
                .collect();
            assert!(led.is_empty(), "{name} went while production was led to {led:?}");
        }
    }
}

/// The version that a ReplicaSet runs.
fn image(rs: &Value) -> &str {
    text(rs, "/spec/template/spec/containers/0/image")
}

/// Whether a ReplicaSet stands in its delay.
fn has_deadline(rs: &Value) -> bool {
    !annotation(rs, DEADLINE).is_empty()
}
