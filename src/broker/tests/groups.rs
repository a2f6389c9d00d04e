//! Rules of consumer groups: retries and dead letters, queue locks, resets, who may consume.

use super::*;

/// A client's own retry: a plain send to the retry topic, as orderly consumers and failed send-backs do.
fn send_retry(
    reconsume_times: i32,
    max_reconsume_times: Option<i32>,
    body: &'static [u8],
) -> Command {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "CLIENT_INNER_PRODUCER",
        topic: "%RETRY%g",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        properties: Some("RETRY_TOPIC\u{1}T\u{2}ORIGIN_MESSAGE_ID\u{1}M\u{2}DELAY\u{1}1\u{2}"),
        reconsume_times: Some(reconsume_times),
        max_reconsume_times,
        ..SendMessageRequestHeaderV2::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body)
}

fn lock(client: &str, broker_name: &str, topic: &str, code: RequestCode) -> Command {
    let body = format!(
        r#"{{"consumerGroup":"g","clientId":"{client}","onlyThisBroker":false,"mqSet":[{{"brokerName":"{broker_name}","queueId":0,"topic":"{topic}"}}]}}"#
    );
    ask(code, &[]).with_body(body)
}

fn update_group(fields: &str) -> Command {
    let body = format!(r#"{{"groupName":"g",{fields}}}"#);
    ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[]).with_body(body)
}

async fn fast_levels() -> Fixture {
    Fixture::with(|options| options.store.delay_levels_ms = vec![20; 18]).await
}

#[tokio::test]
async fn a_retry_sent_by_the_client_is_delayed_and_given_up_beyond_its_limit() {
    let fixture = fast_levels().await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    let sent = call(&channel, send_retry(3, Some(3), b"again")).await;
    assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    let retried = call(&channel, pull("%RETRY%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&retried), ["again"]);
    let record = Record::parse(&retried.body).unwrap();
    assert_eq!(record.reconsume_times, 3);
    assert_eq!(record.properties.get(names::RETRY_TOPIC), Some("T"));
    assert_eq!(record.properties.get(names::ORIGIN_MESSAGE_ID), Some("M"));
    // Beyond the client's own limit, and, from a client that sets none, beyond the group's.
    call(&channel, update_group(r#""retryMaxTimes":1"#)).await;
    for (times, of_client, body) in [(4, Some(3), b"dead1"), (2, None, b"dead2")] {
        let sent = call(&channel, send_retry(times, of_client, body)).await;
        assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    }
    let dead = call(&channel, pull("%DLQ%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&dead), ["dead1", "dead2"]);
    let record = Record::parse(&dead.body).unwrap();
    assert_eq!(record.properties.get(names::DELAY), Some("-1"));
    assert_eq!(record.properties.get(names::RETRY_TOPIC), Some("T"));
    fixture.stop().await;
}

#[tokio::test]
async fn the_group_decides_how_often_a_message_comes_back() {
    let fixture = fast_levels().await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    call(
        &channel,
        update_group(r#""retryMaxTimes":2,"retryQueueNums":1"#),
    )
    .await;
    call(
        &channel,
        send("T", 0, "KEYS\u{1}k\u{2}TAGS\u{1}t\u{2}", b"hard"),
    )
    .await;
    let origin = {
        let first = call(&channel, pull("T", 0, "*", 0)).await;
        Record::parse(&first.body).unwrap().offset_message_id()
    };
    let send_back = |offset: i64, level: i32| {
        let (offset, level) = (offset.to_string(), level.to_string());
        ask(
            RequestCode::CONSUMER_SEND_MSG_BACK,
            &[("offset", &offset), ("group", "g"), ("delayLevel", &level)],
        )
    };
    let mut at = 0;
    for round in 1..=2 {
        let back = call(&channel, send_back(at, 0)).await;
        assert_eq!(back.code, ResponseCode::SUCCESS, "{}", back.remark());
        let retried = call(&channel, pull("%RETRY%g", i64::from(round - 1), "*", 9_000)).await;
        let record = Record::parse(&retried.body).unwrap();
        assert_eq!(record.reconsume_times, round);
        // The first level is the third, and each further try takes the next one.
        let level = (2 + round).to_string();
        assert_eq!(record.properties.get(names::DELAY), Some(level.as_str()));
        assert_eq!(
            record.properties.get(names::ORIGIN_MESSAGE_ID),
            Some(origin.as_str())
        );
        assert_eq!(record.properties.get(names::KEYS), Some("k"));
        assert_eq!(record.properties.get(names::TAGS), Some("t"));
        at = record.physical_offset;
    }
    call(&channel, send_back(at, 0)).await;
    let dead = call(&channel, pull("%DLQ%g", 0, "*", 9_000)).await;
    let record = Record::parse(&dead.body).unwrap();
    assert_eq!(record.reconsume_times, 3);
    assert_eq!(
        record.properties.get(names::ORIGIN_MESSAGE_ID),
        Some(origin.as_str())
    );
    // A negative level gives up at once.
    call(&channel, send_back(0, -1)).await;
    let dead = call(&channel, pull("%DLQ%g", 1, "*", 9_000)).await;
    assert_eq!(bodies(&dead), ["hard"]);
    // A group without retry queues loses what it sends back, and is told that all is well.
    call(&channel, update_group(r#""retryQueueNums":0"#)).await;
    let lost = call(&channel, send_back(0, 0)).await;
    assert_eq!(lost.code, ResponseCode::SUCCESS);
    fixture.stop().await;
}

#[tokio::test]
async fn an_orderly_group_gives_up_at_once() {
    let fixture = fast_levels().await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    let locked = call(
        &channel,
        lock("c1", "broker-a", "T", RequestCode::LOCK_BATCH_MQ),
    )
    .await;
    let text = String::from_utf8(locked.body.to_vec()).unwrap();
    assert!(text.contains(r#""queueId":0"#), "{text}");
    let other = call(
        &channel,
        lock("c2", "broker-a", "T", RequestCode::LOCK_BATCH_MQ),
    )
    .await;
    let text = String::from_utf8(other.body.to_vec()).unwrap();
    assert!(text.contains(r#""lockOKMQSet":[]"#), "{text}");
    call(&channel, send_retry(1, Some(16), b"given up")).await;
    let dead = call(&channel, pull("%DLQ%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&dead), ["given up"]);
    // Only the owner unlocks; after that the queue is the other's and the group retries as others do.
    call(
        &channel,
        lock("c2", "broker-a", "T", RequestCode::UNLOCK_BATCH_MQ),
    )
    .await;
    let still = call(
        &channel,
        lock("c2", "broker-a", "T", RequestCode::LOCK_BATCH_MQ),
    )
    .await;
    assert!(String::from_utf8_lossy(&still.body).contains("[]"));
    call(
        &channel,
        lock("c1", "broker-a", "T", RequestCode::UNLOCK_BATCH_MQ),
    )
    .await;
    call(&channel, send_retry(1, Some(16), b"tried")).await;
    let retried = call(&channel, pull("%RETRY%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&retried), ["tried"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_reset_reaches_a_waiting_consumer() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    for body in [b"0", b"1", b"2"] {
        call(&channel, send("T", 0, "", body)).await;
    }
    let commit = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "0"),
        ("commitOffset", "3"),
    ];
    call(&channel, pull("T", 0, "*", 0)).await;
    call(&channel, ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit)).await;
    let waiting = channel.call(pull("T", 3, "*", 9_000), LIMIT);
    let waiting = tokio::spawn(waiting);
    while fixture.broker.parked.len() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let administrator = fixture.connect().await;
    let reset = [
        ("group", "g"),
        ("topic", "T"),
        ("timestamp", "0"),
        ("isForce", "true"),
        ("queueId", "0"),
        ("offset", "1"),
    ];
    let reset = ask(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &reset);
    let done = call(&administrator, reset).await;
    assert_eq!(done.code, ResponseCode::SUCCESS, "{}", done.remark());
    let moved = waiting.await.unwrap().unwrap();
    assert_eq!(moved.code, ResponseCode::PULL_OFFSET_MOVED);
    assert_eq!(moved.remark(), "OFFSET_RESET");
    assert_eq!(next_offset(&moved), 1);
    let from_there = call(&channel, pull("T", 1, "*", 0)).await;
    assert_eq!(bodies(&from_there), ["1", "2"]);
    fixture.stop().await;
}

#[tokio::test]
async fn members_move_their_offsets_where_the_broker_may_not() {
    let fixture = Fixture::with(|options| options.use_server_side_reset_offset = false).await;
    let peer = Arc::<Peer>::default();
    let channel = fixture.connect_as(&peer).await;
    call(&channel, send("T", 0, "", b"0")).await;
    let reset = |topic: &'static str| {
        let fields = [
            ("group", "g"),
            ("topic", topic),
            ("timestamp", "0"),
            ("isForce", "true"),
        ];
        ask(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &fields)
    };
    call(&channel, heartbeat("c1")).await;
    let unknown = call(&channel, reset("T")).await;
    assert_eq!(unknown.code, ResponseCode::SYSTEM_ERROR);
    for queue in ["0", "1", "2", "3"] {
        let commit = [
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", queue),
            ("commitOffset", "0"),
        ];
        call(&channel, ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit)).await;
    }
    let done = call(&channel, reset("T")).await;
    assert_eq!(done.code, ResponseCode::SUCCESS, "{}", done.remark());
    let told = RequestCode::RESET_CONSUMER_CLIENT_OFFSET.0;
    for _ in 0..100 {
        if peer.asked.lock().contains(&told) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(peer.asked.lock().contains(&told));
    let gone = [("clientID", "c1"), ("consumerGroup", "g")];
    call(&channel, ask(RequestCode::UNREGISTER_CLIENT, &gone)).await;
    let offline = call(&channel, reset("T")).await;
    assert_eq!(offline.code, ResponseCode::CONSUMER_NOT_ONLINE);
    fixture.stop().await;
}

#[tokio::test]
async fn a_group_that_may_not_consume_is_told_so() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"x")).await;
    call(&channel, update_group(r#""consumeEnable":false"#)).await;
    let refused = call(&channel, pull("T", 0, "*", 0)).await;
    assert_eq!(refused.code, ResponseCode::NO_PERMISSION);
    assert_eq!(refused.fields.get("forbiddenType"), Some("2"));
    call(&channel, update_group(r#""consumeBroadcastEnable":false"#)).await;
    let beat = r#"{"clientID":"c1","producerDataSet":[],"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"BROADCASTING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","unitMode":false,"subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":1,"expressionType":"TAG"}]}]}"#;
    call(&channel, ask(RequestCode::HEART_BEAT, &[]).with_body(beat)).await;
    let as_member = PullMessageRequestHeader {
        consumer_group: "g",
        topic: "T",
        max_msg_nums: 32,
        ..PullMessageRequestHeader::default()
    };
    let as_member = Command::request(RequestCode::PULL_MESSAGE, &as_member);
    let refused = call(&channel, as_member).await;
    assert_eq!(
        refused.code,
        ResponseCode::NO_PERMISSION,
        "{}",
        refused.remark()
    );
    assert_eq!(refused.fields.get("forbiddenType"), Some("4"));
    fixture.stop().await;
}

#[tokio::test]
async fn the_first_retry_calls_a_group_that_does_not_ask_for_it() {
    let fixture = fast_levels().await;
    let peer = Arc::<Peer>::default();
    let channel = fixture.connect_as(&peer).await;
    call(&channel, heartbeat("c1")).await;
    let notified = RequestCode::NOTIFY_CONSUMER_IDS_CHANGED.0;
    let calls = || {
        peer.asked
            .lock()
            .iter()
            .filter(|code| **code == notified)
            .count()
    };
    let before = calls();
    call(&channel, send_retry(1, Some(16), b"tried")).await;
    for _ in 0..200 {
        if calls() > before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(calls(), before + 1);
    // Whoever has asked once is not called again.
    call(&channel, pull("%RETRY%g", 0, "*", 0)).await;
    call(&channel, send_retry(1, Some(16), b"tried")).await;
    call(&channel, pull("%RETRY%g", 1, "*", 9_000)).await;
    assert_eq!(calls(), before + 1);
    fixture.stop().await;
}

#[tokio::test]
async fn a_subscription_that_is_still_on_its_way_stops_nobody() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "TAGS\u{1}a\u{2}", b"x")).await;
    call(&channel, heartbeat("c1")).await;
    let newer = |kind: Option<&'static str>| {
        let header = PullMessageRequestHeader {
            consumer_group: "g",
            topic: "T",
            max_msg_nums: 32,
            sub_version: 9,
            expression_type: kind,
            ..PullMessageRequestHeader::default()
        };
        Command::request(RequestCode::PULL_MESSAGE, &header)
    };
    for kind in [None, Some("TAG")] {
        let served = call(&channel, newer(kind)).await;
        assert_eq!(bodies(&served), ["x"], "{}", served.remark());
    }
    // Nobody but the broker evaluates SQL92.
    let refused = call(&channel, newer(Some("SQL92"))).await;
    assert_eq!(refused.code, ResponseCode::SUBSCRIPTION_NOT_LATEST);
    fixture.stop().await;
}
