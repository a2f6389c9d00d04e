//! Read buffers that no connection needs at the moment, kept for the next that has something to read.
//!
//! Most connections wait most of the time, and one that waits needs no buffer. Each thread keeps a few, so that laying
//! one down and taking one up costs no trip to the allocator, and no lock.

use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers kept by one thread.
const KEPT_MAX: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer; it may have room already.
pub(super) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a buffer that holds nothing.
pub(super) fn give(buffer: BytesMut) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT_MAX {
            spare.push(buffer);
        }
    });
}
