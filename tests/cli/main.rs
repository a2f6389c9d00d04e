//! The real binary: streams, exit codes, help, configuration errors, generated files.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod admin;
#[cfg(unix)]
mod advertise;
mod clock;
mod config;
mod consume;
mod contract;
mod dlq;
mod doctor;
mod explain;
mod failover;
mod generated;
mod golden;
mod messages;
mod send;
mod serve;
#[cfg(unix)]
mod serve_for_tests;
mod wait;

#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// `rmq` without anything of this machine's environment that could change what it prints.
fn rmq<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RMQ_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("NAMESRV_ADDR")
        .env_remove("RUST_LOG")
        .env_remove("CLICOLOR_FORCE")
        .env("COLUMNS", "100");
    command
}

fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    rmq(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
