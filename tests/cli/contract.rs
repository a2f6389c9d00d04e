//! Part 1 of the command line's contract.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{rmq, run, stderr, stdout};

#[test]
fn no_command_is_a_usage_error_with_help_on_stderr() {
    let output = run::<&str>([]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("Usage: rmq"));
}

#[test]
fn help_is_data() {
    let output = run(["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
    let help = stdout(&output);
    for expected in [
        "serve",
        "send",
        "consume",
        "inspect",
        "completion",
        "man",
        "--output",
        "--color",
        "--namesrv",
        "--utc",
        "--no-progress",
        "Exit codes:",
        "130  interrupted",
    ] {
        assert!(help.contains(expected), "no {expected} in\n{help}");
    }
    assert!(!help.contains("generate"), "hidden commands stay hidden");
}

#[test]
fn version() {
    let output = run(["--version"]);
    assert_eq!(
        stdout(&output),
        format!("rmq {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_command_lines_end_with_2_and_say_so_on_stderr() {
    for args in [
        &["no-such-command"][..],
        &["serve", "--no-such-flag"],
        &["serve", "--port", "70000"],
        &["serve", "--role", "king"],
        &["serve", "--topic", "or ders"],
        &["serve", "--set", "nothing"],
        &["serve", "--ephemeral", "--data-dir", "x"],
        &["completion", "tcsh"],
        &["--output", "xml", "man"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn unknown_things_end_with_3() {
    let output = run(["man", "no", "such"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        "rmq: there is no command \"no such\"\n  hint: `rmq --help` lists the commands\n"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_a_normal_end() {
    // More than a pipe holds.
    let mut child = rmq(["send", "t", "x", "--count", "5000", "--dry-run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::with_capacity(16, child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    assert!(first.contains("DRY_RUN"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn colour_only_where_it_is_wanted() {
    let plain = run(["man", "nothing"]);
    assert!(!stderr(&plain).contains('\u{1b}'));
    let forced = run(["--color", "always", "man", "nothing"]);
    assert!(stderr(&forced).contains('\u{1b}'));
    let mut forced = rmq(["man", "nothing"]);
    forced.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
    assert!(stderr(&forced.output().unwrap()).contains('\u{1b}'));
    forced.env("NO_COLOR", "1");
    assert!(!stderr(&forced.output().unwrap()).contains('\u{1b}'));
}
