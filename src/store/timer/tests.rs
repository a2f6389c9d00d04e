//! The files as a whole: kept over a restart, mended after a crash, and those of a real Apache broker.

use flate2::read::GzDecoder;

use super::*;

const FILE_BYTES: u64 = 2080;

fn waiting(slot_ms: i64, log_offset: i64) -> Waiting {
    Waiting {
        slot_ms,
        written_ms: 1_000_000,
        kind: 0,
        log_offset,
        size: 10,
        topic_hash: 7,
    }
}

fn open(dir: &Path) -> (TimerFiles, Opened) {
    TimerFiles::open(dir, 1000, FILE_BYTES).unwrap()
}

fn offsets(files: &mut TimerFiles, slot_ms: i64) -> Vec<i64> {
    let due = files.slot(slot_ms).unwrap();
    due.iter().map(|due| due.log_offset).collect()
}

fn save(files: &mut TimerFiles) {
    files.sync().unwrap();
    let check = Check {
        read_ms: files.read_ms(),
        flushed: files.flushed(),
        ..files.check()
    };
    files.write_check(check, true).unwrap();
}

#[test]
fn messages_are_kept_by_time_over_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, opened) = open(dir.path());
    assert!(opened.anew && opened.last.is_none());
    save(&mut files);
    for number in 0..100 {
        files
            .add(&waiting(1_002_000 + number % 3 * 1000, number))
            .unwrap();
    }
    files.commit().unwrap();
    assert_eq!(
        (files.waiting(), files.next_slot_ms()),
        (100, Some(1_002_000))
    );
    drop(files);

    let (mut files, opened) = open(dir.path());
    assert!(!opened.anew);
    assert_eq!(opened.last.unwrap().log_offset, 99);
    assert_eq!(files.waiting(), 100);
    assert_eq!(
        offsets(&mut files, 1_002_000),
        (0..34).map(|n| n * 3).collect::<Vec<_>>()
    );
    files.done(1_002_000).unwrap();
    assert_eq!(
        (files.waiting(), files.next_slot_ms()),
        (66, Some(1_003_000))
    );
    files.pass(1_003_500);
    assert_eq!(files.read_ms(), 1_003_000, "nothing that waits is passed");
    save(&mut files);
    drop(files);

    let (mut files, _) = open(dir.path());
    assert_eq!(
        (files.waiting(), files.next_slot_ms()),
        (66, Some(1_003_000))
    );
    files.remove_old(50).unwrap();
    assert_eq!(files.log.start(), FILE_BYTES);
}

#[test]
fn a_wheel_that_is_behind_or_gone_is_made_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, _) = open(dir.path());
    save(&mut files);
    for number in 0..90 {
        files
            .add(&waiting(1_002_000 + number / 50 * 1000, number))
            .unwrap();
    }
    // The units are written, the slots are not.
    files.log.write_out().unwrap();
    drop(files);
    let (mut files, _) = open(dir.path());
    assert_eq!(offsets(&mut files, 1_002_000).len(), 50);
    assert_eq!(offsets(&mut files, 1_003_000).len(), 40);
    drop(files);
    std::fs::remove_file(dir.path().join("timerwheel")).unwrap();
    let (mut files, opened) = open(dir.path());
    assert!(!opened.anew);
    assert_eq!(
        (files.waiting(), offsets(&mut files, 1_002_000).len()),
        (90, 50)
    );
}

#[test]
fn a_log_that_lost_its_end_leaves_whole_lists() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, _) = open(dir.path());
    files.add(&waiting(1_002_000, 0)).unwrap();
    save(&mut files);
    for number in 1..10 {
        files.add(&waiting(1_002_000, number)).unwrap();
    }
    files.commit().unwrap();
    drop(files);
    let log = dir.path().join("timerlog").join("00000000000000000000");
    let file = platform::open_write(&log).unwrap();
    platform::write_all_at(&file, &[0; 52], 52 * 6).unwrap();
    let (mut files, opened) = open(dir.path());
    assert_eq!(opened.last.unwrap().log_offset, 5);
    assert_eq!(offsets(&mut files, 1_002_000), [0, 1, 2, 3, 4, 5]);
    save(&mut files);
    drop(files);
    std::fs::remove_file(&log).unwrap();
    let (files, opened) = open(dir.path());
    assert!(opened.anew, "what was on the disk is gone");
    assert_eq!((files.waiting(), files.next_slot_ms()), (0, None));
}

#[test]
fn the_files_of_an_apache_broker_carry_on() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/golden/timer");
    let dir = tempfile::tempdir().unwrap();
    let archive = GzDecoder::new(std::fs::File::open(from.join("store.tar.gz")).unwrap());
    tar::Archive::new(archive).unpack(dir.path()).unwrap();
    let store = dir.path().join("store");
    let text = std::fs::read(from.join("MANIFEST.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let number = |value: &serde_json::Value| value.as_i64().unwrap();
    let timer = &manifest["timer"];

    // Every recorded structure is read, and written back to the same bytes.
    let log = std::fs::read(store.join("timerlog/00000000000000000000")).unwrap();
    for unit in timer["timerlog"][0]["units"].as_array().unwrap() {
        let at = usize::try_from(number(&unit["pos"])).unwrap();
        let read = Unit::decode(&log[at..]).unwrap();
        assert_eq!(read.encode(), log[at..at + 52]);
        let ours = [
            read.previous,
            read.kind.into(),
            read.written_ms,
            read.delay_ms.into(),
        ];
        let theirs = ["prevPos", "magic", "writeTime", "delayedTime"].map(|key| number(&unit[key]));
        assert_eq!(ours, theirs);
        let ours = [read.log_offset, read.size.into(), read.topic_hash.into()];
        assert_eq!(
            ours,
            ["offsetPy", "sizePy", "hashCode"].map(|key| number(&unit[key]))
        );
    }
    let wheel = std::fs::read(store.join("timerwheel")).unwrap();
    for slot in timer["timerwheel"]["nonZeroSlots"].as_array().unwrap() {
        let at = usize::try_from(number(&slot["slot"])).unwrap() * 32;
        let read = Slot::decode(&wheel[at..]).unwrap();
        assert_eq!(read.encode(), wheel[at..at + 32]);
        let ours = [read.time, read.first, read.last, read.count.into()];
        let keys = ["timeDivPrecision", "firstPos", "lastPos", "num"];
        assert_eq!(ours, keys.map(|key| number(&slot[key])));
    }
    let file = std::fs::read(store.join("config/timercheck")).unwrap();
    let check = Check::decode(&file);
    assert_eq!(check.encode_file(), file);
    assert_eq!(
        check.read_ms,
        number(&timer["timercheck"]["lastReadTimeMs"])
    );
    assert_eq!(check.queue_offset, 9);
    assert_eq!(check.scan_from, None);

    let (mut files, opened) = TimerFiles::open(&store, 1000, 999_999).unwrap();
    assert!(!opened.anew);
    assert_eq!(opened.last.unwrap().log_offset, 4480);
    assert_eq!(files.waiting(), 2);
    let mut left = Vec::new();
    while let Some(slot_ms) = files.next_slot_ms() {
        left.push((slot_ms, offsets(&mut files, slot_ms)));
        files.done(slot_ms).unwrap();
    }
    let expected = [
        (1_795_314_297_000, vec![2902, 4480]),
        (1_795_317_297_000, vec![2183]),
        (1_795_400_094_000, vec![2537]),
    ];
    assert_eq!(left, expected);
}
