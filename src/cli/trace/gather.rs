//! Finds a message under any kind of id, and everything the servers keep about it.

use std::collections::BTreeSet;

use super::events::{self, Event, Fate};
use super::records;
use crate::cli::doctor::facts::{is_system_group, is_system_topic};
use crate::cli::exit::CliError;
use crate::client::admin::MessageQuery;
use crate::client::{Admin, Client, ClientError, ReadFrom, ReadOptions, Received};
use crate::message::names;

/// Records of ended transactions that are looked through for one half message.
const OPS_READ: usize = 20_000;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) trace_topic: &'a str,
    pub(super) now_ms: i64,
}

/// A message of which at least one record is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    /// The topic consumers know.
    topic: String,
    /// The producer's id; the offset id where there is none.
    id: String,
}

impl Known {
    fn of(record: &Received) -> Self {
        let property = |name| record.properties.get(name);
        let real = || property(names::REAL_TOPIC);
        let hidden = is_system_topic(record.queue.topic.as_str());
        let topic = property("DLQ_ORIGIN_TOPIC")
            .or_else(|| property(names::RETRY_TOPIC))
            .or_else(|| real().filter(|_| hidden))
            .unwrap_or(record.topic());
        Self {
            topic: topic.to_owned(),
            id: record.message_id(),
        }
    }
}

/// What a search goes by.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    Id(&'a str),
    Key(&'a str),
}

/// The message an id of any kind means; empty if it means none.
pub(super) async fn by_id(
    client: &Client,
    question: &Question<'_>,
    id: &str,
) -> Result<Vec<Known>, CliError> {
    let admin = client.admin();
    if let Some(record) = at_place(&admin, id).await? {
        return Ok(vec![Known::of(&record)]);
    }
    let mut found = search(&admin, question, Wanted::Id(id)).await?;
    // Producers' ids are in capitals; people copy them in other ways.
    let capitals = id.to_ascii_uppercase();
    if found.is_empty() && capitals != id {
        found = search(&admin, question, Wanted::Id(&capitals)).await?;
    }
    Ok(found)
}

/// The messages that carry a key.
pub(super) async fn by_key(
    client: &Client,
    question: &Question<'_>,
    key: &str,
) -> Result<Vec<Known>, CliError> {
    search(&client.admin(), question, Wanted::Key(key)).await
}

/// The record an offset id names, if the id is one and the broker is one of the cluster.
async fn at_place(admin: &Admin, id: &str) -> Result<Option<Received>, ClientError> {
    let Some((host, offset)) = Admin::parse_offset_id(id) else {
        return Ok(None);
    };
    let address = host.to_string();
    let clusters = admin.clusters().await?;
    // Only brokers of the cluster are asked: an id must not send us to any address it likes.
    let Some((broker, _)) = clusters.at_address(&address) else {
        return Ok(None);
    };
    match admin.message_at(&address, &broker.name, offset).await {
        Err(error) if error.is_unreachable() => Err(error),
        // A producer's id that looks like a place.
        Err(_) => Ok(None),
        found => found,
    }
}

/// Asks the index of every topic that can hold the message.
async fn search(
    admin: &Admin,
    question: &Question<'_>,
    wanted: Wanted<'_>,
) -> Result<Vec<Known>, CliError> {
    let mut topics = match question.topic {
        Some(topic) => vec![topic.to_owned()],
        None => admin.topics().await?,
    };
    // Most messages are where they were sent to.
    topics.sort_by_key(|topic| is_system_topic(topic));
    let hidden = [names::OP_HALF_TOPIC, question.trace_topic];
    let mut known = BTreeSet::new();
    for topic in topics
        .iter()
        .filter(|topic| !hidden.contains(&topic.as_str()))
    {
        let query = match wanted {
            Wanted::Id(id) => MessageQuery::unique_id(topic, id),
            Wanted::Key(key) => MessageQuery::key(topic, key),
        };
        known.extend(find(admin, query).await?.iter().map(Known::of));
        if matches!(wanted, Wanted::Id(_)) && !known.is_empty() {
            break;
        }
    }
    // A delayed message is not in its own topic yet.
    for topic in [names::SCHEDULE_TOPIC, names::TIMER_TOPIC, names::HALF_TOPIC] {
        if known.is_empty() && !topics.iter().any(|known| known == topic) {
            let query = match wanted {
                Wanted::Id(id) => MessageQuery::unique_id(topic, id),
                Wanted::Key(key) => MessageQuery::key(topic, key),
            };
            known.extend(everywhere(admin, query).await?.iter().map(Known::of));
        }
    }
    Ok(known.into_iter().collect())
}

/// A query; a topic that is not there holds nothing.
async fn find(admin: &Admin, query: MessageQuery<'_>) -> Result<Vec<Received>, ClientError> {
    match admin.query_messages(query).await {
        Err(ClientError::NoRoute { .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// The same at every master: the brokers' own topics need not be known to a name server.
async fn everywhere(admin: &Admin, query: MessageQuery<'_>) -> Result<Vec<Received>, ClientError> {
    let mut found = Vec::new();
    for (name, address) in admin.masters().await? {
        match admin.query_messages_at(&address, &name, query).await {
            Ok(messages) => found.extend(messages),
            // The topic is not there.
            Err(ClientError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|record| record.store_timestamp);
    Ok(found)
}

/// Everything that is known about a message, in the order of time.
pub(super) async fn story(
    client: &Client,
    question: &Question<'_>,
    known: &Known,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Event>, CliError> {
    let admin = client.admin();
    let unique = |topic| MessageQuery::unique_id(topic, &known.id);
    let mut originals = find(&admin, unique(&known.topic)).await?;
    if originals.is_empty() {
        originals.extend(at_place(&admin, &known.id).await?);
    }
    let mut events: Vec<Event> = originals.iter().flat_map(events::stored).collect();
    let mut delayed = everywhere(&admin, unique(names::SCHEDULE_TOPIC)).await?;
    delayed.extend(everywhere(&admin, unique(names::TIMER_TOPIC)).await?);
    let retry_target = |record: &Received| {
        let target = record.properties.get(names::REAL_TOPIC);
        target.is_some_and(|topic| topic.starts_with("%RETRY%") || topic.starts_with("%DLQ%"))
    };
    for record in delayed.iter().filter(|record| !retry_target(record)) {
        events.push(events::delayed(
            record,
            !originals.is_empty(),
            question.now_ms,
        ));
    }
    if originals.is_empty() {
        let first = delayed.iter().find(|record| !retry_target(record));
        events.extend(first.map(events::born));
    }
    events.extend(transaction(client, known, &originals).await?);
    let groups = match admin.groups_of_topic(&known.topic).await {
        Ok(groups) => groups,
        Err(ClientError::NoRoute { .. }) => Vec::new(),
        Err(error) => {
            warn(format!("who reads {} is not known: {error}", known.topic));
            Vec::new()
        }
    };
    let mut ends = Vec::new();
    for group in groups.iter().filter(|group| !is_system_group(group)) {
        let waiting: Vec<&Received> = delayed
            .iter()
            .filter(|record| {
                let target = record.properties.get(names::REAL_TOPIC).unwrap_or_default();
                target.strip_prefix("%RETRY%") == Some(group.as_str())
            })
            .collect();
        match of_group(&admin, known, group, &originals, &waiting, question.now_ms).await {
            Ok((timed, end)) => {
                events.extend(timed);
                ends.extend(end);
            }
            Err(error) => warn(format!("{group}: {error}")),
        }
    }
    match find(&admin, MessageQuery::key(question.trace_topic, &known.id)).await {
        Ok(traces) => {
            for trace in traces {
                let body = String::from_utf8_lossy(trace.body());
                let host = trace.born_host.to_string();
                events.extend(records::events(&body, &known.id, &host));
            }
        }
        Err(error) => warn(format!("the trace topic cannot be asked: {error}")),
    }
    events.extend(ends);
    let mut story = vec![head(known, &originals)];
    story.extend(events::in_order(events));
    Ok(story)
}

fn head(known: &Known, originals: &[Received]) -> Event {
    let times = match originals.len() {
        0 => ", not (or no more) in its topic".to_owned(),
        1 => String::new(),
        times => format!(", sent {times} times"),
    };
    let head = Event::new(
        "message",
        None,
        format!("{}  topic {}{times}", known.id, known.topic),
    );
    match originals.first() {
        Some(record) => head.at(record),
        None => head,
    }
}

/// Copies for another attempt, the dead letter, and what the group's offset says.
async fn of_group(
    admin: &Admin,
    known: &Known,
    group: &str,
    originals: &[Received],
    waiting: &[&Received],
    now_ms: i64,
) -> Result<(Vec<Event>, Vec<Event>), ClientError> {
    let retry_topic = format!("%RETRY%{group}");
    let retries = find(admin, MessageQuery::unique_id(&retry_topic, &known.id)).await?;
    let dead_topic = format!("%DLQ%{group}");
    let dead = find(admin, MessageQuery::unique_id(&dead_topic, &known.id)).await?;
    let mut timed = Vec::new();
    for record in waiting {
        let arrived = retries
            .iter()
            .any(|retry| retry.reconsume_times >= record.reconsume_times);
        let mut event = events::delayed(record, arrived, now_ms).of_group(group);
        event.what = "failed";
        event.text = format!("{group} gave it back; it {}", event.text);
        timed.push(event);
    }
    timed.extend(retries.iter().map(|record| events::retried(record, group)));
    timed.extend(dead.iter().map(|record| events::dead(record, group)));
    let mut ends = Vec::new();
    if !dead.is_empty() {
        return Ok((timed, ends));
    }
    let failed = !retries.is_empty() || !waiting.is_empty();
    if let Some(last) = retries.last() {
        let still_waits = waiting
            .iter()
            .any(|record| record.reconsume_times > last.reconsume_times);
        if !still_waits {
            let committed = admin.group_offset(group, &last.queue).await?;
            ends.push(events::audit(last, group, committed));
        }
    }
    if !failed {
        for record in originals {
            let committed = admin.group_offset(group, &record.queue).await?;
            let mut end = events::audit(record, group, committed);
            if end.what == "consumed"
                && let Some(filter) = filter_against(admin, group, record).await
            {
                end.what = "skipped";
                end.text = format!("by {group}: its filter {filter:?} does not match");
            }
            ends.push(end);
        }
    }
    Ok((timed, ends))
}

/// The tags a group wants now, if the record has none of them.
async fn filter_against(admin: &Admin, group: &str, record: &Received) -> Option<String> {
    let masters = admin.masters().await.ok()?;
    let (_, address) = masters
        .into_iter()
        .find(|(name, _)| *name == record.queue.broker)?;
    let wanted = admin
        .subscription_at(&address, group, record.queue.topic.as_str())
        .await
        .ok()??;
    let by_tag = wanted.expression_type.is_empty() || wanted.expression_type == "TAG";
    let all = wanted.tags_set.is_empty() || wanted.sub_string == "*";
    let tag = record.tag().unwrap_or_default();
    let matches = wanted.tags_set.iter().any(|wanted| wanted == tag);
    (by_tag && !all && !matches).then_some(wanted.sub_string)
}

/// The half message of a transaction and how it ended.
async fn transaction(
    client: &Client,
    known: &Known,
    originals: &[Received],
) -> Result<Vec<Event>, ClientError> {
    let admin = client.admin();
    let unique = |topic| MessageQuery::unique_id(topic, &known.id);
    let halves = everywhere(&admin, unique(names::HALF_TOPIC)).await?;
    // The broker stores a half message again with each question; the last copy knows how often.
    let (Some(first), Some(last)) = (halves.first(), halves.last()) else {
        return Ok(Vec::new());
    };
    let fate = if !originals.is_empty() {
        Fate::Committed
    } else if !everywhere(&admin, unique(names::TRANS_CHECK_MAX_TIME_TOPIC))
        .await?
        .is_empty()
    {
        Fate::GivenUp
    } else if has_ended(client, &halves).await? {
        Fate::RolledBack
    } else {
        Fate::Open
    };
    let mut events = events::half(last, fate);
    if let Some(half) = events.first_mut() {
        half.at_ms = Some(first.store_timestamp);
    }
    if originals.is_empty() {
        events.insert(0, events::born(first));
    }
    Ok(events)
}

/// Whether a record of ended transactions names one of the half messages: its body lists their places in the queue.
async fn has_ended(client: &Client, halves: &[Received]) -> Result<bool, ClientError> {
    let Some(first) = halves.first() else {
        return Ok(false);
    };
    let options = ReadOptions {
        from: ReadFrom::Time {
            ms: first.store_timestamp,
        },
        queues: vec![first.queue.queue.get()],
        ..ReadOptions::default()
    };
    let mut reader = match client.reader(names::OP_HALF_TOPIC, options).await {
        Ok(reader) => reader,
        Err(ClientError::NoRoute { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    // A half message's last copy is the one that was ended.
    let places: BTreeSet<i64> = halves.iter().map(|half| half.queue_offset).collect();
    let last = places.last().copied().unwrap_or_default();
    for _ in 0..OPS_READ {
        let Some(op) = reader.next().await? else {
            break;
        };
        if op.queue.broker != first.queue.broker {
            continue;
        }
        let body = String::from_utf8_lossy(op.body());
        if body
            .split(',')
            .any(|place| place.trim().parse() == Ok(last))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
