//! Directories of real Apache brokers (`tests/store/golden`), undamaged and damaged, opened for writing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;

use super::*;

/// A golden store, unpacked.
pub(super) struct Case {
    pub(super) dir: tempfile::TempDir,
    pub(super) options: StoreOptions,
}

pub(super) fn unpack(case: &str) -> Case {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/store/golden")
        .join(case);
    let dir = tempfile::tempdir().unwrap();
    let archive = GzDecoder::new(File::open(from.join("store.tar.gz")).unwrap());
    tar::Archive::new(archive).unpack(dir.path()).unwrap();
    let mut text = String::new();
    match File::open(from.join("MANIFEST.json.gz")) {
        Ok(file) => GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        Err(_) => File::open(from.join("MANIFEST.json"))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap(),
    };
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let conf = &manifest["meta"]["brokerConf"];
    let number = |key: &str, default: u64| {
        conf[key]
            .as_str()
            .map_or(default, |text| text.parse().unwrap())
    };
    let levels = conf["messageDelayLevel"].as_str().map(|levels| {
        let level = |text: &str| {
            crate::base::units::parse_duration(text)
                .unwrap()
                .as_millis()
        };
        levels
            .split(' ')
            .map(|text| i64::try_from(level(text)).unwrap())
            .collect()
    });
    let defaults = options(&dir.path().join("store"));
    let options = StoreOptions {
        delay_levels_ms: levels.unwrap_or_else(|| defaults.delay_levels_ms.clone()),
        log_file_bytes: number("mappedFileSizeCommitLog", 1 << 30),
        queue_file_bytes: number("mappedFileSizeConsumeQueue", 6_000_000),
        light_queues: conf["enableLmq"] == "true",
        multi_dispatch: conf["enableMultiDispatch"] == "true",
        batch_queue_file_bytes: number("mapperFileSizeBatchConsumeQueue", 13_800_000),
        index_slots: u32::try_from(number("maxHashSlotNum", 5_000_000)).unwrap(),
        index_entries: u32::try_from(number("maxIndexNum", 20_000_000)).unwrap(),
        retention_interval: Duration::from_hours(1),
        ..defaults
    };
    Case { dir, options }
}

impl Case {
    pub(super) fn open(&self) -> (Arc<Store>, RecoveryReport) {
        Store::open(self.options.clone(), Clock::System).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("store").join(name)
    }

    /// The files below a directory, by relative name.
    pub(super) fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(name), "", &mut files);
        files
    }

    /// The index files in order, whatever their names.
    fn index(&self) -> Vec<Vec<u8>> {
        self.files("index").into_values().collect()
    }
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}/{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &name, files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// Files without those that hold nothing yet, which a broker may have made ahead of need.
fn written(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files
        .into_iter()
        .filter(|(_, bytes)| bytes.iter().any(|&byte| byte != 0))
        .collect()
}

#[track_caller]
fn assert_same(what: &str, ours: &BTreeMap<String, Vec<u8>>, theirs: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>(),
        "{what}"
    );
    for (name, bytes) in ours {
        assert!(bytes == &theirs[name], "{what}: {name} differs");
    }
}

const UNDAMAGED: [&str; 22] = [
    "append-prop-crc",
    "batch",
    "big",
    "compaction",
    "compressed",
    "cq-ext-bitmap",
    "damage-base",
    "delay",
    "ipv6",
    "lmq-multidispatch",
    "long-topic-v2",
    "old-files-deleted",
    "ordered",
    "plain",
    "pop",
    "retry-dlq",
    "rollover",
    "slave-master",
    "static-topic",
    "sync-flush",
    "timer",
    "tx",
];

const DIRECTORIES: [&str; 4] = ["commitlog", "consumequeue", "batchconsumequeue", "index"];

#[test]
fn undamaged_stores_open_and_stay_as_they_are() {
    for case in UNDAMAGED {
        let store = unpack(case);
        let before = DIRECTORIES.map(|dir| written(store.files(dir)));
        let (opened, report) = store.open();
        assert!(
            report.clean && !report.rebuilt && report.cut.is_none(),
            "{case}: {report:?}"
        );
        opened.shutdown().unwrap();
        let after = DIRECTORIES.map(|dir| written(store.files(dir)));
        for (before, after) in before.iter().zip(&after) {
            assert_same(case, after, before);
        }
    }
}

#[test]
fn lost_queues_and_index_are_made_again_byte_for_byte() {
    for case in UNDAMAGED {
        // Addresses in consumequeue_ext cannot be told from the log, and entries of deleted records are gone.
        if matches!(case, "cq-ext-bitmap" | "old-files-deleted") {
            continue;
        }
        let store = unpack(case);
        let (queues, index) = (written(store.files("consumequeue")), store.index());
        let batch_queues = written(store.files("batchconsumequeue"));
        for dir in ["consumequeue", "batchconsumequeue", "index"] {
            let _ = std::fs::remove_dir_all(store.path(dir));
        }
        std::fs::write(store.path("abort"), "1").unwrap();
        let (opened, report) = store.open();
        assert!(report.rebuilt, "{case}: {report:?}");
        opened.shutdown().unwrap();
        assert_same(case, &written(store.files("consumequeue")), &queues);
        assert_same(
            case,
            &written(store.files("batchconsumequeue")),
            &batch_queues,
        );
        assert!(store.index() == index, "{case}: index differs");
    }
}

#[test]
fn old_queue_offsets_survive_a_rebuild() {
    let store = unpack("old-files-deleted");
    std::fs::remove_dir_all(store.path("consumequeue")).unwrap();
    let (opened, _) = store.open();
    let bounds = |queue: u32| {
        let queue = opened.find_queue("GoldRoll", QueueId::new(queue)).unwrap();
        (queue.min_offset().get(), queue.max_offset().get())
    };
    assert_eq!(
        [bounds(0), bounds(1), bounds(2)],
        [(42, 100), (41, 100), (41, 100)]
    );
}

/// The queues' bounds and the whole index of the unharmed store the damaged ones were made from.
fn base() -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
    let base = unpack("damage-base");
    (written(base.files("consumequeue")), base.index())
}

/// What Apache loses or doubles in these is in the table of the golden data's README; here nothing is.
#[test]
fn crashes_without_damage_lose_and_double_nothing() {
    let (queues, index) = base();
    for case in [
        "damage-no-config",
        "damage-no-cq-index-abort",
        "damage-no-cq-index-clean",
        "damage-no-cq-index-no-checkpoint",
        "damage-garbage-tail-abort",
    ] {
        let store = unpack(case);
        let (opened, report) = store.open();
        assert_eq!(report.log_end, 125_424, "{case}");
        assert_eq!(
            report.cut.is_some(),
            case.contains("garbage"),
            "{case}: {report:?}"
        );
        opened.shutdown().unwrap();
        assert_same(case, &written(store.files("consumequeue")), &queues);
        assert!(store.index() == index, "{case}: index differs");
    }
}

#[test]
fn a_torn_tail_is_cut_and_kept_beside_the_store() {
    for (case, cut) in [
        ("damage-torn-tail-abort", true),
        ("damage-torn-tail-clean", true),
        ("damage-short-file", true),
    ] {
        let store = unpack(case);
        let (opened, report) = store.open();
        assert_eq!(report.log_end, 125_105, "{case}");
        assert_eq!(report.cut.is_some(), cut, "{case}");
        assert_eq!(store.files(".rmq-cut").len(), 1, "{case}");
        let max = |queue| {
            opened
                .find_queue("GoldTorn", QueueId::new(queue))
                .unwrap()
                .max_offset()
                .get()
        };
        assert_eq!((max(0), max(1)), (4, 4), "{case}");
        assert_eq!(bodies(&opened, "GoldRoll", 0).len(), 37, "{case}");
        send(&opened, "GoldTorn", 0, "after");
        assert_eq!(bodies(&opened, "GoldTorn", 0).last().unwrap(), "after");
        crash(opened);
        let (opened, report) = store.open();
        assert_eq!((report.cut, report.damaged.len()), (None, 0), "{case}");
        assert_eq!(bodies(&opened, "GoldTorn", 0).last().unwrap(), "after");
    }
}

#[test]
fn messages_behind_a_damaged_one_are_kept() {
    let store = unpack("damage-crc-middle-abort");
    let (opened, report) = store.open();
    // Apache cuts at 99545 and loses 24 messages; here one is lost.
    assert_eq!(report.log_end, 125_424);
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].0, 99_545);
    let count = |topic, queue| bodies(&opened, topic, queue).len();
    let roll = count("GoldRoll", 0) + count("GoldRoll", 1) + count("GoldRoll", 2);
    assert_eq!(
        (roll, count("GoldTorn", 0), count("GoldTorn", 1)),
        (109, 5, 4)
    );
    assert_eq!(store.files(".rmq-cut").len(), 1);
    opened.shutdown().unwrap();
    drop(opened);
    // The place of the damage is mended: another recovery finds nothing wrong.
    std::fs::write(store.path("abort"), "1").unwrap();
    let (opened, report) = store.open();
    assert_eq!((report.damaged.len(), report.log_end), (0, 125_424));
    assert_eq!(bodies(&opened, "GoldTorn", 0).len(), 5);
}

#[test]
fn damage_before_what_is_looked_at_stays_as_it_is() {
    // As Apache: neither has a reason to read these records when it starts.
    for case in ["damage-crc-first-file-abort", "damage-crc-middle-clean"] {
        let store = unpack(case);
        let (_, report) = store.open();
        assert_eq!(
            (report.log_end, report.damaged.len()),
            (125_424, 0),
            "{case}"
        );
    }
    // Without queues everything is read, and the damaged record alone is lost.
    let store = unpack("damage-crc-first-file-abort");
    std::fs::remove_dir_all(store.path("consumequeue")).unwrap();
    let (opened, report) = store.open();
    assert_eq!((report.log_end, report.damaged.len()), (125_424, 1));
    let count = |queue| bodies(&opened, "GoldRoll", queue).len();
    assert_eq!(count(0) + count(1) + count(2), 109);
}

#[test]
fn a_lost_last_file_takes_its_entries_along() {
    let store = unpack("damage-lost-last-file");
    let (opened, report) = store.open();
    assert_eq!(report.log_end, 65_536);
    let max = |topic, queue| {
        opened
            .find_queue(topic, QueueId::new(queue))
            .map(|queue| queue.max_offset().get())
    };
    assert_eq!(
        [max("GoldRoll", 0), max("GoldRoll", 1), max("GoldRoll", 2)],
        [Some(20); 3]
    );
    assert_eq!(max("GoldTorn", 0), Some(0));
    assert_eq!(bodies(&opened, "GoldRoll", 2).len(), 20);
    send(&opened, "GoldRoll", 2, "after");
    assert_eq!(bodies(&opened, "GoldRoll", 2).len(), 21);
}

#[test]
fn a_killed_broker_lost_nothing() {
    let store = unpack("sigkill");
    let before = written(store.files("consumequeue"));
    let (opened, report) = store.open();
    assert_eq!((report.clean, report.log_end), (false, 101_329));
    opened.shutdown().unwrap();
    assert_same("sigkill", &written(store.files("consumequeue")), &before);
    // Apache doubles three entries here.
    let entries: u32 = store
        .index()
        .iter()
        .map(|file| u32::from_be_bytes(file[36..40].try_into().unwrap()) - 1)
        .sum();
    assert_eq!(entries, 375);
}
