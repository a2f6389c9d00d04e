//! Light queues: one record, in its topic and in every `%LMQ%` queue it names.

use super::*;

fn lights(options: &mut BrokerOptions) {
    options.store.light_queues = true;
    options.store.multi_dispatch = true;
    options.store.light_queues_max = 3;
}

fn send_to(queues: &str, body: &'static [u8]) -> Command {
    send(
        "Real",
        0,
        &format!("INNER_MULTI_DISPATCH\u{1}{queues}\u{2}"),
        body,
    )
}

fn offset_of(request: RequestCode, group: &str, topic: &str, offset: &str) -> Command {
    let fields = [
        ("consumerGroup", group),
        ("topic", topic),
        ("queueId", "0"),
        ("commitOffset", offset),
        ("setZeroIfNotFound", "false"),
    ];
    ask(request, &fields)
}

#[tokio::test]
async fn a_message_is_in_every_queue_it_names() {
    let fixture = Fixture::with(lights).await;
    let channel = fixture.connect().await;
    let waiter = fixture.connect().await;
    for (queues, body) in [
        ("%LMQ%a", b"one" as &'static [u8]),
        ("%LMQ%a,%LMQ%b,%LMQ%a,other,%LMQ%../x", b"two"),
        ("%LMQ%b", b"three"),
    ] {
        let sent = call(&channel, send_to(queues, body)).await;
        assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    }
    let check = async |channel: &Arc<Channel>| {
        for (topic, expected) in [
            ("Real", vec!["one", "two", "three"]),
            ("%LMQ%a", vec!["one", "two"]),
            ("%LMQ%b", vec!["two", "three"]),
        ] {
            let all = call(channel, pull(topic, 0, "*", 0)).await;
            assert_eq!(all.code, ResponseCode::SUCCESS, "{}", all.remark());
            assert_eq!(bodies(&all), expected, "{topic}");
        }
        let all = call(channel, pull("%LMQ%b", 0, "*", 0)).await;
        let two = Record::parse(&all.body).unwrap();
        let property = |name| two.properties.get(name);
        assert_eq!(property(names::INNER_MULTI_DISPATCH), Some("%LMQ%a,%LMQ%b"));
        assert_eq!(
            property(names::INNER_MULTI_QUEUE_OFFSET),
            Some("0000000000000000001,0000000000000000000")
        );
    };
    check(&channel).await;

    let waiting = tokio::spawn(waiter.call(pull("%LMQ%b", 2, "*", 20_000), LIMIT));
    while fixture.broker.parked.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call(&channel, send_to("%LMQ%c", b"elsewhere")).await;
    assert_eq!(fixture.broker.parked.len(), 1);
    call(
        &channel,
        send("Real", 1, "INNER_MULTI_DISPATCH\u{1}%LMQ%b\u{2}", b"woken"),
    )
    .await;
    assert_eq!(bodies(&waiting.await.unwrap().unwrap()), ["woken"]);
    // There are three; no more may come, and a message is not stored in some of its queues only.
    let refused = call(&channel, send_to("%LMQ%a,%LMQ%d", b"too many")).await;
    assert_eq!(refused.code, ResponseCode::MESSAGE_ILLEGAL);

    // Nobody is told of these topics, and they need not be made.
    let topics = call(&channel, ask(RequestCode::GET_ALL_TOPIC_CONFIG, &[])).await;
    assert!(!String::from_utf8_lossy(&topics.body).contains("%LMQ%"));
    let done = call(
        &channel,
        offset_of(RequestCode::UPDATE_CONSUMER_OFFSET, "%LMQ%a", "%LMQ%a", "2"),
    )
    .await;
    assert_eq!(done.code, ResponseCode::SUCCESS, "{}", done.remark());

    let left = fixture.stop().await;
    let file = left.path().join("store/config/lmqConsumerOffset.json");
    let file = std::fs::read(file).unwrap();
    let text: serde_json::Value = crate::protocol::fastjson::from_slice(&file).unwrap();
    assert_eq!(text["lmqOffsetTable"]["%LMQ%a@%LMQ%a"], 2);
    assert!(text["offsetTable"].get("%LMQ%a@%LMQ%a").is_none());
    // Lost queues are made again from the log.
    for topic in ["%LMQ%a", "%LMQ%b"] {
        let queue = left.path().join("store/consumequeue").join(topic);
        std::fs::remove_dir_all(queue).unwrap();
    }
    std::fs::write(left.path().join("store/abort"), "1").unwrap();
    std::fs::remove_file(left.path().join("store/checkpoint")).unwrap();
    let fixture = Fixture::in_dir(left, lights).await;
    let channel = fixture.connect().await;
    let again = call(&channel, pull("%LMQ%a", 0, "*", 0)).await;
    assert_eq!(bodies(&again), ["one", "two"]);
    let known = call(
        &channel,
        offset_of(RequestCode::QUERY_CONSUMER_OFFSET, "%LMQ%a", "%LMQ%a", "0"),
    )
    .await;
    assert_eq!(known.fields.get("offset"), Some("2"));
    fixture.stop().await;
}

#[tokio::test]
async fn without_the_settings_names_mean_nothing() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let sent = call(&channel, send_to("%LMQ%a", b"one")).await;
    assert_eq!(sent.code, ResponseCode::SUCCESS);
    let absent = call(&channel, pull("%LMQ%a", 0, "*", 0)).await;
    assert_eq!(absent.code, ResponseCode::TOPIC_NOT_EXIST);
    fixture.stop().await;
}
