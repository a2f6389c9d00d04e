//! From facts to findings, link by link. Pure.

mod brokers;
mod clients;
pub(crate) mod groups;
mod machine;
mod names;
#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::finding::{Finding, Link};

/// The links of the chain, in the order a message takes.
pub(super) fn judge(facts: &Facts) -> Vec<Link> {
    if facts.brokers.iter().all(|broker| broker.error.is_some()) {
        // Nothing can be said of links that nobody told about.
        return vec![
            names::servers(facts),
            names::reach(facts),
            machine::local(facts),
            unasked(facts),
        ];
    }
    vec![
        names::servers(facts),
        names::reach(facts),
        brokers::flush(facts),
        brokers::copies(facts),
        brokers::disk(facts),
        brokers::transactions(facts),
        brokers::topics(facts),
        groups::offsets(facts),
        groups::subscriptions(facts),
        groups::attempts(facts),
        clients::versions(facts),
        clients::clock(facts),
        machine::local(facts),
        unasked(facts),
    ]
}

/// The findings about this machine alone, for when there is no cluster to ask.
pub(super) fn judge_machine(facts: &Facts) -> Vec<Link> {
    vec![machine::local(facts)]
}

fn unasked(facts: &Facts) -> Link {
    let findings = facts
        .unasked
        .iter()
        .map(|why| Finding::new("RMQ-D099", "audit", why.clone()))
        .collect();
    Link {
        name: "audit",
        findings,
        closed: "every question was answered".to_owned(),
    }
}

fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// `1,204,331`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 {
        text.insert(0, '-');
    }
    text
}

/// `2d 4h`, `7m 30s`, `12s`: the two largest units.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(value, _)| *value != 0);
    let Some(first) = first else {
        return if ms == 0 {
            "0s".to_owned()
        } else {
            format!("{ms} ms")
        };
    };
    parts
        .iter()
        .skip(first)
        .take(2)
        .filter(|(value, _)| *value != 0)
        .map(|(value, unit)| format!("{value}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}
