//! `rmq doctor`, `rmq why` and `rmq trace` against nodes of ours, as people and scripts see them.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{first_line, rmq, stderr, stdout};
use crate::support::ports::Ports;

/// The disk of the machine that runs the tests may be rather full.
const ANY_DISK: &str = "diskMaxUsedSpaceRatio=95";

/// A running `rmq serve` on free ports, killed with the test.
struct Node {
    child: Child,
    ready: Value,
}

impl Node {
    fn start(flags: &[&str]) -> Self {
        let mut child = rmq(["serve", "--port", "0", "--broker-port", "0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ready = serde_json::from_str(&first_line(&mut child)).unwrap();
        Self { child, ready }
    }

    fn name_server(&self) -> &str {
        self.ready["namesrv"].as_str().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = rmq(args);
        command.args(["--namesrv", self.name_server()]);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// A consumer of a group, in the background.
    fn consumer(&self, args: &[&str]) -> Background {
        let mut command = self.command(args);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Background(command.spawn().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rows(output: &Output) -> Vec<Value> {
    let rows: Value = serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)));
    rows.as_array().unwrap().clone()
}

/// The ids of what is found, without this machine's.
fn ids(output: &Output) -> Vec<String> {
    rows(output)
        .iter()
        .filter(|row| row["link"] != "machine")
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect()
}

/// Asks again until a finding is there: members come and go within heartbeats.
fn until_found(node: &Node, args: &[&str], id: &str) -> Output {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let output = node.run(args);
        if ids(&output).iter().any(|found| found == id) {
            return output;
        }
        assert!(Instant::now() < deadline, "{id}: {}", stdout(&output));
    }
}

/// Compares with a recorded file; addresses and the disk's filling differ from run to run, this machine from others.
fn assert_snapshot(name: &str, output: &Output) {
    let mut lines = Vec::new();
    let mut skipping = false;
    for line in stdout(output).lines() {
        let is_head = !line.starts_with(' ');
        if is_head {
            skipping = line.contains("machine  ") || line.contains("\"link\":\"machine\"");
        }
        if !skipping {
            lines.push(masked(line));
        }
    }
    let text = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}; UPDATE_SNAPSHOTS=1 records it anew");
}

/// Ports become PORT, and figures of the disk N.
fn masked(line: &str) -> String {
    let mut text = line.to_owned();
    for (before, mask) in [("127.0.0.1:", "PORT"), ("\"diskUsed\":", "N")] {
        let mut from = 0;
        while let Some(at) = text[from..].find(before) {
            let start = from + at + before.len();
            let digits = |c: char| !(c.is_ascii_digit() || c == '.');
            let end = text[start..]
                .find(digits)
                .map_or(text.len(), |end| start + end);
            text.replace_range(start..end, mask);
            from = start + mask.len();
        }
    }
    match text.find(" % used;") {
        Some(end) => {
            let start = text[..end]
                .rfind(|c: char| !c.is_ascii_digit())
                .map_or(0, |at| at + 1);
            format!("{}N{}", &text[..start], &text[end..])
        }
        None => text,
    }
}

#[test]
fn a_default_node_has_open_links() {
    let node = Node::start(&["--ephemeral", "--set", ANY_DISK]);
    let output = node.run(&["doctor", "--interval", "1ms", "-o", "table"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert_snapshot("doctor-default.txt", &output);
    assert!(
        stderr(&output).starts_with("0 errors · 3 warnings · "),
        "{}",
        stderr(&output)
    );

    let output = node.run(&["doctor", "--interval", "1ms", "-o", "jsonl"]);
    assert_snapshot("doctor-default.jsonl", &output);
    let output = node.run(&["doctor", "--fail-on", "error", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let open = [
        "RMQ-D003", "RMQ-D012", "RMQ-D020", "RMQ-D030", "RMQ-D023", "RMQ-D040", "RMQ-D050",
    ];
    assert_eq!(ids(&output), open);
}

#[test]
fn a_durable_node_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let node = Node::start(&[
        "--durable",
        "--topic",
        "orders:2",
        "--data-dir",
        data,
        "--set",
        ANY_DISK,
    ]);
    let output = node.run(&["doctor", "--interval", "1ms", "-o", "table"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_snapshot("doctor-durable.txt", &output);
    assert!(
        stderr(&output).starts_with("0 errors · 0 warnings · "),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("14 of 14 links closed"),
        "{}",
        stderr(&output)
    );
    let refused = node.run(&["send", "ordres", "x"]);
    assert_ne!(
        refused.status.code(),
        Some(0),
        "a mistyped topic is refused"
    );
}

#[test]
fn what_contradicts_durable_is_refused() {
    for (flags, named) in [
        (&["--fsync", "interval"][..], "--fsync: flushDiskType"),
        (
            &["--set", "cleanFileForciblyEnable=true"],
            "--set: cleanFileForciblyEnable",
        ),
        (&["--set", "transactionCheckMax=5"], "needs at least 120"),
        (&["--ephemeral"], "--ephemeral"),
        (&["--role", "namesrv"], "keeps no messages"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = rmq(["serve", "--durable", "--port", "0"]);
        command.args(flags);
        if !flags.contains(&"--ephemeral") {
            command.arg("--data-dir").arg(dir.path().join("d"));
        }
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{flags:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(named),
            "{flags:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn members_that_disagree_are_found_and_why_says_who() {
    let node = Node::start(&["--ephemeral", "--topic", "orders:2"]);
    let _a = node.consumer(&[
        "consume", "orders", "-g", "billing", "--tag", "paid", "--follow",
    ]);
    let _b = node.consumer(&[
        "consume", "orders", "-g", "billing", "--tag", "open", "--follow",
    ]);
    let ask = ["doctor", "--interval", "1ms", "-o", "json"];
    let output = until_found(&node, &ask, "RMQ-D061");
    assert_eq!(output.status.code(), Some(7));
    let rows = rows(&output);
    let found = rows.iter().find(|row| row["id"] == "RMQ-D061").unwrap();
    assert_eq!(found["level"], "error");
    assert_eq!(found["subject"], "billing");
    let told = &found["evidence"]["topics"]["orders"];
    let filters: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|wish| wish["filter"]["expression"].as_str().unwrap())
        .collect();
    assert_eq!(filters, ["open", "paid"]);

    let output = until_found(
        &node,
        &["why", "billing", "--interval", "1ms", "-o", "json"],
        "RMQ-D061",
    );
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn why_knows_groups_that_nobody_is_in() {
    let node = Node::start(&["--ephemeral", "--topic", "orders:1"]);
    let output = node.run(&["why", "billing"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("there is no group billing"),
        "{}",
        stderr(&output)
    );

    for body in ["1", "2", "3"] {
        assert!(node.run(&["send", "orders", body]).status.success());
    }
    let took = node.run(&[
        "consume", "orders", "-g", "billing", "--from", "earliest", "-n", "1",
    ]);
    assert!(took.status.success(), "{}", stderr(&took));
    assert!(node.run(&["send", "orders", "4"]).status.success());
    let args = [
        "why",
        "billing",
        "orders",
        "--interval",
        "1ms",
        "-o",
        "json",
    ];
    let output = until_found(&node, &args, "RMQ-W003");
    assert_eq!(output.status.code(), Some(7));
    assert!(
        ids(&output).contains(&"RMQ-W012".to_owned()),
        "{}",
        stdout(&output)
    );
}

#[test]
fn why_finds_nothing_in_the_way_of_a_group_that_keeps_up() {
    let node = Node::start(&["--ephemeral", "--topic", "orders:1"]);
    let _consumer = node.consumer(&[
        "consume", "orders", "-g", "billing", "--from", "earliest", "--follow",
    ]);
    assert!(node.run(&["send", "orders", "1"]).status.success());
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let output = node.run(&["why", "billing", "--interval", "1ms", "-o", "table"]);
        if output.status.code() == Some(0) {
            assert!(
                stdout(&output).contains("✓ owners        1 queue owned"),
                "{}",
                stdout(&output)
            );
            break;
        }
        assert!(Instant::now() < deadline, "{}", stdout(&output));
    }
}

#[test]
fn why_tells_that_a_filter_skips_everything() {
    let node = Node::start(&["--ephemeral", "--topic", "orders:1"]);
    let args = [
        "consume", "orders", "-g", "billing", "--tag", "piad", "--from", "earliest", "--follow",
    ];
    let _consumer = node.consumer(&args);
    assert!(
        node.run(&["send", "orders", "1", "--tag", "paid"])
            .status
            .success()
    );
    let args = ["why", "billing", "--interval", "1ms", "-o", "json"];
    let output = until_found(&node, &args, "RMQ-W008");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_message_is_followed_through_delay_failure_and_retry() {
    let node = Node::start(&["--ephemeral", "--virtual-clock", "--topic", "orders:1"]);
    let events = |args: &[&str]| -> Vec<String> {
        let output = node.run(args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let events = rows(&output);
        let names = events
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned());
        names.collect()
    };
    let sent = node.run(&[
        "send", "orders", "x", "--key", "k1", "--delay", "1h", "-o", "name",
    ]);
    let id = stdout(&sent).trim().to_owned();
    let by_id = ["trace", &id, "-o", "json"];
    assert_eq!(events(&by_id), ["message", "born", "delayed"]);
    assert!(node.run(&["clock", "advance", "2h"]).status.success());
    let deadline = Instant::now() + Duration::from_mins(1);
    while !events(&by_id).contains(&"stored".to_owned()) {
        assert!(Instant::now() < deadline);
    }
    let by_key = ["trace", "--key", "k1", "-o", "json"];
    assert_eq!(
        events(&by_key),
        ["message", "born", "delayed", "stored", "indexed"]
    );

    let consume = [
        "consume", "orders", "-g", "billing", "--from", "earliest", "--idle", "1s",
    ];
    let mut failing = consume.to_vec();
    failing.extend(["--fail-first", "1"]);
    node.run(&failing);
    let expected = ["message", "born", "delayed", "stored", "indexed", "failed"];
    assert_eq!(events(&by_id), expected);
    assert!(node.run(&["clock", "advance", "1h"]).status.success());
    let deadline = Instant::now() + Duration::from_mins(1);
    while events(&by_id).last().unwrap() != "consumed" {
        assert!(Instant::now() < deadline, "{:?}", events(&by_id));
        node.run(&consume);
    }
    let expected = [
        "message", "born", "delayed", "stored", "indexed", "failed", "retry", "consumed",
    ];
    assert_eq!(events(&by_id), expected);
    let unknown = node.run(&["trace", "7F000001000000000000000000000000"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
}

#[test]
fn one_silent_name_server_and_a_bundle() {
    let node = Node::start(&["--ephemeral"]);
    let ports = Ports::one();
    let address = format!("127.0.0.1:{}", ports.first());
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("report.tar.gz");
    let both = format!("{};{address}", node.name_server());
    let output = rmq([
        "doctor",
        "--interval",
        "1ms",
        "-o",
        "json",
        "--namesrv",
        &both,
        "--bundle",
    ])
    .arg(&bundle)
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(ids(&output)[0], "RMQ-D001");
    let file = std::fs::File::open(&bundle).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    names.retain(|name| !name.contains("namesrv-"));
    assert_eq!(
        names,
        [
            "rmq-doctor/about.json",
            "rmq-doctor/broker-broker-a-0.properties",
            "rmq-doctor/broker-broker-a-0.runtime",
            "rmq-doctor/facts.json",
            "rmq-doctor/findings.json",
        ]
    );
}

#[test]
fn nobody_to_ask_still_looks_at_the_machine() {
    let ports = Ports::one();
    let address = format!("127.0.0.1:{}", ports.first());
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("commitlog")).unwrap();
    std::fs::write(dir.path().join("abort"), "1").unwrap();
    let output = rmq(["doctor", "-o", "json", "--namesrv", &address, "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let found = rows(&output);
    assert!(found.iter().any(|row| row["id"] == "RMQ-D090"), "{found:?}");
    assert!(
        stderr(&output).contains("no name server answers"),
        "{}",
        stderr(&output)
    );
}
