//! Every store recorded from Apache RocketMQ 5.5.0 opens and lists exactly what its manifest says.

mod log;
mod tables;
mod whole;

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::support_golden::{Golden, cases};

/// Runs `check` on every recorded store.
fn each_store(mut check: impl FnMut(&Golden)) {
    for case in cases() {
        let golden = Golden::unpack(&case);
        check(&golden);
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Path, length and hash of every file below `dir`.
fn inventory(dir: &Path) -> Vec<(String, u64, String)> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.push((name, bytes.len() as u64, sha256(&bytes)));
            }
        }
    }
    found.sort();
    found
}
