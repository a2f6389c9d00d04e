//! The master's side of the HA port (`DefaultHAService`, `DefaultHAConnection`).
//!
//! One task takes connections; each connection has a reading half, which takes reports, and a writing half, which sends
//! the log as it grows. A slave that cannot go on from where it is, because its log is longer, or another one, or its
//! place was deleted here, is refused with the reason in this broker's log.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::now_ms;
use super::replicas::Replica;
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::protocol::ha::{HaError, classic};

/// Slaves are few; more connections than this are strangers.
const CONNECTIONS_MAX: usize = 64;
/// How long a new connection may take to say where it wants to go on.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Frames are gathered so far before they go to the socket.
const GATHER_BYTES: usize = 256 << 10;

/// Why a slave's connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer speaks another protocol: {0}")]
    Protocol(#[from] HaError),
    #[error("closed by the peer")]
    Closed,
    #[error("no report for {} s", .0.as_secs())]
    Silent(Duration),
    #[error(
        "the slave has the log up to {has}, this master up to {end} only: one of them has another history"
    )]
    Longer { has: u64, end: u64 },
    #[error(
        "no record begins at position {at}, where the slave wants to go on: it has another log"
    )]
    Foreign { at: u64 },
    #[error("position {at} was deleted here, the log begins at {min}: the slave needs a new copy")]
    Deleted { at: u64, min: u64 },
    #[error("the slave connected again")]
    Replaced,
}

impl Ended {
    /// Whether somebody has to do something about it.
    fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Io(_) | Self::Closed | Self::Silent(_) | Self::Replaced
        )
    }
}

/// Takes slaves for as long as the broker runs.
pub(crate) async fn serve(broker: Arc<Broker>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= CONNECTIONS_MAX => {
                    tracing::warn!(%peer, "too many connections on the HA port, closing this one");
                }
                Ok((stream, peer)) => {
                    connections.spawn(attend(Arc::clone(&broker), stream, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a slave, trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn attend(broker: Arc<Broker>, stream: TcpStream, peer: SocketAddr) {
    let connection = broker.next_replica();
    let ended = follow_one(&broker, connection, stream, peer).await;
    let was_known = {
        let mut replicas = broker.replication.replicas.lock();
        let known = replicas.is_current(connection);
        replicas.leave(connection);
        known
    };
    broker.note_replicas();
    match ended {
        Err(ended) if ended.is_refusal() => {
            tracing::error!(%peer, "a connection to the HA port is refused: {ended}");
        }
        Err(ended) if was_known => tracing::info!(%peer, "slave gone: {ended}"),
        Err(ended) => tracing::debug!(%peer, "HA connection ended: {ended}"),
        Ok(()) => {}
    }
}

async fn follow_one(
    broker: &Arc<Broker>,
    connection: u64,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reports = Reports {
        reader,
        buffer: BytesMut::new(),
    };
    let first = timeout(HELLO_LIMIT, reports.next()).await;
    let asked = first.map_err(|_| Ended::Silent(HELLO_LIMIT))??;
    let start = start_for(broker, asked)?;
    let replica = Replica {
        peer,
        broker_id: None,
        learner: false,
        acked: asked,
        sent: start,
        transferred: 0,
        since_ms: now_ms(),
        caught_up_ms: 0,
    };
    broker.replication.replicas.lock().join(connection, replica);
    broker.note_replicas();
    tracing::info!(%peer, asked, start, "slave follows");
    tokio::select! {
        biased;
        ended = take_reports(broker, connection, reports) => ended,
        ended = send_log(broker, connection, writer, start) => ended,
    }
}

/// Where the log is sent from. A slave without a log begins with the last file, as Apache's do.
fn start_for(broker: &Broker, asked: u64) -> Result<u64, Ended> {
    let store = &broker.store;
    let end = store.appended().get();
    if asked == 0 {
        let file_bytes = store.options().log_file_bytes.max(1);
        return Ok((end - end % file_bytes).max(store.log_min().get()));
    }
    check_start(broker, asked)?;
    Ok(asked)
}

/// Refuses a place this log cannot be continued from.
fn check_start(broker: &Broker, at: u64) -> Result<(), Ended> {
    let store = &broker.store;
    let (min, end) = (store.log_min().get(), store.appended().get());
    if at > end {
        return Err(Ended::Longer { has: at, end });
    }
    if at < min {
        return Err(Ended::Deleted { at, min });
    }
    if !store.is_boundary(LogOffset::new(at)) {
        return Err(Ended::Foreign { at });
    }
    Ok(())
}

/// The reading half.
struct Reports {
    reader: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reports {
    /// The next report; of several that are there, the last one.
    async fn next(&mut self) -> Result<u64, Ended> {
        loop {
            let mut last = None;
            while let Some(at) = classic::decode_report(&self.buffer)? {
                self.buffer.advance(classic::REPORT_BYTES);
                last = Some(at);
            }
            if let Some(last) = last {
                return Ok(last);
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(Ended::Closed);
            }
        }
    }
}

async fn take_reports(
    broker: &Arc<Broker>,
    connection: u64,
    mut reports: Reports,
) -> Result<(), Ended> {
    loop {
        let limit = Duration::from_millis(broker.options.load().ha_housekeeping_interval);
        let at = timeout(limit, reports.next()).await;
        let at = at.map_err(|_| Ended::Silent(limit))??;
        let end = broker.store.appended().get();
        if at > end {
            return Err(Ended::Longer { has: at, end });
        }
        {
            let mut replicas = broker.replication.replicas.lock();
            if !replicas.is_current(connection) {
                return Err(Ended::Replaced);
            }
            replicas.acked(connection, at, end, now_ms());
        }
        broker.note_replicas();
    }
}

/// The writing half: the log from `at` on, and a sign of life when there is nothing new.
async fn send_log(
    broker: &Arc<Broker>,
    connection: u64,
    writer: OwnedWriteHalf,
    mut at: u64,
) -> Result<(), Ended> {
    let store = &broker.store;
    let mut writer = BufWriter::with_capacity(GATHER_BYTES, writer);
    loop {
        let options = broker.options.load();
        let batch = u64::from(options.ha_transfer_batch_size.max(1));
        if let Some(stretch) = store.stretch(LogOffset::new(at), batch) {
            let bytes = stretch.as_ref();
            let size = bytes.len();
            writer
                .write_all(&classic::Header { at, size }.encode())
                .await?;
            writer.write_all(bytes).await?;
            at += size as u64;
            let mut replicas = broker.replication.replicas.lock();
            replicas.sent(connection, at, size as u64);
            continue;
        }
        let min = store.log_min().get();
        if at < min {
            return Err(Ended::Deleted { at, min });
        }
        writer.flush().await?;
        let interval = Duration::from_millis(options.ha_send_heartbeat_interval.max(1));
        let grown = store.appended().reached(at + 1);
        if timeout_at(Instant::now() + interval, grown).await.is_err() {
            writer
                .write_all(&classic::Header { at, size: 0 }.encode())
                .await?;
            writer.flush().await?;
        }
    }
}
