//! Questions the broker passes on to a client and answers with what the client says: 307, 309, 223.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::broker::handlers::query::record_at;
use crate::broker::handlers::{Refusal, Request, json};
use crate::message::parse_offset_message_id;
use crate::protocol::body::offset::GetConsumerStatusBody;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::fastjson;
use crate::protocol::header::NoHeader;
use crate::protocol::header::consumer::{
    GetConsumerRunningInfoRequestHeader, GetConsumerStatusRequestHeader,
};
use crate::protocol::header::message::ConsumeMessageDirectlyResultRequestHeader;
use crate::remoting::{Asked, CallError, Channel};

/// How long a client may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);
const STATUS_LIMIT: Duration = Duration::from_secs(5);
/// Older clients do not know these questions (`V3_1_8_SNAPSHOT`).
const VERSION_WITH_QUESTIONS: i32 = 62;

/// `GET_CONSUMER_RUNNING_INFO` and `CONSUME_MESSAGE_DIRECTLY`.
pub(crate) fn to_client(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    match question(broker, request) {
        Ok((channel, question, name)) => {
            let administrator = Arc::clone(request.channel);
            let asked = Asked::from(request.head);
            let call = channel.call(question, CLIENT_LIMIT);
            broker.tasks.spawn(async move {
                let answer = match call.await {
                    Ok(reply) => {
                        let mut answer = Command::response(reply.code).with_body(reply.body);
                        answer.remark = reply.remark;
                        answer.fields = reply.fields;
                        answer
                    }
                    Err(CallError::Timeout(_)) => Refusal::new(
                        ResponseCode::CONSUME_MSG_TIMEOUT,
                        format!("consumer {name} Timeout"),
                    )
                    .into(),
                    Err(error) => {
                        Refusal::error(format!("invoke consumer {name} Exception: {error}")).into()
                    }
                };
                administrator.answer(asked, answer);
            });
        }
        Err(refusal) => request.answer(refusal.into()),
    }
}

fn question(
    broker: &Broker,
    request: &Request<'_, '_>,
) -> Result<(Arc<Channel>, Command, String), Refusal> {
    let code = request.head.request_code();
    let mut body = request.body.clone();
    let (group, client_id) = if code == RequestCode::CONSUME_MESSAGE_DIRECTLY {
        let header: ConsumeMessageDirectlyResultRequestHeader<'_> = request.header()?;
        // The administrator names the message; the client needs its bytes.
        let offset = header.msg_id.and_then(parse_offset_message_id);
        let found = offset.and_then(|(_, offset)| record_at(broker, offset.to_wire()));
        body = found.ok_or_else(|| {
            Refusal::error(format!(
                "can not find the message {}",
                header.msg_id.unwrap_or_default()
            ))
        })?;
        (header.consumer_group, header.client_id.unwrap_or_default())
    } else {
        let header: GetConsumerRunningInfoRequestHeader<'_> = request.header()?;
        (header.consumer_group, header.client_id)
    };
    let name = format!("<{group}> <{client_id}>");
    let clients = broker.clients.lock();
    let member = clients
        .consumer(group, client_id)
        .ok_or_else(|| Refusal::error(format!("The Consumer {name} not online")))?;
    if member.version < VERSION_WITH_QUESTIONS {
        return Err(Refusal::error(format!(
            "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            member.version
        )));
    }
    let mut question = Command::request(code, &NoHeader).with_body(body);
    question.fields = request.head.fields.clone().into_owned();
    if code == RequestCode::CONSUME_MESSAGE_DIRECTLY {
        let own = broker.options.load().broker_name.clone();
        question = question.with_field("brokerName", own);
    }
    Ok((Arc::clone(&member.handle), question, name))
}

/// `INVOKE_BROKER_TO_GET_CONSUMER_STATUS`: asks every member, or one, how far it is.
pub(crate) fn consumer_status(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    let header: GetConsumerStatusRequestHeader<'_> = match request.header() {
        Ok(header) => header,
        Err(refusal) => return request.answer(refusal.into()),
    };
    let wanted = header
        .client_addr
        .filter(|wanted| !wanted.trim().is_empty());
    let members: Vec<(String, Arc<Channel>)> = {
        let clients = broker.clients.lock();
        let members = clients
            .group(header.group)
            .map(|group| group.members.values());
        let members = members.into_iter().flatten();
        members
            .filter(|member| wanted.is_none_or(|wanted| wanted == member.client_id))
            .map(|member| (member.client_id.clone(), Arc::clone(&member.handle)))
            .collect()
    };
    if members.is_empty() {
        let remark = format!(
            "No Any Consumer online in the consumer group: [{}]",
            header.group
        );
        return request.answer(Refusal::error(remark).into());
    }
    let question = Command::request(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, &header);
    let calls: Vec<_> = members
        .into_iter()
        .map(|(client_id, channel)| (client_id, channel.call(question.clone(), STATUS_LIMIT)))
        .collect();
    let administrator = Arc::clone(request.channel);
    let asked = Asked::from(request.head);
    broker.tasks.spawn(async move {
        let mut body = GetConsumerStatusBody::default();
        for (client_id, call) in calls {
            // A member that does not answer is left out, as with Apache.
            let reply = call
                .await
                .ok()
                .filter(|reply| reply.code == ResponseCode::SUCCESS);
            let status = reply
                .and_then(|reply| fastjson::from_slice::<GetConsumerStatusBody>(&reply.body).ok());
            if let Some(status) = status {
                body.consumer_table
                    .insert(client_id, status.message_queue_table);
            }
        }
        administrator.answer(asked, json(&body).unwrap_or_else(Into::into));
    });
}
