//! Queue assignment by the broker: `QUERY_ASSIGNMENT` (400), `SET_MESSAGE_REQUEST_MODE` (401) and their table (402).
//!
//! Assigned are the queues of this broker and, where name servers know others of the topic, theirs too: the handler
//! asks them, as a client would. Without name servers this broker's queues are all there are.

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Refusal, Request, json, success};
use crate::base::ids::RETRY_PREFIX;
use crate::broker::Broker;
use crate::broker::assign::{self, Share};
use crate::broker::registration;
use crate::broker::topics::PERM_READ;
use crate::protocol::body::MessageQueue;
use crate::protocol::body::assignment::{
    MessageQueueAssignment, MessageRequestMode, QueryAssignmentRequestBody,
    QueryAssignmentResponseBody, SetMessageRequestModeRequestBody,
};
use crate::protocol::body::heartbeat::MessageModel;
use crate::protocol::body::route::TopicRouteData;
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;

/// A client waits for its assignment; an old route is better than none for so long.
const ROUTE_LIMIT: Duration = Duration::from_secs(1);

/// `QUERY_ASSIGNMENT`. Answered at once if the broker needs no name server for it.
pub(crate) fn query(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    let body: QueryAssignmentRequestBody = match request.json() {
        Ok(body) => body,
        Err(refusal) => {
            request.answer(refusal.into());
            return;
        }
    };
    if broker.options.load().name_servers().next().is_none() {
        let queues = own_queues(broker, &body.topic);
        request.answer(assigned(broker, &body, queues).unwrap_or_else(Into::into));
        return;
    }
    let Some(admitted) = request.channel.admit() else {
        let busy = Refusal::new(ResponseCode::SYSTEM_BUSY, "too many requests wait");
        request.answer(busy.into());
        return;
    };
    let (broker, channel) = (Arc::clone(broker), Arc::clone(request.channel));
    let asked = crate::remoting::Asked::from(request.head);
    let tasks = Arc::clone(&broker);
    tasks.tasks.spawn(async move {
        let route = tokio::time::timeout(ROUTE_LIMIT, registration::route(&broker, &body.topic));
        let queues = match route.await.ok().flatten() {
            Some(route) => Some(readable_queues(&body.topic, &route)),
            None => own_queues(&broker, &body.topic),
        };
        let answer = assigned(&broker, &body, queues).unwrap_or_else(Into::into);
        channel.answer(asked, answer);
        drop(admitted);
    });
}

/// The queues of a route that can be read.
fn readable_queues(topic: &str, route: &TopicRouteData) -> Vec<MessageQueue> {
    let readable = route
        .queue_datas
        .iter()
        .filter(|data| data.perm & PERM_READ != 0);
    readable
        .flat_map(|data| queues(topic, &data.broker_name, data.read_queue_nums))
        .collect()
}

fn queues<'a>(
    topic: &'a str,
    broker_name: &'a str,
    count: i32,
) -> impl Iterator<Item = MessageQueue> + use<'a> {
    (0..count).map(|queue_id| MessageQueue {
        topic: topic.to_owned(),
        broker_name: broker_name.to_owned(),
        queue_id,
    })
}

fn own_queues(broker: &Broker, topic: &str) -> Option<Vec<MessageQueue>> {
    let config = broker.topic(topic)?;
    let readable = config.perm & PERM_READ != 0;
    let count = if readable { config.read_queue_nums } else { 0 };
    let options = broker.options.load();
    Some(queues(topic, &options.broker_name, count).collect())
}

fn assigned(
    broker: &Broker,
    body: &QueryAssignmentRequestBody,
    queues: Option<Vec<MessageQueue>>,
) -> Answer {
    let (mode, share_queue_num) = mode_of(broker, &body.topic, &body.consumer_group);
    let mine = queues.and_then(|queues| mine(broker, body, queues, (mode, share_queue_num)));
    let assignments = mine.map(|queues| {
        let assignment = |message_queue| MessageQueueAssignment {
            attachments: None,
            message_queue,
            mode,
        };
        queues.into_iter().map(assignment).collect()
    });
    json(&QueryAssignmentResponseBody {
        message_queue_assignments: assignments,
    })
}

fn mode_of(broker: &Broker, topic: &str, group: &str) -> (MessageRequestMode, i32) {
    let set = broker.modes.with(|modes| {
        modes
            .get(topic, group)
            .map(|mode| (mode.mode, mode.pop_share_queue_num))
    });
    set.unwrap_or_else(|| {
        let options = broker.options.load();
        let pops = options.default_message_request_mode == "POP";
        if pops && !topic.starts_with(RETRY_PREFIX) {
            (MessageRequestMode::Pop, options.default_pop_share_queue_num)
        } else {
            (MessageRequestMode::Pull, 0)
        }
    })
}

/// The client's queues; `None` if that cannot be said.
fn mine(
    broker: &Broker,
    body: &QueryAssignmentRequestBody,
    mut queues: Vec<MessageQueue>,
    (mode, share_queue_num): (MessageRequestMode, i32),
) -> Option<Vec<MessageQueue>> {
    let shared = broker.options.load().server_load_balancer_enable;
    if body.message_model == MessageModel::Broadcasting || !shared {
        return Some(queues);
    }
    let mut members: Vec<String> = {
        let clients = broker.clients.lock();
        let group = clients.group(&body.consumer_group)?;
        let members = group.members.values();
        members.map(|member| member.client_id.clone()).collect()
    };
    members.sort_unstable();
    members.dedup();
    queues.sort_by(|a, b| {
        (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
    });
    let share = Share {
        strategy: assign::Strategy::parse(&body.strategy_name)?,
        client_id: &body.client_id,
        members: &members,
        queues: &queues,
    };
    Some(match mode {
        MessageRequestMode::Pop => share.popped(share_queue_num),
        MessageRequestMode::Pull => share.own(),
    })
}

/// `SET_MESSAGE_REQUEST_MODE`.
pub(crate) fn set_mode(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let mode: SetMessageRequestModeRequestBody = request.json()?;
    if mode.topic.starts_with(RETRY_PREFIX) {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            "retry topic is not allowed to set mode",
        ));
    }
    if broker.topic(&mode.topic).is_none() {
        return Err(Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("topic[{}] not exist", mode.topic),
        ));
    }
    if broker.find_group(&mode.consumer_group).is_none() {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            "subscription group does not exist",
        ));
    }
    broker.modes.with(|modes| modes.set(mode));
    broker.modes.save();
    Ok(success())
}

/// `GET_ALL_MESSAGE_REQUEST_MODE`, as slaves copy it.
pub(crate) fn all_modes(broker: &Broker) -> Command {
    success().with_body(broker.modes.encoded())
}
