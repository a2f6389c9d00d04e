//! Recall handles: what a producer needs to take a waiting message back (`RecallMessageHandle`).
//!
//! Base64, URL alphabet with padding, of `v1 <topic> <broker> <time> <unique key>`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// A handle taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecallHandle {
    pub(crate) topic: String,
    pub(crate) broker: String,
    /// A time within the slot the message waits in, as text: Apache keeps it as it came.
    pub(crate) time: String,
    pub(crate) unique: String,
}

impl RecallHandle {
    /// Appends the handle of a message that waits with `TIMER_OUT_MS` = `out_ms`.
    pub(crate) fn push(out: &mut String, topic: &str, broker: &str, out_ms: i64, unique: &str) {
        // One more, so that cutting down to the tick before gives the same slot again.
        let text = format!("v1 {topic} {broker} {} {unique}", out_ms.saturating_add(1));
        URL_SAFE.encode_string(text, out);
    }

    /// Reads a handle; `None` if it is none.
    pub(crate) fn parse(handle: &str) -> Option<Self> {
        // Java's decoder takes a handle without its padding as well.
        let padded = format!(
            "{:=<1$}",
            handle.trim_end_matches('='),
            handle.trim_end_matches('=').len().next_multiple_of(4)
        );
        let text = String::from_utf8(URL_SAFE.decode(padded).ok()?).ok()?;
        let mut parts = text.split(' ');
        if parts.next() != Some("v1") {
            return None;
        }
        let mut part = || parts.next().map(str::to_owned);
        let handle = Self {
            topic: part()?,
            broker: part()?,
            time: part()?,
            unique: part()?,
        };
        Some(handle).filter(|handle| !handle.unique.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn handles_are_apaches() {
        let mut text = String::new();
        RecallHandle::push(&mut text, "T", "broker-a", 1_795_314_297_000, "7F00");
        assert_eq!(text, "djEgVCBicm9rZXItYSAxNzk1MzE0Mjk3MDAxIDdGMDA=");
        let read = RecallHandle::parse(&text).unwrap();
        assert_eq!(
            read,
            RecallHandle::parse(text.trim_end_matches('=')).unwrap()
        );
        assert_eq!(
            (read.topic.as_str(), read.broker.as_str()),
            ("T", "broker-a")
        );
        assert_eq!(
            (read.time.as_str(), read.unique.as_str()),
            ("1795314297001", "7F00")
        );
        assert_eq!(RecallHandle::parse("djIgVCBi"), None);
        assert_eq!(RecallHandle::parse(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,80}", topic in "[a-zA-Z_%-]{1,20}", unique in "[A-F0-9]{1,32}", out_ms: i64) {
            let _ = RecallHandle::parse(&text);
            let mut handle = String::new();
            RecallHandle::push(&mut handle, &topic, "b", out_ms, &unique);
            let read = RecallHandle::parse(&handle).unwrap();
            prop_assert_eq!((read.topic, read.unique), (topic, unique));
        }
    }
}
