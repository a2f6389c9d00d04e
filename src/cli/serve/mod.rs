//! `rmq serve`: the node.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod ready;

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, ValueEnum};

use super::Context;
use super::exit::{CliError, Exit};
use crate::base::GroupName;
use crate::base::units::{parse_bytes, parse_duration};
use crate::node::config::{
    Advertise, ConfigError, FaultSpec, Flags, HttpPort, Role, TopicSpec, is_setting_variable, load,
};
use crate::node::{Node, NodeError, ProcessWatch, Retain, StopSignals};
use ready::Audience;

/// Frames end at 16 MiB, header and properties included.
const MESSAGE_BYTES_MAX: u64 = 15 << 20;

const EXAMPLES: &str = "\
Examples:
  rmq serve                                            data is kept, ports 9876 and 10911
  rmq serve --ephemeral --port 0 --ready-file r.json --parent-pid $$ --seed data.yaml
  rmq serve --segment 16MiB --retain 1h,2GiB           small files, little disk

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
    role: RoleArg,
    /// The master that a slave follows; without it the name servers are asked
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "RMQ_MASTER",
        hide_env_values = true
    )]
    master: Option<String>,
    /// Configuration file: Apache's broker.conf, or the same keys in YAML
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "RMQ_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Where the data is kept [default: the platform's data directory]
    #[arg(long, value_name = "DIR", env = "RMQ_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// Keep the data in a temporary directory that disappears at the end
    #[arg(
        long,
        conflicts_with = "data_dir",
        env = "RMQ_EPHEMERAL",
        hide_env_values = true
    )]
    ephemeral: bool,
    /// Time stands still until `rmq clock advance` moves it: delays, retries and retention in the hands of a test
    #[arg(long, env = "RMQ_VIRTUAL_CLOCK", hide_env_values = true)]
    virtual_clock: bool,
    /// Address to listen on; ADDR:0 takes free ports [default: 127.0.0.1; all addresses if another one is advertised]
    #[arg(long, value_name = "ADDR", env = "RMQ_LISTEN", hide_env_values = true)]
    listen: Option<String>,
    /// Port of the name server, 0 for any free one [default: 9876]
    #[arg(long, value_name = "PORT", env = "RMQ_PORT", hide_env_values = true)]
    port: Option<u16>,
    /// Port of the broker, 0 for any free one; the port two below is taken as well [default: 10911]
    #[arg(
        long,
        value_name = "PORT",
        env = "RMQ_BROKER_PORT",
        hide_env_values = true
    )]
    broker_port: Option<u16>,
    /// Port of /livez, /readyz and /metrics; 0 for any free one, off for none [default: 8082 if it is free]
    #[arg(long, value_name = "PORT", env = "RMQ_HTTP", hide_env_values = true)]
    http: Option<HttpPort>,
    /// Address that clients are told to connect to: HOST[:PORT], auto, CIDR=HOST[:PORT], or wait (see below)
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        env = "RMQ_ADVERTISE",
        hide_env_values = true
    )]
    advertise: Vec<Advertise>,
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
    fsync: Option<Fsync>,
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
    durable: bool,
    /// Create these topics before the node is ready
    #[arg(long = "topic", value_name = "NAME[:QUEUES]", value_delimiter = ',')]
    topics: Vec<TopicSpec>,
    /// Create these consumer groups before the node is ready
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',', value_parser = group_name)]
    groups: Vec<GroupName>,
    /// Begin with the topics, groups and messages of this file (YAML, see below)
    #[arg(long, value_name = "FILE", env = "RMQ_SEED", hide_env_values = true)]
    seed: Option<PathBuf>,
    /// Delete log files older than a time, or the oldest while the log is longer than a size: 1h, 2GiB, 1h,2GiB
    #[arg(
        long,
        value_name = "TIME|SIZE",
        value_delimiter = ',',
        conflicts_with = "durable",
        env = "RMQ_RETAIN",
        hide_env_values = true
    )]
    retain: Vec<Retain>,
    /// Size of a file of the commit log, and of the other files in proportion; 1GiB is Apache's layout
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, env = "RMQ_SEGMENT", hide_env_values = true)]
    segment: Option<u64>,
    /// Whether a send to an unknown topic creates it [default: on; off with --durable]
    #[arg(
        long,
        value_enum,
        value_name = "WHETHER",
        env = "RMQ_AUTO_CREATE",
        hide_env_values = true
    )]
    auto_create: Option<Switch>,
    /// Refuse messages that are longer, properties included [default: 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = message_size, env = "RMQ_MAX_MESSAGE", hide_env_values = true)]
    max_message: Option<u64>,
    /// Any setting of Apache's broker, as in broker.conf
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,
    /// Write addresses and ports to this file once messages are accepted (JSON; removed at the end)
    #[arg(
        long,
        value_name = "FILE",
        env = "RMQ_READY_FILE",
        hide_env_values = true
    )]
    ready_file: Option<PathBuf>,
    /// Write the same line to this open file descriptor
    #[arg(long, value_name = "N")]
    ready_fd: Option<u32>,
    /// Do this to requests, so that a client's handling of errors can be tested (see below); may be given more than once
    #[arg(
        long = "fault",
        value_name = "OP:KIND[:N%][:xN]",
        value_delimiter = ','
    )]
    faults: Vec<FaultSpec>,
    /// The same seed hits the same requests
    #[arg(long, value_name = "N", default_value_t = 1, requires = "faults")]
    fault_seed: u64,
    /// End when no client has been connected for so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "RMQ_EXIT_WHEN_IDLE", hide_env_values = true)]
    exit_when_idle: Option<Duration>,
    /// End when this process is gone, so that a test that was killed leaves no node behind
    #[arg(long, value_name = "PID")]
    parent_pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    /// Name server and broker
    All,
    /// Name server alone
    Namesrv,
    /// Broker alone
    Broker,
    /// Broker alone, as a copy of the master of its name
    Slave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fsync {
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

/// What `cli` itself looks at, and `RMQ_BIN`, by which scripts and examples find the program.
const OTHER_VARIABLES: [&str; 7] = [
    "RMQ_BIN",
    "RMQ_NAMESRV_ADDR",
    "RMQ_CONTEXT",
    "RMQ_CONFIG_DIR",
    "RMQ_OUTPUT",
    "RMQ_COLOR",
    "RMQ_UTC",
];

/// Runs the node until it is asked to stop.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let begin_ms = context.clock.now_ms();
    context.start_log();
    let ready_file = args.ready_file.clone();
    let (ready_fd, durable) = (args.ready_fd, args.durable);
    let (parent, idle) = (args.parent_pid, args.exit_when_idle);
    if !args.faults.is_empty() {
        let faults: Vec<_> = args.faults.iter().map(ToString::to_string).collect();
        let (faults, seed) = (faults.join(" "), args.fault_seed);
        context.output.warn(&format!(
            "requests meet faults: {faults} (--fault-seed {seed})"
        ));
    }
    let mut flags = flags(args, context);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("rmq")
        .build()?;
    let ended = runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        let parent = parent.map(watch).transpose()?;
        let node = tokio::select! {
            biased;
            _ = signals.next() => return Ok(Exit::Ok),
            node = start(&mut flags, context) => node?,
        };
        let took_ms = context.clock.now_ms() - begin_ms;
        let audience = Audience {
            ready_file: ready_file.as_deref(),
            ready_fd,
            durable,
        };
        if let Err(error) = ready::announce(node.ready(), took_ms, audience, context) {
            node.stop().await;
            return Err(error);
        }
        tokio::select! {
            biased;
            request = signals.next() => tracing::info!(?request, "stopping"),
            () = gone(parent.as_ref()) => context.output.note("the parent process is gone, stopping"),
            () = unused(&node, idle) => context.output.note("no client for so long, stopping"),
        }
        tokio::select! {
            biased;
            () = node.stop() => {}
            _ = signals.next() => return Ok(Exit::Interrupted),
        }
        if let Some(path) = &ready_file {
            // Somebody else may have taken it away.
            let _ = std::fs::remove_file(path);
        }
        Ok(Exit::Ok)
    });
    // A recovery that was interrupted goes on in a thread; nobody waits for it.
    runtime.shutdown_background();
    ended
}

fn watch(pid: u32) -> Result<ProcessWatch, CliError> {
    ProcessWatch::open(pid).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            CliError::not_found(format!("--parent-pid: there is no process {pid}"))
        }
        _ => CliError::failed(format!("--parent-pid: cannot watch process {pid}: {error}")),
    })
}

async fn gone(parent: Option<&ProcessWatch>) {
    match parent {
        Some(parent) => parent.ended().await,
        None => std::future::pending().await,
    }
}

async fn unused(node: &Node, limit: Option<Duration>) {
    match limit {
        Some(limit) => node.idle(limit).await,
        None => std::future::pending().await,
    }
}

/// Starts the node. Where somebody can answer, a port that is taken is a question.
async fn start(flags: &mut Flags, context: &Context) -> Result<Node, CliError> {
    let mut loaded = load(flags, environment()).map_err(|error| config_error(&error))?;
    for warning in &loaded.warnings {
        context.output.warn(warning);
    }
    for name in unknown_variables(environment().map(|(name, _)| name)) {
        context.output.warn(&format!(
            "{name}: no setting has this name, ignored (listenPort is RMQ_LISTEN_PORT)"
        ));
    }
    loop {
        let error = match Node::start(loaded.options).await {
            Ok(node) => return Ok(node),
            Err(error) => error,
        };
        let NodeError::PortTaken { flag, .. } = &error else {
            return Err(node_error(&error));
        };
        let question = format!("{error}. Take any free one instead?");
        if !context.output.can_ask() || !context.output.confirm(&question)? {
            return Err(node_error(&error));
        }
        match *flag {
            "--broker-port" => flags.broker_port = Some(0),
            "--http" => flags.http = HttpPort::At(0),
            _ => flags.port = Some(0),
        }
        loaded = load(flags, environment()).map_err(|error| config_error(&error))?;
    }
}

fn flags(args: Args, context: &Context) -> Flags {
    let (listen, any_port) = split_listen(args.listen);
    let free_port = any_port.then_some(0);
    Flags {
        role: match args.role {
            RoleArg::All => Role::All,
            RoleArg::Namesrv => Role::Namesrv,
            RoleArg::Broker | RoleArg::Slave => Role::Broker,
        },
        broker_role: matches!(args.role, RoleArg::Slave).then(|| "SLAVE".to_owned()),
        master: args.master,
        config: args.config,
        data_dir: args.data_dir,
        ephemeral: args.ephemeral,
        virtual_clock: args.virtual_clock,
        listen,
        port: args.port.or(free_port),
        broker_port: args.broker_port.or(free_port),
        // Who takes free ports shares the machine with other nodes.
        http: args.http.unwrap_or(match args.port.or(free_port) {
            Some(0) => HttpPort::At(0),
            _ => HttpPort::Usual,
        }),
        advertise: args.advertise,
        namesrv: context.global.namesrv.clone(),
        fsync: args.fsync.map(|when| when == Fsync::Always),
        durable: args.durable,
        topics: args.topics,
        groups: args.groups,
        seed: args.seed,
        retain: args.retain,
        segment_bytes: args.segment,
        auto_create: args.auto_create.map(|switch| switch == Switch::On),
        message_bytes_max: args.max_message,
        faults: args.faults,
        fault_seed: args.fault_seed,
        settings: args.settings,
    }
}

/// Takes `:0` off an address: the node has several ports, so free ones are the only port an address can name.
fn split_listen(listen: Option<String>) -> (Option<String>, bool) {
    let Some(text) = listen else {
        return (None, false);
    };
    match text.strip_suffix(":0") {
        Some(host) if !host.contains(':') => (Some(host.to_owned()), true),
        Some(host) if host.starts_with('[') && host.ends_with(']') => {
            (Some(host.trim_matches(['[', ']']).to_owned()), true)
        }
        _ => (Some(text), false),
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The variables that look like ours and mean nothing: a typing error, most likely.
fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let root = crate::cli::args::Cli::command();
    let commands = std::iter::once(&root).chain(root.get_subcommands());
    let flags: Vec<_> = commands
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env)
        .collect();
    let mut unknown: Vec<_> = names
        .filter(|name| name.starts_with("RMQ_"))
        .filter(|name| !flags.iter().any(|flag| *flag == name.as_str()))
        .filter(|name| !OTHER_VARIABLES.contains(&name.as_str()) && !is_setting_variable(name))
        .collect();
    unknown.sort();
    unknown
}

fn config_error(error: &ConfigError) -> CliError {
    match error {
        ConfigError::Unreadable { source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => CliError::not_found(error),
            std::io::ErrorKind::PermissionDenied => CliError::new(Exit::NotPermitted, error),
            _ => CliError::failed(error),
        },
        ConfigError::NoDataDir(_) => CliError::failed(error).hint("give one: --data-dir DIR"),
        ConfigError::Syntax { .. } | ConfigError::Settings(_) => CliError::usage(error),
    }
}

fn node_error(error: &NodeError) -> CliError {
    let failed = CliError::failed(error);
    match error {
        NodeError::PortTaken { flag, .. } => failed.hint(format!(
            "is another node running? Choose another port with {flag} N, or any free one with {flag} 0"
        )),
        NodeError::PortForbidden { flag, .. } => {
            CliError::new(Exit::NotPermitted, error).hint(format!("ports below 1024 need rights; {flag} N"))
        }
        NodeError::DataDirTaken { .. } => failed.hint(
            "stop the other process, or use another directory: --data-dir DIR or --ephemeral",
        ),
        NodeError::DataDirForbidden { .. } => CliError::new(Exit::NotPermitted, error)
            .hint("use a directory you can write to: --data-dir DIR or --ephemeral"),
        _ => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_mean_nothing_are_named() {
        let names = [
            "RMQ_LISTENPORT",
            "RMQ_LISTEN_PORT",
            "RMQ_ROLE",
            "RMQ_NAMESRV_ADDR",
            "RMQ_BROKER_IP1",
            "HOME",
            "RMQ_FOO",
        ];
        let unknown = unknown_variables(names.into_iter().map(str::to_owned));
        assert_eq!(unknown, ["RMQ_FOO", "RMQ_LISTENPORT"]);
    }

    #[test]
    fn an_address_may_ask_for_free_ports() {
        let split = |text: &str| split_listen(Some(text.to_owned()));
        assert_eq!(split("127.0.0.1:0"), (Some("127.0.0.1".to_owned()), true));
        assert_eq!(split("[::1]:0"), (Some("::1".to_owned()), true));
        assert_eq!(split("::1"), (Some("::1".to_owned()), false));
        assert_eq!(split("::0"), (Some("::0".to_owned()), false));
        assert_eq!(split("localhost"), (Some("localhost".to_owned()), false));
        assert_eq!(split_listen(None), (None, false));
    }
}
