//! A slave's side of the HA protocol (`DefaultHAClient`).
//!
//! One task connects to the master, reports where its log ends, and writes what comes. Before that it asks the master
//! for the record its own log ends with: a log that is not a beginning of the master's is never continued. In majority
//! mode (`AutoSwitchHAClient`) the histories tell: see [`agree`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::epochs::History;
use super::{RoleChange, follow, now_ms};
use crate::base::LogOffset;
use crate::broker::Broker;
use crate::message::record::Record;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::ha::switch::{Epoch, Hello, Welcome};
use crate::protocol::ha::{HaError, classic, switch};
use crate::protocol::header::message::ViewMessageRequestHeader;
use crate::store::ReceiveError;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// How long after a failure the master is tried again; doubles. Apache's slaves wait 5 s, and a majority as long.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Read from the socket at a time.
const READ_BYTES: usize = 256 << 10;

/// What a replica that compares records sends as their topic.
pub(crate) const REPLICA_MARK: &str = "RMQ_REPLICA";

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
        "this slave has the log up to {has}, the master up to {end} only: one of them has another history"
    )]
    Longer { has: u64, end: u64 },
    #[error(
        "this slave's log ends at position {has}, and the master's begins at {min}: what lies between was deleted there"
    )]
    Deleted { has: u64, min: u64 },
    #[error(
        "the master has another record than this slave at position {at}: their histories part before it"
    )]
    Differs { at: u64 },
    #[error("the master's address changed")]
    Moved,
    #[error("{0}")]
    Disagree(#[from] Disagree),
    #[error("this replica's log is cut at position {at}, where its history and the master's part")]
    Cut { at: u64 },
    #[error(
        "this replica's log is damaged in its last record and is cut at position {at}: the master has the record whole"
    )]
    Damaged { at: u64 },
    #[error("what is known of epochs cannot be written: {0}")]
    State(io::Error),
}

impl Ended {
    /// Whether this log can never be continued by the master's, so that somebody has to copy that one.
    fn needs_copy(&self) -> bool {
        matches!(
            self,
            Self::NotThere { .. }
                | Self::Longer { .. }
                | Self::Deleted { .. }
                | Self::Differs { .. }
                | Self::Disagree(
                    Disagree::Longer { .. } | Disagree::Stranger | Disagree::WouldLose { .. }
                )
        )
    }
}

/// What somebody has to do for a broker to follow whose log cannot be continued.
fn how_to_copy(broker: &Broker) -> String {
    let dir = broker.store.layout().dir().display();
    let master = broker.replication.link().address.unwrap_or_default();
    format!(
        "; nothing was cut here; to copy the master's log: stop this broker, run at {master} `rmq snapshot save \
         copy.tar.gz --data-dir DIR` and here `rmq snapshot restore copy.tar.gz --data-dir {dir} --force` (what is there \
         is moved aside), and start this broker again"
    )
}

/// Why a replica does not follow a master in majority mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Disagree {
    #[error("the master tells a history that makes no sense")]
    History,
    #[error(
        "the master is of epoch {epoch}, and epoch {promised} was promised to another: it is no master any more"
    )]
    Promised { epoch: i32, promised: i32 },
    #[error("the master is of epoch {theirs}, this replica of {ours}: it is no master any more")]
    OldMaster { theirs: i32, ours: i32 },
    #[error(
        "both are of epoch {0}, which began at another place with each: two brokers claim to be master"
    )]
    TwoMasters(i32),
    #[error(
        "this replica has epoch {epoch} up to {ours}, the master only up to {theirs}: the master has lost messages"
    )]
    Longer { epoch: i32, ours: u64, theirs: u64 },
    #[error(
        "this replica and the master have no history in common: it needs an empty directory to begin anew"
    )]
    Stranger,
    #[error(
        "the histories part at position {at}, but the log is committed up to {committed}: committed messages would be lost"
    )]
    WouldLose { at: u64, committed: u64 },
}

/// How a replica goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreed {
    /// Its log is a beginning of the master's.
    GoOn,
    /// The same, as far as histories tell: it has none. The record it ends with must be compared.
    Compare,
    /// It has what the master has not from this position on, and none of it counts.
    CutAt(u64),
}

/// What a replica knows when it meets a master.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) history: History,
    pub(super) end: u64,
    pub(super) promised: i32,
    pub(super) committed: u64,
    /// Whether a controller has named this master.
    pub(super) led: bool,
}

/// Compares a replica's history with its master's. Nothing is cut for a master of the same epoch or an earlier one, and
/// nothing that is known to be committed for anybody.
pub(super) fn agree(own: &Own, welcome: &Welcome) -> Result<(Agreed, History), Disagree> {
    let theirs = History::from_peer(welcome.epochs.clone()).ok_or(Disagree::History)?;
    let (epoch, ours) = (theirs.number(), own.history.number());
    if own.promised > epoch && !own.led {
        let promised = own.promised;
        return Err(Disagree::Promised { epoch, promised });
    }
    if own.end == 0 {
        return Ok((Agreed::GoOn, theirs));
    }
    if ours > epoch {
        return Err(Disagree::OldMaster {
            theirs: epoch,
            ours,
        });
    }
    if own.history.last().is_none() {
        if own.end > welcome.end {
            return Err(Disagree::Stranger);
        }
        return Ok((Agreed::Compare, theirs));
    }
    if own.led && ours == epoch && own.history.last() != theirs.last() {
        // One of Apache's that starts again in its epoch moves the beginning to the end of its log. There is only one
        // master, and its record where this log ends tells whether that is the same log.
        if own.end > welcome.end {
            return Err(Disagree::TwoMasters(epoch));
        }
        return Ok((Agreed::Compare, theirs));
    }
    if ours == epoch && own.history.last() != theirs.last() {
        return Err(Disagree::TwoMasters(epoch));
    }
    let parts = own.history.parts_from(own.end, &theirs, welcome.end);
    let at = parts.ok_or(Disagree::Stranger)?;
    if at >= own.end {
        return Ok((Agreed::GoOn, theirs));
    }
    if ours == epoch {
        return Err(Disagree::Longer {
            epoch,
            ours: own.end,
            theirs: welcome.end,
        });
    }
    if at < own.committed {
        let committed = own.committed;
        return Err(Disagree::WouldLose { at, committed });
    }
    Ok((Agreed::CutAt(at), theirs))
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
            ended = follow_once(&broker, &address) => ended,
        };
        let mut why = ended.to_string();
        if ended.needs_copy() {
            why.push_str(&how_to_copy(&broker));
        }
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
            pause = RETRY_FIRST;
            continue;
        }
        let _ = timeout(pause, broker.replication.moved.notified()).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Follows over one connection.
async fn follow_once(broker: &Arc<Broker>, address: &str) -> Ended {
    match follow_inner(broker, address).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

/// What is never made: a connection ends only with a reason.
enum Never {}

async fn follow_inner(broker: &Arc<Broker>, address: &str) -> Result<Never, Ended> {
    let start = broker.store.forget_unfinished().get();
    let majority = broker.replication.compares_histories();
    if start > 0 && !majority {
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
        majority,
        epoch: -1,
        end: start,
        reported: start,
        reported_at: Instant::now(),
    };
    if majority {
        session.introduce().await?;
    }
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
    /// Which of the two protocols.
    majority: bool,
    /// In majority mode: the master's. In controller mode that in which it is master, whatever its log says: Apache's
    /// brokers begin no epoch in the log while the one before has no message (`EpochFileCache`).
    epoch: i32,
    /// How far the log is received, whole record or not.
    end: u64,
    reported: u64,
    reported_at: Instant,
}

/// A frame's header, of either protocol.
struct Frame {
    at: u64,
    header: usize,
    size: usize,
    /// In majority mode: the epoch, and how far the log is committed.
    news: Option<(Epoch, u64)>,
}

impl Session<'_> {
    /// The handshake of majority mode.
    async fn introduce(&mut self) -> Result<(), Ended> {
        let options = self.broker.options.load();
        let hello = Hello {
            from_last_file: false,
            learner: options.async_learner,
            broker_id: options.broker_id,
        };
        let led = self.broker.replication.group().is_some();
        let promised_before = self.broker.replication.promised();
        self.writer.write_all(&hello.encode()).await?;
        let welcome = timeout(CALL_LIMIT, self.welcome())
            .await
            .map_err(|_| Ended::Unreachable)??;
        let standing = self.broker.standing();
        let own = Own {
            history: self.broker.replication.history(),
            end: self.end,
            promised: standing.promised,
            committed: standing.committed,
            led,
        };
        let (agreed, theirs) = agree(&own, &welcome)?;
        self.epoch = if led {
            promised_before
        } else {
            theirs.number()
        };
        let change = |change: &mut dyn FnMut(&mut History)| {
            let mut epochs = self.broker.replication.epochs.lock();
            epochs.change(change).map_err(Ended::State)
        };
        match agreed {
            // Whoever has no log may have a history of one that was lost.
            Agreed::GoOn if self.end == 0 => change(&mut |history| history.cut(0)),
            // The epoch is the same, and yet a master that lost power may have written other messages in it since.
            Agreed::GoOn => compare_last(self.broker).await,
            Agreed::Compare => {
                compare_last(self.broker).await?;
                let end = self.end;
                change(&mut |history| {
                    *history = theirs.clone();
                    history.cut(end);
                })
            }
            Agreed::CutAt(at) => {
                change(&mut |history| history.cut(at))?;
                start_anew(self.broker, at);
                Err(Ended::Cut { at })
            }
        }
    }

    async fn welcome(&mut self) -> Result<Welcome, Ended> {
        loop {
            if let Some((welcome, bytes)) = Welcome::decode(&self.buffer)? {
                self.buffer.advance(bytes);
                return Ok(welcome);
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(Ended::Closed);
            }
        }
    }

    /// How far this replica has the log, as it counts for the master: on the disk where it flushes synchronously.
    fn safe_end(&self) -> u64 {
        if self.majority && self.broker.store.must_wait_for_flush() {
            self.end.min(self.broker.store.flushed().get())
        } else {
            self.end
        }
    }

    fn next_frame(&self) -> Result<Option<Frame>, HaError> {
        Ok(if self.majority {
            switch::Header::decode(&self.buffer)?.map(|header| Frame {
                at: header.at,
                header: switch::HEADER_BYTES,
                size: header.size,
                news: Some((header.epoch, header.committed)),
            })
        } else {
            classic::Header::decode(&self.buffer)?.map(|header| Frame {
                at: header.at,
                header: classic::HEADER_BYTES,
                size: header.size,
                news: None,
            })
        })
    }

    /// What a frame of majority mode tells beside the log itself.
    fn take_news(&self, (epoch, committed): (Epoch, u64)) -> Result<(), Ended> {
        {
            let mut epochs = self.broker.replication.epochs.lock();
            let known = epochs.history().number();
            // An epoch counts as begun here once this log reaches its first byte.
            if epoch.number > known && epoch.start <= self.end {
                let begin = |history: &mut History| {
                    history.begin(epoch);
                };
                epochs.change(begin).map_err(Ended::State)?;
            }
        }
        let whole = self.broker.store.appended().get();
        let committed = committed.min(whole);
        if committed > self.broker.store.committed().get() {
            self.broker.commit(committed);
        }
        Ok(())
    }

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
                    () = self.broker.store.flushed().reached(self.reported + 1), if self.safe_end() < self.end => {
                        self.report(self.safe_end()).await?;
                    }
                    () = sleep_until(self.reported_at + heartbeat) => self.report(self.safe_end()).await?,
                    () = sleep_until(silent_at) => return Err(Ended::Silent(silence)),
                }
            }
            self.take_frames()?;
            self.broker
                .replication
                .with_link(|link| link.read_ms = now_ms());
            if self.safe_end() > self.reported {
                self.report(self.safe_end()).await?;
            }
            self.buffer.reserve(READ_BYTES);
        }
    }

    /// Writes every whole frame that has come.
    fn take_frames(&mut self) -> Result<(), Ended> {
        while let Some(header) = self.next_frame()? {
            let whole = header.header + header.size;
            let Some(body) = self.buffer.get(header.header..whole) else {
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
                    if self.broker.topic(topic.as_str()).is_none() {
                        self.broker.replication.lacking.notify_one();
                    }
                    self.broker.wake(topic, *queue);
                }
            }
            self.buffer.advance(whole);
            if let Some(news) = header.news {
                self.take_news(news)?;
            }
        }
        Ok(())
    }

    async fn report(&mut self, at: u64) -> Result<(), Ended> {
        let (epoch, promised) = (self.epoch, self.broker.replication.promised());
        if self.majority && promised > epoch {
            return Err(Disagree::Promised { epoch, promised }.into());
        }
        if self.majority {
            self.writer.write_all(&switch::report(at)).await?;
        } else {
            self.writer.write_all(&classic::report(at)).await?;
        }
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
        // A master that knows the mark shows a replica what consumers may not see yet.
        topic: Some(REPLICA_MARK),
        offset: LogOffset::new(at).to_wire(),
        ..ViewMessageRequestHeader::default()
    };
    let request = Command::request(RequestCode::VIEW_MESSAGE_BY_ID, &header);
    let reply = channel
        .call(request, CALL_LIMIT)
        .await
        .map_err(|_| Ended::Unreachable)?;
    if reply.code != ResponseCode::SUCCESS {
        let has = broker.store.appended().get();
        return Err(match follow::log_range(&channel).await {
            Ok((min, _)) if has < min => Ended::Deleted { has, min },
            Ok((_, end)) if has > end => Ended::Longer { has, end },
            _ => Ended::NotThere { at },
        });
    }
    let same = reply.body.as_ref() == last.as_ref();
    let is_record = Record::parse(&reply.body).is_ok();
    if same || !is_record {
        return Ok(());
    }
    if broker.replication.is_majority() && is_damaged_copy(last.as_ref(), &reply.body) {
        start_anew(broker, at);
        return Err(Ended::Damaged { at });
    }
    Err(Ended::Differs { at })
}

/// Whether a record is a damaged copy of a whole one, and not another that was written in its place. Checksums cover
/// bodies only, so recovery takes a record for whole that is damaged behind its body.
fn is_damaged_copy(own: &[u8], whole: &[u8]) -> bool {
    match (Record::parse(own), Record::parse(whole)) {
        (Ok(own), Ok(whole)) => {
            whole.crc_ok() && (!own.crc_ok() || (own.size, own.body) == (whole.size, whole.body))
        }
        _ => false,
    }
}

/// Asks for a new start in the same role with a log that ends at `at`.
fn start_anew(broker: &Broker, at: u64) {
    let options = broker.options.load();
    broker.replication.request(RoleChange {
        role: options.broker_role,
        broker_id: options.broker_id,
        master: broker.replication.link().address,
        epoch: None,
        cut_at: Some(at),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(epochs: &[(i32, u64)]) -> Vec<Epoch> {
        let epochs = epochs.iter();
        epochs
            .map(|&(number, start)| Epoch { number, start })
            .collect()
    }

    fn own(history: &[(i32, u64)], end: u64) -> Own {
        Own {
            history: History::from_peer(epochs(history)).unwrap(),
            end,
            promised: 0,
            committed: 0,
            led: false,
        }
    }

    fn meets(own: &Own, history: &[(i32, u64)], end: u64) -> Result<Agreed, Disagree> {
        let epochs = epochs(history);
        let epoch = epochs.last().map_or(-1, |last| last.number);
        agree(own, &Welcome { end, epoch, epochs }).map(|(agreed, _)| agreed)
    }

    #[test]
    fn a_damaged_copy_is_told_from_another_message() {
        let record = |body: &[u8], properties: &[u8]| {
            let mut bytes = Vec::new();
            let draft = crate::message::record::Draft {
                topic: "t",
                queue_id: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: 1,
                born_host: ([127, 0, 0, 1], 1).into(),
                store_host: ([127, 0, 0, 1], 1).into(),
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body,
                properties,
            };
            draft.encode_into(&mut bytes).unwrap();
            bytes
        };
        let whole = record(b"one", b"a\x01b\x02");
        assert!(is_damaged_copy(&record(b"one", b"a\x01c\x02"), &whole));
        assert!(!is_damaged_copy(&record(b"two", b"a\x01b\x02"), &whole));
        assert!(!is_damaged_copy(&record(b"one", b"a\x01bc\x02"), &whole));
        let mut damaged = record(b"two", b"a\x01b\x02");
        let at = damaged
            .windows(3)
            .position(|bytes| bytes == b"two")
            .unwrap();
        damaged[at] = b'x';
        assert!(is_damaged_copy(&damaged, &whole));
        assert!(!is_damaged_copy(&whole, &damaged));
    }

    #[test]
    fn a_beginning_of_the_masters_log_goes_on() {
        assert_eq!(meets(&own(&[], 0), &[(1, 0)], 500), Ok(Agreed::GoOn));
        assert_eq!(
            meets(&own(&[(1, 0)], 300), &[(1, 0)], 500),
            Ok(Agreed::GoOn)
        );
        let later = [(1, 0), (2, 400)];
        assert_eq!(meets(&own(&[(1, 0)], 300), &later, 500), Ok(Agreed::GoOn));
        assert_eq!(meets(&own(&[(1, 0)], 400), &later, 500), Ok(Agreed::GoOn));
        assert_eq!(meets(&own(&[], 300), &later, 500), Ok(Agreed::Compare));
    }

    #[test]
    fn what_only_an_old_master_has_is_cut() {
        let mut old = own(&[(1, 0)], 450);
        let later = [(1, 0), (2, 400)];
        assert_eq!(meets(&old, &later, 500), Ok(Agreed::CutAt(400)));
        old.committed = 400;
        assert_eq!(meets(&old, &later, 500), Ok(Agreed::CutAt(400)));
        old.committed = 401;
        let refused = meets(&old, &later, 500);
        assert!(matches!(refused, Err(Disagree::WouldLose { .. })));
    }

    #[test]
    fn nobody_follows_a_master_whose_time_is_over() {
        let mut replica = own(&[(1, 0), (2, 100)], 300);
        let refused = meets(&replica, &[(1, 0)], 500);
        assert_eq!(refused, Err(Disagree::OldMaster { theirs: 1, ours: 2 }));
        let two = meets(&replica, &[(1, 0), (2, 120)], 500);
        assert_eq!(two, Err(Disagree::TwoMasters(2)));
        let longer = meets(&replica, &[(1, 0), (2, 100)], 200);
        assert!(matches!(longer, Err(Disagree::Longer { .. })));
        let stranger = meets(&replica, &[(7, 5)], 500);
        assert_eq!(stranger, Err(Disagree::Stranger));
        replica.promised = 4;
        let promised = meets(&replica, &[(1, 0), (3, 300)], 500);
        assert_eq!(
            promised,
            Err(Disagree::Promised {
                epoch: 3,
                promised: 4
            })
        );
    }

    #[test]
    fn a_master_named_by_a_controller_may_have_begun_its_epoch_anew() {
        let mut replica = own(&[(1, 0), (2, 100)], 300);
        replica.led = true;
        let again = [(1, 0), (2, 350)];
        assert_eq!(meets(&replica, &again, 500), Ok(Agreed::Compare));
        assert_eq!(meets(&replica, &again, 299), Err(Disagree::TwoMasters(2)));
        // Its log may be of an older epoch than it is.
        replica.promised = 3;
        assert_eq!(meets(&replica, &[(1, 0), (2, 100)], 300), Ok(Agreed::GoOn));
    }

    proptest::proptest! {
        /// Whatever two brokers tell each other: nothing committed is cut, and nothing at all for an old master.
        #[test]
        fn no_cut_reaches_what_is_committed(
            ours in proptest::collection::btree_map(1i32..9, 1u64..900, 0..5),
            theirs in proptest::collection::btree_map(1i32..9, 1u64..900, 0..5),
            end in 900u64..1000, their_end in 900u64..1000, committed in 0u64..1000, promised in 0i32..9,
        ) {
            let history = |map: &std::collections::BTreeMap<i32, u64>| {
                let mut history = History::default();
                for (number, start) in map {
                    history.begin(Epoch { number: *number, start: *start });
                }
                history
            };
            let (ours, theirs) = (history(&ours), history(&theirs));
            let own = Own { history: ours.clone(), end, promised, committed, led: false };
            let welcome = Welcome { end: their_end, epoch: theirs.number(), epochs: theirs.epochs().to_vec() };
            if let Ok((Agreed::CutAt(at), _)) = agree(&own, &welcome) {
                proptest::prop_assert!(at >= committed && at < end);
                proptest::prop_assert!(theirs.number() > ours.number() && theirs.number() >= promised);
            }
        }
    }
}
