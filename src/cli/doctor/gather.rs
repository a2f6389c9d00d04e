//! Asks a cluster and this machine for the facts. What does not answer becomes a fact, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::facts::{
    Broker, DataDir, Facts, Filter, Group, Machine, Member, NameServer, Owned, Queue, Slave,
    is_system_group, is_system_topic,
};
use crate::cli::Context;
use crate::client::admin::{ConsumerRunningInfo, SubscriptionData};
use crate::client::{Admin, Client, ClientError, ClientOptions};
use crate::node::machine;
use crate::store::View;

/// Members of one group that are asked what they subscribe to.
const MEMBERS_ASKED: usize = 64;
/// A member that takes longer to answer hangs.
const MEMBER_LIMIT: Duration = Duration::from_secs(5);
/// Topics that are checked for having a reader.
const TOPICS_CHECKED: usize = 500;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Only these groups; all if empty.
    pub(crate) groups: Vec<String>,
    /// The time between the two looks at offsets.
    pub(crate) interval: Duration,
    /// Whether topics are looked at.
    pub(crate) topics: bool,
}

/// Connects, or says which name servers were tried.
pub(crate) async fn connect(context: &Context) -> Result<Client, ClientError> {
    Client::connect(context.name_servers(), ClientOptions::default()).await
}

/// Everything about a cluster.
pub(crate) async fn cluster(client: &Client, context: &Context, scope: &Scope) -> Facts {
    let admin = client.admin();
    let mut facts = Facts {
        now_ms: context.clock.now_ms(),
        interval_ms: i64::try_from(scope.interval.as_millis()).unwrap_or(i64::MAX),
        ..Facts::default()
    };
    name_servers(&admin, context, &mut facts).await;
    brokers(&admin, context, &mut facts).await;
    groups(&admin, scope, &mut facts).await;
    if scope.topics {
        topics(&admin, &mut facts).await;
    }
    facts
}

async fn name_servers(admin: &Admin, context: &Context, facts: &mut Facts) {
    for address in context.name_servers() {
        let mut server = NameServer {
            address: address.clone(),
            ..NameServer::default()
        };
        match admin.clusters_at(&address).await {
            Err(error) => server.error = Some(error.to_string()),
            Ok(clusters) => {
                for broker in clusters.brokers {
                    for (id, at) in broker.addresses {
                        server.brokers.insert(format!("{}:{id}", broker.name), at);
                    }
                }
                match admin.topics_at(&address).await {
                    Ok(topics) => server.topics = topics.into_iter().collect(),
                    Err(error) => facts.unasked.push(error.to_string()),
                }
                // Only for the bundle; a name server that keeps its settings to itself is no finding.
                server.config = admin.name_server_config(&address).await.unwrap_or_default();
            }
        }
        facts.name_servers.push(server);
    }
}

async fn brokers(admin: &Admin, context: &Context, facts: &mut Facts) {
    let clusters = match admin.clusters().await {
        Ok(clusters) => clusters,
        Err(error) => {
            facts.unasked.push(error.to_string());
            return;
        }
    };
    for group in clusters.brokers {
        for (id, address) in &group.addresses {
            let mut broker = Broker {
                cluster: group.cluster.clone(),
                name: group.name.to_string(),
                id: *id,
                address: address.clone(),
                ..Broker::default()
            };
            ask_broker(admin, context, &mut broker, &mut facts.unasked).await;
            facts.brokers.push(broker);
        }
    }
}

async fn ask_broker(
    admin: &Admin,
    context: &Context,
    broker: &mut Broker,
    unasked: &mut Vec<String>,
) {
    match admin.broker_runtime(&broker.address).await {
        Ok(runtime) => broker.runtime = runtime,
        Err(error) if error.is_unreachable() => {
            broker.error = Some(error.to_string());
            return;
        }
        Err(error) => unasked.push(error.to_string()),
    }
    match admin.broker_config(&broker.address).await {
        Ok(config) => broker.config = config,
        Err(error) => unasked.push(error.to_string()),
    }
    let before = context.clock.now_ms();
    if let Ok(clock) = admin.clock(&broker.address, None).await {
        broker.is_rmq = true;
        broker.virtual_clock = clock.is_virtual;
        broker.clock_ahead_ms = Some(ahead(clock.now_ms, before, context.clock.now_ms()));
    } else {
        let before = context.clock.now_ms();
        if let Ok(Some(time)) = admin.time_at(&broker.address).await {
            broker.clock_ahead_ms = Some(ahead(time, before, context.clock.now_ms()));
        }
    }
    if broker.is_master()
        && let Ok(status) = admin.ha_status_at(&broker.address).await
    {
        let slaves = status.ha_connection_info.into_iter();
        broker.slaves = Some(
            slaves
                .map(|slave| {
                    let seen = Slave {
                        behind_bytes: slave.diff,
                        in_sync: slave.in_sync,
                    };
                    (slave.addr, seen)
                })
                .collect(),
        );
    }
}

/// A clock that was read between `before` and `after` is right if it shows a time between them.
fn ahead(there: i64, before: i64, after: i64) -> i64 {
    if there < before {
        there - before
    } else {
        (there - after).max(0)
    }
}

/// The masters that answer: name and address.
fn masters(facts: &Facts) -> Vec<(String, String)> {
    let masters = facts.brokers.iter();
    masters
        .filter(|broker| broker.is_master() && broker.error.is_none())
        .map(|broker| (broker.name.clone(), broker.address.clone()))
        .collect()
}

async fn groups(admin: &Admin, scope: &Scope, facts: &mut Facts) {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let masters = masters(facts);
    for (name, address) in &masters {
        match admin.groups_at(address).await {
            Ok(all) => {
                for (group, config) in all.configs {
                    let entry = groups.entry(group.clone()).or_insert_with(|| Group {
                        name: group,
                        ..Group::default()
                    });
                    entry.configs.insert(name.clone(), config);
                }
            }
            Err(error) => facts.unasked.push(error.to_string()),
        }
        match admin.producers_at(address).await {
            Ok(producers) => {
                for (group, members) in producers {
                    let entry = facts.producers.entry(group).or_default();
                    for member in members {
                        let member = Member {
                            client_id: member.client_id,
                            address: member.remote_ip,
                            language: member.language,
                            version: member.version,
                            ..Member::default()
                        };
                        if !entry
                            .iter()
                            .any(|known| known.client_id == member.client_id)
                        {
                            entry.push(member);
                        }
                    }
                }
            }
            // Brokers before 4.9 do not know the question.
            Err(error) => facts.unasked.push(error.to_string()),
        }
    }
    groups.retain(|name, _| {
        if scope.groups.is_empty() {
            !is_system_group(name)
        } else {
            scope.groups.contains(name)
        }
    });
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        if let Err(error) = members(admin, &masters, group).await {
            facts.unasked.push(error.to_string());
        }
        if let Err(error) = first_look(admin, &masters, group).await {
            facts.unasked.push(error.to_string());
        }
        group.dead = match held(admin, &masters, &format!("%DLQ%{}", group.name)).await {
            Ok(messages) => messages,
            Err(error) => {
                facts.unasked.push(error.to_string());
                0
            }
        };
    }
    if groups.iter().any(|group| !group.queues.is_empty()) {
        tokio::time::sleep(scope.interval).await;
    }
    for group in &mut groups {
        if let Err(error) = second_look(admin, &masters, group).await {
            facts.unasked.push(error.to_string());
        }
    }
    facts.groups = groups;
}

/// Who is connected, and what each of them says.
async fn members(
    admin: &Admin,
    masters: &[(String, String)],
    group: &mut Group,
) -> Result<(), ClientError> {
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    for (name, address) in masters {
        let Some(told) = admin.consumer_connections_at(address, &group.name).await? else {
            continue;
        };
        group.consume_type = told.consume_type.or(group.consume_type);
        group.message_model = told.message_model.or(group.message_model);
        for (topic, data) in told.subscription_table {
            group.subscriptions.insert(topic, filter(&data));
        }
        for connection in told.connection_set {
            let member = members
                .entry(connection.client_id.clone())
                .or_insert_with(|| Member {
                    client_id: connection.client_id,
                    address: connection.client_addr,
                    language: connection.language,
                    version: connection.version,
                    ..Member::default()
                });
            member.brokers.insert(name.clone());
        }
    }
    let mut asked = JoinSet::new();
    for member in members.values().take(MEMBERS_ASKED) {
        let broker = masters
            .iter()
            .find(|(name, _)| member.brokers.contains(name));
        if let Some((_, address)) = broker {
            let (admin, address) = (admin.clone(), address.clone());
            let (name, id) = (group.name.clone(), member.client_id.clone());
            asked.spawn(async move {
                let question = admin.consumer_running_info(&address, &name, &id, false);
                let answer = tokio::time::timeout(MEMBER_LIMIT, question).await;
                (id, answer)
            });
        }
    }
    while let Some(Ok((id, answer))) = asked.join_next().await {
        let Some(member) = members.get_mut(&id) else {
            continue;
        };
        match answer {
            Ok(Ok(info)) => note_running(member, &info),
            Ok(Err(error)) => member.error = Some(error.to_string()),
            Err(_) => {
                member.error = Some(format!("no answer within {} s", MEMBER_LIMIT.as_secs()));
            }
        }
    }
    group.members = members.into_values().collect();
    Ok(())
}

fn filter(data: &SubscriptionData) -> Filter {
    Filter::new(&data.expression_type, &data.sub_string)
}

fn note_running(member: &mut Member, info: &ConsumerRunningInfo) {
    let subscriptions = info.subscription_set.iter();
    let subscriptions: BTreeMap<String, Filter> = subscriptions
        .map(|data| (data.topic.clone(), filter(data)))
        .collect();
    // Clients that cannot tell answer with nothing at all.
    member.subscriptions = (!subscriptions.is_empty()).then_some(subscriptions);
    let pulled = info.mq_table.iter().map(|(queue, process)| Owned {
        topic: queue.topic.clone(),
        broker: queue.broker_name.clone(),
        queue: queue.queue_id,
        last_pull_ms: process.last_pull_timestamp,
        last_consume_ms: process.last_consume_timestamp,
        cached: process.cached_msg_count,
    });
    let popped = info.mq_pop_table.iter().map(|(queue, process)| Owned {
        topic: queue.topic.clone(),
        broker: queue.broker_name.clone(),
        queue: queue.queue_id,
        last_pull_ms: process.last_pop_timestamp,
        last_consume_ms: 0,
        cached: process.wait_ack_count,
    });
    member.owns = pulled.chain(popped).collect();
}

/// Offsets and the ends of the queues.
async fn first_look(
    admin: &Admin,
    masters: &[(String, String)],
    group: &mut Group,
) -> Result<(), ClientError> {
    let mut firsts: BTreeMap<(String, String, i32), i64> = BTreeMap::new();
    for (broker, address) in masters {
        let stats = admin.consume_stats_at(address, &group.name, None).await;
        let stats = match stats {
            Ok(stats) => stats,
            // A group that has neither offsets nor members.
            Err(ClientError::Refused { .. }) => continue,
            Err(error) => return Err(error),
        };
        let topics: BTreeSet<&str> = stats
            .offset_table
            .keys()
            .map(|queue| queue.topic.as_str())
            .collect();
        for topic in topics {
            if let Some(ends) = admin.topic_stats_at(address, topic).await? {
                for (queue, ends) in ends.offset_table {
                    firsts.insert(
                        (queue.topic, broker.clone(), queue.queue_id),
                        ends.min_offset,
                    );
                }
            }
        }
        for (queue, offsets) in stats.offset_table {
            let key = (queue.topic.clone(), broker.clone(), queue.queue_id);
            group.queues.push(Queue {
                min: firsts.get(&key).copied().unwrap_or_default(),
                topic: queue.topic,
                broker: broker.clone(),
                number: queue.queue_id,
                max: offsets.broker_offset,
                committed: offsets.consumer_offset,
                max_later: offsets.broker_offset,
                committed_later: offsets.consumer_offset,
                waits_ms: None,
            });
        }
    }
    Ok(())
}

async fn second_look(
    admin: &Admin,
    masters: &[(String, String)],
    group: &mut Group,
) -> Result<(), ClientError> {
    for (broker, address) in masters {
        if !group.queues.iter().any(|queue| queue.broker == *broker) {
            continue;
        }
        let stats = match admin.consume_stats_at(address, &group.name, None).await {
            Ok(stats) => stats,
            Err(ClientError::Refused { .. }) => continue,
            Err(error) => return Err(error),
        };
        for (place, offsets) in stats.offset_table {
            let queue = group.queues.iter_mut().find(|queue| {
                queue.broker == *broker
                    && queue.topic == place.topic
                    && queue.number == place.queue_id
            });
            if let Some(queue) = queue {
                queue.max_later = offsets.broker_offset;
                queue.committed_later = offsets.consumer_offset;
            }
        }
        let behind: BTreeSet<String> = group
            .own_queues()
            .filter(|queue| queue.broker == *broker && queue.behind() > 0)
            .map(|queue| queue.topic.clone())
            .collect();
        for topic in behind {
            // Not every broker answers it, and without it only the age is missing.
            let Ok(spans) = admin
                .consume_time_span_at(address, &group.name, &topic)
                .await
            else {
                continue;
            };
            for span in spans {
                let queue = group.queues.iter_mut().find(|queue| {
                    queue.broker == *broker
                        && queue.topic == topic
                        && queue.number == span.message_queue.queue_id
                });
                if let Some(queue) = queue.filter(|queue| queue.behind() > 0) {
                    queue.waits_ms = Some(span.delay_time).filter(|ms| *ms > 0);
                }
            }
        }
    }
    Ok(())
}

/// Messages of a topic on all masters; 0 if there is no such topic.
async fn held(
    admin: &Admin,
    masters: &[(String, String)],
    topic: &str,
) -> Result<i64, ClientError> {
    let mut messages = 0_i64;
    for (_, address) in masters {
        if let Some(ends) = admin.topic_stats_at(address, topic).await? {
            for ends in ends.offset_table.values() {
                messages = messages.saturating_add((ends.max_offset - ends.min_offset).max(0));
            }
        }
    }
    Ok(messages)
}

async fn topics(admin: &Admin, facts: &mut Facts) {
    let masters = masters(facts);
    match held(admin, &masters, "TRANS_CHECK_MAX_TIME_TOPIC").await {
        Ok(messages) => facts.abandoned_transactions = messages,
        Err(error) => facts.unasked.push(error.to_string()),
    }
    let names: BTreeSet<&str> = facts
        .brokers
        .iter()
        .flat_map(|broker| [broker.name.as_str(), broker.cluster.as_str()])
        .collect();
    let topics: BTreeSet<String> = facts
        .name_servers
        .iter()
        .flat_map(|server| &server.topics)
        .filter(|topic| !is_system_topic(topic) && !names.contains(topic.as_str()))
        .cloned()
        .collect();
    if topics.len() > TOPICS_CHECKED {
        facts.unasked.push(format!(
            "{} topics: only the first {TOPICS_CHECKED} were checked for having a reader",
            topics.len()
        ));
    }
    for topic in topics.into_iter().take(TOPICS_CHECKED) {
        let checked = async {
            let messages = held(admin, &masters, &topic).await?;
            let unread = messages > 0 && admin.groups_of_topic(&topic).await?.is_empty();
            Ok::<_, ClientError>(unread.then_some(messages))
        };
        match checked.await {
            Ok(Some(messages)) => {
                facts.unread_topics.insert(topic, messages);
            }
            Ok(None) => {}
            Err(error) => facts.unasked.push(error.to_string()),
        }
    }
}

/// This machine; `ports` are those a node would take.
pub(super) fn machine(data_dir: Option<&Path>, ports: &[u16]) -> Machine {
    Machine {
        open_files_max: machine::open_files_max(),
        container: machine::container(),
        data_dir: data_dir.map(store),
        ports_taken: ports
            .iter()
            .copied()
            .filter(|port| machine::is_port_taken(*port))
            .collect(),
    }
}

fn store(path: &Path) -> DataDir {
    let mut dir = DataDir {
        path: path.display().to_string(),
        ..DataDir::default()
    };
    if let Some((free, total)) = machine::disk_room(path) {
        dir.free_bytes = Some(free);
        dir.total_bytes = Some(total);
    }
    match View::open(path) {
        Ok(view) => dir.abort_file = view.has_abort_file(),
        Err(error) => {
            dir.error = Some(error.to_string());
            return dir;
        }
    }
    match machine::is_store_in_use(path) {
        Ok(in_use) => dir.in_use = in_use,
        Err(error) => dir.error = Some(format!("{}: {error}", dir.path)),
    }
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_it_is_off_for_sure() {
        assert_eq!(ahead(105, 100, 110), 0);
        assert_eq!(ahead(90, 100, 110), -10);
        assert_eq!(ahead(150, 100, 110), 40);
    }
}
