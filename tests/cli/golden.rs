//! What commands print, word by word, against files under `golden/`.
//!
//! `RMQ_WRITE_GOLDEN=1 cargo test --test cli` writes the files instead; read the difference before it is committed.

use std::path::PathBuf;

use super::{run, stdout};

/// Compares `text` with a file, or writes it.
pub(super) fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/golden")
        .join(name);
    if std::env::var_os("RMQ_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{}", path.display());
}

/// The help of a command, without the options all commands have.
pub(super) fn help(args: &[&str]) -> String {
    let help = stdout(&run([args, &["--help"]].concat()));
    let (own, global) = help.split_once("Global options:").unwrap();
    let more = global.find("\nExamples:").map(|at| &global[at..]);
    format!("{own}{}", more.unwrap_or_default())
}

/// The text with everything that differs from run to run in place of a word: times, ids, ports. Columns are as wide as
/// what is in them, so runs of blanks are made alike as well.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '+' | '_') {
            word.push(c);
            continue;
        }
        masked.push_str(&mask(&word));
        word.clear();
        if c != ' ' || !masked.ends_with("  ") {
            masked.push(c);
        }
    }
    masked.pop();
    masked
}

fn mask(word: &str) -> String {
    let (start, word) = match word.strip_prefix(':') {
        Some(rest) => (":", rest),
        None => ("", word),
    };
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let name = if word.len() >= 20 && word.contains('T') && word.contains(':') {
        "TIME"
    } else if word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit()) {
        "ID"
    } else if word.starts_with("127.0.0.1:") {
        "HOST"
    } else if word.len() == 13 && digits == 13 {
        "MS"
    } else {
        word
    };
    format!("{start}{name}")
}

#[test]
fn only_what_differs_is_masked() {
    let text = "a-b 2026-11-22T10:30:43.502+00:00 7F0000010000533F0000000000000000 \"ms\":1795343443502   127.0.0.1:99, 12";
    assert_eq!(masked(text), "a-b TIME ID \"ms\":MS  HOST, 12");
}
