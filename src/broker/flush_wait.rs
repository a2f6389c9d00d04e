//! Answers that wait until the disk has their messages.
//!
//! A connection hands each batch of sends over with the log position it ends at. One task per connection waits for the
//! store's `flushed` mark to pass it, in order; the connection itself goes on reading. What is not flushed in time is
//! answered with `FLUSH_DISK_TIMEOUT`: the messages are stored, only not yet known to be on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::handlers::send::{Sent, write_answers};
use crate::base::{LogOffset, Watermark};
use crate::protocol::codes::ResponseCode;
use crate::remoting::Channel;

/// One batch of stored messages.
pub(crate) struct FlushWait {
    pub(crate) end: LogOffset,
    pub(crate) deadline: Instant,
    pub(crate) sent: Sent,
}

/// How many deadlines one batch gets.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

/// Answers batch after batch until the connection is over.
pub(crate) async fn answer_flushed(
    flushed: Watermark,
    channel: Arc<Channel>,
    mut waits: mpsc::UnboundedReceiver<FlushWait>,
) {
    while let Some(wait) = waits.recv().await {
        let reached = flushed.reached(wait.end.get());
        let code = match timeout_at(wait.deadline, reached).await {
            Ok(()) => ResponseCode::SUCCESS,
            Err(_) => ResponseCode::FLUSH_DISK_TIMEOUT,
        };
        write_answers(&channel, &wait.sent, code);
    }
}
