//! How far a group has got in one queue. Pure.

use std::collections::BTreeSet;

/// The unfinished messages of one queue, and the offset that may be committed.
///
/// Everything below [`Progress::commit_point`] is finished: messages may be acknowledged in any order, the point only
/// passes an offset once nothing before it is open. So a crash repeats messages, but never loses one.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Handed out or buffered, and not yet acknowledged.
    open: BTreeSet<i64>,
    /// Where the next pull begins; everything before it was delivered or filtered out.
    next: i64,
    /// What the broker was told last.
    committed: Option<i64>,
}

impl Progress {
    pub(crate) fn starting_at(next: i64) -> Self {
        Self {
            open: BTreeSet::new(),
            next,
            committed: None,
        }
    }

    /// Notes a pull answer: the offsets of the wanted messages, and where to go on.
    pub(crate) fn pulled(&mut self, offsets: impl IntoIterator<Item = i64>, next: i64) {
        self.open.extend(offsets);
        self.next = next;
    }

    /// Notes that a message is finished. `false` if it was not open: its queue was reset meanwhile.
    pub(crate) fn finished(&mut self, offset: i64) -> bool {
        self.open.remove(&offset)
    }

    pub(crate) fn is_open(&self, offset: i64) -> bool {
        self.open.contains(&offset)
    }

    /// Forgets what is open and goes on at `next`; late acknowledgements are then ignored.
    pub(crate) fn reset(&mut self, next: i64) {
        self.open.clear();
        self.next = next;
        self.committed = None;
    }

    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// The lowest offset that is not finished.
    pub(crate) fn commit_point(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// The commit point, if the broker does not know it yet.
    pub(crate) fn uncommitted(&self) -> Option<i64> {
        let point = self.commit_point();
        (self.committed != Some(point)).then_some(point)
    }

    /// Notes that the broker was told `offset`.
    pub(crate) fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The first and the last open offset.
    pub(crate) fn open_range(&self) -> Option<(i64, i64)> {
        Some((*self.open.first()?, *self.open.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_point_waits_for_the_oldest() {
        let mut progress = Progress::starting_at(10);
        progress.pulled([10, 11, 14], 16);
        assert_eq!(progress.commit_point(), 10);
        assert!(progress.finished(11));
        assert_eq!(progress.commit_point(), 10);
        assert!(progress.finished(10));
        assert_eq!(progress.commit_point(), 14);
        assert!(progress.finished(14));
        // 15 was filtered out by the broker: it is finished as well.
        assert_eq!(progress.commit_point(), 16);
    }

    #[test]
    fn a_point_is_reported_once() {
        let mut progress = Progress::starting_at(5);
        assert_eq!(progress.uncommitted(), Some(5));
        progress.committed(5);
        assert_eq!(progress.uncommitted(), None);
        progress.pulled([5], 6);
        assert_eq!(progress.uncommitted(), None);
        progress.finished(5);
        assert_eq!(progress.uncommitted(), Some(6));
    }

    #[test]
    fn acknowledgements_from_before_a_reset_change_nothing() {
        let mut progress = Progress::starting_at(0);
        progress.pulled([0, 1], 2);
        progress.reset(1000);
        assert!(!progress.finished(0));
        assert_eq!(progress.commit_point(), 1000);
    }
}
