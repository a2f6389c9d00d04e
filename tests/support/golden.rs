//! The store directories recorded from Apache RocketMQ 5.5.0 (`tests/store/golden`): unpacked, and what its own
//! classes found in them.

#![allow(
    dead_code,
    reason = "each test binary that includes this file uses its part of it"
)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// One recorded store, unpacked for as long as this lives.
pub(crate) struct Golden {
    /// The name of its folder.
    pub(crate) case: String,
    /// `MANIFEST.json`.
    pub(crate) manifest: Value,
    dir: tempfile::TempDir,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/golden")
}

/// The names of all recorded stores.
pub(crate) fn cases() -> Vec<String> {
    let mut cases: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("store.tar.gz").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

impl Golden {
    /// Unpacks one of [`cases`].
    pub(crate) fn unpack(case: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = File::open(root().join(case).join("store.tar.gz")).unwrap();
        tar::Archive::new(GzDecoder::new(archive))
            .unpack(dir.path())
            .unwrap();
        Self {
            case: case.to_owned(),
            manifest: json(case, "MANIFEST.json").unwrap(),
            dir,
        }
    }

    /// The store directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// What became of a damaged store when Apache was started on it (`RECOVERED.json`).
    pub(crate) fn recovered(&self) -> Option<Value> {
        json(&self.case, "RECOVERED.json")
    }

    /// A number of the broker's configuration, such as `mappedFileSizeCommitLog`.
    pub(crate) fn setting(&self, name: &str) -> u64 {
        let value = &self.manifest["meta"]["brokerConf"][name];
        value.as_str().unwrap().parse().unwrap()
    }

    /// The array of this name in the manifest; no elements if it is not there.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.manifest[name].as_array().map_or(&[], Vec::as_slice)
    }
}

/// A JSON file of a case, plain or compressed.
fn json(case: &str, name: &str) -> Option<Value> {
    let plain = root().join(case).join(name);
    let packed = root().join(case).join(format!("{name}.gz"));
    let mut text = Vec::new();
    if plain.exists() {
        File::open(plain).unwrap().read_to_end(&mut text).unwrap();
    } else if packed.exists() {
        GzDecoder::new(File::open(packed).unwrap())
            .read_to_end(&mut text)
            .unwrap();
    } else {
        return None;
    }
    Some(serde_json::from_slice(&text).unwrap())
}
