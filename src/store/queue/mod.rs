//! Consume queues: for every queue of a topic, where its messages lie in the log.

pub mod entry;

pub use entry::{ENTRY_BYTES, Entry};
