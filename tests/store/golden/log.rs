//! The commit log: every record with every field, fillers, ends and damage.

use rmq::message::record::Record;
use rmq::message::{batch, compress, names};
use rmq::store::View;
use rmq::store::log::Item;
use rmq::store::log::walk::{Damage, Reason};
use serde_json::{Value, json};

use super::{Golden, each_store, hex, inventory, sha256};

/// Bodies up to this size are in the manifests.
const BODY_SHOWN_MAX: usize = 400;

#[test]
fn every_log_lists_as_its_manifest_says() {
    each_store(|golden| {
        let view = View::open(golden.dir()).unwrap();
        let mut walk = view.log().unwrap();
        let mut expected = golden.list("commitlog").iter();
        while let Some(item) = walk.next_item() {
            let expected = expected.next().unwrap_or(&Value::Null);
            check(&golden.case, &item, expected);
        }
        assert_eq!(
            expected.next(),
            None,
            "{}: the walk ended early",
            golden.case
        );
    });
}

#[test]
fn reading_changes_nothing() {
    let golden = Golden::unpack("damage-torn-tail-abort");
    let before = inventory(&golden.dir());
    let view = View::open(golden.dir()).unwrap();
    let mut walk = view.log().unwrap().behind_end(true);
    while walk.next_item().is_some() {}
    for (topic, queue_id) in view.queues().unwrap() {
        let mut queue = view.queue(&topic, queue_id).unwrap();
        while queue.next_entry().is_some() {}
    }
    view.checkpoint().unwrap();
    assert_eq!(inventory(&golden.dir()), before);
}

#[test]
fn records_are_found_by_position() {
    let golden = Golden::unpack("rollover");
    let mut walk = View::open(golden.dir()).unwrap().log().unwrap();
    for item in golden.list("commitlog").iter().rev() {
        let at =
            rmq::store::LogOffset::from_wire(item["physicalOffset"].as_i64().unwrap()).unwrap();
        match walk.record_at(at) {
            Ok(found) => assert_eq!(sha256(found.bytes), item["recordSha256"]),
            Err(reason) => {
                assert_ne!(item["kind"], "message");
                assert_eq!(reason, Reason::Unwritten);
            }
        }
    }
}

fn check(case: &str, item: &Item<'_>, expected: &Value) {
    let at = format!("{case}: {expected}");
    match item {
        Item::Record(stored) => {
            assert_eq!(sha256(stored.bytes), expected["recordSha256"], "{at}");
            check_record("message", &stored.record, expected, &at);
            assert_eq!(expected["crcMismatch"], Value::Null, "{at}");
        }
        Item::Blank(blank) => {
            let found = json!({
                "kind": "blank",
                "physicalOffset": blank.at.get(),
                "size": blank.size,
                "magic": "0xCBD43194",
                "bytesToFileEnd": blank.size,
                "restIsZero": blank.rest_is_zero,
            });
            assert_eq!(found, *expected, "{at}");
        }
        Item::End { at: end } => {
            let found = json!({"kind": "end", "physicalOffset": end.get()});
            assert_eq!(found, *expected, "{at}");
        }
        Item::Damaged(damage) => check_damage(damage, expected, &at),
    }
}

fn check_damage(damage: &Damage<'_>, expected: &Value, at: &str) {
    assert_eq!(damage.at.get(), expected["physicalOffset"], "{at}");
    let word = |at: usize| u32::from_be_bytes(*damage.bytes[at..].first_chunk().unwrap());
    match expected["kind"].as_str().unwrap() {
        "message" => {
            let Reason::Checksum { found, .. } = damage.reason else {
                panic!("{at}: {}", damage.reason);
            };
            assert_eq!(expected["crcMismatch"], true, "{at}");
            assert_eq!(found, expected["bodyCRCComputed"], "{at}");
            assert_eq!(sha256(damage.bytes), expected["recordSha256"], "{at}");
            check_record("message", damage.record.as_ref().unwrap(), expected, at);
        }
        "damaged" => {
            assert!(damage.record.is_none(), "{at}");
            assert_eq!(sha256(damage.bytes), expected["recordSha256"], "{at}");
            assert_eq!(word(0), expected["storeSize"], "{at}");
            assert_eq!(damage.until.since(damage.at), expected["storeSize"], "{at}");
        }
        "undecodable" => {
            assert_eq!(word(0), expected["sizeField"], "{at}");
            assert_eq!(
                format!("{:#010X}", word(4)).replace("0X", "0x"),
                expected["magicField"],
                "{at}"
            );
            assert_eq!(
                damage.until.get() - 1,
                expected["lastNonZeroByteAt"],
                "{at}"
            );
        }
        _ => panic!("{at}: {}", damage.reason),
    }
}

fn check_record(kind: &str, record: &Record<'_>, expected: &Value, at: &str) {
    let properties: serde_json::Map<_, _> = record
        .properties
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let found = json!({
        "kind": kind,
        "physicalOffset": record.physical_offset,
        "storeSize": record.size,
        "magic": format!("0x{:08X}", record.magic),
        "bodyCRC": record.body_crc,
        "queueId": record.queue_id,
        "flag": record.flag,
        "queueOffset": record.queue_offset,
        "sysFlag": record.sys_flag,
        "bornTimestamp": record.born_timestamp,
        "bornHost": java_host(record.born_host),
        "storeTimestamp": record.store_timestamp,
        "storeHost": java_host(record.store_host),
        "reconsumeTimes": record.reconsume_times,
        "preparedTransactionOffset": record.prepared_transaction_offset,
        "topic": record.topic,
        "properties": properties,
        "propertiesRaw": String::from_utf8_lossy(record.properties.as_bytes()),
        "tags": record.properties.get(names::TAGS),
        "keys": record.properties.get(names::KEYS),
        "uniqKey": record.properties.get(names::UNIQ_KEY),
        "msgId": record.offset_message_id(),
        "bodyLength": record.body.len(),
        "bodySha256": sha256(record.body),
    });
    for (name, value) in found.as_object().unwrap() {
        assert_eq!(*value, expected[name], "{name}: {at}");
    }
    if record.body.len() <= BODY_SHOWN_MAX {
        match std::str::from_utf8(record.body) {
            Ok(text) => assert_eq!(expected["bodyText"], text, "{at}"),
            Err(_) => assert_eq!(expected["bodyHex"], hex(record.body), "{at}"),
        }
    }
    if !expected["decompressedSha256"].is_null() {
        let plain = compress::decompress(record.sys_flag, record.body, 16 << 20).unwrap();
        assert_eq!(plain.len(), expected["decompressedLength"], "{at}");
        assert_eq!(sha256(&plain), expected["decompressedSha256"], "{at}");
    }
    if let Some(inner) = expected["inner"].as_array() {
        let found: Vec<_> = batch::decode(record.body).map(Result::unwrap).collect();
        assert_eq!(found.len(), inner.len(), "{at}");
        for (entry, expected) in found.iter().zip(inner) {
            assert_eq!(entry.flag, expected["flag"], "{at}");
            assert_eq!(sha256(entry.body), expected["bodySha256"], "{at}");
            let properties = entry.properties.iter().count();
            assert_eq!(
                properties,
                expected["properties"].as_object().unwrap().len(),
                "{at}"
            );
        }
    }
}

/// Java writes an IPv6 address with all its groups and without brackets.
fn java_host(host: std::net::SocketAddr) -> String {
    match host.ip() {
        std::net::IpAddr::V4(ip) => format!("{ip}:{}", host.port()),
        std::net::IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("{}:{}", groups.join(":"), host.port())
        }
    }
}
