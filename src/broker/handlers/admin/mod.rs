//! Requests of administrators, one file per subject.

pub(crate) mod topic;

use std::sync::Arc;

use super::{Answer, Request};
use crate::broker::Broker;
use crate::broker::router::unknown;

/// Answers an administrator, or says that nothing here knows the code.
pub(crate) fn answer(_broker: &Arc<Broker>, request: &Request<'_, '_>) -> Answer {
    Err(unknown(request.head.request_code()))
}
