//! How long sends took, from the append until they could be answered: how many took how many milliseconds.
//!
//! Noting is one atomic addition for all sends that were appended together. What is shown is the last whole minute, as
//! with Apache (`StoreStatsService`), and what there is so far before the first one is over; the longest time is that
//! since the start.
//!
//! Absent on purpose: what takes less than a millisecond. Nobody who reads these figures knows a smaller unit.
//!
//! Lock order: leaf.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// From how many milliseconds on a bucket counts: one each at first, and wider ones the longer it took. Every bound that
/// [`SHOWN`] has is one of these.
const EDGES: [u64; 76] = edges();

/// The bounds that are shown, in milliseconds, with Apache's names for what lies below them.
const SHOWN: [(u64, &str); 13] = [
    (1, "<=0ms"),
    (10, "0~10ms"),
    (50, "10~50ms"),
    (100, "50~100ms"),
    (200, "100~200ms"),
    (500, "200~500ms"),
    (1_000, "500ms~1s"),
    (2_000, "1~2s"),
    (3_000, "2~3s"),
    (4_000, "3~4s"),
    (5_000, "4~5s"),
    (10_000, "5~10s"),
    (u64::MAX, "10s~"),
];

const MINUTE_MS: i64 = 60_000;

const fn edges() -> [u64; 76] {
    let steps = [
        (1, 20),
        (2, 15),
        (5, 10),
        (10, 10),
        (50, 6),
        (100, 5),
        (1_000, 10),
    ];
    let mut edges = [0; 76];
    let (mut at, mut step, mut edge) = (0, 0, 0);
    while step < steps.len() {
        let (width, times) = steps[step];
        let mut left = times;
        while left > 0 {
            edges[at] = edge;
            edge += width;
            at += 1;
            left -= 1;
        }
        step += 1;
    }
    edges
}

const _: () = assert!(EDGES[75] == 10_000 && EDGES[20] == 20 && EDGES[61] == 500);

type Counts = [u64; EDGES.len()];

/// The times of all sends.
#[derive(Debug)]
pub(crate) struct Latency {
    counts: [AtomicU64; EDGES.len()],
    longest_ms: AtomicU64,
    minutes: Mutex<Minutes>,
}

#[derive(Debug)]
struct Minutes {
    /// When the minute under way began, and what had been counted by then.
    began: Option<(i64, Counts)>,
    /// The last whole one.
    last: Option<Counts>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            longest_ms: AtomicU64::new(0),
            minutes: Mutex::new(Minutes {
                began: None,
                last: None,
            }),
        }
    }
}

impl Latency {
    /// So many sends took so long.
    pub(crate) fn note(&self, took: Duration, sends: usize) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = EDGES.partition_point(|edge| *edge <= ms).saturating_sub(1);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(sends as u64, Ordering::Relaxed);
        }
        if ms > self.longest_ms.load(Ordering::Relaxed) {
            self.longest_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// Begins another minute, if the one under way is over.
    pub(super) fn sample(&self, now_ms: i64) {
        let now = self.counts();
        let mut minutes = self.minutes.lock();
        match minutes.began {
            Some((since_ms, _)) if now_ms.saturating_sub(since_ms) < MINUTE_MS => {}
            Some((_, before)) => {
                minutes.last = Some(since(&before, &now));
                minutes.began = Some((now_ms, now));
            }
            None => minutes.began = Some((now_ms, now)),
        }
    }

    /// The longest that a send took, in milliseconds.
    pub(crate) fn longest_ms(&self) -> u64 {
        self.longest_ms.load(Ordering::Relaxed)
    }

    fn counts(&self) -> Counts {
        std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed))
    }

    fn minute(&self) -> Counts {
        self.minutes.lock().last.unwrap_or_else(|| self.counts())
    }

    /// How many sends of the last minute took how long, in Apache's words.
    pub(crate) fn distribution(&self) -> String {
        let minute = self.minute();
        let mut text = String::new();
        let mut from = 0;
        for (below, name) in SHOWN {
            let to = EDGES.partition_point(|edge| *edge < below);
            let sends: u64 = minute[from..to].iter().sum();
            // Writing to a String cannot fail.
            let _ = write!(text, "[{name}]:{sends} ");
            from = to;
        }
        text
    }

    /// In how many milliseconds this share of the last minute's sends was done, taken to lie evenly within a bucket.
    #[allow(
        clippy::cast_precision_loss,
        reason = "an estimate for people and dashboards"
    )]
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let minute = self.minute();
        let wanted = minute.iter().sum::<u64>() as f64 * share;
        let mut below = 0.0;
        for (at, count) in minute.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= wanted {
                let edge = EDGES[at] as f64;
                let end = EDGES.get(at + 1).map_or(edge, |end| *end as f64);
                return edge + (end - edge) * (wanted - below) / count;
            }
            below += count;
        }
        0.0
    }
}

fn since(before: &Counts, now: &Counts) -> Counts {
    std::array::from_fn(|at| now[at].saturating_sub(before[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(latency: &Latency, ms: u64, sends: usize) {
        latency.note(Duration::from_millis(ms), sends);
    }

    #[test]
    fn sends_are_counted_by_how_long_they_took() {
        let latency = Latency::default();
        assert!(latency.percentile(0.99).abs() < 1e-9);
        for (ms, sends) in [
            (0, 5),
            (9, 1),
            (10, 1),
            (499, 1),
            (500, 1),
            (9_999, 1),
            (99_999, 2),
        ] {
            noted(&latency, ms, sends);
        }
        assert_eq!(
            latency.distribution(),
            "[<=0ms]:5 [0~10ms]:1 [10~50ms]:1 [50~100ms]:0 [100~200ms]:0 [200~500ms]:1 [500ms~1s]:1 [1~2s]:0 \
             [2~3s]:0 [3~4s]:0 [4~5s]:0 [5~10s]:1 [10s~]:2 "
        );
        assert_eq!(latency.longest_ms(), 99_999);
    }

    #[test]
    fn percentiles_lie_within_their_bucket() {
        let latency = Latency::default();
        noted(&latency, 0, 98);
        noted(&latency, 20, 2);
        assert!((latency.percentile(0.49) - 0.5).abs() < 1e-9);
        assert!((latency.percentile(0.99) - 21.0).abs() < 1e-9);
        noted(&latency, 60_000, 1_000_000);
        assert!((latency.percentile(0.999) - 10_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_minute_that_is_over_is_what_is_shown() {
        let latency = Latency::default();
        latency.sample(0);
        noted(&latency, 0, 3);
        latency.sample(10_000);
        assert!(latency.distribution().starts_with("[<=0ms]:3 "));
        latency.sample(60_000);
        noted(&latency, 0, 4);
        assert!(latency.distribution().starts_with("[<=0ms]:3 "));
        latency.sample(120_000);
        assert!(latency.distribution().starts_with("[<=0ms]:4 "));
        latency.sample(180_000);
        assert!(latency.distribution().starts_with("[<=0ms]:0 "));
    }
}
