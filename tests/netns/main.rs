//! Three brokers in network namespaces of their own, clients in a fourth, and everything that can go wrong between them.
//!
//! `cargo test --test netns -- --ignored --nocapture`, as root on Linux with `ip` and `tc`; elsewhere it says why it cannot run and
//! passes. `RMQ_NETNS_ROUNDS` sets the number of faults (default 50), `RMQ_NETNS_SEED` repeats a schedule,
//! `RMQ_NETNS_ONLY=cut-both,fill-disk` takes these faults only, `RMQ_NETNS_KEEP=1` keeps the brokers' directories;
//! `RMQ_NETNS_BINARY` names another build of `rmq`.
//!
//! The test starts itself again in the clients' namespace, where a bridge joins all of them. Each broker keeps its data on
//! a small disk in memory, so that it can run full. While producers and consumers go on, each round does one broker (the
//! master two times out of three) one harm; where that stops the service, the real `rmq failover promote` is run as an
//! operator would, or, in the second test, three controllers, one beside each broker, find another master. Then the harm is undone and the group made whole, and the [`ledger`] is compared with the new master and
//! the three logs with each other, byte by byte.
//!
//! Absent: delays by `netem`, which small kernels lack. A token bucket that counts each packet as a large one delays them all the same.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with figures: a failure in a helper is a failed test"
)]

mod ledger;
mod member;
mod network;
mod rounds;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use network::Network;

/// Set where the test runs within the clients' namespace: the root directory of the run.
const INSIDE: &str = "RMQ_NETNS_INSIDE";

/// Where a run has its directories.
fn root() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs one of the tests below again within the clients' namespace.
fn enter(test: &str) {
    if let Err(why) = Network::is_possible() {
        println!("skipped: {why}");
        return;
    }
    let network = Network::build();
    let status = Command::new("ip")
        .args(["netns", "exec", &network.clients()])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(INSIDE, network.root())
        .status()
        .unwrap();
    if std::env::var_os("RMQ_NETNS_KEEP").is_some() {
        network.keep();
    }
    assert!(status.success(), "see above");
}

#[test]
#[ignore = "takes minutes; needs root, ip and tc"]
fn an_operator_promotes() {
    match root() {
        None => enter("an_operator_promotes"),
        Some(root) => rounds::run(&root, rounds::Chooser::Operator),
    }
}

#[test]
#[ignore = "takes minutes; needs root, ip and tc"]
fn controllers_promote() {
    match root() {
        None => enter("controllers_promote"),
        Some(root) => rounds::run(&root, rounds::Chooser::Controllers),
    }
}
