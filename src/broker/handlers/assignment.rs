//! Queue assignment by the broker: `QUERY_ASSIGNMENT` (400), `SET_MESSAGE_REQUEST_MODE` (401) and their table (402).
//!
//! Assignment by the broker exists for POP, which this broker does not offer. A client whose query is refused assigns
//! its queues itself, as Apache's Java client does.

use super::{Answer, Refusal, Request, success};
use crate::base::ids::RETRY_PREFIX;
use crate::broker::Broker;
use crate::protocol::body::assignment::{MessageRequestMode, SetMessageRequestModeRequestBody};
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;

/// `QUERY_ASSIGNMENT`.
pub(crate) fn query() -> Answer {
    Err(Refusal::unsupported("queue assignment by the broker"))
}

/// `SET_MESSAGE_REQUEST_MODE`: PULL is what every group does, POP is not offered.
pub(crate) fn set_mode(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let mode: SetMessageRequestModeRequestBody = request.json()?;
    if mode.topic.starts_with(RETRY_PREFIX) {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            "retry topic is not allowed to set mode",
        ));
    }
    if mode.mode == MessageRequestMode::Pop {
        return Err(Refusal::unsupported("POP consumption"));
    }
    broker.modes.with(|modes| modes.set(mode));
    broker.modes.save();
    Ok(success())
}

/// `GET_ALL_MESSAGE_REQUEST_MODE`, as slaves copy it.
pub(crate) fn all_modes(broker: &Broker) -> Command {
    success().with_body(broker.modes.encoded())
}
