//! Doors for the fuzz targets.

use bytes::{Bytes, BytesMut};

use crate::protocol::body::heartbeat::HeartbeatData;
use crate::protocol::body::register::RegisterBrokerBody;
use crate::protocol::body::stats::TopicStatsTable;
use crate::protocol::fastjson;
use crate::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use crate::protocol::header::send::SendMessageRequestHeaderV2;
use crate::store::layout::{Layout, segment_name};
use crate::store::log::Item;
use crate::store::{Store, StoreOptions, View};
use crate::sys::Clock;

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

/// Opens a store on files that hold these bytes: two of the log, one each of a queue, the index and the checkpoint. What
/// the store says is its log must then be whole.
pub fn recovery(bytes: &[u8]) {
    const LOG_FILE_BYTES: usize = 4096;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let layout = Layout::new(dir.path());
    let mut rest = bytes;
    let mut file = |path: std::path::PathBuf, size: usize| {
        let (filled, left) = rest.split_at(size.min(rest.len()));
        rest = left;
        let mut content = filled.to_vec();
        content.resize(size, 0);
        let parent = path.parent().expect("a file of the store");
        std::fs::create_dir_all(parent).expect("a directory");
        std::fs::write(path, content).expect("a file");
    };
    let mut options = StoreOptions::new(dir.path());
    options.log_file_bytes = LOG_FILE_BYTES as u64;
    options.queue_file_bytes = 400;
    (options.index_slots, options.index_entries) = (5, 20);
    file(layout.checkpoint(), 48);
    for base in [0, options.log_file_bytes] {
        file(layout.commit_log().join(segment_name(base)), LOG_FILE_BYTES);
    }
    file(layout.consume_queue("t", 0).join(segment_name(0)), 400);
    file(layout.index().join("20260101000000000"), 460);
    if bytes.first().is_some_and(|byte| byte % 2 == 0) {
        file(layout.abort(), 0);
    }
    let Ok((store, report)) = Store::open(options, Clock::System) else {
        return;
    };
    let end = store.appended().get();
    let mut walk = View::open(dir.path())
        .and_then(|view| view.log())
        .expect("a store");
    while let Some(item) = walk.next_item() {
        if let Item::Damaged(damage) = item
            && damage.at.get() < end
        {
            let known = report.damaged.iter().any(|(at, _)| *at == damage.at.get());
            assert!(known, "damage at {} below the end {end}", damage.at);
        }
    }
    store.shutdown().expect("a clean stop");
}
