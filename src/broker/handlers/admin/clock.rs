//! The clock of the node: `RMQ_CLOCK`, a request of our own.
//!
//! Header `advanceMs` (optional) moves a virtual clock forward; the answer has `nowMs` and `virtual`. Everything that
//! came due is delivered soon after the answer, not before it.

use crate::broker::Broker;
use crate::broker::handlers::{Answer, Refusal, Request};
use crate::protocol::codes::ResponseCode;
use crate::protocol::command::Command;
use crate::protocol::header::broker::{ClockRequestHeader, ClockResponseHeader};

/// Shows the clock, and moves it first if asked to.
pub(super) fn clock(broker: &Broker, request: &Request<'_, '_>) -> Answer {
    let header: ClockRequestHeader = request.header()?;
    let refuse = |remark: &str| Refusal::new(ResponseCode::ILLEGAL_OPERATION, remark);
    let now_ms = match header.advance_ms {
        None => broker.clock.now_ms(),
        Some(..0) => return Err(refuse("a clock cannot go back")),
        Some(ms) => broker.clock.advance(ms).ok_or_else(|| {
            refuse("this broker runs on the machine's clock; start it with --virtual-clock to move time")
        })?,
    };
    let answer = ClockResponseHeader {
        now_ms,
        is_virtual: broker.clock.is_manual(),
    };
    Ok(Command::response(ResponseCode::SUCCESS).with_header(&answer))
}
