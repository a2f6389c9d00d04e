//! `rmq dlq` on the dead letters of a group that failed on purpose.

use std::path::Path;

use serde_json::Value;

use super::golden;
use super::messages::{Node, code, numbered, objects};
use super::{run, stderr, stdout};

/// A node where group `g` gave up the bodies 0 to `count` - 1 of topic `one`.
fn node_with_dead(count: u32) -> Node {
    let node = Node::start_with(&["--virtual-clock"]);
    let lines = numbered("", count);
    let args = [
        "send",
        "one",
        "--lines",
        "--tag",
        "t",
        "--key",
        "k",
        "-H",
        "color=red",
    ];
    let sent = node.with_input(&args, lines.as_bytes());
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
    bury(&node);
    node
}

/// Lets the group give up what there is.
fn bury(node: &Node) {
    let args = [
        "consume",
        "one",
        "-g",
        "g",
        "--from",
        "earliest",
        "--max-retries",
        "0",
        "--exec",
        "false",
    ];
    let output = node.run(&args);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
}

fn bodies(node: &Node, topic: &str) -> String {
    node.ok(&["consume", topic, "-f", "%s "])
}

fn report(path: &Path) -> Vec<Value> {
    objects(&std::fs::read_to_string(path).unwrap())
}

fn outcomes(report: &[Value]) -> Vec<&str> {
    let entries = report.iter().skip(1);
    entries
        .map(|entry| entry["outcome"].as_str().unwrap())
        .collect()
}

#[test]
fn groups_with_dead_letters_are_listed() {
    let node = node_with_dead(3);
    assert_eq!(node.ok(&["dlq", "ls", "-o", "name"]), "g\n");
    let rows: Value = serde_json::from_str(&node.ok(&["dlq", "ls", "-o", "json"])).unwrap();
    assert_eq!(rows[0]["count"], 3);
    assert_eq!(rows[0]["top"], "one (3)");
    assert_eq!(rows[0]["readable"], true);
    let table = node.ok(&["dlq", "ls", "-o", "table"]);
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["GROUP", "DEAD", "OLDEST", "NEWEST", "TOP", "ORIGIN"]);
    // The group never got anything again.
    assert_eq!(node.ok(&["dlq", "ls", "--retry"]), "");
}

#[test]
fn letters_say_where_they_came_from() {
    let node = node_with_dead(2);
    let rows = objects(&node.ok(&["dlq", "show", "g"]));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["origin"], "one");
    assert_eq!(rows[0]["retries"], 1);
    assert_eq!(rows[0]["reason"], "given up after its first delivery");
    assert_eq!(rows[0]["bodyText"], "0");
    assert_eq!(rows[0]["keys"], "k");
    let origin = rows[1]["originMessageId"].as_str().unwrap();
    let one = node.ok(&["dlq", "show", "g", "--id", origin, "-o", "name"]);
    assert_eq!(one.trim(), rows[1]["uniqKey"].as_str().unwrap());
    assert_eq!(
        objects(&node.ok(&["dlq", "show", "%DLQ%g", "-n", "1"])).len(),
        1
    );
    let output = node.run(&["dlq", "show", "nobody"]);
    assert_eq!(code(&output), Some(3));
    assert!(stderr(&output).contains("group nobody has no dead letters"));
}

#[test]
fn an_export_can_be_sent() {
    let node = node_with_dead(3);
    let lines = node.ok(&["dlq", "export", "g", "--match", "[12]", "--since", "-1d"]);
    assert_eq!(lines.lines().count(), 2);
    let sent = node.with_input(&["send", "two", "--input", "jsonl"], lines.as_bytes());
    assert_eq!(code(&sent), Some(0), "{}", stderr(&sent));
    assert_eq!(bodies(&node, "two").split_whitespace().count(), 2);
}

#[test]
fn a_replay_needs_consent_and_has_a_plan() {
    let node = node_with_dead(3);
    let output = node.run(&["dlq", "replay", "g"]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    let output = node.run(&[
        "dlq",
        "replay",
        "g",
        "--match",
        "1",
        "--dry-run",
        "-o",
        "json",
    ]);
    let said = stderr(&output);
    assert!(
        said.contains("would send 1 of 3 from %DLQ%g to one (original topic), keys and tags kept, RETRIES reset"),
        "{said}"
    );
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan[0]["to"], "one");
    assert_eq!(plan[0]["send"], 1);
    assert_eq!(bodies(&node, "one"), "0 1 2 ");
}

#[test]
fn replayed_letters_are_as_they_were() {
    let node = node_with_dead(3);
    let letters = objects(&node.ok(&["dlq", "show", "g"]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    let file = path.display().to_string();
    let replay = [
        "dlq", "replay", "g", "--match", "^[12]$", "--yes", "--report", &file,
    ];
    let output = node.run(&replay);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("sent 2 · failed 0 · skipped 1"));
    let rows = objects(&stdout(&output));
    assert_eq!(rows.len(), 2, "what was not chosen is in the report only");
    let entries = report(&path);
    assert_eq!(outcomes(&entries), ["skipped", "sent", "sent"]);
    assert_eq!(entries[1]["reason"], "not chosen: --match");

    let again = objects(&node.ok(&["consume", "one", "--from", "3"]));
    assert_eq!(again.len(), 2);
    assert_eq!(again[0]["bodyText"], "1");
    assert_eq!(again[0]["tags"], "t");
    assert_eq!(again[0]["keys"], "k");
    assert_eq!(again[0]["properties"]["color"], "red");
    assert_eq!(again[0]["reconsumeTimes"], 0);
    assert_eq!(again[0]["uniqKey"], rows[0]["newId"]);
    let properties = &again[0]["properties"];
    assert_eq!(properties["DLQ_ORIGIN_MESSAGE_ID"], letters[1]["uniqKey"]);
    assert_eq!(
        properties["ORIGIN_MESSAGE_ID"],
        letters[1]["originMessageId"]
    );
    assert_eq!(properties.get("RETRY_TOPIC"), None);
    // Nothing is deleted, and one that dies once more says so.
    bury(&node);
    let letters = objects(&node.ok(&["dlq", "show", "g"]));
    assert_eq!(letters.len(), 5);
    assert_eq!(letters[3]["replayOf"], letters[1]["uniqKey"]);
    // A report is never overwritten.
    assert_eq!(code(&node.run(&replay)), Some(2));
}

#[test]
fn targets_can_be_chosen() {
    let node = node_with_dead(2);
    node.ok(&["send", "two", "x"]);
    node.ok(&[
        "dlq",
        "replay",
        "g",
        "--to",
        "two",
        "--yes",
        "--edit",
        "sed s/^/edited-/",
    ]);
    assert!(bodies(&node, "two").contains("edited-0"));
    node.ok(&["dlq", "replay", "g", "--group-only", "--yes"]);
    assert_eq!(bodies(&node, "one"), "0 1 ", "no other group sees them");
    let waiting: Value =
        serde_json::from_str(&node.ok(&["dlq", "ls", "--retry", "-o", "json"])).unwrap();
    assert_eq!(waiting[0]["count"], 2);
    let group = [
        "consume",
        "one",
        "-g",
        "g",
        "--follow",
        "-n",
        "2",
        "--timeout",
        "20s",
    ];
    let got = node.ok(&[&group[..], &["-f", "%t:%s:%r "]].concat());
    assert_eq!(got, "one:0:0 one:1:0 ");
    assert_eq!(node.ok(&["dlq", "ls", "--retry"]), "");
}

#[test]
fn what_fails_is_told_and_resumed() {
    let node = node_with_dead(5);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    let file = path.display().to_string();
    let edit = "read body; [ $body != 1 ] && [ $body != 2 ] && echo $body";
    let start = [
        "dlq",
        "replay",
        "g",
        "--where",
        "color = 'red'",
        "--yes",
        "--edit",
        edit,
    ];
    let args = [
        &start[..],
        &["--report", &file, "--stop-after-failures", "2"],
    ]
    .concat();
    let output = node.run(&args);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("sent 1 · failed 2 · skipped 0 · not tried 2"),
        "{said}"
    );
    assert!(said.contains("--resume"), "{said}");
    let entries = report(&path);
    assert_eq!(
        outcomes(&entries),
        ["sent", "failed", "failed", "left", "left"]
    );
    assert_eq!(entries[2]["reason"], "--edit: exit code 1");

    // A crash may have cut the last line short, before or after its message was sent.
    let cut = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &cut[..cut.len() - 20]).unwrap();
    let resume = [
        "dlq", "replay", "g", "--resume", &file, "--yes", "--edit", "cat",
    ];
    let output = node.run(&resume);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("sent 4 · failed 0"),
        "{}",
        stderr(&output)
    );
    assert_eq!(bodies(&node, "one"), "0 1 2 3 4 0 1 2 3 4 ");
    let output = node.run(&resume);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing to send"));
    let other = node.run(&["dlq", "replay", "other", "--resume", &file, "--yes"]);
    assert_eq!(code(&other), Some(2));
    assert!(stderr(&other).contains("it is about %DLQ%g"));
}

#[test]
fn a_topic_that_is_gone_is_not_made() {
    let node = node_with_dead(1);
    let output = node.run(&["dlq", "replay", "g", "--to", "nowhere", "--yes"]);
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("topic nowhere does not exist"));
    assert_eq!(code(&node.run(&["consume", "nowhere"])), Some(3));
}

#[test]
fn nothing_is_sent_twice_if_it_is_remembered() {
    let node = node_with_dead(2);
    let home = tempfile::tempdir().unwrap();
    let replay = |expected: &str| {
        let output = node
            .command(&["dlq", "replay", "g", "--yes", "--dedupe"])
            .env("XDG_STATE_HOME", home.path())
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    };
    replay("sent 2 · failed 0 · skipped 0");
    replay("sent 0 · failed 0 · skipped 2");
    assert_eq!(bodies(&node, "one"), "0 1 0 1 ");
}

#[test]
fn a_purge_deletes_the_topic_and_says_so() {
    let node = node_with_dead(2);
    let output = node.run(&["dlq", "purge", "g", "--dry-run", "-o", "json"]);
    assert!(stderr(&output).contains("brokers delete no single messages"));
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan[0]["before"], "2 messages");
    assert_eq!(plan[0]["result"], "planned");
    assert_eq!(code(&node.run(&["dlq", "purge", "g"])), Some(2));
    assert_eq!(objects(&node.ok(&["dlq", "show", "g"])).len(), 2);
    node.ok(&["dlq", "purge", "g", "--yes"]);
    assert_eq!(code(&node.run(&["dlq", "show", "g"])), Some(3));
    assert_eq!(node.ok(&["dlq", "ls"]), "");
    // The next dead letter makes the topic anew.
    node.ok(&["send", "one", "later"]);
    bury(&node);
    assert_eq!(
        node.ok(&["dlq", "show", "g", "--columns", "bodyText", "-o", "tsv"]),
        "later\n"
    );
}

#[test]
fn wrong_choices_are_named_before_anything_is_asked() {
    for (args, said) in [
        (&["show", "a b"][..], "illegal"),
        (&["show", "g", "--since", "yesterday"], "--since"),
        (&["show", "g", "--match", "("], "--match"),
        (&["export", "g", "--where", "a >"], "--where"),
        (&["replay", "g", "--rate", "0/s"], "200/s"),
        (
            &["replay", "g", "--resume", "x", "--since", "-1d"],
            "cannot be used with",
        ),
    ] {
        let output = run([&["dlq", "--namesrv", "127.0.0.1:9"], args].concat());
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
    for (name, args) in [
        ("dlq-help.txt", &["dlq"][..]),
        ("dlq-show-help.txt", &["dlq", "show"]),
        ("dlq-replay-help.txt", &["dlq", "replay"]),
    ] {
        golden::check(name, &golden::help(args));
    }
    let node = node_with_dead(2);
    let utc = |args: &[&str]| golden::masked(&node.ok(&[&["dlq", "--utc"], args].concat()));
    golden::check("dlq-show.txt", &utc(&["show", "g", "-o", "table"]));
    golden::check(
        "dlq-show-jsonl.txt",
        &utc(&["show", "g", "-n", "1", "-o", "jsonl"]),
    );
    golden::check(
        "dlq-plan.txt",
        &utc(&["replay", "g", "--dry-run", "-o", "table"]),
    );
    golden::check(
        "dlq-purge.txt",
        &utc(&["purge", "g", "--dry-run", "-o", "table"]),
    );
    golden::check(
        "dlq-replay.txt",
        &utc(&["replay", "g", "--yes", "-o", "jsonl"]),
    );
}
