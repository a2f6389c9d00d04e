//! Walks over logs made by hand, whole and damaged.

use proptest::prelude::*;

use super::*;
use crate::message::record::{Draft, MAGIC_BLANK, patch};

const FILE_BYTES: usize = 2000;

fn record(at: u64, body: &[u8]) -> Vec<u8> {
    let host = "127.0.0.1:10911".parse().unwrap();
    let draft = Draft {
        topic: "T",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: b"",
    };
    let mut bytes = Vec::new();
    let encoded = draft.encode_into(&mut bytes).unwrap();
    patch(&mut bytes, encoded.sys_flag, 0, at.cast_signed(), 2);
    bytes
}

/// One file with as many records as asked for, each of 102 bytes.
fn file(base: u64, records: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..records {
        let at = base + bytes.len() as u64;
        bytes.extend(record(at, b"ten bytes!"));
    }
    bytes.resize(FILE_BYTES, 0);
    bytes
}

fn listing(mut walk: Walk) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(item) = walk.next_item() {
        lines.push(match item {
            Item::Record(stored) => format!("record {}", stored.record.physical_offset),
            Item::Blank(blank) => format!("blank {}+{}", blank.at, blank.size),
            Item::End { at } => format!("end {at}"),
            Item::Damaged(damage) => format!("damaged {}..{}", damage.at, damage.until),
        });
    }
    lines
}

#[test]
fn goes_from_file_to_file() {
    let mut first = file(0, 2);
    first[204..208].copy_from_slice(&1796_u32.to_be_bytes());
    first[208..212].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    let files = [(0, first), (2000, file(2000, 1)), (4000, file(4000, 0))];
    let expected = [
        "record 0",
        "record 102",
        "blank 204+1796",
        "record 2000",
        "end 2102",
        "end 4000",
    ];
    assert_eq!(listing(Walk::over_memory(files)), expected);
}

#[test]
fn whole_records_after_damage_are_kept() {
    let mut bytes = file(0, 4);
    bytes[102 + 95] ^= 1; // in the body: lengths still add up
    bytes[204] = 0xFF; // the length field: only a search finds the next record
    let expected = [
        "record 0",
        "damaged 102..204",
        "damaged 204..306",
        "record 306",
        "end 408",
    ];
    assert_eq!(listing(Walk::over_memory([(0, bytes)])), expected);
}

#[test]
fn garbage_behind_the_last_record_ends_with_the_last_byte_written() {
    let mut bytes = file(0, 1);
    bytes[102..130].fill(0xAB);
    let expected = ["record 0", "damaged 102..130"];
    assert_eq!(listing(Walk::over_memory([(0, bytes)])), expected);
}

#[test]
fn a_record_that_lies_elsewhere_is_no_record() {
    let mut walk = Walk::over_memory([(0, record(77, b"x"))]);
    let Some(Item::Damaged(damage)) = walk.next_item() else {
        panic!("a record at the wrong place must be damage");
    };
    assert_eq!(damage.reason, Reason::Position { stored: 77 });
    assert!(damage.record.is_some());
}

#[test]
fn a_missing_file_is_a_gap() {
    let files = [(0, record(0, b"x")), (500, file(500, 1))];
    let expected = ["record 0", "damaged 93..500", "record 500", "end 602"];
    assert_eq!(listing(Walk::over_memory(files)), expected);
}

#[test]
fn starts_at_the_next_whole_record() {
    let walk = || Walk::over_memory([(100, file(100, 3)), (2100, file(2100, 1))]);
    let from = |at| listing(walk().starting_at(LogOffset::new(at)));
    assert_eq!(from(0)[0], "record 100");
    assert_eq!(from(100)[0], "record 100");
    assert_eq!(from(101)[0], "record 202");
    assert_eq!(from(406), ["end 406", "record 2100", "end 2202"]);
    assert_eq!(from(2100)[0], "record 2100");
    assert_eq!(from(99_999), Vec::<String>::new());
}

#[test]
fn records_behind_a_hole_are_found_when_asked_for() {
    let mut bytes = file(0, 4);
    bytes[102..306].fill(0);
    let walk = || Walk::over_memory([(0, bytes.clone())]);
    assert_eq!(listing(walk()), ["record 0", "end 102"]);
    let expected = ["record 0", "damaged 102..306", "record 306", "end 408"];
    assert_eq!(listing(walk().behind_end(true)), expected);
}

proptest! {
    #[test]
    fn always_ends_and_covers_every_byte_once(
        flips in proptest::collection::vec((0..FILE_BYTES, any::<u8>()), 0..40),
        cut in 0..FILE_BYTES,
        from in 0..5000_u64,
    ) {
        let mut bytes = file(0, 19);
        for (at, value) in flips {
            bytes[at] = value;
        }
        bytes.truncate(cut);
        let files = [(0, bytes), (2000, file(2000, 3))];
        let mut at = 0;
        let mut walk = Walk::over_memory(files.clone());
        while let Some(item) = walk.next_item() {
            let (begin, end) = match &item {
                Item::Record(s) => {
                    let begin = s.record.physical_offset.cast_unsigned();
                    (begin, begin + u64::from(s.record.size))
                }
                Item::Blank(b) => (b.at.get(), b.at.get() + u64::from(b.size)),
                Item::End { at } => (at.get(), at.get()),
                Item::Damaged(d) => (d.at.get(), d.until.get()),
            };
            prop_assert!(begin >= at && end >= begin);
            at = end;
        }
        let mut walk = Walk::over_memory(files).starting_at(LogOffset::new(from)).behind_end(true);
        while walk.next_item().is_some() {}
    }

    #[test]
    fn random_bytes_never_panic(base in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut walk = Walk::over_memory([(base, bytes)]);
        while walk.next_item().is_some() {}
    }
}
