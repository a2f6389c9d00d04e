//! Registration: what a broker says about itself every 10 to 60 seconds.

use serde_json::Value;

use super::live::{DEFAULT_TIMEOUT_MS, Live};
use super::{BrokerAddr, MASTER_ID, PERM_WRITE, RouteTable};
use crate::protocol::body::route::{BrokerData, QueueData};
use crate::protocol::body::topic_config::{TopicConfig, TopicConfigAndMappingSerializeWrapper};

/// What a broker says about itself.
#[derive(Clone, Debug, Default)]
pub(in crate::namesrv) struct Registration {
    pub(in crate::namesrv) cluster: String,
    pub(in crate::namesrv) name: String,
    pub(in crate::namesrv) addr: String,
    pub(in crate::namesrv) id: i64,
    pub(in crate::namesrv) ha_addr: String,
    pub(in crate::namesrv) zone: Option<String>,
    /// How long it lives without a sign.
    pub(in crate::namesrv) timeout_ms: Option<i64>,
    /// Brokers before 5.0 do not say.
    pub(in crate::namesrv) enable_acting_master: Option<bool>,
    pub(in crate::namesrv) topics: TopicConfigAndMappingSerializeWrapper,
    /// `None`: says nothing about filter servers.
    pub(in crate::namesrv) filter_servers: Option<Vec<String>>,
    /// The id of the channel it came on.
    pub(in crate::namesrv) channel: u64,
}

/// Where a slave finds its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::namesrv) struct Master {
    pub(in crate::namesrv) addr: String,
    pub(in crate::namesrv) ha_addr: String,
}

/// A broker that brings a single topic must have registered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::namesrv) struct NotRegistered;

impl RouteTable {
    /// Takes over what a broker says about itself. A slave learns its master, if there is one.
    pub(in crate::namesrv) fn register(
        &mut self,
        broker: &Registration,
        now_ms: i64,
    ) -> Result<Option<Master>, NotRegistered> {
        let addr = BrokerAddr {
            cluster: broker.cluster.clone(),
            addr: broker.addr.clone(),
        };
        if self.is_older_than_present(broker) {
            tracing::warn!(
                broker = broker.name,
                id = broker.id,
                addr = broker.addr,
                "ignoring a registration: another address holds this id with a newer state"
            );
            self.live.remove(&addr);
            return Ok(None);
        }
        let known_id = self.knows_id(broker);
        if !known_id && broker.topics.topic_config_table.len() == 1 {
            tracing::warn!(
                broker = broker.name,
                id = broker.id,
                addr = broker.addr,
                "a single topic of a broker that has not registered"
            );
            return Err(NotRegistered);
        }

        let smallest = self.smallest(&broker.name);
        let first = self.enter(broker);
        let unchanged = self
            .topics_version(&broker.cluster, &broker.addr)
            .is_some_and(|version| version == broker.topics.data_version);
        self.take_topics(broker, first, !unchanged);
        self.stay(broker, addr, now_ms);
        if smallest.is_some_and(|smallest| broker.id < smallest) {
            self.smallest_changed(&broker.name, None, Some(&broker.ha_addr));
        }
        Ok(self.master_of(broker))
    }

    /// Whether another address holds this id with a newer state: the one that registers has missed an election.
    fn is_older_than_present(&self, broker: &Registration) -> bool {
        let present = self.brokers.get(&broker.name);
        let Some(addr) = present.and_then(|present| present.broker_addrs.get(&broker.id)) else {
            return false;
        };
        *addr != broker.addr
            && self
                .topics_version(&broker.cluster, addr)
                .is_some_and(|version| {
                    version.state_version > broker.topics.data_version.state_version
                })
    }

    fn knows_id(&self, broker: &Registration) -> bool {
        let present = self.brokers.get(&broker.name);
        present.is_some_and(|present| present.broker_addrs.contains_key(&broker.id))
    }

    /// Enters name, cluster and address. True if this id was not there before.
    fn enter(&mut self, broker: &Registration) -> bool {
        let names = self.clusters.entry(broker.cluster.clone()).or_default();
        let mut changed = names.insert(broker.name.clone());
        let entry = self.brokers.entry(broker.name.clone()).or_insert_with(|| {
            changed = true;
            BrokerData {
                cluster: broker.cluster.clone(),
                broker_name: broker.name.clone(),
                ..BrokerData::default()
            }
        });
        let before = entry.clone();
        entry.enable_acting_master = broker.enable_acting_master.unwrap_or_default();
        entry.zone_name.clone_from(&broker.zone);
        // A slave that became master leaves its old id: one address, one id.
        entry
            .broker_addrs
            .retain(|id, addr| *id == broker.id || *addr != broker.addr);
        let previous = entry.broker_addrs.insert(broker.id, broker.addr.clone());
        if changed || *entry != before {
            self.touch();
        }
        previous.is_none_or(|addr| addr.is_empty())
    }

    /// Topics are taken from a master, or from the slave that may stand in for one.
    fn take_topics(&mut self, broker: &Registration, first: bool, changed: bool) {
        let Some(entry) = self.brokers.get(&broker.name) else {
            return;
        };
        let is_prime_slave = broker.enable_acting_master.is_some()
            && broker.id != MASTER_ID
            && entry.broker_addrs.keys().next() == Some(&broker.id);
        if broker.id != MASTER_ID && !is_prime_slave {
            return;
        }
        let read_only = is_prime_slave && entry.enable_acting_master;
        if self.rules.delete_topic_with_broker_registration
            && broker.topics.topic_queue_mapping_info_map.is_empty()
        {
            self.drop_missing_topics(broker);
        }
        for (topic, config) in &broker.topics.topic_config_table {
            let brokers = self.topics.entry(topic.clone()).or_default();
            let present = brokers.get(&broker.name);
            if !first && !changed && present.is_some() {
                continue;
            }
            let mut queues = queues_of(&broker.name, config);
            if read_only {
                queues.perm &= !PERM_WRITE;
            }
            if present != Some(&queues) {
                brokers.insert(broker.name.clone(), queues);
                self.generation += 1;
            }
        }
        if first || changed {
            self.take_static_topics(broker);
        }
    }

    fn drop_missing_topics(&mut self, broker: &Registration) {
        let named = &broker.topics.topic_config_table;
        let mut dropped = false;
        self.topics.retain(|topic, brokers| {
            if !named.contains_key(topic) {
                dropped |= brokers.remove(&broker.name).is_some();
            }
            !brokers.is_empty()
        });
        if dropped {
            self.touch();
        }
    }

    fn take_static_topics(&mut self, broker: &Registration) {
        for (topic, info) in &broker.topics.topic_queue_mapping_info_map {
            let owner = info.get("bname").and_then(Value::as_str);
            let owner = owner.unwrap_or(&broker.name).to_owned();
            let brokers = self.static_topics.entry(topic.clone()).or_default();
            if brokers.insert(owner, info.clone()).as_ref() != Some(info) {
                self.touch();
            }
        }
    }

    /// Keeps the broker alive until it is silent for too long.
    fn stay(&mut self, broker: &Registration, addr: BrokerAddr, now_ms: i64) {
        if let Some(servers) = &broker.filter_servers {
            let before = if servers.is_empty() {
                self.filter_servers.remove(&addr)
            } else {
                self.filter_servers.insert(addr.clone(), servers.clone())
            };
            if before.unwrap_or_default() != *servers {
                self.touch();
            }
        }
        let live = Live {
            last_sign_ms: now_ms,
            timeout_ms: broker.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
            topics_version: broker.topics.data_version,
            channel: broker.channel,
            ha_addr: broker.ha_addr.clone(),
        };
        if self.live.insert(addr, live).is_none() {
            tracing::info!(
                cluster = broker.cluster,
                broker = broker.name,
                id = broker.id,
                addr = broker.addr,
                "broker registered"
            );
        }
    }

    fn master_of(&self, broker: &Registration) -> Option<Master> {
        if broker.id == MASTER_ID {
            return None;
        }
        let addr = self
            .brokers
            .get(&broker.name)?
            .broker_addrs
            .get(&MASTER_ID)?;
        let live = self.live.get(&BrokerAddr {
            cluster: broker.cluster.clone(),
            addr: addr.clone(),
        })?;
        Some(Master {
            addr: addr.clone(),
            ha_addr: live.ha_addr.clone(),
        })
    }
}

fn queues_of(broker: &str, config: &TopicConfig) -> QueueData {
    QueueData {
        broker_name: broker.to_owned(),
        perm: config.perm,
        read_queue_nums: config.read_queue_nums,
        topic_sys_flag: config.topic_sys_flag,
        write_queue_nums: config.write_queue_nums,
    }
}
