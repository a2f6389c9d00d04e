//! The address of the broker beside this name server, as each client is to be told it.
//!
//! A broker registers one address. Behind a mapped port, or on a machine with several networks, no single address is right
//! for everybody, and the name server sees who asks: the answer can depend on the connection.
//!
//! Absent on purpose: any other broker's address. Those are passed on as they were registered.

use std::net::{IpAddr, SocketAddr};

use crate::base::cidr::Cidr;
use crate::protocol::body::route::BrokerData;

/// The rules. The first that fits decides: a range, the loopback address, `follow`, the registered address.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    /// The address the broker registers.
    pub(crate) registered: String,
    /// The port it listens on.
    pub(crate) port: u16,
    /// Clients from these ranges are told these addresses.
    pub(crate) ranges: Vec<(Cidr, String)>,
    /// Whether clients are told the address they connected to.
    pub(crate) follow: bool,
}

impl Peers {
    /// What a client that connected from `peer` to `local` is told in place of the registered address, if anything.
    pub(super) fn address(&self, peer: SocketAddr, local: SocketAddr) -> Option<String> {
        let mut ranges = self.ranges.iter();
        if let Some((_, address)) = ranges.find(|(range, _)| range.contains(peer.ip())) {
            return Some(address.clone()).filter(|address| *address != self.registered);
        }
        let here = local.ip().to_canonical();
        let told = match here {
            _ if !here.is_loopback() && !self.follow => return None,
            IpAddr::V4(_) => format!("{here}:{}", self.port),
            IpAddr::V6(_) => format!("[{here}]:{}", self.port),
        };
        Some(told).filter(|told| *told != self.registered)
    }

    /// Puts `address` wherever the registered one stands.
    pub(super) fn rewrite<'a>(
        &self,
        brokers: impl IntoIterator<Item = &'a mut BrokerData>,
        address: &str,
    ) {
        for broker in brokers {
            for known in broker.broker_addrs.values_mut() {
                if *known == self.registered {
                    address.clone_into(known);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_told_what_it_can_reach() {
        let mut peers = Peers {
            registered: "outside:32768".to_owned(),
            port: 10911,
            ranges: vec![("10.1.0.0/16".parse().unwrap(), "inside:10911".to_owned())],
            follow: false,
        };
        let told = |peers: &Peers, peer: &str, local: &str| {
            peers.address(peer.parse().unwrap(), local.parse().unwrap())
        };
        let inside = told(&peers, "10.1.2.3:5", "10.1.0.1:9876");
        assert_eq!(inside.as_deref(), Some("inside:10911"));
        let here = told(&peers, "127.0.0.1:5", "127.0.0.1:9876");
        assert_eq!(here.as_deref(), Some("127.0.0.1:10911"));
        assert_eq!(told(&peers, "192.168.1.2:5", "192.168.1.1:9876"), None);
        peers.follow = true;
        let followed = told(&peers, "192.168.1.2:5", "192.168.1.1:9876");
        assert_eq!(followed.as_deref(), Some("192.168.1.1:10911"));
        let six = told(&peers, "[fd00::2]:5", "[fd00::1]:9876");
        assert_eq!(six.as_deref(), Some("[fd00::1]:10911"));
        let mut broker = BrokerData {
            broker_addrs: [(0, peers.registered.clone()), (1, "other:1".to_owned())].into(),
            ..BrokerData::default()
        };
        peers.rewrite([&mut broker], "a:1");
        assert_eq!(
            broker.broker_addrs,
            [(0, "a:1".to_owned()), (1, "other:1".to_owned())].into()
        );
    }
}
