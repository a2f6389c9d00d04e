//! What a consumer wants of a topic: a tag expression, and the same test the broker makes.
//!
//! The broker compares hashes only, so a consumer has to look at the tags again; both use the rules of Apache's
//! `FilterAPI`. Absent on purpose: SQL92, which brokers refuse unless configured for it.

use std::collections::BTreeSet;

use crate::base::{NameError, TopicName};
use crate::message::java_string_hash;

/// A topic and the tags wanted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    topic: TopicName,
    expression: String,
    tags: BTreeSet<String>,
}

impl Subscription {
    /// Everything in `topic`.
    pub fn all(topic: &str) -> Result<Self, NameError> {
        Self::tagged(topic, "*")
    }

    /// Messages of `topic` whose tag is one of those in `expression`, as in `"paid || sent"`. `"*"` and an empty
    /// expression mean every message, with or without a tag.
    pub fn tagged(topic: &str, expression: &str) -> Result<Self, NameError> {
        Ok(Self::of(TopicName::parse(topic)?, expression))
    }

    pub(crate) fn of(topic: TopicName, expression: &str) -> Self {
        let expression = expression.trim();
        let tags: BTreeSet<String> = if expression == "*" {
            BTreeSet::new()
        } else {
            expression
                .split("||")
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let expression = if tags.is_empty() { "*" } else { expression };
        Self {
            topic,
            expression: expression.to_owned(),
            tags,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The expression as sent to brokers; `"*"` for everything.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The tags of the expression; empty for everything.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(String::as_str)
    }

    /// The hashes brokers filter by.
    pub(crate) fn codes(&self) -> impl Iterator<Item = i32> {
        self.tags.iter().map(|tag| java_string_hash(tag))
    }

    /// Whether a message with this `TAGS` value is wanted.
    pub fn wants(&self, tag: Option<&str>) -> bool {
        self.tags.is_empty() || tag.is_some_and(|tag| self.tags.contains(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_apache_reads_them() {
        let all = Subscription::all("T").unwrap();
        assert_eq!(all.expression(), "*");
        assert!(all.wants(None) && all.wants(Some("x")));
        assert_eq!(Subscription::tagged("T", "").unwrap().expression(), "*");

        let some = Subscription::tagged("T", "a || b||").unwrap();
        assert_eq!(some.expression(), "a || b||");
        assert_eq!(some.tags().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(some.codes().collect::<Vec<_>>(), [97, 98]);
        assert!(some.wants(Some("b")) && !some.wants(Some("c")) && !some.wants(None));
    }

    /// `AaAa` and `BBBB` have the same hash: the broker lets both through.
    #[test]
    fn tags_with_equal_hashes_are_told_apart() {
        let some = Subscription::tagged("T", "AaAa").unwrap();
        assert!(!some.wants(Some("BBBB")));
    }
}
