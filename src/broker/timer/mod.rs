//! Messages with a time of delivery of their own (`TIMER_DELIVER_MS`, `TIMER_DELAY_MS`, `TIMER_DELAY_SEC`).
//!
//! A send is redirected to the timer topic ([`redirect`]). One worker follows that topic's queue, files every message in
//! the store's timer files, and delivers what is due ([`engine`]). It sleeps until the next slot or until a message
//! arrives; with nothing to wait for it sleeps for good.
//!
//! A message is due at the first tick (`timerPrecisionMs`) at or after its time, as with Apache. A broker that starts
//! late delivers at once what became due meanwhile. After a crash nothing is delivered twice that is in the log
//! ([`delivered`]); Apache delivers again what it had not noted yet.
//!
//! Absent on purpose: the `RocksDB` timeline; and `timerSkipUnknownError`, because a message that cannot be read is always
//! passed over here.
//!
//! Lock order: the engine's lock before everything of the store; the other two are leaves.

mod delivered;
mod engine;
mod metrics;
pub(crate) mod recall;
pub(crate) mod redirect;
pub(crate) mod told;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use self::engine::Engine;
use self::metrics::Metrics;
use super::Broker;
use super::options::BrokerOptions;
use crate::base::QueueId;
use crate::message::names;
use crate::store::Store;
use crate::store::timer::TimerFiles;
use crate::store::timer::format::Check;
use crate::sys::worker::{Next, Signal, Worker};

/// The timer of a broker.
pub(crate) struct Timer {
    engine: Mutex<Engine>,
    worker: Mutex<Option<Worker>>,
    signal: Signal,
    metrics: Mutex<Metrics>,
    shown: Shown,
}

/// What others are told without waiting for the worker.
#[derive(Debug, Default)]
struct Shown {
    read_ms: AtomicI64,
    queue_offset: AtomicI64,
    waiting: AtomicI64,
    check: Mutex<Check>,
}

impl Timer {
    /// Opens the timer's files. Blocks while they are brought in order.
    pub(crate) fn open(store: &Store, options: &BrokerOptions, now_ms: i64) -> io::Result<Self> {
        let engine = Engine::open(store, options, now_ms)?;
        let mut metrics = Metrics::load(&options.store.dir.join("config"));
        if engine.counts_anew() {
            metrics.clear();
        }
        Ok(Self {
            engine: Mutex::new(engine),
            worker: Mutex::new(None),
            signal: Signal::default(),
            metrics: Mutex::new(metrics),
            shown: Shown::default(),
        })
    }

    /// Begins to deliver. Must be called within a tokio runtime: consumers that wait are answered from the worker.
    pub(crate) fn start(broker: &Arc<Broker>) -> io::Result<()> {
        let Some(timer) = &broker.timer else {
            return Ok(());
        };
        broker.clock.wakes(&timer.signal);
        let runtime = tokio::runtime::Handle::current();
        let broker: Weak<Broker> = Arc::downgrade(broker);
        let worker = Worker::spawn("rmq-timer", timer.signal.clone(), move || {
            let _inside = runtime.enter();
            broker.upgrade().map_or(Next::Idle, |broker| step(&broker))
        })?;
        *timer.worker.lock() = Some(worker);
        Ok(())
    }

    /// A message was stored in the timer topic.
    pub(crate) fn ring(&self) {
        self.signal.notify();
    }

    /// Ends the worker and notes how far it got. Blocks.
    pub(crate) fn stop(&self, broker: &Broker) {
        if let Some(mut worker) = self.worker.lock().take() {
            worker.stop();
        }
        let saved = broker.store.flush().map_err(io::Error::other);
        let mut engine = self.engine.lock();
        if let Err(error) = saved.and_then(|()| engine.save(broker, self)) {
            tracing::error!("the timer's progress cannot be written: {error}");
        }
    }

    /// The checkpoint as a slave asks for it: with nothing due, everything up to now counts as read.
    pub(crate) fn check(&self) -> Check {
        let mut check = *self.shown.check.lock();
        check.read_ms = self
            .shown
            .read_ms
            .load(Ordering::Relaxed)
            .max(check.read_ms);
        check.queue_offset = self.shown.queue_offset.load(Ordering::Relaxed);
        check.master_queue_offset = check.queue_offset;
        check
    }

    /// Whether a tick has so many messages that it takes no more (`TimerMessageStore.isReject`): none beyond twice the
    /// limit, and below that some by `chance` (0 to 999). Waits for the worker, so it is asked only with a limit.
    pub(crate) fn rejects(&self, out_ms: i64, limit: i32, chance: i64) -> bool {
        if limit == i32::MAX {
            return false;
        }
        let (count, limit) = (self.engine.lock().count(out_ms), i64::from(limit));
        count > limit && (count >= limit * 2 || chance * limit.max(1) > 1000 * (count - limit))
    }

    /// How many messages wait for their time.
    pub(crate) fn waiting(&self) -> i64 {
        self.shown.waiting.load(Ordering::Relaxed)
    }

    /// How many messages of the timer topic are not filed yet.
    pub(crate) fn behind(&self, store: &Store) -> i64 {
        let queue = store.find_queue(names::TIMER_TOPIC, QueueId::new(0));
        let max = queue.map_or(0, |queue| queue.max_offset().to_wire());
        (max - self.shown.queue_offset.load(Ordering::Relaxed)).max(0)
    }

    /// Pending messages by topic, as `GET_TIMER_METRICS` tells them.
    pub(crate) fn metrics(&self) -> Vec<u8> {
        self.metrics.lock().encode()
    }

    /// A topic was deleted.
    pub(crate) fn forget_topic(&self, topic: &str) {
        self.metrics.lock().forget(topic);
    }
}

fn step(broker: &Arc<Broker>) -> Next {
    let Some(timer) = &broker.timer else {
        return Next::Idle;
    };
    let mut engine = timer.engine.lock();
    let next = engine.step(broker, timer).unwrap_or_else(|error| {
        tracing::error!("the timer cannot go on and tries again: {error}");
        Next::Pause(engine::RETRY)
    });
    timer
        .shown
        .read_ms
        .store(engine.read_ms(), Ordering::Relaxed);
    timer
        .shown
        .queue_offset
        .store(engine.queue_offset(), Ordering::Relaxed);
    timer
        .shown
        .waiting
        .store(engine.waiting(), Ordering::Relaxed);
    *timer.shown.check.lock() = engine.check();
    next
}

/// Removes the timer's files, which are made anew from the timer topic then: the log they point into was cut. Blocks.
pub(crate) fn discard(store: &Path) -> io::Result<()> {
    TimerFiles::discard(store)
}

/// The file of pending messages by topic.
fn metrics_file(config: &Path) -> std::path::PathBuf {
    config.join("timermetrics")
}
