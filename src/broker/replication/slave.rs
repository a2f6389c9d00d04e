//! A slave's side of the HA protocol (`DefaultHAClient`).
//!
//! One task connects to the master, reports where its log ends, and writes what comes. Before that it asks the master
//! for the record its own log ends with: a log that is not a beginning of the master's is never continued.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::now_ms;
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::message::record::Record;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::ha::{HaError, classic};
use crate::protocol::header::message::ViewMessageRequestHeader;
use crate::store::ReceiveError;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// How long after a failure the master is tried again; doubles up to Apache's 5 s.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Read from the socket at a time.
const READ_BYTES: usize = 256 << 10;

/// Why a connection to the master ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the master does not answer")]
    Unreachable,
    #[error("closed by the master")]
    Closed,
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the master speaks another protocol: {0}")]
    Protocol(#[from] HaError),
    #[error("{0}")]
    Store(#[from] ReceiveError),
    #[error(
        "the master has no record at position {at}, where this slave's log has its last one: it has another log"
    )]
    NotThere { at: u64 },
    #[error(
        "the master has another record than this slave at position {at}: their histories part before it"
    )]
    Differs { at: u64 },
    #[error("the master's address changed")]
    Moved,
}

/// Follows the master for as long as the broker runs.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut pause = RETRY_FIRST;
    let mut told = String::new();
    loop {
        let moved = broker.replication.moved.notified();
        let Some(address) = broker.replication.link().ha_address else {
            moved.await;
            continue;
        };
        let begun = Instant::now();
        let ended = tokio::select! {
            biased;
            () = moved => Ended::Moved,
            ended = follow(&broker, &address) => ended,
        };
        let why = ended.to_string();
        let was_connected = broker.replication.with_link(|link| {
            link.trouble = Some(why.clone());
            std::mem::take(&mut link.connected)
        });
        if was_connected && begun.elapsed() > RETRY_MAX {
            pause = RETRY_FIRST;
        }
        // The same trouble again and again is told once.
        if told != why || was_connected {
            tracing::warn!(master = address, "replication stands still: {why}");
            told = why;
        }
        if matches!(ended, Ended::Moved) {
            continue;
        }
        let _ = timeout(pause, broker.replication.moved.notified()).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Follows over one connection.
async fn follow(broker: &Arc<Broker>, address: &str) -> Ended {
    match follow_inner(broker, address).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

/// What is never made: a connection ends only with a reason.
enum Never {}

async fn follow_inner(broker: &Arc<Broker>, address: &str) -> Result<Never, Ended> {
    let start = broker.store.forget_unfinished().get();
    if start > 0 {
        compare_last(broker).await?;
    }
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| Ended::Unreachable)??;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut session = Session {
        broker,
        reader,
        writer,
        buffer: BytesMut::with_capacity(READ_BYTES),
        end: start,
        reported: start,
        reported_at: Instant::now(),
    };
    session.report(start).await?;
    broker.replication.with_link(|link| {
        link.connected = true;
        link.trouble = None;
    });
    tracing::info!(master = address, start, "following the master");
    session.run().await
}

/// One connection to the master.
struct Session<'a> {
    broker: &'a Arc<Broker>,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: BytesMut,
    /// How far the log is received, whole record or not.
    end: u64,
    reported: u64,
    reported_at: Instant,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<Never, Ended> {
        loop {
            let options = self.broker.options.load();
            let heartbeat = Duration::from_millis(options.ha_send_heartbeat_interval.max(1));
            let silence = Duration::from_millis(options.ha_housekeeping_interval.max(1));
            let silent_at = Instant::now() + silence;
            loop {
                tokio::select! {
                    biased;
                    read = self.reader.read_buf(&mut self.buffer) => {
                        if read? == 0 {
                            return Err(Ended::Closed);
                        }
                        break;
                    }
                    () = sleep_until(self.reported_at + heartbeat) => self.report(self.end).await?,
                    () = sleep_until(silent_at) => return Err(Ended::Silent(silence)),
                }
            }
            self.take_frames()?;
            self.broker
                .replication
                .with_link(|link| link.read_ms = now_ms());
            if self.end > self.reported {
                self.report(self.end).await?;
            }
            self.buffer.reserve(READ_BYTES);
        }
    }

    /// Writes every whole frame that has come.
    fn take_frames(&mut self) -> Result<(), Ended> {
        while let Some(header) = classic::Header::decode(&self.buffer)? {
            let whole = classic::HEADER_BYTES + header.size;
            let Some(body) = self.buffer.get(classic::HEADER_BYTES..whole) else {
                break;
            };
            // A master without new bytes says where it would go on; only a slave with a log can compare.
            if header.at != self.end && self.end != 0 {
                return Err(ReceiveError::Elsewhere {
                    expected: self.end,
                    at: header.at,
                }
                .into());
            }
            if !body.is_empty() {
                let received = self.broker.store.receive(LogOffset::new(header.at), body)?;
                self.end = received.end;
                let bytes = body.len() as u64;
                self.broker
                    .replication
                    .with_link(|link| link.transferred += bytes);
                for (topic, queue) in &received.touched {
                    self.broker.wake(topic, *queue);
                }
            }
            self.buffer.advance(whole);
        }
        Ok(())
    }

    async fn report(&mut self, at: u64) -> Result<(), Ended> {
        self.writer.write_all(&classic::report(at)).await?;
        self.reported = at;
        self.reported_at = Instant::now();
        self.broker
            .replication
            .with_link(|link| link.written_ms = now_ms());
        Ok(())
    }
}

/// Asks the master for the record this log ends with. Without the master's remoting address nobody can be asked.
async fn compare_last(broker: &Arc<Broker>) -> Result<(), Ended> {
    let (Some(last), Some(address)) = (
        broker.store.last_record(),
        broker.replication.link().address,
    ) else {
        return Ok(());
    };
    let at = last.log_offset().get();
    let Ok(channel) = broker.registrar.channel(&address).await else {
        return Err(Ended::Unreachable);
    };
    let header = ViewMessageRequestHeader {
        offset: LogOffset::new(at).to_wire(),
        ..ViewMessageRequestHeader::default()
    };
    let request = Command::request(RequestCode::VIEW_MESSAGE_BY_ID, &header);
    let reply = channel
        .call(request, CALL_LIMIT)
        .await
        .map_err(|_| Ended::Unreachable)?;
    if reply.code != ResponseCode::SUCCESS {
        return Err(Ended::NotThere { at });
    }
    let same = reply.body.as_ref() == last.as_ref();
    let is_record = Record::parse(&reply.body).is_ok();
    if same || !is_record {
        return Ok(());
    }
    Err(Ended::Differs { at })
}
