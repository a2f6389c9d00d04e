//! What a consumer wants of a topic: a tag expression, and the same test the broker makes, or an SQL92 expression.
//!
//! Of tags the broker compares hashes only, so a consumer has to look at them again; both use the rules of Apache's
//! `FilterAPI`. SQL92 is evaluated by the broker alone, if it is configured for it (`enablePropertyFilter`).

use std::collections::BTreeSet;

use crate::base::{NameError, TopicName};
use crate::filter::SqlFilter;
use crate::message::{Properties, java_string_hash};
use crate::protocol::body::heartbeat::{EXPRESSION_SQL92, EXPRESSION_TAG};

use super::error::ClientError;
use super::message::Received;

/// A topic and what is wanted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    topic: TopicName,
    expression: String,
    tags: BTreeSet<String>,
    is_sql: bool,
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

    /// Messages of `topic` whose properties fulfil an SQL92 expression, as in `"price > 10 AND region = 'eu'"`. Brokers
    /// evaluate it only if they are configured to (`enablePropertyFilter`); others refuse the consumer.
    pub fn sql(topic: &str, expression: &str) -> Result<Self, ClientError> {
        parse_sql(expression)?;
        Ok(Self {
            topic: TopicName::parse(topic)?,
            expression: expression.to_owned(),
            tags: BTreeSet::new(),
            is_sql: true,
        })
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
            is_sql: false,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Whether the expression is SQL92.
    pub fn is_sql(&self) -> bool {
        self.is_sql
    }

    /// The kind of the expression, in the words of the protocol.
    pub(crate) fn kind(&self) -> &'static str {
        if self.is_sql {
            EXPRESSION_SQL92
        } else {
            EXPRESSION_TAG
        }
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

/// An SQL92 expression over the properties of messages, as brokers evaluate it.
#[derive(Clone, Debug)]
pub struct Condition(SqlFilter);

impl Condition {
    /// Compiles an expression; the error says where it is wrong.
    pub fn parse(expression: &str) -> Result<Self, ClientError> {
        parse_sql(expression).map(Self)
    }

    /// Whether it is true of a message.
    pub fn holds(&self, message: &Received) -> bool {
        let properties = message.properties.to_wire();
        self.0.matches(Properties::new(&properties))
    }
}

/// Compiles an SQL92 expression; the error says where it is wrong.
pub(crate) fn parse_sql(expression: &str) -> Result<SqlFilter, ClientError> {
    SqlFilter::parse(expression).map_err(|error| ClientError::Usage(format!("SQL92: {error}")))
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

    #[test]
    fn sql_is_checked_before_it_is_sent() {
        let sql = Subscription::sql("T", "a > 3").unwrap();
        assert!(sql.is_sql() && sql.wants(None));
        assert_eq!(sql.kind(), "SQL92");
        let error = Subscription::sql("T", "a >").unwrap_err();
        assert!(error.to_string().contains("position"), "{error}");
    }

    /// `AaAa` and `BBBB` have the same hash: the broker lets both through.
    #[test]
    fn tags_with_equal_hashes_are_told_apart() {
        let some = Subscription::tagged("T", "AaAa").unwrap();
        assert!(!some.wants(Some("BBBB")));
    }
}
