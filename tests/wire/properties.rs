//! Properties that hold for all bytes and all values.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use rmq::protocol::body::heartbeat::HeartbeatData;
use rmq::protocol::body::register::RegisterBrokerBody;
use rmq::protocol::body::stats::TopicStatsTable;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Envelope, Serialization};
use rmq::protocol::fastjson;
use rmq::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use rmq::protocol::header::send::SendMessageRequestHeaderV2;
use rmq::protocol::header::{Decimal, Header, NoHeader};

fn serialization() -> impl Strategy<Value = Serialization> {
    prop_oneof![Just(Serialization::Json), Just(Serialization::Rocketmq)]
}

/// Text with what needs escaping, beside everything else.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>(),
        Just('"'),
        Just('\\'),
        Just('\u{1}'),
        Just('\n')
    ];
    vec(piece, 0..24).prop_map(String::from_iter)
}

fn decode(bytes: &mut BytesMut) -> Frame {
    let frame = Frame::take(bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
    assert!(bytes.is_empty());
    frame
}

/// JSON-like text: close to valid far more often than random bytes are.
fn almost_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("\""),
        Just("\\u00"),
        Just("\\"),
        Just("1"),
        Just("-5"),
        Just("null"),
        Just("\"code\":1"),
        Just("\"extFields\":{"),
        Just("\"a\":\"b\""),
        Just("{\"topic\":\"t\"}"),
        Just("x"),
        Just(" "),
        Just("\"remark\":"),
        Just("true"),
        Just("\\ud83d"),
        Just("\"opaque\""),
    ];
    vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), kind in 0u8..3) {
        let mut buffer = BytesMut::from(bytes.as_slice());
        let _ = Frame::take(&mut buffer, 1024).map(|frame| frame.map(|one| one.parse().is_ok()));
        let length = u8::try_from(bytes.len() & 0x7f).unwrap();
        let framed = [&[kind, 0, 0, length], bytes.as_slice()].concat();
        let frame = Frame { bytes: Bytes::from(framed) };
        let _ = frame.parse();
        let _ = fastjson::to_strict(&bytes);
        let _ = fastjson::from_slice::<HeartbeatData>(&bytes);
        let _ = RegisterBrokerBody::decode_compressed(&bytes, 513);
    }

    #[test]
    fn broken_json_never_panics(text in almost_json()) {
        let length = u32::try_from(text.len()).unwrap();
        let framed = [&length.to_be_bytes(), text.as_bytes()].concat();
        let frame = Frame { bytes: Bytes::from(framed) };
        if let Ok((head, _)) = frame.parse() {
            let mut again = BytesMut::new();
            head.encode(b"", &mut again);
            let second = decode(&mut again);
            let (second, _) = second.parse().unwrap();
            prop_assert_eq!(second.envelope(), head.envelope());
            prop_assert!(second.fields.iter().eq(head.fields.iter()));
        }
        let _ = fastjson::from_slice::<TopicStatsTable>(text.as_bytes());
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            prop_assert!(fastjson::to_strict(text.as_bytes()).is_ok());
        }
    }

    #[test]
    fn commands_round_trip(
        serialization in serialization(),
        code in any::<i16>(),
        opaque in any::<i32>(),
        remark in proptest::option::of(text()),
        fields in vec((text(), text()), 0..20),
        body in vec(any::<u8>(), 0..64),
    ) {
        let mut command = Command::request(RequestCode(code.into()), &NoHeader).with_body(body);
        command.remark = remark.filter(|text| !text.is_empty());
        for (key, value) in fields {
            command.fields.push(key, value);
        }
        let mut bytes = BytesMut::new();
        command.encode(serialization, opaque, &mut bytes);
        let frame = decode(&mut bytes);
        let (head, body) = frame.parse().unwrap();
        prop_assert_eq!(head.serialization, serialization);
        prop_assert_eq!(head.opaque, opaque);
        prop_assert_eq!(head.code, command.code);
        prop_assert_eq!(head.remark.as_deref(), command.remark.as_deref());
        prop_assert!(head.fields.iter().eq(command.fields.iter()));
        prop_assert_eq!(body, command.body);
    }

    #[test]
    fn typed_headers_round_trip(
        serialization in serialization(),
        topic in text(),
        properties in text(),
        queue_id in any::<i32>(),
        born_timestamp in any::<i64>(),
        batch in any::<Option<bool>>(),
    ) {
        let header = SendMessageRequestHeaderV2 {
            topic: &topic,
            properties: Some(&properties),
            queue_id,
            born_timestamp,
            batch,
            ..SendMessageRequestHeaderV2::default()
        };
        let mut bytes = BytesMut::new();
        let envelope = Envelope::response(serialization, 5, ResponseCode::SUCCESS);
        envelope.with_remark("r").encode(&header, 3, &mut bytes);
        bytes.extend_from_slice(b"abc");
        let frame = decode(&mut bytes);
        let (head, body) = frame.parse().unwrap();
        prop_assert_eq!(head.header::<SendMessageRequestHeaderV2<'_>>().unwrap(), header);
        prop_assert_eq!(&body[..], b"abc");
        prop_assert!(head.is_response());
    }

    #[test]
    fn decimals(value in any::<i64>(), shift in 0u32..64) {
        let value = value >> shift;
        let text = Decimal::new(value).as_str().to_owned();
        prop_assert_eq!(text, value.to_string());
    }
}

#[test]
fn extreme_decimals() {
    for value in [i64::MIN, i64::MAX, 0, -1, 9, 10] {
        assert_eq!(Decimal::new(value).as_str(), value.to_string());
    }
}

#[test]
fn a_header_writes_only_what_it_has() {
    let mut keys = String::new();
    SendMessageRequestHeaderV2::default().write(&mut |key, _| keys.push_str(key));
    assert_eq!(keys, "abcdefgh");
}
