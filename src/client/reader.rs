//! Reading a topic without a group: nobody's offsets are touched.
//!
//! A reader first goes through what is there when it starts, queue by queue in parallel and merged in the order the
//! messages were stored, and then, if it is to follow, hands out what comes in as it comes in.
//!
//! Promises: within a queue the order is kept; memory is bounded by two pulls for each queue (and by the wanted number
//! of messages for [`ReadFrom::Last`]). Absent on purpose: queues that are added to the topic while it is read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::base::{GroupName, TopicName};
use crate::filter::SqlFilter;
use crate::message::Properties;
use crate::protocol::codes::ResponseCode;

use super::Client;
use super::admin::{Boundary, committed_offset, queue_end, queue_offset_at, queue_start};
use super::error::ClientError;
use super::message::Received;
use super::pull::{Pull, PullStatus, pull};
use super::queue::MessageQueue;
use super::shared::Shared;
use super::subscription::{Subscription, parse_sql};

/// The group every broker has for tools.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";
/// How often a pull is tried again when its broker cannot be reached, while reading up to the end.
const TRIES: u32 = 3;
const AFTER_ERROR: Duration = Duration::from_secs(1);
const AFTER_BUSY: Duration = Duration::from_millis(100);

/// Where a reader begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first message that is still there.
    #[default]
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// At the first message stored at or after a time.
    Time {
        /// Milliseconds since 1970.
        ms: i64,
    },
    /// At this offset, in every queue that is read. One before a queue's first message means that one.
    Offset(i64),
    /// At the last messages of the topic, so many in all.
    Last(usize),
    /// Where this group is, queue by queue; at the first message where it has not begun. The group notices nothing.
    Group(GroupName),
}

/// What a [`PullReader`] reads.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Where it begins.
    pub from: ReadFrom,
    /// Ends before the first message stored after this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Ends after this offset, in every queue. It ends there even if it follows.
    pub until_offset: Option<i64>,
    /// The wanted tags, as in `a || b`.
    pub tags: String,
    /// Only messages whose properties fulfil this SQL92 expression. It is evaluated here, so that it works with every
    /// broker; all messages travel.
    pub sql: Option<String>,
    /// Only these queues, by number; empty: all.
    pub queues: Vec<u32>,
    /// Goes on with what comes in after the end was reached.
    pub follow: bool,
    /// Messages in one pull.
    pub pull_messages_max: u32,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            from: ReadFrom::default(),
            until_ms: None,
            until_offset: None,
            tags: "*".to_owned(),
            sql: None,
            queues: Vec::new(),
            follow: false,
            pull_messages_max: 32,
        }
    }
}

/// Reads a topic without being in a group.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, ReadFrom, ReadOptions};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let options = ReadOptions { from: ReadFrom::Last(10), ..ReadOptions::default() };
/// let mut reader = client.reader("orders", options).await?;
/// while let Some(message) = reader.next().await? {
///     println!("{} @{}", message.queue, message.queue_offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PullReader {
    queues: Vec<MessageQueue>,
    /// The part up to the end, one stream for each queue.
    streams: Vec<Stream>,
    /// The part after the end, all queues together.
    arrivals: mpsc::Receiver<Result<Vec<Received>, ClientError>>,
    ready: VecDeque<Received>,
    /// How many of the last messages are wanted, until they were collected.
    last: Option<usize>,
    caught_up: bool,
    _tasks: JoinSet<()>,
    _client: Client,
}

#[derive(Debug)]
struct Stream {
    batches: mpsc::Receiver<Result<Vec<Received>, ClientError>>,
    head: VecDeque<Received>,
    ended: bool,
}

impl Stream {
    /// Makes sure that there is a head, unless the stream has ended.
    async fn fill(&mut self) -> Result<(), ClientError> {
        while self.head.is_empty() && !self.ended {
            match self.batches.recv().await {
                Some(batch) => self.head.extend(batch?),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

impl PullReader {
    pub(crate) async fn open(
        client: Client,
        topic: &str,
        options: ReadOptions,
    ) -> Result<Self, ClientError> {
        let topic = TopicName::parse(topic)?;
        let shared = Arc::clone(client.shared());
        let route = shared.routes.refresh(&topic).await?;
        let mut queues = route.read_queues();
        if !options.queues.is_empty() {
            queues.retain(|queue| options.queues.contains(&queue.queue.get()));
        }
        if queues.is_empty() {
            return Err(ClientError::NoRoute {
                topic: topic.to_string(),
                reason: "it has no such queue that can be read",
            });
        }
        let sql = options.sql.as_deref().map(parse_sql).transpose()?;
        let sql = sql.map(Arc::new);
        let mut ranges = ranges(&shared, &queues, &options.from).await?;
        if let Some(last) = options.until_offset {
            for (start, end) in &mut ranges {
                *end = last.saturating_add(1).clamp(*start, (*end).max(*start));
            }
        }
        let follow = options.follow && options.until_offset.is_none();
        let mut tasks = JoinSet::new();
        let mut streams = Vec::with_capacity(queues.len());
        let (arrived, arrivals) = mpsc::channel(queues.len());
        for (queue, (start, end)) in queues.iter().zip(ranges) {
            let (batch, batches) = mpsc::channel(1);
            streams.push(Stream {
                batches,
                head: VecDeque::new(),
                ended: false,
            });
            let task = QueueTask {
                shared: Arc::clone(&shared),
                queue: queue.clone(),
                group: GroupName::stored(TOOLS_GROUP),
                subscription: Subscription::of(topic.clone(), &options.tags),
                sql: sql.clone(),
                messages_max: options.pull_messages_max.max(1),
                until_ms: options.until_ms,
                next: start,
                broker_id: 0,
            };
            let arrived = follow.then(|| arrived.clone());
            tasks.spawn(task.run(end, batch, arrived));
        }
        Ok(Self {
            queues,
            streams,
            arrivals,
            ready: VecDeque::new(),
            last: match options.from {
                ReadFrom::Last(count) => Some(count),
                _ => None,
            },
            caught_up: false,
            _tasks: tasks,
            _client: client,
        })
    }

    /// The queues that are read.
    pub fn queues(&self) -> &[MessageQueue] {
        &self.queues
    }

    /// Whether everything that was there at the start has been handed out.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up && self.ready.is_empty()
    }

    /// The next message. `None` at the end, which a following reader never reaches.
    ///
    /// Safe to use in `select!`: a message is not lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        if let Some(count) = self.last {
            self.collect_last(count).await?;
            self.last = None;
        }
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if !self.caught_up {
                if let Some(message) = self.next_stored().await? {
                    return Ok(Some(message));
                }
                self.caught_up = true;
            }
            match self.arrivals.recv().await {
                Some(batch) => self.ready.extend(batch?),
                None => return Ok(None),
            }
        }
    }

    /// Goes to the end and keeps the last `count` messages.
    async fn collect_last(&mut self, count: usize) -> Result<(), ClientError> {
        while !self.caught_up {
            match self.next_stored().await? {
                Some(message) => self.ready.push_back(message),
                None => self.caught_up = true,
            }
            if self.ready.len() > count {
                self.ready.pop_front();
            }
        }
        Ok(())
    }

    /// The oldest of the streams' heads.
    async fn next_stored(&mut self) -> Result<Option<Received>, ClientError> {
        for stream in &mut self.streams {
            stream.fill().await?;
        }
        let oldest = self
            .streams
            .iter_mut()
            .filter(|stream| !stream.head.is_empty())
            .min_by_key(|stream| {
                // Within a millisecond the log of the broker knows the order.
                let head = stream.head.front();
                head.map(|head| (head.store_timestamp, head.physical_offset))
            });
        Ok(oldest.and_then(|stream| stream.head.pop_front()))
    }
}

/// Where each queue begins and ends for a reader that begins at `from`.
async fn ranges(
    shared: &Arc<Shared>,
    queues: &[MessageQueue],
    from: &ReadFrom,
) -> Result<Vec<(i64, i64)>, ClientError> {
    let mut calls = JoinSet::new();
    for (nth, queue) in queues.iter().cloned().enumerate() {
        let shared = Arc::clone(shared);
        let from = from.clone();
        calls.spawn(async move {
            range(&shared, &queue, &from)
                .await
                .map(|range| (nth, range))
        });
    }
    let mut ranges = vec![(0, 0); queues.len()];
    while let Some(asked) = calls.join_next().await {
        let (nth, range) = asked.map_err(|_| ClientError::Closed)??;
        if let Some(place) = ranges.get_mut(nth) {
            *place = range;
        }
    }
    Ok(ranges)
}

async fn range(
    shared: &Shared,
    queue: &MessageQueue,
    from: &ReadFrom,
) -> Result<(i64, i64), ClientError> {
    let end = queue_end(shared, queue).await?;
    let start = match from {
        ReadFrom::Latest => end,
        ReadFrom::Earliest => queue_start(shared, queue).await?,
        ReadFrom::Time { ms } => queue_offset_at(shared, queue, *ms, Boundary::Lower).await?,
        ReadFrom::Offset(offset) => queue_start(shared, queue).await?.max(*offset),
        ReadFrom::Group(group) => {
            let start = queue_start(shared, queue).await?;
            let committed = committed_offset(shared, group, queue).await?;
            committed.unwrap_or(start).max(start)
        }
        ReadFrom::Last(count) => {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            end.saturating_sub(count)
                .max(queue_start(shared, queue).await?)
        }
    };
    Ok((start, end))
}

/// Reads one queue.
struct QueueTask {
    shared: Arc<Shared>,
    queue: MessageQueue,
    group: GroupName,
    subscription: Subscription,
    sql: Option<Arc<SqlFilter>>,
    messages_max: u32,
    until_ms: Option<i64>,
    next: i64,
    broker_id: i64,
}

type Out = mpsc::Sender<Result<Vec<Received>, ClientError>>;

impl QueueTask {
    async fn run(mut self, end: i64, stored: Out, arrived: Option<Out>) {
        let mut failures = 0;
        while self.next < end {
            match self.pull(Duration::ZERO).await {
                Ok(mut batch) => {
                    failures = 0;
                    // What was stored after the start belongs to the second part.
                    let past_end = batch
                        .iter()
                        .position(|message| message.queue_offset >= end)
                        .unwrap_or(batch.len());
                    if past_end < batch.len() {
                        batch.truncate(past_end);
                        self.next = end;
                    }
                    let over = self.cut_at_limit(&mut batch);
                    if stored.send(Ok(batch)).await.is_err() || over {
                        return;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures >= TRIES || !is_passing(&error) {
                        // Nobody listens: nothing to be done.
                        stored.send(Err(error)).await.ok();
                        return;
                    }
                    self.pause(&error).await;
                }
            }
        }
        drop(stored);
        if let Some(arrived) = arrived {
            self.follow(arrived).await;
        }
    }

    /// Goes on until nobody listens. Brokers come and go meanwhile.
    async fn follow(&mut self, arrived: Out) {
        const HOLD: Duration = Duration::from_secs(15);
        loop {
            match self.pull(HOLD).await {
                Ok(mut batch) => {
                    let over = self.cut_at_limit(&mut batch);
                    if (!batch.is_empty() && arrived.send(Ok(batch)).await.is_err()) || over {
                        return;
                    }
                }
                Err(error) if is_passing(&error) => self.pause(&error).await,
                Err(error) => {
                    arrived.send(Err(error)).await.ok();
                    return;
                }
            }
        }
    }

    /// Drops what was stored after the time limit; `true` if the queue is over because of that.
    fn cut_at_limit(&self, batch: &mut Vec<Received>) -> bool {
        let Some(until_ms) = self.until_ms else {
            return false;
        };
        let Some(at) = batch
            .iter()
            .position(|message| message.store_timestamp > until_ms)
        else {
            return false;
        };
        batch.truncate(at);
        true
    }

    async fn pull(&mut self, hold: Duration) -> Result<Vec<Received>, ClientError> {
        let request = Pull {
            group: &self.group,
            queue: &self.queue,
            offset: self.next,
            messages_max: self.messages_max,
            subscription: &self.subscription,
            announced_version: None,
            hold,
            broker_id: self.broker_id,
        };
        let pulled = pull(&self.shared, &request).await?;
        self.broker_id = pulled.suggested_broker;
        let stuck = pulled.next <= self.next && pulled.messages.is_empty();
        if stuck && hold.is_zero() && pulled.status != PullStatus::Moved {
            // The entry at this offset cannot be read (deleted, or a gap): step over it.
            self.next += 1;
        } else {
            self.next = pulled.next;
        }
        let mut messages = pulled.messages;
        if let Some(sql) = &self.sql {
            messages.retain(|message| sql.matches(Properties::new(&message.properties.to_wire())));
        }
        Ok(messages)
    }

    async fn pause(&self, error: &ClientError) {
        tracing::debug!(queue = %self.queue, "pull failed: {error}");
        if error.code().is_some() {
            sleep(AFTER_BUSY).await;
            return;
        }
        sleep(AFTER_ERROR).await;
        if let Err(error) = self.shared.routes.refresh(&self.queue.topic).await {
            tracing::debug!("route not refreshed: {error}");
        }
    }
}

/// Whether the same pull may succeed later.
fn is_passing(error: &ClientError) -> bool {
    error.is_unreachable()
        || matches!(
            error.code().map(ResponseCode),
            Some(ResponseCode::SYSTEM_BUSY | ResponseCode::FLOW_CONTROL)
        )
}
