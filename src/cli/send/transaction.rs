//! `rmq send --transaction`: half messages, a local transaction for each, and answers to brokers that ask.
//!
//! A half message is stored first; then the command of `--exec` runs with the body on its standard input and the rest in
//! its environment. Its exit code decides: 0 commits, any other rolls back. Without an exit code there is no decision: a
//! command that was killed (also by its shell's account: 128 and above), a commit that got no answer, and a second
//! Ctrl-C leave it to the broker, which asks a member of the producer group after a while. That is what `--check` is for.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::args::{Args, Txn};
use super::producer_options;
use super::source::{Item, Place};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Sheet};
use crate::cli::shell::{ShellCommand, Stdout};
use crate::cli::{Context, interrupted};
use crate::client::{
    Answered, Client, Decision, Half, Message, Received, TransactionOptions, TransactionProducer,
};
use crate::message::names;

const COLUMNS: &[Column] = &[
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("uniqKey", "ID").name(),
    Column::new("transactionId", "TRANSACTION"),
    Column::new("outcome", "OUTCOME"),
    Column::new("by", "BY"),
];

const FINISHING: &str = "interrupted: the transaction under way is finished first; \
    a second Ctrl-C leaves it to the check";

/// Transactions whose command is at work here: a broker that asks about one of them is told to ask again.
type Open = Arc<Mutex<BTreeSet<String>>>;

/// What the commands of `--check` said, by message, until the broker has taken the answer.
type Checked = Arc<Mutex<BTreeMap<String, (About, String)>>>;

/// Sends half messages and ends them, then answers for as long as asked.
pub(super) async fn run(
    args: &Args,
    client: &Client,
    items: &mut mpsc::Receiver<Vec<Item>>,
    context: &Context,
) -> Result<Exit, CliError> {
    let line = |row: &Value| line(row, context);
    let (answered, mut answers) = mpsc::unbounded_channel();
    let (open, checked) = (Open::default(), Checked::default());
    let producer = join(args, client, &open, &checked, answered).await?;
    let mut desk = Desk {
        args,
        context,
        producer,
        open,
        checked,
        sheet: context.output.stream(COLUMNS, &line),
        committed: 0,
        rolled_back: 0,
        undecided: 0,
        first_error: None,
    };
    let mut interrupted = pin!(interrupted());
    let mut is_interrupted = false;
    let mut reading = !args.transaction.only_checks;
    while reading {
        // A command that is at work is waited for, so that its transaction has an end.
        let chunk = tokio::select! {
            biased;
            () = &mut interrupted => {
                is_interrupted = true;
                break;
            }
            Some(answered) = answers.recv() => {
                desk.answered(answered)?;
                continue;
            }
            chunk = items.recv() => chunk,
        };
        let Some(chunk) = chunk else { break };
        for item in chunk {
            let place = item.place;
            let done = {
                let mut working = pin!(desk.transact(item));
                tokio::select! {
                    biased;
                    () = &mut interrupted => {
                        context.output.note(FINISHING);
                        is_interrupted = true;
                        working.await
                    }
                    done = &mut working => done,
                }
            };
            let goes_on = desk.tell(place, done)?;
            if !goes_on || is_interrupted {
                reading = false;
                break;
            }
        }
    }
    if !is_interrupted && (args.transaction.only_checks || args.transaction.linger.is_some()) {
        let limit = args.transaction.linger;
        let mut over = pin!(async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                () = &mut interrupted => {
                    is_interrupted = true;
                    break;
                }
                Some(answered) = answers.recv() => desk.answered(answered)?,
                () = &mut over => break,
            }
        }
    }
    desk.finish(is_interrupted)
}

/// Becomes a member of the producer group that can answer.
async fn join(
    args: &Args,
    client: &Client,
    open: &Open,
    checked: &Checked,
    answered: mpsc::UnboundedSender<Answered>,
) -> Result<TransactionProducer, CliError> {
    let group = args
        .producer_group
        .clone()
        .unwrap_or_else(|| format!("rmq_send_{}", args.topic));
    let options = TransactionOptions {
        producer: producer_options(args, Some(1)),
        topics: vec![args.topic.clone()],
        answered: Some(answered),
        ..TransactionOptions::default()
    };
    let command = args.transaction.check.clone();
    let (open, checked) = (Arc::clone(open), Arc::clone(checked));
    let check = move |message: Received| {
        let (command, open, checked) = (command.clone(), Arc::clone(&open), Arc::clone(&checked));
        async move {
            let id = message.message_id();
            let Some(command) = command.filter(|_| !open.lock().contains(&id)) else {
                return Decision::Unknown;
            };
            let about = About::asked(&message);
            let (decision, by) = match about.run(&command, message.body()).await {
                Ok(Some(0)) => (Decision::Commit, "check: exit code 0".to_owned()),
                Ok(Some(1)) => (Decision::Rollback, "check: exit code 1".to_owned()),
                Ok(Some(code)) => (Decision::Unknown, format!("check: exit code {code}")),
                Ok(None) => (Decision::Unknown, "check: killed".to_owned()),
                Err(error) => (Decision::Unknown, format!("check: {error}")),
            };
            checked.lock().insert(id, (about, by));
            decision
        }
    };
    Ok(client.transaction_producer(&group, options, check).await?)
}

/// What a command is told about its message.
#[derive(Debug)]
struct About {
    topic: String,
    broker: String,
    id: String,
    transaction_id: String,
    keys: String,
    tag: String,
    properties: Vec<(String, String)>,
}

impl About {
    fn sent(message: &Message, half: &Half) -> Self {
        Self {
            topic: message.topic().to_owned(),
            broker: half.receipt().queue.broker.to_string(),
            id: half.message_id().to_owned(),
            transaction_id: half.transaction_id().to_owned(),
            keys: message.keys().unwrap_or_default().to_owned(),
            tag: message.tag().unwrap_or_default().to_owned(),
            properties: owned(message.user_properties()),
        }
    }

    fn asked(message: &Received) -> Self {
        let property = |name| message.properties.get(name).map(str::to_owned);
        let topic = property(names::REAL_TOPIC).unwrap_or_else(|| message.topic().to_owned());
        let id = message.message_id();
        Self {
            topic,
            broker: message.queue.broker.to_string(),
            transaction_id: property(names::TRANSACTION_ID).unwrap_or_else(|| id.clone()),
            id,
            keys: message.keys().unwrap_or_default().to_owned(),
            tag: message.tag().unwrap_or_default().to_owned(),
            properties: owned(message.user_properties()),
        }
    }

    fn row(&self, decision: Decision, by: &str) -> Value {
        json!({
            "topic": self.topic,
            "brokerName": self.broker,
            "uniqKey": self.id,
            "transactionId": self.transaction_id,
            "outcome": match decision {
                Decision::Commit => "COMMIT",
                Decision::Rollback => "ROLLBACK",
                Decision::Unknown => "UNKNOWN",
            },
            "by": by,
        })
    }

    /// Runs a command for the message; its exit code, unless it was killed.
    async fn run(&self, line: &str, body: &[u8]) -> Result<Option<i32>, CliError> {
        let mut environment = Vec::new();
        let mut set = |name: &str, value: &str| {
            // An environment cannot hold zero bytes.
            if !value.contains('\0') {
                environment.push((name.to_owned(), value.to_owned()));
            }
        };
        set("RMQ_TOPIC", &self.topic);
        set("RMQ_MSG_ID", &self.id);
        set("RMQ_KEYS", &self.keys);
        set("RMQ_TAG", &self.tag);
        set("RMQ_TRANSACTION_ID", &self.transaction_id);
        for (name, value) in &self.properties {
            let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name: String = name.chars().map(fits).collect();
            set(&format!("RMQ_PROP_{name}"), value);
        }
        let command = ShellCommand {
            line,
            environment,
            input: body,
            stdout: Stdout::Stderr,
            limit: None,
        };
        let ran = command
            .run()
            .await
            .map_err(|error| CliError::failed(format!("{line:?} cannot be run: {error}")))?;
        let code = ran.status.and_then(|status| status.code());
        Ok(code.filter(|code| *code < 128))
    }
}

fn owned<'m>(properties: impl Iterator<Item = (&'m str, &'m str)>) -> Vec<(String, String)> {
    properties
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// How a transaction went: what is printed, and whether it was meant so.
struct Done {
    row: Value,
    decision: Decision,
}

/// Runs transactions one after the other and counts them.
struct Desk<'a> {
    args: &'a Args,
    context: &'a Context,
    producer: TransactionProducer,
    open: Open,
    checked: Checked,
    sheet: Sheet<'a>,
    committed: u64,
    rolled_back: u64,
    undecided: u64,
    first_error: Option<CliError>,
}

impl Desk<'_> {
    async fn transact(&self, item: Item) -> Result<Done, CliError> {
        let message = item.message?;
        let half = self.producer.send_half(message.clone()).await?;
        let about = About::sent(&message, &half);
        self.open.lock().insert(about.id.clone());
        let decided = self.decide(&about, &message).await;
        self.open.lock().remove(&about.id);
        let (decision, by) = decided?;
        match decision {
            Decision::Commit => half.commit().await?,
            Decision::Rollback => half.rollback().await?,
            Decision::Unknown => drop(half),
        }
        Ok(Done {
            row: about.row(decision, &by),
            decision,
        })
    }

    async fn decide(
        &self,
        about: &About,
        message: &Message,
    ) -> Result<(Decision, String), CliError> {
        let Some(command) = &self.args.transaction.exec else {
            let decision = match self.args.transaction.txn {
                Some(Txn::Commit) => Decision::Commit,
                Some(Txn::Rollback) => Decision::Rollback,
                Some(Txn::Unknown) | None => Decision::Unknown,
            };
            return Ok((decision, "--txn".to_owned()));
        };
        Ok(match about.run(command, message.body()).await? {
            Some(0) => (Decision::Commit, "exec: exit code 0".to_owned()),
            Some(code) => (Decision::Rollback, format!("exec: exit code {code}")),
            None => (Decision::Unknown, "exec: killed".to_owned()),
        })
    }

    /// Prints how it went. `false` if no more should be tried.
    fn tell(&mut self, place: Place, done: Result<Done, CliError>) -> Result<bool, CliError> {
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                self.undecided += 1;
                let goes_on = !self.args.fail_fast
                    && !matches!(
                        error.exit(),
                        Exit::Unreachable | Exit::NotPermitted | Exit::NotFound
                    );
                self.context
                    .output
                    .warn(&format!("{place} is not committed: {error}"));
                self.first_error.get_or_insert(error);
                return Ok(goes_on);
            }
        };
        self.sheet.row(&done.row)?;
        match done.decision {
            Decision::Commit => self.committed += 1,
            Decision::Rollback => self.rolled_back += 1,
            Decision::Unknown => self.undecided += 1,
        }
        Ok(!(self.args.fail_fast && done.decision != Decision::Commit))
    }

    /// Prints what became of an answer to a broker's question.
    fn answered(&mut self, answered: Answered) -> Result<(), CliError> {
        // No command was asked about a transaction that is at work here.
        let Some((about, by)) = self.checked.lock().remove(&answered.message_id) else {
            return Ok(());
        };
        let row = match answered.result {
            Ok(()) => about.row(answered.decision, &by),
            Err(error) => {
                self.context.output.warn(&format!(
                    "{} is not confirmed to have ended as the check said, and is asked about again if it has not: {error}",
                    about.id
                ));
                about.row(Decision::Unknown, &format!("{by}, not confirmed"))
            }
        };
        self.sheet.row(&row)
    }

    fn finish(self, is_interrupted: bool) -> Result<Exit, CliError> {
        self.sheet.finish()?;
        let (committed, rolled_back, undecided) =
            (self.committed, self.rolled_back, self.undecided);
        let counts =
            format!("{committed} committed, {rolled_back} rolled back, {undecided} undecided");
        let meant = self.args.transaction.txn.is_some();
        if is_interrupted {
            self.context.output.note(&format!("interrupted: {counts}"));
            return Ok(Exit::Interrupted);
        }
        let missing = if meant { 0 } else { rolled_back + undecided };
        match self.first_error {
            Some(error) if committed == 0 => Err(error),
            None if missing == 0 => Ok(Exit::Ok),
            _ => {
                self.context.output.note(&counts);
                Ok(if committed > 0 {
                    Exit::Partial
                } else {
                    Exit::Failed
                })
            }
        }
    }
}

/// The end of a transaction as a line for people.
fn line(row: &Value, context: &Context) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    format!(
        "{}  {}  {}  {}",
        text("topic"),
        text("outcome"),
        context.output.paint().dim(text("uniqKey")),
        text("by"),
    )
}
