//! What is printed of a message.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};

use serde_json::Value;

use super::args::{Args, Body};
use super::format::MessageFormat;
use crate::cli::Context;
use crate::cli::exit::CliError;
use crate::cli::output::{Column, Paint, Sheet};
use crate::cli::records::{self, BodyForm};
use crate::client::Received;

pub(super) const COLUMNS: &[Column] = &[
    Column::new("storeTime", "STORED"),
    Column::new("topic", "TOPIC"),
    Column::new("brokerName", "BROKER"),
    Column::new("queueId", "QUEUE").right(),
    Column::new("queueOffset", "OFFSET").right(),
    Column::new("keys", "KEYS"),
    Column::new("tags", "TAG"),
    Column::new("uniqKey", "ID").name(),
    Column::new("bodyText", "BODY"),
    Column::new("bodyBase64", "BASE64").wide(),
];

/// Where messages are printed.
pub(super) struct Printer<'a> {
    target: Target<'a>,
    form: BodyForm,
    utc: bool,
    /// Whether each message has left this process when `print` returns.
    flush_each: bool,
}

enum Target<'a> {
    Nothing,
    Rows(Sheet<'a>),
    Format(MessageFormat, BufWriter<io::Stdout>),
    Raw(BufWriter<io::Stdout>),
}

/// What a command or a server made of a message, for the row.
pub(super) struct Outcome<'a> {
    /// `ack`, `retry`, `suspend`, `dead`, `failed`.
    pub(super) name: &'static str,
    /// Why it failed.
    pub(super) reason: Option<&'a str>,
}

impl<'a> Printer<'a> {
    /// What the options ask for.
    pub(super) fn new(
        args: &Args,
        format: Option<MessageFormat>,
        context: &'a Context,
        line: &'a dyn Fn(&Value) -> String,
    ) -> Self {
        // Whoever only looks to the end may wait for the rows; whoever acknowledges may not.
        let flush_each = args.follows() || args.joined_group().is_some();
        let out = || BufWriter::with_capacity(64 << 10, io::stdout());
        let target = match format {
            Some(format) => Target::Format(format, out()),
            None if args.body == Some(Body::Raw) => Target::Raw(out()),
            None if prints_rows(args, context) => Target::Rows(if flush_each {
                context.output.stream(COLUMNS, line)
            } else {
                context.output.listing(COLUMNS, line)
            }),
            None if args.pipe.is_some() => Target::Raw(out()),
            None => Target::Nothing,
        };
        Self {
            target,
            form: args.body_form(),
            utc: context.global.utc,
            flush_each,
        }
    }

    /// Prints one message, with `body` in the place of its own.
    pub(super) fn print(
        &mut self,
        message: &Received,
        body: &[u8],
        outcome: Option<Outcome<'_>>,
    ) -> Result<(), CliError> {
        let out = match &mut self.target {
            Target::Nothing => return Ok(()),
            Target::Rows(sheet) => {
                let mut row = records::row_with(message, body, self.form, self.utc);
                if let (Some(outcome), Value::Object(fields)) = (outcome, &mut row) {
                    fields.insert("outcome".to_owned(), outcome.name.into());
                    fields.insert("reason".to_owned(), outcome.reason.into());
                }
                return sheet.row(&row);
            }
            Target::Format(format, out) => {
                format.write(message, body, self.utc, out)?;
                out
            }
            Target::Raw(out) => {
                out.write_all(body)?;
                out
            }
        };
        if self.flush_each {
            out.flush()?;
        }
        Ok(())
    }

    /// Prints the row of a message that failed. Formats and bodies alone are for those that succeeded.
    pub(super) fn print_failed(
        &mut self,
        message: &Received,
        outcome: Outcome<'_>,
    ) -> Result<(), CliError> {
        match self.target {
            Target::Rows(_) => self.print(message, message.body(), Some(outcome)),
            _ => Ok(()),
        }
    }

    /// Prints what only the end can print.
    pub(super) fn finish(self) -> Result<(), CliError> {
        match self.target {
            Target::Nothing => Ok(()),
            Target::Rows(sheet) => sheet.finish(),
            Target::Format(_, mut out) | Target::Raw(mut out) => Ok(out.flush()?),
        }
    }
}

/// Whether messages are printed as rows: always, unless a command or a server takes them and nobody asks for rows.
pub(super) fn prints_rows(args: &Args, context: &Context) -> bool {
    let asked = context.output.format().is_some() || !context.global.columns.is_empty();
    args.format.is_none()
        && args.body != Some(Body::Raw)
        && (asked || args.body.is_some() || !args.has_work())
}

/// A message as one line for people.
pub(super) fn line(row: &Value, context: &Context) -> String {
    let paint = context.output.paint();
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{}  {}/{} @{}",
        paint.dim(text("storeTime")),
        text("brokerName"),
        row["queueId"],
        row["queueOffset"]
    );
    for (label, name) in [("key", "keys"), ("tag", "tags"), ("outcome", "outcome")] {
        if !text(name).is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {label}={}", escaped(text(name)));
        }
    }
    line.push_str("  ");
    line.push_str(&shown_body(row, paint));
    line
}

fn shown_body(row: &Value, paint: Paint) -> String {
    for name in ["bodyText", "bodyHex"] {
        if let Some(text) = row[name].as_str() {
            return escaped(text);
        }
    }
    match (&row["body"], row["bodyBase64"].as_str()) {
        (Value::Null, Some(text)) if text.len() <= 64 => text.to_owned(),
        (Value::Null, _) => paint.dim(&format!("{} bytes, not text", row["bodyLength"])),
        (json, _) => json.to_string(),
    }
}

/// Control characters could move the cursor or fake a line.
fn escaped(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}
