//! The checkpoint file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::store::checkpoint::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let checkpoint = Checkpoint::decode(bytes);
    assert_eq!(Checkpoint::decode(&checkpoint.encode()), checkpoint);
});
