//! POP from end to end: popping, acknowledging, invisibility, revival, order, restart, and what forgers get.

mod restart;

use super::*;
use crate::protocol::header::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
    NotificationRequestHeader, NotificationResponseHeader, PeekMessageRequestHeader,
    PollingInfoRequestHeader, PollingInfoResponseHeader, PopMessageRequestHeader,
    PopMessageResponseHeader,
};

const INVISIBLE_MS: i64 = 60_000;

/// A pop of any queue.
fn pop(topic: &str, poll_ms: i64) -> PopMessageRequestHeader<'_> {
    PopMessageRequestHeader {
        consumer_group: "g",
        topic,
        queue_id: -1,
        max_msg_nums: 32,
        invisible_time: INVISIBLE_MS,
        poll_time: poll_ms,
        ..PopMessageRequestHeader::default()
    }
}

fn request(header: &PopMessageRequestHeader<'_>) -> Command {
    Command::request(RequestCode::POP_MESSAGE, header)
}

/// What a client knows of a popped message.
#[derive(Debug, Clone, PartialEq)]
struct Popped {
    topic: String,
    queue_id: i32,
    offset: i64,
    body: String,
    tries: i32,
    handle: String,
}

/// Reads an answer as Apache's client does: messages of the topic itself get their handles from the lists.
fn popped(reply: &Reply) -> Vec<Popped> {
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
    let header: PopMessageResponseHeader<'_> = reply.header().unwrap();
    let starts = header.start_offset_info.unwrap();
    let mut rest: &[u8] = &reply.body;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        let (queue_id, offset) = (record.queue_id, record.queue_offset);
        let handle = record.properties.get(names::POP_CK).map_or_else(
            || {
                let start = starts
                    .split(';')
                    .map(|one| one.split(' ').collect::<Vec<_>>())
                    .find(|one| one[0] == "0" && one[1] == queue_id.to_string())
                    .unwrap()[2];
                format!(
                    "{start} {} {} {} 0 broker-a {queue_id} {offset}",
                    header.pop_time, header.invisible_time, header.revive_qid
                )
            },
            str::to_owned,
        );
        let topic = match handle.split(' ').nth(4) {
            Some("1") => format!("%RETRY%g_{}", record.topic),
            Some("2") => format!("%RETRY%g+{}", record.topic),
            _ => record.topic.to_owned(),
        };
        found.push(Popped {
            topic,
            queue_id,
            offset,
            body: String::from_utf8(record.body.to_vec()).unwrap(),
            tries: record.reconsume_times,
            handle,
        });
        rest = &rest[record.size as usize..];
    }
    found
}

fn texts(popped: &[Popped]) -> Vec<&str> {
    popped.iter().map(|one| one.body.as_str()).collect()
}

async fn ack_as(channel: &Arc<Channel>, message: &Popped) -> Reply {
    let header = AckMessageRequestHeader {
        consumer_group: "g",
        topic: &message.topic,
        queue_id: message.queue_id,
        extra_info: &message.handle,
        offset: message.offset,
        ..AckMessageRequestHeader::default()
    };
    call(channel, Command::request(RequestCode::ACK_MESSAGE, &header)).await
}

async fn ack(channel: &Arc<Channel>, message: &Popped) {
    let reply = ack_as(channel, message).await;
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
}

async fn change(
    channel: &Arc<Channel>,
    message: &Popped,
    invisible_ms: i64,
    suspend: bool,
) -> Popped {
    let header = ChangeInvisibleTimeRequestHeader {
        consumer_group: "g",
        topic: &message.topic,
        queue_id: message.queue_id,
        extra_info: &message.handle,
        offset: message.offset,
        invisible_time: invisible_ms,
        suspend,
        ..ChangeInvisibleTimeRequestHeader::default()
    };
    let request = Command::request(RequestCode::CHANGE_MESSAGE_INVISIBLETIME, &header);
    let reply = call(channel, request).await;
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{}", reply.remark());
    let header: ChangeInvisibleTimeResponseHeader = reply.header().unwrap();
    let mut parts: Vec<String> = message.handle.split(' ').map(str::to_owned).collect();
    parts[0] = message.offset.to_string();
    parts[1] = header.pop_time.to_string();
    parts[2] = header.invisible_time.to_string();
    Popped {
        handle: parts.join(" "),
        ..message.clone()
    }
}

/// Sends messages with these bodies to queue 0.
async fn fill(channel: &Arc<Channel>, topic: &str, bodies: &[&'static str]) {
    for body in bodies {
        let sent = call(channel, send(topic, 0, "TAGS\u{1}a\u{2}", body.as_bytes())).await;
        assert_eq!(sent.code, ResponseCode::SUCCESS, "{}", sent.remark());
    }
}

/// Pops until the bodies are `want`; messages of retry topics take a moment.
async fn pop_until(
    channel: &Arc<Channel>,
    header: PopMessageRequestHeader<'_>,
    want: &[&str],
) -> Vec<Popped> {
    let mut all: Vec<Popped> = Vec::new();
    while all.len() < want.len() {
        let reply = call(channel, request(&header)).await;
        if reply.code == ResponseCode::SUCCESS {
            all.extend(popped(&reply));
        } else {
            assert_eq!(reply.code, ResponseCode::POLLING_TIMEOUT);
            panic!("only {:?} came", texts(&all));
        }
    }
    all.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(texts(&all), want);
    all
}

async fn nothing(channel: &Arc<Channel>, topic: &str) {
    let reply = call(channel, request(&pop(topic, 0))).await;
    assert_eq!(
        reply.code,
        ResponseCode::POLLING_TIMEOUT,
        "{:?}",
        bodies(&reply)
    );
}

/// Waits until nothing popped is open any more.
async fn settled(fixture: &Fixture) {
    let open = || fixture.broker.pop.revival.open();
    let begun = Instant::now();
    while open() > 0 {
        assert!(begun.elapsed() < LIMIT, "{} check points stay open", open());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    for second in [false, true] {
        let fixture = Fixture::with_clock(Clock::manual(1_800_000_000_000), |options| {
            options.enable_retry_topic_v2 = second;
        })
        .await;
        let clock = fixture.broker.clock.clone();
        let channel = fixture.connect().await;
        fill(&channel, "T", &["a", "b", "c", "d"]).await;
        let first = popped(&call(&channel, request(&pop("T", 0))).await);
        assert_eq!(texts(&first), ["a", "b", "c", "d"]);
        nothing(&channel, "T").await;
        ack(&channel, &first[0]).await;
        ack(&channel, &first[2]).await;
        let longer = change(&channel, &first[3], 2 * INVISIBLE_MS, false).await;
        clock.advance(INVISIBLE_MS - 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        nothing(&channel, "T").await;
        clock.advance(1);
        let again = pop_until(&channel, pop("T", 5_000), &["b"]).await;
        let flag = if second { "2" } else { "1" };
        assert_eq!(again[0].tries, 1);
        assert_eq!(again[0].handle.split(' ').nth(4), Some(flag));
        let retried = fixture.broker.topic(&again[0].topic).unwrap();
        assert_eq!((retried.read_queue_nums, retried.perm), (1, 6));
        clock.advance(INVISIBLE_MS + 1);
        let more = pop_until(&channel, pop("T", 5_000), &["b", "d"]).await;
        assert_eq!([more[0].tries, more[1].tries], [2, 1]);
        // The handle from before the change is worth nothing any more, nor is one of an earlier delivery.
        ack(&channel, &longer).await;
        for message in &more {
            ack(&channel, message).await;
        }
        settled(&fixture).await;
        clock.advance(100 * INVISIBLE_MS);
        tokio::time::sleep(Duration::from_millis(50)).await;
        nothing(&channel, "T").await;
        fixture.stop().await;
    }
}

#[tokio::test]
async fn what_is_far_behind_the_end_is_popped_elsewhere() {
    let fixture = Fixture::with(|options| options.cold_read_distance = 600).await;
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b", "c", "d", "e", "f"]).await;
    let cold = || fixture.broker.stats.cold_pulls.total();
    let old = popped(&call(&channel, request(&pop("T", 0))).await);
    assert_eq!(texts(&old), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(cold(), 1);
    fill(&channel, "U", &["new"]).await;
    let new = popped(&call(&channel, request(&pop("U", 0))).await);
    assert_eq!((texts(&new), cold()), (vec!["new"], 1));
    fixture.stop().await;
}

#[tokio::test]
async fn a_suspended_message_counts_no_attempt() {
    let fixture = Fixture::with_clock(Clock::manual(1_800_000_000_000), |_| {}).await;
    let clock = fixture.broker.clock.clone();
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b"]).await;
    let first = popped(&call(&channel, request(&pop("T", 0))).await);
    change(&channel, &first[0], 10, true).await;
    change(&channel, &first[1], 10, false).await;
    clock.advance(11);
    let again = pop_until(&channel, pop("T", 5_000), &["a", "b"]).await;
    assert_eq!([again[0].tries, again[1].tries], [0, 1]);
    fixture.stop().await;
}

#[tokio::test]
async fn waiting_pops_share_what_arrives() {
    let fixture = Fixture::start().await;
    let producer = fixture.connect().await;
    fill(&producer, "T", &["x"]).await;
    let channel = fixture.connect().await;
    let taken = popped(&call(&channel, request(&pop("T", 0))).await);
    ack(&channel, &taken[0]).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let call = channel.call(request(&pop("T", 20_000)), LIMIT);
        waiting.push(tokio::spawn(call));
    }
    while fixture.broker.pop.pops.len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let polling = PollingInfoRequestHeader {
        consumer_group: "g",
        topic: "T",
        queue_id: -1,
        ..PollingInfoRequestHeader::default()
    };
    let polling = call(
        &channel,
        Command::request(RequestCode::POLLING_INFO, &polling),
    )
    .await;
    let polling: PollingInfoResponseHeader = polling.header().unwrap();
    assert_eq!(polling.polling_num, 2);
    fill(&producer, "T", &["a", "b"]).await;
    let mut got = Vec::new();
    for call in waiting {
        got.extend(popped(&call.await.unwrap().unwrap()));
    }
    got.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(texts(&got), ["a", "b"]);

    let begun = Instant::now();
    let reply = call(&channel, request(&pop("T", 200))).await;
    assert_eq!(reply.code, ResponseCode::POLLING_TIMEOUT);
    assert!(begun.elapsed() >= Duration::from_millis(140));
    let closing = fixture.connect().await;
    let _lost = closing.call(request(&pop("T", 20_000)), LIMIT);
    while fixture.broker.pop.pops.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    closing.close();
    while fixture.broker.pop.pops.len() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn filters_and_several_queues_are_served() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    for (queue_id, tag, body) in [
        (0, "a", b"1"),
        (1, "b", b"2"),
        (1, "a", b"3"),
        (2, "c", b"4"),
    ] {
        let properties = format!("TAGS\u{1}{tag}\u{2}");
        call(&channel, send("T", queue_id, &properties, body)).await;
    }
    let tagged = PopMessageRequestHeader {
        exp_type: Some("TAG"),
        exp: Some("a"),
        ..pop("T", 0)
    };
    let mut got = popped(&call(&channel, request(&tagged)).await);
    got.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(texts(&got), ["1", "3"]);
    let bad = PopMessageRequestHeader {
        exp_type: Some("SQL92"),
        exp: Some("a >"),
        ..pop("T", 0)
    };
    let refused = call(&channel, request(&bad)).await;
    assert_eq!(refused.code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    // What the filter did not take is passed over for good.
    nothing(&channel, "T").await;

    let peek = PeekMessageRequestHeader {
        consumer_group: "h",
        topic: "T",
        queue_id: -1,
        max_msg_nums: 3,
        ..PeekMessageRequestHeader::default()
    };
    let seen = call(&channel, Command::request(RequestCode::PEEK_MESSAGE, &peek)).await;
    assert_eq!(bodies(&seen).len(), 3);
    let header: PopMessageResponseHeader<'_> = seen.header().unwrap();
    assert_eq!(header.rest_num, 4);
    let last = PopMessageRequestHeader {
        consumer_group: "h",
        init_mode: 1,
        queue_id: 2,
        ..pop("T", 0)
    };
    assert_eq!(bodies(&call(&channel, request(&last)).await), ["4"]);
    fixture.stop().await;
}

#[tokio::test]
async fn order_holds_until_all_is_acknowledged() {
    let fixture = Fixture::with_clock(Clock::manual(1_800_000_000_000), |_| {}).await;
    let clock = fixture.broker.clock.clone();
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b", "c"]).await;
    let ordered = |attempt_id, poll_ms| PopMessageRequestHeader {
        order: true,
        max_msg_nums: 2,
        attempt_id,
        ..pop("T", poll_ms)
    };
    let reply = call(&channel, request(&ordered(Some("1"), 0))).await;
    let header: PopMessageResponseHeader<'_> = reply.header().unwrap();
    assert_eq!(
        (header.revive_qid, header.order_count_info),
        (999, Some("0 0 0"))
    );
    let first = popped(&reply);
    assert_eq!(texts(&first), ["a", "b"]);
    let blocked = call(&channel, request(&ordered(Some("2"), 0))).await;
    assert_eq!(blocked.code, ResponseCode::POLLING_TIMEOUT);
    let same = popped(&call(&channel, request(&ordered(Some("1"), 0))).await);
    assert_eq!(texts(&same), ["a", "b"]);
    ack(&channel, &same[0]).await;
    let blocked = call(&channel, request(&ordered(None, 0))).await;
    assert_eq!(blocked.code, ResponseCode::POLLING_TIMEOUT);
    // Nobody acknowledges b in time: it comes again, and c after it.
    let waiting = tokio::spawn(channel.call(request(&ordered(None, 20_000)), LIMIT));
    while fixture.broker.pop.pops.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.advance(INVISIBLE_MS);
    let reply = waiting.await.unwrap().unwrap();
    let header: PopMessageResponseHeader<'_> = reply.header().unwrap();
    assert_eq!(header.order_count_info, Some("0 qo0%1 1;0 0 0"));
    let again = popped(&reply);
    assert_eq!(texts(&again), ["b", "c"]);
    // A consumer that gives up early, and one that comes back after a restart.
    let early = change(&channel, &again[1], 5_000, false).await;
    assert!(early.handle.starts_with("2 "));
    ack(&channel, &again[0]).await;
    clock.advance(4_999);
    let blocked = call(&channel, request(&ordered(None, 0))).await;
    assert_eq!(blocked.code, ResponseCode::POLLING_TIMEOUT);
    let dir = fixture.stop().await;

    let fixture = Fixture::reopen(dir, Clock::manual(clock.now_ms())).await;
    let channel = fixture.connect().await;
    let blocked = call(&channel, request(&ordered(None, 0))).await;
    assert_eq!(blocked.code, ResponseCode::POLLING_TIMEOUT);
    fixture.broker.clock.advance(1);
    let last = popped(&call(&channel, request(&ordered(None, 5_000))).await);
    assert_eq!(texts(&last), ["c"]);
    let unknown = Popped {
        offset: 3,
        ..last[0].clone()
    };
    assert_eq!(
        ack_as(&channel, &unknown).await.code,
        ResponseCode::MESSAGE_ILLEGAL
    );
    ack(&channel, &last[0]).await;
    assert_eq!(offset_of(&fixture, "T", 0), Some(3));
    fixture.stop().await;
}

fn offset_of(fixture: &Fixture, topic: &str, queue_id: i32) -> Option<i64> {
    fixture
        .broker
        .offsets
        .with(|offsets| offsets.query(topic, "g", queue_id))
}

#[tokio::test]
async fn batches_are_acknowledged_and_notified() {
    let fixture = Fixture::with_clock(Clock::manual(1_800_000_000_000), |_| {}).await;
    let clock = fixture.broker.clock.clone();
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a", "b", "c"]).await;
    let notice = |poll_ms| {
        let header = NotificationRequestHeader {
            consumer_group: "g",
            topic: "T",
            queue_id: -1,
            poll_time: poll_ms,
            ..NotificationRequestHeader::default()
        };
        Command::request(RequestCode::NOTIFICATION, &header)
    };
    let has = |reply: &Reply| {
        reply
            .header::<NotificationResponseHeader>()
            .unwrap()
            .has_msg
    };
    assert!(has(&call(&channel, notice(0)).await));
    let reply = call(&channel, request(&pop("T", 0))).await;
    let header: PopMessageResponseHeader<'_> = reply.header().unwrap();
    assert!(!has(&call(&channel, notice(0)).await));
    let waiting = tokio::spawn(channel.call(notice(20_000), LIMIT));
    while fixture.broker.pop.notices.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Bits 0 and 2: "a" and "c".
    let body = format!(
        r#"{{"brokerName":"broker-a","acks":[{{"c":"g","t":"T","r":"0","so":0,"q":0,"rq":{},"pt":{},"it":{INVISIBLE_MS},"b":"BQ=="}}]}}"#,
        header.revive_qid, header.pop_time
    );
    let batch = |body: String| ask(RequestCode::BATCH_ACK_MESSAGE, &[]).with_body(body);
    let acked = call(&channel, batch(body)).await;
    assert_eq!(acked.code, ResponseCode::SUCCESS, "{}", acked.remark());
    clock.advance(INVISIBLE_MS);
    assert!(has(&waiting.await.unwrap().unwrap()));
    pop_until(&channel, pop("T", 5_000), &["b"]).await;
    let nothing = call(&channel, batch(String::new())).await;
    assert_eq!(nothing.code, ResponseCode::NO_MESSAGE);
    let nothing = call(&channel, batch(r#"{"acks":[]}"#.to_owned())).await;
    assert_eq!(nothing.code, ResponseCode::NO_MESSAGE);
    for bad in [r#"{"acks":[{"c":1}]}"#, "[", r#"{"acks":[null]}"#] {
        let refused = call(&channel, batch(bad.to_owned())).await;
        assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn forged_requests_get_apaches_codes() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a"]).await;
    let real = popped(&call(&channel, request(&pop("T", 0))).await).remove(0);
    let forged = |change: &dyn Fn(&mut Popped)| {
        let mut message = real.clone();
        change(&mut message);
        message
    };
    let with = |handle: &str| {
        let handle = handle.to_owned();
        forged(&move |message| message.handle.clone_from(&handle))
    };
    for (message, code) in [
        (
            forged(&|it| it.topic = "U".to_owned()),
            ResponseCode::TOPIC_NOT_EXIST,
        ),
        (
            forged(&|it| it.queue_id = -1),
            ResponseCode::MESSAGE_ILLEGAL,
        ),
        (forged(&|it| it.queue_id = 8), ResponseCode::MESSAGE_ILLEGAL),
        (forged(&|it| it.offset = -1), ResponseCode::NO_MESSAGE),
        (forged(&|it| it.offset = 2), ResponseCode::NO_MESSAGE),
        (forged(&|it| it.offset = i64::MAX), ResponseCode::NO_MESSAGE),
        (with(""), ResponseCode::SYSTEM_ERROR),
        (with("x y z"), ResponseCode::SYSTEM_ERROR),
        (
            with("0 1 2 8 0 broker-a 0 0"),
            ResponseCode::MESSAGE_ILLEGAL,
        ),
        (
            with("0 1 2 -1 0 broker-a 0 0"),
            ResponseCode::MESSAGE_ILLEGAL,
        ),
        (with("0 1 2 3 0 elsewhere 0 0"), ResponseCode::SUCCESS),
    ] {
        assert_eq!(ack_as(&channel, &message).await.code, code, "{message:?}");
    }
    let wrong = PopMessageRequestHeader {
        max_msg_nums: 33,
        ..pop("T", 0)
    };
    let late = PopMessageRequestHeader {
        born_time: 1,
        ..pop("T", 0)
    };
    let beyond = PopMessageRequestHeader {
        queue_id: 8,
        ..pop("T", 0)
    };
    let odd = PopMessageRequestHeader {
        max_msg_nums: i32::MIN,
        invisible_time: i64::MIN,
        queue_id: i32::MIN,
        ..pop("T", 0)
    };
    for (header, code) in [
        (wrong, ResponseCode::INVALID_PARAMETER),
        (late, ResponseCode::POLLING_TIMEOUT),
        (beyond, ResponseCode::INVALID_PARAMETER),
        (pop("U", 0), ResponseCode::TOPIC_NOT_EXIST),
        (odd, ResponseCode::POLLING_TIMEOUT),
    ] {
        assert_eq!(call(&channel, request(&header)).await.code, code);
    }
    // None of that touched the message that was really popped.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fixture.broker.pop.revival.open(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn queues_are_assigned_by_mode() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    fill(&channel, "T", &["a"]).await;
    call(&channel, heartbeat("c1")).await;
    let mode = |topic: &str, mode: &str| {
        let body = format!(
            r#"{{"consumerGroup":"g","mode":"{mode}","popShareQueueNum":0,"topic":"{topic}"}}"#
        );
        ask(RequestCode::SET_MESSAGE_REQUEST_MODE, &[]).with_body(body)
    };
    let query = |topic: &str| {
        let body = format!(
            r#"{{"clientId":"c1","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"AVG","topic":"{topic}"}}"#
        );
        ask(RequestCode::QUERY_ASSIGNMENT, &[]).with_body(body)
    };
    let body = |reply: &Reply| String::from_utf8(reply.body.to_vec()).unwrap();
    let pulled = body(&call(&channel, query("T")).await);
    assert_eq!(pulled.matches("PULL").count(), 4, "{pulled}");
    let refused = call(&channel, mode("%RETRY%g", "POP")).await;
    assert_eq!(refused.code, ResponseCode::NO_PERMISSION);
    let refused = call(&channel, mode("U", "POP")).await;
    assert_eq!(refused.code, ResponseCode::TOPIC_NOT_EXIST);
    let set = call(&channel, mode("T", "POP")).await;
    assert_eq!(set.code, ResponseCode::SUCCESS);
    assert_eq!(
        body(&call(&channel, query("T")).await),
        r#"{"messageQueueAssignments":[{"messageQueue":{"brokerName":"broker-a","queueId":-1,"topic":"T"},"mode":"POP"}]}"#
    );
    assert_eq!(body(&call(&channel, query("U")).await), "{}");
    let dir = fixture.stop().await;
    let fixture = Fixture::reopen(dir, Clock::System).await;
    let channel = fixture.connect().await;
    let all = body(
        &call(
            &channel,
            ask(RequestCode::GET_ALL_MESSAGE_REQUEST_MODE, &[]),
        )
        .await,
    );
    assert!(all.contains(r#""mode":"POP""#), "{all}");
    fixture.stop().await;
}
