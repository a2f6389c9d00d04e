//! YAML files people write by hand: read with the line of a mistake, written back.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) message: String,
}

/// Reads a document; an empty one, or one of comments, is the default.
pub(crate) fn read<T: DeserializeOwned + Default>(text: &str) -> Result<T, YamlError> {
    let said = |line: &&str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        !line.is_empty() && line != "---"
    };
    if text.lines().find(said).is_none() {
        return Ok(T::default());
    }
    serde_yaml::from_str(text).map_err(|error| YamlError {
        line: error.location().map_or(1, |location| location.line()),
        message: error.to_string(),
    })
}

/// Writes a document.
pub(crate) fn write(value: &impl Serialize) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}
