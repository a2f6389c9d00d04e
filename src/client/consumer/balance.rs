//! Shares out the queues: which of them this member reads, when that changes, and from where it starts.
//!
//! Every member computes the same deal from the same two sorted lists, the queues and the members; nobody decides
//! for others. The lists can differ for a moment; that no queue has two readers then is the business of the locks
//! ([`super::handover`], [`super::order`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::base::TopicName;
use crate::protocol::body::lists::GetConsumerListByGroupResponseBody;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::group::GetConsumerListByGroupRequestHeader;
use crate::protocol::header::pull::{
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader,
};
use crate::sys::task::boxed;

use super::super::admin::{Boundary, queue_end, queue_offset_at, queue_start};
use super::super::error::ClientError;
use super::super::heartbeat;
use super::super::net::{refused, unreadable};
use super::super::queue::{MessageQueue, allocate_averagely};
use super::super::route::Route;
use super::super::shared::Shared;
use super::StartFrom;
use super::core::{Core, Owned};
use super::fetch;
use super::handover::{Borrower, Leaving};
use super::order::{self, STALE_MS};

/// How often the deal is looked at without a reason, as in Apache's clients.
const CALM: Duration = Duration::from_secs(20);
/// The first pause after a look that could not be finished; it doubles up to [`CALM`].
const HURRY: Duration = Duration::from_millis(100);

/// Deals queues until the consumer is closed, and then hands them all over. The error is that of a commit.
pub(super) async fn run(core: Arc<Core>) -> Result<(), ClientError> {
    let mut balancer = Balancer {
        core,
        pulls: JoinSet::new(),
        pulling: BTreeMap::new(),
        leaving: Leaving::default(),
        borrower: Borrower::default(),
    };
    let mut hurry = HURRY;
    while !balancer.core.is_closing() {
        balancer.apply_resets();
        let settled = balancer.look().await;
        if balancer.core.options().ordered {
            balancer.stop_stale();
        }
        let pause = if settled { CALM } else { hurry };
        hurry = if settled {
            HURRY
        } else {
            (hurry * 2).min(CALM)
        };
        let core = Arc::clone(&balancer.core);
        tokio::select! {
            biased;
            () = core.wake.notified() => hurry = HURRY,
            () = balancer.leaving.one_is_over(), if !settled => {}
            () = sleep(pause) => {}
        }
        balancer.reap();
    }
    balancer.leave().await
}

struct Balancer {
    core: Arc<Core>,
    /// One task for each owned queue; ends with the balancer.
    pulls: JoinSet<()>,
    pulling: BTreeMap<MessageQueue, AbortHandle>,
    leaving: Leaving,
    borrower: Borrower,
}

impl Balancer {
    /// Looks at every topic once. `false` if a look has to be repeated soon.
    async fn look(&mut self) -> bool {
        let core = Arc::clone(&self.core);
        let mut settled = true;
        for subscription in core.subscriptions() {
            if core.is_closing() {
                return true;
            }
            match self.deal(subscription.topic()).await {
                Ok(complete) => settled &= complete,
                Err(error) => {
                    settled = false;
                    tracing::debug!(topic = %subscription.topic(), "queues not shared out: {error}");
                }
            }
        }
        settled
    }

    async fn deal(&mut self, topic: &TopicName) -> Result<bool, ClientError> {
        let core = Arc::clone(&self.core);
        let route = core.shared().routes.get(topic).await?;
        if core.options().broadcast {
            return Ok(self.take_all(&route).await);
        }
        let members = self.members(&route).await?;
        if !members.contains(&core.shared().id) {
            // The broker lost its memory, or was never told. Whoever reads now goes on reading.
            heartbeat::beat(core.shared()).await;
            return Ok(false);
        }
        let mut queues = route.read_queues();
        queues.sort();
        let members: Vec<String> = members.into_iter().collect();
        let mine: BTreeSet<MessageQueue> = allocate_averagely(&queues, &members, &core.shared().id)
            .into_iter()
            .collect();
        self.give_up_all_but(topic, &mine);
        let wanted = mine.len();
        let mine = if core.options().ordered {
            self.lock(&mine).await
        } else {
            let members = members.into_iter().collect();
            let borrower = &mut self.borrower;
            borrower.borrow(&core, topic, &queues, &members, mine).await
        };
        let complete = mine.len() == wanted;
        Ok(self.start_missing(mine).await && complete)
    }

    /// A broadcasting member reads every queue there is.
    async fn take_all(&mut self, route: &Route) -> bool {
        let queues: BTreeSet<MessageQueue> = route.read_queues().into_iter().collect();
        self.give_up_all_but(&route.topic, &queues);
        self.start_missing(queues).await
    }

    /// Starts the queues that are not read yet. `false` if one of them could not be started.
    async fn start_missing(&mut self, mine: BTreeSet<MessageQueue>) -> bool {
        let mut complete = true;
        for queue in mine {
            if self.pulling.contains_key(&queue) {
                continue;
            }
            if self.leaving.contains(&queue) {
                complete = false;
                continue;
            }
            match self.start_offset(&queue).await {
                Ok(offset) => self.start(queue, offset),
                Err(error) => {
                    complete = false;
                    tracing::debug!(%queue, "no offset to start from: {error}");
                }
            }
        }
        complete
    }

    /// The ids of the group's members, sorted.
    async fn members(&self, route: &Route) -> Result<BTreeSet<String>, ClientError> {
        let shared = self.core.shared();
        let code = RequestCode::GET_CONSUMER_LIST_BY_GROUP;
        let mut last_error = ClientError::NoRoute {
            topic: route.topic.to_string(),
            reason: "no broker has it",
        };
        for address in route
            .brokers
            .iter()
            .filter_map(|broker| broker.readable_at(0))
        {
            let header = GetConsumerListByGroupRequestHeader {
                consumer_group: self.core.group().as_str(),
                broker_name: None,
            };
            let request = Command::request(code, &header);
            match shared.net.call(address, request, shared.timeout()).await {
                Ok(reply) if reply.code == ResponseCode::SUCCESS => {
                    let list: GetConsumerListByGroupResponseBody =
                        fastjson::from_slice(&reply.body)
                            .map_err(|error| unreadable(address, code, error))?;
                    return Ok(list.consumer_id_list.into_iter().collect());
                }
                // The broker's way to say that the group has no members.
                Ok(reply) if reply.code == ResponseCode::SYSTEM_ERROR => return Ok(BTreeSet::new()),
                Ok(reply) => last_error = refused(address, "GET_CONSUMER_LIST_BY_GROUP", &reply),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Stops reading the queues of a topic that fell to others, and begins to hand them over.
    fn give_up_all_but(&mut self, topic: &TopicName, mine: &BTreeSet<MessageQueue>) {
        let lost: Vec<MessageQueue> = self
            .pulling
            .keys()
            .filter(|queue| queue.topic == *topic && !mine.contains(*queue))
            .cloned()
            .collect();
        for queue in lost {
            tracing::debug!(%queue, "given up");
            self.hand_over(&queue);
        }
    }

    fn hand_over(&mut self, queue: &MessageQueue) {
        if let Some(owned) = self.stop(queue) {
            self.leaving.begin(&self.core, owned);
        }
    }

    /// Hands everything over.
    async fn leave(&mut self) -> Result<(), ClientError> {
        for owned in self.core.owned() {
            self.hand_over(&owned.queue);
        }
        self.leaving.all().await
    }

    /// Locks queues, and stops reading those that are locked by others. Returns which may be read.
    async fn lock(&mut self, mine: &BTreeSet<MessageQueue>) -> BTreeSet<MessageQueue> {
        let core = Arc::clone(&self.core);
        let now_ms = core.shared().clock.now_ms();
        let locks = order::lock(&core, mine.iter()).await;
        for owned in core.owned() {
            if locks.held.contains(&owned.queue) {
                owned.renewed_ms.store(now_ms, Ordering::Relaxed);
            } else if mine.contains(&owned.queue) && !locks.unknown.contains(&owned.queue) {
                tracing::warn!(queue = %owned.queue, "the lock went to another member");
                self.abandon(&owned.queue);
            }
        }
        locks.held
    }

    /// Stops reading queues whose locks could not be renewed.
    fn stop_stale(&mut self) {
        let now_ms = self.core.shared().clock.now_ms();
        for owned in self.core.owned() {
            let renewed_ms = owned.renewed_ms.load(Ordering::Relaxed);
            if now_ms.saturating_sub(renewed_ms) > STALE_MS {
                tracing::warn!(queue = %owned.queue, "the lock could not be renewed");
                // The broker may keep it for us for half a minute more: time to finish.
                self.hand_over(&owned.queue);
            }
        }
    }

    fn stop(&mut self, queue: &MessageQueue) -> Option<Arc<Owned>> {
        if let Some(task) = self.pulling.remove(queue) {
            task.abort();
        }
        let owned = self.core.remove(queue)?;
        owned.give_up();
        Some(owned)
    }

    /// Stops reading a queue whose offset is not ours to commit any more.
    fn abandon(&mut self, queue: &MessageQueue) {
        if let Some(owned) = self.stop(queue) {
            owned.release();
        }
    }

    fn start(&mut self, queue: MessageQueue, offset: i64) {
        tracing::debug!(%queue, offset, "taken");
        let now_ms = self.core.shared().clock.now_ms();
        let owned = Owned::new(queue.clone(), offset, now_ms);
        self.core.add(&owned);
        let task = fetch::run(Arc::clone(&self.core), owned);
        let handle = self.pulls.spawn(boxed(task));
        self.pulling.insert(queue, handle);
    }

    /// Starts the queues anew that an administrator has moved. A queue that is not ours is not our business.
    fn apply_resets(&mut self) {
        for (queue, offset) in self.core.take_resets() {
            if self.pulling.contains_key(&queue) {
                tracing::info!(%queue, offset, "reset by an administrator");
                self.abandon(&queue);
                // The new offset is committed with the next regular commit.
                self.start(queue, offset);
            }
        }
    }

    /// Forgets pull tasks that ended. They end only by a panic, after which the next look starts them again.
    fn reap(&mut self) {
        while self.pulls.try_join_next().is_some() {}
        let ended: Vec<MessageQueue> = self
            .pulling
            .iter()
            .filter(|(_, task)| task.is_finished())
            .map(|(queue, _)| queue.clone())
            .collect();
        for queue in ended {
            self.hand_over(&queue);
        }
        self.leaving.reap();
    }

    /// Where to begin: where the group is, or else where the options say.
    async fn start_offset(&self, queue: &MessageQueue) -> Result<i64, ClientError> {
        let shared = self.core.shared();
        let from = self.core.options().start_from;
        if self.core.options().broadcast {
            return first_offset(shared, queue, from).await;
        }
        let address = shared.read_address(queue, 0).await?;
        let code = RequestCode::QUERY_CONSUMER_OFFSET;
        let header = QueryConsumerOffsetRequestHeader {
            consumer_group: self.core.group().as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.queue.to_wire(),
            set_zero_if_not_found: (from != StartFrom::Unspecified).then_some(false),
            broker_name: Some(queue.broker.as_str()),
        };
        let request = Command::request(code, &header);
        let reply = shared.net.call(&address, request, shared.timeout()).await?;
        match reply.code {
            ResponseCode::SUCCESS => {
                let header: QueryConsumerOffsetResponseHeader = reply
                    .header()
                    .map_err(|error| unreadable(&address, code, error))?;
                Ok(header.offset)
            }
            ResponseCode::QUERY_NOT_FOUND => match from {
                _ if queue.topic.is_retry() => Ok(0),
                from => first_offset(shared, queue, from).await,
            },
            _ => Err(refused(&address, "QUERY_CONSUMER_OFFSET", &reply)),
        }
    }
}

/// Where a group begins in a queue it has no offset for.
async fn first_offset(
    shared: &Shared,
    queue: &MessageQueue,
    from: StartFrom,
) -> Result<i64, ClientError> {
    match from {
        StartFrom::Unspecified | StartFrom::Latest => queue_end(shared, queue).await,
        StartFrom::Earliest => queue_start(shared, queue).await,
        StartFrom::Time { ms } => queue_offset_at(shared, queue, ms, Boundary::Lower).await,
    }
}
