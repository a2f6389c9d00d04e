//! Says that the node is ready: to people, to scripts, to a file and to an open pipe.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::cli::output::Format;
use crate::node::config::Role;
use crate::node::{ReadyInfo, Seeded};

/// Where it is said besides the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience<'a> {
    pub(super) ready_file: Option<&'a Path>,
    pub(super) ready_fd: Option<u32>,
    /// Whether the node was started with `--durable`.
    pub(super) durable: bool,
}

/// Tells people (stderr), scripts (one JSON line on stdout, unless that is a terminal) and the ready file.
pub(super) fn announce(
    ready: &ReadyInfo,
    took_ms: i64,
    audience: Audience<'_>,
    context: &Context,
) -> Result<(), CliError> {
    screen(ready, took_ms, audience.durable, context);
    let document = ready_document(ready, took_ms);
    if let Some(path) = audience.ready_file {
        write_ready_file(path, &document).map_err(|error| {
            CliError::failed(format!(
                "cannot write the ready file {}: {error}",
                path.display()
            ))
        })?;
    }
    if let Some(fd) = audience.ready_fd {
        write_ready_fd(fd, &document).map_err(|error| {
            CliError::failed(format!("cannot write to the file descriptor {fd}: {error}"))
                .hint("--ready-fd wants a pipe or a file that the parent opened for writing and left open")
        })?;
    }
    let asked = matches!(context.output.format(), Some(Format::Json | Format::Jsonl));
    if asked || !context.output.stdout_is_terminal() {
        // Nobody has to read it: a node whose stdout is closed goes on.
        let _ = context.output.raw(format!("{document}\n").as_bytes());
    }
    Ok(())
}

fn ready_document(ready: &ReadyInfo, took_ms: i64) -> Value {
    let address =
        |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    json!({
        "event": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "role": ready.role.as_str(),
        "namesrv": address(ready.namesrv),
        "namesrvPort": ready.namesrv.map(|address| address.port()),
        "broker": address(ready.broker),
        "brokerPort": ready.broker.map(|address| address.port()),
        "vipPort": ready.broker_vip.map(|address| address.port()),
        "controller": address(ready.controller),
        "controllerPort": ready.controller.map(|address| address.port()),
        "http": address(ready.http),
        "httpPort": ready.http.map(|address| address.port()),
        "advertised": ready.advertised,
        "brokerName": ready.broker_name,
        "dataDir": ready.data_dir,
        "ephemeral": ready.ephemeral,
        "seeded": ready.seeded.map(|seeded| seeded.sent),
        "virtualClock": ready.virtual_clock,
        "readyMs": took_ms,
    })
}

/// The file appears whole: whoever waits for it may read it at once.
fn write_ready_file(path: &Path, document: &Value) -> std::io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{document}")?;
    file.persist(path)?;
    Ok(())
}

/// A line into what the parent process left open under a number. Opened again by that number: the descriptor itself
/// belongs to the parent, and stays open here.
#[cfg(unix)]
fn write_ready_fd(fd: u32, document: &Value) -> std::io::Result<()> {
    let mut pipe = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/dev/fd/{fd}"))?;
    pipe.write_all(format!("{document}\n").as_bytes())
}

#[cfg(not(unix))]
fn write_ready_fd(_fd: u32, _document: &Value) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn screen(ready: &ReadyInfo, took_ms: i64, durable: bool, context: &Context) {
    let output = &context.output;
    let paint = output.stderr_paint();
    let kind = match ready.role {
        Role::All => "node",
        Role::Namesrv => "name server",
        Role::Broker => "broker",
        Role::Controller => "controller",
    };
    let forget = if ready.ephemeral {
        "gone at exit"
    } else {
        "forget at exit: --ephemeral"
    };
    output.note(&format!(
        "{} {}  {kind}, data in {} {}",
        paint.bold("rmq"),
        env!("CARGO_PKG_VERSION"),
        short_path(&ready.data_dir),
        paint.dim(&format!("({forget})")),
    ));
    let line = |what: &str, address: &str, more: &str| {
        let line = format!("  {what:<12} {address:<18} {}", paint.dim(more));
        output.note(line.trim_end());
    };
    if let Some(address) = ready.namesrv {
        let reach = format!("{}:{}", ReadyInfo::local_host(address), address.port());
        line(
            "name server",
            &address.to_string(),
            &format!("export NAMESRV_ADDR={reach}"),
        );
    }
    if let Some(address) = ready.controller {
        let among = ready.controllers.as_ref();
        let among = among.map(|peers| format!("one of {peers}"));
        let alone = format!("brokers: enableControllerMode=true controllerAddr={address}");
        line("controller", &address.to_string(), &among.unwrap_or(alone));
    }
    if let Some(address) = ready.broker {
        let advertised = format!(
            "advertised as {}",
            ready.advertised.as_deref().unwrap_or("nothing")
        );
        line("broker", &address.to_string(), &advertised);
        if ready.role == Role::Broker {
            let name_servers = if ready.name_servers.is_empty() {
                "none: clients cannot find this broker (--namesrv HOST:PORT)".to_owned()
            } else {
                ready.name_servers.join(" ")
            };
            line("registers at", &name_servers, "");
        }
        if let Some(address) = ready.http {
            line("http", &address.to_string(), "/metrics /readyz /livez");
        }
        let topics = ready
            .topics
            .iter()
            .map(|(name, queues)| format!("{name} ({queues} queues)"))
            .collect::<Vec<_>>()
            .join(", ");
        let unknown = if ready.creates_topics {
            "unknown topics are created on first use"
        } else {
            "unknown topics are refused"
        };
        let separator = if topics.is_empty() { "" } else { "; " };
        output.note(&format!("  {:<12} {topics}{separator}{unknown}", "topics"));
    }
    if !ready.groups.is_empty() {
        line("groups", &ready.groups.join(", "), "");
    }
    if let Some(Seeded { sent, kept }) = ready.seeded {
        let kept = match kept {
            0 => String::new(),
            kept => format!("; {kept} left out, their topics hold messages already"),
        };
        line("seed", &format!("{sent} messages{kept}"), "");
    }
    if durable {
        line("durable", "synced, then acked", "rmq doctor");
    }
    if ready.virtual_clock {
        line("clock", "stands still", "rmq clock advance 2h");
    }
    if ready.loopback_only() {
        output
            .note(&paint.dim("  this machine only; for others: --listen 0.0.0.0 --advertise HOST"));
    }
    output.note(&format!(
        "{} in {took_ms} ms · ^C to stop",
        paint.green("ready")
    ));
}

/// `~/…` for paths in the home directory.
fn short_path(path: &Path) -> String {
    let home = std::env::home_dir().filter(|home| home.as_os_str().len() > 1);
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
