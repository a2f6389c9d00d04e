//! One broker: its figures, settings, clock and clean-ups.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::body::lists::KVTable;
use crate::protocol::body::offset::{DelayOffsetSerializeWrapper, QueueOffsets};
use crate::protocol::codes::RequestCode;
use crate::protocol::header::NoHeader;
use crate::protocol::header::broker::{ClockRequestHeader, ClockResponseHeader};

use super::{Admin, body};
use crate::client::error::ClientError;
use crate::client::net::unreadable;

/// The clock a broker goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerClock {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Whether it stands still until somebody moves it.
    pub is_virtual: bool,
}

impl Admin {
    /// A broker's figures under Apache's names, such as `putTps`, `commitLogMaxOffset`, `bootTimestamp`.
    pub async fn broker_runtime(
        &self,
        broker: &str,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let code = RequestCode::GET_BROKER_RUNTIME_INFO;
        let table: KVTable = self.fetch(broker, code, &NoHeader).await?;
        Ok(table.table)
    }

    /// A broker's settings.
    pub async fn broker_config(
        &self,
        broker: &str,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let reply = self
            .ask(broker, RequestCode::GET_BROKER_CONFIG, &NoHeader)
            .await?;
        Ok(read_properties(&reply.body))
    }

    /// Changes settings of a running broker. Unknown ones are passed over by it: compare with
    /// [`Admin::broker_config`] afterwards. Gives back what it says about how long they hold, if it says anything.
    pub async fn set_broker_config(
        &self,
        broker: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<Option<String>, ClientError> {
        let code = RequestCode::UPDATE_BROKER_CONFIG;
        let reply = self
            .tell(broker, code, &NoHeader, write_properties(settings)?)
            .await?;
        Ok(reply.remark.filter(|remark| !remark.is_empty()))
    }

    /// How far each delay level has been delivered, as an offset in the level's queue of the schedule topic.
    pub async fn delay_offsets(&self, broker: &str) -> Result<QueueOffsets, ClientError> {
        let code = RequestCode::GET_ALL_DELAY_OFFSET;
        let reply = self.ask(broker, code, &NoHeader).await?;
        if reply.body.is_empty() {
            return Ok(QueueOffsets::new());
        }
        let offsets: DelayOffsetSerializeWrapper = body(broker, code, &reply)?;
        Ok(offsets.offset_table)
    }

    /// Removes consume-queue files whose messages are gone from the log.
    pub async fn clean_expired_queues(&self, broker: &str) -> Result<(), ClientError> {
        let code = RequestCode::CLEAN_EXPIRED_CONSUMEQUEUE;
        self.ask(broker, code, &NoHeader).await.map(drop)
    }

    /// Removes the consume queues of topics that do not exist any more.
    pub async fn clean_unused_topics(&self, broker: &str) -> Result<(), ClientError> {
        let code = RequestCode::CLEAN_UNUSED_TOPIC;
        self.ask(broker, code, &NoHeader).await.map(drop)
    }

    /// Deletes log files past their retention now.
    pub async fn delete_expired_log(&self, broker: &str) -> Result<(), ClientError> {
        let code = RequestCode::DELETE_EXPIRED_COMMITLOG;
        self.ask(broker, code, &NoHeader).await.map(drop)
    }

    /// What time it is for a broker. Moves the clock of an `rmq` broker with a virtual clock first, if `advance` says so;
    /// other brokers refuse.
    pub async fn clock(
        &self,
        broker: &str,
        advance: Option<Duration>,
    ) -> Result<BrokerClock, ClientError> {
        let header = ClockRequestHeader {
            advance_ms: advance.map(|by| i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        };
        let code = RequestCode::RMQ_CLOCK;
        let reply = self.ask(broker, code, &header).await?;
        let answer: ClockResponseHeader = reply
            .header()
            .map_err(|error| unreadable(broker, code, error))?;
        Ok(BrokerClock {
            now_ms: answer.now_ms,
            is_virtual: answer.is_virtual,
        })
    }
}

/// Reads the properties text servers send: `key=value` lines without escapes.
pub(super) fn read_properties(text: &[u8]) -> BTreeMap<String, String> {
    String::from_utf8_lossy(text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Writes the properties text servers read. What would become two settings there is refused.
pub(super) fn write_properties(settings: &BTreeMap<String, String>) -> Result<String, ClientError> {
    let mut text = String::new();
    for (key, value) in settings {
        let broken = |part: &str| part.contains(['\n', '\r']);
        if key.trim().is_empty() || key.contains(['=', ':', ' ']) || broken(key) || broken(value) {
            return Err(ClientError::Usage(format!(
                "{key}={value} is not a setting: a name has no blank, '=' or ':', a value no line break"
            )));
        }
        // Java's properties reader takes a backslash as an escape.
        let value = value.replace('\\', "\\\\");
        text.extend([key.as_str(), "=", &value, "\n"]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_go_both_ways() {
        let read = read_properties(b"# x\na=1\n b = c=d \n\nnothing\n");
        let expected = [("a", "1"), ("b", "c=d")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(read, BTreeMap::from(expected));
        assert_eq!(write_properties(&read).unwrap(), "a=1\nb=c=d\n");
    }

    #[test]
    fn a_line_break_smuggles_nothing() {
        for (key, value) in [("a", "1\nb=2"), ("a\nb", "1"), ("", "1"), ("a b", "1")] {
            let settings = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert!(write_properties(&settings).is_err(), "{key}={value}");
        }
    }
}
