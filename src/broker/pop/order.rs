//! Consumption in order by POP: which messages of a queue a group has, and until when nobody else gets any.
//!
//! A group that pops in order gets the next messages of a queue only when it acknowledged those it has, or when they
//! became visible again. The table is kept in `consumerOrderInfo.json`; what was not saved before a crash means that
//! messages come again, in order, never that one is skipped: the group's offset moves by acknowledgements alone.
//!
//! Lock order: leaf (the broker wraps the table).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::handle::OffsetLists;

/// An entry nobody touched for so long is dropped when the file is written.
const UNUSED_MS: i64 = 24 * 3_600_000;
/// The bits for acknowledged messages.
const MESSAGES_MAX: usize = 63;

/// One queue of one topic, as a group sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) queue_id: i32,
}

impl Place {
    fn joined(&self) -> String {
        format!("{}@{}", self.topic, self.group)
    }
}

/// What a group has of a queue. The short names are Apache's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderInfo {
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    attempt_id: Option<String>,
    /// Bit i: message i is acknowledged.
    #[serde(rename = "cm", default)]
    acked: i64,
    #[serde(rename = "i", default)]
    invisible_time: Option<i64>,
    #[serde(rename = "l", default)]
    last_consume_ms: i64,
    /// The first offset, then the others' distances from it.
    #[serde(rename = "o", default)]
    offsets: Vec<i64>,
    /// How often each message was handed out before, if it was.
    #[serde(rename = "oc", default, skip_serializing_if = "Option::is_none")]
    consumed: Option<BTreeMap<i64, i32>>,
    /// When a message becomes visible, if it was changed.
    #[serde(rename = "ot", default, skip_serializing_if = "Option::is_none")]
    visible_at: Option<BTreeMap<i64, i64>>,
    #[serde(rename = "popTime", default)]
    pop_time: i64,
}

impl OrderInfo {
    fn len(&self) -> usize {
        self.offsets.len().min(MESSAGES_MAX)
    }

    fn offset(&self, index: usize) -> i64 {
        let first = self.offsets.first().copied().unwrap_or(0);
        match index {
            0 => first,
            _ => first.saturating_add(self.offsets.get(index).copied().unwrap_or(0)),
        }
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|index| self.acked & (1 << index) == 0)
    }

    fn visible_ms(&self, index: usize, invisible_ms: i64) -> i64 {
        let changed = self
            .visible_at
            .as_ref()
            .and_then(|changed| changed.get(&self.offset(index)));
        changed
            .copied()
            .unwrap_or_else(|| self.pop_time.saturating_add(invisible_ms))
    }

    /// When no unacknowledged message is invisible any more; `None` if all are acknowledged.
    fn free_ms(&self, invisible_ms: i64) -> Option<i64> {
        self.open()
            .map(|index| self.visible_ms(index, invisible_ms))
            .max()
    }

    fn effective_invisible_ms(&self, asked_ms: i64) -> i64 {
        self.invisible_time
            .filter(|time| *time > 0)
            .unwrap_or(asked_ms)
    }

    fn is_blocked(&self, attempt_id: Option<&str>, asked_ms: i64, now_ms: i64) -> bool {
        if attempt_id.is_some() && self.attempt_id.as_deref() == attempt_id {
            return false;
        }
        let invisible_ms = self.effective_invisible_ms(asked_ms);
        self.free_ms(invisible_ms)
            .is_some_and(|free_ms| now_ms < free_ms)
    }

    /// How often each of this entry's messages was handed out before, going by the entry it replaces.
    fn count_again(&mut self, before: &Self) {
        if before.attempt_id.is_some() && before.attempt_id == self.attempt_id {
            self.consumed = Some(before.consumed.clone().unwrap_or_default());
            return;
        }
        let earlier: BTreeSet<i64> = (0..before.len())
            .map(|index| before.offset(index))
            .collect();
        let counts = (0..self.len())
            .map(|index| self.offset(index))
            .filter(|offset| earlier.contains(offset))
            .map(|offset| {
                let count = before
                    .consumed
                    .as_ref()
                    .and_then(|counts| counts.get(&offset));
                (offset, count.copied().unwrap_or(0).saturating_add(1))
            });
        self.consumed = Some(counts.collect());
    }
}

/// Messages that were just handed out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Popped<'a> {
    pub(crate) attempt_id: Option<&'a str>,
    pub(crate) pop_time: i64,
    pub(crate) invisible_time: i64,
    pub(crate) offsets: &'a [i64],
}

/// What an acknowledgement leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The group's offset becomes this.
    Offset(i64),
    /// It belongs to an earlier delivery and changes nothing.
    Outdated,
    /// The group does not have this message.
    Illegal,
}

/// The content of `consumerOrderInfo.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OrderFile {
    order_info_count: usize,
    ordered_consumption_level: String,
    table: BTreeMap<String, BTreeMap<i32, OrderInfo>>,
}

impl Default for OrderFile {
    fn default() -> Self {
        Self {
            order_info_count: 0,
            ordered_consumption_level: "QUEUE".to_owned(),
            table: BTreeMap::new(),
        }
    }
}

/// Everything groups have that pop in order.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    table: BTreeMap<String, BTreeMap<i32, OrderInfo>>,
    /// When each blocked queue is free again.
    free: BTreeSet<(i64, Place)>,
    changes: u64,
}

impl Orders {
    /// Starts from what a file held.
    pub(crate) fn restore(file: OrderFile) -> Self {
        let mut orders = Self {
            table: file.table,
            ..Self::default()
        };
        let mut free = BTreeSet::new();
        for (joined, queues) in &orders.table {
            let Some((topic, group)) = joined.split_once('@') else {
                continue;
            };
            for (queue_id, info) in queues {
                let place = Place {
                    topic: topic.to_owned(),
                    group: group.to_owned(),
                    queue_id: *queue_id,
                };
                let free_ms = info.free_ms(info.effective_invisible_ms(0));
                free.extend(free_ms.map(|free_ms| (free_ms, place)));
            }
        }
        orders.free = free;
        orders
    }

    fn info(&self, place: &Place) -> Option<&OrderInfo> {
        self.table.get(&place.joined())?.get(&place.queue_id)
    }

    /// Changes an entry and keeps the times at which queues are free in step with it.
    fn change<R>(&mut self, place: &Place, change: impl FnOnce(&mut OrderInfo) -> R) -> Option<R> {
        let queues = self.table.get_mut(&place.joined())?;
        let info = queues.get_mut(&place.queue_id)?;
        let free_ms = |info: &OrderInfo| info.free_ms(info.effective_invisible_ms(0));
        let before = free_ms(info);
        let result = change(info);
        let after = free_ms(info);
        self.changes += 1;
        if before != after {
            if let Some(before) = before {
                self.free.remove(&(before, place.clone()));
            }
            self.free.extend(after.map(|after| (after, place.clone())));
        }
        Some(result)
    }

    /// Whether the group must wait before it gets more of the queue. A repeated attempt gets the same again.
    pub(crate) fn is_blocked(
        &self,
        place: &Place,
        attempt_id: Option<&str>,
        invisible_ms: i64,
        now_ms: i64,
    ) -> bool {
        self.info(place)
            .is_some_and(|info| info.is_blocked(attempt_id, invisible_ms, now_ms))
    }

    /// Notes what the group was handed, and lists how often it had it before.
    pub(crate) fn popped(
        &mut self,
        place: &Place,
        popped: &Popped<'_>,
        lists: &mut OffsetLists,
        now_ms: i64,
    ) {
        let Some((first, others)) = popped.offsets.split_first() else {
            return;
        };
        let mut offsets = vec![*first];
        offsets.extend(others.iter().map(|offset| offset.saturating_sub(*first)));
        let mut info = OrderInfo {
            attempt_id: popped.attempt_id.map(str::to_owned),
            pop_time: popped.pop_time,
            invisible_time: Some(popped.invisible_time),
            offsets,
            last_consume_ms: now_ms,
            ..OrderInfo::default()
        };
        let entry = self.table.entry(place.joined()).or_default();
        let before = entry.entry(place.queue_id).or_default();
        if !before.offsets.is_empty() {
            info.count_again(before);
        }
        let counts = info.consumed.clone().unwrap_or_default();
        for (offset, count) in &counts {
            lists.add_count(&place.topic, place.queue_id, *offset, *count);
        }
        let all_known = counts.len() == popped.offsets.len();
        let least = counts.values().min().copied().filter(|_| all_known);
        lists.add_queue_count(&place.topic, place.queue_id, least.unwrap_or(0));
        self.change(place, |entry| *entry = info);
    }

    /// Acknowledges a message.
    pub(crate) fn acknowledge(&mut self, place: &Place, offset: i64, pop_time: i64) -> Commit {
        let acknowledge = |info: &mut OrderInfo| {
            if info.offsets.is_empty() {
                return Commit::Illegal;
            }
            if info.pop_time != pop_time {
                return Commit::Outdated;
            }
            let Some(index) = (0..info.len()).find(|index| info.offset(*index) == offset) else {
                return Commit::Illegal;
            };
            info.acked |= 1 << index;
            let next = match info.open().next() {
                Some(first_open) => info.offset(first_open),
                None => info.offset(info.len() - 1).saturating_add(1),
            };
            Commit::Offset(next)
        };
        // Nothing is known of the queue: the acknowledgement alone says how far the group is.
        self.change(place, acknowledge)
            .unwrap_or(Commit::Offset(offset.saturating_add(1)))
    }

    /// Lets a message of a delivery be invisible until `visible_ms`.
    pub(crate) fn set_visible_at(
        &mut self,
        place: &Place,
        offset: i64,
        pop_time: i64,
        visible_ms: i64,
    ) {
        self.change(place, |info| {
            let covered = (0..info.len()).any(|index| info.offset(index) == offset);
            if info.pop_time == pop_time && covered {
                let changed = info.visible_at.get_or_insert_default();
                changed.insert(offset, visible_ms);
            }
        });
    }

    /// Forgets a queue whose offset an administrator moved.
    pub(crate) fn clear(&mut self, place: &Place) {
        self.change(place, |info| *info = OrderInfo::default());
        if let Some(queues) = self.table.get_mut(&place.joined()) {
            queues.remove(&place.queue_id);
        }
    }

    /// Forgets entries of topics or groups that are gone, and those nobody touched for a day.
    pub(crate) fn clean(&mut self, now_ms: i64, exists: impl Fn(&str, &str) -> bool) {
        let before: usize = self.table.values().map(BTreeMap::len).sum();
        self.table.retain(|joined, queues| {
            let known = joined
                .split_once('@')
                .is_some_and(|(topic, group)| exists(topic, group));
            queues.retain(|_, info| now_ms.saturating_sub(info.last_consume_ms) <= UNUSED_MS);
            known && !queues.is_empty()
        });
        if before != self.table.values().map(BTreeMap::len).sum::<usize>() {
            self.changes += 1;
            let table = &self.table;
            self.free.retain(|(_, place)| {
                let queues = table.get(&place.joined());
                queues.is_some_and(|queues| queues.contains_key(&place.queue_id))
            });
        }
    }

    /// When the next blocked queue is free.
    pub(crate) fn next_free_ms(&self) -> Option<i64> {
        self.free.first().map(|(free_ms, _)| *free_ms)
    }

    /// The queues that became free, each told once.
    pub(crate) fn freed(&mut self, now_ms: i64) -> Vec<Place> {
        let mut freed = Vec::new();
        while self.next_free_ms().is_some_and(|free_ms| free_ms <= now_ms) {
            freed.extend(self.free.pop_first().map(|(_, place)| place));
        }
        freed
    }

    /// Moves with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// What the file holds.
    pub(crate) fn file(&self) -> OrderFile {
        OrderFile {
            order_info_count: self.table.values().map(BTreeMap::len).sum(),
            table: self.table.clone(),
            ..OrderFile::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson;

    fn place() -> Place {
        Place {
            topic: "T".to_owned(),
            group: "g".to_owned(),
            queue_id: 0,
        }
    }

    fn pop(orders: &mut Orders, attempt_id: Option<&str>, now_ms: i64, offsets: &[i64]) -> String {
        let popped = Popped {
            attempt_id,
            pop_time: now_ms,
            invisible_time: 10,
            offsets,
        };
        let mut lists = OffsetLists::default();
        orders.popped(&place(), &popped, &mut lists, now_ms);
        lists.order_counts
    }

    #[test]
    fn a_queue_is_blocked_until_all_is_acknowledged() {
        let mut orders = Orders::default();
        let at = place();
        assert!(!orders.is_blocked(&at, None, 10, 0));
        assert_eq!(pop(&mut orders, Some("a"), 100, &[5, 7]), "0 0 0");
        assert!(orders.is_blocked(&at, None, 10, 109));
        assert!(!orders.is_blocked(&at, Some("a"), 10, 109));
        assert!(orders.is_blocked(&at, Some("b"), 10, 109));
        assert!(!orders.is_blocked(&at, None, 10, 110));
        assert_eq!(orders.acknowledge(&at, 6, 100), Commit::Illegal);
        assert_eq!(orders.acknowledge(&at, 5, 99), Commit::Outdated);
        assert_eq!(orders.acknowledge(&at, 7, 100), Commit::Offset(5));
        assert_eq!(orders.acknowledge(&at, 5, 100), Commit::Offset(8));
        assert!(!orders.is_blocked(&at, None, 10, 101));
        assert_eq!(orders.next_free_ms(), None);
    }

    #[test]
    fn deliveries_are_counted_by_message() {
        let mut orders = Orders::default();
        pop(&mut orders, None, 100, &[5, 6]);
        assert_eq!(
            pop(&mut orders, Some("x"), 200, &[5, 6, 7]),
            "0 qo0%5 1;0 qo0%6 1;0 0 0"
        );
        assert_eq!(
            pop(&mut orders, Some("x"), 201, &[5, 6, 7]),
            "0 qo0%5 1;0 qo0%6 1;0 0 0"
        );
        assert_eq!(
            pop(&mut orders, Some("y"), 300, &[5, 6]),
            "0 qo0%5 2;0 qo0%6 2;0 0 2"
        );
    }

    #[test]
    fn times_of_release_follow_every_change() {
        let mut orders = Orders::default();
        let at = place();
        pop(&mut orders, None, 100, &[5, 6]);
        assert_eq!(orders.next_free_ms(), Some(110));
        orders.set_visible_at(&at, 6, 100, 150);
        orders.set_visible_at(&at, 9, 100, 999);
        orders.set_visible_at(&at, 5, 99, 999);
        assert_eq!(orders.next_free_ms(), Some(150));
        assert!(orders.is_blocked(&at, None, 10, 149));
        let restored = Orders::restore(orders.file());
        assert_eq!(restored.next_free_ms(), Some(150));
        assert_eq!(orders.acknowledge(&at, 6, 100), Commit::Offset(5));
        assert_eq!(orders.next_free_ms(), Some(110));
        assert_eq!(orders.freed(109), []);
        assert_eq!(orders.freed(110), std::slice::from_ref(&at));
        assert_eq!(orders.freed(110), []);
        orders.clear(&at);
        assert!(!orders.is_blocked(&at, None, 10, 0));
        assert_eq!(orders.acknowledge(&at, 6, 100), Commit::Offset(7));
    }

    #[test]
    fn the_file_has_apaches_form() {
        let mut orders = Orders::default();
        let empty = fastjson::to_file(&orders.file()).unwrap();
        let recorded = "{\n\t\"orderInfoCount\":0,\n\t\"orderedConsumptionLevel\":\"QUEUE\",\n\t\"table\":{}\n}";
        assert_eq!(String::from_utf8(empty).unwrap(), recorded);
        pop(&mut orders, Some("a"), 100, &[5, 6]);
        orders.set_visible_at(&place(), 6, 100, 150);
        let bytes = fastjson::to_file(&orders.file()).unwrap();
        let file: OrderFile = fastjson::from_slice(&bytes).unwrap();
        assert_eq!(file.table, orders.table);
        orders.clean(101, |_, _| true);
        assert_eq!(orders.file().order_info_count, 1);
        orders.clean(101, |_, _| false);
        assert_eq!(orders.file().order_info_count, 0);
        assert_eq!(orders.next_free_ms(), None);
    }
}
