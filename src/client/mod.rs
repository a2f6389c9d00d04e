//! A RocketMQ client: producers, consumers, readers and administration over one set of connections.
//!
//! [`Client::connect`] takes name servers; everything else is found from there. A [`Client`] keeps connections,
//! routes and heartbeats, and is shared by the handles made from it:
//!
//! * [`Client::producer`] sends messages ([`Producer`]),
//! * [`Client::transaction_producer`] sends messages that count only when committed ([`TransactionProducer`]),
//! * [`Client::consumer`] is a member of a consumer group ([`Consumer`], [`Delivery`]),
//! * [`Client::reader`] reads a topic without a group and without moving any offset ([`PullReader`]),
//! * [`Webhook`] hands messages on to an HTTP server,
//! * [`Client::admin`] asks about and changes topics and offsets ([`Admin`]).
//!
//! It speaks the remoting protocol of Apache RocketMQ 4.x and 5.x and works against Apache's servers as well as
//! against `rmq serve`. Absent on purpose so far: TLS, access control, request-reply, POP.
//!
//! Lock order: every table in here is a leaf; no lock is held while waiting.

pub mod admin;
mod consumer;
mod error;
mod heartbeat;
mod inbound;
mod members;
mod message;
mod net;
mod producer;
mod pull;
mod queue;
mod reader;
mod reports;
mod request;
mod route;
mod routes;
mod shared;
mod subscription;
#[cfg(test)]
mod tests;
mod transaction;
mod webhook;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub use crate::base::{BrokerName, GroupName, NameError, QueueId, TopicName};
pub use crate::message::sysflag::Compression;
pub use crate::protocol::codes::ResponseCode;

pub use self::admin::{Admin, Boundary, BrokerClock, Clusters, TopicSpec};
pub use self::consumer::{Consumer, ConsumerOptions, Delivery, StartFrom};
pub use self::error::ClientError;
pub use self::message::{Message, Received, is_reserved_property};
pub use self::producer::{Producer, ProducerOptions, SendReceipt, SendStatus};
pub use self::queue::MessageQueue;
pub use self::reader::{PullReader, ReadFrom, ReadOptions};
pub use self::route::{Route, RouteBroker, RouteQueues};
pub use self::subscription::{Condition, Subscription};
pub use self::transaction::{Answered, Decision, Half, TransactionOptions, TransactionProducer};
pub use self::webhook::Webhook;

use self::inbound::Inbound;
use self::members::Members;
use self::net::Net;
use self::routes::Routes;
use self::shared::Shared;
use crate::sys::Clock;

/// How a [`Client`] deals with its peers.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The longest an attempt to connect may take.
    pub connect_timeout: Duration,
    /// The longest an ordinary request may take.
    pub request_timeout: Duration,
    /// How often brokers are told that this client is alive. They forget it after two minutes.
    pub heartbeat_every: Duration,
    /// How often routes in use are fetched anew.
    pub routes_every: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(3),
            heartbeat_every: Duration::from_secs(30),
            routes_every: Duration::from_secs(30),
        }
    }
}

/// The connections, routes and memberships of one client. Cheap to clone; ends with the last clone and the last
/// handle made from it.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, Message, ProducerOptions};
///
/// let client = Client::connect(["10.0.0.1:9876", "10.0.0.2:9876"], ClientOptions::default()).await?;
/// let producer = client.producer("billing", ProducerOptions::default())?;
/// producer.send(Message::new("orders", "hello")).await?;
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.shared.id)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the first of the name servers that answers. Brokers are connected to on first use.
    pub async fn connect<S: Into<String>>(
        name_servers: impl IntoIterator<Item = S>,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let name_servers: Vec<String> = name_servers.into_iter().map(Into::into).collect();
        if name_servers.is_empty() {
            return Err(ClientError::Usage("no name server is given".to_owned()));
        }
        let members = Arc::new(Members::default());
        let inbound = Arc::new(Inbound::new(Arc::clone(&members), Clock::default()));
        let net = Arc::new(Net::new(inbound, options.connect_timeout));
        let routes = Routes::new(Arc::clone(&net), name_servers, options.request_timeout);
        let local = routes.first_contact().await?;
        let shared = Arc::new(Shared::new(net, routes, members, options, local));
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_alive(Arc::clone(&shared)));
        tasks.spawn(keep_routes(Arc::clone(&shared)));
        Ok(Self {
            shared,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// A client that knows no name server and therefore no route: for the administration of servers whose addresses are
    /// known.
    pub fn without_name_servers(options: ClientOptions) -> Self {
        let members = Arc::new(Members::default());
        let inbound = Arc::new(Inbound::new(Arc::clone(&members), Clock::default()));
        let net = Arc::new(Net::new(inbound, options.connect_timeout));
        let routes = Routes::new(Arc::clone(&net), Vec::new(), options.request_timeout);
        let local = (Ipv4Addr::LOCALHOST, 0).into();
        Self {
            shared: Arc::new(Shared::new(net, routes, members, options, local)),
            tasks: Arc::default(),
        }
    }

    /// The name brokers know this client by.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// A producer in `group`.
    pub fn producer(&self, group: &str, options: ProducerOptions) -> Result<Producer, ClientError> {
        let group = GroupName::parse(group)?;
        Ok(Producer::join(self.clone(), group, options))
    }

    /// A producer of transactional messages in `group`. `checker` answers for every member of the group: brokers ask
    /// whoever lives about messages that were neither committed nor rolled back.
    pub async fn transaction_producer<A>(
        &self,
        group: &str,
        options: TransactionOptions,
        checker: impl Fn(Received) -> A + Send + Sync + 'static,
    ) -> Result<TransactionProducer, ClientError>
    where
        A: Future<Output = Decision> + Send + 'static,
    {
        TransactionProducer::join(self.clone(), group, options, checker).await
    }

    /// A member of the consumer group `group`. It is a member as soon as this returns; queues fall to it a moment
    /// later.
    pub async fn consumer(
        &self,
        group: &str,
        options: ConsumerOptions,
    ) -> Result<Consumer, ClientError> {
        let group = GroupName::parse(group)?;
        Consumer::join(self.clone(), group, options).await
    }

    /// A reader of `topic` that is in no group.
    pub async fn reader(
        &self,
        topic: &str,
        options: ReadOptions,
    ) -> Result<PullReader, ClientError> {
        PullReader::open(self.clone(), topic, options).await
    }

    /// Administration.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.shared))
    }

    /// Leaves the producer groups, writes out what is queued and ends all connections. Close consumers first: a handle
    /// that is still there connects again when it is used, but its heartbeats have ended.
    pub async fn close(self) {
        self.tasks.lock().abort_all();
        for group in self.shared.members.producers() {
            self.shared.leave(Some(&group), None).await;
        }
        self.shared.net.close().await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

async fn keep_alive(shared: Arc<Shared>) {
    let mut ticks = interval(
        shared
            .options
            .heartbeat_every
            .max(Duration::from_millis(10)),
    );
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        heartbeat::beat(&shared).await;
    }
}

async fn keep_routes(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.routes_every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, when there is nothing to refresh.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        shared.routes.refresh_all().await;
    }
}
