//! Brokers that follow each other, as real processes: catching up, killed and restarted, one taking the other's place.
//!
//! `RMQ_HA_ROUNDS` sets the number of kills in majority mode (default 6; 50 before a release), `RMQ_HA_SEED` the seed from
//! which they follow.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

mod controller;
mod failover;
mod group;
mod majority;
mod state;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use group::{Member, assert_same_log, wait_for, wait_until_equal};
use rmq::message::PropertiesBuf;
use rmq::protocol::codes::ResponseCode;
use support::wire::{Wire, send};

const TOPIC: &str = "Followed";

/// Small files, so that many borders are crossed.
const SETTINGS: &[&str] = &[
    "mappedFileSizeCommitLog=65536",
    "mappedFileSizeConsumeQueue=2000",
    "maxHashSlotNum=500",
    "maxIndexNum=2000",
    "defaultTopicQueueNums=4",
    "haSendHeartbeatInterval=500",
];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [SETTINGS, more].concat()
}

/// Sends one message and returns the code of the answer.
fn send_one(member: &Member, body: &str) -> ResponseCode {
    let command = send(TOPIC, 0, body.as_bytes().to_vec(), &PropertiesBuf::new());
    member.call(&command).unwrap().code
}

fn send_many(member: &Member, count: usize) {
    let mut wire = Wire::connect(member.address()).unwrap();
    for number in 0..count {
        let queue = i32::try_from(number % 4).unwrap();
        let body = format!("{number}-{}", "x".repeat(number * 37 % 700));
        let reply = wire
            .call(&send(TOPIC, queue, body, &PropertiesBuf::new()))
            .unwrap();
        assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
    }
}

fn pair(root: &Path, master: &[&'static str], slave: &[&'static str]) -> (Member, Member) {
    let master = Member::new(root, "master", None, &with(master));
    let slave = Member::new(root, "slave", Some(&master), &with(slave));
    (master, slave)
}

#[test]
fn a_slave_has_its_masters_log_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(root.path(), &[], &["slaveReadEnable=true"]);
    master.start();
    slave.start();
    wait_for("the slave connects", || {
        (master.status().replicas.len() == 1).then_some(())
    });
    for round in 0..3 {
        send_many(&master, 400);
        if round == 1 {
            slave.kill();
            send_many(&master, 400);
            slave.start();
        }
    }
    wait_until_equal(&master, &slave);

    // Consumers can be served there, producers cannot.
    let drain = |member: &Member, queue| {
        let mut wire = Wire::connect(member.address()).unwrap();
        wire.drain_queue(TOPIC, queue)
    };
    for queue in 0..4 {
        let expected = drain(&master, queue).unwrap();
        let mut of_slave = Vec::new();
        wait_for("the slave serves the topic", || {
            drain(&slave, queue).is_ok().then_some(())
        });
        for message in slave_messages(&slave, queue, expected.len()) {
            of_slave.push(message);
        }
        assert_eq!(of_slave, expected);
    }
    assert_eq!(send_one(&slave, "no"), ResponseCode::SYSTEM_BUSY);
    master.kill();
    slave.stop();
    assert_same_log(&master.dir, &slave.dir);
}

/// A slave leaves offsets it has not as they are, so a plain drain would not end there.
fn slave_messages(slave: &Member, queue: i32, count: usize) -> Vec<(i64, Vec<u8>)> {
    use rmq::message::Record;
    use rmq::protocol::header::pull::PullMessageResponseHeader;
    let mut wire = Wire::connect(slave.address()).unwrap();
    let mut messages = Vec::new();
    let mut offset = 0;
    while messages.len() < count {
        let reply = wire
            .call(&support::wire::pull(TOPIC, queue, offset))
            .unwrap();
        assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
        let mut rest = &reply.body[..];
        while !rest.is_empty() {
            let record = Record::parse(rest).unwrap();
            messages.push((record.queue_offset, record.body.to_vec()));
            rest = &rest[record.size as usize..];
        }
        let header: PullMessageResponseHeader = reply.header().unwrap();
        offset = header.next_begin_offset;
    }
    messages
}

#[test]
fn a_sync_master_says_what_became_of_its_slaves() {
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(
        root.path(),
        &["brokerRole=SYNC_MASTER", "slaveTimeout=300"],
        &[],
    );
    master.start();
    assert_eq!(
        send_one(&master, "alone"),
        ResponseCode::SLAVE_NOT_AVAILABLE
    );
    slave.start();
    wait_for("the slave follows", || {
        (send_one(&master, "followed") == ResponseCode::SUCCESS).then_some(())
    });
    slave.freeze();
    assert_eq!(send_one(&master, "late"), ResponseCode::FLUSH_SLAVE_TIMEOUT);
    slave.thaw();
    wait_for("the slave goes on", || {
        (send_one(&master, "again") == ResponseCode::SUCCESS).then_some(())
    });
    slave.kill();
    wait_for("the slave is gone", || {
        (send_one(&master, "alone") == ResponseCode::SLAVE_NOT_AVAILABLE).then_some(())
    });
}

#[test]
fn too_few_in_sync_replicas_are_told_before_anything_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(
        root.path(),
        &["brokerRole=SYNC_MASTER", "minInSyncReplicas=2"],
        &[],
    );
    master.start();
    let end = master.status().log_end;
    assert_eq!(send_one(&master, "no"), ResponseCode::SYSTEM_ERROR);
    assert_eq!(master.status().log_end, end);
    slave.start();
    wait_for("the slave follows", || {
        (send_one(&master, "yes") == ResponseCode::SUCCESS).then_some(())
    });
}

#[test]
fn a_slave_with_another_log_is_refused_and_keeps_it() {
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(root.path(), &[], &[]);
    // The slave was a master of its own.
    let mut other = Member::new(root.path(), "slave", None, SETTINGS);
    other.start();
    send_many(&other, 50);
    let end = other.status().log_end;
    other.stop();
    master.start();
    for part in [20, 300] {
        send_many(&master, part);
        slave.start();
        let trouble = wait_for("the slave says why", || {
            slave.status().master.and_then(|master| master.trouble)
        });
        assert!(
            ["another log", "another history", "histories part"]
                .iter()
                .any(|why| trouble.contains(why))
                && trouble.contains("rmq snapshot restore"),
            "{trouble}"
        );
        assert_eq!(slave.status().log_end, end, "nothing is cut");
        slave.stop();
    }
}

#[test]
fn a_stranger_on_the_ha_port_is_shown_out() {
    use std::io::{Read as _, Write as _};
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(root.path(), &[], &[]);
    master.start();
    send_many(&master, 50);
    let strange: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 0, 0, 0, 0, 7],
    ];
    for bytes in strange {
        let mut stranger = std::net::TcpStream::connect(("127.0.0.1", master.port + 1)).unwrap();
        stranger
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stranger.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert!(master.log().contains("is refused"), "{}", master.log());
    slave.start();
    wait_until_equal(&master, &slave);
}

#[test]
fn a_slave_takes_its_masters_place_and_the_old_master_follows() {
    let root = tempfile::tempdir().unwrap();
    let (mut master, mut slave) = pair(root.path(), &[], &[]);
    master.start();
    slave.start();
    send_many(&master, 200);
    wait_until_equal(&master, &slave);
    slave.promote(5);
    assert_eq!(send_one(&slave, "to the new master"), ResponseCode::SUCCESS);
    // Also in its old role, after a restart with its old configuration, the old one takes nothing.
    master.fence(5);
    assert_eq!(send_one(&master, "no"), ResponseCode::SERVICE_NOT_AVAILABLE);
    master.kill();
    master.start();
    assert!(master.status().fenced);
    assert_eq!(send_one(&master, "no"), ResponseCode::SERVICE_NOT_AVAILABLE);
    master.follow(&slave, 1);
    wait_until_equal(&slave, &master);
    send_many(&slave, 100);
    wait_until_equal(&slave, &master);
    slave.stop();
    master.stop();
    assert_same_log(&slave.dir, &master.dir);
    // What it was told outlives the process: a slave's port takes no message.
    master.start();
    assert_eq!(master.status().role, "SLAVE");
}

/// What a slave of the classic protocol reports.
fn report(at: u64) -> Vec<u8> {
    at.to_be_bytes().to_vec()
}

#[test]
fn a_slave_with_a_longer_or_foreign_log_is_refused_by_its_positions() {
    use std::io::{Read as _, Write as _};
    let root = tempfile::tempdir().unwrap();
    let (mut master, _) = pair(root.path(), &[], &[]);
    master.start();
    send_many(&master, 50);
    let end = master.status().log_end;
    for (at, said) in [
        (
            u64::try_from(end).unwrap() + 100,
            format!("up to {}, this master up to {end} only", end + 100),
        ),
        (7, "no record begins at position 7".to_owned()),
    ] {
        let mut slave = std::net::TcpStream::connect(("127.0.0.1", master.port + 1)).unwrap();
        slave
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        slave.write_all(&report(at)).unwrap();
        let mut answer = Vec::new();
        let _ = slave.read_to_end(&mut answer);
        assert_eq!(answer, b"");
        let line = wait_for(&said, || {
            let log = master.log();
            let line = log.lines().find(|line| line.contains(&said));
            line.map(str::to_owned)
        });
        let peer = slave.local_addr().unwrap().to_string();
        assert!(line.contains(&peer), "{peer}: {line}");
    }
    assert_eq!(master.status().log_end, end);
}
