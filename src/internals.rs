//! Doors for the fuzz targets.

use bytes::{Bytes, BytesMut};

use crate::protocol::body::heartbeat::HeartbeatData;
use crate::protocol::body::register::RegisterBrokerBody;
use crate::protocol::body::stats::TopicStatsTable;
use crate::protocol::fastjson;
use crate::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use crate::protocol::header::send::SendMessageRequestHeaderV2;

/// Cuts a stream into frames and parses each.
pub fn frames(stream: &[u8]) {
    let mut buffer = BytesMut::from(stream);
    while let Ok(Some(frame)) = Frame::take(&mut buffer, FRAME_MAX_DEFAULT) {
        head_of(&frame);
    }
}

/// Parses `header` in both serializations.
pub fn head(header: &[u8]) {
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX) & 0x00ff_ffff;
    for kind in 0..=1 {
        let word = (kind << 24) | length;
        let bytes = Bytes::from([&word.to_be_bytes(), header].concat());
        head_of(&Frame { bytes });
    }
}

/// What parses must survive being written and parsed again.
fn head_of(frame: &Frame) {
    let Ok((head, body)) = frame.parse() else {
        return;
    };
    let _ = head.header::<SendMessageRequestHeaderV2<'_>>();
    // Replacement characters may make a very long key longer than the binary form can hold.
    if frame.bytes.len() > 8192 {
        return;
    }
    let mut written = BytesMut::new();
    head.encode(&body, &mut written);
    let again = Frame::take(&mut written, usize::MAX);
    let again = again.expect("our own length").expect("a whole frame");
    let (second, _) = again.parse().expect("our own header");
    assert!(second.fields.iter().eq(head.fields.iter()));
}

/// Reads a body in fastjson's dialect and as a compressed registration.
pub fn body(text: &[u8]) {
    let _ = fastjson::to_strict(text);
    let _ = fastjson::from_slice::<HeartbeatData>(text);
    let _ = fastjson::from_slice::<TopicStatsTable>(text);
    let _ = RegisterBrokerBody::decode_compressed(text, i32::MAX);
}
