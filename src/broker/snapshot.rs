//! A value that is replaced as a whole, and readers that notice it with one atomic load.
//!
//! The owner changes its table under its own lock and then publishes an immutable copy. A connection keeps a
//! [`Cached`] of what it last saw; [`Cached::get`] compares a generation number and takes the lock only when the
//! number moved.
//!
//! Lock order: leaf.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The published side.
#[derive(Debug)]
pub(crate) struct Snapshot<T> {
    generation: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T> Snapshot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            generation: AtomicU64::new(1),
            value: Mutex::new(Arc::new(value)),
        }
    }

    /// Replaces the value. Readers see it on their next look.
    pub(crate) fn publish(&self, value: Arc<T>) {
        *self.value.lock() = value;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The value as it is now.
    pub(crate) fn load(&self) -> Arc<T> {
        Arc::clone(&self.value.lock())
    }

    /// Changes with every [`Snapshot::publish`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// One reader's copy of a snapshot.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> Cached<T> {
    pub(crate) fn new(source: &Snapshot<T>) -> Self {
        // The generation is read first: a publish in between costs one refresh too many, never one too few.
        let generation = source.generation();
        Self {
            generation,
            value: source.load(),
        }
    }

    /// Brings the copy up to date; says whether it changed.
    pub(crate) fn refresh(&mut self, source: &Snapshot<T>) -> bool {
        let generation = source.generation();
        if generation == self.generation {
            return false;
        }
        self.generation = generation;
        self.value = source.load();
        true
    }

    /// The copy as of the last [`Cached::refresh`].
    pub(crate) fn get(&self) -> &Arc<T> {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_follows_the_owner() {
        let source = Snapshot::new(1);
        let mut reader = Cached::new(&source);
        assert!(!reader.refresh(&source));
        source.publish(Arc::new(2));
        assert_eq!(**reader.get(), 1);
        assert!(reader.refresh(&source));
        assert_eq!(**reader.get(), 2);
        assert!(!reader.refresh(&source));
    }
}
