//! The one definition of the command line. Help, completions and man pages are made from it.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are printed as help, where backticks would be noise"
)]

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::output::{ColorChoice, Format};
use super::{
    acl, advertise, bench, broker, cheat, check, client, clock, cluster, completion, config,
    consume, ctx, dlq, doctor, explain, failover, generate, group, inspect, man, mqadmin, msg,
    nsconf, recording, send, serve, snapshot, top, topic, trace, wait, why,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  ok                      5  not permitted           9  ended before the wanted count
  1  failed                  6  partly done           130  interrupted
  2  wrong command line      7  a check failed
  3  not found               8  refused, may be retried
  4  cannot connect or timed out

Data goes to stdout, everything else to stderr.";

/// A local Apache RocketMQ node and its command-line tool
#[derive(Debug, Parser)]
#[command(
    name = "rmq",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// `rmq serve` alone. A node is started often and lives long, so it neither makes nor keeps in memory the definitions of
/// all the other commands; a line that this does not understand is given to [`Cli`].
#[derive(Debug, Parser)]
#[command(name = "rmq", version, propagate_version = true, max_term_width = 100)]
pub(super) struct ServeLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: ServeCommand,
}

#[derive(Debug, Subcommand)]
enum ServeCommand {
    Serve(Box<serve::Args>),
}

impl Cli {
    /// Reads a command line. Help and version are errors, as everywhere in clap.
    pub(super) fn read(args: Vec<OsString>) -> Result<Self, clap::Error> {
        let serves = args.get(1).is_some_and(|command| command == "serve");
        if serves && let Ok(line) = ServeLine::try_parse_from(&args) {
            let ServeCommand::Serve(serve) = line.command;
            return Ok(Self {
                global: line.global,
                command: Command::Serve(serve),
            });
        }
        Self::try_parse_from(args)
    }
}

/// Options that every command understands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// Only these columns, in this order (field names as in -o json)
    #[arg(long, global = true, value_delimiter = ',', value_name = "A,B")]
    pub(crate) columns: Vec<String>,
    /// Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) namesrv: Option<String>,
    /// Go by this context (rmq ctx) [env: RMQ_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// When to use colour [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,
    /// No progress bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Print times in UTC instead of the local zone
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands, in the order `--help` lists them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<serve::Args>),
    Send(Box<send::Args>),
    Consume(Box<consume::Args>),
    Dlq(Box<dlq::Args>),
    Inspect(Box<inspect::Args>),
    Topic(Box<topic::Args>),
    Group(Box<group::Args>),
    Msg(msg::Args),
    Client(client::Args),
    Doctor(doctor::Args),
    Trace(trace::Args),
    Why(why::Args),
    Explain(explain::Args),
    Broker(broker::Args),
    Failover(failover::Args),
    Cluster(cluster::Args),
    Nsconf(nsconf::Args),
    Acl(acl::Args),
    Check(check::Args),
    Wait(wait::Args),
    Advertise(advertise::Args),
    Record(recording::RecordArgs),
    Replay(Box<recording::ReplayArgs>),
    Snapshot(snapshot::Args),
    Bench(Box<bench::Args>),
    Top(top::Args),
    Clock(clock::Args),
    Ctx(ctx::Args),
    Config(config::Args),
    Cheat(cheat::Args),
    Completion(completion::Args),
    Man(man::Args),
    #[command(hide = true)]
    Mqadmin(mqadmin::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

impl Command {
    /// Whether it could harm to run this with the default settings because a file of settings is broken.
    pub(crate) fn goes_by_settings(&self) -> bool {
        !matches!(
            self,
            Self::Serve(_)
                | Self::Inspect(_)
                | Self::Snapshot(_)
                | Self::Ctx(_)
                | Self::Cheat(_)
                | Self::Completion(_)
                | Self::Man(_)
                | Self::Mqadmin(_)
                | Self::Generate(_)
        )
    }
}

/// The shells that completions exist for.
#[allow(
    clippy::enum_variant_names,
    reason = "PowerShell's name ends as it does"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bourne-again shell
    Bash,
    /// Z shell
    Zsh,
    /// Friendly interactive shell
    Fish,
    /// PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// Elvish
    Elvish,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory, Parser as _};

    use super::{Cli, Command, ServeLine};

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
        ServeLine::command().debug_assert();
    }

    #[test]
    fn a_node_alone_reads_its_line_as_the_whole_program_does() {
        let short = "rmq serve --port 1 -vv --topic a:2 --utc";
        let words = || short.split(' ').map(Into::into).collect();
        let alone = Cli::read(words()).unwrap();
        let whole = Cli::try_parse_from::<_, OsString>(words()).unwrap();
        assert_eq!(format!("{alone:?}"), format!("{whole:?}"));
        assert!(matches!(alone.command, Command::Serve(_)));
        let wrong = Cli::read(vec!["rmq".into(), "serve".into(), "--porf".into()]).unwrap_err();
        assert!(wrong.to_string().contains("rmq serve"), "{wrong}");
        assert!(Cli::read(vec!["rmq".into()]).is_err());
    }
}
