//! `completions/` and `man/` are those of this version.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::messages::Node;
use super::{rmq, run, stderr, stdout};

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    ["completions", "man"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(dir.join(folder)).unwrap())
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn completions_and_man_pages_are_in_step() {
    let fresh = tempfile::tempdir().unwrap();
    let output = run([Path::new("generate"), fresh.path()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let fresh = files(fresh.path());
    let kept = files(Path::new(env!("CARGO_MANIFEST_DIR")));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&kept), "run `cargo generate`");
    let stale: Vec<_> = fresh
        .iter()
        .filter(|(name, text)| kept.get(*name) != Some(text))
        .map(|(name, _)| name)
        .collect();
    assert!(
        stale.is_empty(),
        "{stale:?} are stale: run `cargo generate`"
    );
}

#[test]
fn every_shell_and_every_command_has_its_file() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&run(["completion", shell]));
        assert!(script.contains("RMQ_COMPLETE"), "{shell}: {script}");
    }
    let page = stdout(&run(["man", "inspect", "commitlog"]));
    assert!(
        page.starts_with(".ie") || page.contains(".TH rmq-inspect-commitlog"),
        "{page}"
    );
}

/// What bash gets for the last of `words`.
fn completed(words: &[&str], namesrv: &str) -> Vec<String> {
    let output = rmq(["--"].iter().chain(words))
        .env("RMQ_COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("NAMESRV_ADDR", namesrv)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn names_of_the_cluster_are_completed() {
    let node = Node::start_with(&["--topic", "orders,order-events,bills"]);
    node.ok(&["group", "create", "billing"]);
    let complete = |words: &[&str]| completed(words, node.name_server());
    assert_eq!(
        complete(&["rmq", "consume", "ord"]),
        ["order-events", "orders"]
    );
    assert_eq!(complete(&["rmq", "group", "show", "bil"]), ["billing"]);
    assert_eq!(complete(&["rmq", "inspect", "consumeq"]), ["consumequeue"]);
    // Nobody there: no names, and no complaint.
    assert_eq!(
        completed(&["rmq", "consume", "ord"], "127.0.0.1:1"),
        [""; 0]
    );
}

/// The command lines of the README's shell blocks.
fn command_lines(readme: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_shell = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
        } else if in_shell {
            let line = line.split(" #").next().unwrap();
            lines.extend(
                line.split('|')
                    .flat_map(|part| part.split("&&"))
                    .map(|part| part.trim().trim_end_matches('&').trim())
                    .filter(|part| part.starts_with("rmq "))
                    .map(str::to_owned),
            );
        }
    }
    lines
}

#[test]
fn the_commands_of_the_readme_exist() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let lines = command_lines(&readme);
    assert!(lines.len() > 20, "{lines:#?}");
    for line in lines {
        let line = line
            .split([' ', '\t'])
            .take_while(|word| !matches!(*word, "<" | ">" | "||"));
        let line = line.collect::<Vec<_>>().join(" ");
        // A shell knows best what quotes and semicolons mean.
        let script = format!("rmq() {{ printf '%s\\n' \"$@\" --help .; }}; {line}");
        let words = Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = stdout(&words);
        for words in words.split_terminator("\n.\n") {
            // A flag that does not exist is told before a help that does.
            let output = rmq(words.lines()).output().unwrap();
            assert!(output.status.success(), "{words}: {}", stderr(&output));
        }
    }
}
