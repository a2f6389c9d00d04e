//! What a stranger may send on the HA port, and what one may answer there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::protocol::ha::switch::{self, Hello, Welcome};
use rmq::protocol::ha::{BODY_MAX, classic};

fuzz_target!(|bytes: &[u8]| {
    let _ = classic::decode_report(bytes);
    let _ = switch::decode_report(bytes);
    if let Ok(Some(header)) = classic::Header::decode(bytes) {
        assert!(header.size <= BODY_MAX);
        assert_eq!(Some(&header.encode()), bytes.first_chunk());
    }
    if let Ok(Some(header)) = switch::Header::decode(bytes) {
        assert!(header.size <= BODY_MAX);
        assert_eq!(switch::Header::decode(&header.encode()), Ok(Some(header)));
    }
    if let Ok(Some(hello)) = Hello::decode(bytes) {
        assert_eq!(Hello::decode(&hello.encode()), Ok(Some(hello)));
    }
    if let Ok(Some((welcome, length))) = Welcome::decode(bytes) {
        assert!(length <= bytes.len());
        assert!(Welcome::decode(&welcome.encode()).is_ok());
    }
});
