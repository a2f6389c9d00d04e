//! Transactions: throughput, and the price of open ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use rmq::message::id::parse_offset_message_id;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply, Serialization};
use rmq::protocol::header::send::{EndTransactionRequestHeader, SendMessageResponseHeader};
use serde_json::json;

use crate::load::{Wire, on_queue, percentile, pump, send, stored};
use crate::servers::Server;

const TOPIC: &str = "BenchTransactions";
const QUEUES: i32 = 4;
const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Apache's start script; without it only this node is measured.
    #[arg(long, env = "APACHE_START")]
    apache: Option<PathBuf>,
    /// Name server and broker port for Apache.
    #[arg(long, default_values_t = [21_150_u16, 21_160], num_args = 2)]
    ports: Vec<u16>,
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[arg(long, default_value_t = 8)]
    warm_up: u64,
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Transactions at a time on each connection.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Body bytes.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// `ASYNC_FLUSH` or `SYNC_FLUSH`.
    #[arg(long, default_value = "ASYNC_FLUSH")]
    flush: String,
}

/// Runs the same load on both servers, one after the other, in every round.
pub fn throughput(dir: &Path, options: &Options) {
    for round in 0..options.rounds {
        let dir = dir.join(round.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let flush = format!("flushDiskType={}", options.flush);
        if let Some(script) = &options.apache {
            let ports = (options.ports[0], options.ports[1]);
            let server = Server::apache(script, &dir, ports, &[&flush]);
            measure("apache", server, options);
        }
        measure("rmq", Server::rmq(&dir, &[&flush]), options);
    }
}

fn measure(name: &str, server: Server, options: &Options) {
    create_topic(&server);
    let warm_up = Duration::from_secs(options.warm_up);
    let before = run(server.broker(), options, warm_up);
    let (cpu, begun) = (server.cpu(), Instant::now());
    let mut latencies = run(
        server.broker(),
        options,
        Duration::from_secs(options.seconds),
    );
    let (spent, lasted) = (server.cpu().saturating_sub(cpu), begun.elapsed());
    latencies.sort_unstable();
    let count = latencies.len();
    let mut wire = Wire::connect(server.broker()).unwrap();
    let delivered = stored(&mut wire, TOPIC, QUEUES);
    let (rss, anonymous) = server.memory();
    let per = |value: f64| (value * 100.0 / count.max(1) as f64).round() / 100.0;
    let figures = json!({
        "server": name,
        "flush": options.flush,
        "transactions_per_second": (count as f64 / lasted.as_secs_f64()).round(),
        "server_cpu_us_per_transaction": per(spent.as_secs_f64() * 1e6),
        "server_cores": (spent.as_secs_f64() / lasted.as_secs_f64() * 100.0).round() / 100.0,
        "p50_us": percentile(&latencies, 0.50).map(|latency| latency.as_micros()),
        "p99_us": percentile(&latencies, 0.99).map(|latency| latency.as_micros()),
        "rss_kb": rss,
        "anonymous_kb": anonymous,
        "acknowledged": before.len() + count,
        "delivered": delivered,
    });
    println!("{figures}");
    server.stop();
}

/// Waits until the broker takes the topic: Apache's opens its port before it is ready.
fn create_topic(server: &Server) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let reply = Wire::connect(server.broker()).and_then(|mut wire| {
            let properties = "WAIT\u{1}true\u{2}";
            wire.call(&send(
                TOPIC,
                0,
                0,
                properties,
                &Bytes::from_static(b"first"),
            ))
        });
        if reply.is_ok_and(|reply| reply.code == ResponseCode::SUCCESS) {
            return;
        }
        assert!(Instant::now() < deadline, "the broker takes no message");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Puts the load on for a time. Returns how long each transaction took, from half message to answered commit.
fn run(server: SocketAddr, options: &Options, lasts: Duration) -> Vec<Duration> {
    let threads: Vec<_> = (0..options.connections)
        .map(|_| {
            let options = options.clone();
            std::thread::spawn(move || transact(server, &options, lasts))
        })
        .collect();
    threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect()
}

/// A place in the window: the opaque of its half message is twice its number, that of its commit one more.
struct Slot {
    begun: Instant,
    unique: String,
}

fn transact(server: SocketAddr, options: &Options, lasts: Duration) -> Vec<Duration> {
    let mut wire = Wire::connect(server).unwrap();
    let port = wire.local_port();
    let body = Bytes::from(vec![b'x'; options.size]);
    let began = Instant::now();
    let mut sent = 0_u64;
    let mut half = |slot: &mut Slot| {
        sent += 1;
        slot.begun = Instant::now();
        slot.unique = format!("7F000001{port:08X}{sent:016X}");
        let properties = format!(
            "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}bench\u{2}WAIT\u{1}true\u{2}UNIQ_KEY\u{1}{}\u{2}",
            slot.unique
        );
        let queue = i32::try_from(sent % 4).unwrap();
        send(TOPIC, queue, 4, &properties, &body)
    };
    let mut slots = Vec::new();
    for number in 0..options.in_flight {
        let mut slot = Slot {
            begun: began,
            unique: String::new(),
        };
        let command = half(&mut slot);
        wire.submit(&command, i32::try_from(number * 2).unwrap());
        slots.push(slot);
    }
    let mut latencies = Vec::new();
    let mut open = slots.len();
    while open > 0 {
        wire.flush().unwrap();
        let goes_on = began.elapsed() < lasts;
        wire.answers(|out, opaque, reply| {
            let slot = &mut slots[usize::try_from(opaque / 2).unwrap()];
            // Apache refuses what waited too long in its queue; such a transaction does not count.
            let refused = reply.code != ResponseCode::SUCCESS;
            let next = if refused {
                goes_on.then(|| (half(slot), opaque - opaque % 2))
            } else if opaque % 2 == 0 {
                Some((commit(&reply, &slot.unique), opaque + 1))
            } else {
                latencies.push(slot.begun.elapsed());
                goes_on.then(|| (half(slot), opaque - 1))
            };
            match next {
                Some((command, opaque)) => command.encode(Serialization::Json, opaque, out),
                None => open -= 1,
            }
        })
        .unwrap();
    }
    latencies
}

fn commit(reply: &Reply, unique: &str) -> Command {
    let stored: SendMessageResponseHeader<'_> = reply.header().unwrap();
    let (_, at) = parse_offset_message_id(stored.msg_id).unwrap();
    let header = EndTransactionRequestHeader {
        producer_group: "bench",
        tran_state_table_offset: stored.queue_offset,
        commit_log_offset: at.to_wire(),
        commit_or_rollback: 8,
        msg_id: unique,
        transaction_id: Some(unique),
        ..EndTransactionRequestHeader::default()
    };
    Command::request(RequestCode::END_TRANSACTION, &header)
}

/// Fills the half queue with open messages, and lets one check pass over all of them with nobody there to answer.
pub fn open_halves(dir: &Path, messages: u64) {
    let settings = ["transactionCheckInterval=45000", "transactionTimeOut=1000"];
    let server = Server::rmq(dir, &settings);
    create_topic(&server);
    let before = server.memory();
    let body = Bytes::from(vec![b'x'; 256]);
    let begun = Instant::now();
    pump(server.broker(), messages, |number| {
        let properties = format!(
            "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}bench\u{2}UNIQ_KEY\u{1}7F0000010000000{number:017X}\u{2}"
        );
        send(TOPIC, 0, 4, &properties, &body)
    });
    let filled = begun.elapsed();
    let open = server.memory();
    let mut wire = Wire::connect(server.broker()).unwrap();
    let end = on_queue(RequestCode::GET_MAX_OFFSET, HALF_TOPIC, 0);
    let copies = |wire: &mut Wire| {
        let end = wire.number(&end, "offset").unwrap();
        u64::try_from(end).unwrap().saturating_sub(messages)
    };
    while copies(&mut wire) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (cpu, begun) = (server.cpu(), Instant::now());
    while copies(&mut wire) < messages {
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "the check does not end"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let (took, spent) = (begun.elapsed(), server.cpu().saturating_sub(cpu));
    let checked = server.memory();
    let figures = json!({
        "open_half_messages": messages,
        "filled_in_ms": filled.as_millis(),
        "anonymous_kb_before": before.1,
        "anonymous_kb_open": open.1,
        "anonymous_kb_after_check": checked.1,
        "rss_kb_open": open.0,
        "check_ms": took.as_millis(),
        "check_cpu_ms": spent.as_millis(),
    });
    println!("{figures}");
    server.stop();
}
