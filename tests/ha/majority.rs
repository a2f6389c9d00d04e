//! Three brokers of which any may die: nothing acknowledged is lost, and nothing is seen that later was never there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmq::message::{PropertiesBuf, Record};
use rmq::protocol::codes::ResponseCode;
use rmq::protocol::header::pull::PullMessageResponseHeader;
use rmq::protocol::header::send::SendMessageResponseHeader;

use crate::group::{LIMIT, Member, assert_same_log, wait_for};
use crate::support::numbers::Numbers;
use crate::support::wire::{Wire, pull, send};
use crate::{SETTINGS, send_one};

const TOPIC: &str = "Ledger";
const MAJORITY: &[&str] = &[
    "replication=majority",
    "totalReplicas=3",
    "slaveTimeout=2000",
];

/// (queue, offset) -> body.
pub(crate) type Places = HashMap<(i32, i64), Vec<u8>>;

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap())
}

fn trio(root: &std::path::Path, more: &[&'static str]) -> Vec<Member> {
    let settings = [SETTINGS, MAJORITY, more].concat();
    let master = Member::new(root, "one", None, &settings);
    let ids = ["brokerId=1", "brokerId=2"];
    let slaves = ["two", "three"].into_iter().zip(ids).map(|(name, id)| {
        let settings = [&settings[..], &[id]].concat();
        Member::new(root, name, Some(&master), &settings)
    });
    let slaves: Vec<_> = slaves.collect();
    std::iter::once(master).chain(slaves).collect()
}

#[test]
fn nothing_counts_before_more_than_half_have_it() {
    let root = tempfile::tempdir().unwrap();
    let mut trio = trio(root.path(), &["slaveTimeout=500"]);
    trio[0].start();
    // Alone it takes nothing.
    assert_eq!(send_one(&trio[0], "no"), ResponseCode::SYSTEM_ERROR);
    trio[1].start();
    wait_for("one slave is a majority", || {
        (send_one(&trio[0], "yes") == ResponseCode::SUCCESS).then_some(())
    });
    // A slave that hangs has not the message: it is stored, not acknowledged, and not seen.
    let drain = |member: &Member| {
        let mut wire = Wire::connect(member.address()).unwrap();
        wire.drain_queue("Followed", 0).unwrap().len()
    };
    let seen = drain(&trio[0]);
    trio[1].freeze();
    assert_eq!(
        send_one(&trio[0], "late"),
        ResponseCode::FLUSH_SLAVE_TIMEOUT
    );
    assert_eq!(drain(&trio[0]), seen);
    trio[1].thaw();
    wait_for("it is committed after all", || {
        (drain(&trio[0]) == seen + 1).then_some(())
    });
}

#[test]
fn a_master_that_was_cut_off_loses_only_what_nobody_was_told() {
    let root = tempfile::tempdir().unwrap();
    let mut trio = trio(root.path(), &["slaveTimeout=500"]);
    for member in &mut trio {
        member.start();
    }
    wait_for("the majority", || {
        (send_one(&trio[0], "before") == ResponseCode::SUCCESS).then_some(())
    });
    // The others turn to a new epoch and the old master does not hear of it.
    let standing = [1, 2].map(|index| (trio[index].fence(2).log_end, index));
    for number in 0..5 {
        let code = send_one(&trio[0], &format!("nobody has it {number}"));
        assert_ne!(code, ResponseCode::SUCCESS);
    }
    let (_, best) = standing.into_iter().max().unwrap();
    let other = 3 - best;
    trio[best].promote(2);
    trio[other].follow(&trio[best], i64::try_from(other).unwrap());
    wait_for("the new master's majority", || {
        (send_one(&trio[best], "after") == ResponseCode::SUCCESS).then_some(())
    });
    assert_ne!(send_one(&trio[0], "no"), ResponseCode::SUCCESS);
    trio[0].follow(&trio[best], 3);
    wait_for("the old master has the new one's log", || {
        let (old, new) = (trio[0].status(), trio[best].status());
        (old.log_end == new.log_end && old.epochs == new.epochs).then_some(())
    });
    for member in &mut trio {
        member.stop();
    }
    assert_same_log(&trio[0].dir, &trio[1].dir);
    assert_same_log(&trio[0].dir, &trio[2].dir);
}

/// Keeps a producer and a consumer busy at whoever is master.
pub(crate) struct Traffic {
    /// The port of whoever is master.
    pub(crate) master: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Places>>,
    consumed: Arc<Mutex<Places>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn start(port: u16) -> Self {
        let mut traffic = Self {
            master: Arc::new(AtomicU64::new(port.into())),
            stop: Arc::default(),
            acknowledged: Arc::default(),
            consumed: Arc::default(),
            threads: Vec::new(),
        };
        for producer in 0..3 {
            let (master, stop) = (Arc::clone(&traffic.master), Arc::clone(&traffic.stop));
            let acknowledged = Arc::clone(&traffic.acknowledged);
            traffic.threads.push(std::thread::spawn(move || {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    produce(&master, &stop, producer, &mut number, &acknowledged);
                }
            }));
        }
        let (master, stop) = (Arc::clone(&traffic.master), Arc::clone(&traffic.stop));
        let consumed = Arc::clone(&traffic.consumed);
        traffic.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                consume(&master, &stop, &consumed);
            }
        }));
        traffic
    }

    fn move_to(&self, port: u16) {
        self.master.store(port.into(), Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub(crate) fn end(self) -> (Places, Places) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let take = |places: &Mutex<Places>| std::mem::take(&mut *places.lock().unwrap());
        (take(&self.acknowledged), take(&self.consumed))
    }
}

fn connect(master: &AtomicU64) -> Option<(u64, Wire)> {
    let port = master.load(Ordering::Relaxed);
    let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
    let wire = Wire::connect(address).ok();
    // A broker that stands still is left behind when another is master.
    if let Some(wire) = &wire {
        wire.set_patience(Duration::from_secs(4)).unwrap();
    }
    if wire.is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some((port, wire?))
}

fn produce(
    master: &AtomicU64,
    stop: &AtomicBool,
    producer: u64,
    number: &mut u64,
    acknowledged: &Mutex<Places>,
) {
    let Some((port, mut wire)) = connect(master) else {
        return;
    };
    while !stop.load(Ordering::Relaxed) && master.load(Ordering::Relaxed) == port {
        *number += 1;
        let queue = i32::try_from(*number % 4).unwrap();
        let filler = "x".repeat(usize::try_from(*number * 37 % 700).unwrap());
        let body = format!("{producer}-{number}-{filler}").into_bytes();
        let message = send(TOPIC, queue, body.clone(), &PropertiesBuf::new());
        let Ok(reply) = wire.call(&message) else {
            return;
        };
        if reply.code == ResponseCode::SUCCESS {
            let header: SendMessageResponseHeader<'_> = reply.header().unwrap();
            let place = (header.queue_id, header.queue_offset);
            let before = acknowledged.lock().unwrap().insert(place, body);
            assert_eq!(before, None, "two messages were given the place {place:?}");
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn consume(master: &AtomicU64, stop: &AtomicBool, consumed: &Mutex<Places>) {
    let Some((port, mut wire)) = connect(master) else {
        return;
    };
    let mut offsets = [0_i64; 4];
    while !stop.load(Ordering::Relaxed) && master.load(Ordering::Relaxed) == port {
        for queue in 0..4 {
            let offset = &mut offsets[usize::try_from(queue).unwrap()];
            let Ok(reply) = wire.call(&pull(TOPIC, queue, *offset)) else {
                return;
            };
            if reply.code != ResponseCode::SUCCESS {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            let header: PullMessageResponseHeader = reply.header().unwrap();
            *offset = header.next_begin_offset;
            let mut rest = &reply.body[..];
            let mut consumed = consumed.lock().unwrap();
            while !rest.is_empty() {
                let record = Record::parse(rest).unwrap();
                let place = (queue, record.queue_offset);
                let before = consumed.insert(place, record.body.to_vec());
                assert!(
                    before.is_none_or(|before| before == record.body),
                    "another message was seen at {place:?} before"
                );
                rest = &rest[record.size as usize..];
            }
        }
    }
}

/// Chooses the best of the brokers that run and makes it master, as an administrator would.
fn fail_over(trio: &[Member], epoch: i32) -> usize {
    let alive = || trio.iter().enumerate().filter(|(_, member)| member.runs());
    let standing = alive().map(|(index, member)| {
        let status = member.fence(epoch);
        ((status.epoch, status.log_end), index)
    });
    let (_, best) = standing.max().unwrap();
    trio[best].promote(epoch);
    for (index, member) in alive().filter(|(index, _)| *index != best) {
        let id = i64::try_from(index).unwrap() + 1;
        member.follow(&trio[best], id);
    }
    best
}

#[test]
fn any_broker_may_die_at_any_time() {
    kill_at_random(&[]);
}

#[test]
fn any_broker_may_die_at_any_time_with_every_message_on_the_disks() {
    kill_at_random(&["flushDiskType=SYNC_FLUSH"]);
}

/// Waits until all have what the master has, and know the same of it to be committed.
pub(crate) fn await_alike(trio: &[Member], master: usize) {
    for member in trio {
        wait_for("all have everything", || {
            let (one, other) = (member.status(), trio[master].status());
            (one.log_end == other.log_end && one.committed == other.committed).then_some(())
        });
    }
}

/// Everything that was acknowledged or consumed is where it was.
pub(crate) fn assert_none_lost(master: &Member, acknowledged: &Places, consumed: &Places) {
    let mut final_view = Places::new();
    let mut wire = Wire::connect(master.address()).unwrap();
    for queue in 0..4 {
        for (offset, body) in wire.drain_queue(TOPIC, queue).unwrap() {
            final_view.insert((queue, offset), body);
        }
    }
    for (what, places) in [("acknowledged", acknowledged), ("consumed", consumed)] {
        for (place, body) in places {
            assert_eq!(
                final_view.get(place),
                Some(body),
                "{what} and gone: {place:?} {}",
                String::from_utf8_lossy(body)
            );
        }
    }
}

#[allow(clippy::print_stdout, reason = "figures of a test")]
fn kill_at_random(more: &[&'static str]) {
    let rounds = setting("RMQ_HA_ROUNDS", 6);
    let seed = setting("RMQ_HA_SEED", 1);
    let mut numbers = Numbers(seed);
    let root = tempfile::tempdir().unwrap();
    let mut trio = trio(root.path(), more);
    for member in &mut trio {
        member.start();
    }
    let mut master = 0;
    let mut epoch = 1;
    let traffic = Traffic::start(trio[master].port);
    for round in 0..rounds {
        let before = traffic.acknowledged();
        let wanted = before + usize::try_from(20 + numbers.below(300)).unwrap();
        let deadline = std::time::Instant::now() + LIMIT;
        while traffic.acknowledged() < wanted {
            assert!(
                std::time::Instant::now() < deadline,
                "round {round}: nothing is acknowledged any more:\n{}\n{:#?}",
                trio[master].log(),
                trio[master].status()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let victim = usize::try_from(numbers.below(3)).unwrap();
        trio[victim].kill();
        if victim == master {
            epoch += 1;
            master = fail_over(&trio, epoch);
            traffic.move_to(trio[master].port);
        }
        trio[victim].start();
        if victim != master && trio[victim].status().role != "SLAVE" {
            // It was the master, and comes back as it was configured: nobody follows it, so it takes nothing.
            let id = i64::try_from(victim).unwrap() + 1;
            trio[victim].follow(&trio[master], id);
        }
    }
    let (acknowledged, consumed) = traffic.end();
    await_alike(&trio, master);
    assert_none_lost(&trio[master], &acknowledged, &consumed);
    for member in &mut trio {
        member.stop();
    }
    assert_same_log(&trio[0].dir, &trio[1].dir);
    assert_same_log(&trio[0].dir, &trio[2].dir);
    println!(
        "{rounds} rounds of SIGKILL (seed {seed}), {epoch} masters: {} acknowledged, {} consumed, none lost",
        acknowledged.len(),
        consumed.len()
    );
}
