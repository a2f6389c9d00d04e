//! Time in the hands of a test: a node with a virtual clock.

use std::time::{Duration, Instant};

use rmq::client::{
    Client, ClientOptions, Consumer, ConsumerOptions, Message, ProducerOptions, StartFrom,
    Subscription,
};
use rmq::node::config::{Flags, Role};

/// The waits before the 1st to the 16th retry, in seconds.
const LADDER: [u64; 16] = [
    10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// What does not arrive within this is taken to be not due.
const QUIET: Duration = Duration::from_millis(30);

async fn join(client: &Client, topic: &str) -> Consumer {
    let options = ConsumerOptions {
        subscriptions: vec![Subscription::tagged(topic, "*").unwrap()],
        start_from: StartFrom::Earliest,
        ..ConsumerOptions::default()
    };
    client.consumer("stairs", options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_retries_and_the_dead_letter_pass_in_seconds() {
    let begun = Instant::now();
    let flags = Flags {
        virtual_clock: true,
        topics: vec![
            "hard:1".parse().unwrap(),
            "%RETRY%stairs:1".parse().unwrap(),
        ],
        ..super::flags(Role::All)
    };
    let node = super::start(&flags).await.unwrap();
    let namesrv = node.ready().namesrv.unwrap().to_string();
    let broker = node.ready().broker.unwrap().to_string();
    let client = Client::connect([namesrv], ClientOptions::default())
        .await
        .unwrap();
    let admin = client.admin();
    let advance = |by: Duration| admin.clock(&broker, Some(by));
    let producer = client
        .producer("makers", ProducerOptions::default())
        .unwrap();
    producer.send(Message::new("hard", "step")).await.unwrap();
    let mut consumer = join(&client, "hard").await;

    let mut delivery = consumer.next().await.unwrap();
    for (times, seconds) in (1..).zip(LADDER) {
        let before = admin.clock(&broker, None).await.unwrap();
        delivery.retry().await.unwrap();
        let almost = Duration::from_millis(seconds * 1000 - 1);
        advance(almost).await.unwrap();
        let early = tokio::time::timeout(QUIET, consumer.next()).await;
        assert!(early.is_err(), "retry {times} came before its {seconds} s");
        let now = advance(Duration::from_millis(1)).await.unwrap();
        assert!(now.is_virtual);
        assert_eq!(
            now.now_ms - before.now_ms,
            i64::try_from(seconds).unwrap() * 1000
        );
        delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.reconsume_times, times);
        assert_eq!(delivery.topic(), "hard");
        assert_eq!(delivery.store_timestamp, now.now_ms);
    }
    delivery.retry().await.unwrap();
    let dead = loop {
        // The name server hears of the new topic a moment later.
        match admin.topic_route("%DLQ%stairs").await {
            Ok(route) => break route,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(9), "{error}"),
        }
        tokio::time::sleep(QUIET).await;
    };
    let queue = dead.read_queues().into_iter().next().unwrap();
    assert_eq!(admin.max_offset(&queue).await.unwrap(), 1);
    consumer.close().await.unwrap();
    node.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_clock_cannot_be_moved() {
    let node = super::start(&super::flags(Role::All)).await.unwrap();
    let namesrv = node.ready().namesrv.unwrap().to_string();
    let broker = node.ready().broker.unwrap().to_string();
    let client = Client::connect([namesrv], ClientOptions::default())
        .await
        .unwrap();
    let admin = client.admin();
    assert!(!admin.clock(&broker, None).await.unwrap().is_virtual);
    let refused = admin.clock(&broker, Some(Duration::from_secs(1))).await;
    assert!(refused.unwrap_err().to_string().contains("--virtual-clock"));
    node.stop().await;
}
