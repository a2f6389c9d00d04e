use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::*;
use super::super::finding::Level;
use super::{grouped, judge, span};
use crate::client::admin::{ConsumeType, MessageModel, SubscriptionGroupConfig};

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A broker with every link closed that one broker alone can close.
fn closed_broker() -> Broker {
    Broker {
        cluster: "c".into(),
        name: "broker-a".into(),
        address: "10.0.0.1:10911".into(),
        config: settings(&[
            ("flushDiskType", "SYNC_FLUSH"),
            ("brokerRole", "SYNC_MASTER"),
            ("inSyncReplicas", "2"),
            ("cleanFileForciblyEnable", "false"),
            ("fileReservedTime", "168"),
            ("transactionCheckMax", "2880"),
            ("transactionCheckInterval", "30000"),
            ("autoCreateTopicEnable", "false"),
        ]),
        runtime: settings(&[
            ("commitLogDiskRatio", "0.40"),
            ("brokerVersionDesc", "V5_5_0"),
        ]),
        clock_ahead_ms: Some(3),
        ..Broker::default()
    }
}

fn closed() -> Facts {
    let slave = Broker {
        id: 1,
        address: "10.0.0.2:10911".into(),
        ..closed_broker()
    };
    let server = |address: &str| NameServer {
        address: address.into(),
        brokers: settings(&[("broker-a:0", "10.0.0.1:10911")]),
        topics: BTreeSet::from(["orders".to_owned()]),
        ..NameServer::default()
    };
    Facts {
        interval_ms: 2000,
        name_servers: vec![server("n1:9876"), server("n2:9876")],
        brokers: vec![closed_broker(), slave],
        groups: vec![group()],
        ..Facts::default()
    }
}

fn group() -> Group {
    Group {
        name: "billing".into(),
        configs: BTreeMap::from([("broker-a".into(), SubscriptionGroupConfig::default())]),
        members: vec![member("m1", "*"), member("m2", "*")],
        consume_type: Some(ConsumeType::Passively),
        message_model: Some(MessageModel::Clustering),
        queues: vec![queue(100, 100, 100, 100)],
        ..Group::default()
    }
}

fn member(id: &str, expression: &str) -> Member {
    let filter = Filter::new("TAG", expression);
    Member {
        client_id: id.into(),
        language: "JAVA".into(),
        version: 513,
        subscriptions: Some(BTreeMap::from([("orders".into(), filter)])),
        ..Member::default()
    }
}

fn queue(max: i64, committed: i64, max_later: i64, committed_later: i64) -> Queue {
    Queue {
        topic: "orders".into(),
        broker: "broker-a".into(),
        min: 10,
        max,
        committed,
        max_later,
        committed_later,
        ..Queue::default()
    }
}

fn found(facts: &Facts) -> Vec<(&'static str, Level, String)> {
    let findings = judge(facts).into_iter().flat_map(|link| link.findings);
    findings
        .map(|finding| (finding.id, finding.level, finding.message))
        .collect()
}

fn ids(facts: &Facts) -> Vec<&'static str> {
    found(facts).into_iter().map(|(id, _, _)| id).collect()
}

#[test]
fn a_closed_chain_has_no_findings() {
    let facts = closed();
    assert_eq!(found(&facts), []);
    assert!(judge(&facts).iter().all(|link| !link.closed.is_empty()));
    assert!(
        judge(&facts)
            .iter()
            .all(|link| link.rows()[0]["level"] == "ok")
    );
}

/// What one changed setting of the master makes of the closed chain.
#[test]
fn each_setting_opens_its_link() {
    let cases: [(&str, &str, &[&str]); 14] = [
        ("flushDiskType", "ASYNC_FLUSH", &["RMQ-D020"]),
        ("brokerRole", "ASYNC_MASTER", &["RMQ-D031"]),
        ("inSyncReplicas", "1", &["RMQ-D032"]),
        ("inSyncReplicas", "3", &["RMQ-D033"]),
        ("enableAutoInSyncReplicas", "true", &["RMQ-D035"]),
        ("enableControllerMode", "true", &["RMQ-D036"]),
        ("cleanFileForciblyEnable", "true", &["RMQ-D023"]),
        ("fileReservedTime", "4", &["RMQ-D024"]),
        ("transactionCheckMax", "15", &["RMQ-D040"]),
        ("rejectTransactionMessage", "true", &["RMQ-D042"]),
        ("autoCreateTopicEnable", "true", &["RMQ-D050"]),
        ("diskMaxUsedSpaceRatio", "30", &["RMQ-D022"]),
        ("diskSpaceWarningLevelRatio", "35", &["RMQ-D022"]),
        ("transientStorePoolEnable", "true", &[]),
    ];
    for (key, value, expected) in cases {
        let mut facts = closed();
        facts.brokers[0].config.insert(key.into(), value.into());
        assert_eq!(ids(&facts), expected, "{key}={value}");
    }
    let mut facts = closed();
    facts.brokers[0].is_rmq = true;
    facts.brokers[0]
        .config
        .insert("inSyncReplicas".into(), "1".into());
    assert_eq!(ids(&facts), Vec::<&str>::new(), "rmq waits for a slave");
    let mut facts = closed();
    for (key, value) in [
        ("flushDiskType", "ASYNC_FLUSH"),
        ("transientStorePoolEnable", "true"),
    ] {
        facts.brokers[0].config.insert(key.into(), value.into());
    }
    assert_eq!(ids(&facts), ["RMQ-D020", "RMQ-D021"]);
}

#[test]
fn a_broker_alone_keeps_the_only_copy() {
    let mut facts = closed();
    facts.brokers.truncate(1);
    assert_eq!(ids(&facts), ["RMQ-D033"]);
    facts.brokers[0]
        .config
        .insert("brokerRole".into(), "ASYNC_MASTER".into());
    let found = found(&facts);
    assert_eq!((found[0].0, found[0].1), ("RMQ-D030", Level::Note));
}

#[test]
fn a_slave_that_lags_is_named() {
    let mut facts = closed();
    let slave = |behind_bytes, in_sync| Slave {
        behind_bytes,
        in_sync,
    };
    facts.brokers[0].slaves = Some(BTreeMap::from([
        ("10.0.0.2".into(), slave(0, true)),
        ("10.0.0.3".into(), slave(300 << 20, false)),
    ]));
    assert_eq!(ids(&facts), ["RMQ-D034"]);
}

#[test]
fn disks_have_three_thresholds() {
    for (used, clean, level) in [
        ("0.91", "false", Some(Level::Error)),
        ("0.87", "true", Some(Level::Error)),
        ("0.87", "false", Some(Level::Warning)),
        ("0.76", "false", Some(Level::Warning)),
        ("0.70", "false", None),
        ("-1", "false", None),
    ] {
        let mut facts = closed();
        let master = &mut facts.brokers[0];
        master
            .runtime
            .insert("commitLogDiskRatio_/data".into(), used.into());
        master
            .config
            .insert("cleanFileForciblyEnable".into(), clean.into());
        let found = found(&facts);
        let room = found.iter().find(|(id, _, _)| *id == "RMQ-D022");
        assert_eq!(room.map(|(_, level, _)| *level), level, "{used} {clean}");
    }
}

#[test]
fn name_servers_must_agree_and_answer() {
    let mut facts = closed();
    facts.name_servers[1].topics.insert("paid".into());
    facts.name_servers[1].brokers.clear();
    assert_eq!(ids(&facts), ["RMQ-D002", "RMQ-D002"]);
    let mut facts = closed();
    facts.name_servers[1].error = Some("refused".into());
    assert_eq!(
        ids(&facts),
        ["RMQ-D001"],
        "one that is silent does not disagree"
    );
    facts.name_servers.truncate(1);
    assert_eq!(ids(&facts), ["RMQ-D003"]);
}

#[test]
fn brokers_must_be_reached() {
    let mut facts = closed();
    facts.brokers[0].error = Some("connection refused".into());
    assert_eq!(ids(&facts)[0], "RMQ-D010");
    let mut facts = closed();
    facts.brokers.remove(0);
    assert!(ids(&facts).contains(&"RMQ-D011"));
    facts.brokers.clear();
    assert_eq!(ids(&facts), ["RMQ-D013"]);
    let mut facts = closed();
    facts.brokers[0].address = "127.0.0.1:10911".into();
    assert_eq!(ids(&facts), ["RMQ-D012"]);
}

#[test]
fn offsets_outside_their_queue_are_errors() {
    let mut facts = closed();
    facts.groups[0].queues = vec![queue(100, 120, 100, 120)];
    assert_eq!(found(&facts)[0].0, "RMQ-D062");
    facts.groups[0].queues = vec![queue(100, 4, 100, 4)];
    let found = found(&facts);
    assert_eq!(found[0].0, "RMQ-D063");
    assert!(
        found[0].2.contains("6 messages of orders were deleted"),
        "{}",
        found[0].2
    );
    facts.groups[0].queues = vec![queue(100, -1, 100, -1)];
    assert!(
        !ids(&facts).contains(&"RMQ-D063"),
        "a group that has not begun lost nothing"
    );
}

#[test]
fn growing_and_abandoned_lag() {
    let mut facts = closed();
    facts.groups[0].queues = vec![queue(100, 90, 130, 95)];
    assert_eq!(ids(&facts), ["RMQ-D060"]);
    facts.groups[0].queues = vec![queue(100, 90, 130, 125)];
    assert_eq!(ids(&facts), Vec::<&str>::new(), "it catches up");
    facts.groups[0].queues = vec![queue(100, 100, 101, 100)];
    assert_eq!(
        ids(&facts),
        Vec::<&str>::new(),
        "one message on its way is no lag"
    );
    facts.groups[0].queues = vec![queue(100, 90, 100, 90)];
    facts.groups[0].members.clear();
    assert_eq!(ids(&facts), ["RMQ-D069"]);
    facts.groups[0].members.push(member("m", "*"));
    facts.groups[0].queues[0].waits_ms = Some(100 * 3_600_000);
    assert_eq!(ids(&facts), ["RMQ-D064"]);
}

#[test]
fn members_that_disagree_are_told_apart() {
    let mut facts = closed();
    facts.groups[0].members = vec![member("m1", "paid"), member("m2", "*"), member("m3", "*")];
    let found = found(&facts);
    assert_eq!(found[0].0, "RMQ-D061");
    assert!(
        found[0].2.contains("m1 wants orders \"paid\""),
        "{}",
        found[0].2
    );
    assert!(
        found[0].2.contains("m2, m3 wants orders \"*\""),
        "{}",
        found[0].2
    );
    facts.groups[0].members = vec![member("m1", "a || b"), member("m2", "b||a")];
    assert_eq!(ids(&facts), Vec::<&str>::new());
    facts.groups[0].members[1].subscriptions = Some(BTreeMap::new());
    assert_eq!(
        ids(&facts),
        ["RMQ-D061"],
        "another topic is another subscription"
    );
    facts.groups[0].members[1].subscriptions = None;
    assert_eq!(
        ids(&facts),
        Vec::<&str>::new(),
        "silence is no disagreement"
    );
}

#[test]
fn rules_that_lose_failed_messages() {
    let with = |change: &dyn Fn(&mut SubscriptionGroupConfig)| {
        let mut facts = closed();
        facts.groups[0].configs.values_mut().for_each(change);
        ids(&facts)
    };
    assert_eq!(with(&|config| config.retry_queue_nums = 0), ["RMQ-D065"]);
    assert_eq!(with(&|config| config.retry_max_times = 0), ["RMQ-D066"]);
    assert_eq!(with(&|config| config.consume_enable = false), ["RMQ-D070"]);
    let mut facts = closed();
    facts.groups[0].message_model = Some(MessageModel::Broadcasting);
    facts.groups[0].consume_type = Some(ConsumeType::Actively);
    facts.groups[0].dead = 3;
    facts.groups[0].queues.push(Queue {
        topic: "%RETRY%billing".into(),
        max: 5,
        max_later: 5,
        ..Queue::default()
    });
    assert_eq!(
        ids(&facts),
        ["RMQ-D067", "RMQ-D068", "RMQ-D071", "RMQ-D072"]
    );
}

#[test]
fn clients_clocks_topics_and_the_machine() {
    let mut facts = closed();
    facts.producers.insert(
        "shop".into(),
        vec![Member {
            version: 253,
            language: "JAVA".into(),
            ..member("old", "*")
        }],
    );
    facts.brokers[0].clock_ahead_ms = Some(-7_000);
    facts.brokers[1]
        .runtime
        .insert("brokerVersionDesc".into(), "V5_1_0".into());
    facts.unread_topics.insert("ordres".into(), 12);
    facts.abandoned_transactions = 1;
    facts.machine = Machine {
        open_files_max: Some(1024),
        container: Some("docker".into()),
        data_dir: Some(DataDir {
            path: "/data".into(),
            abort_file: true,
            free_bytes: Some(5),
            total_bytes: Some(1000),
            ..DataDir::default()
        }),
        ports_taken: vec![9876],
    };
    facts.unasked.push("n".into());
    let expected = [
        "RMQ-D041", "RMQ-D051", "RMQ-D080", "RMQ-D082", "RMQ-D081", "RMQ-D091", "RMQ-D092",
        "RMQ-D090", "RMQ-D093", "RMQ-D094", "RMQ-D099",
    ];
    assert_eq!(ids(&facts), expected);
}

#[test]
fn every_finding_of_the_judges_is_in_the_catalogue() {
    let mut facts = closed();
    facts.brokers[0].config.clear();
    facts.unasked.push("x".into());
    for link in judge(&facts) {
        for row in link.rows() {
            assert_eq!(row["id"].is_null(), row["explanation"].is_null(), "{row}");
        }
    }
}

#[test]
fn numbers_for_people() {
    assert_eq!(grouped(1_204_331), "1,204,331");
    assert_eq!(grouped(-999), "-999");
    assert_eq!(span(450_000), "7m 30s");
    assert_eq!(span(86_400_000), "1d");
    assert_eq!(span(900), "900 ms");
}
