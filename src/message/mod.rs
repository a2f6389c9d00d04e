//! What a message is: the stored record, its properties, ids, system flags and batches.
//!
//! Pure encoding and decoding over byte slices. Every decoder takes hostile bytes: it checks each length against what
//! is there, never allocates what a length field claims, and never panics.
//!
//! Absent on purpose: anything that knows where a record lies (that is [`crate::store`]) or how it travelled (that is
//! [`crate::protocol`]).

// Tests may index: a panic there is a failure, not a hole.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod batch;
pub mod compress;
pub(crate) mod cursor;
pub mod hash;
pub mod id;
pub mod names;
pub mod properties;
pub mod record;
pub mod sysflag;

pub use hash::{java_string_hash, tags_code};
pub use id::{UniqIds, offset_message_id, parse_offset_message_id};
pub use properties::{Properties, PropertiesBuf};
pub use record::{Draft, Encoded, Record, RecordError};
