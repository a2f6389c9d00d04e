//! All queues of a store, by topic and number.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Queue, files::Files};
use crate::base::{QueueId, TopicName};
use crate::store::layout::{self, Layout};

/// All queues of a store. Lock order: leaf.
#[derive(Debug)]
pub(crate) struct QueueTable {
    layout: Layout,
    file_bytes: u64,
    whole: bool,
    queues: RwLock<HashMap<TopicName, BTreeMap<QueueId, Arc<Queue>>>>,
}

impl QueueTable {
    /// Opens the queues that have a directory.
    pub(crate) fn open(layout: Layout, file_bytes: u64) -> io::Result<Self> {
        let mut table = Self {
            whole: true,
            layout,
            file_bytes,
            queues: RwLock::new(HashMap::new()),
        };
        for (topic, id) in layout::queues(&table.layout.consume_queues())? {
            let (topic, id) = (TopicName::stored(&topic), QueueId::new(id));
            let dir = table.layout.consume_queue(topic.as_str(), id.get());
            let (files, whole) = Files::open(&dir, file_bytes)?;
            table.whole &= whole;
            let queue = Arc::new(Queue::new(topic.clone(), id, files));
            table
                .queues
                .write()
                .entry(topic)
                .or_default()
                .insert(id, queue);
        }
        Ok(table)
    }

    /// Whether no file was missing when the queues were opened.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// A queue that is there.
    pub(crate) fn find(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.queues.read().get(topic)?.get(&id).cloned()
    }

    /// A queue, made when it is not there yet. Its directory is made with its first entry.
    pub(crate) fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        if let Some(queue) = self.find(topic.as_str(), id) {
            return queue;
        }
        let mut queues = self.queues.write();
        let of_topic = queues.entry(topic.clone()).or_default();
        let queue = of_topic.entry(id).or_insert_with(|| {
            let dir = self.layout.consume_queue(topic.as_str(), id.get());
            let files = Files::none(&dir, self.file_bytes);
            Arc::new(Queue::new(topic.clone(), id, files))
        });
        Arc::clone(queue)
    }

    /// All queues, ordered by topic and number.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        let mut all: Vec<_> = {
            let queues = self.queues.read();
            queues
                .values()
                .flat_map(BTreeMap::values)
                .cloned()
                .collect()
        };
        all.sort_by(|a, b| (a.topic(), a.id()).cmp(&(b.topic(), b.id())));
        all
    }

    /// Takes a topic's queues out of the table.
    pub(crate) fn remove_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        let removed = self.queues.write().remove(topic);
        removed
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .collect()
    }
}
