//! A broker and a name server in this process, driven over sockets with raw commands.

mod batch_queues;
mod groups;
mod hostile;
mod light_queues;
mod pop;
mod sql;
mod timer;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::{Broker, BrokerOptions, Port};
use crate::message::{Record, batch, names};
use crate::namesrv::{NameServer, NamesrvOptions};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::frame::Frame;
use crate::protocol::header::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use crate::protocol::header::send::{SendMessageRequestHeaderV2, SendMessageResponseHeader};
use crate::remoting::{Channel, ConnLimits, Server, Service, connect, serve};
use crate::store::{FlushMode, StoreOptions};
use crate::sys::Clock;

const LIMIT: Duration = Duration::from_secs(10);

/// A client that counts what it is asked.
#[derive(Default)]
struct Peer {
    asked: parking_lot::Mutex<Vec<i32>>,
}

impl Service for Peer {
    type Session = ();

    fn open(&self, _channel: &Arc<Channel>) {}

    fn frames(&self, _session: &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            let (head, _) = frame.parse().unwrap();
            self.asked.lock().push(head.code);
            channel.answer(&head, Command::response(ResponseCode::SUCCESS));
        }
    }

    fn closed(&self, _session: (), _channel: &Arc<Channel>) {}
}

struct Fixture {
    broker: Arc<Broker>,
    server: Server,
    name_server: Server,
    dir: Option<tempfile::TempDir>,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), change).await
    }

    async fn in_dir(dir: tempfile::TempDir, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::at(Clock::System, dir, change).await
    }

    async fn with_clock(clock: Clock, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::at(clock, tempfile::tempdir().unwrap(), change).await
    }

    async fn reopen(dir: tempfile::TempDir, clock: Clock) -> Self {
        Self::at(clock, dir, |_| {}).await
    }

    async fn at(
        clock: Clock,
        dir: tempfile::TempDir,
        change: impl FnOnce(&mut BrokerOptions),
    ) -> Self {
        let limits = ConnLimits::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let names_at = listener.local_addr().unwrap();
        let options = NamesrvOptions::new(dir.path().join("namesrv/kvConfig.json"));
        let names = NameServer::start(options, Clock::System).unwrap();
        let name_server = serve(listener, names, limits).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = BrokerOptions::new(StoreOptions {
            log_file_bytes: 1 << 20,
            queue_file_bytes: 20_000,
            index_slots: 100,
            index_entries: 400,
            ..StoreOptions::new(dir.path().join("store"))
        });
        options.listen_port = listener.local_addr().unwrap().port();
        options.namesrv_addr = names_at.to_string();
        change(&mut options);
        let (broker, _) = Broker::start(options, clock).unwrap();
        let server = serve(listener, Port::main(Arc::clone(&broker), None), limits).unwrap();
        broker.announce();
        timeout(LIMIT, broker.registered()).await.unwrap();
        Self {
            broker,
            server,
            name_server,
            dir: Some(dir),
        }
    }

    async fn connect_as(&self, peer: &Arc<Peer>) -> Arc<Channel> {
        let address = self.server.local_addr().to_string();
        let peer = Arc::clone(peer);
        connect(&address, peer, ConnLimits::default(), LIMIT)
            .await
            .unwrap()
    }

    async fn connect(&self) -> Arc<Channel> {
        self.connect_as(&Arc::default()).await
    }

    /// What a killed broker leaves: the files as they are at this moment.
    async fn crash(self) -> tempfile::TempDir {
        let left = tempfile::tempdir().unwrap();
        let mut dirs = vec![std::path::PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            let from = self.dir.as_ref().unwrap().path().join(&dir);
            std::fs::create_dir_all(left.path().join(&dir)).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let name = dir.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(name);
                } else {
                    std::fs::copy(entry.path(), left.path().join(name)).unwrap();
                }
            }
        }
        self.stop().await;
        left
    }

    async fn stop(mut self) -> tempfile::TempDir {
        self.server.shutdown(Duration::from_millis(100)).await;
        self.broker.shutdown().await.unwrap();
        self.name_server.shutdown(Duration::from_millis(100)).await;
        self.dir.take().unwrap()
    }
}

async fn call(channel: &Arc<Channel>, request: Command) -> Reply {
    channel.call(request, LIMIT).await.unwrap()
}

fn send(topic: &str, queue_id: i32, properties: &str, body: &'static [u8]) -> Command {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "p",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id,
        born_timestamp: 7,
        properties: Some(properties),
        ..SendMessageRequestHeaderV2::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body)
}

/// A pull that brings its subscription along and waits up to `suspend_ms`.
fn pull(topic: &str, offset: i64, tags: &str, suspend_ms: i64) -> Command {
    let header = PullMessageRequestHeader {
        consumer_group: "g",
        topic,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: 4 | if suspend_ms > 0 { 2 } else { 0 },
        suspend_timeout_millis: suspend_ms,
        subscription: Some(tags),
        expression_type: Some("TAG"),
        ..PullMessageRequestHeader::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

fn create_topic(topic: &str, attributes: &str) -> Command {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "2"),
        ("writeQueueNums", "2"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("order", "false"),
        ("attributes", attributes),
    ];
    ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &fields)
}

fn bodies(reply: &Reply) -> Vec<String> {
    let mut rest: &[u8] = &reply.body;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        found.push(String::from_utf8(record.body.to_vec()).unwrap());
        rest = &rest[record.size as usize..];
    }
    found
}

fn next_offset(reply: &Reply) -> i64 {
    let header: PullMessageResponseHeader = reply.header().unwrap();
    header.next_begin_offset
}

#[tokio::test]
async fn what_is_sent_can_be_pulled() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let sent = call(
        &channel,
        send("T", 1, "TAGS\u{1}a\u{2}KEYS\u{1}k\u{2}", b"one"),
    )
    .await;
    assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!((header.queue_id, header.queue_offset), (1, 0));
    assert_eq!(header.msg_id.len(), 32);
    assert_eq!(header.transaction_id.map(str::len), Some(32));
    assert_eq!(header.trace_on, Some("true"));
    call(&channel, send("T", 0, "TAGS\u{1}a\u{2}", b"two")).await;
    call(&channel, send("T", 0, "TAGS\u{1}b\u{2}", b"three")).await;

    let all = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(all.code, ResponseCode::SUCCESS);
    assert_eq!(all.remark(), "FOUND");
    assert_eq!(bodies(&all), ["two", "three"]);
    assert_eq!(next_offset(&all), 2);
    let record = Record::parse(&all.body).unwrap();
    assert_eq!(
        record.properties.get(names::CLUSTER),
        Some("DefaultCluster")
    );
    assert_eq!(
        record.properties.get(names::MSG_REGION),
        Some("DefaultRegion")
    );

    let some = call(&channel, pull("T", 0, "b", 0)).await;
    assert_eq!(bodies(&some), ["three"]);
    let none = call(&channel, pull("T", 0, "c", 0)).await;
    assert_eq!(none.code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!(next_offset(&none), 2);
    let end = call(&channel, pull("T", 2, "*", 0)).await;
    assert_eq!(end.code, ResponseCode::PULL_NOT_FOUND);
    let beyond = call(&channel, pull("T", 9, "*", 0)).await;
    assert_eq!(beyond.code, ResponseCode::PULL_OFFSET_MOVED);
    assert_eq!(next_offset(&beyond), 2);
    fixture.stop().await;
}

#[tokio::test]
async fn a_waiting_pull_is_answered_by_the_next_message() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let producer = fixture.connect().await;
    call(&producer, send("T", 0, "TAGS\u{1}a\u{2}", b"first")).await;
    let waiting = channel.call(pull("T", 1, "b", 20_000), LIMIT);
    let waiting = tokio::spawn(waiting);
    while fixture.broker.parked.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call(&producer, send("T", 0, "TAGS\u{1}a\u{2}", b"not wanted")).await;
    assert_eq!(fixture.broker.parked.len(), 1);
    call(&producer, send("T", 0, "TAGS\u{1}b\u{2}", b"wanted")).await;
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(bodies(&answer), ["wanted"]);
    assert_eq!(next_offset(&answer), 3);

    let begun = Instant::now();
    let nothing = call(&channel, pull("T", 3, "*", 200)).await;
    assert_eq!(nothing.code, ResponseCode::PULL_NOT_FOUND);
    assert!(begun.elapsed() >= Duration::from_millis(190));
    assert_eq!(fixture.broker.parked.len(), 0);
    fixture.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_sign_of_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    std::fs::create_dir_all(store.join("config")).unwrap();
    let topics = store.join("config/topics.json");
    std::fs::write(&topics, "{").unwrap();
    let options = || {
        BrokerOptions::new(StoreOptions {
            log_file_bytes: 1 << 20,
            index_slots: 100,
            index_entries: 400,
            ..StoreOptions::new(&store)
        })
    };
    assert!(Broker::start(options(), Clock::System).is_err());
    assert!(store.join("commitlog").exists());
    assert!(!store.join("abort").exists());
    std::fs::remove_file(topics).unwrap();
    let (broker, report) = Broker::start(options(), Clock::System).unwrap();
    assert!(report.clean);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_far_behind_the_end_is_read_elsewhere() {
    let fixture = Fixture::with(|options| options.cold_read_distance = 600).await;
    let channel = fixture.connect().await;
    for body in [b"one" as &'static [u8], b"two", b"three", b"four", b"five"] {
        call(&channel, send("T", 0, "TAGS\u{1}a\u{2}", body)).await;
    }
    let cold = || fixture.broker.stats.cold_pulls.total();
    let tail = call(&channel, pull("T", 4, "*", 0)).await;
    assert_eq!((bodies(&tail), cold()), (vec!["five".to_owned()], 0));
    let all = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(bodies(&all), ["one", "two", "three", "four", "five"]);
    assert_eq!(cold(), 1);
    // The answers are those of any pull.
    let none = call(&channel, pull("T", 0, "b", 0)).await;
    assert_eq!(none.code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!((next_offset(&none), cold()), (5, 2));
    let end = call(&channel, pull("T", 5, "*", 0)).await;
    assert_eq!((end.code, cold()), (ResponseCode::PULL_NOT_FOUND, 2));
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_to_stay_in_memory_is_far_behind_too() {
    let fixture = Fixture::with(|options| options.log_page_cache_max_ratio = 0).await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"one")).await;
    let all = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(bodies(&all), ["one"]);
    assert_eq!(fixture.broker.stats.cold_pulls.total(), 1);
    let half = BrokerOptions {
        log_page_cache_max_ratio: 50,
        ..BrokerOptions::new(StoreOptions::new("store"))
    };
    assert_eq!(half.log_cache_bytes(Some(1_000)), 500);
    assert_eq!(half.log_cache_bytes(None), u64::MAX);
    fixture.stop().await;
}

#[tokio::test]
async fn a_closed_connection_leaves_no_waiting_pull() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"x")).await;
    let waiting = tokio::spawn(channel.call(pull("T", 1, "*", 20_000), LIMIT));
    while fixture.broker.parked.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    channel.close();
    assert!(waiting.await.unwrap().is_err());
    while fixture.broker.parked.len() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_answer() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let mut body = Vec::new();
    batch::encode_entry(&mut body, 0, b"one", b"TAGS\x01a\x02");
    batch::encode_entry(&mut body, 0, b"two", b"");
    let mut request = send("T", 0, "UNIQ_KEY\u{1}u\u{2}", b"");
    request.code = RequestCode::SEND_BATCH_MESSAGE.0;
    request.fields.push("m", "true");
    let sent = call(&channel, request.with_body(Bytes::from(body))).await;
    assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
    assert_eq!(header.msg_id.split(',').count(), 2);
    assert_eq!(header.transaction_id, Some("u"));
    let all = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(bodies(&all), ["one", "two"]);
    fixture.stop().await;
}

#[tokio::test]
async fn bad_sends_are_refused_as_apache_does() {
    let fixture = Fixture::with(|options| options.auto_create_topic_enable = false).await;
    let channel = fixture.connect().await;
    let cases = [
        ("nowhere", ResponseCode::TOPIC_NOT_EXIST),
        ("a/b", ResponseCode::INVALID_PARAMETER),
        ("SCHEDULE_TOPIC_XXXX", ResponseCode::NO_PERMISSION),
    ];
    for (topic, code) in cases {
        let refused = call(&channel, send(topic, 0, "", b"x")).await;
        assert_eq!(refused.code, code, "{topic}");
        assert_eq!(refused.fields.get("MSG_REGION"), Some("DefaultRegion"));
    }
    let beyond = call(&channel, send("BenchmarkTest", 2000, "", b"x")).await;
    assert_eq!(beyond.code, ResponseCode::INVALID_PARAMETER);
    let far = "TIMER_DELAY_SEC\u{1}259201\u{2}";
    let timer = call(&channel, send("BenchmarkTest", 0, far, b"x")).await;
    assert_eq!(timer.code, ResponseCode::MESSAGE_ILLEGAL);
    assert!(timer.remark().contains("max delay 259200000ms"));
    let unknown = call(
        &channel,
        Command::request(RequestCode(4711), &crate::protocol::header::NoHeader),
    )
    .await;
    assert_eq!(unknown.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    fixture.stop().await;
}

#[tokio::test]
async fn synchronous_flush_answers_after_the_disk() {
    let fixture = Fixture::with(|options| {
        options.store.flush = FlushMode::Sync {
            timeout: Duration::from_secs(5),
        };
    })
    .await;
    let channel = fixture.connect().await;
    let calls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(channel.call(send("T", 0, "", b"x"), LIMIT)))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().code, ResponseCode::SUCCESS);
    }
    let (flushed, appended) = (
        fixture.broker.store.flushed(),
        fixture.broker.store.appended(),
    );
    assert_eq!(flushed.get(), appended.get());
    fixture.stop().await;
}

/// Whether they waited for the disk or not.
#[tokio::test]
async fn the_times_of_all_sends_are_shown() {
    for flush in [
        FlushMode::Async { interval: LIMIT },
        FlushMode::Sync { timeout: LIMIT },
    ] {
        let fixture = Fixture::with(|options| options.store.flush = flush).await;
        let channel = fixture.connect().await;
        let shown = async |key: &str| {
            let info = call(&channel, ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[])).await;
            let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
            info["table"][key].as_str().unwrap().to_owned()
        };
        let sends = async || -> u64 {
            let times = shown("putMessageDistributeTime").await;
            let counts = times.split_whitespace().map(|one| one.rsplit(':').next());
            counts.map(|one| one.unwrap().parse::<u64>().unwrap()).sum()
        };
        assert_eq!(sends().await, 0);
        assert_eq!(shown("putLatency99").await, "0.00");
        let calls: Vec<_> = (0..20)
            .map(|_| tokio::spawn(channel.call(send("T", 0, "", b"x"), LIMIT)))
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().code, ResponseCode::SUCCESS);
        }
        assert_eq!(sends().await, 20);
        let share: f64 = shown("putLatency99").await.parse().unwrap();
        let longest: f64 = shown("putMessageEntireTimeMax").await.parse().unwrap();
        assert!(share > 0.0, "{share}");
        assert!(longest < 10_000.0, "{longest}");
        fixture.stop().await;
    }
}

fn heartbeat(client_id: &str) -> Command {
    let body = format!(
        r#"{{"clientID":"{client_id}","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",
        "consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[
        {{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"T"}}],
        "unitMode":false}}],"heartbeatFingerprint":0,"producerDataSet":[{{"groupName":"p"}}],"withoutSub":false}}"#
    );
    Command::request(RequestCode::HEART_BEAT, &crate::protocol::header::NoHeader).with_body(body)
}

fn ask(code: RequestCode, fields: &[(&'static str, &str)]) -> Command {
    let request = Command::request(code, &crate::protocol::header::NoHeader);
    fields.iter().fold(request, |request, (key, value)| {
        request.with_field(key, *value)
    })
}

#[tokio::test]
async fn members_of_a_group_hear_of_each_other() {
    let fixture = Fixture::start().await;
    let peer = Arc::<Peer>::default();
    let first = fixture.connect_as(&peer).await;
    let reply = call(&first, heartbeat("c1")).await;
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    assert_eq!(reply.fields.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
    assert!(fixture.broker.topic("%RETRY%g").is_some());
    let second = fixture.connect().await;
    call(&second, heartbeat("c2")).await;
    let members = ask(
        RequestCode::GET_CONSUMER_LIST_BY_GROUP,
        &[("consumerGroup", "g")],
    );
    let list = call(&first, members.clone()).await;
    assert_eq!(&list.body[..], br#"{"consumerIdList":["c1","c2"]}"#);
    second.close();
    let told = || peer.asked.lock().iter().filter(|code| **code == 40).count();
    while told() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let list = call(&first, members).await;
    assert_eq!(&list.body[..], br#"{"consumerIdList":["c1"]}"#);
    fixture.stop().await;
}

#[tokio::test]
async fn offsets_survive_a_restart() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let query = ask(
        RequestCode::QUERY_CONSUMER_OFFSET,
        &[("consumerGroup", "g"), ("topic", "T"), ("queueId", "0")],
    );
    call(&channel, heartbeat("c1")).await;
    let unknown = call(&channel, query.clone()).await;
    assert_eq!(unknown.code, ResponseCode::QUERY_NOT_FOUND);
    call(&channel, send("T", 0, "", b"x")).await;
    let young = call(&channel, query.clone()).await;
    assert_eq!(young.fields.get("offset"), Some("0"));
    let update = ask(
        RequestCode::UPDATE_CONSUMER_OFFSET,
        &[
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "0"),
            ("commitOffset", "1"),
        ],
    );
    assert_eq!(call(&channel, update).await.code, ResponseCode::SUCCESS);
    let dir = fixture.stop().await;

    let fixture = Fixture::in_dir(dir, |_| {}).await;
    let channel = fixture.connect().await;
    let kept = call(&channel, query).await;
    assert_eq!(kept.fields.get("offset"), Some("1"));
    assert_eq!(bodies(&call(&channel, pull("T", 0, "*", 0)).await), ["x"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_delayed_message_arrives_later() {
    let fixture = Fixture::with(|options| options.store.delay_levels_ms = vec![100, 300]).await;
    let channel = fixture.connect().await;
    let begun = Instant::now();
    let sent = call(
        &channel,
        send("T", 0, "DELAY\u{1}1\u{2}TAGS\u{1}a\u{2}", b"late"),
    )
    .await;
    assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    let found = call(&channel, pull("T", 0, "a", 9_000)).await;
    assert_eq!(bodies(&found), ["late"]);
    assert!(begun.elapsed() >= Duration::from_millis(95));
    fixture.stop().await;
}

#[tokio::test]
async fn a_message_sent_back_is_retried_and_given_up() {
    let fixture = Fixture::with(|options| options.store.delay_levels_ms = vec![50]).await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    call(&channel, send("T", 0, "", b"hard")).await;
    let send_back = |offset: i64| {
        let offset = offset.to_string();
        ask(
            RequestCode::CONSUMER_SEND_MSG_BACK,
            &[
                ("offset", &offset),
                ("group", "g"),
                ("delayLevel", "0"),
                ("maxReconsumeTimes", "1"),
            ],
        )
    };
    let first = call(&channel, send_back(0)).await;
    assert_eq!(first.code, ResponseCode::SUCCESS, "{}", first.remark());
    let retried = call(&channel, pull("%RETRY%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&retried), ["hard"]);
    let record = Record::parse(&retried.body).unwrap();
    assert_eq!(record.reconsume_times, 1);
    assert_eq!(record.properties.get(names::RETRY_TOPIC), Some("T"));
    let second = call(&channel, send_back(record.physical_offset)).await;
    assert_eq!(second.code, ResponseCode::SUCCESS, "{}", second.remark());
    let dead = call(&channel, pull("%DLQ%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&dead), ["hard"]);
    fixture.stop().await;
}

#[tokio::test]
async fn the_name_server_knows_an_automatic_topic() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("Fresh", 0, "", b"x")).await;
    let address = fixture.name_server.local_addr().to_string();
    let names = connect(
        &address,
        Arc::<Peer>::default(),
        ConnLimits::default(),
        LIMIT,
    )
    .await
    .unwrap();
    let route = call(
        &names,
        ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &[("topic", "Fresh")]),
    )
    .await;
    assert_eq!(route.code, ResponseCode::SUCCESS, "{}", route.remark());
    let text = String::from_utf8(route.body.to_vec()).unwrap();
    assert!(
        text.contains(&fixture.server.local_addr().to_string()),
        "{text}"
    );
    fixture.stop().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one request after the other")]
async fn administrators_are_answered() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    let create = ask(
        RequestCode::UPDATE_AND_CREATE_TOPIC,
        &[
            ("topic", "T"),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "2"),
            ("writeQueueNums", "2"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("order", "false"),
            ("attributes", "+message.type=FIFO"),
        ],
    );
    let made = call(&channel, create.clone()).await;
    assert_eq!(made.code, ResponseCode::SUCCESS, "{}", made.remark());
    let config = call(
        &channel,
        ask(RequestCode::GET_TOPIC_CONFIG, &[("topic", "T")]),
    )
    .await;
    assert_eq!(
        String::from_utf8_lossy(&config.body),
        r#"{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":2}"#
    );
    for number in 0..6 {
        call(&channel, send("T", number % 2, "KEYS\u{1}k\u{2}", b"x")).await;
    }
    let stats = call(
        &channel,
        ask(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", "T")]),
    )
    .await;
    let text = String::from_utf8_lossy(&stats.body).into_owned();
    assert!(
        text.contains(r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"#),
        "{text}"
    );

    let reset = ask(
        RequestCode::INVOKE_BROKER_TO_RESET_OFFSET,
        &[
            ("topic", "T"),
            ("group", "g"),
            ("timestamp", "0"),
            ("isForce", "true"),
            ("queueId", "-1"),
            ("offset", "-1"),
        ],
    );
    let reset = call(&channel, reset).await;
    assert_eq!(
        String::from_utf8_lossy(&reset.body),
        r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:0,{"brokerName":"broker-a","queueId":1,"topic":"T"}:0}}"#
    );
    let moved = call(&channel, pull("T", 3, "*", 0)).await;
    assert_eq!(
        (moved.code, moved.remark()),
        (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET")
    );
    let codes = [
        (RequestCode::GET_BROKER_RUNTIME_INFO, vec![]),
        (RequestCode::GET_BROKER_CONFIG, vec![]),
        (RequestCode::GET_ALL_TOPIC_CONFIG, vec![]),
        (RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, vec![]),
        (RequestCode::GET_ALL_CONSUMER_OFFSET, vec![]),
        (RequestCode::GET_ALL_DELAY_OFFSET, vec![]),
        (RequestCode::GET_ALL_PRODUCER_INFO, vec![]),
        (RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER, vec![]),
        (
            RequestCode::GET_CONSUMER_CONNECTION_LIST,
            vec![("consumerGroup", "g")],
        ),
        (
            RequestCode::GET_PRODUCER_CONNECTION_LIST,
            vec![("producerGroup", "p")],
        ),
        (RequestCode::GET_CONSUME_STATS, vec![("consumerGroup", "g")]),
        (
            RequestCode::GET_BROKER_CONSUME_STATS,
            vec![("isOrder", "false")],
        ),
        (
            RequestCode::QUERY_TOPIC_CONSUME_BY_WHO,
            vec![("topic", "T")],
        ),
        (RequestCode::QUERY_TOPICS_BY_CONSUMER, vec![("group", "g")]),
        (
            RequestCode::QUERY_SUBSCRIPTION_BY_CONSUMER,
            vec![("group", "g"), ("topic", "T")],
        ),
        (
            RequestCode::QUERY_CONSUME_TIME_SPAN,
            vec![("group", "g"), ("topic", "T")],
        ),
        (
            RequestCode::QUERY_CONSUME_QUEUE,
            vec![
                ("topic", "T"),
                ("queueId", "0"),
                ("index", "0"),
                ("count", "10"),
            ],
        ),
        (
            RequestCode::VIEW_BROKER_STATS_DATA,
            vec![("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "T")],
        ),
        (
            RequestCode::CLONE_GROUP_OFFSET,
            vec![
                ("srcGroup", "g"),
                ("destGroup", "h"),
                ("topic", "T"),
                ("offline", "false"),
            ],
        ),
        (
            RequestCode::DELETE_SUBSCRIPTIONGROUP,
            vec![("groupName", "h"), ("cleanOffset", "true")],
        ),
        (RequestCode::DELETE_TOPIC_IN_BROKER, vec![("topic", "T")]),
    ];
    for (code, fields) in codes {
        let answer = call(&channel, ask(code, &fields)).await;
        assert_eq!(
            answer.code,
            ResponseCode::SUCCESS,
            "{code}: {}",
            answer.remark()
        );
    }
    let gone = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(gone.code, ResponseCode::TOPIC_NOT_EXIST);
    fixture.stop().await;
}

#[tokio::test]
async fn messages_are_found_by_key_and_by_place() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let sent = call(
        &channel,
        send("T", 0, "KEYS\u{1}look me\u{2}UNIQ_KEY\u{1}U\u{2}", b"found"),
    )
    .await;
    assert_eq!(sent.code, ResponseCode::SUCCESS);
    let view = call(
        &channel,
        ask(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", "0")]),
    )
    .await;
    assert_eq!(bodies(&view), ["found"]);
    let absent = call(
        &channel,
        ask(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", "99999")]),
    )
    .await;
    assert_eq!(absent.code, ResponseCode::SYSTEM_ERROR);
    let query = |key: &'static str, unique: &'static str| {
        ask(
            RequestCode::QUERY_MESSAGE,
            &[
                ("topic", "T"),
                ("key", key),
                ("maxNum", "32"),
                ("beginTimestamp", "0"),
                ("endTimestamp", "9223372036854775807"),
                ("_UNIQUE_KEY_QUERY", unique),
            ],
        )
    };
    let mut found = call(&channel, query("look", "false")).await;
    // The index follows the log a moment later.
    for _ in 0..100 {
        if found.code == ResponseCode::SUCCESS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        found = call(&channel, query("look", "false")).await;
    }
    assert_eq!(bodies(&found), ["found"]);
    assert_eq!(bodies(&call(&channel, query("U", "true")).await), ["found"]);
    let none = call(&channel, query("nothing", "false")).await;
    assert_eq!(none.code, ResponseCode::QUERY_NOT_FOUND);
    fixture.stop().await;
}

#[tokio::test]
async fn settings_change_while_the_broker_runs() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let update = |text: &'static str| ask(RequestCode::UPDATE_BROKER_CONFIG, &[]).with_body(text);
    let done = call(
        &channel,
        update("# why\nautoCreateTopicEnable=false\nfileReservedTime=73\n"),
    )
    .await;
    assert_eq!(done.code, ResponseCode::SUCCESS, "{}", done.remark());
    let options = fixture.broker.options.load();
    assert!(!options.auto_create_topic_enable);
    assert_eq!(options.store.file_reserved_hours, 73);
    let black = call(&channel, update("brokerConfigPath=/etc/passwd")).await;
    assert_eq!(black.code, ResponseCode::NO_PERMISSION);
    let bad = call(&channel, update("fileReservedTime=9\ntraceOn=maybe")).await;
    assert_eq!(bad.code, ResponseCode::SYSTEM_ERROR);
    let text = "fileReservedTime=9\nlistenPort=1\nnoSuchKey=1";
    let taken = call(&channel, update(text)).await;
    assert_eq!(taken.code, ResponseCode::SUCCESS, "{}", taken.remark());
    // There is no file to write them into, which whoever asks wants to know.
    let ends = "fileReservedTime, listenPort will be forgotten when this process ends";
    assert!(taken.remark().starts_with(ends), "{}", taken.remark());
    let shown = call(&channel, ask(RequestCode::GET_BROKER_CONFIG, &[])).await;
    let shown = String::from_utf8(shown.body.to_vec()).unwrap();
    for line in ["fileReservedTime=9\n", "listenPort=1\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains("noSuchKey"), "{shown}");
    // A port that is served is not changed under way.
    assert_ne!(fixture.broker.options.load().listen_port, 1);
    fixture.stop().await;
}

#[tokio::test]
async fn the_vip_port_does_not_serve_pulls() {
    let fixture = Fixture::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vip = Port::vip(Arc::clone(&fixture.broker), None);
    let vip = serve(listener, vip, ConnLimits::default()).unwrap();
    let address = vip.local_addr().to_string();
    let channel = connect(
        &address,
        Arc::<Peer>::default(),
        ConnLimits::default(),
        LIMIT,
    )
    .await
    .unwrap();
    let sent = call(&channel, send("T", 0, "", b"x")).await;
    assert_eq!(sent.code, ResponseCode::SUCCESS);
    let refused = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(refused.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    vip.shutdown(Duration::from_millis(100)).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_reply_reaches_whoever_asked() {
    let fixture = Fixture::start().await;
    let peer = Arc::<Peer>::default();
    let asker = fixture.connect_as(&peer).await;
    call(&asker, heartbeat("asker")).await;
    let replier = fixture.connect().await;
    let reply = |client: &str| {
        let properties = format!("REPLY_TO_CLIENT\u{1}{client}\u{2}CORRELATION_ID\u{1}7\u{2}");
        let mut request = send("DefaultCluster_REPLY_TOPIC", 0, &properties, b"answer");
        request.code = RequestCode::SEND_REPLY_MESSAGE_V2.0;
        request
    };
    let done = call(&replier, reply("asker")).await;
    assert_eq!(done.code, ResponseCode::SUCCESS, "{}", done.remark());
    assert_eq!(done.fields.get("queueOffset"), Some("0"));
    let pushed = RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT.0;
    assert!(peer.asked.lock().contains(&pushed));
    let lost = call(&replier, reply("nobody")).await;
    assert_eq!(lost.code, ResponseCode::SYSTEM_ERROR);
    fixture.stop().await;
}

#[tokio::test]
async fn sends_read_together_are_stored_together() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"first")).await;
    let calls: Vec<_> = (0..200)
        .map(|number| channel.call(send("T", number % 4, "", b"x"), LIMIT))
        .collect();
    let mut offsets = Vec::new();
    for call in calls {
        let sent = call.await.unwrap();
        assert_eq!(sent.code, ResponseCode::SUCCESS);
        let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
        offsets.push((header.queue_id, header.queue_offset));
    }
    let expected: Vec<_> = (0..200)
        .map(|number| {
            (
                number % 4,
                i64::from(number / 4 + i32::from(number % 4 == 0)),
            )
        })
        .collect();
    assert_eq!(offsets, expected);
    fixture.stop().await;
}
