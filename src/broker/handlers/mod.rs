//! One file per subject: typed request in, answer out. The router decides which.
//!
//! Handlers of the hot requests (send, pull, offsets) write their answers straight into the channel's buffer. All
//! others return a [`Command`] or a [`Refusal`], and the router sends it.

pub(crate) mod admin;
pub(crate) mod assignment;
pub(crate) mod client;
pub(crate) mod lock;
pub(crate) mod offset;
pub(crate) mod pop;
pub(crate) mod pull;
pub(crate) mod query;
pub(crate) mod recall;
pub(crate) mod reply;
pub(crate) mod send;
pub(crate) mod send_back;
pub(crate) mod transaction;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::codes::ResponseCode;
use crate::protocol::command::{Command, Head};
use crate::protocol::fastjson;
use crate::protocol::header::{FromFields, HeaderError};
use crate::remoting::Channel;

/// Where Apache's remarks send people.
pub(crate) const FAQ: &str =
    "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// A request of a client, parsed.
pub(crate) struct Request<'a, 'f> {
    pub(crate) head: &'a Head<'f>,
    pub(crate) body: &'a Bytes,
    pub(crate) channel: &'a Arc<Channel>,
}

impl<'a> Request<'a, '_> {
    /// The typed header.
    pub(crate) fn header<H: FromFields<'a>>(&self) -> Result<H, Refusal> {
        Ok(self.head.header()?)
    }

    /// The JSON body. Clients may write integer keys without quotes.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        fastjson::from_slice(self.body)
            .map_err(|error| Refusal::error(format!("the request body cannot be read: {error}")))
    }

    /// Sends an answer, unless the client wants none.
    pub(crate) fn answer(&self, command: Command) {
        self.channel.answer(self.head, command);
    }
}

/// Why a request gets no success: the code and what people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ResponseCode,
    pub(crate) remark: String,
}

impl Refusal {
    pub(crate) fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self {
            code,
            remark: remark.into(),
        }
    }

    /// A plain `SYSTEM_ERROR`.
    pub(crate) fn error(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// Something Apache has and this broker has not: its own code for that.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::new(
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            format!("{what} is not supported"),
        )
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::error(error.to_string())
    }
}

impl From<Refusal> for Command {
    fn from(refusal: Refusal) -> Self {
        Command::response(refusal.code).with_remark(refusal.remark)
    }
}

/// What a handler gives back.
pub(crate) type Answer = Result<Command, Refusal>;

/// Success without fields or body.
pub(crate) fn success() -> Command {
    Command::response(ResponseCode::SUCCESS)
}

/// Success with a JSON body, in the form Apache's readers take.
pub(crate) fn json(body: &impl Serialize) -> Answer {
    let bytes = fastjson::to_wire(body)
        .map_err(|error| Refusal::error(format!("the answer cannot be written: {error}")))?;
    Ok(success().with_body(bytes))
}
