//! The route of one topic, as a client gets to see it.

use std::collections::BTreeMap;

use super::{BrokerAddr, MASTER_ID, PERM_WRITE, RouteTable};
use crate::protocol::body::route::{BrokerData, TopicRouteData};

/// A topic made by a broker to meet its own slaves; its route shows who is really there.
const SYNC_BROKER_MEMBER_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

impl RouteTable {
    /// The route of a topic; `None` if no broker has it.
    pub(in crate::namesrv) fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let mappings = self.static_topics.get(topic);
        let mut route = TopicRouteData {
            queue_datas: queues.values().cloned().collect(),
            topic_queue_mapping_by_broker: mappings
                .and_then(|mappings| serde_json::to_value(mappings).ok()),
            ..TopicRouteData::default()
        };
        for broker in queues.keys().filter_map(|name| self.brokers.get(name)) {
            self.add_filter_servers(broker, &mut route.filter_server_table);
            route.broker_datas.push(broker.clone());
        }
        if route.broker_datas.is_empty() {
            return None;
        }
        if self.rules.support_acting_master && !topic.starts_with(SYNC_BROKER_MEMBER_PREFIX) {
            put_acting_masters(&mut route);
        }
        Some(route)
    }

    fn add_filter_servers(&self, broker: &BrokerData, servers: &mut BTreeMap<String, Vec<String>>) {
        for addr in broker.broker_addrs.values() {
            let key = BrokerAddr {
                cluster: broker.cluster.clone(),
                addr: addr.clone(),
            };
            if let Some(list) = self.filter_servers.get(&key) {
                servers.insert(addr.clone(), list.clone());
            }
        }
    }
}

/// Where a broker name has lost its master, presents the slave with the smallest id as master, once the queues are
/// read-only.
fn put_acting_masters(route: &mut TopicRouteData) {
    for broker in &mut route.broker_datas {
        if !broker.enable_acting_master || broker.broker_addrs.contains_key(&MASTER_ID) {
            continue;
        }
        let mut queues = route.queue_datas.iter();
        let queues = queues.find(|queues| queues.broker_name == broker.broker_name);
        let read_only = queues.is_some_and(|queues| queues.perm & PERM_WRITE == 0);
        if read_only && let Some((_, addr)) = broker.broker_addrs.pop_first() {
            broker.broker_addrs.insert(MASTER_ID, addr);
        }
    }
}

/// Keeps the brokers of one zone, and those without a master: better a far broker than none.
pub(in crate::namesrv) fn keep_zone(route: &mut TopicRouteData, zone: &str) {
    let (kept, removed): (Vec<_>, Vec<_>) = std::mem::take(&mut route.broker_datas)
        .into_iter()
        .partition(|broker| {
            let own = broker.zone_name.as_deref();
            !broker.broker_addrs.contains_key(&MASTER_ID)
                || own.is_some_and(|own| own.eq_ignore_ascii_case(zone))
        });
    route.broker_datas = kept;
    for broker in removed {
        let name = broker.broker_name;
        route
            .queue_datas
            .retain(|queues| queues.broker_name != name);
        for addr in broker.broker_addrs.values() {
            route.filter_server_table.remove(addr);
        }
    }
}
