//! Finding messages by key.

use super::Store;
use super::index::format::KeyHash;
use super::index::query::{Lookup, header_of, lookup};
use super::log::LogSlice;
use crate::base::LogOffset;
use crate::message::names;
use crate::message::record::Record;

/// The records of a key.
#[derive(Debug, Default)]
pub struct KeyMatches {
    /// The records, each a slice of its own.
    pub slices: Vec<LogSlice>,
    /// When the index was last added to, ms since 1970.
    pub last_update_timestamp: i64,
    /// The log position of the record it was added for.
    pub last_update_offset: i64,
}

impl Store {
    /// Messages of `topic` with a key, stored between two times (ms since 1970), at most `max` and the newest ones if
    /// there are more; in the order of the log. The key is a unique id, a word of `KEYS`, or `T#` and the tags.
    pub fn query(
        &self,
        topic: &str,
        key: &str,
        max: usize,
        begin_ms: i64,
        end_ms: i64,
    ) -> KeyMatches {
        let shared = &*self.shared;
        // The worker may be a moment behind; whoever asks wants what was acknowledged.
        if let Err(error) = shared.dispatch() {
            tracing::warn!("the key index is behind: {error}");
        }
        let (files, geometry, newest) = {
            let dispatcher = shared.dispatcher.lock();
            let index = &dispatcher.index;
            (index.files().to_vec(), index.geometry(), index.newest())
        };
        let wanted = Lookup {
            hash: KeyHash::of_key(topic, key),
            begin_ms,
            end_ms,
        };
        let mut found: Vec<LogSlice> = Vec::new();
        for path in files.iter().rev() {
            if found.len() >= max {
                break;
            }
            let looked = header_of(path).and_then(|header| {
                let within =
                    header.begin_timestamp_ms <= end_ms && header.end_timestamp_ms >= begin_ms;
                if within {
                    lookup(path, geometry, &header, wanted, |log_offset| {
                        self.collect_match(topic, key, (begin_ms, end_ms), log_offset, &mut found);
                        found.len() < max
                    })?;
                }
                Ok(header.begin_timestamp_ms >= begin_ms)
            });
            match looked {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => tracing::warn!("{} cannot be searched: {error}", path.display()),
            }
        }
        found.sort_by_key(LogSlice::log_offset);
        KeyMatches {
            slices: found,
            last_update_timestamp: newest.0,
            last_update_offset: newest.1,
        }
    }

    /// Takes a record if it really has the key: the index holds only hashes.
    fn collect_match(
        &self,
        topic: &str,
        key: &str,
        (begin_ms, end_ms): (i64, i64),
        log_offset: i64,
        found: &mut Vec<LogSlice>,
    ) {
        let Some(slice) = LogOffset::from_wire(log_offset).and_then(|at| self.record_at(at)) else {
            return;
        };
        let known = |other: &LogSlice| other.log_offset() == slice.log_offset();
        let Ok(record) = Record::parse(slice.as_ref()) else {
            return;
        };
        let in_time = (begin_ms..=end_ms).contains(&record.store_timestamp);
        if record.topic == topic && in_time && has_key(&record, key) && !found.iter().any(known) {
            found.push(slice);
        }
    }
}

fn has_key(record: &Record<'_>, key: &str) -> bool {
    let property = |name| record.properties.get(name);
    property(names::UNIQ_KEY) == Some(key)
        || property(names::KEYS).is_some_and(|keys| keys.split(' ').any(|known| known == key))
        || key
            .strip_prefix("T#")
            .is_some_and(|tags| property(names::TAGS) == Some(tags))
}
