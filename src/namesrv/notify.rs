//! Telling brokers that the smallest id of their name changed: `NOTIFY_MIN_BROKER_ID_CHANGE` (905).
//!
//! Off unless `notifyMinBrokerIdChanged` says otherwise, as in Apache. A broker hears it at the address it registered;
//! one that cannot be reached is left alone, because it asks by itself with its next registration.

use std::sync::Arc;
use std::time::Duration;

use super::NameServer;
use super::routes::Minimum;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::frame::Frame;
use crate::protocol::header::namesrv::NotifyMinBrokerIdChangeRequestHeader;
use crate::remoting::{Channel, ConnLimits, Service, connect};

/// How long a broker may take to be reached, and to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The name server's side of a connection to a broker, which asks nothing of it there.
struct Silent;

impl Service for Silent {
    type Session = ();

    fn open(&self, _channel: &Arc<Channel>) {}

    fn frames(&self, (): &mut (), _channel: &Arc<Channel>, frames: &mut Vec<Frame>) {
        frames.clear();
    }

    fn closed(&self, (): (), _channel: &Arc<Channel>) {}
}

impl NameServer {
    /// Tells brokers what changed among them since the last call, if that is wanted.
    pub(super) fn tell_minimums(&self) {
        let wanted = self.settings.read().notify_min_broker_id_changed;
        let changes = self.routes.lock().take_minimums();
        for change in changes.into_iter().filter(|_| wanted) {
            tracing::info!(
                broker = change.name,
                id = change.id,
                listeners = ?change.listeners,
                "the smallest id changed"
            );
            let request = Command::request(
                RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE,
                &header_of(&change),
            );
            for listener in change.listeners {
                self.tasks.lock().spawn(tell(listener, request.clone()));
            }
        }
    }
}

fn header_of(change: &Minimum) -> NotifyMinBrokerIdChangeRequestHeader<'_> {
    NotifyMinBrokerIdChangeRequestHeader {
        min_broker_id: Some(change.id),
        broker_name: Some(&change.name),
        min_broker_addr: Some(&change.addr),
        offline_broker_addr: change.offline.as_deref(),
        ha_broker_addr: change.ha_addr.as_deref(),
    }
}

async fn tell(address: String, request: Command) {
    let told = match connect(&address, Arc::new(Silent), ConnLimits::default(), LIMIT).await {
        Ok(channel) => {
            // Apache sends it one-way; an answer says that it has arrived before the connection is closed.
            let told = channel.call(request, LIMIT).await;
            channel.close();
            told.map(drop).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = told {
        tracing::debug!("{address} was not told that the smallest id changed: {error}");
    }
}
