//! Pairs of both makes: the slave's commit log is the master's, byte for byte.
//!
//! `RMQ_COMPAT_MESSAGES` sets how many messages go through a pair (default 3,000; 1,000,000 before a release).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rmq::message::PropertiesBuf;
use rmq::protocol::codes::ResponseCode;

use crate::apache::{Apache, java_client};
use crate::support::node::NodeProcess;
use crate::support::wire::{Wire, send};

pub(crate) const TOPIC: &str = "Paired";
const SIZES: &[&str] = &["mappedFileSizeCommitLog=1048576", "defaultTopicQueueNums=4"];
/// Requests that may wait for their answer.
const WINDOW: usize = 256;

pub(crate) fn messages() -> usize {
    std::env::var("RMQ_COMPAT_MESSAGES")
        .ok()
        .map_or(3_000, |text| text.parse().unwrap())
}

pub(crate) fn produce(broker: SocketAddr, count: usize) {
    let mut wire = Wire::connect(broker).unwrap();
    let mut waiting: HashSet<i32> = HashSet::new();
    let properties = PropertiesBuf::new();
    let mut number = 0;
    let mut stored = 0;
    while stored < count {
        number += 1;
        let queue = i32::try_from(number % 4).unwrap();
        let body = format!("{number}-{}", "x".repeat(number * 37 % 300));
        let message = send(TOPIC, queue, body, &properties);
        waiting.insert(wire.submit(&message).unwrap());
        while waiting.len() >= WINDOW || waiting.len() + stored >= count && !waiting.is_empty() {
            stored += usize::from(answer(&mut wire, &mut waiting));
        }
    }
}

/// Takes an answer; says whether the message is stored. On a slow machine Apache's broker refuses some of them.
fn answer(wire: &mut Wire, waiting: &mut HashSet<i32>) -> bool {
    let (opaque, reply) = wire.next_answer().unwrap();
    waiting.remove(&opaque);
    match reply.code {
        ResponseCode::SUCCESS => true,
        ResponseCode::SYSTEM_BUSY => false,
        code => panic!("{code:?} {}", reply.remark()),
    }
}

/// Waits until every log file of the master that has anything in it is the same at the slave; says how many there are.
pub(crate) fn wait_until_same(master: &Path, slave: &Path, limit: Duration) -> usize {
    let deadline = Instant::now() + limit;
    loop {
        match compare(master, slave) {
            Ok(files) => return files,
            Err(why) => assert!(Instant::now() < deadline, "{why}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn compare(master: &Path, slave: &Path) -> Result<usize, String> {
    let mut same = 0;
    for file in std::fs::read_dir(master.join("commitlog")).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        if bytes.iter().all(|byte| *byte == 0) {
            // Made ahead of need.
            continue;
        }
        let copy = slave.join("commitlog").join(file.file_name());
        let copy = std::fs::read(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
        if copy != bytes {
            return Err(format!("{} differs", file.path().display()));
        }
        same += 1;
    }
    if same == 0 {
        return Err("nothing to compare".to_owned());
    }
    Ok(same)
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn an_rmq_slave_follows_an_apache_master() {
    let root = tempfile::tempdir().unwrap();
    let (master_dir, slave_dir) = (root.path().join("master"), root.path().join("slave"));
    let apache = Apache::start(&master_dir, SIZES);
    let flags = [
        "--role",
        "slave",
        "--broker-port",
        "0",
        "--namesrv",
        &apache.name_server,
    ];
    let slave = NodeProcess::start_with(&slave_dir, &flags, SIZES);
    // The topic is made first, and the slave is there before the first file is full.
    java_client(&["send", &apache.name_server, TOPIC, "50"]);
    wait_until_same(&master_dir, &slave_dir, Duration::from_mins(2));
    produce(apache.broker(), messages());
    let files = wait_until_same(&master_dir, &slave_dir, Duration::from_mins(10));
    // Killed and started again it goes on.
    slave.kill();
    produce(apache.broker(), 500);
    let slave = NodeProcess::start_with(&slave_dir, &flags, SIZES);
    wait_until_same(&master_dir, &slave_dir, Duration::from_mins(2));
    apache.stop();
    slave.stop();
    println!("{} messages, {files} files the same", messages());
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn an_apache_slave_follows_an_rmq_master() {
    let root = tempfile::tempdir().unwrap();
    let (master_dir, slave_dir) = (root.path().join("master"), root.path().join("slave"));
    let master = NodeProcess::start(&master_dir, SIZES);
    let settings = [SIZES, &["brokerRole=SLAVE", "brokerId=1"]].concat();
    let name_server = master.name_server.to_string();
    let apache = Apache::slave(&slave_dir, &name_server, &settings);
    produce(master.broker, 50);
    // Apache's slave asks the name server where its master is every 30 s.
    wait_until_same(&master_dir, &slave_dir, Duration::from_mins(2));
    produce(master.broker, messages());
    let files = wait_until_same(&master_dir, &slave_dir, Duration::from_mins(10));
    // Its tables follow once a minute.
    let deadline = Instant::now() + Duration::from_mins(3);
    let topics = || std::fs::read_to_string(slave_dir.join("config/topics.json"));
    while !topics().is_ok_and(|topics| topics.contains(TOPIC)) {
        assert!(Instant::now() < deadline, "{:?}", topics());
        std::thread::sleep(Duration::from_millis(500));
    }
    apache.stop();
    assert_eq!(master.stop(), Some(0));
    println!("{} messages, {files} files the same", messages());
}
