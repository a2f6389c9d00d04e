//! The files in `config/`, and bodies in the same dialect of JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq::protocol::body::lists::KVConfigSerializeWrapper;
use rmq::protocol::body::offset::{ConsumerOffsetSerializeWrapper, DelayOffsetSerializeWrapper};
use rmq::protocol::body::subscription_group::SubscriptionGroupWrapper;
use rmq::protocol::fastjson;

fuzz_target!(|text: &[u8]| {
    rmq::internals::body(text);
    let _ = fastjson::from_slice::<ConsumerOffsetSerializeWrapper>(text);
    let _ = fastjson::from_slice::<DelayOffsetSerializeWrapper>(text);
    let _ = fastjson::from_slice::<SubscriptionGroupWrapper>(text);
    let _ = fastjson::from_slice::<KVConfigSerializeWrapper>(text);
});
