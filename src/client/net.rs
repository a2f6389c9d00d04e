//! Connections by address, opened on first use and again when they have ended.
//!
//! Everybody who calls the same address shares one connection; while it is being opened, others wait for the same
//! attempt. Lock order: the table of slots is a leaf and never held while connecting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::protocol::codes::{LanguageCode, RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::remoting::{CallError, Channel, ConnLimits, connect};

use super::error::ClientError;
use super::inbound::Inbound;

type Slot = Arc<Opening>;

/// A connection that is open, or about to be.
#[derive(Debug, Default)]
struct Opening {
    channel: OnceCell<Arc<Channel>>,
    /// How many attempts have failed, and how the last one did.
    failed: Mutex<(u64, Option<ClientError>)>,
}

impl Opening {
    fn get(&self) -> Option<&Arc<Channel>> {
        self.channel.get()
    }

    fn fail(&self, error: ClientError) -> ClientError {
        let mut failed = self.failed.lock();
        *failed = (failed.0 + 1, Some(error.clone()));
        error
    }
}

/// All connections of one client.
#[derive(Debug)]
pub(crate) struct Net {
    slots: Mutex<HashMap<String, Slot>>,
    inbound: Arc<Inbound>,
    connect_timeout: Duration,
}

impl Net {
    pub(crate) fn new(inbound: Arc<Inbound>, connect_timeout: Duration) -> Self {
        Self {
            slots: Mutex::default(),
            inbound,
            connect_timeout,
        }
    }

    /// The connection to `address`, opened if need be within `limit`.
    pub(crate) async fn channel(
        &self,
        address: &str,
        limit: Duration,
    ) -> Result<Arc<Channel>, ClientError> {
        let slot = self.slot(address);
        let limit = limit.min(self.connect_timeout);
        let failures = slot.failed.lock().0;
        let opened = slot.channel.get_or_try_init(|| async {
            // Whoever waited for an attempt that failed shares its end: a dead peer costs one attempt, not one for
            // everybody in the queue.
            if let (count, Some(error)) = &*slot.failed.lock()
                && *count != failures
            {
                return Err(error.clone());
            }
            let inbound = Arc::clone(&self.inbound);
            let attempt = connect(address, inbound, ConnLimits::default(), limit).await;
            attempt.map_err(|error| slot.fail(connect_error(address, &error)))
        });
        match tokio::time::timeout(limit, opened).await {
            Ok(opened) => opened.cloned(),
            Err(_elapsed) => Err(slot.fail(ClientError::Connect {
                address: address.to_owned(),
                reason: format!("no connection within {} ms", limit.as_millis()),
            })),
        }
    }

    /// The slot of an address; one whose connection has ended is replaced.
    fn slot(&self, address: &str) -> Slot {
        let mut slots = self.slots.lock();
        let slot = slots.entry(address.to_owned()).or_default();
        if slot.get().is_some_and(|channel| channel.is_closed()) {
            *slot = Slot::default();
        }
        Arc::clone(slot)
    }

    /// The connection to `address`, if there is one now.
    fn open_channel(&self, address: &str) -> Option<Arc<Channel>> {
        let slots = self.slots.lock();
        let channel = slots.get(address)?.get()?;
        (!channel.is_closed()).then(|| Arc::clone(channel))
    }

    /// Sends a request and waits for its answer, whatever its code. Connecting counts against `limit`.
    pub(crate) async fn call(
        &self,
        address: &str,
        request: Command,
        limit: Duration,
    ) -> Result<Reply, ClientError> {
        let what = name_of(&request);
        let deadline = tokio::time::Instant::now() + limit;
        let channel = self.channel(address, limit).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let answer = channel.call(ours(request), left).await;
        answer.map_err(|error| unanswered(address.to_owned(), what, limit, &error))
    }

    /// The same for a request that either succeeds or fails.
    pub(crate) async fn call_ok(
        &self,
        address: &str,
        request: Command,
        limit: Duration,
    ) -> Result<Reply, ClientError> {
        let what = name_of(&request);
        let reply = self.call(address, request, limit).await?;
        succeeded(address, what, reply)
    }

    /// Sends a request that is not answered.
    pub(crate) async fn oneway(
        &self,
        address: &str,
        request: Command,
        limit: Duration,
    ) -> Result<(), ClientError> {
        let channel = self.channel(address, limit).await?;
        channel.send_oneway(ours(request));
        Ok(())
    }

    /// The same, without waiting, to a peer we are connected to. For destructors, which cannot wait.
    pub(crate) fn oneway_if_connected(&self, address: &str, request: Command) {
        if let Some(channel) = self.open_channel(address) {
            channel.send_oneway(ours(request));
        }
    }

    /// Ends every connection once what is queued is written, and waits for that, but not for a peer that has stopped
    /// reading.
    pub(crate) async fn close(&self) {
        let slots = std::mem::take(&mut *self.slots.lock());
        let channels: Vec<&Arc<Channel>> = slots.values().filter_map(|slot| slot.get()).collect();
        for channel in &channels {
            channel.close();
        }
        let all_ended = async {
            for channel in &channels {
                channel.ended().await;
            }
        };
        // Past the limit the sockets are closed with the process.
        let _ = tokio::time::timeout(self.connect_timeout, all_ended).await;
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for slot in self.slots.get_mut().values() {
            if let Some(channel) = slot.get() {
                channel.close();
            }
        }
    }
}

/// Brokers show what their clients are written in.
pub(crate) fn ours(mut request: Command) -> Command {
    request.language = LanguageCode::RUST;
    request
}

fn name_of(request: &Command) -> &'static str {
    RequestCode(request.code).name().unwrap_or("a request")
}

/// Sends a request that either succeeds or fails on a connection that is there: now, and gives its answer later.
pub(crate) fn call_ok_on(
    channel: &Arc<Channel>,
    request: Command,
    limit: Duration,
) -> impl Future<Output = Result<Reply, ClientError>> + Send + use<> {
    let (address, what) = (channel.peer().to_string(), name_of(&request));
    let answer = channel.call(ours(request), limit);
    async move {
        match answer.await {
            Ok(reply) => succeeded(&address, what, reply),
            Err(error) => Err(unanswered(address, what, limit, &error)),
        }
    }
}

fn unanswered(
    address: String,
    what: &'static str,
    after: Duration,
    error: &CallError,
) -> ClientError {
    match error {
        CallError::Timeout(_) => ClientError::Timeout {
            address,
            what,
            after,
        },
        error => ClientError::Lost {
            address,
            what,
            reason: error.to_string(),
        },
    }
}

fn succeeded(address: &str, what: &'static str, reply: Reply) -> Result<Reply, ClientError> {
    if reply.code == ResponseCode::SUCCESS {
        Ok(reply)
    } else {
        Err(refused(address, what, &reply))
    }
}

fn connect_error(address: &str, error: &crate::remoting::ConnectError) -> ClientError {
    use crate::remoting::ConnectError;
    let reason = match error {
        ConnectError::Io { source, .. } => source.to_string(),
        ConnectError::Timeout { limit, .. } => {
            format!("no answer within {} ms", limit.as_millis())
        }
    };
    ClientError::Connect {
        address: address.to_owned(),
        reason,
    }
}

/// The error for an answer whose code says no.
pub(crate) fn refused(address: &str, what: &'static str, reply: &Reply) -> ClientError {
    ClientError::Refused {
        address: address.to_owned(),
        what,
        code: reply.code.0,
        remark: first_line(reply.remark()).to_owned(),
    }
}

/// The error for an answer that cannot be understood.
pub(crate) fn unreadable(
    address: &str,
    what: RequestCode,
    reason: impl std::fmt::Display,
) -> ClientError {
    ClientError::Unreadable {
        address: address.to_owned(),
        what: what.name().unwrap_or("a request"),
        reason: reason.to_string(),
    }
}

/// Apache puts whole stack traces into some remarks.
fn first_line(remark: &str) -> &str {
    remark.lines().next().unwrap_or_default().trim()
}
