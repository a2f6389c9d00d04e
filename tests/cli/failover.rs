//! `rmq failover`, word by word; what it does is tested in `tests/ha`.

use super::{golden, run, stderr};

#[test]
fn help_is_as_it_was() {
    for (name, args) in [
        ("failover-help.txt", &["failover"][..]),
        ("failover-status-help.txt", &["failover", "status"]),
        ("failover-promote-help.txt", &["failover", "promote"]),
        ("failover-drill-help.txt", &["failover", "drill"]),
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
