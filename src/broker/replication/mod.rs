//! Replication: one master's log on several brokers.
//!
//! [`Replication`] is what the rest of the broker asks: the role, how far the log is replicated, who follows. Behind it
//!
//! * [`master`] serves the HA port: each slave's connection sends it the log and takes its reports;
//! * [`slave`] follows a master: it writes what comes at the places it has there;
//! * [`follow`] copies the master's tables (topics, groups, offsets, ...) over the remoting protocol;
//! * [`replicas`] is the table of slaves, a plain struct;
//! * [`status`] tells all this to administrators.
//!
//! What it promises: a slave's log is the master's, byte for byte; nothing is overwritten or cut because a peer says so,
//! a log that does not fit is refused with the reason; an answer that waits for replicas waits on the `replicated`
//! watermark, and one report releases everyone below it.
//!
//! The role is read at the start and does not change while the broker runs: who wants another role stops the broker and
//! starts it anew, in the same process ([`crate::node`] does). Then everything a role needs is set up as at any start.
//!
//! Absent on purpose: choosing a master. That is for an administrator or a controller.
//!
//! Lock order: every table here is a leaf; none is held across an await.

pub(crate) mod follow;
pub(crate) mod master;
pub(crate) mod replicas;
mod role;
pub(crate) mod slave;
pub(crate) mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use role::{BrokerRole, ReplicationMode};

use self::replicas::{Quorum, Replica, Replicas};
use super::Broker;
use super::options::BrokerOptions;
use crate::base::{LogOffset, Watermark};
use crate::sys::Clock;

/// What a slave knows of its master.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    /// Where the master's HA port is.
    pub(crate) ha_address: Option<String>,
    /// Where its remoting port is.
    pub(crate) address: Option<String>,
    /// Whether the connection stands.
    pub(crate) connected: bool,
    /// Why it does not, if that is known.
    pub(crate) trouble: Option<String>,
    /// When the master last sent something, ms since 1970.
    pub(crate) read_ms: i64,
    /// When this slave last reported.
    pub(crate) written_ms: i64,
    /// Bytes received in all.
    pub(crate) transferred: u64,
}

/// What replication knows, for everyone in the broker.
#[derive(Debug)]
pub(crate) struct Replication {
    role: BrokerRole,
    /// How far enough slaves have the log, by the quorum.
    replicated: Watermark,
    replicas: Mutex<Replicas>,
    next_connection: AtomicU64,
    link: Mutex<Link>,
    /// Rung when a slave learns another address of its master.
    moved: Notify,
}

/// What an answer to a producer has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing.
    None,
    /// The `replicated` watermark.
    Replicas,
    /// Nobody is there to wait for: the message is stored here only.
    NoSlave,
}

impl Replication {
    pub(crate) fn new(options: &BrokerOptions) -> Self {
        let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let link = Link {
            ha_address: given(&options.ha_master_address),
            address: given(&options.master_addr),
            ..Link::default()
        };
        Self {
            role: options.broker_role,
            replicated: Watermark::new(0),
            replicas: Mutex::default(),
            next_connection: AtomicU64::new(1),
            link: Mutex::new(link),
            moved: Notify::new(),
        }
    }

    /// Whether it follows a master.
    pub(crate) fn is_slave(&self) -> bool {
        self.role == BrokerRole::Slave
    }

    /// How far enough slaves have the log.
    pub(crate) fn replicated(&self) -> &Watermark {
        &self.replicated
    }

    /// The slaves that are connected.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.replicas.lock().all()
    }

    /// What a slave knows of its master.
    pub(crate) fn link(&self) -> Link {
        self.link.lock().clone()
    }

    fn with_link<R>(&self, change: impl FnOnce(&mut Link) -> R) -> R {
        change(&mut self.link.lock())
    }

    /// A slave hears where its master is. An empty address means that nobody knows.
    pub(crate) fn master_is(&self, ha_address: Option<&str>, address: Option<&str>) {
        let moved = self.with_link(|link| {
            let before = (link.ha_address.clone(), link.address.clone());
            let known =
                |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
            if let Some(ha_address) = known(ha_address) {
                link.ha_address = Some(ha_address);
            }
            link.address = known(address).or_else(|| link.address.take());
            before != (link.ha_address.clone(), link.address.clone())
        });
        if moved {
            self.moved.notify_one();
        }
    }
}

/// Who must have a message before its producer is answered.
pub(crate) fn quorum(options: &BrokerOptions) -> Quorum {
    match options.broker_role {
        BrokerRole::SyncMaster if options.all_ack_in_sync_state_set => Quorum::AllInSync,
        // Apache 5.5.0 waits for nobody with `inSyncReplicas=1`, its default, whatever the role says; here a
        // SYNC_MASTER is one.
        BrokerRole::SyncMaster => {
            Quorum::Slaves(usize::try_from(options.in_sync_replicas.max(2) - 1).unwrap_or(1))
        }
        BrokerRole::AsyncMaster | BrokerRole::Slave => Quorum::Slaves(0),
    }
}

impl Broker {
    /// Moves the `replicated` watermark to where the slaves are.
    fn note_replicas(&self) {
        let options = self.options.load();
        let quorum = quorum(&options);
        if quorum == Quorum::Slaves(0) {
            return;
        }
        let (end, gap) = (self.store.appended().get(), options.ha_max_gap_not_in_sync);
        let reached = self.replication.replicas.lock().reached(quorum, end, gap);
        self.replication.replicated.advance(reached);
    }

    /// What the answer to a message must wait for that was just appended and ends at `end`.
    pub(crate) fn replica_wait(&self, options: &BrokerOptions, end: LogOffset) -> Wait {
        let quorum = quorum(options);
        let needed = match quorum {
            Quorum::Slaves(0) => return Wait::None,
            Quorum::Slaves(count) => count,
            Quorum::AllInSync => 0,
        };
        let replicas = self.replication.replicas.lock();
        let gap = options.ha_max_gap_not_in_sync;
        let in_sync = replicas.in_sync(end.get(), gap);
        if in_sync < needed {
            return Wait::NoSlave;
        }
        if in_sync == 0 {
            // All who are in sync have it: this broker alone.
            return Wait::None;
        }
        Wait::Replicas
    }

    /// Whether so few slaves are in sync that messages are refused (`minInSyncReplicas`).
    pub(crate) fn lacks_replicas(&self, options: &BrokerOptions) -> bool {
        if options.broker_role != BrokerRole::SyncMaster || options.min_in_sync_replicas <= 1 {
            return false;
        }
        let needed = usize::try_from(options.min_in_sync_replicas).unwrap_or(usize::MAX);
        let end = self.store.appended().get();
        let replicas = self.replication.replicas.lock();
        replicas.in_sync(end, options.ha_max_gap_not_in_sync) + 1 < needed
    }

    fn next_replica(&self) -> u64 {
        self.replication
            .next_connection
            .fetch_add(1, Ordering::Relaxed)
    }

    /// Starts to follow the master, where this is a slave.
    pub(super) fn start_following(self: &Arc<Self>) {
        if self.replication.is_slave() {
            self.tasks.spawn(slave::run(Arc::clone(self)));
            self.tasks.spawn(follow::run(Arc::clone(self)));
        }
    }
}

fn now_ms() -> i64 {
    Clock::machine_ms()
}
