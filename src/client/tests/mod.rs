//! The client against a scripted name server and brokers, on real sockets: what a real broker does too rarely.

mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::*;
use crate::message::Draft;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Head, Reply};
use crate::protocol::frame::Frame;
use crate::protocol::header::NoHeader;
use crate::remoting::{Channel, ConnLimits, Server, Service, serve};

mod sending;

const SOON: Duration = Duration::from_secs(5);

/// What arrived at a fake: request code and ext fields.
#[derive(Clone, Debug)]
struct Seen {
    code: RequestCode,
    fields: BTreeMap<String, String>,
}

type Script = dyn Fn(&Head<'_>, &Bytes) -> Option<Command> + Send + Sync;

/// A peer that answers as its script says; `None` is silence.
struct Fake {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    channels: Mutex<Vec<Arc<Channel>>>,
}

impl Service for Fake {
    type Session = ();

    fn open(&self, channel: &Arc<Channel>) {
        self.channels.lock().push(Arc::clone(channel));
    }

    fn frames(&self, (): &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            let (head, body) = frame.parse().unwrap();
            self.seen.lock().push(Seen {
                code: head.request_code(),
                fields: head
                    .fields
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            });
            if let Some(answer) = (self.script)(&head, &body) {
                channel.answer(&head, answer);
            }
        }
    }

    fn closed(&self, (): (), _channel: &Arc<Channel>) {}
}

struct Peer {
    fake: Arc<Fake>,
    server: Server,
}

impl Peer {
    async fn start(
        script: impl Fn(&Head<'_>, &Bytes) -> Option<Command> + Send + Sync + 'static,
    ) -> Self {
        let fake = Arc::new(Fake {
            script: Box::new(script),
            seen: Mutex::default(),
            channels: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, Arc::clone(&fake), ConnLimits::default()).unwrap();
        Self { fake, server }
    }

    fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    fn seen(&self, code: RequestCode) -> Vec<Seen> {
        let seen = self.fake.seen.lock();
        seen.iter()
            .filter(|seen| seen.code == code)
            .cloned()
            .collect()
    }

    /// Asks the client something on the connection it opened.
    async fn ask(&self, request: Command) -> Reply {
        let channel = self.fake.channels.lock().last().cloned().unwrap();
        channel.call(request, SOON).await.unwrap()
    }
}

fn ok() -> Command {
    Command::response(ResponseCode::SUCCESS)
}

fn no(code: ResponseCode) -> Command {
    Command::response(code).with_remark("as scripted")
}

fn sent() -> Command {
    ok().with_field("msgId", "0".repeat(32))
        .with_field("queueId", "0")
        .with_field("queueOffset", "7")
}

/// A name server that knows `topics`, each with `queues` queues on every one of the brokers `a`, `b`, ….
async fn name_server(topics: &[&str], queues: u32, brokers: &[String]) -> Peer {
    let topics: BTreeSet<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let (mut data, mut tables) = (Vec::new(), Vec::new());
    for (name, address) in ["a", "b", "c"].iter().zip(brokers) {
        data.push(format!(
            r#"{{"brokerAddrs":{{"0":"{address}"}},"brokerName":"{name}","cluster":"c"}}"#
        ));
        tables.push(format!(
            r#"{{"brokerName":"{name}","perm":6,"readQueueNums":{queues},"topicSysFlag":0,"writeQueueNums":{queues}}}"#
        ));
    }
    let route = format!(
        r#"{{"brokerDatas":[{}],"filterServerTable":{{}},"queueDatas":[{}]}}"#,
        data.join(","),
        tables.join(",")
    );
    Peer::start(move |head, _| {
        let known = head
            .fields
            .get("topic")
            .is_some_and(|topic| topics.contains(topic));
        Some(if known {
            ok().with_body(route.clone())
        } else {
            no(ResponseCode::TOPIC_NOT_EXIST)
        })
    })
    .await
}

async fn connect(name_server: &Peer) -> Client {
    Client::connect([name_server.address()], ClientOptions::default())
        .await
        .unwrap()
}

/// A broker with an empty queue `T`/0 … and whoever is in `members`.
async fn group_broker(members: Arc<Mutex<Vec<String>>>) -> Peer {
    Peer::start(move |head, _| match head.request_code() {
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => {
            let list = serde_json::json!({ "consumerIdList": *members.lock() });
            Some(ok().with_body(list.to_string()))
        }
        RequestCode::QUERY_CONSUMER_OFFSET => Some(ok().with_field("offset", "5")),
        // Long polling: nothing comes.
        RequestCode::PULL_MESSAGE => None,
        _ => Some(ok()),
    })
    .await
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(SOON, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "it did not happen: {what}");
}

struct Group {
    broker: Peer,
    members: Arc<Mutex<Vec<String>>>,
    client: Client,
    consumer: Consumer,
    _names: Peer,
}

/// A client that is alone in group `g` and owns the two queues of `T`.
async fn group() -> Group {
    let members = Arc::new(Mutex::new(Vec::new()));
    let broker = group_broker(Arc::clone(&members)).await;
    let names = name_server(&["T", "%RETRY%g"], 2, &[broker.address()]).await;
    let client = connect(&names).await;
    members.lock().push(client.id().to_owned());
    let options = ConsumerOptions {
        subscriptions: vec![Subscription::tagged("T", "a || b").unwrap()],
        ..ConsumerOptions::default()
    };
    let consumer = client.consumer("g", options).await.unwrap();
    until("all queues are ours", || consumer.queues().len() == 4).await;
    Group {
        broker,
        members,
        client,
        consumer,
        _names: names,
    }
}

#[tokio::test]
async fn a_notification_deals_the_queues_again_at_once() {
    let group = group().await;
    group.members.lock().push("~someone else".to_owned());
    let notice = Command::request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, &NoHeader)
        .with_field("consumerGroup", "g");
    let channel = group.broker.fake.channels.lock()[0].clone();
    channel.send_oneway(notice);
    until("half is given up", || group.consumer.queues().len() == 2).await;
    // What was given up is committed: the other member goes on from there.
    assert!(
        !group
            .broker
            .seen(RequestCode::UPDATE_CONSUMER_OFFSET)
            .is_empty()
    );
}

#[tokio::test]
async fn a_consumer_leaves_its_group() {
    let group = group().await;
    let error = group.client.consumer("g", ConsumerOptions::default()).await;
    assert!(matches!(error, Err(ClientError::Usage(_))));
    group.consumer.close().await.unwrap();
    let left = group.broker.seen(RequestCode::UNREGISTER_CLIENT);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].fields["consumerGroup"], "g");
    assert_eq!(left[0].fields["clientID"], group.client.id());
}

#[tokio::test]
async fn administrators_are_answered() {
    let group = group().await;
    let request = Command::request(RequestCode::GET_CONSUMER_RUNNING_INFO, &NoHeader)
        .with_field("consumerGroup", "g")
        .with_field("clientId", group.client.id());
    let reply = group.broker.ask(request).await;
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(
        text.contains(r#"{"brokerName":"a","queueId":1,"topic":"T"}:{"#),
        "{text}"
    );

    let request = Command::request(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, &NoHeader)
        .with_field("topic", "T")
        .with_field("group", "g");
    let reply = group.broker.ask(request).await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains(":5"), "{text}");

    let unknown = Command::request(RequestCode(999), &NoHeader);
    let reply = group.broker.ask(unknown).await;
    assert_eq!(reply.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
}

#[tokio::test]
async fn a_reset_moves_the_pulls() {
    let group = group().await;
    let body = r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:1234}}"#;
    let reset = Command::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET, &NoHeader)
        .with_field("topic", "T")
        .with_field("group", "g")
        .with_body(body);
    let channel = group.broker.fake.channels.lock()[0].clone();
    channel.send_oneway(reset);
    let moved = |seen: &Seen| {
        seen.fields
            .get("queueOffset")
            .is_some_and(|at| at == "1234")
    };
    until("the queue is pulled from the new offset", || {
        group
            .broker
            .seen(RequestCode::PULL_MESSAGE)
            .iter()
            .any(moved)
    })
    .await;
}

#[tokio::test]
async fn a_message_is_consumed_directly() {
    let mut group = group().await;
    let host = "127.0.0.1:10911".parse().unwrap();
    let mut stored = Vec::new();
    Draft {
        topic: "T",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 0,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: b"by hand",
        properties: b"",
    }
    .encode_into(&mut stored)
    .unwrap();
    let request = Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &NoHeader)
        .with_field("consumerGroup", "g")
        .with_field("brokerName", "a")
        .with_body(stored);
    let (reply, ()) = tokio::join!(group.broker.ask(request), async {
        let delivery = group.consumer.next().await.unwrap();
        assert_eq!(delivery.body().as_ref(), b"by hand");
        delivery.ack();
    });
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains("CR_SUCCESS"), "{text}");
}
