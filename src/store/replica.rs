//! What replication asks of a store: stretches of the log out of a master's, and into a replica's.

use super::error::ReceiveError;
use super::log::LogSlice;
use super::log::receive::Received;
use super::shared::Reason;
use super::{LogOffset, QueueId, Store, TopicName, Watermark};
use crate::message::record::MAGIC_BLANK;

impl Store {
    /// Says whether this store follows a master. Then it takes no messages of its own.
    pub(crate) fn set_replica(&self, replica: bool) {
        let gate = &self.shared.gate;
        if replica {
            gate.close(Reason::Replica, String::new());
        } else {
            gate.open(Reason::Replica);
        }
    }

    /// From now on messages are seen only when they are committed ([`Store::commit`]).
    pub(crate) fn hold_uncommitted(&self) {
        self.shared.writer.held.hold();
    }

    /// How far the log is committed, where messages are held back until then.
    pub(crate) fn committed(&self) -> &Watermark {
        self.shared.writer.held.committed()
    }

    /// The log is committed up to `committed`: what lies before can be seen. Says in which queues there is more now.
    pub(crate) fn commit(&self, committed: LogOffset) -> Vec<(TopicName, QueueId)> {
        let touched = self.shared.writer.held.reveal(committed.get());
        self.shared.rouse();
        touched
    }

    /// Whether the record that ends at `end` may be seen.
    pub(crate) fn is_visible(&self, end: u64) -> bool {
        end <= self.shared.writer.held.visible(end)
    }

    /// Writes a stretch of the master's log at the place it has there. Records that are whole now can be read and are in
    /// their queues; the key index follows.
    pub(crate) fn receive(&self, at: LogOffset, bytes: &[u8]) -> Result<Received, ReceiveError> {
        let shared = &*self.shared;
        if let Some(refusal) = shared.gate.refusal_of_replica() {
            return Err(super::AppendError::from(refusal).into());
        }
        let received = shared.writer.receive(at.get(), bytes, &shared.queues);
        if self.must_wait_for_flush() {
            shared.flush_signal.notify();
        }
        shared.rouse();
        received
    }

    /// Forgets what was received of a record that is not whole. Returns where the log ends then, which is where a
    /// new connection to the master goes on.
    pub(crate) fn forget_unfinished(&self) -> LogOffset {
        LogOffset::new(self.shared.writer.forget_unfinished())
    }

    /// The stretch of the log from `at` on, of at most `max` bytes; it ends with its file. `None` at the end of the log
    /// and for what was deleted.
    pub(crate) fn stretch(&self, at: LogOffset, max: u64) -> Option<LogSlice> {
        let log = &self.shared.log;
        let segment_end = log.segment_at(at.get())?.end();
        let until = log.appended.get().min(segment_end);
        let len = until.saturating_sub(at.get()).min(max);
        log.slice(at.get(), len)
    }

    /// The first readable position of the log.
    pub(crate) fn log_min(&self) -> LogOffset {
        LogOffset::new(self.shared.log.min())
    }

    /// Whether a record, or the filler at the end of a file, begins at `at`, or the log ends there. A replica that asks to
    /// go on anywhere else has another log.
    pub(crate) fn is_boundary(&self, at: LogOffset) -> bool {
        let log = &self.shared.log;
        if at.get() == log.appended.get() || log.record_at(at.get()).is_some() {
            return true;
        }
        log.slice(at.get(), 8).is_some_and(|head| {
            let magic = head.as_ref().get(4..).and_then(<[u8]>::first_chunk);
            magic.is_some_and(|magic| u32::from_be_bytes(*magic) == MAGIC_BLANK)
        })
    }

    /// The last whole record.
    pub(crate) fn last_record(&self) -> Option<LogSlice> {
        let last = self.shared.writer.last();
        (last.end > 0)
            .then(|| self.shared.log.record_at(last.start))
            .flatten()
    }
}
