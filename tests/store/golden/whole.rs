//! Judging whole stores: nothing is found in sound ones, and the damage that was done in the others.

use std::path::Path;

use proptest::prelude::*;
use rmq::store::verify::{Finding, verify};
use rmq::store::view::{IndexView, QueueView};
use rmq::store::{LogOffset, View};

use super::{Golden, each_store, inventory};

fn findings(dir: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify(&View::open(dir).unwrap(), &mut |finding| {
        findings.push(finding);
    })
    .unwrap();
    findings
}

#[test]
fn sound_stores_have_no_findings() {
    each_store(|golden| {
        if golden.case.starts_with("damage-") && golden.case != "damage-base" {
            return;
        }
        let found = findings(&golden.dir());
        assert_eq!(found, [], "{}", golden.case);
    });
}

#[test]
fn everything_is_looked_at() {
    let golden = Golden::unpack("rollover");
    let looked = verify(&View::open(golden.dir()).unwrap(), &mut |finding| {
        panic!("{finding}")
    })
    .unwrap();
    assert_eq!(looked.records, golden.manifest["messageCount"]);
    assert_eq!(looked.queue_entries, looked.records);
    assert!(looked.index_entries > looked.records);
}

#[test]
fn damage_is_found_where_it_was_done() {
    let found = findings(&Golden::unpack("damage-crc-middle-clean").dir());
    let at = LogOffset::new(99545);
    assert!(
        found
            .iter()
            .any(|f| matches!(f, Finding::Log { at: found, .. } if *found == at))
    );
    let entries = |f: &&Finding| matches!(f, Finding::QueueEntry { .. });
    assert_eq!(found.iter().filter(entries).count(), 1);

    let found = findings(&Golden::unpack("damage-lost-last-file").dir());
    assert_eq!(found.iter().filter(entries).count(), 59);

    let found = findings(&Golden::unpack("damage-no-cq-index-clean").dir());
    let unqueued = |f: &&Finding| matches!(f, Finding::NotQueued { .. });
    assert_eq!(found.iter().filter(unqueued).count(), 119);
    assert!(found.contains(&Finding::NoIndex { records: 119 }));

    let store = Golden::unpack("damage-base");
    let index = store.dir().join("index");
    let first = std::fs::read_dir(&index)
        .unwrap()
        .map(|f| f.unwrap().path());
    std::fs::remove_file(first.min().unwrap()).unwrap();
    let unfiled = |f: &&Finding| matches!(f, Finding::NotFiled { .. });
    let found = findings(&store.dir());
    assert!(found.iter().filter(unfiled).count() > 10);
    assert_eq!(found.iter().filter(unfiled).count(), found.len());
}

/// Reads whatever there is, in every way there is.
fn read_all(dir: &Path) {
    let Ok(view) = View::open(dir) else { return };
    let mut walk = view.log().unwrap().behind_end(true);
    while walk.next_item().is_some() {}
    for (topic, queue_id) in view.queues().unwrap() {
        let mut queue: QueueView = view.queue(&topic, queue_id).unwrap();
        while queue.next_entry().is_some() {}
    }
    for path in view.index_files().unwrap() {
        let mut index = IndexView::open(&path).unwrap();
        for number in 0..200 {
            index.entry(number).unwrap();
        }
    }
    view.checkpoint().unwrap();
    let mut timer = view.timer().unwrap();
    timer.walk(|_, _| {}).unwrap();
    let mut slots = Vec::new();
    timer.slots(|slot, _| slots.push(slot)).unwrap();
    for slot in slots {
        timer.list(&slot, 1000).unwrap();
    }
    verify(&view, &mut |_| ()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever bytes the files hold and wherever they end, reading ends, without a panic.
    #[test]
    fn any_bytes_in_any_file_are_read_to_the_end(
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..40)),
            1..30,
        ),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let golden = Golden::unpack("damage-base");
        let dir = golden.dir();
        let files: Vec<_> = inventory(&dir)
            .into_iter()
            .filter(|(name, len, _)| *len > 0 && !name.starts_with("config"))
            .map(|(name, ..)| dir.join(name))
            .collect();
        for (file, at, new) in damages {
            let path = &files[file.index(files.len())];
            let mut bytes = std::fs::read(path).unwrap();
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + new.len());
            bytes[at..end].copy_from_slice(&new[..end - at]);
            std::fs::write(path, bytes).unwrap();
        }
        if let Some((file, at)) = cut {
            let path = &files[file.index(files.len())];
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(at.index(bytes.len()));
            std::fs::write(path, bytes).unwrap();
        }
        read_all(&dir);
    }
}
