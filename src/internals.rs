//! Doors for the fuzz targets.

use bytes::{Bytes, BytesMut};

use crate::filter::SqlFilter;
use crate::message::Properties;
use crate::protocol::body::heartbeat::HeartbeatData;
use crate::protocol::body::register::RegisterBrokerBody;
use crate::protocol::body::stats::TopicStatsTable;
use crate::protocol::fastjson;
use crate::protocol::frame::{FRAME_MAX_DEFAULT, Frame};
use crate::protocol::header::send::SendMessageRequestHeaderV2;
use crate::store::layout::{Layout, segment_name};
use crate::store::log::Item;
use crate::store::timer::format::SLOTS;
use crate::store::timer::{TimerFiles, Waiting};
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

/// Parses an expression and evaluates it for a property block.
pub fn sql92(expression: &str, properties: &[u8]) {
    if let Ok(filter) = SqlFilter::parse(expression) {
        let _ = filter.matches(Properties::new(properties));
    }
}

/// Opens the timer's files with these bytes in them, reads every slot that waits, and adds one message more.
pub fn timer(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (check, rest) = bytes.split_at(bytes.len().min(56));
    let (log, wheel) = rest.split_at(rest.len().min(2080));
    let write = |path: &str, bytes: &[u8], length: u64| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file")).expect("a directory");
        std::fs::write(&path, bytes).expect("a file");
        let file = std::fs::OpenOptions::new().write(true).open(path);
        file.and_then(|file| file.set_len(length))
            .expect("a file of this length");
    };
    write("config/timercheck", check, 4096);
    write("timerlog/00000000000000000000", log, 2080);
    write("timerwheel", wheel, SLOTS * 32);
    let Ok((mut files, _)) = TimerFiles::open(dir.path(), 1000, 2080) else {
        return;
    };
    files.rewind(1_000_000_000).expect("a readable wheel");
    let message = Waiting {
        slot_ms: 1_000_005_000,
        written_ms: 1_000_000_000,
        kind: 0,
        log_offset: 1,
        size: 1,
        topic_hash: 1,
    };
    files.add(&message).expect("room for one");
    files.commit().expect("a writable directory");
    let mut last = i64::MIN;
    while let Some(slot_ms) = files.next_slot_ms() {
        assert!(slot_ms > last, "slots come in order");
        last = slot_ms;
        let _ = files.slot(slot_ms).expect("a readable log");
        files.done(slot_ms).expect("a readable wheel");
    }
    files.sync().expect("a writable directory");
}

/// Opens a store on files that hold these bytes: two of the log, one each of a queue, the index and the checkpoint. It
/// opens or refuses; what it says it mended is whole, and it stops in order.
pub fn recovery(bytes: &[u8]) {
    const LOG_FILE_BYTES: usize = 4096;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let layout = Layout::new(dir.path());
    let mut rest = bytes;
    // Of each file the first bytes come from the input.
    let mut file = |path: std::path::PathBuf, filled: usize, size: u64| {
        let (filled, left) = rest.split_at(filled.min(rest.len()));
        rest = left;
        let parent = path.parent().expect("a file of the store");
        std::fs::create_dir_all(parent).expect("a directory");
        std::fs::write(&path, filled).expect("a file");
        let file = std::fs::OpenOptions::new().write(true).open(path);
        file.and_then(|file| file.set_len(size))
            .expect("a file of this length");
    };
    let mut options = StoreOptions::new(dir.path());
    options.log_file_bytes = LOG_FILE_BYTES as u64;
    (options.index_slots, options.index_entries) = (5, 20);
    file(layout.checkpoint(), 48, 4096);
    for base in [0, options.log_file_bytes] {
        let path = layout.commit_log().join(segment_name(base));
        file(path, LOG_FILE_BYTES, options.log_file_bytes);
    }
    let queue = layout.consume_queue("t", 0).join(segment_name(0));
    file(queue, 400, options.queue_file_bytes);
    file(layout.index().join("20260101000000000"), 460, 460);
    if bytes.first().is_some_and(|byte| byte % 2 == 0) {
        file(layout.abort(), 0, 0);
    }
    let Ok((store, report)) = Store::open(options, Clock::System) else {
        return;
    };
    let view = View::open(dir.path()).expect("a store");
    let mut walk = view.log().expect("a log");
    while let Some(item) = walk.next_item() {
        if let Item::Damaged(damage) = item {
            let at = damage.at.get();
            let mended = report.damaged.iter().any(|(from, _)| *from == at);
            assert!(
                !mended,
                "the damage at {at} was reported and is still there"
            );
        }
    }
    store.shutdown().expect("a clean stop");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::message::record::{Draft, patch};

    /// Checkpoint, two files of the log with a few whole records each, a queue and an index.
    fn store_bytes() -> Vec<u8> {
        let host = "127.0.0.1:10911".parse().unwrap();
        let mut bytes = vec![0; 48];
        for base in [0, 4096] {
            let start = bytes.len();
            for number in 0..8 {
                let at = base + bytes.len() - start;
                let draft = Draft {
                    topic: "t",
                    queue_id: 0,
                    flag: 0,
                    sys_flag: 0,
                    born_timestamp: 1,
                    born_host: host,
                    store_host: host,
                    reconsume_times: 0,
                    prepared_transaction_offset: 0,
                    body: &[7; 300],
                    properties: b"KEYS\x01k\x02",
                };
                let mut record = Vec::new();
                let encoded = draft.encode_into(&mut record).unwrap();
                let queue_offset = i64::from(base != 0) * 8 + number;
                let place = i64::try_from(at).unwrap();
                patch(
                    &mut record,
                    encoded.sys_flag,
                    queue_offset,
                    place,
                    1 + place,
                );
                bytes.extend(record);
            }
            bytes.resize(start + 4096, 0);
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn timer_files_of_any_bytes_open(
            numbers in prop::collection::vec(0..2_000_000_i64, 7),
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
        ) {
            let mut file: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            file.extend(bytes);
            super::timer(&file);
        }

        #[test]
        fn a_store_of_any_bytes_opens_or_refuses(
            flips in prop::collection::vec((0..8300_usize, any::<u8>()), 0..30),
            tail in prop::collection::vec(any::<u8>(), 0..900),
        ) {
            let mut bytes = store_bytes();
            bytes.extend(tail);
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            super::recovery(&bytes);
        }
    }
}
