//! What is not finished changes hands: open transactions and waiting timer messages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rmq::client::{
    Client, ClientOptions, Decision, Message, ProducerOptions, Received, TopicSpec,
    TransactionOptions,
};

use super::apache::{Apache, java_client};
use super::support::node::NodeProcess;
use super::support::wire::Wire;

const TOPIC: &str = "Unfinished";
const GROUP: &str = "takeover-transactions";
const EACH: usize = 10;

const SETTINGS: &[&str] = &[
    "mappedFileSizeCommitLog=4194304",
    "mappedFileSizeConsumeQueue=6000",
    "maxHashSlotNum=500",
    "maxIndexNum=1000",
    "transactionCheckInterval=2000",
    "transactionTimeOut=1000",
    "transactionCheckMax=1000",
];

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

fn bodies(of: &str) -> BTreeSet<String> {
    (0..EACH).map(|number| format!("{of}-{number}")).collect()
}

/// The bodies Apache serves, each as often as it is there.
fn java_read(apache: &Apache) -> Vec<String> {
    let output = java_client(&["read", &apache.name_server, TOPIC]);
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("MESSAGE "));
    let mut bodies: Vec<String> = lines
        .map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned())
        .collect();
    bodies.sort();
    bodies
}

/// Apache asks again while its op record waits for its batch, and stores the commit of each answer: only what was open may be
/// there more than once.
fn once(sorted: &[String]) -> Vec<String> {
    let mut bodies = sorted.to_vec();
    bodies.dedup_by(|later, earlier| later == earlier && later.starts_with("open-commit"));
    bodies
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn apache_carries_on_with_open_transactions_and_timers() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("node");
    let node = NodeProcess::start(&data_dir, SETTINGS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let due_ms = runtime.block_on(leave_unfinished(&node));
    assert_eq!(node.stop(), Some(0));

    let apache = Apache::start(&data_dir, SETTINGS);
    let open = 2 * EACH;
    let output = java_client(&[
        "decide",
        &apache.name_server,
        TOPIC,
        GROUP,
        &open.to_string(),
    ]);
    let asked: BTreeSet<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("CHECKED "))
        .map(str::to_owned)
        .collect();
    let wanted: BTreeSet<String> = bodies("open-commit")
        .into_iter()
        .chain(bodies("open-rollback"))
        .collect();
    assert_eq!(asked, wanted, "what Apache asks the Java producer about");

    let mut wanted: Vec<String> = ["commit", "open-commit", "soon", "later"]
        .into_iter()
        .flat_map(bodies)
        .collect();
    wanted.sort();
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut delivered = java_read(&apache);
    while once(&delivered).len() < wanted.len() && Instant::now() < deadline {
        delivered = java_read(&apache);
    }
    assert!(now_ms() >= due_ms, "delivered before its time");
    assert_eq!(once(&delivered), wanted, "what Apache delivers");
    apache.stop();

    let node = NodeProcess::start(&data_dir, SETTINGS);
    let mut wire = Wire::connect(node.broker).unwrap();
    let mut served: Vec<String> = (0..4)
        .flat_map(|queue| wire.drain_queue(TOPIC, queue).unwrap())
        .map(|(_, body)| String::from_utf8(body).unwrap())
        .collect();
    served.sort();
    assert_eq!(served, delivered, "what rmq serves after Apache");
    assert_eq!(node.stop(), Some(0));
}

/// Transactions that are decided and ones that are not, each of which was asked about at least once; timer messages that
/// become due here, and ones that are due once Apache has taken over. Returns when that is.
async fn leave_unfinished(node: &NodeProcess) -> i64 {
    let name_server = node.name_server.to_string();
    let client = Client::connect([name_server], ClientOptions::default())
        .await
        .unwrap();
    let topic = TopicSpec::new(TOPIC, 4);
    client.admin().create_topic(&topic).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let evade = move |_: Received| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Decision::Unknown }
    };
    let options = TransactionOptions::default();
    let producer = client.transaction_producer(GROUP, options, evade).await;
    let producer = producer.unwrap();
    for of in ["commit", "rollback", "open-commit", "open-rollback"] {
        for body in bodies(of) {
            let half = producer.send_half(Message::new(TOPIC, body)).await.unwrap();
            match of {
                "commit" => half.commit().await.unwrap(),
                "rollback" => half.rollback().await.unwrap(),
                _ => drop(half),
            }
        }
    }
    let plain = client.producer("takeover-timers", ProducerOptions::default());
    let plain = plain.unwrap();
    let due_ms = now_ms() + 40_000;
    for (of, at_ms) in [("soon", now_ms() + 2_000), ("later", due_ms)] {
        for body in bodies(of) {
            let message = Message::new(TOPIC, body).with_delivery_time_ms(at_ms);
            plain.send(message).await.unwrap();
        }
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    while asked.load(Ordering::SeqCst) < 3 * EACH {
        assert!(Instant::now() < deadline, "no questions:\n{}", node.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((producer, plain));
    client.close().await;
    due_ms
}
