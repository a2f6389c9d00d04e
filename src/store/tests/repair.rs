//! Repairs of Apache's damaged stores: afterwards nothing is wrong with them, and nothing that could be read is lost.

use std::collections::BTreeSet;

use super::golden::{Case, unpack};
use super::*;
use crate::message::sysflag;
use crate::store::index::format::Geometry;
use crate::store::log::Item;
use crate::store::repair::{Repair, Repaired, Sizes};
use crate::store::verify::{Finding, verify};

const DAMAGED: &[&str] = &[
    "damage-crc-first-file-abort",
    "damage-crc-middle-abort",
    "damage-crc-middle-clean",
    "damage-garbage-tail-abort",
    "damage-lost-last-file",
    "damage-no-config",
    "damage-no-cq-index-abort",
    "damage-no-cq-index-clean",
    "damage-no-cq-index-no-checkpoint",
    "damage-short-file",
    "damage-torn-tail-abort",
    "damage-torn-tail-clean",
];

fn view(case: &Case) -> View {
    View::open(&case.options.dir).unwrap()
}

fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify(&view(case), &mut |finding| findings.push(finding)).unwrap();
    findings
}

/// Where whole messages lie, and their bodies by topic and queue.
fn readable(case: &Case) -> BTreeSet<(String, i32, i64, Vec<u8>)> {
    let mut walk = view(case).log().unwrap();
    let mut found = BTreeSet::new();
    while let Some(item) = walk.next_item() {
        if let Item::Record(stored) = item {
            let record = stored.record;
            if sysflag::transaction(record.sys_flag) != sysflag::TRANSACTION_ROLLBACK {
                found.insert((
                    record.topic.to_owned(),
                    record.queue_id,
                    record.physical_offset,
                    record.body.to_vec(),
                ));
            }
        }
    }
    found
}

fn repair(case: &Case) -> Result<Repaired, StoreError> {
    let view = view(case);
    let mut sizes = Sizes::of(&view).unwrap();
    sizes.index = Some(Geometry {
        slots: case.options.index_slots,
        entries: case.options.index_entries,
    });
    let repair = Repair {
        sizes,
        ..Repair::default()
    };
    repair.run(&view, &Clock::System)
}

#[test]
fn every_damaged_store_is_made_whole_without_losing_what_could_be_read() {
    for case in DAMAGED {
        let store = unpack(case);
        let before = readable(&store);
        let wrong = findings(&store);
        assert_eq!(wrong.is_empty(), *case == "damage-no-config", "{case}");
        let done = repair(&store).unwrap();
        assert!(done.kept_in.is_dir(), "{case}");
        assert_eq!(findings(&store), [], "{case}");
        assert_eq!(readable(&store), before, "{case}");

        // This broker starts on it as after a clean stop, and hands out every message.
        let (opened, report) = store.open();
        assert!(report.clean, "{case}");
        assert_eq!((report.damaged.len(), report.cut), (0, None), "{case}");
        for (topic, queue) in [("GoldRoll", 0), ("GoldRoll", 1), ("GoldRoll", 2)] {
            let expected: Vec<String> = before
                .iter()
                .filter(|(of, id, ..)| of == topic && *id == queue)
                .map(|(.., body)| String::from_utf8_lossy(body).into_owned())
                .collect();
            assert_eq!(
                bodies(&opened, topic, queue.cast_unsigned()),
                expected,
                "{case}"
            );
        }
        opened.shutdown().unwrap();
    }
}

#[test]
fn a_repair_changes_nothing_in_a_sound_store() {
    for case in ["plain", "rollover", "retry-dlq", "old-files-deleted"] {
        let store = unpack(case);
        let queues = store.files("consumequeue");
        let before = readable(&store);
        repair(&store).unwrap();
        assert_eq!(findings(&store), [], "{case}");
        assert_eq!(readable(&store), before, "{case}");
        let after = store.files("consumequeue");
        for (name, bytes) in queues {
            assert!(after[&name] == bytes, "{case}: {name} differs");
        }
    }
}

#[test]
fn a_store_in_use_is_left_alone() {
    let store = unpack("plain");
    let (opened, _) = store.open();
    let index = store.files("index");
    assert!(matches!(repair(&store), Err(StoreError::InUse { .. })));
    assert_eq!(store.files("index"), index);
    assert!(!store.options.dir.join(".rmq-cut").exists());
    opened.shutdown().unwrap();
}

#[test]
fn a_deleted_topic_stays_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..20 {
        send(&store, "Kept", 0, &format!("k{n}"));
        send(&store, "Gone", 0, &format!("g{n}"));
    }
    store.delete_topic(&TopicName::stored("Gone")).unwrap();
    store.shutdown().unwrap();
    drop(store);
    let view = View::open(dir.path()).unwrap();
    let topics = Some(BTreeSet::from(["Kept".to_owned()]));
    let look = crate::store::verify::Verify {
        topics: topics.clone(),
        ..Default::default()
    };
    let count = || {
        let mut found = 0;
        let looked = look
            .run(&view, &mut |event| {
                found += u32::from(matches!(event, crate::store::verify::Event::Found(_)));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        (found, looked.of_deleted_topics)
    };
    assert_eq!(count(), (0, 20));
    let repair = Repair {
        sizes: Sizes::of(&view).unwrap(),
        topics,
        ..Repair::default()
    };
    repair.run(&view, &Clock::System).unwrap();
    assert_eq!(count(), (0, 20));
    assert_eq!(view.queues().unwrap(), [("Kept".to_owned(), 0)]);
}
