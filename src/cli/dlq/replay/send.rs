//! Sending one letter again, and remembering what was sent.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use etcetera::BaseStrategy as _;
use tokio::time::{Instant, sleep_until};

use super::args::Args;
use super::plan::Plan;
use super::report::{Entry, Outcome};
use crate::cli::exit::CliError;
use crate::cli::send::pace::Pace;
use crate::cli::shell::{ShellCommand, Stdout, environment};
use crate::client::{Client, Message, Producer, ProducerOptions, Received};

/// The group dead letters are sent in.
const PRODUCER_GROUP: &str = "rmq_dlq_replay";

/// Sends letters, no faster than allowed.
pub(super) struct Sender {
    producer: Producer,
    pace: Pace,
    edit: Option<String>,
    edit_limit: Duration,
    existing: BTreeSet<String>,
    memory: Option<Memory>,
}

impl Sender {
    pub(super) fn new(client: &Client, args: &Args, plan: &Plan) -> Result<Self, CliError> {
        Ok(Self {
            producer: client.producer(PRODUCER_GROUP, ProducerOptions::default())?,
            pace: Pace::new(args.rate, Instant::now()),
            edit: plan.edit.clone(),
            edit_limit: args.edit_timeout,
            existing: plan.existing().clone(),
            memory: if args.dedupe {
                Some(Memory::open(&args.group)?)
            } else {
                None
            },
        })
    }

    /// Waits until the next one may leave.
    pub(super) async fn turn(&mut self) {
        while self.pace.allowed(1, Instant::now()) == 0 {
            match self.pace.next_at() {
                Some(at) => sleep_until(at).await,
                None => break,
            }
        }
        self.pace.left(1);
    }

    /// Sends a letter and notes in `entry` what became of it.
    pub(super) async fn send(&self, letter: &Received, entry: &mut Entry) {
        match self.try_send(letter, entry).await {
            Ok(()) => entry.outcome = Outcome::Sent,
            Err(reason) => entry.settle(Outcome::Failed, reason),
        }
    }

    async fn try_send(&self, letter: &Received, entry: &mut Entry) -> Result<(), String> {
        let target = entry
            .to
            .clone()
            .ok_or("it does not say where it came from; --to TOPIC names a target")?;
        if !self.existing.contains(&target) {
            return Err(format!("topic {target} does not exist"));
        }
        let mut message = Message::again(letter, target);
        if let Some(line) = &self.edit {
            message = message.with_body(self.edited(line, letter).await?);
        }
        let sent = self.producer.send_again(message).await;
        let receipt = sent.map_err(|error| error.to_string())?;
        entry.new_id = Some(receipt.message_id);
        entry.new_msg_id = Some(receipt.offset_message_id);
        Ok(())
    }

    async fn edited(&self, line: &str, letter: &Received) -> Result<Vec<u8>, String> {
        let tries = u32::try_from(letter.reconsume_times).unwrap_or_default();
        let command = ShellCommand {
            line,
            environment: environment(letter, tries),
            input: letter.body(),
            stdout: Stdout::Keep,
            limit: Some(self.edit_limit),
        };
        match command.run().await {
            Ok(ran) if ran.is_success() => Ok(without_new_end(letter.body(), ran.output)),
            Ok(ran) => Err(format!("--edit: {}", ran.end())),
            Err(error) => Err(format!("--edit: the command cannot be run: {error}")),
        }
    }

    /// Whether a replay that remembers has sent this id.
    pub(super) fn was_sent(&self, id: &str) -> bool {
        self.memory
            .as_ref()
            .is_some_and(|memory| memory.ids.contains(id))
    }

    /// Remembers an id.
    pub(super) fn mark(&mut self, id: &str) -> Result<(), CliError> {
        match &mut self.memory {
            Some(memory) => memory.add(id),
            None => Ok(()),
        }
    }
}

/// Commands end what they print with a line end, which a body that had none did not mean.
fn without_new_end(before: &[u8], mut after: Vec<u8>) -> Vec<u8> {
    if !before.ends_with(b"\n") && after.ends_with(b"\n") {
        after.pop();
    }
    after
}

/// The ids that were sent, in a file of this user's.
struct Memory {
    path: PathBuf,
    file: File,
    ids: BTreeSet<String>,
}

impl Memory {
    fn open(group: &str) -> Result<Self, CliError> {
        let strategy = etcetera::choose_base_strategy().map_err(CliError::failed)?;
        let dir = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        let dir = dir.join("rmq").join("replayed");
        // A group's name may hold %, |, - and letters, digits and _ only: it is a file name.
        let path = dir.join(group.replace('|', "_"));
        let failed = |error: std::io::Error| {
            CliError::failed(format!("--dedupe {}: {error}", path.display()))
        };
        fs::create_dir_all(&dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        let file = file.map_err(failed)?;
        let known = fs::read_to_string(&path).map_err(failed)?;
        let ids = known.lines().map(str::to_owned).collect();
        Ok(Self { path, file, ids })
    }

    fn add(&mut self, id: &str) -> Result<(), CliError> {
        self.ids.insert(id.to_owned());
        self.file
            .write_all(format!("{id}\n").as_bytes())
            .map_err(|error| CliError::failed(format!("{}: {error}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_that_was_not_there_is_left_out() {
        let edited = |before: &[u8], after: &[u8]| without_new_end(before, after.to_vec());
        assert_eq!(edited(b"{}", b"{ }\n"), b"{ }");
        assert_eq!(edited(b"{}\n", b"{ }\n"), b"{ }\n");
        assert_eq!(edited(b"a", b"b"), b"b");
    }
}
