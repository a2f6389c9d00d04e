//! Records whose queue offset is damaged, queues with lost places, and topics deleted while messages arrive.

use super::crash::overwrite;
use super::*;
use crate::message::record::QUEUE_OFFSET_AT;

fn forget_queues(dir: &Path) {
    // Absent when nothing was written out yet.
    let _ = std::fs::remove_dir_all(dir.join("consumequeue"));
    std::fs::write(dir.join("abort"), "1").unwrap();
}

/// Fills two queues, gives one record in the middle another queue offset, and lets recovery make the queues again.
fn with_damaged_offset(damage: i64) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut hit = None;
    for (n, body) in numbered(300).iter().enumerate() {
        let appended = send(&store, "T", 0, body);
        send(&store, "U", 1, body);
        if n == 150 {
            hit = Some(appended);
        }
    }
    crash(store);
    let at = hit.unwrap().log_offset.get() + QUEUE_OFFSET_AT as u64;
    overwrite(dir.path(), at, &damage.to_be_bytes());
    forget_queues(dir.path());

    let (store, report) = open(dir.path());
    assert!(report.rebuilt);
    let mut expected = numbered(300);
    assert_eq!(bodies(&store, "U", 1), expected);
    expected.remove(150);
    let mut found = bodies(&store, "T", 0);
    found.retain(|body| body != "m150");
    assert!(found == expected, "damage {damage}: {} left", found.len());
    let next = send(&store, "T", 0, "more").queue_offset;
    assert_eq!(next, QueueOffset::new(300), "damage {damage}");
    let size = std::fs::read_dir(dir.path().join("consumequeue/T/0"));
    assert!(size.unwrap().count() < 30);
    store.shutdown().unwrap();
    drop(store);
    let (store, report) = open(dir.path());
    assert!(report.clean && !report.rebuilt);
    assert_eq!(bodies(&store, "T", 0).last().unwrap(), "more");
}

#[test]
fn a_damaged_queue_offset_costs_no_other_message() {
    for damage in [0, 1, 3, 149, 151, 160, 200, 250, 299, 5_000, 1 << 40, -1] {
        with_damaged_offset(damage);
    }
}

#[test]
fn queues_with_many_lost_places_survive_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut places = Vec::new();
    for body in numbered(60) {
        places.push(send(&store, "T", 0, &body));
    }
    // Another queue has the newest entry, so that the walk of the next start says nothing about this one.
    send(&store, "U", 1, "last");
    crash(store);
    let (from, to) = (places[20].log_offset.get(), places[40].log_offset.get());
    overwrite(
        dir.path(),
        from,
        &vec![0xEE; usize::try_from(to - from).unwrap()],
    );
    let mut expected = numbered(60);
    expected.drain(20..40);
    for _ in 0..3 {
        let (store, _) = open(dir.path());
        assert_eq!(bodies(&store, "T", 0), expected);
        assert_eq!(bodies(&store, "U", 1), ["last"]);
        store.shutdown().unwrap();
    }
}

#[test]
fn messages_for_a_topic_deleted_meanwhile_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let topic = TopicName::stored("T");
    send(&store, "T", 0, "old");
    let held = store.queue(&topic, QueueId::new(0));
    store.delete_topic(&topic).unwrap();
    // A connection that looked the queue up before the deletion.
    let mut group = store.append_group();
    group.push(&draft("T", 0, b"new", b""), &held).unwrap();
    store.append(&mut group).unwrap();
    assert_eq!(group.appended(0).unwrap().queue_offset, QueueOffset::ZERO);
    assert_eq!(bodies(&store, "T", 0), ["new"]);
    held.write_out().unwrap();
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "T", 0), ["new"]);
}

#[test]
fn topics_can_be_deleted_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let topic = TopicName::stored("T");
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..500 {
                    send(store, "T", writer, &format!("m{n}"));
                }
            });
        }
        for _ in 0..50 {
            store.delete_topic(&topic).unwrap();
            store.shared.write_queues().unwrap();
        }
    });
    store.delete_topic(&topic).unwrap();
    for body in numbered(100) {
        send(&store, "T", 0, &body);
    }
    assert_eq!(bodies(&store, "T", 0), numbered(100));
    crash(store);
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "T", 0), numbered(100));
}

#[test]
fn a_store_without_messages_leaves_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.shutdown().unwrap();
    let bytes = std::fs::read(dir.path().join("checkpoint")).unwrap();
    assert_eq!(bytes, [0; checkpoint::CHECKPOINT_BYTES]);
}

#[test]
fn a_record_too_long_for_a_file_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let queue = store.queue(&TopicName::stored("T"), QueueId::new(0));
    let mut group = store.append_group();
    group.push(&draft("T", 0, b"first", b""), &queue).unwrap();
    let long = vec![b'x'; 17 * 1024];
    assert!(group.push(&draft("T", 0, &long, b""), &queue).is_err());
    group.push(&draft("T", 0, b"second", b""), &queue).unwrap();
    group.push(&draft("T", 0, b"third", b""), &queue).unwrap();
    group.truncate(2);
    store.append(&mut group).unwrap();
    assert_eq!(bodies(&store, "T", 0), ["first", "second"]);
}
