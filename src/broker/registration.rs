//! Telling the name servers about this broker: every 30 seconds, at once when a topic changes, and good-bye on stop.
//!
//! One task does it all, over one connection to each name server. A name server that has everything is told of a change
//! only, as by Apache's broker; the regular round says everything again. [`Registrar::announce`] gives a ticket; the ticket is
//! done when a round that began later has been answered by every name server that can be reached. What creates a topic
//! waits for its ticket, so that a client which hears of success finds the route.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Broker;
use super::channels::Channels;
use super::options::BrokerOptions;
use super::replication::rival;
use super::topics::Topics;
use crate::base::Watermark;
use crate::protocol::body::lists::KVTable;
use crate::protocol::body::register::RegisterBrokerBody;
use crate::protocol::body::route::TopicRouteData;
use crate::protocol::body::topic_config::{DataVersion, TopicConfigAndMappingSerializeWrapper};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::namesrv::{
    GetRouteInfoRequestHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
    UnRegisterBrokerRequestHeader,
};
use crate::remoting::Channel;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A name server that is silent holds no stop, and no change of roles, up for longer.
const UNREGISTER_LIMIT: Duration = Duration::from_secs(1);
/// A name server that could not be told is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(3);
/// A round of registration looks for another master of this name unless the last look was as recent as this.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Orders rounds of registration and knows which are done.
pub(crate) struct Registrar {
    wanted: AtomicU64,
    done: Watermark,
    ring: Notify,
    /// Rounds that reached at least one name server.
    reached: Watermark,
    channels: Channels,
    /// What each name server has acknowledged.
    told: Mutex<HashMap<String, Told>>,
    /// The next round says everything.
    everything: AtomicBool,
}

/// What a name server knows.
#[derive(Clone, Copy)]
struct Told {
    /// The connection on which it was told; another one may lead to a process that knows nothing.
    channel: u64,
    /// The change of the topic table that it knows, and all before.
    changes: u64,
}

impl Registrar {
    pub(crate) fn new() -> Self {
        Self {
            wanted: AtomicU64::new(0),
            done: Watermark::new(0),
            ring: Notify::new(),
            reached: Watermark::new(0),
            channels: Channels::default(),
            told: Mutex::new(HashMap::new()),
            everything: AtomicBool::new(true),
        }
    }

    /// Asks for a round that says everything; returns its ticket.
    pub(crate) fn announce(&self) -> u64 {
        self.everything.store(true, Ordering::Release);
        self.announce_topics()
    }

    /// Asks for a round after nothing but topics has changed; returns its ticket.
    pub(crate) fn announce_topics(&self) -> u64 {
        let ticket = self.wanted.fetch_add(1, Ordering::AcqRel) + 1;
        self.ring.notify_one();
        ticket
    }

    /// The ticket of the last round asked for.
    pub(crate) fn latest(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// Completes when the ticket's round is over, whether or not every name server answered.
    pub(crate) async fn done(&self, ticket: u64) {
        self.done.reached(ticket).await;
    }

    /// Completes when a name server has taken a registration for the first time.
    pub(crate) async fn registered(&self) {
        self.reached.reached(1).await;
    }

    pub(crate) async fn channel(&self, address: &str) -> Result<Arc<Channel>, String> {
        self.channels.to(address).await
    }
}

/// Registers in rounds for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut complained = false;
    // Who has just been made master tells the name servers first.
    let took_over = broker.replication.took_over();
    let mut looked = took_over.then(Instant::now);
    let mut said_everything: Option<Instant> = None;
    let mut rung = false;
    loop {
        let ticket = broker.registrar.latest();
        let options = broker.options.load();
        let stands_back = broker.replication.rival().is_some();
        if stands_back || looked.is_none_or(|at: Instant| at.elapsed() > LOOK_EVERY) {
            rival::look(&broker).await;
            looked = Some(Instant::now());
        }
        let period = Duration::from_millis(options.register_name_server_period);
        let asked = broker.registrar.everything.swap(false, Ordering::AcqRel);
        // Without a ring it is the regular round, or something is to be tried again; its answers matter then.
        if asked || !rung || said_everything.is_none_or(|at| at.elapsed() >= period) {
            broker.registrar.told.lock().clear();
            said_everything = Some(Instant::now());
        }
        let failures = round(&broker, &options).await;
        broker.registrar.done.advance(ticket);
        let left = said_everything.map_or(period, |at| period.saturating_sub(at.elapsed()));
        let wait = if failures.is_empty() {
            if complained {
                tracing::info!("registered with all name servers again");
            }
            complained = false;
            // A slave that was not told where its master is asks again: the master may only just have come.
            match broker.replication.link() {
                link if broker.is_slave() && link.address.is_none() => RETRY_AFTER.min(period),
                // The broker this one stands back for may be gone.
                _ if broker.replication.rival().is_some() => RETRY_AFTER.min(period),
                _ => left,
            }
        } else {
            if !complained {
                for failure in &failures {
                    tracing::warn!("cannot register: {failure}");
                }
            }
            complained = true;
            RETRY_AFTER.min(period)
        };
        let asked_again = broker.registrar.ring.notified();
        rung = tokio::time::timeout(wait, asked_again).await.is_ok();
    }
}

/// Registers with every name server at once; returns what went wrong.
async fn round(broker: &Arc<Broker>, options: &Arc<BrokerOptions>) -> Vec<String> {
    if broker.replication.is_fenced() || broker.replication.is_isolated() {
        // Its place is another's: whoever asked for a round need not wait, and clients are not led here.
        broker.registrar.told.lock().clear();
        broker.registrar.reached.advance(1);
        return Vec::new();
    }
    let whole = Arc::new(OnceLock::new());
    let mut calls = JoinSet::new();
    for address in options.name_servers() {
        calls.spawn(register(
            Arc::clone(broker),
            Arc::clone(options),
            address.to_owned(),
            Arc::clone(&whole),
        ));
    }
    let mut failures = Vec::new();
    while let Some(joined) = calls.join_next().await {
        match joined {
            Ok(Ok(())) => broker.registrar.reached.advance(1),
            Ok(Err(failure)) => failures.push(failure),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}

/// The body of a registration, and the change of the topic table up to which it tells.
#[derive(Clone)]
struct Tale {
    changes: u64,
    body: Bytes,
}

/// What a name server is told that knows the topics as of the change `since`; `None` if that is nothing.
fn tale(
    broker: &Broker,
    options: &BrokerOptions,
    since: Option<u64>,
    whole: &OnceLock<Result<Tale, String>>,
) -> Result<Option<Tale>, String> {
    let mappings = DataVersion {
        timestamp: broker.started_ms,
        ..DataVersion::default()
    };
    if let Some(since) = since {
        let news = broker.topics.with(|topics| {
            let news = topics.wrapper_since(since, mappings)?;
            Some((topics.changes(), news))
        });
        if let Some((changes, news)) = news {
            if changes == since {
                return Ok(None);
            }
            return encode(broker, options, changes, news).map(Some);
        }
    }
    let everything = whole.get_or_init(|| {
        let table = |topics: &mut Topics| (topics.changes(), topics.wrapper(mappings));
        let (changes, wrapper) = broker.topics.with(table);
        encode(broker, options, changes, wrapper)
    });
    everything.clone().map(Some)
}

fn encode(
    broker: &Broker,
    options: &BrokerOptions,
    changes: u64,
    mut wrapper: TopicConfigAndMappingSerializeWrapper,
) -> Result<Tale, String> {
    if broker.replication.group().is_some() {
        // By this the name servers tell a master from one of an earlier epoch.
        wrapper.data_version.state_version = broker.replication.promised().into();
    }
    for topic in wrapper.topic_config_table.values_mut() {
        // A broker that may not be written registers topics that may not be written.
        topic.perm &= options.broker_permission | super::topics::PERM_INHERIT;
    }
    let body = fastjson::to_wire(&RegisterBrokerBody {
        filter_server_list: Vec::new(),
        topic_config_serialize_wrapper: wrapper,
    });
    let body = body.map_err(|error| error.to_string())?;
    Ok(Tale {
        changes,
        body: Bytes::from(body),
    })
}

async fn register(
    broker: Arc<Broker>,
    options: Arc<BrokerOptions>,
    address: String,
    whole: Arc<OnceLock<Result<Tale, String>>>,
) -> Result<(), String> {
    let failed = |why: String| format!("{address}: {why}");
    let channel = broker.registrar.channel(&address).await.map_err(failed)?;
    // Taken away until it has answered: after a failure nobody knows what it knows.
    let known = broker.registrar.told.lock().remove(&address);
    let known = known.filter(|known| known.channel == channel.id());
    let since = known.map(|known| known.changes);
    let told = match tale(&broker, &options, since, &whole)? {
        Some(Tale { changes, body }) => {
            tell(&broker, &options, &channel, body)
                .await
                .map_err(failed)?;
            changes
        }
        None => since.unwrap_or_default(),
    };
    let told = Told {
        channel: channel.id(),
        changes: told,
    };
    broker.registrar.told.lock().insert(address, told);
    Ok(())
}

async fn tell(
    broker: &Broker,
    options: &BrokerOptions,
    channel: &Arc<Channel>,
    body: Bytes,
) -> Result<(), String> {
    let (own, ha) = (options.address(), options.ha_address());
    let header = RegisterBrokerRequestHeader {
        broker_name: &options.broker_name,
        broker_addr: &own,
        cluster_name: &options.broker_cluster_name,
        ha_server_addr: &ha,
        broker_id: options.broker_id,
        enable_acting_master: Some(false),
        compressed: false,
        body_crc32: RegisterBrokerBody::crc(&body),
        ..RegisterBrokerRequestHeader::default()
    };
    let request = Command::request(RequestCode::REGISTER_BROKER, &header).with_body(body);
    let limit = Duration::from_millis(options.register_broker_timeout_mills);
    let reply = channel
        .call(request, limit)
        .await
        .map_err(|error| error.to_string())?;
    if reply.code != ResponseCode::SUCCESS {
        return Err(format!("{} {}", reply.code, reply.remark()));
    }
    // Where a controller says who is master, the name servers may be behind.
    if broker.replication.is_slave()
        && broker.replication.group().is_none()
        && let Ok(answer) = reply.header::<RegisterBrokerResponseHeader<'_>>()
    {
        let configured = !options.ha_master_address.trim().is_empty();
        let ha_address = answer.ha_server_addr.filter(|_| !configured);
        broker.replication.master_is(ha_address, answer.master_addr);
    }
    if let Ok(ordered) = fastjson::from_slice::<KVTable>(&reply.body) {
        mark_ordered(broker, &ordered);
    }
    Ok(())
}

/// The name server lists the ordered topics in its answer.
fn mark_ordered(broker: &Broker, ordered: &KVTable) {
    let unmarked = {
        let topics = broker.topic_map.load();
        let mut names = ordered.table.keys();
        names.any(|name| topics.get(name.as_str()).is_some_and(|topic| !topic.order))
    };
    if unmarked {
        let now_ms = broker.clock.now_ms();
        let names = ordered.table.keys().map(String::as_str);
        broker.change_topics(|topics| topics.mark_ordered(names, now_ms));
    }
}

/// Asks the name servers where a topic is; `None` if none of them says.
pub(crate) async fn route(broker: &Broker, topic: &str) -> Option<TopicRouteData> {
    let options = broker.options.load();
    let header = GetRouteInfoRequestHeader {
        topic,
        accept_standard_json_only: Some(true),
    };
    for address in options.name_servers() {
        let Ok(channel) = broker.registrar.channel(address).await else {
            continue;
        };
        let request = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, &header);
        let reply = channel.call(request, CONNECT_LIMIT).await;
        let known = reply
            .ok()
            .filter(|reply| reply.code == ResponseCode::SUCCESS);
        if let Some(known) = known {
            return fastjson::from_slice(&known.body).ok();
        }
    }
    None
}

/// Takes leave of every name server and closes the connections.
pub(crate) async fn unregister(broker: &Broker) {
    let options = broker.options.load();
    let own = options.address();
    let header = UnRegisterBrokerRequestHeader {
        broker_name: &options.broker_name,
        broker_addr: &own,
        cluster_name: &options.broker_cluster_name,
        broker_id: options.broker_id,
    };
    let channels = broker.registrar.channels.take();
    let mut calls = JoinSet::new();
    for (address, channel) in channels {
        // A slave's connection to its master is among them; that may hang, and need not know.
        if !options.name_servers().any(|known| known == address) {
            channel.close();
        }
        if channel.is_closed() {
            continue;
        }
        // Some lead to other brokers, who have no registration to end, and may be dead.
        if !options.name_servers().any(|server| server == address) {
            channel.close();
            continue;
        }
        let call = channel.call(
            Command::request(RequestCode::UNREGISTER_BROKER, &header),
            UNREGISTER_LIMIT,
        );
        calls.spawn(async move {
            if let Err(error) = call.await {
                tracing::debug!("cannot unregister at {address}: {error}");
            }
            channel.close();
        });
    }
    while calls.join_next().await.is_some() {}
}
