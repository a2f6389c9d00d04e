//! What a node tells about itself when it is ready.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Seeded;
use super::config::{NodeOptions, Role};

/// Where a node is reached and what it holds.
#[derive(Clone, Debug)]
pub struct ReadyInfo {
    /// What it is.
    pub role: Role,
    /// Where the name server listens.
    pub namesrv: Option<SocketAddr>,
    /// Where the broker listens.
    pub broker: Option<SocketAddr>,
    /// Where it listens for requests that must not wait behind others.
    pub broker_vip: Option<SocketAddr>,
    /// Where the controller listens.
    pub controller: Option<SocketAddr>,
    /// The controllers it agrees with, `id:host:port;…`, if there are others.
    pub controllers: Option<String>,
    /// Where it answers `/livez`, `/readyz` and `/metrics`.
    pub http: Option<SocketAddr>,
    /// The address clients are told to connect to.
    pub advertised: Option<String>,
    /// The broker's name.
    pub broker_name: Option<String>,
    /// The name servers the broker registers with.
    pub name_servers: Vec<String>,
    /// Topics created at the start, with their queues.
    pub topics: Vec<(String, u32)>,
    /// Groups created at the start.
    pub groups: Vec<String>,
    /// What became of the messages of the seed file, if there was one.
    pub seeded: Option<Seeded>,
    /// Whether sending to an unknown topic creates it.
    pub creates_topics: bool,
    /// Where the data is.
    pub data_dir: PathBuf,
    /// Whether the data disappears with the node.
    pub ephemeral: bool,
    /// Whether time stands still until it is moved.
    pub virtual_clock: bool,
}

impl ReadyInfo {
    /// What is known before anything is started.
    pub(super) fn of(options: &NodeOptions) -> Self {
        Self {
            role: options.role,
            namesrv: None,
            broker: None,
            broker_vip: None,
            controller: None,
            controllers: None,
            http: None,
            advertised: None,
            broker_name: None,
            name_servers: Vec::new(),
            topics: Vec::new(),
            groups: Vec::new(),
            seeded: None,
            creates_topics: options.broker.auto_create_topic_enable,
            data_dir: options.data_dir().to_owned(),
            ephemeral: options.ephemeral.is_some(),
            virtual_clock: options.virtual_clock,
        }
    }

    /// The host under which a process of this machine reaches a listening address.
    pub fn local_host(address: SocketAddr) -> String {
        match address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        }
    }

    /// Whether only processes of this machine can connect.
    pub fn loopback_only(&self) -> bool {
        [self.namesrv, self.broker, self.controller]
            .into_iter()
            .flatten()
            .all(|address| address.ip().is_loopback())
    }
}
