//! A member of a consumer group: takes its share of the queues and hands their messages out.
//!
//! Three kinds of tasks work for a consumer: the balancer, a pull loop for each owned queue, and the committer. What
//! they fetch waits in one buffer with a bound. An offset is committed only when every message before it was
//! acknowledged, so a crash can repeat messages but not lose any.
//!
//! A broadcasting consumer shares nothing: it reads every queue, and nobody keeps its offsets.
//!
//! Absent on purpose: POP.

mod balance;
mod core;
mod delivery;
mod fetch;
mod flow;
mod handover;
mod order;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::base::GroupName;
use crate::protocol::body::heartbeat::CheckClientRequestBody;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::NoHeader;

pub(crate) use self::core::{Buffered, Core, OwnedView};
pub use self::delivery::Delivery;

use super::Client;
use super::error::ClientError;
use super::heartbeat;
use super::net::unreadable;
use super::subscription::Subscription;

/// Where a group begins that has no offset for a queue yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// As Apache's clients by default: at the first message if the queue is young enough to hold everything that was
    /// ever in it, so that a queue added to a topic loses nothing, else at the end.
    #[default]
    Unspecified,
    /// At the end: only what comes from now on.
    Latest,
    /// At the first message that is still there.
    Earliest,
    /// At the first message stored at or after a time.
    Time {
        /// Milliseconds since 1970.
        ms: i64,
    },
}

/// What a [`Consumer`] wants and what it may cost.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The topics and tags. All members of a group must want the same.
    pub subscriptions: Vec<Subscription>,
    /// Where a new group begins.
    pub start_from: StartFrom,
    /// Messages in one pull.
    pub pull_messages_max: u32,
    /// How long a broker may hold a pull that finds nothing.
    pub pull_hold: Duration,
    /// No pull begins while so many messages are buffered or handed out.
    pub buffered_messages_max: usize,
    /// No pull begins while so many bytes are buffered or handed out.
    pub buffered_bytes_max: usize,
    /// How often offsets are committed.
    pub commit_every: Duration,
    /// How often a message is retried before it becomes a dead letter.
    pub retries_max: u32,
    /// Whether the messages of a queue are handed out strictly one after the other, over all members of the group: the
    /// next one only when the one before it is finished. A retry makes a dead letter of it then.
    pub ordered: bool,
    /// Whether every member of the group gets every message. No offset is kept then: each time the consumer begins
    /// where `start_from` says, and a message that is given back is not delivered again.
    pub broadcast: bool,
    /// How long a queue that goes to another member waits for its messages that are still in the application's hands:
    /// what is finished by then is not handed out again. [`Consumer::close`] waits as long for deliveries it finds.
    pub hand_over_max: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            subscriptions: Vec::new(),
            start_from: StartFrom::default(),
            pull_messages_max: 32,
            pull_hold: Duration::from_secs(15),
            buffered_messages_max: 1000,
            buffered_bytes_max: 64 << 20,
            commit_every: Duration::from_secs(5),
            retries_max: 16,
            ordered: false,
            broadcast: false,
            hand_over_max: Duration::from_secs(20),
        }
    }
}

/// A member of a consumer group; hands out messages one by one.
///
/// Call [`Consumer::close`] to leave in order. A consumer that is dropped tells the brokers in passing, without
/// waiting for the last commit; the group then sees the last few messages again.
///
/// ```no_run
/// # async fn example() -> Result<(), rmq::client::ClientError> {
/// use rmq::client::{Client, ClientOptions, ConsumerOptions, Subscription};
///
/// let client = Client::connect(["127.0.0.1:9876"], ClientOptions::default()).await?;
/// let options = ConsumerOptions {
///     subscriptions: vec![Subscription::tagged("orders", "paid || sent")?],
///     ..ConsumerOptions::default()
/// };
/// let mut consumer = client.consumer("billing", options).await?;
/// while let Some(delivery) = consumer.next().await {
///     println!("{}: {} bytes", delivery.message_id(), delivery.body().len());
///     delivery.ack();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    core: Arc<Core>,
    deliveries: mpsc::UnboundedReceiver<Buffered>,
    /// The balancer alone; says how the last commits went.
    balancer: JoinSet<Result<(), ClientError>>,
    committer: JoinSet<()>,
    /// What an ordered consumer got before its turn.
    held: order::Held,
    left: bool,
    /// Keeps heartbeats going.
    _client: Client,
}

impl Consumer {
    pub(crate) async fn join(
        client: Client,
        group: GroupName,
        options: ConsumerOptions,
    ) -> Result<Self, ClientError> {
        if options.subscriptions.is_empty() {
            return Err(ClientError::Usage(
                "a consumer needs at least one subscription".to_owned(),
            ));
        }
        let (out, deliveries) = mpsc::unbounded_channel();
        let shared = Arc::clone(client.shared());
        let core = Arc::new(Core::new(shared, group, options, out));
        core.shared().members.add_consumer(core.group(), &core)?;
        // From here on dropping the consumer leaves the group.
        let mut consumer = Self {
            core: Arc::clone(&core),
            deliveries,
            balancer: JoinSet::new(),
            committer: JoinSet::new(),
            held: order::Held::default(),
            left: false,
            _client: client,
        };
        for subscription in &core.options().subscriptions {
            match core.shared().routes.get(subscription.topic()).await {
                Ok(route) if subscription.is_sql() => {
                    check_sql(&core, &route, subscription).await?;
                }
                // A topic may come into being later.
                Ok(_) | Err(ClientError::NoRoute { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        heartbeat::beat(core.shared()).await;
        consumer.balancer.spawn(balance::run(Arc::clone(&core)));
        consumer.committer.spawn(commit_regularly(core));
        Ok(consumer)
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        self.core.group()
    }

    /// The next message, as soon as there is one. A consumer has no end but [`Consumer::close`], so this is never
    /// `None`; it is an option to be used like a stream.
    ///
    /// Safe to use in `select!`: a message is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        if self.core.options().ordered {
            return self.next_in_order().await;
        }
        loop {
            let buffered = self.deliveries.recv().await?;
            if let Buffered::FromQueue { owned, message, .. } = &buffered
                && !owned.hand_out(message.queue_offset)
            {
                continue;
            }
            return Some(Delivery::new(&self.core, buffered));
        }
    }

    async fn next_in_order(&mut self) -> Option<Delivery> {
        loop {
            while let Ok(buffered) = self.deliveries.try_recv() {
                if let Buffered::Direct { .. } = buffered {
                    return Some(Delivery::new(&self.core, buffered));
                }
                self.held.keep(buffered);
            }
            if let Some(buffered) = self.held.take() {
                return Some(Delivery::new(&self.core, buffered));
            }
            tokio::select! {
                biased;
                buffered = self.deliveries.recv() => match buffered? {
                    direct @ Buffered::Direct { .. } => return Some(Delivery::new(&self.core, direct)),
                    buffered => self.held.keep(buffered),
                },
                () = self.core.turn.notified() => {}
            }
        }
    }

    /// The queues this member reads at present.
    pub fn queues(&self) -> Vec<super::queue::MessageQueue> {
        let owned = self.core.owned();
        owned.iter().map(|owned| owned.queue.clone()).collect()
    }

    /// Commits now what was acknowledged, without waiting for the next regular commit.
    pub async fn commit(&self) -> Result<(), ClientError> {
        self.core.commit_all().await
    }

    /// Stops, commits what was acknowledged, and leaves the group. Messages that were fetched and not handed out go
    /// to other members. Deliveries that are still somewhere else in the application are waited for
    /// ([`ConsumerOptions::hand_over_max`]).
    ///
    /// The error is that of a commit; the group was left all the same.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.core.close();
        let committed = match self.balancer.join_next().await {
            Some(Ok(committed)) => committed,
            Some(Err(_)) | None => self.core.commit_all().await,
        };
        self.committer.shutdown().await;
        self.left = true;
        self.core
            .shared()
            .members
            .remove_consumer(self.core.group());
        self.core
            .shared()
            .leave(None, Some(self.core.group()))
            .await;
        committed
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if !self.left {
            let shared = self.core.shared();
            shared.members.remove_consumer(self.core.group());
            shared.leave_in_passing(None, Some(self.core.group()));
        }
    }
}

/// Asks the brokers of a topic whether they evaluate the SQL92 of a subscription; one that does not would only refuse
/// pulls later, where nobody hears of it.
async fn check_sql(
    core: &Core,
    route: &super::route::Route,
    subscription: &Subscription,
) -> Result<(), ClientError> {
    let shared = core.shared();
    let request_code = RequestCode::CHECK_CLIENT_CONFIG;
    let body = CheckClientRequestBody {
        client_id: Some(shared.id.clone()),
        group: Some(core.group().to_string()),
        namespace: None,
        subscription_data: Some(heartbeat::subscription_data(
            subscription,
            core.started_ms(),
        )),
    };
    for address in route
        .brokers
        .iter()
        .filter_map(|broker| broker.readable_at(0))
    {
        let bytes =
            fastjson::to_wire(&body).map_err(|error| unreadable(address, request_code, error))?;
        let request = Command::request(request_code, &NoHeader).with_body(bytes);
        shared
            .net
            .call_ok(address, request, shared.timeout())
            .await?;
    }
    Ok(())
}

async fn commit_regularly(core: Arc<Core>) {
    let mut ticks = interval(core.options().commit_every.max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        if let Err(error) = core.commit_all().await {
            tracing::warn!(group = %core.group(), "offsets not committed: {error}");
        }
    }
}
