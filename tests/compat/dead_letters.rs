//! `rmq consume` and `rmq dlq`, the real binary, against Apache's broker.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::apache::{Apache, mqadmin};

struct Rmq<'a>(&'a Apache);

impl Rmq<'_> {
    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rmq"))
            .args(args)
            .args(["--namesrv", &self.0.name_server])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command that must end with `code`, and returns what it printed.
    fn ends(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn rows(&self, args: &[&str]) -> Vec<Value> {
        let printed = self.ends(0, &[args, &["-o", "jsonl"]].concat());
        printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn messages_die_and_are_replayed_on_apache() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "mappedFileSizeCommitLog=16777216",
        "enablePropertyFilter=true",
    ];
    let apache = Apache::start(&root.path().join("store"), &settings);
    let rmq = Rmq(&apache);
    let send = [
        "send", "T", "a", "b", "c", "d", "--tag", "t", "--key", "k", "-H", "n=5",
    ];
    rmq.ends(0, &send);

    consuming(&rmq);
    dying(&rmq);
    replaying(&rmq);

    // As brokers before 5.0 made them: written, not read.
    let closed = mqadmin(
        &apache,
        &[
            "updateTopicPerm",
            "-c",
            "DefaultCluster",
            "-t",
            "%DLQ%g",
            "-p",
            "2",
        ],
    );
    assert!(closed.contains("success"), "{closed}");
    let refused = rmq.run(&["dlq", "show", "g"]);
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--open"));
    assert_eq!(rmq.rows(&["dlq", "show", "g", "--open"]).len(), 2);

    rmq.ends(0, &["dlq", "purge", "g", "--yes"]);
    rmq.ends(3, &["dlq", "show", "g"]);
    apache.stop();
}

/// Filters the broker knows, all members alike, and one after the other.
fn consuming(rmq: &Rmq<'_>) {
    let from = ["--from", "earliest", "--timeout", "30s", "-o", "name"];
    let names = |args: &[&str]| {
        let printed = rmq.ends(0, &[&["consume", "T"], args, &from].concat());
        printed.lines().count()
    };
    assert_eq!(names(&["-g", "sql", "--sql", "n > 4", "-n", "4"]), 4);
    assert_eq!(names(&["-g", "all", "--broadcast", "-n", "4"]), 4);
    let exec = "[ $RMQ_RETRIES -gt 0 ]";
    assert_eq!(names(&["-g", "ord", "--orderly", "--exec", exec]), 8);
}

fn dying(rmq: &Rmq<'_>) {
    let group = [
        "consume",
        "T",
        "-g",
        "g",
        "--from",
        "earliest",
        "--max-retries",
        "0",
    ];
    rmq.ends(
        6,
        &[
            &group[..],
            &["--exec", "x=$(cat); [ $x != a ] && [ $x != b ]"],
        ]
        .concat(),
    );
    let listed = rmq.rows(&["dlq", "ls"]);
    assert_eq!(listed[0]["group"], "g");
    assert_eq!(listed[0]["count"], 2);
    assert_eq!(listed[0]["top"], "T (2)");
    let letters = rmq.rows(&["dlq", "show", "g"]);
    assert_eq!(letters[0]["origin"], "T");
    assert_eq!(letters[0]["retries"], 1);
}

fn replaying(rmq: &Rmq<'_>) {
    let letters = rmq.rows(&["dlq", "show", "g"]);
    let sent = rmq.rows(&["dlq", "replay", "g", "--match", "^a$", "--yes"]);
    assert_eq!(sent.len(), 1);
    let again = rmq.rows(&[
        "consume",
        "T",
        "-g",
        "g",
        "--follow",
        "-n",
        "1",
        "--timeout",
        "30s",
    ]);
    assert_eq!(again[0]["uniqKey"], sent[0]["newId"]);
    assert_eq!(again[0]["bodyText"], "a");
    assert_eq!(again[0]["tags"], "t");
    assert_eq!(again[0]["keys"], "k");
    assert_eq!(again[0]["properties"]["n"], "5");
    let origin = letters
        .iter()
        .find(|letter| letter["bodyText"] == "a")
        .unwrap();
    assert_eq!(
        again[0]["properties"]["ORIGIN_MESSAGE_ID"],
        origin["originMessageId"]
    );
    assert_eq!(
        again[0]["properties"]["DLQ_ORIGIN_MESSAGE_ID"],
        origin["uniqKey"]
    );

    rmq.rows(&["dlq", "replay", "g", "--group-only", "--yes"]);
    let alone = rmq.rows(&[
        "consume",
        "T",
        "-g",
        "g",
        "--follow",
        "-n",
        "2",
        "--timeout",
        "30s",
    ]);
    assert!(alone.iter().all(|message| message["topic"] == "T"));
    assert_eq!(
        rmq.rows(&["consume", "T"]).len(),
        5,
        "no other group sees them"
    );
}
