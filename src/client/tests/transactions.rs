//! Half messages, their ends, and the answers to brokers that ask.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::protocol::header::send::CheckTransactionStateRequestHeader;

const PLACE: i64 = 0x1234;

/// An answer to a half message, stored at [`PLACE`] as number 7.
fn stored(code: ResponseCode) -> Command {
    Command::response(code)
        .with_field("msgId", format!("7F00000100002A9F{PLACE:016X}"))
        .with_field("queueId", "0")
        .with_field("queueOffset", "7")
        .with_field("transactionId", "the transaction")
}

async fn broker(half: ResponseCode) -> Peer {
    Peer::start(move |head, _| match head.request_code() {
        RequestCode::SEND_MESSAGE_V2 => Some(stored(half)),
        _ => Some(ok()),
    })
    .await
}

async fn producer(
    broker: &Peer,
    checker: impl Fn(&Received) -> Decision + Send + Sync + Clone + 'static,
) -> (TransactionProducer, (Client, Peer)) {
    let names = name_server(&["T"], 4, &[broker.address()]).await;
    let client = connect(&names).await;
    let checker = move |message: Received| {
        let decision = checker(&message);
        async move { decision }
    };
    let options = TransactionOptions {
        topics: vec!["T".to_owned()],
        ..TransactionOptions::default()
    };
    let producer = client.transaction_producer("g", options, checker).await;
    (producer.unwrap(), (client, names))
}

fn ended(broker: &Peer) -> Vec<BTreeMap<String, String>> {
    let seen = broker.seen(RequestCode::END_TRANSACTION);
    seen.into_iter().map(|seen| seen.fields).collect()
}

#[tokio::test]
async fn a_half_message_is_stored_and_ended() {
    let broker = broker(ResponseCode::SUCCESS).await;
    let (producer, _names) = producer(&broker, |_| Decision::Unknown).await;
    let half = producer.send_half(Message::new("T", "x")).await.unwrap();
    let sent = &broker.seen(RequestCode::SEND_MESSAGE_V2)[0].fields;
    assert_eq!(sent["f"], "4");
    assert!(sent["i"].contains("TRAN_MSG\u{1}true\u{2}"));
    assert!(sent["i"].contains("PGROUP\u{1}g\u{2}"));
    assert_eq!(half.transaction_id(), "the transaction");
    let message_id = half.message_id().to_owned();
    half.commit().await.unwrap();
    let half = producer.send_half(Message::new("T", "y")).await.unwrap();
    half.rollback().await.unwrap();
    let ends = ended(&broker);
    assert_eq!(ends.len(), 2);
    let first = &ends[0];
    assert_eq!(first["producerGroup"], "g");
    assert_eq!(first["tranStateTableOffset"], "7");
    assert_eq!(first["commitLogOffset"], PLACE.to_string());
    assert_eq!(first["msgId"], message_id);
    assert_eq!(first["fromTransactionCheck"], "false");
    assert_eq!(
        (&*first["commitOrRollback"], &*ends[1]["commitOrRollback"]),
        ("8", "12")
    );
}

#[tokio::test]
async fn an_unsafe_half_message_is_rolled_back() {
    let broker = broker(ResponseCode::FLUSH_DISK_TIMEOUT).await;
    let (producer, _names) = producer(&broker, |_| Decision::Unknown).await;
    let error = producer
        .send_half(Message::new("T", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ResponseCode::FLUSH_DISK_TIMEOUT.0));
    assert_eq!(ended(&broker)[0]["commitOrRollback"], "12");
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let broker = broker(ResponseCode::SUCCESS).await;
    let (producer, (again, _names)) = producer(&broker, |_| Decision::Unknown).await;
    let delayed = Message::new("T", "x").with_delay_level(3);
    let error = producer.send_half(delayed).await.unwrap_err();
    assert!(matches!(error, ClientError::Message { .. }), "{error}");
    let options = TransactionOptions::default();
    let second = again.transaction_producer("g", options.clone(), |_| async { Decision::Commit });
    assert!(matches!(second.await, Err(ClientError::Usage(_))));
    drop(producer);
    let third = again.transaction_producer("g", options, |_| async { Decision::Commit });
    third.await.unwrap();
}

/// The broker's question about the half message number `number`.
fn question(number: i64, key: &str) -> Command {
    let host = "127.0.0.1:10911".parse().unwrap();
    let properties = format!("PGROUP\u{1}g\u{2}KEYS\u{1}{key}\u{2}");
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
        body: b"?",
        properties: properties.as_bytes(),
    }
    .encode_into(&mut stored)
    .unwrap();
    let header = CheckTransactionStateRequestHeader {
        topic: None,
        tran_state_table_offset: number,
        commit_log_offset: PLACE + number,
        msg_id: Some("m"),
        transaction_id: Some(key),
        offset_msg_id: None,
        broker_name: Some("a"),
    };
    Command::request(RequestCode::CHECK_TRANSACTION_STATE, &header).with_body(stored)
}

#[tokio::test]
async fn questions_are_answered_as_the_checker_says() {
    let broker = broker(ResponseCode::SUCCESS).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (_producer, _names) = producer(&broker, move |message| {
        count.fetch_add(1, Ordering::SeqCst);
        match message.keys() {
            Some("commit") => Decision::Commit,
            Some("rollback") => Decision::Rollback,
            Some("panic") => panic!("as scripted"),
            _ => Decision::Unknown,
        }
    })
    .await;
    let channel = broker.fake.channels.lock()[0].clone();
    for (number, key) in [(1, "unknown"), (2, "panic"), (3, "commit"), (4, "rollback")] {
        channel.send_oneway(question(number, key));
    }
    until("two answers", || ended(&broker).len() == 2).await;
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let mut ends = ended(&broker);
    ends.sort_by_key(|end| end["tranStateTableOffset"].clone());
    let wanted = [("3", "8", "commit"), ("4", "12", "rollback")];
    for (end, (number, outcome, id)) in ends.iter().zip(wanted) {
        assert_eq!(end["tranStateTableOffset"], number);
        assert_eq!(end["commitOrRollback"], outcome);
        assert_eq!(end["transactionId"], id);
        assert_eq!(end["fromTransactionCheck"], "true");
        assert_eq!(end["producerGroup"], "g");
    }
}

#[tokio::test]
async fn what_became_of_an_answer_is_told_once_the_broker_has_said_so() {
    let broker = Peer::start(move |head, _| match head.fields.get("transactionId") {
        Some("refused") => Some(Command::response(ResponseCode::SYSTEM_ERROR)),
        _ => Some(ok()),
    })
    .await;
    let names = name_server(&["T"], 4, &[broker.address()]).await;
    let client = connect(&names).await;
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let options = TransactionOptions {
        topics: vec!["T".to_owned()],
        answered: Some(answered),
        checks_max: 1,
        ..TransactionOptions::default()
    };
    let checker = |message: Received| async move {
        match message.keys() {
            Some("unknown") => Decision::Unknown,
            _ => Decision::Commit,
        }
    };
    let producer = client.transaction_producer("g", options, checker);
    let _producer = producer.await.unwrap();
    let channel = broker.fake.channels.lock()[0].clone();
    for (number, key) in [(1, "unknown"), (2, "refused"), (3, "taken")] {
        channel.send_oneway(question(number, key));
    }
    let first = answers.recv().await.unwrap();
    assert_eq!(first.decision, Decision::Unknown);
    first.result.unwrap();
    let second = answers.recv().await.unwrap();
    let error = second.result.unwrap_err();
    assert_eq!(error.code(), Some(ResponseCode::SYSTEM_ERROR.0));
    let third = answers.recv().await.unwrap();
    assert_eq!(third.decision, Decision::Commit);
    third.result.unwrap();
    assert_eq!(ended(&broker).len(), 2);
}

#[tokio::test]
async fn a_question_that_is_repeated_is_answered_once_about_the_last_copy() {
    let broker = broker(ResponseCode::SUCCESS).await;
    let names = name_server(&["T"], 4, &[broker.address()]).await;
    let client = connect(&names).await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let (checker_gate, count) = (Arc::clone(&gate), Arc::clone(&asked));
    let checker = move |message: Received| {
        count.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&checker_gate);
        let waits = message.keys() == Some("slow");
        async move {
            if waits {
                gate.acquire().await.unwrap().forget();
            }
            Decision::Commit
        }
    };
    let options = TransactionOptions {
        topics: vec!["T".to_owned()],
        ..TransactionOptions::default()
    };
    let _producer = client
        .transaction_producer("g", options, checker)
        .await
        .unwrap();
    let channel = broker.fake.channels.lock()[0].clone();
    for (number, key) in [(1, "slow"), (5, "slow"), (6, "other")] {
        channel.send_oneway(question(number, key));
    }
    // Questions are taken in their order: once the last is answered, the repeated one was taken.
    until("the other question is answered", || {
        ended(&broker).len() == 1
    })
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    gate.add_permits(1);
    until("the slow question is answered", || {
        ended(&broker).len() == 2
    })
    .await;
    assert_eq!(ended(&broker)[1]["tranStateTableOffset"], "5");
    assert_eq!(
        ended(&broker)[1]["commitLogOffset"],
        (PLACE + 5).to_string()
    );
}
