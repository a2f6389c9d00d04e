//! A stream of remoting frames, as it comes from a socket.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| rmq::internals::frames(stream));
