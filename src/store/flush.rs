//! Makes things durable: the log, and then what is derived from it, and then the checkpoint that says so.
//!
//! One sync of the log answers everyone whose message lies below what was appended when it began. After a failed sync
//! nobody can know what the disk has, not even by trying again (the kernel may have dropped the pages), so the store
//! acknowledges nothing from then on and takes no more writes until it is opened anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::error::StoreError;
use super::options::FlushMode;
use super::queue::Queue;
use super::segment::Segment;
use super::shared::{Asleep, Dispatcher, Reason, Shared};
use crate::message::record::{MAGIC_BLANK, Record};
use crate::sys::worker::{Next, Worker};
use crate::sys::{Clock, platform};

/// How long new messages gather before the dispatch worker looks at them.
const DISPATCH_PAUSE: Duration = Duration::from_millis(20);
/// How long index entries wait for others to be written with.
const INDEX_PAUSE: Duration = Duration::from_millis(INDEX_PAUSE_MS.unsigned_abs());
const INDEX_PAUSE_MS: i64 = 250;
/// How many records are dispatched before the lock is given to others.
const DISPATCH_STEP: usize = 16_384;
/// From so many queue files on, one sync of the whole file system is cheaper than one for each.
const SYNC_ALL_FROM: usize = 1000;
/// How much of the log is read at a time for that.
const AHEAD_BYTES: usize = 256 << 10;
/// How often the checkpoint moves.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// The checkpoint also moves when so much was appended since it did, for which the append wakes the keeper: this is what
/// a start after a crash has to read again at most, and what is appended while a checkpoint is made.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 256 << 20;

impl Shared {
    /// Syncs what was appended so far.
    pub(crate) fn flush_log(&self) -> Result<(), StoreError> {
        let _flushing = self.flushing.lock();
        let (from, target) = (self.log.flushed.get(), self.log.appended.get());
        if target <= from || self.gate.is_closed_for(Reason::Broken) {
            return Ok(());
        }
        for segment in self.log.segments() {
            if segment.end() > from && segment.base() < target {
                segment.sync().map_err(|error| {
                    let why = format!("{} could not be synced: {error}", segment.path().display());
                    tracing::error!("{why}; no more messages are taken");
                    self.gate.close(Reason::Broken, why.clone());
                    self.writer.break_off(why);
                    StoreError::io("sync", segment.path())(error)
                })?;
            }
        }
        self.log.flushed.advance(target);
        Ok(())
    }

    /// Writes the queue entries that wait in memory. While that fails, no messages are taken.
    pub(crate) fn write_queues(&self) -> Result<(), StoreError> {
        let began_ms = Clock::machine_ms();
        self.queues_written_ms.store(began_ms, Ordering::Relaxed);
        let due = self.queues.due();
        let mut waiting = due.take_waiting();
        while let Some(queue) = waiting.pop() {
            if let Err(error) = queue.write_out() {
                let dir = queue.dir().to_owned();
                waiting.push(queue);
                due.still_waiting(waiting);
                let why = format!(
                    "queue entries cannot be written to {}: {error}",
                    dir.display()
                );
                if self.gate.close(Reason::QueuesBlocked, why.clone()) {
                    tracing::error!("{why}; no messages are taken until they can");
                }
                return Err(StoreError::io("write the queue in", &dir)(error));
            }
            due.written(queue);
        }
        if self.gate.open(Reason::QueuesBlocked) {
            tracing::info!("queue entries can be written again");
        }
        Ok(())
    }

    /// Makes the files of the queues durable.
    fn sync_queues(&self) -> Result<(), StoreError> {
        let mut unsynced = self.queues.due().take_unsynced();
        if unsynced.len() >= SYNC_ALL_FROM && self.sync_together(&unsynced) {
            return Ok(());
        }
        while let Some(queue) = unsynced.pop() {
            if let Err(error) = queue.sync() {
                let dir = queue.dir().to_owned();
                unsynced.push(queue);
                for queue in unsynced {
                    self.queues.due().written(queue);
                }
                return Err(StoreError::io("sync the queue in", &dir)(error));
            }
        }
        Ok(())
    }

    /// Syncs the whole file system, if it can, which many files at once are cheaper with.
    fn sync_together(&self, queues: &[Arc<Queue>]) -> bool {
        let taken: Vec<_> = queues.iter().map(|queue| queue.take_dirty()).collect();
        let synced = platform::sync_file_system(self.layout.dir()).unwrap_or(false);
        if !synced {
            for (queue, dirty) in queues.iter().zip(taken) {
                queue.give_back_dirty(dirty);
            }
        }
        synced
    }

    /// Brings the key index up to what is appended now, files included.
    pub(crate) fn dispatch(&self) -> Result<(), StoreError> {
        self.follow()?;
        self.write_index(&mut self.dispatcher.lock())
    }

    /// Brings the key index up to what is appended now, and writes out what has waited long enough. The more comes, the
    /// more of it waits: then it costs less ([`super::index::writer`]). True if something is left that waits.
    fn dispatch_lazily(&self) -> Result<bool, StoreError> {
        self.follow()?;
        let mut dispatcher = self.dispatcher.lock();
        let waited_ms = Clock::machine_ms() - dispatcher.written_ms;
        if (0..INDEX_PAUSE_MS).contains(&waited_ms) {
            return Ok(dispatcher.index.is_waiting());
        }
        self.write_index(&mut dispatcher)?;
        Ok(false)
    }

    /// Files what was appended so far.
    fn follow(&self) -> Result<(), StoreError> {
        let until = self.writer.held.visible(self.log.appended.get());
        if !self.options.index_enabled {
            self.dispatcher.lock().at = until;
            return Ok(());
        }
        loop {
            let mut dispatcher = self.dispatcher.lock();
            let done = dispatcher
                .step(self, until)
                .map_err(StoreError::io("write the index in", &self.layout.index()))?;
            if done {
                return Ok(());
            }
        }
    }

    fn write_index(&self, dispatcher: &mut Dispatcher) -> Result<(), StoreError> {
        dispatcher.written_ms = Clock::machine_ms();
        let written = dispatcher.index.write_out();
        written.map_err(StoreError::io("write the index in", &self.layout.index()))
    }

    /// Makes everything up to now durable and says so in the checkpoint.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let last = self.writer.last();
        self.dispatch()?;
        self.write_queues()?;
        self.sync_queues()?;
        let full_until_ms = {
            let mut dispatcher = self.dispatcher.lock();
            let dir = self.layout.index();
            dispatcher
                .index
                .sync()
                .map_err(StoreError::io("sync the index in", &dir))?;
            dispatcher.index.full_until_ms()
        };
        self.flush_log()?;
        let mut checkpoint = self.checkpoint.lock();
        if last.end == 0 {
            // Nothing was stored so far. Apache's broker has the file from its start on.
            let same = *checkpoint;
            return self.write_checkpoint(&mut checkpoint, same);
        }
        if self.log.flushed.get() < last.end {
            return Ok(());
        }
        let mut new = *checkpoint;
        let start = i64::try_from(last.start).unwrap_or(i64::MAX);
        new.log_timestamp_ms = last.store_timestamp_ms;
        new.queue_timestamp_ms = last.store_timestamp_ms;
        new.index_timestamp_ms = new.index_timestamp_ms.max(full_until_ms);
        new.confirm_offset = start;
        new.queue_log_offset = start;
        self.write_checkpoint(&mut checkpoint, new)
    }

    /// Writes the checkpoint file, unless it says the same already.
    fn write_checkpoint(&self, old: &mut Checkpoint, new: Checkpoint) -> Result<(), StoreError> {
        let path = self.layout.checkpoint();
        if new != *old || !path.exists() {
            platform::open_write(&path)
                .and_then(|file| {
                    platform::write_all_at(&file, &new.encode(), 0)?;
                    file.sync_all()
                })
                .map_err(StoreError::io("write", &path))?;
            *old = new;
        }
        Ok(())
    }
}

impl Dispatcher {
    /// Files some records; true when `until` is reached.
    fn step(&mut self, shared: &Shared, until: u64) -> io::Result<bool> {
        if self.at >= until {
            return Ok(true);
        }
        let now_ms = shared.clock.now_ms();
        let feed = &shared.writer.feed;
        if let Some(reached) = feed.take(self.at, until, &mut self.fed) {
            let filed = self.index.put_all(&self.fed, now_ms);
            self.fed.clear();
            // What the feed has handed over is read from the log if it could not be filed.
            filed?;
            self.at = reached;
            return Ok(reached >= until);
        }
        let unfed = feed.begins_behind(self.at);
        let unfed = unfed.map_or(until, |from| from.min(until));
        let mut window = Ahead::default();
        for _ in 0..DISPATCH_STEP {
            if self.at >= unfed {
                break;
            }
            let Some(segment) = shared.log.segment_at(self.at) else {
                self.at = shared.log.min().max(self.at + 1);
                continue;
            };
            let bytes = window.at(&segment, self.at, unfed)?;
            match Record::parse(bytes) {
                Ok(record) => {
                    if !self.index.has(self.at) {
                        self.index.put(&record, now_ms)?;
                    }
                    self.at += u64::from(record.size);
                }
                Err(error) => {
                    let magic = bytes.get(4..).and_then(|rest| rest.first_chunk());
                    let blank =
                        magic.is_some_and(|magic| u32::from_be_bytes(*magic) == MAGIC_BLANK);
                    if !blank {
                        tracing::error!("no record at log position {}: {error}", self.at);
                    }
                    self.at = segment.end();
                }
            }
        }
        Ok(self.at >= until)
    }
}

/// A stretch of the log, read ahead without the map: every record passes here once, and its pages should not count as
/// this process's memory because of that.
#[derive(Default)]
struct Ahead {
    start: u64,
    bytes: Vec<u8>,
}

impl Ahead {
    /// The bytes from `at` on: the whole record, if one begins there and ends before `until`.
    fn at(&mut self, segment: &Segment, at: u64, until: u64) -> io::Result<&[u8]> {
        if !self.holds_record(at) {
            let left = usize::try_from(segment.end().min(until).saturating_sub(at));
            let left = left.map_err(io::Error::other)?;
            self.read(segment, at, left.min(AHEAD_BYTES))?;
            let size = self
                .bytes
                .first_chunk()
                .map_or(0, |size| u32::from_be_bytes(*size));
            let size = usize::try_from(size).map_err(io::Error::other)?;
            if size > self.bytes.len() && size <= left {
                self.read(segment, at, size)?;
            }
        }
        let from = usize::try_from(at - self.start).map_err(io::Error::other)?;
        Ok(self.bytes.get(from..).unwrap_or_default())
    }

    fn holds_record(&self, at: u64) -> bool {
        let from = at.checked_sub(self.start).map(usize::try_from);
        let Some(Ok(from)) = from else { return false };
        let rest = self.bytes.get(from..).unwrap_or_default();
        let size = rest.first_chunk().map(|size| u32::from_be_bytes(*size));
        size.is_some_and(|size| usize::try_from(size).is_ok_and(|size| size <= rest.len()))
    }

    fn read(&mut self, segment: &Segment, at: u64, length: usize) -> io::Result<()> {
        let place = usize::try_from(at - segment.base()).map_err(io::Error::other)?;
        self.start = at;
        self.bytes.resize(length, 0);
        let read = segment.read(place, &mut self.bytes)?;
        self.bytes.truncate(read);
        Ok(())
    }
}

/// Starts the workers of a store.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Vec<Worker>> {
    Ok(vec![
        start_flush(Arc::clone(shared))?,
        start_dispatch(Arc::clone(shared))?,
        start_keeper(Arc::clone(shared))?,
    ])
}

fn start_flush(shared: Arc<Shared>) -> io::Result<Worker> {
    let signal = shared.flush_signal.clone();
    let mut gathered = true;
    Worker::spawn("rmq-flush", signal, move || {
        if let FlushMode::Async { interval } = shared.options.flush {
            if !gathered {
                gathered = true;
                return Next::Pause(interval);
            }
            gathered = false;
            Asleep::note(&shared.asleep.flush);
        }
        // A failure is logged where it happens, and closes the gate for good.
        match shared.flush_log() {
            Ok(()) => Next::Idle,
            Err(_) => Next::After(KEEP_EVERY),
        }
    })
}

fn start_dispatch(shared: Arc<Shared>) -> io::Result<Worker> {
    let signal = shared.dispatch_signal.clone();
    let mut rested = true;
    let mut complained = false;
    Worker::spawn("rmq-dispatch", signal, move || {
        if !rested {
            rested = true;
            return Next::Pause(DISPATCH_PAUSE);
        }
        rested = false;
        Asleep::note(&shared.asleep.dispatch);
        let mut index_waits = false;
        let result = shared.dispatch_lazily().and_then(|waits| {
            index_waits = waits;
            // While much is appended the keeper does so for each checkpoint, which is often enough.
            let written_ms = shared.queues_written_ms.load(Ordering::Relaxed);
            let since_ms = Clock::machine_ms().saturating_sub(written_ms);
            let interval = i64::try_from(shared.options.queue_flush_interval.as_millis());
            if !(0..interval.unwrap_or(i64::MAX)).contains(&since_ms) {
                shared.write_queues()?;
            }
            Ok(())
        });
        if let Err(error) = &result
            && !complained
        {
            tracing::warn!("{error}");
        }
        complained = result.is_err();
        let queues_wait = complained || shared.queues.due().is_waiting();
        if index_waits {
            Next::After(INDEX_PAUSE.min(shared.options.queue_flush_interval))
        } else if queues_wait {
            Next::After(shared.options.queue_flush_interval)
        } else {
            Next::Idle
        }
    })
}

fn start_keeper(shared: Arc<Shared>) -> io::Result<Worker> {
    let mut keeper = Keeper {
        complained: false,
        looked_ms: None,
        retained_ms: shared.clock.now_ms(),
        appended: 0,
    };
    // A clock that was moved by hand may have made files old: that is looked at without waiting for the next turn.
    shared.clock.wakes(&shared.keeper_signal);
    Worker::spawn("rmq-keeper", shared.keeper_signal.clone(), move || {
        keeper.step(&shared)
    })
}

/// What the keeper remembers from turn to turn.
struct Keeper {
    complained: bool,
    /// When it looked for old files last, in the machine's time.
    looked_ms: Option<i64>,
    /// The same in the node's time.
    retained_ms: i64,
    /// The end of the log at the last turn.
    appended: u64,
}

impl Keeper {
    fn step(&mut self, shared: &Shared) -> Next {
        Asleep::note(&shared.asleep.keeper);
        let appended = shared.log.appended.get();
        let busy = std::mem::replace(&mut self.appended, appended) != appended;
        let prepared = shared.writer.prepare_next();
        if let Err(error) = &prepared
            && !self.complained
        {
            tracing::warn!("the next log file cannot be made ahead: {error}");
        }
        self.complained = prepared.is_err();
        let every = shared.options.retention_interval.max(KEEP_EVERY);
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let (machine_ms, now_ms) = (Clock::machine_ms(), shared.clock.now_ms());
        // A clock that was set back counts as well, so that nothing waits until it has caught up.
        let is_past = |since: i64, now: i64| now < since || now - since >= every_ms;
        let first = self.looked_ms.is_none();
        let much = appended >= shared.checkpoint_at.load(Ordering::Relaxed);
        let due = self
            .looked_ms
            .is_none_or(|looked| is_past(looked, machine_ms))
            || is_past(self.retained_ms, now_ms);
        if due {
            (self.looked_ms, self.retained_ms) = (Some(machine_ms), now_ms);
            shared.retain();
            if Segment::any_lazy_map() {
                shared.queues.for_each(|queue| queue.let_go_idle());
            }
        }
        let gone = shared.topic_gone.swap(false, Ordering::SeqCst);
        if due && !first || much || gone {
            let next = appended.saturating_add(CHECKPOINT_BYTES_MAX);
            shared.checkpoint_at.store(next, Ordering::Relaxed);
            if let Err(error) = shared.checkpoint() {
                tracing::warn!("{error}");
            }
        }
        shared.let_go_of_old_pages();
        if busy || self.complained {
            shared.asleep.keeper.store(false, Ordering::SeqCst);
            Next::After(KEEP_EVERY)
        } else {
            Next::After(every)
        }
    }
}
