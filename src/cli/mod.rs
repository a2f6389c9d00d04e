//! The command line: one file per command.
//!
//! A command is an `Args` struct and a `run(args, &Context) -> Result<Exit, CliError>`. Results go through
//! [`Context::output`], which knows the format; talk goes to stderr through it as well. Nothing else prints.
//!
//! Absent on purpose: any way to the network but [`crate::client`], any way to stored files but `store::View`.

mod acl;
mod advertise;
mod args;
mod bench;
mod broker;
mod cheat;
mod check;
mod client;
mod clock;
mod cluster;
mod completion;
mod config;
mod consume;
mod ctx;
mod dlq;
mod doctor;
mod exit;
mod explain;
mod failover;
mod gather;
mod generate;
mod group;
mod inspect;
mod live;
mod man;
mod mqadmin;
mod msg;
mod nsconf;
mod output;
mod plan;
mod recording;
mod records;
mod send;
mod serve;
mod settings;
mod shell;
mod snapshot;
mod targets;
mod times;
mod top;
mod topic;
mod trace;
mod wait;
mod why;

use std::ffi::OsString;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::base::list::addresses;
use crate::client::{Client, ClientOptions};
use crate::node::Clock;
use args::{Cli, Command, Global};
use exit::{CliError, Exit};
use mqadmin::Translated;
use output::Output;
use settings::Settings;

/// What every command gets: where to print, what time it is, whom to talk to.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where results and talk go.
    pub(crate) output: Output,
    /// The time of day.
    pub(crate) clock: Clock,
    /// The options of the whole program, completed by settings.
    pub(crate) global: Global,
    /// The options as they stood on the command line.
    pub(crate) flags: Global,
    /// What the command line goes by, and why.
    pub(crate) settings: Settings,
}

impl Context {
    /// The context, and what is wrong with the files settings come from.
    fn new(flags: Global) -> (Self, Option<CliError>) {
        let (settings, broken) = settings::load(&flags);
        let mut global = flags.clone();
        global.output = settings.output.value;
        global.color = Some(settings.color.value);
        global.utc = settings.utc.value;
        let context = Self {
            output: Output::new(&global),
            clock: Clock::System,
            global,
            flags,
            settings,
        };
        (context, broken)
    }

    /// The name servers to ask.
    pub(crate) fn name_servers(&self) -> Vec<String> {
        let given = addresses(&self.settings.namesrv.value);
        given.map(str::to_owned).collect()
    }

    /// A client of the cluster that is meant.
    pub(crate) async fn connect(&self) -> Result<Client, CliError> {
        Ok(Client::connect(self.name_servers(), ClientOptions::default()).await?)
    }

    /// Logs go to stderr: warnings, more with -v, anything with `RUST_LOG`.
    pub(crate) fn start_log(&self) {
        let level = match self.global.verbose {
            0 => "rmq=warn",
            1 => "rmq=info",
            2 => "rmq=debug",
            _ => "rmq=trace",
        };
        let wanted = std::env::var("RUST_LOG").unwrap_or_default();
        let filter = EnvFilter::try_new(if wanted.is_empty() { level } else { &wanted });
        let filter = filter.unwrap_or_else(|error| {
            self.output
                .warn(&format!("RUST_LOG is not understood: {error}"));
            EnvFilter::new(level)
        });
        let done = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(self.output.stderr_paint().is_on())
            .try_init();
        if let Err(error) = done {
            self.output.warn(&format!("no log: {error}"));
        }
    }

    /// Runs a future to its end on a fresh runtime; for commands that talk to the network.
    pub(crate) fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        self.start_log();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        // Behind a pointer, because tokio's way in is compiled once for each kind of scheduler, with the whole command in it.
        let future: Pin<Box<dyn Future<Output = Result<T, CliError>> + '_>> = Box::pin(future);
        let result = runtime.block_on(future);
        // A thread that waits for a line on stdin must not keep the process.
        runtime.shutdown_background();
        result
    }
}

/// Completes at the first Ctrl-C, or when a service manager or a container runtime asks to stop. From then on a Ctrl-C
/// ends the process at once, with 130.
pub(crate) async fn interrupted() {
    tokio::select! {
        biased;
        pressed = tokio::signal::ctrl_c() => if pressed.is_err() {
            std::future::pending::<()>().await;
        },
        () = terminated() => {}
    }
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// Completes at SIGTERM, where there is such a thing.
async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signals) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        && signals.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Runs one command line and says how the process should end.
///
/// A program of the name `mqadmin` takes the spelling of Apache's tool.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().map(Path::new).and_then(Path::file_stem);
    if program.is_some_and(|name| name == "mqadmin") {
        args.splice(..1, ["rmq".into(), "mqadmin".into()]);
    }
    run_line(args)
}

fn run_line(args: Vec<OsString>) -> ExitCode {
    // A shell that asks what could stand next ends here.
    completion::answer();
    let cli = match Cli::read(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap with exit code 0; a closed pipe does not matter.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let (context, broken) = Context::new(cli.global);
    for warning in &context.settings.warnings {
        context.output.warn(warning);
    }
    // A file that cannot be read may name another cluster than the default, so nobody is asked or told anything.
    if let Some(error) = broken
        && cli.command.goes_by_settings()
    {
        report(&error, &context.output);
        return error.exit().into();
    }
    let result = match cli.command {
        Command::Serve(args) => serve::run(*args, &context),
        Command::Send(args) => send::run(&args, &context),
        Command::Consume(args) => consume::run(&args, &context),
        Command::Dlq(args) => dlq::run(&args, &context),
        Command::Inspect(args) => inspect::run(*args, &context),
        Command::Topic(args) => topic::run(*args, &context),
        Command::Group(args) => group::run(*args, &context),
        Command::Msg(args) => msg::run(args, &context),
        Command::Client(args) => client::run(args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Trace(args) => trace::run(&args, &context),
        Command::Why(args) => why::run(&args, &context),
        Command::Explain(args) => explain::run(&args, &context),
        Command::Broker(args) => broker::run(args, &context),
        Command::Failover(args) => failover::run(args, &context),
        Command::Cluster(args) => cluster::run(&args, &context),
        Command::Nsconf(args) => nsconf::run(args, &context),
        Command::Acl(args) => acl::run(args, &context),
        Command::Record(args) => recording::record(&args, &context),
        Command::Replay(args) => recording::replay(&args, &context),
        Command::Snapshot(args) => snapshot::run(&args, &context),
        Command::Bench(args) => bench::run(&args, &context),
        Command::Top(args) => top::run(&args, &context),
        Command::Check(args) => check::run(&args, &context),
        Command::Mqadmin(args) => match mqadmin::translate(&args, &context.flags) {
            Ok(Translated::Line(line)) => return run_line(line),
            Ok(Translated::Text(text)) => {
                let printed = context.output.raw(text.as_bytes());
                printed.map(|()| Exit::Ok)
            }
            Err(error) => Err(error),
        },
        Command::Wait(args) => wait::run(&args, &context),
        Command::Advertise(args) => advertise::run(&args, &context),
        Command::Clock(args) => clock::run(args, &context),
        Command::Ctx(args) => ctx::run(args, &context),
        Command::Config(args) => config::run(&args, &context),
        Command::Cheat(args) => cheat::run(&args, &context),
        Command::Completion(args) => completion::run(&args, &context),
        Command::Man(args) => man::run(&args, &context),
        Command::Generate(args) => generate::run(&args, &context),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error, &context.output);
            error.exit().into()
        }
    }
}

fn report(error: &CliError, output: &Output) {
    let message = error.to_string();
    if message.is_empty() {
        return;
    }
    let paint = output.stderr_paint();
    // A closed stderr leaves only the exit code to speak.
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{} {message}", paint.red("rmq:"));
    if let Some(hint) = error.hint_text() {
        let _ = writeln!(stderr, "  {} {hint}", paint.dim("hint:"));
    }
}
