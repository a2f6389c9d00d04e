//! How far each group has come in each queue, and the resets an administrator asked for.
//!
//! `consumed` is what consumers commit and what survives a restart. `pulled` is how far the broker has handed messages
//! out. A reset waits in `resets` until the group pulls or asks for its offset; it also replaces the committed one.
//!
//! Lock order: leaf (the broker wraps the table in one mutex). Nothing is read or written on disk here.

use std::collections::{BTreeMap, HashMap};

use crate::protocol::body::offset::{ConsumerOffsetSerializeWrapper, QueueOffsets};
use crate::protocol::body::topic_config::DataVersion;
use crate::store::LIGHT_QUEUE_PREFIX;

/// Apache's `consumerOffsetUpdateVersionStep`: the version moves once in so many changes.
const CHANGES_PER_VERSION: u64 = 500;

/// Light queues have one queue.
const LIGHT_QUEUE: i32 = 0;

/// `topic -> group -> queue -> offset`. Two levels, so that a lookup needs no joined key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Table(HashMap<String, HashMap<String, QueueOffsets>>);

impl Table {
    fn get(&self, topic: &str, group: &str) -> Option<&QueueOffsets> {
        self.0.get(topic)?.get(group)
    }

    /// Returns the offset it replaced.
    fn put(&mut self, topic: &str, group: &str, queue_id: i32, offset: i64) -> Option<i64> {
        if let Some(queues) = self
            .0
            .get_mut(topic)
            .and_then(|groups| groups.get_mut(group))
        {
            return queues.insert(queue_id, offset);
        }
        self.0
            .entry(topic.to_owned())
            .or_default()
            .entry(group.to_owned())
            .or_default()
            .insert(queue_id, offset)
    }

    fn remove_topic(&mut self, topic: &str) {
        self.0.remove(topic);
    }

    fn remove_group(&mut self, group: &str) {
        self.0.retain(|_, groups| {
            groups.remove(group);
            !groups.is_empty()
        });
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str, &QueueOffsets)> {
        self.0.iter().flat_map(|(topic, groups)| {
            groups
                .iter()
                .map(move |(group, queues)| (topic.as_str(), group.as_str(), queues))
        })
    }

    fn joined(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, QueueOffsets> {
        self.iter()
            .filter(|(_, group, _)| wanted(group))
            .map(|(topic, group, queues)| (format!("{topic}@{group}"), queues.clone()))
            .collect()
    }

    fn from_joined(joined: BTreeMap<String, QueueOffsets>) -> Self {
        let mut table = Self::default();
        for (key, queues) in joined {
            // A key without `@` cannot have been written by a broker; Apache skips it in every query.
            if let Some((topic, group)) = key.split_once('@') {
                table
                    .0
                    .entry(topic.to_owned())
                    .or_default()
                    .insert(group.to_owned(), queues);
            }
        }
        table
    }
}

/// The offset table of a broker.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    consumed: Table,
    pulled: Table,
    resets: Table,
    changes: u64,
    /// Whether groups of light queues have a section of their own in the file.
    light: bool,
    /// The version of the file this table began with.
    version: DataVersion,
}

impl Offsets {
    /// Starts from what a file held; its keys are `topic@group`.
    pub(crate) fn restore(file: ConsumerOffsetSerializeWrapper) -> Self {
        let mut consumed = Table::from_joined(file.offset_table);
        for (key, offset) in file.lmq_offset_table.into_iter().flatten() {
            if let Some((topic, group)) = key.split_once('@') {
                consumed.put(topic, group, LIGHT_QUEUE, offset);
            }
        }
        Self {
            consumed,
            pulled: Table::from_joined(file.pull_offset_table),
            version: file.data_version,
            ..Self::default()
        }
    }

    /// Takes over what the master of this slave has; offsets it has not stay.
    pub(crate) fn follow(&mut self, master: ConsumerOffsetSerializeWrapper) {
        let theirs = Table::from_joined(master.offset_table);
        for (topic, group, queues) in theirs.iter() {
            for (queue, offset) in queues {
                if self.consumed.put(topic, group, *queue, *offset) != Some(*offset) {
                    self.changes += 1;
                }
            }
        }
        self.version = master.data_version;
    }

    /// Keeps the groups of light queues apart in the file, as Apache does with `enableLmq`.
    pub(crate) fn with_light_groups(mut self, light: bool) -> Self {
        self.light = light;
        self
    }

    /// Stores a consumer's progress. Returns the older, larger offset if the group goes back.
    pub(crate) fn commit(
        &mut self,
        topic: &str,
        group: &str,
        queue_id: i32,
        offset: i64,
    ) -> Option<i64> {
        self.changes += 1;
        self.consumed
            .put(topic, group, queue_id, offset)
            .filter(|before| offset < *before)
    }

    /// Remembers how far messages were handed out.
    pub(crate) fn commit_pull(&mut self, topic: &str, group: &str, queue_id: i32, offset: i64) {
        if self.pulled.put(topic, group, queue_id, offset) != Some(offset) {
            self.changes += 1;
        }
    }

    /// The pending reset of a queue, else the committed offset.
    pub(crate) fn query(&self, topic: &str, group: &str, queue_id: i32) -> Option<i64> {
        let in_table = |table: &Table| Some(*table.get(topic, group)?.get(&queue_id)?);
        in_table(&self.resets).or_else(|| in_table(&self.consumed))
    }

    /// How far messages were handed out, else the committed offset.
    pub(crate) fn query_pull(&self, topic: &str, group: &str, queue_id: i32) -> Option<i64> {
        let handed_out = self
            .pulled
            .get(topic, group)
            .and_then(|queues| queues.get(&queue_id));
        handed_out
            .copied()
            .or_else(|| self.query(topic, group, queue_id))
    }

    /// Whether messages of a queue were ever asked for and the answer sent.
    pub(crate) fn was_pulled(&self, topic: &str, group: &str, queue_id: i32) -> bool {
        let queues = self.pulled.get(topic, group);
        queues.is_some_and(|queues| queues.contains_key(&queue_id))
    }

    /// All committed offsets of a topic and group.
    pub(crate) fn queues(&self, topic: &str, group: &str) -> Option<&QueueOffsets> {
        self.consumed.get(topic, group)
    }

    /// Makes the group start at `offset`: it is the committed offset at once, and consumers hear of it on their next pull.
    pub(crate) fn reset(&mut self, topic: &str, group: &str, queue_id: i32, offset: i64) {
        if queue_id < 0 || offset < 0 {
            return;
        }
        self.changes += 1;
        self.resets.put(topic, group, queue_id, offset);
        self.consumed.put(topic, group, queue_id, offset);
    }

    /// Whether a reset still waits for the group's next pull.
    pub(crate) fn reset_pending(&self, topic: &str, group: &str, queue_id: i32) -> bool {
        self.resets
            .get(topic, group)
            .is_some_and(|queues| queues.contains_key(&queue_id))
    }

    /// Takes the pending reset of a queue.
    pub(crate) fn take_reset(&mut self, topic: &str, group: &str, queue_id: i32) -> Option<i64> {
        if self.resets.0.is_empty() {
            return None;
        }
        let groups = self.resets.0.get_mut(topic)?;
        let queues = groups.get_mut(group)?;
        let offset = queues.remove(&queue_id);
        if queues.is_empty() {
            groups.remove(group);
            if groups.is_empty() {
                self.resets.0.remove(topic);
            }
        }
        offset
    }

    /// Forgets what was handed out of a topic to a group, after its offsets were moved.
    pub(crate) fn clear_pull(&mut self, topic: &str, group: &str) {
        if let Some(groups) = self.pulled.0.get_mut(topic) {
            groups.remove(group);
            self.changes += 1;
        }
    }

    /// Gives `to` a copy of the offsets of `from`.
    pub(crate) fn clone_offsets(&mut self, topic: &str, from: &str, to: &str) {
        let Some(queues) = self.consumed.get(topic, from).cloned() else {
            return;
        };
        self.changes += 1;
        self.consumed
            .0
            .entry(topic.to_owned())
            .or_default()
            .insert(to.to_owned(), queues);
    }

    /// Forgets a deleted topic.
    pub(crate) fn remove_topic(&mut self, topic: &str) {
        self.changes += 1;
        for table in [&mut self.consumed, &mut self.pulled, &mut self.resets] {
            table.remove_topic(topic);
        }
    }

    /// Forgets a deleted group.
    pub(crate) fn remove_group(&mut self, group: &str) {
        self.changes += 1;
        for table in [&mut self.consumed, &mut self.pulled, &mut self.resets] {
            table.remove_group(group);
        }
    }

    /// The topics a group has committed offsets for, sorted.
    pub(crate) fn topics_of(&self, group: &str) -> Vec<String> {
        let mut topics: Vec<_> = self
            .consumed
            .iter()
            .filter(|(_, of, _)| *of == group)
            .map(|(topic, ..)| topic.to_owned())
            .collect();
        topics.sort_unstable();
        topics
    }

    /// The groups with committed offsets in a topic, sorted.
    pub(crate) fn groups_of(&self, topic: &str) -> Vec<String> {
        let mut groups: Vec<String> = self
            .consumed
            .0
            .get(topic)
            .map(|groups| groups.keys().cloned().collect())
            .unwrap_or_default();
        groups.sort_unstable();
        groups
    }

    /// The committed offsets of every group of a topic.
    pub(crate) fn of_topic(&self, topic: &str) -> impl Iterator<Item = (&str, &QueueOffsets)> {
        self.consumed
            .0
            .get(topic)
            .into_iter()
            .flatten()
            .map(|(group, queues)| (group.as_str(), queues))
    }

    /// Moves with every change, so that an unchanged table need not be saved.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// What `consumerOffset.json` and `GET_ALL_CONSUMER_OFFSET` hold.
    pub(crate) fn file(&self) -> ConsumerOffsetSerializeWrapper {
        let is_light = |group: &str| self.light && group.starts_with(LIGHT_QUEUE_PREFIX);
        let mut group_topic_map = BTreeMap::<String, Vec<String>>::new();
        for (topic, group, _) in self
            .consumed
            .iter()
            .filter(|(_, group, _)| !is_light(group))
        {
            let topics = group_topic_map.entry(group.to_owned()).or_default();
            topics.push(topic.to_owned());
        }
        for topics in group_topic_map.values_mut() {
            topics.sort_unstable();
        }
        let steps = i64::try_from(self.changes / CHANGES_PER_VERSION).unwrap_or(i64::MAX);
        ConsumerOffsetSerializeWrapper {
            data_version: DataVersion {
                counter: self.version.counter.saturating_add(steps),
                ..self.version
            },
            group_topic_map,
            offset_table: self.consumed.joined(|group| !is_light(group)),
            lmq_offset_table: self.light.then(|| {
                let light = self.consumed.joined(is_light).into_iter();
                light
                    .filter_map(|(key, queues)| Some((key, *queues.values().next()?)))
                    .collect()
            }),
            pull_offset_table: self.pulled.joined(|_| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_wins_until_it_is_taken() {
        let mut offsets = Offsets::default();
        assert_eq!(offsets.query("T", "g", 0), None);
        assert_eq!(offsets.commit("T", "g", 0, 10), None);
        assert_eq!(offsets.commit("T", "g", 0, 4), Some(10));
        offsets.reset("T", "g", 0, 2);
        offsets.reset("T", "g", -1, 2);
        assert!(offsets.reset_pending("T", "g", 0));
        assert_eq!(offsets.query("T", "g", 0), Some(2));
        assert_eq!(offsets.take_reset("T", "g", 0), Some(2));
        assert_eq!(offsets.take_reset("T", "g", 0), None);
        assert!(!offsets.reset_pending("T", "g", 0));
        assert_eq!(offsets.query("T", "g", 0), Some(2));
    }

    #[test]
    fn pulled_offsets_fall_back_to_committed_ones() {
        let mut offsets = Offsets::default();
        offsets.commit("T", "g", 1, 3);
        assert_eq!(offsets.query_pull("T", "g", 1), Some(3));
        assert!(!offsets.was_pulled("T", "g", 1));
        offsets.commit_pull("T", "g", 1, 9);
        let changes = offsets.changes();
        offsets.commit_pull("T", "g", 1, 9);
        assert_eq!(offsets.changes(), changes);
        assert_eq!(offsets.query_pull("T", "g", 1), Some(9));
        assert!(offsets.was_pulled("T", "g", 1));
    }

    #[test]
    fn file_keys_join_topic_and_group() {
        let mut offsets = Offsets::default();
        offsets.commit("T", "g", 0, 5);
        offsets.clone_offsets("T", "g", "h");
        let saved = offsets.file();
        assert_eq!(
            saved.offset_table.keys().collect::<Vec<_>>(),
            ["T@g", "T@h"]
        );
        assert_eq!(saved.group_topic_map["h"], ["T"]);
        let restored = Offsets::restore(saved);
        assert_eq!(restored.query("T", "h", 0), Some(5));
        assert_eq!(restored.groups_of("T"), ["g", "h"]);
        assert_eq!(restored.topics_of("h"), ["T"]);
    }

    #[test]
    fn deleted_topics_and_groups_are_forgotten() {
        let mut offsets = Offsets::default();
        offsets.commit("T", "g", 0, 5);
        offsets.commit("U", "g", 0, 5);
        offsets.remove_topic("T");
        assert_eq!(offsets.query("T", "g", 0), None);
        offsets.remove_group("g");
        assert!(offsets.file().offset_table.is_empty());
    }
}
