//! The real binary on recorded stores: `rmq inspect` lists what the manifests say, and keeps the command line's contract.

#![allow(
    clippy::unwrap_used,
    reason = "a panic in a test is a failure and names its place"
)]

mod expected;
mod fsck;
mod more;
#[path = "../support/golden.rs"]
mod support_golden;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support_golden::{Golden, cases};

fn inspect(what: &str, path: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(["inspect", what])
        .arg(path)
        .args(more)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Without what takes a hash function that the program does not have.
fn without_hashes(item: &Value) -> Value {
    let mut item = item.clone();
    let fields = item.as_object_mut().unwrap();
    for name in ["bodySha256", "recordSha256", "decompressedSha256"] {
        fields.remove(name);
    }
    if let Some(inner) = fields.get_mut("inner") {
        for message in inner.as_array_mut().unwrap() {
            message.as_object_mut().unwrap().remove("bodySha256");
        }
    }
    item
}

/// Without what the manifests have no word for.
fn without_remarks(row: &Value) -> Value {
    let mut row = row.clone();
    let fields = row.as_object_mut().unwrap();
    fields.remove("until");
    fields.remove("reason");
    row
}

#[test]
fn the_log_of_every_store_lists_as_its_manifest_says() {
    for case in cases() {
        let golden = Golden::unpack(&case);
        let output = inspect("commitlog", &golden.dir(), &["-o", "jsonl"]);
        let found: Vec<_> = rows(&output).iter().map(without_remarks).collect();
        let expected: Vec<_> = golden
            .list("commitlog")
            .iter()
            .map(without_hashes)
            .collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{case}");
        }
        assert_eq!(found.len(), expected.len(), "{case}");
        let whole = |item: &&Value| {
            matches!(item["kind"].as_str(), Some("message" | "blank" | "end"))
                && item["crcMismatch"].is_null()
        };
        let damaged = expected.iter().filter(|item| !whole(item)).count();
        let code = if damaged == 0 { 0 } else { 7 };
        assert_eq!(output.status.code(), Some(code), "{case}");
        assert_eq!(stderr(&output).lines().count(), damaged, "{case}");
    }
}

#[test]
fn the_queues_of_every_store_list_as_its_manifest_says() {
    for case in cases() {
        let golden = Golden::unpack(&case);
        let expected: Vec<Value> = golden
            .list("consumequeue")
            .iter()
            .flat_map(|queue| {
                let entries = queue["entries"].as_array().unwrap().iter();
                entries.map(|e| json!([queue["topic"], queue["queueId"], e[0], e[1], e[2], e[3]]))
            })
            .collect();
        if expected.is_empty() {
            continue;
        }
        let output = inspect("consumequeue", &golden.dir(), &["-o", "jsonl"]);
        let names = [
            "topic",
            "queueId",
            "cqOffset",
            "physicalOffset",
            "size",
            "tagsCode",
        ];
        let mut found: Vec<Value> = rows(&output)
            .iter()
            .map(|row| names.iter().map(|name| row[*name].clone()).collect())
            .collect();
        let mut expected = expected;
        found.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        assert_eq!(found, expected, "{case}");
        assert_eq!(output.status.code(), Some(0), "{case}");
    }
}

#[test]
fn index_and_checkpoint_list_as_the_manifest_says() {
    for case in ["plain", "rollover", "old-files-deleted", "sigkill"] {
        let golden = Golden::unpack(case);
        let found = rows(&inspect("index", &golden.dir(), &["-o", "jsonl"]));
        let mut found = found.iter();
        for file in golden.list("index") {
            let row = found.next().unwrap();
            for name in ["file", "fileSize", "slots", "maxEntries", "header"] {
                assert_eq!(row[name], file[name], "{case}");
            }
            for entry in file["entries"].as_array().unwrap() {
                let row = found.next().unwrap();
                let names = ["number", "keyHash", "physicalOffset", "seconds", "previous"];
                let numbers: Value = names.iter().map(|name| row[*name].clone()).collect();
                assert_eq!(numbers, *entry, "{case}");
            }
        }
        assert!(found.next().is_none());
        let checkpoint = rows(&inspect("checkpoint", &golden.dir(), &["-o", "jsonl"]));
        assert_eq!(
            checkpoint,
            [golden.manifest["checkpoint"].clone()],
            "{case}"
        );
    }
}

#[test]
fn damage_is_named_by_file_and_byte_and_ends_nothing() {
    let golden = Golden::unpack("damage-crc-middle-abort");
    let output = inspect("commitlog", &golden.dir(), &["-o", "name"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout.split(|&b| b == b'\n').count(), 119);
    let said = stderr(&output);
    assert!(
        said.contains("00000000000000065536 byte 34009 (log 99545)"),
        "{said}"
    );
    assert!(said.contains("body checksum"), "{said}");
}

#[test]
fn a_single_file_or_part_can_be_named() {
    let golden = Golden::unpack("rollover");
    let second = golden.dir().join("commitlog/00000000000000262144");
    let found = rows(&inspect("commitlog", &second, &["-n", "2"]));
    assert_eq!(found[0]["physicalOffset"], 262_144);
    let copy = golden.dir().join("copy.bin");
    std::fs::copy(&second, &copy).unwrap();
    assert_eq!(rows(&inspect("commitlog", &copy, &["-n", "2"])), found);
    let at = found[1]["physicalOffset"].to_string();
    let from = rows(&inspect(
        "commitlog",
        &golden.dir(),
        &["--from-offset", &at, "-n", "1"],
    ));
    assert_eq!(from[0], found[1]);

    let queue = golden.dir().join("consumequeue/GoldRoll/1");
    let by_queue = rows(&inspect(
        "consumequeue",
        &queue,
        &["--from", "5", "-n", "3", "--resolve"],
    ));
    let options = [
        "--topic",
        "GoldRoll",
        "--queue",
        "1",
        "--from",
        "5",
        "-n",
        "3",
        "--resolve",
    ];
    assert_eq!(
        rows(&inspect("consumequeue", &golden.dir(), &options)),
        by_queue
    );
    assert_eq!(by_queue.len(), 3);
    assert_eq!(by_queue[0]["cqOffset"], 5);
    assert_eq!(by_queue[0]["message"]["queueOffset"], 5);
    assert_eq!(
        by_queue[0]["message"]["physicalOffset"],
        by_queue[0]["physicalOffset"]
    );
}

#[test]
fn messages_are_found_by_key() {
    let golden = Golden::unpack("plain");
    for what in ["index", "commitlog"] {
        let found = rows(&inspect(what, &golden.dir(), &["--key", "key-1"]));
        let message = if what == "index" {
            &found[0]["message"]
        } else {
            &found[0]
        };
        assert_eq!(message["keys"], "key-1");
        assert_eq!(found.len(), 1);
        let none = inspect(what, &golden.dir(), &["--key", "no such key"]);
        assert_eq!(none.status.code(), Some(3));
        assert!(none.stdout.is_empty());
    }
}

#[test]
fn entries_that_lead_nowhere_are_findings() {
    let golden = Golden::unpack("damage-lost-last-file");
    let output = inspect("consumequeue", &golden.dir(), &["--resolve", "-o", "jsonl"]);
    assert_eq!(output.status.code(), Some(7));
    let found = rows(&output);
    let lost = found.iter().filter(|row| row["reason"].is_string()).count();
    assert_eq!((found.len(), lost), (119, 59));
    assert_eq!(stderr(&output).lines().count(), lost);
}

#[test]
fn what_is_not_there_is_exit_3_with_nothing_on_stdout() {
    let golden = Golden::unpack("plain");
    let dir = golden.dir();
    let empty = tempfile::tempdir().unwrap();
    for (what, path, more) in [
        ("commitlog", Path::new("/no/such/place"), &[][..]),
        ("info", empty.path(), &[]),
        ("index", empty.path(), &[]),
        ("checkpoint", empty.path(), &[]),
        ("consumequeue", &dir, &["--topic", "NoSuchTopic"]),
        ("commitlog", &dir, &["--topic", "NoSuchTopic"]),
    ] {
        let output = inspect(what, path, more);
        assert_eq!(output.status.code(), Some(3), "{what} {more:?}");
        assert!(output.stdout.is_empty(), "{what} {more:?}");
        assert_eq!(
            stderr(&output)
                .lines()
                .next()
                .map(|line| line.starts_with("rmq: ")),
            Some(true)
        );
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_silently() {
    let golden = Golden::unpack("rollover");
    let mut child = Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(["inspect", "commitlog"])
        .arg(golden.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(line.starts_with('{'));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}
