//! Four consumers of one group come, leave and are killed while messages flow; then everything that was handed out is
//! counted.
//!
//! The consumers are child processes: this test binary once more, with `RMQ_SOAK_MEMBER` set. Each writes one line per
//! message into one shared file before it acknowledges, so the file holds the order in which messages were handed out
//! over all processes, and what a killed consumer had taken. A message may come again only if the consumer that had it last
//! was killed before it could commit it; members that join and leave repeat nothing.
//!
//! The short form runs with the other tests. The long one is for releases:
//! `cargo test --test soak -- --ignored`, 200,000 messages over 10 minutes, or what `RMQ_SOAK_MESSAGES` and
//! `RMQ_SOAK_SECONDS` say; `RMQ_SOAK_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test, its helpers included")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rmq::client::{
    Client, ClientOptions, ConsumerOptions, Message, ProducerOptions, StartFrom, Subscription,
    TopicSpec,
};
use support::node::NodeProcess;

const TOPIC: &str = "Soak";
const GROUP: &str = "soak";
const QUEUES: u32 = 8;
const MEMBERS: usize = 4;
/// How long what a killed orderly consumer had locked stays locked, and a little more.
const LOCK_LIFE: Duration = Duration::from_secs(75);
/// Consumers commit every 5 s: what a killed one had handed out longer ago was committed, on a busy machine a little later.
const UNCOMMITTED_MS: u64 = 5_000 + 10_000;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    ordered: bool,
    kills: bool,
    messages: u64,
    lasts: Duration,
    seed: u64,
}

fn number_from(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

impl Plan {
    fn short(ordered: bool) -> Self {
        Self {
            ordered,
            // A killed orderly consumer's queues stand still for a minute; the long form waits for that.
            kills: !ordered,
            messages: 4_000,
            lasts: Duration::from_secs(12),
            seed: number_from("RMQ_SOAK_SEED", 7),
        }
    }

    fn long(ordered: bool) -> Self {
        Self {
            ordered,
            kills: true,
            messages: number_from("RMQ_SOAK_MESSAGES", 200_000),
            lasts: Duration::from_secs(number_from("RMQ_SOAK_SECONDS", 600)),
            seed: number_from("RMQ_SOAK_SEED", 7),
        }
    }
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

/// A consumer process; leaves in order when its stdin is closed.
struct Member {
    number: u32,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Member {
    fn start(number: u32, namesrv: &str, log: &Path, ordered: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "member", "--ignored", "--nocapture"])
            .env("RMQ_SOAK_MEMBER", number.to_string())
            .env("RMQ_SOAK_NAMESRV", namesrv)
            .env("RMQ_SOAK_LOG", log)
            .env("RMQ_SOAK_ORDERED", if ordered { "1" } else { "0" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self {
            number,
            child,
            stdin,
        }
    }

    fn leave(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "member {}: {status}", self.number);
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a child process does.
#[test]
#[ignore = "started by the other tests as a process of its own"]
fn member() {
    let Ok(number) = std::env::var("RMQ_SOAK_MEMBER") else {
        return;
    };
    let namesrv = std::env::var("RMQ_SOAK_NAMESRV").unwrap();
    let log = PathBuf::from(std::env::var_os("RMQ_SOAK_LOG").unwrap());
    let ordered = std::env::var("RMQ_SOAK_ORDERED").unwrap() == "1";
    let file = OpenOptions::new().append(true).open(log).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(consume(&number, &namesrv, file, ordered));
}

async fn consume(number: &str, namesrv: &str, mut file: File, ordered: bool) {
    let (gone, mut leave) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = gone.send(());
    });
    let client = Client::connect([namesrv], ClientOptions::default())
        .await
        .unwrap();
    let options = ConsumerOptions {
        subscriptions: vec![Subscription::tagged(TOPIC, "*").unwrap()],
        start_from: StartFrom::Earliest,
        ordered,
        ..ConsumerOptions::default()
    };
    let mut consumer = client.consumer(GROUP, options).await.unwrap();
    loop {
        tokio::select! {
            biased;
            _ = &mut leave => break,
            delivery = consumer.next() => {
                let delivery = delivery.unwrap();
                let body = String::from_utf8_lossy(delivery.body()).into_owned();
                let line = format!(
                    "{number} {} {} {} {body}\n",
                    now_ms(), delivery.queue.queue, delivery.queue_offset
                );
                // One write to a file opened for appending: lines of several processes do not mix.
                file.write_all(line.as_bytes()).unwrap();
                delivery.ack();
            }
        }
    }
    consumer.close().await.unwrap();
    client.close().await;
}

/// One line of the file.
#[derive(Clone, Copy, Debug)]
struct HandedOut {
    member: u32,
    at_ms: u64,
    queue: u32,
    offset: u64,
    body: u64,
}

fn read_log(path: &Path) -> Vec<HandedOut> {
    let text = std::fs::read_to_string(path).unwrap();
    let parse = |line: &str| {
        let fields: Vec<u64> = line
            .split(' ')
            .map(|field| field.parse().unwrap())
            .collect();
        HandedOut {
            member: u32::try_from(fields[0]).unwrap(),
            at_ms: fields[1],
            queue: u32::try_from(fields[2]).unwrap(),
            offset: fields[3],
            body: fields[4],
        }
    };
    text.lines().map(parse).collect()
}

fn distinct(path: &Path) -> usize {
    let seen: BTreeSet<u64> = read_log(path).iter().map(|line| line.body).collect();
    seen.len()
}

/// What the group went through.
#[derive(Default)]
struct History {
    /// Who was killed, and when.
    killed: BTreeMap<u32, u64>,
    changes: usize,
}

impl History {
    /// The only excuse for a message that comes again: whoever had it last was killed before it could commit it.
    fn lost_with_its_taker(&self, last: &HandedOut) -> bool {
        let killed_ms = self.killed.get(&last.member);
        killed_ms.is_some_and(|killed_ms| last.at_ms + UNCOMMITTED_MS >= *killed_ms)
    }
}

/// The group while messages come.
struct Troupe {
    members: Vec<Member>,
    started: u32,
    namesrv: String,
    log: PathBuf,
    plan: Plan,
    history: History,
}

impl Troupe {
    fn join(&mut self) {
        self.started += 1;
        self.history.changes += 1;
        let member = Member::start(self.started, &self.namesrv, &self.log, self.plan.ordered);
        self.members.push(member);
    }

    /// One member goes, one way or the other, or comes.
    fn change(&mut self, dice: &mut Dice) {
        let kinds = if self.plan.kills { 3 } else { 2 };
        let kind = dice.below(kinds);
        if self.members.len() < 2 || kind == 0 && self.members.len() < MEMBERS {
            return self.join();
        }
        let at = usize::try_from(dice.below(self.members.len() as u64)).unwrap();
        let member = self.members.swap_remove(at);
        if kind == 2 {
            self.history.killed.insert(member.number, now_ms());
            member.kill();
        } else {
            member.leave();
        }
        self.history.changes += 1;
    }
}

async fn produce(namesrv: String, plan: Plan) {
    let client = Client::connect([namesrv.as_str()], ClientOptions::default())
        .await
        .unwrap();
    let producer = client
        .producer("soak-producer", ProducerOptions::default())
        .unwrap();
    let lasts_ms = u64::try_from(plan.lasts.as_millis()).unwrap();
    let started = Instant::now();
    for number in 0..plan.messages {
        let due = Duration::from_millis(lasts_ms * number / plan.messages);
        if let Some(early) = due.checked_sub(started.elapsed()) {
            tokio::time::sleep(early).await;
        }
        producer
            .send(Message::new(TOPIC, number.to_string()))
            .await
            .unwrap();
    }
    client.close().await;
}

fn run(plan: Plan) {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(&dir.path().join("data"), &[]);
    let namesrv = node.name_server.to_string();
    let log = dir.path().join("handed-out");
    File::create(&log).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::connect([namesrv.as_str()], ClientOptions::default())
            .await
            .unwrap();
        let topic = TopicSpec::new(TOPIC, QUEUES);
        client.admin().create_topic(&topic).await.unwrap();
        client.close().await;
    });
    let mut troupe = Troupe {
        members: Vec::new(),
        started: 0,
        namesrv: namesrv.clone(),
        log: log.clone(),
        plan,
        history: History::default(),
    };
    for _ in 0..MEMBERS {
        troupe.join();
    }
    let producing = runtime.spawn(produce(namesrv, plan));
    let mut dice = Dice(plan.seed.max(1));
    // An orderly group needs time to take over what a killed member had locked, or nothing but waiting is tested.
    let calm_ms = if plan.ordered && plan.kills {
        8_000
    } else {
        500
    };
    while !producing.is_finished() {
        std::thread::sleep(Duration::from_millis(calm_ms / 2 + dice.below(calm_ms)));
        troupe.change(&mut dice);
    }
    runtime.block_on(producing).unwrap();
    while troupe.members.len() < 2 {
        troupe.join();
    }
    let patience = Instant::now() + LOCK_LIFE + Duration::from_secs(30);
    let wanted = usize::try_from(plan.messages).unwrap();
    while distinct(&log) < wanted && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(200));
    }
    for member in std::mem::take(&mut troupe.members) {
        member.leave();
    }
    judge(&read_log(&log), plan, &troupe.history);
}

fn judge(handed_out: &[HandedOut], plan: Plan, history: &History) {
    let bodies: BTreeSet<u64> = handed_out.iter().map(|line| line.body).collect();
    assert_eq!(
        bodies.len() as u64,
        plan.messages,
        "messages were lost, {plan:?}"
    );
    let mut takers = HashMap::<(u32, u64), HandedOut>::new();
    let mut ends = BTreeMap::<u32, u64>::new();
    let mut repeated = Vec::new();
    let mut without_need = Vec::new();
    for line in handed_out {
        let end = ends.entry(line.queue).or_default();
        match takers.insert((line.queue, line.offset), *line) {
            None => {
                if plan.ordered {
                    assert_eq!(line.offset, *end, "out of order: {line:?}, {plan:?}");
                }
                *end = (*end).max(line.offset + 1);
            }
            Some(last) if history.lost_with_its_taker(&last) => repeated.push(*line),
            Some(last) => without_need.push((*line, last)),
        }
    }
    assert!(
        without_need.is_empty(),
        "{} messages were repeated without need, {plan:?}; the first, each after: {:#?}\nkilled: {:?}",
        without_need.len(),
        &without_need[..without_need.len().min(5)],
        history.killed,
    );
    if plan.ordered {
        no_way_back(handed_out, history);
    }
    let summary = format!(
        "{} messages ({}), {} membership changes, {} of them kills: {} repeated, each after a kill of its taker; none lost\n",
        plan.messages,
        if plan.ordered {
            "ordered, never out of order"
        } else {
            "concurrent"
        },
        history.changes,
        history.killed.len(),
        repeated.len(),
    );
    std::io::stderr().write_all(summary.as_bytes()).unwrap();
}

/// Whoever reads a queue goes on one by one; only a successor of a killed member goes back.
fn no_way_back(handed_out: &[HandedOut], history: &History) {
    let mut last = HashMap::<u32, HandedOut>::new();
    for line in handed_out {
        if let Some(before) = last.insert(line.queue, *line)
            && line.offset != before.offset + 1
        {
            let excused =
                line.member != before.member && history.killed.contains_key(&before.member);
            assert!(excused, "{line:?} came after {before:?}");
        }
    }
}

#[test]
fn a_group_that_changes_all_the_time_gets_every_message() {
    run(Plan::short(false));
}

#[test]
fn an_orderly_group_that_changes_all_the_time_keeps_the_order() {
    run(Plan::short(true));
}

#[test]
#[ignore = "takes minutes"]
fn long_concurrent() {
    run(Plan::long(false));
}

#[test]
#[ignore = "takes minutes"]
fn long_orderly() {
    run(Plan::long(true));
}
