//! `rmq serve --virtual-clock` and `rmq clock`.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::{rmq, stderr, stdout};

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(flags: &[&str]) -> (Node, String) {
    let mut command = rmq(["serve", "--ephemeral", "--port", "0", "--broker-port", "0"]);
    command.args(flags).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let ready: Value = serde_json::from_str(&super::first_line(&mut child)).unwrap();
    assert_eq!(ready["virtualClock"], !flags.is_empty());
    (Node(child), ready["namesrv"].as_str().unwrap().to_owned())
}

#[test]
fn a_virtual_clock_stands_still_until_it_is_moved() {
    let (_node, namesrv) = serve(&["--virtual-clock"]);
    let time = |args: &[&str]| {
        let output = rmq(args)
            .args(["--namesrv", &namesrv, "-o", "jsonl"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let row: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(row["virtual"], true);
        row["timeMs"].as_i64().unwrap()
    };
    let start = time(&["clock", "show"]);
    assert_eq!(time(&["clock", "show"]), start);
    assert_eq!(time(&["clock", "advance", "2h"]), start + 7_200_000);
    assert_eq!(time(&["clock", "advance", "500ms"]), start + 7_200_500);
}

#[test]
fn the_machines_clock_is_not_moved() {
    let (_node, namesrv) = serve(&[]);
    let output = rmq(["clock", "advance", "1s", "--namesrv", &namesrv])
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("--virtual-clock"),
        "{}",
        stderr(&output)
    );
}
