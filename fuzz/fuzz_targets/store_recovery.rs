//! A store directory whose files hold anything: opening it ends, and what it serves afterwards is whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rmq::internals::recovery(bytes));
