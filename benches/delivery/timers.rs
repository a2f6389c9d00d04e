//! Timer messages: how late they are, and what waiting ones cost.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmq::message::Record;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::Command;
use rmq::protocol::header::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use serde_json::json;

use crate::load::{Wire, now_ms, on_queue, percentile, pump, send, stored};
use crate::servers::Server;

const TOPIC: &str = "BenchTimers";
const QUEUES: i32 = 4;
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

fn timed(number: u64, due_ms: i64, body: &Bytes) -> Command {
    let properties = format!(
        "TIMER_DELIVER_MS\u{1}{due_ms}\u{2}UNIQ_KEY\u{1}7F0000010000000{number:017X}\u{2}WAIT\u{1}true\u{2}"
    );
    let queue = i32::try_from(number % 4).unwrap();
    send(TOPIC, queue, 0, &properties, body)
}

/// Sends messages due at every millisecond of one second, and asks of each how late it was delivered and pulled.
pub fn due(dir: &Path, messages: u64, seconds: i64) {
    let server = Server::rmq(dir, &[]);
    let body = Bytes::from(vec![b'x'; 1024]);
    let start_ms = now_ms() + seconds * 1000 + 2_000;
    let due_of = |number: u64| start_ms + i64::try_from(number % 1000).unwrap();
    pump(server.broker(), messages, |number| {
        timed(number, due_of(number), &body)
    });
    let sent_early_ms = start_ms - now_ms();
    let (cpu, begun) = (server.cpu(), Instant::now());
    let readers: Vec<_> = (0..QUEUES)
        .map(|queue| {
            let broker = server.broker();
            let wanted = messages / 4;
            std::thread::spawn(move || follow(broker, queue, wanted))
        })
        .collect();
    let mut late: Vec<(i64, i64)> = Vec::new();
    for reader in readers {
        late.extend(reader.join().unwrap());
    }
    let (spent, lasted) = (server.cpu().saturating_sub(cpu), begun.elapsed());
    let sorted = |which: fn(&(i64, i64)) -> i64| {
        let mut values: Vec<i64> = late.iter().map(which).collect();
        values.sort_unstable();
        values
    };
    let (delivered, pulled) = (sorted(|late| late.0), sorted(|late| late.1));
    let figures = json!({
        "due_in_one_second": late.len(),
        "sent_before_due_ms": sent_early_ms,
        "delivered_late_ms": {"min": delivered.first(), "p50": percentile(&delivered, 0.5), "p99": percentile(&delivered, 0.99), "max": delivered.last()},
        "pulled_late_ms": {"p50": percentile(&pulled, 0.5), "p99": percentile(&pulled, 0.99), "max": pulled.last()},
        "server_cpu_ms": spent.as_millis(),
        "over_ms": lasted.as_millis(),
    });
    println!("{figures}");
    server.stop();
}

/// Long polls on a queue until it had `wanted` messages; for each how late it was stored and came here.
fn follow(broker: std::net::SocketAddr, queue: i32, wanted: u64) -> Vec<(i64, i64)> {
    let mut wire = Wire::connect(broker).unwrap();
    let mut offset = 0;
    let mut late = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(2);
    while (late.len() as u64) < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} came", late.len());
        let header = PullMessageRequestHeader {
            consumer_group: "bench",
            topic: TOPIC,
            queue_id: queue,
            queue_offset: offset,
            max_msg_nums: 32,
            // May wait, and carries its subscription.
            sys_flag: 6,
            suspend_timeout_millis: 15_000,
            subscription: Some("*"),
            expression_type: Some("TAG"),
            ..PullMessageRequestHeader::default()
        };
        let request = Command::request(RequestCode::PULL_MESSAGE, &header);
        let reply = wire.call(&request).unwrap();
        if reply.code != ResponseCode::SUCCESS {
            continue;
        }
        let next: PullMessageResponseHeader = reply.header().unwrap();
        offset = next.next_begin_offset;
        let (arrived_ms, mut rest) = (now_ms(), &reply.body[..]);
        while !rest.is_empty() {
            let record = Record::parse(rest).unwrap();
            let due = record.properties.get("TIMER_DELIVER_MS");
            let due: i64 = due.unwrap().parse().unwrap();
            late.push((record.store_timestamp - due, arrived_ms - due));
            rest = &rest[record.size as usize..];
        }
    }
    late
}

/// Sends messages due within the day, and asks for the memory once the wheel has taken them all.
pub fn pending(dir: &Path, messages: u64) {
    let server = Server::rmq(dir, &[]);
    let body = Bytes::from(vec![b'x'; 256]);
    // The topic and the files for it are there before.
    pump(server.broker(), 4, |number| {
        timed(number, now_ms() + 3_600_000, &body)
    });
    let before = server.memory();
    let (cpu, begun) = (server.cpu(), Instant::now());
    let start_ms = now_ms() + 3_600_000;
    pump(server.broker(), messages, |number| {
        let spread = i64::try_from(number * 7_919 % 80_000_000).unwrap();
        timed(number, start_ms + spread, &body)
    });
    let sent = begun.elapsed();
    let mut wire = Wire::connect(server.broker()).unwrap();
    let metrics = Command::request(
        RequestCode::GET_TIMER_METRICS,
        &rmq::protocol::header::NoHeader,
    );
    let counted = |wire: &mut Wire| {
        let reply = wire.call(&metrics).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        body["timingCount"][TOPIC]["count"].as_u64().unwrap_or(0)
    };
    while counted(&mut wire) < messages + 4 {
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "the wheel has {} of them",
            counted(&mut wire)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let (taken, used) = (begun.elapsed(), server.cpu().saturating_sub(cpu));
    let after = server.memory();
    let queue = on_queue(RequestCode::GET_MAX_OFFSET, TIMER_TOPIC, 0);
    let figures = json!({
        "pending": wire.number(&queue, "offset"),
        "delivered": stored(&mut wire, TOPIC, QUEUES),
        "sent_in_ms": sent.as_millis(),
        "in_the_wheel_after_ms": taken.as_millis(),
        "server_cpu_us_per_message": used.as_micros() / u128::from(messages),
        "anonymous_kb_before": before.1,
        "anonymous_kb": after.1,
        "rss_kb_before": before.0,
        "rss_kb": after.0,
    });
    println!("{figures}");
    server.stop();
}
