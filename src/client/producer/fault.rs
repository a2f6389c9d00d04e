//! Which brokers are spared for a while because they were slow or failed (`MQFaultStrategy`).
//!
//! Every answer, good or bad, is noted with the time it took; a slow broker gets no messages for a time that grows
//! with its slowness, a failed one for ten seconds. Being spared is a preference only: when every broker is, messages
//! go to them all the same. Pure but for the lock, which is a leaf; the time is given.
//!
//! Absent on purpose: Apache's detector, which probes spared brokers in the background. Their time simply runs out.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::base::BrokerName;

/// From this latency on, in milliseconds, a broker is spared for so long (`latencyMax`, `notAvailableDuration`).
const STEPS_MS: [(u64, u64); 5] = [
    (15_000, 30_000),
    (5_000, 10_000),
    (3_000, 6_000),
    (1_800, 5_000),
    (550, 2_000),
];

/// A failure counts as an answer that took this long.
const FAILURE: Duration = Duration::from_secs(10);

/// How long a broker with this latency is spared.
fn penalty(latency: Duration) -> Duration {
    STEPS_MS
        .iter()
        .find(|(from_ms, _)| latency >= Duration::from_millis(*from_ms))
        .map_or(Duration::ZERO, |(_, spared_ms)| {
            Duration::from_millis(*spared_ms)
        })
}

/// The brokers that are spared, and until when.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<BTreeMap<BrokerName, Instant>>);

impl Faults {
    /// Notes how a broker fared. A later end of its time is never taken back by a quick answer.
    pub(super) fn note(&self, broker: &BrokerName, took: Duration, failed: bool, now: Instant) {
        let spared = penalty(if failed { FAILURE } else { took });
        if spared.is_zero() {
            return;
        }
        let until = now + spared;
        let mut table = self.0.lock();
        let end = table.entry(broker.clone()).or_insert(until);
        *end = (*end).max(until);
    }

    /// Whether messages may go to the broker.
    pub(super) fn is_available(&self, broker: &BrokerName, now: Instant) -> bool {
        self.0.lock().get(broker).is_none_or(|until| now >= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_apaches() {
        let spared = |ms| penalty(Duration::from_millis(ms)).as_millis();
        let latencies = [0, 549, 550, 1_799, 1_800, 3_000, 5_000, 14_999, 15_000];
        assert_eq!(
            latencies.map(spared),
            [0, 0, 2_000, 2_000, 5_000, 6_000, 10_000, 10_000, 30_000]
        );
    }

    #[test]
    fn a_spared_broker_comes_back_when_its_time_is_over() {
        let faults = Faults::default();
        let (a, b) = (BrokerName::stored("a"), BrokerName::stored("b"));
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        faults.note(&a, Duration::from_millis(3), true, now);
        faults.note(&b, Duration::from_millis(600), false, now);
        // Good news does not shorten the time.
        faults.note(&a, Duration::from_millis(1), false, after(1));
        assert!(!faults.is_available(&a, after(9_999)));
        assert!(faults.is_available(&a, after(10_000)));
        assert!(!faults.is_available(&b, after(1_999)));
        assert!(faults.is_available(&b, after(2_000)));
        assert!(faults.is_available(&BrokerName::stored("c"), now));
    }
}
