//! What consumers want of a topic: tags (`TagA || TagB`, `*`) asked per queue entry, or an SQL92 expression asked per
//! record. Both are parsed once.
//!
//! The broker filters tags by their hash alone, as the queue stores nothing else; a consumer compares the tag itself.
//! Two tags with one hash therefore both travel.
//!
//! Absent on purpose: Apache's Bloom filters over expressions, which need its extended queue (off by default there).

mod sql;
mod tags;

pub(crate) use sql::{SqlError, SqlFilter};
pub(crate) use tags::{TAG_TYPE, TagFilter, is_tag_type};

use self::tags::ExpressionError;
use crate::message::Properties;

/// The name of SQL92 expressions on the wire.
const SQL_TYPE: &str = "SQL92";

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// It names no tags.
    #[error(transparent)]
    Tags(#[from] ExpressionError),
    /// It is no SQL92, or there is none.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// Nobody knows this kind of expression.
    #[error("there are no expressions of type {0:?}")]
    Kind(String),
}

/// What a consumer wants of a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// Messages with one of these tags.
    Tags(TagFilter),
    /// Messages whose properties fulfil this.
    Sql(Box<SqlFilter>),
}

impl Filter {
    /// Compiles an expression of a kind that is absent, "TAG" or "SQL92".
    pub(crate) fn parse(kind: Option<&str>, expression: &str) -> Result<Self, FilterError> {
        match kind {
            Some(SQL_TYPE) => Ok(Self::Sql(Box::new(SqlFilter::parse(expression)?))),
            kind if is_tag_type(kind) => Ok(Self::Tags(TagFilter::parse(expression)?)),
            kind => Err(FilterError::Kind(kind.unwrap_or_default().to_owned())),
        }
    }

    /// Whether a queue entry with this tag hash may be wanted.
    pub(crate) fn takes_code(&self, tags_code: i64) -> bool {
        match self {
            Self::Tags(tags) => tags.matches(tags_code),
            Self::Sql(_) => true,
        }
    }

    /// Whether a message with these properties, whose queue entry was taken, is wanted.
    pub(crate) fn takes_properties(&self, properties: Properties<'_>) -> bool {
        match self {
            Self::Tags(_) => true,
            Self::Sql(sql) => sql.matches(properties),
        }
    }

    /// An upper bound of what asking for these properties costs, in comparisons of bytes or so.
    pub(crate) fn effort(&self, properties: Properties<'_>) -> u64 {
        match self {
            Self::Tags(_) => 0,
            Self::Sql(sql) => {
                (sql.bytes() as u64).saturating_mul(properties.as_bytes().len() as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_how_an_expression_is_read() {
        let tags = TagFilter::parse("a = 1").unwrap();
        for kind in [None, Some(""), Some("TAG")] {
            assert_eq!(Filter::parse(kind, "a = 1"), Ok(Filter::Tags(tags.clone())));
        }
        let sql = Filter::parse(Some("SQL92"), "a = 1").unwrap();
        assert!(sql.takes_code(7));
        assert!(sql.takes_properties(Properties::new(b"a\x011")));
        assert!(!sql.takes_properties(Properties::new(b"a\x012")));
        assert_eq!(sql.effort(Properties::new(b"a\x011")), 15);
        let error = Filter::parse(Some("SQL92"), "").unwrap_err();
        assert!(error.to_string().contains("position 0"));
        let error = Filter::parse(Some("sql92"), "a = 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are no expressions of type \"sql92\""
        );
    }
}
