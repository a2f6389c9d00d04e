//! Frames and heads: decode, compare with what the recorder saw, encode to the same bytes.

use std::collections::BTreeMap;

use bytes::BytesMut;
use rmq::protocol::command::{Head, Serialization};
use rmq::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use serde_json::Value;

use crate::captures::{Recorded, frames};

fn take(recorded: &Recorded) -> Frame {
    let mut buffer = BytesMut::from(recorded.bytes.as_slice());
    let frame = Frame::take(&mut buffer, FRAME_MAX_DEFAULT);
    let frame = frame.unwrap().expect(&recorded.place);
    assert!(buffer.is_empty(), "{}", recorded.place);
    frame
}

fn compare_with_recorder(recorded: &Recorded, head: &Head<'_>) {
    let place = &recorded.place;
    let seen = &recorded.line["header"];
    assert_eq!(seen["code"], head.code, "{place}");
    assert_eq!(seen["opaque"], head.opaque, "{place}");
    assert_eq!(seen["flag"], head.flag, "{place}");
    assert_eq!(seen["version"], head.version, "{place}");
    assert_eq!(seen["language"], head.language.name(), "{place}");
    assert_eq!(seen["remark"].as_str(), head.remark.as_deref(), "{place}");
    assert_eq!(recorded.is_response(), head.is_response(), "{place}");
    assert_eq!(
        recorded.line["kind"] == "oneway",
        head.is_oneway(),
        "{place}"
    );
    let fields: BTreeMap<&str, &str> = head.fields.iter().collect();
    let expected: BTreeMap<&str, &str> = match &recorded.line["extFields"] {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
            .collect(),
        _ => BTreeMap::new(),
    };
    assert_eq!(fields, expected, "{place}");
}

#[test]
fn every_recorded_frame_decodes_and_encodes_to_its_bytes() {
    let mut binary = 0;
    for recorded in frames() {
        let frame = take(&recorded);
        let (head, body) = frame.parse().expect(&recorded.place);
        compare_with_recorder(&recorded, &head);
        let mut encoded = BytesMut::new();
        head.encode(&body, &mut encoded);
        binary += usize::from(head.serialization == Serialization::Rocketmq);

        // Java writes `"extFields":{}` where a header class has no value to send. We leave it out.
        let empty = b"\"extFields\":{},";
        let header = &recorded.bytes[..recorded.bytes.len() - body.len()];
        let same_bytes = match header.windows(empty.len()).position(|part| part == empty) {
            None => encoded == recorded.bytes,
            Some(at) => {
                let shorter = [&recorded.bytes[8..at], &recorded.bytes[at + empty.len()..]];
                encoded[8..] == shorter.concat()
            }
        };
        assert!(same_bytes, "{}", recorded.place);
    }
    assert!(binary >= 30, "only {binary} frames with binary headers");
}

#[test]
fn a_session_in_one_stream_splits_at_any_point() {
    let recorded = frames();
    let mut stream = BytesMut::new();
    let mut found = 0;
    let all: Vec<u8> = recorded.iter().flat_map(|one| one.bytes.clone()).collect();
    for piece in all.chunks(1009) {
        stream.extend_from_slice(piece);
        while let Some(frame) = Frame::take(&mut stream, FRAME_MAX_DEFAULT).unwrap() {
            assert_eq!(frame.bytes, recorded[found].bytes[4..]);
            found += 1;
        }
    }
    assert_eq!(found, recorded.len());
}
