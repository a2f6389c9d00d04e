//! The read half of the store: opens any store directory, ours or Apache's, read-only.
//!
//! Nothing is ever created, truncated or repaired, no lock is taken, and a live broker may be writing. File
//! sizes come from the files themselves, so a view needs no configuration. All reads are positioned reads
//! into private buffers (see [`super::window`] for why not a map); memory does not grow with the store.
//!
//! Damage is something the readers yield, not an error. An error means that the system refused to read.
//!
//! Absent on purpose: judging a store as a whole, which is [`super::verify`], and the watermarks of a
//! running store, which only its owner knows.

mod batch;
mod index;
mod queue;
mod survey;
mod timer;

use std::io;
use std::path::{Path, PathBuf};

pub use batch::BatchQueueView;
pub use index::IndexView;
pub use queue::QueueView;
pub use survey::{Survey, survey};
pub use timer::{TimerItem, TimerView};

use super::checkpoint::Checkpoint;
use super::layout::{self, Layout, SegmentFile};
use super::log::Walk;
use super::window;

/// Why a directory cannot be read as a store.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is nothing at the path.
    #[error("{} does not exist", .path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// There is something, but nothing a store has.
    #[error("{} is not a store: it has no commitlog, consumequeue, index or checkpoint", .path.display())]
    NoStore {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ViewError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::Absent { path }
        } else {
            Self::Unreadable { path, source }
        }
    }
}

/// A store directory, opened for reading only.
#[derive(Clone, Debug)]
pub struct View {
    layout: Layout,
}

impl View {
    /// Opens the store in `dir`. Any one of its parts makes it a store: after an accident the others may be
    /// gone.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ViewError> {
        let layout = Layout::new(dir);
        let path = layout.dir();
        std::fs::metadata(path).map_err(|source| ViewError::unreadable(path, source))?;
        let parts = [
            layout.commit_log(),
            layout.consume_queues(),
            layout.index(),
            layout.checkpoint(),
        ];
        if parts.iter().any(|part| part.exists()) {
            Ok(Self { layout })
        } else {
            Err(ViewError::NoStore { path: path.into() })
        }
    }

    /// Where the store's parts lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The files of the commit log, by position. A file that is there only packed (its name and `.gz`) is taken for
    /// what is in it.
    pub fn log_files(&self) -> Result<Vec<SegmentFile>, ViewError> {
        log_files_in(&self.layout.commit_log())
    }

    /// The timer's files.
    pub fn timer(&self) -> Result<TimerView, ViewError> {
        TimerView::open(self.layout.dir())
    }

    /// A walk over the whole commit log.
    pub fn log(&self) -> Result<Walk, ViewError> {
        Ok(Walk::over_files(&self.log_files()?))
    }

    /// The queues that have a directory, by topic and number.
    pub fn queues(&self) -> Result<Vec<(String, u32)>, ViewError> {
        let dir = self.layout.consume_queues();
        layout::queues(&dir).map_err(|source| ViewError::unreadable(&dir, source))
    }

    /// One queue. A queue without a directory is an empty one: brokers create them with the first message.
    pub fn queue(&self, topic: &str, queue_id: u32) -> Result<QueueView, ViewError> {
        QueueView::open(&self.layout.consume_queue(topic, queue_id))
    }

    /// The batch queues that have a directory, by topic and number.
    pub fn batch_queues(&self) -> Result<Vec<(String, u32)>, ViewError> {
        let dir = self.layout.batch_consume_queues();
        layout::queues(&dir).map_err(|source| ViewError::unreadable(&dir, source))
    }

    /// One batch queue. One without a directory is an empty one.
    pub fn batch_queue(&self, topic: &str, queue_id: u32) -> Result<BatchQueueView, ViewError> {
        BatchQueueView::open(&self.layout.batch_consume_queue(topic, queue_id))
    }

    /// The key index files, oldest first.
    pub fn index_files(&self) -> Result<Vec<PathBuf>, ViewError> {
        let dir = self.layout.index();
        layout::index_files(&dir).map_err(|source| ViewError::unreadable(&dir, source))
    }

    /// The checkpoint; `None` if there is no such file.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewError> {
        let path = self.layout.checkpoint();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Checkpoint::decode(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ViewError::unreadable(&path, error)),
        }
    }

    /// Whether a broker runs on the store or did not stop cleanly: the abort file is there.
    pub fn has_abort_file(&self) -> bool {
        self.layout.abort().exists()
    }
}

impl View {
    /// The process that says it runs a broker on the store, if it is there. A broker that was killed leaves its number
    /// behind, and another process may have it by now; only who takes the lock knows for sure.
    pub fn running(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.layout.abort()).ok()?;
        let pid = text.trim().parse().ok()?;
        crate::sys::platform::process_is_alive(pid).then_some(pid)
    }
}

/// The log files in a directory, packed ones included.
pub fn log_files_in(dir: &Path) -> Result<Vec<SegmentFile>, ViewError> {
    let mut files = segments(dir)?;
    let packed =
        layout::packed_segments(dir).map_err(|source| ViewError::unreadable(dir, source))?;
    for (base, path) in packed {
        if files.iter().all(|file| file.base != base) {
            files.push(packed_file(base, path)?);
        }
    }
    files.sort_by_key(|file| file.base);
    Ok(files)
}

/// A packed file as a segment that begins at `base`.
pub fn packed_file(base: u64, path: PathBuf) -> Result<SegmentFile, ViewError> {
    let len = window::packed_bytes(&path).map_err(|source| ViewError::unreadable(&path, source))?;
    Ok(SegmentFile { base, len, path })
}

/// Whether a file is read as what is packed in it: its name ends in `.gz`.
pub fn is_packed(path: &Path) -> bool {
    window::is_packed(path)
}

/// The first bytes of a file, packed or not; fewer if it ends before.
pub fn first_bytes(path: &Path, count: usize) -> Result<Vec<u8>, ViewError> {
    let read = || window::Window::open(path)?.at(0, count).map(<[u8]>::to_vec);
    read().map_err(|source| ViewError::unreadable(path, source))
}

fn segments(dir: &Path) -> Result<Vec<SegmentFile>, ViewError> {
    layout::segments(dir).map_err(|source| ViewError::unreadable(dir, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_is_opened_and_nothing_is_created() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("absent");
        assert!(matches!(View::open(&absent), Err(ViewError::Absent { .. })));
        assert!(matches!(
            View::open(dir.path()),
            Err(ViewError::NoStore { .. })
        ));
        std::fs::create_dir(dir.path().join("commitlog")).unwrap();
        let view = View::open(dir.path()).unwrap();
        assert!(view.log().unwrap().next_item().is_none());
        assert_eq!(view.queues().unwrap(), []);
        assert_eq!(view.index_files().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(view.checkpoint().unwrap(), None);
        assert!(!view.has_abort_file());
        assert!(view.queue("t", 0).unwrap().next_entry().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
