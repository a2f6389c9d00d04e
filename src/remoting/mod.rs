//! The remoting protocol over sockets: a server loop, outgoing connections, and requests in both directions.
//!
//! A [`Service`] gets the frames of a connection; a [`Channel`] is how anybody answers, calls or closes. One tokio
//! task owns each socket ([`connection`]); nobody else reads or writes it.
//!
//! Promises: frames of one connection reach the service in order and from one task; answers to our own calls never
//! do; [`Service::closed`] is called exactly once for each [`Service::open`], whatever ends the connection. Memory
//! per peer is bounded by [`ConnLimits`]. A peer that does not speak the protocol loses its connection and gets
//! one line in the log.
//!
//! Deliberately absent: TLS, request codes, retries and reconnecting (the caller knows better what to do).
//!
//! Lock order: every lock in here is a leaf.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::frame::Frame;

mod calls;
mod channel;
mod connect;
mod connection;
mod outbox;
mod server;
mod spare;
#[cfg(test)]
mod tests;

pub(crate) use calls::CallError;
pub(crate) use channel::{Asked, Channel, InFlight};
pub(crate) use connect::{ConnectError, connect};
pub(crate) use server::{Server, serve};

/// What is behind a connection: the name server, a broker, or a client that listens for requests of its server.
pub(crate) trait Service: Send + Sync + 'static {
    /// What the service keeps for one connection. Only the connection's own task touches it.
    type Session: Send;

    /// A connection was opened.
    fn open(&self, channel: &Arc<Channel>) -> Self::Session;

    /// All frames found in one read, in order; never answers to our own calls. Runs on the connection's task and
    /// must not block; what has to wait is parked or spawned and answers through the channel. A frame that is kept
    /// longer than this call keeps the whole read buffer: copy out of it what is needed.
    fn frames(&self, session: &mut Self::Session, channel: &Arc<Channel>, frames: &mut Vec<Frame>);

    /// The connection is over. The channel takes nothing any more; calls on it have failed already.
    fn closed(&self, session: Self::Session, channel: &Arc<Channel>);
}

/// What one connection may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnLimits {
    /// Bytes after a frame's length word; Apache's `com.rocketmq.remoting.frameMaxLength`.
    pub(crate) frame_bytes_max: usize,
    /// A connection on which nothing was read or written for so long is closed.
    pub(crate) idle: Duration,
    /// Unsent bytes after which an accepted connection is not read any more. At four times as many it is closed.
    pub(crate) outbox_bytes_max: usize,
    /// Our calls that wait for an answer, and the peer's requests admitted with [`Channel::admit`]; each.
    pub(crate) in_flight_max: usize,
    /// Connections of one server.
    pub(crate) connections_max: usize,
}

impl Default for ConnLimits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 16 << 20,
            idle: Duration::from_mins(2),
            outbox_bytes_max: 16 << 20,
            in_flight_max: 65_535,
            connections_max: 65_535,
        }
    }
}

impl ConnLimits {
    /// How often a connection looks whether it is quiet or dead.
    fn tick(&self) -> Duration {
        self.idle / 4
    }
}
