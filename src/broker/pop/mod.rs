//! POP: the broker hands out messages of shared queues and takes care of those nobody acknowledges.
//!
//! Every pop leaves a check point in the revive topic before it is answered, and every acknowledgement leaves a record
//! behind it; [`revive`] follows these records and puts what nobody acknowledged in time into the group's retry topic.
//! Nothing of this lives in memory only: after a crash the records are read again. With `enablePopBufferMerge` check
//! points stay in [`buffer`] for a while first.
//!
//! Where Apache 5.5.0 sends these records through its timer, so that they reach the revive topic when they are due, they
//! are stored there at once, and their time is honoured by whoever revives. A revive topic that Apache's timer filled
//! reads the same.
//!
//! Deliberately absent: the `RocksDB` store of check points, light topics, the limit of messages in flight.
//!
//! Lock order: a queue's gate (one group's pops and offset moves of one queue follow each other) before everything
//! else; the state of [`revive`] before the tables it asks. The other tables are leaves. A gate is held while its check
//! point is appended: what the next pop of the queue begins with depends on it.

pub(crate) mod buffer;
pub(crate) mod handle;
pub(crate) mod journal;
pub(crate) mod lines;
pub(crate) mod order;
pub(crate) mod pending;
pub(crate) mod records;
pub(crate) mod revive;
pub(crate) mod waiting;

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::buffer::{Acknowledged, Buffer, Rules};
use self::lines::Lines;
use self::order::{OrderFile, Orders, Place};
use self::records::{Ack, CheckPoint, Key, REVIVE_TOPIC_PREFIX};
use self::revive::Revival;
use super::Broker;
use super::handlers::pop::{Notice, Pop};
use super::kept::{self, Form, Kept};
use super::options::BrokerOptions;
use super::topics::TopicMap;
use crate::base::{LogOffset, QueueId, TopicName};
use crate::protocol::fastjson;
use crate::store::AppendError;

/// More gates than there will be pops at one moment; two queues that share one only wait for each other.
const GATES: usize = 256;
/// A check point that could not be stored is tried again after this.
const RETRY_MS: i64 = 1_000;

/// The state of POP.
pub(crate) struct PopState {
    pub(crate) revive_topic: TopicName,
    /// Queues new check points go to.
    revive_queues: i32,
    /// Queues that may hold check points; more, if the setting was larger once.
    revive_queues_read: i32,
    gates: Vec<Mutex<()>>,
    turn: AtomicU32,
    pub(crate) orders: Kept<Orders>,
    buffer: Mutex<Buffer>,
    /// Rung when something is due earlier: a waiting request, or a queue that is free again.
    pub(crate) earlier: Arc<Notify>,
    pub(crate) pops: Lines<Box<Pop>>,
    pub(crate) notices: Lines<Notice>,
    pub(crate) revival: Revival,
}

/// Numbers a pop's choices are made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Where to write its check points.
    pub(crate) revive_queue: i32,
    /// 0 to 99, each as often as any other.
    pub(crate) percent: i32,
}

impl PopState {
    /// `topics` are those of the last broker on the directory.
    pub(crate) fn new(
        options: &BrokerOptions,
        path: PathBuf,
        orders: OrderFile,
        topics: &TopicMap,
    ) -> Self {
        let form = Form {
            changes: Orders::changes,
            encode: |orders: &Orders| fastjson::to_file(&orders.file()).unwrap_or_default(),
            line_since: kept::whole,
        };
        let cluster = &options.broker_cluster_name;
        let earlier = Arc::new(Notify::new());
        let revive_topic = TopicName::stored(&format!("{REVIVE_TOPIC_PREFIX}{cluster}"));
        let revive_queues = options.revive_queue_num.max(1);
        let known = topics.get(revive_topic.as_str());
        let known = known.map_or(0, |config| config.read_queue_nums);
        Self {
            revive_topic,
            revive_queues,
            revive_queues_read: revive_queues.max(known),
            gates: (0..GATES).map(|_| Mutex::new(())).collect(),
            turn: AtomicU32::new(0),
            orders: Kept::new(path, Orders::restore(orders), form),
            buffer: Mutex::new(Buffer::default()),
            pops: Lines::new(&earlier),
            notices: Lines::new(&earlier),
            earlier,
            revival: Revival::default(),
        }
    }

    /// Draws the numbers of the next pop.
    pub(crate) fn turn(&self) -> Turn {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let queues = self.revive_queues.unsigned_abs().max(1);
        // 61 has no factor in common with 100, so a hundred turns draw every number once, well mixed.
        let percent = u64::from(turn) * 61 % 100;
        Turn {
            revive_queue: i32::try_from(turn % queues).unwrap_or(0),
            percent: i32::try_from(percent).unwrap_or(0),
        }
    }

    /// Whether a receipt handle can name this revive queue.
    pub(crate) fn has_revive_queue(&self, revive_queue: i32) -> bool {
        (0..self.revive_queues_read).contains(&revive_queue)
    }

    /// How many revive queues have to be read.
    pub(crate) fn queues_to_read(&self) -> i32 {
        self.revive_queues_read
    }

    /// Keeps others from handing out the queue to the group, or moving its offset.
    pub(crate) fn gate(&self, place: &Place) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(place);
        let at = usize::try_from(hash % GATES as u64).unwrap_or(0);
        self.gates[at].lock()
    }

    /// Up to where the queue was handed out, as far as the group's offset does not say so.
    pub(crate) fn handed_out(&self, place: &Place) -> Option<i64> {
        self.buffer.lock().handed_out(place)
    }

    /// Whether a check point is in memory.
    pub(crate) fn is_buffered(&self, key: &Key) -> bool {
        self.buffer.lock().contains(key)
    }

    /// An administrator moved the group's offset.
    pub(crate) fn forget_progress(&self, place: &Place) {
        self.orders.with(|orders| orders.clear(place));
        self.buffer.lock().clear(place);
    }
}

fn rules(options: &BrokerOptions) -> Rules {
    Rules {
        stay_ms: options.pop_ck_stay_buffer_time,
        before_visible_ms: options.pop_ck_stay_buffer_time_out,
        points_max: options.pop_ck_max_buffer_size as usize,
        queue_max: options.pop_ck_offset_max_queue_size as usize,
    }
}

impl Broker {
    /// Moves a group's offset, unless an administrator's wish waits.
    pub(crate) fn commit_popped(&self, place: &Place, offset: i64) {
        let (topic, group, queue_id) = (&place.topic, &place.group, place.queue_id);
        self.offsets.with(|offsets| {
            if !offsets.reset_pending(topic, group, queue_id) {
                offsets.commit(topic, group, queue_id, offset);
            }
        });
    }

    /// Remembers what was popped, before it is handed out. The caller holds the queue's gate. After this the group's
    /// next pop begins at `next`. Says where the record ends, if one was written: what was popped is handed out when that
    /// is safe.
    pub(crate) fn keep_check_point(
        &self,
        place: &Place,
        point: &CheckPoint,
        revive_queue: i32,
        next: i64,
    ) -> Result<Option<LogOffset>, AppendError> {
        let options = self.options.load();
        if options.enable_pop_buffer_merge {
            let when = (rules(&options), self.clock.now_ms());
            let kept = self.pop.buffer.lock().add(point, revive_queue, next, when);
            if kept {
                self.pop.revival.ring();
                return Ok(None);
            }
        }
        let end = journal::write(self, |batch| batch.check_point(revive_queue, point))?;
        self.pass_popped(place, next);
        Ok(end)
    }

    /// A part of the queue was looked at and needs no check point. The caller holds the queue's gate.
    pub(crate) fn pass_popped(&self, place: &Place, next: i64) {
        let offset = self.pop.buffer.lock().pass(place, next);
        if let Some(offset) = offset {
            self.commit_popped(place, offset);
        }
    }

    /// Acknowledges popped messages. Says where the record of it ends, if one was written.
    pub(crate) fn acknowledge_popped(
        &self,
        ack: &Ack,
        revive_queue: i32,
    ) -> Result<Option<LogOffset>, AppendError> {
        if self.acknowledge_buffered(ack) {
            return Ok(None);
        }
        journal::write(self, |batch| batch.ack(revive_queue, ack))
    }

    /// Acknowledges messages whose check point is in memory; says whether it was.
    pub(crate) fn acknowledge_buffered(&self, ack: &Ack) -> bool {
        if self.pop.buffer.lock().is_empty() {
            return false;
        }
        let place = Place {
            topic: ack.topic.clone(),
            group: ack.group.clone(),
            queue_id: ack.queue_id,
        };
        let _gate = self.pop.gate(&place);
        let acknowledged = self
            .pop
            .buffer
            .lock()
            .acknowledge(&ack.key(), ack.offsets());
        match acknowledged {
            Acknowledged::Elsewhere => false,
            Acknowledged::Here(moved) => {
                if let Some((place, offset)) = moved {
                    self.commit_popped(&place, offset);
                }
                true
            }
        }
    }

    /// Stores the check points that were in memory long enough. Returns when the next one will have been.
    pub(crate) fn store_check_points(&self, now_ms: i64) -> Option<i64> {
        let due = self.pop.buffer.lock().due(now_ms);
        for key in due {
            let Some((point, revive_queue)) = self.pop.buffer.lock().begin_store(&key) else {
                continue;
            };
            let place = Place {
                topic: point.topic.clone(),
                group: point.group.clone(),
                queue_id: point.queue_id,
            };
            if let Err(error) =
                journal::write(self, |batch| batch.check_point(revive_queue, &point))
            {
                tracing::warn!("a check point waits: {error}");
                let again_ms = now_ms.saturating_add(RETRY_MS);
                self.pop.buffer.lock().fail_store(&key, again_ms);
                continue;
            }
            let late = {
                let _gate = self.pop.gate(&place);
                let (late, moved) = self.pop.buffer.lock().end_store(&key);
                if let Some((place, offset)) = moved {
                    self.commit_popped(&place, offset);
                }
                late
            };
            if !late.is_empty() {
                let ack = Ack::several(key, late);
                if let Err(error) = journal::write(self, |batch| batch.ack(revive_queue, &ack)) {
                    tracing::warn!("acknowledged messages may come again: {error}");
                }
            }
        }
        self.pop.buffer.lock().next_due_ms()
    }

    /// Stores every check point that is only in memory; before the store is closed.
    pub(crate) fn empty_pop_buffer(&self) {
        self.store_check_points(i64::MAX);
        let left = self.pop.buffer.lock().len();
        if left > 0 {
            tracing::warn!("{left} check points could not be stored; their messages come again");
        }
    }

    /// The offset at which the group's next pop of a queue begins, and whether it has one already.
    pub(crate) fn popped_to(&self, place: &Place) -> Option<i64> {
        let committed = self
            .offsets
            .with(|offsets| offsets.query(&place.topic, &place.group, place.queue_id));
        let handed_out = self.pop.handed_out(place);
        match (committed, handed_out) {
            (Some(committed), Some(handed_out)) => Some(committed.max(handed_out)),
            (committed, handed_out) => committed.or(handed_out),
        }
    }

    /// Forgets the order of topics and groups that are gone.
    pub(crate) fn clean_orders(&self, now_ms: i64) {
        let (topics, groups) = (self.topic_map.load(), self.group_map.load());
        self.pop.orders.with(|orders| {
            orders.clean(now_ms, |topic, group| {
                topics.contains_key(topic) && groups.groups.contains_key(group)
            });
        });
    }

    /// A queue of the store, made if a topic has it and nothing was stored in it yet.
    pub(crate) fn popped_queue(
        &self,
        topic: &TopicName,
        queue_id: i32,
    ) -> Option<Arc<crate::store::Queue>> {
        QueueId::from_wire(queue_id).map(|id| self.queue(topic, id))
    }
}
