//! Connections a controller opens: to the other controllers, and to brokers it tells of a new master.
//!
//! One connection for an address, opened when it is needed and again when it has ended. Lock order: leaf; never held
//! while connecting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::protocol::codes::ResponseCode;
use crate::protocol::command::{Command, Reply};
use crate::protocol::frame::Frame;
use crate::remoting::{CallError, Channel, ConnLimits, ConnectError, Service, connect};

/// Addresses with a connection of their own; more than that are brokers that have moved, whose connections are idle.
const LINKS_MAX: usize = 1024;

/// Why a call over a link failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Refuses whatever the other side asks for on a connection of ours.
#[derive(Debug)]
struct Deaf;

impl Service for Deaf {
    type Session = ();

    fn open(&self, _: &Arc<Channel>) {}

    fn frames(&self, (): &mut (), channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            match frame.parse() {
                Ok((head, _)) if head.is_response() => {}
                Ok((head, _)) => {
                    let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
                    channel.answer(&head, Command::response(code));
                }
                Err(error) => channel.refuse(&error),
            }
        }
    }

    fn closed(&self, (): (), _: &Arc<Channel>) {}
}

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<String, Arc<Channel>>>);

impl Links {
    /// The connection to `address`, opened within `limit` if there is none.
    async fn channel(&self, address: &str, limit: Duration) -> Result<Arc<Channel>, ConnectError> {
        let open = self.0.lock().get(address).cloned();
        if let Some(channel) = open.filter(|channel| !channel.is_closed()) {
            return Ok(channel);
        }
        let fresh = connect(address, Arc::new(Deaf), ConnLimits::default(), limit).await?;
        let mut links = self.0.lock();
        links.retain(|_, channel| !channel.is_closed());
        if links.len() >= LINKS_MAX {
            // Connections close when the last handle sends nothing any more; these are rebuilt when needed.
            for (_, channel) in links.drain() {
                channel.close();
            }
        }
        if let Some(channel) = links.get(address) {
            // Somebody else was faster.
            fresh.close();
            return Ok(Arc::clone(channel));
        }
        links.insert(address.to_owned(), Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Sends a request and waits for its answer; connecting counts.
    pub(super) async fn call(
        &self,
        address: &str,
        request: Command,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let channel = self.channel(address, limit).await?;
        let answer = channel.call(request, limit).await;
        if let Err(CallError::Timeout(_)) = &answer {
            // A network that swallows packets looks like this. A fresh connection knows sooner when it is back.
            channel.close();
        }
        Ok(answer?)
    }

    /// Sends a request that is not answered.
    pub(super) async fn tell(
        &self,
        address: &str,
        request: Command,
        limit: Duration,
    ) -> Result<(), LinkError> {
        self.channel(address, limit).await?.send_oneway(request);
        Ok(())
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        for (_, channel) in self.0.lock().drain() {
            channel.close();
        }
    }
}
