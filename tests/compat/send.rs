//! `rmq send` against the real broker.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::apache::{Apache, java_client};

fn rmq(apache: &Apache, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(args)
        .args(["--namesrv", &apache.name_server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs a command that must end with `code`, and returns its output.
fn ends(apache: &Apache, args: &[&str], input: &[u8], code: i32) -> (String, String) {
    let output = rmq(apache, args, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    (out, said)
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn apache_takes_what_rmq_sends() {
    let root = tempfile::tempdir().unwrap();
    let apache = Apache::start(&root.path().join("store"), &["autoCreateTopicEnable=true"]);

    // Batches: every line has its own receipt, and ids are those of the stored messages.
    let lines: Vec<String> = (0..2000).map(|n| format!("line {n}\n")).collect();
    let lines = lines.concat();
    let (receipts, _) = ends(&apache, &["send", "Lines", "--lines"], lines.as_bytes(), 0);
    let receipts = objects(&receipts);
    assert_eq!(receipts.len(), 2000);
    let (stored, _) = ends(&apache, &["consume", "Lines", "-o", "jsonl"], b"", 0);
    let ids = |rows: &[serde_json::Value]| -> std::collections::BTreeSet<(String, String)> {
        rows.iter()
            .map(|row| (row["uniqKey"].to_string(), row["msgId"].to_string()))
            .collect()
    };
    assert_eq!(ids(&objects(&stored)), ids(&receipts));

    // Order, keys and tags from the body.
    let events: Vec<String> = (0..300)
        .map(|n| format!("{{\"id\":{n},\"user\":\"u{}\"}}\n", n % 5))
        .collect();
    let events = events.concat();
    let args = [
        "send",
        "Events",
        "--lines",
        "--order-by",
        ".user",
        "--key-field",
        ".id",
        "-q",
    ];
    ends(&apache, &args, events.as_bytes(), 0);
    let (stored, _) = ends(&apache, &["consume", "Events", "-o", "jsonl"], b"", 0);
    let mut homes = std::collections::BTreeMap::new();
    for event in objects(&stored) {
        let user = event["properties"]["__SHARDINGKEY"].to_string();
        let queue = event["queueId"].as_u64();
        assert_eq!(*homes.entry(user).or_insert(queue), queue);
    }
    assert_eq!(homes.len(), 5);

    // Java unpacks what was packed here.
    let body = "a line that is much like the others\n".repeat(2000);
    for method in ["zlib", "lz4", "zstd"] {
        let args = ["send", "Packed", "--compress", method, "-q"];
        ends(&apache, &args, body.as_bytes(), 0);
    }
    let read = java_client(&["read", &apache.name_server, "Packed"]);
    let sizes: Vec<&str> = read
        .lines()
        .filter_map(|line| line.strip_prefix("MESSAGE ")?.split(' ').nth(2))
        .collect();
    assert_eq!(sizes, [body.len().to_string().as_str(); 3]);

    // Transactions.
    let exec = "test \"$(cat)\" != bad";
    let args = ["send", "Deals", "--transaction", "--lines", "--exec", exec];
    let (_, said) = ends(&apache, &args, b"good\nbad\n", 6);
    assert!(said.contains("1 committed, 1 rolled back"), "{said}");
    let args = [
        "consume",
        "Deals",
        "--follow",
        "-n",
        "1",
        "--timeout",
        "20s",
        "-f",
        "%s",
    ];
    assert_eq!(ends(&apache, &args, b"", 0).0, "good");

    // Failures are what they are against our own broker.
    let args = ["send", "Lines", "--request", "--timeout", "300ms", "2 + 2"];
    ends(&apache, &args, b"", 4);
    let long = vec![b'x'; 5 << 20];
    let (_, said) = ends(&apache, &["send", "Lines", "-q"], &long, 2);
    assert!(said.contains("the limit is"), "{said}");
    apache.stop();
}
