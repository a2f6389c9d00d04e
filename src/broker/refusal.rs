//! From what the store says to what a client is told: the one place that maps store errors to response codes.

use super::handlers::Refusal;
use super::options::BrokerOptions;
use crate::protocol::codes::ResponseCode;
use crate::store::{AppendError, WriteRefusal};

/// A message that cannot be stored in this form, whoever tries.
pub(crate) fn illegal_message(options: &BrokerOptions) -> Refusal {
    Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format!(
            "the message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, msg properties length limit 32KB.",
            options.store.message_max
        ),
    )
}

/// Why an append failed, in Apache's terms.
pub(crate) fn append_refusal(error: &AppendError, options: &BrokerOptions) -> Refusal {
    match error {
        AppendError::TooLarge { .. } => illegal_message(options),
        AppendError::Refused(
            WriteRefusal::DiskFull(_)
            | WriteRefusal::Replica
            | WriteRefusal::ShuttingDown
            | WriteRefusal::Broken(_),
        ) => Refusal::new(
            ResponseCode::SERVICE_NOT_AVAILABLE,
            format!(
                "service not available now. It may be caused by one of the following reasons: the broker's disk is full, messages are put to the slave, message store has been shut down, etc. ({error})"
            ),
        ),
        AppendError::Io { .. } => Refusal::error(format!(
            "create mapped file failed, server is busy or broken. ({error})"
        )),
    }
}
