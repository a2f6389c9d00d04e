//! A frame's header in both serializations.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| rmq::internals::head(header));
