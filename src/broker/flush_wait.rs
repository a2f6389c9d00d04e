//! Answers that wait: until the disk and the slaves have their messages, or until the name servers know the topic they
//! made.
//!
//! A connection hands each batch of sends over with the log position it ends at. One task per connection waits for the
//! store's `flushed` mark and the `replicated` mark to pass it, in order; the connection itself goes on reading. What is
//! not flushed in time is answered with `FLUSH_DISK_TIMEOUT`, what no slave has in time with `FLUSH_SLAVE_TIMEOUT`: the
//! messages are stored, only not yet known to be safe. Of two troubles the slaves' is told, as in Apache.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Broker;
use super::handlers::send::{Sent, write_answers};
use crate::base::LogOffset;
use crate::protocol::codes::ResponseCode;
use crate::remoting::Channel;

/// How long an answer waits for the name servers to know a new topic.
pub(crate) const ROUTE_LIMIT: Duration = Duration::from_secs(3);

/// One batch of stored messages.
pub(crate) struct FlushWait {
    /// Wait until the log is flushed so far.
    pub(crate) end: Option<LogOffset>,
    pub(crate) deadline: Instant,
    /// Wait for slaves, and how long.
    pub(crate) replicas: Option<ReplicaWait>,
    /// Wait for this round of registration, so that a consumer started next finds the topic.
    pub(crate) route: Option<u64>,
    pub(crate) sent: Sent,
}

/// What a batch waits for beside the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReplicaWait {
    /// Until the `replicated` mark has passed this position.
    Until(LogOffset, Instant),
    /// There is no slave to wait for.
    NoSlave,
}

/// How many deadlines one batch gets.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

/// Answers batch after batch until the connection is over.
pub(crate) async fn answer_flushed(
    broker: Arc<Broker>,
    channel: Arc<Channel>,
    mut waits: mpsc::UnboundedReceiver<FlushWait>,
) {
    while let Some(wait) = waits.recv().await {
        let mut code = ResponseCode::SUCCESS;
        if let Some(end) = wait.end {
            let reached = broker.store.flushed().reached(end.get());
            if timeout_at(wait.deadline, reached).await.is_err() {
                code = ResponseCode::FLUSH_DISK_TIMEOUT;
            }
        }
        match wait.replicas {
            None => {}
            Some(ReplicaWait::NoSlave) => code = ResponseCode::SLAVE_NOT_AVAILABLE,
            Some(ReplicaWait::Until(end, deadline)) => {
                let reached = broker.replication.replicated().reached(end.get());
                if timeout_at(deadline, reached).await.is_err() {
                    code = ResponseCode::FLUSH_SLAVE_TIMEOUT;
                }
            }
        }
        if let Some(ticket) = wait.route {
            // The message is stored, whether or not a name server hears of its topic in time.
            let _ = timeout(ROUTE_LIMIT, broker.registrar.done(ticket)).await;
        }
        write_answers(&channel, &wait.sent, code);
    }
}
