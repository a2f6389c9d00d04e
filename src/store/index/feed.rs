//! What the key index still has to file, handed on by whoever appends to the log, so that the log need not be read for it.
//!
//! The feed covers one stretch of the log without gaps. Whoever files takes from its front; what lies before it is read
//! from the log, as is everything when the feed was full. So the feed is a short cut and never the only source, and it is
//! bounded: when the index cannot follow, the feed begins anew where the log is now.
//!
//! Lock order: leaf.

use parking_lot::Mutex;

use super::format::KeyHash;

/// The feed begins anew when so many keys wait: some 1.5 MiB.
const WAITING_MAX: usize = 64 * 1024;
/// The room that is kept for keys after a burst.
const ROOM_KEPT: usize = 4 * 1024;

/// One key of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filed {
    /// Where the record begins in the log.
    pub(crate) log_offset: u64,
    /// When it was stored, ms since 1970.
    pub(crate) store_timestamp_ms: i64,
    /// What it is filed under.
    pub(crate) hash: KeyHash,
}

/// The keys of the newest records, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    from: u64,
    to: u64,
    keys: Vec<Filed>,
}

impl Feed {
    /// Adds the keys of the records from `from` to `to`, which were appended just now.
    pub(crate) fn add(&self, (from, to): (u64, u64), keys: impl Iterator<Item = Filed>) {
        let mut waiting = self.0.lock();
        if waiting.to != from || waiting.keys.len() >= WAITING_MAX {
            waiting.keys.clear();
            waiting.from = from;
        }
        waiting.keys.extend(keys);
        waiting.to = to;
    }

    /// Where the feed begins, if it holds anything behind `at`: so far the log must be read.
    pub(crate) fn begins_behind(&self, at: u64) -> Option<u64> {
        let waiting = self.0.lock();
        (waiting.from > at && waiting.to > waiting.from).then_some(waiting.from)
    }

    /// Moves the keys of the records from `at` to `until` into `out`, which is empty. Returns how far they go; `None` when
    /// the feed does not have the record at `at`.
    pub(crate) fn take(&self, at: u64, until: u64, out: &mut Vec<Filed>) -> Option<u64> {
        let mut waiting = self.0.lock();
        if at < waiting.from || at >= waiting.to {
            return None;
        }
        let reached = waiting.to.min(until);
        let taken = waiting.keys.partition_point(|key| key.log_offset < reached);
        if taken == waiting.keys.len() {
            std::mem::swap(&mut waiting.keys, out);
            waiting.keys.shrink_to(ROOM_KEPT);
        } else {
            out.extend(waiting.keys.drain(..taken));
        }
        waiting.from = reached;
        drop(waiting);
        let known = out.partition_point(|key| key.log_offset < at);
        out.drain(..known);
        Some(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(log_offset: u64) -> Filed {
        Filed {
            log_offset,
            store_timestamp_ms: 0,
            hash: KeyHash::of_key("t", "k"),
        }
    }

    fn take(feed: &Feed, at: u64, until: u64) -> Option<(u64, Vec<u64>)> {
        let mut out = Vec::new();
        let reached = feed.take(at, until, &mut out)?;
        Some((reached, out.iter().map(|key| key.log_offset).collect()))
    }

    #[test]
    fn what_was_appended_is_handed_on_once_and_in_order() {
        let feed = Feed::default();
        feed.add((100, 300), [100, 100, 200].map(key).into_iter());
        feed.add((300, 400), std::iter::empty());
        assert_eq!(take(&feed, 100, 200), Some((200, vec![100, 100])));
        feed.add((400, 500), [key(400)].into_iter());
        assert_eq!(take(&feed, 200, 900), Some((500, vec![200, 400])));
        assert_eq!(take(&feed, 500, 900), None);
    }

    #[test]
    fn what_was_filed_otherwise_is_left_out() {
        let feed = Feed::default();
        feed.add((100, 300), [100, 200].map(key).into_iter());
        assert_eq!(take(&feed, 200, 300), Some((300, vec![200])));
    }

    #[test]
    fn a_gap_or_too_many_begin_it_anew() {
        let feed = Feed::default();
        feed.add((100, 200), [key(100)].into_iter());
        feed.add((300, 400), [key(300)].into_iter());
        assert_eq!(take(&feed, 100, 400), None);
        assert_eq!(feed.begins_behind(100), Some(300));
        feed.add((400, 500), std::iter::repeat_n(key(400), WAITING_MAX));
        feed.add((500, 600), [key(500)].into_iter());
        assert_eq!(feed.begins_behind(300), Some(500));
        assert_eq!(take(&feed, 500, 600), Some((600, vec![500])));
        assert_eq!(feed.begins_behind(300), None);
    }
}
