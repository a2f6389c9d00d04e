//! From what somebody typed or pasted to the entries that explain it.

use super::codes::CODES;
use super::entry::{Entry, Kind};
use super::outcomes::{EXITS, STATUSES};
use super::texts::TEXTS;
use crate::cli::doctor::catalogue::FINDINGS;

/// Of a long log, no more than this many different things are explained.
const MOST: usize = 6;

/// Everything that can be explained.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    CODES
        .iter()
        .chain(STATUSES)
        .chain(EXITS)
        .chain(TEXTS)
        .chain(FINDINGS.iter().map(|finding| &finding.entry))
}

/// What is meant; empty if nothing is recognised.
pub(super) fn find(text: &str) -> Vec<Entry> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    if let Ok(number) = text.parse::<i32>() {
        return all()
            .filter(|entry| entry.number == Some(number))
            .copied()
            .collect();
    }
    let named = by_name(text);
    if named.is_empty() {
        in_text(text)
    } else {
        named
    }
}

/// Names are compared without case, and `-`, `_` and blanks are one.
fn by_name(text: &str) -> Vec<Entry> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], " ");
    let wanted = plain(text);
    all()
        .filter(|entry| plain(entry.name) == wanted)
        .copied()
        .collect()
}

/// Errors in a text, in the order of where they stand: by their marks, and by `CODE: 17` as the clients print it.
fn in_text(text: &str) -> Vec<Entry> {
    let text = text.to_lowercase();
    let mut found: Vec<(usize, Entry)> = all()
        .filter(|entry| entry.kind != Kind::Exit)
        .filter_map(|entry| {
            let marks = entry.marks.iter().copied();
            let at = marks.filter_map(|mark| text.find(mark)).min();
            let own = if entry.name.contains('_') || entry.kind == Kind::Finding {
                whole_word(&text, &entry.name.to_lowercase())
            } else {
                None
            };
            Some((at.into_iter().chain(own).min()?, *entry))
        })
        .collect();
    for (at, number) in codes_in(&text) {
        let known = CODES.iter().find(|entry| entry.number == Some(number));
        let there = |entry: &Entry| found.iter().any(|(_, other)| other.name == entry.name);
        if let Some(entry) = known.filter(|entry| !there(entry)) {
            found.push((at, *entry));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let mut names = Vec::new();
    found.retain(|(_, entry)| {
        let is_new = !names.contains(&entry.name);
        names.push(entry.name);
        is_new
    });
    found
        .into_iter()
        .take(MOST)
        .map(|(_, entry)| entry)
        .collect()
}

fn whole_word(text: &str, word: &str) -> Option<usize> {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let (before, rest) = text.split_at(*at);
        let after = rest.get(word.len()..).unwrap_or_default();
        !inside(before.chars().next_back()) && !inside(after.chars().next())
    })
}

/// `CODE: 17`, `code=17`, `code 17`, `response code: 17`, `[17]` is too little to go by.
fn codes_in(text: &str) -> Vec<(usize, i32)> {
    text.match_indices("code")
        .filter_map(|(at, word)| {
            let rest = text.get(at + word.len()..)?;
            let rest = rest.trim_start_matches([':', '=', ' ', '[', '(']);
            let digits: String = rest
                .chars()
                .take_while(char::is_ascii_digit)
                .take(6)
                .collect();
            let number = digits.parse().ok().filter(|number| *number != 0)?;
            Some((at, number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        find(text).iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn numbers_and_names() {
        assert_eq!(names("14"), ["SERVICE_NOT_AVAILABLE"]);
        assert_eq!(names("1"), ["SYSTEM_ERROR", "failed"]);
        assert_eq!(names("7"), ["check failed"]);
        assert_eq!(names("topic-not-exist"), ["TOPIC_NOT_EXIST"]);
        assert_eq!(names("send_ok"), ["SEND_OK"]);
        assert_eq!(
            names("FLUSH_DISK_TIMEOUT").len(),
            2,
            "a code and a status have this name"
        );
        assert_eq!(names("rmq-d001").len(), 1);
        assert!(names("99999").is_empty());
        assert!(names("the weather").is_empty());
        assert!(names("  \n").is_empty());
    }

    /// What the Java and Go clients print, shortened.
    #[test]
    fn pasted_errors() {
        let cases: [(&str, &str); 14] = [
            (
                "org.apache.rocketmq.client.exception.MQClientException: No route info of this topic: orders\nSee https://…\n\tat org.apache…",
                "No route info of this topic",
            ),
            (
                "RemotingTooMuchRequestException: sendDefaultImpl call timeout",
                "RemotingTooMuchRequestException",
            ),
            (
                "MQBrokerException: CODE: 14  DESC: service not available now. It may be caused by one of the following reasons: the broker's disk is full",
                "SERVICE_NOT_AVAILABLE",
            ),
            (
                "CODE: 16  DESC: the broker[10.0.0.1] sending message is forbidden",
                "NO_PERMISSION",
            ),
            (
                "MQClientException: CODE: 17  DESC: No topic route info in name server for the topic: x",
                "TOPIC_NOT_EXIST",
            ),
            (
                "the consumer's subscription not latest, group: g",
                "SUBSCRIPTION_NOT_LATEST",
            ),
            (
                "CODE: 2  DESC: [TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 206ms, size of queue: 38",
                "SYSTEM_BUSY",
            ),
            ("PULL_OFFSET_MOVED", "PULL_OFFSET_MOVED"),
            (
                "level=error msg=\"connect to broker\" error=\"dial tcp 172.17.0.3:10911: connect: connection refused\"",
                "Cannot connect to the advertised address",
            ),
            (
                "The producer service state not OK, CREATE_JUST",
                "Producer or consumer not started",
            ),
            (
                "SendResult [sendStatus=FLUSH_SLAVE_TIMEOUT, msgId=7F…",
                "FLUSH_SLAVE_TIMEOUT",
            ),
            (
                "CODE: 13  DESC: the message is illegal, maybe msg body or properties length not matched",
                "MESSAGE_ILLEGAL",
            ),
            (
                "response code: 26 subscription group does not exist",
                "SUBSCRIPTION_GROUP_NOT_EXIST",
            ),
            (
                "RemotingTimeoutException: wait response on the channel </10.0.0.1:10911> timeout, 3000(ms)",
                "RemotingTimeoutException",
            ),
        ];
        for (text, name) in cases {
            let found = names(text);
            assert!(found.contains(&name), "{text}\n{found:?}");
            assert!(found.len() <= 3, "{text}\n{found:?}");
        }
    }

    #[test]
    fn a_log_is_explained_in_its_order() {
        let log = "ok\nCODE: 17 nothing\n…\nconnect to <10.0.0.1:10911> failed\nCODE: 17 again";
        assert_eq!(
            names(log),
            [
                "TOPIC_NOT_EXIST",
                "Cannot connect to the advertised address"
            ]
        );
    }

    #[test]
    fn names_are_unique_within_their_kind_and_marks_in_lower_case() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in all() {
            assert!(
                seen.insert((entry.kind.as_str(), entry.name)),
                "{}",
                entry.name
            );
            assert!(
                entry.marks.iter().all(|mark| *mark == mark.to_lowercase()),
                "{}",
                entry.name
            );
            assert!(entry.means.ends_with(['.', ')']), "{}", entry.name);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            find(&text);
        }
    }
}
