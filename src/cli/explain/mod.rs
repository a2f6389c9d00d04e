//! `rmq explain`: what a code, a finding or a pasted error means, and what to run next.
#![allow(
    clippy::doc_markdown,
    reason = "comments of arguments are printed as help, where backticks would be noise"
)]

mod codes;
mod entry;
mod find;
mod outcomes;
mod texts;

use std::io::{IsTerminal as _, Read as _};

use serde_json::{Value, json};

use super::Context;
use super::exit::{CliError, Exit};
use super::output::{Column, Paint};
pub(crate) use entry::{Entry, Kind};

/// More of a log than this is not looked at; the first error is the telling one.
const INPUT_MAX: u64 = 1 << 20;

const COLUMNS: &[Column] = &[
    Column::new("kind", "KIND"),
    Column::new("number", "NUMBER").right(),
    Column::new("name", "NAME").name(),
    Column::new("means", "MEANS"),
    Column::new("causes", "CAUSES").wide(),
    Column::new("next", "NEXT").wide(),
];

/// Explain a code, a finding of `rmq doctor`, or a pasted error
///
/// Takes response codes (14, TOPIC_NOT_EXIST), exit codes of rmq, send statuses, findings (RMQ-D001), and error texts or
/// stack traces of the Java and Go clients, as arguments or on stdin.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rmq explain 14
  rmq explain FLUSH_DISK_TIMEOUT
  rmq explain RMQ-D001
  rmq explain 'MQClientException: No route info of this topic: orders'
  tail -100 app.log | rmq explain
  rmq explain --list -o name")]
pub(crate) struct Args {
    /// Code, name, finding or text; `-` or nothing reads stdin
    #[arg(value_name = "CODE|TEXT", allow_negative_numbers = true)]
    what: Vec<String>,
    /// Everything that can be explained
    #[arg(long, conflicts_with = "what")]
    list: bool,
}

/// Explains, or ends with 3 if nothing is recognised.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let found = if args.list {
        find::all().copied().collect()
    } else {
        let text = text(args)?;
        let found = find::find(&text);
        if found.is_empty() {
            return Err(
                CliError::not_found(format!("nothing known about {}", shortened(&text)))
                    .hint("rmq explain --list shows what is; a longer piece of the log may help"),
            );
        }
        found
    };
    let paint = context.output.paint();
    let list = args.list;
    let line = |row: &Value| {
        if list {
            line_of(row)
        } else {
            prose(row, paint)
        }
    };
    let mut sheet = context.output.listing(COLUMNS, &line);
    for entry in &found {
        sheet.row(&row(entry))?;
    }
    sheet.finish()?;
    Ok(Exit::Ok)
}

fn text(args: &Args) -> Result<String, CliError> {
    let from_stdin = args.what.is_empty() || args.what == ["-"];
    if !from_stdin {
        return Ok(args.what.join(" "));
    }
    let stdin = std::io::stdin();
    if args.what.is_empty() && stdin.is_terminal() {
        return Err(CliError::usage("nothing to explain").hint(
            "rmq explain CODE|TEXT, or pipe a log into it; rmq explain --list shows what is known",
        ));
    }
    let mut bytes = Vec::new();
    stdin.lock().take(INPUT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shortened(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.is_empty() {
        return "an empty text".to_owned();
    }
    let mut short: String = line.chars().take(60).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// An entry as JSON, as every command that explains prints it.
pub(crate) fn row(entry: &Entry) -> Value {
    json!({
        "kind": entry.kind.as_str(),
        "number": entry.number,
        "name": entry.name,
        "means": entry.means,
        "causes": entry.causes,
        "next": entry.next,
    })
}

fn text_of<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

fn line_of(row: &Value) -> String {
    let number = row["number"]
        .as_i64()
        .map_or_else(String::new, |number| number.to_string());
    format!(
        "{:<13} {number:>5}  {}",
        text_of(row, "kind"),
        text_of(row, "name")
    )
}

/// The form for people: a heading, what it means, causes and next steps, wrapped at 100 columns.
fn prose(row: &Value, paint: Paint) -> String {
    let number = row["number"]
        .as_i64()
        .map_or_else(String::new, |number| format!(" {number}"));
    let mut text = format!(
        "{}  {}",
        paint.bold(text_of(row, "name")),
        paint.dim(&format!("{}{number}", text_of(row, "kind")))
    );
    text.push_str(&wrapped(text_of(row, "means"), "  ", "  "));
    for (field, title) in [("causes", "why"), ("next", "next")] {
        let lines = row[field].as_array().map_or(&[][..], Vec::as_slice);
        for (index, line) in lines.iter().filter_map(Value::as_str).enumerate() {
            let title = if index == 0 { title } else { "" };
            text.push_str(&wrapped(line, &format!("  {title:<5} · "), "          "));
        }
    }
    text.push('\n');
    text
}

/// Breaks text into lines of at most 100 columns, each beginning with a line break and an indent.
pub(crate) fn wrapped(text: &str, first: &str, rest: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push('\n');
            lines.push_str(&line);
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push('\n');
    lines.push_str(&line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        let text = wrapped(&"word ".repeat(30), "  a ", "    ");
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  a word"));
        assert!(lines[1].starts_with("    word"));
        assert!(lines.iter().all(|line| line.len() <= 100));
    }
}
