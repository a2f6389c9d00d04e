//! `completions/` and `man/` are those of this version.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{run, stderr, stdout};

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
        assert!(script.contains("inspect"), "{shell}");
    }
    let page = stdout(&run(["man", "inspect", "commitlog"]));
    assert!(
        page.starts_with(".ie") || page.contains(".TH rmq-inspect-commitlog"),
        "{page}"
    );
}
