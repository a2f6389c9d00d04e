//! Requests of administrators, one file per subject.

mod clean;
mod clock;
mod config;
mod connection;
mod consume;
pub(crate) mod forward;
mod group;
mod reset;
mod runtime;
mod timer;
pub(crate) mod topic;

use std::sync::Arc;

use super::{Answer, Request, success};
use crate::broker::Broker;
use crate::broker::controller::notified;
use crate::broker::replication::{command, status};
use crate::broker::router::unknown;
use crate::protocol::codes::RequestCode as Code;

/// Answers an administrator, or says that nothing here knows the code.
pub(crate) fn answer(broker: &Arc<Broker>, request: &Request<'_, '_>) -> Answer {
    match request.head.request_code() {
        Code::DELETE_TOPIC_IN_BROKER => topic::delete(broker, request),
        Code::GET_ALL_TOPIC_CONFIG => topic::all(broker, request),
        Code::GET_TOPIC_CONFIG => topic::get(broker, request),
        Code::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => topic::system(broker),
        Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => group::update(broker, request),
        Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => group::update_list(broker, request),
        Code::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => group::all(broker, request),
        Code::GET_SUBSCRIPTIONGROUP_CONFIG => group::get(broker, request),
        Code::DELETE_SUBSCRIPTIONGROUP => group::delete(broker, request),
        Code::UPDATE_AND_GET_GROUP_FORBIDDEN => group::forbid(broker, request),
        Code::UPDATE_BROKER_CONFIG => config::update(broker, request),
        Code::GET_BROKER_CONFIG => Ok(config::get(broker)),
        Code::GET_BROKER_RUNTIME_INFO => runtime::info(broker),
        Code::VIEW_BROKER_STATS_DATA => runtime::stats(broker, request),
        Code::GET_CONSUMER_CONNECTION_LIST => connection::consumers(broker, request),
        Code::GET_PRODUCER_CONNECTION_LIST => connection::producers(broker, request),
        Code::GET_ALL_PRODUCER_INFO => connection::all_producers(broker),
        Code::QUERY_TOPIC_CONSUME_BY_WHO => connection::groups_of_topic(broker, request),
        Code::QUERY_TOPICS_BY_CONSUMER => connection::topics_of_group(broker, request),
        Code::QUERY_SUBSCRIPTION_BY_CONSUMER => connection::subscription(broker, request),
        Code::GET_TOPIC_STATS_INFO => consume::topic_stats(broker, request),
        Code::GET_CONSUME_STATS => consume::stats(broker, request),
        Code::GET_BROKER_CONSUME_STATS => consume::all_stats(broker, request),
        Code::QUERY_CONSUME_TIME_SPAN => consume::time_span(broker, request),
        Code::QUERY_CONSUME_QUEUE => consume::queue(broker, request),
        Code::QUERY_CORRECTION_OFFSET => reset::correction(broker, request),
        Code::CLONE_GROUP_OFFSET => reset::clone(broker, request),
        Code::INVOKE_BROKER_TO_RESET_OFFSET => reset::reset(broker, request),
        Code::GET_ALL_CONSUMER_OFFSET => Ok(success().with_body(broker.offsets.encoded())),
        Code::GET_ALL_DELAY_OFFSET => Ok(success().with_body(broker.schedule.encoded())),
        Code::GET_TIMER_CHECK_POINT => timer::checkpoint(broker),
        Code::GET_TIMER_METRICS => timer::metrics(broker),
        Code::EXCHANGE_BROKER_HA_INFO => status::exchange(broker, request),
        Code::NOTIFY_MIN_BROKER_ID_CHANGE => {
            // Whoever says it, it is only a reason to ask the name servers, who tell a slave its master.
            if broker.is_slave() {
                broker.registrar.announce();
            }
            Ok(success())
        }
        Code::NOTIFY_BROKER_ROLE_CHANGED => notified(broker, request),
        Code::GET_BROKER_EPOCH_CACHE => command::epoch_cache(broker),
        Code::GET_BROKER_HA_STATUS => status::ha_status(broker),
        Code::CLEAN_EXPIRED_CONSUMEQUEUE => Ok(clean::expired_queues(broker)),
        Code::CLEAN_UNUSED_TOPIC => clean::unused_topics(broker),
        Code::DELETE_EXPIRED_COMMITLOG => Ok(clean::expired_log(broker)),
        Code::RMQ_REPLICATION => command::handle(broker, request),
        Code::RMQ_CLOCK => clock::clock(broker, request),
        code => Err(unknown(code)),
    }
}
