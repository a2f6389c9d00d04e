//! Transactions: half messages that nobody sees until their producer commits them.
//!
//! A half message waits in queue 0 of the half topic, with its real topic and queue among its properties. Its end is
//! stored twice: a commit puts the message into its real topic, and an op record, which may name many, takes the half
//! message off the list of open ones. The op record is always written behind the commit, so a crash between them costs a
//! question to the producer and no message. [`check`] asks producers that said nothing. Files and records are Apache's:
//! how far half and op queue are dealt with are the consumer offsets of [`GROUP`], and a store can change hands with
//! open transactions in it.
//!
//! What is better than in Apache, because the state of all open messages is in memory ([`Table`]): a transaction that
//! has ended is not asked about while its op record waits for its batch, a second commit of one message does not deliver
//! it twice, and a commit after a rollback is refused. That holds over a crash too: a commit of which the op queue had not
//! heard is found by the message's id.
//!
//! Lock order: `saying`, then `table`, which is a leaf.

mod check;
mod ops;
pub(super) mod records;
mod table;

use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Broker;
use crate::base::{QueueId, QueueOffset, TopicName};
use crate::message::{Record, names};
use crate::store::{GetStatus, Queue, ReadLimits, Store};

pub(super) use self::check::{again, run as run_checks};
pub(super) use self::ops::{run as run_ops, write_all as write_ops};
pub(crate) use self::table::Name;
use self::table::{State, Table};

/// The consumer group whose offsets say how far half and op queue are dealt with.
pub(crate) const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// Half messages and op records have one queue each.
pub(super) const QUEUE: QueueId = QueueId::new(0);

/// Op records read at a time when the broker starts.
const RESTORE_STEP: ReadLimits = ReadLimits {
    messages: 512,
    bytes: 1 << 20,
};

/// Whether a transaction may be ended, and how it ended if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It may, and nobody else can meanwhile.
    Granted,
    /// The same, but it may be committed already.
    Doubtful,
    /// Another request is storing its commit just now.
    Busy,
    /// It is committed.
    Committed,
    /// It was rolled back, or ended before this broker started.
    Over,
}

/// All open transactions.
pub(crate) struct Transactions {
    table: Mutex<Table>,
    /// The op queue has something to be told.
    ended: Notify,
    /// One writes op records at a time. Taken before the table's lock and held across the append.
    saying: Mutex<()>,
    /// Members of a producer group are asked in turn.
    turn: AtomicUsize,
}

impl Transactions {
    /// Begins where the consumer offsets stand; reads what the op queue says about messages behind.
    pub(crate) fn restore(store: &Store, offsets: &super::offsets::Offsets) -> Self {
        let place = |topic: &str| {
            let queue = store.queue(&TopicName::stored(topic), QUEUE);
            let (min, max) = (queue.min_offset(), queue.max_offset());
            let saved = offsets
                .query(topic, GROUP, QUEUE.to_wire())
                .and_then(QueueOffset::from_wire);
            let at = saved.unwrap_or(min).clamp(min, max.max(min));
            (queue, at)
        };
        let (_, base) = place(names::HALF_TOPIC);
        let (op_queue, op) = place(names::OP_HALF_TOPIC);
        let mut table = Table::new(base.get(), op.get(), table_end(store));
        read_ops(store, &op_queue, op, &mut table);
        Self {
            table: Mutex::new(table),
            ended: Notify::new(),
            saying: Mutex::new(()),
            turn: AtomicUsize::new(0),
        }
    }

    /// Asks to end a transaction.
    pub(super) fn claim(&self, name: Name) -> Claim {
        let mut table = self.table.lock();
        let doubtful = table.is_doubtful(name);
        match table.claim(name) {
            State::Open if doubtful => Claim::Doubtful,
            State::Open => Claim::Granted,
            State::Claimed => Claim::Busy,
            State::Committed => Claim::Committed,
            State::Over => Claim::Over,
        }
    }

    /// The commit could not be stored; the transaction stays open.
    pub(super) fn release(&self, name: Name) {
        self.table.lock().release(name);
    }

    /// The commit is stored.
    pub(super) fn committed(&self, name: Name) {
        self.table.lock().end(name, State::Committed);
        self.ended.notify_one();
    }

    /// The message will never be delivered.
    pub(super) fn rolled_back(&self, name: Name) {
        self.table.lock().end(name, State::Over);
        self.ended.notify_one();
    }
}

fn read_ops(store: &Store, queue: &Queue, from: QueueOffset, table: &mut Table) {
    let mut at = from;
    loop {
        let found = store.get(queue, at, RESTORE_STEP, |_| true);
        for slice in &found.slices {
            let mut rest: &[u8] = slice.as_ref();
            while let Ok(record) = Record::parse(rest) {
                if let Ok(offset) = u64::try_from(record.queue_offset) {
                    table.restore_op(offset, records::op_numbers(&record, table_end(store)));
                }
                rest = rest.get(record.size as usize..).unwrap_or_default();
            }
        }
        let goes_on = matches!(
            found.status,
            GetStatus::Found | GetStatus::NoMatchedMessage | GetStatus::MessageWasRemoving
        );
        if !goes_on || found.next <= at {
            return;
        }
        at = found.next;
    }
}

/// Numbers from here on were never given out: an op record that names one is damaged.
fn table_end(store: &Store) -> u64 {
    store
        .find_queue(names::HALF_TOPIC, QUEUE)
        .map_or(0, |queue| queue.max_offset().get())
}

impl Broker {
    /// Notes how far half and op queue are dealt with.
    fn note_transaction_offsets(&self, half: u64, op: u64) {
        self.offsets.with(|offsets| {
            for (topic, offset) in [(names::HALF_TOPIC, half), (names::OP_HALF_TOPIC, op)] {
                let offset = QueueOffset::new(offset).to_wire();
                let known = offsets.query(topic, GROUP, QUEUE.to_wire());
                if known.unwrap_or(0) != offset {
                    offsets.commit(topic, GROUP, QUEUE.to_wire(), offset);
                }
            }
        });
    }
}
