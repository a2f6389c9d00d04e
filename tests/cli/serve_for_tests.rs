//! What `rmq serve` offers those who start a node for a test: known data, no orphans, small files, faults.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::serve::{Node, free_ports};
use super::{golden, rmq, stderr, stdout};

const SEED: &str = "\
topics:
  - orders:2
  - {name: ledger, queues: 1, attributes: {message.type: FIFO}}
groups: [billing, {name: audit, retryMax: 3}]
messages:
  - {topic: orders, body: one, keys: 41, tag: paid, properties: {trace: abc}}
  - {topic: orders, body: {id: 2}, keys: [a, b]}
  - {topic: orders, body: three, queue: 1}
  - {topic: other, body: elsewhere}
  - {topic: orders, body: later, delay: 1h}
";

fn ask(node: &Node, args: &[&str]) -> Output {
    let mut command = rmq(args);
    let namesrv = node.address("namesrv");
    command.args(["--namesrv", &namesrv]).output().unwrap()
}

fn data(node: &Node, args: &[&str]) -> Vec<Value> {
    let output = ask(node, &[args, &["-o", "jsonl"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn bodies(node: &Node, topic: &str) -> Vec<String> {
    let mut bodies: Vec<String> = data(node, &["consume", topic, "--from", "earliest"])
        .iter()
        .map(|message| message["bodyText"].to_string())
        .collect();
    bodies.sort();
    bodies
}

fn seeded(dir: &Path, seed: &str) -> Command {
    fs::write(dir.join("seed.yaml"), seed).unwrap();
    let mut command = free_ports(&["--seed"]);
    let command_line = command.arg(dir.join("seed.yaml")).arg("--data-dir");
    command_line.arg(dir.join("data"));
    command
}

#[test]
fn a_seed_is_there_before_the_node_is_ready_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let orders = ["\"one\"", "\"three\"", "\"{\\\"id\\\":2}\""].map(str::to_owned);
    for sent in [5, 0] {
        let node = Node::start(&mut seeded(dir.path(), SEED));
        assert_eq!(node.ready["seeded"], sent);
        assert_eq!(bodies(&node, "orders"), orders);
        assert_eq!(bodies(&node, "other"), ["\"elsewhere\""]);
        let messages = data(
            &node,
            &["consume", "orders", "--from", "earliest", "--key", "41"],
        );
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["tags"], "paid");
        assert_eq!(messages[0]["properties"]["trace"], "abc");
        let groups = data(&node, &["group", "ls", "--all"]);
        let audit = groups
            .iter()
            .find(|group| group["group"] == "audit")
            .unwrap();
        assert_eq!(audit["retryMax"], 3);
        let (status, _) = node.end();
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn a_seed_with_a_mistake_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, said) in [
        ("topics:\n  - a\n  - name: b\n    quues: 2\n", "seed.yaml:"),
        ("topics: [a]\nthings: []\n", "unknown field `things`"),
        (
            "messages:\n  - {topic: 'no name', body: x}\n",
            "illegal characters",
        ),
    ] {
        let output = seeded(dir.path(), seed).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert!(!dir.path().join("data").exists());
    }
    // Well written, and impossible.
    let seed = "topics: [a:1]\nmessages:\n  - {topic: a, body: x, queue: 7}\n";
    let output = seeded(dir.path(), seed).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("message 1: "),
        "{}",
        stderr(&output)
    );
    let output = free_ports(&["--seed", "nowhere.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
#[cfg(unix)]
fn it_ends_with_its_parent() {
    let mut parent = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = parent.id().to_string();
    let mut node = Node::start(&mut free_ports(&["--ephemeral", "--parent-pid", &pid]));
    let dir = node.address("dataDir");
    assert!(node.child.try_wait().unwrap().is_none());
    // Nobody looks after it before the node has seen its end.
    drop(parent.stdin.take());
    let (status, said) = node.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("the parent process is gone"), "{said}");
    assert!(!Path::new(&dir).exists());
    parent.wait().unwrap();
    let gone = free_ports(&["--ephemeral", "--parent-pid", "2147483000"]);
    let mut gone = gone;
    assert_eq!(gone.output().unwrap().status.code(), Some(3));
}

#[test]
fn it_ends_when_nobody_is_connected() {
    let node = Node::start(&mut free_ports(&[
        "--ephemeral",
        "--exit-when-idle",
        "300ms",
    ]));
    let mut client = TcpStream::connect(node.address("namesrv")).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    // The node would close the connection by ending.
    let waited = client.read(&mut [0]).unwrap_err();
    assert!(
        matches!(
            waited.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        ),
        "{waited}"
    );
    let left = Instant::now();
    drop(client);
    let (status, said) = node.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("no client for so long"), "{said}");
    assert!(
        left.elapsed() >= Duration::from_millis(250),
        "{:?}",
        left.elapsed()
    );
}

#[test]
#[cfg(unix)]
fn an_open_file_descriptor_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec \"$0\" serve --ephemeral --port 0 --broker-port 0 --ready-fd 7 7>\"$1\"",
        ])
        .arg(env!("CARGO_BIN_EXE_rmq"))
        .arg(&told);
    let node = Node::start(&mut command);
    let written: Value = serde_json::from_slice(&fs::read(&told).unwrap()).unwrap();
    assert_eq!(written, node.ready);
    let output = free_ports(&["--ephemeral", "--ready-fd", "977"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("file descriptor 977"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn files_and_limits_are_those_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = free_ports(&["--segment", "1MiB", "--auto-create", "off"]);
    command.args([
        "--max-message",
        "2KiB",
        "--topic",
        "orders:1",
        "--group",
        "billing,audit",
    ]);
    let node = Node::start(command.arg("--data-dir").arg(dir.path().join("data")));
    let send = |topic: &str, body: &str| {
        let output = ask(&node, &["send", topic, body]);
        (output.status.code(), stderr(&output))
    };
    assert_eq!(send("orders", "short").0, Some(0));
    assert_ne!(send("orders", &"x".repeat(3000)).0, Some(0));
    assert_eq!(send("unknown", "short").0, Some(3));
    let groups = data(&node, &["group", "ls", "--all"]);
    for name in ["billing", "audit"] {
        assert!(groups.iter().any(|group| group["group"] == name), "{name}");
    }
    let size = |path: &str| {
        fs::metadata(dir.path().join("data").join(path))
            .unwrap()
            .len()
    };
    assert_eq!(size("commitlog/00000000000000000000"), 1 << 20);
    // 40 bytes, 10,000 slots of 4 and 40,000 entries of 20.
    let index = fs::read_dir(dir.path().join("data/index")).unwrap().next();
    assert!(index.is_none_or(|file| file.unwrap().metadata().unwrap().len() == 840_040));
    for bad in [
        ["--retain", "long"],
        ["--retain", "12"],
        ["--max-message", "1GiB"],
        ["--auto-create", "maybe"],
        ["--fault", "send:burn"],
        ["--group", "or ders"],
    ] {
        let output = free_ports(&["--ephemeral"]).args(bad).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn requests_meet_the_faults_asked_for() {
    let mut command = free_ports(&["--ephemeral", "--topic", "orders:4", "--seed", "/dev/null"]);
    command.args(["--fault", "send:busy:x1,send:error:message_illegal:x3"]);
    let node = Node::start(&mut command);
    let send = || ask(&node, &["send", "orders", "hello"]);
    // Busy is tried again, and then meets the next rule; what is called illegal is not.
    for code in [1, 1, 1, 0] {
        let output = send();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!(
            stderr(&output).contains("a fault that was asked for"),
            code != 0
        );
    }
    let late = Node::start(&mut free_ports(&[
        "--ephemeral",
        "--topic",
        "orders",
        "--fault",
        "send:delay:400ms",
    ]));
    let begin = Instant::now();
    let output = ask(&late, &["send", "orders", "hello"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(begin.elapsed() >= Duration::from_millis(400));
    let (_, said) = late.end();
    assert!(
        said.contains("requests meet faults: send:delay:400ms"),
        "{said}"
    );
    let lost = Node::start(&mut free_ports(&[
        "--ephemeral",
        "--topic",
        "orders",
        "--fault",
        "send:close",
    ]));
    let output = ask(&lost, &["send", "orders", "hello"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}

#[test]
fn help() {
    golden::check("serve-help.txt", &golden::help(&["serve"]));
    golden::check("wait-help.txt", &golden::help(&["wait"]));
    golden::check("advertise-help.txt", &golden::help(&["advertise"]));
}
