//! Where bodies come from: arguments, files and stdin.

use std::io::{self, BufRead, IsTerminal as _, Read as _};

use tokio::sync::mpsc;

use crate::cli::exit::CliError;
use crate::cli::records;
use crate::client::Message;

/// How stdin is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is one body.
    Whole,
    /// Every piece that ends with this byte is one.
    At(u8),
    /// Every line is an object that `consume -o jsonl` printed.
    Jsonl,
}

/// One body, or a whole message that was printed before.
#[derive(Debug)]
pub(super) struct Input {
    /// For people: which one it is.
    pub(super) name: String,
    pub(super) message: Result<Message, CliError>,
}

/// The bodies of the command line: text, `@file`, or `-` for stdin as a whole.
pub(super) fn from_arguments(topic: &str, bodies: &[String]) -> Result<Vec<Input>, CliError> {
    bodies
        .iter()
        .enumerate()
        .map(|(nth, body)| {
            let body = match body.strip_prefix('@') {
                Some(path) => read_file(path)?,
                None if body == "-" => read_stdin()?,
                None => body.clone().into_bytes(),
            };
            Ok(Input {
                name: format!("message {}", nth + 1),
                message: Ok(Message::new(topic, body)),
            })
        })
        .collect()
}

fn read_file(path: &str) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        let kind = CliError::from(io::Error::from(error.kind()));
        CliError::new(kind.exit(), format!("cannot read {path}: {error}"))
    })
}

fn read_stdin() -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    Ok(body)
}

/// A terminal on stdin where a body is expected is a mistake rather than a body.
pub(super) fn stdin_is_given() -> Result<(), CliError> {
    if io::stdin().is_terminal() {
        return Err(CliError::usage("no body").hint(
            "give it as an argument, as @file, or on stdin (--lines: every line is a message)",
        ));
    }
    Ok(())
}

/// Reads stdin on the calling thread, which may block for long, until it ends or nobody listens.
pub(super) fn read_stdin_into(topic: &str, cut: Cut, out: &mpsc::Sender<Input>) {
    let mut stdin = io::stdin().lock();
    if cut == Cut::Whole {
        let message = read_stdin_body(&mut stdin, topic);
        let name = "stdin".to_owned();
        // The receiver is gone only if the command has ended.
        let _ = out.blocking_send(Input { name, message });
        return;
    }
    let delimiter = match cut {
        Cut::At(delimiter) => delimiter,
        Cut::Whole | Cut::Jsonl => b'\n',
    };
    for nth in 1_u64.. {
        let mut piece = Vec::new();
        let read = stdin.read_until(delimiter, &mut piece);
        let name = format!("line {nth}");
        let message = match read {
            Ok(0) => return,
            Ok(_) => {
                trim_end(&mut piece, delimiter);
                // Nothing can be sent of an empty line.
                if piece.is_empty() {
                    continue;
                }
                match cut {
                    Cut::Jsonl => from_json(topic, &piece, &name),
                    Cut::Whole | Cut::At(_) => Ok(Message::new(topic, piece)),
                }
            }
            Err(error) => Err(CliError::failed(format!("cannot read stdin: {error}"))),
        };
        let failed = message.is_err() && cut != Cut::Jsonl;
        if out.blocking_send(Input { name, message }).is_err() || failed {
            return;
        }
    }
}

fn read_stdin_body(stdin: &mut impl io::Read, topic: &str) -> Result<Message, CliError> {
    let mut body = Vec::new();
    stdin.read_to_end(&mut body)?;
    Ok(Message::new(topic, body))
}

fn from_json(topic: &str, piece: &[u8], name: &str) -> Result<Message, CliError> {
    let refuse = |reason: String| CliError::usage(format!("{name}: {reason}"));
    let text = std::str::from_utf8(piece).map_err(|error| refuse(error.to_string()))?;
    records::read_row(topic, text).map_err(refuse)
}

fn trim_end(piece: &mut Vec<u8>, delimiter: u8) {
    if piece.last() == Some(&delimiter) {
        piece.pop();
    }
    if delimiter == b'\n' && piece.last() == Some(&b'\r') {
        piece.pop();
    }
}
