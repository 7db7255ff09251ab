//! The waits of a watch that fails, before it is tried again.

use std::time::Duration;

use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

/// After so long without a failure the next one is the first.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// 1 s, 2 s, 4 s, and then 8 s each time, a quarter more at most.
///
/// The library's own goes on to a minute. After an outage a watch fails twice, once in vain and once because it is too
/// old to go on, and a store would stay behind for two minutes: so long passes would meet conflicts. What a shorter wait
/// costs is a call of each watch every ten seconds, to an API server that does not answer.
///
/// Nor is the library's way of waiting of use here: it begins anew with the shortest wait after whatever is no failure, and
/// that a list is about to be asked for is told as such. A list that fails would be asked for every second.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Differs between kinds, so that not all come back together.
    spread: u32,
    failures: u32,
    failed_at: Option<Instant>,
}

impl Retry {
    /// For the watch of this kind.
    pub fn of(kind: &str) -> Self {
        let spread = kind.bytes().fold(0, |sum: u32, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        Retry {
            spread: spread % 250,
            failures: 0,
            failed_at: None,
        }
    }

    /// How long to wait after this event before the watch is asked for another.
    pub fn after<K>(&mut self, event: &watcher::Result<Event<K>>, now: Instant) -> Option<Duration> {
        match event {
            // That a list is asked for, and its first pages, are no success yet.
            Ok(Event::Init | Event::InitApply(_)) => None,
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                self.failures = 0;
                None
            }
            Err(_) => {
                // A watch of what never changes tells nothing when it is well again.
                if self.failed_at.is_some_and(|at| now - at > FORGOTTEN) {
                    self.failures = 0;
                }
                self.failed_at = Some(now);
                let doubled = 1_u32 << self.failures.min(3);
                self.failures = self.failures.saturating_add(1);
                Some(Duration::from_millis(u64::from(doubled * (1000 + self.spread))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn failure() -> watcher::Result<Event<Pod>> {
        Err(watcher::Error::NoResourceVersion)
    }

    /// The waits of so many failures, each of which comes when the wait before it is over, and after these events.
    fn waits(retry: &mut Retry, now: &mut Instant, count: u32, before_each: &[Event<Pod>]) -> Vec<Duration> {
        let one = |_| {
            for event in before_each {
                assert_eq!(retry.after(&Ok(event.clone()), *now), None);
            }
            let wait = retry.after(&failure(), *now).unwrap();
            *now += wait;
            wait
        };
        (0..count).map(one).collect()
    }

    fn are(waits: &[Duration], least: &[u64]) {
        assert_eq!(waits.len(), least.len());
        for (wait, least) in waits.iter().zip(least) {
            let least = Duration::from_secs(*least);
            assert!((least..=least + least / 4).contains(wait), "{waits:?}");
        }
    }

    #[test]
    fn a_watch_is_tried_again_within_ten_seconds_and_soon_after_a_success() {
        let (mut pods, mut now) = (Retry::of("Pod"), Instant::now());
        let first = waits(&mut pods, &mut now, 6, &[]);
        are(&first, &[1, 2, 4, 8, 8, 8]);
        for success in [
            Event::InitDone,
            Event::Apply(Pod::default()),
            Event::Delete(Pod::default()),
        ] {
            assert_eq!(pods.after(&Ok(success), now), None);
            are(&waits(&mut pods, &mut now, 2, &[]), &[1, 2]);
        }
        assert_ne!(
            Retry::of("Service").after(&failure(), now),
            Some(first[0]),
            "not all at once"
        );
    }

    #[test]
    fn a_list_that_fails_is_asked_for_later_each_time() {
        let (mut pods, mut now) = (Retry::of("Pod"), Instant::now());
        let begun = [Event::Init, Event::InitApply(Pod::default())];
        are(&waits(&mut pods, &mut now, 6, &begun), &[1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn a_failure_long_ago_is_forgotten() {
        let (mut pods, mut now) = (Retry::of("Pod"), Instant::now());
        waits(&mut pods, &mut now, 5, &[]);
        now += FORGOTTEN;
        are(&waits(&mut pods, &mut now, 2, &[]), &[1, 2]);
    }
}
