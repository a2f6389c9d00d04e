//! `rmq send --request`: sends a message and prints what somebody replied to it.

use std::pin::pin;

use serde_json::Value;
use tokio::sync::mpsc;

use super::args::Args;
use super::producer_options;
use super::source::Item;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Column, Sheet};
use crate::cli::{Context, interrupted, records};
use crate::client::{Client, Received};

const COLUMNS: &[Column] = &[
    Column::new("uniqKey", "ID").name(),
    Column::new("tags", "TAG"),
    Column::new("keys", "KEYS"),
    Column::new("bodyText", "BODY"),
];

/// Asks one question after the other.
pub(super) async fn run(
    args: &Args,
    client: &Client,
    items: &mut mpsc::Receiver<Vec<Item>>,
    total: Option<u64>,
    context: &Context,
) -> Result<Exit, CliError> {
    let group = args.producer_group.as_deref().unwrap_or("rmq_send");
    let producer = client.producer(group, producer_options(args, Some(1)))?;
    let body = |row: &Value| row["bodyText"].as_str().unwrap_or_default().to_owned();
    let mut printer = Printer {
        // The reply itself is the result, unless a form is asked for.
        sheet: context
            .output
            .format()
            .is_some()
            .then(|| context.output.listing(COLUMNS, &body)),
        context,
    };
    let mut interrupted = pin!(interrupted());
    let (mut replied, mut failed) = (0_u64, 0_u64);
    let mut first_error: Option<CliError> = None;
    'input: while let Some(chunk) = items.recv().await {
        for item in chunk {
            let asked = async {
                let message = item.message?;
                Ok::<_, CliError>(producer.request(message, args.timeout).await?)
            };
            let answer = tokio::select! {
                biased;
                () = &mut interrupted => {
                    let text = format!("interrupted: {replied} replies; {} has none", item.place);
                    context.output.note(&text);
                    return Ok(Exit::Interrupted);
                }
                answer = asked => answer,
            };
            match answer {
                Ok(reply) => {
                    replied += 1;
                    printer.print(&reply)?;
                }
                Err(error) => {
                    failed += 1;
                    if total != Some(1) {
                        context
                            .output
                            .warn(&format!("no reply: {}: {error}", item.place));
                    }
                    first_error.get_or_insert(error);
                    if args.fail_fast {
                        break 'input;
                    }
                }
            }
        }
    }
    if let Some(sheet) = printer.sheet {
        sheet.finish()?;
    }
    match first_error {
        None => Ok(Exit::Ok),
        Some(_) if replied > 0 => {
            context
                .output
                .note(&format!("{replied} replies, {failed} without"));
            Ok(Exit::Partial)
        }
        Some(error) => Err(error),
    }
}

struct Printer<'a> {
    sheet: Option<Sheet<'a>>,
    context: &'a Context,
}

impl Printer<'_> {
    fn print(&mut self, reply: &Received) -> Result<(), CliError> {
        if let Some(sheet) = &mut self.sheet {
            let form = records::BodyForm::default();
            sheet.row(&records::row_with(
                reply,
                reply.body(),
                form,
                self.context.global.utc,
            ))?;
            return sheet.flush();
        }
        let mut body = reply.body().to_vec();
        body.push(b'\n');
        self.context.output.raw(&body)
    }
}
