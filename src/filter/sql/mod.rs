//! SQL92 expressions over message properties: parsed once, evaluated for each message without allocating.
//!
//! The language and its oddities are those of Apache's `SelectorParser` and expression classes; the table under `tests/`
//! was answered by them. What follows a complete expression is ignored, as there. Results are three-valued: a message
//! matches only if the result is true, not if it is unknown or a comparison fails ([`Incomparable`]).
//!
//! An expression is limited in bytes and in depth, so that parsing, memory and the stack are bounded; Apache has no
//! such limits and fails at some depth of its own.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod lexer;
mod node;
mod parser;
#[cfg(test)]
mod tests;
mod value;

use std::cmp::Ordering;

use smallvec::SmallVec;

use self::node::Node;
use self::value::Incomparable;
use crate::message::Properties;

/// The longest expression in bytes.
const EXPRESSION_BYTES_MAX: usize = 64 * 1024;
/// How deep parentheses, signs, NOTs and chains of one operator may nest. AND and OR chains do not count.
const DEPTH_MAX: usize = 100;

/// Why an expression is refused. Places are bytes from the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SqlError {
    /// Too long.
    #[error("the expression has {bytes} bytes, the limit is {EXPRESSION_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Too deep.
    #[error("the expression nests deeper than {DEPTH_MAX} levels at position {at}")]
    TooDeep {
        /// Where the limit is passed.
        at: usize,
    },
    /// No token begins so.
    #[error("unexpected character at position {at}")]
    Character {
        /// Where it is.
        at: usize,
    },
    /// A text without end.
    #[error("the quote at position {at} is never closed")]
    Quote {
        /// Where it opens.
        at: usize,
    },
    /// Another token was needed.
    #[error("expected {wanted} at position {at}")]
    Expected {
        /// What was needed.
        wanted: &'static str,
        /// Where.
        at: usize,
    },
    /// A number out of range. Apache takes 0.0 for too small.
    #[error("the number at position {at} is out of range")]
    Number {
        /// Where it is.
        at: usize,
    },
    /// A value where a condition is needed.
    #[error("what ends at position {at} is not a condition")]
    NotCondition {
        /// Where it ends.
        at: usize,
    },
    /// An operand this operator does not take.
    #[error("the {operator} at position {at} cannot take {operand}")]
    Operand {
        /// The operator.
        operator: &'static str,
        /// What it cannot take.
        operand: &'static str,
        /// Where the operator is.
        at: usize,
    },
    /// BETWEEN with its limits the wrong way round.
    #[error("the lower limit of the BETWEEN at position {at} is greater than the upper one")]
    Range {
        /// Where it is.
        at: usize,
    },
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SqlFilter {
    root: Node,
    /// How long the expression is.
    bytes: usize,
    /// The properties it asks for with their slots, the short names first: comparing lengths settles most lookups.
    names: Vec<(Box<str>, usize)>,
}

impl SqlFilter {
    /// Parses and checks an expression.
    pub(crate) fn parse(expression: &str) -> Result<Self, SqlError> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(SqlError::TooLong {
                bytes: expression.len(),
            });
        }
        let (root, names) = parser::parse(expression)?;
        let names = names.into_iter().map(|(name, slot)| (name.into(), slot));
        let mut names: Vec<(Box<str>, usize)> = names.collect();
        names.sort_unstable_by(|(a, _), (b, _)| by_length(a.as_bytes(), b.as_bytes()));
        Ok(Self {
            root,
            bytes: expression.len(),
            names,
        })
    }

    /// How long the expression is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message with these properties is wanted.
    pub(crate) fn matches(&self, properties: Properties<'_>) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    /// The result for these properties, `None` if it is unknown.
    fn evaluate(&self, properties: Properties<'_>) -> Result<Option<bool>, Incomparable> {
        let mut slots: SmallVec<[Option<&str>; 16]> = SmallVec::new();
        slots.resize(self.names.len(), None);
        for (name, value) in properties.raw_pairs() {
            let known = self
                .names
                .binary_search_by(|(known, _)| by_length(known.as_bytes(), name));
            let slot = known.ok().and_then(|at| self.names.get(at));
            if let Some((_, slot)) = slot
                && let Some(place) = slots.get_mut(*slot)
            {
                // The last of several properties with one name counts, as in a Java map.
                *place = std::str::from_utf8(value).ok().or(*place);
            }
        }
        self.root.truth(&slots)
    }
}

fn by_length(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
