//! The property block of a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::message::{Properties, PropertiesBuf};

fuzz_target!(|bytes: &[u8]| {
    let properties = Properties::new(bytes);
    let mut owned = PropertiesBuf::new();
    for (name, value) in properties.iter() {
        assert!(properties.get(name).is_some());
        owned.set(name, value);
    }
    let mut wire = Vec::new();
    owned.write_to(&mut wire);
    for (name, value) in Properties::new(&wire).iter() {
        assert_eq!(owned.get(name), Some(value));
    }
});
