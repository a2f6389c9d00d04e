//! Sends: `SEND_MESSAGE` (10), `SEND_MESSAGE_V2` (310) and `SEND_BATCH_MESSAGE` (320).
//!
//! All sends found in one read of a socket become one append and one piece of answer. [`push`] checks a request and adds
//! its records to the connection's group; [`finish`] appends the group, answers, and wakes whoever waits for messages.
//! The order of the checks and their remarks are those of Apache's `SendMessageProcessor`.
//!
//! Commits of transactions go the same way ([`commit`]), so that they share appends with sends.

mod answer;
mod commit;
mod properties;

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::Instant;

pub(crate) use self::answer::{Sent, write_answers};
pub(super) use self::commit::{Commit, push_commit};
use self::properties::StoredProperties;
use super::{FAQ, Refusal, Request};
use crate::base::{GroupName, QueueId, TopicName};
use crate::broker::Broker;
use crate::broker::flush_wait::{self, FlushWait};
use crate::broker::options::BrokerOptions;
use crate::broker::refusal::{append_refusal, illegal_message};
use crate::broker::session::{Session, Topic, TopicCache};
use crate::broker::stats::Counter;
use crate::broker::timer::redirect::{self, Timing};
use crate::broker::topics::{self, PERM_READ, PERM_WRITE};
use crate::broker::transaction::{self, Name, records};
use crate::message::properties::write_pair;
use crate::message::{Draft, Properties, batch, names, sysflag};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Serialization};
use crate::protocol::header::HeaderError;
use crate::protocol::header::send::{SendMessageRequestHeader, SendMessageRequestHeaderV2};
use crate::remoting::Channel;
use crate::store::{AppendGroup, Queue};

/// Clients since this version may say how often a message is retried (`V3_4_9`).
pub(crate) const VERSION_WITH_MAX_RECONSUME_TIMES: i32 = 121;

/// A group is appended at the latest when it has so many bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// The two header forms as one.
pub(super) struct SendHeader<'a> {
    pub(super) producer_group: &'a str,
    pub(super) topic: &'a str,
    pub(super) default_topic: &'a str,
    pub(super) default_topic_queue_nums: i32,
    pub(super) queue_id: i32,
    pub(super) sys_flag: i32,
    pub(super) born_timestamp: i64,
    pub(super) flag: i32,
    pub(super) properties: &'a str,
    pub(super) reconsume_times: i32,
    max_reconsume_times: Option<i32>,
    pub(super) unit_mode: bool,
    batch: bool,
}

macro_rules! unified {
    ($header:ident) => {
        SendHeader {
            producer_group: $header.producer_group,
            topic: $header.topic,
            default_topic: $header.default_topic,
            default_topic_queue_nums: $header.default_topic_queue_nums,
            queue_id: $header.queue_id,
            sys_flag: $header.sys_flag,
            born_timestamp: $header.born_timestamp,
            flag: $header.flag,
            properties: $header.properties.unwrap_or_default(),
            reconsume_times: $header.reconsume_times.unwrap_or(0),
            max_reconsume_times: $header.max_reconsume_times,
            unit_mode: $header.unit_mode.unwrap_or(false),
            batch: $header.batch.unwrap_or(false),
        }
    };
}

impl<'a> SendHeader<'a> {
    pub(super) fn parse(request: &Request<'a, '_>) -> Result<Self, HeaderError> {
        match request.head.request_code() {
            RequestCode::SEND_MESSAGE | RequestCode::SEND_REPLY_MESSAGE => {
                let header: SendMessageRequestHeader<'a> = request.head.header()?;
                Ok(unified!(header))
            }
            _ => {
                let header: SendMessageRequestHeaderV2<'a> = request.head.header()?;
                Ok(unified!(header))
            }
        }
    }
}

/// A queue that a group appends to.
struct Touched {
    topic: TopicName,
    queue: Arc<Queue>,
    queue_id: QueueId,
    put_nums: Arc<Counter>,
    put_size: Arc<Counter>,
    messages: u64,
    bytes: u64,
}

/// A request whose records are in the group.
struct Pending {
    opaque: i32,
    serialization: Serialization,
    oneway: bool,
    waits: bool,
    /// The queue the client is told.
    queue_id: i32,
    touched: usize,
    records: Range<usize>,
    /// Place of the unique key among the texts.
    unique: Range<usize>,
    /// Place of the recall handle among the texts; empty without one.
    recall: Range<usize>,
    /// The answer says that the batch was stored as one record.
    inner_batch: bool,
    /// For a commit: the half message.
    half: Option<Name>,
}

/// The sends of one read of a socket. Its buffers are kept from read to read.
pub(crate) struct SendBatch {
    group: AppendGroup,
    pending: Vec<Pending>,
    touched: Vec<Touched>,
    properties: Vec<u8>,
    texts: String,
    pub(super) turn: u32,
    /// The round of registration that tells of a topic made for this batch.
    route: Option<u64>,
}

impl SendBatch {
    pub(crate) fn new(broker: &Broker) -> Self {
        Self {
            group: broker.store.append_group(),
            pending: Vec::new(),
            touched: Vec::new(),
            properties: Vec::new(),
            texts: String::new(),
            turn: 0,
            route: None,
        }
    }

    /// Whether nothing waits to be appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the group should be appended before more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.group.bytes() >= GROUP_BYTES_MAX
    }

    fn touch(&mut self, topic: &Topic, queue: &Arc<Queue>, queue_id: QueueId) -> usize {
        let known = self
            .touched
            .iter()
            .position(|touched| Arc::ptr_eq(&touched.queue, queue));
        known.unwrap_or_else(|| {
            self.touched.push(Touched {
                topic: topic.name.clone(),
                queue: Arc::clone(queue),
                queue_id,
                put_nums: Arc::clone(&topic.put_nums),
                put_size: Arc::clone(&topic.put_size),
                messages: 0,
                bytes: 0,
            });
            self.touched.len() - 1
        })
    }

    fn clear(&mut self) {
        self.group.clear();
        self.pending.clear();
        self.touched.clear();
        self.texts.clear();
        self.route = None;
    }
}

/// Adds a send to the connection's group, or refuses it at once.
pub(crate) fn push(broker: &Broker, session: &mut Session, request: &Request<'_, '_>) {
    if let Err(refusal) = check_and_push(broker, session, request) {
        broker.stats.put_failed.add(1);
        request.answer(refused(session.options.get(), refusal));
    }
}

pub(super) fn refused(options: &BrokerOptions, refusal: Refusal) -> Command {
    Command::from(refusal)
        .with_field(names::MSG_REGION, options.region_id.clone())
        .with_field(names::TRACE_ON, options.trace_on.to_string())
}

fn check_and_push(
    broker: &Broker,
    session: &mut Session,
    request: &Request<'_, '_>,
) -> Result<(), Refusal> {
    let header = SendHeader::parse(request)?;
    if request.body.is_empty() {
        return Err(Refusal::error("the message has no body"));
    }
    let options = Arc::clone(session.options.get());
    let peer = request.channel.peer();
    let made = check(broker, &options, &mut session.topics, &header, &peer)?;
    if made && options.name_servers().next().is_some() {
        session.sends.route = Some(broker.registrar.latest());
    }
    let topic = session
        .topics
        .get(broker, header.topic)
        .ok_or_else(|| no_topic(header.topic))?;
    let queue_id = choose_queue(header.queue_id, topic, &mut session.sends.turn);
    if header.batch {
        push_batch(
            broker,
            &mut session.sends,
            topic,
            queue_id,
            &header,
            request,
        )
    } else {
        let message = Message {
            options: &options,
            header: &header,
            request,
            queue_id,
        };
        push_one(broker, session, &message)
    }
}

/// The checks every send must pass; makes the topic if it may, and says whether it did.
pub(super) fn check(
    broker: &Broker,
    options: &BrokerOptions,
    topics: &mut TopicCache,
    header: &SendHeader<'_>,
    peer: &dyn std::fmt::Display,
) -> Result<bool, Refusal> {
    let accepting_from = options.start_accept_send_request_time_stamp;
    // Hardly ever set, and the time is not asked for otherwise.
    if accepting_from > 0 && broker.clock.now_ms() < accepting_from {
        return Err(Refusal::error(format!(
            "broker unable to service, until {accepting_from}"
        )));
    }
    if topics.get(broker, header.topic).is_none() {
        // A known topic has passed these checks when it was made.
        topics::check_name(header.topic)?;
    }
    if options.broker_permission & PERM_WRITE == 0
        && topics
            .get(broker, header.topic)
            .is_some_and(|topic| topic.config.order)
    {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!(
                "the broker[{}] sending message is forbidden",
                options.broker_ip1
            ),
        ));
    }
    if topics::is_not_sendable(header.topic) {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("Sending message to topic[{}] is forbidden.", header.topic),
        ));
    }
    let unknown = topics.get(broker, header.topic).is_none();
    if unknown {
        create_topic(broker, header)?;
        topics.refresh(broker);
    }
    let topic = topics
        .get(broker, header.topic)
        .ok_or_else(|| no_topic(header.topic))?;
    let queues = topic
        .config
        .read_queue_nums
        .max(topic.config.write_queue_nums);
    if header.queue_id >= queues {
        return Err(Refusal::new(
            ResponseCode::INVALID_PARAMETER,
            format!(
                "request queueId[{}] is illegal, {} Producer: {peer}",
                header.queue_id,
                topics::show(&topic.config)
            ),
        ));
    }
    Ok(unknown)
}

pub(super) fn no_topic(topic: &str) -> Refusal {
    Refusal::new(
        ResponseCode::TOPIC_NOT_EXIST,
        format!("topic[{topic}] not exist, apply first please!{FAQ}"),
    )
}

fn create_topic(broker: &Broker, header: &SendHeader<'_>) -> Result<(), Refusal> {
    let name = topics::check_name(header.topic)?;
    let sys_flag = topics::unit_sys_flag(header.unit_mode, name.is_retry());
    let made = broker.create_topic_from_template(
        &name,
        header.default_topic,
        header.default_topic_queue_nums,
        sys_flag,
    );
    if made {
        return Ok(());
    }
    if name.is_retry() {
        broker.ensure_topic(&name, 1, PERM_READ | PERM_WRITE, false, sys_flag);
        return Ok(());
    }
    Err(no_topic(header.topic))
}

pub(super) fn choose_queue(asked: i32, topic: &Topic, turn: &mut u32) -> QueueId {
    QueueId::from_wire(asked).unwrap_or_else(|| {
        let queues = u32::try_from(topic.config.write_queue_nums)
            .unwrap_or(0)
            .max(1);
        *turn = turn.wrapping_add(1);
        QueueId::new(*turn % queues)
    })
}

struct Message<'a, 'f> {
    options: &'a BrokerOptions,
    header: &'a SendHeader<'a>,
    request: &'a Request<'a, 'f>,
    queue_id: QueueId,
}

/// What the topic and common sense ask of the properties.
fn check_facts(facts: &StoredProperties, topic: &Topic) -> Result<(), Refusal> {
    if topics::is_compacted(&topic.config) && !facts.has_keys {
        return Err(Refusal::new(
            ResponseCode::MESSAGE_ILLEGAL,
            "Required message key is missing",
        ));
    }
    if facts.has_bad_delay {
        return Err(Refusal::error("the delay level is no number"));
    }
    Ok(())
}

fn push_one(
    broker: &Broker,
    session: &mut Session,
    message: &Message<'_, '_>,
) -> Result<(), Refusal> {
    let Message {
        options,
        header,
        request,
        ..
    } = *message;
    let dead = dead_letter_topic(broker, header, request)?;
    if dead.is_some() {
        // It may have been made just now.
        session.topics.refresh(broker);
    }
    let sends = &mut session.sends;
    let mut facts = StoredProperties::write(
        header.properties,
        options,
        broker,
        &mut sends.properties,
        &mut sends.texts,
    );
    let topic = session
        .topics
        .get(broker, header.topic)
        .ok_or_else(|| no_topic(header.topic))?;
    check_facts(&facts, topic)?;
    let mut sys_flag = header.sys_flag;
    if topics::is_multi_tag(&topic.config) {
        sys_flag |= sysflag::MULTI_TAGS;
    }
    if dead.is_some() {
        facts.drop_delay(&mut sends.properties);
    }
    check_inner_batch(options, topic, &facts, sys_flag)?;
    let mut recall = 0..0;
    let half = is_half(header, &facts);
    let timing = if facts.has_timer && facts.delay_level <= 0 && (half || is_plain(sys_flag)) {
        when(broker, options, Properties::new(&sends.properties))?
    } else {
        Timing::Now
    };
    let (stored_in, queue_id) = match (timing, dead) {
        // Its delay counts from the commit on.
        (_, dead) if half => {
            sys_flag &= !sysflag::TRANSACTION_ROLLBACK;
            let real = real_place(dead.as_ref(), message);
            hide(message, &facts, sends, real)?
        }
        (Timing::Later { out_ms }, dead) => {
            let (real_topic, real_queue) = real_place(dead.as_ref(), message);
            redirect::remember(&mut sends.properties, out_ms, real_topic, real_queue);
            if !topic.name.is_retry() {
                recall = facts.write_recall_handle(real_topic, options, out_ms, &mut sends.texts);
            }
            let timer = TopicName::stored(names::TIMER_TOPIC);
            (Some(timer), QueueId::new(0))
        }
        (Timing::Now, Some(dead)) => (Some(dead), QueueId::new(0)),
        (Timing::Now, None) if facts.delay_level > 0 && is_plain(sys_flag) => {
            let level = broker.schedule.level(facts.delay_level);
            properties::redirect(&mut sends.properties, level, header.topic, message.queue_id);
            let queue = QueueId::new(level.saturating_sub(1));
            (Some(TopicName::stored(names::SCHEDULE_TOPIC)), queue)
        }
        (Timing::Now, None) => (None, message.queue_id),
    };
    let name = stored_in.as_ref().map_or(header.topic, TopicName::as_str);
    let (topic, queue) = session
        .topics
        .get(broker, name)
        .and_then(|topic| topic.with_queue(broker, queue_id))
        .ok_or_else(|| no_topic(name))?;
    let draft = Draft {
        topic: topic.name.as_str(),
        queue_id: queue_id.to_wire(),
        flag: header.flag,
        sys_flag,
        born_timestamp: header.born_timestamp,
        born_host: request.channel.peer(),
        store_host: broker.store_host,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body: request.body,
        properties: &sends.properties,
    };
    let at = sends
        .group
        .push(&draft, queue)
        .map_err(|_| illegal_message(options))?;
    let touched = sends.touch(topic, queue, queue_id);
    sends.pending.push(Pending {
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        oneway: request.head.is_oneway(),
        waits: facts.waits,
        queue_id: message.queue_id.to_wire(),
        touched,
        records: at..at + 1,
        unique: facts.unique,
        recall,
        inner_batch: false,
        half: None,
    });
    Ok(())
}

/// When a message that names its time is to be delivered.
fn when(
    broker: &Broker,
    options: &BrokerOptions,
    properties: Properties<'_>,
) -> Result<Timing, Refusal> {
    let now_ms = broker.clock.now_ms();
    let timing = redirect::timing(properties, options, now_ms)?;
    check_congestion(broker, options, timing, now_ms)?;
    Ok(timing)
}

/// Whether the tick at which a message is due takes one more.
fn check_congestion(
    broker: &Broker,
    options: &BrokerOptions,
    timing: Timing,
    now_ms: i64,
) -> Result<(), Refusal> {
    let limit = options.timer_congest_num_each_slot;
    match (timing, &broker.timer) {
        (Timing::Later { out_ms }, Some(timer))
            if timer.rejects(out_ms, limit, now_ms.rem_euclid(1000)) =>
        {
            Err(redirect::congested(limit))
        }
        _ => Ok(()),
    }
}

/// Whether the message waits for its producer's decision. Old consumers send transactional messages back by a plain
/// send, with the mark still on them.
fn is_half(header: &SendHeader<'_>, facts: &StoredProperties) -> bool {
    let marked =
        facts.is_half || sysflag::transaction(header.sys_flag) == sysflag::TRANSACTION_PREPARED;
    marked && !(header.reconsume_times > 0 && facts.delay_level > 0)
}

/// Where a message belongs that is stored elsewhere first.
fn real_place<'a>(dead: Option<&'a TopicName>, message: &Message<'a, '_>) -> (&'a str, QueueId) {
    match dead {
        Some(dead) => (dead.as_str(), QueueId::new(0)),
        None => (message.header.topic, message.queue_id),
    }
}

/// Turns a message into a half message; says which queue takes it.
fn hide(
    message: &Message<'_, '_>,
    facts: &StoredProperties,
    sends: &mut SendBatch,
    real: (&str, QueueId),
) -> Result<(Option<TopicName>, QueueId), Refusal> {
    if message.options.reject_transaction_message {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!(
                "the broker[{}] sending transaction message is forbidden",
                message.options.broker_ip1
            ),
        ));
    }
    let unique = sends.texts.get(facts.unique.clone()).unwrap_or_default();
    let group = message.header.producer_group;
    records::make_half(&mut sends.properties, unique, group, real);
    let topic = TopicName::stored(names::HALF_TOPIC);
    Ok((Some(topic), transaction::QUEUE))
}

/// Neither half nor rolled back: only such messages can be delayed.
fn is_plain(sys_flag: i32) -> bool {
    matches!(
        sysflag::transaction(sys_flag),
        0 | sysflag::TRANSACTION_COMMIT
    )
}

/// Inner batches belong to topics with batch queues, and cannot wait elsewhere first.
fn check_inner_batch(
    options: &BrokerOptions,
    topic: &Topic,
    facts: &StoredProperties,
    sys_flag: i32,
) -> Result<(), Refusal> {
    let flagged = sys_flag & sysflag::INNER_BATCH != 0;
    let waits = facts.delay_level > 0 || facts.has_timer || facts.is_half || !is_plain(sys_flag);
    let legal = if flagged {
        topics::has_batch_queues(&topic.config) && !waits
    } else {
        !facts.is_inner_batch
    };
    if legal {
        Ok(())
    } else {
        Err(illegal_message(options))
    }
}

/// For a message to a retry topic that may not be retried any more: the group's dead-letter topic.
fn dead_letter_topic(
    broker: &Broker,
    header: &SendHeader<'_>,
    request: &Request<'_, '_>,
) -> Result<Option<TopicName>, Refusal> {
    let Some(group) = header.topic.strip_prefix(crate::base::ids::RETRY_PREFIX) else {
        return Ok(None);
    };
    let config = broker.find_group(group).ok_or_else(|| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("subscription group not exist, {group} {FAQ}"),
        )
    })?;
    let of_client = header
        .max_reconsume_times
        .filter(|_| request.head.version >= VERSION_WITH_MAX_RECONSUME_TIMES);
    let allowed = of_client.unwrap_or(config.retry_max_times);
    // A group that holds queue locks is an orderly one, and an orderly consumer sends back only to give up.
    let gives_up = broker.locks.lock().any_live(group, broker.clock.now_ms());
    if header.reconsume_times <= allowed && !gives_up {
        return Ok(None);
    }
    let dead = TopicName::dlq_of(&GroupName::stored(group));
    broker.ensure_topic(&dead, 1, PERM_READ | PERM_WRITE, false, 0);
    Ok(Some(dead))
}

fn push_batch(
    broker: &Broker,
    sends: &mut SendBatch,
    topic: &mut Topic,
    queue_id: QueueId,
    header: &SendHeader<'_>,
    request: &Request<'_, '_>,
) -> Result<(), Refusal> {
    let illegal = |remark: String| Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark);
    if topic.name.is_retry() {
        return Err(illegal(format!(
            "batch request does not support retry group {}",
            header.topic
        )));
    }
    let options = broker.options.load();
    if sysflag::transaction(header.sys_flag) != 0 {
        return Err(illegal_message(&options));
    }
    let mut sys_flag = header.sys_flag;
    if topics::is_multi_tag(&topic.config) {
        sys_flag |= sysflag::MULTI_TAGS;
    }
    let facts = properties::of_batch(header.properties, &mut sends.texts);
    if facts.delay_level > 0 {
        return Err(illegal_message(&options));
    }
    // A batch is stored as a whole or not at all: look at every entry before the first goes into the group.
    let mut entries = 0;
    for entry in batch::decode(request.body) {
        let entry = entry.map_err(|error| illegal(error.to_string()))?;
        if entry.body.len() > options.store.message_max {
            return Err(illegal_message(&options));
        }
        entries += 1;
    }
    let queue = topic.queue(broker, queue_id);
    let mut one = Pending {
        opaque: request.head.opaque,
        serialization: request.head.serialization,
        oneway: request.head.is_oneway(),
        waits: facts.waits,
        queue_id: queue_id.to_wire(),
        touched: sends.touch(topic, &queue, queue_id),
        records: 0..0,
        unique: facts.unique,
        recall: 0..0,
        inner_batch: false,
        half: None,
    };
    if topics::has_batch_queues(&topic.config) && !one.unique.is_empty() {
        if facts.has_timer || i16::try_from(entries).is_err() {
            return Err(illegal_message(&options));
        }
        one.inner_batch = true;
        let batch = InnerBatch {
            one,
            entries,
            sys_flag,
        };
        return push_inner_batch(broker, sends, &queue, header, request, batch);
    }
    let first = sends.group.len();
    for entry in batch::decode(request.body).flatten() {
        let draft = Draft {
            topic: topic.name.as_str(),
            queue_id: queue_id.to_wire(),
            flag: entry.flag,
            sys_flag,
            born_timestamp: header.born_timestamp,
            born_host: request.channel.peer(),
            store_host: broker.store_host,
            reconsume_times: header.reconsume_times,
            prepared_transaction_offset: 0,
            body: entry.body,
            properties: entry.properties.as_bytes(),
        };
        if sends.group.push(&draft, &queue).is_err() {
            sends.group.truncate(first);
            return Err(illegal_message(&options));
        }
    }
    one.records = first..first + entries;
    sends.pending.push(one);
    Ok(())
}

/// A batch that is stored as one record.
struct InnerBatch {
    one: Pending,
    entries: usize,
    sys_flag: i32,
}

/// Adds a batch as it is to a batch queue. Consumers unwrap it.
fn push_inner_batch(
    broker: &Broker,
    sends: &mut SendBatch,
    queue: &Arc<Queue>,
    header: &SendHeader<'_>,
    request: &Request<'_, '_>,
    batch: InnerBatch,
) -> Result<(), Refusal> {
    let options = broker.options.load();
    let InnerBatch {
        mut one,
        entries,
        sys_flag,
    } = batch;
    let mut texts = String::new();
    StoredProperties::write(
        header.properties,
        &options,
        broker,
        &mut sends.properties,
        &mut texts,
    );
    write_pair(
        &mut sends.properties,
        names::INNER_NUM,
        &entries.to_string(),
    );
    let draft = Draft {
        topic: queue.topic().as_str(),
        queue_id: queue.id().to_wire(),
        flag: header.flag,
        sys_flag: sys_flag | sysflag::INNER_BATCH | sysflag::NEED_UNWRAP,
        born_timestamp: header.born_timestamp,
        born_host: request.channel.peer(),
        store_host: broker.store_host,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body: request.body,
        properties: &sends.properties,
    };
    let at = sends
        .group
        .push(&draft, queue)
        .map_err(|_| illegal_message(&options))?;
    one.records = at..at + 1;
    sends.pending.push(one);
    Ok(())
}

/// Appends the group, answers its requests and wakes the consumers that wait for them.
pub(crate) fn finish(broker: &Arc<Broker>, session: &mut Session, channel: &Arc<Channel>) {
    if session.sends.is_empty() {
        return;
    }
    let began = Instant::now();
    let stored = if broker.lacks_replicas(session.options.get()) {
        // Apache's words for it.
        Err(Refusal::error("in-sync replicas not enough"))
    } else {
        let appended = broker.store.append(&mut session.sends.group);
        appended.map_err(|error| append_refusal(&error, session.options.get()))
    };
    match stored {
        Ok(()) => appended(broker, session, channel, began),
        Err(refusal) => {
            let options = session.options.get();
            let commit_answer = Command::from(refusal.clone());
            let answer = refused(options, refusal);
            for name in session.sends.pending.iter().filter_map(|one| one.half) {
                broker.transactions.release(name);
            }
            broker
                .stats
                .put_failed
                .add(session.sends.pending.len() as u64);
            let encode = |out: &mut BytesMut| {
                for pending in session.sends.pending.iter().filter(|one| !one.oneway) {
                    let answer = pending.half.map_or(&answer, |_| &commit_answer);
                    answer.encode(pending.serialization, pending.opaque, out);
                }
            };
            channel.send_with(encode, []);
        }
    }
    session.sends.clear();
}

fn appended(broker: &Arc<Broker>, session: &mut Session, channel: &Arc<Channel>, began: Instant) {
    let options = Arc::clone(session.options.get());
    let safety = broker.safety(session.sends.group.end());
    // What may not count after all is not acknowledged, whatever its producer would put up with.
    let all_wait = broker.replication.is_majority();
    let (mut now, mut later) = (Sent::new(&options), Sent::new(&options));
    let route = session.sends.route;
    let SendBatch {
        group,
        pending,
        touched,
        texts,
        ..
    } = &mut session.sends;
    for one in pending.iter() {
        let records = one.records.clone().filter_map(|at| group.appended(at));
        let bytes = records
            .clone()
            .map(|record| u64::from(record.size))
            .sum::<u64>();
        if let Some(touched) = touched.get_mut(one.touched) {
            touched.messages += one
                .records
                .clone()
                .map(|at| group.messages(at))
                .sum::<u64>();
            touched.bytes += bytes;
        }
        for light in one.records.clone().flat_map(|at| group.light_topics(at)) {
            broker.wake(light, QueueId::new(0));
        }
        if let Some(name) = one.half {
            broker.transactions.committed(name);
        }
        if !one.oneway {
            let sent = if route.is_some() || safety.is_some() && (one.waits || all_wait) {
                &mut later
            } else {
                &mut now
            };
            if one.half.is_some() {
                sent.add_commit(one.opaque, one.serialization);
                continue;
            }
            let unique = texts.get(one.unique.clone()).unwrap_or_default();
            let recall = texts.get(one.recall.clone()).unwrap_or_default();
            sent.add(one.opaque, one.serialization, one.queue_id, unique)
                .inner_batch(one.inner_batch)
                .recall(recall)
                .records(broker.store_host, records);
        }
    }
    for touched in touched.iter() {
        broker.stats.put.add(touched.messages);
        broker.stats.put_bytes.add(touched.bytes);
        touched.put_nums.add(touched.messages);
        touched.put_size.add(touched.bytes);
    }
    let done = pending.len().saturating_sub(later.len());
    if done > 0 {
        broker.stats.put_times.note(began.elapsed(), done);
    }
    if !now.is_empty() {
        write_answers(channel, &now, ResponseCode::SUCCESS);
    }
    if !later.is_empty() {
        let wait = FlushWait {
            safety,
            route,
            sent: later,
            began,
        };
        flush_wait::answer_later(broker, channel, wait);
    }
    for touched in &session.sends.touched {
        broker.wake(&touched.topic, touched.queue_id);
    }
}
