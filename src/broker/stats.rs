//! Counters of what went through the broker, and their rates over the last minute, hour and day.
//!
//! Counting is one atomic addition; a connection keeps the counters of the topics it uses. Rates come from samples that
//! the housekeeping takes every ten seconds ([`Stats::sample`]), so a rate lags by that much.
//!
//! Lock order: the map of counters, then one counter's samples. Both are leaves for everybody else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::latency::Latency;

/// How often samples are taken.
pub(crate) const SAMPLE_INTERVAL_MS: i64 = 10_000;

const MINUTE_SAMPLES: usize = 7;
const TEN_MINUTES_SAMPLES: usize = 61;
const HOUR_SAMPLES: usize = 7;
const HOUR_STEP_MS: i64 = 600_000;
const DAY_SAMPLES: usize = 25;
const DAY_STEP_MS: i64 = 3_600_000;

/// The kinds of counters that `VIEW_BROKER_STATS_DATA` can be asked for, by Apache's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatsName {
    /// Messages stored, by topic.
    TopicPutNums,
    /// Bytes stored, by topic.
    TopicPutSize,
    /// Messages handed out, by `topic@group`.
    GroupGetNums,
    /// Bytes handed out, by `topic@group`.
    GroupGetSize,
    /// Messages sent back, by `topic@group`.
    SendBackPutNums,
    /// Messages acknowledged by POP, by `topic@group`.
    GroupAckNums,
    /// Check points of POP, by `topic@group`.
    GroupCkNums,
    /// Messages stored, by cluster.
    BrokerPutNums,
    /// Messages handed out, by cluster.
    BrokerGetNums,
}

impl StatsName {
    /// The kind with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "TOPIC_PUT_NUMS" => Self::TopicPutNums,
            "TOPIC_PUT_SIZE" => Self::TopicPutSize,
            "GROUP_GET_NUMS" => Self::GroupGetNums,
            "GROUP_GET_SIZE" => Self::GroupGetSize,
            "SNDBCK_PUT_NUMS" => Self::SendBackPutNums,
            "GROUP_ACK_NUMS" => Self::GroupAckNums,
            "GROUP_CK_NUMS" => Self::GroupCkNums,
            "BROKER_PUT_NUMS" => Self::BrokerPutNums,
            "BROKER_GET_NUMS" => Self::BrokerGetNums,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ms: i64,
    value: u64,
    times: u64,
}

/// Sum and rates over a span, in Apache's terms.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rate {
    /// How much was added.
    pub(crate) sum: u64,
    /// Per second.
    pub(crate) tps: f64,
    /// Per call.
    pub(crate) average: f64,
}

#[derive(Debug, Default)]
struct Samples {
    recent: VecDeque<Sample>,
    hour: VecDeque<Sample>,
    day: VecDeque<Sample>,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    value: AtomicU64,
    times: AtomicU64,
    samples: Mutex<Samples>,
}

impl Counter {
    /// Adds `amount`, in one call of the counted kind.
    pub(crate) fn add(&self, amount: u64) {
        self.value.fetch_add(amount, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    /// What was added so far.
    pub(crate) fn total(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    fn sample(&self, at_ms: i64) {
        let sample = Sample {
            at_ms,
            value: self.total(),
            times: self.times.load(Ordering::Relaxed),
        };
        let mut samples = self.samples.lock();
        push(&mut samples.recent, sample, 0, TEN_MINUTES_SAMPLES);
        push(&mut samples.hour, sample, HOUR_STEP_MS, HOUR_SAMPLES);
        push(&mut samples.day, sample, DAY_STEP_MS, DAY_SAMPLES);
    }

    /// The last minute.
    pub(crate) fn minute(&self) -> Rate {
        rate(&self.samples.lock().recent, MINUTE_SAMPLES)
    }

    /// The last hour.
    pub(crate) fn hour(&self) -> Rate {
        rate(&self.samples.lock().hour, HOUR_SAMPLES)
    }

    /// The last day.
    pub(crate) fn day(&self) -> Rate {
        rate(&self.samples.lock().day, DAY_SAMPLES)
    }

    /// Rates of the last 10 seconds, minute and ten minutes.
    fn short_rates(&self) -> [f64; 3] {
        let samples = self.samples.lock();
        [2, MINUTE_SAMPLES, TEN_MINUTES_SAMPLES].map(|count| rate(&samples.recent, count).tps)
    }

    /// The rate of the last ten seconds.
    pub(crate) fn rate(&self) -> f64 {
        rate(&self.samples.lock().recent, 2).tps
    }

    /// The three rates as `BROKER_RUNTIME_INFO` shows them: separated by blanks.
    pub(crate) fn show_rates(&self) -> String {
        let [ten_seconds, minute, ten_minutes] = self.short_rates();
        format!("{ten_seconds:?} {minute:?} {ten_minutes:?}")
    }
}

fn push(samples: &mut VecDeque<Sample>, sample: Sample, step_ms: i64, keep: usize) {
    let due = samples
        .back()
        .is_none_or(|last| sample.at_ms.saturating_sub(last.at_ms) >= step_ms);
    if due {
        samples.push_back(sample);
        if samples.len() > keep {
            samples.pop_front();
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "rates are for people and dashboards"
)]
fn rate(samples: &VecDeque<Sample>, count: usize) -> Rate {
    let first = samples.len().saturating_sub(count);
    let (Some(first), Some(last)) = (samples.get(first), samples.back()) else {
        return Rate::default();
    };
    let sum = last.value.saturating_sub(first.value);
    let times = last.times.saturating_sub(first.times);
    let span_ms = last.at_ms.saturating_sub(first.at_ms);
    Rate {
        sum,
        tps: if span_ms > 0 {
            sum as f64 * 1000.0 / span_ms as f64
        } else {
            0.0
        },
        average: if times > 0 {
            sum as f64 / times as f64
        } else {
            0.0
        },
    }
}

/// Totals at the last two midnights, for "yesterday" and "today".
#[derive(Debug, Default)]
pub(crate) struct Mornings {
    pub(crate) put_yesterday: AtomicU64,
    pub(crate) put_today: AtomicU64,
    pub(crate) get_yesterday: AtomicU64,
    pub(crate) get_today: AtomicU64,
    day: AtomicI64,
}

/// All counters of a broker.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Messages stored.
    pub(crate) put: Counter,
    /// Bytes stored.
    pub(crate) put_bytes: Counter,
    /// How long the sends of clients took, waiting for the disk and for slaves included.
    pub(crate) put_times: Latency,
    /// The longest that the reading of one pull took where it may block, in milliseconds. Nobody takes the time of what
    /// is read from memory.
    pub(crate) longest_read_ms: AtomicU64,
    /// Sends that were not stored.
    pub(crate) put_failed: Counter,
    /// Messages handed out.
    pub(crate) transferred: Counter,
    /// Pulls that found something.
    pub(crate) found: Counter,
    /// Pulls that found nothing.
    pub(crate) missed: Counter,
    /// Pulls that were read where they may block.
    pub(crate) cold_pulls: Counter,
    /// All pulls.
    pub(crate) pulls: Counter,
    /// Messages that the timer filed to deliver them later.
    pub(crate) timer_filed: Counter,
    /// Messages that the timer gave back to the log: delivered, or put back for one more turn.
    pub(crate) timer_delivered: Counter,
    /// Totals at midnight.
    pub(crate) mornings: Mornings,
    named: Mutex<BTreeMap<(StatsName, String), Arc<Counter>>>,
}

impl Stats {
    /// The counter of a kind and key, made if it is new.
    pub(crate) fn counter(&self, name: StatsName, key: &str) -> Arc<Counter> {
        let mut named = self.named.lock();
        Arc::clone(named.entry((name, key.to_owned())).or_default())
    }

    /// The counter of a kind and key, if anything was counted under it.
    pub(crate) fn find(&self, name: StatsName, key: &str) -> Option<Arc<Counter>> {
        self.named.lock().get(&(name, key.to_owned())).cloned()
    }

    /// The totals of one kind, by key.
    pub(crate) fn totals(&self, name: StatsName) -> Vec<(String, u64)> {
        let named = self.named.lock();
        named
            .range((name, String::new())..)
            .take_while(|((kind, _), _)| *kind == name)
            .map(|((_, key), counter)| (key.clone(), counter.total()))
            .collect()
    }

    /// Takes a sample of everything. `day` numbers the local days.
    pub(crate) fn sample(&self, now_ms: i64, day: i64) {
        let totals = [
            &self.put,
            &self.put_bytes,
            &self.put_failed,
            &self.transferred,
            &self.found,
            &self.missed,
            &self.pulls,
            &self.timer_filed,
            &self.timer_delivered,
        ];
        for counter in totals {
            counter.sample(now_ms);
        }
        let named: Vec<_> = self.named.lock().values().cloned().collect();
        for counter in named {
            counter.sample(now_ms);
        }
        self.put_times.sample(now_ms);
        self.turn_day(day);
    }

    fn turn_day(&self, day: i64) {
        let mornings = &self.mornings;
        let before = mornings.day.swap(day, Ordering::Relaxed);
        if before == 0 || before == day {
            return;
        }
        let turn = |yesterday: &AtomicU64, today: &AtomicU64, total: u64| {
            yesterday.store(today.swap(total, Ordering::Relaxed), Ordering::Relaxed);
        };
        turn(
            &mornings.put_yesterday,
            &mornings.put_today,
            self.put.total(),
        );
        turn(
            &mornings.get_yesterday,
            &mornings.get_today,
            self.transferred.total(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_from_samples() {
        let stats = Stats::default();
        let counter = stats.counter(StatsName::TopicPutNums, "T");
        stats.sample(0, 1);
        counter.add(30);
        counter.add(30);
        stats.sample(10_000, 1);
        let minute = counter.minute();
        assert_eq!(minute.sum, 60);
        assert!((minute.tps - 6.0).abs() < 1e-9);
        assert!((minute.average - 30.0).abs() < 1e-9);
        assert_eq!(counter.day(), Rate::default());
        assert!(stats.find(StatsName::TopicPutNums, "U").is_none());
        assert_eq!(stats.put.show_rates(), "0.0 0.0 0.0");
    }

    #[test]
    fn midnight_moves_the_totals() {
        let stats = Stats::default();
        stats.sample(0, 1);
        stats.put.add(5);
        stats.sample(1, 2);
        stats.put.add(5);
        stats.sample(2, 3);
        assert_eq!(stats.mornings.put_yesterday.load(Ordering::Relaxed), 5);
        assert_eq!(stats.mornings.put_today.load(Ordering::Relaxed), 10);
    }
}
