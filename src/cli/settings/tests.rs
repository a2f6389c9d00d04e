#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use clap::Parser as _;

use super::*;
use crate::cli::args::Cli;

struct World {
    dir: tempfile::TempDir,
    variables: BTreeMap<&'static str, &'static str>,
}

impl World {
    fn new(contexts: &str, local: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if !contexts.is_empty() {
            std::fs::write(dir.path().join("contexts.yaml"), contexts).unwrap();
        }
        if !local.is_empty() {
            std::fs::write(dir.path().join("rmq.yaml"), local).unwrap();
        }
        Self {
            dir,
            variables: BTreeMap::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn resolve(&self, flags: &[&str]) -> Result<Settings, CliError> {
        let line = ["rmq"]
            .into_iter()
            .chain(flags.iter().copied())
            .chain(["man"]);
        let cli = Cli::try_parse_from(line).unwrap();
        let variable = |name: &str| self.variables.get(name).map(ToString::to_string);
        resolve(
            &Sources {
                global: &cli.global,
                variable: &variable,
                contexts_file: Some(self.dir.path().join("contexts.yaml")),
                local_file: &self.dir.path().join("rmq.yaml"),
            },
            true,
        )
    }

    fn name_server(&self, flags: &[&str]) -> (String, String) {
        let given = self.resolve(flags).unwrap().namesrv;
        let dir = self.dir.path().display().to_string();
        (given.value, given.origin.to_string().replace(&dir, "DIR"))
    }
}

const CONTEXTS: &str =
    "current: dev\ncontexts:\n  dev: {namesrv: 'dev:1'}\n  prod: {namesrv: 'prod:1', utc: true}\n";

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn each_layer_wins_over_the_next() {
    let nothing = World::new("", "");
    assert_eq!(nothing.name_server(&[]), pair("127.0.0.1:9876", "default"));
    let local = World::new("", "namesrv: local:1\n");
    assert_eq!(local.name_server(&[]), pair("local:1", "file DIR/rmq.yaml"));
    let context = World::new(CONTEXTS, "namesrv: local:1\n");
    let dev = pair("dev:1", "context dev in DIR/contexts.yaml");
    assert_eq!(context.name_server(&[]), dev);
    let java = World::new(CONTEXTS, "").with("NAMESRV_ADDR", "java:1");
    assert_eq!(
        java.name_server(&[]),
        pair("java:1", "variable NAMESRV_ADDR")
    );
    let ours = java.with("RMQ_NAMESRV_ADDR", "ours:1");
    assert_eq!(
        ours.name_server(&[]),
        pair("ours:1", "variable RMQ_NAMESRV_ADDR")
    );
    let flag = ours.name_server(&["--namesrv", "flag:1"]);
    assert_eq!(flag, pair("flag:1", "flag --namesrv"));
}

#[test]
fn a_context_that_is_named_is_meant() {
    let world = World::new(CONTEXTS, "").with("NAMESRV_ADDR", "java:1");
    let prod = pair("prod:1", "context prod in DIR/contexts.yaml");
    assert_eq!(world.name_server(&["--context", "prod"]), prod);
    let world = world.with("RMQ_CONTEXT", "prod");
    assert_eq!(world.name_server(&[]), prod);
    assert!(world.resolve(&[]).unwrap().utc.value);
    let error = world.resolve(&["--context", "nosuch"]).unwrap_err();
    assert!(error.to_string().contains("no context nosuch"), "{error}");
}

#[test]
fn values_that_mean_nothing_are_refused_with_their_place() {
    let world = World::new("", "").with("RMQ_OUTPUT", "xml");
    let error = world.resolve(&[]).unwrap_err().to_string();
    assert!(
        error.contains("variable RMQ_OUTPUT") && error.contains("jsonl"),
        "{error}"
    );
    assert!(world.resolve(&["-o", "json"]).is_ok());
    let world = World::new("", "namesvr: x\n");
    let settings = world.resolve(&[]).unwrap();
    assert!(
        settings.warnings[0].contains("namesvr"),
        "{:?}",
        settings.warnings
    );
    let world = World::new("contexts: [", "");
    let error = world.resolve(&[]).unwrap_err().to_string();
    assert!(error.contains("contexts.yaml:1"), "{error}");
}
