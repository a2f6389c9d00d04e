//! The JSON that Java brokers and clients really write and read.
//!
//! fastjson has two habits strict JSON does not know: integer map keys without quotes (`{0:"a"}`) and whole
//! objects as map keys (`{{"topic":"t"}:5}`). Apache's readers take integer keys in either form, but object
//! keys only in their own. So we read both forms everywhere; on the wire we write integer keys quoted, for
//! the sake of strict readers, and object keys as Apache; in files we write both as Apache.
//!
//! A `null` member means the same as an absent one to fastjson; [`to_strict`] therefore drops them.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod strict;
mod writer;

use serde::{Serialize, de::DeserializeOwned};

pub use self::strict::{StrictError, to_strict};
use self::writer::{Style, Writer};

/// Why a body is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not even fastjson would call this JSON.
    #[error("bad JSON: {0}")]
    Strict(#[from] StrictError),
    /// JSON of another shape, or a value that cannot be written.
    #[error("bad JSON: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads strict JSON or fastjson's dialect.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, BodyError> {
    // Most bodies are strict, and the strict reader needs no copy.
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    // Java replaces what is not UTF-8; so do we, where the strict reader gave up.
    let strict = to_strict(text)?;
    Ok(serde_json::from_str(&String::from_utf8_lossy(&strict))?)
}

/// Writes a body for the wire: object keys as fastjson writes them, integer keys quoted.
pub fn to_wire(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, BodyError> {
    write(value, Style::Wire)
}

/// Writes a file of `config/` as Apache does: a line for each member, integer keys bare.
pub fn to_file(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, BodyError> {
    write(value, Style::File)
}

fn write(value: &(impl Serialize + ?Sized), style: Style) -> Result<Vec<u8>, BodyError> {
    let mut writer = Writer::new(style);
    value.serialize(&mut writer)?;
    Ok(writer.into_text())
}
