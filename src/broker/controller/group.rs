//! The broker's side of its membership: taking the role the controller gives, and committing with the sync state set.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use super::Member;
use super::ask::{AskError, Controller, Master, Told};
use super::sync_set::{Confirmed, Seen, SyncSet, View};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::replication::state::{SavedSet, StateFile};
use crate::broker::replication::{BrokerRole, RoleChange, Wait};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::broker::ExchangeHAInfoRequestHeader;
use crate::sys::Clock;

const CALL_LIMIT: Duration = Duration::from_secs(1);

/// What a broker knows of its group while it has one role.
#[derive(Debug)]
pub(crate) struct Group {
    member: Arc<Member>,
    /// A master's.
    set: Mutex<SyncSet>,
    /// The number of the set an earlier run in this epoch knew.
    before: Option<i32>,
    /// Whether the controller has spoken since the role began.
    settled: AtomicBool,
}

impl Group {
    /// A role begins: `saved` is what was noted of the set, `epoch` that of a master.
    pub(crate) fn new(member: Arc<Member>, saved: Option<&SavedSet>, epoch: i32) -> Self {
        let before = saved.filter(|saved| saved.epoch == epoch);
        let own = member.id().or_else(|| before.map(|saved| saved.own));
        let union = before.map_or_else(BTreeSet::new, |saved| saved.members.clone());
        Self {
            set: Mutex::new(SyncSet::new(
                own.unwrap_or_default(),
                union,
                Clock::machine_ms(),
            )),
            before: before.map(|saved| saved.number),
            member,
            settled: AtomicBool::new(false),
        }
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Whether this broker has its role from the controller; until then it is nobody's and is known nowhere.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Whether a slave is in the sync state set.
    pub(crate) fn is_in_sync(&self, id: Option<i64>) -> bool {
        id.is_some_and(|id| self.set.lock().has(id))
    }

    /// How many are in the set, the master included.
    pub(crate) fn in_sync(&self) -> usize {
        let set = self.set.lock();
        set.confirmed().map_or(0, |set| set.members.len())
    }
}

/// Lets a broker without a role of its own wait for one: as a slave of nobody.
pub(crate) fn await_role(options: &mut BrokerOptions, state: &StateFile, member: &Member) {
    options.ha_master_address.clear();
    if state.saved().role.is_none() {
        options.broker_role = BrokerRole::Slave;
        options.broker_id = member.id().unwrap_or(-1);
        options.master_addr.clear();
    } else if options.broker_role == BrokerRole::AsyncMaster {
        // A master in a controller's group is what Apache's is.
        options.broker_role = BrokerRole::SyncMaster;
    }
}

/// Runs what may block.
async fn blocking(
    broker: &Arc<Broker>,
    work: impl FnOnce(&Broker) -> io::Result<()> + Send + 'static,
) -> Result<(), AskError> {
    let broker = Arc::clone(broker);
    match tokio::task::spawn_blocking(move || work(&broker)).await {
        Ok(done) => done.map_err(|error| AskError::Here(error.to_string())),
        Err(error) => Err(AskError::Here(error.to_string())),
    }
}

impl Broker {
    /// Whether nothing is left to do for the role the controller gave.
    pub(super) fn is_as_told(&self) -> bool {
        let Some(group) = self.replication.group() else {
            return true;
        };
        group.is_settled() && (!self.is_slave() || self.replication.link().connected)
    }

    /// Takes the role the controller gives.
    pub(super) async fn be_what_is_told(
        self: &Arc<Self>,
        id: i64,
        (told, asked_ms): (Told, i64),
    ) -> Result<(), AskError> {
        let Some(master) = told.master.clone() else {
            return Ok(());
        };
        let own = self.replication.epoch();
        if told.epoch < own.max(self.replication.promised()) {
            return Err(AskError::Here(format!(
                "the controller knows of epoch {} only, this broker of epoch {}: it has lost its memory, or does not lead",
                told.epoch,
                own.max(self.replication.promised())
            )));
        }
        if master.id != id {
            return self.follow_master(id, &master, told.epoch).await;
        }
        if self.has_lost() {
            return Err(AskError::Here(
                "this broker has lost messages that were committed: it does not become master"
                    .to_owned(),
            ));
        }
        if !self.is_slave() && told.epoch == own {
            return self.go_on_as_master(id, told.set, asked_ms).await;
        }
        let change = RoleChange {
            role: BrokerRole::SyncMaster,
            broker_id: 0,
            master: None,
            epoch: Some(told.epoch),
            cut_at: None,
        };
        blocking(self, move |broker| broker.change_role(change)).await
    }

    /// Whether its log ends before what it knew to be committed: until it has followed a master it must not be one, and
    /// says no sign of life, so that another is chosen.
    pub(super) fn has_lost(&self) -> bool {
        let standing = self.standing();
        self.replication.is_majority() && standing.log_end < standing.committed
    }

    async fn follow_master(
        self: &Arc<Self>,
        id: i64,
        master: &Master,
        epoch: i32,
    ) -> Result<(), AskError> {
        let options = self.options.load();
        if self.is_slave() && options.broker_id == id {
            return self.follow_here(master, epoch).await;
        }
        let change = RoleChange {
            role: BrokerRole::Slave,
            broker_id: id,
            master: Some(master.address.clone()),
            epoch: None,
            cut_at: None,
        };
        blocking(self, move |broker| {
            // From here on nothing is taken and nothing acknowledged in the old role.
            broker.fence(epoch)?;
            broker.change_role(change)
        })
        .await
    }

    /// A slave stays one; only its master may be another.
    async fn follow_here(self: &Arc<Self>, master: &Master, epoch: i32) -> Result<(), AskError> {
        let Some(group) = self.replication.group() else {
            return Ok(());
        };
        // The old master is left before the new epoch is promised, so that no report reaches the one for the other.
        let moved = self.replication.change_master(&master.address);
        let address = master.address.clone();
        blocking(self, move |broker| {
            broker.note_master(&address)?;
            broker.fence(epoch).map(drop)
        })
        .await?;
        if !group.settled.swap(true, Ordering::AcqRel) || moved {
            tracing::info!(master = master.address, epoch, "a slave of this master");
            self.registrar.announce();
        }
        Ok(())
    }

    /// Asks the master where its HA port is, if that is not known; one that is not master yet does not say. False if it has
    /// to be asked again.
    pub(super) async fn knows_ha_address(self: &Arc<Self>) -> bool {
        let link = self.replication.link();
        let Some(address) = link.address.filter(|_| self.is_slave()) else {
            return true;
        };
        if link.ha_address.is_none() {
            self.ask_for_ha_address(&address).await;
        }
        self.replication.link().ha_address.is_some()
    }

    async fn ask_for_ha_address(self: &Arc<Self>, address: &str) {
        let Ok(Ok(channel)) = timeout(CALL_LIMIT, self.registrar.channel(address)).await else {
            return;
        };
        let header = ExchangeHAInfoRequestHeader::default();
        let request = Command::request(RequestCode::EXCHANGE_BROKER_HA_INFO, &header);
        let Ok(reply) = channel.call(request, CALL_LIMIT).await else {
            return;
        };
        if reply.code == ResponseCode::SUCCESS
            && let Ok(header) = reply.header::<ExchangeHAInfoRequestHeader<'_>>()
            && let Some(ha_address) = header.master_ha_address.filter(|told| !told.is_empty())
        {
            self.replication.master_is(Some(ha_address), Some(address));
            self.replication.copy_tables();
        }
    }

    /// The controller confirms the master this broker is.
    async fn go_on_as_master(
        self: &Arc<Self>,
        id: i64,
        set: Confirmed,
        asked_ms: i64,
    ) -> Result<(), AskError> {
        let Some(group) = self.replication.group() else {
            return Ok(());
        };
        let number = set.number;
        if group.before.is_some_and(|before| number < before) {
            return Err(AskError::Here(format!(
                "the controller knows of set {number} only, this master of a later one: it does not lead"
            )));
        }
        let changed = {
            let mut known = group.set.lock();
            known.set_own(id);
            let changed = known.told(set, asked_ms, Clock::machine_ms());
            if group.before.is_none_or(|before| number > before) && !group.is_settled() {
                known.settle();
            }
            changed
        };
        if changed {
            self.note_set().await?;
        }
        if !group.settled.swap(true, Ordering::AcqRel) && !self.replication.is_fenced() {
            let epoch = self.replication.epoch();
            tracing::info!(epoch, "master, confirmed by the controller");
            self.store.set_replica(false);
            self.registrar.announce();
        }
        if changed {
            self.note_replicas();
        }
        Ok(())
    }

    /// Notes who may be elected, for a later start in the same epoch.
    async fn note_set(self: &Arc<Self>) -> Result<(), AskError> {
        let Some(group) = self.replication.group() else {
            return Ok(());
        };
        let saved = {
            let set = group.set.lock();
            set.confirmed().map(|confirmed| SavedSet {
                own: set.own(),
                epoch: self.replication.epoch(),
                number: confirmed.number,
                members: set.union(),
            })
        };
        let Some(saved) = saved else { return Ok(()) };
        blocking(self, move |broker| broker.keep_set(saved)).await
    }

    /// A master looks who keeps up, and asks the controller for another set if that is another.
    pub(super) async fn keep_sync_set(
        self: &Arc<Self>,
        controller: &Controller<'_>,
    ) -> Result<(), AskError> {
        let Some(group) = self.replication.group() else {
            return Ok(());
        };
        if self.is_slave() || !group.is_settled() || self.replication.is_fenced() {
            return Ok(());
        }
        let (end, now_ms) = (self.store.appended().get(), Clock::machine_ms());
        let slaves = self.slaves_seen(end, now_ms);
        let options = self.options.load();
        let view = View {
            now_ms,
            end,
            epoch_start: self.replication.epoch_start(),
            patience_ms: i64::try_from(options.ha_max_time_slave_not_catchup).unwrap_or(i64::MAX),
            floor: self.least_in_sync(&options),
        };
        let (asked, own) = {
            let mut set = group.set.lock();
            let number = set.confirmed().map_or(0, |set| set.number);
            let wanted = set.ask(view, &slaves);
            let asked = wanted.map(|members| Confirmed { number, members });
            (asked, set.own())
        };
        let Some(asked) = asked else { return Ok(()) };
        // Who is asked for may be elected from now on, whatever becomes of this process.
        self.note_set().await?;
        let epoch = self.replication.epoch();
        let answer = controller.alter((own, epoch), &asked).await;
        match answer {
            Ok(granted) => {
                tracing::info!(members = ?granted.members, number = granted.number, "the sync state set is another one");
                let now_ms = Clock::machine_ms();
                group.set.lock().told(granted, now_ms, now_ms);
                self.note_set().await?;
                self.note_replicas();
                Ok(())
            }
            Err(error) => {
                let mut set = group.set.lock();
                if error.is_refusal() {
                    set.refused();
                } else {
                    set.unanswered(Clock::machine_ms());
                }
                drop(set);
                if error.is(ResponseCode::CONTROLLER_BROKER_NOT_ALIVE) {
                    // It has to be heard by the controller first.
                    tracing::debug!("the sync state set stays: {error}");
                    return Ok(());
                }
                // It may be that another is master.
                group.member.look_now();
                Err(error)
            }
        }
    }

    fn slaves_seen(&self, end: u64, now_ms: i64) -> Vec<Seen> {
        let replicas = self.replication.seen_replicas(end, now_ms);
        let seen = replicas.into_iter().filter_map(|replica| {
            Some(Seen {
                id: replica.broker_id?,
                acked: replica.acked,
                caught_up_ms: replica.caught_up_ms.max(replica.since_ms),
                learner: replica.learner,
            })
        });
        seen.collect()
    }

    /// How many brokers must be in the set for anything to be committed.
    fn least_in_sync(&self, options: &BrokerOptions) -> usize {
        if self.replication.is_majority() {
            usize::try_from(options.total_replicas / 2).unwrap_or(1) + 1
        } else {
            1
        }
    }

    /// The slaves or this broker have more: commits what everybody in the set has.
    pub(crate) fn note_group(self: &Arc<Self>, group: &Group) {
        if self.is_slave() || self.replication.is_fenced() {
            return;
        }
        let options = self.options.load();
        let end = self.store.appended().get();
        let own = if self.store.must_wait_for_flush() {
            self.store.flushed().get()
        } else {
            end
        };
        let replicas = self.replication.replicas();
        let acked = |id: i64| {
            let known = replicas
                .iter()
                .find(|replica| replica.broker_id == Some(id));
            known.map(|replica| replica.acked)
        };
        let least = self.least_in_sync(&options);
        let epoch_start = self.replication.epoch_start();
        let (reached, missed) = {
            let mut set = group.set.lock();
            let reached = set.reach(own, least, acked);
            let missed = replicas.iter().any(|replica| {
                replica.broker_id.is_some_and(|id| {
                    let seen = Seen {
                        id,
                        acked: replica.acked,
                        caught_up_ms: 0,
                        learner: replica.learner,
                    };
                    set.misses(epoch_start, &seen)
                })
            });
            (reached, missed)
        };
        if missed {
            group.member.ring.notify_one();
        }
        let reached = reached.filter(|reached| *reached >= epoch_start);
        if let Some(reached) = reached.filter(|reached| *reached > self.store.committed().get()) {
            self.commit(reached);
        }
        if !self.replication.is_majority() {
            // Apache answers when so many of the set have it, which may be fewer than all.
            let mut acked: Vec<u64> = replicas
                .iter()
                .filter(|replica| group.is_in_sync(replica.broker_id))
                .map(|replica| replica.acked)
                .collect();
            acked.sort_unstable_by(|a, b| b.cmp(a));
            let needed = needed_acks(&options, group.in_sync().saturating_sub(1));
            if let Some(at) = needed.checked_sub(1).and_then(|last| acked.get(last)) {
                self.replication.replicated().advance(*at);
            }
        }
    }

    /// What an answer waits for that is not in majority mode (`CommitLog.handleHA`).
    pub(crate) fn group_wait(
        &self,
        group: &Group,
        options: &BrokerOptions,
        end: LogOffset,
    ) -> Wait {
        let slaves = group.in_sync().saturating_sub(1);
        let needed = needed_acks(options, slaves);
        if needed == 0 || self.replication.replicated().get() >= end.get() {
            return Wait::None;
        }
        if needed > slaves {
            return Wait::NoSlave;
        }
        Wait::Replicas
    }
}

/// How many slaves must have a message before its producer is answered, of `slaves` that are in sync.
fn needed_acks(options: &BrokerOptions, slaves: usize) -> usize {
    if options.all_ack_in_sync_state_set {
        return slaves;
    }
    usize::try_from(options.in_sync_replicas.saturating_sub(1)).unwrap_or(usize::MAX)
}
