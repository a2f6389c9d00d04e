//! Which handler answers which request.

use std::sync::Arc;

use super::Broker;
use super::handlers::{
    Answer, Refusal, Request, admin, assignment, client, lock, offset, pop, pull, query, recall,
    reply, send, send_back, transaction,
};
use super::session::Session;
use crate::protocol::codes::{RequestCode as Code, ResponseCode};

/// Answers a request, or sees to it that it is answered later.
pub(crate) fn route(
    broker: &Arc<Broker>,
    session: &mut Session,
    request: &Request<'_, '_>,
    vip: bool,
) {
    if let Some(refusal) = turned_away(broker, request.head.request_code()) {
        request.answer(refusal.into());
        return;
    }
    match request.head.request_code() {
        Code::SEND_MESSAGE | Code::SEND_MESSAGE_V2 | Code::SEND_BATCH_MESSAGE => {
            send::push(broker, session, request);
        }
        Code::PULL_MESSAGE | Code::LITE_PULL_MESSAGE if !vip => {
            pull::handle(broker, session, request);
        }
        Code::QUERY_ASSIGNMENT => assignment::query(broker, request),
        Code::POP_MESSAGE if !vip => pop::handle(broker, session, request),
        Code::NOTIFICATION if !vip => pop::notice::handle(broker, request),
        Code::PEEK_MESSAGE if !vip => pop::peek::handle(broker, request),
        Code::POLLING_INFO if !vip => {
            let answer = pop::peek::polling(broker, request).unwrap_or_else(Into::into);
            request.answer(answer);
        }
        Code::SEND_REPLY_MESSAGE | Code::SEND_REPLY_MESSAGE_V2 => {
            reply::handle(broker, session, request);
        }
        Code::ACK_MESSAGE => pop::ack::one(broker, request),
        Code::BATCH_ACK_MESSAGE => pop::ack::batch(broker, request),
        Code::CHANGE_MESSAGE_INVISIBLETIME => pop::invisible::change(broker, request),
        Code::RESUME_CHECK_HALF_MESSAGE => transaction::resume_check(broker, request),
        Code::RECALL_MESSAGE => recall::handle(broker, request),
        Code::END_TRANSACTION => transaction::end(broker, session, request),
        Code::GET_CONSUMER_RUNNING_INFO | Code::CONSUME_MESSAGE_DIRECTLY => {
            admin::forward::to_client(broker, request);
        }
        Code::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => {
            admin::forward::consumer_status(broker, request);
        }
        _ => {
            let answer = answer(broker, request).unwrap_or_else(Into::into);
            request.answer(answer);
        }
    }
}

/// Why this broker answers no such request: it is a slave, or does not know yet what is committed.
fn turned_away(broker: &Broker, code: Code) -> Option<Refusal> {
    if broker.is_slave()
        && let Some(refusal) = not_on_a_slave(broker, code)
    {
        return Some(refusal);
    }
    (broker.is_unsettled() && reads(code)).then(|| {
        Refusal::new(
            ResponseCode::SYSTEM_BUSY,
            "too few replicas are connected to know which messages are committed",
        )
    })
}

/// Whether a request reads what may turn out not to be committed.
fn reads(code: Code) -> bool {
    matches!(
        code,
        Code::PULL_MESSAGE
            | Code::LITE_PULL_MESSAGE
            | Code::POP_MESSAGE
            | Code::PEEK_MESSAGE
            | Code::NOTIFICATION
            | Code::GET_MAX_OFFSET
            | Code::GET_MIN_OFFSET
            | Code::SEARCH_OFFSET_BY_TIMESTAMP
            | Code::QUERY_MESSAGE
    )
}

/// What a slave refuses. Producers and consumers take the first code for "busy" and turn to another broker.
fn not_on_a_slave(broker: &Broker, code: Code) -> Option<Refusal> {
    match code {
        Code::PULL_MESSAGE | Code::LITE_PULL_MESSAGE if broker.options.load().slave_read_enable => {
            None
        }
        Code::SEND_MESSAGE
        | Code::SEND_MESSAGE_V2
        | Code::SEND_BATCH_MESSAGE
        | Code::SEND_REPLY_MESSAGE
        | Code::SEND_REPLY_MESSAGE_V2
        | Code::CONSUMER_SEND_MSG_BACK
        | Code::PULL_MESSAGE
        | Code::LITE_PULL_MESSAGE
        | Code::POP_MESSAGE
        | Code::ACK_MESSAGE
        | Code::BATCH_ACK_MESSAGE
        | Code::CHANGE_MESSAGE_INVISIBLETIME => Some(Refusal::new(
            ResponseCode::SYSTEM_BUSY,
            "[REJECTREQUEST]system busy, start flow control for a while",
        )),
        Code::END_TRANSACTION | Code::RECALL_MESSAGE => Some(Refusal::new(
            ResponseCode::SLAVE_NOT_AVAILABLE,
            "this broker is a slave",
        )),
        _ => None,
    }
}

/// Whether a request reads what may have to come from the disk, or waits for files to be written. Such a request is
/// answered on a thread that may block ([`route_blocking`]).
pub(crate) fn may_block(code: Code) -> bool {
    matches!(
        code,
        Code::QUERY_MESSAGE
            | Code::VIEW_MESSAGE_BY_ID
            | Code::SEARCH_OFFSET_BY_TIMESTAMP
            | Code::CONSUMER_SEND_MSG_BACK
            | Code::UPDATE_AND_CREATE_TOPIC
            | Code::UPDATE_AND_CREATE_TOPIC_LIST
            | Code::DELETE_TOPIC_IN_BROKER
            | Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
            | Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST
            | Code::DELETE_SUBSCRIPTIONGROUP
            | Code::UPDATE_BROKER_CONFIG
            | Code::SET_MESSAGE_REQUEST_MODE
            | Code::GET_CONSUME_STATS
            | Code::GET_TOPIC_STATS_INFO
            | Code::GET_BROKER_CONSUME_STATS
            | Code::QUERY_CONSUME_TIME_SPAN
            | Code::QUERY_CONSUME_QUEUE
            | Code::CLEAN_EXPIRED_CONSUMEQUEUE
            | Code::CLEAN_UNUSED_TOPIC
            | Code::DELETE_EXPIRED_COMMITLOG
    )
}

/// Answers a request that [`may_block`].
pub(crate) fn route_blocking(broker: &Arc<Broker>, request: &Request<'_, '_>) {
    if let Some(refusal) = turned_away(broker, request.head.request_code()) {
        request.answer(refusal.into());
        return;
    }
    match request.head.request_code() {
        Code::UPDATE_AND_CREATE_TOPIC | Code::UPDATE_AND_CREATE_TOPIC_LIST => {
            admin::topic::create(broker, request);
        }
        Code::CONSUMER_SEND_MSG_BACK => send_back::handle(broker, request),
        _ => {
            let answer = answer(broker, request).unwrap_or_else(Into::into);
            request.answer(answer);
        }
    }
}

/// The requests that are answered at once.
fn answer(broker: &Arc<Broker>, request: &Request<'_, '_>) -> Answer {
    match request.head.request_code() {
        Code::QUERY_CONSUMER_OFFSET => offset::query(broker, request),
        Code::UPDATE_CONSUMER_OFFSET => offset::update(broker, request),
        Code::SEARCH_OFFSET_BY_TIMESTAMP => offset::search(broker, request),
        Code::GET_MAX_OFFSET => offset::max(broker, request),
        Code::GET_MIN_OFFSET => offset::min(broker, request),
        Code::GET_EARLIEST_MSG_STORETIME => offset::earliest_time(broker, request),
        Code::QUERY_MESSAGE => query::by_key(broker, request),
        Code::VIEW_MESSAGE_BY_ID => query::by_offset(broker, request),
        Code::HEART_BEAT => client::heartbeat(broker, request),
        Code::UNREGISTER_CLIENT => client::unregister(broker, request),
        Code::GET_CONSUMER_LIST_BY_GROUP => client::list(broker, request),
        Code::CHECK_CLIENT_CONFIG => client::check_config(broker, request),
        Code::LOCK_BATCH_MQ => lock::lock(broker, request),
        Code::UNLOCK_BATCH_MQ => lock::unlock(broker, request),
        Code::SET_MESSAGE_REQUEST_MODE => assignment::set_mode(broker, request),
        Code::GET_ALL_MESSAGE_REQUEST_MODE => Ok(assignment::all_modes(broker)),
        _ => admin::answer(broker, request),
    }
}

/// What a broker says that has no processor for a code.
pub(crate) fn unknown(code: Code) -> Refusal {
    Refusal::new(
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
        format!(" request type {} not supported", code.0),
    )
}
