//! Files the keys of the records that recovery walks over.
//!
//! The index has a thread of its own beside the walk: bringing its last file into order takes as long as walking over a
//! hundred megabytes. What comes out does not depend on which of the two is faster: keys are filed in the order of the
//! log, and how many are written at a time changes no byte of the files.

use std::sync::mpsc::{Receiver, SyncSender};

use super::Log;
use super::recover::{Setting, geometry};
use crate::message::record::Record;
use crate::store::error::StoreError;
use crate::store::index::feed::Filed;
use crate::store::index::format::MessageKeys;
use crate::store::index::repair::{self, Trust};
use crate::store::index::writer::IndexWriter;

/// So many keys are handed over at a time.
const KEYS: usize = 8 * 1024;
/// So many times as many may wait for the index, some 200 KiB each.
pub(super) const WAITING_MAX: usize = 16;

/// The keys on their way to the index.
pub(super) struct Keys {
    gathered: Vec<Filed>,
    index: SyncSender<Vec<Filed>>,
}

impl Keys {
    pub(super) fn new(index: SyncSender<Vec<Filed>>) -> Self {
        Self {
            gathered: Vec::new(),
            index,
        }
    }

    /// Takes the keys of the record at `log_offset`.
    pub(super) fn add(&mut self, log_offset: u64, record: &Record<'_>, keys: MessageKeys<'_>) {
        // All keys of a record go together: the index takes a record for filed when it has one of them.
        if self.gathered.len() >= KEYS {
            self.hand_over();
        }
        self.gathered.extend(keys.hashes().map(|hash| Filed {
            log_offset,
            store_timestamp_ms: record.store_timestamp,
            hash,
        }));
    }

    /// Hands over what was gathered.
    pub(super) fn hand_over(&mut self) {
        let room = Vec::with_capacity(KEYS);
        let gathered = std::mem::replace(&mut self.gathered, room);
        // An index that failed takes no more, and says why at the end.
        let _ = self.index.send(gathered);
    }
}

/// Opens the index and files everything that comes.
pub(super) fn file_all(
    setting: &Setting<'_>,
    log: &Log,
    trust: Trust,
    keys: Receiver<Vec<Filed>>,
) -> Result<IndexWriter, StoreError> {
    let mut index = open_index(setting, log, trust)?;
    let dir = setting.layout.index();
    let failed = || StoreError::io("write the index in", &dir);
    for keys in keys {
        index
            .put_all(&keys, setting.clock.now_ms())
            .map_err(failed())?;
    }
    index.write_out().map_err(failed())?;
    Ok(index)
}

/// Opens the index, without what cannot be trusted.
pub(super) fn open_index(
    setting: &Setting<'_>,
    log: &Log,
    trust: Trust,
) -> Result<IndexWriter, StoreError> {
    let geometry = geometry(setting.options);
    let dir = setting.layout.index();
    if !setting.options.index_enabled {
        return Ok(no_index(setting));
    }
    let time_of = |at: u64| {
        let slice = log.record_at(at)?;
        Some(Record::parse(slice.as_ref()).ok()?.store_timestamp)
    };
    repair::open(&dir, geometry, trust, time_of).map_err(StoreError::io("open the index in", &dir))
}

/// An index without files.
pub(super) fn no_index(setting: &Setting<'_>) -> IndexWriter {
    let dir = setting.layout.index();
    IndexWriter::new(&dir, geometry(setting.options), Vec::new(), None, None)
}
