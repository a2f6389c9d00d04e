//! `rmq record` and `rmq replay`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::messages::{Node, code, numbered, objects};
use super::{run, stderr, stdout};

/// Bodies by queue, each in order.
fn by_queue(messages: &[Value]) -> BTreeMap<u64, Vec<String>> {
    let mut queues: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for message in messages {
        let body = message["bodyText"].as_str().unwrap().to_owned();
        let queue = message["queueId"].as_u64().unwrap();
        queues.entry(queue).or_default().push(body);
    }
    queues
}

#[test]
fn help_of_both() {
    super::golden_help("record", &["record"]);
    super::golden_help("replay", &["replay"]);
}

/// What is recorded and replayed is what was sent: bodies, keys, tags, properties, and the order within each queue.
#[test]
fn a_recording_makes_the_same_messages_again() {
    let node = Node::start_with(&["--topic", "orders:4", "--topic", "copy:4"]);
    let lines = numbered("body ", 200);
    let args = [
        "send", "orders", "--lines", "--tag", "paid", "--key", "k1", "-H", "mine=1",
    ];
    let sent = node.with_input(&[&args[..], &["-q"]].concat(), lines.as_bytes());
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
    let recorded = node.run(&["record", "--topic", "orders"]);
    assert_eq!(code(&recorded), Some(0), "{}", stderr(&recorded));
    assert!(
        stderr(&recorded).contains("200 recorded"),
        "{}",
        stderr(&recorded)
    );
    let rows = objects(&stdout(&recorded));
    assert_eq!(rows.len(), 201);
    assert_eq!(rows[0]["rmqRecording"], 1);
    assert_eq!(rows[0]["topics"]["orders"].as_array().unwrap().len(), 4);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orders.rmq");
    std::fs::write(&file, &recorded.stdout).unwrap();
    let file = file.to_str().unwrap();
    let replayed = node.run(&["replay", file, "--map", "orders=copy", "--speed", "asap"]);
    assert_eq!(code(&replayed), Some(0), "{}", stderr(&replayed));
    assert!(
        stderr(&replayed).contains("200 sent"),
        "{}",
        stderr(&replayed)
    );
    let copies = objects(&node.ok(&["consume", "copy", "-o", "jsonl"]));
    assert_eq!(by_queue(&copies), by_queue(&rows[1..]));
    for copy in &copies {
        assert_eq!(copy["tags"], "paid");
        assert_eq!(copy["keys"], "k1");
        assert_eq!(copy["properties"]["mine"], "1");
    }

    // The last ones only, and through a pipe.
    let last = node.run(&["record", "--topic", "orders", "--last", "5"]);
    assert_eq!(objects(&stdout(&last)).len(), 6);
    let piped = node.with_input(&["replay", "-", "--map", "orders=one"], &last.stdout);
    assert_eq!(code(&piped), Some(0), "{}", stderr(&piped));
    assert_eq!(
        objects(&node.ok(&["consume", "one", "-o", "jsonl"])).len(),
        5
    );
}

fn recording(lines: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.rmq");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let name = file.to_str().unwrap().to_owned();
    (dir, name)
}

const HEADER: &str = r#"{"rmqRecording":1,"topics":{"orders":["broker-a/0"]}}"#;

#[test]
fn the_gaps_are_kept_and_divided_by_the_speed() {
    let (_dir, file) = recording(&[
        HEADER,
        r#"{"topic":"orders","queueId":0,"storeTimestamp":1000,"bodyText":"a"}"#,
        r#"{"topic":"orders","queueId":0,"storeTimestamp":5000,"bodyText":"b"}"#,
    ]);
    let plan = run([
        "replay",
        &file,
        "--dry-run",
        "--speed",
        "10x",
        "--map",
        "orders=one",
    ]);
    assert_eq!(code(&plan), Some(0), "{}", stderr(&plan));
    let rows = objects(&stdout(&plan));
    assert_eq!(
        (&rows[0]["afterMs"], &rows[1]["afterMs"]),
        (&0.into(), &400.into())
    );
    assert_eq!(rows[1]["topic"], "one");
    let node = Node::start();
    let ran = node.run(&["replay", &file, "--speed", "10x", "--map", "orders=one"]);
    assert_eq!(code(&ran), Some(0), "{}", stderr(&ran));
    let stored = objects(&node.ok(&["consume", "one", "-o", "jsonl"]));
    let at = |nth: usize| stored[nth]["storeTimestamp"].as_i64().unwrap();
    assert!(at(1) - at(0) >= 390, "{} ms", at(1) - at(0));
}

#[test]
fn a_broken_line_is_named_and_the_rest_is_sent() {
    let (dir, file) = recording(&[
        HEADER,
        r#"{"topic":"orders","bodyText":"{\"card\":\"4111\",\"n\":1}"}"#,
        r#"{"topic":"orders","bodyTe"#,
        r#"{"topic":"orders","bodyText":"{\"n\":2}"}"#,
        r#"{"topic":"orders","bodyText":"card 4111"}"#,
    ]);
    let node = Node::start();
    let report = dir.path().join("report.jsonl");
    let report = report.to_str().unwrap();
    let args = [
        "replay",
        &file,
        "--map",
        "orders=one",
        "--scrub",
        ".card=\"****\"",
    ];
    let ran = node.run(&[&args[..], &["--report", report]].concat());
    assert_eq!(code(&ran), Some(6), "{}", stderr(&ran));
    assert!(
        stderr(&ran).contains("not sent: line 3:"),
        "{}",
        stderr(&ran)
    );
    assert!(
        stderr(&ran).contains("not sent: line 5:"),
        "{}",
        stderr(&ran)
    );
    assert!(
        stderr(&ran).contains("2 sent, 2 not acknowledged"),
        "{}",
        stderr(&ran)
    );
    let stored = objects(&node.ok(&["consume", "one", "-o", "jsonl"]));
    assert_eq!(stored[0]["bodyText"], r#"{"card":"****","n":1}"#);
    assert_eq!(stored[1]["bodyText"], r#"{"n":2}"#);
    // What was stored is not sent again.
    let again = node.run(&[&args[..], &["--resume", report]].concat());
    assert_eq!(code(&again), Some(1), "{}", stderr(&again));
    assert_eq!(
        objects(&node.ok(&["consume", "one", "-o", "jsonl"])).len(),
        2
    );
}

#[test]
fn files_that_are_no_recordings_are_refused() {
    let (_dir, newer) = recording(&[r#"{"rmqRecording":2}"#]);
    let output = run(["replay", &newer, "--dry-run"]);
    assert_eq!(code(&output), Some(1));
    let said = stderr(&output);
    assert!(said.contains("version 2, this rmq reads up to 1"), "{said}");
    let (_dir, other) = recording(&[r#"{"topic":"t","bodyText":"x"}"#]);
    let output = run(["replay", &other, "--dry-run"]);
    assert!(
        stderr(&output).contains("line 1 is not the header"),
        "{}",
        stderr(&output)
    );
    assert_eq!(code(&run(["replay", "no-such-file"])), Some(3));
    assert_eq!(code(&run(["replay", &other, "--speed", "fast"])), Some(2));
    let node = Node::start();
    assert_eq!(code(&node.run(&["record", "--topic", "nothing"])), Some(3));
    assert_eq!(
        code(&node.run(&["record", "--topic", "one", "-o", "csv"])),
        Some(2)
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_what_was_sent() {
    use std::io::Read as _;
    use std::process::Stdio;
    let (_dir, file) = recording(&[
        HEADER,
        r#"{"topic":"orders","storeTimestamp":1000,"bodyText":"a"}"#,
        r#"{"topic":"orders","storeTimestamp":9000000,"bodyText":"b"}"#,
    ]);
    let node = Node::start();
    let mut child = node
        .command(&["replay", &file, "--map", "orders=one"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first = node.ok(&[
        "consume", "one", "--expect", "1", "--within", "30s", "-o", "jsonl",
    ]);
    assert_eq!(objects(&first).len(), 1);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("interrupted: 1 sent"), "{said}");
}
