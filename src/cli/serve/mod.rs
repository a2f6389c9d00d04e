//! `rmq serve`: the node.

mod args;
mod ready;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use clap::CommandFactory as _;

use super::Context;
use super::exit::{CliError, Exit};
use crate::node::config::{ConfigError, Flags, HttpPort, Role, is_setting_variable, load};
use crate::node::{Node, NodeError, ProcessWatch, StopSignals};
pub(crate) use args::Args;
use args::{Fsync, RoleArg, Switch};
use ready::Audience;

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
    // Behind a pointer for the reason given in `Context::block_on`.
    let node: Pin<Box<dyn Future<Output = Result<Exit, CliError>> + '_>> = Box::pin(async {
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
    let ended = runtime.block_on(node);
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
            "--controller-port" => flags.controller_port = Some(0),
            _ => flags.port = Some(0),
        }
        loaded = load(flags, environment()).map_err(|error| config_error(&error))?;
    }
}

fn flags(args: Args, context: &Context) -> Flags {
    let (listen, any_port) = split_listen(args.listen);
    let free_port = any_port.then_some(0);
    let role = match args.role {
        RoleArg::All => Role::All,
        RoleArg::Namesrv => Role::Namesrv,
        RoleArg::Broker | RoleArg::Slave => Role::Broker,
        RoleArg::Controller => Role::Controller,
    };
    Flags {
        role,
        broker_role: matches!(args.role, RoleArg::Slave).then(|| "SLAVE".to_owned()),
        master: args.master,
        config: args.config,
        data_dir: args.data_dir,
        ephemeral: args.ephemeral,
        virtual_clock: args.virtual_clock,
        listen,
        port: args.port.or(free_port.filter(|_| role.has_name_server())),
        broker_port: args.broker_port.or(free_port.filter(|_| role.has_broker())),
        controller_port: args
            .controller_port
            .or(free_port.filter(|_| role == Role::Controller)),
        controller_peers: args.controller_peers,
        controller_id: args.controller_id,
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
    let mut unknown: Vec<_> = names
        .filter(|name| name.starts_with("RMQ_"))
        .filter(|name| !OTHER_VARIABLES.contains(&name.as_str()) && !is_setting_variable(name))
        .collect();
    if unknown.is_empty() {
        return unknown;
    }
    // The definition of the whole command line takes longer to make than the rest of the start.
    let root = crate::cli::args::Cli::command();
    let commands = std::iter::once(&root).chain(root.get_subcommands());
    let flags: Vec<_> = commands
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env)
        .collect();
    unknown.retain(|name| !flags.iter().any(|flag| *flag == name.as_str()));
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
