//! The tables of codes against Apache's constants.

use std::collections::BTreeMap;

use rmq::protocol::codes::{RequestCode, ResponseCode};

use crate::captures::beside;

type Codes = BTreeMap<String, i32>;

#[test]
fn all_codes_of_apache_and_no_others() {
    let text = std::fs::read(beside("codes.json")).unwrap();
    let expected: BTreeMap<String, Codes> = serde_json::from_slice(&text).unwrap();
    let requests: Codes = RequestCode::ALL
        .iter()
        .map(|code| (code.name().unwrap().to_owned(), code.0))
        .collect();
    let responses: Codes = ResponseCode::ALL
        .iter()
        .map(|code| (code.name().unwrap().to_owned(), code.0))
        .collect();
    assert_eq!(expected["request"], requests);
    assert_eq!(expected["response"], responses);
    assert_eq!(RequestCode(-7).to_string(), "-7");
}
