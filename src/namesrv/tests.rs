//! The name server over real sockets, and against what Apache's answered in recorded sessions.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::protocol::body::lists::{KVTable, TopicList};
use crate::protocol::body::register::RegisterBrokerBody;
use crate::protocol::body::route::{ClusterInfo, GetBrokerMemberGroupResponseBody, TopicRouteData};
use crate::protocol::body::topic_config::{DataVersion, TopicConfig};
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Reply;
use crate::protocol::header::namesrv::{
    QueryDataVersionResponseHeader, RegisterBrokerResponseHeader,
};
use crate::protocol::header::{Header, NoHeader};
use crate::remoting::{ConnLimits, Server, connect, serve};

const SOON: Duration = Duration::from_secs(10);

struct Nothing;

impl Service for Nothing {
    type Session = ();

    fn open(&self, _: &Arc<Channel>) {}

    fn frames(&self, (): &mut (), _: &Arc<Channel>, _: &mut Vec<Frame>) {}

    fn closed(&self, (): (), _: &Arc<Channel>) {}
}

/// A running name server and a clock that stands still.
struct Running {
    name_server: Arc<NameServer>,
    server: Server,
    clock: Clock,
}

async fn start(options: NamesrvOptions) -> Running {
    let clock = Clock::manual(1_000_000);
    let name_server = NameServer::start(options, clock.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(listener, Arc::clone(&name_server), ConnLimits::default()).unwrap();
    Running {
        name_server,
        server,
        clock,
    }
}

impl Running {
    async fn dial(&self) -> Arc<Channel> {
        let addr = self.server.local_addr().to_string();
        connect(&addr, Arc::new(Nothing), ConnLimits::default(), SOON)
            .await
            .unwrap()
    }
}

/// Ext fields as they stand in a test.
struct Given<'a>(&'a [(&'static str, &'a str)]);

impl Header for Given<'_> {
    fn write(&self, put: &mut dyn FnMut(&'static str, &str)) {
        for (key, value) in self.0 {
            put(key, value);
        }
    }
}

async fn ask(
    channel: &Arc<Channel>,
    code: RequestCode,
    fields: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let request = Command::request(code, &Given(fields)).with_body(body);
    channel.call(request, SOON).await.unwrap()
}

fn decoded<T: serde::de::DeserializeOwned>(reply: &Reply) -> T {
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
    fastjson::from_slice(&reply.body).unwrap()
}

fn registration(counter: i64, topics: &[&str]) -> RegisterBrokerBody {
    let mut body = RegisterBrokerBody::default();
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version.counter = counter;
    for name in topics {
        let topic = TopicConfig {
            topic_name: (*name).to_owned(),
            ..TopicConfig::default()
        };
        wrapper.topic_config_table.insert((*name).to_owned(), topic);
    }
    body
}

fn broker_fields(id: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("brokerName", "broker-a"),
        (
            "brokerAddr",
            if id == "0" {
                "10.0.0.1:10911"
            } else {
                "10.0.0.2:10911"
            },
        ),
        ("clusterName", "C"),
        ("haServerAddr", "10.0.0.1:10912"),
        ("brokerId", id),
    ]
}

async fn register(channel: &Arc<Channel>, id: &'static str) -> Reply {
    let body = fastjson::to_wire(&registration(1, &["T", "U"])).unwrap();
    let crc = RegisterBrokerBody::crc(&body).to_string();
    let mut fields = broker_fields(id);
    fields.push(("bodyCrc32", &crc));
    ask(channel, RequestCode::REGISTER_BROKER, &fields, body).await
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn brokers_come_and_go() {
    let running = start(NamesrvOptions::default()).await;
    let (master, slave, client) = (
        running.dial().await,
        running.dial().await,
        running.dial().await,
    );
    let route = || {
        ask(
            &client,
            RequestCode::GET_ROUTEINFO_BY_TOPIC,
            &[("topic", "T")],
            "",
        )
    };
    assert_eq!(route().await.code, ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(register(&master, "0").await.fields.len(), 0);
    let reply = register(&slave, "1").await;
    let header: RegisterBrokerResponseHeader<'_> = reply.header().unwrap();
    assert_eq!(header.master_addr, Some("10.0.0.1:10911"));
    assert_eq!(header.ha_server_addr, Some("10.0.0.1:10912"));

    let addrs = |reply: Reply| {
        decoded::<TopicRouteData>(&reply).broker_datas[0]
            .broker_addrs
            .len()
    };
    assert_eq!(addrs(route().await), 2);
    assert_eq!(addrs(route().await), 2, "from the kept answer");
    let fields = [("clusterName", "C"), ("brokerName", "broker-a")];
    let reply = ask(&client, RequestCode::GET_BROKER_MEMBER_GROUP, &fields, "").await;
    let members: GetBrokerMemberGroupResponseBody = decoded(&reply);
    assert_eq!(members.broker_member_group.broker_addrs.len(), 2);

    // A closed connection is noticed at once.
    slave.close();
    until("slave gone", || {
        running.name_server.routes.lock().members("broker-a").len() == 1
    })
    .await;
    assert_eq!(addrs(route().await), 1);

    // Silence is noticed by the clock, and ends the connection.
    running.clock.advance(100_000);
    let heartbeat = ask(
        &master,
        RequestCode::BROKER_HEARTBEAT,
        &broker_fields("0"),
        "",
    )
    .await;
    assert_eq!(heartbeat.code, ResponseCode::SUCCESS);
    running.clock.advance(100_000);
    running.name_server.expire();
    assert_eq!(addrs(route().await), 1);
    running.clock.advance(100_000);
    running.name_server.expire();
    tokio::time::timeout(SOON, master.ended()).await.unwrap();
    let reply = route().await;
    assert_eq!(
        reply.remark(),
        "No topic route info in name server for the topic: T\n\
         See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    );

    // A good-bye.
    let master = running.dial().await;
    register(&master, "0").await;
    ask(
        &master,
        RequestCode::UNREGISTER_BROKER,
        &broker_fields("0"),
        "",
    )
    .await;
    let reply = ask(&client, RequestCode::GET_BROKER_CLUSTER_INFO, &[], "").await;
    assert_eq!(decoded::<ClusterInfo>(&reply), ClusterInfo::default());
}

#[tokio::test]
async fn registrations_are_checked_and_may_be_compressed() {
    let running = start(NamesrvOptions::default()).await;
    let broker = running.dial().await;
    let body = registration(1, &["T", "U"]).encode_compressed().unwrap();
    let mut fields = broker_fields("0");
    fields.push(("bodyCrc32", "1"));
    let reply = ask(&broker, RequestCode::REGISTER_BROKER, &fields, body.clone()).await;
    assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark(), "crc32 not match");

    // Apache 5.5.0 says `compressed=false` even so.
    for compressed in ["true", "false"] {
        let mut fields = broker_fields("0");
        fields.push(("compressed", compressed));
        let reply = ask(&broker, RequestCode::REGISTER_BROKER, &fields, body.clone()).await;
        assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
    }
    let reply = ask(
        &broker,
        RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
        &[],
        "",
    )
    .await;
    assert_eq!(decoded::<TopicList>(&reply).topic_list, ["T", "U"]);

    let mut fields = broker_fields("0");
    fields[0] = ("brokerName", "broker-b");
    let body = fastjson::to_wire(&registration(1, &["T"])).unwrap();
    let reply = ask(&broker, RequestCode::REGISTER_BROKER, &fields, body).await;
    assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark(), "register broker failed");
    for garbage in [&b"{"[..], b"\x78\x9cgarbage", b"[1]", b"\0\0"] {
        let reply = ask(
            &broker,
            RequestCode::REGISTER_BROKER,
            &broker_fields("0"),
            garbage,
        )
        .await;
        assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    }
    let reply = ask(
        &broker,
        RequestCode::REGISTER_BROKER,
        &[("brokerName", "b")],
        "",
    )
    .await;
    assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    assert!(reply.remark().contains("brokerAddr"), "{}", reply.remark());
}

#[tokio::test]
async fn data_versions_tell_whether_to_register() {
    let running = start(NamesrvOptions::default()).await;
    let broker = running.dial().await;
    let ask_version = async |counter| {
        let version = DataVersion {
            counter,
            ..DataVersion::default()
        };
        let body = fastjson::to_wire(&version).unwrap();
        let code = RequestCode::QUERY_DATA_VERSION;
        let reply = ask(&broker, code, &broker_fields("0"), body).await;
        let header: QueryDataVersionResponseHeader = reply.header().unwrap();
        (header.changed, reply.body)
    };
    assert_eq!(ask_version(1).await, (true, Bytes::new()));
    register(&broker, "0").await;
    let known: &[u8] = br#"{"counter":1,"stateVersion":0,"timestamp":0}"#;
    assert_eq!(ask_version(1).await, (false, Bytes::from_static(known)));
    assert_eq!(ask_version(2).await, (true, Bytes::from_static(known)));
}

#[tokio::test]
async fn values_are_kept_and_order_confs_reach_brokers_and_routes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvConfig.json");
    let running = start(NamesrvOptions::new(path.clone())).await;
    let admin = running.dial().await;
    let fields = [
        ("namespace", "ORDER_TOPIC_CONFIG"),
        ("key", "T"),
        ("value", "broker-a:4"),
    ];
    let reply = ask(&admin, RequestCode::GET_KV_CONFIG, &fields, "").await;
    assert_eq!(reply.code, ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(
        reply.remark(),
        "No config item, Namespace: ORDER_TOPIC_CONFIG Key: T"
    );
    let reply = ask(&admin, RequestCode::GET_KVLIST_BY_NAMESPACE, &fields, "").await;
    assert_eq!(reply.code, ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(register(&admin, "0").await.body, "");

    let reply = ask(&admin, RequestCode::PUT_KV_CONFIG, &fields, "").await;
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    let saved: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        saved,
        json!({"configTable": {"ORDER_TOPIC_CONFIG": {"T": "broker-a:4"}}})
    );
    let reply = ask(&admin, RequestCode::GET_KV_CONFIG, &fields, "").await;
    assert_eq!(reply.fields.get("value"), Some("broker-a:4"));
    let table = BTreeMap::from([("T".to_owned(), "broker-a:4".to_owned())]);
    for reply in [
        ask(&admin, RequestCode::GET_KVLIST_BY_NAMESPACE, &fields, "").await,
        register(&admin, "0").await,
    ] {
        assert_eq!(decoded::<KVTable>(&reply).table, table);
    }

    let order_conf = async || {
        let fields = [("topic", "T")];
        let reply = ask(&admin, RequestCode::GET_ROUTEINFO_BY_TOPIC, &fields, "").await;
        decoded::<TopicRouteData>(&reply).order_topic_conf
    };
    assert_eq!(order_conf().await, None);
    let switch = "orderMessageEnable=true";
    ask(&admin, RequestCode::UPDATE_NAMESRV_CONFIG, &[], switch).await;
    assert_eq!(order_conf().await.as_deref(), Some("broker-a:4"));
    ask(&admin, RequestCode::DELETE_KV_CONFIG, &fields, "").await;
    assert_eq!(order_conf().await, None);
    // The empty namespace stays, as Apache's.
    assert_eq!(register(&admin, "0").await.body, r#"{"table":{}}"#);
}

#[tokio::test]
async fn a_value_that_cannot_be_saved_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder/kvConfig.json");
    let running = start(NamesrvOptions::new(path)).await;
    std::fs::write(dir.path().join("folder"), "").unwrap();
    let admin = running.dial().await;
    let fields = [("namespace", "n"), ("key", "k"), ("value", "v")];
    let reply = ask(&admin, RequestCode::PUT_KV_CONFIG, &fields, "").await;
    assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    assert!(reply.remark().contains("cannot be saved"));
}

#[tokio::test]
async fn topics_are_listed_registered_deleted_and_locked() {
    let running = start(NamesrvOptions::default()).await;
    let admin = running.dial().await;
    register(&admin, "0").await;
    let list = async |code, fields: &[(&'static str, &str)]| {
        let reply = ask(&admin, code, fields, "").await;
        decoded::<TopicList>(&reply).topic_list
    };
    let cluster = [("cluster", "C")];
    assert_eq!(
        list(RequestCode::GET_TOPICS_BY_CLUSTER, &cluster).await,
        ["T", "U"]
    );
    assert_eq!(
        list(RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS, &[]).await,
        ["C", "broker-a"]
    );
    for code in [
        RequestCode::GET_UNIT_TOPIC_LIST,
        RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST,
        RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
    ] {
        assert_eq!(list(code, &[]).await, [""; 0]);
    }
    let route = json!({"queueDatas": [{"brokerName": "broker-a", "perm": 6}]}).to_string();
    let code = RequestCode::REGISTER_TOPIC_IN_NAMESRV;
    ask(&admin, code, &[("topic", "New")], route).await;
    let code = RequestCode::DELETE_TOPIC_IN_NAMESRV;
    ask(&admin, code, &[("topic", "U")], "").await;
    ask(
        &admin,
        code,
        &[("topic", "T"), ("clusterName", "other")],
        "",
    )
    .await;
    let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    assert_eq!(list(code, &[]).await, ["New", "T"]);

    let broker = [("brokerName", "broker-a")];
    let reply = ask(&admin, RequestCode::WIPE_WRITE_PERM_OF_BROKER, &broker, "").await;
    assert_eq!(reply.fields.get("wipeTopicCount"), Some("2"));
    let reply = ask(&admin, RequestCode::ADD_WRITE_PERM_OF_BROKER, &broker, "").await;
    assert_eq!(reply.fields.get("addTopicCount"), Some("2"));
}

#[tokio::test]
async fn settings_change_what_is_answered() {
    let mut options = NamesrvOptions::default();
    assert_eq!(options.set("needWaitForService", "true"), Some(Ok(())));
    assert_eq!(options.set("brokerName", "x"), None);
    assert!(options.set("enableTopicList", "maybe").unwrap().is_err());
    let running = start(options).await;
    let admin = running.dial().await;
    register(&admin, "0").await;
    let route = || {
        ask(
            &admin,
            RequestCode::GET_ROUTEINFO_BY_TOPIC,
            &[("topic", "T")],
            "",
        )
    };
    let reply = route().await;
    assert_eq!(reply.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark(), "name server not ready");
    running.clock.advance(45_000);
    assert_eq!(route().await.code, ResponseCode::SUCCESS);

    let update =
        async |text: &'static str| ask(&admin, RequestCode::UPDATE_NAMESRV_CONFIG, &[], text).await;
    let off = update("enableAllTopicList=false\nenableTopicList=false\n").await;
    assert_eq!(off.code, ResponseCode::SUCCESS);
    let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    assert_eq!(ask(&admin, code, &[], "").await.remark(), "disable");
    let code = RequestCode::GET_TOPICS_BY_CLUSTER;
    let reply = ask(&admin, code, &[("cluster", "C")], "").await;
    assert_eq!(reply.remark(), "disable");
    let refused = update("kvConfigPath=/etc/passwd").await;
    assert_eq!(refused.code, ResponseCode::NO_PERMISSION);
    let bad = update("waitSecondsForService=soon").await;
    assert_eq!(bad.code, ResponseCode::SYSTEM_ERROR);
    let reply = ask(&admin, RequestCode::GET_NAMESRV_CONFIG, &[], "").await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains("enableTopicList=false\n"), "{text}");
}

#[tokio::test]
async fn zones_unknown_codes_and_oneway_requests() {
    let running = start(NamesrvOptions::default()).await;
    let client = running.dial().await;
    let mut fields = broker_fields("0");
    fields.push(("__ZONE_NAME", "z1"));
    let body = fastjson::to_wire(&registration(1, &["T", "U"])).unwrap();
    ask(&client, RequestCode::REGISTER_BROKER, &fields, body).await;
    let brokers = async |zone: &'static str| {
        let fields = [
            ("topic", "T"),
            ("__ZONE_MODE", "true"),
            ("__ZONE_NAME", zone),
        ];
        let reply = ask(&client, RequestCode::GET_ROUTEINFO_BY_TOPIC, &fields, "").await;
        decoded::<TopicRouteData>(&reply).broker_datas.len()
    };
    assert_eq!(brokers("Z1").await, 1);
    assert_eq!(brokers("z2").await, 0);
    assert_eq!(brokers(" ").await, 1);

    // Nothing comes back for the first, so the answer that does is the second's.
    client.send_oneway(Command::request(
        RequestCode::GET_BROKER_CLUSTER_INFO,
        &NoHeader,
    ));
    let reply = ask(&client, RequestCode(9999), &[], "").await;
    assert_eq!(reply.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(reply.remark(), " request type 9999 not supported");
}

/// One line of a recorded session.
struct Line {
    place: String,
    json: Value,
}

impl Line {
    fn frame(&self) -> Vec<u8> {
        let raw = self.json["raw_base64"].as_str().unwrap();
        STANDARD.decode(raw).unwrap()
    }

    fn number(&self, member: &str) -> i64 {
        self.json[member].as_i64().unwrap()
    }

    fn text(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_default()
    }
}

/// What went to and from the name server in a recorded session of Apache 5.5.0.
fn session(name: &str) -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/captures");
    let file = std::fs::File::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(|line| {
            let json: Value = serde_json::from_str(&line.unwrap()).unwrap();
            Line {
                place: format!("{name} n={}", json["n"]),
                json,
            }
        })
        .filter(|line| line.text("target") == "namesrv")
        .collect()
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Frame {
    stream.write_all(request).await.unwrap();
    let mut received = BytesMut::new();
    loop {
        if let Some(frame) = Frame::take(&mut received, 16 << 20).unwrap() {
            return frame;
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0);
    }
}

fn assert_like_apache(line: &Line, ours: &Frame) {
    let place = &line.place;
    let apache = Frame {
        bytes: Bytes::from(line.frame()).slice(4..),
    };
    let (head, body) = ours.parse().unwrap();
    let (mut their_head, their_body) = apache.parse().unwrap();
    // Apache answers binary requests in JSON; we answer in kind, and every client that asks so reads both.
    their_head.serialization = head.serialization;
    assert_eq!(head, their_head, "{place}");
    match line.text("requestCodeName") {
        "GET_ALL_TOPIC_LIST_FROM_NAMESERVER" => {
            let topics = |body: &[u8]| {
                let list: TopicList = fastjson::from_slice(body).unwrap();
                list.topic_list.into_iter().collect::<HashSet<_>>()
            };
            assert_eq!(topics(&body), topics(&their_body), "{place}");
        }
        "GET_BROKER_CLUSTER_INFO" => {
            let info = |body: &[u8]| fastjson::from_slice::<ClusterInfo>(body).unwrap();
            assert_eq!(info(&body), info(&their_body), "{place}");
        }
        // To the byte, also routes: they are what every client in the field has to read.
        _ => assert_eq!(body, their_body, "{place}"),
    }
}

/// Sends what was sent in the sessions, one after the other, and compares the answers from the first registration
/// (or good-bye) on: before that, nobody has told us what Apache's name server knew.
async fn replay(sessions: &[&str]) -> usize {
    let running = start(NamesrvOptions::default()).await;
    let mut connections: BTreeMap<(String, String), TcpStream> = BTreeMap::new();
    let mut answers = BTreeMap::new();
    let mut told = false;
    let mut compared = 0;
    for line in sessions.iter().flat_map(|name| session(name)) {
        let connection = line.text("conn").to_owned();
        let from = (line.text("conn").to_owned(), sessions[0].to_owned());
        match line.text("kind") {
            "request" => {
                if !connections.contains_key(&from) {
                    let stream = TcpStream::connect(running.server.local_addr()).await;
                    connections.insert(from.clone(), stream.unwrap());
                }
                let stream = connections.get_mut(&from).unwrap();
                let answer = exchange(stream, &line.frame()).await;
                // A broker that brings one new topic tells nothing about the others; it is refused here.
                told |= matches!(
                    line.text("codeName"),
                    "REGISTER_BROKER" | "UNREGISTER_BROKER"
                ) && answer.parse().unwrap().0.code == 0;
                answers.insert((connection, line.number("opaque")), (told, answer));
            }
            "response" => {
                let asked = answers.remove(&(connection, line.number("opaque")));
                if let Some((true, ours)) = asked {
                    assert_like_apache(&line, &ours);
                    compared += 1;
                }
            }
            "close" => drop(connections.remove(&from)),
            _ => {}
        }
    }
    compared
}

#[tokio::test]
async fn answers_are_apaches_in_recorded_sessions() {
    let sessions: [&[&str]; 16] = [
        &["broker-start"],
        &["broker-stop"],
        &["broker-binary-start"],
        &["binary-header"],
        &["admin-topicList"],
        &["admin-topicList-c"],
        &["lite-pull"],
        &["producer"],
        &["broadcast"],
        &["pull"],
        &["push-concurrent"],
        &["push-orderly"],
        &["pop"],
        &["request-reply"],
        &["transaction"],
        &["slave-join", "slave-steady", "slave-shutdown"],
    ];
    let mut compared = 0;
    for sessions in sessions {
        compared += replay(sessions).await;
    }
    assert!(compared > 200, "only {compared} answers compared");
}

#[tokio::test]
async fn a_broker_hears_at_its_own_port_that_a_smaller_id_has_come() {
    let mut options = NamesrvOptions::default();
    options
        .set("notifyMinBrokerIdChanged", "true")
        .unwrap()
        .unwrap();
    let running = start(options).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = port.local_addr().unwrap().to_string();
    let body = fastjson::to_wire(&registration(1, &["T", "U"])).unwrap();
    let crc = RegisterBrokerBody::crc(&body).to_string();
    let mut fields = broker_fields("1");
    fields[1] = ("brokerAddr", &own);
    fields.push(("bodyCrc32", &crc));
    let slave = running.dial().await;
    ask(&slave, RequestCode::REGISTER_BROKER, &fields, body).await;
    let master = running.dial().await;
    register(&master, "0").await;
    let (mut heard, _) = tokio::time::timeout(SOON, port.accept())
        .await
        .unwrap()
        .unwrap();
    let mut bytes = BytesMut::new();
    let frame = loop {
        if let Some(frame) = Frame::take(&mut bytes, 1 << 20).unwrap() {
            break frame;
        }
        assert!(heard.read_buf(&mut bytes).await.unwrap() > 0);
    };
    let (command, _) = frame.parse().unwrap();
    assert_eq!(
        command.request_code(),
        RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE
    );
    let told: crate::protocol::header::namesrv::NotifyMinBrokerIdChangeRequestHeader<'_> =
        command.header().unwrap();
    assert_eq!(told.min_broker_id, Some(0));
    assert_eq!(told.min_broker_addr, Some("10.0.0.1:10911"));
    assert_eq!(told.ha_broker_addr, Some("10.0.0.1:10912"));
}
