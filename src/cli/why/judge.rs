//! From facts about one group to the reasons why it does not consume. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::gather::Topic;
use crate::cli::doctor::facts::{Facts, Group, Member, Owned, Queue};
use crate::cli::doctor::finding::{Finding, Level, Link};
use crate::cli::doctor::judge::{grouped, groups, span};
use crate::client::admin::ConsumeType;

const READ: i32 = 4;
/// A long poll lasts 15 to 30 seconds; an owner that is silent for longer than this does not poll.
const SILENT_MS: i64 = 60_000;

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) facts: &'a Facts,
    pub(super) group: &'a Group,
    pub(super) topics: &'a BTreeMap<String, Topic>,
    pub(super) now_ms: i64,
}

/// The links a message passes on its way to the group.
pub(super) fn judge(question: &Question<'_>) -> Vec<Link> {
    vec![
        brokers(question),
        route(question),
        group(question),
        members(question),
        subscriptions(question),
        owners(question),
        offsets(question),
        filter(question),
        retries(question),
        lag(question),
    ]
}

impl Question<'_> {
    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.group
            .own_queues()
            .filter(|queue| self.topics.contains_key(&queue.topic))
    }
}

fn link(name: &'static str, findings: Vec<Finding>, closed: impl Into<String>) -> Link {
    Link {
        name,
        findings,
        closed: closed.into(),
    }
}

fn brokers(question: &Question<'_>) -> Link {
    let findings = question
        .facts
        .brokers
        .iter()
        .filter_map(|broker| {
            let error = broker.error.as_ref()?;
            let text = format!("advertises {} and does not answer: {error}", broker.address);
            Some(Finding::new("RMQ-D010", broker.label(), text))
        })
        .collect();
    link("brokers", findings, "all brokers answer")
}

fn route(question: &Question<'_>) -> Link {
    let mut findings = Vec::new();
    for (name, topic) in question.topics {
        if let Some(error) = &topic.error {
            findings.push(Finding::new("RMQ-D099", name, error.clone()));
            continue;
        }
        if !topic.exists {
            findings.push(
                Finding::new("RMQ-W001", name, "does not exist").fix(format!(
                    "rmq topic ls (is the name right?); rmq topic create {name}"
                )),
            );
            continue;
        }
        let closed: Vec<&str> = topic
            .perms
            .iter()
            .filter(|(_, perm)| **perm & READ == 0)
            .map(|(broker, _)| broker.as_str())
            .collect();
        if !closed.is_empty() {
            findings.push(
                Finding::new(
                    "RMQ-W002",
                    name,
                    format!("may not be read at {}", closed.join(" ")),
                )
                .evidence(json!({"perms": topic.perms}))
                .fix(format!("rmq topic set {name} --perm rw")),
            );
        }
        if !topic.forbidden.is_empty() {
            let brokers: Vec<&str> = topic.forbidden.iter().map(String::as_str).collect();
            findings.push(
                Finding::new(
                    "RMQ-W002",
                    name,
                    format!(
                        "is forbidden to {} at {}",
                        question.group.name,
                        brokers.join(" ")
                    ),
                )
                .evidence(json!({"forbidden": brokers})),
            );
        }
    }
    let topics: Vec<&str> = question.topics.keys().map(String::as_str).collect();
    let closed = if topics.is_empty() {
        "the group has subscribed to nothing yet".to_owned()
    } else {
        format!("{}: there, and readable", topics.join(", "))
    };
    link("route", findings, closed)
}

fn group(question: &Question<'_>) -> Link {
    let mut findings = groups::rules(question.group);
    for finding in &mut findings {
        // That it broadcasts or pulls by itself keeps nobody from consuming.
        if ["RMQ-D066", "RMQ-D067"].contains(&finding.id) {
            finding.level = Level::Note;
        }
    }
    link("group", findings, "enabled, with retries")
}

fn members(question: &Question<'_>) -> Link {
    let group = question.group;
    let mut findings = Vec::new();
    if group.members.is_empty() {
        findings.push(Finding::new(
            "RMQ-W003",
            &group.name,
            "has no member connected",
        ));
        return link("members", findings, "");
    }
    for member in &group.members {
        if let Some(error) = &member.error {
            findings.push(
                Finding::new(
                    "RMQ-W011",
                    &member.client_id,
                    format!("does not answer: {error}"),
                )
                .level(silence(group))
                .evidence(json!({"address": member.address})),
            );
        }
    }
    let queues: usize = question
        .topics
        .values()
        .map(|topic| topic.queues.len())
        .sum();
    if !group.broadcasts()
        && group.consume_type != Some(ConsumeType::Pop)
        && queues > 0
        && group.members.len() > queues
    {
        findings.push(
            Finding::new(
                "RMQ-W009",
                &group.name,
                format!("{} members share {queues} queues", group.members.len()),
            )
            .evidence(json!({"members": group.members.len(), "queues": queues})),
        );
    }
    let closed = match group.members.len() {
        1 => "1 connected".to_owned(),
        many => format!("{many} connected"),
    };
    link("members", findings, closed)
}

/// Clients that pull by themselves cannot be asked; that they are silent says nothing.
fn silence(group: &Group) -> Level {
    if group.consume_type == Some(ConsumeType::Passively) {
        Level::Warning
    } else {
        Level::Note
    }
}

fn subscriptions(question: &Question<'_>) -> Link {
    let group = question.group;
    let mut findings: Vec<Finding> = groups::mismatch(group).into_iter().collect();
    if !group.members.is_empty() {
        for topic in question.topics.keys() {
            let wanted = group.subscriptions.contains_key(topic)
                || group.members.iter().any(|member| {
                    let said = member.subscriptions.as_ref();
                    said.is_some_and(|said| said.contains_key(topic))
                });
            if !wanted && group.consume_type != Some(ConsumeType::Actively) {
                let wants: Vec<&String> = group
                    .subscriptions
                    .keys()
                    .filter(|topic| !topic.starts_with("%RETRY%"))
                    .collect();
                findings.push(
                    Finding::new(
                        "RMQ-W004",
                        &group.name,
                        format!("does not subscribe to {topic}"),
                    )
                    .evidence(json!({"subscribed": wants}))
                    .fix(format!("compare the names; it subscribes to {wants:?}")),
                );
            }
        }
    }
    let filters: Vec<String> = group
        .subscriptions
        .iter()
        .filter(|(topic, _)| !topic.starts_with("%RETRY%"))
        .map(|(topic, filter)| format!("{topic} {filter}"))
        .collect();
    let closed = if filters.is_empty() {
        "none told".to_owned()
    } else {
        filters.join(", ")
    };
    link("subscriptions", findings, closed)
}

fn owners(question: &Question<'_>) -> Link {
    let group = question.group;
    let unknown = group
        .members
        .iter()
        .any(|member| member.subscriptions.is_none());
    let mut findings = Vec::new();
    let mut known = 0;
    if group.broadcasts() {
        return link("owners", findings, "every member has every queue");
    }
    if group.members.is_empty() {
        return link("owners", findings, "nobody to own a queue");
    }
    for (name, topic) in question.topics {
        let mut without = Vec::new();
        for (broker, queue) in &topic.queues {
            let owner = group.members.iter().find_map(|member| {
                let owns = member.owns.iter();
                let mut owns = owns.filter(|owned| {
                    owned.topic == *name && owned.broker == *broker && owned.queue == *queue
                });
                Some((member, owns.next()?))
            });
            match owner {
                Some((member, owned_queue)) => {
                    known += 1;
                    findings.extend(judge_owner(question, member, owned_queue));
                }
                // A member that keeps silent may be the owner.
                None if unknown || group.consume_type == Some(ConsumeType::Pop) => {}
                None => without.push(format!("{broker}/{queue}")),
            }
        }
        if !without.is_empty() {
            findings.push(
                Finding::new(
                    "RMQ-W005",
                    name,
                    format!(
                        "{} without an owner: {}",
                        queues(without.len()),
                        without.join(" ")
                    ),
                )
                .evidence(json!({"queues": without})),
            );
        }
    }
    let closed = if known == 0 {
        "no member told which queues it has".to_owned()
    } else {
        format!(
            "{} owned, all pulled from within the last minute",
            queues(known)
        )
    };
    link("owners", findings, closed)
}

fn queues(number: usize) -> String {
    if number == 1 {
        "1 queue".to_owned()
    } else {
        format!("{number} queues")
    }
}

fn judge_owner(question: &Question<'_>, member: &Member, owned: &Owned) -> Option<Finding> {
    let label = format!("{}/{} of {}", owned.broker, owned.queue, owned.topic);
    let place = question.queues().find(|queue| {
        queue.topic == owned.topic && queue.broker == owned.broker && queue.number == owned.queue
    });
    let behind = place.map_or(0, Queue::behind);
    let silent_ms = question.now_ms - owned.last_pull_ms;
    let stood_still = place.is_some_and(|queue| queue.committed == queue.committed_later);
    let evidence = json!({
        "owner": member.client_id,
        "address": member.address,
        "lastPullMs": owned.last_pull_ms,
        "lastConsumeMs": owned.last_consume_ms,
        "cached": owned.cached,
        "behind": behind,
        "oldestWaitsMs": place.and_then(|queue| queue.waits_ms),
    });
    let stack = format!("rmq why {} --stacks", question.group.name);
    let consumed_ms_ago = question.now_ms - owned.last_consume_ms;
    if owned.cached > 0 && stood_still && owned.last_consume_ms > 0 && consumed_ms_ago > SILENT_MS {
        return Some(
            Finding::new(
                "RMQ-W007",
                label,
                format!(
                    "{} has {} pulled messages and took none of them for {}",
                    member.client_id,
                    grouped(owned.cached),
                    span(consumed_ms_ago)
                ),
            )
            .evidence(evidence)
            .fix(stack),
        );
    }
    if owned.last_pull_ms > 0 && silent_ms > SILENT_MS {
        let behind = if behind > 0 {
            format!("; {} wait", grouped(behind))
        } else {
            String::new()
        };
        return Some(
            Finding::new(
                "RMQ-W006",
                label,
                format!(
                    "its owner {} has not pulled for {}{behind}",
                    member.client_id,
                    span(silent_ms)
                ),
            )
            .evidence(evidence)
            .fix(stack),
        );
    }
    None
}

fn offsets(question: &Question<'_>) -> Link {
    let group = question.group;
    let mut findings: Vec<Finding> = groups::broken_offsets(group)
        .into_iter()
        .filter(|finding| {
            let topic = finding.evidence["topic"].as_str().unwrap_or_default();
            question.topics.contains_key(topic)
        })
        .collect();
    for (name, topic) in question.topics {
        let begun: BTreeSet<_> = question
            .queues()
            .filter(|queue| queue.topic == *name && queue.committed_later >= 0)
            .map(|queue| (queue.broker.clone(), queue.number))
            .collect();
        let begun = begun.len();
        if begun == 0 && topic.exists && !group.broadcasts() {
            let level = if group.members.is_empty() {
                Level::Note
            } else {
                Level::Warning
            };
            findings.push(
                Finding::new("RMQ-W010", name, "the group has no offset in it")
                    .level(level)
                    .fix(format!(
                        "send a message and look again; from the start: rmq group reset {} {name} --to earliest",
                        group.name
                    )),
            );
        }
    }
    link("offsets", findings, "inside their queues")
}

fn filter(question: &Question<'_>) -> Link {
    let mut findings = Vec::new();
    let (mut looked, mut passing) = (0, 0);
    for (name, topic) in question.topics {
        looked += topic.looked;
        passing += topic.passing;
        if topic.looked > 0 && topic.passing == 0 {
            let filter = question.group.subscriptions.get(name);
            let filter = filter.map_or_else(|| "its filter".to_owned(), ToString::to_string);
            findings.push(
                Finding::new(
                    "RMQ-W008",
                    name,
                    format!(
                        "{filter} matches none of the {} {} messages",
                        if topic.waiting { "next" } else { "last" },
                        grouped(topic.looked)
                    ),
                )
                .evidence(json!({"looked": topic.looked, "passing": 0}))
                .fix(format!("compare the tags: rmq consume {name} -n 5")),
            );
        }
    }
    let closed = if looked == 0 {
        "no message yet that it could hold back".to_owned()
    } else {
        format!(
            "lets {} of {} messages pass",
            grouped(passing),
            grouped(looked)
        )
    };
    link("filter", findings, closed)
}

fn retries(question: &Question<'_>) -> Link {
    let group = question.group;
    let mut findings = Vec::new();
    if group.retrying() > 0 {
        findings.push(
            Finding::new(
                "RMQ-D071",
                &group.name,
                format!(
                    "{} failed messages wait for another attempt",
                    grouped(group.retrying())
                ),
            )
            .evidence(json!({"retrying": group.retrying()}))
            .fix(format!(
                "rmq consume '%RETRY%{}' -n 5; the consumer's log",
                group.name
            )),
        );
    }
    if group.dead > 0 {
        findings.push(
            Finding::new(
                "RMQ-D072",
                &group.name,
                format!("{} dead letters", grouped(group.dead)),
            )
            .level(Level::Note)
            .evidence(json!({"dead": group.dead}))
            .fix(format!("rmq dlq show {}", group.name)),
        );
    }
    link("retries", findings, "none wait, no dead letters")
}

fn lag(question: &Question<'_>) -> Link {
    let behind: i64 = question.queues().map(Queue::behind).sum();
    let growth: i64 = question.queues().map(Queue::growth).sum();
    let consumed: i64 = question
        .queues()
        .map(|queue| (queue.committed_later - queue.committed).max(0))
        .sum();
    let oldest = question.queues().filter_map(|queue| queue.waits_ms).max();
    let interval = span(question.facts.interval_ms);
    let waited = oldest.map_or_else(String::new, |ms| format!(", the oldest for {}", span(ms)));
    let evidence = json!({
        "behind": behind,
        "growth": growth,
        "consumed": consumed,
        "intervalMs": question.facts.interval_ms,
        "oldestWaitsMs": oldest,
    });
    let mut findings = Vec::new();
    if behind > 0 && (growth > 0 || consumed == 0) {
        let speed = if consumed == 0 {
            format!("nothing was consumed within {interval}")
        } else {
            format!(
                "{} more within {interval}: at this speed it never catches up",
                grouped(growth)
            )
        };
        findings.push(
            Finding::new(
                "RMQ-W012",
                &question.group.name,
                format!("is {} messages behind{waited}; {speed}", grouped(behind)),
            )
            .evidence(evidence),
        );
    }
    let closed = if behind == 0 {
        "0 behind".to_owned()
    } else {
        format!(
            "{} behind{waited}; {} consumed within {interval}, it is catching up",
            grouped(behind),
            grouped(consumed)
        )
    };
    link("lag", findings, closed)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
