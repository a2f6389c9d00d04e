//! Sending: which failures are tried again, where, and how often.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;
use crate::client::routes::BELIEVED;
use crate::message::names;

const SEND: RequestCode = RequestCode::SEND_MESSAGE_V2;

fn producer(client: &Client) -> Producer {
    client.producer("g", ProducerOptions::default()).unwrap()
}

#[tokio::test]
async fn a_refused_send_goes_to_another_broker() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::SYSTEM_BUSY))).await;
    let b = Peer::start(|_, _| Some(sent())).await;
    let names = name_server(&["T"], 4, &[a.address(), b.address()]).await;
    let client = connect(&names).await;
    let producer = client.producer("g", ProducerOptions::default()).unwrap();
    for _ in 0..8 {
        let receipt = producer.send(Message::new("T", "x")).await.unwrap();
        assert_eq!(receipt.queue.broker.as_str(), "b");
        assert_eq!(receipt.queue_offset, 7);
    }
    let code = RequestCode::SEND_MESSAGE_V2;
    assert_eq!(b.seen(code).len(), 8);
    assert!(!a.seen(code).is_empty());
    let first = &b.seen(code)[0].fields;
    assert_eq!((first["a"].as_str(), first["b"].as_str()), ("g", "T"));
    assert_eq!((first["c"].as_str(), first["d"].as_str()), ("TBW102", "4"));
}

#[tokio::test]
async fn an_illegal_message_is_not_tried_again() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::MESSAGE_ILLEGAL))).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = client.producer("g", ProducerOptions::default()).unwrap();
    let error = producer.send(Message::new("T", "x")).await.unwrap_err();
    assert_eq!(error.code(), Some(13));
    assert_eq!(a.seen(RequestCode::SEND_MESSAGE_V2).len(), 1);
}

#[tokio::test]
async fn a_send_is_tried_three_times_and_no_more() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::SERVICE_NOT_AVAILABLE))).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = client.producer("g", ProducerOptions::default()).unwrap();
    let error = producer.send(Message::new("T", "x")).await.unwrap_err();
    assert_eq!(error.code(), Some(14));
    assert_eq!(a.seen(RequestCode::SEND_MESSAGE_V2).len(), 3);
}

#[tokio::test]
async fn a_silent_broker_costs_the_timeout_and_no_more() {
    let a = Peer::start(|_, _| None).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let options = ProducerOptions {
        send_timeout: Duration::from_millis(200),
        ..ProducerOptions::default()
    };
    let producer = client.producer("g", options).unwrap();
    let began = Instant::now();
    let error = producer.send(Message::new("T", "x")).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_new_topic_takes_the_template_and_large_bodies_are_packed() {
    let a = Peer::start(|_, _| Some(sent())).await;
    let names = name_server(&["TBW102"], 8, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = client.producer("g", ProducerOptions::default()).unwrap();
    let mut queues = BTreeSet::new();
    for _ in 0..16 {
        let message = Message::new("new", vec![b'x'; 5000]);
        producer.send(message).await.unwrap();
    }
    for seen in a.seen(RequestCode::SEND_MESSAGE_V2) {
        queues.insert(seen.fields["e"].clone());
        // Compressed, with zlib.
        assert_eq!(seen.fields["f"], "769");
        assert!(seen.fields["i"].contains(names::UNIQ_KEY));
    }
    assert_eq!(queues.len(), 4, "at most four queues: {queues:?}");
}

#[tokio::test]
async fn a_windowed_producer_tries_once_more() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::SERVICE_NOT_AVAILABLE))).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = client.producer("g", ProducerOptions::windowed()).unwrap();
    let error = producer.send(Message::new("T", "x")).await.unwrap_err();
    assert_eq!(error.code(), Some(14));
    assert_eq!(a.seen(SEND).len(), 2);
}

/// The silent broker may have stored the message, and the other one would store it again.
#[tokio::test]
async fn a_missing_answer_is_not_tried_elsewhere() {
    let a = Peer::start(|_, _| None).await;
    let b = Peer::start(|_, _| None).await;
    let names = name_server(&["T"], 1, &[a.address(), b.address()]).await;
    let client = connect(&names).await;
    let options = ProducerOptions {
        send_timeout: Duration::from_millis(200),
        ..ProducerOptions::default()
    };
    let producer = client.producer("g", options).unwrap();
    let error = producer.send(Message::new("T", "x")).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(error.is_uncertain());
    assert_eq!(a.seen(SEND).len() + b.seen(SEND).len(), 1);
}

/// A broker that is gone costs one refused connection, and a look now and then whether another has taken its place.
#[tokio::test]
async fn a_dead_broker_is_passed_over_at_once() {
    let gone = Peer::start(|_, _| Some(sent())).await;
    let dead = gone.address();
    gone.server.shutdown(Duration::ZERO).await;
    let b = Peer::start(|_, _| Some(sent())).await;
    let names = name_server(&["T"], 4, &[dead, b.address()]).await;
    let client = connect(&names).await;
    let producer = producer(&client);
    let begun = Instant::now();
    for _ in 0..8 {
        let receipt = producer.send(Message::new("T", "x")).await.unwrap();
        assert_eq!(receipt.queue.broker.as_str(), "b");
    }
    let looks = begun.elapsed().as_millis() / BELIEVED.as_millis();
    assert_eq!(b.seen(SEND).len(), 8);
    let asked = names.seen(RequestCode::GET_ROUTEINFO_BY_TOPIC);
    let about_t = asked.iter().filter(|seen| seen.fields["topic"] == "T");
    assert!(about_t.count() as u128 <= 1 + looks, "{asked:?}");
}

#[tokio::test]
async fn what_must_stay_in_its_queue_is_tried_once() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::SYSTEM_BUSY))).await;
    let b = Peer::start(|_, _| Some(no(ResponseCode::SYSTEM_BUSY))).await;
    let names = name_server(&["T"], 2, &[a.address(), b.address()]).await;
    let client = connect(&names).await;
    let producer = producer(&client);
    let queue = producer.queue_for_key("T", "user-7").await.unwrap();
    let message = || Message::new("T", "x");
    assert!(producer.send_to_queue(message(), &queue).await.is_err());
    assert!(producer.send_ordered(message(), "user-7").await.is_err());
    let batch = [message(), message()];
    assert!(producer.send_batch_to_queue(&batch, &queue).await.is_err());
    let there = if queue.broker.as_str() == "a" { &a } else { &b };
    assert_eq!(there.seen(SEND).len(), 2);
    assert_eq!(there.seen(RequestCode::SEND_BATCH_MESSAGE).len(), 1);
    let all = [&a, &b].map(|peer| {
        peer.fake
            .seen
            .lock()
            .iter()
            .filter(|s| s.code != RequestCode::HEART_BEAT)
            .count()
    });
    assert_eq!(all.iter().sum::<usize>(), 3, "nothing went elsewhere");
}

/// Java's `SelectMessageQueueByHash` for the same keys over four queues.
#[tokio::test]
async fn an_ordering_key_has_the_queue_java_gives_it() {
    let a = Peer::start(|_, _| Some(sent())).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = producer(&client);
    // Hash codes: 97, 2598919 and, negative, -2147483648 and -1.
    for (key, expected) in [("a", 1), ("TagA", 3), ("polygenelubricants", 0)] {
        let queue = producer.queue_for_key("T", key).await.unwrap();
        assert_eq!(queue.queue.get(), expected, "{key}");
    }
    producer
        .send_ordered(Message::new("T", "x"), "a")
        .await
        .unwrap();
    let seen = &a.seen(SEND)[0].fields;
    assert_eq!(seen["e"], "1");
    assert!(seen["i"].contains("__SHARDINGKEY\u{1}a\u{2}"));
}

#[tokio::test]
async fn a_one_way_message_is_never_tried_again() {
    let a = Peer::start(|_, _| Some(no(ResponseCode::SYSTEM_BUSY))).await;
    let names = name_server(&["T"], 4, &[a.address()]).await;
    let client = connect(&names).await;
    let producer = producer(&client);
    producer.send_oneway(Message::new("T", "x")).await.unwrap();
    // The answer to a later request proves that the first one was dealt with.
    assert!(
        producer
            .send_batch(&[Message::new("T", "y")])
            .await
            .is_err()
    );
    assert_eq!(a.seen(SEND).len(), 1);
}

/// With fault isolation a broker that failed gets nothing more for a while; without it, every other message tries it.
#[tokio::test]
async fn a_failed_broker_is_spared_if_asked_for() {
    for (latency_fault, tries_of_a) in [(true, 1), (false, 4)] {
        let a = Peer::start(|_, _| Some(no(ResponseCode::SYSTEM_BUSY))).await;
        let b = Peer::start(|_, _| Some(sent())).await;
        let names = name_server(&["T"], 1, &[a.address(), b.address()]).await;
        let client = connect(&names).await;
        let options = ProducerOptions {
            latency_fault,
            ..ProducerOptions::default()
        };
        let producer = client.producer("g", options).unwrap();
        let mut failures = 0;
        for _ in 0..8 {
            producer.send(Message::new("T", "x")).await.unwrap();
            failures = a.seen(SEND).len();
        }
        assert!(
            if latency_fault {
                failures == tries_of_a
            } else {
                failures >= tries_of_a
            },
            "latency_fault {latency_fault}: {failures}"
        );
    }
}

/// When all brokers are spared, they are used all the same.
#[tokio::test]
async fn sparing_everybody_spares_nobody() {
    let refusals = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&refusals);
    let a = Peer::start(move |head, _| {
        let refuse = head.request_code() == SEND
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok();
        Some(if refuse {
            no(ResponseCode::SYSTEM_BUSY)
        } else {
            sent()
        })
    })
    .await;
    let names = name_server(&["T"], 1, &[a.address()]).await;
    let client = connect(&names).await;
    let options = ProducerOptions {
        latency_fault: true,
        ..ProducerOptions::default()
    };
    let producer = client.producer("g", options).unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    assert_eq!(a.seen(SEND).len(), 3);
}

/// A name server that takes connections and never answers: it costs one time-out, then the living one is remembered.
#[tokio::test]
async fn a_dead_name_server_costs_one_time_out() {
    let silent = Peer::start(|_, _| None).await;
    let a = Peer::start(|_, _| Some(sent())).await;
    let names = name_server(&["T", "U", "V"], 1, &[a.address()]).await;
    let options = ClientOptions {
        request_timeout: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let began = Instant::now();
    let servers = [silent.address(), names.address()];
    let client = Client::connect(servers, options).await.unwrap();
    let producer = producer(&client);
    for topic in ["T", "U", "V"] {
        producer.send(Message::new(topic, "x")).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(silent.fake.seen.lock().len(), 1);
}

/// Many callers of a peer that cannot be reached share one attempt instead of queueing up for one each.
#[tokio::test]
async fn a_refused_connection_is_refused_to_all_who_wait_for_it() {
    let names = name_server(&["T"], 1, &["127.0.0.1:1".to_owned()]).await;
    let client = connect(&names).await;
    let options = ProducerOptions {
        retries: 0,
        ..ProducerOptions::default()
    };
    let producer = client.producer("g", options).unwrap();
    let mut sends = JoinSet::new();
    for _ in 0..50 {
        let producer = producer.clone();
        sends.spawn(async move { producer.send(Message::new("T", "x")).await });
    }
    let began = Instant::now();
    while let Some(sent) = sends.join_next().await {
        let error = sent.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// A name server whose answer to question `n` about a topic is a broker with these id and permission.
async fn electing(
    broker: String,
    answer: impl Fn(usize) -> (i64, i32) + Send + Sync + 'static,
) -> Peer {
    let asked = AtomicUsize::new(0);
    Peer::start(move |head, _| {
        if head.fields.get("topic") != Some("T") {
            return Some(no(ResponseCode::TOPIC_NOT_EXIST));
        }
        let (id, perm) = answer(asked.fetch_add(1, Ordering::Relaxed));
        let route = format!(
            r#"{{"brokerDatas":[{{"brokerAddrs":{{"{id}":"{broker}"}},"brokerName":"a","cluster":"c"}}],
                "queueDatas":[{{"brokerName":"a","perm":{perm},"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}}]}}"#
        );
        Some(ok().with_body(route))
    })
    .await
}

#[tokio::test]
async fn a_send_waits_for_the_next_master() {
    let a = Peer::start(|_, _| Some(sent())).await;
    let names = electing(a.address(), |nth| (i64::from(nth < 3), 6)).await;
    let client = connect(&names).await;
    let producer = producer(&client);
    let mut sends = JoinSet::new();
    for _ in 0..20 {
        let producer = producer.clone();
        sends.spawn(async move { producer.send(Message::new("T", "x")).await });
    }
    while let Some(sent) = sends.join_next().await {
        assert_eq!(sent.unwrap().unwrap().queue.broker.as_str(), "a");
    }
    assert_eq!(a.seen(SEND).len(), 20);
}

/// Only what may pass is waited for: no master, for the time of a send. A topic that nobody may write is told at once.
#[tokio::test]
async fn waiting_for_a_master_has_an_end() {
    let a = Peer::start(|_, _| Some(sent())).await;
    let limit = Duration::from_millis(600);
    for (id, perm, reason) in [
        (1, 6, "have no master"),
        (0, 4, "none of its queues can be written"),
    ] {
        let names = electing(a.address(), move |_| (id, perm)).await;
        let client = connect(&names).await;
        let options = ProducerOptions {
            send_timeout: limit,
            ..ProducerOptions::default()
        };
        let producer = client.producer("g", options).unwrap();
        let begun = Instant::now();
        let error = producer.send(Message::new("T", "x")).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        // A route that was just fetched is believed for a while.
        let looks = 2 + took.as_millis() / BELIEVED.as_millis();
        let asked = names.seen(RequestCode::GET_ROUTEINFO_BY_TOPIC);
        let about_t = asked.iter().filter(|seen| seen.fields["topic"] == "T");
        let about_t = about_t.count() as u128;
        assert!(about_t <= looks, "{about_t} questions in {took:?}");
        assert_eq!(took >= Duration::from_millis(540), id == 1, "{took:?}");
    }
    assert_eq!(a.seen(SEND).len(), 0);
}
