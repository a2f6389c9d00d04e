//! Full disks, old files, many writers, and the corners of reading.

use std::process::Command;
use std::time::Instant;

use super::*;
use crate::base::LogOffset;

/// A file system of its own with little room; `None` where this process may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

fn try_send(store: &Store, body: &str) -> Result<Appended, AppendError> {
    let queue = store.queue(&TopicName::stored("T"), QueueId::new(0));
    let mut group = store.append_group();
    group
        .push(&draft("T", 0, body.as_bytes(), b""), &queue)
        .unwrap();
    store.append(&mut group)?;
    Ok(group.appended(0).unwrap())
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount(256 * 1024) else {
        return;
    };
    let dir = disk.0.path();
    let ballast = dir.join("ballast");
    // The workers may see the full disk too, at any time: they must not make room by deleting messages, and must look
    // again soon.
    let careful = StoreOptions {
        clean_file_forcibly: false,
        queue_flush_interval: Duration::from_millis(10),
        retention_interval: Duration::from_millis(10),
        ..options(dir)
    };
    let (store, _) = Store::open(careful, Clock::System).unwrap();
    std::fs::write(&ballast, vec![1; 120 * 1024]).unwrap();
    let mut sent = Vec::new();
    let refused = loop {
        let body = format!("{}-{}", sent.len(), "x".repeat(700));
        match try_send(&store, &body) {
            Ok(_) => sent.push(body),
            Err(error) => break error,
        }
        assert!(sent.len() < 1000);
    };
    assert!(
        matches!(refused, AppendError::Refused(WriteRefusal::DiskFull(_))),
        "{refused}"
    );
    assert!(try_send(&store, &"x".repeat(3000)).is_err());
    assert_eq!(bodies(&store, "T", 0), sent);
    std::fs::remove_file(&ballast).unwrap();
    let since = Instant::now();
    for _ in 0..20 {
        let body = format!("{}-{}", sent.len(), "y".repeat(700));
        while let Err(error) = try_send(&store, &body) {
            assert!(since.elapsed() < Duration::from_mins(1), "{error}");
            std::thread::yield_now();
        }
        sent.push(body);
    }
    assert_eq!(bodies(&store, "T", 0), sent);
    crash(store);
    let (store, report) = open(dir);
    assert_eq!((report.damaged.len(), report.cut), (0, None));
    assert_eq!(bodies(&store, "T", 0), sent);
    store.shutdown().unwrap();
}

#[test]
fn the_log_is_kept_short_at_any_hour() {
    let dir = tempfile::tempdir().unwrap();
    let keep = |retain_for, retain_bytes| {
        let (store, _) = Store::open(
            StoreOptions {
                delete_when: String::new(),
                retain_for,
                retain_bytes,
                ..options(dir.path())
            },
            Clock::System,
        )
        .unwrap();
        store
    };
    let hour = Some(Duration::from_hours(1));
    let store = keep(hour, None);
    for body in numbered(900) {
        send(&store, "T", 0, &body);
    }
    store.shared.checkpoint().unwrap();
    let files = store.shared.log.segments().len();
    let length = store.shared.log.flushed.get();
    store.shared.retain();
    assert_eq!(store.shared.log.min(), 0, "nothing is an hour old");
    store.shutdown().unwrap();

    let store = keep(hour, Some(length / 2));
    store.shared.retain();
    let kept = length - store.shared.log.min();
    assert!(kept <= length / 2 && kept > 0, "{kept} of {length}");
    store.shutdown().unwrap();

    let store = keep(Some(Duration::ZERO), None);
    store.shared.retain();
    assert!(files > 2 && store.shared.log.segments().len() < files);
    assert!(length - store.shared.log.min() < kept);
    store.shutdown().unwrap();
}

/// How much of a file is mapped and in memory, in KiB.
#[cfg(target_os = "linux")]
fn mapped_kib(file: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps.lines();
    lines
        .find(|line| line.ends_with(file.to_str().unwrap()))
        .unwrap();
    let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    rss.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn old_pages_are_given_up_and_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let keep = 20_000;
    let (store, _) = Store::open(
        StoreOptions {
            log_cache_bytes: keep,
            ..options(dir.path())
        },
        Clock::System,
    )
    .unwrap();
    let sent = numbered(600);
    for body in &sent {
        send(&store, "T", 0, body);
    }
    let held = store.record_at(LogOffset::ZERO).unwrap();
    let copy = held.as_ref().to_vec();
    let segments = store.shared.log.segments();
    let mapped = || mapped_kib(segments[0].path());
    assert!(segments.len() > 3 && mapped() > 0);

    store.shared.checkpoint().unwrap();
    store.shared.let_go_of_old_pages();
    let from = store.shared.cached_from.load(Ordering::Relaxed);
    let end = store.shared.log.flushed.get();
    // The keeper may have done so before, and taken one step less.
    let kept = keep..keep + 4096 + keep / 8;
    assert!(kept.contains(&(end - from)), "{from} of {end}");
    assert_eq!(mapped(), 0);
    assert_eq!(held.as_ref(), copy);
    assert_eq!(bodies(&store, "T", 0), sent);
}

#[test]
fn old_files_go_and_readers_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(
        StoreOptions {
            file_reserved_hours: 0,
            delete_when: (0..24)
                .map(|hour| hour.to_string())
                .collect::<Vec<_>>()
                .join(";"),
            ..options(dir.path())
        },
        Clock::System,
    )
    .unwrap();
    let sent = numbered(300);
    send(&store, "T", 0, &sent[0]);
    // Held while its file is the last one: the keeper may look for old files at any time.
    let first = store.record_at(LogOffset::ZERO).unwrap();
    let copy = first.as_ref().to_vec();
    for body in &sent[1..] {
        send(&store, "T", 0, body);
    }
    store.shared.checkpoint().unwrap();
    store.shared.retain();
    let queue = store.find_queue("T", QueueId::new(0)).unwrap();
    let min = queue.min_offset().get();
    assert!(min > 0 && min < 300, "{min}");
    assert_eq!(first.as_ref(), copy);
    assert!(store.record_at(LogOffset::ZERO).is_none());
    assert_eq!(
        bodies(&store, "T", 0),
        sent[usize::try_from(min).unwrap()..]
    );
    let limits = ReadLimits {
        messages: 1,
        bytes: 1,
    };
    let found = store.get(&queue, QueueOffset::ZERO, limits, |_| true);
    assert_eq!(
        (found.status, found.next.get()),
        (GetStatus::OffsetTooSmall, min)
    );
    crash(store);
    // What is below the min offset stays forgotten.
    let (store, _) = open(dir.path());
    let queue = store.find_queue("T", QueueId::new(0)).unwrap();
    assert_eq!(
        (queue.min_offset().get(), queue.max_offset().get()),
        (min, 300)
    );
    store.shutdown().unwrap();
}

#[test]
fn every_way_a_read_can_end() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let queue = store.queue(&TopicName::stored("T"), QueueId::new(0));
    let get = |at: u64, messages: usize, bytes: usize, wanted: fn(i64) -> bool| {
        let limits = ReadLimits { messages, bytes };
        let found = store.get(&queue, QueueOffset::new(at), limits, wanted);
        (found.status, found.next.get(), found.count)
    };
    assert_eq!(get(3, 9, 9, |_| true), (GetStatus::NoMessageInQueue, 0, 0));
    for body in ["a0", "b1", "a2", "b3"] {
        send(&store, "T", 0, body);
    }
    let big = 1 << 20;
    assert_eq!(get(0, 9, big, |_| true), (GetStatus::Found, 4, 4));
    assert_eq!(get(0, 9, 1, |_| true), (GetStatus::Found, 1, 1));
    assert_eq!(get(1, 2, big, |_| true), (GetStatus::Found, 3, 2));
    assert_eq!(
        get(0, 9, big, |tags| tags == i64::from(b'b')),
        (GetStatus::Found, 4, 2)
    );
    assert_eq!(
        get(0, 9, big, |_| false),
        (GetStatus::NoMatchedMessage, 4, 0)
    );
    assert_eq!(
        get(4, 9, big, |_| true),
        (GetStatus::OffsetOverflowOne, 4, 0)
    );
    assert_eq!(
        get(7, 9, big, |_| true),
        (GetStatus::OffsetOverflowBadly, 4, 0)
    );
    let limits = ReadLimits {
        messages: 9,
        bytes: big,
    };
    let found = store.get(&queue, QueueOffset::ZERO, limits, |_| true);
    assert_eq!(found.slices.len(), 1, "records side by side are one slice");
}

#[test]
fn offsets_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1000);
    let (store, _) = Store::open(options(dir.path()), clock.clone()).unwrap();
    for body in ["a", "b", "c", "d"] {
        send(&store, "T", 0, body);
        if body != "b" {
            clock.advance(100);
        }
    }
    // Stored at 1000, 1100, 1100, 1200.
    let queue = store.find_queue("T", QueueId::new(0)).unwrap();
    let at = |time, boundary| store.offset_by_time(&queue, time, boundary).get();
    let lower = [0, 1000, 1001, 1100, 1150, 1200, 1201].map(|time| at(time, Boundary::Lower));
    assert_eq!(lower, [0, 0, 1, 1, 3, 3, 4]);
    let upper = [0, 1000, 1001, 1100, 1150, 1200, 1201].map(|time| at(time, Boundary::Upper));
    assert_eq!(upper, [0, 0, 0, 2, 2, 3, 3]);
    assert_eq!(store.store_time(&queue, QueueOffset::new(3)), Some(1200));
    assert_eq!(store.store_time(&queue, QueueOffset::new(4)), None);
    // Time never goes back within the log.
    clock.advance(-5000);
    assert_eq!(send(&store, "T", 0, "e").store_timestamp_ms, 1200);
}

#[test]
fn many_writers_and_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(
        StoreOptions {
            flush: FlushMode::Sync {
                timeout: Duration::from_secs(5),
            },
            queue_flush_interval: Duration::from_millis(5),
            ..options(dir.path())
        },
        Clock::System,
    )
    .unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..200 {
                    let appended = send(store, "T", writer % 2, &format!("{writer}.{n}"));
                    let slice = store.record_at(appended.log_offset).unwrap();
                    let record = Record::parse(slice.as_ref()).unwrap();
                    assert_eq!(record.queue_offset, appended.queue_offset.to_wire());
                }
            });
        }
        scope.spawn(|| {
            while bodies(&store, "T", 0).len() < 400 {
                std::thread::yield_now();
            }
        });
    });
    for queue in 0..2 {
        let bodies = bodies(&store, "T", queue);
        assert_eq!(bodies.len(), 400);
        for writer in 0..4 {
            let prefix = format!("{writer}.");
            let of_writer: Vec<_> = bodies
                .iter()
                .filter(|body| body.starts_with(&prefix))
                .collect();
            assert!(of_writer.is_sorted_by_key(|body| body[2..].parse::<u32>().unwrap()));
        }
    }
    let end = store.appended().get();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(store.flushed().reached(end));
    store.shutdown().unwrap();
    assert!(matches!(
        try_send(&store, "late"),
        Err(AppendError::Refused(WriteRefusal::ShuttingDown))
    ));
}

#[test]
fn one_store_to_a_directory_and_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let second = Store::open(options(dir.path()), Clock::System).unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    send(&store, "T", 0, "m0");
    store.shutdown().unwrap();
    drop(store);
    let other = StoreOptions {
        log_file_bytes: 32 * 1024,
        ..options(dir.path())
    };
    let error = Store::open(other, Clock::System).unwrap_err().to_string();
    assert!(
        error.contains("16384") && error.contains("32768"),
        "{error}"
    );
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "T", 0), ["m0"]);
    store.delete_topic(&TopicName::stored("T")).unwrap();
    assert!(!dir.path().join("consumequeue/T").exists());
    assert_eq!(
        send(&store, "T", 0, "again").queue_offset,
        QueueOffset::ZERO
    );
    crash(store);
    // The later topic of that name wins.
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "T", 0), ["again"]);
}

#[test]
fn lost_queue_files_and_other_index_sizes_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for body in numbered(200) {
        send(&store, "T", 0, &body);
    }
    store.shutdown().unwrap();
    drop(store);
    std::fs::remove_file(dir.path().join("consumequeue/T/0/00000000000000001200")).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.rebuilt);
    assert_eq!(bodies(&store, "T", 0), numbered(200));
    store.shutdown().unwrap();
    drop(store);
    let other = StoreOptions {
        index_slots: 60,
        queue_file_bytes: 400,
        ..options(dir.path())
    };
    let (store, _) = Store::open(other, Clock::System).unwrap();
    assert_eq!(bodies(&store, "T", 0), numbered(200));
    assert_eq!(
        store.query("T", "common", 1000, 0, i64::MAX).slices.len(),
        200
    );
    send(&store, "T", 0, "m200");
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "T", 0), numbered(201));
}

#[test]
fn a_long_loss_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for body in numbered(500) {
        send(&store, "T", 0, &body);
    }
    crash(store);
    std::fs::remove_file(dir.path().join("commitlog/00000000000000016384")).unwrap();
    let (store, report) = open(dir.path());
    assert_eq!(report.damaged, [(16_384, 16_384)]);
    let left = bodies(&store, "T", 0);
    assert!(left.len() < 450 && left.len() > 300, "{}", left.len());
    assert_eq!(
        (left[0].as_str(), left.last().unwrap().as_str()),
        ("m0", "m499")
    );
    let queue = store.find_queue("T", QueueId::new(0)).unwrap();
    assert_eq!(
        (queue.min_offset().get(), queue.max_offset().get()),
        (0, 500)
    );
}

/// Not a check but a figure: `cargo test --release --lib store::tests::limits::speed -- --ignored --nocapture`.
#[test]
#[ignore = "prints a figure, and is only meaningful in a release build"]
fn speed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(StoreOptions::new(dir.path()), Clock::System).unwrap();
    let queue = store.queue(&TopicName::stored("T"), QueueId::new(0));
    let body = [7; 1024];
    let mut group = store.append_group();
    for per_group in [1, 8, 64] {
        let count = 1_000_000 / per_group * per_group;
        #[allow(clippy::disallowed_methods, reason = "a figure needs a clock")]
        let started = std::time::Instant::now();
        for _ in 0..count / per_group {
            group.clear();
            for n in 0..per_group {
                let properties =
                    format!("UNIQ_KEY\x017F0000011AD04E0E2F2A6C8E4314{n:04}\x02TAGS\x01a\x02");
                group
                    .push(&draft("T", 0, &body, properties.as_bytes()), &queue)
                    .unwrap();
            }
            store.append(&mut group).unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "groups of {per_group}: {:.0} messages/s",
            f64::from(count) / seconds
        );
    }
    #[allow(clippy::disallowed_methods, reason = "a figure needs a clock")]
    let started = std::time::Instant::now();
    store.shared.dispatch().unwrap();
    println!("index caught up in {:?}", started.elapsed());
    crash(store);
    #[allow(clippy::disallowed_methods, reason = "a figure needs a clock")]
    let started = std::time::Instant::now();
    let (_, report) = Store::open(StoreOptions::new(dir.path()), Clock::System).unwrap();
    println!(
        "recovered {} records in {:?}",
        report.scanned,
        started.elapsed()
    );
}
