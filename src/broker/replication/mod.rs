//! Replication: one master's log on several brokers.
//!
//! [`Replication`] is what the rest of the broker asks: the role, the epoch, how far the log is replicated and
//! committed, who follows. Behind it
//!
//! * [`master`] serves the HA port: each slave's connection sends it the log and takes its reports;
//! * [`slave`] follows a master: it writes what comes at the places it has there;
//! * [`follow`] copies the master's tables (topics, groups, offsets, ...) over the remoting protocol;
//! * [`assume`] makes what a new master has messages of and was not told;
//! * [`replicas`] is the table of slaves, a plain struct;
//! * [`epochs`] is the history of the log, in Apache's file, and where two histories part;
//! * [`rival`] is how a master that returns hears that another has taken its place;
//! * [`state`] is what a change of roles leaves behind on the disk, and [`reserve`] the room for it;
//! * [`status`] tells all this to administrators, as Apache does; [`command`] is what gives a broker its role.
//!
//! # Classic and majority
//!
//! With `replication=classic` master and slave are Apache's: a message can be read as soon as the master has it. With
//! `replication=majority` it is neither acknowledged nor seen before more than half of `totalReplicas` have it (on
//! their disks where they flush synchronously). Replicas then speak the protocol of Apache's auto-switch HA, which
//! compares histories first. A replica that has what its master has not takes it off, after saving it, if the master is
//! of a later epoch and nothing known to be committed is among it; else it refuses to follow and says why.
//!
//! What a master wrote in an earlier epoch counts as committed only together with the beginning of its own epoch, so
//! that no replica with an older history can win against those that have it.
//!
//! # Changing roles
//!
//! The role is read at the start and does not change while the broker runs. [`Broker::change_role`] notes the new one on
//! the disk and asks for a new start in the same process, which the node does; then everything a role needs is set up
//! as at any start, and what must be cut off the log is cut while nobody reads it. [`Broker::fence`] promises an epoch:
//! a master of an earlier one takes no message from then on, and is followed by nobody here, also after a restart.
//! [`Broker::standing`] tells what is needed to choose a master: epoch, end of the log, committed end. A slave that
//! becomes master is the kind of master it is configured as, and else the kind its master was: a pair that waited for its
//! slave goes on doing so.
//!
//! What it promises: a slave's log is the master's, byte for byte; nothing is overwritten or cut because a peer says so;
//! an answer that waits for replicas waits on the `replicated` watermark, and one report releases everyone below it.
//!
//! Absent on purpose: choosing a master. That is for an administrator, or for a controller: see
//! [`super::controller`].
//!
//! Lock order: every table here is a leaf; none is held across an await.

pub(crate) mod assume;
pub(crate) mod command;
pub(crate) mod epochs;
pub(crate) mod follow;
pub(crate) mod master;
pub(crate) mod replicas;
pub(crate) mod reserve;
pub(crate) mod rival;
mod role;
pub(crate) mod slave;
pub(crate) mod state;
pub(crate) mod status;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use role::{BrokerRole, ReplicationMode};

use self::epochs::{EpochFile, History};
use self::replicas::{Quorum, Replica, Replicas};
use self::reserve::Reserve;
use self::state::{Saved, SavedSet, StateFile};
use super::Broker;
use super::controller::Member;
use super::controller::group::Group;
use super::options::BrokerOptions;
use super::timer::told::Told;
use crate::base::{LogOffset, Watermark};
use crate::protocol::ha::switch::Epoch;
use crate::store::Store;
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
    /// `brokerRole` as it was configured, whatever it was told since.
    configured: BrokerRole,
    mode: ReplicationMode,
    /// Whether it began an epoch with this start: it has taken another's place.
    took_over: bool,
    /// How far enough slaves have the log, by the quorum.
    replicated: Watermark,
    replicas: Mutex<Replicas>,
    next_connection: AtomicU64,
    link: Mutex<Link>,
    /// Rung when a slave learns another address of its master.
    moved: Notify,
    /// Rung when a slave has messages of a topic it does not know.
    lacking: Notify,
    epochs: Mutex<EpochFile>,
    state: Mutex<StateFile>,
    /// The epoch promised, as the state file has it: asked for with every report.
    promised: AtomicI32,
    /// The epoch of a master, which does not change while it is one, and where it began.
    own_epoch: i32,
    epoch_start: u64,
    /// In majority mode nothing is read before the log is committed so far: what was there at the start may never
    /// have been.
    settled_at: u64,
    /// Where the log ended, at least, when topics and groups were copied last.
    tables_at: AtomicU64,
    /// What a slave was told of its master's timer.
    timer: Mutex<Option<Told>>,
    /// Another master of this name and epoch, for which this one stands back.
    rival: Mutex<Option<String>>,
    stands_back: AtomicBool,
    wanted: Mutex<Option<RoleChange>>,
    changes: Notify,
    /// In controller mode: the brokers of this name.
    group: Option<Group>,
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

/// Another role, or the same one again with a shorter log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleChange {
    /// What the broker is to be.
    pub(crate) role: BrokerRole,
    /// Its id then; 0 for a master.
    pub(crate) broker_id: i64,
    /// The remoting address of the master it is to follow, if it is known.
    pub(crate) master: Option<String>,
    /// The epoch a new master begins.
    pub(crate) epoch: Option<i32>,
    /// Where the log is cut first.
    pub(crate) cut_at: Option<u64>,
}

/// Where a broker stands, for who chooses a master.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) role: BrokerRole,
    pub(crate) mode: ReplicationMode,
    pub(crate) broker_id: i64,
    /// The newest epoch of its log; -1 without one.
    pub(crate) epoch: i32,
    /// The epoch it has promised.
    pub(crate) promised: i32,
    /// The end of its log.
    pub(crate) log_end: u64,
    /// How far it knows the log to be committed; the end in classic mode.
    pub(crate) committed: u64,
    /// Whether it is a master that must take no message.
    pub(crate) fenced: bool,
}

impl Replication {
    /// Reads what is kept on the disk. `damaged` says that the log was found damaged and is shorter than it was. Blocks.
    pub(crate) fn open(
        options: &BrokerOptions,
        configured: BrokerRole,
        mut state: StateFile,
        store: &Store,
        damaged: bool,
        member: Option<Arc<Member>>,
    ) -> io::Result<Self> {
        let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let link = Link {
            ha_address: given(&options.ha_master_address),
            address: given(&options.master_addr),
            ..Link::default()
        };
        let mut epochs = EpochFile::open(store.layout().dir())?;
        let end = store.appended().get();
        let majority = options.replication == ReplicationMode::Majority;
        let is_master = options.broker_role != BrokerRole::Slave;
        let lost = majority && (damaged || has_lost(state.saved(), epochs.history(), end));
        if lost && quorum(options) != Quorum::Slaves(0) {
            renounce(&mut state, epochs.history(), end)?;
        }
        epochs.change(|history| history.cut(end.saturating_add(1)))?;
        let is_new = |number: i32| !lost && number > epochs.history().number();
        let told = state.saved().epoch.filter(|_| is_master);
        let new_epoch = match told {
            Some(number) if is_new(number) => {
                // What is there without a history belongs to the first epoch a controller gives.
                let first = member.is_some() && epochs.history().last().is_none();
                let start = if first { store.log_min().get() } else { end };
                Some(Epoch { number, start })
            }
            _ if majority && member.is_none() && is_master && epochs.history().last().is_none() => {
                Some(Epoch {
                    number: 1,
                    start: store.log_min().get(),
                })
            }
            _ => None,
        };
        epochs.change(|history| {
            if let Some(epoch) = new_epoch {
                history.begin(epoch);
            }
        })?;
        if majority || member.is_some() {
            store.hold_uncommitted();
        }
        if majority || member.is_some() || !is_master {
            Reserve::of(store.layout().dir()).keep();
        }
        let own_epoch = epochs.history().number();
        let group =
            member.map(|member| Group::new(member, state.saved().sync_set.as_ref(), own_epoch));
        let tables_at = end.saturating_sub(assume::LOOK_BACK);
        let tables_at = state.saved().tables_at.unwrap_or(0).clamp(tables_at, end);
        let replication = Self {
            role: options.broker_role,
            configured,
            took_over: told.is_some() && new_epoch.is_some(),
            mode: options.replication,
            replicated: Watermark::new(0),
            replicas: Mutex::default(),
            next_connection: AtomicU64::new(1),
            link: Mutex::new(link),
            moved: Notify::new(),
            lacking: Notify::new(),
            promised: AtomicI32::new(state.saved().promised),
            own_epoch,
            epoch_start: epochs.history().last().map_or(0, |epoch| epoch.start),
            epochs: Mutex::new(epochs),
            state: Mutex::new(state),
            settled_at: end,
            tables_at: AtomicU64::new(tables_at),
            timer: Mutex::default(),
            rival: Mutex::new(None),
            stands_back: AtomicBool::new(false),
            wanted: Mutex::new(None),
            changes: Notify::new(),
            group,
        };
        if replication.is_slave() || replication.group.is_some() {
            // A master waits for the controller's word before it takes the first message.
            store.set_replica(true);
        } else if replication.is_fenced() {
            tracing::error!(
                "this broker has promised a later epoch than its own: it takes no messages until it is given a role"
            );
            store.set_replica(true);
        }
        Ok(replication)
    }

    /// Whether it follows a master.
    pub(crate) fn is_slave(&self) -> bool {
        self.role == BrokerRole::Slave
    }

    /// Whether a message counts only when more than half of the replicas have it.
    pub(crate) fn is_majority(&self) -> bool {
        self.mode == ReplicationMode::Majority
    }

    /// The brokers of this name, where a controller says who is master.
    pub(crate) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Whether replicas compare histories, and messages are seen only when they are committed.
    pub(crate) fn compares_histories(&self) -> bool {
        self.is_majority() || self.group.is_some()
    }

    /// Whether no controller has said yet what this broker is: it is known nowhere.
    pub(crate) fn is_isolated(&self) -> bool {
        self.group.as_ref().is_some_and(|group| !group.is_settled())
    }

    /// Where the epoch of a master began.
    pub(crate) fn epoch_start(&self) -> u64 {
        self.epoch_start
    }

    /// Whether it is a master that must take no message, because a later epoch was promised, or another is master.
    pub(crate) fn is_fenced(&self) -> bool {
        !self.is_slave()
            && (self.promised() > self.own_epoch.max(0) || self.stands_back.load(Ordering::SeqCst))
    }

    /// The master of this one's name and epoch that was at work when this one started, while it answers.
    pub(crate) fn rival(&self) -> Option<String> {
        self.rival.lock().clone()
    }

    fn stands_back(&self, rival: Option<String>) {
        self.stands_back.store(rival.is_some(), Ordering::SeqCst);
        *self.rival.lock() = rival;
    }

    /// Whether it has taken another's place with this start. What it knows of consumers is a copy then, and older than its
    /// log.
    pub(crate) fn took_over(&self) -> bool {
        self.took_over
    }

    /// Where the log ended, at least, when topics and groups were copied last.
    pub(crate) fn tables_at(&self) -> u64 {
        self.tables_at.load(Ordering::Relaxed)
    }

    /// What kind of master this broker would be: as it is configured, or, where it is configured as a slave, what its
    /// master was. Where that was never heard it is Apache's default, and `false`.
    pub(crate) fn role_as_master(&self) -> (BrokerRole, bool) {
        if self.configured != BrokerRole::Slave {
            return (self.configured, true);
        }
        let heard = self
            .state
            .lock()
            .saved()
            .master_role
            .as_deref()
            .and_then(|role| role.parse().ok());
        heard
            .filter(|role| *role != BrokerRole::Slave)
            .map_or((BrokerRole::AsyncMaster, false), |role| (role, true))
    }

    /// A slave hears what kind of master it has: should it take that one's place, it is the same. Blocks.
    pub(crate) fn master_role_is(&self, role: BrokerRole) -> io::Result<()> {
        let name = Some(role.name().to_owned());
        self.state.lock().change(|saved| saved.master_role = name)
    }

    /// What a slave was told of its master's timer last.
    pub(crate) fn told_timer(&self) -> Option<Told> {
        self.timer.lock().clone()
    }

    /// How far enough slaves have the log.
    pub(crate) fn replicated(&self) -> &Watermark {
        &self.replicated
    }

    /// The slaves that are connected.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.replicas.lock().all()
    }

    /// The slaves that are connected, looked at now.
    pub(crate) fn seen_replicas(&self, log_end: u64, now_ms: i64) -> Vec<Replica> {
        self.replicas.lock().seen(log_end, now_ms)
    }

    /// What a slave knows of its master.
    pub(crate) fn link(&self) -> Link {
        self.link.lock().clone()
    }

    /// The history of the log.
    pub(crate) fn history(&self) -> History {
        self.epochs.lock().history().clone()
    }

    /// The newest epoch of the log; -1 without one.
    pub(crate) fn epoch(&self) -> i32 {
        self.epochs.lock().history().number()
    }

    /// The epoch it has promised; 0 for none.
    pub(crate) fn promised(&self) -> i32 {
        self.promised.load(Ordering::SeqCst)
    }

    fn saved(&self) -> Saved {
        self.state.lock().saved().clone()
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

    /// A slave is told of another master; its HA address is not known yet. False if it is the same one.
    pub(crate) fn change_master(&self, address: &str) -> bool {
        let moved = self.with_link(|link| {
            let moved = link.address.as_deref() != Some(address);
            if moved {
                link.address = Some(address.to_owned());
                link.ha_address = None;
            }
            moved
        });
        if moved {
            self.moved.notify_one();
        }
        moved
    }

    /// The master's tables are worth copying now.
    pub(crate) fn copy_tables(&self) {
        self.lacking.notify_one();
    }

    /// Asks the node for a new start in another role.
    fn request(&self, change: RoleChange) {
        self.wanted.lock().get_or_insert(change);
        self.changes.notify_one();
    }

    /// Completes when a change of roles is asked for, with the change.
    pub(crate) async fn change_wanted(&self) -> RoleChange {
        loop {
            if let Some(change) = self.wanted.lock().take() {
                return change;
            }
            self.changes.notified().await;
        }
    }
}

/// Whether a log that ends at `end` is shorter than what was known of it.
fn has_lost(saved: &Saved, history: &History, end: u64) -> bool {
    end < saved.committed || history.last().is_some_and(|last| end < last.start)
}

/// A master that has lost what it may have acknowledged must not go on as if nothing had been there: together with a
/// replica that lacks the same it would write other messages in its place. It waits to be given a role.
fn renounce(state: &mut StateFile, history: &History, end: u64) -> io::Result<()> {
    let saved = state.saved();
    let own = history.number().max(saved.epoch.unwrap_or(0)).max(0);
    tracing::error!(
        "this master's log ends at position {end} and has lost messages (it was committed up to {} at least): \
         `rmq failover promote` makes a replica that has them the master",
        saved.committed
    );
    state.change(|saved| saved.promised = saved.promised.max(own.saturating_add(1)))
}

/// Who must have a message before its producer is answered.
pub(crate) fn quorum(options: &BrokerOptions) -> Quorum {
    if options.broker_role == BrokerRole::Slave {
        return Quorum::Slaves(0);
    }
    if options.replication == ReplicationMode::Majority {
        // More than half, this master included.
        return Quorum::Slaves(usize::try_from(options.total_replicas / 2).unwrap_or(1));
    }
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
    /// Moves the `replicated` watermark to where the slaves are, and the committed end with it.
    pub(crate) fn note_replicas(self: &Arc<Self>) {
        if let Some(group) = self.replication.group() {
            self.note_group(group);
            return;
        }
        let options = self.options.load();
        let quorum = quorum(&options);
        if quorum == Quorum::Slaves(0) {
            return;
        }
        let (end, gap) = (self.store.appended().get(), options.ha_max_gap_not_in_sync);
        let reached = self.replication.replicas.lock().reached(quorum, end, gap);
        if !self.replication.is_majority() {
            self.replication.replicated.advance(reached);
            return;
        }
        let own = if self.store.must_wait_for_flush() {
            self.store.flushed().get()
        } else {
            end
        };
        let reached = reached.min(own);
        if reached >= self.replication.epoch_start && reached > self.store.committed().get() {
            self.commit(reached);
        }
    }

    /// The log is committed up to `committed`: shows it, and answers who waits.
    pub(crate) fn commit(self: &Arc<Self>, committed: u64) {
        for (topic, queue) in self.store.commit(LogOffset::new(committed)) {
            self.wake(&topic, queue);
        }
        self.replication.replicated.advance(committed);
    }

    /// What the answer to a message must wait for that was just appended and ends at `end`.
    pub(crate) fn replica_wait(&self, options: &BrokerOptions, end: LogOffset) -> Wait {
        if let Some(group) = self.replication.group()
            && !self.replication.is_majority()
        {
            return self.group_wait(group, options, end);
        }
        let needed = match quorum(options) {
            Quorum::Slaves(0) => return Wait::None,
            _ if self.replication.is_majority() => return Wait::Replicas,
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

    /// Whether so few slaves are in sync that messages are refused: `minInSyncReplicas`, or the majority.
    pub(crate) fn lacks_replicas(&self, options: &BrokerOptions) -> bool {
        let needed = match (quorum(options), self.replication.is_majority()) {
            (Quorum::Slaves(0), _) => return false,
            (Quorum::Slaves(count), true) => count + 1,
            _ => usize::try_from(options.min_in_sync_replicas).unwrap_or(usize::MAX),
        };
        if needed <= 1 {
            return false;
        }
        if let Some(group) = self.replication.group()
            && !self.replication.is_majority()
        {
            return group.in_sync() < needed;
        }
        let end = self.store.appended().get();
        let replicas = self.replication.replicas.lock();
        replicas.in_sync(end, options.ha_max_gap_not_in_sync) + 1 < needed
    }

    /// Whether nothing may be read yet, because nobody knows how much of the log is committed.
    pub(crate) fn is_unsettled(&self) -> bool {
        let compares = self.replication.compares_histories();
        compares && self.store.committed().get() < self.replication.settled_at
    }

    /// Promises an epoch: no master of an earlier one counts here any more. False if a later one is promised already.
    /// The promise is on the disk when this returns. Blocks.
    pub(crate) fn fence(&self, epoch: i32) -> io::Result<bool> {
        {
            let mut state = self.replication.state.lock();
            if state.saved().promised > epoch {
                return Ok(false);
            }
            state.change(|saved| saved.promised = epoch)?;
            // From here on no report leaves for an earlier master: what this broker says now of its log holds.
            self.replication.promised.store(epoch, Ordering::SeqCst);
        }
        if self.replication.is_fenced() {
            self.store.set_replica(true);
        }
        Ok(true)
    }

    /// Notes another role on the disk and asks the node for a new start in it. Blocks.
    pub(crate) fn change_role(&self, change: RoleChange) -> io::Result<()> {
        self.replication.state.lock().change(|saved| {
            saved.role = Some(change.role.name().to_owned());
            saved.broker_id = Some(change.broker_id);
            saved.master.clone_from(&change.master);
            saved.epoch = change.epoch.or(saved.epoch);
            saved.tables_at = Some(self.replication.tables_at());
            if let Some(epoch) = change.epoch {
                saved.promised = saved.promised.max(epoch);
            }
        })?;
        if let Some(epoch) = change.epoch {
            self.replication.promised.fetch_max(epoch, Ordering::SeqCst);
        }
        self.replication.request(change);
        Ok(())
    }

    /// Notes whom a slave follows, for a later start. Blocks.
    pub(crate) fn note_master(&self, address: &str) -> io::Result<()> {
        let change = |saved: &mut Saved| saved.master = Some(address.to_owned());
        self.replication.state.lock().change(change)
    }

    /// Notes who may be elected instead of this master. Blocks.
    pub(crate) fn keep_set(&self, set: SavedSet) -> io::Result<()> {
        let change = |saved: &mut Saved| saved.sync_set = Some(set);
        self.replication.state.lock().change(change)
    }

    /// Where this broker stands.
    pub(crate) fn standing(&self) -> Standing {
        let replication = &self.replication;
        let log_end = self.store.appended().get();
        let saved = replication.saved();
        Standing {
            role: replication.role,
            mode: replication.mode,
            broker_id: self.options.load().broker_id,
            epoch: replication.epoch(),
            promised: saved.promised,
            log_end,
            committed: if replication.compares_histories() {
                self.store.committed().get().max(saved.committed)
            } else {
                log_end
            },
            fenced: replication.is_fenced(),
        }
    }

    /// Completes when another role is asked for.
    pub(crate) async fn role_change(&self) -> RoleChange {
        self.replication.change_wanted().await
    }

    /// Notes how far the log is committed, for a later start. Blocks.
    pub(crate) fn keep_committed(&self) {
        if !self.replication.compares_histories() {
            return;
        }
        let committed = self.store.committed().get();
        let kept = self.replication.state.lock().change(|saved| {
            saved.committed = saved.committed.max(committed);
        });
        if let Err(error) = kept {
            tracing::warn!("cannot note how far the log is committed: {error}");
        }
    }

    fn next_replica(&self) -> u64 {
        self.replication
            .next_connection
            .fetch_add(1, Ordering::Relaxed)
    }

    /// Starts what the role needs beside the HA port.
    pub(super) fn start_replication(self: &Arc<Self>) {
        let is_chosen_by_hand = self.replication.is_majority() && self.replication.group.is_none();
        if is_chosen_by_hand && !self.replication.is_slave() {
            self.tasks.spawn(rival::watch(Arc::clone(self)));
        }
        if self.replication.is_slave() {
            self.tasks.spawn(slave::run(Arc::clone(self)));
            self.tasks.spawn(follow::run(Arc::clone(self)));
        } else if self.replication.is_majority() && self.store.must_wait_for_flush() {
            self.tasks.spawn(commit_as_flushed(Arc::clone(self)));
        } else if self.replication.group.is_some() {
            // A master that is alone in its set commits what it has.
            self.tasks.spawn(commit_as_appended(Arc::clone(self)));
        }
    }
}

/// The master's own disk counts as well: looks again whenever it has more.
async fn commit_as_flushed(broker: Arc<Broker>) {
    loop {
        let flushed = broker.store.flushed().get();
        broker.note_replicas();
        broker.store.flushed().reached(flushed + 1).await;
    }
}

/// The same where nobody waits for the disk.
async fn commit_as_appended(broker: Arc<Broker>) {
    loop {
        let mark = if broker.store.must_wait_for_flush() {
            broker.store.flushed()
        } else {
            broker.store.appended()
        };
        let end = mark.get();
        broker.note_replicas();
        mark.reached(end + 1).await;
    }
}

fn now_ms() -> i64 {
    Clock::machine_ms()
}
