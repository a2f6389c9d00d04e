//! Where queues begin and end, and how far groups are in them.

use std::collections::BTreeMap;

use crate::base::GroupName;
use crate::protocol::body::offset::ResetOffsetBody;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Reply};
use crate::protocol::header::Header;
use crate::protocol::header::consumer::{CloneGroupOffsetRequestHeader, ResetOffsetRequestHeader};
use crate::protocol::header::pull::{
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
};
use crate::protocol::header::queue::{
    BoundaryType, GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader,
    GetMinOffsetResponseHeader, SearchOffsetRequestHeader, SearchOffsetResponseHeader,
};

use super::Admin;
use crate::client::error::ClientError;
use crate::client::net::{refused, unreadable};
use crate::client::queue::MessageQueue;
use crate::client::shared::Shared;

/// Which message a time means when several were stored at or around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first one at or after the time.
    #[default]
    Lower,
    /// The last one at or before the time.
    Upper,
}

/// Where a group shall go on in a topic.
#[derive(Clone, Copy, Debug)]
pub struct OffsetReset<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// At the first message stored at or after this, in milliseconds since 1970; −1 behind the last message.
    pub time_ms: i64,
    /// Also ahead of where the group is now.
    pub force: bool,
    /// Only this queue, and there at this offset if one is given.
    pub queue: Option<(i32, Option<i64>)>,
}

impl Admin {
    /// The offset of the first message that is still in a queue.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, ClientError> {
        queue_start(&self.shared, queue).await
    }

    /// The offset the next message of a queue will get.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, ClientError> {
        queue_end(&self.shared, queue).await
    }

    /// The offset of the message stored at a time, in milliseconds since 1970.
    pub async fn offset_at(
        &self,
        queue: &MessageQueue,
        time_ms: i64,
        boundary: Boundary,
    ) -> Result<i64, ClientError> {
        queue_offset_at(&self.shared, queue, time_ms, boundary).await
    }

    /// How far a group has got in a queue; `None` if it has not begun.
    pub async fn group_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, ClientError> {
        committed_offset(&self.shared, &GroupName::parse(group)?, queue).await
    }

    /// Sets how far a group has got in a queue. Members that are running overwrite it.
    pub async fn set_group_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), ClientError> {
        let group = GroupName::parse(group)?;
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.queue.to_wire(),
            commit_offset: offset,
            broker_name: Some(queue.broker.as_str()),
        };
        ask_broker(
            &self.shared,
            queue,
            RequestCode::UPDATE_CONSUMER_OFFSET,
            &header,
        )
        .await
        .map(drop)
    }

    /// How far a group has got in every queue of a topic.
    pub async fn group_offsets(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<BTreeMap<MessageQueue, Option<i64>>, ClientError> {
        let mut offsets = BTreeMap::new();
        for queue in self.topic_route(topic).await?.read_queues() {
            let offset = self.group_offset(group, &queue).await?;
            offsets.insert(queue, offset);
        }
        Ok(offsets)
    }

    /// Has one broker reset a group's offsets and tell the members, who go on from there. Returns where each queue was set
    /// to.
    ///
    /// A broker that does not keep the positions of reset groups itself (`useServerSideResetOffset` is off) only passes
    /// the order on, and refuses with `CONSUMER_NOT_ONLINE` if nobody is there.
    pub async fn reset_offset_at(
        &self,
        broker: &str,
        reset: OffsetReset<'_>,
    ) -> Result<BTreeMap<super::WireQueue, i64>, ClientError> {
        let code = RequestCode::INVOKE_BROKER_TO_RESET_OFFSET;
        let header = ResetOffsetRequestHeader {
            topic: reset.topic,
            group: reset.group,
            queue_id: reset.queue.map_or(-1, |(queue, _)| queue),
            offset: reset.queue.and_then(|(_, offset)| offset),
            timestamp: reset.time_ms,
            is_force: reset.force,
        };
        let body: ResetOffsetBody = self.fetch(broker, code, &header).await?;
        Ok(body.offset_table)
    }

    /// Has one broker give `to` the offsets of `from`: in one topic or in all. Unless `offline` says so, topics that the
    /// members of `from` do not subscribe to any more are left out.
    pub async fn clone_offsets_at(
        &self,
        broker: &str,
        from: &str,
        to: &str,
        topic: Option<&str>,
        offline: bool,
    ) -> Result<(), ClientError> {
        let code = RequestCode::CLONE_GROUP_OFFSET;
        let header = CloneGroupOffsetRequestHeader {
            src_group: from,
            dest_group: to,
            topic,
            offline,
        };
        self.ask(broker, code, &header).await.map(drop)
    }
}

/// Asks the master that holds a queue.
async fn ask_broker(
    shared: &Shared,
    queue: &MessageQueue,
    code: RequestCode,
    header: &(impl Header + Sync),
) -> Result<(String, Reply), ClientError> {
    let address = shared.read_address(queue, 0).await?;
    let request = Command::request(code, header);
    let reply = shared
        .net
        .call_ok(&address, request, shared.timeout())
        .await?;
    Ok((address, reply))
}

pub(crate) async fn queue_end(shared: &Shared, queue: &MessageQueue) -> Result<i64, ClientError> {
    let code = RequestCode::GET_MAX_OFFSET;
    let header = GetMaxOffsetRequestHeader {
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        committed: true,
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: GetMaxOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    Ok(header.offset)
}

pub(crate) async fn queue_start(shared: &Shared, queue: &MessageQueue) -> Result<i64, ClientError> {
    let code = RequestCode::GET_MIN_OFFSET;
    let header = GetMinOffsetRequestHeader {
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: GetMinOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    // A queue that never held anything has no first message; brokers say -1.
    Ok(header.offset.max(0))
}

pub(crate) async fn queue_offset_at(
    shared: &Shared,
    queue: &MessageQueue,
    time_ms: i64,
    boundary: Boundary,
) -> Result<i64, ClientError> {
    let code = RequestCode::SEARCH_OFFSET_BY_TIMESTAMP;
    let header = SearchOffsetRequestHeader {
        topic: queue.topic.as_str(),
        lite_topic: None,
        queue_id: queue.queue.to_wire(),
        timestamp: time_ms,
        boundary_type: Some(match boundary {
            Boundary::Lower => BoundaryType::Lower,
            Boundary::Upper => BoundaryType::Upper,
        }),
        broker_name: Some(queue.broker.as_str()),
    };
    let (address, reply) = ask_broker(shared, queue, code, &header).await?;
    let header: SearchOffsetResponseHeader = reply
        .header()
        .map_err(|error| unreadable(&address, code, error))?;
    Ok(header.offset.max(0))
}

pub(crate) async fn committed_offset(
    shared: &Shared,
    group: &GroupName,
    queue: &MessageQueue,
) -> Result<Option<i64>, ClientError> {
    let code = RequestCode::QUERY_CONSUMER_OFFSET;
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: group.as_str(),
        topic: queue.topic.as_str(),
        queue_id: queue.queue.to_wire(),
        set_zero_if_not_found: Some(false),
        broker_name: Some(queue.broker.as_str()),
    };
    let address = shared.read_address(queue, 0).await?;
    let request = Command::request(code, &header);
    let reply = shared.net.call(&address, request, shared.timeout()).await?;
    match reply.code {
        ResponseCode::SUCCESS => reply
            .header::<QueryConsumerOffsetResponseHeader>()
            .map(|header| Some(header.offset))
            .map_err(|error| unreadable(&address, code, error)),
        ResponseCode::QUERY_NOT_FOUND => Ok(None),
        _ => Err(refused(&address, "QUERY_CONSUMER_OFFSET", &reply)),
    }
}
