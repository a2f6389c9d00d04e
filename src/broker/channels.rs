//! Connections a broker opens itself: to name servers, controllers and the brokers of its name. One to each address.
//!
//! Lock order: leaf.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::protocol::frame::Frame;
use crate::remoting::{Channel, ConnLimits, Service, connect};

const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The broker's side of a connection to somebody who asks nothing of it.
struct Silent;

impl Service for Silent {
    type Session = ();

    fn open(&self, _channel: &Arc<Channel>) {}

    fn frames(&self, _session: &mut (), _channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        frames.clear();
    }

    fn closed(&self, _session: (), _channel: &Arc<Channel>) {}
}

/// The open connections, by address.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<HashMap<String, Arc<Channel>>>);

impl Channels {
    /// The connection to an address, made if there is none.
    pub(crate) async fn to(&self, address: &str) -> Result<Arc<Channel>, String> {
        if let Some(known) = self.open(address) {
            return Ok(known);
        }
        let limits = ConnLimits::default();
        let made = connect(address, Arc::new(Silent), limits, CONNECT_LIMIT)
            .await
            .map_err(|error| error.to_string())?;
        let mut channels = self.0.lock();
        // Somebody else may have been faster. The first stays: a controller takes one that is closed for a broker gone.
        let first = channels.get(address).filter(|known| !known.is_closed());
        if let Some(first) = first.cloned() {
            made.close();
            return Ok(first);
        }
        channels.insert(address.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    fn open(&self, address: &str) -> Option<Arc<Channel>> {
        let known = self.0.lock().get(address).cloned();
        known.filter(|channel| !channel.is_closed())
    }

    /// Takes all of them out.
    pub(crate) fn take(&self) -> Vec<(String, Arc<Channel>)> {
        self.0.lock().drain().collect()
    }
}
