//! What transactions and delayed messages cost, on this node and on the real Apache RocketMQ.
//!
//! `cargo bench --bench delivery -- COMMAND`; each prints one line of JSON for each measurement. The figures and how
//! they came about are in `benches/README.md`. The load is raw frames over sockets, a window on each connection, so that
//! the server is what is measured; its processor time is read from `/proc` and counts all its processes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a bench: a failure here is a failed bench, and it prints figures"
)]

mod load;
mod servers;
mod timers;
mod transactions;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[path = "../../tests/support/node.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod node;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` passes.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Half message and commit, as fast as they go.
    Transactions(transactions::Options),
    /// A million half messages nobody decides about: their memory, and a check of all of them.
    Halves {
        #[arg(long, default_value_t = 1_000_000)]
        messages: u64,
    },
    /// Delayed messages due in the same second: how late they are stored for delivery.
    Due {
        #[arg(long, default_value_t = 10_000)]
        messages: u64,
        /// How long before they are due the last one is sent, at least.
        #[arg(long, default_value_t = 12)]
        seconds: i64,
    },
    /// A million timer messages that wait: their memory.
    Pending {
        #[arg(long, default_value_t = 1_000_000)]
        messages: u64,
    },
}

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    let dir: PathBuf = scratch.path().to_owned();
    match Arguments::parse().command {
        Command::Transactions(options) => transactions::throughput(&dir, &options),
        Command::Halves { messages } => transactions::open_halves(&dir, messages),
        Command::Due { messages, seconds } => timers::due(&dir, messages, seconds),
        Command::Pending { messages } => timers::pending(&dir, messages),
    }
}
