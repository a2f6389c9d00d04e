//! From every record to its entries in the key index, and from every entry to its record.
//!
//! Entries are written in the order of the log, so both are gone through side by side, and each entry is compared with
//! the record at hand. Entries out of that order (Apache files some twice after a crash) are looked up one by one.

use super::{Finding, Looked, Problem, Sink, Verify, keys, name_of, position, record_at};
use crate::message::record::Record;
use crate::store::index::format::{IndexEntry, KeyHash, MessageKeys};
use crate::store::log::Walk;
use crate::store::view::IndexView;
use crate::store::{View, ViewError};

/// The slots looked at in one pass over a file's entries: 4 bytes each are kept.
const SLOTS_AT_A_TIME: u32 = 4 << 20;
/// No record has so many keys that are worth listing; one that has is looked up key by key.
const KEYS_MAX: usize = 64;

/// The index as the walk over the log has found it so far.
pub(super) struct Filed {
    /// Read from front to back.
    files: Vec<IndexView>,
    /// For looking up keys, which jumps about.
    lookups: Vec<IndexView>,
    at: usize,
    number: u32,
    log_begin: u64,
    /// Records with keys; counted where there is no index to look into.
    with_keys: u64,
    looks: bool,
    live: bool,
}

impl Filed {
    pub(super) fn open(view: &View, how: &Verify, log_begin: u64) -> Result<Self, ViewError> {
        let (mut files, mut lookups) = (Vec::new(), Vec::new());
        for path in view.index_files()? {
            files.push(IndexView::open(&path)?);
            if !how.fast {
                lookups.push(IndexView::open(&path)?);
            }
        }
        Ok(Self {
            files,
            lookups,
            at: 0,
            number: 1,
            log_begin,
            with_keys: 0,
            looks: !how.fast,
            live: how.live,
        })
    }

    /// The entries filed under a hash, whichever file they are in.
    pub(super) fn lookup(&mut self, hash: KeyHash) -> Result<Vec<IndexEntry>, ViewError> {
        let mut found = Vec::new();
        for index in &mut self.lookups {
            found.extend(index.lookup(hash)?.into_iter().map(|(_, entry)| entry));
        }
        Ok(found)
    }

    /// The entry at hand; `None` behind the last one.
    fn current(&mut self) -> Result<Option<IndexEntry>, ViewError> {
        while let Some(index) = self.files.get_mut(self.at) {
            if index.geometry().is_some() && self.number <= index.header().last_entry() {
                return Ok(Some(index.entry(self.number)?.unwrap_or_default()));
            }
            self.at += 1;
            self.number = 1;
        }
        Ok(None)
    }

    /// Compares a record with the entries that come next.
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        probe: &mut Walk,
        sink: &mut Sink<'_>,
    ) -> Result<(), ViewError> {
        if !self.looks {
            return Ok(());
        }
        let keys = keys(record);
        if self.files.is_empty() {
            self.with_keys += u64::from(keys.hashes().next().is_some());
            return Ok(());
        }
        while let Some(entry) = self.current()?
            && entry.log_offset < record.physical_offset
        {
            self.stray(&entry, None, probe, sink);
            self.number += 1;
        }
        let mut hashes: smallvec::SmallVec<[KeyHash; 8]> = keys.hashes().take(KEYS_MAX).collect();
        while let Some(entry) = self.current()?
            && entry.log_offset == record.physical_offset
        {
            match hashes.iter().position(|hash| hash.get() == entry.key_hash) {
                Some(one) => {
                    hashes.remove(one);
                }
                None if keys.hashes().any(|hash| hash.get() == entry.key_hash) => {}
                None => self.report(
                    sink,
                    Problem::OtherRecord {
                        at: entry.log_offset,
                        part: "keys",
                    },
                ),
            }
            self.number += 1;
        }
        // A running broker files a message some time after it has stored it.
        let missing = self.unfiled(record, &hashes)?;
        if missing > 0 && !self.live {
            let at = position(record);
            sink.found(Finding::NotFiled { at, missing });
        }
        // An entry that leads far ahead would keep everything behind it from being compared.
        if let Some(entry) = self.current()?
            && self.leads_astray(&entry)?
        {
            self.stray(&entry, None, probe, sink);
            self.number += 1;
        }
        Ok(())
    }

    /// How many of these keys of a record do not lead to it.
    fn unfiled(&mut self, record: &Record<'_>, hashes: &[KeyHash]) -> Result<usize, ViewError> {
        let mut missing = 0;
        for &hash in hashes {
            let mut filed = false;
            for index in &mut self.lookups {
                let header = index.header();
                let covered = header.begin_log_offset..=header.end_log_offset;
                if !filed && covered.contains(&record.physical_offset) {
                    let entries = index.lookup(hash)?;
                    filed = entries
                        .iter()
                        .any(|(_, entry)| entry.log_offset == record.physical_offset);
                }
            }
            missing += usize::from(!filed);
        }
        Ok(missing)
    }

    /// Whether the next entry of the same file leads back behind this one.
    fn leads_astray(&mut self, entry: &IndexEntry) -> Result<bool, ViewError> {
        let Some(index) = self.files.get_mut(self.at) else {
            return Ok(false);
        };
        let next = index.entry(self.number.saturating_add(1))?;
        Ok(next.is_some_and(|next| next.log_offset < entry.log_offset))
    }

    /// Follows an entry that does not belong to the record at hand.
    fn stray(
        &self,
        entry: &IndexEntry,
        log_end: Option<u64>,
        probe: &mut Walk,
        sink: &mut Sink<'_>,
    ) {
        let at = entry.log_offset;
        if u64::try_from(at).is_ok_and(|at| at < self.log_begin) {
            return;
        }
        let problem = match record_at(probe, at, log_end) {
            Err(problem) => Some(problem),
            Ok(record) => {
                let filed = hashes_of(keys(&record)).any(|hash| hash == entry.key_hash);
                (!filed).then_some(Problem::OtherRecord { at, part: "keys" })
            }
        };
        if let Some(problem) = problem {
            self.report(sink, problem);
        }
    }

    /// Says what is wrong with the entry at hand.
    fn report(&self, sink: &mut Sink<'_>, problem: Problem) {
        let Some(index) = self.files.get(self.at) else {
            return;
        };
        sink.found(Finding::IndexEntry {
            file: name_of(index),
            number: self.number,
            problem,
        });
    }

    /// Follows what is left, and looks at the files themselves.
    pub(super) fn finish(
        mut self,
        probe: &mut Walk,
        looked: &mut Looked,
        sink: &mut Sink<'_>,
    ) -> Result<(), ViewError> {
        if self.with_keys > 0 {
            sink.found(Finding::NoIndex {
                records: self.with_keys,
            });
        }
        let end = (!self.live).then_some(looked.log_end);
        while self.looks
            && !sink.stopped
            && !self.live
            && let Some(entry) = self.current()?
        {
            self.stray(&entry, end, probe, sink);
            self.number += 1;
        }
        for index in &mut self.files {
            if sink.stopped {
                break;
            }
            looked.index_entries += u64::from(index.header().last_entry());
            // A running broker changes its newest file under our eyes.
            if !self.live
                && let Some(problem) = file_problem(index, self.looks)?
            {
                sink.found(Finding::IndexFile {
                    file: name_of(index),
                    problem,
                });
            }
        }
        Ok(())
    }
}

fn hashes_of(keys: MessageKeys<'_>) -> impl Iterator<Item = i32> {
    keys.hashes().map(KeyHash::get)
}

/// Whether every entry hangs in the list of the slot it falls into, newest first, and the header counts right.
fn file_problem(index: &mut IndexView, thorough: bool) -> Result<Option<String>, ViewError> {
    let Some(geometry) = index.geometry() else {
        return Ok(Some(
            "no split into slots and entries explains its entries".to_owned(),
        ));
    };
    if !thorough {
        return Ok(None);
    }
    let header = index.header();
    let mut used = 0;
    let mut from = 0;
    while from < geometry.slots {
        let count = (geometry.slots - from).min(SLOTS_AT_A_TIME);
        let mut newest = vec![0_u32; count as usize];
        for number in 1..=header.last_entry() {
            let entry = index.entry(number)?.unwrap_or_default();
            let hash = entry.key_hash.unsigned_abs();
            let slot = hash.checked_rem(geometry.slots).unwrap_or(0);
            let Some(place) = slot
                .checked_sub(from)
                .and_then(|at| newest.get_mut(at as usize))
            else {
                continue;
            };
            if u32::try_from(entry.previous).ok() != Some(*place) {
                return Ok(Some(format!(
                    "entry {number} leads on to {}, the one before it in its slot is {place}",
                    entry.previous
                )));
            }
            used += i64::from(*place == 0);
            *place = number;
        }
        for (slot, last) in (from..).zip(&newest) {
            let found = index.slot(slot)?;
            if u32::try_from(found).ok() != Some(*last) {
                return Ok(Some(format!(
                    "slot {slot} leads to {found}, its newest entry is {last}"
                )));
            }
        }
        from += count;
    }
    if i64::from(header.slots_used) != used {
        return Ok(Some(format!(
            "the header counts {} slots in use, there are {used}",
            header.slots_used
        )));
    }
    Ok(None)
}
