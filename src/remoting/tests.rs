//! Real sockets on the loopback: a service that echoes, calls back, or answers late.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Serialization};
use crate::protocol::header::NoHeader;

const SOON: Duration = Duration::from_secs(10);
/// Never answered by [`Echo`].
const SILENCE: RequestCode = RequestCode(4242);
/// Makes [`Echo`] panic.
const PANIC: RequestCode = RequestCode(4243);

/// Answers every request with its body and counts what happens to it.
#[derive(Default)]
struct Echo {
    opened: AtomicUsize,
    closed: AtomicUsize,
    /// How many frames came in each call of `frames`.
    groups: Mutex<Vec<usize>>,
    channels: Mutex<Vec<Arc<Channel>>>,
}

impl Service for Echo {
    type Session = ();

    fn open(&self, channel: &Arc<Channel>) {
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.channels.lock().push(Arc::clone(channel));
    }

    fn frames(&self, (): &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        self.groups.lock().push(frames.len());
        for frame in frames.drain(..) {
            match frame.parse() {
                Ok((head, _)) if head.request_code() == SILENCE => {}
                Ok((head, _)) if head.request_code() == PANIC => panic!("as asked"),
                Ok((head, body)) => {
                    let answer = Command::response(ResponseCode::SUCCESS).with_body(body);
                    channel.answer(&head, answer);
                }
                Err(error) => channel.refuse(&error),
            }
        }
    }

    fn closed(&self, (): (), channel: &Arc<Channel>) {
        assert!(channel.is_closed());
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

async fn start(limits: ConnLimits) -> (Server, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (serve(listener, Arc::clone(&echo), limits).unwrap(), echo)
}

async fn dial(server: &Server, service: Arc<Echo>) -> Arc<Channel> {
    let addr = server.local_addr().to_string();
    connect(&addr, service, ConnLimits::default(), SOON)
        .await
        .unwrap()
}

fn request(body: impl Into<Bytes>) -> Command {
    Command::request(RequestCode(1), &NoHeader).with_body(body)
}

fn encoded(opaque: i32, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    request(body.to_vec()).encode(Serialization::Json, opaque, &mut bytes);
    bytes
}

async fn next_frame(stream: &mut TcpStream, received: &mut BytesMut) -> Frame {
    loop {
        if let Some(frame) = Frame::take(received, 16 << 20).unwrap() {
            return frame;
        }
        assert!(stream.read_buf(received).await.unwrap() > 0);
    }
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn calls_work_in_both_directions() {
    let (server, echo) = start(ConnLimits::default()).await;
    let other = Arc::new(Echo::default());
    let channel = dial(&server, Arc::clone(&other)).await;
    let reply = channel.call(request("there"), SOON).await.unwrap();
    assert_eq!(&reply.body[..], b"there");

    let back = Arc::clone(&echo.channels.lock()[0]);
    assert_eq!(back.peer(), channel.local());
    let large = Bytes::from(vec![9; 3 << 20]);
    let reply = back.call(request(large.clone()), SOON).await.unwrap();
    assert_eq!(reply.body, large);
    assert_eq!(other.groups.lock().len(), 1);

    channel.close();
    timeout(SOON, channel.ended()).await.unwrap();
    timeout(SOON, back.ended()).await.unwrap();
    assert_eq!(other.closed.load(Ordering::SeqCst), 1);
    assert_eq!(echo.closed.load(Ordering::SeqCst), 1);
    assert_eq!(
        channel.call(request("late"), SOON).await.unwrap_err(),
        CallError::Closed
    );
}

#[tokio::test]
async fn pipelined_requests_are_handled_as_a_group() {
    let (server, echo) = start(ConnLimits::default()).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let mut sent = BytesMut::new();
    for opaque in 0..50 {
        sent.extend_from_slice(&encoded(opaque, b"x"));
    }
    // A torn frame at the end of the group must wait for its rest.
    let (rest, last) = (sent.split_off(sent.len() - 5), sent);
    stream.write_all(&last).await.unwrap();
    let mut received = BytesMut::new();
    for opaque in 0..49 {
        let frame = next_frame(&mut stream, &mut received).await;
        assert_eq!(frame.parse().unwrap().0.opaque, opaque);
    }
    stream.write_all(&rest).await.unwrap();
    let frame = next_frame(&mut stream, &mut received).await;
    assert_eq!(frame.parse().unwrap().0.opaque, 49);
    let groups = echo.groups.lock().clone();
    assert_eq!(groups.iter().sum::<usize>(), 50);
    assert!(groups.len() < 10, "{groups:?}");
}

#[tokio::test]
async fn many_calls_at_once_find_their_answers() {
    let (server, _echo) = start(ConnLimits::default()).await;
    let channel = dial(&server, Arc::default()).await;
    let calls: Vec<_> = (0..500)
        .map(|n: u32| {
            let body = vec![n.to_be_bytes()[3]; usize::try_from(n * 13).unwrap()];
            (body.clone(), channel.call(request(body), SOON))
        })
        .collect();
    for (body, call) in calls {
        assert_eq!(call.await.unwrap().body, body);
    }
}

#[tokio::test]
async fn a_call_without_answer_ends_in_time_and_leaves_nothing_behind() {
    let (server, _echo) = start(ConnLimits::default()).await;
    let channel = dial(&server, Arc::default()).await;
    let limit = Duration::from_millis(20);
    let silence = || Command::request(SILENCE, &NoHeader);
    assert_eq!(
        channel.call(silence(), limit).await.unwrap_err(),
        CallError::Timeout(limit)
    );
    drop(channel.call(silence(), SOON));
    assert_eq!(channel.calls().waiting_len(), 0);

    // The connection is as good as before; ending it ends the call.
    channel.call(request("still there"), SOON).await.unwrap();
    let waiting = channel.call(silence(), SOON);
    server.shutdown(SOON).await;
    assert_eq!(waiting.await.unwrap_err(), CallError::Closed);
}

#[tokio::test]
async fn calls_and_admissions_are_limited() {
    let limits = ConnLimits {
        in_flight_max: 2,
        ..ConnLimits::default()
    };
    let (server, echo) = start(limits).await;
    let addr = server.local_addr().to_string();
    let channel = connect(&addr, Arc::<Echo>::default(), limits, SOON)
        .await
        .unwrap();
    let silence = || Command::request(SILENCE, &NoHeader);
    let first = channel.call(silence(), SOON);
    let _second = channel.call(silence(), SOON);
    assert_eq!(
        channel.call(silence(), SOON).await.unwrap_err(),
        CallError::TooMany(2)
    );
    drop(first);
    channel.call(request("room again"), SOON).await.unwrap();

    let accepted = Arc::clone(&echo.channels.lock()[0]);
    let guards: Vec<_> = std::iter::from_fn(|| accepted.admit()).take(9).collect();
    assert_eq!(guards.len(), 2);
    drop(guards);
    assert!(accepted.admit().is_some());
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_either() {
    let limits = ConnLimits {
        outbox_bytes_max: 256 << 10,
        ..ConnLimits::default()
    };
    let (server, echo) = start(limits).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let one = encoded(0, &vec![1; 64 << 10]);
    let mut sent = 0;
    while timeout(Duration::from_millis(300), stream.write_all(&one))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 4000, "the server read on");
    }
    let accepted = Arc::clone(&echo.channels.lock()[0]);
    assert!(accepted.outbox().unsent_bytes() < 1 << 20);
    assert!(!accepted.is_closed());
}

#[tokio::test]
async fn a_peer_that_reads_nothing_of_what_others_send_is_cut_off() {
    let limits = ConnLimits {
        outbox_bytes_max: 1 << 20,
        ..ConnLimits::default()
    };
    let (server, echo) = start(limits).await;
    let _stream = TcpStream::connect(server.local_addr()).await.unwrap();
    until("accepted", || !echo.channels.lock().is_empty()).await;
    let accepted = Arc::clone(&echo.channels.lock()[0]);
    let piece = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..64 {
        accepted.send_with(|_| {}, [piece.clone()]);
        tokio::task::yield_now().await;
    }
    timeout(SOON, accepted.ended()).await.unwrap();
    assert_eq!(echo.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn strangers_lose_their_connection_and_others_keep_theirs() {
    let (server, echo) = start(ConnLimits::default()).await;
    let channel = dial(&server, Arc::default()).await;
    let hostile: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff; 64],
        &[0, 0, 0, 8, 9, 9, 9, 9, 9, 9, 9, 9],
        &[0, 0, 0, 12, 0, 0, 0, 8, b'{', b'"', 0xff, 0, 1, 2, 3, 4],
    ];
    for (count, bytes) in hostile.into_iter().enumerate() {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut end = Vec::new();
        // Closed, in good order or with a reset.
        timeout(SOON, stream.read_to_end(&mut end))
            .await
            .unwrap()
            .ok();
        assert!(end.is_empty());
        until("told", || echo.closed.load(Ordering::SeqCst) == count + 1).await;
    }
    channel.call(request("still there"), SOON).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[test]
fn strangers_are_named() {
    let guess = connection::looks_like;
    assert!(guess(&[0x16, 3, 1, 0]).contains("TLS"));
    assert!(guess(b"GET / HTTP/1.0").contains("HTTP"));
    assert!(guess(b"PROXY TCP4 ").contains("HAProxy"));
    assert_eq!(guess(b"\xff\0a"), "it begins with \\xff\\x00a");
    assert_eq!(guess(b""), "it begins with ");
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_only_its_connection() {
    let (server, echo) = start(ConnLimits::default()).await;
    let (good, bad) = (
        dial(&server, Arc::default()).await,
        dial(&server, Arc::default()).await,
    );
    let answer = bad.call(Command::request(PANIC, &NoHeader), SOON).await;
    assert_eq!(answer.unwrap_err(), CallError::Closed);
    good.call(request("still there"), SOON).await.unwrap();
    assert_eq!(echo.closed.load(Ordering::SeqCst), 1);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = ConnLimits {
        idle: Duration::from_millis(400),
        ..ConnLimits::default()
    };
    let (server, echo) = start(limits).await;
    let channel = dial(&server, Arc::default()).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        channel.call(request("awake"), SOON).await.unwrap();
    }
    timeout(SOON, channel.ended()).await.unwrap();
    until("told", || echo.closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn shutdown_writes_out_what_is_queued() {
    let (server, echo) = start(ConnLimits::default()).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream
        .write_all(&encoded(7, &vec![5; 6 << 20]))
        .await
        .unwrap();
    until("asked", || !echo.groups.lock().is_empty()).await;
    let mut received = BytesMut::new();
    let (frame, ()) = tokio::join!(
        next_frame(&mut stream, &mut received),
        server.shutdown(SOON)
    );
    assert_eq!(frame.parse().unwrap().1.len(), 6 << 20);
    assert_eq!(server.connections(), 0);
    assert!(TcpStream::connect(server.local_addr()).await.is_err());
}

#[tokio::test]
async fn a_dropped_server_ends_its_connections() {
    let (server, _echo) = start(ConnLimits::default()).await;
    let channel = dial(&server, Arc::default()).await;
    channel.call(request("there"), SOON).await.unwrap();
    drop(server);
    timeout(SOON, channel.ended()).await.unwrap();
}

#[tokio::test]
async fn connecting_to_nobody_names_the_address() {
    let addr = "127.0.0.1:1";
    let error = connect(addr, Arc::<Echo>::default(), ConnLimits::default(), SOON)
        .await
        .unwrap_err();
    assert!(error.to_string().contains(addr), "{error}");
}
