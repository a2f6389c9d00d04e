//! Positions in the commit log and in queues, kept apart by type.

use std::fmt;

/// A byte position in the commit log, counted from the first byte the log ever held.
///
/// Positions are never reused: retention moves the start of the log, not its numbering.
/// Not to be confused with [`QueueOffset`], which counts messages in one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogOffset(u64);

/// The number of a message in one queue, counted from the first message the queue ever held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(u64);

macro_rules! offset_methods {
    ($name:ident, $unit:literal) => {
        impl $name {
            /// The very first position.
            pub const ZERO: Self = Self(0);

            /// Wraps a position that is already known to be sane (one this process counted itself).
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Takes a position from the wire or from disk; negative numbers are no positions.
            pub fn from_wire(value: i64) -> Option<Self> {
                u64::try_from(value).ok().map(Self)
            }

            #[doc = concat!("The position in ", $unit, ".")]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The position as Java's signed 64-bit integer; positions past its maximum do not occur.
            pub fn to_wire(self) -> i64 {
                i64::try_from(self.0).unwrap_or(i64::MAX)
            }

            #[doc = concat!("The position `count` ", $unit, " further on (saturating).")]
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            #[doc = concat!("How many ", $unit, " lie between `earlier` and this one; 0 if it is not earlier.")]
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

offset_methods!(LogOffset, "bytes");
offset_methods!(QueueOffset, "messages");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_wire_values_are_no_positions() {
        assert_eq!(LogOffset::from_wire(-1), None);
        assert_eq!(QueueOffset::from_wire(7), Some(QueueOffset::new(7)));
    }

    #[test]
    fn distances_never_underflow() {
        assert_eq!(LogOffset::new(3).since(LogOffset::new(10)), 0);
        assert_eq!(LogOffset::new(10).since(LogOffset::new(3)), 7);
    }
}
