//! The real binary: streams, exit codes, help, configuration errors, generated files.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod admin;
#[cfg(unix)]
mod advertise;
mod bench;
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
mod recording;
mod send;
mod serve;
#[cfg(unix)]
mod serve_for_tests;
mod snapshot;
mod wait;

#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

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

/// The first line on a child's piped stdout: with `serve`, what says that it is ready; empty if it ended before.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The help of a command is the text kept in `tests/cli/help`.
fn golden_help(name: &str, command: &[&str]) {
    let output = run(command.iter().chain(&["--help"]));
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    let path = format!("{}/tests/cli/help/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        help == expected,
        "the help has changed; if it is meant so: COLUMNS=100 rmq {} --help > {path}\n{help}",
        command.join(" ")
    );
}
