use super::register::NotRegistered;
use super::*;
use crate::protocol::body::topic_config::{
    DataVersion, TopicConfig, TopicConfigAndMappingSerializeWrapper,
};

const T0: i64 = 1_000_000;

fn topics(counter: i64, names: &[&str]) -> TopicConfigAndMappingSerializeWrapper {
    let config = |name: &str| TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: 4,
        write_queue_nums: 4,
        ..TopicConfig::default()
    };
    TopicConfigAndMappingSerializeWrapper {
        data_version: DataVersion {
            counter,
            ..DataVersion::default()
        },
        topic_config_table: names
            .iter()
            .map(|name| ((*name).to_owned(), config(name)))
            .collect(),
        ..TopicConfigAndMappingSerializeWrapper::default()
    }
}

/// Broker `name` with id `id`, at an address made of both.
fn broker(name: &str, id: i64) -> Registration {
    Registration {
        cluster: "C".to_owned(),
        name: name.to_owned(),
        addr: format!("{name}-{id}:10911"),
        id,
        ha_addr: format!("{name}-{id}:10912"),
        enable_acting_master: Some(false),
        topics: topics(1, &["T", "U"]),
        filter_servers: Some(Vec::new()),
        channel: 7,
        ..Registration::default()
    }
}

fn gone(name: &str, id: i64) -> Gone {
    Gone {
        cluster: "C".to_owned(),
        name: name.to_owned(),
        addr: format!("{name}-{id}:10911"),
    }
}

fn table() -> RouteTable {
    RouteTable::new(Rules::default())
}

fn perms(table: &RouteTable, topic: &str) -> Vec<i32> {
    let route = table.route(topic).unwrap();
    route.queue_datas.iter().map(|queues| queues.perm).collect()
}

fn ids(table: &RouteTable, topic: &str) -> Vec<Vec<i64>> {
    let brokers = table.route(topic).unwrap().broker_datas;
    let ids = |broker: &BrokerData| broker.broker_addrs.keys().copied().collect();
    brokers.iter().map(ids).collect()
}

#[test]
fn masters_and_slaves_of_several_names_make_one_route() {
    let mut table = table();
    assert_eq!(table.register(&broker("a", 0), T0), Ok(None));
    let master = table.register(&broker("a", 1), T0).unwrap().unwrap();
    assert_eq!(master.addr, "a-0:10911");
    assert_eq!(master.ha_addr, "a-0:10912");
    table.register(&broker("b", 0), T0).unwrap();
    assert_eq!(ids(&table, "T"), [vec![0, 1], vec![0]]);
    assert_eq!(table.route("T").unwrap().queue_datas.len(), 2);
    assert_eq!(table.route("nothing"), None);
    assert_eq!(table.members("a").len(), 2);
    assert_eq!(table.cluster_info().cluster_addr_table["C"], ["a", "b"]);
    assert_eq!(table.topics_of_cluster("C"), ["T", "U", "T", "U"]);
    assert_eq!(table.topics_of_cluster("D"), [""; 0]);
    let (names, addr) = table.system_topics();
    assert_eq!(names, ["C", "a", "b"]);
    assert_eq!(addr.unwrap(), "a-0:10911");
}

#[test]
fn topics_change_only_with_their_version() {
    let mut table = table();
    table.register(&broker("a", 0), T0).unwrap();
    table.wipe_write_perm("a");
    let generation = table.generation();

    // The same version again: nothing moves, and kept answers stay good.
    table.register(&broker("a", 0), T0 + 1).unwrap();
    assert_eq!(perms(&table, "T"), [4]);
    assert_eq!(table.generation(), generation);

    // A deleted topic comes back even so, and a new version brings everything.
    table.delete_topic("U", None);
    table.register(&broker("a", 0), T0 + 2).unwrap();
    assert_eq!(perms(&table, "U"), [6]);
    assert_eq!(perms(&table, "T"), [4]);
    let mut newer = broker("a", 0);
    newer.topics = topics(2, &["T", "V"]);
    table.register(&newer, T0 + 3).unwrap();
    assert_eq!(perms(&table, "T"), [6]);
    assert_eq!(table.topic_names(), ["T", "U", "V"]);
    assert_ne!(table.generation(), generation);

    // What is not named any more goes only if that is asked for.
    table.set_rules(Rules {
        delete_topic_with_broker_registration: true,
        ..Rules::default()
    });
    table.register(&newer, T0 + 4).unwrap();
    assert_eq!(table.topic_names(), ["T", "V"]);
}

#[test]
fn a_single_topic_needs_a_registered_broker() {
    let mut table = table();
    let mut single = broker("a", 0);
    single.topics = topics(2, &["V"]);
    assert_eq!(table.register(&single, T0), Err(NotRegistered));
    assert_eq!(table.cluster_info(), ClusterInfo::default());
    table.register(&broker("a", 0), T0).unwrap();
    table.register(&single, T0).unwrap();
    assert_eq!(table.topic_names(), ["T", "U", "V"]);
}

#[test]
fn topics_of_a_plain_slave_do_not_count() {
    let mut table = table();
    table.register(&broker("a", 0), T0).unwrap();
    let mut slave = broker("a", 1);
    slave.topics = topics(9, &["T", "W"]);
    table.register(&slave, T0).unwrap();
    assert_eq!(table.route("W"), None);
}

#[test]
fn a_slave_that_becomes_master_gives_up_its_old_id() {
    let mut table = table();
    table.register(&broker("a", 0), T0).unwrap();
    table.register(&broker("a", 1), T0).unwrap();
    table.unregister(&gone("a", 0));
    let mut promoted = broker("a", 1);
    promoted.id = 0;
    table.register(&promoted, T0).unwrap();
    assert_eq!(
        table.members("a"),
        BTreeMap::from([(0, "a-1:10911".to_owned())])
    );
}

#[test]
fn an_older_state_does_not_push_out_a_newer_one() {
    let mut table = table();
    let mut elected = broker("a", 0);
    elected.topics.data_version.state_version = 5;
    table.register(&elected, T0).unwrap();
    let mut deposed = broker("a", 0);
    deposed.addr = "elsewhere:10911".to_owned();
    deposed.topics.data_version.state_version = 4;
    assert_eq!(table.register(&deposed, T0), Ok(None));
    assert_eq!(table.members("a")[&0], "a-0:10911");
    assert_eq!(table.topics_version("C", "elsewhere:10911"), None);
    deposed.topics.data_version.state_version = 6;
    table.register(&deposed, T0).unwrap();
    assert_eq!(table.members("a")[&0], "elsewhere:10911");
}

#[test]
fn the_last_of_a_name_takes_its_topics_along() {
    let mut table = table();
    for registration in [broker("a", 0), broker("a", 1), broker("b", 0)] {
        table.register(&registration, T0).unwrap();
    }
    table.unregister(&gone("a", 0));
    assert_eq!(ids(&table, "T"), [vec![1], vec![0]]);
    assert_eq!(perms(&table, "T"), [6, 6]);
    table.unregister(&gone("a", 1));
    assert_eq!(ids(&table, "T"), [vec![0]]);
    table.unregister(&gone("nobody", 0));
    table.unregister(&gone("b", 0));
    assert_eq!(table.route("T"), None);
    assert!(table.topic_names().is_empty());
    assert_eq!(table.cluster_info(), ClusterInfo::default());
}

#[test]
fn silence_and_a_closed_channel_end_a_broker() {
    let mut table = table();
    let mut brief = broker("b", 0);
    brief.timeout_ms = Some(1_000);
    brief.channel = 8;
    table.register(&broker("a", 0), T0).unwrap();
    table.register(&brief, T0).unwrap();
    assert!(table.expire(T0 + 1_000).is_empty());
    table.heartbeat("C", "b-0:10911", T0 + 900);
    assert!(table.expire(T0 + 1_900).is_empty());
    assert_eq!(table.expire(T0 + 1_901), BTreeSet::from([8]));
    assert_eq!(ids(&table, "T"), [vec![0]]);
    assert!(table.expire(T0 + 120_000).is_empty());
    assert_eq!(table.expire(T0 + 120_001), BTreeSet::from([7]));
    assert_eq!(table.route("T"), None);

    // Whoever has registered over another channel since is not touched by the old one.
    let mut moved = broker("a", 0);
    table.register(&moved, T0).unwrap();
    moved.channel = 9;
    table.register(&moved, T0).unwrap();
    table.channel_closed(7);
    assert!(table.route("T").is_some());
    table.channel_closed(9);
    assert_eq!(table.route("T"), None);
}

#[test]
fn a_slave_acts_as_master_for_readers_only() {
    let mut table = RouteTable::new(Rules {
        support_acting_master: true,
        ..Rules::default()
    });
    let acting = |id| Registration {
        enable_acting_master: Some(true),
        ..broker("a", id)
    };
    for id in [0, 2, 1] {
        table.register(&acting(id), T0).unwrap();
    }
    assert_eq!(ids(&table, "T"), [vec![0, 1, 2]]);
    table.unregister(&gone("a", 0));
    assert_eq!(perms(&table, "T"), [4]);
    assert_eq!(ids(&table, "T"), [vec![0, 2]]);
    let route = table.route("T").unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs[&0], "a-1:10911");
    // Only routes are beautified.
    assert_eq!(table.members("a").into_keys().collect::<Vec<_>>(), [1, 2]);

    // The prime slave keeps the topics up to date, without write permission.
    let mut prime = acting(1);
    prime.topics = topics(2, &["T", "New"]);
    table.register(&prime, T0).unwrap();
    assert_eq!(perms(&table, "New"), [4]);

    // The master is back.
    table.register(&acting(0), T0).unwrap();
    assert_eq!(ids(&table, "T"), [vec![0, 1, 2]]);
    assert_eq!(perms(&table, "T"), [6]);
}

#[test]
fn write_permission_is_taken_and_given() {
    let mut table = table();
    table.register(&broker("a", 0), T0).unwrap();
    table.register(&broker("b", 0), T0).unwrap();
    assert_eq!(table.wipe_write_perm("a"), 2);
    assert_eq!(perms(&table, "T"), [4, 6]);
    assert_eq!(table.add_write_perm("a"), 2);
    assert_eq!(perms(&table, "T"), [6, 6]);
    assert_eq!(table.wipe_write_perm("nobody"), 0);
}

#[test]
fn topics_are_registered_and_deleted_by_hand() {
    let mut table = table();
    table.register(&broker("a", 0), T0).unwrap();
    let queues = |broker: &str| QueueData {
        broker_name: broker.to_owned(),
        perm: 6,
        ..QueueData::default()
    };
    table.register_topic("New", vec![queues("a"), queues("nobody")]);
    assert_eq!(table.route("New"), None);
    table.register_topic("New", vec![queues("a")]);
    assert!(table.route("New").is_some());
    table.delete_topic("New", Some("D"));
    assert!(table.route("New").is_some());
    table.delete_topic("New", Some("C"));
    assert_eq!(table.route("New"), None);
    table.delete_topic("New", None);
}

#[test]
fn units_are_told_by_the_first_brokers_flag() {
    let mut table = table();
    let mut units = broker("a", 0);
    for (name, flag) in [("Unit", 1), ("Sub", 2), ("Both", 3), ("Plain", 0)] {
        let config = TopicConfig {
            topic_name: name.to_owned(),
            topic_sys_flag: flag,
            ..TopicConfig::default()
        };
        let table = &mut units.topics.topic_config_table;
        table.insert(name.to_owned(), config);
    }
    table.register(&units, T0).unwrap();
    assert_eq!(table.unit_topics(), ["Both", "Unit"]);
    assert_eq!(table.unit_sub_topics(), ["Both", "Sub"]);
    assert_eq!(table.unit_sub_ununit_topics(), ["Sub"]);
}

#[test]
fn zones_keep_their_own_and_those_without_master() {
    let mut table = table();
    for (name, id, zone) in [("a", 0, "z1"), ("b", 0, "z2"), ("c", 1, "z2")] {
        let mut registration = broker(name, id);
        registration.zone = Some(zone.to_owned());
        // Also a slave brings its topics, as the first of its name.
        registration.enable_acting_master = Some(true);
        registration.filter_servers = Some(vec![format!("filter-{name}")]);
        table.register(&registration, T0).unwrap();
    }
    let mut route = table.route("T").unwrap();
    assert_eq!(route.broker_datas.len(), 3);
    assert_eq!(route.filter_server_table.len(), 3);
    keep_zone(&mut route, "Z1");
    let names: Vec<_> = route.broker_datas.iter().map(|b| &b.broker_name).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(route.queue_datas.len(), 2);
    assert!(!route.filter_server_table.contains_key("b-0:10911"));
}

#[test]
fn static_topics_pass_their_mapping_through() {
    let mut table = table();
    let mut registration = broker("a", 0);
    let info = serde_json::json!({"topic": "T", "bname": "a", "totalQueues": 4});
    let mappings = &mut registration.topics.topic_queue_mapping_info_map;
    mappings.insert("T".to_owned(), info.clone());
    table.register(&registration, T0).unwrap();
    let route = table.route("T").unwrap();
    assert_eq!(
        route.topic_queue_mapping_by_broker,
        Some(serde_json::json!({ "a": info }))
    );
    assert_eq!(
        table.route("U").unwrap().topic_queue_mapping_by_broker,
        None
    );
}

#[test]
fn who_was_there_hears_of_a_smaller_id_and_who_stays_of_its_going() {
    let mut table = table();
    let standing_in = |id| Registration {
        enable_acting_master: Some(true),
        ..broker("a", id)
    };
    let address = |id: i64| format!("a-{id}:10911");
    for id in [2, 3] {
        table.register(&standing_in(id), T0).unwrap();
        assert_eq!(table.take_minimums(), [], "{id} is no smaller than before");
    }
    table.register(&standing_in(0), T0).unwrap();
    let came = Minimum {
        name: "a".to_owned(),
        id: 0,
        addr: address(0),
        offline: None,
        ha_addr: Some("a-0:10912".to_owned()),
        listeners: vec![address(2), address(3)],
    };
    assert_eq!(table.take_minimums(), [came]);
    table.unregister(&gone("a", 0));
    let went = Minimum {
        name: "a".to_owned(),
        id: 2,
        addr: address(2),
        offline: Some(address(0)),
        ha_addr: None,
        listeners: vec![address(2), address(3)],
    };
    assert_eq!(table.take_minimums(), [went]);
    table.unregister(&gone("a", 3));
    assert_eq!(table.take_minimums(), []);
}

#[test]
fn nobody_hears_of_a_master_that_goes_where_none_may_stand_in() {
    let mut table = table();
    for id in [0, 1] {
        table.register(&broker("a", id), T0).unwrap();
    }
    table.unregister(&gone("a", 0));
    assert_eq!(table.take_minimums(), []);
}
