//! What is counted while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cli::exit::CliError;
use crate::cli::output::Progress;

/// The longest latency that is told from others, in microseconds: a minute.
const LONGEST_US: u64 = 60_000_000;
/// After so many failures nobody expects success any more.
const FAILURES_MAX: u64 = 20;

/// Counted by all clients together.
pub(super) struct Shared {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    messages: AtomicU64,
    failed: AtomicU64,
    repeated: AtomicU64,
    first_error: Mutex<Option<CliError>>,
    latencies: Mutex<Histogram<u64>>,
    /// When the first and the last message that counts were through.
    span: Mutex<Option<(Instant, Instant)>>,
}

/// The end of it.
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) failed: u64,
    pub(super) repeated: u64,
    pub(super) took: Duration,
    pub(super) first_error: Option<CliError>,
    latencies: Histogram<u64>,
}

impl Shared {
    pub(super) fn new(stop: Arc<AtomicBool>, progress: Arc<Progress>) -> Result<Self, CliError> {
        let latencies = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(CliError::failed)?;
        Ok(Self {
            stop,
            progress,
            messages: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            first_error: Mutex::new(None),
            latencies: Mutex::new(latencies),
            span: Mutex::new(None),
        })
    }

    /// Whether Ctrl-C was pressed, or too much has failed.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) >= FAILURES_MAX
    }

    /// How many messages counted by now.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Messages that do not count went through.
    pub(super) fn warmed(&self, messages: u64) {
        self.progress.add(messages);
    }

    /// Measured messages begin: the time runs.
    pub(super) fn begin(&self, now: Instant) {
        self.span.lock().get_or_insert((now, now));
    }

    /// Measured messages went through, as one.
    pub(super) fn done(&self, messages: u64, latency: Option<Duration>, now: Instant) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        if let Some(latency) = latency {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
            self.latencies.lock().saturating_record(micros.max(1));
        }
        let mut span = self.span.lock();
        let (_, last) = span.get_or_insert((now, now));
        *last = now.max(*last);
        drop(span);
        self.progress.add(messages);
    }

    /// A message came once more.
    pub(super) fn repeat(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages failed.
    pub(super) fn fail(&self, messages: u64, error: CliError) {
        self.failed.fetch_add(messages, Ordering::Relaxed);
        self.first_error.lock().get_or_insert(error);
    }

    /// Whether anything failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) > 0
    }

    /// The figures.
    pub(super) fn tally(&self) -> Tally {
        let span = *self.span.lock();
        Tally {
            messages: self.messages(),
            failed: self.failed.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            took: span.map_or(Duration::ZERO, |(first, last)| last - first),
            first_error: self.first_error.lock().take(),
            latencies: self.latencies.lock().clone(),
        }
    }
}

impl Tally {
    /// A quantile of the latencies in milliseconds; `None` if none were measured.
    pub(super) fn at(&self, quantile: f64) -> Option<f64> {
        let micros = self.latencies.value_at_quantile(quantile);
        (!self.latencies.is_empty()).then(|| Duration::from_micros(micros).as_secs_f64() * 1000.0)
    }

    /// Their mean in milliseconds.
    pub(super) fn mean(&self) -> Option<f64> {
        (!self.latencies.is_empty()).then(|| self.latencies.mean() / 1000.0)
    }
}
