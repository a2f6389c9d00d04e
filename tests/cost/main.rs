//! What a message costs, in instructions: fails when the way of a message through the node becomes dearer.
//!
//! The real binary runs under valgrind's callgrind, which counts instructions and knows no clock, so that a busy machine
//! changes nothing. Two runs that differ only in how many requests they get tell the price of one. Counts of a debug
//! build follow the compiler, therefore prices are compared as multiples of one plain request, which goes through the
//! same reading, parsing, routing and writing. Where there is no valgrind the test says so and does nothing.
//!
//! A price that falls is recorded anew in [`RECORDED`]; the test fails when one has fallen far, because what is below the
//! recorded price can rise without being seen.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failure here is a failed test, and its figures are for whoever reads the output"
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rmq::message::PropertiesBuf;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::Command as Frame;
use rmq::protocol::header::NoHeader;
use support::node::NodeProcess;
use support::wire::{Wire, pull, send};

/// Requests under way at a time.
const WINDOW: u32 = 32;
/// Half of the difference between two runs.
const COUNT: u32 = 1_024;
/// How far a price may rise.
const TOLERANCE: f64 = 0.10;
/// How far a price may be below what is recorded. Compilers differ a little.
const SLACK: f64 = 0.20;

/// What is done to a node, one way or the other.
#[derive(Clone, Copy, Debug)]
struct Work {
    plain: u32,
    sends: u32,
    /// Over so many queues.
    queues: i32,
    pulls: u32,
}

const NOTHING: Work = Work {
    plain: 0,
    sends: 0,
    queues: 1,
    pulls: 0,
};

/// Prices as multiples of a plain request, as they were when they were recorded.
struct Recorded {
    /// A message of 1 KiB with two properties, stored.
    send: f64,
    /// 32 of them, pulled.
    pull: f64,
}

const RECORDED: Recorded = Recorded {
    send: 4.69,
    pull: 10.03,
};

#[test]
fn a_message_costs_what_it_did() {
    if !has_valgrind() {
        eprintln!("SKIP: valgrind is not installed; the price of a message was NOT checked");
        return;
    }
    let sends = |sends, queues| Work {
        sends,
        queues,
        ..NOTHING
    };
    let stored = sends(COUNT, 1);
    let runs = [
        Work {
            plain: COUNT,
            ..NOTHING
        },
        Work {
            plain: 2 * COUNT,
            ..NOTHING
        },
        stored,
        sends(2 * COUNT, 1),
        Work {
            pulls: COUNT / 8,
            ..stored
        },
        sends(COUNT, 256),
        sends(2 * COUNT, 256),
        sends(5 * COUNT, 1),
        sends(6 * COUNT, 1),
    ];
    let counts = thread::scope(|scope| {
        let runs = runs.map(|work| scope.spawn(move || instructions(work)));
        runs.map(|run| run.join().unwrap())
    });
    let price = |from: usize, to: usize, requests: u32| {
        let difference = counts[to].checked_sub(counts[from]);
        f64::from(u32::try_from(difference.unwrap()).unwrap()) / f64::from(requests)
    };
    let plain = price(0, 1, COUNT);
    let send = price(2, 3, COUNT);
    let pull = price(2, 4, COUNT / 8);
    let spread = price(5, 6, COUNT);
    let later = price(7, 8, COUNT);
    eprintln!(
        "instructions: plain request {plain:.0}, send {send:.0} ({:.2}), pull of 32 {pull:.0} ({:.2}), \
         send to one of 256 queues {spread:.0}, send after {} others {later:.0}",
        send / plain,
        pull / plain,
        5 * COUNT,
    );
    let mut wrong = Vec::new();
    let mut compare = |what: &str, now: f64, before: f64| {
        let change = now / before - 1.0;
        let told = format!(
            "{what}: {now:.2} instead of {before:.2}, {:+.0} %",
            change * 100.0
        );
        if change > TOLERANCE {
            wrong.push(format!("dearer: {told}"));
        } else if change < -SLACK {
            wrong.push(format!("cheaper, record the new price: {told}"));
        }
    };
    compare("a send, in plain requests", send / plain, RECORDED.send);
    compare(
        "a pull of 32, in plain requests",
        pull / plain,
        RECORDED.pull,
    );
    compare("a send to one of 256 queues", spread, send);
    compare("a send after many others", later, send);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has_valgrind() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// How many instructions a node takes for `work`, its start and its stop included.
fn instructions(work: Work) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let counted = dir.path().join("callgrind");
    let mut program = Command::new("valgrind");
    program.args(["--tool=callgrind", "--quiet", "--trace-children=no"]);
    program.arg(format!("--callgrind-out-file={}", counted.display()));
    program.arg(env!("CARGO_BIN_EXE_rmq"));
    let flags = [
        "--port",
        "0",
        "--broker-port",
        "0",
        "--http",
        "off",
        "--topic",
        "t:256",
    ];
    let node = NodeProcess::start_as(program, &dir.path().join("data"), &flags, &[]);
    let mut wire = Wire::connect(node.broker).unwrap();
    let unknown = RequestCode(9_999);
    requests(
        &mut wire,
        work.plain,
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
        |_| Frame::request(unknown, &NoHeader),
    );
    let mut properties = PropertiesBuf::default();
    properties.set("UNIQ_KEY", "7F00000100002A139A8D2F3C7B4A0001");
    properties.set("WAIT", "true");
    requests(&mut wire, work.sends, ResponseCode::SUCCESS, |n| {
        let queue = i32::try_from(n).unwrap() % work.queues;
        send("t", queue, vec![b'x'; 1024], &properties)
    });
    requests(&mut wire, work.pulls, ResponseCode::SUCCESS, |n| {
        pull("t", 0, i64::from(n * 32 % (work.sends - 32)))
    });
    drop(wire);
    assert_eq!(node.stop(), Some(0));
    total(&counted)
}

/// Sends `count` requests, a window at a time, and checks each answer.
fn requests(wire: &mut Wire, count: u32, code: ResponseCode, make: impl Fn(u32) -> Frame) {
    for first in (0..count).step_by(WINDOW as usize) {
        let window: Vec<_> = (first..count.min(first + WINDOW)).map(&make).collect();
        wire.submit_all(&window).unwrap();
        for _ in &window {
            let (_, reply) = wire.next_answer().unwrap();
            assert_eq!(reply.code, code, "{}", reply.remark());
        }
    }
}

fn total(counted: &Path) -> u64 {
    let text = std::fs::read_to_string(counted).unwrap();
    let summary = text.lines().find_map(|line| line.strip_prefix("summary: "));
    summary.unwrap().trim().parse().unwrap()
}
