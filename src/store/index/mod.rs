//! The key index: files that find the records of a message key.
//!
//! [`feed`] hands on what [`writer`] appends, [`query`] looks up, [`repair`] brings what a crash left behind into order. All of it is derived
//! from the log: whatever cannot be trusted is thrown away and made again by the same rule.

pub(crate) mod feed;
pub mod format;
pub(crate) mod name;
pub(crate) mod query;
pub(crate) mod repair;
pub(crate) mod writer;
