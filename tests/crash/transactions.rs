//! Transactions at full speed while the node is killed again and again, and what became of each of them.
//!
//! A transaction is decided by this process, never by the node: before its half message is acknowledged it is pending,
//! then it is committed, rolled back, or left to the node's question; one whose half message was not acknowledged counts
//! as rolled back. Questions are answered from that ledger, sometimes only when asked a second time. At the end the topic
//! must hold every committed message once and no other, and no half message may be open.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmq::client::{
    Client, ClientOptions, Decision, Message, ProducerOptions, Received, TransactionOptions,
    TransactionProducer,
};
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::Command;

use super::support::node::NodeProcess;
use super::support::wire::Wire;
use super::{Numbers, setting};

const TOPIC: &str = "TransactionLedger";
const GROUP: &str = "ledger-producers";
const QUEUES: i32 = 4;
/// Transactions at a time.
const LOOPS: u64 = 48;

/// The node asks soon and does not give up; nothing else is less safe than it should be.
const SETTINGS: &[&str] = &[
    "flushDiskType=SYNC_FLUSH",
    "mappedFileSizeCommitLog=1048576",
    "mappedFileSizeConsumeQueue=20000",
    "maxHashSlotNum=500",
    "maxIndexNum=2000",
    "defaultTopicQueueNums=4",
    "transactionCheckInterval=500",
    "transactionTimeOut=1000",
    "transactionCheckMax=1000000",
];

/// What was decided about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Its half message is not acknowledged yet.
    Pending,
    Commit,
    Rollback,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    /// Questions that are answered with "not known yet".
    evasions: u32,
}

#[derive(Debug, Default)]
struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
    /// Ends the node acknowledged, and questions it asked.
    ended: AtomicUsize,
    questions: AtomicUsize,
}

impl Ledger {
    fn note(&self, name: &str, verdict: Verdict, evasions: u32) {
        let entry = Entry { verdict, evasions };
        self.entries.lock().unwrap().insert(name.to_owned(), entry);
    }

    fn answer(&self, message: &Received) -> Decision {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let name = String::from_utf8_lossy(message.body()).into_owned();
        let mut entries = self.entries.lock().unwrap();
        let entry = entries.get_mut(&name).expect("a message this test sent");
        match entry.verdict {
            Verdict::Pending => Decision::Unknown,
            _ if entry.evasions > 0 => {
                entry.evasions -= 1;
                Decision::Unknown
            }
            Verdict::Commit => Decision::Commit,
            Verdict::Rollback => Decision::Rollback,
        }
    }

    fn all(&self, verdict: Verdict) -> HashSet<Vec<u8>> {
        let entries = self.entries.lock().unwrap();
        let with = entries.iter().filter(|(_, entry)| entry.verdict == verdict);
        with.map(|(name, _)| name.clone().into_bytes()).collect()
    }
}

/// The few kills of every run of the tests.
#[test]
fn transactions_are_decided_once_whatever_is_killed() {
    println!("{}", run(3));
}

/// The many before a release: about a minute in a release build.
#[test]
#[ignore = "takes minutes"]
fn long_transactions() {
    println!("{}", run(setting("RMQ_CRASH_ROUNDS", 20)));
}

/// Says what became of all of them.
fn run(kills: u64) -> String {
    let seed = setting("RMQ_CRASH_SEED", 1);
    let mut numbers = Numbers(seed);
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("node");
    let ledger = Arc::<Ledger>::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for round in 0..kills {
        let node = NodeProcess::start(&data_dir, SETTINGS);
        let kill_after = usize::try_from(50 + numbers.below(1_500)).unwrap();
        let enough = ledger.ended.load(Ordering::Relaxed) + kill_after;
        let work = runtime.block_on(start(&node, round, seed, &ledger));
        let deadline = Instant::now() + Duration::from_mins(1);
        while ledger.ended.load(Ordering::Relaxed) < enough {
            assert!(
                Instant::now() < deadline,
                "no {kill_after} transactions in 60 s:\n{}",
                node.log()
            );
            std::thread::yield_now();
        }
        node.kill();
        runtime.block_on(work.end());
    }
    let node = NodeProcess::start(&data_dir, SETTINGS);
    let (client, producer) = runtime.block_on(connect(&node, &ledger));
    until_nothing_is_open(&node);
    drop(producer);
    runtime.block_on(client.close());
    let summary = judge(&node, &ledger);
    assert_eq!(node.stop(), Some(0));
    format!("{kills} SIGKILLs (seed {seed}): {summary}")
}

async fn connect(node: &NodeProcess, ledger: &Arc<Ledger>) -> (Client, TransactionProducer) {
    let name_server = node.name_server.to_string();
    let client = Client::connect([name_server], ClientOptions::default())
        .await
        .unwrap();
    let options = TransactionOptions {
        producer: ProducerOptions::default(),
        topics: vec![TOPIC.to_owned()],
        ..TransactionOptions::default()
    };
    let ledger = Arc::clone(ledger);
    let checker = move |message: Received| {
        let decision = ledger.answer(&message);
        async move { decision }
    };
    let producer = client.transaction_producer(GROUP, options, checker).await;
    (client, producer.unwrap())
}

/// The producers of one life of the node.
struct Work {
    client: Client,
    loops: tokio::task::JoinSet<()>,
}

async fn start(node: &NodeProcess, round: u64, seed: u64, ledger: &Arc<Ledger>) -> Work {
    let (client, producer) = connect(node, ledger).await;
    let mut loops = tokio::task::JoinSet::new();
    for number in 0..LOOPS {
        let (producer, ledger) = (producer.clone(), Arc::clone(ledger));
        let dice = Numbers(seed ^ (round << 32 | number));
        loops.spawn(async move {
            transact(producer, &ledger, dice, &format!("{round}-{number}")).await;
        });
    }
    Work { client, loops }
}

impl Work {
    /// Waits for the loops, which end by themselves once the node is gone.
    async fn end(mut self) {
        while let Some(ended) = self.loops.join_next().await {
            ended.unwrap();
        }
        self.client.close().await;
    }
}

/// Transaction after transaction until the node is gone.
async fn transact(
    producer: TransactionProducer,
    ledger: &Ledger,
    mut dice: Numbers,
    loop_name: &str,
) {
    for number in 0_u64.. {
        let padding = "x".repeat(usize::try_from(dice.below(700)).unwrap());
        let name = format!("{loop_name}-{number}-{padding}");
        ledger.note(&name, Verdict::Pending, 0);
        let Ok(half) = producer.send_half(Message::new(TOPIC, name.clone())).await else {
            // It may be stored all the same; nothing was done for it here.
            ledger.note(&name, Verdict::Rollback, 0);
            return;
        };
        let verdict = if dice.below(2) == 0 {
            Verdict::Commit
        } else {
            Verdict::Rollback
        };
        let told = dice.below(5) != 0;
        let evasions = u32::try_from(dice.below(2)).unwrap();
        ledger.note(&name, verdict, evasions);
        let ended = match verdict {
            _ if !told => continue,
            Verdict::Commit => half.commit().await,
            _ => half.rollback().await,
        };
        if ended.is_err() {
            return;
        }
        ledger.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until the node has dealt with every half message.
fn until_nothing_is_open(node: &NodeProcess) {
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut wire = Wire::connect(node.broker).unwrap();
    loop {
        let end = offset(&mut wire, &on_half_queue(RequestCode::GET_MAX_OFFSET));
        let done = offset(
            &mut wire,
            &on_half_queue(RequestCode::QUERY_CONSUMER_OFFSET)
                .with_field("consumerGroup", "CID_RMQ_SYS_TRANS"),
        );
        if end == done {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "half messages {done} to {end} are open after two minutes of questions:\n{}",
            node.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn on_half_queue(code: RequestCode) -> Command {
    Command::request(code, &rmq::protocol::header::NoHeader)
        .with_field("topic", "RMQ_SYS_TRANS_HALF_TOPIC")
        .with_field("queueId", "0")
}

fn offset(wire: &mut Wire, request: &Command) -> i64 {
    let reply = wire.call(request).unwrap();
    assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
    let text = reply.fields.get("offset").expect("an offset");
    text.parse().unwrap()
}

fn judge(node: &NodeProcess, ledger: &Ledger) -> String {
    let mut wire = Wire::connect(node.broker).unwrap();
    let mut consumed = HashMap::<Vec<u8>, u32>::new();
    for queue in 0..QUEUES {
        for (_, body) in wire.drain_queue(TOPIC, queue).unwrap() {
            *consumed.entry(body).or_default() += 1;
        }
    }
    let committed = ledger.all(Verdict::Commit);
    let rolled_back = ledger.all(Verdict::Rollback);
    assert!(ledger.all(Verdict::Pending).is_empty());
    let short = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(24)]).into_owned();
    let lost: Vec<String> = committed
        .iter()
        .filter(|body| !consumed.contains_key(*body))
        .map(|body| short(body))
        .collect();
    assert!(lost.is_empty(), "committed and not there: {lost:?}");
    let invented: Vec<String> = consumed
        .keys()
        .filter(|body| rolled_back.contains(*body))
        .map(|body| short(body))
        .collect();
    assert!(
        invented.is_empty(),
        "rolled back and delivered: {invented:?}"
    );
    let twice: Vec<String> = consumed
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|(body, times)| format!("{} x{times}", short(body)))
        .collect();
    assert!(twice.is_empty(), "delivered twice: {twice:?}");
    format!(
        "{} transactions, {} committed and each delivered once, {} rolled back and none delivered, {} questions, none open",
        committed.len() + rolled_back.len(),
        committed.len(),
        rolled_back.len(),
        ledger.questions.load(Ordering::Relaxed),
    )
}
