//! How a producer sends, and what it tells about a message that was stored.

use std::time::Duration;

use crate::client::queue::MessageQueue;
use crate::message::id::parse_offset_message_id;
use crate::message::sysflag::Compression;
use crate::protocol::codes::ResponseCode;

/// How a [`super::Producer`] sends.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// The longest a send may take, all tries together.
    pub send_timeout: Duration,
    /// How often a failed send is tried again at once, on another broker if there is one. Apache's synchronous
    /// producers try twice more (`retryTimesWhenSendFailed`). Messages for a fixed queue or with an ordering key, and
    /// one-way messages, are never tried again, and neither is a send whose time ran out.
    pub retries: u32,
    /// Spare brokers that were slow or failed for a while (`sendLatencyFaultEnable`).
    pub latency_fault: bool,
    /// Bodies of this size and more are packed; `None`: never. Batches are not packed, as in Apache's clients.
    pub compress_from_bytes: Option<usize>,
    /// What they are packed with. Clients before 5.0 read zlib only.
    pub compression: Compression,
    /// The largest body, as the broker's `maxMessageSize`.
    pub body_bytes_max: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            retries: 2,
            latency_fault: false,
            compress_from_bytes: Some(4096),
            compression: Compression::Zlib,
            body_bytes_max: 4 << 20,
        }
    }
}

impl ProducerOptions {
    /// The defaults for a caller that has many sends under way at a time: a failed one is tried again once only,
    /// since what was sent after it may have overtaken it by then.
    pub fn windowed() -> Self {
        Self {
            retries: 1,
            ..Self::default()
        }
    }
}

/// How safely a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// As safely as the broker is set up to.
    Ok,
    /// Stored in memory; the disk did not answer in time.
    FlushDiskTimeout,
    /// Stored on the master; the slave did not answer in time.
    FlushSlaveTimeout,
    /// Stored on the master; there is no slave.
    SlaveNotAvailable,
}

impl SendStatus {
    pub(super) fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::Ok),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }

    /// Apache's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }
}

/// Where a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReceipt {
    /// How safely.
    pub status: SendStatus,
    /// The id this client gave it (`UNIQ_KEY`).
    pub message_id: String,
    /// The id that names its place in the broker's log.
    pub offset_message_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its number in the queue. For a delayed message: in the queue where it waits.
    pub queue_offset: i64,
}

impl SendReceipt {
    /// The message's place in the broker's log; `None` if the broker named none.
    pub(in crate::client) fn log_offset(&self) -> Option<i64> {
        let (_, at) = parse_offset_message_id(&self.offset_message_id)?;
        Some(at.to_wire())
    }
}
