//! Names that are checked once, where they enter, and are a proof afterwards.
//!
//! Rules: Apache's `TopicValidator` and `Validators` (letters, digits, `_`, `-`, `%`, `|`; a topic has at most
//! 127 characters, a group 120; `%RETRY%` and `%DLQ%` topics at most 255).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The prefix of a group's retry topic (`MixAll.RETRY_GROUP_TOPIC_PREFIX`).
pub const RETRY_PREFIX: &str = "%RETRY%";
/// The prefix of a group's dead-letter topic (`MixAll.DLQ_GROUP_TOPIC_PREFIX`).
pub const DLQ_PREFIX: &str = "%DLQ%";

const TOPIC_MAX: usize = 127;
const RETRY_OR_DLQ_TOPIC_MAX: usize = 255;
const GROUP_MAX: usize = 120;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only blanks.
    #[error("the specified {kind} is blank")]
    Blank {
        /// "topic" or "group".
        kind: &'static str,
    },
    /// A character outside Apache's set.
    #[error("the specified {kind} contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Illegal {
        /// "topic" or "group".
        kind: &'static str,
    },
    /// Longer than Apache allows.
    #[error("the specified {kind} is longer than {kind} max length {max}")]
    TooLong {
        /// "topic" or "group".
        kind: &'static str,
        /// The limit in characters.
        max: usize,
    },
}

fn check(name: &str, kind: &'static str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { kind });
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'%' | b'|');
    if !name.bytes().all(legal) {
        return Err(NameError::Illegal { kind });
    }
    if name.len() > max {
        return Err(NameError::TooLong { kind, max });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name found in a store or a configuration file, without judging it: what is stored
            /// must stay reachable even if today's rules would refuse it.
            pub fn stored(name: &str) -> Self {
                Self(Arc::from(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type! {
    /// The name of a topic.
    TopicName
}
name_type! {
    /// The name of a producer or consumer group.
    GroupName
}
name_type! {
    /// The name of a broker, shared by a master and its slaves.
    BrokerName
}

impl TopicName {
    /// Checks a topic name from outside.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let internal = name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX);
        check(
            name,
            "topic",
            if internal {
                RETRY_OR_DLQ_TOPIC_MAX
            } else {
                TOPIC_MAX
            },
        )?;
        Ok(Self(Arc::from(name)))
    }

    /// `%RETRY%group`.
    pub fn retry_of(group: &GroupName) -> Self {
        Self(Arc::from(format!("{RETRY_PREFIX}{group}")))
    }

    /// `%DLQ%group`.
    pub fn dlq_of(group: &GroupName) -> Self {
        Self(Arc::from(format!("{DLQ_PREFIX}{group}")))
    }

    /// Whether this is some group's retry topic.
    pub fn is_retry(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX)
    }

    /// Whether this is some group's dead-letter topic.
    pub fn is_dlq(&self) -> bool {
        self.0.starts_with(DLQ_PREFIX)
    }
}

impl GroupName {
    /// Checks a group name from outside.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check(name, "group", GROUP_MAX)?;
        Ok(Self(Arc::from(name)))
    }
}

/// The number of a queue within a topic on one broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u32);

impl QueueId {
    /// Wraps a number that is already known to be sane.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// Takes a number from the wire; negative ones are no queues (some requests use -1 for "any").
    pub fn from_wire(id: i32) -> Option<Self> {
        u32::try_from(id).ok().map(Self)
    }

    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as Java's signed 32-bit integer.
    pub fn to_wire(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_rules_are_apaches() {
        assert!(TopicName::parse("orders_1-a%b|c").is_ok());
        assert_eq!(
            TopicName::parse(" "),
            Err(NameError::Blank { kind: "topic" })
        );
        assert_eq!(
            TopicName::parse("a/b"),
            Err(NameError::Illegal { kind: "topic" })
        );
        assert!(TopicName::parse(&"a".repeat(127)).is_ok());
        assert_eq!(
            TopicName::parse(&"a".repeat(128)),
            Err(NameError::TooLong {
                kind: "topic",
                max: 127
            })
        );
        assert!(TopicName::parse(&format!("%RETRY%{}", "g".repeat(200))).is_ok());
    }
}
