//! Credentials that were fetched, until shortly before they expire; each fetched once, however many wait for it.

use super::http::Deadline;
use super::provider::ProviderError;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The seconds that an endpoint of credentials gets, unless the metric's own limit is sooner.
pub(super) const TIMEOUT: u64 = 10;

/// Fetched anew so long before they expire; halfway where they live for less than twice that.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// Not used for so long before they expire: a request takes its time.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// After a renewal that failed, the next one waits so long while the old ones are good.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The seconds that a renewal gets while the old ones are good: the rest of the time is the measurement's.
const RENEWAL: u64 = 3;

/// The most that is kept. Beyond it what nobody uses now is forgotten: that costs a request each, nothing more.
const MOST: usize = 256;

/// What an endpoint gave.
pub(super) struct Fetched<V> {
    pub(super) value: V,
    /// When it expires.
    pub(super) until: Timestamp,
}

/// For one key: what is held, and the last failure with the moment when it was known.
struct Slot<V> {
    held: Option<Held<V>>,
    failed: Option<(Instant, ProviderError)>,
}

struct Held<V> {
    value: V,
    fetched: Timestamp,
    /// The same moment, for those who wait.
    known: Instant,
    renew: Timestamp,
    until: Timestamp,
}

impl<V> Held<V> {
    /// Worked: what lives for an hour is fetched anew after 55 minutes, what lives for 6 minutes after 3.
    fn new(Fetched { value, until }: Fetched<V>, now: Timestamp) -> Self {
        let life = until.duration_since(now);
        let wait = (life - EARLY).max(life / 2);
        Self {
            value,
            fetched: now,
            known: Instant::now(),
            renew: now.saturating_add(wait).unwrap_or(now),
            until,
        }
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.until.duration_since(now) > LATE
    }
}

type Shared<V> = Arc<tokio::sync::Mutex<Slot<V>>>;

/// All that was fetched, by what it is for. A key is never a secret.
pub(super) struct Kept<V>(Mutex<HashMap<String, Shared<V>>>);

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Kept<V> {
    /// What is kept, or else what `fetch` brings. Whoever comes meanwhile waits for the same answer, also where it is a
    /// failure; a renewal that fails is no matter while the old one is good.
    pub(super) async fn get(
        &self,
        key: &str,
        deadline: Deadline,
        now: Timestamp,
        fetch: impl Future<Output = Result<Fetched<V>, ProviderError>>,
    ) -> Result<V, ProviderError> {
        let began = Instant::now();
        let Some(mut slot) = deadline.bound(self.slot(key).lock_owned()).await else {
            return Err(late(deadline));
        };
        // What lives for seconds only still serves those who waited for it.
        if let Some(held) = slot.held.as_ref().filter(|held| held.known >= began) {
            return Ok(held.value.clone());
        }
        let held = slot.held.as_ref().filter(|held| held.is_good(now));
        if let Some(held) = held.filter(|held| now < held.renew) {
            return Ok(held.value.clone());
        }
        if let Some((at, error)) = &slot.failed
            && *at >= began
            && is_everybodys(error)
        {
            return Err(error.clone());
        }
        let limit = if held.is_some() {
            deadline.or_after(RENEWAL)
        } else {
            deadline
        };
        let fetched = limit.bound(fetch).await;
        match fetched.unwrap_or_else(|| Err(late(limit))) {
            Ok(fetched) => {
                let held = Held::new(fetched, now);
                let value = held.value.clone();
                *slot = Slot {
                    held: Some(held),
                    failed: None,
                };
                Ok(value)
            }
            Err(error) => {
                if let Some(held) = slot.held.as_mut().filter(|held| held.is_good(now)) {
                    tracing::warn!(
                        "credentials could not be renewed, the old ones are good until {}: {error}",
                        held.until
                    );
                    held.renew = now.saturating_add(PATIENCE).unwrap_or(held.until);
                    return Ok(held.value.clone());
                }
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Has it fetched anew by whoever comes next, if it is one that was refused, and older than this.
    pub(super) fn forget(
        &self,
        key: &str,
        is_refused: impl Fn(&V) -> bool,
        older_than: SignedDuration,
        now: Timestamp,
    ) {
        // Whoever holds the lock is fetching.
        if let Ok(mut slot) = self.slot(key).try_lock() {
            slot.held = slot
                .held
                .take()
                .filter(|held| !is_refused(&held.value) || now.duration_since(held.fetched) < older_than);
        }
    }

    fn slot(&self, key: &str) -> Shared<V> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(key) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let new = || {
            Arc::new(tokio::sync::Mutex::new(Slot {
                held: None,
                failed: None,
            }))
        };
        Arc::clone(slots.entry(key.to_owned()).or_insert_with(new))
    }
}

fn late(deadline: Deadline) -> ProviderError {
    ProviderError::Authentication {
        target: "the provider".to_owned(),
        message: format!("no credentials within {} s", deadline.seconds()),
    }
}

/// Whether others who waited fare no better: not where one metric's short limit cut the fetch off.
fn is_everybodys(error: &ProviderError) -> bool {
    !matches!(error, ProviderError::Timeout { seconds, .. } if *seconds < TIMEOUT)
}
