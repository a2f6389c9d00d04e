//! `rmq failover`, word by word; what it does is tested in `tests/ha`.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::serve::Node;
use super::{golden, rmq, run, stderr, stdout};

#[test]
fn help_is_as_it_was() {
    for (name, args) in [
        ("failover-help.txt", &["failover"][..]),
        ("failover-status-help.txt", &["failover", "status"]),
        ("failover-promote-help.txt", &["failover", "promote"]),
        ("failover-drill-help.txt", &["failover", "drill"]),
        (
            "failover-switch-back-help.txt",
            &["failover", "switch-back"],
        ),
        (
            "failover-add-replica-help.txt",
            &["failover", "add-replica"],
        ),
    ] {
        golden::check(name, &golden::help(args));
    }
}

#[test]
fn without_a_name_server_it_says_so() {
    let output = run(["failover", "status", "--namesrv", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let output = run(["failover", "promote", "b", "--lose", "some"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// What the controller knows is shown without a name server, and what is missing is said.
#[test]
fn a_controller_alone_tells_who_is_master() {
    let controller = Node::start(&mut rmq([
        "serve",
        "--role",
        "controller",
        "--ephemeral",
        "--controller-port",
        "0",
        "--http",
        "off",
    ]));
    let at = controller.address("controller");
    let mut broker = rmq(["serve", "--role", "broker", "--ephemeral"]);
    broker.args(["--broker-port", "0", "--http", "off"]);
    broker.args(["--set", "enableControllerMode=true"]);
    let _broker = Node::start(broker.args(["--set", &format!("controllerAddr={at}")]));
    // Empty entries are no controllers.
    let named = format!("{at};;");
    let status = |more: &[&str]| {
        let mut command = rmq(["failover", "status", "-o", "json"]);
        command.args(["--namesrv", "127.0.0.1:1", "--controller", &named]);
        command.args(more).output().unwrap()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    let shown = loop {
        let output = status(&[]);
        if output.status.code() == Some(0) {
            break output;
        }
        assert!(Instant::now() < deadline, "{}", stderr(&output));
    };
    let rows: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    for (field, expected) in [
        ("broker", Value::from("broker-a")),
        ("role", "master".into()),
        ("inSync", true.into()),
        ("alive", true.into()),
        ("controller", at.as_str().into()),
    ] {
        assert_eq!(rows[0][field], expected, "{rows}");
    }
    let said = stderr(&shown);
    assert!(said.contains("no name server answers"), "{said}");
    assert!(said.contains("are missing"), "{said}");
    assert_eq!(stdout(&status(&["broker-a"])), stdout(&shown));
    let unknown = status(&["broker-b"]);
    assert_eq!(unknown.status.code(), Some(7), "{}", stderr(&unknown));

    let listed = rmq(["failover", "controllers", "-o", "json"])
        .args(["--namesrv", "127.0.0.1:1", "--controller", &at])
        .output()
        .unwrap();
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    assert!(stdout(&listed).contains("leader"), "{}", stdout(&listed));
}
