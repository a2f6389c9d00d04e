//! Stops at random points, damage at random places: what is undamaged survives, and nothing panics.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::store::checkpoint::Checkpoint;
use crate::store::layout::segments;
use crate::sys::platform;

/// What was appended: body, queue, place in the log.
type Model = Vec<(String, u32, Appended)>;

fn fill(store: &Store, model: &mut Model, sizes: &[u16]) {
    for &size in sizes {
        let queue = u32::from(size % 3);
        let body = format!("{}-{}", model.len(), "x".repeat(usize::from(size)));
        let appended = send(store, "T", queue, &body);
        model.push((body, queue, appended));
    }
}

fn by_queue(model: &Model, alive: impl Fn(&Appended) -> bool) -> BTreeMap<u32, Vec<String>> {
    let mut queues = BTreeMap::new();
    for (body, queue, appended) in model {
        if alive(appended) {
            queues
                .entry(*queue)
                .or_insert_with(Vec::new)
                .push(body.clone());
        }
    }
    queues
}

fn assert_holds(store: &Store, expected: &BTreeMap<u32, Vec<String>>) {
    for queue in 0..3 {
        let ours = bodies(store, "T", queue);
        let theirs = expected.get(&queue).cloned().unwrap_or_default();
        assert_eq!(ours, theirs, "queue {queue}");
    }
}

fn assert_found_once(store: &Store, model: &Model, alive: impl Fn(&Appended) -> bool) {
    for (body, _, appended) in model {
        let found = store
            .query("T", &format!("u-{body}"), 10, 0, i64::MAX)
            .slices;
        assert_eq!(
            found.len(),
            usize::from(alive(appended)),
            "{}",
            &body[..8.min(body.len())]
        );
    }
}

fn log_files(dir: &Path) -> Vec<PathBuf> {
    segments(&dir.join("commitlog"))
        .unwrap()
        .into_iter()
        .map(|file| file.path)
        .collect()
}

/// Overwrites bytes at a position of the log.
pub(super) fn overwrite(dir: &Path, position: u64, bytes: &[u8]) {
    let files = segments(&dir.join("commitlog")).unwrap();
    for (index, byte) in bytes.iter().enumerate() {
        let at = position + index as u64;
        let file = files
            .iter()
            .find(|file| (file.base..file.end()).contains(&at));
        if let Some(file) = file {
            let open = OpenOptions::new().write(true).open(&file.path).unwrap();
            platform::write_all_at(&open, &[*byte], at - file.base).unwrap();
        }
    }
}

#[test]
fn a_start_after_a_crash_reads_only_what_the_checkpoint_does_not_cover() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut model = Model::new();
    fill(&store, &mut model, &[500; 90]);
    store.shared.checkpoint().unwrap();
    fill(&store, &mut model, &[500; 20]);
    crash(store);
    let (store, report) = open(dir.path());
    assert!(!report.clean && !report.rebuilt, "{report:?}");
    assert_eq!(
        report.scanned,
        1 + 20,
        "the last record before it, and what follows"
    );
    assert_holds(&store, &by_queue(&model, |_| true));
    assert_found_once(&store, &model, |_| true);
    store.shutdown().unwrap();
}

#[test]
fn a_crash_after_a_topic_was_deleted_brings_nothing_of_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    send(&store, "Kept", 0, "one");
    send(&store, "Gone", 0, "one");
    store.shared.checkpoint().unwrap();
    // Recovery reads these again, and would miss the first one's place.
    send(&store, "Gone", 0, "two");
    let last = send(&store, "Kept", 0, "two").log_offset.to_wire();
    store.delete_topic(&TopicName::stored("Gone")).unwrap();
    let path = store.shared.layout.checkpoint();
    let begun = std::time::Instant::now();
    while Checkpoint::decode(&std::fs::read(&path).unwrap()).queue_log_offset != last {
        assert!(begun.elapsed().as_secs() < 60, "the checkpoint moves soon");
        std::thread::yield_now();
    }
    crash(store);
    let (store, report) = open(dir.path());
    assert!(!report.clean && !report.rebuilt, "{report:?}");
    assert!(store.find_queue("Gone", QueueId::new(0)).is_none());
    assert_eq!(bodies(&store, "Kept", 0), ["one", "two"]);
    store.shutdown().unwrap();
}

#[test]
fn a_checkpoint_of_another_broker_names_a_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut model = Model::new();
    fill(&store, &mut model, &[500; 8]);
    store.shared.checkpoint().unwrap();
    let path = store.shared.layout.checkpoint();
    crash(store);
    let mut checkpoint = Checkpoint::decode(&std::fs::read(&path).unwrap());
    checkpoint.confirm_offset = 0;
    std::fs::write(&path, checkpoint.encode()).unwrap();
    let (store, report) = open(dir.path());
    assert_eq!(report.scanned, 8, "from the start of the file");
    assert_holds(&store, &by_queue(&model, |_| true));
    store.shutdown().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any number of crashes and stops in between, with the derived files partly written, partly lost.
    #[test]
    fn nothing_acknowledged_is_lost_or_doubled(
        rounds in prop::collection::vec((prop::collection::vec(0_u16..1500, 0..40), 0_u8..6), 1..6)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        for (sizes, how) in rounds {
            let (store, report) = open(dir.path());
            prop_assert_eq!(&report.damaged, &[]);
            prop_assert_eq!(report.cut, None);
            assert_holds(&store, &by_queue(&model, |_| true));
            fill(&store, &mut model, &sizes);
            match how {
                0 => store.shutdown().unwrap(),
                1 => store.shared.checkpoint().unwrap(),
                2 => store.shared.write_queues().unwrap(),
                3 => store.shared.dispatch().unwrap(),
                _ => {}
            }
            crash(store);
            if how == 4 {
                let _ = std::fs::remove_dir_all(dir.path().join("consumequeue"));
            }
            if how == 5 {
                let _ = std::fs::remove_dir_all(dir.path().join("index"));
            }
        }
        let (store, _) = open(dir.path());
        assert_holds(&store, &by_queue(&model, |_| true));
        assert_found_once(&store, &model, |_| true);
    }

    /// Damage to one record, wherever in it: all others survive, also those behind it, and stay after further starts.
    #[test]
    fn a_damaged_record_is_lost_alone(
        sizes in prop::collection::vec(0_u16..1500, 5..60),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 1_usize..100,
        seed in any::<u8>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        let (store, _) = open(dir.path());
        fill(&store, &mut model, &sizes);
        crash(store);
        let hit = which.get(&model).2;
        let size = hit.size as usize;
        let from = at.index(size);
        let until = (from + length).min(size);
        // Headers are not covered by the checksum: hit the lengths, the magic, the place or the body. Elsewhere a
        // changed byte is a record with another property, which nobody can tell.
        let from = if from < 8 || (28..36).contains(&from) { from } else { 0 };
        let noise: Vec<u8> = (from..until).map(|i| seed.wrapping_add(i.to_le_bytes()[0]) | 0x80).collect();
        overwrite(dir.path(), hit.log_offset.get() + from as u64, &noise);
        let alive = |appended: &Appended| appended.log_offset != hit.log_offset;
        for _ in 0..3 {
            let (store, _) = open(dir.path());
            assert_holds(&store, &by_queue(&model, alive));
            assert_found_once(&store, &model, alive);
            crash(store);
        }
        prop_assert!(dir.path().join(".rmq-cut").exists());
    }

    /// Damage to several records, one crash after the other.
    #[test]
    fn damaged_records_are_lost_alone(
        sizes in prop::collection::vec(0_u16..1500, 5..60),
        hits in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        more in prop::collection::vec(0_u16..1500, 0..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        let (store, _) = open(dir.path());
        fill(&store, &mut model, &sizes);
        crash(store);
        let mut lost = Vec::new();
        for hit in hits {
            let hit = hit.get(&model).2;
            // Not the newest of all: cutting it gives its queue offset to the next message, as it should.
            if hit.log_offset == model.last().unwrap().2.log_offset {
                continue;
            }
            lost.push(hit.log_offset);
            overwrite(dir.path(), hit.log_offset.get() + 28, &[0xFF; 60]);
            let alive = |appended: &Appended| !lost.contains(&appended.log_offset);
            let (store, _) = open(dir.path());
            assert_holds(&store, &by_queue(&model, alive));
            crash(store);
        }
        let (store, _) = open(dir.path());
        fill(&store, &mut model, &more);
        store.shutdown().unwrap();
        drop(store);
        let _ = std::fs::remove_dir_all(dir.path().join("consumequeue"));
        let alive = |appended: &Appended| !lost.contains(&appended.log_offset);
        let (store, _) = open(dir.path());
        assert_holds(&store, &by_queue(&model, alive));
        assert_found_once(&store, &model, alive);
    }

    /// Any bytes anywhere: no panic, and the store takes messages afterwards.
    #[test]
    fn garbage_never_panics(
        sizes in prop::collection::vec(0_u16..1500, 0..40),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<[u8; 16]>()), 1..8),
        keep_abort in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        fill(&store, &mut Model::new(), &sizes);
        store.shutdown().unwrap();
        drop(store);
        if keep_abort {
            std::fs::write(dir.path().join("abort"), "x").unwrap();
        }
        let mut files = log_files(dir.path());
        files.push(dir.path().join("checkpoint"));
        for derived in ["consumequeue/T/0", "consumequeue/T/1", "consumequeue/T/2", "index"] {
            let entries = std::fs::read_dir(dir.path().join(derived));
            files.extend(entries.into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        files.retain(|file| file.exists());
        for (file, at, bytes) in hits {
            let file = OpenOptions::new().write(true).open(file.get(&files)).unwrap();
            let len = file.metadata().unwrap().len();
            platform::write_all_at(&file, &bytes, at.index(usize::try_from(len).unwrap()) as u64 / 2).unwrap();
            file.set_len(len).unwrap();
        }
        let (store, _) = open(dir.path());
        read_all(&store);
        send(&store, "New", 0, "after");
        crash(store);
        let (store, _) = open(dir.path());
        prop_assert_eq!(bodies(&store, "New", 0), ["after".to_owned()]);
        read_all(&store);
    }
}

/// Reads every queue to its end, whatever there is.
fn read_all(store: &Store) {
    let limits = ReadLimits {
        messages: 10,
        bytes: 1 << 20,
    };
    for queue in store.queues() {
        let mut at = queue.min_offset();
        while at < queue.max_offset() {
            let found = store.get(&queue, at, limits, |_| true);
            assert!(found.next > at);
            at = found.next;
        }
        store.offset_by_time(&queue, 5, Boundary::Lower);
    }
    store.query("T", "common", 1000, 0, i64::MAX);
}
