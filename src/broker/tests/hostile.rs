//! Requests no good client sends: each gets Apache's code, and the broker goes on.

use super::*;

const FAR: &str = "9223372036854775807";

async fn code_of(channel: &Arc<Channel>, request: Command) -> ResponseCode {
    call(channel, request).await.code
}

#[tokio::test]
async fn unknown_requests_and_wrong_types() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"x")).await;
    // Never given, given without a processor, of the 4.x access control, static topics.
    for code in [0, 7, 13, 50, 209, 301, 513, 99_999, i32::MAX, -1] {
        let answer = call(&channel, ask(RequestCode(code), &[])).await;
        assert_eq!(
            answer.code,
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            "{code}"
        );
        assert!(
            answer.remark().contains(&code.to_string()),
            "{}",
            answer.remark()
        );
    }
    let wrong = [
        (
            RequestCode::GET_MAX_OFFSET,
            vec![("topic", "T"), ("queueId", "first")],
        ),
        (RequestCode::GET_MAX_OFFSET, vec![("topic", "T")]),
        (
            RequestCode::GET_MAX_OFFSET,
            vec![("topic", "T"), ("queueId", "99999999999")],
        ),
        (
            RequestCode::UPDATE_CONSUMER_OFFSET,
            vec![("consumerGroup", "g"), ("topic", "T")],
        ),
        (
            RequestCode::PULL_MESSAGE,
            vec![("consumerGroup", "g"), ("topic", "T"), ("queueId", "x")],
        ),
        (
            RequestCode::SEND_MESSAGE_V2,
            vec![("a", "p"), ("b", "T"), ("e", "zero")],
        ),
        (
            RequestCode::CONSUMER_SEND_MSG_BACK,
            vec![("group", "g"), ("offset", "-")],
        ),
    ];
    for (code, fields) in wrong {
        let answer = call(&channel, ask(code, &fields).with_body("x")).await;
        assert_eq!(answer.code, ResponseCode::SYSTEM_ERROR, "{code} {fields:?}");
    }
    let bodies = [
        "",
        "{",
        "null",
        "\u{0}",
        "{\"clientID\":7,\"consumerDataSet\":\"x\"}",
    ];
    for code in [
        RequestCode::HEART_BEAT,
        RequestCode::LOCK_BATCH_MQ,
        RequestCode::UNLOCK_BATCH_MQ,
    ] {
        for body in bodies {
            let answer = call(&channel, ask(code, &[]).with_body(body)).await;
            assert_eq!(answer.code, ResponseCode::SYSTEM_ERROR, "{code} {body:?}");
        }
    }
    assert_eq!(
        code_of(&channel, send("T", 0, "", b"on")).await,
        ResponseCode::SUCCESS
    );
    fixture.stop().await;
}

#[tokio::test]
async fn offsets_from_nowhere() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, send("T", 0, "", b"x")).await;
    let before = call(&channel, pull("T", -5, "*", 0)).await;
    assert_eq!(before.code, ResponseCode::PULL_OFFSET_MOVED);
    assert_eq!(next_offset(&before), 0);
    for far in [2, i64::MAX] {
        let beyond = call(&channel, pull("T", far, "*", 0)).await;
        assert_eq!(beyond.code, ResponseCode::PULL_OFFSET_MOVED);
        assert_eq!(next_offset(&beyond), 1);
    }
    assert_eq!(
        code_of(&channel, pull("T", i64::MIN, "*", 0)).await,
        ResponseCode::PULL_OFFSET_MOVED
    );
    let commit = |queue: &str, offset: &str| {
        let fields = [
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", queue),
            ("commitOffset", offset),
        ];
        ask(RequestCode::UPDATE_CONSUMER_OFFSET, &fields)
    };
    let query = |queue: &str| {
        let fields = [
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", queue),
            ("setZeroIfNotFound", "false"),
        ];
        ask(RequestCode::QUERY_CONSUMER_OFFSET, &fields)
    };
    for offset in ["-9223372036854775808", "-1"] {
        assert_eq!(
            code_of(&channel, commit("0", offset)).await,
            ResponseCode::SUCCESS
        );
        assert_eq!(
            code_of(&channel, query("0")).await,
            ResponseCode::QUERY_NOT_FOUND
        );
    }
    for queue in ["0", "1"] {
        assert_eq!(
            code_of(&channel, commit(queue, FAR)).await,
            ResponseCode::SUCCESS
        );
        assert_eq!(
            call(&channel, query(queue)).await.fields.get("offset"),
            Some(FAR)
        );
    }
    // Queues that were never there leave nothing behind.
    for queue in ["-1", "77", "2147483647"] {
        assert_eq!(
            code_of(&channel, commit(queue, "1")).await,
            ResponseCode::SUCCESS
        );
        assert_eq!(
            code_of(&channel, query(queue)).await,
            ResponseCode::QUERY_NOT_FOUND
        );
    }
    let figures = [
        (RequestCode::GET_CONSUME_STATS, vec![("consumerGroup", "g")]),
        (
            RequestCode::GET_BROKER_CONSUME_STATS,
            vec![("isOrder", "false")],
        ),
        (
            RequestCode::QUERY_CONSUME_TIME_SPAN,
            vec![("topic", "T"), ("group", "g")],
        ),
    ];
    for (code, fields) in figures {
        assert_eq!(
            code_of(&channel, ask(code, &fields)).await,
            ResponseCode::SUCCESS,
            "{code}"
        );
    }
    fixture.stop().await;
}

#[tokio::test]
async fn places_where_no_message_is() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    call(&channel, send("T", 0, "", b"x")).await;
    for offset in ["-1", "1", "7777", FAR, "-9223372036854775808"] {
        let fields = [("offset", offset), ("group", "g"), ("delayLevel", "0")];
        let answer = call(&channel, ask(RequestCode::CONSUMER_SEND_MSG_BACK, &fields)).await;
        assert_eq!(answer.code, ResponseCode::SYSTEM_ERROR, "{offset}");
        assert!(answer.remark().contains(offset), "{}", answer.remark());
        let view = ask(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", offset)]);
        assert_eq!(code_of(&channel, view).await, ResponseCode::SYSTEM_ERROR);
    }
    let reset = |offset: &str| {
        let fields = [
            ("group", "g"),
            ("topic", "T"),
            ("timestamp", FAR),
            ("isForce", "true"),
            ("queueId", "0"),
            ("offset", offset),
        ];
        ask(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &fields)
    };
    for offset in ["-2", "3", FAR] {
        assert_eq!(
            code_of(&channel, reset(offset)).await,
            ResponseCode::SYSTEM_ERROR
        );
    }
    fixture.stop().await;
}

#[tokio::test]
async fn delays_and_retries_out_of_range() {
    let fixture = Fixture::with(|options| options.store.delay_levels_ms = vec![20; 2]).await;
    let channel = fixture.connect().await;
    call(&channel, heartbeat("c1")).await;
    call(&channel, send("T", 1, "", b"first")).await;
    // Below the first level: at once. Above the last: the last.
    for (delay, body) in [("-7", b"a"), ("0", b"b"), ("2147483647", b"c")] {
        let properties = format!("DELAY\u{1}{delay}\u{2}");
        let sent = call(&channel, send("T", 0, &properties, body)).await;
        assert_eq!(
            sent.code,
            ResponseCode::SUCCESS,
            "{delay}: {}",
            sent.remark()
        );
    }
    for delay in ["99999999999", "soon"] {
        let properties = format!("DELAY\u{1}{delay}\u{2}");
        let sent = call(&channel, send("T", 0, &properties, b"x")).await;
        assert_eq!(sent.code, ResponseCode::SYSTEM_ERROR, "{delay}");
    }
    let mut got = Vec::new();
    while got.len() < 3 {
        let at = i64::try_from(got.len()).unwrap();
        let found = call(&channel, pull("T", at, "*", 9_000)).await;
        assert_eq!(found.code, ResponseCode::SUCCESS, "{got:?}");
        got.extend(bodies(&found));
    }
    assert_eq!(got, ["a", "b", "c"]);
    let fields = [
        ("offset", "0"),
        ("group", "g"),
        ("delayLevel", "2147483647"),
    ];
    let back = call(&channel, ask(RequestCode::CONSUMER_SEND_MSG_BACK, &fields)).await;
    assert_eq!(back.code, ResponseCode::SUCCESS, "{}", back.remark());
    let retried = call(&channel, pull("%RETRY%g", 0, "*", 9_000)).await;
    assert_eq!(bodies(&retried), ["first"]);
    fixture.stop().await;
}

#[tokio::test]
async fn locks_of_foreign_queues() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let body = r#"{"consumerGroup":"stranger","clientId":"nobody","mqSet":[{"brokerName":"elsewhere","queueId":-3,"topic":"no such topic"}]}"#;
    // Apache lends any queue to anybody who asks first, and forgets it a minute later.
    let locked = call(
        &channel,
        ask(RequestCode::LOCK_BATCH_MQ, &[]).with_body(body),
    )
    .await;
    assert_eq!(locked.code, ResponseCode::SUCCESS);
    assert!(String::from_utf8_lossy(&locked.body).contains("elsewhere"));
    let taken = body.replace("nobody", "somebody");
    let refused = call(
        &channel,
        ask(RequestCode::LOCK_BATCH_MQ, &[]).with_body(taken.clone()),
    )
    .await;
    assert!(String::from_utf8_lossy(&refused.body).contains("[]"));
    let done = call(
        &channel,
        ask(RequestCode::UNLOCK_BATCH_MQ, &[]).with_body(taken),
    )
    .await;
    assert_eq!(done.code, ResponseCode::SUCCESS);
    let now_ms = fixture.broker.clock.now_ms();
    assert!(fixture.broker.locks.lock().any_live("stranger", now_ms));
    fixture.stop().await;
}

#[tokio::test]
async fn topics_of_kinds_that_are_not_kept_here() {
    let fixture = Fixture::start().await;
    let channel = fixture.connect().await;
    let compacted = create_topic("Special", "+cleanup.policy=COMPACTION");
    let refused = call(&channel, compacted).await;
    assert_eq!(refused.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    fixture.stop().await;
}
