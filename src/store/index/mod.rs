//! The key index: files that find the records of a message key.

pub mod format;
