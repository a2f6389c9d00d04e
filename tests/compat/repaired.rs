//! Stores of Apache's that were damaged and repaired by `rmq inspect fsck`: Apache starts on them and hands out every
//! message that could be read before.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::apache::{Apache, java_client};
use super::support_golden::Golden;

const TOPIC: &str = "GoldRoll";

/// Queue and body of each whole message of the topic in the log.
fn readable(golden: &Golden) -> BTreeSet<(i64, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_rmq"))
        .args(["inspect", "export", "--topic", TOPIC])
        .arg(golden.dir())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| {
            let body = row["bodyText"].as_str().unwrap();
            let start = body.chars().take(30).collect();
            (row["queueId"].as_i64().unwrap(), start)
        })
        .collect()
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn apache_reads_everything_in_repaired_stores() {
    for case in [
        "damage-crc-middle-abort",
        "damage-torn-tail-abort",
        "damage-short-file",
        "damage-lost-last-file",
        "damage-no-cq-index-abort",
    ] {
        let golden = Golden::unpack(case);
        let before = readable(&golden);
        let number = |name: &str| golden.setting(name).to_string();
        let repaired = Command::new(env!("CARGO_BIN_EXE_rmq"))
            .args(["inspect", "fsck", "--repair", "--yes"])
            .args(["--index-slots", &number("maxHashSlotNum")])
            .args(["--index-entries", &number("maxIndexNum")])
            .args(["--queue-file-size", &number("mappedFileSizeConsumeQueue")])
            .arg(golden.dir())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&repaired.stderr).into_owned();
        assert_eq!(repaired.status.code(), Some(0), "{case}: {said}");
        assert_eq!(readable(&golden), before, "{case}");

        let settings = [
            "mappedFileSizeCommitLog",
            "mappedFileSizeConsumeQueue",
            "maxHashSlotNum",
            "maxIndexNum",
        ]
        .map(|name| format!("{name}={}", number(name)));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let apache = Apache::start(&golden.dir(), &settings);
        let output = java_client(&["read", &apache.name_server, TOPIC]);
        let read: BTreeSet<(i64, String)> = output
            .lines()
            .filter_map(|line| line.strip_prefix("MESSAGE "))
            .map(|line| {
                let mut parts = line.splitn(4, ' ');
                let queue = parts.next().unwrap().parse().unwrap();
                let body = parts.nth(2).unwrap();
                (queue, body.chars().take(30).collect())
            })
            .collect();
        assert_eq!(read, before, "{case}");
        apache.stop();
    }
}
