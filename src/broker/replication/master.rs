//! The master's side of the HA port (`DefaultHAService`, `DefaultHAConnection`).
//!
//! One task takes connections; each connection has a reading half, which takes reports, and a writing half, which sends
//! the log as it grows. In majority mode both introduce themselves first (`AutoSwitchHAConnection`). A slave that cannot go on from where it is, because its log is longer, or another one, or its
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
use tokio::time::{sleep, timeout};

use super::epochs::History;
use super::now_ms;
use super::replicas::Replica;
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::broker::handlers::pull;
use crate::protocol::ha::switch::{Epoch, Hello, Welcome};
use crate::protocol::ha::{HaError, classic, switch};

/// Slaves are few; more connections than this are strangers.
const CONNECTIONS_MAX: usize = 64;
/// How long a new connection may take to say where it wants to go on.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long the news that more is committed may wait for a frame to go with.
const COMMIT_PAUSE: Duration = Duration::from_millis(5);
/// Frames are gathered so far before they go to the socket.
const GATHER_BYTES: usize = 256 << 10;
/// What has left the memory is fetched so much at a time, on a thread that may block.
const FETCH_BYTES: u64 = 4 << 20;

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
    #[error("{0} is no id of a slave of this broker")]
    Id(i64),
    #[error("this master's epoch is over: a later one was promised")]
    Fenced,
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
    let mut log = LogWriter {
        writer: BufWriter::with_capacity(GATHER_BYTES, writer),
        history: broker
            .replication
            .compares_histories()
            .then(|| broker.replication.history()),
    };
    let mut reports = Reports {
        reader,
        buffer: BytesMut::new(),
        switch: log.history.is_some(),
    };
    let (hello, asked) = timeout(HELLO_LIMIT, introduce(broker, &mut log, &mut reports))
        .await
        .map_err(|_| Ended::Silent(HELLO_LIMIT))??;
    let from_last_file = hello.is_none_or(|hello| hello.from_last_file);
    let start = start_for(broker, asked, from_last_file)?;
    let replica = Replica {
        peer,
        broker_id: hello.map(|hello| hello.broker_id),
        learner: hello.is_some_and(|hello| hello.learner),
        acked: asked,
        sent: start,
        transferred: 0,
        since_ms: now_ms(),
        caught_up_ms: 0,
        mark: (broker.store.appended().get(), now_ms()),
    };
    broker.replication.replicas.lock().join(connection, replica);
    broker.note_replicas();
    tracing::info!(%peer, asked, start, "slave follows");
    tokio::select! {
        biased;
        ended = take_reports(broker, connection, reports) => ended,
        ended = send_log(broker, connection, log, start) => ended,
    }
}

/// The handshake of majority mode, and where the slave wants to go on.
async fn introduce(
    broker: &Broker,
    log: &mut LogWriter,
    reports: &mut Reports,
) -> Result<(Option<Hello>, u64), Ended> {
    let Some(history) = &log.history else {
        return Ok((None, reports.next().await?));
    };
    let hello = reports.hello().await?;
    let own = broker.options.load().broker_id;
    if hello.broker_id < 0 || hello.broker_id == own {
        return Err(Ended::Id(hello.broker_id));
    }
    if broker.replication.is_fenced() {
        return Err(Ended::Fenced);
    }
    let welcome = Welcome {
        end: broker.store.appended().get(),
        epoch: history.number(),
        epochs: history.epochs().to_vec(),
    };
    log.writer.write_all(&welcome.encode()).await?;
    log.writer.flush().await?;
    Ok((Some(hello), reports.next().await?))
}

/// Where the log is sent from. A slave without a log begins with the last file, as Apache's do, unless it wants all.
fn start_for(broker: &Broker, asked: u64, from_last_file: bool) -> Result<u64, Ended> {
    let store = &broker.store;
    let end = store.appended().get();
    if asked == 0 && !from_last_file {
        return Ok(store.log_min().get());
    }
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
    /// Which of the two protocols.
    switch: bool,
}

impl Reports {
    /// How the slave introduces itself.
    async fn hello(&mut self) -> Result<Hello, Ended> {
        loop {
            if let Some(hello) = Hello::decode(&self.buffer)? {
                self.buffer.advance(switch::HELLO_BYTES);
                return Ok(hello);
            }
            self.fill().await?;
        }
    }

    fn decode(&self) -> Result<Option<(u64, usize)>, HaError> {
        Ok(if self.switch {
            switch::decode_report(&self.buffer)?.map(|at| (at, switch::REPORT_BYTES))
        } else {
            classic::decode_report(&self.buffer)?.map(|at| (at, classic::REPORT_BYTES))
        })
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        if self.reader.read_buf(&mut self.buffer).await? == 0 {
            return Err(Ended::Closed);
        }
        Ok(())
    }

    /// The next report; of several that are there, the last one.
    async fn next(&mut self) -> Result<u64, Ended> {
        loop {
            let mut last = None;
            while let Some((at, bytes)) = self.decode()? {
                self.buffer.advance(bytes);
                last = Some(at);
            }
            if let Some(last) = last {
                return Ok(last);
            }
            self.fill().await?;
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
            if broker.replication.is_fenced() {
                return Err(Ended::Fenced);
            }
            replicas.acked(connection, at, end, now_ms());
        }
        broker.note_replicas();
    }
}

/// The writing half.
struct LogWriter {
    writer: BufWriter<OwnedWriteHalf>,
    /// In majority mode: the master's, which does not change while it is master.
    history: Option<History>,
}

impl LogWriter {
    /// How many bytes from `at` on one frame may hold, so that it stays within one epoch.
    fn room(&self, at: u64) -> u64 {
        let epoch_end = self.history.as_ref().and_then(|history| history.at(at)?.1);
        epoch_end.map_or(u64::MAX, |end| end.saturating_sub(at))
    }

    async fn send(&mut self, at: u64, body: &[u8], committed: u64) -> io::Result<()> {
        let size = body.len();
        match &self.history {
            None => {
                let header = classic::Header { at, size };
                self.writer.write_all(&header.encode()).await?;
            }
            Some(history) => {
                let none = Epoch {
                    number: -1,
                    start: 0,
                };
                let epoch = history.at(at).map_or(none, |(epoch, _)| epoch);
                let header = switch::Header {
                    at,
                    size,
                    epoch,
                    committed,
                };
                self.writer.write_all(&header.encode()).await?;
            }
        }
        self.writer.write_all(body).await
    }
}

/// Brings what a far-behind slave gets next into memory, by the judgement pulls go by. Returns how far that got: the
/// position before which it need not be asked again.
async fn fetch(broker: &Arc<Broker>, at: u64) -> u64 {
    if at >= pull::cold_before(broker) {
        return at;
    }
    let Some(stretch) = broker.store.stretch(LogOffset::new(at), FETCH_BYTES) else {
        return at;
    };
    let until = at + stretch.as_ref().len() as u64;
    // A shutdown may cancel it; then nobody is sent anything any more.
    let _ = tokio::task::spawn_blocking(move || stretch.fetch()).await;
    until
}

/// Sends the log from `at` on, and a sign of life when there is nothing new. In majority mode a slave is also told when
/// more is committed.
async fn send_log(
    broker: &Arc<Broker>,
    connection: u64,
    mut log: LogWriter,
    mut at: u64,
) -> Result<(), Ended> {
    let store = &broker.store;
    let mut fetched = at;
    loop {
        if at >= fetched {
            fetched = fetch(broker, at).await;
        }
        let options = broker.options.load();
        let batch = u64::from(options.ha_transfer_batch_size.max(1)).min(log.room(at));
        let committed = store.committed().get();
        if let Some(stretch) = store.stretch(LogOffset::new(at), batch) {
            let body = stretch.as_ref();
            log.send(at, body, committed).await?;
            at += body.len() as u64;
            let mut replicas = broker.replication.replicas.lock();
            replicas.sent(connection, at, body.len() as u64);
            continue;
        }
        let min = store.log_min().get();
        if at < min {
            return Err(Ended::Deleted { at, min });
        }
        log.writer.flush().await?;
        let interval = Duration::from_millis(options.ha_send_heartbeat_interval.max(1));
        tokio::select! {
            biased;
            () = store.appended().reached(at + 1) => {}
            () = store.committed().reached(committed + 1), if log.history.is_some() => {
                // Often the next message is on its way already and brings the news along.
                let grown = timeout(COMMIT_PAUSE, store.appended().reached(at + 1)).await;
                if grown.is_err() {
                    log.send(at, &[], store.committed().get()).await?;
                }
            }
            () = sleep(interval) => log.send(at, &[], store.committed().get()).await?,
        }
    }
}
