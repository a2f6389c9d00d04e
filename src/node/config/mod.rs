//! From flags, environment and file to the options of a node.
//!
//! A setting has Apache's name everywhere: `listenPort` in a file, `RMQ_LISTEN_PORT` in the environment,
//! `--set listenPort=…` on the command line. The first of flag, environment and file that has it wins. A value that
//! cannot be used is an error naming its place; a name nobody knows is a warning.
//!
//! Absent on purpose: defaults. They live with the options of the broker, the store and the name server.

pub(crate) mod advertise;
mod apache_keys;
mod durable;
mod file;
mod layers;
mod properties;
mod resolve;
mod retain;
pub(crate) mod seed;
mod yaml;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use file::SettingsFile;
use layers::Layers;
pub(crate) use layers::is_setting_variable;

use crate::base::GroupName;
pub use crate::broker::FaultSpec;
pub use advertise::{Advertise, HostPort};
pub use resolve::{NodeOptions, TopicSpec};
pub use retain::Retain;
use seed::Seed;

/// The roles one process can play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Name server and broker.
    #[default]
    All,
    /// Only the name server.
    Namesrv,
    /// Only the broker.
    Broker,
    /// Only the controller, which elects the masters of brokers.
    Controller,
}

impl Role {
    /// Whether this node has a name server.
    pub fn has_name_server(self) -> bool {
        matches!(self, Self::All | Self::Namesrv)
    }

    /// Whether this node has a broker.
    pub fn has_broker(self) -> bool {
        matches!(self, Self::All | Self::Broker)
    }

    /// As the command line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Namesrv => "namesrv",
            Self::Broker => "broker",
            Self::Controller => "controller",
        }
    }
}

/// Where the node answers those who watch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpPort {
    /// On [`USUAL_HTTP_PORT`], if it is free.
    #[default]
    Usual,
    /// On this port; 0 for any free one.
    At(u16),
    /// Nowhere.
    Off,
}

/// The HTTP port of a node that was not told one.
pub const USUAL_HTTP_PORT: u16 = 8082;

impl std::str::FromStr for HttpPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "write a port, 0 for any free one, or off".to_owned())
    }
}

/// What the command line says. `None` and empty mean "not said".
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Flags {
    /// `--role`.
    pub role: Role,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--ephemeral`.
    pub ephemeral: bool,
    /// `--virtual-clock`: time stands still until `rmq clock advance` moves it.
    pub virtual_clock: bool,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--port`: the name server's.
    pub port: Option<u16>,
    /// `--broker-port`.
    pub broker_port: Option<u16>,
    /// `--controller-port`.
    pub controller_port: Option<u16>,
    /// `--controller-peers`: all controllers of the group.
    pub controller_peers: Option<String>,
    /// `--controller-id`: which of them this one is.
    pub controller_id: Option<String>,
    /// `--http`.
    pub http: HttpPort,
    /// `--advertise`.
    pub advertise: Vec<Advertise>,
    /// `--namesrv`: name servers to register with.
    pub namesrv: Option<String>,
    /// `--fsync`: whether an acknowledgement waits for the disk.
    pub fsync: Option<bool>,
    /// `SLAVE` with `--role slave`: the broker follows a master.
    pub broker_role: Option<String>,
    /// `--master`: the remoting address of that master.
    pub master: Option<String>,
    /// `--durable`: every setting that could lose an acknowledged message is closed.
    pub durable: bool,
    /// `--topic`.
    pub topics: Vec<TopicSpec>,
    /// `--group`.
    pub groups: Vec<GroupName>,
    /// `--seed`: a file of topics, groups and messages to begin with.
    pub seed: Option<PathBuf>,
    /// `--retain`.
    pub retain: Vec<Retain>,
    /// `--segment`: bytes of a file of the commit log; the other files follow from it.
    pub segment_bytes: Option<u64>,
    /// `--auto-create`: whether a send to an unknown topic creates it.
    pub auto_create: Option<bool>,
    /// `--max-message`, in bytes.
    pub message_bytes_max: Option<u64>,
    /// `--fault`.
    pub faults: Vec<FaultSpec>,
    /// `--fault-seed`.
    pub fault_seed: u64,
    /// `--set`: any of Apache's settings.
    pub settings: Vec<(String, String)>,
}

/// Options together with what should be said about the settings they came from.
#[derive(Debug)]
pub struct Loaded {
    /// The options.
    pub options: NodeOptions,
    /// One line each.
    pub warnings: Vec<String>,
}

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {key}: {message}")]
pub struct BadSetting {
    /// Where it stands.
    pub origin: Origin,
    /// Its name.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is neither properties nor YAML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Values that cannot be used, in the order of their places.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n     "))]
    Settings(Vec<BadSetting>),
    /// There is no place for the data.
    #[error("no data directory: {0}")]
    NoDataDir(String),
}

/// One setting as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
    line: usize,
}

/// What is wrong with a file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SyntaxError {
    line: usize,
    message: String,
}

/// Puts flags, environment (name and value pairs) and the file together.
pub fn load(
    flags: &Flags,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let given = flags
        .config
        .as_deref()
        .map(|path| Ok((path, read_file(path)?)))
        .transpose()?;
    let layers = layers(flags, &environment, given);
    let seed = flags.seed.as_deref().map(read_seed).transpose()?;
    let mut loaded = resolve::resolve(flags, layers, seed)?;
    loaded.options.file = SettingsFile::of(flags, environment);
    Ok(loaded)
}

/// Everything that was said, with what the file says.
fn layers(
    flags: &Flags,
    environment: &[(String, String)],
    file: Option<(&Path, Vec<Entry>)>,
) -> Layers {
    let mut layers = Layers::default();
    if flags.role == Role::Broker {
        layers.add_java_environment(environment);
    }
    if let Some((path, entries)) = file {
        layers.add_file(path, entries);
    }
    layers.add_environment(environment.iter().cloned());
    layers.add_flags(flags);
    layers
}

fn read_seed(path: &Path) -> Result<Seed, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Seed::parse(&bytes).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.line,
        message: error.message,
    })
}

fn read_file(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, ConfigError> {
    let entries = if is_yaml(path, bytes) {
        yaml::parse(bytes)
    } else {
        properties::parse(bytes)
    };
    entries.map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.line,
        message: error.message,
    })
}

/// The extension decides; without a telling one, a first line `---` or `%YAML` does. `key: value` alone says
/// nothing, because it is good properties syntax too.
fn is_yaml(path: &Path, bytes: &[u8]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("yaml" | "yml") => true,
        Some("properties") => false,
        _ => bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .find(|line| !line.is_empty() && !line.starts_with(b"#"))
            .is_some_and(|line| line.starts_with(b"---") || line.starts_with(b"%YAML")),
    }
}

#[cfg(test)]
mod tests;
