//! What all handles of one client share: identity, connections, routes, group membership.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::GroupName;
use crate::message::UniqIds;
use crate::protocol::codes::RequestCode;
use crate::protocol::command::Command;
use crate::protocol::header::group::UnregisterClientRequestHeader;
use crate::sys::Clock;

use super::ClientOptions;
use super::error::ClientError;
use super::members::Members;
use super::net::Net;
use super::producer::master;
use super::queue::MessageQueue;
use super::routes::Routes;

pub(crate) struct Shared {
    /// Names this client among the members of a group.
    pub(crate) id: String,
    pub(crate) net: Arc<Net>,
    pub(crate) routes: Routes,
    pub(crate) members: Arc<Members>,
    pub(crate) clock: Clock,
    pub(crate) options: ClientOptions,
    ids: UniqIds,
}

/// Everything else would fill pages.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        net: Arc<Net>,
        routes: Routes,
        members: Arc<Members>,
        options: ClientOptions,
        local: SocketAddr,
    ) -> Self {
        let clock = Clock::default();
        let pid = std::process::id();
        // Several clients of one process differ by the local port of their first connection.
        let id = format!("{}@{pid}#{}{}", local.ip(), clock.now_ms(), local.port());
        let seed = crc32fast::hash(id.as_bytes());
        Self {
            ids: UniqIds::new(local.ip(), pid, seed),
            id,
            net,
            routes,
            members,
            clock,
            options,
        }
    }

    /// A new client message id.
    pub(crate) fn unique_id(&self) -> String {
        self.ids.next(ms_since_month_start(self.clock.now_ms()))
    }

    /// The longest an ordinary request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.options.request_timeout
    }

    /// The address to read a queue from: broker `id` of its group, else another one.
    pub(crate) async fn read_address(
        &self,
        queue: &MessageQueue,
        id: i64,
    ) -> Result<String, ClientError> {
        for refreshed in [false, true] {
            let route = if refreshed {
                self.routes.refresh(&queue.topic).await?
            } else {
                self.routes.get(&queue.topic).await?
            };
            let address = route
                .broker(&queue.broker)
                .and_then(|broker| broker.readable_at(id));
            if let Some(address) = address {
                return Ok(address.to_owned());
            }
        }
        Err(ClientError::NoRoute {
            topic: queue.topic.to_string(),
            reason: "the queue's broker is gone",
        })
    }

    /// The address of the master of a queue's broker.
    pub(crate) async fn master_address(&self, queue: &MessageQueue) -> Result<String, ClientError> {
        let route = self.routes.for_sending(&queue.topic).await?;
        if let Ok(address) = master(&route, queue) {
            return Ok(address);
        }
        master(&*self.routes.refresh(&queue.topic).await?, queue)
    }

    /// Tells all known brokers, without waiting, that this client leaves a group.
    pub(crate) fn leave_in_passing(
        &self,
        producer: Option<&GroupName>,
        consumer: Option<&GroupName>,
    ) {
        for address in self.routes.broker_addresses() {
            let request = self.leave_request(producer, consumer);
            self.net.oneway_if_connected(&address, request);
        }
    }

    /// The same, waiting for each broker's answer; brokers that do not answer find out by themselves.
    pub(crate) async fn leave(&self, producer: Option<&GroupName>, consumer: Option<&GroupName>) {
        for address in self.routes.broker_addresses() {
            let request = self.leave_request(producer, consumer);
            if let Err(error) = self.net.call_ok(&address, request, self.timeout()).await {
                tracing::debug!("not unregistered: {error}");
            }
        }
    }

    fn leave_request(&self, producer: Option<&GroupName>, consumer: Option<&GroupName>) -> Command {
        let header = UnregisterClientRequestHeader {
            client_id: &self.id,
            producer_group: producer.map(GroupName::as_str),
            consumer_group: consumer.map(GroupName::as_str),
        };
        Command::request(RequestCode::UNREGISTER_CLIENT, &header)
    }
}

/// Milliseconds since the start of the month (UTC); 0 for a clock that stands outside civil time.
fn ms_since_month_start(now_ms: i64) -> u32 {
    let Ok(now) = jiff::Timestamp::from_millisecond(now_ms) else {
        return 0;
    };
    let now = now.to_zoned(jiff::tz::TimeZone::UTC);
    let day = i64::from(now.day()) - 1;
    let in_day = now_ms.rem_euclid(86_400_000);
    u32::try_from(day * 86_400_000 + in_day).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_begins_at_zero() {
        // 2026-11-01T00:00:00Z
        assert_eq!(ms_since_month_start(1_793_491_200_000), 0);
        assert_eq!(
            ms_since_month_start(1_793_491_200_000 + 3 * 86_400_000 + 5),
            3 * 86_400_000 + 5
        );
    }
}
