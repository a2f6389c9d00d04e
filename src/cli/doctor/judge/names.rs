//! Name servers, and whether the brokers they name can be reached.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::count;
use crate::cli::doctor::facts::{Facts, NameServer};
use crate::cli::doctor::finding::{Finding, Link};

/// So many differences are named one by one.
const NAMED: usize = 5;

pub(super) fn servers(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    let answering: Vec<&NameServer> = facts
        .name_servers
        .iter()
        .filter(|server| server.error.is_none())
        .collect();
    for server in &facts.name_servers {
        if let Some(error) = &server.error {
            findings.push(
                Finding::new(
                    "RMQ-D001",
                    &server.address,
                    format!("does not answer: {error}"),
                )
                .fix(format!(
                    "start {}, or take it out of namesrvAddr everywhere",
                    server.address
                )),
            );
        }
    }
    if let [first, others @ ..] = answering.as_slice() {
        for other in others {
            findings.extend(brokers_differ(first, other));
            findings.extend(topics_differ(first, other));
        }
    }
    if facts.name_servers.len() == 1 {
        let only = &facts.name_servers[0].address;
        findings.push(Finding::new("RMQ-D003", only, "is the only name server"));
    }
    Link {
        name: "name servers",
        findings,
        closed: format!("{} and they agree", count(answering.len(), "name server")),
    }
}

fn brokers_differ(first: &NameServer, other: &NameServer) -> Option<Finding> {
    let mut differences: BTreeMap<&str, String> = BTreeMap::new();
    let all: BTreeSet<&String> = first.brokers.keys().chain(other.brokers.keys()).collect();
    for broker in all {
        let (a, b) = (first.brokers.get(broker), other.brokers.get(broker));
        if a != b {
            let at =
                |address: Option<&String>| address.map_or("nowhere", String::as_str).to_owned();
            differences.insert(broker, format!("{broker} is {} / {}", at(a), at(b)));
        }
    }
    let missing: Vec<&str> = differences.keys().copied().collect();
    let (some, _) = differences.iter().next()?;
    let text: Vec<_> = differences.values().take(NAMED).cloned().collect();
    Some(
        Finding::new(
            "RMQ-D002",
            format!("{} / {}", first.address, other.address),
            format!("name different brokers: {}", text.join("; ")),
        )
        .evidence(json!({"brokers": missing}))
        .fix(format!(
            "namesrvAddr={};{} at broker {}",
            first.address,
            other.address,
            some.split(':').next().unwrap_or_default()
        )),
    )
}

fn topics_differ(first: &NameServer, other: &NameServer) -> Option<Finding> {
    let differing: Vec<&String> = first.topics.symmetric_difference(&other.topics).collect();
    if differing.is_empty() {
        return None;
    }
    let named: Vec<_> = differing
        .iter()
        .take(NAMED)
        .map(|topic| topic.as_str())
        .collect();
    let more = differing.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(
        Finding::new(
            "RMQ-D002",
            format!("{} / {}", first.address, other.address),
            format!("only one of them knows {}{more}", named.join(", ")),
        )
        .evidence(json!({"topics": differing.iter().take(100).collect::<Vec<_>>(), "count": differing.len()})),
    )
}

pub(super) fn reach(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    let mut groups: BTreeMap<&str, bool> = BTreeMap::new();
    if facts.brokers.is_empty() {
        let servers: Vec<&str> = facts
            .name_servers
            .iter()
            .map(|server| server.address.as_str())
            .collect();
        findings.push(Finding::new(
            "RMQ-D013",
            servers.join(" "),
            "knows no broker",
        ));
    }
    for broker in &facts.brokers {
        *groups.entry(&broker.name).or_default() |= broker.is_master();
        if let Some(error) = &broker.error {
            findings.push(
                Finding::new(
                    "RMQ-D010",
                    broker.label(),
                    format!(
                        "advertises {}, which cannot be reached from here: {error}",
                        broker.address
                    ),
                )
                .evidence(json!({"address": broker.address})),
            );
        } else if is_loopback(&broker.address) {
            findings.push(
                Finding::new(
                    "RMQ-D012",
                    broker.label(),
                    format!("advertises {}: this machine only", broker.address),
                )
                .evidence(json!({"address": broker.address})),
            );
        }
    }
    for (name, has_master) in groups {
        if !has_master {
            findings.push(Finding::new("RMQ-D011", name, "has no master").fix(format!(
                "start the master of {name}, or: rmq failover plan {name}"
            )));
        }
    }
    let reached = facts.brokers.iter().filter(|broker| broker.error.is_none());
    Link {
        name: "reach",
        findings,
        closed: format!(
            "{} reached at the advertised address",
            count(reached.count(), "broker")
        ),
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
