//! `rmq send`: what becomes of each line, and what the next run knows about it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};

use serde_json::Value;

use super::messages::{Node, code, numbered, objects};
use super::{rmq, run, stderr, stdout};

/// What a consumer sees of `topic`, by queue: bodies in order.
fn queues(node: &Node, topic: &str) -> BTreeMap<u64, Vec<String>> {
    let mut queues: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut messages = objects(&node.ok(&["consume", topic, "-o", "jsonl"]));
    messages.sort_by_key(|message| message["queueOffset"].as_u64());
    for message in messages {
        let body = message["bodyText"].as_str().unwrap().to_owned();
        let queue = message["queueId"].as_u64().unwrap();
        queues.entry(queue).or_default().push(body);
    }
    queues
}

fn outcomes(path: &std::path::Path) -> Vec<(u64, String)> {
    objects(&std::fs::read_to_string(path).unwrap())
        .iter()
        .map(|entry| {
            let outcome = entry["outcome"].as_str().unwrap().to_owned();
            (entry["line"].as_u64().unwrap(), outcome)
        })
        .collect()
}

#[test]
fn help_shows_every_option_with_examples() {
    let output = run(["send", "--help"]);
    assert_eq!(code(&output), Some(0));
    let help = stdout(&output);
    let expected = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/send_help.txt"
    ))
    .unwrap();
    assert!(
        help == expected,
        "the help has changed; if it is meant so: COLUMNS=100 rmq send --help > tests/cli/send_help.txt\n{help}"
    );
}

/// A thousand lines travel in a few requests, and each has its own receipt, in the order of the input.
#[test]
fn lines_travel_together_and_are_told_one_by_one() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let (input, report) = (dir.path().join("in.txt"), dir.path().join("r.jsonl"));
    std::fs::write(&input, numbered("line ", 3000)).unwrap();
    let file = format!("@{}", input.display());
    let printed = node.ok(&[
        "send",
        "one",
        "--lines",
        &file,
        "--report",
        report.to_str().unwrap(),
    ]);
    let receipts = objects(&printed);
    let offsets: Vec<u64> = receipts
        .iter()
        .map(|receipt| receipt["queueOffset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, (0..3000).collect::<Vec<_>>());
    let ids: BTreeSet<&str> = receipts
        .iter()
        .map(|receipt| receipt["uniqKey"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3000);
    let bodies = &queues(&node, "one")[&0];
    assert_eq!(bodies.join("\n") + "\n", numbered("line ", 3000));
    // The receipts are those of the messages: line by line, id by id.
    let stored = objects(&node.ok(&["consume", "one", "-o", "jsonl"]));
    for (receipt, message) in receipts.iter().zip(&stored) {
        assert_eq!(receipt["uniqKey"], message["uniqKey"]);
        assert_eq!(receipt["msgId"], message["msgId"]);
    }
    let expected: Vec<(u64, String)> = (1..=3000).map(|n| (n, "stored".to_owned())).collect();
    assert_eq!(outcomes(&report), expected);
}

#[test]
fn broken_json_on_line_1000_is_named_and_sent_after_it_is_mended() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("r.jsonl");
    let report = report.to_str().unwrap();
    let line = |n: usize| format!("{{\"id\":{n},\"user\":\"u{}\"}}\n", n % 7);
    let lines = |broken: &str| -> String {
        (1..=1002)
            .map(|n| {
                if n == 1000 {
                    broken.to_owned()
                } else {
                    line(n)
                }
            })
            .collect()
    };
    let base = ["send", "four", "--lines", "--order-by", ".user", "-q"];
    let first = [&base[..], &["--fail-fast", "--report", report]].concat();
    node.ok(&["send", "four", "warm up"]);
    let output = node.with_input(&first, lines("{\"id\":\n").as_bytes());
    let said = stderr(&output);
    assert_eq!(code(&output), Some(6), "{said}");
    assert!(said.contains("line 1000: the body is not JSON"), "{said}");
    assert!(said.contains("999 sent, 1 not acknowledged"), "{said}");
    assert_eq!(stdout(&output), "");

    let again = [&base[..], &["--resume", report]].concat();
    let output = node.with_input(&again, lines(&line(1000)).as_bytes());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("3 sent, 999 were stored before"),
        "{}",
        stderr(&output)
    );
    let output = node.with_input(&again, lines(&line(1000)).as_bytes());
    assert!(stderr(&output).contains("0 sent, 1002 were stored before"));

    // Each user's events are in one queue and in order.
    let mut seen = 0;
    let mut homes: BTreeMap<String, u64> = BTreeMap::new();
    for (queue, bodies) in queues(&node, "four") {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for body in bodies.iter().filter(|body| *body != "warm up") {
            let event: Value = serde_json::from_str(body).unwrap();
            let user = event["user"].as_str().unwrap().to_owned();
            let id = event["id"].as_u64().unwrap();
            assert_eq!(*homes.entry(user.clone()).or_insert(queue), queue);
            assert!(last.insert(user, id) < Some(id));
            seen += 1;
        }
    }
    assert_eq!(seen, 1002);

    let output = node.with_input(&again, b"something else\n");
    assert!(
        stderr(&output).contains("is it about another input?"),
        "{}",
        stderr(&output)
    );
    assert_ne!(code(&output), Some(0));
}

#[test]
fn one_bad_line_does_not_take_its_neighbours_along() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("r.jsonl");
    let mut lines = numbered("a", 40).into_bytes();
    lines.extend(vec![b'x'; 5 << 20]);
    lines.extend(b"\n");
    lines.extend(numbered("b", 40).into_bytes());
    let args = [
        "send",
        "one",
        "--lines",
        "-q",
        "--compress",
        "none",
        "--report",
    ];
    let args = [&args[..], &[report.to_str().unwrap()]].concat();
    let output = node.with_input(&args, &lines);
    let said = stderr(&output);
    assert_eq!(code(&output), Some(6), "{said}");
    assert!(
        said.contains("line 41") && said.contains("the limit is"),
        "{said}"
    );
    assert!(said.contains("80 sent, 1 not acknowledged"), "{said}");
    let failed: Vec<_> = outcomes(&report)
        .into_iter()
        .filter(|(_, outcome)| outcome != "stored")
        .collect();
    assert_eq!(failed, [(41, "refused".to_owned())]);
}

#[test]
fn input_is_cut_as_asked() {
    let node = Node::start();
    for (args, input) in [
        (&["-0"][..], &b"a\nb\0c"[..]),
        (&["-D", "--"], b"a\nb--c--"),
        (&["-D", "\\x1e"], b"a\nb\x1ec"),
        (
            &["--input", "jsonl"],
            b"{\"body\":\"a\\nb\"}\n{\"bodyBase64\":\"Yw==\"}\n",
        ),
    ] {
        let args = [&["send", "one", "--tee"], args].concat();
        let output = node.with_input(&args, input);
        assert_eq!(code(&output), Some(0), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "2 sent\n", "{args:?}");
    }
    let all = queues(&node, "one").remove(&0).unwrap();
    assert_eq!(all, ["a\nb", "c"].repeat(4));
    let output = node.with_input(&["send", "one", "-0", "--tee"], b"x\0y");
    assert_eq!(stdout(&output), "x\0y\0");
}

#[test]
fn fields_of_the_body_become_keys_and_tags() {
    let node = Node::start();
    let line = b"{\"id\":42,\"order\":{\"no\":[\"A-7\"]},\"state\":\"paid\",\"user\":\"u1\"}\n";
    let args = [
        "send",
        "one",
        "--lines",
        "--key-field",
        ".id",
        "--key-field",
        ".order.no[0]",
    ];
    let args = [
        &args[..],
        &[
            "--tag-field",
            ".state",
            "--key",
            "all",
            "--order-by",
            ".user",
        ],
    ]
    .concat();
    let dry = [&args[..], &["--dry-run"]].concat();
    let plan = objects(&stdout(&node.with_input(&dry, line)));
    assert_eq!(plan[0]["keys"], "all 42 A-7");
    assert_eq!(plan[0]["orderKey"], "u1");
    assert_eq!(node.ok(&["consume", "one"]), "");
    assert_eq!(code(&node.with_input(&args, line)), Some(0));
    let message = &objects(&node.ok(&["consume", "one", "-o", "jsonl"]))[0];
    assert_eq!(message["keys"], "all 42 A-7");
    assert_eq!(message["tags"], "paid");
    assert_eq!(message["properties"]["__SHARDINGKEY"], "u1");
}

/// What `consume -o jsonl` prints is sent again with everything that belongs to the application.
#[test]
fn messages_survive_the_round_trip() {
    let node = Node::start();
    node.ok(&[
        "send",
        "one",
        "text",
        "--tag",
        "a",
        "--key",
        "k1",
        "--key",
        "k2",
        "-H",
        "mine=1",
        "--order-key",
        "o",
        "-H",
        "odd=\"quoted\"\u{e9}",
    ]);
    let bytes: Vec<u8> = (0..=255).collect();
    node.with_input(&["send", "one"], &bytes);
    let printed = node.ok(&["consume", "one", "-o", "jsonl"]);
    let output = node.with_input(&["send", "copy", "--input", "jsonl"], printed.as_bytes());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let (first, again) = (
        objects(&printed),
        objects(&node.ok(&["consume", "copy", "-o", "jsonl"])),
    );
    assert_eq!(again.len(), 2);
    for old in &first {
        let same = |new: &&Value| new["bodyCRC"] == old["bodyCRC"];
        let new = again.iter().find(same).unwrap();
        for field in ["bodyText", "bodyBase64", "tags", "keys", "flag"] {
            assert_eq!(new[field], old[field]);
        }
        for name in ["mine", "odd", "__SHARDINGKEY"] {
            assert_eq!(new["properties"][name], old["properties"][name]);
        }
        assert_ne!(new["uniqKey"], old["uniqKey"]);
    }
}

#[test]
fn patterns_make_bodies_at_a_rate() {
    let node = Node::start();
    let began = std::time::Instant::now();
    let pattern = "{\"n\":{{n}},\"at\":\"{{now}}\",\"id\":\"{{uuid}}\"}";
    let args = [
        "send",
        "one",
        "--count",
        "21",
        "--template",
        pattern,
        "--rate",
        "50/s",
    ];
    let receipts = objects(&node.ok(&args));
    assert_eq!(receipts.len(), 21);
    // The first leaves at once, the last one 20 fiftieths of a second later.
    assert!(began.elapsed().as_millis() >= 400, "{:?}", began.elapsed());
    let mut numbers = BTreeSet::new();
    for body in &queues(&node, "one")[&0] {
        let body: Value = serde_json::from_str(body).unwrap();
        numbers.insert(body["n"].as_u64().unwrap());
        assert_eq!(body["id"].as_str().unwrap().len(), 36);
    }
    assert_eq!(numbers, (1..=21).collect());
}

#[test]
fn packed_bodies_are_read_whatever_packed_them() {
    let node = Node::start();
    let body = "a line that is much like the others\n".repeat(2000);
    for method in ["zlib", "lz4", "zstd", "none"] {
        let output = node.with_input(&["send", "one", "--compress", method], body.as_bytes());
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    }
    let messages = objects(&node.ok(&["consume", "one", "-o", "jsonl"]));
    for (message, flag) in messages.iter().zip([0x301, 0x101, 0x201, 0]) {
        assert!(message["bodyText"] == body.as_str());
        assert_eq!(message["sysFlag"].as_i64().unwrap() & 0x701, flag);
        let packed = message["storeSize"].as_u64().unwrap() < 20_000;
        assert_eq!(packed, flag != 0);
    }
}

#[test]
fn nobody_replies_is_4() {
    let node = Node::start();
    let output = node.run(&["send", "one", "--request", "--timeout", "200ms", "2 + 2"]);
    assert_eq!(code(&output), Some(4));
    assert!(
        stderr(&output).contains("nobody replied within 200 ms"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_unknown_topic_is_3_when_topics_are_not_created() {
    let node = Node::start_with(&["--set", "autoCreateTopicEnable=false"]);
    let output = node.run(&["send", "nowhere", "x"]);
    assert_eq!(code(&output), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
    let output = node.with_input(&["send", "nowhere", "--lines"], b"a\nb\nc\n");
    assert_eq!(code(&output), Some(3), "{}", stderr(&output));
}

#[test]
fn wrong_command_lines_are_2() {
    for args in [
        &["send", "one", "x", "--template", "{{n}}"][..],
        &["send", "one", "--template", "{{name}}"],
        &["send", "one", "x", "--rate", "fast"],
        &["send", "one", "x", "y", "--lines"],
        &["send", "one", "x", "--lines"],
        &["send", "one", "x", "--key-field", "..a"],
        &["send", "one", "x", "--batch", "0"],
        &["send", "one", "x", "--oneway", "--order-key", "k"],
        &["send", "one", "x", "--transaction"],
        &["send", "one", "x", "--exec", "true"],
        &["send", "one", "--only-checks"],
    ] {
        let output = run(args);
        assert_eq!(code(&output), Some(2), "{args:?}: {}", stderr(&output));
    }
    let output = run(["send", "one", "x", "--resume", "/no/such/report"]);
    assert_eq!(code(&output), Some(3), "{}", stderr(&output));
}

#[test]
fn a_reader_of_receipts_may_leave() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.txt");
    std::fs::write(&input, numbered("", 20_000)).unwrap();
    let mut child = node
        .command(&["send", "one", "--lines", &format!("@{}", input.display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(queues(&node, "one")[&0].len(), 20_000);
}

/// The broker dies in the middle: what the report calls stored is stored, and the rest is known.
#[test]
fn a_broker_that_dies_leaves_an_exact_report() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("r.jsonl");
    let node = Node::start();
    let mut child = node
        .command(&[
            "send",
            "one",
            "--lines",
            "-q",
            "--report",
            report.to_str().unwrap(),
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"first\n").unwrap();
    while std::fs::metadata(&report).map_or(0, |file| file.len()) == 0 {
        std::thread::yield_now();
    }
    drop(node);
    stdin.write_all(b"second\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));
    let outcomes = outcomes(&report);
    assert_eq!(outcomes[0], (1, "stored".to_owned()));
    assert_ne!(outcomes[1].1, "stored");
}

#[cfg(unix)]
mod transactions {
    use super::*;

    fn transaction(node: &Node, args: &[&str], input: &str) -> Output {
        let args = [&["send", "one", "--transaction"], args].concat();
        node.with_input(&args, input.as_bytes())
    }

    #[test]
    fn an_exit_code_decides() {
        let node = Node::start();
        let exec = "test \"$(cat)\" != bad && test -n \"$RMQ_TRANSACTION_ID\" && test \"$RMQ_TAG/$RMQ_KEYS/$RMQ_PROP_a_b/$RMQ_TOPIC\" = t/k/1/one";
        let args = [
            "--lines", "--exec", exec, "--tag", "t", "--key", "k", "-H", "a-b=1",
        ];
        let output = transaction(&node, &args, "good\nbad\nbetter\n");
        assert_eq!(code(&output), Some(6), "{}", stderr(&output));
        let ends: Vec<Value> = objects(&stdout(&output))
            .into_iter()
            .map(|row| row["outcome"].clone())
            .collect();
        assert_eq!(ends, ["COMMIT", "ROLLBACK", "COMMIT"]);
        assert!(stderr(&output).contains("2 committed, 1 rolled back, 0 undecided"));
        assert_eq!(queues(&node, "one")[&0], ["good", "better"]);
    }

    #[test]
    fn all_are_decided_alike() {
        let node = Node::start();
        for (how, expected) in [("rollback", ""), ("unknown", ""), ("commit", "x\n")] {
            let output = node.run(&["send", "one", "x", "--txn", how]);
            assert_eq!(code(&output), Some(0), "{how}: {}", stderr(&output));
            assert_eq!(
                node.ok(&["consume", "one", "-f", "%s\\n"]),
                expected,
                "{how}"
            );
        }
    }

    /// A command that was killed decides nothing; another process answers the broker later.
    #[test]
    fn a_check_decides_what_a_killed_command_left() {
        let node = Node::start_with(&[
            "--set",
            "transactionTimeOut=100",
            "--set",
            "transactionCheckInterval=100",
        ]);
        for body in ["yes", "no"] {
            let output = node.run(&["send", "one", body, "--transaction", "--exec", "kill -9 $$"]);
            assert_eq!(code(&output), Some(1), "{}", stderr(&output));
            assert!(
                stderr(&output).contains("1 undecided"),
                "{}",
                stderr(&output)
            );
        }
        let mut child = node
            .command(&[
                "send",
                "one",
                "--transaction",
                "--only-checks",
                "-o",
                "jsonl",
            ])
            .args(["--check", "test \"$(cat)\" = yes", "--linger", "30s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ends = BTreeSet::new();
        while ends.len() < 2 {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended early");
            let row: Value = serde_json::from_str(&line).unwrap();
            ends.insert(row["outcome"].as_str().unwrap().to_owned());
        }
        assert_eq!(
            ends,
            BTreeSet::from(["COMMIT".to_owned(), "ROLLBACK".to_owned()])
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = node.ok(&[
            "consume",
            "one",
            "--follow",
            "-n",
            "1",
            "--timeout",
            "10s",
            "-f",
            "%s",
        ]);
        assert_eq!(seen, "yes");
    }

    /// Ctrl-C: the transaction under way gets its end, the next ones are not begun.
    #[test]
    fn an_interrupt_waits_for_the_command() {
        let node = Node::start();
        let dir = tempfile::tempdir().unwrap();
        let (begun, go_on) = (dir.path().join("begun"), dir.path().join("go"));
        let exec = format!(
            "touch {}; until test -e {}; do sleep 0.02; done",
            begun.display(),
            go_on.display()
        );
        let child = node
            .command(&["send", "one", "a", "b", "--transaction", "--exec", &exec])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !begun.exists() {
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status();
        assert!(status.unwrap().success());
        std::fs::write(&go_on, "").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), Some(130), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("1 committed"),
            "{}",
            stderr(&output)
        );
        assert_eq!(queues(&node, "one")[&0], ["a"]);
    }
}

#[test]
fn a_dead_name_server_beside_a_living_one_is_passed_over() {
    let node = Node::start();
    let both = format!("127.0.0.1:9;{}", node.name_server());
    let output = rmq(["send", "one", "x", "--namesrv", &both])
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}
