//! One stored record, and a log of two files that holds nothing but these bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::message::{Record, batch, compress};
use rmq::store::LogOffset;
use rmq::store::log::{Item, Walk};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::parse(bytes) {
        let _ = record.crc_ok();
        let _ = record.offset_message_id();
        record.properties.iter().for_each(drop);
        batch::decode(record.body).for_each(drop);
        let _ = compress::decompress(record.sys_flag, record.body, 1 << 20);
    }
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let files = [(0, first.to_vec()), (first.len() as u64, second.to_vec())];
    let mut walk = Walk::over_memory(files.clone());
    let mut end = 0;
    while let Some(item) = walk.next_item() {
        let (from, to) = match item {
            Item::Record(stored) => {
                let at = stored.record.physical_offset.cast_unsigned();
                (at, at + u64::from(stored.record.size))
            }
            Item::Blank(blank) => (blank.at.get(), blank.at.get() + u64::from(blank.size)),
            Item::End { at } => (at.get(), at.get()),
            Item::Damaged(damage) => (damage.at.get(), damage.until.get()),
        };
        assert!(end <= from && from <= to, "the walk only goes forward");
        end = to;
    }
    let from = LogOffset::new(first.len() as u64 / 2);
    let mut walk = Walk::over_memory(files).starting_at(from).behind_end(true);
    while walk.next_item().is_some() {}
});
