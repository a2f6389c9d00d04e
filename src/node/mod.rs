//! Composition: configuration, ports, the roles, their start and their end.
//!
//! [`config::load`] makes [`NodeOptions`], [`Node::start`] makes a node of them. It returns when a message sent to the
//! node would be accepted: the store is recovered, the ports take connections, and the broker is registered with the
//! name server of the same process. Order of the start: ports, controller, name server, store and broker, topics,
//! registration. The end runs the other way, so that no client is sent to a broker that is gone.
//!
//! Absent on purpose: printing and exit codes, which belong to `cli`.

pub mod config;
mod http;
pub(crate) mod machine;
mod ports;
mod ready;
pub mod saved;
mod seeding;
mod supervise;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::base::GroupName;
use crate::broker::{Broker, BrokerError, BrokerOptions, Faults, Keep, Membership, Port, Settings};
use crate::controller::{Controller, ControllerOptions, ControllerPort};
use crate::namesrv::{NameServer, NamesrvOptions, Peers};
use crate::remoting::{self, ConnLimits, Server};
use crate::store::{RecoveryReport, StoreError};
use config::advertise::Told;
use config::seed::Seed;
use config::{HttpPort, SettingsFile};
use http::{HttpServer, Watched};
use ports::{BrokerPorts, Claim, broker_ports};
use seeding::Ground;
use supervise::{Beside, Supervised};

pub use ready::ReadyInfo;
pub use seeding::Seeded;

pub(crate) use crate::sys::Clock;
pub(crate) use crate::sys::process::ProcessWatch;
pub(crate) use crate::sys::signal::StopSignals;
pub use config::{NodeOptions, Retain, Role, TopicSpec};

/// How long connections may take to write out their last answers.
const GRACE: Duration = Duration::from_secs(3);
/// How long the start waits for a name server. A broker works without one, so it does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a node that is to end when it is idle looks whether it is.
const IDLE_LOOK_MIN: Duration = Duration::from_millis(20);
const IDLE_LOOK_MAX: Duration = Duration::from_secs(5);

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Somebody else listens there.
    #[error("port {} is in use ({address})", address.port())]
    PortTaken {
        /// The address wanted.
        address: SocketAddr,
        /// The flag that would change it.
        flag: &'static str,
    },
    /// The system does not let this user have the port.
    #[error("not permitted to listen on {address}")]
    PortForbidden {
        /// The address wanted.
        address: SocketAddr,
        /// The flag that would change it.
        flag: &'static str,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address wanted.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error("{0}")]
    DataDirTaken(StoreError),
    /// The data directory cannot be written.
    #[error("{0}")]
    DataDirForbidden(StoreError),
    /// What `--seed` asks for cannot be done.
    #[error("the seed file: {0}")]
    Seed(String),
    /// A role cannot start for another reason.
    #[error("{0}")]
    Role(String),
}

impl From<BrokerError> for NodeError {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Store(store @ StoreError::InUse { .. }) => Self::DataDirTaken(store),
            BrokerError::Store(StoreError::Io {
                action,
                path,
                source,
            }) if matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
            {
                Self::DataDirForbidden(StoreError::Io {
                    action,
                    path,
                    source,
                })
            }
            other => Self::Role(other.to_string()),
        }
    }
}

/// A running node. Dropping it ends it like a crash; [`Node::stop`] ends it in order.
#[derive(Debug)]
pub struct Node {
    ready: ReadyInfo,
    http: Option<(HttpServer, Arc<Watched>)>,
    controller: Option<(Server, Arc<Controller>)>,
    namesrv: Option<(Server, Arc<NameServer>)>,
    broker: Option<Supervised>,
    ephemeral: Option<TempDir>,
}

struct RunningBroker {
    broker: Arc<Broker>,
    servers: Vec<Server>,
    /// A slave's: it may be a master's soon, and anybody's connection could take it meanwhile.
    _ha_port: Option<Claim>,
}

impl fmt::Debug for RunningBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningBroker")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts everything and returns when messages are accepted. Needs a multi-threaded tokio runtime.
    pub async fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let clock = if options.virtual_clock {
            Clock::manual(Clock::machine_ms())
        } else {
            Clock::System
        };
        let Claims {
            controller: controller_claim,
            namesrv: namesrv_claim,
            broker: broker_claims,
        } = claims(&options)?;
        let mut ready = ReadyInfo::of(&options);
        let http = start_http(&options)?;
        ready.http = http.as_ref().map(|(server, _)| server.address());
        let dir = options.broker.store.dir.join("controller");
        let controller = match controller_claim.zip(options.controller) {
            Some((claim, given)) => Some(start_controller(given, &dir, claim, &mut ready).await?),
            None => None,
        };
        if let (Some((_, watched)), Some((_, controller))) = (&http, &controller) {
            watched.controls(Arc::clone(controller));
        }

        let mut broker_options = options.broker;
        if let Some(claims) = &broker_claims {
            broker_options.listen_port = claims.main.address().port();
        }
        if options.told.wait
            && let Some((server, watched)) = &http
        {
            let told = watched.asked_for_address(server.address()).await;
            broker_options.broker_ip1.clone_from(&told.host);
            broker_options.advertised_port = told.port.unwrap_or(0);
        }
        let namesrv = match namesrv_claim {
            Some(claim) => {
                let peers = peers(&options.told, &broker_options);
                Some(start_name_server(options.namesrv, peers, claim)?)
            }
            None => None,
        };
        ready.namesrv = namesrv.as_ref().map(|(server, _)| server.local_addr());
        let mut broker = None;
        if let Some(claims) = broker_claims {
            if let Some(own) = ready.namesrv {
                let own = format!("{}:{}", ReadyInfo::local_host(own), own.port());
                broker_options.namesrv_addr = match broker_options.namesrv_addr.as_str() {
                    "" => own,
                    others => format!("{own};{others}"),
                };
            }
            ready.advertised = Some(broker_options.address());
            ready.broker_name = Some(broker_options.broker_name.clone());
            ready.name_servers = broker_options.name_servers().map(str::to_owned).collect();
            ready.broker = Some(claims.main.address());
            ready.broker_vip = claims.vip.as_ref().map(Claim::address);
            let faults = options.faults.map(Arc::new);
            let membership = Membership::join(&broker_options);
            let beside = Beside {
                clock: clock.clone(),
                faults: faults.clone(),
                member: membership.as_ref().map(Membership::member),
                settings: Arc::new(settings(options.file, &clock)),
            };
            let running =
                RunningBroker::start(broker_options.clone(), claims, beside.clone()).await?;
            ready.topics = running.create_topics(&options.topics);
            ready.groups = running.create_groups(&options.groups);
            running.register(&ready.name_servers).await;
            match seeded(options.seed.as_ref(), &ready, &broker_options, &clock).await {
                Ok(seeded) => ready.seeded = seeded,
                Err(error) => {
                    running.stop().await;
                    return Err(error);
                }
            }
            if let Some(faults) = &faults {
                faults.arm();
            }
            let watched = http.as_ref().map(|(_, watched)| Arc::clone(watched));
            let first = Arc::clone(&running.broker);
            let anew = supervise::Anew {
                options: broker_options,
                listen: options.listen,
                watched,
                beside,
            };
            broker = Some((first, Supervised::new(running, anew, membership)));
        }
        if let Some((_, watched)) = &http {
            watched.serving(broker.as_ref().map(|(first, _)| Arc::clone(first)));
        }
        Ok(Self {
            ready,
            http,
            controller,
            namesrv,
            broker: broker.map(|(_, supervised)| supervised),
            ephemeral: options.ephemeral,
        })
    }

    /// Where the node is reached.
    pub fn ready(&self) -> &ReadyInfo {
        &self.ready
    }

    /// Completes once no client has been connected for so long. Brokers that register, and whoever looks at the HTTP port,
    /// do not count.
    pub async fn idle(&self, limit: Duration) {
        let step = (limit / 20).clamp(IDLE_LOOK_MIN, IDLE_LOOK_MAX);
        let mut looks = tokio::time::interval(step);
        let (mut since, mut accepted) = (Instant::now(), 0);
        loop {
            looks.tick().await;
            let (clients, accepted_now) = self.clients();
            if clients > 0 || accepted_now != accepted {
                (since, accepted) = (Instant::now(), accepted_now);
            } else if since.elapsed() >= limit {
                return;
            }
        }
    }

    /// How many clients are connected, and how many connections there have been: one that came and went between two
    /// looks is a client as well.
    fn clients(&self) -> (usize, u64) {
        let mut sum = (0, 0);
        if let Some((server, name_server)) = &self.namesrv {
            let brokers = name_server.broker_connections();
            sum = (
                server.connections().saturating_sub(brokers),
                server.accepted(),
            );
        }
        if let Some((server, _)) = &self.controller {
            sum = (sum.0 + server.connections(), sum.1 + server.accepted());
        }
        if let Some(broker) = &self.broker {
            let (open, all) = broker.connections();
            sum = (sum.0 + open, sum.1 + all);
        }
        sum
    }

    /// Stops in order: the broker takes leave of its name servers, answers what waits and closes its store; then the
    /// name server goes.
    pub async fn stop(self) {
        if let Some((_, watched)) = &self.http {
            watched.stopping();
        }
        if let Some(supervised) = self.broker {
            supervised.stop().await;
        }
        if let Some((server, _)) = self.namesrv {
            server.shutdown(GRACE).await;
        }
        if let Some((server, controller)) = self.controller {
            server.shutdown(GRACE).await;
            controller.stop().await;
        }
        if let Some(dir) = self.ephemeral
            && let Err(error) = dir.close()
        {
            tracing::warn!(%error, "the temporary data directory could not be removed");
        }
    }
}

impl RunningBroker {
    /// Answers what waits and closes the store.
    async fn stop(self) {
        for server in &self.servers {
            server.shutdown(GRACE).await;
        }
        if let Err(error) = self.broker.shutdown().await {
            tracing::error!(%error, "the store was not closed in order");
        }
    }

    async fn start(
        options: BrokerOptions,
        claims: BrokerPorts,
        beside: Beside,
    ) -> Result<Self, NodeError> {
        let Beside {
            clock,
            faults,
            member,
            settings,
        } = beside;
        // Recovery reads the log, which may take a while; the runtime's threads stay free for signals.
        let starting = move || Broker::start_in(options, clock, member, settings);
        let opened = tokio::task::spawn_blocking(starting).await;
        let (broker, report) = match opened {
            Ok(started) => started?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        tell_recovery(&report);
        broker.yield_to_rival().await;
        match Self::listen(&broker, claims, faults) {
            Ok((servers, ha_port)) => Ok(Self {
                broker,
                servers,
                _ha_port: ha_port,
            }),
            Err(refused) => {
                // Left open, the store would look like one after a crash.
                if let Err(error) = broker.shutdown().await {
                    tracing::error!(%error, "the store was not closed in order");
                }
                Err(refused)
            }
        }
    }

    fn listen(
        broker: &Arc<Broker>,
        claims: BrokerPorts,
        faults: Option<Arc<Faults>>,
    ) -> Result<(Vec<Server>, Option<Claim>), NodeError> {
        let mut servers = vec![serve(
            claims.main,
            Port::main(Arc::clone(broker), faults.clone()),
        )?];
        if let Some(vip) = claims.vip {
            servers.push(serve(vip, Port::vip(Arc::clone(broker), faults))?);
        }
        let mut kept = claims.ha;
        if !broker.is_slave()
            && let Some(ha) = kept.take()
        {
            broker.serve_slaves(|| ha.listen())?;
        }
        Ok((servers, kept))
    }

    /// Creates the topics asked for; says how many queues each has. A slave's topics are its master's.
    fn create_topics(&self, topics: &[TopicSpec]) -> Vec<(String, u32)> {
        let own = topics.iter().filter(|_| !self.broker.is_slave());
        own.map(|spec| {
            let queues = self.broker.create_topic(&spec.name, spec.queues);
            (spec.name.to_string(), queues)
        })
        .collect()
    }

    /// Creates the groups asked for; those of a slave are its master's.
    fn create_groups(&self, groups: &[GroupName]) -> Vec<String> {
        let own = groups.iter().filter(|_| !self.broker.is_slave());
        own.map(|group| {
            self.broker.create_group(group);
            group.to_string()
        })
        .collect()
    }

    /// How many connections are open, and how many there have been.
    fn connections(&self) -> (usize, u64) {
        let servers = self.servers.iter();
        servers.fold((0, 0), |(open, all), server| {
            (open + server.connections(), all + server.accepted())
        })
    }

    /// Registers with the name servers, and waits a while for one that answers.
    async fn register(&self, name_servers: &[String]) {
        if name_servers.is_empty() {
            return;
        }
        self.broker.announce();
        let registered = tokio::time::timeout(PATIENCE, self.broker.registered()).await;
        if registered.is_err() {
            tracing::warn!(
                name_servers = name_servers.join(";"),
                "no name server has answered so far; clients cannot find this broker until one does"
            );
        }
    }
}

/// The ports of the roles.
struct Claims {
    controller: Option<Claim>,
    namesrv: Option<Claim>,
    broker: Option<BrokerPorts>,
}

/// Takes the ports of the roles, before anything is opened.
fn claims(options: &NodeOptions) -> Result<Claims, NodeError> {
    let controller = options
        .controller
        .as_ref()
        .map(|controller| Claim::new(options.listen, controller.port(), "--controller-port"));
    let namesrv = options
        .role
        .has_name_server()
        .then(|| Claim::new(options.listen, options.namesrv_port, "--port"))
        .transpose()?;
    let broker = options
        .role
        .has_broker()
        .then(|| {
            let ha = Some(options.broker.ha_listen_port).filter(|port| *port != 0);
            broker_ports(options.listen, options.broker.listen_port, ha)
        })
        .transpose()?;
    Ok(Claims {
        controller: controller.transpose()?,
        namesrv,
        broker,
    })
}

/// Starts the controller, and waits a while until the controllers have a leader.
async fn start_controller(
    options: ControllerOptions,
    dir: &Path,
    claim: Claim,
    ready: &mut ReadyInfo,
) -> Result<(Server, Arc<Controller>), NodeError> {
    let port = claim.address().port();
    ready
        .controllers
        .clone_from(&options.controller_dleger_peers);
    let started = Controller::start(options, dir, port).await;
    let controller = started.map_err(|error| NodeError::Role(error.to_string()))?;
    let server = serve(claim, Arc::new(ControllerPort(Arc::clone(&controller))))?;
    ready.controller = Some(server.local_addr());
    if tokio::time::timeout(PATIENCE, controller.led())
        .await
        .is_err()
    {
        tracing::warn!(
            "no controller leads so far: more than half of {} must run",
            ready.controllers.as_deref().unwrap_or("one")
        );
    }
    Ok((server, controller))
}

fn start_name_server(
    options: NamesrvOptions,
    peers: Option<Peers>,
    claim: Claim,
) -> Result<(Server, Arc<NameServer>), NodeError> {
    let options = NamesrvOptions {
        listen_port: claim.address().port(),
        peers,
        ..options
    };
    // Brokers prove that they live in real time, whatever the time of the messages.
    let name_server = NameServer::start(options, Clock::System)
        .map_err(|error| NodeError::Role(error.to_string()))?;
    let server = serve(claim, Arc::clone(&name_server))?;
    Ok((server, name_server))
}

/// Puts into the node what the seed file says, if there is one.
async fn seeded(
    seed: Option<&Seed>,
    ready: &ReadyInfo,
    broker: &BrokerOptions,
    clock: &Clock,
) -> Result<Option<Seeded>, NodeError> {
    let (Some(seed), Some(namesrv), Some(at)) = (seed, ready.namesrv, ready.broker) else {
        return Ok(None);
    };
    let ground = Ground {
        namesrv,
        broker: at,
        queues: u32::try_from(broker.default_topic_queue_nums).unwrap_or(1),
        clock,
    };
    seeding::sow(seed, ground).await.map(Some)
}

/// What administrators change; it is written into the file the node was started with.
fn settings(file: Option<SettingsFile>, clock: &Clock) -> Settings {
    let keep = file.map(|file| -> Keep { Box::new(move |changes| file.keep(changes)) });
    Settings::new(keep, clock.now_ms())
}

/// Who is told something else than the address that the broker registers.
fn peers(told: &Told, broker: &BrokerOptions) -> Option<Peers> {
    let anything = told.auto || told.wait || told.others.is_some() || !told.ranges.is_empty();
    // The addresses of a container are nobody else's; where there is a better one, that is told.
    let better = told.others.is_some() && machine::container().is_some();
    let ranges = told.ranges.iter();
    anything.then(|| Peers {
        registered: broker.address(),
        port: broker.listen_port,
        ranges: ranges
            .map(|(range, address)| (*range, address.with_port(broker.listen_port)))
            .collect(),
        follow: told.auto && !better,
    })
}

fn tell_recovery(report: &RecoveryReport) {
    tracing::info!(?report, "store opened");
    for (position, length) in &report.damaged {
        tracing::warn!(position, length, "damaged bytes in the commit log");
    }
    if let Some((position, length)) = report.cut {
        tracing::warn!(
            position,
            length,
            "an unfinished record was cut off the end of the commit log"
        );
    }
}

fn start_http(options: &NodeOptions) -> Result<Option<(HttpServer, Arc<Watched>)>, NodeError> {
    let watched = Arc::new(Watched::default());
    let start = |port| {
        let claim = Claim::new(options.listen, port, "--http")?;
        HttpServer::start(claim, Arc::clone(&watched))
    };
    let server = match options.http {
        HttpPort::Off => return Ok(None),
        HttpPort::At(port) => start(port)?,
        HttpPort::Usual if options.told.wait => start(config::USUAL_HTTP_PORT)?,
        // Not asked for: done without if somebody else has the port. Of two nodes that start together both can bind it,
        // and only one can listen.
        HttpPort::Usual => match start(config::USUAL_HTTP_PORT) {
            Ok(server) => server,
            Err(error) => {
                tracing::info!("no /metrics and /readyz: {error}");
                return Ok(None);
            }
        },
    };
    Ok(Some((server, watched)))
}

fn serve<S: remoting::Service>(claim: Claim, service: Arc<S>) -> Result<Server, NodeError> {
    let address = claim.address();
    remoting::serve(claim.listen()?, service, ConnLimits::default())
        .map_err(|source| NodeError::Listen { address, source })
}
