//! Consumer groups: offsets, subscriptions, attempts, dead letters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{count, grouped, span};
use crate::cli::doctor::facts::{Facts, Filter, Group, Member, Queue};
use crate::cli::doctor::finding::{Finding, Level, Link};
use crate::client::admin::ConsumeType;

pub(super) fn offsets(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for group in &facts.groups {
        findings.extend(broken_offsets(group));
        findings.extend(lag(group, facts));
    }
    Link {
        name: "progress",
        findings,
        closed: match facts.groups.len() {
            0 => "no consumer group yet".to_owned(),
            groups => format!("{} within reach of the end", count(groups, "group")),
        },
    }
}

/// Offsets outside their queues: RMQ-D062 and RMQ-D063.
pub(crate) fn broken_offsets(group: &Group) -> Vec<Finding> {
    let mut findings = Vec::new();
    let by_topic = |wanted: &dyn Fn(&Queue) -> Option<i64>| {
        let mut topics: BTreeMap<&str, (i64, Vec<String>)> = BTreeMap::new();
        for queue in group
            .own_queues()
            .filter(|queue| queue.committed_later >= 0)
        {
            if let Some(messages) = wanted(queue) {
                let entry = topics.entry(&queue.topic).or_default();
                entry.0 = entry.0.saturating_add(messages);
                entry.1.push(queue.label());
            }
        }
        topics
    };
    let beyond = by_topic(&|queue| {
        let ahead = queue.committed_later - queue.max_later;
        (ahead > 0).then_some(ahead)
    });
    for (topic, (messages, queues)) in beyond {
        findings.push(
            Finding::new(
                "RMQ-D062",
                &group.name,
                format!(
                    "is {} past the end of {topic} ({}): as many messages to come will be skipped",
                    grouped(messages),
                    queues.join(" ")
                ),
            )
            .evidence(json!({"topic": topic, "queues": queues, "messages": messages}))
            .fix(format!(
                "rmq group reset {} {topic} --to latest",
                group.name
            )),
        );
    }
    let gone = by_topic(&|queue| {
        let lost = queue.min - queue.committed_later;
        // A queue that was never read from has offset 0 in some clients; nothing was its.
        (lost > 0 && queue.committed_later > 0).then_some(lost)
    });
    for (topic, (messages, queues)) in gone {
        findings.push(
            Finding::new(
                "RMQ-D063",
                &group.name,
                format!(
                    "{} of {topic} were deleted before it consumed them ({})",
                    messages_of(messages),
                    queues.join(" ")
                ),
            )
            .evidence(json!({"topic": topic, "queues": queues, "messages": messages})),
        );
    }
    findings
}

fn messages_of(number: i64) -> String {
    if number == 1 {
        "1 message".to_owned()
    } else {
        format!("{} messages", grouped(number))
    }
}

/// RMQ-D060, RMQ-D064 and RMQ-D069.
fn lag(group: &Group, facts: &Facts) -> Vec<Finding> {
    let behind: i64 = group.own_queues().map(Queue::behind).sum();
    let growth: i64 = group.own_queues().map(Queue::growth).sum();
    let oldest = group.own_queues().filter_map(|queue| queue.waits_ms).max();
    let evidence = json!({
        "behind": behind,
        "growth": growth,
        "intervalMs": facts.interval_ms,
        "oldestWaitsMs": oldest,
        "members": group.members.len(),
    });
    let mut findings = Vec::new();
    if behind > 0 && group.members.is_empty() && !group.broadcasts() {
        findings.push(
            Finding::new(
                "RMQ-D069",
                &group.name,
                format!("{} and nobody is connected", wait(behind)),
            )
            .evidence(evidence.clone())
            .fix(format!(
                "start the consumer, or: rmq group rm {}",
                group.name
            )),
        );
    } else if growth > 0 && behind > growth {
        findings.push(
            Finding::new(
                "RMQ-D060",
                &group.name,
                format!(
                    "{} behind and {} more within {}",
                    messages_of(behind),
                    grouped(growth),
                    span(facts.interval_ms)
                ),
            )
            .evidence(evidence.clone())
            .fix(format!("rmq why {}", group.name)),
        );
    }
    let reserved_hours = facts
        .brokers
        .iter()
        .filter_map(|broker| broker.number("fileReservedTime"))
        .min();
    if let (Some(waits), Some(hours)) = (oldest, reserved_hours)
        && waits > hours.saturating_mul(1_800_000)
    {
        findings.push(
            Finding::new(
                "RMQ-D064",
                &group.name,
                format!(
                    "its oldest message has waited for {} and is kept for {hours}h",
                    span(waits)
                ),
            )
            .evidence(evidence)
            .fix(format!(
                "rmq why {}; or raise fileReservedTime meanwhile",
                group.name
            )),
        );
    }
    findings
}

fn wait(messages: i64) -> String {
    if messages == 1 {
        "1 message waits".to_owned()
    } else {
        format!("{} messages wait", grouped(messages))
    }
}

pub(super) fn subscriptions(facts: &Facts) -> Link {
    let findings: Vec<_> = facts.groups.iter().filter_map(mismatch).collect();
    let members: usize = facts.groups.iter().map(|group| group.members.len()).sum();
    Link {
        name: "subscriptions",
        findings,
        closed: match members {
            0 => "no consumer is connected".to_owned(),
            _ => format!("{} agree within their groups", count(members, "member")),
        },
    }
}

/// Members that want different things: RMQ-D061. Members that did not say count as agreeing.
pub(crate) fn mismatch(group: &Group) -> Option<Finding> {
    let said: Vec<(&Member, &BTreeMap<String, Filter>)> = group
        .members
        .iter()
        .filter_map(|member| Some((member, member.subscriptions.as_ref()?)))
        .collect();
    let retry = |topic: &str| topic.starts_with("%RETRY%");
    let topics: BTreeSet<&String> = said
        .iter()
        .flat_map(|(_, subscriptions)| subscriptions.keys())
        .filter(|topic| !retry(topic))
        .collect();
    let mut parts = Vec::new();
    let mut evidence = BTreeMap::new();
    for topic in topics {
        let mut wishes: BTreeMap<Option<&Filter>, Vec<&str>> = BTreeMap::new();
        for (member, subscriptions) in &said {
            wishes
                .entry(subscriptions.get(topic))
                .or_default()
                .push(member_name(member));
        }
        if wishes.len() < 2 {
            continue;
        }
        let texts: Vec<String> = wishes
            .iter()
            .map(|(filter, members)| {
                let who = members.join(", ");
                match filter {
                    Some(filter) => format!("{who} wants {topic} {filter}"),
                    None => format!("{who} does not want {topic}"),
                }
            })
            .collect();
        parts.push(texts.join("; "));
        let told: Vec<_> = wishes
            .iter()
            .map(|(filter, members)| json!({"filter": filter, "members": members}))
            .collect();
        evidence.insert(topic, told);
    }
    (!parts.is_empty()).then(|| {
        Finding::new(
            "RMQ-D061",
            &group.name,
            format!("members disagree: {}", parts.join("; ")),
        )
        .evidence(json!({"topics": evidence}))
    })
}

/// The name a member is recognised by.
pub(crate) fn member_name(member: &Member) -> &str {
    &member.client_id
}

pub(super) fn attempts(facts: &Facts) -> Link {
    let mut findings = Vec::new();
    for group in &facts.groups {
        findings.extend(rules(group));
        if group.retrying() > 0 {
            findings.push(
                Finding::new(
                    "RMQ-D071",
                    &group.name,
                    format!("{} for another attempt", wait(group.retrying())),
                )
                .evidence(json!({"retrying": group.retrying()}))
                .fix(format!("rmq why {}", group.name)),
            );
        }
        if group.dead > 0 {
            findings.push(
                Finding::new(
                    "RMQ-D072",
                    &group.name,
                    format!("{} dead letters", grouped(group.dead)),
                )
                .evidence(json!({"dead": group.dead}))
                .fix(format!("rmq dlq show {0}; rmq dlq replay {0}", group.name)),
            );
        }
    }
    Link {
        name: "attempts",
        findings,
        closed: "failed messages are tried again; no dead letters".to_owned(),
    }
}

/// How the group treats failures: RMQ-D065 to RMQ-D068 and RMQ-D070.
pub(crate) fn rules(group: &Group) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at = |wrong: &dyn Fn(&crate::client::admin::SubscriptionGroupConfig) -> bool| {
        let brokers = group.configs.iter().filter(|(_, config)| wrong(config));
        let names: Vec<&str> = brokers.map(|(broker, _)| broker.as_str()).collect();
        (!names.is_empty()).then(|| names.join(" "))
    };
    if let Some(brokers) = at(&|config| config.retry_queue_nums <= 0) {
        findings.push(
            Finding::new(
                "RMQ-D065",
                &group.name,
                format!("failed messages are thrown away ({brokers})"),
            )
            .evidence(json!({"retryQueueNums": 0}))
            .fix(format!("rmq group set {} --retry-queues 1", group.name)),
        );
    }
    if let Some(brokers) = at(&|config| config.retry_max_times <= 0) {
        findings.push(
            Finding::new(
                "RMQ-D066",
                &group.name,
                format!("the first failure is final ({brokers})"),
            )
            .evidence(json!({"retryMaxTimes": 0}))
            .fix(format!("rmq group set {} --retry-max 16", group.name)),
        );
    }
    if group.broadcasts() {
        findings.push(Finding::new(
            "RMQ-D067",
            &group.name,
            "broadcasts: failures are not tried again, offsets are at the clients",
        ));
    }
    if group.consume_type == Some(ConsumeType::Actively) && !group.members.is_empty() {
        findings.push(Finding::new(
            "RMQ-D068",
            &group.name,
            "pulls by itself: whether it commits before its work is done cannot be seen from here",
        ));
    }
    if let Some(brokers) = at(&|config| !config.consume_enable) {
        let behind: i64 = group.own_queues().map(Queue::behind).sum();
        findings.push(
            Finding::new(
                "RMQ-D070",
                &group.name,
                format!("may not consume ({brokers}); {}", wait(behind)),
            )
            .level(if behind > 0 {
                Level::Warning
            } else {
                Level::Note
            })
            .evidence(json!({"consumeEnable": false, "behind": behind}))
            .fix(format!("rmq group set {} --enable true", group.name)),
        );
    }
    findings
}
