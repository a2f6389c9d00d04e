//! Administration against a running node: what each command prints, as a table and as JSON, and how it ends.
//!
//! `session.txt` holds whole sessions: command lines, what they printed on both streams, exit codes. What differs from run
//! to run (ports, times, ids) is replaced by names. `RMQ_UPDATE_GOLDEN=1 cargo test --test cli admin` writes it anew.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::messages::Node;
use super::{rmq, run, stderr, stdout};

/// Every command of this part, for its help.
const COMMANDS: &[&[&str]] = &[
    &["topic"],
    &["topic", "ls"],
    &["topic", "show"],
    &["topic", "create"],
    &["topic", "set"],
    &["topic", "rm"],
    &["topic", "drain"],
    &["group"],
    &["group", "ls"],
    &["group", "show"],
    &["group", "create"],
    &["group", "set"],
    &["group", "rm"],
    &["group", "reset"],
    &["group", "clone"],
    &["group", "skip"],
    &["group", "log"],
    &["msg"],
    &["msg", "get"],
    &["msg", "find"],
    &["msg", "delayed"],
    &["msg", "half"],
    &["msg", "rm"],
    &["client"],
    &["client", "ls"],
    &["client", "show"],
    &["client", "stack"],
    &["broker"],
    &["broker", "ls"],
    &["broker", "show"],
    &["broker", "config"],
    &["broker", "perm"],
    &["broker", "clean"],
    &["cluster"],
    &["nsconf"],
    &["acl"],
    &["ctx"],
    &["config"],
    &["check"],
];

#[test]
fn every_help_has_an_example() {
    for command in COMMANDS {
        let output = run(command.iter().chain(&["--help"]));
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        let help = stdout(&output);
        let example = format!("  rmq {}", command.join(" "));
        assert!(
            help.contains("Example") && help.contains(&example),
            "{command:?}:\n{help}"
        );
    }
}

/// A session under way: the node, and what was seen so far.
struct Session {
    node: Node,
    /// Text that differs from run to run, and its name. Longer ones first.
    names: Vec<(String, String)>,
    seen: String,
}

impl Session {
    fn start() -> Self {
        let node = Node::start_with(&["--topic", "orders:2"]);
        let broker = node.ok(&["broker", "ls", "-o", "tsv", "--columns", "address"]);
        let names = vec![
            (broker.trim().to_owned(), "BROKER".to_owned()),
            (node.name_server().to_owned(), "NAMESRV".to_owned()),
        ];
        Self {
            node,
            names,
            seen: String::new(),
        }
    }

    /// Runs a command and writes down what it said.
    fn see(&mut self, line: &str) -> String {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = self.node.command(&args).args(["--utc"]).output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        let code = output.status.code().unwrap();
        let text = format!("{out}{err}");
        let _ = writeln!(self.seen, "$ rmq {line}\n{}[{code}]\n", self.named(&text));
        out
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.names {
            // As wide as before, so that columns stay in line.
            let name = format!("{name:<width$}", width = value.len());
            text = text.replace(value.as_str(), &name);
        }
        let text = times(&text);
        let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
        lines.collect()
    }
}

/// Puts a name in place of RFC 3339 times, milliseconds since 1970, and the long ids of messages.
fn times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || ".:-".contains(c)))
            .unwrap_or(rest.len());
        let (found, after) = rest.split_at(word);
        let digits = found.bytes().all(|b| b.is_ascii_digit());
        let hex = found.bytes().all(|b| b.is_ascii_hexdigit());
        let name = match found.len() {
            24 if found.ends_with('Z') && found.contains('T') => "TIME",
            13 if digits => "MS",
            32 if hex => "ID",
            _ => "",
        };
        if name.is_empty() {
            out.push_str(found);
        } else {
            let _ = write!(out, "{name:<word$}");
        }
        rest = after;
    }
    out + rest
}

#[test]
fn sessions_are_as_written_down() {
    let mut session = Session::start();
    for number in 0..4 {
        let key = format!("k{number}");
        let args = [
            "send", "orders", "--queue", "0", "--key", &key, "--tag", "paid", "-o", "name",
        ];
        session
            .node
            .ok(&[&args[..], &[&format!("body {number}")]].concat());
    }
    for line in include_str!("commands.txt").lines() {
        if !line.is_empty() && !line.starts_with('#') {
            session.see(line);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/admin/session.txt");
    if std::env::var_os("RMQ_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &session.seen).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (seen, expected) in session.seen.split("$ rmq ").zip(expected.split("$ rmq ")) {
        assert_eq!(seen, expected, "written down is what stands on the right");
    }
    assert_eq!(session.seen.len(), expected.len());
}

/// A member of a group, killed when dropped.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_member_is_seen_with_its_queues_and_offsets_follow_a_reset() {
    let node = Node::start();
    node.ok(&["group", "create", "watchers"]);
    node.ok(&["send", "one", "first", "-o", "name"]);
    let mut child = node
        .command(&[
            "consume", "one", "-g", "watchers", "--from", "earliest", "--follow", "-o", "jsonl",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _member = Member(child);
    assert!(lines.next().unwrap().unwrap().contains("first"));

    let rows = |args: &[&str]| -> Vec<Value> {
        serde_json::from_str(&node.ok(&[args, &["-o", "json"]].concat())).unwrap()
    };
    let clients = rows(&["client", "ls", "--group", "watchers"]);
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert_eq!(clients[0]["language"], "RUST");
    let id = clients[0]["clientId"].as_str().unwrap();
    let members = rows(&["group", "show", "watchers", "--by", "member"]);
    assert_eq!(members[0]["clientId"], id);
    let shown = rows(&["client", "show", id]);
    assert!(shown.iter().any(|row| row["topic"] == "one"), "{shown:?}");
    let queues = rows(&["group", "show", "watchers", "one", "--owners"]);
    assert_eq!(queues[0]["owner"], id, "{queues:?}");
    let stack = node.run(&["client", "stack", id]);
    assert_eq!(stack.status.code(), Some(1), "{}", stderr(&stack));

    // The member goes back and reads the first message once more.
    let plan = rows(&[
        "group", "reset", "watchers", "one", "--to", "earliest", "--yes",
    ]);
    assert_eq!(plan[0]["after"], 0, "{plan:?}");
    assert_ne!(plan[0]["result"], "failed", "{plan:?}");
    assert!(lines.next().unwrap().unwrap().contains("first"));
    let refused = node.run(&["group", "clone", "one", "watchers", "--yes"]);
    assert_eq!(refused.status.code(), Some(3));
}

#[test]
fn a_drained_topic_takes_nothing_and_goes() {
    let node = Node::start();
    node.ok(&["group", "create", "g"]);
    node.ok(&["send", "one", "x", "-o", "name"]);
    node.ok(&["group", "reset", "g", "one", "--to", "earliest", "--yes"]);
    let short = node.run(&["topic", "drain", "one", "--timeout", "1ms", "--yes"]);
    assert_eq!(short.status.code(), Some(9), "{}", stderr(&short));
    let sent = node.run(&["send", "one", "y", "--timeout", "1s"]);
    assert_ne!(sent.status.code(), Some(0));
    node.ok(&["group", "skip", "g", "one", "--yes"]);
    node.ok(&["topic", "drain", "one", "--timeout", "30s", "--rm", "--yes"]);
    assert_eq!(node.run(&["topic", "show", "one"]).status.code(), Some(3));
}

#[test]
fn contexts_decide_unless_something_nearer_does() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start();
    let command = |args: &[&str]| {
        let mut command = rmq(args);
        command
            .env("RMQ_CONFIG_DIR", dir.path())
            .current_dir(dir.path());
        command
    };
    let code = |args: &[&str]| command(args).output().unwrap().status.code();
    assert_eq!(
        code(&["ctx", "add", "node", "--namesrv", node.name_server()]),
        Some(0)
    );
    assert_eq!(
        code(&["ctx", "add", "nowhere", "--namesrv", "127.0.0.1:1"]),
        Some(0)
    );
    assert_eq!(code(&["ctx", "add", "node", "--namesrv", "x:1"]), Some(1));
    assert_eq!(code(&["topic", "ls"]), Some(0));
    assert_eq!(code(&["ctx", "use", "nowhere"]), Some(0));
    assert_eq!(code(&["topic", "ls"]), Some(4));
    assert_eq!(code(&["--context", "node", "topic", "ls"]), Some(0));
    assert_eq!(code(&["ctx", "-"]), Some(0));
    let shown = command(&["config", "show", "--origin", "-o", "json"])
        .output()
        .unwrap();
    let rows: Vec<Value> = serde_json::from_str(&stdout(&shown)).unwrap();
    let namesrv = rows.iter().find(|row| row["setting"] == "namesrv").unwrap();
    assert_eq!(namesrv["value"], node.name_server());
    assert!(
        namesrv["origin"]
            .as_str()
            .unwrap()
            .starts_with("context node in ")
    );
    std::fs::write(dir.path().join("contexts.yaml"), "contexts: [\n").unwrap();
    let broken = command(&["topic", "ls"]).output().unwrap();
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        stderr(&broken).contains("contexts.yaml:"),
        "{}",
        stderr(&broken)
    );
}

#[test]
fn half_a_change_is_said() {
    let node = Node::start();
    let output = node.run(&[
        "broker",
        "config",
        "set",
        "fileReservedTime=48",
        "noSuchSetting=1",
        "--yes",
        "-o",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(6));
    let rows: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    let results: Vec<&str> = rows
        .iter()
        .map(|row| row["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["done", "different"]);
    assert!(stderr(&output).contains("partly done: 1 done, 1 not"));
}
