//! `rmq doctor`, `rmq why` and `rmq trace` against Apache's own servers and Java consumers.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apache::Apache;

/// A Java push consumer that writes traces; killed when dropped.
struct Member {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Member {
    /// Starts it and waits until it is a member.
    fn start(name_server: &str, group: &str, topic: &str, tag: &str) -> Self {
        let jars = std::env::var("ROCKETMQ_JAVA_LIB")
            .expect("ROCKETMQ_JAVA_LIB names the folder of Apache's jars");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat/Member.java");
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-cp", &format!("{jars}/*"), source])
            .args([name_server, group, topic, tag])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut member = Self { child, said };
        member.wait_for("READY");
        member
    }

    /// The line that begins so.
    fn wait_for(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.said.read_line(&mut line).unwrap();
            assert!(read > 0, "the consumer ended before it said {start}");
            if line.starts_with(start) {
                return line;
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rmq(name_server: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RMQ_")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .args(["--namesrv", name_server])
        .output()
        .unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str::<Value>(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{said}"))
        .as_array()
        .unwrap()
        .clone()
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .filter(|row| row["link"] != "machine")
        .filter_map(|row| row["id"].as_str())
        .collect()
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn doctor_audits_apaches_broker() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "flushDiskType=ASYNC_FLUSH",
        "mappedFileSizeCommitLog=4194304",
        "traceTopicEnable=true",
    ];
    let apache = Apache::start(&root.path().join("store"), &settings);
    let name_server = apache.name_server.clone();
    let doctor = ["doctor", "--interval", "1ms", "-o", "json"];
    // The broker says that it has started before it has registered.
    let deadline = Instant::now() + Duration::from_mins(1);
    let found = loop {
        let output = rmq(&name_server, &doctor);
        assert_eq!(output.status.code(), Some(7));
        let found = rows(&output);
        if !ids(&found).contains(&"RMQ-D013") {
            break found;
        }
        assert!(Instant::now() < deadline, "{found:#?}");
    };
    let open = ids(&found);
    for id in [
        "RMQ-D003", "RMQ-D012", "RMQ-D020", "RMQ-D023", "RMQ-D030", "RMQ-D040", "RMQ-D050",
    ] {
        assert!(open.contains(&id), "{id} in {found:#?}");
    }
    assert!(
        !open.contains(&"RMQ-D099"),
        "every question is answered: {found:#?}"
    );
    let clock = found.iter().find(|row| row["link"] == "clock").unwrap();
    assert_eq!(clock["level"], "ok", "{clock}");
    assert!(
        clock["message"].as_str().unwrap().contains("agree"),
        "{clock}"
    );

    // A message that a tracing member consumes.
    let sent = rmq(
        &name_server,
        &["send", "orders", "hello", "--tag", "paid", "-o", "name"],
    );
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success(), "{said}");
    let id = String::from_utf8(sent.stdout).unwrap().trim().to_owned();
    let mut paid = Member::start(&name_server, "billing", "orders", "paid");
    assert_eq!(paid.wait_for("GOT").trim(), format!("GOT {id}"));
    let deadline = Instant::now() + Duration::from_mins(1);
    let story = loop {
        let story = rows(&rmq(&name_server, &["trace", &id, "-o", "json"]));
        let mut events = story.iter().map(|event| event["event"].as_str().unwrap());
        if events.any(|event| event == "handled") && story.last().unwrap()["event"] == "consumed" {
            break story;
        }
        assert!(Instant::now() < deadline, "{story:#?}");
    };
    let events: Vec<&str> = story
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    let expected = [
        "message",
        "born",
        "stored",
        "indexed",
        "delivered",
        "handled",
        "consumed",
    ];
    assert_eq!(events, expected, "{story:#?}");

    let why = [
        "why",
        "billing",
        "orders",
        "--interval",
        "1ms",
        "--stacks",
        "-o",
        "json",
    ];
    let output = rmq(&name_server, &why);
    let found = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#?}");
    let stacks = found.iter().find(|row| row["link"] == "stacks").unwrap();
    let stack = stacks["evidence"]["stack"].as_str().unwrap();
    assert!(
        stack.contains("ConsumeMessage"),
        "Java gives its threads: {stack}"
    );

    // A second member that wants something else.
    let _open = Member::start(&name_server, "billing", "orders", "open");
    let found = rows(&rmq(&name_server, &doctor));
    let mismatch = found.iter().find(|row| row["id"] == "RMQ-D061");
    let mismatch = mismatch.unwrap_or_else(|| panic!("no mismatch in {found:#?}"));
    assert_eq!(mismatch["subject"], "billing");
    let told = mismatch["evidence"]["topics"]["orders"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{mismatch:#}");
    let output = rmq(&name_server, &why);
    assert_eq!(output.status.code(), Some(7));
    assert!(ids(&rows(&output)).contains(&"RMQ-D061"));
    apache.stop();
}
