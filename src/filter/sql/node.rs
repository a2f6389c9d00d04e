//! The compiled expression and its evaluation.
//!
//! Evaluation goes from left to right and stops where Apache's does, because a comparison that fails ([`Incomparable`])
//! only counts if it is reached.

use std::cmp::Ordering;

use super::value::{Incomparable, Value, equal, order};

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

impl Literal {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::Long(number) => Value::Long(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// The ordering operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
        }
    }
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Between {
    pub(super) value: Node,
    pub(super) low: Node,
    pub(super) high: Node,
    pub(super) not: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) operand: Node,
    pub(super) place: Place,
    pub(super) wanted: Box<str>,
    pub(super) not: bool,
}

/// A compiled expression. Properties are numbers of slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Literal(Literal),
    Property(usize),
    /// A property where a truth is needed: unknown if it is missing, else false, since its value is a text.
    PropertyAsTruth(usize),
    /// A minus before what cannot be a number: unknown.
    Negated(Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Equal(Box<(Node, Node)>),
    IsNull(Box<Node>),
    Relation(Relation, Box<(Node, Node)>),
    Between(Box<Between>),
    /// The texts are sorted.
    In {
        slot: usize,
        texts: Vec<Box<str>>,
        not: bool,
    },
    Search(Box<Search>),
}

impl Node {
    /// The value for a message whose properties are in `slots`.
    pub(super) fn value<'v>(
        &'v self,
        slots: &[Option<&'v str>],
    ) -> Result<Value<'v>, Incomparable> {
        match self {
            Self::Literal(literal) => Ok(literal.value()),
            Self::Property(slot) => Ok(property(slots, *slot).map_or(Value::Null, Value::Text)),
            Self::Negated(operand) => operand.value(slots).map(|_| Value::Null),
            _ => Ok(self.truth(slots)?.map_or(Value::Null, Value::Bool)),
        }
    }

    /// The truth, `None` if unknown.
    pub(super) fn truth(&self, slots: &[Option<&str>]) -> Result<Option<bool>, Incomparable> {
        match self {
            Self::Literal(_) | Self::Property(_) | Self::Negated(_) => {
                Ok(self.value(slots)?.truth())
            }
            Self::PropertyAsTruth(slot) => Ok(property(slots, *slot).map(|_| false)),
            Self::Not(operand) => Ok(operand.truth(slots)?.map(|truth| !truth)),
            Self::And(operands) => decided_by(false, operands, slots),
            Self::Or(operands) => decided_by(true, operands, slots),
            Self::Equal(sides) => equal(sides.0.value(slots)?, sides.1.value(slots)?),
            Self::IsNull(operand) => Ok(Some(operand.value(slots)? == Value::Null)),
            Self::Relation(relation, sides) => {
                related(sides.0.value(slots)?, *relation, &sides.1, slots)
            }
            Self::Between(between) => between.truth(slots),
            Self::In { slot, texts, not } => Ok(property(slots, *slot).map(|value| {
                let found = texts.binary_search_by(|text| text.as_ref().cmp(value));
                found.is_ok() != *not
            })),
            Self::Search(search) => search.found(slots).map(Some),
        }
    }
}

fn property<'v>(slots: &[Option<&'v str>], slot: usize) -> Option<&'v str> {
    slots.get(slot).copied().flatten()
}

/// AND and OR: the first operand with the truth `decisive` decides; else one unknown operand makes it unknown.
fn decided_by(
    decisive: bool,
    operands: &[Node],
    slots: &[Option<&str>],
) -> Result<Option<bool>, Incomparable> {
    let mut result = Some(!decisive);
    for operand in operands {
        match operand.truth(slots)? {
            Some(truth) if truth == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn related(
    left: Value<'_>,
    relation: Relation,
    right: &Node,
    slots: &[Option<&str>],
) -> Result<Option<bool>, Incomparable> {
    if left == Value::Null {
        return Ok(None);
    }
    match right.value(slots)? {
        Value::Null => Ok(None),
        right => Ok(Some(relation.holds(order(left, right)?))),
    }
}

impl Between {
    /// `low <= value AND value <= high`, or `value < low OR value > high`.
    fn truth(&self, slots: &[Option<&str>]) -> Result<Option<bool>, Incomparable> {
        let (first, second) = if self.not {
            (Relation::Less, Relation::Greater)
        } else {
            (Relation::GreaterEqual, Relation::LessEqual)
        };
        let value = self.value.value(slots)?;
        let first = related(value, first, &self.low, slots)?;
        if first == Some(self.not) {
            return Ok(first);
        }
        let second = related(value, second, &self.high, slots)?;
        Ok(if second == Some(self.not) {
            second
        } else {
            first.and(second)
        })
    }
}

impl Search {
    /// Never unknown: what is no text contains nothing, and an empty text is found nowhere, not even in the NOT forms.
    fn found(&self, slots: &[Option<&str>]) -> Result<bool, Incomparable> {
        if self.wanted.is_empty() {
            return Ok(false);
        }
        let Value::Text(text) = self.operand.value(slots)? else {
            return Ok(false);
        };
        let wanted = self.wanted.as_ref();
        let found = match self.place {
            Place::Anywhere => text.contains(wanted),
            Place::Start => text.starts_with(wanted),
            Place::End => text.ends_with(wanted),
        };
        Ok(found != self.not)
    }
}
