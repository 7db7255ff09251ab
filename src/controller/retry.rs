//! The waits of a watch that fails, before it is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// 1 s, 2 s, 4 s, and then 8 s each time, a quarter more at most.
///
/// The library's own goes on to a minute. After an outage a watch fails twice, once in vain and once because it is too
/// old to go on, and a store would stay behind for two minutes: so long passes would meet conflicts. What a shorter wait
/// costs is a call of each watch every ten seconds, to an API server that does not answer.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Differs between kinds, so that not all come back together.
    spread: u32,
    failures: u32,
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
        }
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let doubled = 1_u32 << self.failures.min(3);
        self.failures = self.failures.saturating_add(1);
        Some(Duration::from_millis(u64::from(doubled * (1000 + self.spread))))
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_tried_again_within_ten_seconds_and_soon_after_a_success() {
        let mut pods = Retry::of("Pod");
        let waits: Vec<Duration> = pods.by_ref().take(6).collect();
        for (wait, least) in waits.iter().zip([1, 2, 4, 8, 8, 8]) {
            let least = Duration::from_secs(least);
            assert!((least..=least + least / 4).contains(wait), "{waits:?}");
        }
        pods.reset();
        assert_eq!(pods.next(), Some(waits[0]));
        assert_ne!(Retry::of("Service").next(), Some(waits[0]), "not all at once");
    }
}
