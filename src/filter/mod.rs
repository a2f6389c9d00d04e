//! Tag expressions of consumers (`TagA || TagB`, `*`), parsed once and asked per queue entry.
//!
//! The broker filters by the hash of the tag alone, as the queue stores nothing else; a consumer compares the tag
//! itself. Two tags with one hash therefore both travel.
//!
//! Absent on purpose: SQL92 expressions. A broker without `enablePropertyFilter` refuses them, which is Apache's
//! default too.

mod tags;

pub(crate) use tags::{TAG_TYPE, TagFilter, is_tag_type};
