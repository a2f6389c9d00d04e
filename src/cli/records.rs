//! Messages as JSON objects: what `consume` prints and `send --input jsonl` reads.
//!
//! Field names are those of `inspect` and of Apache (`queueOffset`, `storeSize`, `bodyCRC`). Times stand there twice:
//! in milliseconds under Apache's name and as text. A body is text if it is UTF-8 (`bodyText`), else `bodyBase64`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::times::show_time;
use crate::client::{Message, Received, is_reserved_property};

/// The forms a body can have in an object; [`read_row`] understands each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// `bodyText` if it is UTF-8, else `bodyBase64`: nothing is lost.
    #[default]
    Auto,
    /// `bodyText`, with marks in place of what is no UTF-8.
    Utf8,
    /// `bodyHex`.
    Hex,
    /// `bodyBase64`.
    Base64,
    /// `body`, the JSON itself; as [`BodyForm::Auto`] if it is none, or a text that would be read without its quotes.
    Json,
}

/// A message as one object, with `body` in the place of its own, which may be the same.
pub(crate) fn row_with(message: &Received, body: &[u8], form: BodyForm, utc: bool) -> Value {
    let mut row = json!({
        "topic": message.topic(),
        "brokerName": message.queue.broker.as_str(),
        "queueId": message.queue.queue.get(),
        "queueOffset": message.queue_offset,
        "uniqKey": message.message_id(),
        "msgId": message.offset_message_id(),
        "tags": message.tag(),
        "keys": message.keys(),
        "properties": message.properties.iter().map(|(name, value)| {
            (name.to_owned(), Value::from(value))
        }).collect::<Map<_, _>>(),
        "flag": message.flag,
        "sysFlag": message.sys_flag,
        "reconsumeTimes": message.reconsume_times,
        "bornTimestamp": message.born_timestamp,
        "bornTime": show_time(message.born_timestamp, utc),
        "bornHost": message.born_host.to_string(),
        "storeTimestamp": message.store_timestamp,
        "storeTime": show_time(message.store_timestamp, utc),
        "storeHost": message.store_host.to_string(),
        "physicalOffset": message.physical_offset,
        "storeSize": message.store_size,
        "bodyCRC": message.body_crc,
        "bodyLength": body.len(),
    });
    if let Value::Object(fields) = &mut row {
        let (name, value) = shown_body(body, form);
        fields.insert(name.to_owned(), value);
    }
    row
}

/// A body in a form, and the name of that form's field.
fn shown_body(body: &[u8], form: BodyForm) -> (&'static str, Value) {
    match form {
        BodyForm::Json => match serde_json::from_slice(body) {
            Ok(Value::String(_)) | Err(_) => shown_body(body, BodyForm::Auto),
            Ok(value) => ("body", value),
        },
        BodyForm::Utf8 => ("bodyText", String::from_utf8_lossy(body).into()),
        BodyForm::Hex => ("bodyHex", hex(body).into()),
        BodyForm::Base64 => ("bodyBase64", base64(body).into()),
        BodyForm::Auto => match std::str::from_utf8(body) {
            Ok(text) => ("bodyText", text.into()),
            Err(_) => ("bodyBase64", base64(body).into()),
        },
    }
}

/// Bytes as base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The part of a printed message that makes a new one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Printed {
    tags: Option<String>,
    keys: Option<Keys>,
    properties: Map<String, Value>,
    flag: i32,
    body_text: Option<String>,
    body_base64: Option<String>,
    body_hex: Option<String>,
    /// For objects written by hand.
    body: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Keys {
    Joined(String),
    List(Vec<String>),
}

/// Makes a message for `topic` from a line that `consume -o jsonl` or `inspect` printed, or that was written by hand:
/// at least one of `body`, `bodyText`, `bodyBase64`, `bodyHex`; perhaps `tags`, `keys`, `properties`, `flag`.
/// Properties that belong to RocketMQ are left out: the message gets its own.
pub(crate) fn read_row(topic: &str, line: &str) -> Result<Message, String> {
    let printed: Printed = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let body = match printed {
        Printed {
            body_text: Some(ref text),
            ..
        } => text.clone().into_bytes(),
        Printed {
            body_base64: Some(ref text),
            ..
        } => BASE64
            .decode(text)
            .map_err(|error| format!("bodyBase64: {error}"))?,
        Printed {
            body_hex: Some(ref text),
            ..
        } => unhex(text).ok_or("bodyHex: not hexadecimal")?,
        Printed {
            body: Some(Value::String(ref text)),
            ..
        } => text.clone().into_bytes(),
        Printed {
            body: Some(ref value),
            ..
        } => value.to_string().into_bytes(),
        _ => return Err("no body, bodyText, bodyBase64 or bodyHex in it".to_owned()),
    };
    let mut message = Message::new(topic, body).with_flag(printed.flag);
    if let Some(tag) = printed.tags.filter(|tag| !tag.is_empty()) {
        message = message.with_tag(tag);
    }
    let keys = match printed.keys {
        Some(Keys::Joined(keys)) => vec![keys],
        Some(Keys::List(keys)) => keys,
        None => Vec::new(),
    };
    if keys.iter().any(|key| !key.is_empty()) {
        message = message.with_keys(keys);
    }
    for (name, value) in printed.properties {
        if !is_reserved_property(&name) {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            message = message.with_property(&name, value);
        }
    }
    Ok(message)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_message_makes_a_new_one() {
        let line = r#"{"topic":"old","tags":"a","keys":"k1 k2","flag":3,"bodyText":"hé",
            "properties":{"mine":"1","UNIQ_KEY":"X","TAGS":"a"},"queueOffset":5}"#;
        let expected = Message::new("new", "hé")
            .with_flag(3)
            .with_tag("a")
            .with_keys(["k1 k2"])
            .with_property("mine", "1");
        assert_eq!(read_row("new", line), Ok(expected));
    }

    #[test]
    fn every_form_of_a_body_is_read_again() {
        let json = br#"{"a":[1,2]}"#;
        for form in [
            BodyForm::Auto,
            BodyForm::Utf8,
            BodyForm::Hex,
            BodyForm::Base64,
            BodyForm::Json,
        ] {
            for body in [&json[..], b"\"text\"", b"plain", b"5"] {
                let (name, value) = shown_body(body, form);
                let line = json!({ name: value }).to_string();
                let message = read_row("T", &line).unwrap();
                assert_eq!(message.body().as_ref(), body, "{form:?}");
            }
        }
        assert_eq!(shown_body(b"\xff", BodyForm::Utf8).1, "\u{fffd}");
        assert_eq!(shown_body(b"\xff", BodyForm::Json).0, "bodyBase64");
        assert_eq!(shown_body(json, BodyForm::Json).0, "body");
    }

    #[test]
    fn bodies_of_all_forms_are_read() {
        let body = |line: &str| read_row("T", line).map(|message| message.body().to_vec());
        assert_eq!(body(r#"{"bodyBase64":"/w=="}"#), Ok(vec![0xff]));
        assert_eq!(body(r#"{"bodyHex":"00fF"}"#), Ok(vec![0, 255]));
        assert_eq!(body(r#"{"body":{"a":1}}"#), Ok(br#"{"a":1}"#.to_vec()));
        assert_eq!(body(r#"{"body":"x"}"#), Ok(b"x".to_vec()));
        for bad in [
            "{}",
            "x",
            r#"{"bodyHex":"0"}"#,
            r#"{"bodyBase64":"="}"#,
            "[]",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
