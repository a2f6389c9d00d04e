//! The options of `rmq serve`.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::base::GroupName;
use crate::base::units::{parse_bytes, parse_duration};
use crate::node::Retain;
use crate::node::config::{Advertise, FaultSpec, HttpPort, TopicSpec};

/// Frames end at 16 MiB, header and properties included.
const MESSAGE_BYTES_MAX: u64 = 15 << 20;

const EXAMPLES: &str = "\
Examples:
  rmq serve                                            data is kept, ports 9876 and 10911
  rmq serve --ephemeral --port 0 --ready-file r.json --parent-pid $$ --seed data.yaml
  rmq serve --segment 16MiB --retain 1h,2GiB           small files, little disk
  rmq serve --role controller                          elects masters; brokers with enableControllerMode=true

A seed file, every part of which may be left out:
  topics:
    - orders:4                        # NAME or NAME:QUEUES, or in full:
    - name: ledger
      queues: 1
      order: true
      attributes: {message.type: FIFO}
  groups:
    - billing                         # or in full:
    - {name: audit, retryMax: 3, orderly: true, enabled: true, broadcast: false, attributes: {}}
  messages:
    - topic: orders
      body: hello                     # text; a list or a mapping becomes JSON
      keys: [a, b]                    # or one key
      tag: paid
      properties: {trace: abc}
      delay: 10s                      # or delayLevel: 3
      queue: 0                        # or orderKey: user-7; otherwise the queues take turns
Messages go only into topics that hold none. An unknown key is an error that names its line.

Addresses: --advertise 10.0.0.0/8=10.0.0.5,auto,localhost:32768
  The name server answers each client by its connection, in this order: a CIDR=HOST[:PORT] that holds the client's address;
  the loopback address, if the client connected to that; with auto, the address it connected to, unless that is a container's
  own and another is given; HOST[:PORT]. Other name servers are told HOST[:PORT] (Apache's brokerIP1).
  wait: binds the ports, answers /livez, and registers and becomes ready after `rmq advertise HOST:PORT`.

Faults: --fault send:busy:5% --fault pull:delay:200ms --fault ack:error:flow_control:x3
  operations  send pull pop ack invisible retry commit heartbeat lock transaction query all, or a request code
  kinds       busy, error:CODE (number or Apache's name), delay:TIME, drop (no answer), close (the connection)
  5%          so many of the requests, chosen by --fault-seed; without it all of them
  x3          only the first three that the rule looks at
The first rule that hits a request decides. What --topic, --group and --seed do is never hit.";

/// Run the node: name server and broker
///
/// Settings come from flags, then the environment (RMQ_LISTEN_PORT for listenPort), then the file given with
/// --config, then Apache's defaults. Any setting of broker.conf can be given with --set.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// What this process is
    #[arg(
        long,
        value_enum,
        default_value = "all",
        env = "RMQ_ROLE",
        hide_env_values = true
    )]
    pub(super) role: RoleArg,
    /// The master that a slave follows; without it the name servers are asked
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "RMQ_MASTER",
        hide_env_values = true
    )]
    pub(super) master: Option<String>,
    /// Configuration file: Apache's broker.conf, or the same keys in YAML
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "RMQ_CONFIG",
        hide_env_values = true
    )]
    pub(super) config: Option<PathBuf>,
    /// Where the data is kept [default: the platform's data directory]
    #[arg(long, value_name = "DIR", env = "RMQ_DATA_DIR", hide_env_values = true)]
    pub(super) data_dir: Option<PathBuf>,
    /// Keep the data in a temporary directory that disappears at the end
    #[arg(
        long,
        conflicts_with = "data_dir",
        env = "RMQ_EPHEMERAL",
        hide_env_values = true
    )]
    pub(super) ephemeral: bool,
    /// Time stands still until `rmq clock advance` moves it: delays, retries and retention in the hands of a test
    #[arg(long, env = "RMQ_VIRTUAL_CLOCK", hide_env_values = true)]
    pub(super) virtual_clock: bool,
    /// Address to listen on; ADDR:0 takes free ports [default: 127.0.0.1; all addresses if another one is advertised]
    #[arg(long, value_name = "ADDR", env = "RMQ_LISTEN", hide_env_values = true)]
    pub(super) listen: Option<String>,
    /// Port of the name server, 0 for any free one [default: 9876]
    #[arg(long, value_name = "PORT", env = "RMQ_PORT", hide_env_values = true)]
    pub(super) port: Option<u16>,
    /// Port of the broker, 0 for any free one; the port two below is taken as well [default: 10911]
    #[arg(
        long,
        value_name = "PORT",
        env = "RMQ_BROKER_PORT",
        hide_env_values = true
    )]
    pub(super) broker_port: Option<u16>,
    /// Port of the controller, 0 for any free one [default: that of its own entry in --controller-peers, or 9878]
    #[arg(
        long,
        value_name = "PORT",
        env = "RMQ_CONTROLLER_PORT",
        hide_env_values = true
    )]
    pub(super) controller_port: Option<u16>,
    /// All controllers of the group, 1, 3 or 5 of them, the same list for each: n0-HOST:PORT;n1-HOST:PORT;n2-HOST:PORT
    #[arg(
        long,
        value_name = "ID-HOST:PORT;…",
        env = "RMQ_CONTROLLER_PEERS",
        hide_env_values = true
    )]
    pub(super) controller_peers: Option<String>,
    /// Which of them this one is
    #[arg(
        long,
        value_name = "ID",
        env = "RMQ_CONTROLLER_ID",
        hide_env_values = true
    )]
    pub(super) controller_id: Option<String>,
    /// Port of /livez, /readyz and /metrics; 0 for any free one, off for none [default: 8082 if it is free]
    #[arg(long, value_name = "PORT", env = "RMQ_HTTP", hide_env_values = true)]
    pub(super) http: Option<HttpPort>,
    /// Address that clients are told to connect to: HOST[:PORT], auto, CIDR=HOST[:PORT], or wait (see below)
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        env = "RMQ_ADVERTISE",
        hide_env_values = true
    )]
    pub(super) advertise: Vec<Advertise>,
    /// When an acknowledged message is on the disk: `interval` soon after, `always` before
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        default_missing_value = "always",
        env = "RMQ_FSYNC",
        hide_env_values = true
    )]
    pub(super) fsync: Option<Fsync>,
    /// Lose nothing that was acknowledged: closes every link that `rmq doctor` looks at
    ///
    /// SYNC_FLUSH; a filling disk refuses new messages instead of deleting unread ones; transactions are asked about for
    /// a day; messages are kept for 168 hours; unknown topics are refused, because a mistyped name is a message nobody
    /// reads. The last two may be set otherwise; settings that contradict the others are refused.
    #[arg(
        long,
        conflicts_with = "ephemeral",
        env = "RMQ_DURABLE",
        hide_env_values = true
    )]
    pub(super) durable: bool,
    /// Create these topics before the node is ready
    #[arg(long = "topic", value_name = "NAME[:QUEUES]", value_delimiter = ',')]
    pub(super) topics: Vec<TopicSpec>,
    /// Create these consumer groups before the node is ready
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',', value_parser = group_name)]
    pub(super) groups: Vec<GroupName>,
    /// Begin with the topics, groups and messages of this file (YAML, see below)
    #[arg(long, value_name = "FILE", env = "RMQ_SEED", hide_env_values = true)]
    pub(super) seed: Option<PathBuf>,
    /// Delete log files older than a time, or the oldest while the log is longer than a size: 1h, 2GiB, 1h,2GiB
    #[arg(
        long,
        value_name = "TIME|SIZE",
        value_delimiter = ',',
        conflicts_with = "durable",
        env = "RMQ_RETAIN",
        hide_env_values = true
    )]
    pub(super) retain: Vec<Retain>,
    /// Size of a file of the commit log, and of the other files in proportion; 1GiB is Apache's layout
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, env = "RMQ_SEGMENT", hide_env_values = true)]
    pub(super) segment: Option<u64>,
    /// Whether a send to an unknown topic creates it [default: on; off with --durable]
    #[arg(
        long,
        value_enum,
        value_name = "WHETHER",
        env = "RMQ_AUTO_CREATE",
        hide_env_values = true
    )]
    pub(super) auto_create: Option<Switch>,
    /// Refuse messages that are longer, properties included [default: 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = message_size, env = "RMQ_MAX_MESSAGE", hide_env_values = true)]
    pub(super) max_message: Option<u64>,
    /// Any setting of Apache's broker, as in broker.conf
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(super) settings: Vec<(String, String)>,
    /// Write addresses and ports to this file once messages are accepted (JSON; removed at the end)
    #[arg(
        long,
        value_name = "FILE",
        env = "RMQ_READY_FILE",
        hide_env_values = true
    )]
    pub(super) ready_file: Option<PathBuf>,
    /// Write the same line to this open file descriptor
    #[arg(long, value_name = "N")]
    pub(super) ready_fd: Option<u32>,
    /// Do this to requests, so that a client's handling of errors can be tested (see below); may be given more than once
    #[arg(
        long = "fault",
        value_name = "OP:KIND[:N%][:xN]",
        value_delimiter = ','
    )]
    pub(super) faults: Vec<FaultSpec>,
    /// The same seed hits the same requests
    #[arg(long, value_name = "N", default_value_t = 1, requires = "faults")]
    pub(super) fault_seed: u64,
    /// End when no client has been connected for so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "RMQ_EXIT_WHEN_IDLE", hide_env_values = true)]
    pub(super) exit_when_idle: Option<Duration>,
    /// End when this process is gone, so that a test that was killed leaves no node behind
    #[arg(long, value_name = "PID")]
    pub(super) parent_pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleArg {
    /// Name server and broker
    All,
    /// Name server alone
    Namesrv,
    /// Broker alone
    Broker,
    /// Broker alone, as a copy of the master of its name
    Slave,
    /// Controller alone: elects another master when one is gone
    Controller,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Fsync {
    /// Soon after the acknowledgement (`ASYNC_FLUSH`)
    Interval,
    /// Before the acknowledgement (`SYNC_FLUSH`)
    Always,
}

fn group_name(text: &str) -> Result<GroupName, String> {
    GroupName::parse(text).map_err(|error| error.to_string())
}

fn message_size(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(bytes @ 1024..=MESSAGE_BYTES_MAX) => Ok(bytes),
        Ok(_) => Err("from 1KiB to 15MiB: what is longer does not fit into a frame".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "write KEY=VALUE".to_owned())
}
