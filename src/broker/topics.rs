//! The topics of a broker: their configuration, automatic creation, and the rules for names and attributes.
//!
//! [`Topics`] is the table and what its file holds. Readers use a [`TopicMap`], an immutable copy published after each
//! change.
//!
//! Absent on purpose: static topics (queues mapped over brokers). Their section of the registration stays empty.
//! Lock order: leaf (the broker wraps the table).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::attributes::{self, AttributeError};
use super::handlers::Refusal;
use super::options::BrokerOptions;
use crate::base::{NameError, TopicName};
use crate::message::names;
use crate::protocol::body::topic_config::{
    DataVersion, TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicConfigSerializeWrapper,
};
use crate::protocol::codes::ResponseCode;
use crate::protocol::fastjson;

/// May be read.
pub(crate) const PERM_READ: i32 = 4;
/// May be written.
pub(crate) const PERM_WRITE: i32 = 2;
/// New topics may copy it.
pub(crate) const PERM_INHERIT: i32 = 1;

const SCHEDULE_QUEUES: i32 = 18;
const SYSTEM_PREFIX: &str = "rmq_sys_";
/// Half messages of the `RocksDB` engine, which 5.5 creates on every broker.
const ROCKSDB_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
const ROCKSDB_OP_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
const CHECKPOINT_TOPIC: &str = "CHECKPOINT_TOPIC";

/// Names that are reserved whether or not the topic exists.
const RESERVED: [&str; 12] = [
    names::AUTO_CREATE_TOPIC,
    names::SCHEDULE_TOPIC,
    names::BENCHMARK_TOPIC,
    names::HALF_TOPIC,
    names::TRACE_TOPIC,
    names::OP_HALF_TOPIC,
    names::TRANS_CHECK_MAX_TIME_TOPIC,
    names::SELF_TEST_TOPIC,
    names::OFFSET_MOVED_EVENT,
    CHECKPOINT_TOPIC,
    ROCKSDB_HALF_TOPIC,
    ROCKSDB_OP_HALF_TOPIC,
];

/// Topics no client may send to.
const NOT_SENDABLE: [&str; 8] = [
    names::SCHEDULE_TOPIC,
    names::HALF_TOPIC,
    names::OP_HALF_TOPIC,
    names::TRANS_CHECK_MAX_TIME_TOPIC,
    names::SELF_TEST_TOPIC,
    names::OFFSET_MOVED_EVENT,
    ROCKSDB_HALF_TOPIC,
    ROCKSDB_OP_HALF_TOPIC,
];

/// Parts of a [`TopicMap`]: a change copies one of them.
const PARTS: usize = 64;
/// How many changes are remembered one by one; who is further behind takes the whole table.
const RECENT_MAX: usize = 1024;
/// A table of so many topics is not written anew for each change; see [`Topics::line_since`].
const LARGE: usize = 256;

/// The topics as readers see them. Cut into parts by name, so that a copy costs little and a change copies one part.
#[derive(Clone, Debug)]
pub(crate) struct TopicMap(Vec<Arc<HashMap<TopicName, Arc<TopicConfig>>>>);

impl Default for TopicMap {
    fn default() -> Self {
        Self(vec![Arc::default(); PARTS])
    }
}

impl TopicMap {
    fn place(name: &str) -> usize {
        crc32fast::hash(name.as_bytes()) as usize % PARTS
    }

    /// A topic's configuration.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TopicConfig>> {
        self.get_key_value(name).map(|(_, config)| config)
    }

    /// The same, with the name as the table holds it.
    pub(crate) fn get_key_value(&self, name: &str) -> Option<(&TopicName, &Arc<TopicConfig>)> {
        self.0.get(Self::place(name))?.get_key_value(name)
    }

    /// Whether there is such a topic.
    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn part_mut(&mut self, name: &str) -> Option<&mut HashMap<TopicName, Arc<TopicConfig>>> {
        self.0.get_mut(Self::place(name)).map(Arc::make_mut)
    }
}

/// Checks a topic name a client brought, with Apache's remarks.
pub(crate) fn check_name(topic: &str) -> Result<TopicName, Refusal> {
    TopicName::parse(topic).map_err(|error| {
        let remark = match error {
            NameError::Blank { .. } => "The specified topic is blank.".to_owned(),
            NameError::Illegal { .. } => format!(
                "The specified topic: {topic}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
            ),
            NameError::TooLong { max, .. } if max > 127 => format!(
                "The specified topic is DLQ or Retry topic: {topic}, and it's longer than topic max length: {max}"
            ),
            NameError::TooLong { max, .. } => {
                format!("The specified topic: {topic}, is longer than topic max length: {max}")
            }
        };
        Refusal::new(ResponseCode::INVALID_PARAMETER, remark)
    })
}

/// Whether clients may not send to the topic.
pub(crate) fn is_not_sendable(topic: &str) -> bool {
    NOT_SENDABLE.contains(&topic)
}

/// The `topicSysFlag` of topics made for clients in unit mode.
pub(crate) fn unit_sys_flag(unit_mode: bool, is_retry: bool) -> i32 {
    match (unit_mode, is_retry) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// Whether consumers of the topic filter by several tags per message.
pub(crate) fn is_multi_tag(config: &TopicConfig) -> bool {
    config.topic_filter_type == "MULTI_TAG"
}

/// Whether the topic keeps the last message of each key only.
pub(crate) fn is_compacted(config: &TopicConfig) -> bool {
    let policy = config.attributes.get("cleanup.policy");
    policy.is_some_and(|policy| policy == "COMPACTION")
}

/// Whether the topic stores each batch as one message.
pub(crate) fn has_batch_queues(config: &TopicConfig) -> bool {
    let kind = config.attributes.get("queue.type");
    kind.is_some_and(|kind| kind == "BatchCQ")
}

/// A topic as Apache's remarks show it.
pub(crate) fn show(config: &TopicConfig) -> String {
    let may = |bit: i32, letter: char| if config.perm & bit == 0 { '-' } else { letter };
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}{}{}, topicFilterType={}, topicSysFlag={}, order={}, attributes={:?}]",
        config.topic_name,
        config.read_queue_nums,
        config.write_queue_nums,
        may(PERM_READ, 'R'),
        may(PERM_WRITE, 'W'),
        may(PERM_INHERIT, 'X'),
        config.topic_filter_type,
        config.topic_sys_flag,
        config.order,
        config.attributes,
    )
}

/// The next version of a table after a change.
pub(crate) fn next_version(version: &mut DataVersion, now_ms: i64) {
    version.counter += 1;
    version.timestamp = now_ms;
}

/// The topic table.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    table: BTreeMap<TopicName, Arc<TopicConfig>>,
    /// The same for readers.
    map: TopicMap,
    /// Who was made or changed last, and by which change, in the order of the changes.
    recent: VecDeque<(u64, TopicName)>,
    /// The changes up to here are not in `recent`.
    forgotten: u64,
    /// Reserved names of this broker: its cluster, its own name, and topics derived from them.
    own: Vec<TopicName>,
    version: DataVersion,
    changes: u64,
}

impl Topics {
    /// A table with the system topics Apache makes at start.
    pub(crate) fn with_system_topics(options: &BrokerOptions, now_ms: i64) -> Self {
        let mut topics = Self {
            version: DataVersion {
                timestamp: now_ms,
                ..DataVersion::default()
            },
            ..Self::default()
        };
        for (name, queues, perm) in system_topics(options) {
            let name = TopicName::stored(&name);
            if !RESERVED.contains(&name.as_str()) {
                topics.own.push(name.clone());
            }
            topics.put(plain(&name, queues, perm));
        }
        topics
    }

    /// Adds what a file held; a topic in it replaces the system topic of that name, as the administrator may have
    /// changed it.
    pub(crate) fn restore(&mut self, file: TopicConfigSerializeWrapper) {
        for (name, mut config) in file.topic_config_table {
            config.topic_name = name;
            self.put(config);
        }
        self.version = file.data_version;
    }

    /// Becomes what the master of this slave has.
    pub(crate) fn follow(&mut self, master: TopicConfigSerializeWrapper) {
        if self.version == master.data_version {
            return;
        }
        self.table.clear();
        self.map = TopicMap::default();
        self.changes += 1;
        self.forget();
        self.restore(master);
    }

    fn put(&mut self, config: TopicConfig) -> Arc<TopicConfig> {
        let config = Arc::new(config);
        let name = TopicName::stored(&config.topic_name);
        self.changes += 1;
        self.recent.push_back((self.changes, name.clone()));
        if self.recent.len() > RECENT_MAX
            && let Some((change, _)) = self.recent.pop_front()
        {
            self.forgotten = change;
        }
        if let Some(part) = self.map.part_mut(name.as_str()) {
            part.insert(name.clone(), Arc::clone(&config));
        }
        self.table.insert(name, Arc::clone(&config));
        config
    }

    /// From here on only the whole table says what there is.
    fn forget(&mut self) {
        self.recent.clear();
        self.forgotten = self.changes;
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the name belongs to the system.
    pub(crate) fn is_system(&self, topic: &str) -> bool {
        topic.starts_with(SYSTEM_PREFIX)
            || RESERVED.contains(&topic)
            || self.own.iter().any(|own| own.as_str() == topic)
    }

    /// The reserved names, for clients that leave them out of their lists.
    pub(crate) fn system_names(&self) -> Vec<String> {
        let own = self.own.iter().map(ToString::to_string);
        let mut all: Vec<String> = RESERVED
            .iter()
            .map(ToString::to_string)
            .chain(own)
            .collect();
        all.sort_unstable();
        all
    }

    /// Makes a topic for a send, as the template says. `None` if the template does not allow it.
    pub(crate) fn create_from_template(
        &mut self,
        topic: &TopicName,
        template: &str,
        wanted: (i32, i32),
        now_ms: i64,
    ) -> Option<Arc<TopicConfig>> {
        if let Some(known) = self.table.get(topic.as_str()) {
            return Some(Arc::clone(known));
        }
        let (queues, sys_flag) = wanted;
        let template = self.table.get(template)?;
        if template.perm & PERM_INHERIT == 0 {
            return None;
        }
        let queues = queues.min(template.write_queue_nums).max(0);
        let config = TopicConfig {
            topic_sys_flag: sys_flag,
            topic_filter_type: template.topic_filter_type.clone(),
            ..plain(topic, queues, template.perm & !PERM_INHERIT)
        };
        next_version(&mut self.version, now_ms);
        Some(self.put(config))
    }

    /// Takes the template's right to be copied, when automatic creation is off but the file has a template.
    pub(crate) fn stop_auto_creation(&mut self) {
        if let Some(template) = self.table.get(names::AUTO_CREATE_TOPIC) {
            let mut config = TopicConfig::clone(template);
            config.perm = PERM_READ | PERM_WRITE;
            self.put(config);
        }
    }

    /// Makes a topic the broker itself needs, such as a retry topic. Says whether anything changed.
    pub(crate) fn ensure(&mut self, wanted: TopicConfig, now_ms: i64) -> bool {
        if let Some(known) = self.table.get(wanted.topic_name.as_str()) {
            if known.order == wanted.order {
                return false;
            }
            let mut config = TopicConfig::clone(known);
            config.order = wanted.order;
            self.put(config);
        } else {
            self.put(wanted);
        }
        next_version(&mut self.version, now_ms);
        true
    }

    /// Makes or changes a topic as an administrator says; its attributes are changes (`+key`, `-key`), not values.
    pub(crate) fn update(
        &mut self,
        mut config: TopicConfig,
        now_ms: i64,
    ) -> Result<(), AttributeError> {
        let known = self.table.get(config.topic_name.as_str());
        let current = known.map(|known| &known.attributes);
        config.attributes = attributes::alter(attributes::TOPIC, current, &config.attributes)?;
        self.put(config);
        next_version(&mut self.version, now_ms);
        Ok(())
    }

    /// Deletes a topic; says whether it was there.
    pub(crate) fn remove(&mut self, topic: &str, now_ms: i64) -> bool {
        if self.table.remove(topic).is_none() {
            return false;
        }
        if let Some(part) = self.map.part_mut(topic) {
            part.remove(topic);
        }
        self.changes += 1;
        self.forget();
        next_version(&mut self.version, now_ms);
        true
    }

    /// Marks topics as ordered that the name server lists so. Says whether anything changed.
    pub(crate) fn mark_ordered<'a>(
        &mut self,
        ordered: impl Iterator<Item = &'a str>,
        now_ms: i64,
    ) -> bool {
        let mut changed = false;
        for topic in ordered {
            let known = self.table.get(topic).filter(|known| !known.order);
            if let Some(known) = known {
                let mut config = TopicConfig::clone(known);
                config.order = true;
                self.put(config);
                changed = true;
            }
        }
        if changed {
            next_version(&mut self.version, now_ms);
        }
        changed
    }

    /// Moves with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// A copy for readers.
    pub(crate) fn map(&self) -> TopicMap {
        self.map.clone()
    }

    /// The topics that were made or changed after the change `since`; `None` if only the whole table says it.
    fn changed_since(&self, since: u64) -> Option<BTreeMap<String, TopicConfig>> {
        if since < self.forgotten {
            return None;
        }
        let changed = self.recent.iter().rev();
        let names = changed
            .take_while(|(change, _)| *change > since)
            .map(|(_, name)| name);
        names
            .map(|name| {
                let config = self.table.get(name.as_str())?;
                Some((name.to_string(), TopicConfig::clone(config)))
            })
            .collect()
    }

    /// What happened after the change `since`, as a line for the journal beside the file. `None` if the whole file should
    /// be written, which is always so while it is small.
    pub(crate) fn line_since(&self, since: u64) -> Option<Vec<u8>> {
        if self.table.len() < LARGE {
            return None;
        }
        let changed = TopicConfigSerializeWrapper {
            data_version: self.version,
            topic_config_table: self.changed_since(since)?,
        };
        fastjson::to_wire(&changed).ok()
    }

    /// Adds what a journal held after the file was written. A line that was cut short was acknowledged to nobody.
    pub(crate) fn replay(&mut self, journal: &[u8]) {
        for line in journal.split(|byte| *byte == b'\n') {
            let Ok(changed) = fastjson::from_slice::<TopicConfigSerializeWrapper>(line) else {
                continue;
            };
            // What the file holds already, because it was written after the line, is not older than the line.
            if changed.data_version.counter > self.version.counter {
                self.restore(changed);
            }
        }
    }

    /// What the file holds.
    pub(crate) fn file(&self) -> TopicConfigSerializeWrapper {
        TopicConfigSerializeWrapper {
            data_version: self.version,
            topic_config_table: self.configs(),
        }
    }

    /// What a name server is told that knows the table as of the change `since`: the topics that are new to it, as
    /// `BrokerController.registerIncrementBrokerData` does. `None` if it must be told everything.
    pub(crate) fn wrapper_since(
        &self,
        since: u64,
        mapping_version: DataVersion,
    ) -> Option<TopicConfigAndMappingSerializeWrapper> {
        Some(TopicConfigAndMappingSerializeWrapper {
            data_version: self.version,
            mapping_data_version: mapping_version,
            topic_config_table: self.changed_since(since)?,
            ..TopicConfigAndMappingSerializeWrapper::default()
        })
    }

    /// What name servers and slaves are told.
    pub(crate) fn wrapper(
        &self,
        mapping_version: DataVersion,
    ) -> TopicConfigAndMappingSerializeWrapper {
        TopicConfigAndMappingSerializeWrapper {
            data_version: self.version,
            mapping_data_version: mapping_version,
            topic_config_table: self.configs(),
            ..TopicConfigAndMappingSerializeWrapper::default()
        }
    }

    fn configs(&self) -> BTreeMap<String, TopicConfig> {
        let entries = self.table.iter();
        entries
            .map(|(name, config)| (name.to_string(), TopicConfig::clone(config)))
            .collect()
    }
}

/// A topic without attributes.
pub(crate) fn plain(name: &TopicName, queues: i32, perm: i32) -> TopicConfig {
    TopicConfig {
        topic_name: name.to_string(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm,
        ..TopicConfig::default()
    }
}

fn system_topics(options: &BrokerOptions) -> Vec<(String, i32, i32)> {
    const BOTH: i32 = PERM_READ | PERM_WRITE;
    let usable = |enabled: bool| PERM_INHERIT | if enabled { BOTH } else { 0 };
    let (cluster, broker) = (&options.broker_cluster_name, &options.broker_name);
    let mut topics = vec![
        (names::SELF_TEST_TOPIC.to_owned(), 1, BOTH),
        (names::BENCHMARK_TOPIC.to_owned(), 1024, BOTH),
        (cluster.clone(), 16, usable(options.cluster_topic_enable)),
        (broker.clone(), 1, usable(options.broker_topic_enable)),
        (names::OFFSET_MOVED_EVENT.to_owned(), 1, BOTH),
        (names::SCHEDULE_TOPIC.to_owned(), SCHEDULE_QUEUES, BOTH),
        (format!("{cluster}_REPLY_TOPIC"), 1, BOTH),
        (
            format!("rmq_sys_REVIVE_LOG_{cluster}"),
            options.revive_queue_num,
            BOTH,
        ),
        (
            format!("rmq_sys_SYNC_BROKER_MEMBER_{broker}"),
            1,
            PERM_INHERIT,
        ),
        (names::HALF_TOPIC.to_owned(), 1, BOTH),
        (names::OP_HALF_TOPIC.to_owned(), 1, BOTH),
        (ROCKSDB_HALF_TOPIC.to_owned(), 1, BOTH),
        (ROCKSDB_OP_HALF_TOPIC.to_owned(), 1, BOTH),
        (names::TIMER_TOPIC.to_owned(), 1, BOTH),
    ];
    if options.auto_create_topic_enable {
        let queues = options.default_topic_queue_nums;
        topics.push((
            names::AUTO_CREATE_TOPIC.to_owned(),
            queues,
            PERM_INHERIT | BOTH,
        ));
    }
    if options.trace_topic_enable {
        topics.push((options.msg_trace_topic_name.clone(), 1, BOTH));
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    fn topics() -> Topics {
        Topics::with_system_topics(&BrokerOptions::new(StoreOptions::new("store")), 1)
    }

    #[test]
    fn system_topics_are_those_of_5_5() {
        let topics = topics();
        let names: Vec<_> = topics.table.keys().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "BenchmarkTest",
                "DefaultCluster",
                "DefaultCluster_REPLY_TOPIC",
                "OFFSET_MOVED_EVENT",
                "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
                "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
                "RMQ_SYS_TRANS_HALF_TOPIC",
                "RMQ_SYS_TRANS_OP_HALF_TOPIC",
                "SCHEDULE_TOPIC_XXXX",
                "SELF_TEST_TOPIC",
                "TBW102",
                "broker-a",
                "rmq_sys_REVIVE_LOG_DefaultCluster",
                "rmq_sys_SYNC_BROKER_MEMBER_broker-a",
                "rmq_sys_wheel_timer",
            ]
        );
        assert_eq!(topics.version.counter, 0);
        assert!(topics.is_system("broker-a") && !topics.is_system("orders"));
        assert_eq!(topics.table["broker-a"].perm, 7);
    }

    #[test]
    fn a_send_makes_a_topic_from_the_template() {
        let mut topics = topics();
        let name = TopicName::stored("orders");
        let made = topics
            .create_from_template(&name, "TBW102", (4, 0), 2)
            .unwrap();
        assert_eq!((made.write_queue_nums, made.perm), (4, 6));
        let again = topics
            .create_from_template(&name, "TBW102", (9, 0), 3)
            .unwrap();
        assert!(Arc::ptr_eq(&made, &again));
        assert_eq!(topics.version.counter, 1);
        let other = TopicName::stored("other");
        assert!(
            topics
                .create_from_template(&other, "orders", (4, 0), 3)
                .is_none()
        );
        topics.stop_auto_creation();
        assert!(
            topics
                .create_from_template(&other, "TBW102", (4, 0), 3)
                .is_none()
        );
    }

    #[test]
    fn attributes_are_altered_not_replaced() {
        let mut topics = topics();
        let mut config = plain(&TopicName::stored("T"), 2, 6);
        config
            .attributes
            .insert("+message.type".to_owned(), "FIFO".to_owned());
        topics.update(config.clone(), 2).unwrap();
        assert_eq!(topics.table["T"].attributes["message.type"], "FIFO");
        config.attributes = BTreeMap::from([("-message.type".to_owned(), String::new())]);
        topics.update(config, 3).unwrap();
        assert!(topics.table["T"].attributes.is_empty());
    }

    #[test]
    fn a_file_round_trips() {
        let mut topics = topics();
        topics.ensure(plain(&TopicName::stored("%RETRY%g"), 1, 6), 5);
        let file = topics.file();
        let mut again = self::topics();
        again.restore(file.clone());
        assert_eq!(again.file(), file);
        assert!(again.remove("%RETRY%g", 6));
        assert!(!again.remove("%RETRY%g", 6));
    }

    #[test]
    fn readers_see_every_change_and_keep_what_they_took() {
        let mut topics = topics();
        let before = topics.map();
        for n in 0..300 {
            topics.ensure(plain(&TopicName::stored(&format!("t{n}")), 1, 6), 2);
        }
        topics.remove("t7", 3);
        let after = topics.map();
        assert!(!before.contains_key("t8") && !after.contains_key("t7"));
        let seen = topics.table.keys();
        let seen = seen.filter(|name| after.get_key_value(name.as_str()).unwrap().0 == *name);
        assert_eq!(seen.count(), topics.len());
    }

    #[test]
    fn what_is_new_is_told_alone_until_it_cannot_be() {
        let mut topics = topics();
        let start = topics.changes();
        assert!(topics.wrapper_since(0, DataVersion::default()).is_some());
        topics.ensure(plain(&TopicName::stored("a"), 1, 6), 2);
        topics.ensure(plain(&TopicName::stored("b"), 1, 6), 2);
        let news = topics.changed_since(start).unwrap();
        assert_eq!(news.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(topics.changed_since(topics.changes()).unwrap().is_empty());
        topics.remove("a", 3);
        assert!(topics.changed_since(start).is_none());
        let removed = topics.changes();
        for n in 0..RECENT_MAX {
            topics.ensure(plain(&TopicName::stored(&format!("t{n}")), 1, 6), 4);
        }
        assert_eq!(topics.changed_since(removed).unwrap().len(), RECENT_MAX);
        topics.ensure(plain(&TopicName::stored("last"), 1, 6), 4);
        assert!(topics.changed_since(removed).is_none());
    }

    #[test]
    fn lines_of_the_journal_stand_for_the_file() {
        let mut topics = topics();
        let start = topics.changes();
        topics.ensure(plain(&TopicName::stored("small"), 1, 6), 2);
        assert!(topics.line_since(start).is_none());
        for n in 0..LARGE {
            topics.ensure(plain(&TopicName::stored(&format!("t{n}")), 1, 6), 2);
        }
        let file = topics.file();
        let mut journal = Vec::new();
        for n in 0..3 {
            let since = topics.changes();
            topics.ensure(plain(&TopicName::stored(&format!("new{n}")), 1, 6), 3);
            journal.extend(topics.line_since(since).unwrap());
            journal.push(b'\n');
        }
        let whole = topics.file();
        // The last line was cut short by a crash: it is as if it had never been written.
        let cut = journal.len() - 10;
        let mut again = Topics::default();
        again.restore(file.clone());
        again.replay(&journal[..cut]);
        assert_eq!(again.table.len(), whole.topic_config_table.len() - 1);
        again.replay(&journal);
        assert_eq!(again.file(), whole);
        // Lines that the file holds already change nothing, even if a topic of theirs was deleted since.
        again.remove("new1", 9);
        again.replay(&journal);
        assert!(!again.map().contains_key("new1"));
    }

    #[test]
    fn bad_names_get_apaches_remarks() {
        assert_eq!(
            check_name("a/b").unwrap_err().remark,
            "The specified topic: a/b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        );
        assert_eq!(
            check_name(" ").unwrap_err().code,
            ResponseCode::INVALID_PARAMETER
        );
    }
}
