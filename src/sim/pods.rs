//! Pods and the ReplicaSet controller.
//!
//! It is modelled with the habits of the real one that matter to whoever scales ReplicaSets:
//! - it deletes pods that are not ready first, then those that have been ready for the shortest time;
//! - the status that it publishes was counted *before* it created or deleted pods in the same pass, but already carries
//!   the new `observedGeneration`; the right counts follow with the next pass;
//! - it reacts late.

use jiff::{SignedDuration, Timestamp};

use super::cluster::Cluster;
use crate::api::replica_set::{ReplicaSet, ReplicaSetStatus};
use crate::engine::duration::whole_second;

/// When the pods of an image become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// So long after their creation.
    After(SignedDuration),
    /// Never.
    Never,
    /// Never: its container fails again and again, and says so.
    Crashes,
}

/// A pod. Only pods that exist and do not terminate are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `<ReplicaSet>-<number>`.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Since when it is ready, or from when it will be; `None`: never.
    pub ready: Option<Timestamp>,
    /// Whether its container fails again and again.
    pub crashes: bool,
}

impl Pod {
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        self.ready.is_some_and(|at| at <= now)
    }

    fn available_at(&self, min_ready: SignedDuration) -> Option<Timestamp> {
        // Counted from whole seconds, as in Kubernetes.
        let ready = self.ready?;
        let at = whole_second(ready).checked_add(min_ready).ok()?;
        Some(at.max(ready))
    }
}

/// The pods of a ReplicaSet, and when its controller looks at it next.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    pub all: Vec<Pod>,
    pub sync_at: Option<Timestamp>,
    /// Available pods that were lost to the world, ever.
    pub lost: i64,
    /// How many were lost when the status of this resourceVersion was counted.
    pub counted: Vec<(u64, i64)>,
    /// How many pods were ever created: they are numbered.
    pub created: usize,
}

impl Pods {
    pub fn count(&self) -> i64 {
        i64::try_from(self.all.len()).unwrap_or(i64::MAX)
    }

    pub fn available(&self, rs: &ReplicaSet, now: Timestamp) -> i64 {
        let min_ready = min_ready(rs);
        let available = |pod: &&Pod| pod.available_at(min_ready).is_some_and(|at| at <= now);
        i64::try_from(self.all.iter().filter(available).count()).unwrap_or(i64::MAX)
    }

    /// The next moment after `now` at which a pod becomes ready or available by itself.
    fn next_change(&self, min_ready: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let moments = self
            .all
            .iter()
            .flat_map(|pod| [pod.ready, pod.available_at(min_ready)]);
        moments.flatten().filter(|at| *at > now).min()
    }
}

fn min_ready(rs: &ReplicaSet) -> SignedDuration {
    SignedDuration::from_secs(i64::from(rs.spec.min_ready_seconds.unwrap_or(0)))
}

/// The image of a ReplicaSet's first container.
pub(super) fn image_of(rs: &ReplicaSet) -> String {
    let template = rs.spec.template.read();
    let containers = template.containers();
    containers
        .first()
        .map_or("", |container| container.image)
        .to_owned()
}

impl Cluster {
    /// The next moment at which pods change by themselves or a ReplicaSet's controller acts.
    pub(super) fn next_pod_change(&self) -> Option<Timestamp> {
        let each = self.replica_sets.all().filter_map(|(name, rs)| {
            let pods = self.pods.get(name)?;
            [pods.sync_at, pods.next_change(min_ready(rs), self.now)]
                .into_iter()
                .flatten()
                .min()
        });
        each.min()
    }

    /// Lets the ReplicaSets' controller act on what is due now. `since` is the moment before this one.
    pub(super) fn run_pods(&mut self, since: Timestamp) {
        let names: Vec<String> = self.replica_sets.all().map(|(name, _)| name.to_owned()).collect();
        for name in &names {
            let Some(rs) = self.replica_sets.get(name).cloned() else {
                continue;
            };
            let Some(pods) = self.pods.get(name) else { continue };
            if pods
                .next_change(min_ready(&rs), since)
                .is_some_and(|at| at <= self.now)
            {
                self.wake_pods(name);
                self.pods_changed(name);
            }
            if self
                .pods
                .get(name)
                .and_then(|pods| pods.sync_at)
                .is_some_and(|at| at <= self.now)
            {
                self.sync(name, &rs);
            }
        }
    }

    /// Something about this ReplicaSet changed: its controller will look at it soon.
    pub(super) fn wake_pods(&mut self, name: &str) {
        let delay = match self.setup.reaction.len() {
            0 => 0,
            n => self.setup.reaction[self.reactions % n],
        };
        self.reactions += 1;
        let at = self
            .now
            .checked_add(SignedDuration::from_millis(i64::from(delay)))
            .unwrap_or(self.now);
        if let Some(pods) = self.pods.get_mut(name) {
            pods.sync_at = Some(pods.sync_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// One pass of the ReplicaSet controller.
    fn sync(&mut self, name: &str, rs: &ReplicaSet) {
        let now = self.now;
        let readiness = self
            .setup
            .readiness
            .get(&image_of(rs))
            .copied()
            .unwrap_or(Readiness::After(SignedDuration::ZERO));
        let Some(pods) = self.pods.get_mut(name) else {
            return;
        };
        pods.sync_at = None;
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let status = ReplicaSetStatus {
            replicas: count(pods.all.len()),
            ready_replicas: count(pods.all.iter().filter(|pod| pod.is_ready(now)).count()),
            available_replicas: i32::try_from(pods.available(rs, now)).unwrap_or(i32::MAX),
            observed_generation: rs.metadata.generation.unwrap_or(0),
            conditions: Vec::new(),
        };
        let want = usize::try_from(rs.spec.replicas.unwrap_or(1)).unwrap_or(0);
        let changes = pods.all.len() != want;
        while pods.all.len() < want {
            let ready = match readiness {
                Readiness::After(delay) => now.checked_add(delay).ok(),
                Readiness::Never | Readiness::Crashes => None,
            };
            pods.created += 1;
            pods.all.push(Pod {
                name: format!("{name}-{}", pods.created),
                created: now,
                ready,
                crashes: readiness == Readiness::Crashes,
            });
        }
        if pods.all.len() > want {
            // Ready for the longest first; those that are not ready last, the newest at the very end.
            pods.all
                .sort_by_key(|pod| (!pod.is_ready(now), pod.ready.filter(|at| *at <= now), pod.created));
            pods.all.truncate(want);
        }
        let lost = pods.lost;
        if rs.status != status {
            let version = self.next_version();
            if let Some(pods) = self.pods.get_mut(name) {
                pods.counted.push((version.parse().unwrap_or(0), lost));
            }
            let mut rs = rs.clone();
            rs.metadata.resource_version = Some(version);
            rs.status = status;
            self.replica_sets.put(name, rs);
        } else if let Some(pods) = self.pods.get_mut(name) {
            // What was lost did not change the counts: the last status tells of it as well.
            if let Some(last) = pods.counted.last_mut() {
                last.1 = lost;
            }
        }
        if changes {
            self.wake_pods(name);
            self.pods_changed(name);
        }
    }

    /// Available pods that the world took since the statuses of these ReplicaSets were counted: nobody who decided on
    /// them could know.
    pub fn unseen_losses<'a>(&self, seen: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
        let mut sum = 0;
        for rs in seen {
            let Some(pods) = self.pods.get(rs.metadata.name.as_deref().unwrap_or_default()) else {
                continue;
            };
            let version: u64 = rs
                .metadata
                .resource_version
                .as_deref()
                .and_then(|v| v.parse().ok())
                .unwrap_or(0);
            let counted = pods
                .counted
                .iter()
                .rev()
                .find(|(at, _)| *at <= version)
                .map_or(0, |(_, lost)| *lost);
            sum += pods.lost - counted;
        }
        sum
    }

    /// Takes readiness from up to `count` pods of this image; they come back after `back`, or never.
    pub(super) fn break_pods(&mut self, image: &str, count: usize, back: Option<SignedDuration>) {
        let now = self.now;
        let until = back.and_then(|after| now.checked_add(after).ok());
        self.hurt(image, count, |pod| {
            pod.ready = until;
            true
        });
    }

    /// Deletes up to `count` pods of this image, as the loss of a node does; the ReplicaSet replaces them.
    pub(super) fn lose_pods(&mut self, image: &str, count: usize) {
        self.hurt(image, count, |_| false);
    }

    fn hurt(&mut self, image: &str, count: usize, mut keep: impl FnMut(&mut Pod) -> bool) {
        let now = self.now;
        let names: Vec<String> = self
            .replica_sets
            .all()
            .filter(|(_, rs)| image_of(rs) == image)
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            let Some(rs) = self.replica_sets.get(&name).cloned() else {
                continue;
            };
            let Some(pods) = self.pods.get_mut(&name) else {
                continue;
            };
            let before = pods.available(&rs, now);
            let mut left = count;
            pods.all.retain_mut(|pod| {
                if left == 0 {
                    return true;
                }
                left -= 1;
                keep(pod)
            });
            pods.lost += before - pods.available(&rs, now);
            self.wake_pods(&name);
            self.pods_changed(&name);
        }
    }
}
