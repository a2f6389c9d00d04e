//! What clients write into the trace topic: fields separated by \u{1}, records by \u{2} (`TraceDataEncoder`).
//!
//! The text comes from any client, so every field may be missing or nonsense: what cannot be read is left out.

use super::events::Event;

const FIELD: char = '\u{1}';
const RECORD: char = '\u{2}';
/// Records of one trace message; clients send a few dozen.
const MOST: usize = 10_000;

/// What a trace says about one message, as events; `host` is where the trace came from.
pub(super) fn events(body: &str, unique_id: &str, host: &str) -> Vec<Event> {
    body.split(RECORD)
        .filter(|record| !record.is_empty())
        .take(MOST)
        .filter_map(|record| event(&record.split(FIELD).collect::<Vec<_>>(), unique_id, host))
        .collect()
}

fn event(fields: &[&str], wanted: &str, host: &str) -> Option<Event> {
    let field = |at: usize| {
        fields
            .get(at)
            .copied()
            .filter(|text| *text != "null")
            .unwrap_or_default()
    };
    let ms = |at: usize| field(at).parse::<i64>().ok();
    let took = |at: usize| ms(at).map_or_else(String::new, |ms| format!(" in {ms} ms"));
    let is = |at: usize| field(at) == wanted && !wanted.is_empty();
    match field(0) {
        "Pub" if is(5) => {
            // Old clients have no offset id between the kind of message and the outcome.
            let outcome = if fields.len() >= 14 {
                field(13)
            } else {
                field(12)
            };
            let well = if outcome == "false" {
                "send failed"
            } else {
                "sent"
            };
            let host = if field(14).is_empty() {
                host
            } else {
                field(14)
            };
            Some(
                Event::new(
                    well,
                    ms(1),
                    format!("by {} at {host} to {}{}", field(3), field(8), took(10)),
                )
                .of_group(field(3))
                .by(host),
            )
        }
        "SubBefore" if is(5) => {
            let times = ms(6).unwrap_or_default();
            let again = if times > 0 {
                format!(", retry {times}")
            } else {
                String::new()
            };
            Some(
                Event::new(
                    "delivered",
                    ms(1),
                    format!("to {} at {host}{again}", field(3)),
                )
                .of_group(field(3))
                .by(host),
            )
        }
        "SubAfter" if is(2) => {
            let success = field(4) == "true";
            let group = field(8);
            let of_whom = if group.is_empty() { host } else { group };
            let code = match field(6) {
                "" | "0" => "",
                "1" => ", timed out",
                "2" => ", threw an exception",
                "3" => ", returned null",
                "4" => ", failed",
                _ => ", with another result",
            };
            let verb = if success { "handled" } else { "failed" };
            Some(
                Event::new(verb, ms(7), format!("by {of_whom}{}{code}", took(3)))
                    .of_group(group)
                    .by(host),
            )
        }
        "EndTransaction" if is(5) => {
            let from_check = if field(12) == "true" {
                ", asked back"
            } else {
                ""
            };
            Some(
                Event::new(
                    "ended",
                    ms(1),
                    format!("{} by {} at {host}{from_check}", field(11), field(3)),
                )
                .of_group(field(3))
                .by(host),
            )
        }
        "Recall" if is(5) => {
            let well = if field(6) == "true" {
                "taken back"
            } else {
                "could not be taken back"
            };
            Some(Event::new("recall", ms(1), format!("{well} by {}", field(3))).of_group(field(3)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> String {
        fields.join("\u{1}") + "\u{2}"
    }

    #[test]
    fn all_kinds_of_apaches_records() {
        let body = [
            record(&[
                "Pub",
                "1000",
                "r",
                "pg",
                "orders",
                "ID",
                "tag",
                "key",
                "10.0.0.1:10911",
                "5",
                "12",
                "0",
                "OFF",
                "true",
            ]),
            record(&["SubBefore", "2000", "r", "cg", "req", "ID", "1", "key"]),
            record(&[
                "SubAfter", "req", "ID", "7", "false", "key", "2", "2007", "cg",
            ]),
            record(&[
                "EndTransaction",
                "3000",
                "r",
                "pg",
                "orders",
                "ID",
                "",
                "",
                "10.0.0.1:10911",
                "2",
                "tx",
                "COMMIT_MESSAGE",
                "true",
            ]),
            record(&["Recall", "4000", "r", "pg", "orders", "ID", "true"]),
            record(&[
                "Pub", "1", "r", "pg", "orders", "OTHER", "", "", "", "5", "12", "0", "true",
            ]),
        ]
        .concat();
        let events = events(&body, "ID", "10.0.0.7:5");
        let told: Vec<(Option<i64>, &str, &str)> = events
            .iter()
            .map(|event| (event.at_ms, event.what, event.text.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Some(1000),
                    "sent",
                    "by pg at 10.0.0.7:5 to 10.0.0.1:10911 in 12 ms"
                ),
                (Some(2000), "delivered", "to cg at 10.0.0.7:5, retry 1"),
                (Some(2007), "failed", "by cg in 7 ms, threw an exception"),
                (
                    Some(3000),
                    "ended",
                    "COMMIT_MESSAGE by pg at 10.0.0.7:5, asked back"
                ),
                (Some(4000), "recall", "taken back by pg"),
            ]
        );
    }

    #[test]
    fn old_clients_leave_fields_out() {
        let old = record(&[
            "Pub", "1", "r", "pg", "t", "ID", "", "", "h", "5", "12", "0", "false",
        ]);
        assert_eq!(events(&old, "ID", "h")[0].what, "send failed");
        let old = record(&["SubAfter", "req", "ID", "7", "true", "key"]);
        assert_eq!(
            events(&old, "ID", "10.0.0.7")[0].text,
            "by 10.0.0.7 in 7 ms"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(body: String, id: String) {
            events(&body, &id, "h");
        }
    }
}
