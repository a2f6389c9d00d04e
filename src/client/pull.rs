//! One pull request and its answer; what follows from it is the caller's business.

use std::time::Duration;

use bytes::Bytes;

use crate::base::GroupName;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::pull::{PullMessageRequestHeader, PullMessageResponseHeader};

use super::error::ClientError;
use super::message::{Received, decode_block};
use super::net::{refused, unreadable};
use super::queue::MessageQueue;
use super::shared::Shared;
use super::subscription::Subscription;

/// Bits of a pull's `sysFlag` (`PullSysFlag`).
const SUSPEND: i32 = 2;
const SUBSCRIPTION: i32 = 4;

/// How much longer than the broker's hold the answer may take, as Java's 30 s for a hold of 15 s.
const GRACE: Duration = Duration::from_secs(15);

pub(crate) struct Pull<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) queue: &'a MessageQueue,
    pub(crate) offset: i64,
    pub(crate) messages_max: u32,
    pub(crate) subscription: &'a Subscription,
    /// The version told in the heartbeat. Without one the subscription travels with the pull.
    pub(crate) announced_version: Option<i64>,
    /// How long the broker may hold the request when there is nothing new; zero: answer at once.
    pub(crate) hold: Duration,
    /// The broker of the group to read from, 0 being the master.
    pub(crate) broker_id: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PullStatus {
    /// There are messages, though perhaps none that is wanted.
    Found,
    /// Nothing new at this offset.
    Nothing,
    /// Messages were there, none matched; go on at once.
    NoMatch,
    /// The offset is outside the queue.
    Moved,
}

#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) status: PullStatus,
    /// Where to go on.
    pub(crate) next: i64,
    pub(crate) suggested_broker: i64,
    /// Those that are wanted.
    pub(crate) messages: Vec<Received>,
}

/// Pulls once.
pub(crate) async fn pull(shared: &Shared, request: &Pull<'_>) -> Result<Pulled, ClientError> {
    let code = RequestCode::PULL_MESSAGE;
    let queue = request.queue;
    let address = shared.read_address(queue, request.broker_id).await?;
    let mut sys_flag = 0;
    if !request.hold.is_zero() {
        sys_flag |= SUSPEND;
    }
    if request.announced_version.is_none() {
        sys_flag |= SUBSCRIPTION;
    }
    let header = PullMessageRequestHeader {
        consumer_group: request.group.as_str(),
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        queue_offset: request.offset,
        max_msg_nums: i32::try_from(request.messages_max).unwrap_or(i32::MAX),
        sys_flag,
        suspend_timeout_millis: i64::try_from(request.hold.as_millis()).unwrap_or(i64::MAX),
        subscription: request
            .announced_version
            .is_none()
            .then_some(request.subscription.expression()),
        sub_version: request.announced_version.unwrap_or_default(),
        expression_type: Some(request.subscription.kind()),
        broker_name: Some(queue.broker.as_str()),
        ..PullMessageRequestHeader::default()
    };
    let command = Command::request(code, &header);
    let reply = shared
        .net
        .call(&address, command, request.hold + GRACE)
        .await?;
    let status = match reply.code {
        ResponseCode::SUCCESS => PullStatus::Found,
        ResponseCode::PULL_NOT_FOUND => PullStatus::Nothing,
        ResponseCode::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatch,
        ResponseCode::PULL_OFFSET_MOVED => PullStatus::Moved,
        _ => return Err(refused(&address, "PULL_MESSAGE", &reply)),
    };
    let header: PullMessageResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    let mut messages = match status {
        PullStatus::Found => {
            decode(&reply.body, queue).map_err(|error| unreadable(&address, code, error))?
        }
        _ => Vec::new(),
    };
    // The broker compares hashes of tags only.
    messages.retain(|message| request.subscription.wants(message.tag()));
    Ok(Pulled {
        status,
        next: header.next_begin_offset,
        suggested_broker: header.suggest_which_broker_id,
        messages,
    })
}

fn decode(body: &Bytes, queue: &MessageQueue) -> Result<Vec<Received>, String> {
    decode_block(body, &queue.broker)
}
