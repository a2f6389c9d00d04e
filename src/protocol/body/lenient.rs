//! Readers for values that clients in the field send in more than one form.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

/// An enum by its name or by its ordinal.
pub(super) fn enumeration<'de, D, T>(
    deserializer: D,
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy + 'static,
{
    deserializer.deserialize_any(Enumeration { all, name })
}

struct Enumeration<T: 'static> {
    all: &'static [T],
    name: fn(T) -> &'static str,
}

impl<T: Copy> Visitor<'_> for Enumeration<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of")?;
        for known in self.all {
            write!(f, " {}", (self.name)(*known))?;
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let mut all = self.all.iter().copied();
        let found = all.find(|known| (self.name)(*known).eq_ignore_ascii_case(text));
        found.ok_or_else(|| E::custom(format_args!("unknown name {text}")))
    }

    fn visit_u64<E: Error>(self, ordinal: u64) -> Result<T, E> {
        let at = usize::try_from(ordinal).unwrap_or(usize::MAX);
        let found = self.all.get(at).copied();
        found.ok_or_else(|| E::custom(format_args!("unknown ordinal {ordinal}")))
    }
}

/// For `deserialize_with`: a value of the type, or its default for what the type does not know. The Go
/// client's pull consumer may say that it begins at "UNKNOWN".
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A number, or its text.
struct Number<T>(T);

impl<'de, T> Deserialize<'de> for Number<T>
where
    T: TryFrom<i64> + FromStr,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor<T>(PhantomData<T>);

        impl<T: TryFrom<i64> + FromStr> Visitor<'_> for NumberVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
                T::try_from(value).map_err(|_| E::custom("integer out of range"))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
                let value = i64::try_from(value);
                self.visit_i64(value.map_err(|_| E::custom("integer out of range"))?)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
                text.trim().parse().map_err(|_| E::custom("not an integer"))
            }
        }

        let visitor = NumberVisitor(PhantomData);
        deserializer.deserialize_any(visitor).map(Self)
    }
}

/// For `deserialize_with`: a number, or its text.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + FromStr,
{
    Number::deserialize(deserializer).map(|number| number.0)
}

/// For `deserialize_with`: a list of numbers or of their texts.
pub(super) fn numbers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + FromStr,
{
    struct Numbers<T>(PhantomData<T>);

    impl<'de, T: TryFrom<i64> + FromStr> Visitor<'de> for Numbers<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of integers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut numbers = Vec::new();
            while let Some(Number(number)) = list.next_element()? {
                numbers.push(number);
            }
            Ok(numbers)
        }
    }

    deserializer.deserialize_seq(Numbers(PhantomData))
}
