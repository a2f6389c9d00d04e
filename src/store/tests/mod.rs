//! The whole store, opened, filled, stopped or crashed, and opened again.

mod batch;
mod claims;
mod crash;
mod golden;
mod limits;
mod recovered;
mod repair;
mod replica;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;

use crate::base::QueueOffset;
use crate::message::record::Draft;

pub(super) fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        log_file_bytes: 16 * 1024,
        queue_file_bytes: 20 * 30,
        batch_queue_file_bytes: 46 * 10,
        index_slots: 50,
        index_entries: 40,
        flush: FlushMode::Async {
            interval: Duration::from_mins(1),
        },
        queue_flush_interval: Duration::from_mins(1),
        retention_interval: Duration::from_hours(1),
        ..StoreOptions::new(dir)
    }
}

pub(super) fn open(dir: &Path) -> (Arc<Store>, RecoveryReport) {
    Store::open(options(dir), Clock::System).unwrap()
}

/// Stops like a killed process: what was written is in the files, nothing is tidied up.
pub(super) fn crash(store: Arc<Store>) {
    drop(store);
}

pub(super) fn draft<'a>(
    topic: &'a str,
    queue: i32,
    body: &'a [u8],
    properties: &'a [u8],
) -> Draft<'a> {
    let host: SocketAddr = "127.0.0.1:10911".parse().unwrap();
    Draft {
        topic,
        queue_id: queue,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

pub(super) fn send(store: &Store, topic: &str, queue: u32, body: &str) -> Appended {
    let to = store.queue(&TopicName::stored(topic), QueueId::new(queue));
    let mut group = store.append_group();
    let properties = format!(
        "TAGS\x01{}\x02KEYS\x01k-{body} common\x02UNIQ_KEY\x01u-{body}\x02",
        &body[..1]
    );
    group
        .push(
            &draft(
                topic,
                queue.cast_signed(),
                body.as_bytes(),
                properties.as_bytes(),
            ),
            &to,
        )
        .unwrap();
    store.append(&mut group).unwrap();
    group.appended(0).unwrap()
}

/// All bodies of a queue, read in small portions.
pub(super) fn bodies(store: &Store, topic: &str, queue: u32) -> Vec<String> {
    let Some(queue) = store.find_queue(topic, QueueId::new(queue)) else {
        return Vec::new();
    };
    let mut bodies = Vec::new();
    let mut at = queue.min_offset();
    while at < queue.max_offset() {
        let limits = ReadLimits {
            messages: 7,
            bytes: 4096,
        };
        let found = store.get(&queue, at, limits, |_| true);
        for slice in &found.slices {
            let mut bytes = slice.as_ref();
            while !bytes.is_empty() {
                let record = Record::parse(bytes).unwrap();
                assert!(record.crc_ok());
                bodies.push(String::from_utf8(record.body.to_vec()).unwrap());
                bytes = &bytes[record.size as usize..];
            }
        }
        assert!(found.next > at);
        at = found.next;
    }
    bodies
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n}")).collect()
}

#[test]
fn messages_survive_a_stop_and_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (store, report) = open(dir.path());
    assert!(report.clean);
    for body in numbered(300) {
        send(&store, "T", 0, &body);
    }
    assert_eq!(bodies(&store, "T", 0), numbered(300));
    let end = store.appended().get();
    store.shutdown().unwrap();
    drop(store);
    assert!(!dir.path().join("abort").exists());

    let (store, report) = open(dir.path());
    assert!(report.clean && !report.rebuilt, "{report:?}");
    assert_eq!((report.log_end, report.cut, report.scanned), (end, None, 1));
    assert_eq!(bodies(&store, "T", 0), numbered(300));
    for n in 300..400 {
        send(&store, "T", 0, &format!("m{n}"));
    }
    crash(store);
    let (store, report) = open(dir.path());
    assert!(!report.clean);
    assert_eq!(report.damaged, []);
    assert_eq!(bodies(&store, "T", 0), numbered(400));
    assert_eq!(
        send(&store, "T", 0, "m400").queue_offset,
        QueueOffset::new(400)
    );
    store.shutdown().unwrap();
}

#[test]
fn keys_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for body in numbered(200) {
        send(&store, "T", 0, &body);
    }
    let check = |store: &Store| {
        for n in [0, 100, 199] {
            for key in [format!("k-m{n}"), format!("u-m{n}")] {
                let found = store.query("T", &key, 10, 0, i64::MAX);
                assert_eq!(found.slices.len(), 1, "{key}");
                let record = Record::parse(found.slices[0].as_ref()).unwrap();
                assert_eq!(record.body, format!("m{n}").as_bytes());
            }
        }
        assert_eq!(
            store.query("T", "common", 1000, 0, i64::MAX).slices.len(),
            200
        );
        assert_eq!(store.query("T", "T#m", 7, 0, i64::MAX).slices.len(), 7);
        assert!(
            store
                .query("T", "absent", 10, 0, i64::MAX)
                .slices
                .is_empty()
        );
        assert!(store.query("T", "common", 10, 0, 5).slices.is_empty());
    };
    check(&store);
    crash(store);
    let (store, _) = open(dir.path());
    check(&store);
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    check(&store);
}
