//! The one clock of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time of day comes from. Cloning shares the clock.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until somebody moves it. Milliseconds since 1970.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "only tests move time by hand so far")
    )]
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms` until [`Clock::advance`] moves it.
    #[cfg(test)]
    pub(crate) fn manual(now_ms: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Milliseconds since 1970, as RocketMQ stores them.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since_1970 = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Moves a manual clock by `ms`; the machine's clock cannot be moved and stays.
    #[cfg(test)]
    pub(crate) fn advance(&self, ms: i64) {
        if let Self::Manual(now) = self {
            now.fetch_add(ms, Ordering::AcqRel);
        }
    }
}
