//! What is derived from the log: consume queues, key index, checkpoint.

use std::collections::BTreeMap;

use rmq::message::names;
use rmq::store::View;
use rmq::store::index::format::{KeyHash, MessageKeys};
use rmq::store::log::{Item, walk::Stored};
use rmq::store::view::{IndexView, QueueView};
use serde_json::{Value, json};

use super::each_store;

fn listed_files(queue: &QueueView) -> Value {
    let files = queue.files().iter();
    files
        .map(|file| json!([file.path.file_name().unwrap().to_str(), file.len]))
        .collect()
}

#[test]
fn every_queue_lists_as_its_manifest_says() {
    each_store(|golden| {
        let view = View::open(golden.dir()).unwrap();
        let expected = golden.list("consumequeue");
        let found = view.queues().unwrap();
        assert_eq!(found.len(), expected.len(), "{}", golden.case);
        for expected in expected {
            let (topic, queue_id) = (&expected["topic"], &expected["queueId"]);
            let at = format!("{}: {topic}/{queue_id}", golden.case);
            let queue_id = u32::try_from(queue_id.as_u64().unwrap()).unwrap();
            let mut queue = view.queue(topic.as_str().unwrap(), queue_id).unwrap();
            assert_eq!(listed_files(&queue), expected["files"], "{at}");
            let mut entries = Vec::new();
            while let Some(next) = queue.next_entry() {
                let (number, entry) = next.unwrap();
                entries.push(json!([
                    number.get(),
                    entry.log_offset,
                    entry.size,
                    entry.tags_code
                ]));
                assert_eq!(queue.entry(number).unwrap(), Some(entry), "{at}");
            }
            assert_eq!(Value::Array(entries), expected["entries"], "{at}");
        }
    });
}

#[test]
fn every_index_lists_as_its_manifest_says() {
    each_store(|golden| {
        let view = View::open(golden.dir()).unwrap();
        let files = view.index_files().unwrap();
        let expected = golden.list("index");
        assert_eq!(files.len(), expected.len(), "{}", golden.case);
        for (path, expected) in files.iter().zip(expected) {
            let at = format!("{}: {}", golden.case, path.display());
            let mut index = IndexView::open(path).unwrap();
            let header = index.header();
            let geometry = index.geometry().unwrap();
            let mut slots = Vec::new();
            for slot in 0..geometry.slots {
                match index.slot(slot).unwrap() {
                    0 => {}
                    newest => slots.push(json!([slot, newest])),
                }
            }
            let mut entries = Vec::new();
            for number in 1..=header.last_entry() {
                let entry = index.entry(number).unwrap().unwrap();
                let numbers = [
                    entry.key_hash.into(),
                    entry.log_offset,
                    entry.seconds.into(),
                    entry.previous.into(),
                ];
                entries.push(json!([
                    number, numbers[0], numbers[1], numbers[2], numbers[3]
                ]));
            }
            let found = json!({
                "file": path.file_name().unwrap().to_str(),
                "fileSize": index.file_bytes(),
                "slots": geometry.slots,
                "maxEntries": geometry.entries,
                "header": {
                    "beginTimestamp": header.begin_timestamp_ms,
                    "endTimestamp": header.end_timestamp_ms,
                    "beginPhyOffset": header.begin_log_offset,
                    "endPhyOffset": header.end_log_offset,
                    "hashSlotCount": header.slots_used,
                    "indexCount": header.next_entry,
                },
                "nonZeroSlots": slots,
                "entries": entries,
            });
            for (name, value) in found.as_object().unwrap() {
                assert_eq!(*value, expected[name], "{name}: {at}");
            }
        }
    });
}

/// Every key of every message is filed, in Apache's order, and leads back to the message.
#[test]
fn every_key_of_a_message_is_filed() {
    let mut checked = 0;
    each_store(|golden| {
        if !golden.list("indexKeysNotFound").is_empty() {
            return;
        }
        let view = View::open(golden.dir()).unwrap();
        let mut indexes: Vec<_> = view
            .index_files()
            .unwrap()
            .iter()
            .map(|path| IndexView::open(path).unwrap())
            .collect();
        let mut filed: BTreeMap<i64, Vec<i32>> = BTreeMap::new();
        for index in &mut indexes {
            for number in 1..=index.header().last_entry() {
                let entry = index.entry(number).unwrap().unwrap();
                filed
                    .entry(entry.log_offset)
                    .or_default()
                    .push(entry.key_hash);
            }
        }
        let mut log = view.log().unwrap();
        while let Some(item) = log.next_item() {
            let Item::Record(Stored { record, .. }) = item else {
                continue;
            };
            let keys = MessageKeys {
                topic: record.topic,
                unique: record.properties.get(names::UNIQ_KEY),
                words: record.properties.get(names::KEYS),
                tags: record.properties.get(names::TAGS),
                sys_flag: record.sys_flag,
            };
            let hashes: Vec<i32> = keys.hashes().map(KeyHash::get).collect();
            let at = record.physical_offset;
            let found = filed.get(&at).map_or(&[][..], Vec::as_slice);
            assert_eq!(found, hashes, "{}: {at}", golden.case);
            for hash in keys.hashes() {
                let leads_back = indexes.iter_mut().any(|index| {
                    let entries = index.lookup(hash).unwrap();
                    entries.iter().any(|(_, entry)| entry.log_offset == at)
                });
                assert!(leads_back, "{}: {at}", golden.case);
                checked += 1;
            }
        }
    });
    assert!(checked > 3000);
}

#[test]
fn every_checkpoint_reads_as_its_manifest_says() {
    each_store(|golden| {
        let found = View::open(golden.dir()).unwrap().checkpoint().unwrap();
        let expected = &golden.manifest["checkpoint"];
        let Some(found) = found else {
            assert!(expected["physicMsgTimestamp"].is_null(), "{}", golden.case);
            return;
        };
        let numbers = json!({
            "physicMsgTimestamp": found.log_timestamp_ms,
            "logicsMsgTimestamp": found.queue_timestamp_ms,
            "indexMsgTimestamp": found.index_timestamp_ms,
            "masterFlushedOffset": found.master_flushed_offset,
            "confirmPhyOffset": found.confirm_offset,
            "logicsPhysicalOffset": found.queue_log_offset,
        });
        for (name, value) in numbers.as_object().unwrap() {
            assert_eq!(*value, expected[name], "{name}: {}", golden.case);
        }
        let bytes = std::fs::read(golden.dir().join("checkpoint")).unwrap();
        assert_eq!(found.encode()[..], bytes[..], "{}", golden.case);
    });
}
