//! What recovery makes of a killed store's queues, index and checkpoint is, byte for byte, what the log alone gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::store::checkpoint::Checkpoint;
use crate::store::index::format::{Geometry, HEADER_BYTES};

/// Two files of the index and a half, each longer than what is looked at at a time.
const MESSAGES: usize = 6000;
const GEOMETRY: Geometry = Geometry {
    slots: 5000,
    entries: 10_000,
};

fn large(dir: &Path) -> StoreOptions {
    StoreOptions {
        log_file_bytes: 512 << 10,
        queue_file_bytes: 20 * 700,
        index_slots: GEOMETRY.slots,
        index_entries: GEOMETRY.entries,
        ..options(dir)
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(file, copied).unwrap();
    }
}

/// The bytes of queues, index and checkpoint. Files of the index by number: names tell when they were made.
fn derived(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for file in files_below(&dir.join("consumequeue")) {
        let name = file.strip_prefix(dir).unwrap().display().to_string();
        files.insert(name, std::fs::read(file).unwrap());
    }
    for (number, file) in files_below(&dir.join("index")).into_iter().enumerate() {
        files.insert(format!("index {number}"), std::fs::read(file).unwrap());
    }
    let checkpoint = std::fs::read(dir.join("checkpoint")).unwrap();
    files.insert("checkpoint".into(), checkpoint);
    files
}

/// Opens what a killed process left, stops in order, and tells what is there then.
fn recovered(options: StoreOptions) -> (RecoveryReport, BTreeMap<String, Vec<u8>>) {
    let dir = options.dir.clone();
    let (store, report) = Store::open(options, Clock::System).unwrap();
    store.shutdown().unwrap();
    (report, derived(&dir))
}

#[test]
fn a_recovered_store_is_what_its_log_makes_of_it() {
    let killed = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(large(killed.path()), Clock::System).unwrap();
    let fill = |from: usize, to: usize| {
        for n in from..to {
            send(&store, "T", u32::try_from(n % 3).unwrap(), &format!("m{n}"));
        }
    };
    let newest = || files_below(&killed.path().join("index")).pop().unwrap();
    fill(0, MESSAGES - 600);
    store.shared.checkpoint().unwrap();
    fill(MESSAGES - 600, MESSAGES - 300);
    store.shared.dispatch().unwrap();
    let before = std::fs::read(newest()).unwrap();
    fill(MESSAGES - 300, MESSAGES - 100);
    store.shared.dispatch().unwrap();
    store.shared.write_queues().unwrap();
    let after = std::fs::read(newest()).unwrap();
    fill(MESSAGES - 100, MESSAGES);
    crash(store);

    let anew = tempfile::tempdir().unwrap();
    copy(killed.path(), anew.path());
    let (report, expected) = recovered(StoreOptions {
        rebuild: true,
        ..large(anew.path())
    });
    assert!(report.rebuilt && report.scanned == MESSAGES as u64);
    assert_eq!(files_below(&anew.path().join("index")).len(), 3);

    // The slots are written first, then the entries, then the header; pages may reach the disk in any order.
    let slots = HEADER_BYTES..usize::try_from(GEOMETRY.entry_at(0)).unwrap();
    let entries = slots.end..after.len();
    let some_slots = slots.start..slots.end / 2;
    let header = 0..HEADER_BYTES;
    let mix = |parts: &[&std::ops::Range<usize>]| {
        let mut mixed = before.clone();
        for &part in parts {
            mixed[part.clone()].copy_from_slice(&after[part.clone()]);
        }
        mixed
    };
    let mut noise = after.clone();
    for byte in noise[slots.clone()].iter_mut().step_by(97) {
        *byte ^= 0x55;
    }
    // The last four bytes of an entry are its link.
    let first_link = usize::try_from(GEOMETRY.entry_at(2)).unwrap() - 4;
    for link in noise[first_link..].iter_mut().step_by(20).take(700) {
        *link = 7;
    }
    let left = [
        before.clone(),
        mix(&[&some_slots]),
        mix(&[&slots]),
        mix(&[&slots, &entries]),
        mix(&[&header]),
        after.clone(),
        noise,
    ];
    for (number, left) in left.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        copy(killed.path(), dir.path());
        let newest = files_below(&dir.path().join("index")).pop();
        std::fs::write(newest.unwrap(), left).unwrap();
        let (report, found) = recovered(large(dir.path()));
        assert!(!report.rebuilt && report.scanned == 601, "{report:?}");
        assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
        for (name, bytes) in &found {
            let equal = expected.get(name) == Some(bytes);
            assert!(equal, "{name} of state {number} is another");
        }
    }
}

#[test]
fn much_that_is_appended_moves_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let soon = send(&store, "T", 0, "one").log_offset.get() + 500;
    store.shared.checkpoint_at.store(soon, Ordering::Relaxed);
    let path = store.shared.layout.checkpoint();
    let said = || {
        let bytes = std::fs::read(&path).unwrap_or_default();
        Checkpoint::decode(&bytes).queue_log_offset
    };
    let last = loop {
        let appended = send(&store, "T", 0, "more");
        if appended.log_offset.get() + u64::from(appended.size) >= soon {
            break appended.log_offset.to_wire();
        }
        assert_eq!(said(), 0, "not before it is due");
    };
    let begun = std::time::Instant::now();
    while said() != last {
        assert!(begun.elapsed().as_secs() < 60, "the append woke the keeper");
        std::thread::yield_now();
    }
    let next = store.shared.checkpoint_at.load(Ordering::Relaxed);
    assert_eq!(next, store.appended().get() + flush::CHECKPOINT_BYTES_MAX);
    store.shutdown().unwrap();
}
