//! Frames over sockets: requests in a window, and simple calls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply, Serialization};
use rmq::protocol::frame::Frame;
use rmq::protocol::header::NoHeader;
use rmq::protocol::header::send::SendMessageRequestHeaderV2;

/// One connection. What is submitted leaves with [`Wire::flush`], many requests in one write.
pub struct Wire {
    socket: TcpStream,
    out: BytesMut,
    received: BytesMut,
    chunk: Box<[u8]>,
}

impl Wire {
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            socket,
            out: BytesMut::new(),
            received: BytesMut::new(),
            chunk: vec![0; 256 << 10].into(),
        })
    }

    pub fn local_port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |address| address.port())
    }

    pub fn submit(&mut self, command: &Command, opaque: i32) {
        command.encode(Serialization::Json, opaque, &mut self.out);
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for answers and hands over all that came, by opaque.
    pub fn answers(&mut self, mut each: impl FnMut(&mut BytesMut, i32, Reply)) -> io::Result<()> {
        let count = self.socket.read(&mut self.chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(&self.chunk[..count]);
        while let Some(frame) =
            Frame::take(&mut self.received, 16 << 20).map_err(io::Error::other)?
        {
            let (head, body) = frame.parse().map_err(io::Error::other)?;
            if head.is_response() {
                let opaque = head.opaque;
                each(&mut self.out, opaque, head.into_reply(body));
            }
        }
        Ok(())
    }

    /// One request, one answer.
    pub fn call(&mut self, command: &Command) -> io::Result<Reply> {
        self.submit(command, 0);
        self.flush()?;
        let mut found = None;
        while found.is_none() {
            self.answers(|_, _, reply| found = Some(reply))?;
        }
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// A number out of an answer's header.
    pub fn number(&mut self, command: &Command, name: &str) -> Option<i64> {
        let reply = self.call(command).ok()?;
        (reply.code == ResponseCode::SUCCESS).then(|| reply.fields.get(name)?.parse().ok())?
    }
}

/// A question about one queue.
pub fn on_queue(code: RequestCode, topic: &str, queue: i32) -> Command {
    Command::request(code, &NoHeader)
        .with_field("topic", topic)
        .with_field("queueId", queue.to_string())
}

/// How many messages the first `queues` queues of a topic ever had.
pub fn stored(wire: &mut Wire, topic: &str, queues: i32) -> i64 {
    (0..queues)
        .map(|queue| {
            let question = on_queue(RequestCode::GET_MAX_OFFSET, topic, queue);
            wire.number(&question, "offset").unwrap_or(0)
        })
        .sum()
}

/// A send as the official clients make it.
pub fn send(
    topic: &str,
    queue: i32,
    sys_flag: i32,
    properties: &str,
    body: &bytes::Bytes,
) -> Command {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "bench",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: queue,
        sys_flag,
        born_timestamp: now_ms(),
        properties: Some(properties),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(false),
        ..SendMessageRequestHeaderV2::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body.clone())
}

/// Sends `count` messages, a window at a time; all of them must be taken.
pub fn pump(server: SocketAddr, count: u64, mut message: impl FnMut(u64) -> Command) {
    const WINDOW: u64 = 256;
    let mut wire = Wire::connect(server).unwrap();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < WINDOW {
            wire.submit(&message(sent), 1);
            sent += 1;
        }
        wire.flush().unwrap();
        wire.answers(|_, _, reply| {
            assert_eq!(reply.code, ResponseCode::SUCCESS, "{:?}", reply.remark);
            answered += 1;
        })
        .unwrap();
    }
}

pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

/// The value below which `share` of the sorted values are.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index within the slice"
    )]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().checked_sub(1)?)).copied()
}
