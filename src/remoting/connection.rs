//! The one task that owns a socket: reads, decodes, hands frames to the service, writes the outbox.
//!
//! Each turn writes what is queued, then reads once, then hands **all** complete frames of that read to the
//! service in one call; so pipelined requests are handled as a group and their answers leave as a group. Reading
//! goes on while a write is pending. On an accepted connection it stops once more than
//! [`ConnLimits::outbox_bytes_max`] wait to be sent: a peer that does not read its answers gets no more of them.
//! A connection we opened never stops reading; if both sides did, both would wait for ever.
//!
//! Deliberately absent: any knowledge of request codes, and TLS.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::outbox::Stage;
use super::{Channel, ConnLimits, Service, spare};
use crate::protocol::frame::{Frame, FrameError};

/// The size of a read on a connection that has not shown yet that it needs more.
const READ_MIN_BYTES: usize = 16 << 10;
/// The size of a read once every read comes back full.
const READ_MAX_BYTES: usize = 256 << 10;
/// How long a connection that this side closes waits for the peer to close it too.
const LINGER: Duration = Duration::from_millis(100);
/// Slices handed to one vectored write.
const SLICES_MAX: usize = 64;

/// Which side opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Accepted,
    Connected,
}

/// Why a connection is over.
#[derive(Debug)]
enum End {
    PeerClosed {
        torn_bytes: usize,
    },
    ClosedHere,
    Idle,
    Broken(io::Error),
    Refused {
        looks_like: String,
        error: FrameError,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed { torn_bytes: 0 } => f.write_str("closed by the peer"),
            Self::PeerClosed { torn_bytes } => {
                write!(
                    f,
                    "closed by the peer within a frame, {torn_bytes} bytes of it arrived"
                )
            }
            Self::ClosedHere => f.write_str("closed by this side"),
            Self::Idle => f.write_str("nothing was read or written for too long"),
            Self::Broken(error) => write!(f, "broken: {error}"),
            Self::Refused { looks_like, error } => {
                write!(f, "not RocketMQ ({looks_like}): {error}")
            }
        }
    }
}

/// The service's view of a connection, closed exactly once, even if a handler panics.
pub(super) struct Opened<S: Service> {
    service: Arc<S>,
    channel: Arc<Channel>,
    session: Option<S::Session>,
}

impl<S: Service> Opened<S> {
    pub(super) fn new(service: Arc<S>, channel: Arc<Channel>) -> Self {
        let session = Some(service.open(&channel));
        Self {
            service,
            channel,
            session,
        }
    }

    fn frames(&mut self, frames: &mut Vec<Frame>) {
        if let Some(session) = &mut self.session {
            self.service.frames(session, &self.channel, frames);
        }
    }
}

impl<S: Service> Drop for Opened<S> {
    fn drop(&mut self) {
        self.channel.gone();
        if let Some(session) = self.session.take() {
            self.service.closed(session, &self.channel);
        }
        self.channel.finished();
    }
}

/// Runs one connection to its end.
pub(super) async fn run<S: Service>(
    stream: TcpStream,
    opened: Opened<S>,
    limits: ConnLimits,
    side: Side,
) {
    let now = Instant::now();
    let mut connection = Connection {
        stream,
        channel: Arc::clone(&opened.channel),
        opened,
        limits,
        side,
        buffer: BytesMut::new(),
        read_bytes: READ_MIN_BYTES,
        frames: Vec::new(),
        writing: VecDeque::new(),
        last_active: now,
        tick: Box::pin(sleep_until(now + limits.tick())),
    };
    let end = connection.drive().await;
    if matches!(end, End::ClosedHere) {
        connection.say_goodbye().await;
    }
    let channel = &connection.channel;
    if let End::Refused { .. } = end {
        tracing::warn!(peer = %channel.peer(), channel = channel.id(), "connection refused: {end}");
    } else {
        tracing::debug!(peer = %channel.peer(), channel = channel.id(), "connection ended: {end}");
    }
}

struct Connection<S: Service> {
    stream: TcpStream,
    channel: Arc<Channel>,
    opened: Opened<S>,
    limits: ConnLimits,
    side: Side,
    buffer: BytesMut,
    /// How much the next read asks for; follows what the peer sends.
    read_bytes: usize,
    /// Reused by every read; empty between them.
    frames: Vec<Frame>,
    /// Taken from the outbox, not yet accepted by the kernel.
    writing: VecDeque<Bytes>,
    last_active: Instant,
    tick: Pin<Box<Sleep>>,
}

impl<S: Service> Connection<S> {
    async fn drive(&mut self) -> End {
        loop {
            if let Err(end) = poll_fn(|cx| self.poll_turn(cx)).await {
                return end;
            }
            self.channel.outbox().awake();
            if let Err(end) = self.handle_read() {
                return end;
            }
        }
    }

    /// Ends the connection so that the peer gets our last words: a socket closed with unread bytes in it resets the
    /// connection, and the peer loses what it has not read yet.
    async fn say_goodbye(&mut self) {
        if self.channel.outbox().stage() != Stage::Closing {
            return;
        }
        let until_peer_closes = async {
            self.stream.shutdown().await?;
            loop {
                self.buffer.clear();
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Ok::<(), io::Error>(());
                }
            }
        };
        // Whether the peer closes in time or in error, the connection is over.
        drop(timeout(LINGER, until_peer_closes).await);
    }

    /// Writes all it can, then reads once. Ready when something was read or the connection is over.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let stage = match self.poll_write_out(cx) {
            Ok(stage) => stage,
            Err(end) => return Poll::Ready(Err(end)),
        };
        if stage == Stage::Closing && self.writing.is_empty() {
            return Poll::Ready(Err(End::ClosedHere));
        }
        if stage == Stage::Open
            && !self.peer_must_read_first()
            && let Poll::Ready(read) = self.poll_read(cx)
        {
            return Poll::Ready(read);
        }
        self.poll_tick(cx).map(Err)
    }

    /// Whether the peer has left so many answers unread that its next requests must wait.
    fn peer_must_read_first(&self) -> bool {
        self.side == Side::Accepted
            && self.channel.outbox().unsent_bytes() > self.limits.outbox_bytes_max
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Result<Stage, End> {
        loop {
            let stage = self.channel.outbox().take(cx, &mut self.writing);
            if stage >= Stage::Aborted {
                return Err(End::ClosedHere);
            }
            if self.writing.is_empty() {
                return Ok(stage);
            }
            let slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> = self
                .writing
                .iter()
                .take(SLICES_MAX)
                .map(|piece| IoSlice::new(piece))
                .collect();
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices) {
                Poll::Pending => return Ok(stage),
                Poll::Ready(Err(error)) => return Err(End::Broken(error)),
                Poll::Ready(Ok(0)) => return Err(End::Broken(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    drop(slices);
                    drop_front(&mut self.writing, written);
                    self.channel.outbox().sent(written);
                    self.last_active = Instant::now();
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.stream.poll_read_ready(cx).is_pending() {
            self.lay_down();
            return Poll::Pending;
        }
        self.make_room();
        let room = self.buffer.capacity() - self.buffer.len();
        let read = pin!(self.stream.read_buf(&mut self.buffer)).poll(cx);
        if read.is_pending() {
            self.lay_down();
        }
        Poll::Ready(match ready!(read) {
            Ok(0) => Err(End::PeerClosed {
                torn_bytes: self.buffer.len(),
            }),
            Ok(read) => {
                if read == room {
                    self.read_bytes = (self.read_bytes * 2).min(READ_MAX_BYTES);
                }
                self.last_active = Instant::now();
                Ok(())
            }
            Err(error) => Err(End::Broken(error)),
        })
    }

    /// A connection that waits needs no buffer, unless half a frame is in it.
    fn lay_down(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            spare::give(mem::take(&mut self.buffer));
        }
    }

    /// Makes room for the next read. A frame that is still coming in gets room for its rest, but never more than
    /// it has already sent: an announced length alone costs no memory.
    fn make_room(&mut self) {
        if self.buffer.capacity() == 0 {
            self.buffer = spare::take();
        }
        let missing = self.buffer.first_chunk::<4>().map_or(0, |length| {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            length.saturating_add(4).saturating_sub(self.buffer.len())
        });
        let wanted = self.read_bytes.max(missing.min(self.buffer.len()));
        let room = self.buffer.capacity() - self.buffer.len();
        if room < wanted / 4 || room < missing.min(wanted) {
            self.buffer.reserve(wanted);
        }
    }

    /// Decodes everything the last read has completed and hands it on. Frames before a broken one still count.
    fn handle_read(&mut self) -> Result<(), End> {
        let decoded = self.decode();
        if !self.frames.is_empty() {
            self.opened.frames(&mut self.frames);
            // Frames still alive here would keep the read buffer from being used again.
            self.frames.clear();
        }
        decoded
    }

    fn decode(&mut self) -> Result<(), End> {
        loop {
            match Frame::take(&mut self.buffer, self.limits.frame_bytes_max) {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => {
                    if let Err(error) = self.channel.calls().answered(frame, &mut self.frames) {
                        return Err(self.refused(error));
                    }
                }
                Err(error) => return Err(self.refused(error)),
            }
        }
    }

    fn refused(&self, error: FrameError) -> End {
        End::Refused {
            looks_like: looks_like(&self.buffer),
            error,
        }
    }

    /// The rare tick: gives memory back on a quiet connection, ends a dead one.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let quiet = self.last_active.elapsed();
            if quiet >= self.limits.idle {
                return Poll::Ready(End::Idle);
            }
            if quiet >= self.limits.tick() {
                self.read_bytes = READ_MIN_BYTES;
                if self.writing.is_empty() {
                    self.writing = VecDeque::new();
                }
                self.frames = Vec::new();
                self.channel.outbox().shrink();
            }
            self.tick.as_mut().reset(
                Instant::now()
                    + self
                        .limits
                        .tick()
                        .min(self.limits.idle.saturating_sub(quiet)),
            );
        }
        Poll::Pending
    }
}

/// Drops the first `written` bytes.
fn drop_front(pieces: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = pieces.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        pieces.pop_front();
    }
}

/// A guess at what a peer that does not speak RocketMQ wanted, for the log.
pub(super) fn looks_like(bytes: &[u8]) -> String {
    const HTTP: [&[u8]; 8] = [
        b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"CONN", b"PRI ",
    ];
    let start = bytes.get(..4).unwrap_or(bytes);
    if start.starts_with(&[0x16, 0x03]) {
        "looks like a TLS hello; TLS is not offered on this port".to_owned()
    } else if HTTP.contains(&start) {
        "looks like an HTTP request".to_owned()
    } else if bytes.starts_with(b"PROXY ") || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        "looks like a HAProxy preface".to_owned()
    } else {
        let shown = bytes.get(..16).unwrap_or(bytes);
        format!("it begins with {}", shown.escape_ascii())
    }
}
