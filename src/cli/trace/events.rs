//! What happened to a message: from records and offsets to events. Pure.

use serde_json::{Value, json};

use crate::cli::doctor::judge::{grouped, span};
use crate::cli::times::show_time;
use crate::client::Received;
use crate::message::{names, sysflag};

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// When, in milliseconds since 1970; `None` for what is known without a time.
    pub(super) at_ms: Option<i64>,
    /// What it comes before at any rate, if clocks say otherwise.
    before_ms: Option<i64>,
    /// In one or two words.
    pub(super) what: &'static str,
    pub(super) topic: Option<String>,
    pub(super) broker: Option<String>,
    pub(super) queue: Option<u32>,
    pub(super) offset: Option<i64>,
    pub(super) group: Option<String>,
    pub(super) client: Option<String>,
    pub(super) unique_id: Option<String>,
    pub(super) offset_id: Option<String>,
    /// The sentence.
    pub(super) text: String,
}

impl Event {
    pub(super) fn new(event: &'static str, at_ms: Option<i64>, text: impl Into<String>) -> Self {
        Self {
            at_ms: at_ms.filter(|ms| *ms > 0),
            what: event,
            text: text.into(),
            ..Self::default()
        }
    }

    /// Where a record lies.
    pub(super) fn at(mut self, record: &Received) -> Self {
        self.topic = Some(record.queue.topic.to_string());
        self.broker = Some(record.queue.broker.to_string());
        self.queue = Some(record.queue.queue.get());
        self.offset = Some(record.queue_offset);
        self.unique_id = Some(record.message_id());
        self.offset_id = Some(record.offset_message_id());
        self
    }

    pub(super) fn of_group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    pub(super) fn by(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into()).filter(|client| !client.is_empty());
        self
    }

    /// As JSON.
    pub(super) fn row(&self, utc: bool) -> Value {
        json!({
            "time": self.at_ms.map(|ms| show_time(ms, utc)),
            "time_ms": self.at_ms,
            "event": self.what,
            "topic": self.topic,
            "brokerName": self.broker,
            "queueId": self.queue,
            "queueOffset": self.offset,
            "group": self.group,
            "client": self.client,
            "uniqKey": self.unique_id,
            "msgId": self.offset_id,
            "text": self.text,
        })
    }
}

/// `broker-a orders/2 @17`.
pub(super) fn place(record: &Received) -> String {
    format!(
        "{} {}/{} @{}",
        record.queue.broker,
        record.queue.topic,
        record.queue.queue.get(),
        record.queue_offset
    )
}

/// Where and when a message was made.
pub(super) fn born(record: &Received) -> Event {
    let mut text = format!("at {}", record.born_host);
    if let Some(group) = record.properties.get(names::PGROUP) {
        text = format!("{text}, producer group {group}");
    }
    let mut event = Event::new("born", Some(record.born_timestamp), text)
        .at(record)
        .by(record.born_host.to_string());
    // Two clocks may differ; nothing is stored before it is made.
    event.before_ms = Some(record.store_timestamp);
    event
}

/// The record of a message as consumers see it: born, stored, indexed.
pub(super) fn stored(record: &Received) -> Vec<Event> {
    let mut events = vec![born(record)];
    let crc = match sysflag::compression(record.sys_flag) {
        Some(_) => "stored packed",
        None => "whole",
    };
    let copied = if sysflag::transaction(record.sys_flag) == sysflag::TRANSACTION_COMMIT {
        "committed"
    } else {
        "stored"
    };
    events.push(
        Event::new(
            copied,
            Some(record.store_timestamp),
            format!(
                "{}, log {}, {} bytes, {crc}",
                place(record),
                grouped(record.physical_offset),
                grouped(i64::from(record.store_size))
            ),
        )
        .at(record),
    );
    let keys = record.keys().map(|keys| format!("keys {keys}"));
    let tags = record.tag().map(|tag| format!("tag {tag}"));
    let about: Vec<String> = tags.into_iter().chain(keys).collect();
    if !about.is_empty() {
        events
            .push(Event::new("indexed", Some(record.store_timestamp), about.join(", ")).at(record));
    }
    events
}

/// A record in a delay topic: it waits, or waited, for its time.
pub(super) fn delayed(record: &Received, delivered: bool, now_ms: i64) -> Event {
    let property = |name: &str| record.properties.get(name);
    let due_ms: Option<i64> = [names::TIMER_OUT_MS, names::TIMER_DELIVER_MS]
        .into_iter()
        .find_map(|name| property(name)?.parse().ok());
    let to = property(names::REAL_TOPIC).unwrap_or("its topic");
    let until = match (due_ms, property(names::DELAY)) {
        (Some(due), _) if due > now_ms && !delivered => {
            format!("for another {}", span(due - now_ms))
        }
        (Some(due), _) => format!("for {}", span((due - record.store_timestamp).max(0))),
        (None, Some(level)) => format!("on delay level {level}"),
        (None, None) => "for its time".to_owned(),
    };
    let verb = if delivered { "waited" } else { "waits" };
    Event::new(
        "delayed",
        Some(record.store_timestamp),
        format!("{verb} {until}, then to {to}"),
    )
    .at(record)
}

/// A half message, and what became of it.
pub(super) fn half(record: &Received, fate: Fate) -> Vec<Event> {
    let property = |name: &str| record.properties.get(name);
    let group = property(names::PGROUP).unwrap_or_default();
    let mut events = vec![
        Event::new(
            "half",
            Some(record.store_timestamp),
            format!("{}: not visible yet, producer group {group}", place(record)),
        )
        .at(record)
        .of_group(group),
    ];
    let asked: i64 = property(names::TRANSACTION_CHECK_TIMES)
        .and_then(|times| times.parse().ok())
        .unwrap_or_default();
    if asked > 0 {
        let times = if asked == 1 {
            "once".to_owned()
        } else {
            format!("{asked} times")
        };
        events.push(
            Event::new(
                "asked back",
                None,
                format!("its producer was asked {times}"),
            )
            .at(record),
        );
    }
    match fate {
        // The committed copy speaks for itself.
        Fate::Committed => {}
        Fate::RolledBack => events.push(
            Event::new(
                "rolled back",
                None,
                "the transaction has ended and no copy was made for consumers",
            )
            .at(record),
        ),
        Fate::Open => events.push(
            Event::new(
                "undecided",
                None,
                "neither committed nor rolled back so far",
            )
            .at(record),
        ),
        Fate::GivenUp => events.push(
            Event::new(
                "given up",
                None,
                "in TRANS_CHECK_MAX_TIME_TOPIC: its producer never said",
            )
            .at(record),
        ),
    }
    events
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    RolledBack,
    Open,
    GivenUp,
}

/// A copy in a group's retry topic.
pub(super) fn retried(record: &Received, group: &str) -> Event {
    Event::new(
        "retry",
        Some(record.store_timestamp),
        format!(
            "attempt {} for {group}: {}",
            record.reconsume_times + 1,
            place(record)
        ),
    )
    .at(record)
    .of_group(group)
}

/// A copy in a group's dead-letter topic.
pub(super) fn dead(record: &Received, group: &str) -> Event {
    Event::new(
        "dead",
        Some(record.store_timestamp),
        format!(
            "{group} gave up: {}          rmq dlq replay {group} --id {}",
            place(record),
            record.message_id()
        ),
    )
    .at(record)
    .of_group(group)
}

/// What a group's offset says about a record.
pub(super) fn audit(record: &Received, group: &str, committed: Option<i64>) -> Event {
    let (event, text) = match committed {
        Some(committed) if committed > record.queue_offset => (
            "consumed",
            format!(
                "by {group}: its offset is {committed}, past {}",
                record.queue_offset
            ),
        ),
        Some(committed) => {
            let before = record.queue_offset - committed;
            let text = if before == 0 {
                format!("{group} consumes it next")
            } else {
                format!("{} before it in {group}'s queue", grouped(before))
            };
            ("waits", text)
        }
        None => ("waits", format!("{group} has no offset in this queue")),
    };
    Event::new(event, None, text).at(record).of_group(group)
}

/// Events in the order of their time; those without one at the end, in the order found.
pub(super) fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    let others = events.iter().filter(|event| event.before_ms.is_none());
    let earliest = others.filter_map(|event| event.at_ms).min();
    let mut first = true;
    for event in events.iter_mut().filter(|event| event.before_ms.is_some()) {
        // One that was sent again may well be born after the first was stored.
        if first && let Some(earliest) = earliest {
            event.before_ms = event.before_ms.map(|before| before.min(earliest));
        }
        first = false;
    }
    events.sort_by_key(|event| {
        let at = event.at_ms.unwrap_or(i64::MAX);
        match event.before_ms {
            Some(before) => (at.min(before), 0),
            None => (at, 1),
        }
    });
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_time_comes_last() {
        let events = vec![
            Event::new("c", None, ""),
            Event::new("b", Some(2), ""),
            Event::new("a", Some(1), ""),
            Event::new("d", Some(0), ""),
        ];
        let order: Vec<_> = in_order(events).iter().map(|event| event.what).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn rows_have_the_time_twice() {
        let row = Event::new("born", Some(1001), "x").row(true);
        assert_eq!(row["time"], "1970-01-01T00:00:01.001Z");
        assert_eq!(row["time_ms"], 1001);
        assert_eq!(row["topic"], Value::Null);
    }
}
