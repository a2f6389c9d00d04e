//! The messages of one group: where they lie, whether they can be read, and reading them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Kind, Place};
use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::records::{self, BodyForm};
use crate::client::{
    Client, ClientError, MessageQueue, PullReader, QueueId, ReadFrom, ReadOptions, Received, Route,
};

/// The bit of a topic's permission that lets it be read.
const READ: i32 = 4;
/// How long name servers may take to hear of a permission.
const SPREAD: Duration = Duration::from_secs(10);

/// What is known about a topic without reading it.
#[derive(Debug)]
pub(super) struct Survey {
    /// Each queue with its first offset and the one after its last.
    pub(super) queues: BTreeMap<MessageQueue, (i64, i64)>,
    /// Whether all of it can be read.
    pub(super) readable: bool,
}

impl Survey {
    /// Asks the brokers. An error if the topic does not exist.
    pub(super) async fn of(client: &Client, topic: &str) -> Result<Self, ClientError> {
        let admin = client.admin();
        let route = admin.topic_route(topic).await?;
        let mut queues = BTreeMap::new();
        for part in &route.queues {
            for number in 0..part.read_count.max(part.write_count) {
                let queue = MessageQueue {
                    topic: route.topic.clone(),
                    broker: part.broker.clone(),
                    queue: QueueId::new(number),
                };
                let end = admin.max_offset(&queue).await?;
                let start = admin.min_offset(&queue).await?.min(end);
                queues.insert(queue, (start, end));
            }
        }
        Ok(Self {
            queues,
            readable: is_readable(&route),
        })
    }

    /// How many messages there are.
    pub(super) fn count(&self) -> u64 {
        let counts = self.queues.values().map(|(start, end)| end - start);
        counts.filter_map(|count| u64::try_from(count).ok()).sum()
    }
}

fn is_readable(route: &Route) -> bool {
    route.queues.iter().all(|part| part.perm & READ != 0)
}

/// Messages in the order they were stored, up to the end there was when this was made.
#[derive(Debug)]
pub(super) struct Letters {
    reader: Option<PullReader>,
    /// Where each queue ends for this.
    pub(super) ends: BTreeMap<MessageQueue, i64>,
}

impl Letters {
    /// Makes a topic readable if `open` says so, then reads it. Retries are read from where their group is: what it got
    /// already does not wait any more.
    pub(super) async fn open(
        client: &Client,
        place: &Place,
        open: bool,
        context: &Context,
    ) -> Result<Self, CliError> {
        let survey = survey(client, place, open, context).await?;
        let ends = survey.queues.iter();
        let ends = ends
            .map(|(queue, (_, end))| (queue.clone(), *end))
            .collect();
        Self::up_to(client, place, ends).await
    }

    /// Reads up to ends that were noted earlier.
    pub(super) async fn up_to(
        client: &Client,
        place: &Place,
        ends: BTreeMap<MessageQueue, i64>,
    ) -> Result<Self, CliError> {
        let from = match place.kind {
            Kind::Dead => ReadFrom::Earliest,
            Kind::Retry => ReadFrom::Group(place.group.clone()),
        };
        let reader = if ends.values().all(|end| *end == 0) {
            // A queue that never held anything.
            None
        } else {
            let options = ReadOptions {
                from,
                ..ReadOptions::default()
            };
            Some(client.reader(&place.topic, options).await?)
        };
        Ok(Self { reader, ends })
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Option<Received>, CliError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        while let Some(message) = reader.next().await? {
            let end = self.ends.get(&message.queue).copied().unwrap_or_default();
            if message.queue_offset < end {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Surveys a topic that has to be readable.
async fn survey(
    client: &Client,
    place: &Place,
    open: bool,
    context: &Context,
) -> Result<Survey, CliError> {
    let found = Survey::of(client, &place.topic).await;
    let survey = found.map_err(|error| absent(place, error))?;
    if survey.readable {
        return Ok(survey);
    }
    if open {
        make_readable(client, place, context).await?;
        return Ok(survey);
    }
    Err(unreadable(place))
}

/// Why a topic of a group cannot be looked at.
pub(super) fn absent(place: &Place, error: ClientError) -> CliError {
    match error {
        ClientError::NoRoute { .. } => CliError::not_found(format!(
            "group {} has no {}: there is no topic {}",
            place.group,
            place.kind.words(),
            place.topic
        ))
        .hint("rmq dlq ls shows which groups have some"),
        error => error.into(),
    }
}

/// Apache brokers of 4.x made such topics.
fn unreadable(place: &Place) -> CliError {
    CliError::new(
        Exit::NotPermitted,
        format!(
            "topic {} can be written but not read, as brokers before 5.0 made dead-letter topics",
            place.topic
        ),
    )
    .hint(format!(
        "--open makes it readable (mqadmin updateTopicPerm -t {} -p 6)",
        place.topic
    ))
}

/// Adds the permission to read wherever it is missing, and waits until the name server knows.
async fn make_readable(client: &Client, place: &Place, context: &Context) -> Result<(), CliError> {
    let admin = client.admin();
    let topic = &place.topic;
    let route = admin.topic_route(topic).await?;
    for part in route.queues.iter().filter(|part| part.perm & READ == 0) {
        let broker = route
            .broker(&part.broker)
            .and_then(|broker| broker.master());
        let Some(address) = broker else {
            return Err(CliError::new(
                Exit::Unreachable,
                format!(
                    "broker {} has no master that could open {topic}",
                    part.broker
                ),
            ));
        };
        let Some(mut config) = admin.topic_config_at(address, topic).await? else {
            continue;
        };
        let before = config.perm;
        config.perm |= READ;
        // Attributes are sent as changes; none is meant.
        config.attributes.clear();
        admin.put_topic_at(address, &config).await?;
        context.output.note(&format!(
            "{topic} on {} can be read now (permission {before} -> {})",
            part.broker, config.perm
        ));
    }
    let deadline = Instant::now() + SPREAD;
    while !is_readable(&*admin.topic_route(topic).await?) {
        if Instant::now() > deadline {
            return Err(CliError::new(
                Exit::Unreachable,
                format!("the name server has not heard that {topic} can be read"),
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A message as an object: what `consume` prints, and what only those that failed have.
pub(super) fn row(message: &Received, place: &Place, utc: bool) -> Value {
    let mut row = records::row_with(message, message.body(), BodyForm::Auto, utc);
    if let (Value::Object(fields), Value::Object(more)) = (
        &mut row,
        json!({
            "group": place.group.as_str(),
            "origin": message.origin_topic(),
            "originMessageId": message.origin_message_id(),
            "retries": message.reconsume_times,
            "reason": reason(message, place.kind),
            "replayOf": message.replay_of(),
        }),
    ) {
        fields.extend(more);
    }
    row
}

/// All that brokers note: how often the group gave it back. Why, only the consumer knows.
fn reason(message: &Received, kind: Kind) -> String {
    let times = message.reconsume_times;
    match (kind, times) {
        (Kind::Dead, 0) => "sent here by somebody, not by the group".to_owned(),
        (Kind::Dead, 1) => "given up after its first delivery".to_owned(),
        (Kind::Dead, _) => format!("given back {times} times, then given up"),
        (Kind::Retry, _) => format!("given back {times} times"),
    }
}
