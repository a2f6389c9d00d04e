//! The first line of a recording, and what a message's line says besides the message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::exit::CliError;

/// The version this program writes, and the newest one it reads.
pub(super) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    /// The version of the format.
    pub(super) rmq_recording: u32,
    /// The program that wrote it.
    #[serde(default)]
    pub(super) rmq: String,
    /// When, in milliseconds since 1970.
    #[serde(default)]
    pub(super) recorded_at_ms: i64,
    /// The same as text.
    #[serde(default)]
    pub(super) recorded_at: String,
    /// The topics and their queues (`broker/number`), in an order that a replay keeps.
    #[serde(default)]
    pub(super) topics: BTreeMap<String, Vec<String>>,
}

impl Header {
    /// Reads the first line.
    pub(super) fn read(line: &str) -> Result<Self, CliError> {
        let no_header = || {
            CliError::failed("line 1 is not the header of a recording").hint(
                "rmq record writes recordings; messages without a header go through rmq send --input jsonl",
            )
        };
        let value: Value = serde_json::from_str(line).map_err(|_| no_header())?;
        let version = value["rmqRecording"].as_u64().ok_or_else(no_header)?;
        if version > u64::from(VERSION) {
            return Err(CliError::failed(format!(
                "the recording has version {version}, this rmq reads up to {VERSION}"
            ))
            .hint("a newer rmq wrote it, and reads it"));
        }
        serde_json::from_value(value)
            .map_err(|error| CliError::failed(format!("line 1: the header is broken: {error}")))
    }
}

/// What a replay needs of a line besides the message in it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Place {
    /// The topic it was in.
    pub(super) topic: String,
    /// The broker it was on.
    pub(super) broker_name: String,
    /// The queue it was in.
    pub(super) queue_id: u32,
    /// When it was stored, in milliseconds since 1970.
    pub(super) store_timestamp: Option<i64>,
}

impl Place {
    /// Reads it out of a message's line.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let place: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if place.topic.is_empty() {
            return Err("no topic in it".to_owned());
        }
        Ok(place)
    }

    /// The queue as a header names it.
    pub(super) fn queue(&self) -> String {
        queue_name(&self.broker_name, self.queue_id)
    }
}

/// A queue as a header names it.
pub(super) fn queue_name(broker: &str, queue: u32) -> String {
    format!("{broker}/{queue}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_again_and_a_newer_one_refused() {
        let header = Header {
            rmq_recording: VERSION,
            rmq: "0".into(),
            recorded_at_ms: 5,
            recorded_at: "then".into(),
            topics: [("orders".to_owned(), vec!["a/0".to_owned()])].into(),
        };
        let line = serde_json::to_string(&header).unwrap();
        assert_eq!(Header::read(&line).unwrap(), header);
        let newer = Header::read(r#"{"rmqRecording":2,"odd":[]}"#).unwrap_err();
        assert!(newer.to_string().contains("version 2"), "{newer}");
        for bad in [r#"{"topic":"a"}"#, "", "5", r#"{"rmqRecording":"x"}"#] {
            assert!(Header::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_says_where_and_when() {
        let line =
            r#"{"topic":"t","brokerName":"b","queueId":3,"storeTimestamp":7,"bodyText":"x"}"#;
        let place = Place::read(line).unwrap();
        assert_eq!(
            (place.queue().as_str(), place.store_timestamp),
            ("b/3", Some(7))
        );
        assert!(Place::read("{}").is_err() && Place::read("{").is_err());
    }
}
