//! `rmq bench` and `rmq top --once`.

use serde_json::Value;

use super::messages::{Node, code, objects};
use super::{run, stderr, stdout};

fn row(output: &std::process::Output) -> Value {
    let rows: Value = serde_json::from_str(&stdout(output)).unwrap();
    rows[0].clone()
}

#[test]
fn help_of_both() {
    super::golden_help("bench", &["bench"]);
    super::golden_help("top", &["top"]);
}

/// Each kind counts what it says, and leaves neither topic nor group behind.
#[test]
fn every_kind_counts_and_cleans_up() {
    let node = Node::start();
    for what in ["send", "consume", "e2e"] {
        let args = [
            "bench",
            what,
            "-n",
            "500",
            "--size",
            "100",
            "--warm-up",
            "50",
        ];
        let output = node.run(&[&args[..], &["--clients", "2", "-o", "json"]].concat());
        assert_eq!(code(&output), Some(0), "{what}: {}", stderr(&output));
        let row = row(&output);
        assert_eq!(row["messages"], 500, "{row}");
        assert_eq!(row["failed"], 0);
        assert!(row["messagesPerSecond"].as_f64().unwrap() > 0.0, "{row}");
        let latency = ["minMs", "p50Ms", "p99Ms", "maxMs"].map(|name| row[name].as_f64());
        if what == "consume" {
            assert_eq!(latency, [None; 4], "{row}");
        } else {
            assert!(latency.is_sorted() && latency[0] > Some(0.0), "{row}");
        }
        assert!(
            stderr(&output).contains("measured: "),
            "{}",
            stderr(&output)
        );
        let topics = node.ok(&["topic", "ls", "--all", "-o", "name"]);
        assert!(!topics.contains("rmq_bench_"), "{what}: {topics}");
        let groups = node.ok(&["group", "ls", "-o", "name"]);
        assert!(!groups.contains("rmq_bench_"), "{what}: {groups}");
    }
}

/// A topic that is given is used and kept; batches count as the messages in them; a rate is kept to.
#[test]
fn a_given_topic_is_kept_and_a_rate_too() {
    let node = Node::start();
    let args = [
        "bench", "send", "-n", "100", "--batch", "10", "--topic", "one",
    ];
    let output = node.run(
        &[
            &args[..],
            &["--warm-up", "0", "--rate", "200/s", "-o", "json"],
        ]
        .concat(),
    );
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let row = row(&output);
    assert_eq!(row["rate"], "200/s");
    assert!(row["seconds"].as_f64().unwrap() >= 0.4, "{row}");
    let stored = objects(&node.ok(&["consume", "one", "-o", "jsonl"]));
    assert_eq!(stored.len(), 100);
    assert_eq!(stored[0]["bodyLength"], 1024);
}

#[test]
fn wrong_numbers_and_nobody_there() {
    for args in [
        &["bench", "send", "-n", "many"][..],
        &["bench", "send", "--size", "5"],
        &["bench", "fly"],
        &["bench", "send", "-n", "0"],
    ] {
        assert_eq!(code(&run(args)), Some(2), "{args:?}");
    }
    let gone = run(["bench", "send", "-n", "1", "--namesrv", "127.0.0.1:1"]);
    assert_eq!(code(&gone), Some(4), "{}", stderr(&gone));
    let plan = run(["bench", "send", "--dry-run", "--namesrv", "127.0.0.1:1"]);
    assert_eq!(code(&plan), Some(0));
    assert!(stderr(&plan).contains("would send 100000 messages"));
}

#[test]
fn top_shows_groups_topics_and_brokers_once() {
    let node = Node::start();
    node.ok(&["send", "one", "a", "b", "c"]);
    node.ok(&[
        "consume", "one", "-g", "billing", "-n", "1", "--from", "earliest",
    ]);
    let printed = node.ok(&["top", "--once", "--interval", "200ms", "-o", "json"]);
    let rows: Value = serde_json::from_str(&printed).unwrap();
    let find = |kind: &str, name: &str| -> Value {
        let rows = rows.as_array().unwrap().iter();
        let mut found = rows.filter(|row| row["kind"] == kind && row["name"] == name);
        found
            .next()
            .unwrap_or_else(|| panic!("no {kind} {name} in {printed}"))
            .clone()
    };
    let topic = find("topic", "one");
    assert_eq!(
        (&topic["messages"], &topic["inTps"]),
        (&3.into(), &0.0.into())
    );
    let group = find("group", "billing");
    assert_eq!((&group["lag"], &group["members"]), (&2.into(), &0.into()));
    let brokers = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "broker");
    let brokers: Vec<_> = brokers.collect();
    assert!(brokers.len() == 1 && brokers[0]["diskPercent"].is_number());
    let filtered = node.ok(&[
        "top",
        "--once",
        "--interval",
        "1ms",
        "--filter",
        "bill*",
        "-o",
        "csv",
    ]);
    assert!(
        filtered.contains("billing") && !filtered.contains("topic,one"),
        "{filtered}"
    );
    let piped = node.run(&["top"]);
    assert_eq!(code(&piped), Some(2));
    assert!(stderr(&piped).contains("--once"), "{}", stderr(&piped));
}
