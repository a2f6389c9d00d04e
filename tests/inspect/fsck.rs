//! `rmq inspect fsck`: nothing in sound stores, the truth in damaged ones, and what a repair leaves behind.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::support_golden::{Golden, cases};
use super::{inspect, rows, stderr};

/// Damaged store, and what is found in it: parts and how many entries.
const TRUTH: &[(&str, &[(&str, u64)])] = &[
    (
        "damage-crc-first-file-abort",
        &[("consumequeue", 1), ("index", 3), ("log", 1)],
    ),
    (
        "damage-crc-middle-abort",
        &[("consumequeue", 1), ("index", 4), ("log", 1)],
    ),
    (
        "damage-crc-middle-clean",
        &[("consumequeue", 1), ("index", 4), ("log", 1)],
    ),
    ("damage-garbage-tail-abort", &[("log", 1)]),
    (
        "damage-lost-last-file",
        &[("checkpoint", 4), ("consumequeue", 59), ("index", 202)],
    ),
    ("damage-no-config", &[]),
    ("damage-no-cq-index-abort", &[("index", 1), ("queued", 119)]),
    ("damage-no-cq-index-clean", &[("index", 1), ("queued", 119)]),
    (
        "damage-no-cq-index-no-checkpoint",
        &[("index", 1), ("queued", 119)],
    ),
    (
        "damage-short-file",
        &[
            ("checkpoint", 2),
            ("consumequeue", 1),
            ("index", 3),
            ("log", 1),
        ],
    ),
    (
        "damage-torn-tail-abort",
        &[
            ("checkpoint", 2),
            ("consumequeue", 1),
            ("index", 3),
            ("log", 1),
        ],
    ),
    (
        "damage-torn-tail-clean",
        &[
            ("checkpoint", 2),
            ("consumequeue", 1),
            ("index", 3),
            ("log", 1),
        ],
    ),
];

fn parts(rows: &[Value]) -> BTreeMap<String, u64> {
    let mut parts = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == "finding") {
        let part = row["part"].as_str().unwrap().to_owned();
        *parts.entry(part).or_default() += row["count"].as_u64().unwrap();
    }
    parts
}

/// Every file with its bytes.
fn inventory(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The sizes a lost index cannot tell.
fn index_sizes(golden: &Golden) -> [String; 4] {
    [
        "--index-slots".to_owned(),
        golden.setting("maxHashSlotNum").to_string(),
        "--index-entries".to_owned(),
        golden.setting("maxIndexNum").to_string(),
    ]
}

#[test]
fn nothing_is_found_in_sound_stores() {
    for case in cases() {
        if case.starts_with("damage-") && case != "damage-base" {
            continue;
        }
        let golden = Golden::unpack(&case);
        for more in [&["-o", "jsonl"][..], &["-o", "jsonl", "--fast"]] {
            let output = inspect("fsck", &golden.dir(), more);
            let found = rows(&output);
            assert_eq!(output.status.code(), Some(0), "{case}: {found:?}");
            let summary = found.last().unwrap();
            assert_eq!(
                (found.len(), &summary["problems"]),
                (1, &0.into()),
                "{case}"
            );
            let messages = golden.list("commitlog").iter();
            let messages = messages.filter(|item| item["kind"] == "message").count();
            assert_eq!(summary["messages"], messages, "{case}");
        }
    }
}

#[test]
fn damage_is_found_as_it_was_done() {
    for (case, truth) in TRUTH {
        let golden = Golden::unpack(case);
        let before = inventory(&golden.dir());
        let output = inspect("fsck", &golden.dir(), &["-o", "jsonl"]);
        let found = rows(&output);
        let expected: BTreeMap<String, u64> = truth
            .iter()
            .map(|(part, count)| ((*part).to_owned(), *count))
            .collect();
        assert_eq!(parts(&found), expected, "{case}");
        let code = if truth.is_empty() { 0 } else { 7 };
        assert_eq!(output.status.code(), Some(code), "{case}");
        assert_eq!(inventory(&golden.dir()), before, "{case}");
        // Where the log itself is damaged, the manifest says where.
        let truth = golden.list("commitlog").iter().find(|item| {
            item["crcMismatch"] == true
                || matches!(item["kind"].as_str(), Some("damaged" | "undecodable"))
        });
        let log = found.iter().find(|row| row["part"] == "log");
        assert_eq!(
            log.map(|row| &row["physicalOffset"]),
            truth.map(|item| &item["physicalOffset"]),
            "{case}"
        );
        if let Some(log) = log {
            assert!(Path::new(log["file"].as_str().unwrap()).is_file(), "{case}");
        }
    }
}

#[test]
fn a_repair_plans_first_and_is_clean_afterwards() {
    for (case, truth) in TRUTH {
        let golden = Golden::unpack(case);
        let (dir, sizes) = (golden.dir(), index_sizes(&golden));
        let with = |more: &[&str]| {
            let sizes = sizes.iter().map(String::as_str);
            let more: Vec<&str> = more.iter().copied().chain(sizes).collect();
            inspect("fsck", &dir, &more)
        };
        let messages = |dir: &Path| {
            let mut ids: Vec<String> = rows(&inspect("commitlog", dir, &["-o", "jsonl"]))
                .iter()
                .filter(|row| row["kind"] == "message" && row["crcMismatch"].is_null())
                .filter(|row| row["topic"] != "RMQ_DAMAGED")
                .map(|row| format!("{} {}", row["msgId"], row["uniqKey"]))
                .collect();
            ids.sort();
            ids
        };
        let (before, readable) = (inventory(&dir), messages(&dir));
        let code = if truth.is_empty() { 0 } else { 7 };
        let planned = with(&["--repair", "--dry-run", "-o", "jsonl"]);
        assert_eq!(planned.status.code(), Some(code), "{case}");
        let steps = rows(&planned);
        let steps = steps.iter().filter(|row| row["kind"] == "step").count();
        assert_eq!(steps > 0, !truth.is_empty(), "{case}");
        // Nobody is there to be asked.
        let refused = with(&["--repair"]);
        let code = if truth.is_empty() { 0 } else { 2 };
        assert_eq!(refused.status.code(), Some(code), "{case}");
        assert_eq!(
            stderr(&refused).contains("--yes"),
            !truth.is_empty(),
            "{case}"
        );
        assert_eq!(inventory(&dir), before, "{case}");

        let repaired = with(&["--repair", "--yes"]);
        assert_eq!(
            repaired.status.code(),
            Some(0),
            "{case}: {}",
            stderr(&repaired)
        );
        let again = inspect("fsck", &dir, &["-o", "jsonl"]);
        assert_eq!(again.status.code(), Some(0), "{case}");
        assert_eq!(messages(&dir), readable, "{case}");
        assert_eq!(dir.join(".rmq-cut").exists(), !truth.is_empty(), "{case}");
        assert!(!dir.join("abort").exists() || truth.is_empty(), "{case}");
    }
}

#[test]
fn offsets_past_their_queue_are_found_and_set() {
    let golden = Golden::unpack("damage-lost-last-file");
    let repaired = inspect("fsck", &golden.dir(), &["--repair", "--yes"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", stderr(&repaired));
    let offsets = rows(&inspect("offsets", &golden.dir(), &["-o", "jsonl"]));
    let roll: Vec<_> = offsets
        .iter()
        .filter(|row| row["topic"] == "GoldRoll")
        .map(|row| (row["offset"].as_i64(), row["maxOffset"].as_i64()))
        .collect();
    assert_eq!(roll, [(Some(20), Some(20)); 3]);
}

#[test]
fn an_index_that_does_not_fit_the_log_is_found() {
    let golden = Golden::unpack("plain");
    let index = std::fs::read_dir(golden.dir().join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    let whole = std::fs::read(&index).unwrap();
    let slots = usize::try_from(golden.setting("maxHashSlotNum")).unwrap();
    let entry = |number: usize| 40 + slots * 4 + number * 20;
    // The hash of entry 5, the link of entry 6, the count of slots: each is noticed.
    for (at, said) in [
        (entry(5), "keys"),
        (entry(6) + 19, "leads on to"),
        (35, "slots in use"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&index, bytes).unwrap();
        let output = inspect("fsck", &golden.dir(), &["-o", "jsonl"]);
        assert_eq!(output.status.code(), Some(7), "{said}");
        let found = rows(&output);
        let problems: Vec<_> = found
            .iter()
            .filter_map(|row| row["problem"].as_str())
            .collect();
        assert!(
            problems.iter().any(|text| text.contains(said)),
            "{said}: {problems:?}"
        );
    }
}

#[test]
fn messages_sent_twice_are_counted_and_no_fault() {
    let golden = Golden::unpack("plain");
    let log = golden.dir().join("commitlog/00000000000000000000");
    let mut bytes = std::fs::read(&log).unwrap();
    let found = rows(&inspect("commitlog", &log, &["-o", "jsonl"]));
    let keys: Vec<(&str, &str)> = found
        .iter()
        .filter(|row| row["kind"] == "message" && row["topic"] == "GoldPlain")
        .filter_map(|row| Some((row["uniqKey"].as_str()?, row["topic"].as_str()?)))
        .collect();
    // Another message gets the key of the first. Its own entry in the index is then wrong, the count right.
    let (first, other) = (keys[0].0.as_bytes(), keys[1].0.as_bytes());
    let at = bytes
        .windows(other.len())
        .position(|part| part == other)
        .unwrap();
    bytes[at..at + first.len()].copy_from_slice(first);
    std::fs::write(&log, bytes).unwrap();
    let found = rows(&inspect("fsck", &golden.dir(), &["-o", "jsonl"]));
    assert_eq!(found.last().unwrap()["storedTwice"], 1);
    assert!(
        parts(&found)
            .keys()
            .all(|part| part == "index" || part == "filed")
    );
}

#[test]
fn foreign_and_broken_directories_end_with_the_right_code() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(inspect("fsck", empty.path(), &[]).status.code(), Some(3));
    let golden = Golden::unpack("plain");
    let log = golden.dir().join("commitlog/00000000000000000000");
    let whole = std::fs::read(&log).unwrap();
    // A newer version's records, a file of text, half a record, nothing at all.
    let mut newer = whole.clone();
    newer[7] = 0xEE;
    for bytes in [
        newer,
        b"not a log".repeat(1000),
        whole[..100].to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&log, &bytes).unwrap();
        for what in ["fsck", "info", "top", "export", "commitlog"] {
            let output = inspect(what, &golden.dir(), &[]);
            let code = output.status.code().unwrap();
            let expected = if bytes.is_empty() && what != "fsck" {
                0
            } else {
                7
            };
            assert_eq!(code, expected, "{what}: {}", stderr(&output));
            assert!(!stderr(&output).contains("panicked"), "{what}");
        }
    }
}
