//! Leader election by a `coordination.k8s.io/v1` Lease, with the timings that users of the contract know.
//!
//! A process holds the Lease while it keeps renewing it. Another may take it only after it has watched the Lease stay
//! unchanged for a whole lease duration *by its own clock*: the clocks of two nodes are never compared. Every write
//! carries the resourceVersion that it was decided on, so that two processes can never both succeed.
//!
//! Losing the Lease ends the process; guarded writes make even an overlap harmless (design, promise 5).

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::clock;

/// The name of the Lease of a controller without an instance id; one with an id appends it after a dash.
pub const LEASE_NAME: &str = "argo-rollouts-controller-lock";

/// How to take part in an election.
#[derive(Clone, Debug)]
pub struct Election {
    /// The namespace of the Lease: the controller's own.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// Who takes part: unique to this process.
    pub identity: String,
    /// How long a Lease is good for after its last renewal, as others see it (15 s).
    pub lease_duration: Duration,
    /// How long the holder goes on trying to renew before it gives up (10 s).
    pub renew_deadline: Duration,
    /// The pause between two tries (2 s).
    pub retry_period: Duration,
}

/// What to do with the Lease as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// There is none: create it.
    Create,
    /// Ours: renew it.
    Renew,
    /// Released, or unchanged for a whole lease duration: take it.
    Take,
    /// Somebody else's, and alive as far as we know.
    Wait,
}

/// Decides on the Lease as it was last seen, `unchanged` ago.
///
/// Worked: held by another with a duration of 15 s and last seen to change 14 s ago: wait. 15 s ago: take it.
/// Held by nobody (released on a clean shutdown): take it at once.
pub fn decide(lease: Option<&LeaseSpec>, me: &str, unchanged: Duration, fallback: Duration) -> Move {
    let Some(lease) = lease else { return Move::Create };
    match lease.holder_identity.as_deref() {
        None | Some("") => Move::Take,
        Some(holder) if holder == me => Move::Renew,
        Some(_) => {
            if unchanged >= duration(Some(lease), fallback) {
                Move::Take
            } else {
                Move::Wait
            }
        }
    }
}

/// How long its holder may keep silent.
fn duration(lease: Option<&LeaseSpec>, fallback: Duration) -> Duration {
    let seconds = lease.and_then(|l| l.lease_duration_seconds);
    seconds
        .and_then(|s| u64::try_from(s).ok())
        .map_or(fallback, Duration::from_secs)
}

/// How long to wait before the next look at a Lease that somebody else holds: the usual pause, but not beyond the moment at
/// which it may be taken.
///
/// Worked: a duration of 15 s, looked at every 2 s. Unchanged for 4 s: 2 s. For 14 s: 1 s, and then it is taken.
/// For 15 s and not taken, because the call failed: 2 s.
fn pause(duration: Duration, unchanged: Duration, retry: Duration) -> Duration {
    let left = duration.saturating_sub(unchanged);
    if left.is_zero() { retry } else { left.min(retry) }
}

/// Why [`Elector::hold`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Asked to stop; the Lease was released.
    Released,
    /// The Lease could not be renewed in time, or somebody else has it.
    Lost,
}

/// One participant.
pub struct Elector {
    api: Api<Lease>,
    election: Election,
    seen: Option<Lease>,
    seen_at: Instant,
}

impl Elector {
    /// Takes part in `election` through `client`.
    pub fn new(client: Client, election: Election) -> Self {
        let api = Api::namespaced(client, &election.namespace);
        Elector {
            api,
            election,
            seen: None,
            seen_at: Instant::now(),
        }
    }

    /// Waits until this process holds the Lease. Failing calls are logged and tried again; `Released` means that the
    /// wait was ended by `stop`.
    pub async fn acquire(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Ended> {
        loop {
            if *stop.borrow() {
                return Some(Ended::Released);
            }
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(lease = %self.election.name, identity = %self.election.identity, "became leader");
                    return None;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, lease = %self.election.name, "cannot reach the lease"),
            }
            let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
            let duration = duration(spec, self.election.lease_duration);
            tokio::select! {
                () = sleep(pause(duration, self.seen_at.elapsed(), self.election.retry_period)) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Keeps the Lease until it is lost or `stop` turns true.
    pub async fn hold(&mut self, stop: &mut watch::Receiver<bool>) -> Ended {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = sleep(self.election.retry_period) => {}
                _ = stop.changed() => {}
            }
            if *stop.borrow() {
                self.release().await;
                return Ended::Released;
            }
            let left = self.election.renew_deadline.saturating_sub(renewed.elapsed());
            match timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return Ended::Lost,
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => {}
            }
            if renewed.elapsed() >= self.election.renew_deadline {
                return Ended::Lost;
            }
        }
    }

    /// One look and one move. True when this process holds the Lease now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let mine = self
            .seen
            .as_ref()
            .and_then(|l| l.spec.as_ref()?.holder_identity.as_deref())
            == Some(&self.election.identity);
        if !mine {
            self.look().await?;
        }
        let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
        let step = decide(
            spec,
            &self.election.identity,
            self.seen_at.elapsed(),
            self.election.lease_duration,
        );
        let written = match step {
            Move::Wait => return Ok(false),
            Move::Create => {
                let lease = self.lease(None, true);
                self.api.create(&PostParams::default(), &lease).await
            }
            Move::Renew | Move::Take => {
                let lease = self.lease(self.seen.as_ref(), step == Move::Take);
                self.api
                    .replace(&self.election.name, &PostParams::default(), &lease)
                    .await
            }
        };
        match written {
            Ok(lease) => {
                self.see(Some(lease));
                Ok(true)
            }
            // Somebody was faster, or our own answer was lost: look again before the next move.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                self.look().await?;
                let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
                let step = decide(
                    spec,
                    &self.election.identity,
                    self.seen_at.elapsed(),
                    self.election.lease_duration,
                );
                Ok(step == Move::Renew)
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&mut self) -> Result<(), kube::Error> {
        let lease = self.api.get_opt(&self.election.name).await?;
        self.see(lease);
        Ok(())
    }

    fn see(&mut self, lease: Option<Lease>) {
        let version =
            |lease: &Option<Lease>| lease.as_ref().and_then(|l| l.metadata.resource_version.clone());
        if version(&self.seen) != version(&lease) {
            self.seen_at = Instant::now();
        }
        self.seen = lease;
    }

    fn lease(&self, from: Option<&Lease>, taken: bool) -> Lease {
        let now = MicroTime(clock::now());
        let mut lease = from.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.election.name.clone()),
                namespace: Some(self.election.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(self.election.identity.clone());
        spec.lease_duration_seconds =
            Some(i32::try_from(self.election.lease_duration.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(now.clone());
        if taken {
            spec.acquire_time = Some(now);
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
        }
        lease
    }

    /// Hands the Lease back, so that a standby takes over at its next look instead of after a whole lease duration.
    async fn release(&mut self) {
        let Some(mut lease) = self.seen.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(clock::now()));
        }
        let params = PostParams::default();
        let released = self.api.replace(&self.election.name, &params, &lease);
        match timeout(Duration::from_secs(3), released).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.election.name, "released the lease"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the lease"),
            Err(_) => tracing::warn!("cannot release the lease: timed out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_only_after_it_stayed_unchanged_for_its_duration() {
        let secs = Duration::from_secs;
        for (lease, unchanged, want) in [
            (None, secs(0), Move::Create),
            (Some(held_by("me")), secs(0), Move::Renew),
            (Some(held_by("me")), secs(60), Move::Renew),
            (Some(held_by("other")), secs(14), Move::Wait),
            (Some(held_by("other")), secs(15), Move::Take),
            (Some(held_by("")), secs(0), Move::Take),
            (Some(LeaseSpec::default()), secs(0), Move::Take),
        ] {
            assert_eq!(
                decide(lease.as_ref(), "me", unchanged, secs(15)),
                want,
                "{lease:?} {unchanged:?}"
            );
        }
    }

    #[test]
    fn the_next_look_comes_when_the_lease_may_be_taken() {
        let secs = Duration::from_secs;
        for (unchanged, want) in [(0, 2), (4, 2), (13, 2), (14, 1), (15, 2), (60, 2)] {
            assert_eq!(
                pause(secs(15), secs(unchanged), secs(2)),
                secs(want),
                "{unchanged} s"
            );
        }
    }
}
