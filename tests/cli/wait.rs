//! `rmq wait` against a node, and against nobody.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{rmq, stderr, stdout};
use crate::support::node::NodeProcess;
use crate::support::ports::Ports;

fn wait(namesrv: &str, args: &[&str]) -> Output {
    let mut command = rmq(["wait", "--namesrv", namesrv]);
    command.args(args).output().unwrap()
}

fn node() -> (tempfile::TempDir, NodeProcess, String) {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(&dir.path().join("store"), &[]);
    let namesrv = node.name_server.to_string();
    (dir, node, namesrv)
}

fn done(mut command: Command) {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn what_holds_ends_it_with_0_and_what_does_not_with_9() {
    let (_dir, _node, namesrv) = node();
    let output = wait(&namesrv, &["--ready"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!((stdout(&output), stderr(&output)), Default::default());
    let output = wait(&namesrv, &["--ready", "-o", "json"]);
    let rows: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(rows[0]["condition"], "ready");
    for (condition, why) in [
        (["--topic", "nowhere"], "nowhere"),
        (["--group", "nobody"], "group nobody has no member"),
        (["--group-idle", "nobody"], "nobody"),
    ] {
        let output = wait(
            &namesrv,
            &[&condition[..], &["--timeout", "100ms"]].concat(),
        );
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(9), "{said}");
        assert!(said.contains("gave up after 100 ms"), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn it_ends_when_what_it_waits_for_comes() {
    let (_dir, _node, namesrv) = node();
    let begin = |args: &[&str]| {
        let mut command = rmq(["wait", "--namesrv", &namesrv, "--timeout", "30s"]);
        let command = command.args(args).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let ends = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    };
    let topic = begin(&["--topic", "orders"]);
    done(rmq(["send", "orders", "one", "--namesrv", &namesrv]));
    ends(topic);
    // Nobody consumes so far; then somebody does, and catches up.
    let (member, idle) = (
        begin(&["--group", "billing"]),
        begin(&["--group-idle", "billing"]),
    );
    let mut consumer = rmq(["consume", "orders", "-g", "billing", "--from", "earliest"]);
    let mut consumer = consumer
        .args(["--namesrv", &namesrv])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    ends(member);
    ends(idle);
    consumer.kill().unwrap();
    consumer.wait().unwrap();
}

#[test]
fn nobody_there_ends_it_with_4_in_time() {
    let ports = Ports::one();
    let nobody = format!("127.0.0.1:{}", ports.first());
    let begin = Instant::now();
    let output = wait(&nobody, &["--ready", "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    // Somebody who takes the connection and says nothing is no answer either.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = silent.local_addr().unwrap().to_string();
    let output = wait(&silent_at, &["--ready", "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}

#[test]
fn a_condition_is_needed() {
    let output = rmq(["wait"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--group-idle"));
}
