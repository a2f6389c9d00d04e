//! Who is alive, and what happens when somebody is not any more.

use std::collections::BTreeSet;

use super::{BrokerAddr, MASTER_ID, PERM_WRITE, RouteTable};
use crate::protocol::body::topic_config::DataVersion;

/// How long a broker that does not say otherwise lives without a sign.
pub(super) const DEFAULT_TIMEOUT_MS: i64 = 120_000;

/// One broker process.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) last_sign_ms: i64,
    pub(super) timeout_ms: i64,
    pub(super) topics_version: DataVersion,
    /// The id of the channel it registered on.
    pub(super) channel: u64,
    pub(super) ha_addr: String,
}

/// A broker process that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::namesrv) struct Gone {
    pub(in crate::namesrv) cluster: String,
    pub(in crate::namesrv) name: String,
    pub(in crate::namesrv) addr: String,
}

impl RouteTable {
    /// How many channels live brokers have registered on.
    pub(in crate::namesrv) fn channels(&self) -> usize {
        let channels: BTreeSet<u64> = self.live.values().map(|live| live.channel).collect();
        channels.len()
    }

    /// The version of the topics a broker has brought, if it is known and alive.
    pub(in crate::namesrv) fn topics_version(
        &self,
        cluster: &str,
        addr: &str,
    ) -> Option<DataVersion> {
        let live = self.live.get(&BrokerAddr {
            cluster: cluster.to_owned(),
            addr: addr.to_owned(),
        });
        live.map(|live| live.topics_version)
    }

    /// A sign of life.
    pub(in crate::namesrv) fn heartbeat(&mut self, cluster: &str, addr: &str, now_ms: i64) {
        let live = self.live.get_mut(&BrokerAddr {
            cluster: cluster.to_owned(),
            addr: addr.to_owned(),
        });
        if let Some(live) = live {
            live.last_sign_ms = now_ms;
        }
    }

    /// Removes a broker process and, with the last one of its name, the name and its topics.
    pub(in crate::namesrv) fn unregister(&mut self, gone: &Gone) {
        let key = BrokerAddr {
            cluster: gone.cluster.clone(),
            addr: gone.addr.clone(),
        };
        let was_alive = self.live.remove(&key).is_some();
        self.filter_servers.remove(&key);
        tracing::info!(
            cluster = gone.cluster,
            broker = gone.name,
            addr = gone.addr,
            was_alive,
            "broker unregistered"
        );
        let before = self.smallest(&gone.name);
        let Some(broker) = self.brokers.get_mut(&gone.name) else {
            return;
        };
        let may_stand_in = broker.enable_acting_master;
        broker.broker_addrs.retain(|_, addr| *addr != gone.addr);
        if broker.broker_addrs.is_empty() {
            self.brokers.remove(&gone.name);
            if let Some(names) = self.clusters.get_mut(&gone.cluster) {
                names.remove(&gone.name);
                if names.is_empty() {
                    self.clusters.remove(&gone.cluster);
                }
            }
            self.topics.retain(|_, brokers| {
                brokers.remove(&gone.name);
                !brokers.is_empty()
            });
        } else if broker.enable_acting_master && !broker.broker_addrs.contains_key(&MASTER_ID) {
            // A slave that stands in for its master serves reads only.
            for brokers in self.topics.values_mut() {
                if let Some(queues) = brokers.get_mut(&gone.name) {
                    queues.perm &= !PERM_WRITE;
                }
            }
        }
        if may_stand_in && self.smallest(&gone.name) != before {
            self.smallest_changed(&gone.name, Some(&gone.addr), None);
        }
        self.touch();
    }

    /// Removes everyone who registered on a channel that is closed now.
    pub(in crate::namesrv) fn channel_closed(&mut self, channel: u64) {
        let on_channel: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.channel == channel)
            .map(|(addr, _)| addr.clone())
            .collect();
        for addr in on_channel {
            self.remove_addr(&addr);
        }
    }

    /// Removes everyone who has been silent for too long; gives the channels to close.
    pub(in crate::namesrv) fn expire(&mut self, now_ms: i64) -> BTreeSet<u64> {
        let silent: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.last_sign_ms.saturating_add(live.timeout_ms) < now_ms)
            .map(|(addr, live)| (addr.clone(), live.channel, live.timeout_ms))
            .collect();
        let mut channels = BTreeSet::new();
        for (addr, channel, timeout_ms) in silent {
            tracing::warn!(addr = addr.addr, timeout_ms, "broker expired");
            self.remove_addr(&addr);
            channels.insert(channel);
        }
        channels
    }

    fn remove_addr(&mut self, key: &BrokerAddr) {
        let named = self.brokers.iter().find(|(_, broker)| {
            broker.cluster == key.cluster
                && broker.broker_addrs.values().any(|addr| *addr == key.addr)
        });
        if let Some((name, _)) = named {
            let gone = Gone {
                cluster: key.cluster.clone(),
                name: name.clone(),
                addr: key.addr.clone(),
            };
            self.unregister(&gone);
        } else {
            self.live.remove(key);
            self.filter_servers.remove(key);
        }
    }
}
