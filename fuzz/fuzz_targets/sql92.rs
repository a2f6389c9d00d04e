//! An SQL92 expression and, behind a zero byte, the properties it is evaluated for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let expression = String::from_utf8_lossy(parts.next().unwrap_or_default());
    rmq::internals::sql92(&expression, parts.next().unwrap_or_default());
});
