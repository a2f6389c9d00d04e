//! The ext fields of a header: pairs of text in the order they came, without a map.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Enough for every request of the official clients; more spill to the heap.
const INLINE: usize = 16;

/// Ext fields, borrowed from the frame where the wire form allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    entries: SmallVec<[(Cow<'a, str>, Cow<'a, str>); INLINE]>,
}

impl<'a> Fields<'a> {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end. A key that is already there is hidden by the new one.
    pub fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.entries.push((key.into(), value.into()));
    }

    /// The value of `key`; the last one counts if it was sent twice, as in Java's map.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut latest_first = self.entries.iter().rev();
        let found = latest_first.find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_ref())
    }

    /// All fields in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same fields, independent of the frame.
    pub fn into_owned(self) -> Fields<'static> {
        let entries = self.entries.into_iter();
        Fields {
            entries: entries
                .map(|(key, value)| {
                    let key: Cow<'static, str> = Cow::Owned(key.into_owned());
                    let value: Cow<'static, str> = Cow::Owned(value.into_owned());
                    (key, value)
                })
                .collect(),
        }
    }
}
