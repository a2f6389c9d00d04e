//! Typed headers: the ext fields of each request and answer, one table per subject.
//!
//! A header is a plain struct that borrows its text. [`FromFields`] reads it in one pass over the fields;
//! [`Header`] writes it field by field, in table order. Both come from the `headers!` table, so a field's
//! name, type and presence are said once.
//!
//! As in Apache, a missing required field is an error naming it, unknown fields (`bname`, `ns`, `lo`, …) are
//! ignored, and an empty text where a number is expected counts as absent.

pub mod auth;
pub mod broker;
pub mod consumer;
pub mod controller;
pub mod group;
pub mod message;
pub mod namesrv;
pub mod pop;
pub mod pull;
pub mod queue;
pub mod send;
pub mod topic;

use super::command::Fields;

/// Why the fields are not the header they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A required field is not there.
    #[error("the custom field <{0}> is null")]
    Missing(&'static str),
    /// A field is not a value of its type.
    #[error("the custom field <{0}> is malformed")]
    Malformed(&'static str),
}

/// Something that has ext fields to write.
pub trait Header {
    /// Hands each field that is present to `put`, in table order.
    fn write(&self, put: &mut dyn FnMut(&'static str, &str));
}

/// A typed header that can be read from ext fields, borrowing their text.
pub trait FromFields<'f>: Sized {
    /// Reads the header.
    fn from_fields(fields: &'f Fields<'_>) -> Result<Self, HeaderError>;
}

/// A request or an answer that has no ext fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoHeader;

impl Header for NoHeader {
    fn write(&self, _put: &mut dyn FnMut(&'static str, &str)) {}
}

/// The type of a field.
pub trait Value<'f>: Sized {
    /// Whether an empty text means that the field is absent. In the binary form the two look alike.
    const EMPTY_IS_ABSENT: bool = true;

    /// Reads the value as Java's parser of the type does.
    fn read(text: &'f str) -> Option<Self>;

    /// Hands the value's text to `put`.
    fn show(&self, put: impl FnOnce(&str));
}

impl<'f> Value<'f> for &'f str {
    const EMPTY_IS_ABSENT: bool = false;

    fn read(text: &'f str) -> Option<Self> {
        Some(text)
    }

    fn show(&self, put: impl FnOnce(&str)) {
        put(self);
    }
}

impl<'f> Value<'f> for i32 {
    fn read(text: &'f str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self, put: impl FnOnce(&str)) {
        put(Decimal::new((*self).into()).as_str());
    }
}

impl<'f> Value<'f> for i64 {
    fn read(text: &'f str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self, put: impl FnOnce(&str)) {
        put(Decimal::new(*self).as_str());
    }
}

impl<'f> Value<'f> for bool {
    /// Anything but "true" is false, as with `Boolean.parseBoolean`.
    fn read(text: &'f str) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }

    fn show(&self, put: impl FnOnce(&str)) {
        put(if *self { "true" } else { "false" });
    }
}

/// A number as text on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// The digits stand at the end.
    digits: [u8; Self::LONGEST],
    start: usize,
}

impl Decimal {
    /// `-9223372036854775808`
    const LONGEST: usize = 20;

    /// The decimal text of `value`.
    pub fn new(value: i64) -> Self {
        let mut digits = [b'0'; Self::LONGEST];
        let mut start = Self::LONGEST;
        let mut rest = value.unsigned_abs();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
            start = at;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        Self { digits, start }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[self.start..]).unwrap_or_default()
    }
}

/// Reads a present value, or reports it as malformed; empty text of a number is absence.
pub(crate) fn read_value<'f, V: Value<'f>>(
    key: &'static str,
    text: Option<&'f str>,
) -> Result<Option<V>, HeaderError> {
    match text {
        None => Ok(None),
        Some("") if V::EMPTY_IS_ABSENT => Ok(None),
        Some(text) => V::read(text).map(Some).ok_or(HeaderError::Malformed(key)),
    }
}

/// Defines header structs from a table: `field: type = "wire name", presence;` where presence is
/// `required`, `optional` (the field is an `Option`) or `default value`.
macro_rules! headers {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? {
            $( $field:ident : $type:ty = $key:literal, $presence:ident $($default:expr)?; )*
        }
    )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $(
                #[doc = concat!("`", $key, "`, ", stringify!($presence), ".")]
                pub $field: headers!(@type $presence $type),
            )*
        }

        impl $(<$life>)? Default for $name $(<$life>)? {
            fn default() -> Self {
                Self { $( $field: headers!(@default $presence $($default)?), )* }
            }
        }

        impl $(<$life>)? $crate::protocol::header::Header for $name $(<$life>)? {
            fn write(&self, put: &mut dyn FnMut(&'static str, &str)) {
                $( headers!(@write $presence self.$field, $key, put); )*
            }
        }

        impl<'f> $crate::protocol::header::FromFields<'f> for $name $(<$life>)? {
            fn from_fields(
                fields: &'f $crate::protocol::command::Fields<'_>,
            ) -> Result<Self, $crate::protocol::header::HeaderError> {
                $( let mut $field: Option<&'f str> = None; )*
                for (key, value) in fields.iter() {
                    match key {
                        $( $key => $field = Some(value), )*
                        _ => {}
                    }
                }
                Ok(Self { $( $field: {
                    let value = $crate::protocol::header::read_value::<$type>($key, $field)?;
                    headers!(@read $presence value, $key $(, $default)?)
                }, )* })
            }
        }
    )* };
    (@type required $type:ty) => { $type };
    (@type default $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@default required) => { Default::default() };
    (@default optional) => { None };
    (@default default $default:expr) => { $default };
    (@write optional $value:expr, $key:literal, $put:ident) => {
        if let Some(value) = &$value {
            $crate::protocol::header::Value::show(value, |text| $put($key, text));
        }
    };
    (@write $presence:ident $value:expr, $key:literal, $put:ident) => {
        $crate::protocol::header::Value::show(&$value, |text| $put($key, text));
    };
    (@read required $value:ident, $key:literal) => {
        $value.ok_or($crate::protocol::header::HeaderError::Missing($key))?
    };
    (@read optional $value:ident, $key:literal) => { $value };
    (@read default $value:ident, $key:literal, $default:expr) => { $value.unwrap_or($default) };
}
pub(crate) use headers;
