//! The texts clients get with popped messages: receipt handles and the lists of offsets.

use std::fmt::Write as _;

use crate::base::ids::RETRY_PREFIX;

/// The revive queue that stands for consumption in order: no check point, but an entry in `consumerOrderInfo.json`.
pub(crate) const ORDER_REVIVE_QUEUE: i32 = 999;

/// What stands for the kind of a topic: 0 its own, 1 and 2 its retry topics.
pub(crate) fn topic_flag(topic: &str) -> u8 {
    match topic.strip_prefix(RETRY_PREFIX) {
        None => 0,
        Some(rest) if rest.contains('+') => 2,
        Some(_) => 1,
    }
}

/// The retry topic POP uses for a topic and group: `_` joins the two in the first version, `+` in the second.
pub(crate) fn retry_topic(topic: &str, group: &str, second: bool) -> String {
    let join = if second { '+' } else { '_' };
    format!("{RETRY_PREFIX}{group}{join}{topic}")
}

/// The topic behind a retry topic of `group`; any other topic is itself.
pub(crate) fn normal_topic<'t>(topic: &'t str, group: &str) -> &'t str {
    topic
        .strip_prefix(RETRY_PREFIX)
        .and_then(|rest| rest.strip_prefix(group))
        .and_then(|rest| rest.strip_prefix(['+', '_']))
        .unwrap_or(topic)
}

/// Why a receipt handle makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receipt handle is malformed: {0} is missing or no number")]
pub(crate) struct HandleError(&'static str);

/// A receipt handle (`POP_CK`, `extraInfo`), as far as the broker needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle<'a> {
    pub(crate) start_offset: i64,
    pub(crate) pop_time: i64,
    pub(crate) invisible_time: i64,
    pub(crate) revive_queue: i32,
    pub(crate) broker_name: &'a str,
}

impl<'a> Handle<'a> {
    /// Reads a handle; parts behind the broker's name are not looked at.
    pub(crate) fn parse(text: &'a str) -> Result<Self, HandleError> {
        let mut parts = text.split(' ');
        let mut number = |what| {
            let part = parts.next().and_then(|part| part.parse::<i64>().ok());
            part.ok_or(HandleError(what))
        };
        let start_offset = number("the check point's offset")?;
        let pop_time = number("the pop time")?;
        let invisible_time = number("the invisible time")?;
        let revive_queue = i32::try_from(number("the revive queue")?)
            .map_err(|_| HandleError("the revive queue"))?;
        parts.next().ok_or(HandleError("the kind of topic"))?;
        let broker_name = parts.next().ok_or(HandleError("the broker's name"))?;
        Ok(Self {
            start_offset,
            pop_time,
            invisible_time,
            revive_queue,
            broker_name,
        })
    }

    pub(crate) fn is_order(&self) -> bool {
        self.revive_queue == ORDER_REVIVE_QUEUE
    }

    /// The whole handle of one message of `topic`.
    pub(crate) fn text(&self, topic: &str, queue_id: i32, offset: i64) -> String {
        format!(
            "{} {} {} {} {} {} {queue_id} {offset}",
            self.start_offset,
            self.pop_time,
            self.invisible_time,
            self.revive_queue,
            topic_flag(topic),
            self.broker_name
        )
    }
}

/// The three lists of a pop's answer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct OffsetLists {
    pub(crate) starts: String,
    pub(crate) messages: String,
    pub(crate) order_counts: String,
}

/// A place in a list, with what separates it from the one before.
fn next(list: &mut String) -> &mut String {
    if !list.is_empty() {
        list.push(';');
    }
    list
}

impl OffsetLists {
    /// Adds the messages of one queue.
    pub(crate) fn add(&mut self, topic: &str, queue_id: i32, start: i64, offsets: &[i64]) {
        let flag = topic_flag(topic);
        // Writing to a String cannot fail.
        let _ = write!(next(&mut self.starts), "{flag} {queue_id} {start}");
        let _ = write!(next(&mut self.messages), "{flag} {queue_id} ");
        for (index, offset) in offsets.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(self.messages, "{comma}{offset}");
        }
    }

    /// Adds how often a message was consumed before.
    pub(crate) fn add_count(&mut self, topic: &str, queue_id: i32, offset: i64, count: i32) {
        let flag = topic_flag(topic);
        let _ = write!(
            next(&mut self.order_counts),
            "{flag} qo{queue_id}%{offset} {count}"
        );
    }

    /// Adds how often all messages of the queue were consumed before, for old clients.
    pub(crate) fn add_queue_count(&mut self, topic: &str, queue_id: i32, count: i32) {
        let flag = topic_flag(topic);
        let _ = write!(next(&mut self.order_counts), "{flag} {queue_id} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_both_ways() {
        let text = "3 1795313323331 10000 0 0 broker-a 0 4";
        let handle = Handle::parse(text).unwrap();
        assert_eq!((handle.start_offset, handle.invisible_time), (3, 10_000));
        assert!(!handle.is_order());
        assert_eq!(handle.text("GoldPop", 0, 4), text);
        for (bad, what) in [
            ("", "the check point's offset"),
            ("1", "the pop time"),
            ("1 x 3 4 0 b", "the pop time"),
            ("1 2 3", "the revive queue"),
            ("1 2 3 4294967296 0 b", "the revive queue"),
            ("1 2 3 4", "the kind of topic"),
            ("1 2 3 4 0", "the broker's name"),
            ("99999999999999999999 2 3 4 0 b", "the check point's offset"),
        ] {
            assert_eq!(Handle::parse(bad), Err(HandleError(what)), "{bad:?}");
        }
    }

    #[test]
    fn retry_topics_know_their_topic() {
        assert_eq!(retry_topic("T_a", "g", false), "%RETRY%g_T_a");
        assert_eq!(retry_topic("T", "g", true), "%RETRY%g+T");
        assert_eq!(normal_topic("%RETRY%g_T_a", "g"), "T_a");
        assert_eq!(normal_topic("%RETRY%g+T", "g"), "T");
        assert_eq!(normal_topic("T", "g"), "T");
        assert_eq!(normal_topic("%RETRY%gT", "h"), "%RETRY%gT");
        assert_eq!(
            [
                topic_flag("T"),
                topic_flag("%RETRY%g_T"),
                topic_flag("%RETRY%g+T")
            ],
            [0, 1, 2]
        );
    }

    #[test]
    fn lists_have_the_recorded_form() {
        let mut lists = OffsetLists::default();
        lists.add("T", 0, 0, &[0, 1, 2]);
        lists.add("T", 1, 0, &[0]);
        lists.add("%RETRY%g_T", 0, 4, &[4]);
        lists.add_count("T", 0, 7, 2);
        lists.add_queue_count("T", 0, 0);
        assert_eq!(lists.starts, "0 0 0;0 1 0;1 0 4");
        assert_eq!(lists.messages, "0 0 0,1,2;0 1 0;1 0 4");
        assert_eq!(lists.order_counts, "0 qo0%7 2;0 0 0");
    }
}
