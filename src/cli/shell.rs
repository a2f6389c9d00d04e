//! Commands of the user's that are run for a message, by the shell.
//!
//! Such a command leads a process group of its own: the Ctrl-C that asks `rmq` to finish what it began does not reach
//! it, and one that takes too long is killed with everything it started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::client::Received;

/// The most a command's output may be where it is kept.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;

/// Where the standard output of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// To that of `rmq`.
    Inherit,
    /// To the standard error of `rmq`, whose own output would be mixed up with it.
    Stderr,
    /// Into [`Ran::output`].
    Keep,
}

/// A command line for the shell, and what it is given.
#[derive(Clone, Debug)]
pub(crate) struct ShellCommand<'a> {
    /// The line, as it would be typed.
    pub(crate) line: &'a str,
    /// Added to the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Its standard input.
    pub(crate) input: &'a [u8],
    /// Where its standard output goes.
    pub(crate) stdout: Stdout,
    /// It is killed when it takes longer.
    pub(crate) limit: Option<Duration>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What it printed, if that was kept.
    pub(crate) output: Vec<u8>,
    /// `None`: it took too long and was killed.
    pub(crate) status: Option<ExitStatus>,
}

impl Ran {
    /// Whether it ended in time with exit code 0.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Its end in words, as in "exit code 3".
    pub(crate) fn end(&self) -> String {
        match self.status {
            None => "took too long and was killed".to_owned(),
            Some(status) => match status.code() {
                Some(code) => format!("exit code {code}"),
                None => status.to_string(),
            },
        }
    }
}

impl ShellCommand<'_> {
    /// Runs the command to its end. Killed if the future is dropped.
    pub(crate) async fn run(self) -> io::Result<Ran> {
        let mut child = self.spawn()?;
        let running = async {
            let stdin = child.stdin.take();
            let stdout = child.stdout.take();
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A command may end, or close its input, before it has read everything.
                    stdin.write_all(self.input).await.ok();
                    stdin.shutdown().await.ok();
                }
            };
            let keep = async {
                let mut output = Vec::new();
                if let Some(stdout) = stdout {
                    stdout
                        .take(OUTPUT_BYTES_MAX)
                        .read_to_end(&mut output)
                        .await?;
                }
                io::Result::Ok(output)
            };
            let (status, (), output) = tokio::join!(child.wait(), feed, keep);
            io::Result::Ok(Ran {
                output: output?,
                status: Some(status?),
            })
        };
        let ended = match self.limit {
            Some(limit) => timeout(limit, running).await,
            None => Ok(running.await),
        };
        if let Ok(ran) = ended {
            return ran;
        }
        kill(&mut child).await;
        Ok(Ran {
            output: Vec::new(),
            status: None,
        })
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = shell(self.line);
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(match self.stdout {
                Stdout::Inherit => Stdio::inherit(),
                Stdout::Stderr => Stdio::from(io::stderr()),
                Stdout::Keep => Stdio::piped(),
            })
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

/// What a command knows about its message.
pub(crate) fn environment(message: &Received, tries: u32) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    let mut set = |name: String, value: &str| {
        // An environment cannot hold zero bytes.
        if !value.contains('\0') {
            environment.push((name, value.to_owned()));
        }
    };
    set("RMQ_TOPIC".to_owned(), message.topic());
    set("RMQ_MSG_ID".to_owned(), &message.message_id());
    set("RMQ_KEYS".to_owned(), message.keys().unwrap_or_default());
    set("RMQ_TAG".to_owned(), message.tag().unwrap_or_default());
    set("RMQ_RETRIES".to_owned(), &tries.to_string());
    set("RMQ_BROKER".to_owned(), message.queue.broker.as_str());
    set("RMQ_QUEUE".to_owned(), &message.queue.queue.to_string());
    set("RMQ_OFFSET".to_owned(), &message.queue_offset.to_string());
    for (name, value) in message.user_properties() {
        set(property_name(name), value);
    }
    environment
}

/// `RMQ_PROP_` and the name of a property, with `_` for what no shell takes in a name.
fn property_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(fits).collect();
    format!("RMQ_PROP_{name}")
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

#[cfg(not(unix))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    command.args(["/C", line]);
    command
}

/// Kills a command and what it started.
async fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended just now.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    child.kill().await.ok();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::cli::consume::tests::received;

    #[test]
    fn commands_are_told_everything() {
        let environment = environment(&received(b"x"), 4);
        let value = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("RMQ_TOPIC"), Some("orders"));
        assert_eq!(value("RMQ_MSG_ID"), Some("ID"));
        assert_eq!(value("RMQ_KEYS"), Some("k1 k2"));
        assert_eq!(value("RMQ_TAG"), Some("paid"));
        assert_eq!(value("RMQ_RETRIES"), Some("4"));
        assert_eq!(value("RMQ_QUEUE"), Some("2"));
        assert_eq!(value("RMQ_OFFSET"), Some("17"));
        assert_eq!(value("RMQ_PROP_mine"), Some("1"));
        assert_eq!(property_name("a.b-c"), "RMQ_PROP_a_b_c");
    }

    fn command<'a>(line: &'a str, input: &'a [u8]) -> ShellCommand<'a> {
        ShellCommand {
            line,
            environment: vec![("RMQ_TOPIC".to_owned(), "orders".to_owned())],
            input,
            stdout: Stdout::Keep,
            limit: None,
        }
    }

    #[tokio::test]
    async fn a_command_gets_its_input_and_its_environment() {
        let ran = command("printf '%s ' \"$RMQ_TOPIC\"; cat", b"body")
            .run()
            .await
            .unwrap();
        assert!(ran.is_success());
        assert_eq!(ran.output, b"orders body");
    }

    #[tokio::test]
    async fn how_it_ended_is_told() {
        let large = vec![b'x'; 1 << 20];
        let ran = command("exit 3", &large).run().await.unwrap();
        assert!(!ran.is_success());
        assert_eq!(ran.end(), "exit code 3");
        let ran = command("kill -9 $$", b"").run().await.unwrap();
        assert!(ran.end().contains("signal"), "{}", ran.end());
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_killed_with_its_children() {
        let slow = ShellCommand {
            limit: Some(Duration::from_millis(100)),
            ..command("sleep 100 & wait", b"")
        };
        let ran = slow.run().await.unwrap();
        assert!(ran.status.is_none());
        assert!(ran.end().contains("too long"));
    }
}
