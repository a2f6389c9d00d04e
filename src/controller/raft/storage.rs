//! The log and the state as openraft wants them.
//!
//! Writes happen off the tokio threads, one after the other: each takes the log's lock for as long as it lasts. The state is
//! kept in memory; what lasts is the log, and a snapshot that replaces its beginning.
#![allow(
    clippy::result_large_err,
    reason = "the size of its errors is openraft's affair"
)]

use std::fmt::Debug;
use std::io::{self, Cursor};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, Entry, EntryPayload, LogId, LogState, OptionalSend, RaftLogReader,
    RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership,
    Vote,
};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::files::{StoredError, read, replace};
use super::log::LogFile;
use super::{Member, Types};
use crate::controller::state::{Outcome, State};

const SNAPSHOT: &str = "snapshot";
const SNAPSHOT_MAGIC: [u8; 8] = *b"RMQSNAP\n";
/// Bytes of a snapshot, wherever it comes from.
pub(super) const SNAPSHOT_MAX: u64 = 64 << 20;

type Failed = StorageError<u64>;

/// The log, shared by those who read it.
#[derive(Clone, Debug)]
pub(super) struct LogStore(Arc<Mutex<LogFile>>);

impl LogStore {
    pub(super) fn open(dir: &Path) -> Result<Self, StoredError> {
        Ok(Self(Arc::new(Mutex::new(LogFile::open(dir)?))))
    }

    /// Writes on a thread that may block.
    async fn write<F>(&self, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut LogFile) -> Result<(), StoredError> + Send + 'static,
    {
        let log = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || write(&mut log.lock())).await;
        Ok(written.map_err(io::Error::other)??)
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<Types>>, Failed> {
        Ok(self.0.lock().range(range))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failed> {
        let log = self.0.lock();
        Ok(LogState {
            last_purged_log_id: log.purged(),
            last_log_id: log.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failed> {
        let vote = *vote;
        let saved = self.write(move |log| log.save_vote(vote)).await;
        saved.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failed> {
        Ok(self.0.lock().vote())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), Failed>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let appended = self.write(move |log| log.append(entries)).await;
        let failed = appended.as_ref().err().map(AnyError::new);
        callback.log_io_completed(appended);
        failed.map_or(
            Ok(()),
            |error| Err(StorageIOError::write_logs(error).into()),
        )
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), Failed> {
        let cut = self.write(move |log| log.truncate(from.index)).await;
        cut.map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }

    async fn purge(&mut self, last: LogId<u64>) -> Result<(), Failed> {
        let purged = self.write(move |log| log.purge(last)).await;
        purged.map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }
}

/// The state with the place in the log it belongs to.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) state: State,
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, Member>,
}

/// A snapshot as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    meta: SnapshotMeta<u64, Member>,
    state: State,
}

/// The state machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    path: PathBuf,
    applied: Arc<RwLock<Applied>>,
    /// The snapshot on disk. Lock order: taken before `applied`, never after it.
    snapshot: Arc<Mutex<Option<Stored>>>,
}

impl Machine {
    /// The state of the snapshot in `dir`, or an empty one.
    pub(super) fn open(dir: &Path) -> Result<Self, StoredError> {
        let path = dir.join(SNAPSHOT);
        let mut stored = None;
        if let Some(content) = read(&path, SNAPSHOT_MAGIC, SNAPSHOT_MAX)? {
            let found: Stored = serde_json::from_slice(&content)
                .map_err(|error| StoredError::damaged(&path, 0, error.to_string()))?;
            if !found.state.is_sound() {
                return Err(StoredError::damaged(
                    &path,
                    0,
                    "the state contradicts itself",
                ));
            }
            stored = Some(found);
        }
        let applied = stored
            .as_ref()
            .map_or_else(Applied::default, |stored| Applied {
                state: stored.state.clone(),
                last: stored.meta.last_log_id,
                membership: stored.meta.last_membership.clone(),
            });
        Ok(Self {
            path,
            applied: Arc::new(RwLock::new(applied)),
            snapshot: Arc::new(Mutex::new(stored)),
        })
    }

    /// The state, for those who read it.
    pub(super) fn applied(&self) -> Arc<RwLock<Applied>> {
        Arc::clone(&self.applied)
    }

    /// Makes `stored` the snapshot on disk.
    async fn keep(&self, stored: Stored) -> io::Result<()> {
        let (path, place) = (self.path.clone(), Arc::clone(&self.snapshot));
        let kept = tokio::task::spawn_blocking(move || {
            let content = serde_json::to_vec(&stored)?;
            let mut place = place.lock();
            replace(&path, SNAPSHOT_MAGIC, &content)?;
            *place = Some(stored);
            Ok(())
        });
        kept.await.map_err(io::Error::other)?
    }
}

fn handed_out(stored: &Stored) -> Result<Snapshot<Types>, Failed> {
    let content = serde_json::to_vec(&stored.state)
        .map_err(|error| StorageIOError::read_snapshot(None, AnyError::new(&error)))?;
    Ok(Snapshot {
        meta: stored.meta.clone(),
        snapshot: Box::new(Cursor::new(content)),
    })
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failed> {
        let stored = {
            let applied = self.applied.read();
            let index = applied.last.map_or(0, |last| last.index);
            Stored {
                meta: SnapshotMeta {
                    last_log_id: applied.last,
                    last_membership: applied.membership.clone(),
                    snapshot_id: format!("{index}"),
                },
                state: applied.state.clone(),
            }
        };
        let snapshot = handed_out(&stored)?;
        let kept = self.keep(stored).await;
        kept.map_err(|error| StorageIOError::write_snapshot(None, AnyError::new(&error)))?;
        Ok(snapshot)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, Member>), Failed> {
        let applied = self.applied.read();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, Failed>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied.write();
        let mut outcomes = Vec::new();
        for entry in entries {
            applied.last = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Outcome::Done,
                EntryPayload::Normal(command) => applied.state.apply(&command),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Outcome::Done
                }
            });
        }
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Failed> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, Member>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failed> {
        let unreadable = |error: AnyError| StorageIOError::read_snapshot(None, error);
        let state: State = serde_json::from_slice(snapshot.get_ref())
            .map_err(|error| unreadable(AnyError::new(&error)))?;
        if !state.is_sound() {
            let error = "a snapshot whose state contradicts itself";
            return Err(unreadable(AnyError::error(error)).into());
        }
        let stored = Stored {
            meta: meta.clone(),
            state: state.clone(),
        };
        let kept = self.keep(stored).await;
        kept.map_err(|error| StorageIOError::write_snapshot(None, AnyError::new(&error)))?;
        *self.applied.write() = Applied {
            state,
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failed> {
        let stored = self.snapshot.lock().clone();
        stored.as_ref().map(handed_out).transpose()
    }
}
