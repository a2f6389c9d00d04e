use std::path::PathBuf;

use super::*;

fn flags(role: Role) -> Flags {
    Flags {
        role,
        data_dir: Some(PathBuf::from("/data")),
        ..Flags::default()
    }
}

fn with_file(name: &str, text: &str, mut flags: Flags) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    flags.config = Some(path);
    load(&flags, [])
}

/// What the comparison of brokers starts every node with.
const BENCH: &str = "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\n\
    brokerRole=ASYNC_MASTER\nflushDiskType=SYNC_FLUSH\nautoCreateTopicEnable=true\nbrokerIP1=127.0.0.1\n\
    namesrvAddr=127.0.0.1:19876\nlistenPort=19887\n";

#[test]
fn a_broker_file_starts_both_roles() {
    let Loaded { options, warnings } = with_file("broker.conf", BENCH, flags(Role::All)).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(options.namesrv_port, 19876);
    assert_eq!(options.broker.listen_port, 19887);
    assert_eq!(
        options.broker.namesrv_addr, "",
        "its own name server is not in the list"
    );
    assert_eq!(options.listen.to_string(), "127.0.0.1");
    assert!(matches!(
        options.broker.store.flush,
        crate::store::FlushMode::Sync { .. }
    ));
}

#[test]
fn roles_apart() {
    let broker = with_file("broker.conf", BENCH, flags(Role::Broker)).unwrap();
    assert_eq!(broker.options.broker.namesrv_addr, "127.0.0.1:19876");
    let namesrv = with_file("namesrv.conf", "listenPort=1234\n", flags(Role::Namesrv)).unwrap();
    assert_eq!(namesrv.options.namesrv_port, 1234);
}

#[test]
fn yaml_says_the_same() {
    let yaml = "brokerName: b\nlistenPort: 19887\ndeleteWhen: 04\nmappedFileSizeCommitLog: 16MiB\n";
    for (name, text) in [
        ("rmq.yaml", yaml.to_owned()),
        ("broker.conf", format!("---\n{yaml}")),
    ] {
        let options = with_file(name, &text, flags(Role::All)).unwrap().options;
        assert_eq!(options.broker.broker_name, "b");
        assert_eq!(options.broker.listen_port, 19887);
        assert_eq!(options.broker.store.delete_when, "04");
        assert_eq!(options.broker.store.log_file_bytes, 16 << 20);
    }
}

#[test]
fn flags_win_over_environment_over_file() {
    let environment = |value: &str| vec![("RMQ_LISTEN_PORT".to_owned(), value.to_owned())];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.conf");
    std::fs::write(&path, "listenPort=1000\nbrokerName=file\n").unwrap();
    let mut flags = Flags {
        config: Some(path),
        ..flags(Role::All)
    };
    let port = |flags: &Flags, environment| {
        let loaded = load(flags, environment).unwrap();
        (
            loaded.options.broker.listen_port,
            loaded.options.broker.broker_name,
        )
    };
    assert_eq!(port(&flags, vec![]), (1000, "file".to_owned()));
    assert_eq!(port(&flags, environment("2000")), (2000, "file".to_owned()));
    flags.settings = vec![("brokerName".to_owned(), "flag".to_owned())];
    flags.broker_port = Some(3000);
    assert_eq!(port(&flags, environment("2000")), (3000, "flag".to_owned()));
}

#[test]
fn javas_variable_is_the_brokers_default() {
    let environment = || [("NAMESRV_ADDR".to_owned(), "a:9876;b:9876".to_owned())];
    let options = load(&flags(Role::Broker), environment()).unwrap().options;
    assert_eq!(options.broker.namesrv_addr, "a:9876;b:9876");
    let options = load(&flags(Role::All), environment()).unwrap().options;
    assert_eq!(options.broker.namesrv_addr, "");
    let mut given = flags(Role::Broker);
    given.namesrv = Some("c:1".to_owned());
    let options = load(&given, environment()).unwrap().options;
    assert_eq!(options.broker.namesrv_addr, "c:1");
}

#[test]
fn unknown_keys_are_told_apart_from_apaches() {
    let text = "brokerNmae=a\nhaListenPort=10912\nsendMessageThreadPoolNums=4\nrocketmqHome=/opt\n";
    let warnings = with_file("broker.conf", text, flags(Role::All))
        .unwrap()
        .warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("broker.conf:1: unknown key brokerNmae"));
    assert!(warnings[1].contains("without effect here so far: "));
    assert!(warnings[1].contains("sendMessageThreadPoolNums"));
}

#[test]
fn bad_values_name_file_line_and_key() {
    let text = "brokerName=a\nlistenPort=many\n\nfileReservedTime=long\nmaxMessageSize=5\nbrokerRole=KING\n";
    let error = with_file("broker.conf", text, flags(Role::All)).unwrap_err();
    let text = error.to_string();
    for expected in [
        "broker.conf:2: listenPort: \"many\" is no port",
        "broker.conf:4: fileReservedTime: \"long\" will not do: ",
        "broker.conf:5: maxMessageSize: must be at least 1024 bytes",
        "broker.conf:6: brokerRole: \"KING\" is not",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn bad_flags_and_variables_name_themselves() {
    let mut with_setting = flags(Role::All);
    with_setting.settings = vec![("brokerNmae".to_owned(), "a".to_owned())];
    let text = load(&with_setting, []).unwrap_err().to_string();
    assert_eq!(text, "--set: brokerNmae: there is no such setting");
    let environment = [("RMQ_BROKER_ROLE".to_owned(), "KING".to_owned())];
    let text = load(&flags(Role::All), environment)
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("RMQ_BROKER_ROLE: brokerRole: \"KING\" is not"));
}

#[test]
fn slaves_have_ids_of_their_own() {
    let of = |text: &str| with_file("broker.conf", text, flags(Role::Broker));
    let options = of("brokerRole=SLAVE\nbrokerId=3\n").unwrap().options.broker;
    assert_eq!(
        (options.broker_role.name(), options.broker_id),
        ("SLAVE", 3)
    );
    let error = of("brokerRole=SLAVE\nbrokerId=0\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("broker.conf:2: brokerId: "), "{error}");
    let mut given = flags(Role::Broker);
    given.broker_role = Some("SLAVE".to_owned());
    given.master = Some("a:10911".to_owned());
    let options = load(&given, []).unwrap().options.broker;
    assert_eq!(options.broker_id, 1);
    assert_eq!(options.master_addr, "a:10911");
}

#[test]
fn the_commit_log_stays_in_the_store() {
    let text = "storePathRootDir=/a\nstorePathCommitLog=/b/commitlog\n";
    let plain = Flags::default();
    let error = with_file("broker.conf", text, plain.clone()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("broker.conf:2: storePathCommitLog")
    );
    let text = "storePathRootDir=/a\nstorePathCommitLog=/a/commitlog\n";
    let options = with_file("broker.conf", text, plain).unwrap().options;
    assert_eq!(options.data_dir(), Path::new("/a"));
}

#[test]
fn who_is_told_decides_who_may_connect() {
    let mut given = flags(Role::All);
    let listen = |flags: &Flags| {
        let options = load(flags, []).unwrap().options;
        (options.listen.to_string(), options.broker.broker_ip1)
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(listen(&given), pair("127.0.0.1", "127.0.0.1"));
    given.advertise = vec!["10.1.2.3".parse().unwrap()];
    assert_eq!(listen(&given), pair("0.0.0.0", "10.1.2.3"));
    given.listen = Some("127.0.0.1".to_owned());
    assert_eq!(listen(&given), pair("127.0.0.1", "10.1.2.3"));
    given.advertise = vec!["10.1.2.3:32768".parse().unwrap()];
    let broker = load(&given, []).unwrap().options.broker;
    assert_eq!(broker.address(), "10.1.2.3:32768");
    assert_eq!(broker.listen_port, 10911);
    given.listen = None;
    given.advertise = vec!["auto".parse().unwrap()];
    let options = load(&given, []).unwrap().options;
    assert!(options.listen.is_unspecified() && options.told.auto);
    given.advertise = ["wait", "a:1"].map(|part| part.parse().unwrap()).into();
    assert!(load(&given, []).is_err());
}

#[test]
fn an_ephemeral_directory_disappears() {
    let options = load(
        &Flags {
            ephemeral: true,
            ..Flags::default()
        },
        [],
    )
    .unwrap()
    .options;
    let dir = options.data_dir().to_owned();
    assert!(dir.is_dir());
    drop(options);
    assert!(!dir.exists());
}

#[test]
fn topics_on_the_command_line() {
    let spec: TopicSpec = "orders:8".parse().unwrap();
    assert_eq!((spec.name.as_str(), spec.queues), ("orders", Some(8)));
    let spec: TopicSpec = "orders".parse().unwrap();
    assert_eq!(spec.queues, None);
    assert!("orders:0".parse::<TopicSpec>().is_err());
    assert!("or ders".parse::<TopicSpec>().is_err());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = Flags {
        config: Some(PathBuf::from("/no/such/broker.conf")),
        ..flags(Role::All)
    };
    let text = load(&missing, []).unwrap_err().to_string();
    assert!(text.contains("/no/such/broker.conf"), "{text}");
    let error = with_file("x.yaml", "a: [1]\n", flags(Role::All)).unwrap_err();
    assert!(error.to_string().contains("x.yaml:1: "), "{error}");
}

proptest::proptest! {
    #[test]
    fn garbage_in_a_file_is_an_error_or_a_warning(bytes: Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        std::fs::write(&path, bytes).unwrap();
        let _ = load(&Flags { config: Some(path), ..flags(Role::All) }, []);
    }
}
