//! A file of a consume queue.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::store::queue::Entry;

fuzz_target!(|bytes: &[u8]| {
    for chunk in bytes.as_chunks().0 {
        let entry = Entry::decode(chunk);
        assert_eq!(entry.encode(), *chunk);
        assert!(!(entry.is_plausible() && (entry.is_filler() || entry.is_unwritten())));
    }
});
