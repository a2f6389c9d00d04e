//! What people and scripts see, word for word: tables and JSON of every look, kept in `expected/`; and an example in
//! every help.
//!
//! `RMQ_WRITE_EXPECTED=1 cargo test --test inspect expected` writes the files anew; what changed is then read in the diff.

use std::path::Path;
use std::process::Command;

use super::support_golden::Golden;

/// Name of the file, store, arguments behind the store.
const SEEN: &[(&str, &str, &[&str])] = &[
    ("info", "rollover", &["info"]),
    ("commitlog", "plain", &["commitlog", "-n", "3"]),
    (
        "commitlog-damaged",
        "damage-torn-tail-abort",
        &["commitlog", "--from-offset", "125105"],
    ),
    (
        "commitlog-summary",
        "compressed",
        &["commitlog", "--summary"],
    ),
    (
        "consumequeue",
        "plain",
        &["consumequeue", "--queue", "1", "-n", "2", "--resolve"],
    ),
    ("index", "plain", &["index", "--key", "key-1"]),
    ("checkpoint", "rollover", &["checkpoint"]),
    ("timer", "timer", &["timer"]),
    ("timer-slots", "timer", &["timer", "--slots", "--all"]),
    ("offsets", "retry-dlq", &["offsets"]),
    ("offsets-topics", "retry-dlq", &["offsets", "--topics"]),
    ("offsets-groups", "retry-dlq", &["offsets", "--groups"]),
    ("message", "plain", &["message", "--key", "key-1"]),
    (
        "message-light",
        "lmq-multidispatch",
        &["message", "--at", "0"],
    ),
    ("top", "plain", &["top"]),
    ("top-size", "plain", &["top", "--by", "size", "-n", "3"]),
    ("top-hour", "plain", &["top", "--by", "hour"]),
    ("fsck", "plain", &["fsck"]),
    ("fsck-damaged", "damage-lost-last-file", &["fsck"]),
    (
        "fsck-plan",
        "damage-crc-middle-clean",
        &["fsck", "--repair", "--dry-run"],
    ),
    ("export", "ipv6", &["export", "-n", "1"]),
];

const HELPED: &[&str] = &[
    "info",
    "commitlog",
    "consumequeue",
    "index",
    "checkpoint",
    "timer",
    "offsets",
    "message",
    "top",
    "fsck",
    "export",
];

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inspect/expected")
        .join(name);
    if std::env::var_os("RMQ_WRITE_EXPECTED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{} differs; see the head of tests/inspect/expected.rs\n--- now\n{text}",
        path.display()
    );
}

#[test]
fn tables_and_json_are_as_expected() {
    for (name, case, args) in SEEN {
        let golden = Golden::unpack(case);
        for form in ["table", "json"] {
            let output = Command::new(env!("CARGO_BIN_EXE_rmq"))
                .args(["--utc", "-o", form, "inspect", args[0]])
                .arg(golden.dir())
                .args(&args[1..])
                .env_remove("RUST_LOG")
                .env("TZ", "UTC")
                .output()
                .unwrap();
            let place = golden.dir().display().to_string();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place, "STORE");
            let code = output.status.code().unwrap();
            let (out, talk) = (text(&output.stdout), text(&output.stderr));
            let whole = format!("{out}--- stderr\n{talk}--- exit {code}\n");
            check(&format!("{name}.{form}"), &whole);
        }
    }
}

#[test]
fn every_help_has_an_example() {
    for what in HELPED {
        let output = Command::new(env!("CARGO_BIN_EXE_rmq"))
            .args(["inspect", what, "--help"])
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("rmq inspect"), "{what}");
        assert!(
            text.contains("Example: rmq inspect"),
            "{what} has no example"
        );
    }
}
