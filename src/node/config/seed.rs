//! What a node is to hold before it is ready: topics, groups and messages from a YAML file.
//!
//! A test begins with known data, so nothing in the file is guessed: a key nobody knows is an error, and so is a name
//! that breaks the rules, each with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::SyntaxError;
use super::resolve::TopicSpec;
use crate::base::units::parse_duration;
use crate::base::{GroupName, TopicName};
use crate::client::is_reserved_property;
use crate::protocol::body::subscription_group::SubscriptionGroupConfig;

/// The contents of a seed file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Seed {
    pub(crate) topics: Vec<TopicSeed>,
    pub(crate) groups: Vec<GroupSeed>,
    pub(crate) messages: Vec<MessageSeed>,
}

/// A topic, written as a mapping or like the flag `--topic`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicSeed {
    pub(crate) name: TopicName,
    /// `None`: as many as a topic made by a first send.
    pub(crate) queues: Option<u32>,
    pub(crate) order: bool,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A group, written as a mapping or as its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupSeed {
    pub(crate) config: SubscriptionGroupConfig,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessageSeed {
    pub(crate) topic: TopicName,
    pub(crate) body: Vec<u8>,
    pub(crate) keys: Vec<String>,
    pub(crate) tag: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) delay: Option<Duration>,
    pub(crate) delay_level: Option<u32>,
    /// `None`: the queues take turns.
    pub(crate) queue: Option<u32>,
    pub(crate) order_key: Option<String>,
}

impl Seed {
    /// Reads a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SyntaxError> {
        let empty = |line: &[u8]| line.is_empty() || line.starts_with(b"#") || line == b"---";
        if bytes
            .split(|b| *b == b'\n')
            .map(<[u8]>::trim_ascii)
            .all(empty)
        {
            return Ok(Self::default());
        }
        serde_yaml::from_slice(bytes).map_err(|error| SyntaxError {
            line: error.location().map_or(1, |location| location.line()),
            message: error.to_string(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTopic {
    name: String,
    queues: Option<u32>,
    #[serde(default)]
    order: bool,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl TryFrom<RawTopic> for TopicSeed {
    type Error = String;

    fn try_from(raw: RawTopic) -> Result<Self, String> {
        if raw
            .queues
            .is_some_and(|queues| !(1..=1024).contains(&queues))
        {
            return Err("queues: a number from 1 to 1024 is wanted".to_owned());
        }
        Ok(Self {
            name: topic_name(&raw.name)?,
            queues: raw.queues,
            order: raw.order,
            attributes: raw.attributes,
        })
    }
}

impl Short for TopicSeed {
    type Raw = RawTopic;
    const EXPECTED: &'static str = "a topic: NAME, NAME:QUEUES or a mapping";

    fn from_text(text: &str) -> Result<Self, String> {
        let spec = text
            .parse::<TopicSpec>()
            .map_err(|error| format!("{text:?}: {error}"));
        let TopicSpec { name, queues } = spec?;
        Ok(Self {
            name,
            queues,
            order: false,
            attributes: BTreeMap::new(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawGroup {
    name: String,
    retry_max: Option<i32>,
    #[serde(default)]
    orderly: bool,
    enabled: Option<bool>,
    broadcast: Option<bool>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl TryFrom<RawGroup> for GroupSeed {
    type Error = String;

    fn try_from(raw: RawGroup) -> Result<Self, String> {
        let mut group = Self::from_text(&raw.name)?;
        let config = &mut group.config;
        config.retry_max_times = raw.retry_max.unwrap_or(config.retry_max_times);
        config.consume_message_orderly = raw.orderly;
        config.consume_enable = raw.enabled.unwrap_or(config.consume_enable);
        config.consume_broadcast_enable = raw.broadcast.unwrap_or(config.consume_broadcast_enable);
        config.attributes = raw.attributes;
        Ok(group)
    }
}

impl Short for GroupSeed {
    type Raw = RawGroup;
    const EXPECTED: &'static str = "a group: NAME or a mapping";

    fn from_text(text: &str) -> Result<Self, String> {
        let name = GroupName::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self {
            config: SubscriptionGroupConfig {
                group_name: name.to_string(),
                ..SubscriptionGroupConfig::default()
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMessage {
    topic: String,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    keys: Keys,
    tag: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    delay: Option<String>,
    delay_level: Option<u32>,
    queue: Option<u32>,
    order_key: Option<String>,
}

impl TryFrom<RawMessage> for MessageSeed {
    type Error = String;

    fn try_from(raw: RawMessage) -> Result<Self, String> {
        if let Some(name) = raw
            .properties
            .keys()
            .find(|name| is_reserved_property(name))
        {
            return Err(format!(
                "properties: {name} belongs to RocketMQ; there are keys, tag and delay"
            ));
        }
        if raw.delay.is_some() && raw.delay_level.is_some() {
            return Err("delay and delayLevel exclude each other".to_owned());
        }
        if raw.queue.is_some() && raw.order_key.is_some() {
            return Err("queue and orderKey exclude each other".to_owned());
        }
        let delay = raw.delay.as_deref().map(parse_duration).transpose();
        Ok(Self {
            topic: topic_name(&raw.topic)?,
            body: match raw.body {
                Value::Null => Vec::new(),
                Value::String(text) => text.into_bytes(),
                other => other.to_string().into_bytes(),
            },
            keys: raw.keys.0,
            tag: raw.tag,
            properties: raw.properties,
            delay: delay.map_err(|error| format!("delay: {error}"))?,
            delay_level: raw.delay_level,
            queue: raw.queue,
            order_key: raw.order_key,
        })
    }
}

fn topic_name(text: &str) -> Result<TopicName, String> {
    TopicName::parse(text).map_err(|error| format!("{text:?}: {error}"))
}

/// An entry of a list that has a short form beside the mapping.
trait Short: TryFrom<Self::Raw, Error = String> {
    type Raw: for<'de> Deserialize<'de>;
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Result<Self, String>;
}

impl Short for MessageSeed {
    type Raw = RawMessage;
    const EXPECTED: &'static str = "a message: a mapping with topic and body";

    fn from_text(_text: &str) -> Result<Self, String> {
        Err(format!("expected {}", Self::EXPECTED))
    }
}

struct ShortVisitor<T>(PhantomData<T>);

impl<'de, T: Short> Visitor<'de> for ShortVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let raw = T::Raw::deserialize(MapAccessDeserializer::new(map))?;
        T::try_from(raw).map_err(A::Error::custom)
    }
}

macro_rules! deserialize_short {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ShortVisitor::<$kind>(PhantomData))
            }
        }
    )*};
}

deserialize_short!(TopicSeed, GroupSeed, MessageSeed);

/// One key, or a list of them.
#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key or a list of keys")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Keys, E> {
                Ok(Keys(vec![text.to_owned()]))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Keys, E> {
                Ok(Keys(vec![number.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = list.next_element::<String>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# known data
topics:
  - orders:2
  - name: ledger
    queues: 1
    order: true
    attributes:
      message.type: FIFO
groups:
  - billing
  - name: audit
    retryMax: 3
    orderly: true
messages:
  - topic: orders
    body: hello
    keys: 42
    tag: paid
    properties: {trace: abc, count: 3}
  - topic: orders
    body: {id: 43, items: [1, 2]}
    keys: [\"43\", b]
    delay: 10s
  - {topic: ledger, body: x, queue: 0}
";

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let seed = Seed::parse(FILE.as_bytes()).unwrap();
        let topics: Vec<_> = seed
            .topics
            .iter()
            .map(|topic| (topic.name.as_str(), topic.queues, topic.order))
            .collect();
        assert_eq!(
            topics,
            [("orders", Some(2), false), ("ledger", Some(1), true)]
        );
        assert_eq!(seed.topics[1].attributes["message.type"], "FIFO");
        assert_eq!(seed.groups[0].config.group_name, "billing");
        assert_eq!(seed.groups[0].config.retry_max_times, 16);
        assert_eq!(seed.groups[1].config.retry_max_times, 3);
        assert!(seed.groups[1].config.consume_message_orderly);
        let [first, second, third] = seed.messages.as_slice() else {
            panic!("{:?}", seed.messages)
        };
        assert_eq!(first.body, b"hello");
        assert_eq!(first.keys, ["42"]);
        assert_eq!(first.tag.as_deref(), Some("paid"));
        assert_eq!(first.properties["count"], "3");
        assert_eq!(second.body, br#"{"id":43,"items":[1,2]}"#);
        assert_eq!(second.keys, ["43", "b"]);
        assert_eq!(second.delay, Some(Duration::from_secs(10)));
        assert_eq!(third.queue, Some(0));
        assert_eq!(Seed::parse(b"# nothing\n---\n").unwrap(), Seed::default());
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, what) in [
            ("topics: []\nqueues: []\n", 2, "unknown field `queues`"),
            (
                "topics:\n  - a\n  - name: b\n    quues: 2\n",
                4,
                "unknown field `quues`",
            ),
            ("topics:\n  - a\n  - 'or ders'\n", 3, "or ders"),
            (
                "groups:\n  - g\n  - name: h\n    retryMax: many\n",
                4,
                "invalid type",
            ),
            (
                "messages:\n  - topic: t\n    body: x\n    key: 1\n",
                4,
                "unknown field `key`",
            ),
            ("messages:\n  - topic: t\n    delay: soon\n", 2, "soon"),
            (
                "messages:\n  - topic: t\n    properties: {KEYS: a}\n",
                2,
                "KEYS",
            ),
            ("messages:\n  - just text\n", 2, "a message"),
            ("topics: [\n", 2, ""),
        ] {
            let error = Seed::parse(text.as_bytes()).unwrap_err();
            assert!(error.message.contains(what), "{text}: {}", error.message);
            assert_eq!(error.line, line, "{text}: {}", error.message);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Seed::parse(&bytes);
        }
    }
}
