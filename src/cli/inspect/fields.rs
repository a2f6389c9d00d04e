//! What is found, as rows: the fields of records, fillers, ends and damage.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value, json};

use crate::base::LogOffset;
use crate::cli::records::hex;
use crate::cli::times::show_time;
use crate::message::record::{MAGIC_BLANK, MAGIC_V2, MIN_BYTES, Record, body_crc};
use crate::message::sysflag::{self, Compression};
use crate::message::{batch, compress, names};
use crate::store::log::walk::{Blank, Damage, Reason};

/// Bodies up to this size are shown unless all are asked for.
const BODY_SHOWN_MAX: usize = 400;
/// Compressed bodies are unpacked up to this size to tell their length.
const UNPACKED_MAX: usize = 64 << 20;

/// A message: every field of its record.
pub(super) fn message(record: &Record<'_>, whole_body: bool) -> Map<String, Value> {
    let mut row = object(json!({
        "kind": "message",
        "physicalOffset": record.physical_offset,
        "storeSize": record.size,
        "magic": magic(record.magic),
        "bodyCRC": record.body_crc,
        "queueId": record.queue_id,
        "flag": record.flag,
        "queueOffset": record.queue_offset,
        "sysFlag": record.sys_flag,
        "sysFlagBits": sys_flag_bits(record.sys_flag),
        "bornTimestamp": record.born_timestamp,
        "bornHost": host(record.born_host),
        "storeTimestamp": record.store_timestamp,
        "storeHost": host(record.store_host),
        "reconsumeTimes": record.reconsume_times,
        "preparedTransactionOffset": record.prepared_transaction_offset,
        "topic": record.topic,
        "properties": properties(record.properties.iter()),
        "propertiesRaw": String::from_utf8_lossy(record.properties.as_bytes()),
        "tags": record.properties.get(names::TAGS),
        "keys": record.properties.get(names::KEYS),
        "uniqKey": record.properties.get(names::UNIQ_KEY),
        "msgId": record.offset_message_id(),
    }));
    body(&mut row, record.body, whole_body);
    if let Some(name) = compression_name(record.sys_flag) {
        row.insert("compression".into(), name.into());
        if let Ok(plain) = compress::decompress(record.sys_flag, record.body, UNPACKED_MAX) {
            row.insert("decompressedLength".into(), plain.len().into());
        }
    }
    if record.sys_flag & sysflag::INNER_BATCH != 0 {
        let inner = inner_messages(record, whole_body);
        row.insert("inner".into(), inner);
    }
    row
}

/// The filler at the end of a file.
pub(super) fn blank(blank: &Blank) -> Value {
    json!({
        "kind": "blank",
        "physicalOffset": blank.at.get(),
        "size": blank.size,
        "magic": magic(MAGIC_BLANK),
        "bytesToFileEnd": blank.size,
        "restIsZero": blank.rest_is_zero,
    })
}

/// The first byte never written in a file.
pub(super) fn end(at: LogOffset) -> Value {
    json!({"kind": "end", "physicalOffset": at.get()})
}

/// Bytes that are no whole record. A record whose body alone is wrong keeps the kind `message`, with `crcMismatch`;
/// one whose parts do not add up is `damaged`; bytes that do not even begin like one are `undecodable`.
pub(super) fn damage(damage: &Damage<'_>, whole_body: bool) -> Value {
    let word = |at: usize| {
        let bytes = damage.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u32::from_be_bytes)
    };
    let mut row = match (&damage.record, &damage.reason) {
        (Some(record), Reason::Checksum { found, .. }) => {
            let mut row = message(record, whole_body);
            row.insert("bodyCRCComputed".into(), (*found).into());
            row.insert("crcMismatch".into(), true.into());
            row
        }
        (Some(record), _) => {
            let mut row = message(record, whole_body);
            row.insert("kind".into(), "damaged".into());
            row.insert("physicalOffset".into(), damage.at.get().into());
            row
        }
        (None, _) if word(0).is_some_and(|size| size as usize == damage.bytes.len()) => {
            misfit(damage, whole_body)
        }
        (None, _) if damage.bytes.is_empty() => object(json!({
            "kind": "damaged",
            "physicalOffset": damage.at.get(),
        })),
        (None, _) => {
            let mut row = object(json!({
                "kind": "undecodable",
                "physicalOffset": damage.at.get(),
                "sizeField": word(0),
                "magicField": word(4).map(magic),
            }));
            if damage.last_in_file {
                let last = damage.until.get().saturating_sub(1);
                row.insert("lastNonZeroByteAt".into(), last.into());
            }
            row
        }
    };
    row.insert("until".into(), damage.until.get().into());
    row.insert("reason".into(), damage.reason.to_string().into());
    Value::Object(row)
}

/// A record whose parts do not add up to its length: its fields as far as they can be read one after the other.
fn misfit(damage: &Damage<'_>, whole_body: bool) -> Map<String, Value> {
    let mut bytes = damage.bytes.to_vec();
    let size = bytes.len();
    let end = parts_end(&bytes).filter(|&end| end < size);
    if let Some(end) = end {
        bytes.truncate(end);
        let stated = u32::try_from(end).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = bytes.first_chunk_mut() {
            *place = stated;
        }
    }
    let Some((end, record)) = end.zip(Record::parse(&bytes).ok()) else {
        return object(json!({
            "kind": "damaged",
            "physicalOffset": damage.at.get(),
            "storeSize": size,
        }));
    };
    let mut row = message(&record, whole_body);
    row.insert("kind".into(), "damaged".into());
    row.insert("storeSize".into(), size.into());
    if !record.crc_ok() {
        let computed = body_crc(record.body);
        row.insert("bodyCRCComputed".into(), computed.into());
        row.insert("crcMismatch".into(), true.into());
    }
    row.insert("decodedBytes".into(), end.into());
    row
}

/// Where the last part of a record ends, going by the lengths of its parts and not by its own.
fn parts_end(bytes: &[u8]) -> Option<usize> {
    const SYS_FLAG_AT: usize = 36;
    const BODY_LENGTH_AT: usize = MIN_BYTES - 3 - 4;
    let number = |at: usize, width: usize| {
        let digits = bytes.get(at..at.checked_add(width)?)?;
        Some(
            digits
                .iter()
                .fold(0_usize, |n, &byte| n << 8 | usize::from(byte)),
        )
    };
    let magic = u32::try_from(number(4, 4)?).ok()?;
    let sys_flag = i32::try_from(number(SYS_FLAG_AT, 4)?).ok()?;
    let wide = |bit| if sys_flag & bit == 0 { 0 } else { 12 };
    let at = BODY_LENGTH_AT + wide(sysflag::BORN_HOST_V6) + wide(sysflag::STORE_HOST_V6);
    let topic_at = at.checked_add(4)?.checked_add(number(at, 4)?)?;
    let width = if magic == MAGIC_V2 { 2 } else { 1 };
    let properties_at = topic_at + width + number(topic_at, width)?;
    Some(properties_at + 2 + number(properties_at, 2)?)
}

/// A line for people: where, what, how large, when, and what the producer called it.
pub(super) fn message_line(row: &Value, utc: bool) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{:>12}  {}/{} @{}  {} B",
        row["physicalOffset"].to_string(),
        text("topic"),
        row["queueId"],
        row["queueOffset"],
        row["storeSize"],
    );
    if let Some(ms) = row["storeTimestamp"].as_i64() {
        let _ = write!(line, "  {}", show_time(ms, utc));
    }
    for (title, name) in [("keys", "keys"), ("tags", "tags"), ("id", "uniqKey")] {
        if let Some(value) = row[name].as_str() {
            let _ = write!(line, "  {title}={}", printable(value));
        }
    }
    if let Some(body) = row["bodyText"].as_str() {
        const SHOWN: usize = 60;
        let mut start: String = body.chars().take(SHOWN).collect();
        if start.len() < body.len() {
            start.push('…');
        }
        let _ = write!(line, "  {}", printable(&start));
    }
    line
}

/// Text without anything that would move the cursor.
pub(super) fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}

/// The object that `json!({…})` made.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn body(row: &mut Map<String, Value>, body: &[u8], whole: bool) {
    row.insert("bodyLength".into(), body.len().into());
    if !whole && body.len() > BODY_SHOWN_MAX {
        return;
    }
    match std::str::from_utf8(body) {
        Ok(text) => row.insert("bodyText".into(), text.into()),
        Err(_) => row.insert("bodyHex".into(), hex(body).into()),
    };
}

fn inner_messages(record: &Record<'_>, whole_body: bool) -> Value {
    let plain = compress::decompress(record.sys_flag, record.body, UNPACKED_MAX);
    let plain = plain.unwrap_or_default();
    let entries = batch::decode(&plain).map_while(Result::ok);
    let rows = entries
        .zip(record.queue_offset..)
        .map(|(entry, queue_offset)| {
            let mut row = object(json!({
                "flag": entry.flag,
                "queueOffset": queue_offset,
                "properties": properties(entry.properties.iter()),
            }));
            body(&mut row, entry.body, whole_body);
            Value::Object(row)
        });
    rows.collect()
}

fn properties<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

fn magic(magic: u32) -> String {
    format!("0x{magic:08X}")
}

/// As Java prints it: an IPv6 address with all its groups and without brackets.
fn host(host: SocketAddr) -> String {
    match host.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", host.port()),
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("{}:{}", groups.join(":"), host.port())
        }
    }
}

fn compression_name(sys_flag: i32) -> Option<&'static str> {
    sysflag::compression(sys_flag).map(|compression| match compression {
        Compression::Lz4 => "LZ4",
        Compression::Zstd => "ZSTD",
        Compression::Zlib => "ZLIB",
    })
}

fn sys_flag_bits(sys_flag: i32) -> Vec<&'static str> {
    let bits = [
        (sysflag::COMPRESSED, "COMPRESSED"),
        (sysflag::MULTI_TAGS, "MULTI_TAGS"),
        (sysflag::BORN_HOST_V6, "BORNHOST_V6"),
        (sysflag::STORE_HOST_V6, "STOREHOST_V6"),
        (sysflag::NEED_UNWRAP, "NEED_UNWRAP"),
        (sysflag::INNER_BATCH, "INNER_BATCH"),
    ];
    let transaction = match sysflag::transaction(sys_flag) {
        sysflag::TRANSACTION_PREPARED => Some("TRANSACTION_PREPARED"),
        sysflag::TRANSACTION_COMMIT => Some("TRANSACTION_COMMIT"),
        sysflag::TRANSACTION_ROLLBACK => Some("TRANSACTION_ROLLBACK"),
        _ => None,
    };
    bits.into_iter()
        .filter(|(bit, _)| sys_flag & bit != 0)
        .map(|(_, name)| name)
        .chain(transaction)
        .chain(compression_name(sys_flag))
        .collect()
}
