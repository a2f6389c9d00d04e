//! The smallest id among the brokers of a name, and who hears that it changed (`notifyMinBrokerIdChanged`).
//!
//! The smallest id is the master's, or that of the slave that may stand in for it. When a broker with a smaller one
//! registers, those that were there before hear of it. When the one with the smallest goes, the others hear of it, if one
//! of them may stand in (`enableActingMaster`).

use super::RouteTable;

/// That the smallest id of a broker name changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::namesrv) struct Minimum {
    pub(in crate::namesrv) name: String,
    pub(in crate::namesrv) id: i64,
    pub(in crate::namesrv) addr: String,
    /// Who went, if that is why.
    pub(in crate::namesrv) offline: Option<String>,
    /// The HA address of who came.
    pub(in crate::namesrv) ha_addr: Option<String>,
    /// The addresses of those who are to hear of it.
    pub(in crate::namesrv) listeners: Vec<String>,
}

/// Changes that were not told yet; a name server that tells nobody does not pile them up.
const WAITING_MAX: usize = 1024;

impl RouteTable {
    /// The smallest id of a name.
    pub(super) fn smallest(&self, name: &str) -> Option<i64> {
        self.brokers.get(name)?.broker_addrs.keys().next().copied()
    }

    /// Notes that the smallest id of a name is another than it was. `offline` has gone, or somebody has come whose HA
    /// address is `ha_addr`.
    pub(super) fn smallest_changed(
        &mut self,
        name: &str,
        offline: Option<&str>,
        ha_addr: Option<&str>,
    ) {
        let Some(broker) = self.brokers.get(name) else {
            return;
        };
        let Some((&id, addr)) = broker.broker_addrs.first_key_value() else {
            return;
        };
        let to_all = offline.is_some() || broker.broker_addrs.len() == 1;
        let listeners = broker.broker_addrs.iter();
        let listeners = listeners.filter(|(other, _)| to_all || **other != id);
        let change = Minimum {
            name: name.to_owned(),
            id,
            addr: addr.clone(),
            offline: offline.map(str::to_owned),
            ha_addr: ha_addr.map(str::to_owned),
            listeners: listeners.map(|(_, addr)| addr.clone()).collect(),
        };
        if self.minimums.len() < WAITING_MAX {
            self.minimums.push(change);
        }
    }

    /// The changes since this was asked last.
    pub(in crate::namesrv) fn take_minimums(&mut self) -> Vec<Minimum> {
        std::mem::take(&mut self.minimums)
    }
}
