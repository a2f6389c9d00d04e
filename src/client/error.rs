//! What can go wrong between this client and a cluster.

use std::time::Duration;

use crate::base::NameError;

/// Why a call of the client failed.
///
/// Every variant names the peer or the thing it is about, so that a message makes sense on its own.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection could be opened.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The peer, as configured or as found in a route.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// None of the configured name servers answered.
    #[error("no name server answers: {tried}")]
    NoNameServer {
        /// Each name server with the reason it failed, joined by "; ".
        tried: String,
    },
    /// The peer accepted the request and did not answer in time.
    #[error("{address} did not answer {what} within {} ms", after.as_millis())]
    Timeout {
        /// The peer.
        address: String,
        /// The request.
        what: &'static str,
        /// How long the call waited.
        after: Duration,
    },
    /// The connection ended before the answer came.
    #[error("the connection to {address} ended during {what}: {reason}")]
    Lost {
        /// The peer.
        address: String,
        /// The request.
        what: &'static str,
        /// What is known about the end.
        reason: String,
    },
    /// The message was stored, and nobody replied to it.
    #[error("nobody replied within {} ms on topic {topic}", after.as_millis())]
    NoReply {
        /// The topic of the request.
        topic: String,
        /// How long the call waited.
        after: Duration,
    },
    /// The peer answered with an error code.
    #[error("{address} refused {what} with code {code}: {remark}")]
    Refused {
        /// The peer.
        address: String,
        /// The request.
        what: &'static str,
        /// The response code; see [`crate::protocol::codes`].
        code: i32,
        /// The peer's own words.
        remark: String,
    },
    /// The answer cannot be understood.
    #[error("{address} answered {what} with something unreadable: {reason}")]
    Unreadable {
        /// The peer.
        address: String,
        /// The request.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No broker offers the topic, or none of them in the needed way.
    #[error("no route to topic {topic}: {reason}")]
    NoRoute {
        /// The topic.
        topic: String,
        /// Unknown to the name server, or nothing writable or readable in it.
        reason: &'static str,
    },
    /// The brokers that would do it have no master, and got none within the time.
    #[error("the brokers of topic {topic} have no master")]
    NoMaster {
        /// The topic.
        topic: String,
    },
    /// There is no broker to ask.
    #[error("{reason}")]
    NoBroker {
        /// The name server knows none, or none is a master.
        reason: &'static str,
    },
    /// The name of a topic or group breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The message cannot be sent as it is; nothing left this process.
    #[error("the message cannot be sent: {reason}")]
    Message {
        /// What is wrong with it.
        reason: String,
    },
    /// An option or argument contradicts another or is out of range.
    #[error("{0}")]
    Usage(String),
    /// The client or this handle was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The peer's response code, if the peer refused.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the peer could not be reached, fell silent, or is not there at the moment.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::NoNameServer { .. }
                | Self::NoMaster { .. }
                | Self::Timeout { .. }
                | Self::Lost { .. }
        )
    }

    /// Whether a send that failed like this is tried on another broker, as Apache's producer does: what happens to
    /// the connection, and its list of codes (`DefaultMQProducer.retryResponseCodes`).
    ///
    /// Not so a missing answer: the message may well be stored, and the time of the send is over with it.
    pub fn is_retried_elsewhere(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost { .. })
            || matches!(self.code(), Some(1 | 2 | 14 | 16 | 17 | 204 | 205 | 1500))
    }

    /// Whether the request may have been carried out all the same: it left, and no answer came.
    pub fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Lost { .. } | Self::Unreadable { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32) -> ClientError {
        ClientError::Refused {
            address: "h:1".into(),
            what: "SEND_MESSAGE",
            code,
            remark: String::new(),
        }
    }

    #[test]
    fn the_retried_codes_are_apaches() {
        let retried: Vec<i32> = (0..3000)
            .filter(|code| refused(*code).is_retried_elsewhere())
            .collect();
        assert_eq!(retried, [1, 2, 14, 16, 17, 204, 205, 1500]);
    }
}
