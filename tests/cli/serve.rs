//! A node as a process: readiness, signals, ports, directories.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::{rmq, stderr, stdout};

/// A running `rmq serve`, killed with the test.
pub(super) struct Node {
    pub(super) child: Child,
    pub(super) ready: Value,
}

impl Node {
    /// Starts it on free ports and waits for the line that says it is ready.
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let line = super::first_line(&mut child);
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut said = String::new();
            child
                .stderr
                .as_mut()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            panic!("no ready line but {line:?}; stderr: {said}");
        };
        Self { child, ready }
    }

    pub(super) fn address(&self, of: &str) -> String {
        self.ready[of].as_str().unwrap().to_owned()
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop, and waits for the end.
    #[cfg(unix)]
    pub(super) fn end(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits for the end; what it said on stderr comes along.
    pub(super) fn wait(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn free_ports(more: &[&str]) -> Command {
    let mut command = rmq(["serve", "--port", "0", "--broker-port", "0"]);
    command.args(more);
    command
}

#[test]
#[cfg(unix)]
fn sigterm_and_ctrl_c_are_its_normal_end() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let ready_file = dir.path().join("ready.json");
        let node = Node::start(
            free_ports(&["--topic", "orders:3"])
                .arg("--data-dir")
                .arg(dir.path().join("data"))
                .arg("--ready-file")
                .arg(&ready_file),
        );
        assert_eq!(node.ready["event"], "ready");
        for port in ["namesrv", "broker"] {
            TcpStream::connect(node.address(port)).unwrap();
        }
        let written: Value = serde_json::from_slice(&fs::read(&ready_file).unwrap()).unwrap();
        assert_eq!(written, node.ready);
        node.signal(signal);
        let (status, said) = node.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("orders (3 queues)"), "{said}");
        assert!(said.contains("export NAMESRV_ADDR=127.0.0.1:"), "{said}");
        assert!(said.contains("ready in "), "{said}");
        assert!(!ready_file.exists());
        assert!(dir.path().join("data/config/topics.json").exists());
        assert!(
            !dir.path().join("data/abort").exists(),
            "a stop in order leaves no abort file"
        );
    }
}

#[test]
#[cfg(unix)]
fn an_ephemeral_node_leaves_nothing() {
    let node = Node::start(&mut free_ports(&["--ephemeral"]));
    assert_eq!(node.ready["ephemeral"], true);
    let dir = node.address("dataDir");
    assert!(Path::new(&dir).is_dir());
    node.signal("-TERM");
    let (status, said) = node.wait();
    assert!(status.success(), "{said}");
    assert!(!Path::new(&dir).exists());
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (flags, flag) in [
        (["--port", &port, "--broker-port", "0"], "--port"),
        (["--port", "0", "--broker-port", &port], "--broker-port"),
    ] {
        let output = rmq(["serve", "--ephemeral"]).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(
            text.contains(&format!("rmq: port {port} is in use")),
            "{text}"
        );
        assert!(text.contains(&format!("{flag} N")), "{text}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_directory_belongs_to_one_node() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut first = free_ports(&[]);
    let _first = Node::start(first.arg("--data-dir").arg(&data));
    let output = free_ports(&[])
        .arg("--data-dir")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&data.display().to_string()), "{text}");
    assert!(text.contains("in use"), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

#[test]
fn unknown_keys_are_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("broker.conf");
    fs::write(
        &config,
        "brokerNmae=a\nsendMessageThreadPoolNums=4\nbrokerName=b\n",
    )
    .unwrap();
    let mut command = free_ports(&["--ephemeral"]);
    let mut node = Node::start(command.arg("--config").arg(&config));
    assert_eq!(node.ready["brokerName"], "b");
    node.child.kill().unwrap();
    let (_, said) = node.wait();
    assert_eq!(said.matches("unknown key brokerNmae").count(), 1, "{said}");
    assert!(said.contains("broker.conf:1: "), "{said}");
    assert!(
        said.contains("without effect here so far: sendMessageThreadPoolNums"),
        "{said}"
    );
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let output = free_ports(&[])
        .arg("--data-dir")
        .arg(&file)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains(&file.display().to_string()),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn roles_run_apart() {
    let namesrv = Node::start(&mut rmq([
        "serve",
        "--role",
        "namesrv",
        "--ephemeral",
        "--port",
        "0",
    ]));
    assert_eq!(namesrv.ready["broker"], Value::Null);
    let at = namesrv.address("namesrv");
    let mut command = rmq([
        "serve",
        "--role",
        "broker",
        "--ephemeral",
        "--broker-port",
        "0",
    ]);
    let broker = Node::start(command.args(["--namesrv", &at]));
    assert_eq!(broker.ready["namesrv"], Value::Null);
    TcpStream::connect(broker.address("broker")).unwrap();
}

#[cfg(unix)]
#[test]
fn an_administrators_settings_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broker.conf");
    fs::write(&file, "# ours\nfileReservedTime=24\nmyKey=x\n").unwrap();
    let start = || {
        let mut command = rmq(["serve", "--port", "0", "--broker-port", "0"]);
        command.arg("--config").arg(&file);
        command.arg("--data-dir").arg(dir.path().join("data"));
        Node::start(command.env("RMQ_TRACE_ON", "true"))
    };
    let config = |node: &Node, args: &[&str]| {
        let mut command = rmq(["broker", "config"]);
        command
            .args(args)
            .args(["--namesrv", &node.address("namesrv")]);
        command.output().unwrap()
    };
    let node = start();
    let changed = config(
        &node,
        &[
            "set",
            "fileReservedTime=48",
            "maxMessageSize=65536",
            "traceOn=false",
            "--yes",
        ],
    );
    assert_eq!(changed.status.code(), Some(0), "{}", stderr(&changed));
    assert!(
        stderr(&changed).contains("RMQ_TRACE_ON wins over traceOn"),
        "{}",
        stderr(&changed)
    );
    // It would end the next start, so it is refused.
    let refused = config(&node, &["set", "maxMessageSize=1", "--yes"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(
        stderr(&refused).contains("at least 1024"),
        "{}",
        stderr(&refused)
    );
    node.end();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "# ours\nfileReservedTime=48\nmyKey=x\nmaxMessageSize=65536\ntraceOn=false\n"
    );
    let node = start();
    for (key, value) in [
        ("fileReservedTime", "48"),
        ("maxMessageSize", "65536"),
        ("traceOn", "true"),
    ] {
        let shown = config(&node, &["get", key, "-o", "tsv", "--columns", "value"]);
        assert_eq!(stdout(&shown).trim(), value, "{key}");
    }
}

/// One HTTP request; status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn a_node_is_watched_over_http() {
    let node = super::messages::Node::start_with(&["--http", "0"]);
    let http = node.ready()["http"].as_str().unwrap().to_owned();
    assert_eq!(get(&http, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(get(&http, "/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&http, "/nothing").0, 404);
    node.ok(&["send", "one", "a", "b", "c"]);
    node.ok(&["consume", "one", "-g", "g", "-n", "2", "--from", "earliest"]);
    let (status, text) = get(&http, "/metrics");
    assert_eq!(status, 200);
    let value = |start: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(start) && line.contains("\"one\""));
        line.unwrap_or_else(|| panic!("no {start} in {text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(value("rocketmq_messages_in_total{"), "3");
    assert_eq!(value("rocketmq_consumer_lag_messages{"), "1");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
