//! Kills the real process under load and counts what it had acknowledged.
//!
//! `RMQ_CRASH_ROUNDS` sets the number of rounds (default 4; 20 before a release), `RMQ_CRASH_SEED` the seed from which
//! the moments of the kills follow.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod transactions;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmq::message::PropertiesBuf;
use rmq::protocol::codes::ResponseCode;
use rmq::protocol::header::send::SendMessageResponseHeader;
use support::node::NodeProcess;
use support::wire::{Wire, send};

const TOPIC: &str = "CrashLedger";
const QUEUES: i32 = 4;
const PRODUCERS: usize = 6;
const IN_FLIGHT: usize = 16;

/// `SYNC_FLUSH`, and files small enough that every round crosses some borders.
const SETTINGS: &[&str] = &[
    "flushDiskType=SYNC_FLUSH",
    "mappedFileSizeCommitLog=1048576",
    "mappedFileSizeConsumeQueue=20000",
    "maxHashSlotNum=500",
    "maxIndexNum=2000",
    "defaultTopicQueueNums=4",
];

/// What was acknowledged: body -> (queue, queue offset).
type Ledger = Arc<Mutex<HashMap<Vec<u8>, (i32, i64)>>>;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap())
}

/// A small generator of numbers that follow from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let rounds = setting("RMQ_CRASH_ROUNDS", 4);
    let seed = setting("RMQ_CRASH_SEED", 1);
    let mut numbers = Numbers(seed);
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("node");
    let ledger = Ledger::default();
    for round in 0..rounds {
        let node = NodeProcess::start(&data_dir, SETTINGS);
        check_consumer_view(node.broker, &ledger);
        let kill_after = usize::try_from(50 + numbers.below(2_000)).unwrap();
        produce_until_killed(node, round, kill_after, &ledger);
    }
    let node = NodeProcess::start(&data_dir, SETTINGS);
    check_consumer_view(node.broker, &ledger);
    assert_eq!(node.stop(), Some(0));
    check_store_view(&data_dir, &ledger);
    let acknowledged = ledger.lock().unwrap().len();
    assert!(
        acknowledged >= usize::try_from(rounds * 50).unwrap(),
        "only {acknowledged} acknowledged: no load"
    );
    println!(
        "{rounds} rounds of SIGKILL (seed {seed}): {acknowledged} acknowledged messages, none lost, none twice"
    );
}

fn produce_until_killed(node: NodeProcess, round: u64, kill_after: usize, ledger: &Ledger) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (ledger, acknowledged, broker) =
                (Arc::clone(ledger), Arc::clone(&acknowledged), node.broker);
            std::thread::spawn(move || produce(broker, round, producer, &ledger, &acknowledged))
        })
        .collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    while acknowledged.load(Ordering::Relaxed) < kill_after {
        assert!(
            Instant::now() < deadline,
            "no {kill_after} acknowledgements in 60 s:\n{}",
            node.log()
        );
        std::thread::yield_now();
    }
    node.kill();
    for producer in producers {
        producer.join().unwrap();
    }
}

/// Sends with a window until the connection breaks, and enters what is acknowledged into the ledger.
fn produce(
    broker: SocketAddr,
    round: u64,
    producer: usize,
    ledger: &Ledger,
    acknowledged: &AtomicUsize,
) {
    let Ok(mut wire) = Wire::connect(broker) else {
        return;
    };
    let mut waiting = HashMap::new();
    for number in 0_usize.. {
        let queue = i32::try_from(number % 4).unwrap();
        // Bodies of different lengths, so that records meet file borders in every way.
        let body = format!(
            "{round}-{producer}-{number}-{}",
            "x".repeat((number * 37) % 900)
        )
        .into_bytes();
        let mut properties = PropertiesBuf::new();
        properties.set("UNIQ_KEY", format!("KEY{round:04}{producer:04}{number:08}"));
        properties.set("KEYS", format!("key-{}", number % 100));
        let Ok(opaque) = wire.submit(&send(TOPIC, queue, body.clone(), &properties)) else {
            return;
        };
        waiting.insert(opaque, body);
        if waiting.len() < IN_FLIGHT {
            continue;
        }
        let Ok((opaque, reply)) = wire.next_answer() else {
            return;
        };
        let body = waiting
            .remove(&opaque)
            .expect("an answer to a request that was sent");
        // While it is stopping or short of time, the broker may refuse or say "stored, but perhaps not flushed":
        // neither is an acknowledgement.
        if reply.code == ResponseCode::SUCCESS {
            let header: SendMessageResponseHeader<'_> = reply.header().unwrap();
            ledger
                .lock()
                .unwrap()
                .insert(body, (header.queue_id, header.queue_offset));
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn check_consumer_view(broker: SocketAddr, ledger: &Ledger) {
    let ledger = ledger.lock().unwrap();
    if ledger.is_empty() {
        return;
    }
    let mut wire = Wire::connect(broker).unwrap();
    let mut seen = HashMap::new();
    for queue in 0..QUEUES {
        for (index, (offset, body)) in wire
            .drain_queue(TOPIC, queue)
            .unwrap()
            .into_iter()
            .enumerate()
        {
            assert_eq!(
                offset,
                i64::try_from(index).unwrap(),
                "queue {queue} has a gap"
            );
            let before = seen.insert(body, (queue, offset));
            assert_eq!(before, None, "delivered twice: queue {queue} @{offset}");
        }
    }
    for (body, place) in ledger.iter() {
        assert_eq!(
            seen.get(body),
            Some(place),
            "acknowledged but not at its place: {}",
            String::from_utf8_lossy(body)
        );
    }
}

fn check_store_view(data_dir: &Path, ledger: &Ledger) {
    let output = Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(["inspect", "commitlog", "-o", "jsonl"])
        .arg(data_dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut times = HashMap::new();
    for line in output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: serde_json::Value = serde_json::from_slice(line).unwrap();
        if record["kind"] == "message" && record["topic"] == TOPIC {
            let key = record["properties"]["UNIQ_KEY"]
                .as_str()
                .unwrap()
                .to_owned();
            *times.entry(key).or_insert(0) += 1;
        }
    }
    for body in ledger.lock().unwrap().keys() {
        let text = String::from_utf8_lossy(body);
        let mut parts = text
            .split('-')
            .map(|part| part.parse::<u64>().unwrap_or_default());
        let (round, producer, number) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        let key = format!("KEY{round:04}{producer:04}{number:08}");
        assert_eq!(times.get(&key), Some(&1), "{key} in the commit log");
    }
}
