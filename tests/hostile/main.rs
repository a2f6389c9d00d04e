//! Bytes from outside that mean harm: on every port, in requests, in every file of a store.

#![allow(clippy::unwrap_used, reason = "a test, its helpers included")]

#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rmq::message::PropertiesBuf;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::Command;
use rmq::protocol::header::NoHeader;
use support::node::NodeProcess;
use support::wire::{Wire, send};

const TOPIC: &str = "Hostile";

/// What strangers say when they find the port.
fn greetings() -> Vec<(&'static str, Vec<u8>)> {
    let noise: Vec<u8> = (0_u32..4096)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let frame = |header: &[u8], kind: u8| {
        let header_len = u32::try_from(header.len()).unwrap();
        let mut bytes = (header_len + 4).to_be_bytes().to_vec();
        bytes.extend_from_slice(&(header_len | u32::from(kind) << 24).to_be_bytes());
        bytes.extend_from_slice(header);
        bytes
    };
    vec![
        ("random bytes", noise),
        ("2 GiB length", vec![0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1]),
        ("negative length", vec![0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 1]),
        ("zero length", vec![0; 64]),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "TLS hello",
            vec![
                0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, 0, 0, 0, 0,
            ],
        ),
        (
            "header longer than the frame",
            vec![0, 0, 0, 8, 0, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4],
        ),
        ("no JSON", frame(b"{\"code\":", 0)),
        ("deep JSON", frame(&b"[".repeat(100_000), 0)),
        ("unknown serialization", frame(b"{}", 9)),
        (
            "binary header that lies",
            frame(
                &[
                    0, 10, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF,
                ],
                1,
            ),
        ),
    ]
}

#[test]
fn strangers_on_the_ports_do_no_harm() {
    let root = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(&root.path().join("node"), &[]);
    for server in [node.name_server, node.broker] {
        for (what, bytes) in greetings() {
            let answered = greet(server, &bytes);
            assert!(answered < 4096, "{what}: {answered} bytes came back");
            greet(server, &bytes[..bytes.len() / 2]);
        }
    }
    assert_serves(&node);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// Says something, closes the sending side, and counts what comes back until the server closes too.
fn greet(server: SocketAddr, bytes: &[u8]) -> usize {
    let mut socket = TcpStream::connect(server).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // The server may close while we are still talking.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            panic!("{server} keeps the connection open after {bytes:?}")
        }
        _ => answer.len(),
    }
}

fn assert_serves(node: &NodeProcess) {
    let mut wire = Wire::connect(node.broker).unwrap();
    let reply = wire
        .call(&send(TOPIC, 0, "still here", &PropertiesBuf::new()))
        .unwrap();
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
    assert!(
        wire.drain_queue(TOPIC, 0)
            .unwrap()
            .iter()
            .any(|(_, body)| body == b"still here")
    );
}

#[test]
fn bad_requests_get_apaches_codes() {
    let root = tempfile::tempdir().unwrap();
    let server = NodeProcess::start(&root.path().join("node"), &[]);
    let mut wire = Wire::connect(server.broker).unwrap();
    let none = PropertiesBuf::new();
    let long_topic = "t".repeat(128);
    let mut no_fields = send(TOPIC, 0, "x", &none);
    no_fields.fields = rmq::protocol::command::Fields::new();
    let bad_number = send(TOPIC, 0, "x", &none).with_field("e", "seven");
    let cases: Vec<(&str, Command, ResponseCode)> = vec![
        (
            "illegal topic",
            send("a/b", 0, "x", &none),
            ResponseCode::INVALID_PARAMETER,
        ),
        (
            "long topic",
            send(&long_topic, 0, "x", &none),
            ResponseCode::INVALID_PARAMETER,
        ),
        (
            "system topic",
            send("SCHEDULE_TOPIC_XXXX", 0, "x", &none),
            ResponseCode::NO_PERMISSION,
        ),
        (
            "queue out of range",
            send(TOPIC, 99, "x", &none),
            ResponseCode::INVALID_PARAMETER,
        ),
        (
            "body over the limit",
            send(TOPIC, 0, vec![b'x'; (4 << 20) + 1], &none),
            ResponseCode::MESSAGE_ILLEGAL,
        ),
        ("no fields", no_fields, ResponseCode::SYSTEM_ERROR),
        (
            "a word for a number",
            bad_number,
            ResponseCode::SYSTEM_ERROR,
        ),
        (
            "unknown code",
            Command::request(RequestCode(29_999), &NoHeader),
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
        ),
    ];
    for (what, command, code) in cases {
        let reply = wire.call(&command).unwrap();
        assert_eq!(reply.code, code, "{what}: {:?}", reply.remark);
        assert!(
            !reply.remark().is_empty(),
            "{what}: the answer has no reason"
        );
    }
    assert_serves(&server);
}

/// Every file a stopped node leaves behind, except the lock.
fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn garbage_in_any_file_is_survived_or_named() {
    const SMALL: &[&str] = &[
        "mappedFileSizeCommitLog=65536",
        "mappedFileSizeConsumeQueue=2000",
        "maxHashSlotNum=50",
        "maxIndexNum=200",
    ];
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("node");
    let node = NodeProcess::start(&data_dir, SMALL);
    let mut wire = Wire::connect(node.broker).unwrap();
    for number in 0..200 {
        let mut properties = PropertiesBuf::new();
        properties.set("KEYS", format!("k{number}"));
        let reply = wire
            .call(&send(TOPIC, 0, format!("message {number}"), &properties))
            .unwrap();
        assert_eq!(reply.code, ResponseCode::SUCCESS);
    }
    drop(wire);
    assert_eq!(node.stop(), Some(0));

    for file in files_of(&data_dir) {
        let original = std::fs::read(&file).unwrap();
        if original.is_empty() {
            continue;
        }
        // Noise over the head of the file, its length kept.
        let mut damaged = original.clone();
        for (index, byte) in damaged.iter_mut().take(600).enumerate() {
            *byte = u8::try_from((index * 151 + 77) % 251).unwrap();
        }
        std::fs::write(&file, &damaged).unwrap();
        let copy = root.path().join("copy");
        copy_dir(&data_dir, &copy);
        std::fs::write(&file, &original).unwrap();
        let name = file.strip_prefix(&data_dir).unwrap().display().to_string();
        start_on_damage(&copy, SMALL, &name);
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

/// A damaged directory either serves, or is refused with an error that names the file.
fn start_on_damage(data_dir: &Path, settings: &[&str], file: &str) {
    let log = data_dir.with_extension("log");
    let _ = std::fs::remove_file(&log);
    let started = std::panic::catch_unwind(|| NodeProcess::start(data_dir, settings));
    if let Ok(node) = started {
        assert_serves(&node);
        assert!(!node.log().contains("panicked"), "{file}: {}", node.log());
        assert_eq!(node.stop(), Some(0), "{file}");
    } else {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let base = file.rsplit('/').next().unwrap();
        assert!(
            said.contains(base) && !said.contains("panicked"),
            "{file} is damaged, the node said: {said}"
        );
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
