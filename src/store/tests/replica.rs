//! A store that is filled with another store's log.

use proptest::prelude::*;

use super::*;

/// Sends what the slave lacks, in stretches of `sizes` bytes.
fn copy(master: &Store, slave: &Store, sizes: &[u64]) {
    slave.set_replica(true);
    let mut at = slave.forget_unfinished();
    let mut sizes = sizes.iter().cycle();
    while let Some(stretch) = master.stretch(at, *sizes.next().unwrap()) {
        let received = slave.receive(at, stretch.as_ref()).unwrap();
        at = at.plus(stretch.as_ref().len() as u64);
        assert_eq!(received.end, at.get());
    }
    assert_eq!(slave.appended().get(), master.appended().get());
}

fn same_files(master: &Path, slave: &Path) {
    for file in layout::segments(&master.join("commitlog")).unwrap() {
        let copy = slave.join("commitlog").join(file.path.file_name().unwrap());
        if let Ok(copy) = std::fs::read(copy) {
            assert!(
                std::fs::read(&file.path).unwrap() == copy,
                "{} differs",
                file.path.display()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_copy_is_the_same_however_it_is_cut(sizes in proptest::collection::vec(1u64..5000, 1..20), messages in 1usize..200) {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (master, _) = open(one.path());
        for n in 0..messages {
            send(&master, "t", u32::try_from(n % 3).unwrap(), &format!("m{n}"));
        }
        let (slave, _) = open(two.path());
        copy(&master, &slave, &sizes);
        for queue in 0..3 {
            prop_assert_eq!(bodies(&slave, "t", queue), bodies(&master, "t", queue));
        }
        master.shutdown().unwrap();
        slave.shutdown().unwrap();
        same_files(one.path(), two.path());
    }
}

#[test]
fn a_slave_goes_on_after_a_crash_and_becomes_a_master() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    let (mut slave, _) = open(two.path());
    for round in 0..4 {
        for n in 0..60 {
            send(&master, "t", 0, &format!("{round}-{n}"));
        }
        // Half a record is there when it crashes.
        slave.set_replica(true);
        let at = slave.forget_unfinished();
        let stretch = master.stretch(at, 333).unwrap();
        slave.receive(at, stretch.as_ref()).unwrap();
        crash(slave);
        slave = open(two.path()).0;
        copy(&master, &slave, &[700]);
        assert_eq!(bodies(&slave, "t", 0), bodies(&master, "t", 0));
    }
    let mut group = slave.append_group();
    let queue = slave.queue(&TopicName::stored("t"), QueueId::new(0));
    group.push(&draft("t", 0, b"x", b""), &queue).unwrap();
    let refused = slave.append(&mut group);
    assert!(matches!(
        refused,
        Err(AppendError::Refused(WriteRefusal::Replica))
    ));
    slave.set_replica(false);
    slave.append(&mut group).unwrap();
    assert_eq!(
        group.appended(0).unwrap().queue_offset,
        QueueOffset::new(240)
    );
    assert_eq!(bodies(&slave, "t", 0).len(), 241);
}

#[test]
fn a_new_slave_may_begin_with_the_last_file() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    for n in 0..300 {
        send(&master, "t", 0, &format!("m{n}"));
    }
    let size = master.options().log_file_bytes;
    let mut at = LogOffset::new(master.appended().get() / size * size);
    let (slave, _) = open(two.path());
    slave.set_replica(true);
    while let Some(stretch) = master.stretch(at, 1000) {
        slave.receive(at, stretch.as_ref()).unwrap();
        at = at.plus(stretch.as_ref().len() as u64);
    }
    let all = bodies(&master, "t", 0);
    let some = bodies(&slave, "t", 0);
    assert!(!some.is_empty() && some.len() < all.len());
    assert_eq!(some, all[all.len() - some.len()..]);
    let queue = slave.find_queue("t", QueueId::new(0)).unwrap();
    assert_eq!(queue.max_offset(), QueueOffset::new(300));
    slave.shutdown().unwrap();
    drop(slave);
    let (slave, report) = open(two.path());
    assert!(report.clean);
    assert_eq!(bodies(&slave, "t", 0), some);
}

#[test]
fn a_topic_that_was_made_again_begins_anew() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    let (slave, _) = open(two.path());
    for n in 0..40 {
        send(&master, "t", 0, &format!("old{n}"));
    }
    copy(&master, &slave, &[900]);
    master.delete_topic(&TopicName::stored("t")).unwrap();
    for n in 0..5 {
        send(&master, "t", 0, &format!("new{n}"));
    }
    copy(&master, &slave, &[50]);
    assert_eq!(bodies(&slave, "t", 0), bodies(&master, "t", 0));
    assert_eq!(bodies(&slave, "t", 0).len(), 5);
}

#[test]
fn what_is_not_the_next_of_this_log_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    let (slave, _) = open(two.path());
    for n in 0..10 {
        send(&master, "t", 0, &format!("m{n}"));
    }
    copy(&master, &slave, &[900]);
    let end = slave.appended().get();
    let at = |place| LogOffset::new(place);
    let elsewhere = slave.receive(at(end + 1), b"x").unwrap_err();
    assert!(matches!(elsewhere, ReceiveError::Elsewhere { .. }));
    for garbage in [&[7u8; 200][..], &[0; 200], &{
        let mut record = master.record_at(at(0)).unwrap().as_ref().to_vec();
        // A record of another place.
        record.resize(300, 0);
        record
    }] {
        let foreign = slave.receive(at(end), garbage).unwrap_err();
        assert!(matches!(foreign, ReceiveError::Foreign { .. }), "{foreign}");
        assert_eq!(slave.appended().get(), end);
        assert_eq!(slave.forget_unfinished().get(), end);
    }
    send(&master, "t", 0, "last");
    copy(&master, &slave, &[900]);
    assert_eq!(bodies(&slave, "t", 0), bodies(&master, "t", 0));
    assert!(master.is_boundary(at(end)));
    assert!(!master.is_boundary(at(end + 1)));
    assert_eq!(
        slave.last_record().unwrap().as_ref(),
        master.last_record().unwrap().as_ref()
    );
}

#[test]
fn logs_of_other_file_sizes_do_not_mix() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    let other = StoreOptions {
        log_file_bytes: 32 * 1024,
        ..options(two.path())
    };
    let (slave, _) = Store::open(other, Clock::System).unwrap();
    slave.set_replica(true);
    for n in 0..300 {
        send(&master, "t", 0, &format!("m{n}"));
    }
    let mut at = LogOffset::ZERO;
    let error = loop {
        let stretch = master.stretch(at, 4000).unwrap();
        match slave.receive(at, stretch.as_ref()) {
            Ok(_) => at = at.plus(stretch.as_ref().len() as u64),
            Err(error) => break error,
        }
    };
    assert!(
        error.to_string().contains("mappedFileSizeCommitLog"),
        "{error}"
    );
}

#[test]
fn what_is_not_committed_is_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    send(&store, "t", 0, "before");
    store.hold_uncommitted();
    let first = send(&store, "t", 0, "first");
    send(&store, "t", 0, "second");
    assert_eq!(bodies(&store, "t", 0), ["before"]);
    let end = |one: Appended| one.log_offset.plus(one.size.into());
    assert_eq!(store.commit(end(first)).len(), 1);
    assert_eq!(bodies(&store, "t", 0), ["before", "first"]);
    assert_eq!(store.commit(end(first)), []);
    let last = send(&store, "t", 0, "third");
    store.commit(end(last));
    assert_eq!(bodies(&store, "t", 0).len(), 4);
    assert!(store.is_visible(end(last).get()));
    assert!(!store.is_visible(end(last).get() + 1));
}

#[test]
fn a_tail_that_others_do_not_have_is_cut_and_kept_beside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..100 {
        send(&store, "t", 0, &format!("m{n}"));
    }
    let cut_at = store.appended().get();
    for n in 0..150 {
        send(&store, "t", 0, &format!("lost{n}"));
        send(&store, "u", 0, &format!("lost{n}"));
    }
    store.shutdown().unwrap();
    drop(store);
    let cut = StoreOptions {
        cut_at: Some(cut_at),
        ..options(dir.path())
    };
    let (store, report) = Store::open(cut, Clock::System).unwrap();
    assert_eq!(report.log_end, cut_at);
    assert_eq!(bodies(&store, "t", 0), numbered(100));
    assert_eq!(bodies(&store, "u", 0), Vec::<String>::new());
    let saved: u64 = std::fs::read_dir(dir.path().join(cut::DIR))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(saved > 150 * 2 * 100, "{saved}");
    assert_eq!(send(&store, "t", 0, "m100").queue_offset.get(), 100);
    assert_eq!(send(&store, "u", 0, "m0").queue_offset.get(), 0);
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(bodies(&store, "t", 0), numbered(101));
}

#[test]
fn a_replica_that_is_damaged_keeps_only_what_is_its_masters_for_certain() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (master, _) = open(one.path());
    let (slave, _) = open(two.path());
    let mut places = Vec::new();
    for n in 0..200 {
        places.push(send(&master, "t", 0, &format!("m{n}")).log_offset.get());
    }
    copy(&master, &slave, &[1000]);
    drop(slave);
    crash::overwrite(two.path(), places[120] + 50, b"damage");
    let strict = StoreOptions {
        cut_at_damage: true,
        ..options(two.path())
    };
    let (slave, report) = Store::open(strict, Clock::System).unwrap();
    assert_eq!(report.log_end, places[120]);
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(bodies(&slave, "t", 0), numbered(120));
    copy(&master, &slave, &[1000]);
    assert_eq!(bodies(&slave, "t", 0), numbered(200));
    master.shutdown().unwrap();
    slave.shutdown().unwrap();
    same_files(one.path(), two.path());
}
