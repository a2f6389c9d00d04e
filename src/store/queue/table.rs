//! All queues of a store, by topic and number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::due::Due;
use super::places::Places;
use super::{Kind, Queue, files::Files};
use crate::base::{QueueId, TopicName};
use crate::message::record::Record;
use crate::message::sysflag;
use crate::store::StoreOptions;
use crate::store::dispatch::{LIGHT_QUEUE_PREFIX, batch_place};
use crate::store::layout::{self, Layout};

/// All queues of a store, of both kinds. Lock order: leaf.
#[derive(Debug)]
pub(crate) struct QueueTable {
    layout: Layout,
    file_bytes: u64,
    batch_file_bytes: u64,
    whole: bool,
    /// Topics whose queues are batch queues, as far as was known when the store was opened.
    batch_topics: BTreeSet<String>,
    light_queues_max: u32,
    dispatches_to_light_queues: bool,
    due: Due,
    queues: RwLock<HashMap<TopicName, BTreeMap<QueueId, Arc<Queue>>>>,
}

impl QueueTable {
    /// Opens the queues that have a directory.
    pub(crate) fn open(layout: Layout, options: &StoreOptions) -> io::Result<Self> {
        let mut table = Self {
            whole: true,
            batch_topics: batch_topics(&layout),
            light_queues_max: options.light_queues_max,
            dispatches_to_light_queues: options.dispatches_to_light_queues(),
            layout,
            file_bytes: options.queue_file_bytes,
            batch_file_bytes: options.batch_queue_file_bytes,
            due: Due::default(),
            queues: RwLock::new(HashMap::new()),
        };
        for (topic, id) in layout::queues(&table.layout.consume_queues())? {
            let dir = table.layout.consume_queue(&topic, id);
            let (files, whole) = Files::open(&dir, table.file_bytes)?;
            table.whole &= whole;
            table.insert(&topic, id, Kind::Simple(Places::new(files)));
        }
        for (topic, id) in layout::queues(&table.layout.batch_consume_queues())? {
            let dir = table.layout.batch_consume_queue(&topic, id);
            let (files, whole) = Files::open(&dir, table.batch_file_bytes)?;
            table.whole &= whole;
            table.insert(&topic, id, Kind::Batch(Places::new(files)));
            table.batch_topics.insert(topic);
        }
        Ok(table)
    }

    fn insert(&self, topic: &str, id: u32, kind: Kind) {
        let (topic, id) = (TopicName::stored(topic), QueueId::new(id));
        let queue = Arc::new(Queue::new(topic.clone(), id, kind));
        let mut queues = self.queues.write();
        queues.entry(topic).or_default().insert(id, queue);
    }

    /// Which of them have something to do.
    pub(crate) fn due(&self) -> &Due {
        &self.due
    }

    /// Looks at each queue, in no order. Nothing else of the table may be asked meanwhile.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&Arc<Queue>)) {
        for queue in self.queues.read().values().flat_map(BTreeMap::values) {
            look(queue);
        }
    }

    /// Whether no file was missing when the queues were opened.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the topic's queues are to be batch queues, if none is there yet. For recovery.
    pub(crate) fn is_batch_topic(&self, topic: &str) -> bool {
        self.batch_topics.contains(topic)
    }

    /// Whether a record belongs to a batch queue. The queue there is tells; without one, the topic or the record.
    pub(crate) fn is_batch(&self, record: &Record<'_>, id: QueueId) -> bool {
        match self.find(record.topic, id) {
            Some(queue) => queue.is_batch(),
            None => {
                self.is_batch_topic(record.topic)
                    || record.sys_flag & sysflag::INNER_BATCH != 0 && batch_place(record).is_some()
            }
        }
    }

    /// A queue that is there.
    pub(crate) fn find(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.queues.read().get(topic)?.get(&id).cloned()
    }

    /// A queue; a simple one when it is not there yet. Its directory is made with its first entry.
    pub(crate) fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.find_or_make(topic, id, || {
            let dir = self.layout.consume_queue(topic.as_str(), id.get());
            Kind::Simple(Places::new(Files::none(&dir, self.file_bytes)))
        })
    }

    /// A queue; a batch queue when it is not there yet.
    pub(crate) fn batch_queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.find_or_make(topic, id, || {
            let dir = self.layout.batch_consume_queue(topic.as_str(), id.get());
            Kind::Batch(Places::new(Files::none(&dir, self.batch_file_bytes)))
        })
    }

    /// Whether records go to the light queues they name.
    pub(crate) fn dispatches_to_light_queues(&self) -> bool {
        self.dispatches_to_light_queues
    }

    /// The light queue of this name; `None` if it is not there yet and there are too many.
    pub(crate) fn light_queue(&self, name: &str) -> Option<Arc<Queue>> {
        let id = QueueId::new(0);
        if let Some(queue) = self.find(name, id) {
            return Some(queue);
        }
        let light = |topic: &&TopicName| topic.as_str().starts_with(LIGHT_QUEUE_PREFIX);
        let count = self.queues.read().keys().filter(light).count();
        let has_room = u32::try_from(count).is_ok_and(|count| count < self.light_queues_max);
        has_room.then(|| self.queue(&TopicName::stored(name), id))
    }

    /// The queue that takes the place of one that is gone.
    pub(crate) fn successor(&self, gone: &Queue) -> Arc<Queue> {
        match gone.kind() {
            Kind::Simple(_) => self.queue(gone.topic(), gone.id()),
            Kind::Batch(_) => self.batch_queue(gone.topic(), gone.id()),
        }
    }

    fn find_or_make(
        &self,
        topic: &TopicName,
        id: QueueId,
        kind: impl FnOnce() -> Kind,
    ) -> Arc<Queue> {
        if let Some(queue) = self.find(topic.as_str(), id) {
            return queue;
        }
        let mut queues = self.queues.write();
        let of_topic = queues.entry(topic.clone()).or_default();
        let queue = of_topic
            .entry(id)
            .or_insert_with(|| Arc::new(Queue::new(topic.clone(), id, kind())));
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

    /// Deletes one queue and gives the one that takes its place, which begins at 0.
    pub(crate) fn begin_anew(&self, queue: &Queue) -> io::Result<Arc<Queue>> {
        let removed = {
            let mut queues = self.queues.write();
            queues
                .get_mut(queue.topic())
                .and_then(|of_topic| of_topic.remove(&queue.id()))
        };
        if let Some(removed) = removed {
            removed.destroy()?;
        }
        Ok(self.successor(queue))
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

/// The topics that the broker's own file says have batch queues. The file only helps where queues are lost, so one that
/// cannot be read helps nothing and hinders nothing.
fn batch_topics(layout: &Layout) -> BTreeSet<String> {
    let text = std::fs::read(layout.config().join("topics.json")).unwrap_or_default();
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let topics = file
        .get("topicConfigTable")
        .and_then(|table| table.as_object());
    let has_batch_queues = |config: &serde_json::Value| {
        let attributes = config.get("attributes");
        let kind = attributes.and_then(|attributes| attributes.get("queue.type"));
        kind.and_then(|kind| kind.as_str()) == Some("BatchCQ")
    };
    topics
        .into_iter()
        .flatten()
        .filter(|(_, config)| has_batch_queues(config))
        .map(|(topic, _)| topic.clone())
        .collect()
}
