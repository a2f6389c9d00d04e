//! Answers that wait: until the disk and the slaves have what they speak of, or until the name servers know the topic
//! they made.
//!
//! A connection hands each batch of sends over with the log position it ends at, and goes on reading. The batches of all
//! connections stand in one line, in the order in which they came, and one task follows the store's `flushed` mark: one
//! flush wakes that task once, and it answers everybody it has released. What waits for slaves too has a line of its own, so
//! that a slave that is gone holds up nobody who need not wait for it. What is not flushed in time is answered with
//! `FLUSH_DISK_TIMEOUT`, what no slave has in time with `FLUSH_SLAVE_TIMEOUT`: the messages are stored, only not yet known
//! to be safe. Of two troubles the slaves' is told, as in Apache.
//!
//! Whatever else writes to the log and answers (acknowledgements, messages sent back, recalls, ...) waits in the same way,
//! one by one: [`Broker::answer_when_safe`]. Nothing waits on a thread.
//!
//! Lock order: a line is a leaf.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
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
    /// When it began to be appended.
    pub(crate) began: Instant,
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
    /// `SUCCESS`, or what keeps it from being safe, if nobody need wait any longer to know.
    fn outcome(self, broker: &Broker) -> Option<ResponseCode> {
        if let Some((end, _)) = self.flushed
            && broker.store.flushed().get() < end.get()
        {
            return None;
        }
        match self.replicas {
            None => Some(ResponseCode::SUCCESS),
            Some(ReplicaWait::NoSlave) => Some(ResponseCode::SLAVE_NOT_AVAILABLE),
            Some(ReplicaWait::Until(end, _)) => {
                let there = broker.replication.replicated().get() >= end.get();
                there.then_some(ResponseCode::SUCCESS)
            }
        }
    }

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

/// A batch that waits, and whom to answer.
struct Waiting {
    channel: Arc<Channel>,
    safety: Safety,
    sent: Sent,
    began: Instant,
}

/// Batches in the order in which they came.
#[derive(Default)]
struct Line {
    batches: Mutex<VecDeque<Waiting>>,
    filled: Notify,
}

/// All batches that wait for the disk or for slaves.
#[derive(Default)]
pub(crate) struct FlushWaits {
    flushed: Line,
    replicated: Line,
}

/// Which of the two lines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LineOf {
    /// Those that wait for the disk alone.
    Flushed,
    /// Those that wait for slaves too.
    Replicated,
}

impl FlushWaits {
    fn line(&self, which: LineOf) -> &Line {
        match which {
            LineOf::Flushed => &self.flushed,
            LineOf::Replicated => &self.replicated,
        }
    }

    fn add(&self, waiting: Waiting) {
        let line = self.line(match waiting.safety.replicas {
            Some(ReplicaWait::Until(..)) => LineOf::Replicated,
            None | Some(ReplicaWait::NoSlave) => LineOf::Flushed,
        });
        let mut batches = line.batches.lock();
        let was_empty = batches.is_empty();
        batches.push_back(waiting);
        drop(batches);
        if was_empty {
            line.filled.notify_one();
        }
    }
}

/// Sees to it that a batch is answered.
pub(crate) fn answer_later(broker: &Arc<Broker>, channel: &Arc<Channel>, wait: FlushWait) {
    let channel = Arc::clone(channel);
    let FlushWait {
        safety,
        route,
        sent,
        began,
    } = wait;
    match (safety, route) {
        (Some(safety), None) => broker.flush_waits.add(Waiting {
            channel,
            safety,
            sent,
            began,
        }),
        (None, None) => {
            took(broker, &sent, began);
            write_answers(&channel, &sent, ResponseCode::SUCCESS);
        }
        (safety, Some(ticket)) => {
            let waiting = Arc::clone(broker);
            broker.tasks.spawn(async move {
                let code = match safety {
                    Some(safety) => safety.reached(&waiting).await,
                    None => ResponseCode::SUCCESS,
                };
                took(&waiting, &sent, began);
                // The message is stored, whether or not a name server hears of its topic in time.
                let _ = timeout(ROUTE_LIMIT, waiting.registrar.done(ticket)).await;
                write_answers(&channel, &sent, code);
            });
        }
    }
}

/// Notes how long a batch took that is safe now, or will not be in time.
fn took(broker: &Broker, sent: &Sent, began: Instant) {
    broker.stats.put_times.note(began.elapsed(), sent.len());
}

/// Answers the batches of a line for as long as the broker runs.
pub(crate) async fn answer_line(broker: Arc<Broker>, which: LineOf) {
    let line = broker.flush_waits.line(which);
    loop {
        let first = line.batches.lock().front().map(|first| first.safety);
        let Some(first) = first else {
            line.filled.notified().await;
            continue;
        };
        let mut released = Some(first.reached(&broker).await);
        while let Some(code) = released {
            let Some(first) = line.batches.lock().pop_front() else {
                break;
            };
            took(&broker, &first.sent, first.began);
            write_answers(&first.channel, &first.sent, code);
            let next = line.batches.lock().front().map(|next| next.safety);
            released = next.and_then(|safety| safety.outcome(&broker));
        }
    }
}
