//! The broker role: topics, groups, offsets and clients over a store, spoken to through the remoting protocol.
//!
//! [`Broker`] owns one table per subject. Every table is a plain struct without a lock inside; this module wraps each in
//! one mutex and never hands out the guard. Requests come in through a [`Port`] (the main port or the VIP port), the
//! router sends each to its handler, and handlers take from the broker what they use.
//!
//! Deliberately absent so far: ACLs. Their requests are answered with Apache's codes for a broker without them.
//!
//! Lock order: every table's lock is a leaf; none is held across an await or a disk write, except a file's own
//! `saving` lock in [`kept`].

mod assign;
mod attributes;
mod channels;
mod clients;
pub(crate) mod controller;
mod fault;
mod flush_wait;
mod groups;
mod handlers;
mod kept;
mod latency;
mod lifecycle;
mod locks;
mod metrics;
mod modes;
mod offsets;
mod options;
mod parking;
mod pop;
mod port;
mod refusal;
mod registration;
pub(crate) mod replication;
mod router;
mod schedule;
mod session;
mod settings;
mod snapshot;
mod stats;
mod tasks;
#[cfg(test)]
mod tests;
mod timer;
mod topics;
mod transaction;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use self::clients::{Changed, Clients};
use self::flush_wait::FlushWaits;
use self::groups::{GroupMap, Groups};
use self::handlers::pull::{self, ParkedPulls};
use self::kept::Kept;
use self::locks::Locks;
use self::modes::Modes;
use self::offsets::Offsets;
use self::pop::PopState;
use self::registration::Registrar;
use self::replication::Replication;
use self::schedule::Schedule;
use self::snapshot::Snapshot;
use self::stats::Stats;
use self::tasks::Tasks;
use self::timer::Timer;
use self::topics::{TopicMap, Topics};
use self::transaction::Transactions;
use crate::base::{GroupName, QueueId, TopicName};
use crate::message::{UniqIds, names};
use crate::protocol::body::subscription_group::SubscriptionGroupConfig;
use crate::protocol::body::topic_config::TopicConfig;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::header::group::NotifyConsumerIdsChangedRequestHeader;
use crate::remoting::Channel;
use crate::store::{LIGHT_QUEUE_PREFIX, Queue, Store};
use crate::sys::Clock;

pub(crate) use controller::{Member, Membership};
pub use fault::FaultSpec;
pub(crate) use fault::Faults;
pub(crate) use lifecycle::BrokerError;
pub(crate) use metrics::BrokerMetrics;
pub(crate) use options::{BrokerOptions, OptionError};
pub(crate) use port::Port;
pub(crate) use replication::BrokerRole;
pub(crate) use settings::{Changes, Keep, Settings, Unkept};

/// A running broker.
pub(crate) struct Broker {
    options: Snapshot<BrokerOptions>,
    settings: Arc<Settings>,
    clock: Clock,
    store: Arc<Store>,
    topics: Kept<Topics>,
    topic_map: Snapshot<TopicMap>,
    groups: Kept<Groups>,
    group_map: Snapshot<GroupMap>,
    offsets: Kept<Offsets>,
    modes: Kept<Modes>,
    schedule: Schedule,
    pop: PopState,
    /// `None` where `timerWheelEnable` is off.
    timer: Option<Timer>,
    transactions: Transactions,
    clients: Mutex<Clients<Arc<Channel>>>,
    locks: Mutex<Locks>,
    parked: ParkedPulls,
    flush_waits: FlushWaits,
    stats: Stats,
    registrar: Registrar,
    replication: Replication,
    tasks: Tasks,
    unique_ids: UniqIds,
    store_host: SocketAddr,
    started_ms: i64,
    /// The machine's memory.
    memory_bytes: u64,
}

impl Broker {
    /// Makes a unique key for a message whose producer set none.
    fn push_unique_id(&self, out: &mut String) {
        // The id counts from the start of a month; any fixed length of month keeps ids apart as well.
        const MONTH_MS: i64 = 30 * 86_400_000;
        let since = self.clock.now_ms().rem_euclid(MONTH_MS);
        self.unique_ids
            .push_next(out, u32::try_from(since).unwrap_or(0));
    }

    /// Changes the topics; publishes, saves and announces the change if `change` says there was one.
    fn change_topics<R>(&self, change: impl FnOnce(&mut Topics) -> R) -> R {
        let (result, changed) = self.topics.with(|topics| {
            let before = topics.changes();
            let result = change(topics);
            let changed = topics.changes() != before;
            if changed {
                // Published under the table's lock, so that maps appear in the order of the changes.
                self.topic_map.publish(Arc::new(topics.map()));
            }
            (result, changed)
        });
        if changed {
            self.topics.save();
            self.registrar.announce_topics();
        }
        result
    }

    /// Changes the groups; publishes and saves if there was a change.
    fn change_groups<R>(&self, change: impl FnOnce(&mut Groups) -> R) -> R {
        let (result, changed) = self.groups.with(|groups| {
            let before = groups.changes();
            let result = change(groups);
            let changed = groups.changes() != before;
            if changed {
                self.group_map.publish(Arc::new(groups.map()));
            }
            (result, changed)
        });
        if changed {
            self.groups.save();
        }
        result
    }

    /// Makes a topic for a send, if its template allows it; says whether it is there now.
    fn create_topic_from_template(
        &self,
        topic: &TopicName,
        template: &str,
        queues: i32,
        sys_flag: i32,
    ) -> bool {
        let now_ms = self.clock.now_ms();
        self.change_topics(|topics| {
            topics
                .create_from_template(topic, template, (queues, sys_flag), now_ms)
                .is_some()
        })
    }

    /// Makes a topic the broker itself needs, unless it is there.
    fn ensure_topic(&self, name: &TopicName, queues: i32, perm: i32, order: bool, sys_flag: i32) {
        let there = self
            .topic_map
            .load()
            .get(name.as_str())
            .map(|known| known.order);
        if there == Some(order) {
            return;
        }
        let wanted = TopicConfig {
            order,
            topic_sys_flag: sys_flag,
            ..topics::plain(name, queues, perm)
        };
        let now_ms = self.clock.now_ms();
        self.change_topics(|topics| topics.ensure(wanted, now_ms));
    }

    /// A topic's configuration.
    fn topic(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        let known = self.topic_map.load().get(topic).map(Arc::clone);
        known.or_else(|| self.light_topic(topic))
    }

    /// A queue to append to, made in the store if it is new, of the kind that its topic has.
    fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        let config = self.topic_map.load().get(topic.as_str()).map(Arc::clone);
        if config.is_some_and(|config| topics::has_batch_queues(&config)) {
            self.store.batch_queue(topic, id)
        } else {
            self.store.queue(topic, id)
        }
    }

    /// Whether a topic or group is that of a light queue. Those are nowhere listed: each has one queue.
    fn is_light(&self, name: &str) -> bool {
        name.starts_with(LIGHT_QUEUE_PREFIX) && self.options.load().store.light_queues
    }

    /// What stands for the configuration of a light queue.
    fn light_topic(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        self.is_light(topic).then(|| {
            let both = topics::PERM_READ | topics::PERM_WRITE;
            Arc::new(topics::plain(&TopicName::stored(topic), 1, both))
        })
    }

    /// A group's configuration. An unknown group with a good name is made, if that is allowed.
    fn find_group(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(known) = self.group_map.load().groups.get(group) {
            return Some(Arc::clone(known));
        }
        if self.is_light(group) {
            return Some(Arc::new(SubscriptionGroupConfig {
                group_name: group.to_owned(),
                ..SubscriptionGroupConfig::default()
            }));
        }
        if !self.options.load().auto_create_subscription_group {
            return None;
        }
        let name = GroupName::parse(group).ok()?;
        let now_ms = self.clock.now_ms();
        self.change_groups(|groups| {
            groups.create(&name, now_ms);
            groups.get(group).map(Arc::clone)
        })
    }

    fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        self.group_map.load().is_read_forbidden(group, topic)
    }

    /// Wakes the consumers that wait for messages of a queue.
    fn wake(self: &Arc<Self>, topic: &TopicName, queue: QueueId) {
        if topic.as_str() == names::SCHEDULE_TOPIC {
            self.schedule.ring();
        }
        if *topic == self.pop.revive_topic {
            self.pop.revival.ring();
        }
        if topic.as_str() == names::TIMER_TOPIC
            && let Some(timer) = &self.timer
        {
            timer.ring();
        }
        pull::wake(self, topic, queue);
        handlers::pop::wake(self, topic, queue);
    }

    /// Tells a group to look at its queues again when its first retried message is there and nobody asks for it.
    ///
    /// Clients learn late that their retry topic exists: the Java client of 5.5.0 assigns queues every 20 s only, so that
    /// without this the first retry could come as much later than its delay says.
    fn invite(&self, retry_topic: &TopicName, queue: QueueId) {
        let prefix = crate::base::ids::RETRY_PREFIX;
        let Some(group) = retry_topic.as_str().strip_prefix(prefix) else {
            return;
        };
        let topic = retry_topic.as_str();
        let known = self
            .offsets
            .with(|offsets| offsets.was_pulled(topic, group, queue.to_wire()));
        if known || self.parked.waits(topic, queue) {
            return;
        }
        let members = self
            .clients
            .lock()
            .group(group)
            .map(clients::ConsumerGroup::to_notify);
        self.notify_members(group, &members.unwrap_or_default());
    }

    /// Tells the members of a group that its membership changed.
    fn notify_members(&self, group: &str, members: &[Arc<Channel>]) {
        let header = NotifyConsumerIdsChangedRequestHeader {
            consumer_group: group,
        };
        let wanted = self
            .group_map
            .load()
            .groups
            .get(group)
            .is_none_or(|config| config.notify_consumer_ids_changed_enable);
        if !wanted {
            return;
        }
        let request = Command::request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, &header);
        for member in members {
            member.send_oneway(request.clone());
        }
    }

    fn notify_changed(&self, changed: Vec<Changed<Arc<Channel>>>) {
        for change in changed {
            self.notify_members(change.group.as_str(), &change.handles);
        }
    }
}
