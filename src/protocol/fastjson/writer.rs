//! A JSON writer whose map keys may be any value, as fastjson's may.

use serde::ser::{self, Serialize};

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// One line, integer keys quoted.
    Wire,
    /// A line for each member, indented by tabs, integer keys bare.
    File,
}

/// Writes JSON in a given style.
///
/// Scalars and strings go through `serde_json`; only the structure is done here, because its own writer
/// refuses keys that are objects.
pub(super) struct Writer {
    out: Vec<u8>,
    style: Style,
    depth: usize,
    in_key: bool,
}

type Error = serde_json::Error;

impl Writer {
    pub(super) fn new(style: Style) -> Self {
        Self {
            out: Vec::with_capacity(256),
            style,
            depth: 0,
            in_key: false,
        }
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.out
    }

    fn scalar(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        value.serialize(&mut serde_json::Serializer::new(&mut self.out))
    }

    fn integer(&mut self, value: impl Serialize) -> Result<(), Error> {
        let quoted = self.in_key && self.style == Style::Wire;
        if quoted {
            self.out.push(b'"');
        }
        self.scalar(&value)?;
        if quoted {
            self.out.push(b'"');
        }
        Ok(())
    }

    fn new_line(&mut self) {
        if self.style == Style::File {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b'\t', self.depth));
        }
    }

    fn open(&mut self, opening: u8, closing: u8) -> Compound<'_> {
        self.out.push(opening);
        self.depth = self.depth.saturating_add(1);
        let was_key = std::mem::replace(&mut self.in_key, false);
        Compound {
            writer: self,
            first: true,
            closing,
            was_key,
        }
    }

    fn variant(
        &mut self,
        name: &'static str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        let mut map = self.open(b'{', b'}');
        map.member(name, value)?;
        map.close();
        Ok(())
    }
}

/// An open object or array.
pub(super) struct Compound<'w> {
    writer: &'w mut Writer,
    first: bool,
    closing: u8,
    /// Whether this whole value is a key.
    was_key: bool,
}

impl Compound<'_> {
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.writer.out.push(b',');
        }
        self.writer.new_line();
    }

    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    fn key(&mut self, key: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.separate();
        self.writer.in_key = true;
        key.serialize(&mut *self.writer)?;
        self.writer.in_key = false;
        self.writer.out.push(b':');
        Ok(())
    }

    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.key(name)?;
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.depth = self.writer.depth.saturating_sub(1);
        if !self.first {
            self.writer.new_line();
        }
        self.writer.out.push(self.closing);
        self.writer.in_key = self.was_key;
    }
}

macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.integer(value)
        })*
    };
}

impl<'w> ser::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = ser::Impossible<(), Error>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = ser::Impossible<(), Error>;

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64
    );

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.scalar(&())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant, value)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(ser::Error::custom("no body has such an enum"))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(ser::Error::custom("no body has such an enum"))
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

sequences!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field
);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{to_file, to_wire};

    #[derive(serde::Serialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Key {
        id: i32,
        ids: BTreeMap<i32, bool>,
    }

    #[test]
    fn keys_of_any_kind() {
        let key = Key {
            id: 1,
            ids: BTreeMap::from([(7, true)]),
        };
        let value = (
            BTreeMap::from([(key, Some("a\"\u{1}"))]),
            BTreeMap::from([("5", 0.0)]),
            [1u64, 2],
        );
        let wire = to_wire(&value).unwrap();
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            r#"[{{"id":1,"ids":{"7":true}}:"a\"\u0001"},{"5":0.0},[1,2]]"#
        );
    }

    #[test]
    fn files_look_like_those_of_apache() {
        let table = BTreeMap::from([("T@G", BTreeMap::from([(0, 5), (1, 4)]))]);
        let empty: BTreeMap<i32, i32> = BTreeMap::new();
        let lists = BTreeMap::from([("g", vec!["a", "b"]), ("h", vec![])]);
        let file = to_file(&BTreeMap::from([("offsetTable", table)])).unwrap();
        assert_eq!(
            String::from_utf8(file).unwrap(),
            "{\n\t\"offsetTable\":{\n\t\t\"T@G\":{\n\t\t\t0:5,\n\t\t\t1:4\n\t\t}\n\t}\n}"
        );
        assert_eq!(to_file(&empty).unwrap(), b"{}");
        assert_eq!(
            String::from_utf8(to_file(&lists).unwrap()).unwrap(),
            "{\n\t\"g\":[\n\t\t\"a\",\n\t\t\"b\"\n\t],\n\t\"h\":[]\n}"
        );
    }
}
