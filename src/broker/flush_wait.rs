//! Answers that wait: until the disk and the slaves have what they speak of, or until the name servers know the topic
//! they made.
//!
//! A connection hands each batch of sends over with the log position it ends at. One task per connection waits for the
//! store's `flushed` mark and the `replicated` mark to pass it, in order; the connection itself goes on reading. What is
//! not flushed in time is answered with `FLUSH_DISK_TIMEOUT`, what no slave has in time with `FLUSH_SLAVE_TIMEOUT`: the
//! messages are stored, only not yet known to be safe. Of two troubles the slaves' is told, as in Apache.
//!
//! Whatever else writes to the log and answers (acknowledgements, messages sent back, recalls, ...) waits in the same way,
//! one by one: [`Broker::answer_when_safe`]. Nothing waits on a thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Broker;
use super::handlers::Request;
use super::handlers::send::{Sent, write_answers};
use super::replication::Wait;
use crate::base::LogOffset;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::remoting::{Asked, Channel};
use crate::store::FlushMode;

/// How long an answer waits for the name servers to know a new topic.
pub(crate) const ROUTE_LIMIT: Duration = Duration::from_secs(3);

/// One batch of stored messages.
pub(crate) struct FlushWait {
    /// Wait for the disk and the slaves.
    pub(crate) safety: Option<Safety>,
    /// Wait for this round of registration, so that a consumer started next finds the topic.
    pub(crate) route: Option<u64>,
    pub(crate) sent: Sent,
}

/// When what was appended counts as safe: on the disk where that is asked for, and with enough slaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Safety {
    /// Until the log is flushed so far, and no longer than that.
    flushed: Option<(LogOffset, Instant)>,
    replicas: Option<ReplicaWait>,
}

/// What an answer waits for beside the disk.
#[derive(Debug, Clone, Copy)]
enum ReplicaWait {
    /// Until the `replicated` mark has passed this position, and no longer than that.
    Until(LogOffset, Instant),
    /// There is no slave to wait for.
    NoSlave,
}

impl Safety {
    /// Waits; `SUCCESS`, or what kept it from being safe in time.
    pub(crate) async fn reached(self, broker: &Broker) -> ResponseCode {
        let mut code = ResponseCode::SUCCESS;
        if let Some((end, deadline)) = self.flushed {
            let reached = broker.store.flushed().reached(end.get());
            if timeout_at(deadline, reached).await.is_err() {
                code = ResponseCode::FLUSH_DISK_TIMEOUT;
            }
        }
        match self.replicas {
            None => {}
            Some(ReplicaWait::NoSlave) => code = ResponseCode::SLAVE_NOT_AVAILABLE,
            Some(ReplicaWait::Until(end, deadline)) => {
                let reached = broker.replication.replicated().reached(end.get());
                if timeout_at(deadline, reached).await.is_err() {
                    code = ResponseCode::FLUSH_SLAVE_TIMEOUT;
                }
            }
        }
        code
    }
}

impl Broker {
    /// What an answer that speaks of what was just appended, and ends at `end`, has to wait for. `None`: of nothing.
    pub(crate) fn safety(&self, end: LogOffset) -> Option<Safety> {
        let options = self.options.load();
        let flushed = self.store.must_wait_for_flush().then(|| {
            let limit = match options.store.flush {
                FlushMode::Sync { timeout } | FlushMode::Async { interval: timeout } => timeout,
            };
            (end, Instant::now() + limit)
        });
        let replicas = match self.replica_wait(&options, end) {
            Wait::None => None,
            Wait::NoSlave => Some(ReplicaWait::NoSlave),
            Wait::Replicas => {
                let limit = Duration::from_millis(options.slave_timeout);
                Some(ReplicaWait::Until(end, Instant::now() + limit))
            }
        };
        (flushed.is_some() || replicas.is_some()).then_some(Safety { flushed, replicas })
    }

    /// Waits until what ends at `end` is safe. `Err`: in majority mode it is not, and may never count. In classic mode what
    /// is stored counts, as with Apache, also when the disk or the slaves took too long.
    pub(crate) async fn until_safe(&self, end: Option<LogOffset>) -> Result<(), Command> {
        let Some(safety) = end.and_then(|end| self.safety(end)) else {
            return Ok(());
        };
        let code = safety.reached(self).await;
        if code == ResponseCode::SUCCESS || !self.replication.is_majority() {
            return Ok(());
        }
        let name = if code == ResponseCode::FLUSH_SLAVE_TIMEOUT {
            "FLUSH_SLAVE_TIMEOUT"
        } else {
            "FLUSH_DISK_TIMEOUT"
        };
        Err(Command::response(ResponseCode::SYSTEM_ERROR).with_remark(name))
    }

    /// Answers a request whose record ends at `end` when that is safe; at once if it wrote none.
    pub(crate) fn answer_when_safe(
        self: &Arc<Self>,
        request: &Request<'_, '_>,
        end: Option<LogOffset>,
        answer: Command,
    ) {
        if end.is_none_or(|end| self.safety(end).is_none()) {
            return request.answer(answer);
        }
        let (channel, asked) = (Arc::clone(request.channel), Asked::from(request.head));
        let broker = Arc::clone(self);
        self.tasks.spawn(async move {
            let safe = broker.until_safe(end).await;
            channel.answer(asked, safe.map_or_else(|refusal| refusal, |()| answer));
        });
    }
}

/// Answers batch after batch until the connection is over.
pub(crate) async fn answer_flushed(
    broker: Arc<Broker>,
    channel: Arc<Channel>,
    mut waits: mpsc::UnboundedReceiver<FlushWait>,
) {
    while let Some(wait) = waits.recv().await {
        let code = match wait.safety {
            Some(safety) => safety.reached(&broker).await,
            None => ResponseCode::SUCCESS,
        };
        if let Some(ticket) = wait.route {
            // The message is stored, whether or not a name server hears of its topic in time.
            let _ = timeout(ROUTE_LIMIT, broker.registrar.done(ticket)).await;
        }
        write_answers(&channel, &wait.sent, code);
    }
}
