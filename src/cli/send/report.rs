//! What became of the messages: receipts on stdout, everything that was not acknowledged on stderr.

use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Progress, Sheet};
use crate::client::{ClientError, Message, SendReceipt, SendStatus};

pub(super) const COLUMNS: &[Column] = &[
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("uniqKey", "ID").name(),
    Column::new("msgId", "OFFSET ID").wide(),
    Column::new("status", "STATUS").wide(),
];

/// Counts, prints and judges.
pub(super) struct Report<'a> {
    sheet: Option<Sheet<'a>>,
    progress: Progress,
    context: &'a Context,
    sent: u64,
    failed: u64,
    /// The first failure decides the exit code if nothing was sent.
    first_error: Option<CliError>,
    /// There is one message only, so the error of the command says it all.
    single: bool,
    /// Reading ended before the input did.
    stopped: bool,
    interrupted: bool,
}

impl<'a> Report<'a> {
    /// `total` is the number of messages, 0 if it is not known.
    pub(super) fn new(
        sheet: Sheet<'a>,
        progress: Progress,
        context: &'a Context,
        total: u64,
    ) -> Self {
        Self {
            sheet: Some(sheet),
            progress,
            context,
            sent: 0,
            failed: 0,
            first_error: None,
            single: total == 1,
            stopped: false,
            interrupted: false,
        }
    }

    pub(super) fn interrupted(&mut self) {
        self.interrupted = true;
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// An input that is no message.
    pub(super) fn unreadable(&mut self, error: &CliError) {
        self.failed += 1;
        self.context.output.warn(&format!("not sent: {error}"));
        self.first_error
            .get_or_insert_with(|| CliError::new(error.exit(), error));
    }

    /// The answer to one request. `false` if the next message would fail in the same way.
    pub(super) fn answered(
        &mut self,
        names: &[String],
        answer: Result<Vec<SendReceipt>, ClientError>,
    ) -> Result<bool, CliError> {
        let count = u64::try_from(names.len()).unwrap_or_default();
        self.progress.add(count);
        match answer {
            Ok(receipts) => {
                self.sent += count;
                for receipt in &receipts {
                    self.print(receipt)?;
                }
                Ok(true)
            }
            Err(error) => {
                self.failed += count;
                let names = if self.single { &[] } else { names };
                for name in names {
                    let text = format!("not acknowledged: {name}: {error}");
                    self.context.output.warn(&text);
                }
                let goes_on = concerns_one_message(&error);
                self.stopped |= !goes_on;
                self.first_error.get_or_insert_with(|| error.into());
                Ok(goes_on)
            }
        }
    }

    fn print(&mut self, receipt: &SendReceipt) -> Result<(), CliError> {
        if receipt.status != SendStatus::Ok {
            self.context.output.warn(&format!(
                "{} is stored, but not as safely as the broker should: {}",
                receipt.message_id,
                receipt.status.name()
            ));
        }
        let Some(sheet) = &mut self.sheet else {
            return Ok(());
        };
        match sheet.row(&row(receipt)) {
            // Whoever read the receipts has seen enough; the messages still have to go.
            Err(error) if error.exit() == Exit::Ok => {
                self.sheet = None;
                Ok(())
            }
            printed => printed,
        }
    }

    /// Ends the output and says how it went.
    pub(super) fn finish(self) -> Result<Exit, CliError> {
        self.progress.finish();
        if let Some(sheet) = self.sheet {
            sheet.finish()?;
        }
        let Self { sent, failed, .. } = self;
        let rest = if self.stopped || self.interrupted {
            "; what came after that was not tried"
        } else {
            ""
        };
        if self.interrupted {
            let text = format!("interrupted: {sent} sent, {failed} not acknowledged{rest}");
            self.context.output.note(&text);
            return Ok(Exit::Interrupted);
        }
        match self.first_error {
            None => Ok(Exit::Ok),
            Some(_) if sent > 0 => {
                let text = format!("{sent} sent, {failed} not acknowledged{rest}");
                self.context.output.note(&text);
                Ok(Exit::Partial)
            }
            Some(error) => Err(error),
        }
    }
}

/// Whether another message may fare better.
fn concerns_one_message(error: &ClientError) -> bool {
    match error {
        ClientError::Message { .. } => true,
        // Refused, but not for the topic, the permission or the state of the broker.
        ClientError::Refused { .. } => !error.is_retried_elsewhere(),
        _ => false,
    }
}

fn row(receipt: &SendReceipt) -> Value {
    json!({
        "topic": receipt.queue.topic.as_str(),
        "brokerName": receipt.queue.broker.as_str(),
        "queueId": receipt.queue.queue.get(),
        "queueOffset": receipt.queue_offset,
        "uniqKey": receipt.message_id,
        "msgId": receipt.offset_message_id,
        "status": receipt.status.name(),
    })
}

/// A receipt as a line for people.
pub(super) fn line(row: &Value, context: &Context) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    format!(
        "{}  {}/{}  offset {}  {}",
        text("topic"),
        text("brokerName"),
        row["queueId"],
        row["queueOffset"],
        context.output.paint().dim(text("uniqKey")),
    )
}

/// What a dry run shows of a message.
pub(super) fn plan(message: &Message) -> Value {
    json!({
        "topic": message.topic(),
        "tags": message.tag(),
        "bodyLength": message.body().len(),
        "status": "DRY_RUN",
    })
}

/// The same as a line for people.
pub(super) fn plan_line(row: &Value) -> String {
    let topic = row["topic"].as_str().unwrap_or_default();
    format!("{topic}  {} bytes  not sent", row["bodyLength"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_failures_end_the_reading() {
        let refused = |code| ClientError::Refused {
            address: "h:1".into(),
            what: "SEND_MESSAGE",
            code,
            remark: String::new(),
        };
        assert!(concerns_one_message(&refused(13)));
        assert!(!concerns_one_message(&refused(16)));
        assert!(!concerns_one_message(&ClientError::Closed));
    }
}
