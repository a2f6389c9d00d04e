//! Reads the recorded sessions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;

/// A file or folder beside this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire")
        .join(name)
}

/// One recorded remoting frame.
pub(crate) struct Recorded {
    /// File and number, to name it in a failure.
    pub(crate) place: String,
    /// What the recorder understood.
    pub(crate) line: Value,
    /// The frame, length word included.
    pub(crate) bytes: Vec<u8>,
}

impl Recorded {
    /// The name of the request code, of an answer that of its request.
    pub(crate) fn request(&self) -> &str {
        let of_answer = self.line["requestCodeName"].as_str();
        of_answer.unwrap_or_else(|| self.line["codeName"].as_str().unwrap())
    }

    pub(crate) fn is_response(&self) -> bool {
        self.line["kind"] == "response"
    }
}

/// Every frame of every session.
pub(crate) fn frames() -> Vec<Recorded> {
    let mut files: Vec<PathBuf> = fs::read_dir(beside("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let frames: Vec<Recorded> = files.iter().flat_map(|file| session(file)).collect();
    assert!(frames.len() > 1500, "captures are missing");
    frames
}

fn session(file: &Path) -> Vec<Recorded> {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let lines = BufReader::new(GzDecoder::new(fs::File::open(file).unwrap())).lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let frames = lines.filter(|line| line["codeName"].is_string());
    frames
        .map(|line| Recorded {
            place: format!("{name} n={}", line["n"]),
            bytes: STANDARD
                .decode(line["raw_base64"].as_str().unwrap())
                .unwrap(),
            line,
        })
        .collect()
}
