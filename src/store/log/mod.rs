//! The commit log: one stream of records, cut into files of fixed size.

pub mod walk;

pub use walk::{Item, Walk};
