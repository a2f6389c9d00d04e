//! Headers that ask where things are in a queue: search by time, smallest and largest offset.

use super::{Value, headers};

/// Which of several messages stored in the same millisecond a search means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoundaryType {
    /// The first message at or after the time.
    #[default]
    Lower,
    /// The last message at or before the time.
    Upper,
}

impl<'f> Value<'f> for BoundaryType {
    /// Anything but "upper" is lower, as in Apache.
    fn read(text: &'f str) -> Option<Self> {
        let upper = text.eq_ignore_ascii_case("upper");
        Some(if upper { Self::Upper } else { Self::Lower })
    }

    fn show(&self, put: impl FnOnce(&str)) {
        put(match self {
            Self::Lower => "LOWER",
            Self::Upper => "UPPER",
        });
    }
}

headers! {
    /// `SEARCH_OFFSET_BY_TIMESTAMP` (29).
    SearchOffsetRequestHeader<'f> {
        topic: &'f str = "topic", required;
        lite_topic: &'f str = "liteTopic", optional;
        queue_id: i32 = "queueId", required;
        timestamp: i64 = "timestamp", required;
        boundary_type: BoundaryType = "boundaryType", optional;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 29.
    SearchOffsetResponseHeader {
        offset: i64 = "offset", required;
    }

    /// `GET_MAX_OFFSET` (30). `committed` asks for what consumers can see already.
    GetMaxOffsetRequestHeader<'f> {
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        committed: bool = "committed", default true;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 30.
    GetMaxOffsetResponseHeader {
        offset: i64 = "offset", required;
    }

    /// `GET_MIN_OFFSET` (31).
    GetMinOffsetRequestHeader<'f> {
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 31.
    GetMinOffsetResponseHeader {
        offset: i64 = "offset", required;
    }

    /// `GET_EARLIEST_MSG_STORETIME` (32).
    GetEarliestMsgStoretimeRequestHeader<'f> {
        topic: &'f str = "topic", required;
        queue_id: i32 = "queueId", required;
        broker_name: &'f str = "bname", optional;
    }

    /// The answer of 32.
    GetEarliestMsgStoretimeResponseHeader {
        timestamp: i64 = "timestamp", required;
    }
}
