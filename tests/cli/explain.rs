//! `rmq explain`: codes, findings, errors as arguments and on stdin.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use super::{rmq, run, stderr, stdout};

#[test]
fn a_code_is_explained_to_people_and_to_scripts() {
    let output = run(["explain", "14", "-o", "table"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(
        text.starts_with("SERVICE_NOT_AVAILABLE  response code 14\n  The broker takes no messages"),
        "{text}"
    );
    assert!(text.contains("\n  why   · "), "{text}");
    assert!(text.contains("\n  next  · rmq doctor"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );

    let output = run(["explain", "RMQ-D020"]);
    let row: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(row["kind"], "finding");
    assert_eq!(row["name"], "RMQ-D020");
    assert!(row["next"][0].as_str().unwrap().contains("SYNC_FLUSH"));
}

#[test]
fn a_stack_trace_on_stdin_is_explained() {
    let mut child = rmq(["explain", "-o", "name"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let trace = "Exception in thread \"main\" org.apache.rocketmq.client.exception.MQClientException: \
        No route info of this topic: orders\nSee https://example.invalid for further details.\n\
        \tat org.apache.rocketmq.client.impl.producer.DefaultMQProducerImpl.sendDefaultImpl(DefaultMQProducerImpl.java:692)\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(trace.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "No route info of this topic\n");
}

#[test]
fn the_unknown_ends_with_3_and_all_can_be_listed() {
    let output = run(["explain", "the weather"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).starts_with("rmq: nothing known about \"the weather\"\n  hint: "),
        "{}",
        stderr(&output)
    );
    let listed = stdout(&run(["explain", "--list", "-o", "name"]));
    for name in [
        "TOPIC_NOT_EXIST",
        "SEND_OK",
        "RMQ-D001",
        "RMQ-W001",
        "interrupted",
    ] {
        assert!(listed.lines().any(|line| line == name), "{name}");
    }
}
