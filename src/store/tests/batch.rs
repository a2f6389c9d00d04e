//! Batch queues: one record, several messages.

use super::*;
use crate::message::{batch, names, sysflag};
use crate::store::verify::verify;

/// Sends one record with these messages; tells where the first came to lie.
fn send_batch(store: &Store, topic: &str, queue: u32, messages: &[String]) -> Appended {
    let to = store.batch_queue(&TopicName::stored(topic), QueueId::new(queue));
    let mut group = store.append_group();
    let mut body = Vec::new();
    for message in messages {
        assert!(batch::encode_entry(&mut body, 0, message.as_bytes(), b""));
    }
    let count = messages.len();
    let properties = format!("UNIQ_KEY\x01u-{}\x02INNER_NUM\x01{count}\x02", messages[0]);
    let draft = Draft {
        sys_flag: sysflag::INNER_BATCH | sysflag::NEED_UNWRAP,
        ..draft(topic, queue.cast_signed(), &body, properties.as_bytes())
    };
    group.push(&draft, &to).unwrap();
    store.append(&mut group).unwrap();
    group.appended(0).unwrap()
}

/// All messages of a batch queue, with what the record says of its first offset.
fn messages(store: &Store, topic: &str) -> Vec<(u64, String)> {
    let queue = store.find_queue(topic, QueueId::new(0)).unwrap();
    let mut all = Vec::new();
    let mut at = queue.min_offset();
    let limits = ReadLimits {
        messages: 9,
        bytes: 4096,
    };
    while at < queue.max_offset() {
        let found = store.get(&queue, at, limits, |_| true);
        assert_eq!(found.status, GetStatus::Found);
        for slice in &found.slices {
            let mut bytes = slice.as_ref();
            while !bytes.is_empty() {
                let record = Record::parse(bytes).unwrap();
                let base: u64 = record
                    .properties
                    .get(names::INNER_BASE)
                    .unwrap()
                    .parse()
                    .unwrap();
                assert_eq!(i64::try_from(base).unwrap(), record.queue_offset);
                for (offset, entry) in (base..).zip(batch::decode(record.body)) {
                    let body = entry.unwrap().body.to_vec();
                    all.push((offset, String::from_utf8(body).unwrap()));
                }
                bytes = &bytes[record.size as usize..];
            }
        }
        at = found.next;
    }
    all
}

/// So many records of one to four messages.
fn fill(store: &Store, records: usize) -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = Vec::new();
    for record in 0..records {
        let bodies: Vec<String> = (0..=record % 4).map(|n| format!("r{record}-{n}")).collect();
        let appended = send_batch(store, "B", 0, &bodies);
        assert_eq!(appended.queue_offset.get(), all.len() as u64);
        all.extend((appended.queue_offset.get()..).zip(bodies));
    }
    all
}

#[test]
fn batches_survive_a_stop_a_crash_and_the_loss_of_their_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let sent = fill(&store, 57);
    assert_eq!(messages(&store, "B"), sent);
    store.shutdown().unwrap();
    drop(store);
    let (store, report) = open(dir.path());
    assert!(report.clean && !report.rebuilt, "{report:?}");
    assert_eq!(messages(&store, "B"), sent);
    crash(store);
    let (store, _) = open(dir.path());
    assert_eq!(messages(&store, "B"), sent);
    store.shutdown().unwrap();
    drop(store);

    let view = View::open(dir.path()).unwrap();
    let mut findings = Vec::new();
    let looked = verify(&view, &mut |finding| findings.push(finding)).unwrap();
    assert_eq!(findings, []);
    assert_eq!(looked.queue_entries, 57);

    std::fs::remove_dir_all(dir.path().join("batchconsumequeue")).unwrap();
    let looked = verify(&view, &mut |finding| findings.push(finding)).unwrap();
    assert_eq!(looked.queue_entries, 0);
    assert!(!findings.is_empty());
    let (store, report) = open(dir.path());
    assert!(report.rebuilt, "{report:?}");
    assert_eq!(messages(&store, "B"), sent);
    let next = send_batch(&store, "B", 0, &["one".into(), "two".into()]);
    assert_eq!(next.queue_offset.get(), sent.len() as u64);
}

#[test]
fn an_offset_within_a_batch_finds_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let sent = fill(&store, 30);
    let queue = store.find_queue("B", QueueId::new(0)).unwrap();
    let limits = ReadLimits {
        messages: 1,
        bytes: 4096,
    };
    for (offset, body) in &sent {
        let found = store.get(&queue, QueueOffset::new(*offset), limits, |_| true);
        let record = Record::parse(found.slices[0].as_ref()).unwrap();
        let base = u64::try_from(record.queue_offset).unwrap();
        let bodies: Vec<_> = batch::decode(record.body)
            .map(|entry| entry.unwrap().body)
            .collect();
        let within = usize::try_from(offset - base).unwrap();
        assert_eq!(bodies[within], body.as_bytes());
        // A record is given whole, whatever the limit.
        assert_eq!(found.count, bodies.len());
        assert_eq!(found.next.get(), base + bodies.len() as u64);
        assert_eq!(queue.base_of(*offset), base);
    }
    let end = queue.max_offset();
    let status = |at| store.get(&queue, at, limits, |_| true).status;
    assert_eq!(status(end), GetStatus::OffsetOverflowOne);
    assert_eq!(
        status(QueueOffset::new(end.get() + 9)),
        GetStatus::OffsetOverflowBadly
    );
}

#[test]
fn a_single_message_in_a_batch_queue_has_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    fill(&store, 3);
    let queue = store.batch_queue(&TopicName::stored("B"), QueueId::new(0));
    let mut group = store.append_group();
    let alone = draft("B", 0, b"alone", b"TAGS\x01t\x02");
    group.push(&alone, &queue).unwrap();
    store.append(&mut group).unwrap();
    crash(store);
    std::fs::remove_dir_all(dir.path().join("batchconsumequeue")).ok();
    let (store, _) = open(dir.path());
    let queue = store.find_queue("B", QueueId::new(0)).unwrap();
    assert!(queue.is_batch());
    assert_eq!(queue.max_offset().get(), 1 + 2 + 3 + 1);
    let limits = ReadLimits {
        messages: 32,
        bytes: 4096,
    };
    let found = store.get(&queue, QueueOffset::new(6), limits, |_| true);
    let record = Record::parse(found.slices[0].as_ref()).unwrap();
    assert_eq!(record.body, b"alone");
    assert_eq!(record.queue_offset, 6);
    assert_eq!(record.properties.as_bytes(), b"TAGS\x01t\x02");
}

#[test]
fn a_topic_made_again_begins_at_zero() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    fill(&store, 9);
    let old = store.find_queue("B", QueueId::new(0)).unwrap();
    store.delete_topic(&TopicName::stored("B")).unwrap();
    assert!(old.is_gone());
    assert!(!dir.path().join("batchconsumequeue/B").exists());
    let sent = fill(&store, 6);
    crash(store);
    std::fs::remove_dir_all(dir.path().join("batchconsumequeue")).ok();
    let (store, _) = open(dir.path());
    assert_eq!(messages(&store, "B"), sent);
}

#[test]
fn times_find_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_000_000);
    let (store, _) = Store::open(options(dir.path()), clock.clone()).unwrap();
    for record in 0..20 {
        send_batch(
            &store,
            "B",
            0,
            &[format!("{record}a"), format!("{record}b")],
        );
        clock.advance(1000);
    }
    let queue = store.find_queue("B", QueueId::new(0)).unwrap();
    let at = |ms, boundary| store.offset_by_time(&queue, ms, boundary).get();
    for (second, lower, upper) in [(0, 0, 0), (1, 2, 2), (7, 14, 14), (19, 38, 38)] {
        let ms = 1_000_000 + second * 1000;
        assert_eq!(at(ms, Boundary::Lower), lower);
        assert_eq!(at(ms, Boundary::Upper), upper);
    }
    assert_eq!(at(0, Boundary::Lower), 0);
    assert_eq!(at(i64::MAX, Boundary::Lower), 40);
    assert_eq!(at(1_000_500, Boundary::Lower), 2);
    assert_eq!(at(1_000_500, Boundary::Upper), 0);
}

#[test]
fn the_topics_file_tells_where_a_single_message_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    std::fs::create_dir(&config).unwrap();
    let file = r#"{"topicConfigTable":{"B":{"attributes":{"queue.type":"BatchCQ"}},"S":{}}}"#;
    std::fs::write(config.join("topics.json"), file).unwrap();
    let (store, _) = open(dir.path());
    let queue = store.batch_queue(&TopicName::stored("B"), QueueId::new(0));
    let mut group = store.append_group();
    group.push(&draft("B", 0, b"alone", b""), &queue).unwrap();
    store.append(&mut group).unwrap();
    send_batch(&store, "B", 0, &["one".into(), "two".into()]);
    send(&store, "S", 0, "simple");
    crash(store);
    std::fs::remove_dir_all(dir.path().join("batchconsumequeue")).ok();
    let (store, _) = open(dir.path());
    let queue = store.find_queue("B", QueueId::new(0)).unwrap();
    assert!(queue.is_batch());
    assert_eq!(queue.max_offset().get(), 3);
    assert_eq!(bodies(&store, "S", 0), ["simple"]);
}
