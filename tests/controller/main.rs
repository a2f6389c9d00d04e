//! Three controllers as real processes: one is killed, all are killed, and what they agreed on stays.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply};
use rmq::protocol::header::namesrv::BrokerHeartbeatRequestHeader;
use rmq::protocol::header::{Header, NoHeader, controller as header};
use support::node::NodeProcess;
use support::ports::Ports;
use support::wire::Wire;

const NAME: &str = "broker-a";
const SOON: Duration = Duration::from_secs(30);

/// Where the three listen.
fn addresses(ports: &Ports) -> Vec<SocketAddr> {
    let listens = |at| SocketAddr::from(([127, 0, 0, 1], ports.first() + at));
    (0..3).map(listens).collect()
}

fn start(dir: &Path, addresses: &[SocketAddr], at: usize) -> NodeProcess {
    let peers = (0..).zip(addresses);
    let peers: Vec<_> = peers
        .map(|(at, address)| format!("n{at}-{address}"))
        .collect();
    let (peers, id) = (peers.join(";"), format!("n{at}"));
    let flags = [
        "--role",
        "controller",
        "--controller-peers",
        &peers,
        "--controller-id",
        &id,
        "--http",
        "off",
    ];
    NodeProcess::start_with(&dir.join(&id), &flags, &[])
}

fn start_all(dir: &Path, addresses: &[SocketAddr]) -> Vec<Option<NodeProcess>> {
    thread::scope(|scope| {
        let starting: Vec<_> = (0..addresses.len())
            .map(|at| scope.spawn(move || start(dir, addresses, at)))
            .collect();
        let started = starting.into_iter().map(|one| Some(one.join().unwrap()));
        started.collect()
    })
}

fn ask(address: SocketAddr, code: RequestCode, header: &impl Header) -> std::io::Result<Reply> {
    Wire::connect(address)?.call(&Command::request(code, header))
}

/// The first of them that says it leads.
fn leader(addresses: &[SocketAddr]) -> usize {
    let deadline = Instant::now() + SOON;
    loop {
        let leads = |address: &SocketAddr| {
            let reply = ask(
                *address,
                RequestCode::CONTROLLER_GET_METADATA_INFO,
                &NoHeader,
            );
            reply.is_ok_and(|reply| {
                let header: header::GetMetaDataResponseHeader<'_> = reply.header().unwrap();
                header.is_leader
            })
        };
        if let Some(at) = addresses.iter().position(leads) {
            return at;
        }
        assert!(Instant::now() < deadline, "no controller leads");
        thread::yield_now();
    }
}

/// Master and epoch according to the controller that leads.
fn master(address: SocketAddr) -> (Option<i64>, Option<i32>) {
    let asked = header::GetReplicaInfoRequestHeader { broker_name: NAME };
    let reply = ask(address, RequestCode::CONTROLLER_GET_REPLICA_INFO, &asked).unwrap();
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
    let info: header::GetReplicaInfoResponseHeader<'_> = reply.header().unwrap();
    (info.master_broker_id, info.master_epoch)
}

/// A broker that is alive as long as its connection, and the master from now on.
fn register_master(address: SocketAddr) -> Wire {
    let mut wire = Wire::connect(address).unwrap();
    let mut expect = |code: RequestCode, header: &dyn Header| {
        let reply = wire.call(&Command::request(code, header)).unwrap();
        assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
    };
    expect(
        RequestCode::CONTROLLER_APPLY_BROKER_ID,
        &header::ApplyBrokerIdRequestHeader {
            cluster_name: "c",
            broker_name: NAME,
            applied_broker_id: 1,
            register_check_code: "127.0.0.1:1;7",
        },
    );
    expect(
        RequestCode::BROKER_HEARTBEAT,
        &BrokerHeartbeatRequestHeader {
            cluster_name: "c",
            broker_addr: "127.0.0.1:1",
            broker_name: NAME,
            broker_id: Some(1),
            heartbeat_timeout_mills: Some(600_000),
            ..BrokerHeartbeatRequestHeader::default()
        },
    );
    expect(
        RequestCode::CONTROLLER_ELECT_MASTER,
        &header::ElectMasterRequestHeader {
            cluster_name: "c",
            broker_name: NAME,
            broker_id: 1,
            designate_elect: false,
            invoke_time: 0,
        },
    );
    wire
}

#[test]
fn what_was_agreed_on_survives_a_killed_leader_and_the_end_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let ports = Ports::reserve(3);
    let addresses = addresses(&ports);
    let mut all = start_all(dir.path(), &addresses);
    let first = leader(&addresses);
    let _broker = register_master(addresses[first]);
    assert_eq!(master(addresses[first]), (Some(1), Some(1)));

    all[first].take().unwrap().kill();
    let second = leader(&addresses);
    assert_ne!(second, first);
    assert_eq!(master(addresses[second]), (Some(1), Some(1)));

    for one in all.drain(..).flatten() {
        one.kill();
    }
    // A record that the crash left unfinished must not matter.
    let log = dir.path().join(format!("n{second}/controller/log"));
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend_from_slice(&[0, 0, 1, 7, 9]);
    std::fs::write(&log, bytes).unwrap();

    let _all = start_all(dir.path(), &addresses);
    let third = leader(&addresses);
    assert_eq!(master(addresses[third]), (Some(1), Some(1)));
}

#[test]
fn a_damaged_log_is_named_and_nothing_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("c");
    let flags = [
        "--role",
        "controller",
        "--controller-port",
        "0",
        "--http",
        "off",
    ];
    NodeProcess::start_with(&data, &flags, &[]).kill();
    let log = data.join("controller/log");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(["serve", "--data-dir"])
        .arg(&data)
        .args(flags)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("log is damaged at byte"), "{told}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes);
}
