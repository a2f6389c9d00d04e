//! A blocking client that is nothing but frames on a socket, so that no logic of `rmq::client` can hide a fault.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmq::message::{PropertiesBuf, Record};
use rmq::protocol::codes::{RequestCode, ResponseCode};
use rmq::protocol::command::{Command, Reply, Serialization};
use rmq::protocol::frame::Frame;
use rmq::protocol::header::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use rmq::protocol::header::send::SendMessageRequestHeaderV2;

/// One connection to a server.
pub struct Wire {
    socket: TcpStream,
    received: BytesMut,
    next_opaque: i32,
}

impl Wire {
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            socket,
            received: BytesMut::new(),
            next_opaque: 0,
        })
    }

    /// How long an answer is waited for.
    pub fn set_patience(&self, limit: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(limit))
    }

    /// The same; neither connecting nor an answer takes longer than `limit`.
    pub fn connect_within(server: SocketAddr, limit: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&server, limit)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(limit))?;
        Ok(Self {
            socket,
            received: BytesMut::new(),
            next_opaque: 0,
        })
    }

    /// Writes a request and returns the opaque its answer will have.
    pub fn submit(&mut self, command: &Command) -> io::Result<i32> {
        self.next_opaque += 1;
        let mut bytes = BytesMut::new();
        command.encode(Serialization::Json, self.next_opaque, &mut bytes);
        self.socket.write_all(&bytes)?;
        Ok(self.next_opaque)
    }

    /// Writes many requests at once.
    pub fn submit_all(&mut self, commands: &[Command]) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        for command in commands {
            self.next_opaque += 1;
            command.encode(Serialization::Json, self.next_opaque, &mut bytes);
        }
        self.socket.write_all(&bytes)
    }

    /// The next answer; requests from the server are passed over.
    pub fn next_answer(&mut self) -> io::Result<(i32, Reply)> {
        loop {
            let frame = self.next_frame()?;
            let (head, body) = frame.parse().map_err(io::Error::other)?;
            if head.is_response() {
                return Ok((head.opaque, head.into_reply(body)));
            }
        }
    }

    /// The next request of this code from the server; everything else is passed over.
    pub fn next_request(&mut self, code: RequestCode) -> io::Result<Reply> {
        loop {
            let frame = self.next_frame()?;
            let (head, body) = frame.parse().map_err(io::Error::other)?;
            if !head.is_response() && head.request_code() == code {
                return Ok(head.into_reply(body));
            }
        }
    }

    fn next_frame(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) =
                Frame::take(&mut self.received, 16 << 20).map_err(io::Error::other)?
            {
                return Ok(frame);
            }
            let mut chunk = [0; 16 * 1024];
            let count = self.socket.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&chunk[..count]);
        }
    }

    /// One request, one answer.
    pub fn call(&mut self, command: &Command) -> io::Result<Reply> {
        let opaque = self.submit(command)?;
        loop {
            let (answered, reply) = self.next_answer()?;
            if answered == opaque {
                return Ok(reply);
            }
        }
    }

    /// Every message of a queue, from its first to its end as it is now: (queue offset, body).
    pub fn drain_queue(&mut self, topic: &str, queue_id: i32) -> io::Result<Vec<(i64, Vec<u8>)>> {
        self.drain_queue_from(topic, queue_id, 0)
    }

    /// The same from an offset on.
    pub fn drain_queue_from(
        &mut self,
        topic: &str,
        queue_id: i32,
        mut offset: i64,
    ) -> io::Result<Vec<(i64, Vec<u8>)>> {
        let mut messages = Vec::new();
        loop {
            let reply = self.call(&pull(topic, queue_id, offset))?;
            let header: PullMessageResponseHeader = reply.header().map_err(io::Error::other)?;
            match reply.code {
                ResponseCode::SUCCESS => {
                    let mut rest = &reply.body[..];
                    while !rest.is_empty() {
                        let record = Record::parse(rest).map_err(io::Error::other)?;
                        assert!(
                            record.crc_ok(),
                            "checksum of {topic}/{queue_id} @{}",
                            record.queue_offset
                        );
                        messages.push((record.queue_offset, record.body.to_vec()));
                        rest = &rest[record.size as usize..];
                    }
                    offset = header.next_begin_offset;
                }
                ResponseCode::PULL_OFFSET_MOVED if header.next_begin_offset != offset => {
                    offset = header.next_begin_offset;
                }
                ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_OFFSET_MOVED => {
                    return Ok(messages);
                }
                code => {
                    return Err(io::Error::other(format!(
                        "pull of {topic}/{queue_id} @{offset}: {code:?} {:?}",
                        reply.remark
                    )));
                }
            }
        }
    }
}

/// A send as the official clients make it.
pub fn send(
    topic: &str,
    queue_id: i32,
    body: impl Into<Bytes>,
    properties: &PropertiesBuf,
) -> Command {
    let properties = String::from_utf8(properties.to_wire()).unwrap();
    let header = SendMessageRequestHeaderV2 {
        producer_group: "test-producers",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some(&properties),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: Some(false),
        broker_name: None,
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body)
}

/// A pull of up to 32 messages that carries its subscription and does not wait.
pub fn pull(topic: &str, queue_id: i32, offset: i64) -> Command {
    let header = PullMessageRequestHeader {
        consumer_group: "test-consumers",
        topic,
        lite_topic: None,
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: 4,
        commit_offset: 0,
        suspend_timeout_millis: 0,
        subscription: Some("*"),
        sub_version: 0,
        expression_type: Some("TAG"),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        broker_name: None,
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}
