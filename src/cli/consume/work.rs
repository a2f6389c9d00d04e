//! What is done with a message besides printing it: a command, an HTTP server.

use std::time::Duration;

use tokio::time::sleep;

use super::args::Args;
use crate::cli::exit::CliError;
use crate::cli::shell::{ShellCommand, Stdout, environment};
use crate::client::{Received, Webhook};

/// How long an HTTP server may take if nobody says.
const FORWARD_LIMIT: Duration = Duration::from_secs(30);
/// How long a message waits for a server that cannot be reached, before it is given back.
const AFTER_UNREACHABLE: Duration = Duration::from_secs(1);

/// What decides about a message.
#[derive(Debug)]
pub(super) enum Work {
    /// Nothing: it is printed.
    Print,
    /// A command's exit code.
    Exec {
        line: String,
        limit: Option<Duration>,
        stdout: Stdout,
    },
    /// A command's exit code; its output takes the place of the body.
    Pipe {
        line: String,
        limit: Option<Duration>,
    },
    /// An HTTP status.
    Forward(Webhook),
}

/// What became of a message. `Ok` may hold another body; `Err` says why it failed.
pub(super) type Verdict = Result<Option<Vec<u8>>, String>;

impl Work {
    /// What the options ask for. `rows` says that rows are printed, which a command's output must not be mixed with.
    pub(super) fn new(args: &Args, rows: bool) -> Result<Self, CliError> {
        let limit = args.exec_timeout;
        if let Some(line) = &args.exec {
            let stdout = if rows {
                Stdout::Stderr
            } else {
                Stdout::Inherit
            };
            return Ok(Self::Exec {
                line: line.clone(),
                limit,
                stdout,
            });
        }
        if let Some(line) = &args.pipe {
            return Ok(Self::Pipe {
                line: line.clone(),
                limit,
            });
        }
        match &args.forward {
            Some(url) => Ok(Self::Forward(Webhook::new(
                url,
                limit.unwrap_or(FORWARD_LIMIT),
            )?)),
            None => Ok(Self::Print),
        }
    }

    /// Does it with one message that was tried `tries` times before.
    pub(super) async fn perform(&self, message: &Received, tries: u32) -> Verdict {
        match self {
            Self::Print => Ok(None),
            Self::Exec {
                line,
                limit,
                stdout,
            } => run(line, message, tries, *stdout, *limit)
                .await
                .map(|_| None),
            Self::Pipe { line, limit } => run(line, message, tries, Stdout::Keep, *limit)
                .await
                .map(Some),
            Self::Forward(hook) => match hook.post(message).await {
                Ok(status) if (200..300).contains(&status) => Ok(None),
                Ok(status) => Err(format!("status {status}")),
                Err(error) => {
                    if error.is_unreachable() {
                        // A server that is down must not use up the retries of everything there is.
                        sleep(AFTER_UNREACHABLE).await;
                    }
                    Err(error.to_string())
                }
            },
        }
    }
}

async fn run(
    line: &str,
    message: &Received,
    tries: u32,
    stdout: Stdout,
    limit: Option<Duration>,
) -> Result<Vec<u8>, String> {
    let command = ShellCommand {
        line,
        environment: environment(message, tries),
        input: message.body(),
        stdout,
        limit,
    };
    match command.run().await {
        Ok(ran) if ran.is_success() => Ok(ran.output),
        Ok(ran) => Err(ran.end()),
        Err(error) => Err(format!("the command cannot be run: {error}")),
    }
}
