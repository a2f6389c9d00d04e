//! `rmq consume` beyond looking: commands, HTTP servers, retries, expectations, broadcasting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use super::golden;
use super::messages::{Node, code, numbered, objects};
use super::{run, stderr, stdout};

/// A node whose time stands still until a test moves it, with the bodies 0 to `count` - 1 in topic `one`.
fn node_with(count: u32) -> Node {
    let node = Node::start_with(&["--virtual-clock"]);
    let lines = numbered("", count);
    let args = ["send", "one", "--lines", "-H", "color=red"];
    let sent = node.with_input(&args, lines.as_bytes());
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
    node
}

fn group<'a>(name: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["consume", "one", "-g", name, "--from", "earliest"];
    args.extend(rest);
    args
}

#[test]
fn windows_filters_and_forms() {
    let node = node_with(10);
    let shows = |args: &[&str], expected: &str| {
        let args = [&["consume", "one"], args].concat();
        assert_eq!(node.ok(&args), expected, "{args:?}");
    };
    shows(&["--from", "3", "--to", "5", "-f", "%s "], "3 4 5 ");
    shows(&["--grep", "^[37]$", "-f", "%s "], "3 7 ");
    shows(&["--sql", "color = 'red'", "-n", "1", "-f", "%s "], "0 ");
    shows(&["--sql", "color = 'blue'", "-f", "%s "], "");
    shows(&["-n", "3", "--body", "raw"], "012");
    shows(
        &["-n", "2", "--pipe", "sed s/^/x/", "-f", "%s,%S "],
        "x0,2 x1,2 ",
    );
    let hex = objects(&node.ok(&["consume", "one", "-n", "1", "--body", "hex"]));
    assert_eq!(hex[0]["bodyHex"], "30");
    let json = objects(&node.ok(&["consume", "one", "-n", "1", "--body", "json"]));
    assert_eq!(json[0]["body"], 0);
}

#[test]
fn a_command_acknowledges_with_its_exit_code() {
    let node = node_with(5);
    let script = "read body; echo \"$body $RMQ_TOPIC/$RMQ_QUEUE@$RMQ_OFFSET $RMQ_RETRIES $RMQ_PROP_color\"; [ $body != 3 ]";
    let output = node.run(&group("g", &["--exec", script]));
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 5);
    assert!(stdout(&output).starts_with("0 one/0@0 0 red\n"));
    let said = stderr(&output);
    assert!(said.starts_with("group g on one (offsets move as the command succeeds)"));
    assert!(said.contains("exit code 1; given back"), "{said}");
    assert!(
        said.contains("5 messages: 4 acknowledged, 1 given back"),
        "{said}"
    );
    // Its first retry comes after ten seconds.
    node.ok(&["clock", "advance", "10s"]);
    let again = group("g", &["--follow", "-n", "1", "--timeout", "20s"]);
    let again = [&again[..], &["--exec", "read b; echo $b $RMQ_RETRIES"]].concat();
    assert_eq!(node.ok(&again), "3 1\n");
    assert_eq!(node.ok(&group("g", &["--dry-run"])), "");
}

#[test]
fn rows_tell_what_became_of_each_message() {
    let node = node_with(3);
    let exec = "cat; [ $RMQ_OFFSET != 1 ]";
    let output = node.run(&group("g", &["--exec", exec, "-o", "jsonl"]));
    let rows = objects(&stdout(&output));
    let outcomes: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["ack", "retry", "ack"]);
    assert_eq!(rows[1]["reason"], "exit code 1");
    // What the command prints stays out of the rows.
    assert!(stderr(&output).contains('0'));
}

#[test]
fn a_command_that_takes_too_long_has_failed() {
    let node = node_with(1);
    let exec = ["--exec", "sleep 60 & wait", "--exec-timeout", "100ms"];
    let output = node.run(&group("g", &exec));
    assert_eq!(code(&output), Some(6));
    assert!(stderr(&output).contains("too long"), "{}", stderr(&output));
}

#[test]
fn messages_work_in_parallel_and_all_are_acknowledged() {
    let node = node_with(40);
    let exec = ["--exec", "echo $(cat)", "--concurrency", "4"];
    let printed = node.ok(&group("g", &exec));
    let mut bodies: Vec<u32> = printed
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..40).collect::<Vec<_>>());
    assert_eq!(node.ok(&group("g", &["--dry-run"])), "");
}

#[test]
fn after_its_last_retry_a_message_is_dead() {
    let node = node_with(2);
    let output = node.run(&group("g", &["--max-retries", "0", "--exec", "false"]));
    assert!(
        stderr(&output).contains("2 dead letters"),
        "{}",
        stderr(&output)
    );
    let dead = node.ok(&["consume", "%DLQ%g", "-f", "%s %r "]);
    assert_eq!(dead, "0 1 1 1 ");
}

#[test]
fn retries_can_be_exercised() {
    let node = node_with(3);
    let first = node.run(&group("g", &["--fail-first", "1", "-f", "%s "]));
    assert_eq!(code(&first), Some(0), "{}", stderr(&first));
    assert_eq!(stdout(&first), "");
    assert!(stderr(&first).contains("3 given back"));
    node.ok(&["clock", "advance", "10s"]);
    let args = group(
        "g",
        &[
            "--fail-first",
            "1",
            "--expect",
            "3",
            "--within",
            "20s",
            "-f",
            "%r",
        ],
    );
    assert_eq!(node.ok(&args), "111");
}

#[test]
fn an_orderly_group_waits_for_the_message_that_fails() {
    let node = node_with(4);
    let exec = "read body; echo $body $RMQ_RETRIES; [ $body != 1 ] || [ $RMQ_RETRIES = 1 ]";
    let printed = node.ok(&group("g", &["--orderly", "--exec", exec]));
    assert_eq!(printed, "0 0\n1 0\n1 1\n2 0\n3 0\n");
}

/// Answers `count` requests: 204, or 500 where the body is `refused`. Returns the bodies and an interesting header.
fn http_server(listener: &TcpListener, count: usize, refused: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut out = stream;
        while seen.len() < count {
            let (mut length, mut offset) = (0, String::new());
            let mut line = String::new();
            let open = reader.read_line(&mut line).unwrap_or_default() > 0;
            if !open {
                break;
            }
            assert!(line.starts_with("POST /hook?a=1 HTTP/1.1"), "{line}");
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name {
                    "content-length" => length = value.parse().unwrap(),
                    "rmq-offset" => value.clone_into(&mut offset),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let status = if body == refused { "500 No" } else { "204 Yes" };
            write!(out, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            seen.push((body, offset));
        }
    }
    seen
}

#[test]
fn an_http_server_acknowledges_with_its_status() {
    let node = node_with(4);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || http_server(&listener, 4, "2"));
    let output = node.run(&group("g", &["--forward", &url]));
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("status 500; given back"), "{said}");
    assert!(said.contains("3 acknowledged"), "{said}");
    let seen = server.join().unwrap();
    assert_eq!(seen[3], ("3".to_owned(), "3".to_owned()));
}

#[test]
fn expectations_are_met_or_not() {
    let node = node_with(10);
    let expect = ["consume", "one", "--expect", "2", "--within"];
    let met = [&expect[..], &["20s", "--match", "[45]", "-o", "name"]].concat();
    assert_eq!(node.ok(&met).lines().count(), 6);
    let unmet = [&expect[..], &["300ms", "--match", "nothing"]].concat();
    let output = node.run(&unmet);
    assert_eq!(code(&output), Some(9));
    assert!(stderr(&output).contains("0 of 2 expected messages"));
}

#[test]
fn every_member_that_broadcasts_gets_everything() {
    let node = node_with(3);
    let args = group(
        "g",
        &["--broadcast", "-n", "3", "--timeout", "20s", "-f", "%s "],
    );
    for _ in 0..2 {
        let output = node.run(&args);
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output), "0 1 2 ");
        assert!(stderr(&output).starts_with("broadcast one as a member of g"));
    }
    assert_eq!(node.ok(&group("g", &["--dry-run", "-f", "%s "])), "0 1 2 ");
}

#[test]
fn what_could_not_be_printed_is_not_acknowledged() {
    let node = node_with(5);
    let mut child = node
        .command(&group("g", &["-f", "%s "]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed long before the first message arrives.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(node.ok(&group("g", &["-f", "%s "])), "0 1 2 3 4 ");
}

#[test]
fn all_or_nothing() {
    let node = node_with(5);
    let wants = |count: &'static str| group("g", &["--ack-after", "end", "-n", count, "-f", "%s"]);
    let short = [&wants("6")[..], &["--idle", "500ms"]].concat();
    assert_eq!(code(&node.run(&short)), Some(9));
    assert_eq!(node.ok(&group("g", &["--dry-run", "-f", "%s"])), "01234");
    assert_eq!(node.ok(&wants("5")), "01234");
    assert_eq!(node.ok(&group("g", &["--dry-run", "-f", "%s"])), "");
}

#[test]
fn a_dump_can_be_sent_again() {
    let node = node_with(3);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("dump");
    let path = target.display().to_string();
    node.ok(&["consume", "one", "--dump", &path]);
    let body = target.join("broker-a-0-00000000000000000002.body");
    assert_eq!(std::fs::read(body).unwrap(), b"2");
    let messages = std::fs::read(target.join("messages.jsonl")).unwrap();
    let sent = node.with_input(&["send", "two", "--input", "jsonl"], &messages);
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, said) in [
        (&["--orderly"][..], "--group"),
        (&["--ack-after", "end", "-g", "g"], "-n N or --expect N"),
        (&["--concurrency", "2"], "--exec"),
        (&["--forward", "https://host/"], "no TLS"),
        (&["--grep", "("], "--grep"),
        (&["--sql", "a >"], "position"),
        (&["-g", "g", "--grep", "x"], "cannot be used with"),
        (&["--within", "3s"], "--expect"),
    ] {
        let output = run([&["consume", "one", "--namesrv", "127.0.0.1:9"], args].concat());
        assert_eq!(code(&output), Some(2), "{args:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(said),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn what_is_printed_is_as_agreed() {
    golden::check("consume-help.txt", &golden::help(&["consume"]));
    let node = node_with(2);
    let utc =
        |args: &[&str]| golden::masked(&node.ok(&[&["consume", "one", "--utc"], args].concat()));
    golden::check("consume-table.txt", &utc(&["-o", "table"]));
    golden::check("consume-jsonl.txt", &utc(&["-o", "jsonl"]));
    golden::check("consume-csv.txt", &utc(&["-o", "csv"]));
}

/// Whatever moment it is killed at, no message is acknowledged whose command has not ended well.
#[test]
fn a_killed_consumer_has_acknowledged_nothing_its_command_has_not_done() {
    let node = node_with(60);
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    // A command may outlive its consumer. It gets no message then, and may write beside those of the next one: a line is
    // one write.
    let exec = format!(
        "body=$(cat); test -n \"$body\" && echo $body >> {} && echo done",
        done.display()
    );
    let args = group("g", &["--exec", &exec]);
    let mut child = node
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..20 {
        lines.next().unwrap().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    node.ok(&args);
    let done = std::fs::read_to_string(done).unwrap();
    let mut bodies: Vec<u32> = done.lines().map(|line| line.parse().unwrap()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies, (0..60).collect::<Vec<_>>());
}
