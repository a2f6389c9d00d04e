//! The timer's files: units, slots, the checkpoint, and opening a directory that holds any of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rmq::internals::timer(bytes));
