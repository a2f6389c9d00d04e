//! The sockets of a node, taken before anything else starts.
//!
//! A socket is bound first and listens later: a port that is taken is told before the store is opened, and nobody can
//! connect before there is somebody to answer.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::NodeError;

/// How long the queue of connections waiting to be accepted may be; Apache's `serverSocketBacklog`.
const BACKLOG: u32 = 1024;
/// How often another pair of free ports is tried.
const ATTEMPTS: usize = 64;

/// Clients connect to the broker's port minus this for requests that must not wait behind others
/// (`MixAll.brokerVIPChannel` of the Java client).
pub(super) const VIP_DISTANCE: u16 = 2;

/// A port that belongs to this node but takes no connections yet.
#[derive(Debug)]
pub(super) struct Claim {
    socket: TcpSocket,
    wanted: SocketAddr,
    flag: &'static str,
}

impl Claim {
    /// Takes `port`, or any free one for 0. `flag` is what the user would change.
    pub(super) fn new(host: IpAddr, port: u16, flag: &'static str) -> Result<Self, NodeError> {
        let wanted = SocketAddr::new(host, port);
        let bind = || {
            let socket = if host.is_ipv4() {
                TcpSocket::new_v4()?
            } else {
                TcpSocket::new_v6()?
            };
            // On Unix this lets a node start while old connections of the port fade away. On Windows it would let
            // two nodes share the port.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(wanted)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Self {
                socket,
                wanted,
                flag,
            }),
            Err(source) => Err(refused(source, wanted, flag)),
        }
    }

    /// Where it will listen.
    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap_or(self.wanted)
    }

    /// Starts to take connections.
    pub(super) fn listen(self) -> Result<TcpListener, NodeError> {
        let address = self.address();
        self.socket
            .listen(BACKLOG)
            .map_err(|source| refused(source, address, self.flag))
    }
}

fn refused(source: io::Error, address: SocketAddr, flag: &'static str) -> NodeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => NodeError::PortTaken { address, flag },
        io::ErrorKind::PermissionDenied => NodeError::PortForbidden { address, flag },
        _ => NodeError::Listen { address, source },
    }
}

/// What a broker listens on.
#[derive(Debug)]
pub(super) struct BrokerPorts {
    pub(super) main: Claim,
    /// The port [`VIP_DISTANCE`] below; ports too low to have one below do without.
    pub(super) vip: Option<Claim>,
    /// The port for slaves. `None` where nobody asked for one and the next port is taken.
    pub(super) ha: Option<Claim>,
}

/// The broker's ports. `ha` is the port for slaves if one was asked for; the next one after `port` otherwise.
pub(super) fn broker_ports(
    host: IpAddr,
    port: u16,
    ha: Option<u16>,
) -> Result<BrokerPorts, NodeError> {
    let flag = "--broker-port";
    let ports = || {
        let main = Claim::new(host, port, flag)?;
        let number = main.address().port();
        let vip = match number.checked_sub(VIP_DISTANCE) {
            None | Some(0) => None,
            Some(vip) => Some(Claim::new(host, vip, flag)?),
        };
        let ha = match (ha, number.checked_add(1)) {
            (Some(ha), _) => Some(Claim::new(host, ha, "--set haListenPort")?),
            (None, None) => None,
            (None, Some(next)) => match Claim::new(host, next, flag) {
                Ok(claim) => Some(claim),
                Err(error) if port == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(
                        "no slave can follow this broker: {error} (--set haListenPort=N)"
                    );
                    None
                }
            },
        };
        Ok(BrokerPorts { main, vip, ha })
    };
    if port != 0 {
        return ports();
    }
    // Any free port will do for the first; the second is a matter of luck.
    let mut last = ports();
    for _ in 1..ATTEMPTS {
        if last.is_ok() {
            break;
        }
        last = ports();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn free_ports_come_in_pairs() {
        let BrokerPorts { main, vip, ha } = broker_ports(HOST, 0, None).unwrap();
        let (vip, ha) = (vip.unwrap(), ha.unwrap());
        assert_eq!(main.address().port() + 1, ha.address().port());
        assert_eq!(main.address().port() - VIP_DISTANCE, vip.address().port());
        main.listen().unwrap();
        vip.listen().unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = Claim::new(HOST, 0, "--port").unwrap().listen().unwrap();
        let port = first.local_addr().unwrap().port();
        let second = Claim::new(HOST, port, "--port").and_then(Claim::listen);
        let error = second.unwrap_err();
        assert!(matches!(error, NodeError::PortTaken { flag: "--port", .. }));
        assert!(error.to_string().contains(&port.to_string()));
    }

    #[tokio::test]
    async fn nobody_can_connect_before_it_listens() {
        let claim = Claim::new(HOST, 0, "--port").unwrap();
        let address = claim.address();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        let _listener = claim.listen().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    }
}
