//! What was acknowledged and what was seen, where and when, and the clients that write it down.
//!
//! A message's place is its queue and its offset there. A place holds one message for ever: whoever is told another one,
//! be it a producer by its receipt, a consumer, or a reader at any of the brokers, finds a fault.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rmq::client::{
    Client, ClientOptions, Consumer, ConsumerOptions, Message, Producer, ProducerOptions,
    SendReceipt, StartFrom, Subscription,
};
use rmq::message::Record;
use rmq::message::id::parse_offset_message_id;
use rmq::protocol::codes::ResponseCode;
use rmq::protocol::header::pull::PullMessageResponseHeader;
use tokio::runtime::Runtime;

use crate::support::wire::{Wire, pull};

pub(crate) const TOPIC: &str = "Ledger";
pub(crate) const QUEUES: i32 = 4;
/// How often a message is sent, whatever became of those before it.
const EVERY: Duration = Duration::from_millis(25);
/// So many are under way at most.
const UNDER_WAY_MAX: usize = 256;
/// How long a reader waits for a broker.
const READ_LIMIT: Duration = Duration::from_secs(2);
const READ_PAUSE: Duration = Duration::from_millis(10);

/// (queue, offset)
type Place = (i32, i64);
type Places = HashMap<Place, Vec<u8>>;

/// The ledger.
#[derive(Default)]
pub(crate) struct Books {
    acknowledged: Places,
    /// By a consumer or a reader.
    seen: Places,
    delivered: HashSet<Place>,
    /// When, and by whom.
    acks: Vec<(Instant, SocketAddr)>,
    /// What the master had when it was compared.
    view: Places,
    next: [i64; QUEUES as usize],
    contradictions: Vec<String>,
    failures: HashMap<String, usize>,
}

impl Books {
    fn note(&mut self, what: &str, place: Place, body: &[u8]) {
        let places = if what == "acknowledged" {
            &mut self.acknowledged
        } else {
            &mut self.seen
        };
        let before = places.entry(place).or_insert_with(|| body.to_vec());
        if before != body {
            let (old, new) = (head(before), head(body));
            self.contradictions
                .push(format!("{what} at {place:?}: first {old}, then {new}"));
        }
    }

    /// Everything that is wrong when the master has this.
    fn faults(&self, view: &Places) -> Vec<String> {
        let mut faults = self.contradictions.clone();
        for (what, places) in [("acknowledged", &self.acknowledged), ("seen", &self.seen)] {
            for (place, body) in places {
                let there = view.get(place);
                if there != Some(body) {
                    let there = there.map_or("nothing".to_owned(), |body| head(body));
                    faults.push(format!("{what} {place:?} {}: there is {there}", head(body)));
                }
            }
        }
        faults.sort();
        faults
    }
}

/// A body begins with who sent it and its number.
fn head(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The clients.
pub(crate) struct Traffic {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    under_way: Arc<AtomicUsize>,
    readers: Vec<std::thread::JoinHandle<()>>,
    runtime: Runtime,
}

impl Traffic {
    pub(crate) fn start(name_server: &str, brokers: &[SocketAddr]) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut traffic = Self {
            books: Arc::default(),
            stop: Arc::default(),
            paused: Arc::default(),
            under_way: Arc::default(),
            readers: Vec::new(),
            runtime,
        };
        let runtime = &traffic.runtime;
        let client = Client::connect([name_server], ClientOptions::default());
        let client = runtime.block_on(client).unwrap();
        let producer = client.producer("rig-producers", ProducerOptions::default());
        let (paused, under_way) = (&traffic.paused, &traffic.under_way);
        runtime.spawn(produce(
            producer.unwrap(),
            Arc::clone(&traffic.books),
            Arc::clone(paused),
            Arc::clone(under_way),
        ));
        traffic.wait_for_acks(1, Duration::from_secs(30));
        let options = ConsumerOptions {
            subscriptions: vec![Subscription::all(TOPIC).unwrap()],
            start_from: StartFrom::Earliest,
            ..ConsumerOptions::default()
        };
        let consumer = runtime.block_on(client.consumer("rig-consumers", options));
        runtime.spawn(consume(consumer.unwrap(), Arc::clone(&traffic.books)));
        for broker in brokers.iter().copied() {
            let (books, stop) = (Arc::clone(&traffic.books), Arc::clone(&traffic.stop));
            traffic.readers.push(std::thread::spawn(move || {
                let mut next = [0; QUEUES as usize];
                while !stop.load(Ordering::Relaxed) {
                    let _ = read(broker, &mut next, &books, &stop);
                    std::thread::sleep(READ_PAUSE);
                }
            }));
        }
        traffic
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.books().acks.len()
    }

    pub(crate) fn seen(&self) -> usize {
        self.books().seen.len()
    }

    /// Waits for so many more messages; how long it took, or what producers are told instead.
    pub(crate) fn try_wait_for_acks(&self, count: usize, limit: Duration) -> Result<(), String> {
        let begun = Instant::now();
        self.books().failures.clear();
        let wanted = self.acknowledged() + count;
        while self.acknowledged() < wanted {
            if begun.elapsed() > limit {
                let missing = wanted - self.acknowledged();
                let failures = &self.books().failures;
                return Err(format!(
                    "{missing} of {count} are not acknowledged within {limit:?}: {failures:#?}"
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(crate) fn wait_for_acks(&self, count: usize, limit: Duration) {
        self.try_wait_for_acks(count, limit).unwrap();
    }

    /// When this broker acknowledged its first message after a moment.
    pub(crate) fn first_ack(&self, from: SocketAddr, after: Instant) -> Option<Instant> {
        let books = self.books();
        let mut acks = books.acks.iter().rev().take_while(|(at, _)| *at >= after);
        let own = acks.by_ref().filter(|(_, broker)| *broker == from);
        own.map(|(at, _)| *at).last()
    }

    /// When a broker other than this one acknowledged its first message after a moment.
    pub(crate) fn first_ack_of_another(&self, than: SocketAddr, after: Instant) -> Option<Instant> {
        let books = self.books();
        let acks = books.acks.iter().rev().take_while(|(at, _)| *at >= after);
        let others = acks.filter(|(_, broker)| *broker != than);
        others.map(|(at, _)| *at).last()
    }

    /// No producer sends, and none waits for an answer.
    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        while self.under_way.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// Compares the ledger with what the master has, from the beginning or since the last time.
    pub(crate) fn compare(&self, master: SocketAddr, from_the_beginning: bool) {
        let mut books = self.books();
        if from_the_beginning {
            books.view.clear();
            books.next = [0; QUEUES as usize];
        }
        let mut wire = Wire::connect_within(master, Duration::from_secs(20)).unwrap();
        for queue in 0..QUEUES {
            let slot = usize::try_from(queue).unwrap();
            let new = wire.drain_queue_from(TOPIC, queue, books.next[slot]);
            for (offset, body) in new.unwrap() {
                books.next[slot] = offset + 1;
                books.view.insert((queue, offset), body);
            }
        }
        let faults = books.faults(&books.view);
        assert!(
            faults.is_empty(),
            "{} faults, the first of them:\n{}",
            faults.len(),
            faults[..faults.len().min(20)].join("\n")
        );
    }

    /// Waits until the consumer group was given every acknowledged message.
    pub(crate) fn wait_for_deliveries(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            {
                let books = self.books();
                let missing = books.acknowledged.keys();
                let missing: Vec<_> = missing
                    .filter(|place| !books.delivered.contains(place))
                    .collect();
                if missing.is_empty() {
                    return;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} acknowledged messages were never delivered, among them {:?}",
                    missing.len(),
                    &missing[..missing.len().min(10)]
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// Sends at a steady pace.
async fn produce(
    producer: Producer,
    books: Arc<Mutex<Books>>,
    paused: Arc<AtomicBool>,
    under_way: Arc<AtomicUsize>,
) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut number = 0_usize;
    loop {
        ticks.tick().await;
        if under_way.load(Ordering::SeqCst) >= UNDER_WAY_MAX {
            continue;
        }
        under_way.fetch_add(1, Ordering::SeqCst);
        if paused.load(Ordering::SeqCst) {
            under_way.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        number += 1;
        let body = format!("{number} {}", "x".repeat(number * 37 % 700));
        let (producer, books) = (producer.clone(), Arc::clone(&books));
        let under_way = Arc::clone(&under_way);
        tokio::spawn(async move {
            let sent = producer.send(Message::new(TOPIC, body.clone())).await;
            note_answer(&mut books.lock().unwrap(), sent, &body);
            under_way.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn note_answer(books: &mut Books, sent: Result<SendReceipt, rmq::client::ClientError>, body: &str) {
    match sent {
        Ok(receipt) if receipt.status == rmq::client::SendStatus::Ok => {
            let place = (receipt.queue.queue.to_wire(), receipt.queue_offset);
            books.note("acknowledged", place, body.as_bytes());
            let (broker, _) = parse_offset_message_id(&receipt.offset_message_id).unwrap();
            books.acks.push((Instant::now(), broker));
        }
        Ok(receipt) => {
            *books
                .failures
                .entry(receipt.status.name().to_owned())
                .or_default() += 1;
        }
        Err(error) => *books.failures.entry(error.to_string()).or_default() += 1,
    }
}

async fn consume(mut consumer: Consumer, books: Arc<Mutex<Books>>) {
    while let Some(delivery) = consumer.next().await {
        if delivery.queue.topic.as_str() == TOPIC {
            let place = (delivery.queue.queue.to_wire(), delivery.queue_offset);
            let mut books = books.lock().unwrap();
            books.note("delivered", place, delivery.body());
            books.delivered.insert(place);
        }
        delivery.ack();
    }
}

/// Reads what one broker shows, be it master or slave, for as long as a connection lasts.
fn read(
    broker: SocketAddr,
    next: &mut [i64; QUEUES as usize],
    books: &Mutex<Books>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut wire = Wire::connect_within(broker, READ_LIMIT)?;
    while !stop.load(Ordering::Relaxed) {
        for (queue, offset) in (0..QUEUES).zip(next.iter_mut()) {
            let reply = wire.call(&pull(TOPIC, queue, *offset))?;
            if reply.code != ResponseCode::SUCCESS {
                continue;
            }
            let header: PullMessageResponseHeader = reply.header().unwrap();
            *offset = header.next_begin_offset;
            let mut rest = &reply.body[..];
            while !rest.is_empty() {
                let record = Record::parse(rest).unwrap();
                let place = (queue, record.queue_offset);
                let what = format!("read at {broker}");
                books.lock().unwrap().note(&what, place, record.body);
                rest = &rest[record.size as usize..];
            }
        }
        std::thread::sleep(READ_PAUSE);
    }
    Ok(())
}
