//! The ext fields of a header: pairs of text in the order they came, without a map.
//!
//! Text is borrowed from the frame where the wire form allows it. The rest, unescaped or owned, stands in one
//! buffer behind the other, so that a whole header costs one allocation at most.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

/// Enough for every request of the official clients; more spill to the heap.
const INLINE: usize = 16;

/// Ext fields.
#[derive(Clone, Default)]
pub struct Fields<'a> {
    entries: SmallVec<[(Text<'a>, Text<'a>); INLINE]>,
    spill: Spill,
}

/// A key or a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    /// A range of the spill buffer.
    Spilled {
        start: u32,
        end: u32,
    },
}

/// The buffer of text that is not borrowed.
#[derive(Clone, Default)]
pub(super) struct Spill(String);

impl Spill {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Appends what `fill` writes, as one text.
    pub(super) fn add<'a, E>(
        &mut self,
        fill: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<Text<'a>, E> {
        // Frames are far below 4 GiB; past it a range would only be empty.
        let end = |buffer: &String| u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let start = end(&self.0);
        fill(&mut self.0)?;
        let end = end(&self.0);
        Ok(Text::Spilled { start, end })
    }

    pub(super) fn get<'s>(&'s self, text: Text<'s>) -> &'s str {
        match text {
            Text::Borrowed(text) => text,
            Text::Spilled { start, end } => {
                let at = |position| usize::try_from(position).unwrap_or(usize::MAX);
                self.0.get(at(start)..at(end)).unwrap_or_default()
            }
        }
    }

    fn is_unused(&self) -> bool {
        self.0.capacity() == 0
    }

    fn copy<'a>(&mut self, text: &str) -> Text<'a> {
        let copied = self.add(|buffer| {
            buffer.push_str(text);
            Ok::<(), std::convert::Infallible>(())
        });
        match copied {
            Ok(text) => text,
            Err(never) => match never {},
        }
    }

    fn take<'a>(&mut self, text: Cow<'a, str>) -> Text<'a> {
        match text {
            Cow::Borrowed(text) => Text::Borrowed(text),
            Cow::Owned(text) => self.copy(&text),
        }
    }
}

impl<'a> Fields<'a> {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end. A key that is already there is hidden by the new one.
    pub fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let key = self.spill.take(key.into());
        let value = self.spill.take(value.into());
        self.entries.push((key, value));
    }

    /// Adds a field with a copy of `value`.
    pub fn push_copy(&mut self, key: &'a str, value: &str) {
        if self.spill.is_unused() {
            self.spill = Spill::with_capacity(256);
        }
        let value = self.spill.copy(value);
        self.entries.push((Text::Borrowed(key), value));
    }

    /// Adds a field whose text may stand in the spill buffer that [`Self::set_spill`] will bring.
    pub(super) fn push_text(&mut self, key: Text<'a>, value: Text<'a>) {
        self.entries.push((key, value));
    }

    pub(super) fn set_spill(&mut self, spill: Spill) {
        self.spill = spill;
    }

    /// The value of `key`; the last one counts if it was sent twice, as in Java's map.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut latest_first = self.entries.iter().rev();
        let found = latest_first.find(|(name, _)| self.spill.get(*name) == key);
        found.map(|(_, value)| self.spill.get(*value))
    }

    /// All fields in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|(key, value)| (self.spill.get(*key), self.spill.get(*value)))
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
    pub fn into_owned<'b>(self) -> Fields<'b> {
        let mut owned = Fields::new();
        if self.is_empty() {
            return owned;
        }
        let sizes = self.iter().map(|(k, v)| k.len().saturating_add(v.len()));
        owned.spill = Spill::with_capacity(sizes.sum());
        for (key, value) in self.iter() {
            let key = owned.spill.copy(key);
            let value = owned.spill.copy(value);
            owned.entries.push((key, value));
        }
        owned
    }
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields<'_> {}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
