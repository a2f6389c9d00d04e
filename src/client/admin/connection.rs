//! Who is connected, and questions a broker passes on to a client.

use std::collections::BTreeMap;

use crate::protocol::body::connection::{
    ConsumerConnection, ProducerConnection, ProducerInfo, ProducerTableInfo,
};
use crate::protocol::body::consume::ConsumeMessageDirectlyResult;
use crate::protocol::body::running::ConsumerRunningInfo;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::NoHeader;
use crate::protocol::header::consumer::{
    GetConsumerConnectionListRequestHeader, GetConsumerRunningInfoRequestHeader,
    GetProducerConnectionListRequestHeader,
};
use crate::protocol::header::message::ConsumeMessageDirectlyResultRequestHeader;

use super::{Admin, FORWARDED_LIMIT, body};
use crate::client::error::ClientError;

/// A stored message that one member of a group shall consume now.
#[derive(Clone, Copy, Debug)]
pub struct ConsumeDirectly<'a> {
    /// The group.
    pub group: &'a str,
    /// The member.
    pub client_id: &'a str,
    /// The topic of the message.
    pub topic: &'a str,
    /// The id that names the message's place in the log.
    pub offset_message_id: &'a str,
}

impl Admin {
    /// The members of a group that are connected to a broker; `None` if nobody is.
    pub async fn consumer_connections_at(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<Option<ConsumerConnection>, ClientError> {
        let header = GetConsumerConnectionListRequestHeader {
            consumer_group: group,
        };
        let request = Command::request(RequestCode::GET_CONSUMER_CONNECTION_LIST, &header);
        self.find(broker, request, &[ResponseCode::CONSUMER_NOT_ONLINE])
            .await
    }

    /// The producers of a group that are connected to a broker; `None` if nobody is.
    pub async fn producer_connections_at(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<Option<ProducerConnection>, ClientError> {
        let header = GetProducerConnectionListRequestHeader {
            producer_group: group,
        };
        let request = Command::request(RequestCode::GET_PRODUCER_CONNECTION_LIST, &header);
        // Apache has no code of its own for a group without producers.
        self.find(broker, request, &[ResponseCode::SYSTEM_ERROR])
            .await
    }

    /// All producers that are connected to a broker, by group.
    pub async fn producers_at(
        &self,
        broker: &str,
    ) -> Result<BTreeMap<String, Vec<ProducerInfo>>, ClientError> {
        let code = RequestCode::GET_ALL_PRODUCER_INFO;
        let table: ProducerTableInfo = self.fetch(broker, code, &NoHeader).await?;
        Ok(table.data)
    }

    /// What a member of a group says about itself, perhaps with the stacks of its threads.
    pub async fn consumer_running_info(
        &self,
        broker: &str,
        group: &str,
        client_id: &str,
        stacks: bool,
    ) -> Result<ConsumerRunningInfo, ClientError> {
        let code = RequestCode::GET_CONSUMER_RUNNING_INFO;
        let header = GetConsumerRunningInfoRequestHeader {
            consumer_group: group,
            client_id,
            jstack_enable: stacks,
        };
        let request = Command::request(code, &header);
        let reply = self
            .shared
            .net
            .call_ok(broker, request, FORWARDED_LIMIT)
            .await?;
        body(broker, code, &reply)
    }

    /// Has one member of a group consume one stored message, whatever its offsets are. The broker must be the one that
    /// holds the message.
    pub async fn consume_directly(
        &self,
        broker: &str,
        what: ConsumeDirectly<'_>,
    ) -> Result<ConsumeMessageDirectlyResult, ClientError> {
        let code = RequestCode::CONSUME_MESSAGE_DIRECTLY;
        let header = ConsumeMessageDirectlyResultRequestHeader {
            consumer_group: what.group,
            client_id: Some(what.client_id),
            msg_id: Some(what.offset_message_id),
            topic: Some(what.topic),
            ..ConsumeMessageDirectlyResultRequestHeader::default()
        };
        let request = Command::request(code, &header);
        let reply = self
            .shared
            .net
            .call_ok(broker, request, FORWARDED_LIMIT)
            .await?;
        body(broker, code, &reply)
    }
}
