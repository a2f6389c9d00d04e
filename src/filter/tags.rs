//! The rules of Apache's `FilterAPI` and `ExpressionMessageFilter` for tags.

use crate::message::hash::java_string_hash;

/// The name of tag expressions on the wire.
pub(crate) const TAG_TYPE: &str = "TAG";

const ALL: &str = "*";

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// The text consists of separators only (Java's split leaves no parts).
    #[error("subString split error")]
    NoTags,
}

/// Whether `kind` names tag expressions; an absent or empty kind does.
pub(crate) fn is_tag_type(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind.is_empty() || kind == TAG_TYPE)
}

/// Which tags a consumer wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TagFilter {
    all: bool,
    tags: Vec<String>,
    /// Hashes of the tags, sorted.
    codes: Vec<i32>,
}

impl TagFilter {
    /// A filter that takes everything.
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Parses `a || b`; nothing and `*` take everything.
    pub(crate) fn parse(expression: &str) -> Result<Self, ExpressionError> {
        if expression.is_empty() || expression == ALL {
            return Ok(Self::all());
        }
        // Java's split drops empty parts at the end, so a text of separators alone has no part at all.
        if expression.split("||").all(str::is_empty) {
            return Err(ExpressionError::NoTags);
        }
        let mut filter = Self::default();
        for tag in expression.split("||").map(str::trim) {
            if !tag.is_empty() && !filter.tags.iter().any(|known| known == tag) {
                filter.tags.push(tag.to_owned());
            }
        }
        filter.set_codes(
            filter
                .tags
                .iter()
                .map(|tag| java_string_hash(tag))
                .collect(),
        );
        Ok(filter)
    }

    /// Takes the sets a client computed itself and sent in its heartbeat.
    pub(crate) fn from_client(expression: &str, tags: Vec<String>, codes: Vec<i32>) -> Self {
        let mut filter = Self {
            all: expression == ALL,
            tags,
            codes: Vec::new(),
        };
        filter.set_codes(codes);
        filter
    }

    fn set_codes(&mut self, mut codes: Vec<i32>) {
        codes.sort_unstable();
        codes.dedup();
        self.codes = codes;
    }

    /// Whether a queue entry with this tag hash may be wanted.
    pub(crate) fn matches(&self, tags_code: i64) -> bool {
        // The queue stores the hash as 64 bits; Java compares its low 32.
        #[allow(clippy::cast_possible_truncation, reason = "as Java's Long.intValue")]
        let code = tags_code as i32;
        self.all || self.codes.binary_search(&code).is_ok()
    }

    /// The tags, in the order they were written.
    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Their hashes.
    pub(crate) fn codes(&self) -> &[i32] {
        &self.codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_apache_does() {
        assert_eq!(TagFilter::parse(""), Ok(TagFilter::all()));
        assert_eq!(TagFilter::parse("*"), Ok(TagFilter::all()));
        let two = TagFilter::parse(" a ||b|| ||a").unwrap();
        assert_eq!(two.tags(), ["a", "b"]);
        assert_eq!(two.codes(), [97, 98]);
        assert_eq!(TagFilter::parse("||||"), Err(ExpressionError::NoTags));
    }

    #[test]
    fn matching_uses_the_hash_only() {
        let filter = TagFilter::parse("AaAa").unwrap();
        assert!(filter.matches(i64::from(java_string_hash("BBBB"))));
        assert!(!filter.matches(0));
        assert!(TagFilter::all().matches(0));
        let extreme = TagFilter::parse("polygenelubricants").unwrap();
        assert!(extreme.matches(i64::from(i32::MIN)));
    }

    #[test]
    fn the_type_may_be_left_out() {
        assert!(is_tag_type(None));
        assert!(is_tag_type(Some("")));
        assert!(is_tag_type(Some("TAG")));
        assert!(!is_tag_type(Some("SQL92")));
    }
}
