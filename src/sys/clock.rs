//! The one clock of a node.
//!
//! Everything about messages reads it: store times, delays, timers, locks, retention. Whether a peer is alive does not:
//! a connection lives in the machine's time ([`Clock::machine_ms`]), and moving a manual clock by hours must not make
//! every client look dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::worker::{Next, Signal};

/// The machine's clock may be set meanwhile, so a long sleep looks at it again after so long.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Where the time of day comes from. Cloning shares the clock.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until somebody moves it.
    Manual(Arc<Manual>),
}

/// The state of a clock that is moved by hand.
#[derive(Debug)]
pub(crate) struct Manual {
    /// Milliseconds since 1970.
    now_ms: AtomicI64,
    moved: watch::Sender<()>,
    /// Workers that sleep until a time of this clock.
    workers: Mutex<Vec<Signal>>,
}

impl Clock {
    /// A clock that stands at `now_ms` until [`Clock::advance`] moves it.
    pub(crate) fn manual(now_ms: i64) -> Self {
        Self::Manual(Arc::new(Manual {
            now_ms: AtomicI64::new(now_ms),
            moved: watch::Sender::new(()),
            workers: Mutex::default(),
        }))
    }

    /// Milliseconds since 1970, as RocketMQ stores them.
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::System => Self::machine_ms(),
            Self::Manual(clock) => clock.now_ms.load(Ordering::Acquire),
        }
    }

    /// Milliseconds since 1970 on this machine, whatever a manual clock says. For everything that a peer does in its
    /// own time: heartbeats, waiting for an answer.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub(crate) fn machine_ms() -> i64 {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether [`Clock::advance`] moves it.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }

    /// Moves a manual clock by `ms`, wakes everyone who waits for a time of it, and returns the new time. `None` for
    /// the machine's clock, which cannot be moved. Only tests move a clock back.
    pub(crate) fn advance(&self, ms: i64) -> Option<i64> {
        let Self::Manual(clock) = self else {
            return None;
        };
        let before = clock
            .now_ms
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                Some(now.saturating_add(ms))
            })
            .unwrap_or_default();
        clock.moved.send_replace(());
        for worker in clock.workers.lock().iter() {
            worker.notify();
        }
        Some(before.saturating_add(ms))
    }

    /// Completes when it is `at_ms` or later by this clock.
    pub(crate) async fn sleep_until(&self, at_ms: i64) {
        match self {
            Self::System => loop {
                let left = at_ms.saturating_sub(self.now_ms());
                let Ok(left @ 1..) = u64::try_from(left) else {
                    return;
                };
                tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
            },
            Self::Manual(clock) => {
                let mut moved = clock.moved.subscribe();
                while clock.now_ms.load(Ordering::Acquire) < at_ms {
                    // The sender lives as long as the clock.
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Has `worker` signalled whenever a manual clock is moved.
    pub(crate) fn wakes(&self, worker: &Signal) {
        if let Self::Manual(clock) = self {
            clock.workers.lock().push(worker.clone());
        }
    }

    /// How a worker that [is woken](Clock::wakes) by this clock sleeps until `at_ms`.
    pub(crate) fn next_at(&self, at_ms: i64) -> Next {
        let left = at_ms.saturating_sub(self.now_ms());
        match (self, u64::try_from(left)) {
            (Self::Manual(_), Ok(1..)) => Next::Idle,
            (_, left) => {
                let left = Duration::from_millis(left.unwrap_or(0));
                Next::After(left.min(LONGEST_SLEEP))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_a_manual_clock_is_moved_far_enough() {
        let clock = Clock::manual(1_000);
        let sleeper = {
            let clock = clock.clone();
            tokio::spawn(async move { clock.sleep_until(3_000).await })
        };
        assert_eq!(clock.advance(1_999), Some(2_999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        assert_eq!(clock.advance(1), Some(3_000));
        sleeper.await.unwrap();
        clock.sleep_until(3_000).await;
    }

    #[tokio::test]
    async fn the_machines_clock_moves_by_itself() {
        let clock = Clock::System;
        assert_eq!(clock.advance(1_000_000), None);
        let at = clock.now_ms() + 20;
        clock.sleep_until(at).await;
        assert!(clock.now_ms() >= at);
    }

    #[test]
    fn workers_sleep_until_they_are_signalled_or_their_time_comes() {
        let clock = Clock::manual(1_000);
        assert_eq!(clock.next_at(2_000), Next::Idle);
        assert_eq!(clock.next_at(1_000), Next::After(Duration::ZERO));
        assert!(matches!(
            Clock::System.next_at(0),
            Next::After(Duration::ZERO)
        ));
    }
}
