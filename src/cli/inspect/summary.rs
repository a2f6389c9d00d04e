//! What there is in a log, in numbers: counted file by file, several files at a time.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Findings;
use super::watch::{Passed, Watch};
use crate::cli::exit::CliError;
use crate::message::record::Record;
use crate::message::sysflag;
use crate::store::log::walk::{Damage, Item};
use crate::store::view::{Survey, survey};

/// So many damaged places of a file are named; the others are counted.
const NAMED_MAX: usize = 1000;

/// A damaged place, for the report afterwards.
pub(super) struct Damaged {
    at: u64,
    bytes: u64,
    reason: String,
}

/// The damage one walk has met.
#[derive(Default)]
pub(super) struct DamageList {
    named: Vec<Damaged>,
    unnamed: u64,
}

impl DamageList {
    pub(super) fn add(&mut self, damage: &Damage<'_>) {
        if self.named.len() >= NAMED_MAX {
            self.unnamed += 1;
            return;
        }
        self.named.push(Damaged {
            at: damage.at.get(),
            bytes: damage.until.since(damage.at),
            reason: damage.reason.to_string(),
        });
    }

    pub(super) fn count(&self) -> u64 {
        self.named.len() as u64 + self.unnamed
    }

    /// Says on stderr what was met.
    pub(super) fn report(&self, findings: &mut Findings<'_>) {
        for damaged in &self.named {
            findings.damaged(damaged.at, damaged.bytes, &damaged.reason);
        }
        if self.unnamed > 0 {
            findings.add(&format!("{} more damaged places", self.unnamed));
        }
    }
}

/// What one file holds, or several together.
#[derive(Default)]
struct Totals {
    messages: u64,
    message_bytes: u64,
    body_bytes: u64,
    compressed: u64,
    inner_batches: u64,
    transactional: u64,
    filler_bytes: u64,
    topics: HashSet<String>,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    end: u64,
    damage: DamageList,
    passed: Passed,
}

impl Totals {
    fn record(&mut self, record: &Record<'_>) {
        let size = u64::from(record.size);
        self.messages += 1;
        self.message_bytes += size;
        self.body_bytes += record.body.len() as u64;
        self.compressed += u64::from(record.sys_flag & sysflag::COMPRESSED != 0);
        self.inner_batches += u64::from(record.sys_flag & sysflag::INNER_BATCH != 0);
        self.transactional += u64::from(sysflag::transaction(record.sys_flag) != 0);
        if !self.topics.contains(record.topic) {
            self.topics.insert(record.topic.to_owned());
        }
        let ms = record.store_timestamp;
        self.first_ms = Some(self.first_ms.map_or(ms, |first| first.min(ms)));
        self.last_ms = Some(self.last_ms.map_or(ms, |last| last.max(ms)));
        self.end = record.physical_offset.cast_unsigned() + size;
    }

    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.message_bytes += other.message_bytes;
        self.body_bytes += other.body_bytes;
        self.compressed += other.compressed;
        self.inner_batches += other.inner_batches;
        self.transactional += other.transactional;
        self.filler_bytes += other.filler_bytes;
        self.topics.extend(other.topics);
        self.first_ms = self.first_ms.into_iter().chain(other.first_ms).min();
        self.last_ms = self.last_ms.into_iter().chain(other.last_ms).max();
        self.end = self.end.max(other.end);
    }
}

/// The totals of the log that `findings` is about, and whether Ctrl-C has ended the count. Damage is reported there.
pub(super) fn of_log(findings: &mut Findings<'_>, fast: bool) -> Result<(Value, bool), CliError> {
    let context = findings.context;
    let files = findings.files.clone();
    let watch = Watch::over(&files, &context.output)?;
    let how = Survey {
        trust_bodies: fast,
        in_order: false,
    };
    let parts = survey(&files, how, Totals::default, |totals, item| {
        let bytes = match item {
            Item::Record(stored) => {
                totals.record(&stored.record);
                u64::from(stored.record.size)
            }
            Item::Blank(blank) => {
                totals.filler_bytes += u64::from(blank.size);
                u64::from(blank.size)
            }
            Item::Damaged(damage) => {
                totals.damage.add(&damage);
                damage.until.since(damage.at)
            }
            Item::End { .. } => 0,
        };
        watch.pass(&mut totals.passed, bytes)
    });
    let interrupted = watch.finish(context);
    let mut totals = Totals::default();
    let mut damaged = 0;
    for mut part in parts {
        damaged += part.damage.count();
        std::mem::take(&mut part.damage).report(findings);
        totals.add(part);
    }
    let min = files.first().map_or(0, |file| file.base);
    let row = json!({
        "files": files.len(),
        "fileSize": files.iter().map(|file| file.len).max(),
        "minOffset": min,
        "maxOffset": totals.end.max(min),
        "messages": totals.messages,
        "damaged": damaged,
        "topics": totals.topics.len(),
        "messageBytes": totals.message_bytes,
        "bodyBytes": totals.body_bytes,
        "fillerBytes": totals.filler_bytes,
        "compressed": totals.compressed,
        "innerBatches": totals.inner_batches,
        "transactional": totals.transactional,
        "firstStoreTimestamp": totals.first_ms,
        "lastStoreTimestamp": totals.last_ms,
    });
    Ok((row, interrupted))
}
