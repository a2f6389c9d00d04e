use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cli::doctor::facts::Filter;
use crate::client::admin::MessageModel;

const NOW: i64 = 1_800_000_000_000;

struct Case {
    facts: Facts,
    group: Group,
    topics: BTreeMap<String, Topic>,
}

impl Case {
    /// One member that owns both queues and keeps up.
    fn healthy() -> Self {
        let wish = BTreeMap::from([("orders".to_owned(), Filter::new("TAG", "*"))]);
        let owned = |queue| Owned {
            topic: "orders".into(),
            broker: "b".into(),
            queue,
            last_pull_ms: NOW - 1000,
            last_consume_ms: NOW - 1000,
            cached: 0,
        };
        let queue = |queue| Queue {
            topic: "orders".into(),
            broker: "b".into(),
            number: queue,
            max: 10,
            committed: 10,
            max_later: 10,
            committed_later: 10,
            ..Queue::default()
        };
        Self {
            facts: Facts {
                interval_ms: 2000,
                ..Facts::default()
            },
            group: Group {
                name: "billing".into(),
                members: vec![Member {
                    client_id: "m1".into(),
                    subscriptions: Some(wish.clone()),
                    owns: vec![owned(0), owned(1)],
                    ..Member::default()
                }],
                consume_type: Some(ConsumeType::Passively),
                message_model: Some(MessageModel::Clustering),
                subscriptions: wish,
                queues: vec![queue(0), queue(1)],
                ..Group::default()
            },
            topics: BTreeMap::from([(
                "orders".to_owned(),
                Topic {
                    exists: true,
                    perms: BTreeMap::from([("b".to_owned(), 6)]),
                    queues: BTreeSet::from([("b".to_owned(), 0), ("b".to_owned(), 1)]),
                    ..Topic::default()
                },
            )]),
        }
    }

    fn topic(&mut self) -> &mut Topic {
        self.topics.get_mut("orders").unwrap()
    }

    /// The findings that count as reasons.
    fn reasons(&self) -> Vec<&'static str> {
        let question = Question {
            facts: &self.facts,
            group: &self.group,
            topics: &self.topics,
            now_ms: NOW,
        };
        judge(&question)
            .into_iter()
            .flat_map(|link| link.findings)
            .filter(|finding| finding.level >= Level::Warning)
            .map(|finding| finding.id)
            .collect()
    }
}

fn after(change: impl FnOnce(&mut Case)) -> Vec<&'static str> {
    let mut case = Case::healthy();
    change(&mut case);
    case.reasons()
}

#[test]
fn a_group_that_keeps_up_has_no_reason() {
    assert_eq!(Case::healthy().reasons(), Vec::<&str>::new());
}

#[test]
fn routes_and_permissions() {
    assert_eq!(after(|case| case.topic().exists = false), ["RMQ-W001"]);
    assert_eq!(
        after(|case| {
            case.topic().perms.insert("b".into(), 2);
        }),
        ["RMQ-W002"]
    );
    assert_eq!(
        after(|case| {
            case.topic().forbidden.insert("b".into());
        }),
        ["RMQ-W002"]
    );
}

#[test]
fn members_and_their_queues() {
    assert_eq!(after(|case| case.group.members.clear()), ["RMQ-W003"]);
    assert_eq!(
        after(|case| {
            case.group.members[0].owns.pop();
        }),
        ["RMQ-W005"]
    );
    assert_eq!(
        after(|case| {
            case.group.members[0].subscriptions = None;
            case.group.members[0].owns.clear();
        }),
        Vec::<&str>::new(),
        "who is silent may own everything"
    );
    assert_eq!(
        after(|case| case.group.members[0].error = Some("timeout".into())),
        ["RMQ-W011"]
    );
    assert_eq!(
        after(|case| case.group.members[0].owns[0].last_pull_ms = NOW - 90_000),
        ["RMQ-W006"]
    );
}

#[test]
fn a_listener_that_hangs_is_told_from_one_that_is_slow() {
    let hang = |case: &mut Case| {
        case.group.queues[0].max = 20;
        case.group.queues[0].max_later = 20;
        let owned = &mut case.group.members[0].owns[0];
        owned.cached = 10;
        owned.last_consume_ms = NOW - 600_000;
    };
    assert_eq!(after(hang), ["RMQ-W007", "RMQ-W012"]);
    let slow = |case: &mut Case| {
        hang(case);
        case.group.queues[0].committed_later = 12;
    };
    assert_eq!(after(slow), Vec::<&str>::new(), "it catches up");
}

#[test]
fn subscriptions_filters_and_offsets() {
    assert_eq!(
        after(|case| {
            case.group.subscriptions.clear();
            case.group.members[0].subscriptions = Some(BTreeMap::new());
        }),
        ["RMQ-W004"]
    );
    assert_eq!(after(|case| case.topic().looked = 5), ["RMQ-W008"]);
    assert_eq!(
        after(|case| {
            for queue in &mut case.group.queues {
                queue.committed = 50;
                queue.committed_later = 50;
            }
        }),
        ["RMQ-D062"]
    );
    assert_eq!(
        after(|case| {
            for queue in &mut case.group.queues {
                queue.max = 0;
                queue.max_later = 0;
                queue.committed = -1;
                queue.committed_later = -1;
            }
        }),
        ["RMQ-W010"]
    );
}

#[test]
fn broadcasting_is_no_reason() {
    assert_eq!(
        after(|case| {
            case.group.message_model = Some(MessageModel::Broadcasting);
            case.group.members[0].owns.clear();
        }),
        Vec::<&str>::new()
    );
}
