//! `rmq send` and `rmq consume` against a running node.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{first_line, rmq, stderr, stdout};

/// A running `rmq serve` on free ports, killed with the test.
pub(super) struct Node {
    child: Child,
    namesrv: String,
    ready: Value,
}

impl Node {
    /// With a topic `one` of one queue.
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(super) fn start_with(args: &[&str]) -> Self {
        let mut child = rmq(["serve", "--ephemeral", "--port", "0", "--broker-port", "0"])
            .args(["--topic", "one:1"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ready: Value = serde_json::from_str(&first_line(&mut child)).unwrap();
        let namesrv = ready["namesrv"].as_str().unwrap().to_owned();
        Self {
            child,
            namesrv,
            ready,
        }
    }

    /// What it said when it was ready.
    pub(super) fn ready(&self) -> &Value {
        &self.ready
    }

    pub(super) fn name_server(&self) -> &str {
        &self.namesrv
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = rmq(args);
        command.args(["--namesrv", &self.namesrv]);
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }

    pub(super) fn with_input(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Lines that end with their number.
pub(super) fn numbered(start: &str, count: u32) -> String {
    let lines: Vec<String> = (0..count).map(|n| format!("{start}{n}\n")).collect();
    lines.concat()
}

pub(super) fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_is_sent_is_seen_with_everything_on_it() {
    let node = Node::start();
    let sent = node.ok(&[
        "send",
        "one",
        "hello",
        "wörld",
        "--tag",
        "paid",
        "--key",
        "k1",
        "--key",
        "k2",
        "-H",
        "trace=abc",
    ]);
    let receipts = objects(&sent);
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[1]["queueOffset"], 1);
    assert_eq!(receipts[1]["status"], "SEND_OK");

    let output = node.run(&["consume", "one", "-o", "jsonl"]);
    assert!(stderr(&output).starts_with("peek one, 1 queues, from the first message"));
    let seen = objects(&stdout(&output));
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1]["bodyText"], "wörld");
    assert_eq!(seen[1]["tags"], "paid");
    assert_eq!(seen[1]["keys"], "k1 k2");
    assert_eq!(seen[1]["properties"]["trace"], "abc");
    assert_eq!(seen[1]["uniqKey"], receipts[1]["uniqKey"]);
    assert_eq!(seen[1]["msgId"], receipts[1]["msgId"]);

    let format = "%t/%p@%o %k %g %h %S %s\\n";
    assert_eq!(
        node.ok(&["consume", "one", "--from", "1", "-f", format]),
        "one/0@1 k1 k2 paid trace=abc 6 wörld\n"
    );
    let ids = node.ok(&["consume", "one", "-o", "name", "-n", "1"]);
    assert_eq!(ids.trim_end(), receipts[0]["uniqKey"].as_str().unwrap());
}

#[test]
fn lines_stay_in_order() {
    let node = Node::start();
    let lines = numbered("line ", 2000);
    let output = node.with_input(&["send", "one", "--lines", "-o", "name"], lines.as_bytes());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2000);
    assert_eq!(node.ok(&["consume", "one", "-f", "%s\\n"]), lines);

    let batches = ["send", "one", "--lines", "--batch", "300"];
    let output = node.with_input(&batches, lines.as_bytes());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(objects(&stdout(&output))[1999]["queueOffset"], 3999);
    assert_eq!(
        node.ok(&["consume", "one", "-f", "%s\\n", "--from", "2000"]),
        lines
    );
    assert_eq!(
        node.ok(&["consume", "one", "-f", "%s\\n", "--from", "-2"]),
        "line 1998\nline 1999\n"
    );
}

#[test]
fn printed_messages_can_be_sent_again() {
    let node = Node::start();
    let body: Vec<u8> = (0..=255).collect();
    let output = node.with_input(&["send", "one", "--tag", "bin"], &body);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    node.ok(&["send", "one", "text"]);
    let printed = node.ok(&["consume", "one", "-o", "jsonl"]);
    let output = node.with_input(&["send", "two", "--input", "jsonl"], printed.as_bytes());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let again = objects(&node.ok(&["consume", "two", "-o", "jsonl"]));
    let first = objects(&printed);
    for field in ["bodyBase64", "bodyText", "tags", "bodyCRC"] {
        assert_eq!(again[0][field], first[0][field]);
        assert_eq!(again[1][field], first[1][field]);
    }
    assert_ne!(again[0]["uniqKey"], first[0]["uniqKey"]);
}

#[test]
fn exit_codes_say_what_happened() {
    let node = Node::start();
    let exits = |args: &[&str], expected: i32, said: &str| {
        let output = node.run(args);
        let stderr = stderr(&output);
        assert_eq!(code(&output), Some(expected), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    };
    exits(&["send", "one", ""], 2, "empty");
    exits(&["send", "a b", "x"], 2, "illegal characters");
    exits(&["send", "one", "x", "-H", "nothing"], 2, "NAME=VALUE");
    exits(
        &["send", "one", "x", "-H", "UNIQ_KEY=1"],
        2,
        "belongs to RocketMQ",
    );
    exits(&["send", "one", "@/no/such/file"], 3, "/no/such/file");
    exits(&["send", "one", "x", "--queue", "7"], 3, "no queue 7");
    exits(&["send", "RMQ_SYS_TRANS_HALF_TOPIC", "x"], 5, "16");
    exits(&["consume", "nowhere"], 3, "nowhere");
    exits(&["consume", "one", "--from", "yesterday"], 2, "--from");
    exits(&["consume", "one", "-f", "%q"], 2, "%q");
    exits(&["consume", "one", "-n", "1"], 9, "0 of 1 messages");
    exits(
        &[
            "consume",
            "one",
            "--follow",
            "-n",
            "1",
            "--timeout",
            "200ms",
        ],
        9,
        "the time is up",
    );
    exits(
        &["consume", "one", "--follow", "-n", "1", "--idle", "200ms"],
        9,
        "nothing more came",
    );
    exits(&["consume", "one", "--follow", "--idle", "200ms"], 0, "");
}

#[test]
fn nobody_there_is_4() {
    for args in [&["send", "t", "x"][..], &["consume", "t"]] {
        let output = rmq(args)
            .args(["--namesrv", "127.0.0.1:9"])
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(4), "{}", stderr(&output));
        assert!(stderr(&output).contains("--namesrv"));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_message_that_cannot_be_sent_does_not_stop_the_others() {
    let node = Node::start();
    let lines = "{\"body\":\"a\"}\nnonsense\n{\"body\":\"b\"}\n";
    let output = node.with_input(&["send", "one", "--input", "jsonl"], lines.as_bytes());
    assert_eq!(code(&output), Some(6));
    let said = stderr(&output);
    assert!(said.contains("line 2"), "{said}");
    assert!(said.contains("2 sent, 1 not acknowledged"), "{said}");
    assert_eq!(node.ok(&["consume", "one", "-f", "%s "]), "a b ");
}

#[test]
fn a_dry_run_changes_nothing() {
    let node = Node::start();
    let plan = objects(&node.ok(&["send", "one", "hello", "--count", "2", "--dry-run"]));
    assert_eq!(plan.len(), 2);
    assert_eq!(plan[0]["bodyLength"], 5);
    assert_eq!(node.ok(&["consume", "one"]), "");

    node.ok(&["send", "one", "a", "b"]);
    let group = ["consume", "one", "-g", "g", "-f", "%s "];
    let dry = [&group[..], &["--dry-run"]].concat();
    assert_eq!(node.ok(&dry), "a b ");
    let first = [&group[..], &["-n", "1", "--from", "earliest"]].concat();
    assert_eq!(node.ok(&first), "a ");
    assert_eq!(node.ok(&dry), "b ");
    assert_eq!(node.ok(&group), "b ");
    assert_eq!(node.ok(&group), "");
}

#[test]
fn waiting_and_oneway_messages_arrive() {
    let node = Node::start();
    assert_eq!(node.ok(&["send", "one", "quick", "--oneway"]), "");
    node.ok(&["send", "one", "late", "--delay-level", "1"]);
    assert_eq!(
        node.ok(&[
            "consume",
            "one",
            "--follow",
            "-n",
            "2",
            "-f",
            "%s ",
            "--timeout",
            "10s"
        ]),
        "quick late "
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_silently() {
    let node = Node::start();
    node.ok(&["send", "one", "x", "--count", "500"]);
    for group in [&[][..], &["-g", "g", "--from", "earliest"]] {
        let mut args = vec!["consume", "one", "--follow"];
        args.extend(group);
        let mut child = node
            .command(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        drop(out);
        node.ok(&["send", "one", "more", "--count", "5"]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), Some(0));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

#[cfg(unix)]
mod signals {
    use super::*;

    fn send_signal(child: &Child, name: &str) {
        let sent = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Starts a command and waits for the first line on its stdout.
    fn start(node: &Node, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
        let mut child = node
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        (child, out, line)
    }

    #[test]
    fn the_first_interrupt_finishes_and_summarises() {
        let node = Node::start();
        node.ok(&["send", "one", "a"]);
        let group = [
            "consume", "one", "-g", "g", "--from", "earliest", "-f", "%s\\n",
        ];
        let follow = [&group[..], &["--follow"]].concat();
        let (child, _out, line) = start(&node, &follow);
        assert_eq!(line, "a\n");
        send_signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), Some(130));
        assert!(stderr(&output).contains("1 messages, interrupted"));
        assert_eq!(node.ok(&group), "", "what was printed was acknowledged");
    }

    #[test]
    fn an_interrupted_send_says_what_was_sent() {
        let node = Node::start();
        let mut child = node
            .command(&["send", "one", "--lines"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"first\n").unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(
            line.contains("SEND_OK"),
            "a line leaves as soon as it is there"
        );
        send_signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), Some(130));
        assert!(stderr(&output).contains("1 sent, 0 not acknowledged"));
        drop(stdin);
    }

    /// Killed at any moment, a group consumer has printed everything it acknowledged.
    #[test]
    fn a_killed_consumer_loses_nothing() {
        let node = Node::start();
        let lines = numbered("", 3000);
        node.with_input(&["send", "one", "--lines"], lines.as_bytes());
        let group = [
            "consume", "one", "-g", "g", "--from", "earliest", "-f", "%s\\n",
        ];
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let (mut child, out, line) = start(&node, &group);
            seen.insert(line.trim().to_owned());
            let mut lines = out.lines().map_while(Result::ok);
            seen.extend(lines.by_ref().take(300));
            child.kill().unwrap();
            child.wait().unwrap();
            seen.extend(lines);
        }
        seen.extend(node.ok(&group).lines().map(str::to_owned));
        seen.remove("");
        assert_eq!(seen.len(), 3000);
    }
}
