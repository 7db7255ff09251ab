//! Whether this process can make progress at all: what `/healthz` says.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::metrics::Metrics;

/// No pass is as long: it makes some twenty calls at most, and each ends within ten seconds.
const STUCK: Duration = Duration::from_secs(600);

/// The health of the process.
pub struct Health {
    metrics: Arc<Metrics>,
    dead: Mutex<Option<String>>,
}

impl Health {
    /// All is well.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Health {
            metrics,
            dead: Mutex::default(),
        }
    }

    /// What keeps this process from making progress, if anything does. That nobody answers at all is a sign, too: passes
    /// and probes share one thread.
    pub fn ailment(&self) -> Option<String> {
        if let Some(dead) = self.dead.lock().clone() {
            return Some(dead);
        }
        let longest = self.metrics.longest_pass();
        (longest > STUCK).then(|| format!("a pass is under way for {} s", longest.as_secs()))
    }

    /// Comes back, with the reason, only when one of the tasks that never end has ended: without its watch, a store would
    /// show a world of the past for ever.
    pub async fn supervise(&self, tasks: &mut JoinSet<()>) -> String {
        let Some(ended) = tasks.join_next().await else {
            return std::future::pending().await;
        };
        let reason = match ended {
            Ok(()) => "a watch has ended".to_owned(),
            Err(error) => format!("a watch has ended: {error}"),
        };
        *self.dead.lock() = Some(reason.clone());
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::metrics::Kind;

    #[tokio::test]
    async fn a_watch_that_ends_is_an_ailment_and_one_that_panics_too() {
        let health = Health::new(Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending::<()>());
        let supervised = tokio::time::timeout(Duration::from_millis(20), health.supervise(&mut tasks)).await;
        assert!(supervised.is_err());
        assert_eq!(health.ailment(), None);
        tasks.spawn(async {});
        assert_eq!(health.supervise(&mut tasks).await, "a watch has ended");
        assert_eq!(health.ailment().as_deref(), Some("a watch has ended"));
        tasks.spawn(async { panic!("a bug") });
        assert!(health.supervise(&mut tasks).await.contains("panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_does_not_end_is_an_ailment() {
        let metrics = Arc::<Metrics>::default();
        let health = Health::new(Arc::clone(&metrics));
        let pass = metrics.queue(Kind::Rollout).begin("n/a");
        tokio::time::advance(STUCK).await;
        assert_eq!(health.ailment(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.ailment().unwrap(), "a pass is under way for 601 s");
        drop(pass);
        assert_eq!(health.ailment(), None);
    }
}
