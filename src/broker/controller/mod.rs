//! A broker whose role a controller gives (`ReplicasManager`; `enableControllerMode`).
//!
//! [`Membership`] is this process's place in a group of brokers of one name. It gets its id from the controller and keeps
//! it ([`identity`]), says every second that it lives, asks who is master, and changes the broker's role when that is
//! another ([`run`]). It outlives the broker's roles: a change of roles starts the broker anew, and a controller that saw
//! the connection end meanwhile would take it for dead. [`ask`] is what is said to controllers; [`sync_set`] is the set of
//! brokers that must have a message before it counts, and [`group`] is where the broker asks for it.
//!
//! # What it promises
//!
//! A broker is master only while it knows of no later epoch than its own, and takes the first message only after a
//! controller has confirmed that it still is master of its epoch. A message is committed only when everybody has it whom
//! the controller may elect. So whoever is elected has every message that was acknowledged, provided acknowledgement
//! waits for that: with `replication=majority`, or with Apache's `allAckInSyncStateSet`.
//!
//! A master that was not stopped in order may have lost the end of its log, which others have. It does not go on in its
//! epoch: it keeps silent until the controller has missed it and chosen anew.
//!
//! A master whose disk takes no more falls silent as well, if others are in sync: one of them can go on.
//!
//! Absent on purpose: electing. Also believing what a notification says: it only makes this broker ask.
//!
//! Lock order: every lock here is a leaf.

mod ask;
pub(crate) mod group;
mod identity;
mod run;
pub(crate) mod sync_set;

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::ask::Told;
use self::identity::Identity;
use super::Broker;
use super::channels::Channels;
use super::handlers::{Answer, Request, success};
use super::options::BrokerOptions;
use super::tasks::Tasks;
use crate::protocol::header::controller::NotifyBrokerRoleChangedRequestHeader;

/// A broker that is being started anew counts as alive for so long.
const START_LIMIT: Duration = Duration::from_secs(10);
/// A master that takes no messages for so long, because of its disk, lets another take its place.
const REFUSAL_LIMIT: Duration = Duration::from_secs(5);
/// How long a controller may take beyond its limit to miss a broker: Apache's look every 5 s.
const MISSED_LATE: Duration = Duration::from_secs(6);

/// This process's place in its group. Dropping it takes leave: the controllers see the connections end.
#[derive(Debug)]
pub(crate) struct Membership {
    member: Arc<Member>,
    tasks: Tasks,
}

impl Membership {
    /// Joins the group, if the settings ask for that. Must be called within a tokio runtime.
    pub(crate) fn join(options: &BrokerOptions) -> Option<Self> {
        options.enable_controller_mode.then(|| {
            let member = Arc::new(Member::new(options));
            let tasks = Tasks::default();
            for controller in options.controllers() {
                tasks.spawn(run::beat(Arc::clone(&member), controller.to_owned()));
            }
            tasks.spawn(run::run(Arc::clone(&member)));
            Self { member, tasks }
        })
    }

    /// What the broker needs of it.
    pub(crate) fn member(&self) -> Arc<Member> {
        Arc::clone(&self.member)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.tasks.stop();
        for (_, channel) in self.member.channels.take() {
            channel.close();
        }
    }
}

/// What is known of the group, whichever role the broker has.
#[derive(Debug)]
pub(crate) struct Member {
    options: BrokerOptions,
    identity: Identity,
    channels: Channels,
    /// The broker while it runs.
    broker: Mutex<Running>,
    state: Mutex<State>,
    ring: Notify,
}

#[derive(Debug)]
struct Running {
    broker: Weak<Broker>,
    /// When it was stopped last.
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    /// The id the controller gave.
    id: Option<i64>,
    /// Whether the controller knows this broker's address.
    registered: bool,
    /// The controller that leads, and when that was heard.
    leader: Option<(String, Instant)>,
    /// What a controller said last, and when.
    told: Option<(Told, Instant)>,
    /// Until then this broker keeps silent: see the module's words on what may be lost.
    silent_until: Option<Instant>,
    /// Since when this master takes no messages.
    refuses_since: Option<Instant>,
    /// What is told with every sign of life.
    pulse: Pulse,
    /// Somebody said that there is news.
    rung: bool,
}

/// How far a broker's log has got, for who elects.
#[derive(Debug, Clone, Copy, Default)]
struct Pulse {
    epoch: i32,
    end: u64,
    committed: u64,
}

impl Member {
    fn new(options: &BrokerOptions) -> Self {
        let identity = Identity::new(
            &options.store.dir,
            &options.broker_cluster_name,
            &options.broker_name,
        );
        Self {
            options: options.clone(),
            identity,
            channels: Channels::default(),
            broker: Mutex::new(Running {
                broker: Weak::new(),
                since: Instant::now(),
            }),
            state: Mutex::default(),
            ring: Notify::new(),
        }
    }

    /// The broker runs. `clean`: it was stopped in order before.
    pub(super) fn attach(&self, broker: &Arc<Broker>, clean: bool) {
        if !clean && !broker.is_slave() {
            let missed = Duration::from_millis(self.options.controller_heart_beat_timeout_mills);
            tracing::warn!(
                "this broker was master and was not stopped in order: it does not go on in epoch {}, a controller has to choose anew",
                broker.replication.epoch()
            );
            self.state.lock().silent_until = Some(Instant::now() + missed + MISSED_LATE);
        }
        self.broker.lock().broker = Arc::downgrade(broker);
        self.look_now();
    }

    /// The broker is being stopped.
    pub(super) fn detach(&self) {
        let mut running = self.broker.lock();
        running.broker = Weak::new();
        running.since = Instant::now();
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.lock().broker.upgrade()
    }

    /// The id the controller gave, once it has.
    pub(super) fn id(&self) -> Option<i64> {
        self.state.lock().id
    }

    /// There may be news: asks soon.
    pub(super) fn look_now(&self) {
        self.state.lock().rung = true;
        self.ring.notify_one();
    }

    /// What a sign of life says now; `None` while there must be none.
    fn pulse(&self) -> Option<(i64, Pulse)> {
        let alive = {
            let running = self.broker.lock();
            let broker = running.broker.upgrade();
            if broker.is_none() && running.since.elapsed() > START_LIMIT {
                return None;
            }
            broker
        };
        if alive.as_ref().is_some_and(|broker| broker.has_lost()) {
            return None;
        }
        let refuses = alive.as_ref().is_some_and(refuses_for_others);
        let mut state = self.state.lock();
        if state.silent_until.is_some() {
            return None;
        }
        if !refuses {
            state.refuses_since = None;
        } else if state
            .refuses_since
            .get_or_insert_with(Instant::now)
            .elapsed()
            > REFUSAL_LIMIT
        {
            return None;
        }
        if let Some(broker) = alive {
            state.pulse = Pulse {
                epoch: broker.replication.epoch(),
                end: broker.store.appended().get(),
                committed: broker.store.committed().get(),
            };
        }
        Some((state.id?, state.pulse))
    }
}

/// Whether this is a master that takes no messages, and others are there who could.
fn refuses_for_others(broker: &Arc<Broker>) -> bool {
    let others = |group: &group::Group| group.is_settled() && group.in_sync() > 1;
    !broker.is_slave()
        && broker.replication.group().is_some_and(others)
        && broker.write_refusal().is_some()
}

/// Answers `NOTIFY_BROKER_ROLE_CHANGED` (1008). Whoever says it, it is only a reason to ask the controller.
pub(crate) fn notified(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: NotifyBrokerRoleChangedRequestHeader<'_> = request.header()?;
    if let Some(group) = broker.replication.group() {
        tracing::info!(
            master = header.master_address,
            epoch = header.master_epoch,
            "told that the master changed"
        );
        group.member().look_now();
    }
    Ok(success())
}
