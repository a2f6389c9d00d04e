//! Which address clients are told: `rmq serve --advertise` and `rmq advertise`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::serve::{Node, free_ports};
use super::{rmq, run, stderr, stdout};
use crate::support::ports::Ports;

/// The broker's address, as the name server at `namesrv` tells it.
fn told(namesrv: &str) -> String {
    let output = run(["clock", "show", "--namesrv", namesrv, "-o", "jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let row: Value = serde_json::from_str(&stdout(&output)).unwrap();
    row["broker"].as_str().unwrap().to_owned()
}

fn works(namesrv: &str) {
    let output = run(["send", "orders", "hello", "--namesrv", namesrv]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_range_decides_before_everything_else() {
    let node = Node::start(&mut free_ports(&[
        "--ephemeral",
        "--topic",
        "orders",
        "--advertise",
        "10.0.0.0/8=10.9.9.9:1,127.0.0.2/32=localhost,127.0.0.1:32768",
    ]));
    assert_eq!(node.ready["advertised"], "127.0.0.1:32768");
    let (namesrv, broker) = (port(&node, "namesrvPort"), port(&node, "brokerPort"));
    assert_eq!(
        told(&format!("127.0.0.1:{namesrv}")),
        format!("127.0.0.1:{broker}")
    );
    works(&format!("127.0.0.1:{namesrv}"));
}

#[test]
fn everybody_is_told_what_they_connected_to() {
    let node = Node::start(&mut free_ports(&[
        "--ephemeral",
        "--topic",
        "orders",
        "--advertise",
        "auto",
    ]));
    let (namesrv, broker) = (port(&node, "namesrvPort"), port(&node, "brokerPort"));
    for host in ["127.0.0.1", "127.0.0.2"] {
        let at = format!("{host}:{namesrv}");
        if TcpStream::connect(&at).is_err() {
            continue; // Not every system has the whole of 127.0.0.0/8.
        }
        assert_eq!(told(&at), format!("{host}:{broker}"));
        works(&at);
    }
}

fn port(node: &Node, name: &str) -> u64 {
    node.ready[name].as_u64().unwrap()
}

fn status(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_node_that_waits_is_told_its_address_once() {
    let ports = Ports::one();
    let http_port = ports.first().to_string();
    let http = format!("127.0.0.1:{http_port}");
    let mut command = free_ports(&["--ephemeral", "--topic", "orders", "--advertise", "wait"]);
    command
        .args(["--http", &http_port])
        .stderr(Stdio::inherit());
    let starting = std::thread::spawn(move || Node::start(&mut command));
    let begin = Instant::now();
    while TcpStream::connect(&http).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    assert_eq!(status(&http, "GET /livez HTTP/1.1"), 200);
    assert_eq!(status(&http, "GET /readyz HTTP/1.1"), 503);
    assert!(!starting.is_finished());
    let tell = |address: &str| -> Output {
        rmq(["advertise", address, "--http", &http])
            .output()
            .unwrap()
    };
    assert_eq!(tell("no/address").status.code(), Some(2));
    let output = tell("127.0.0.9:32768");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let node = starting.join().unwrap();
    assert_eq!(node.ready["advertised"], "127.0.0.9:32768");
    assert_eq!(status(&http, "GET /readyz HTTP/1.1"), 200);
    works(&node.address("namesrv").replace("0.0.0.0", "127.0.0.1"));
    let again = tell("127.0.0.8:1");
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
}

#[test]
fn what_contradicts_itself_is_refused() {
    for advertise in ["wait,a:1", "a b", "10.0.0.0/99=a", "a:0"] {
        let output = free_ports(&["--ephemeral", "--advertise", advertise])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{advertise}: {}",
            stderr(&output)
        );
    }
    let output = run(["advertise", "a:1", "--http", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}
