//! From settings to options: types, ranges, and what follows from what.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy as _;
use tempfile::TempDir;

use super::advertise::Told;
use super::apache_keys::is_apache_key;
use super::file::SettingsFile;
use super::layers::{Given, Layers};
use super::retain::Retain;
use super::seed::Seed;
use super::{BadSetting, ConfigError, Flags, HttpPort, Loaded, Origin, Role};
use crate::base::list::addresses;
use crate::base::units::parse_bytes;
use crate::base::{GroupName, TopicName};
use crate::broker::{BrokerOptions, BrokerRole, Faults, OptionError};
use crate::controller::ControllerOptions;
use crate::namesrv::NamesrvOptions;
use crate::node::machine::container;
use crate::store::StoreOptions;

const NAME_SERVER_PORT: u16 = 9876;
/// Java's sizes are 32-bit integers, and a file must hold at least one small record and the filler behind it.
const LOG_FILE_BYTES: std::ops::RangeInclusive<u64> = 4096..=i32::MAX as u64;

/// What a node is to be. Made by [`super::load`].
#[derive(Debug)]
pub struct NodeOptions {
    pub(crate) role: Role,
    /// The address to bind.
    pub(crate) listen: IpAddr,
    /// The name server's port; 0 for any free one.
    pub(crate) namesrv_port: u16,
    pub(crate) namesrv: NamesrvOptions,
    /// The controller, if there is to be one.
    pub(crate) controller: Option<ControllerOptions>,
    /// Its `listen_port` may be 0, and its `namesrv_addr` does not hold this node's own name server.
    pub(crate) broker: BrokerOptions,
    /// Where it answers those who watch it.
    pub(crate) http: HttpPort,
    /// Topics to create before the node is ready.
    pub(crate) topics: Vec<TopicSpec>,
    /// Groups to create before the node is ready.
    pub(crate) groups: Vec<GroupName>,
    /// What it is to hold before it is ready.
    pub(crate) seed: Option<Seed>,
    /// Who is told which address.
    pub(crate) told: Told,
    /// What is to happen to requests, if anything is.
    pub(crate) faults: Option<Faults>,
    /// The data directory, if it is to disappear.
    pub(crate) ephemeral: Option<TempDir>,
    /// The file it came from, if there is one: what administrators change is written there.
    pub(crate) file: Option<SettingsFile>,
    /// Whether the broker's time stands still until it is moved.
    pub(crate) virtual_clock: bool,
}

impl NodeOptions {
    /// Where the data is.
    pub fn data_dir(&self) -> &Path {
        &self.broker.store.dir
    }
}

/// A topic as `--topic` writes it: `orders` or `orders:4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub(crate) name: TopicName,
    pub(crate) queues: Option<u32>,
}

impl FromStr for TopicSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, queues) = match text.rsplit_once(':') {
            Some((name, queues)) => (name, Some(queues)),
            None => (text, None),
        };
        let name = TopicName::parse(name).map_err(|error| error.to_string())?;
        let queues = queues
            .map(|queues| match queues.parse() {
                Ok(count @ 1..=1024) => Ok(count),
                _ => Err(format!("{queues:?} is no number of queues (1 to 1024)")),
            })
            .transpose()?;
        Ok(Self { name, queues })
    }
}

pub(super) fn resolve(
    flags: &Flags,
    layers: Layers,
    seed: Option<Seed>,
) -> Result<Loaded, ConfigError> {
    let mut resolver = Resolver {
        layers,
        bad: Vec::new(),
    };
    if flags.durable {
        resolver.durable(flags.role);
    }
    let ports = resolver.ports(flags);
    let (dir, ephemeral) = resolver.data_dir(flags)?;
    let mut told = Told::new(&flags.advertise);
    let in_container = container().is_some();
    let said = !flags.advertise.is_empty() || resolver.layers.holds("brokerIP1");
    let mut controller = resolver.controller(flags, &ports);
    let reaches_out = told.reaches_out(in_container) || resolver.controllers_are_elsewhere();
    let (listen, advertised) = resolver.addresses(reaches_out);
    if !said && listen.is_unspecified() {
        told.auto = true;
    }
    resolver.waiting(flags, &told);
    let name_servers = resolver.name_servers();
    let kv_config_path = resolver.layers.take("kvConfigPath").map_or_else(
        || dir.join("namesrv/kvConfig.json"),
        |given| given.value.into(),
    );
    let mut broker = BrokerOptions::new(StoreOptions::new(dir));
    (broker.broker_role, broker.broker_id) = resolver.broker_role();
    broker.listen_port = ports.broker;
    broker.broker_ip1.clone_from(&advertised);
    broker.advertised_port = told
        .others
        .as_ref()
        .and_then(|others| others.port)
        .unwrap_or(0);
    broker.broker_ip2 = advertised;
    let namesrv_port = own_name_server(ports.namesrv, listen, &broker, &name_servers);
    broker.namesrv_addr = name_servers
        .into_iter()
        .filter(|address| {
            !(flags.role.has_name_server() && is_own(address, namesrv_port, listen, &broker))
        })
        .collect::<Vec<_>>()
        .join(";");
    let mut namesrv = NamesrvOptions::new(kv_config_path);
    resolver.apply_rest(&mut broker, &mut namesrv, controller.as_mut());
    resolver.check_controllers(controller.as_ref());
    for retain in &flags.retain {
        match retain {
            Retain::For(age) => broker.store.retain_for = Some(*age),
            Retain::Bytes(bytes) => broker.store.retain_bytes = Some(*bytes),
        }
    }
    if seed.is_some() && flags.role != Role::All {
        let flag = Origin::Flag("--seed".to_owned());
        let message = "needs a name server and a broker in one process (--role all)";
        resolver.bad("--role", flag, message);
    }
    resolver.finish(NodeOptions {
        role: flags.role,
        listen,
        namesrv_port,
        namesrv,
        controller,
        broker,
        http: flags.http,
        topics: flags.topics.clone(),
        groups: flags.groups.clone(),
        seed,
        told,
        faults: Faults::new(&flags.faults, flags.fault_seed),
        ephemeral,
        file: None,
        virtual_clock: flags.virtual_clock,
    })
}

struct Ports {
    namesrv: Option<u16>,
    broker: u16,
    controller: Option<u16>,
}

struct Resolver {
    layers: Layers,
    bad: Vec<BadSetting>,
}

impl Resolver {
    fn bad(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
        self.bad.push(BadSetting {
            origin,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn warn(&mut self, text: String) {
        self.layers.warnings.push(text);
    }

    fn durable(&mut self, role: Role) {
        if !role.has_broker() {
            let flag = Origin::Flag("--durable".to_owned());
            let message = match role {
                Role::Controller => "a controller keeps no messages; leave the flag to the broker",
                _ => "a name server alone keeps no messages; leave the flag to the broker",
            };
            self.bad("flushDiskType", flag, message);
            return;
        }
        for (key, origin, message) in self.layers.make_durable() {
            self.bad(&key, origin, message);
        }
    }

    /// `listenPort` is the broker's port, or the name server's where there is no broker.
    fn ports(&mut self, flags: &Flags) -> Ports {
        let flag = |name: &str| Origin::Flag(name.to_owned());
        if !flags.role.has_broker() && flags.broker_port.is_some() {
            let message = format!("there is no broker with --role {}", flags.role.as_str());
            self.bad("listenPort", flag("--broker-port"), message);
        }
        if !flags.role.has_name_server() && flags.port.is_some() {
            let own = match flags.role {
                Role::Controller => "the controller's port is --controller-port",
                _ => "the broker's port is --broker-port",
            };
            let role = flags.role.as_str();
            let message = format!("there is no name server with --role {role}; {own}");
            self.bad("listenPort", flag("--port"), message);
        }
        let listen_port = self.layers.take("listenPort").and_then(|given| {
            let port = given.value.parse::<u16>();
            if port.is_err() {
                let message = format!(
                    "{:?} is no port (0 to 65535, 0 for any free one)",
                    given.value
                );
                self.bad("listenPort", given.origin, message);
            }
            port.ok()
        });
        let mut ports = Ports {
            namesrv: flags.port,
            broker: 0,
            controller: flags.controller_port,
        };
        match flags.role {
            Role::Namesrv => ports.namesrv = flags.port.or(listen_port),
            Role::Controller => {
                ports.controller = flags.controller_port.or(listen_port);
            }
            Role::All | Role::Broker => ports.broker = listen_port.unwrap_or(10911),
        }
        ports
    }

    /// The controller: a role of its own, or beside a name server as Apache's `enableControllerInNamesrv` has it.
    fn controller(&mut self, flags: &Flags, ports: &Ports) -> Option<ControllerOptions> {
        let beside = self.layers.take("enableControllerInNamesrv");
        let beside = beside.is_some_and(|given| {
            let wanted = given.value.parse();
            if wanted.is_err() {
                let message = format!("{:?} is not true or false", given.value);
                self.bad("enableControllerInNamesrv", given.origin, message);
            }
            wanted.unwrap_or(false) && flags.role.has_name_server()
        });
        if flags.role != Role::Controller && !beside {
            for (given, name) in [
                (flags.controller_port.is_some(), "--controller-port"),
                (flags.controller_peers.is_some(), "--controller-peers"),
                (flags.controller_id.is_some(), "--controller-id"),
            ] {
                if given {
                    let message = "there is no controller here (--role controller)";
                    self.bad("--role", Origin::Flag(name.to_owned()), message);
                }
            }
            return None;
        }
        Some(ControllerOptions {
            listen_port: ports.controller,
            ..ControllerOptions::default()
        })
    }

    /// Whether another machine has to reach this controller.
    fn controllers_are_elsewhere(&self) -> bool {
        let peers = self
            .layers
            .value("controllerDLegerPeers")
            .unwrap_or_default();
        let hosts = addresses(peers).filter_map(|peer| {
            let (_, address) = peer.split_once('-')?;
            Some(address.rsplit_once(':')?.0)
        });
        hosts.into_iter().any(|host| !is_loopback_host(host))
    }

    /// What makes no group of controllers is told with the other settings.
    fn check_controllers(&mut self, controller: Option<&ControllerOptions>) {
        if let Some(Err(error)) = controller.map(ControllerOptions::members) {
            let flag = Origin::Flag("--controller-peers".to_owned());
            self.bad("controllerDLegerPeers", flag, error.to_string());
        }
    }

    fn data_dir(&mut self, flags: &Flags) -> Result<(PathBuf, Option<TempDir>), ConfigError> {
        let given = self.layers.take("storePathRootDir");
        let no_dir = |error: &dyn std::fmt::Display| ConfigError::NoDataDir(error.to_string());
        let (dir, ephemeral) = if flags.ephemeral {
            let temporary = tempfile::Builder::new()
                .prefix("rmq-")
                .tempdir()
                .map_err(|error| no_dir(&error))?;
            (temporary.path().to_owned(), Some(temporary))
        } else if let Some(given) = given {
            (PathBuf::from(given.value), None)
        } else {
            let strategy = etcetera::choose_base_strategy().map_err(|error| no_dir(&error))?;
            (strategy.data_dir().join("rmq"), None)
        };
        self.log_dir(&dir, flags);
        Ok((dir, ephemeral))
    }

    /// The commit log is where Apache puts it by default; another place is refused rather than ignored.
    fn log_dir(&mut self, dir: &Path, flags: &Flags) {
        let Some(given) = self.layers.take("storePathCommitLog") else {
            return;
        };
        let wanted = Path::new(&given.value);
        if wanted == dir.join("commitlog") {
            return;
        }
        if flags.ephemeral || flags.data_dir.is_some() {
            let text = format!(
                "{}: storePathCommitLog is overridden: the commit log is in {}",
                given.origin,
                dir.join("commitlog").display()
            );
            self.warn(text);
            return;
        }
        let message = format!(
            "a commit log outside the store is not supported; it must be {}",
            dir.join("commitlog").display()
        );
        self.bad("storePathCommitLog", given.origin, message);
    }

    /// The address to bind and the address to tell clients.
    ///
    /// Loopback unless an address is told that others can reach: a broker nobody else is meant to use should not
    /// be open to the network, and one with `brokerIP1=10.0.0.5` is meant to be.
    fn addresses(&mut self, reaches_out: bool) -> (IpAddr, String) {
        let advertised = self.layers.take("brokerIP1").and_then(|given| {
            let host = given.value.trim();
            let with_port = host.parse::<SocketAddr>().is_ok()
                || (host.matches(':').count() == 1 && !host.starts_with('['));
            if host.is_empty() || with_port || host.contains(char::is_whitespace) {
                let message =
                    format!("{host:?} is no host; write an address or a name, without a port");
                self.bad("brokerIP1", given.origin, message);
                return None;
            }
            Some(host.to_owned())
        });
        let bind = self.layers.take("bindAddress").and_then(|given| {
            let address = resolve_host(given.value.trim());
            if address.is_none() {
                let message = format!("{:?} is no address of this machine", given.value);
                self.bad("bindAddress", given.origin, message);
            }
            address
        });
        let local = advertised.as_deref().is_none_or(is_loopback_host);
        let listen = bind.unwrap_or(if local && !reaches_out {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        });
        let advertised = advertised.unwrap_or_else(|| {
            let address = if listen.is_unspecified() {
                primary_address()
            } else {
                listen
            };
            address.to_string()
        });
        (listen, advertised)
    }

    /// A node that waits for its address must have a way to be told.
    fn waiting(&mut self, flags: &Flags, told: &Told) {
        if !told.wait {
            return;
        }
        let message = if told.others.is_some() {
            "wait, or HOST:PORT: a node that is told its address need not wait for it"
        } else if flags.http == HttpPort::Off {
            "wait needs the HTTP port (--http PORT), where the address is told"
        } else if !flags.role.has_broker() {
            "a name server alone has no address to wait for"
        } else {
            return;
        };
        self.bad("brokerIP1", Origin::Flag("--advertise".to_owned()), message);
    }

    fn name_servers(&mut self) -> Vec<String> {
        let Some(given) = self.layers.take("namesrvAddr") else {
            return Vec::new();
        };
        let mut name_servers = Vec::new();
        for address in addresses(&given.value) {
            let good = address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if good {
                name_servers.push(address.to_owned());
            } else {
                let message = format!("{address:?} is no name server; write host:port;host:port");
                self.bad("namesrvAddr", given.origin.clone(), message);
            }
        }
        name_servers
    }

    /// The role, and the id that goes with it: 0 for a master whatever the file says, as in Apache, and more for a
    /// slave.
    fn broker_role(&mut self) -> (BrokerRole, i64) {
        let mut role = BrokerRole::default();
        if let Some(given) = self.layers.take("brokerRole") {
            if let Ok(asked) = given.value.parse() {
                role = asked;
            } else {
                let message = format!(
                    "{:?} is not ASYNC_MASTER, SYNC_MASTER or SLAVE",
                    given.value
                );
                self.bad("brokerRole", given.origin, message);
            }
        }
        let slave = role == BrokerRole::Slave;
        let mut id = i64::from(slave);
        if let Some(given) = self.layers.take("brokerId") {
            match given.value.parse::<i64>() {
                Ok(1..) if !slave => {
                    self.warn(format!("{}: brokerId is 0 for a master", given.origin));
                }
                Ok(asked @ 1..) => id = asked,
                Ok(0) if !slave => {}
                Ok(_) => self.bad(
                    "brokerId",
                    given.origin,
                    "a slave's brokerId must be more than 0",
                ),
                Err(_) => {
                    let message = format!("{:?} is no whole number", given.value);
                    self.bad("brokerId", given.origin, message);
                }
            }
        }
        self.store_type();
        (role, id)
    }

    fn store_type(&mut self) {
        if let Some(given) = self.layers.take("storeType")
            && given.value != "default"
        {
            let message = format!("{:?} is not supported, only \"default\" is", given.value);
            self.bad("storeType", given.origin, message);
        }
    }

    /// Hands everything that is left to its owner, and tells what has none.
    fn apply_rest(
        &mut self,
        broker: &mut BrokerOptions,
        namesrv: &mut NamesrvOptions,
        mut controller: Option<&mut ControllerOptions>,
    ) {
        let layers = std::mem::take(&mut self.layers);
        self.layers.warnings.clone_from(&layers.warnings);
        let mut rest: Vec<_> = layers.into_rest().collect();
        // The flush interval belongs to a flush mode, so the mode is set first.
        rest.sort_by_key(|(key, _)| key != "flushDiskType");
        let mut without_effect = Vec::new();
        for (key, Given { value, origin }) in rest {
            let value = plain_size(&key, value);
            // Name servers and controllers share some keys.
            let of_controller = controller
                .as_mut()
                .and_then(|options| options.set(&key, &value));
            let of_name_server = namesrv.set(&key, &value);
            if let Some(done) = of_controller.or(of_name_server) {
                if let Err(message) = done {
                    self.bad(&key, origin, message);
                }
                continue;
            }
            match broker.set(&key, &value) {
                Ok(()) => {
                    if let Some(message) = out_of_range(&key, broker) {
                        self.bad(&key, origin, message);
                    }
                }
                Err(OptionError::Bad { expected, .. }) => {
                    self.bad(&key, origin, format!("{value:?} will not do: {expected}"));
                }
                Err(OptionError::Unknown { .. }) if is_access_control(&key, &value) => {
                    self.warn(format!(
                        "{origin}: {key}: there is no access control yet, everybody may do everything"
                    ));
                }
                Err(OptionError::Unknown { .. }) if is_apache_key(&key) => {
                    without_effect.push(format!("{key} ({origin})"));
                }
                Err(OptionError::Unknown { .. }) => match origin {
                    // On the command line it is a slip of the hand, and somebody is there to mend it.
                    Origin::Flag(_) => self.bad(&key, origin, "there is no such setting"),
                    _ => self.warn(format!("{origin}: unknown key {key}, ignored")),
                },
            }
        }
        if broker.lacks_total_replicas() {
            let origin = Origin::Flag("replication=majority".to_owned());
            self.bad(
                "totalReplicas",
                origin,
                "how many brokers of this name are there? Write 3 or 5",
            );
        }
        if broker.enable_controller_mode && broker.controllers().next().is_none() {
            let origin = Origin::Flag("enableControllerMode=true".to_owned());
            self.bad(
                "controllerAddr",
                origin,
                "where are the controllers? Write host:port, several with `;` between them",
            );
        }
        if !without_effect.is_empty() {
            self.warn(format!(
                "settings of Apache's without effect here so far: {}",
                without_effect.join(", ")
            ));
        }
    }

    fn finish(mut self, options: NodeOptions) -> Result<Loaded, ConfigError> {
        if !self.bad.is_empty() {
            self.bad.sort_by_key(|bad| match &bad.origin {
                Origin::File { line, .. } => *line,
                _ => usize::MAX,
            });
            return Err(ConfigError::Settings(self.bad));
        }
        Ok(Loaded {
            options,
            warnings: self.layers.warnings,
        })
    }
}

/// With `--role all`, the port in `namesrvAddr` that means this machine is where the name server listens.
fn own_name_server(
    port: Option<u16>,
    listen: IpAddr,
    broker: &BrokerOptions,
    name_servers: &[String],
) -> u16 {
    let written = || {
        name_servers.iter().find_map(|address| {
            let (host, port) = address.rsplit_once(':')?;
            is_this_machine(host, listen, broker).then(|| port.parse().ok())?
        })
    };
    port.or_else(written).unwrap_or(NAME_SERVER_PORT)
}

fn is_access_control(key: &str, value: &str) -> bool {
    ["aclEnable", "authenticationEnabled", "authorizationEnabled"].contains(&key)
        && value.eq_ignore_ascii_case("true")
}

/// Sizes may be written with a unit, which Apache's files do not have.
fn plain_size(key: &str, value: String) -> String {
    let is_size = key.contains("Size") || key.contains("Bytes");
    match parse_bytes(&value) {
        Ok(bytes) if is_size => bytes.to_string(),
        _ => value,
    }
}

fn out_of_range(key: &str, broker: &BrokerOptions) -> Option<String> {
    let store = &broker.store;
    match key {
        "mappedFileSizeCommitLog" if !LOG_FILE_BYTES.contains(&store.log_file_bytes) => {
            Some(format!(
                "must be between {} and {} bytes",
                LOG_FILE_BYTES.start(),
                LOG_FILE_BYTES.end()
            ))
        }
        "mappedFileSizeConsumeQueue"
            if !(20..=i32::MAX as u64).contains(&store.queue_file_bytes) =>
        {
            Some(format!("must be between 20 and {} bytes", i32::MAX))
        }
        "mapperFileSizeBatchConsumeQueue"
            if !(46..=i32::MAX as u64).contains(&store.batch_queue_file_bytes) =>
        {
            Some(format!("must be between 46 and {} bytes", i32::MAX))
        }
        "maxHashSlotNum" if store.index_slots == 0 => Some("must be at least 1".to_owned()),
        "maxIndexNum" if store.index_entries < 2 => Some("must be at least 2".to_owned()),
        "maxMessageSize" if store.message_max < 1024 => {
            Some("must be at least 1024 bytes".to_owned())
        }
        _ => None,
    }
}

fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_this_machine(host: &str, listen: IpAddr, broker: &BrokerOptions) -> bool {
    is_loopback_host(host) || host == listen.to_string() || host == broker.broker_ip1
}

fn is_own(address: &str, namesrv_port: u16, listen: IpAddr, broker: &BrokerOptions) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse() == Ok(namesrv_port) && is_this_machine(host, listen, broker)
    })
}

fn resolve_host(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let found: Vec<_> = (host, 0).to_socket_addrs().ok()?.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).map(SocketAddr::ip)
}

/// The address other machines most likely reach this one by: that of the route to the rest of the world.
/// Connecting a datagram socket only looks the route up; nothing is sent.
fn primary_address() -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or(loopback, |address| address.ip())
}
