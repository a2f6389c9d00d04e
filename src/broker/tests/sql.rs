//! SQL92 subscriptions, as pulls bring them along and as heartbeats register them.

use super::*;
use crate::protocol::header::NoHeader;

const TYPE: &str = "SQL92";

async fn filtering() -> Fixture {
    Fixture::with(|options| options.enable_property_filter = true).await
}

fn pull_by(topic: &str, offset: i64, kind: &str, expression: &str, suspend_ms: i64) -> Command {
    let header = PullMessageRequestHeader {
        consumer_group: "g",
        topic,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: 4 | if suspend_ms > 0 { 2 } else { 0 },
        suspend_timeout_millis: suspend_ms,
        subscription: Some(expression),
        expression_type: Some(kind),
        ..PullMessageRequestHeader::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

/// A pull of a member of the group, whose subscription the broker knows.
fn pull_as_member(topic: &str) -> Command {
    let header = PullMessageRequestHeader {
        consumer_group: "g",
        topic,
        max_msg_nums: 32,
        sub_version: 1,
        ..PullMessageRequestHeader::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

fn subscription(topic: &str, expression: &str) -> String {
    format!(
        r#"{{"classFilterMode":false,"codeSet":[],"expressionType":"{TYPE}","subString":"{expression}","subVersion":1,"tagsSet":[],"topic":"{topic}"}}"#
    )
}

fn beat(subscriptions: &[String]) -> Command {
    let subscriptions = subscriptions.join(",");
    let body = format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",
        "consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING",
        "subscriptionDataSet":[{subscriptions}],"unitMode":false}}],"heartbeatFingerprint":0,
        "producerDataSet":[],"withoutSub":false}}"#
    );
    Command::request(RequestCode::HEART_BEAT, &NoHeader).with_body(body)
}

fn check(expression: &str) -> Command {
    let wanted = subscription("T", expression);
    let body =
        format!(r#"{{"clientId":"c","group":"g","namespace":"","subscriptionData":{wanted}}}"#);
    Command::request(RequestCode::CHECK_CLIENT_CONFIG, &NoHeader).with_body(body)
}

#[tokio::test]
async fn a_pull_finds_what_its_expression_takes() {
    let fixture = filtering().await;
    let channel = fixture.connect().await;
    for (price, body) in [("5", "a"), ("50", "b"), ("cheap", "c"), ("7", "d")] {
        let properties = format!("price\u{1}{price}\u{2}TAGS\u{1}x\u{2}");
        call(&channel, send("T", 0, &properties, body.as_bytes())).await;
    }
    let found = call(
        &channel,
        pull_by("T", 0, TYPE, "price < 10 AND TAGS = 'x'", 0),
    )
    .await;
    assert_eq!(found.code, ResponseCode::SUCCESS);
    assert_eq!(
        (bodies(&found), next_offset(&found)),
        (vec!["a".to_owned(), "d".to_owned()], 4)
    );
    let none = call(&channel, pull_by("T", 0, TYPE, "price > 1000", 0)).await;
    assert_eq!(none.code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!(next_offset(&none), 4);
    fixture.stop().await;
}

#[tokio::test]
async fn one_pull_looks_at_a_bounded_number_of_messages() {
    let fixture = filtering().await;
    let channel = fixture.connect().await;
    for _ in 0..900 {
        channel.send_oneway(send("T", 0, "n\u{1}1\u{2}", b"x"));
    }
    call(&channel, send("T", 0, "n\u{1}2\u{2}", b"last")).await;
    let none = call(&channel, pull_by("T", 0, TYPE, "n = 2", 0)).await;
    assert_eq!(none.code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert_eq!(next_offset(&none), 800);
    let found = call(&channel, pull_by("T", 800, TYPE, "n = 2", 0)).await;
    assert_eq!(bodies(&found), ["last"]);
    fixture.stop().await;
}

#[tokio::test]
async fn one_pull_spends_a_bounded_effort() {
    let fixture = filtering().await;
    let channel = fixture.connect().await;
    let properties = format!("a\u{1}{}\u{2}", "y".repeat(30_000));
    for _ in 0..3 {
        call(&channel, send("T", 0, &properties, b"x")).await;
    }
    let costly = format!("a = '{}'", "x".repeat(60_000));
    for next in [2, 3] {
        let none = call(&channel, pull_by("T", next / 3 * 2, TYPE, &costly, 0)).await;
        assert_eq!(none.code, ResponseCode::PULL_RETRY_IMMEDIATELY);
        assert_eq!(next_offset(&none), next);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_waiting_pull_sleeps_through_what_it_does_not_want() {
    let fixture = filtering().await;
    let channel = fixture.connect().await;
    let producer = fixture.connect().await;
    call(&producer, send("T", 0, "n\u{1}0\u{2}", b"first")).await;
    let waiting = tokio::spawn(channel.call(pull_by("T", 1, TYPE, "n > 4", 20_000), LIMIT));
    while fixture.broker.parked.len() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for n in ["3", "x", "5"] {
        assert_eq!(fixture.broker.parked.len(), 1);
        let properties = format!("n\u{1}{n}\u{2}");
        call(&producer, send("T", 0, &properties, b"wanted")).await;
    }
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(next_offset(&answer), 4);
    assert_eq!(bodies(&answer), ["wanted"]);
    fixture.stop().await;
}

#[tokio::test]
async fn wrong_expressions_are_refused_wherever_they_come_from() {
    let fixture = filtering().await;
    let channel = fixture.connect().await;
    for topic in ["T", "Bad"] {
        call(&channel, send(topic, 0, "a\u{1}1\u{2}", b"x")).await;
    }
    let long = format!("a = '{}'", "x".repeat(1_000_000));
    for expression in ["", "a > > 3", "a BETWEEN 3 AND 1", &"(".repeat(5000), &long] {
        let pulled = call(&channel, pull_by("T", 0, TYPE, expression, 0)).await;
        assert_eq!(pulled.code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
        let remark = pulled.remark.unwrap();
        assert!(
            remark.starts_with("parse the consumer's subscription failed: "),
            "{remark}"
        );
        let checked = call(&channel, check(expression)).await;
        assert_eq!(checked.code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    }
    assert_eq!(
        call(&channel, check("a > 3")).await.code,
        ResponseCode::SUCCESS
    );
    let unknown = call(&channel, pull_by("T", 0, "XPATH", "a > 3", 0)).await;
    assert_eq!(unknown.code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);

    call(
        &channel,
        beat(&[subscription("T", "a = 1"), subscription("Bad", "a = ")]),
    )
    .await;
    let found = call(&channel, pull_as_member("T")).await;
    assert_eq!(bodies(&found), ["x"]);
    let refused = call(&channel, pull_as_member("Bad")).await;
    assert_eq!(refused.code, ResponseCode::FILTER_DATA_NOT_EXIST);
    fixture.stop().await;
}

#[tokio::test]
async fn without_the_setting_there_are_no_property_filters() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "a\u{1}1\u{2}", b"x")).await;
    for request in [
        pull_by("T", 0, TYPE, "a = 1", 0),
        check("a = 1"),
        check("a = = 1"),
    ] {
        let refused = call(&channel, request).await;
        assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
        assert_eq!(
            refused.remark.as_deref(),
            Some("The broker does not support consumer to filter message by SQL92")
        );
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_retried_message_may_be_filtered_as_where_it_was_sent_to() {
    let fixture = Fixture::with(|options| {
        options.enable_property_filter = true;
        options.filter_support_retry = true;
    })
    .await;
    let channel = fixture.connect().await;
    let retry = "%RETRY%g";
    call(
        &channel,
        beat(&[subscription("T", "a = 1"), subscription(retry, "a = 2")]),
    )
    .await;
    for (topic, a) in [("T", "1"), ("T", "2"), ("U", "2"), ("U", "3")] {
        let properties = format!("a\u{1}{a}\u{2}RETRY_TOPIC\u{1}{topic}\u{2}");
        let body: &'static [u8] = if topic == "T" { b"T" } else { b"U" };
        call(&channel, send(retry, 0, &properties, body)).await;
    }
    // Nothing is known of what the group wants of U, so all of it comes.
    let found = call(&channel, pull_as_member(retry)).await;
    assert_eq!(bodies(&found), ["T", "U", "U"]);
    fixture.stop().await;
}
