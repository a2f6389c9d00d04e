//! From the properties a producer sent to those that are stored.

use std::ops::Range;

use crate::base::QueueId;
use crate::broker::Broker;
use crate::broker::options::BrokerOptions;
use crate::broker::timer::recall::RecallHandle;
use crate::message::properties::{text_pairs, write_pair};
use crate::message::{Properties, PropertiesBuf, names};

const TIMER_NAMES: [&str; 3] = [
    names::TIMER_DELIVER_MS,
    names::TIMER_DELAY_SEC,
    names::TIMER_DELAY_MS,
];

/// What the properties of a message ask of the broker.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct StoredProperties {
    /// Place of the unique key among the connection's texts.
    pub(super) unique: Range<usize>,
    /// The producer wants its answer after the flush (`WAIT`, on unless it says no).
    pub(super) waits: bool,
    pub(super) is_half: bool,
    pub(super) is_inner_batch: bool,
    pub(super) has_timer: bool,
    pub(super) has_keys: bool,
    pub(super) delay_level: i32,
    /// The delay level is there and is no number.
    pub(super) has_bad_delay: bool,
}

impl StoredProperties {
    fn note(&mut self, name: &str, value: &str, texts: &mut String) {
        match name {
            names::UNIQ_KEY => {
                let start = texts.len();
                texts.push_str(value);
                self.unique = start..texts.len();
            }
            names::WAIT => self.waits = value.eq_ignore_ascii_case("true"),
            names::TRAN_MSG => self.is_half = value.eq_ignore_ascii_case("true"),
            names::INNER_NUM => self.is_inner_batch = true,
            names::KEYS => self.has_keys = !value.trim().is_empty(),
            names::DELAY => match value.parse() {
                Ok(level) => self.delay_level = level,
                Err(_) => self.has_bad_delay = true,
            },
            _ if TIMER_NAMES.contains(&name) => self.has_timer = true,
            _ => {}
        }
    }

    /// Copies what the producer may set into `out` and adds what the broker sets.
    pub(super) fn write(
        sent: &str,
        options: &BrokerOptions,
        broker: &Broker,
        out: &mut Vec<u8>,
        texts: &mut String,
    ) -> Self {
        let mut facts = Self {
            waits: true,
            ..Self::default()
        };
        out.clear();
        for (name, value, pair) in text_pairs(sent) {
            match name {
                // A receipt handle of POP means something to this broker only; the others are set below.
                names::POP_CK | names::MSG_REGION | names::TRACE_ON | names::CLUSTER => continue,
                _ => facts.note(name, value, texts),
            }
            out.extend_from_slice(pair.as_bytes());
            if !pair.ends_with('\u{2}') {
                // The last separator may be missing.
                out.push(2);
            }
        }
        write_pair(out, names::MSG_REGION, &options.region_id);
        write_pair(
            out,
            names::TRACE_ON,
            if options.trace_on { "true" } else { "false" },
        );
        if facts.unique.is_empty() {
            let start = texts.len();
            broker.push_unique_id(texts);
            facts.unique = start..texts.len();
            write_pair(
                out,
                names::UNIQ_KEY,
                texts.get(facts.unique.clone()).unwrap_or_default(),
            );
        }
        write_pair(out, names::CLUSTER, &options.broker_cluster_name);
        facts
    }

    /// Writes what the producer needs to take its waiting message back.
    pub(super) fn write_recall_handle(
        &self,
        topic: &str,
        options: &BrokerOptions,
        out_ms: i64,
        texts: &mut String,
    ) -> Range<usize> {
        let unique = texts
            .get(self.unique.clone())
            .unwrap_or_default()
            .to_owned();
        let start = texts.len();
        RecallHandle::push(texts, topic, &options.broker_name, out_ms, &unique);
        start..texts.len()
    }

    /// A dead letter is delivered at once.
    pub(super) fn drop_delay(&mut self, wire: &mut Vec<u8>) {
        self.delay_level = 0;
        let mut properties = PropertiesBuf::from(Properties::new(wire));
        properties.set(names::DELAY, "-1");
        *wire = properties.to_wire();
    }
}

/// The facts of a batch as a whole; its messages keep their own properties as they are.
pub(super) fn of_batch(sent: &str, texts: &mut String) -> StoredProperties {
    let mut facts = StoredProperties {
        waits: true,
        ..StoredProperties::default()
    };
    for (name, value) in Properties::new(sent.as_bytes()).iter() {
        facts.note(name, value, texts);
    }
    facts
}

/// The facts of a message that was stored before.
pub(super) fn of_stored(stored: Properties<'_>) -> StoredProperties {
    let mut facts = StoredProperties::default();
    let mut texts = String::new();
    for (name, value) in stored.iter() {
        facts.note(name, value, &mut texts);
    }
    facts
}

/// Remembers where a delayed message belongs; it is stored in the schedule topic first.
pub(crate) fn redirect(wire: &mut Vec<u8>, level: u32, topic: &str, queue: QueueId) {
    let mut properties = PropertiesBuf::from(Properties::new(wire));
    for name in TIMER_NAMES {
        properties.remove(name);
    }
    properties.set(names::DELAY, level.to_string());
    properties.set(names::REAL_TOPIC, topic);
    properties.set(names::REAL_QID, queue.to_string());
    *wire = properties.to_wire();
}
