//! Attributes of topics and groups, and the `+key=value,-key` language that changes them.

use std::collections::BTreeMap;

/// Why a change of attributes is refused; the texts are Apache's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttributeError {
    #[error("kv string format wrong.")]
    Format,
    #[error("alter duplication key. key: {0}")]
    Duplicate(String),
    #[error("only add attribute is supported while creating topic. key: {0}")]
    OnlyAdd(String),
    #[error("attempt to delete a nonexistent key: {0}")]
    NotThere(String),
    #[error("wrong format key: {0}")]
    WrongKey(String),
    #[error("unsupported key: {0}")]
    Unsupported(String),
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    #[error("value is not in set: {0}")]
    NotInSet(String),
    #[error("value is not in range(or not a number): {0}")]
    NotInRange(String),
}

/// What values an attribute takes.
#[derive(Debug, Clone, Copy)]
enum Values {
    OneOf(&'static [&'static str]),
    Number { min: i64 },
    Text,
}

/// One known attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    name: &'static str,
    changeable: bool,
    values: Values,
}

/// The attributes of topics.
pub(crate) const TOPIC: &[Attribute] = &[
    Attribute {
        name: "queue.type",
        changeable: false,
        values: Values::OneOf(&["BatchCQ", "SimpleCQ"]),
    },
    Attribute {
        name: "cleanup.policy",
        changeable: false,
        values: Values::OneOf(&["DELETE", "COMPACTION"]),
    },
    Attribute {
        name: "message.type",
        changeable: true,
        values: Values::OneOf(&[
            "UNSPECIFIED",
            "NORMAL",
            "FIFO",
            "DELAY",
            "TRANSACTION",
            "PRIORITY",
            "LITE",
            "MIXED",
        ]),
    },
    Attribute {
        name: "lite.topic.expiration",
        changeable: true,
        values: Values::Number { min: -1 },
    },
];

/// The attributes of groups.
pub(crate) const GROUP: &[Attribute] = &[
    Attribute {
        name: "priority.factor",
        changeable: true,
        values: Values::Number { min: 0 },
    },
    Attribute {
        name: "lite.bind.topic",
        changeable: true,
        values: Values::Text,
    },
    Attribute {
        name: "lite.sub.model",
        changeable: true,
        values: Values::Text,
    },
    Attribute {
        name: "lite.sub.client.quota",
        changeable: true,
        values: Values::Number { min: -1 },
    },
];

impl Attribute {
    fn verify(&self, value: &str) -> Result<(), AttributeError> {
        match self.values {
            Values::Text => Ok(()),
            Values::OneOf(known) if known.contains(&value) => Ok(()),
            Values::OneOf(_) => Err(AttributeError::NotInSet(value.to_owned())),
            Values::Number { min } => match value.parse::<i64>() {
                Ok(number) if number >= min => Ok(()),
                _ => Err(AttributeError::NotInRange(value.to_owned())),
            },
        }
    }
}

/// Reads `+a=b,-c` into a map of changes; the signs stay with the keys.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, AttributeError> {
    let mut changes = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) if key.starts_with('+') && !value.contains('=') => (key, value),
            None if part.starts_with('-') => (part, ""),
            _ => return Err(AttributeError::Format),
        };
        if changes.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(AttributeError::Duplicate(key.to_owned()));
        }
    }
    Ok(changes)
}

/// Applies changes to the attributes there are. `current` is `None` when the topic or group is new.
pub(crate) fn alter(
    known: &[Attribute],
    current: Option<&BTreeMap<String, String>>,
    changes: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, AttributeError> {
    let mut result = current.cloned().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    for (signed, value) in changes {
        let mut letters = signed.chars();
        let (sign, key) = (letters.next(), letters.as_str());
        if key.is_empty() || key.contains(['+', '-']) {
            return Err(AttributeError::Format);
        }
        if seen.contains(&key) {
            return Err(AttributeError::Duplicate(key.to_owned()));
        }
        seen.push(key);
        let attribute = || {
            let found = known.iter().find(|attribute| attribute.name == key);
            found.ok_or_else(|| AttributeError::Unsupported(key.to_owned()))
        };
        let changeable = |attribute: &Attribute| {
            if current.is_none() || attribute.changeable {
                Ok(())
            } else {
                Err(AttributeError::Unchangeable(key.to_owned()))
            }
        };
        match (sign, current) {
            (Some('+'), _) => {
                let attribute = attribute()?;
                changeable(attribute)?;
                attribute.verify(value)?;
                result.insert(key.to_owned(), value.clone());
            }
            (_, None) => return Err(AttributeError::OnlyAdd(key.to_owned())),
            (Some('-'), Some(there)) => {
                if !there.contains_key(key) {
                    return Err(AttributeError::NotThere(key.to_owned()));
                }
                changeable(attribute()?)?;
                result.remove(key);
            }
            _ => return Err(AttributeError::WrongKey(key.to_owned())),
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(
        current: Option<&BTreeMap<String, String>>,
        text: &str,
    ) -> Result<BTreeMap<String, String>, AttributeError> {
        alter(TOPIC, current, &parse(text)?)
    }

    #[test]
    fn changes_apply() {
        let made = change(None, "+message.type=FIFO,+cleanup.policy=DELETE").unwrap();
        assert_eq!(made["message.type"], "FIFO");
        let changed = change(Some(&made), "+message.type=DELAY").unwrap();
        assert_eq!(changed["message.type"], "DELAY");
        assert_eq!(change(Some(&made), "").unwrap(), made);
    }

    #[test]
    fn bad_changes_are_refused_as_apache_does() {
        let made = change(None, "+cleanup.policy=DELETE").unwrap();
        let cases = [
            (
                None,
                "-message.type",
                "only add attribute is supported while creating topic. key: message.type",
            ),
            (None, "+colour=red", "unsupported key: colour"),
            (None, "+message.type=ODD", "value is not in set: ODD"),
            (None, "message.type=FIFO", "kv string format wrong."),
            (
                Some(&made),
                "-message.type",
                "attempt to delete a nonexistent key: message.type",
            ),
            (
                Some(&made),
                "+cleanup.policy=COMPACTION",
                "attempt to update an unchangeable attribute. key: cleanup.policy",
            ),
        ];
        for (current, text, remark) in cases {
            assert_eq!(change(current, text).unwrap_err().to_string(), remark);
        }
    }
}
