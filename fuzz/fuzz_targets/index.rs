//! A key index file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::store::index::format::KeyHash;
use rmq::store::view::IndexView;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut index) = IndexView::over_memory(bytes.to_vec()) else {
        return;
    };
    for key in ["a", "b", "key-0"] {
        let found = index.lookup(KeyHash::of_key("t", key)).unwrap();
        assert!(found.is_sorted_by(|newer, older| newer.0 > older.0));
    }
    for number in 0..=index.header().last_entry().min(1000) {
        index.entry(number).unwrap();
    }
});
