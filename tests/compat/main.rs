//! `rmq` beside the real Apache RocketMQ 5.5.0, on the same files.
//!
//! Ignored unless asked for: they need a JDK, Apache's jars in `ROCKETMQ_JAVA_LIB`, and about a minute.
//! `ROCKETMQ_JAVA_LIB=… cargo test --test compat -- --ignored`

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod apache;
mod controller;
mod dead_letters;
mod doctor;
mod repaired;
mod replication;
mod send;
#[path = "../support/golden.rs"]
mod support_golden;
mod unfinished;

use std::collections::BTreeSet;

use apache::{Apache, java_client};
use rmq::message::{PropertiesBuf, batch};
use rmq::protocol::codes::{RequestCode, ResponseCode};
use support::node::NodeProcess;
use support::wire::{Wire, send};

const TOPIC: &str = "Takeover";

/// Small files, so that there are many of each kind. Both brokers must be told the same sizes.
const SETTINGS: &[&str] = &[
    "mappedFileSizeCommitLog=4194304",
    "mappedFileSizeConsumeQueue=6000",
    "maxHashSlotNum=500",
    "maxIndexNum=1000",
    "defaultTopicQueueNums=4",
];

/// (queue, offset, body length, start of the body)
type Seen = BTreeSet<(i32, i64, usize, String)>;

fn seen(queue: i32, offset: i64, body: &[u8]) -> (i32, i64, usize, String) {
    let head = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
    (queue, offset, body.len(), head)
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn apache_takes_over_a_killed_node_and_gives_it_back() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("node");
    let node = NodeProcess::start(&data_dir, SETTINGS);
    produce(&node);
    let written = drain(&node);
    assert_eq!(written.len(), 400 + 5 * 32 + 4);
    node.kill();

    let apache = Apache::start(&data_dir, SETTINGS);
    let read = java_read(&apache);
    assert_eq!(
        read, written,
        "what the Java consumer reads from the Java broker"
    );
    java_client(&["send", &apache.name_server, TOPIC, "200"]);
    let after_java = java_read(&apache);
    assert_eq!(after_java.len(), written.len() + 200);
    apache.stop();

    let node = NodeProcess::start(&data_dir, SETTINGS);
    assert_eq!(
        drain(&node),
        after_java,
        "what rmq serves after Apache wrote"
    );
    let mut wire = Wire::connect(node.broker).unwrap();
    let reply = wire
        .call(&send(TOPIC, 0, "once more", &PropertiesBuf::new()))
        .unwrap();
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    assert_eq!(node.stop(), Some(0));

    let apache = Apache::start(&data_dir, SETTINGS);
    assert_eq!(
        java_read(&apache).len(),
        after_java.len() + 1,
        "after a clean stop of rmq"
    );
    apache.stop();
}

fn java_read(apache: &Apache) -> Seen {
    let output = java_client(&["read", &apache.name_server, TOPIC]);
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("MESSAGE "));
    lines
        .map(|line| {
            let mut parts = line.splitn(4, ' ');
            let mut next = || parts.next().unwrap();
            (
                next().parse().unwrap(),
                next().parse().unwrap(),
                next().parse().unwrap(),
                next().to_owned(),
            )
        })
        .collect()
}

fn drain(node: &NodeProcess) -> Seen {
    let mut wire = Wire::connect(node.broker).unwrap();
    let queues = (0..4).flat_map(|queue| {
        let messages = wire.drain_queue(TOPIC, queue).unwrap();
        messages
            .into_iter()
            .map(move |(offset, body)| seen(queue, offset, &body))
    });
    queues.collect()
}

/// Plain sends, batches of 32, and bodies of a megabyte.
fn produce(node: &NodeProcess) {
    let mut wire = Wire::connect(node.broker).unwrap();
    let mut properties = PropertiesBuf::new();
    for number in 0..400 {
        properties.set("KEYS", format!("key-{number} all"));
        properties.set("TAGS", if number % 2 == 0 { "even" } else { "odd" });
        properties.set("UNIQ_KEY", format!("0A00000100001234ABCD{number:012}"));
        let body = format!("plain-{number}-{}", "y".repeat(number * 7 % 3_000));
        expect_success(
            &mut wire,
            &send(TOPIC, i32::try_from(number % 4).unwrap(), body, &properties),
        );
    }
    for group in 0..5 {
        let mut body = Vec::new();
        for number in 0..32 {
            let entry = format!("batch-{group}-{number}");
            let properties = format!(
                "UNIQ_KEY\u{1}0B00000100001234ABCD{group:04}{number:08}\u{2}WAIT\u{1}true\u{2}"
            );
            assert!(batch::encode_entry(
                &mut body,
                0,
                entry.as_bytes(),
                properties.as_bytes()
            ));
        }
        let mut command =
            send(TOPIC, group % 4, body, &PropertiesBuf::new()).with_field("m", "true");
        command.code = RequestCode::SEND_BATCH_MESSAGE.0;
        expect_success(&mut wire, &command);
    }
    for number in 0..4_i32 {
        let body = format!("big-{number}-").repeat(150_000);
        expect_success(
            &mut wire,
            &send(TOPIC, number % 4, body, &PropertiesBuf::new()),
        );
    }
}

fn expect_success(wire: &mut Wire, command: &rmq::protocol::command::Command) {
    let reply = wire.call(command).unwrap();
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
}
