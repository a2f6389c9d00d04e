//! What the client must do against any RocketMQ: ours, and the Java broker. Each takes a name server.

use std::collections::BTreeSet;
use std::time::Duration;

use rmq::client::{
    Boundary, Client, ClientError, ClientOptions, Compression, Consumer, ConsumerOptions, Message,
    ProducerOptions, ReadFrom, ReadOptions, StartFrom, Subscription, TopicSpec,
};

/// A name nobody else uses, so that the tests can share a broker.
pub(crate) fn unique(prefix: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!("{prefix}_{}", now.as_nanos())
}

pub(crate) async fn connect(namesrv: &str) -> Client {
    Client::connect([namesrv], ClientOptions::default())
        .await
        .expect("a name server")
}

/// Makes a topic and waits until it has a route.
async fn make_topic(client: &Client, queues: u32) -> String {
    let topic = unique("T");
    let admin = client.admin();
    admin
        .create_topic(&TopicSpec::new(&topic, queues))
        .await
        .expect("a topic");
    for _ in 0..100 {
        if admin.topic_route(&topic).await.is_ok() {
            return topic;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("topic {topic} has no route");
}

async fn join(client: &Client, group: &str, topic: &str, tags: &str) -> Consumer {
    let options = ConsumerOptions {
        subscriptions: vec![Subscription::tagged(topic, tags).expect("a subscription")],
        start_from: StartFrom::Earliest,
        ..ConsumerOptions::default()
    };
    client.consumer(group, options).await.expect("a consumer")
}

async fn next_body(consumer: &mut Consumer, ack: bool) -> Option<String> {
    let waited = tokio::time::timeout(Duration::from_secs(15), consumer.next()).await;
    let delivery = waited.ok()??;
    let body = String::from_utf8_lossy(delivery.body()).into_owned();
    if ack {
        delivery.ack();
    }
    Some(body)
}

/// A dead name server in the list does not matter; only dead ones do.
pub(crate) async fn a_dead_name_server_is_passed_over(namesrv: &str) {
    // No name server has the port of TCPMUX.
    let dead = "127.0.0.1:1".to_owned();
    // Accepts connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = silent.local_addr().expect("bound").to_string();
    let options = ClientOptions {
        request_timeout: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let client = Client::connect([dead.as_str(), &mute, namesrv], options.clone())
        .await
        .expect("the third one answers");
    client.admin().topics().await.expect("topics");
    let error = Client::connect([dead, mute], options)
        .await
        .expect_err("nobody answers");
    assert!(error.is_unreachable(), "{error}");
}

/// Everything that was sent is read again, in every way of sending.
pub(crate) async fn sent_messages_are_read(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 3).await;
    let producer = client
        .producer("g_send", ProducerOptions::default())
        .expect("a producer");
    let mut expected = BTreeSet::new();
    for n in 0..20 {
        let body = format!("single-{n}");
        let message = Message::new(&topic, body.clone())
            .with_tag("a")
            .with_keys(["k1", "k2"])
            .with_property("mine", "ü");
        let receipt = producer.send(message).await.expect("sent");
        assert_eq!(receipt.message_id.len(), 32);
        expected.insert(body);
    }
    let large = "x".repeat(100_000);
    producer
        .send(Message::new(&topic, large.clone()))
        .await
        .expect("a large one");
    expected.insert(large);
    let batch: Vec<Message> = (0..5)
        .map(|n| Message::new(&topic, format!("batch-{n}")).with_tag("b"))
        .collect();
    let receipts = producer.send_batch(&batch).await.expect("a batch");
    assert_eq!(receipts.len(), 5);
    assert_eq!(receipts[4].queue_offset, receipts[0].queue_offset + 4);
    expected.extend((0..5).map(|n| format!("batch-{n}")));
    producer
        .send_oneway(Message::new(&topic, "oneway"))
        .await
        .expect("handed over");
    expected.insert("oneway".to_owned());
    tokio::time::sleep(Duration::from_millis(200)).await;

    let mut reader = client
        .reader(&topic, ReadOptions::default())
        .await
        .expect("a reader");
    let mut seen = BTreeSet::new();
    let mut last_stored = 0;
    while let Some(message) = reader.next().await.expect("readable") {
        assert!(
            message.store_timestamp >= last_stored,
            "in order of storing"
        );
        last_stored = message.store_timestamp;
        if message.tag() == Some("a") {
            assert_eq!(message.keys(), Some("k1 k2"));
            let mine: Vec<_> = message.user_properties().collect();
            assert_eq!(mine, [("mine", "ü")]);
        }
        seen.insert(String::from_utf8_lossy(message.body()).into_owned());
    }
    assert_eq!(seen, expected);
    client.close().await;
}

/// A topic that does not exist is created by the first send.
pub(crate) async fn unknown_topics_are_created(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = unique("Auto");
    let producer = client
        .producer("g_auto", ProducerOptions::default())
        .expect("a producer");
    let receipt = producer
        .send(Message::new(&topic, "first"))
        .await
        .expect("sent");
    assert_eq!(receipt.queue.topic.as_str(), topic);
    let error = client
        .reader(&unique("Nowhere"), ReadOptions::default())
        .await
        .expect_err("not there");
    assert!(matches!(error, ClientError::NoRoute { .. }), "{error}");
}

/// A reader begins where it is told to, ends at the end, or follows.
pub(crate) async fn readers_begin_where_told(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 2).await;
    let producer = client
        .producer("g_read", ProducerOptions::default())
        .expect("a producer");
    for n in 0..10 {
        let tag = if n % 2 == 0 { "even" } else { "odd" };
        let message = Message::new(&topic, format!("{n}")).with_tag(tag);
        producer.send(message).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let read = async |options: ReadOptions| {
        let mut reader = client.reader(&topic, options).await.expect("a reader");
        let mut bodies = Vec::new();
        while let Some(message) = reader.next().await.expect("readable") {
            bodies.push(String::from_utf8_lossy(message.body()).into_owned());
        }
        bodies
    };
    let from = |from| ReadOptions {
        from,
        ..ReadOptions::default()
    };
    assert_eq!(read(from(ReadFrom::Last(3))).await, ["7", "8", "9"]);
    assert_eq!(read(from(ReadFrom::Offset(4))).await, ["8", "9"]);
    assert!(read(from(ReadFrom::Latest)).await.is_empty());
    assert!(read(from(ReadFrom::Offset(400))).await.is_empty());
    let odd = ReadOptions {
        tags: "odd || none".to_owned(),
        ..ReadOptions::default()
    };
    assert_eq!(read(odd).await, ["1", "3", "5", "7", "9"]);

    let mut whole = client
        .reader(&topic, ReadOptions::default())
        .await
        .expect("a reader");
    let mut stored = Vec::new();
    while let Some(message) = whole.next().await.expect("readable") {
        stored.push(message.store_timestamp);
    }
    let ms = stored[6];
    assert_eq!(read(from(ReadFrom::Time { ms })).await[0], "6");
    let until = ReadOptions {
        until_ms: Some(stored[2]),
        ..ReadOptions::default()
    };
    assert_eq!(read(until).await, ["0", "1", "2"]);
    let admin = client.admin();
    let queue = whole.queues()[0].clone();
    let lower = admin.offset_at(&queue, ms, Boundary::Lower).await;
    assert!(lower.expect("an offset") >= 3);

    let follow = ReadOptions {
        from: ReadFrom::Last(1),
        follow: true,
        ..ReadOptions::default()
    };
    let mut following = client.reader(&topic, follow).await.expect("a reader");
    let first = following.next().await.expect("readable").expect("one");
    assert_eq!(first.body().as_ref(), b"9");
    producer
        .send(Message::new(&topic, "late"))
        .await
        .expect("sent");
    let late = tokio::time::timeout(Duration::from_secs(5), following.next())
        .await
        .expect("long polling wakes up at once")
        .expect("readable")
        .expect("one");
    assert_eq!(late.body().as_ref(), b"late");
}

/// What was acknowledged is not delivered again; what was not, is.
pub(crate) async fn groups_remember_where_they_are(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 2).await;
    let group = unique("G");
    let producer = client
        .producer("g_remember", ProducerOptions::default())
        .expect("a producer");
    for n in 0..10 {
        producer
            .send(Message::new(&topic, format!("{n}")))
            .await
            .expect("sent");
    }
    let mut consumer = join(&client, &group, &topic, "*").await;
    let mut first = BTreeSet::new();
    for _ in 0..4 {
        first.insert(next_body(&mut consumer, true).await.expect("a message"));
    }
    consumer.close().await.expect("committed");

    let mut consumer = join(&client, &group, &topic, "*").await;
    let mut second = BTreeSet::new();
    while second.len() < 6 {
        second.insert(next_body(&mut consumer, true).await.expect("a message"));
    }
    consumer.close().await.expect("committed");
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    let offsets = client.admin().group_offsets(&group, &topic).await;
    let sum: i64 = offsets.expect("offsets").values().flatten().sum();
    assert_eq!(sum, 10);
}

/// A delivery that is dropped comes again; one that is given back comes again through the retry topic.
pub(crate) async fn failed_messages_come_again(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 1).await;
    let group = unique("G");
    let producer = client
        .producer("g_retry", ProducerOptions::default())
        .expect("a producer");
    producer
        .send(Message::new(&topic, "again"))
        .await
        .expect("sent");
    let mut consumer = join(&client, &group, &topic, "*").await;
    assert_eq!(
        next_body(&mut consumer, false).await.as_deref(),
        Some("again")
    );
    let delivery = consumer.next().await.expect("dropped, so it comes again");
    assert_eq!(delivery.reconsume_times, 0);
    let retried = delivery.retry_at_level(1).await;
    retried.expect("the broker takes it back");
    let waited = tokio::time::timeout(Duration::from_secs(40), consumer.next()).await;
    let delivery = waited.expect("within the delay").expect("a message");
    assert_eq!(delivery.reconsume_times, 1);
    assert_eq!(delivery.topic(), topic);
    assert!(delivery.queue.topic.is_retry());
    delivery.ack();
    consumer.close().await.expect("committed");
}

/// Two members share the queues; when one leaves the other takes over.
pub(crate) async fn members_share_queues(namesrv: &str) {
    let one = connect(namesrv).await;
    let two = connect(namesrv).await;
    let topic = make_topic(&one, 4).await;
    let group = unique("G");
    let first = join(&one, &group, &topic, "*").await;
    let mine = |consumer: &Consumer| {
        let queues = consumer.queues();
        let queues = queues.iter().filter(|queue| queue.topic.as_str() == topic);
        queues.count()
    };
    wait_for(|| mine(&first) == 4).await;
    let second = join(&two, &group, &topic, "*").await;
    wait_for(|| mine(&first) == 2 && mine(&second) == 2).await;
    first.close().await.expect("left");
    wait_for(|| mine(&second) == 4).await;
    second.close().await.expect("left");
}

/// A queue goes to another member only when what is in hand of it is finished: nothing is handed out twice.
pub(crate) async fn what_is_in_hand_is_finished_first(namesrv: &str) {
    let one = connect(namesrv).await;
    let two = connect(namesrv).await;
    let topic = make_topic(&one, 2).await;
    let group = unique("G");
    let producer = one.producer("g_hand", ProducerOptions::default());
    let producer = producer.expect("a producer");
    let send_both = async |body: &str| {
        let route = one.admin().topic_route(&topic).await.expect("a route");
        for queue in route.read_queues() {
            let message = Message::new(&topic, body.to_owned());
            let sent = producer.send_to_queue(message, &queue).await;
            sent.expect("sent");
        }
    };
    send_both("before").await;
    let mut first = join(&one, &group, &topic, "*").await;
    let mut in_hand = Vec::new();
    for _ in 0..2 {
        in_hand.push(first.next().await.expect("a message"));
    }
    let mut second = join(&two, &group, &topic, "*").await;
    let owned = |consumer: &Consumer| {
        let queues = consumer.queues();
        let queues = queues.iter().filter(|queue| queue.topic.as_str() == topic);
        queues.count()
    };
    wait_for(|| owned(&first) == 1).await;
    assert_eq!(owned(&second), 0, "taken before it was handed over");
    for delivery in in_hand {
        delivery.ack();
    }
    wait_for(|| owned(&second) == 1).await;
    send_both("after").await;
    for consumer in [&mut first, &mut second] {
        assert_eq!(next_body(consumer, true).await.as_deref(), Some("after"));
    }
    first.close().await.expect("left");
    second.close().await.expect("left");
}

async fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..100 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not happen within 10 s");
}

/// Whoever asks gets the reply of whoever consumed the question; without a consumer the wait ends.
pub(crate) async fn requests_are_replied_to(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 1).await;
    let asking = client
        .producer("asking", ProducerOptions::default())
        .expect("a producer");
    let replier = connect(namesrv).await;
    let mut consumer = join(&replier, &unique("g"), &topic, "*").await;
    let replying = replier
        .producer("replying", ProducerOptions::default())
        .expect("a producer");
    let limit = Duration::from_secs(20);
    let (reply, ()) = tokio::join!(
        asking.request(Message::new(&topic, "2 + 2"), limit),
        async {
            let delivery = consumer.next().await.expect("the question");
            assert_eq!(delivery.body().as_ref(), b"2 + 2");
            replying
                .reply(&delivery, "4")
                .await
                .expect("the reply leaves");
            delivery.ack();
        }
    );
    assert_eq!(reply.expect("a reply").body().as_ref(), b"4");

    consumer.close().await.expect("closed");
    let limit = Duration::from_millis(300);
    let error = asking.request(Message::new(&topic, "x"), limit).await;
    assert!(
        matches!(error, Err(ClientError::NoReply { .. })),
        "{error:?}"
    );
}

/// Bodies packed in every way come back as they were, and messages with one ordering key are in one queue.
pub(crate) async fn packed_and_ordered_messages_are_read(namesrv: &str) {
    let client = connect(namesrv).await;
    let topic = make_topic(&client, 4).await;
    let body = "a line that is much like the others\n".repeat(3000);
    for compression in [Compression::Zlib, Compression::Lz4, Compression::Zstd] {
        let options = ProducerOptions {
            compression,
            ..ProducerOptions::default()
        };
        let producer = client.producer("packing", options).expect("a producer");
        let message = Message::new(&topic, body.clone());
        producer.send_ordered(message, "k").await.expect("sent");
    }
    let options = ReadOptions::default();
    let mut reader = client.reader(&topic, options).await.expect("a reader");
    let mut queues = BTreeSet::new();
    for _ in 0..3 {
        let message = reader.next().await.expect("read").expect("a message");
        assert!(message.body().as_ref() == body.as_bytes());
        assert!(message.store_size < 50_000, "it is stored packed");
        queues.insert(message.queue.queue);
    }
    assert_eq!(queues.len(), 1);
}
