//! One request or answer: the parsed head of a received frame, and the builders of those we send.
//!
//! Received: [`Head`] borrows from its frame; [`Reply`] is the owned form for a caller that waits.
//! Sent: [`Envelope::encode`] writes length words and header of a frame with a typed header straight
//! into an out buffer (hot answers); [`Command`] is the owned builder for everything else.
//!
//! Each frame is answered in its own serialization; nothing is remembered per connection.

pub mod binary;
mod fields;
pub mod json;
mod room;

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

pub use self::fields::Fields;
use self::room::Room;
use super::codes::{LanguageCode, RequestCode, ResponseCode};
use super::header::{FromFields, Header, HeaderError};

/// The ordinal of `V5_5_0` in Apache's `MQVersion`: the release we are compatible with.
pub const VERSION: i32 = 513;

/// Flag bit 0: the frame is an answer.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit 1: the frame is never answered.
pub const FLAG_ONEWAY: i32 = 2;

/// The two forms a header can have on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Serialization {
    /// Type 0: a JSON object.
    #[default]
    Json,
    /// Type 1: Apache's compact binary form.
    Rocketmq,
}

impl Serialization {
    /// The type of a frame's serialization byte.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Json),
            1 => Some(Self::Rocketmq),
            _ => None,
        }
    }

    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Rocketmq => 1,
        }
    }
}

/// A parsed header, borrowed from its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// A request code, or a response code if the response flag is set.
    pub code: i32,
    /// What the sender is written in.
    pub language: LanguageCode,
    /// The sender's release, an ordinal of `MQVersion`.
    pub version: i32,
    /// Ties an answer to its request.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Text for people, mostly the reason of an error.
    pub remark: Option<Cow<'a, str>>,
    /// The ext fields.
    pub fields: Fields<'a>,
    /// The form this header came in; the answer uses the same.
    pub serialization: Serialization,
}

impl Head<'_> {
    pub(crate) fn empty(serialization: Serialization) -> Self {
        Self {
            code: 0,
            language: LanguageCode::JAVA,
            version: 0,
            opaque: 0,
            flag: 0,
            remark: None,
            fields: Fields::new(),
            serialization,
        }
    }

    /// Whether this is an answer.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether the sender wants no answer.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// The code of a request.
    pub fn request_code(&self) -> RequestCode {
        RequestCode(self.code)
    }

    /// The code of an answer.
    pub fn response_code(&self) -> ResponseCode {
        ResponseCode(self.code)
    }

    /// The typed header in the ext fields.
    pub fn header<'f, H: FromFields<'f>>(&'f self) -> Result<H, HeaderError> {
        H::from_fields(&self.fields)
    }

    /// What stands in the header besides the ext fields.
    pub fn envelope(&self) -> Envelope<'_> {
        Envelope {
            serialization: self.serialization,
            code: self.code,
            language: self.language,
            version: self.version,
            opaque: self.opaque,
            flag: self.flag,
            remark: self.remark.as_deref(),
        }
    }

    /// The start of an answer to this request, in its serialization.
    pub fn answer(&self, code: ResponseCode) -> Envelope<'static> {
        Envelope::response(self.serialization, self.opaque, code)
    }

    /// Appends this head with `body` as one frame, fields as they came.
    pub fn encode(&self, body: &[u8], out: &mut BytesMut) {
        self.envelope().encode_fields(&self.fields, body.len(), out);
        out.put_slice(body);
    }

    /// The owned form.
    pub fn into_reply(self, body: Bytes) -> Reply {
        Reply {
            code: ResponseCode(self.code),
            language: self.language,
            version: self.version,
            remark: self.remark.map(Cow::into_owned),
            fields: self.fields.into_owned(),
            body,
        }
    }
}

/// What stands in a header besides the ext fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The form to write.
    pub serialization: Serialization,
    /// Request or response code.
    pub code: i32,
    /// What the sender claims to be written in.
    pub language: LanguageCode,
    /// The sender's release.
    pub version: i32,
    /// Ties an answer to its request.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Text for people.
    pub remark: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// An answer. It calls itself JAVA and 5.5.0: some clients know no newer name.
    pub const fn response(serialization: Serialization, opaque: i32, code: ResponseCode) -> Self {
        Self {
            serialization,
            code: code.0,
            language: LanguageCode::JAVA,
            version: VERSION,
            opaque,
            flag: FLAG_RESPONSE,
            remark: None,
        }
    }

    /// The same with a remark.
    #[must_use]
    pub const fn with_remark<'r>(self, remark: &'r str) -> Envelope<'r>
    where
        'a: 'r,
    {
        Envelope {
            remark: Some(remark),
            ..self
        }
    }

    /// Appends the length words and the header of a frame; `body_len` bytes of body must follow it.
    ///
    /// This is the path of hot answers: the fields go from the header into the buffer, with no list or
    /// text between. A code past 16 bits is written as JSON, whatever was asked for.
    pub fn encode(&self, header: &(impl Header + ?Sized), body_len: usize, out: &mut BytesMut) {
        self.encode_with(
            |put| header.write(&mut |key, value| put(key, value)),
            body_len,
            out,
        );
    }

    fn encode_fields(&self, fields: &Fields<'_>, body_len: usize, out: &mut BytesMut) {
        let write = |put: &mut dyn FnMut(&str, &str)| {
            for (key, value) in fields.iter() {
                put(key, value);
            }
        };
        self.encode_with(write, body_len, out);
    }

    fn encode_with(
        &self,
        write_fields: impl Fn(&mut dyn FnMut(&str, &str)),
        body_len: usize,
        out: &mut BytesMut,
    ) {
        let frame_at = out.len();
        let serialization = self.fitting_serialization();
        let mut room_bytes = HEADER_USUAL;
        loop {
            let end = frame_at + room_bytes;
            out.resize(end, 0);
            let mut room = Room::new(out.get_mut(frame_at..).unwrap_or_default());
            room.put(&[0; 8]);
            match serialization {
                Serialization::Json => json::write(self, &write_fields, &mut room),
                Serialization::Rocketmq => binary::write(self, &write_fields, &mut room),
            }
            let used = room.used();
            out.truncate(frame_at + used);
            if used <= room_bytes {
                break;
            }
            // A header with long text: once more, now that its length is known.
            room_bytes = used;
        }
        patch_length(out, frame_at, body_len);
        patch_length(out, frame_at + 4, 0);
        if let Some(kind) = out.get_mut(frame_at + 4) {
            *kind = serialization.code();
        }
    }

    fn fitting_serialization(&self) -> Serialization {
        if i16::try_from(self.code).is_ok() {
            self.serialization
        } else {
            Serialization::Json
        }
    }
}

/// Wire bytes as text. Text that is not UTF-8 is read with replacement characters, as Java does.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    // The strict check is the fast one; the lossy reader goes byte by byte.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// A header without long text fits.
const HEADER_USUAL: usize = 512;

/// Writes, at `at`, the number of bytes after the word there, plus `more`.
fn patch_length(out: &mut BytesMut, at: usize, more: usize) {
    let after = at + 4;
    let length = u32::try_from(out.len() - after + more).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(at..after) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// A request or an answer to send, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Request or response code.
    pub code: i32,
    /// What we claim to be written in.
    pub language: LanguageCode,
    /// Our release.
    pub version: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Text for people.
    pub remark: Option<String>,
    /// The ext fields.
    pub fields: Fields<'static>,
    /// The body, possibly empty.
    pub body: Bytes,
}

impl Command {
    /// A request with the fields of `header`.
    pub fn request(code: RequestCode, header: &(impl Header + ?Sized)) -> Self {
        Self::new(code.0, 0).with_header(header)
    }

    /// An answer without fields.
    pub fn response(code: ResponseCode) -> Self {
        Self::new(code.0, FLAG_RESPONSE)
    }

    fn new(code: i32, flag: i32) -> Self {
        Self {
            code,
            language: LanguageCode::JAVA,
            version: VERSION,
            flag,
            remark: None,
            fields: Fields::new(),
            body: Bytes::new(),
        }
    }

    /// The same with the fields of `header` added.
    #[must_use]
    pub fn with_header(mut self, header: &(impl Header + ?Sized)) -> Self {
        header.write(&mut |key, value| self.fields.push_copy(key, value));
        self
    }

    /// The same with one more field.
    #[must_use]
    pub fn with_field(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.push(key, value.into());
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a remark.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The same, telling the peer not to answer.
    #[must_use]
    pub fn oneway(mut self) -> Self {
        self.flag |= FLAG_ONEWAY;
        self
    }

    /// Whether the peer shall not answer.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// Appends length words and header; the body must follow. For vectored writes.
    pub fn encode_head(&self, serialization: Serialization, opaque: i32, out: &mut BytesMut) {
        let envelope = Envelope {
            serialization,
            code: self.code,
            language: self.language,
            version: self.version,
            opaque,
            flag: self.flag,
            remark: self.remark.as_deref(),
        };
        envelope.encode_fields(&self.fields, self.body.len(), out);
    }

    /// Appends the whole frame.
    pub fn encode(&self, serialization: Serialization, opaque: i32, out: &mut BytesMut) {
        self.encode_head(serialization, opaque, out);
        out.put_slice(&self.body);
    }
}

/// A received answer, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How the request ended.
    pub code: ResponseCode,
    /// What the sender is written in.
    pub language: LanguageCode,
    /// The sender's release.
    pub version: i32,
    /// Text for people, mostly the reason of an error.
    pub remark: Option<String>,
    /// The ext fields.
    pub fields: Fields<'static>,
    /// The body, possibly empty.
    pub body: Bytes,
}

impl Reply {
    /// The typed header in the ext fields.
    pub fn header<'f, H: FromFields<'f>>(&'f self) -> Result<H, HeaderError> {
        H::from_fields(&self.fields)
    }

    /// The remark, or nothing.
    pub fn remark(&self) -> &str {
        self.remark.as_deref().unwrap_or_default()
    }
}
