//! What `rmq serve` says about its configuration before it starts.

use std::fs;
use std::process::Output;

use super::{rmq, stderr, stdout};

/// Runs `serve` with a file that must be refused.
fn refused(name: &str, text: impl AsRef<[u8]>, more: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), text).unwrap();
    let output = rmq(["serve", "--ephemeral", "--port", "0", "--config", name])
        .args(more)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "");
    output
}

#[test]
fn a_bad_value_names_file_line_and_key() {
    let output = refused(
        "broker.conf",
        "# mine\nbrokerName=a\nlistenPort=many\n",
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "rmq: broker.conf:3: listenPort: \"many\" is no port (0 to 65535, 0 for any free one)\n"
    );
}

#[test]
fn all_bad_values_are_told_at_once() {
    let yaml = "flushDiskType: SOMETIMES\nfileReservedTime: long\n";
    let output = refused("rmq.yaml", yaml, &["--set", "maxMessageSize=1"]);
    let text = stderr(&output);
    for expected in [
        "rmq.yaml:1: flushDiskType: ",
        "rmq.yaml:2: fileReservedTime: ",
        "--set: maxMessageSize: ",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_broken_file_names_the_line() {
    let output = refused("rmq.yaml", "brokerName: a\nlistenPort: [1\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("rmq: rmq.yaml:"),
        "{}",
        stderr(&output)
    );
    let output = refused("broker.conf", "brokerName=\\u00zz\n", &[]);
    assert_eq!(
        stderr(&output),
        "rmq: broker.conf:1: malformed escape \\u00zz\n"
    );
}

#[test]
fn a_missing_file_ends_with_3() {
    let output = rmq(["serve", "--ephemeral", "--config", "/no/such/broker.conf"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("/no/such/broker.conf"));
}

#[test]
fn variables_are_named_as_well() {
    let output = rmq(["serve", "--ephemeral", "--port", "0"])
        .env("RMQ_LISTEN_PORT", "many")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("rmq: RMQ_LISTEN_PORT: listenPort: "));
}
