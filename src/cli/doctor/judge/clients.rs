//! Versions and clocks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::span;
use crate::cli::doctor::facts::{Facts, Member, version_name};
use crate::cli::doctor::finding::{Finding, Level, Link};

/// 4.9.0 as `MQVersion` counts.
const OLD: i32 = 392;
/// Less is the time an answer takes.
const SKEW_NOTE_MS: i64 = 500;
const SKEW_WARNING_MS: i64 = 5_000;
const SKEW_ERROR_MS: i64 = 60_000;

pub(super) fn versions(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    let consumers = facts
        .groups
        .iter()
        .map(|group| (&group.name, &group.members));
    let mut old: BTreeMap<&str, (&Member, BTreeSet<&str>)> = BTreeMap::new();
    let mut clients = BTreeSet::new();
    for (group, members) in consumers.chain(&facts.producers) {
        for member in members {
            clients.insert(member.client_id.as_str());
            // Clients in other languages count their releases as they like.
            if member.version < OLD && member.language == "JAVA" {
                let entry = old
                    .entry(&member.client_id)
                    .or_insert((member, BTreeSet::new()));
                entry.1.insert(group);
            }
        }
    }
    for (client, (member, groups)) in old {
        let groups: Vec<_> = groups.into_iter().collect();
        findings.push(
            Finding::new(
                "RMQ-D080",
                client,
                format!(
                    "is a Java client of {} ({})",
                    version_name(member.version),
                    groups.join(", ")
                ),
            )
            .evidence(
                json!({"version": member.version, "address": member.address, "groups": groups}),
            ),
        );
    }
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for broker in &facts.brokers {
        if let Some(version) = broker.runtime.get("brokerVersionDesc") {
            versions.entry(&broker.cluster).or_default().insert(version);
        }
    }
    for (cluster, versions) in versions {
        if versions.len() > 1 {
            let versions: Vec<_> = versions.into_iter().collect();
            findings.push(
                Finding::new(
                    "RMQ-D082",
                    cluster,
                    format!("has brokers of {}", versions.join(" and ")),
                )
                .evidence(json!({"versions": versions})),
            );
        }
    }
    Link {
        name: "clients",
        findings,
        closed: match clients.len() {
            0 => "none connected".to_owned(),
            1 => "1 connected, of a recent version".to_owned(),
            many => format!("{many} connected, of recent versions"),
        },
    }
}

pub(super) fn clock(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    let mut known = 0;
    for broker in &facts.brokers {
        if broker.virtual_clock {
            findings.push(Finding::new(
                "RMQ-D083",
                broker.label(),
                "has a virtual clock",
            ));
            continue;
        }
        let Some(ahead) = broker.clock_ahead_ms else {
            continue;
        };
        known += 1;
        let level = match ahead.abs() {
            ..SKEW_NOTE_MS => continue,
            SKEW_NOTE_MS..SKEW_WARNING_MS => Level::Note,
            SKEW_WARNING_MS..SKEW_ERROR_MS => Level::Warning,
            _ => Level::Error,
        };
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        findings.push(
            Finding::new(
                "RMQ-D081",
                broker.label(),
                format!(
                    "its clock is {} {direction} this machine's",
                    span(ahead.abs())
                ),
            )
            .level(level)
            .evidence(json!({"aheadMs": ahead})),
        );
    }
    Link {
        name: "clock",
        findings,
        closed: if known == 0 {
            "no broker told its time".to_owned()
        } else {
            "brokers and this machine agree within half a second".to_owned()
        },
    }
}
