//! Which clients are connected, what they subscribe to, and who must hear of a change.
//!
//! Producers and consumers are known by their channel. A method that changes the membership of a consumer group
//! returns the channels to notify; the caller sends, after the table is unlocked. The table is generic over the handle
//! that reaches a client, so it can be tested without sockets.
//!
//! A pull that brings its own subscription belongs to no member; its subscription is kept apart, for administrators
//! who ask what a group consumes, and forgotten after a while.
//!
//! Lock order: leaf (the broker wraps the table in one mutex).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::base::GroupName;
use crate::filter::{Filter, FilterError, TagFilter, is_tag_type};
use crate::protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData,
};
use crate::protocol::codes::LanguageCode;

/// One client on one channel.
#[derive(Debug, Clone)]
pub(crate) struct Member<H> {
    pub(crate) handle: H,
    pub(crate) client_id: String,
    pub(crate) language: LanguageCode,
    pub(crate) version: i32,
    pub(crate) updated_ms: i64,
}

/// What a group consumes of one topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subscription {
    /// As the client sent it.
    pub(crate) data: SubscriptionData,
    /// Compiled, or why that cannot be done: the consumer hears of it when it pulls.
    pub(crate) filter: Result<Filter, FilterError>,
}

impl Subscription {
    /// Compiles what a heartbeat brought.
    pub(crate) fn from_heartbeat(data: SubscriptionData) -> Self {
        let filter = if is_tag_type(Some(&data.expression_type)) {
            let (tags, codes) = (data.tags_set.clone(), data.code_set.clone());
            Ok(Filter::Tags(TagFilter::from_client(
                &data.sub_string,
                tags,
                codes,
            )))
        } else {
            Filter::parse(Some(&data.expression_type), &data.sub_string)
        };
        Self { data, filter }
    }
}

/// How a group consumes, as its members said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupTraits {
    pub(crate) consume_type: ConsumeType,
    pub(crate) message_model: MessageModel,
    pub(crate) consume_from_where: ConsumeFromWhere,
}

/// A consumer group with at least one member.
#[derive(Debug)]
pub(crate) struct ConsumerGroup<H> {
    pub(crate) traits: GroupTraits,
    pub(crate) subscriptions: BTreeMap<String, Arc<Subscription>>,
    /// By channel number, so that lists are in order of connection.
    pub(crate) members: BTreeMap<u64, Member<H>>,
    /// The last heartbeat fingerprint of any member.
    fingerprint: i32,
}

impl<H: Clone> ConsumerGroup<H> {
    fn handles(&self) -> Vec<H> {
        let members = self.members.values();
        members.map(|member| member.handle.clone()).collect()
    }

    /// Members of a broadcasting group do not share queues, so they need not hear of each other.
    pub(crate) fn to_notify(&self) -> Vec<H> {
        if self.traits.message_model == MessageModel::Broadcasting {
            Vec::new()
        } else {
            self.handles()
        }
    }
}

/// Who must be told that the membership of a group changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed<H> {
    pub(crate) group: GroupName,
    pub(crate) handles: Vec<H>,
}

/// A consumer's part of a heartbeat.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) traits: GroupTraits,
    /// `None`: the client only refreshes its channel.
    pub(crate) subscriptions: Option<Vec<SubscriptionData>>,
    pub(crate) fingerprint: i32,
}

/// Whether a consumer heartbeat changed anything.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered<H> {
    /// Whom to notify; empty when nothing changed.
    pub(crate) notify: Vec<H>,
    /// The group's fingerprint was another one: the client must send its subscriptions again.
    pub(crate) fingerprint_changed: bool,
}

struct Pulled {
    subscription: Arc<Subscription>,
    seen_ms: i64,
}

/// All clients of a broker.
pub(crate) struct Clients<H> {
    producers: HashMap<GroupName, BTreeMap<u64, Member<H>>>,
    consumers: HashMap<GroupName, ConsumerGroup<H>>,
    /// `group -> topic`, of pulls that bring their own subscription.
    pulled: HashMap<GroupName, HashMap<String, Pulled>>,
}

impl<H> Default for Clients<H> {
    fn default() -> Self {
        Self {
            producers: HashMap::new(),
            consumers: HashMap::new(),
            pulled: HashMap::new(),
        }
    }
}

impl<H: Clone> Clients<H> {
    /// Registers or refreshes a producer.
    pub(crate) fn register_producer(&mut self, group: &str, channel: u64, member: Member<H>) {
        if let Some(members) = self.producers.get_mut(group) {
            members.insert(channel, member);
            return;
        }
        self.producers
            .entry(GroupName::stored(group))
            .or_default()
            .insert(channel, member);
    }

    /// Takes a producer out of its group.
    pub(crate) fn unregister_producer(&mut self, group: &str, channel: u64) {
        if let Some(members) = self.producers.get_mut(group) {
            members.remove(&channel);
            if members.is_empty() {
                self.producers.remove(group);
            }
        }
    }

    /// Registers or refreshes a consumer.
    pub(crate) fn register_consumer(
        &mut self,
        group: &GroupName,
        channel: u64,
        member: Member<H>,
        heartbeat: Registration,
    ) -> Registered<H> {
        let known = self.consumers.get(group.as_str());
        let fingerprint_changed =
            known.is_some_and(|known| known.fingerprint != heartbeat.fingerprint);
        let entry = self
            .consumers
            .entry(group.clone())
            .or_insert_with(|| ConsumerGroup {
                traits: heartbeat.traits,
                subscriptions: BTreeMap::new(),
                members: BTreeMap::new(),
                fingerprint: heartbeat.fingerprint,
            });
        entry.traits = heartbeat.traits;
        entry.fingerprint = heartbeat.fingerprint;
        let mut changed = entry.members.insert(channel, member).is_none();
        // A client that believes its subscriptions to be known, after a restart of the broker.
        let unknown = heartbeat.subscriptions.is_none() && entry.subscriptions.is_empty();
        if let Some(subscriptions) = heartbeat.subscriptions {
            changed |= subscribe(&mut entry.subscriptions, subscriptions);
        }
        Registered {
            notify: if changed {
                entry.to_notify()
            } else {
                Vec::new()
            },
            fingerprint_changed: fingerprint_changed || unknown,
        }
    }

    /// Takes a consumer out of its group.
    pub(crate) fn unregister_consumer(&mut self, group: &str, channel: u64) -> Option<Changed<H>> {
        let entry = self.consumers.get_mut(group)?;
        entry.members.remove(&channel)?;
        let handles = entry.to_notify();
        if entry.members.is_empty() {
            self.consumers.remove(group);
        }
        Some(Changed {
            group: GroupName::stored(group),
            handles,
        })
    }

    /// Forgets a closed channel. Returns the groups it was in.
    pub(crate) fn channel_closed(&mut self, channel: u64) -> Vec<Changed<H>> {
        self.remove_members(|number, _| number == channel)
    }

    /// Forgets members that sent nothing for `timeout_ms`, and pulls as old. Returns the groups that changed and
    /// the handles of everyone who was dropped.
    pub(crate) fn expire(&mut self, now_ms: i64, timeout_ms: i64) -> (Vec<Changed<H>>, Vec<H>) {
        let old = |seen_ms: i64| now_ms.saturating_sub(seen_ms) > timeout_ms;
        let mut dropped: BTreeMap<u64, H> = BTreeMap::new();
        let producers = self.producers.values();
        let consumers = self.consumers.values().map(|group| &group.members);
        for (number, member) in producers.chain(consumers).flatten() {
            if old(member.updated_ms) {
                dropped.insert(*number, member.handle.clone());
            }
        }
        for topics in self.pulled.values_mut() {
            topics.retain(|_, pulled| !old(pulled.seen_ms));
        }
        self.pulled.retain(|_, topics| !topics.is_empty());
        let changed = self.remove_members(|_, member| old(member.updated_ms));
        (changed, dropped.into_values().collect())
    }

    fn remove_members(&mut self, gone: impl Fn(u64, &Member<H>) -> bool) -> Vec<Changed<H>> {
        for members in self.producers.values_mut() {
            members.retain(|number, member| !gone(*number, member));
        }
        self.producers.retain(|_, members| !members.is_empty());
        let mut changed = Vec::new();
        for (group, entry) in &mut self.consumers {
            let before = entry.members.len();
            entry
                .members
                .retain(|number, member| !gone(*number, member));
            if entry.members.len() != before {
                changed.push(Changed {
                    group: group.clone(),
                    handles: entry.to_notify(),
                });
            }
        }
        self.consumers.retain(|_, entry| !entry.members.is_empty());
        changed.sort_by(|a, b| a.group.cmp(&b.group));
        changed
    }

    /// Remembers the subscription a pull brought along.
    pub(crate) fn note_pull(
        &mut self,
        group: &str,
        topic: &str,
        subscription: Arc<Subscription>,
        now_ms: i64,
    ) {
        let pulled = Pulled {
            subscription,
            seen_ms: now_ms,
        };
        if let Some(topics) = self.pulled.get_mut(group) {
            if let Some(known) = topics.get_mut(topic) {
                *known = pulled;
                return;
            }
            topics.insert(topic.to_owned(), pulled);
            return;
        }
        self.pulled
            .entry(GroupName::stored(group))
            .or_default()
            .insert(topic.to_owned(), pulled);
    }

    /// The subscription the last pull of a group for a topic brought along.
    pub(crate) fn pulled(&self, group: &str, topic: &str) -> Option<Arc<Subscription>> {
        let pulled = self.pulled.get(group)?.get(topic)?;
        Some(Arc::clone(&pulled.subscription))
    }

    /// A group with members.
    pub(crate) fn group(&self, group: &str) -> Option<&ConsumerGroup<H>> {
        self.consumers.get(group)
    }

    /// What a group consumes of a topic: of its members, else of its latest pull.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Option<Arc<Subscription>> {
        let of_members = self
            .consumers
            .get(group)
            .and_then(|entry| entry.subscriptions.get(topic));
        let found = of_members.or_else(|| {
            let pulled = self.pulled.get(group)?.get(topic)?;
            Some(&pulled.subscription)
        });
        found.map(Arc::clone)
    }

    /// The groups whose members subscribe to a topic, sorted.
    pub(crate) fn groups_of_topic(&self, topic: &str) -> Vec<String> {
        let mut groups: Vec<String> = self
            .consumers
            .iter()
            .filter(|(_, entry)| entry.subscriptions.contains_key(topic))
            .map(|(group, _)| group.to_string())
            .collect();
        groups.sort_unstable();
        groups
    }

    /// All producer groups with members.
    pub(crate) fn producer_groups(
        &self,
    ) -> impl Iterator<Item = (&GroupName, &BTreeMap<u64, Member<H>>)> {
        self.producers.iter()
    }

    /// All consumer groups, with how many members each has.
    pub(crate) fn consumer_groups(&self) -> impl Iterator<Item = (&GroupName, usize)> {
        self.consumers
            .iter()
            .map(|(group, entry)| (group, entry.members.len()))
    }

    /// The members of a producer group.
    pub(crate) fn producers(&self, group: &str) -> Option<&BTreeMap<u64, Member<H>>> {
        self.producers.get(group)
    }

    /// The channel of a consumer by its client id.
    pub(crate) fn consumer(&self, group: &str, client_id: &str) -> Option<&Member<H>> {
        let mut members = self.consumers.get(group)?.members.values();
        members.find(|member| member.client_id == client_id)
    }

    /// The channel of any client by its id, producers first: that is who waits for a reply.
    pub(crate) fn client(&self, client_id: &str) -> Option<&Member<H>> {
        let producers = self.producers.values();
        let consumers = self.consumers.values().map(|group| &group.members);
        producers
            .chain(consumers)
            .flat_map(BTreeMap::values)
            .find(|member| member.client_id == client_id)
    }
}

/// Replaces a group's subscriptions by newer ones; says whether its set of topics changed.
fn subscribe(
    known: &mut BTreeMap<String, Arc<Subscription>>,
    fresh: Vec<SubscriptionData>,
) -> bool {
    let before: Vec<String> = known.keys().cloned().collect();
    known.retain(|topic, _| fresh.iter().any(|data| data.topic == *topic));
    for data in fresh {
        let newer = known
            .get(&data.topic)
            .is_none_or(|old| data.sub_version > old.data.sub_version);
        if newer {
            known.insert(
                data.topic.clone(),
                Arc::new(Subscription::from_heartbeat(data)),
            );
        }
    }
    !known.keys().eq(before.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(handle: u64, updated_ms: i64) -> Member<u64> {
        Member {
            handle,
            client_id: format!("c{handle}"),
            language: LanguageCode::JAVA,
            version: 513,
            updated_ms,
        }
    }

    fn topic(topic: &str, sub_version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.to_owned(),
            sub_string: "*".to_owned(),
            sub_version,
            ..SubscriptionData::default()
        }
    }

    fn beat(topics: &[SubscriptionData]) -> Registration {
        Registration {
            traits: GroupTraits {
                consume_type: ConsumeType::Passively,
                message_model: MessageModel::Clustering,
                consume_from_where: ConsumeFromWhere::LastOffset,
            },
            subscriptions: Some(topics.to_vec()),
            fingerprint: 0,
        }
    }

    #[test]
    fn members_hear_of_each_other() {
        let group = GroupName::stored("g");
        let mut clients = Clients::default();
        let first = clients.register_consumer(&group, 1, member(1, 0), beat(&[topic("T", 1)]));
        assert_eq!(first.notify, [1]);
        let again = clients.register_consumer(&group, 1, member(1, 5), beat(&[topic("T", 2)]));
        assert!(again.notify.is_empty());
        let second = clients.register_consumer(&group, 2, member(2, 5), beat(&[topic("T", 2)]));
        assert_eq!(second.notify, [1, 2]);
        let more = clients.register_consumer(
            &group,
            2,
            member(2, 5),
            beat(&[topic("T", 2), topic("U", 2)]),
        );
        assert_eq!(more.notify, [1, 2]);
        assert_eq!(clients.groups_of_topic("U"), ["g"]);
        let changed = clients.unregister_consumer("g", 1).unwrap();
        assert_eq!(changed.handles, [2]);
        assert!(clients.channel_closed(2)[0].handles.is_empty());
        assert!(clients.group("g").is_none());
    }

    #[test]
    fn a_newer_subscription_replaces_the_older() {
        let group = GroupName::stored("g");
        let mut clients = Clients::default();
        clients.register_consumer(&group, 1, member(1, 0), beat(&[topic("T", 5)]));
        clients.register_consumer(&group, 1, member(1, 0), beat(&[topic("T", 4)]));
        let found = clients.subscription("g", "T").unwrap();
        assert_eq!(found.data.sub_version, 5);
    }

    #[test]
    fn silent_clients_expire() {
        let group = GroupName::stored("g");
        let mut clients = Clients::default();
        clients.register_producer("p", 7, member(7, 100));
        clients.register_consumer(&group, 1, member(1, 0), beat(&[topic("T", 1)]));
        clients.register_consumer(&group, 2, member(2, 100), beat(&[topic("T", 1)]));
        let (changed, dropped) = clients.expire(120, 119);
        assert_eq!((changed[0].handles.clone(), dropped), (vec![2], vec![1]));
        assert_eq!(clients.client("c7").unwrap().handle, 7);
        let (_, dropped) = clients.expire(1000, 119);
        assert_eq!(dropped, [2, 7]);
        assert!(clients.client("c7").is_none());
    }

    #[test]
    fn a_pull_leaves_its_subscription() {
        let mut clients: Clients<u64> = Clients::default();
        let subscription = Arc::new(Subscription::from_heartbeat(topic("T", 1)));
        clients.note_pull("g", "T", Arc::clone(&subscription), 0);
        assert_eq!(clients.subscription("g", "T"), Some(subscription));
        clients.expire(200, 100);
        assert_eq!(clients.subscription("g", "T"), None);
    }

    #[test]
    fn another_fingerprint_asks_for_the_subscriptions() {
        let group = GroupName::stored("g");
        let mut clients = Clients::default();
        let mut heartbeat = beat(&[topic("T", 1)]);
        heartbeat.fingerprint = 9;
        let first = clients.register_consumer(&group, 1, member(1, 0), heartbeat);
        assert!(!first.fingerprint_changed);
        let mut light = beat(&[]);
        light.subscriptions = None;
        light.fingerprint = 8;
        let second = clients.register_consumer(&group, 1, member(1, 0), light);
        assert!(second.fingerprint_changed);
        assert!(clients.subscription("g", "T").is_some());
    }

    #[test]
    fn a_light_heartbeat_of_an_unknown_group_asks_for_the_subscriptions() {
        let mut clients = Clients::default();
        let mut light = beat(&[]);
        light.subscriptions = None;
        light.fingerprint = 8;
        let group = GroupName::stored("g");
        let registered = clients.register_consumer(&group, 1, member(1, 0), light);
        assert!(registered.fingerprint_changed);
    }
}
