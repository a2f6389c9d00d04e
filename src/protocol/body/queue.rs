//! A message queue as clients name it, which may also be a map key.

use std::fmt;

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// One queue of a topic on one broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueue {
    /// The broker's name.
    pub broker_name: String,
    /// The queue's number, −1 for "any".
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Plain {
    broker_name: String,
    queue_id: i32,
    topic: String,
}

impl From<Plain> for MessageQueue {
    fn from(plain: Plain) -> Self {
        Self {
            broker_name: plain.broker_name,
            queue_id: plain.queue_id,
            topic: plain.topic,
        }
    }
}

/// An object, or text that holds one: what [`crate::protocol::fastjson::to_strict`] makes of an object key.
impl<'de> Deserialize<'de> for MessageQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Queue;

        impl<'de> Visitor<'de> for Queue {
            type Value = MessageQueue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message queue")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MessageQueue, A::Error> {
                Plain::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MessageQueue, E> {
                let plain: Result<Plain, _> = serde_json::from_str(text);
                plain.map(Into::into).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Queue)
    }
}
