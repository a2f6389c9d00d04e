//! A handle on one connection, shared by everyone who wants to say something to its peer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ConnLimits;
use super::calls::{CallError, Calls};
use super::outbox::{Outbox, Stage};
use crate::base::Watermark;
use crate::protocol::command::{Command, Head, Reply, Serialization};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One connection, seen from outside its task. Sending never blocks and never fails: what is sent to a channel
/// that is ending is dropped.
#[derive(Debug)]
pub(crate) struct Channel {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    limits: ConnLimits,
    outbox: Outbox,
    calls: Calls,
    in_flight: AtomicUsize,
    /// Stands at 1 once the task is over and the service knows.
    ended: Watermark,
}

impl Channel {
    /// Sets the socket up and makes a handle for it.
    pub(super) fn over(stream: &TcpStream, limits: ConnLimits) -> io::Result<Arc<Self>> {
        stream.set_nodelay(true)?;
        Ok(Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer: stream.peer_addr()?,
            local: stream.local_addr()?,
            limits,
            outbox: Outbox::default(),
            calls: Calls::new(limits.in_flight_max),
            in_flight: AtomicUsize::new(0),
            ended: Watermark::new(0),
        }))
    }

    /// A number no other channel of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The other side's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This side's address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Lets `encode` append to what is queued, with `body` behind it, uncopied: the cheapest way to answer. Together
    /// they must be whole messages. `encode` runs under the outbox's lock and may do nothing but encode.
    pub(crate) fn send_with(
        &self,
        encode: impl FnOnce(&mut BytesMut),
        body: impl IntoIterator<Item = Bytes>,
    ) {
        self.limit_outbox();
        self.outbox.append(encode, body);
    }

    /// Answers a request of the peer, unless it wants no answer.
    pub(crate) fn answer(&self, asked: impl Into<Asked>, answer: Command) {
        let asked = asked.into();
        if !asked.oneway {
            self.send_command(asked.serialization, asked.opaque, answer);
        }
    }

    /// Sends a request that is not answered.
    pub(crate) fn send_oneway(&self, request: Command) {
        let opaque = self.calls.next_opaque();
        self.send_command(Serialization::Json, opaque, request.oneway());
    }

    fn send_command(&self, serialization: Serialization, opaque: i32, command: Command) {
        let body = command.body.clone();
        self.send_with(
            move |out| command.encode_head(serialization, opaque, out),
            [body],
        );
    }

    /// Sends a request now and gives its answer later. Dropping the future forgets the answer, not the request.
    pub(crate) fn call(
        self: &Arc<Self>,
        request: Command,
        limit: Duration,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<> {
        let opaque = self.calls.next_opaque();
        let answer = self.calls.expect(opaque);
        let expected = answer.is_ok().then(|| Expected {
            channel: Arc::clone(self),
            opaque,
        });
        if expected.is_some() {
            self.send_command(Serialization::Json, opaque, request);
        }
        async move {
            let _expected = expected;
            match timeout(limit, answer?).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_dropped)) => Err(CallError::Closed),
                Err(_elapsed) => Err(CallError::Timeout(limit)),
            }
        }
    }

    /// Admits a request that will be answered later, or `None` if [`ConnLimits::in_flight_max`] of this peer's
    /// requests wait already; then the answer is "busy". The place is free again when the guard is dropped.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<InFlight> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let guard = InFlight(Arc::clone(self));
        (before < self.limits.in_flight_max).then_some(guard)
    }

    /// Ends the connection once everything queued is written; reads no more.
    pub(crate) fn close(&self) {
        self.outbox.end(Stage::Closing);
    }

    /// Ends the connection at once because the peer broke the protocol, and says so in the log.
    pub(crate) fn refuse(&self, why: &dyn std::fmt::Display) {
        tracing::warn!(peer = %self.peer, channel = self.id, "connection refused: {why}");
        self.outbox.end(Stage::Aborted);
    }

    /// How much the peer has not read yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox.unsent_bytes()
    }

    /// Whether the connection is over or about to be.
    pub(crate) fn is_closed(&self) -> bool {
        self.outbox.stage() != Stage::Open
    }

    /// Completes once the connection's task is over and [`super::Service::closed`] has returned.
    pub(crate) async fn ended(&self) {
        self.ended.reached(1).await;
    }

    /// A peer that reads nothing while others keep sending to it is cut off; its memory is ours.
    fn limit_outbox(&self) {
        let hard_max = self.limits.outbox_bytes_max.saturating_mul(4);
        if self.outbox.unsent_bytes() > hard_max && !self.is_closed() {
            self.refuse(&"it does not read what it is sent");
        }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The socket is gone: nothing more is queued, whoever waits for an answer is told.
    pub(super) fn gone(&self) {
        self.outbox.end(Stage::Gone);
        self.calls.gone();
    }

    /// The service knows.
    pub(super) fn finished(&self) {
        self.ended.advance(1);
    }
}

/// What must be kept of a request to answer it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    serialization: Serialization,
    opaque: i32,
    oneway: bool,
}

impl From<&Head<'_>> for Asked {
    fn from(head: &Head<'_>) -> Self {
        Self {
            serialization: head.serialization,
            opaque: head.opaque,
            oneway: head.is_oneway(),
        }
    }
}

/// A request of the peer that waits for its answer; see [`Channel::admit`].
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Channel>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Removes the place for an answer when the caller gives up.
struct Expected {
    channel: Arc<Channel>,
    opaque: i32,
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.channel.calls.forget(self.opaque);
    }
}
