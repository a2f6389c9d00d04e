//! Where messages come from: arguments, files, stdin or a pattern.
//!
//! The source runs on a thread of its own, which may wait for input as long as it likes, and hands over what it has
//! whenever it would have to wait: a line of a slow pipe leaves at once, the lines of a file leave by the thousand.
//! Bodies are slices of the blocks that were read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::args::{Args, InputForm};
use super::dress::Dress;
use super::ledger::Done;
use super::template::Template;
use crate::cli::exit::CliError;
use crate::cli::records;
use crate::client::{Message, MessageQueue};
use crate::node::Clock;

/// How much is read at a time.
const BLOCK: usize = 64 << 10;
/// A line longer than this is none: somebody sends the wrong file, or the wrong delimiter.
const LINE_MAX: usize = 64 << 20;
/// The most messages that are handed over together.
const CHUNK: usize = 1000;

/// One message of the input, or what was wrong with it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) message: Result<Message, CliError>,
    /// Messages with one key stay in order.
    pub(crate) order_key: Option<String>,
    /// The queue it goes to, whatever its key; none: by the key, or any.
    pub(crate) queue: Option<MessageQueue>,
}

/// Which part of the input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted from 1; empty lines count.
    pub(crate) number: u64,
    /// Where it begins in the input, in bytes.
    pub(crate) offset: Option<u64>,
    /// CRC-32 of its bytes, by which a later run knows it again; none for bodies that are made anew each time.
    pub(crate) crc: Option<u32>,
    pub(crate) is_line: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_line { "line" } else { "message" };
        write!(f, "{kind} {}", self.number)
    }
}

/// What the source makes messages from.
pub(super) enum Source {
    Bodies(Vec<Bytes>),
    Template(Template),
    Pieces {
        file: Option<File>,
        cut: Cut,
    },
    /// All of stdin is one body.
    Whole,
}

/// How a stream is cut into messages.
pub(super) struct Cut {
    delimiter: Vec<u8>,
    jsonl: bool,
}

impl Source {
    /// What the command line says; files are opened, and arguments read, now.
    pub(super) fn new(args: &Args) -> Result<Self, CliError> {
        if let Some(template) = &args.template {
            return Ok(Self::Template(template.clone()));
        }
        let cut = match (&args.delimiter, args.input) {
            (Some(delimiter), _) => Some(Cut {
                delimiter: delimiter.0.clone(),
                jsonl: false,
            }),
            (_, Some(InputForm::Jsonl)) => Some(Cut {
                delimiter: b"\n".to_vec(),
                jsonl: true,
            }),
            _ if args.lines || args.null => Some(Cut {
                delimiter: vec![if args.null { 0 } else { b'\n' }],
                jsonl: false,
            }),
            _ => None,
        };
        if let Some(cut) = cut {
            let file = match args.bodies.as_slice() {
                [] => None,
                [body] if body == "-" => None,
                [body] => Some(body.strip_prefix('@').ok_or_else(|| {
                    CliError::usage("the lines of an input are asked for, and a body is given")
                        .hint("leave one of them out, or name a file: @FILE")
                })?),
                _ => {
                    return Err(CliError::usage(
                        "one @FILE at a time can be cut into messages",
                    ));
                }
            };
            let file = file.map(open).transpose()?;
            if file.is_none() {
                stdin_is_given()?;
            }
            return Ok(Self::Pieces { file, cut });
        }
        if args.bodies.is_empty() {
            stdin_is_given()?;
            return Ok(Self::Whole);
        }
        let bodies = args.bodies.iter().map(|body| body_of(body));
        Ok(Self::Bodies(bodies.collect::<Result<_, _>>()?))
    }

    /// How many messages it will be, if that is known.
    pub(super) fn total(&self, count: u64) -> Option<u64> {
        match self {
            Self::Bodies(bodies) => Some(count.saturating_mul(bodies.len() as u64)),
            Self::Template(_) | Self::Whole => Some(count),
            Self::Pieces { .. } => None,
        }
    }

    /// Makes the messages, on the calling thread, until the input ends or nobody listens.
    pub(super) fn run(self, maker: Maker, out: mpsc::Sender<Vec<Item>>) {
        let mut chunks = Chunks {
            maker,
            chunk: Vec::new(),
            out,
            number: 0,
        };
        // Nobody listens any more: the command is over.
        let _gone = self.fill(&mut chunks).and_then(|()| chunks.flush());
    }

    fn fill(self, chunks: &mut Chunks) -> Result<(), Gone> {
        match self {
            Self::Bodies(bodies) => {
                for body in bodies {
                    chunks.copies(None, &body)?;
                }
                Ok(())
            }
            Self::Template(template) => {
                for number in 1..=chunks.maker.count {
                    let now_ms = chunks.maker.clock.now_ms();
                    let body = template.render(number, now_ms);
                    chunks.add(None, None, |topic| Ok(Message::new(topic, body)))?;
                }
                Ok(())
            }
            Self::Whole => {
                let mut body = Vec::new();
                match io::stdin().lock().read_to_end(&mut body) {
                    Ok(_) => chunks.copies(None, &body.into()),
                    Err(error) => chunks.broken(None, &error),
                }
            }
            Self::Pieces { file, cut } => match file {
                Some(file) => chunks.pieces(file, &cut),
                None => chunks.pieces(io::stdin().lock(), &cut),
            },
        }
    }
}

fn open(path: &str) -> Result<File, CliError> {
    File::options()
        .read(true)
        .open(path)
        .map_err(|error| CliError::unreadable(path, &error))
}

/// Text, `@file`, or `-` for stdin as a whole.
fn body_of(body: &str) -> Result<Bytes, CliError> {
    match body.strip_prefix('@') {
        Some(path) => {
            let body = std::fs::read(path).map_err(|error| CliError::unreadable(path, &error))?;
            Ok(body.into())
        }
        None if body == "-" => {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body)?;
            Ok(body.into())
        }
        None => Ok(body.to_owned().into()),
    }
}

/// A terminal on stdin where a body is expected is a mistake rather than a body.
fn stdin_is_given() -> Result<(), CliError> {
    if io::stdin().is_terminal() {
        return Err(CliError::usage("no body").hint(
            "give it as an argument, as @file, or on stdin (--lines: every line is a message)",
        ));
    }
    Ok(())
}

/// What makes a message of a body.
pub(super) struct Maker {
    pub(super) topic: String,
    pub(super) dress: Dress,
    pub(super) count: u64,
    pub(super) done: Done,
    pub(super) clock: Clock,
}

/// Nobody takes messages any more.
struct Gone;

/// Messages on their way to whoever sends them.
struct Chunks {
    maker: Maker,
    chunk: Vec<Item>,
    out: mpsc::Sender<Vec<Item>>,
    number: u64,
}

impl Chunks {
    /// Cuts a stream. Empty pieces count but are no messages: nothing can be sent of them.
    fn pieces(&mut self, mut input: impl Read, cut: &Cut) -> Result<(), Gone> {
        let mut buffer = BytesMut::new();
        let mut begins_at = 0_u64;
        // How much of the buffer is known to hold no delimiter.
        let mut searched = 0;
        loop {
            let filled = buffer.len();
            buffer.resize(filled + BLOCK, 0);
            let read = input.read(&mut buffer[filled..]);
            buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.broken(Some(begins_at), &error),
                Ok(0) => {
                    if !buffer.is_empty() {
                        self.cut_piece(begins_at, buffer.freeze(), cut)?;
                    }
                    return Ok(());
                }
                Ok(_) => {}
            }
            while let Some(at) = find(&buffer[searched..], &cut.delimiter) {
                let piece = buffer.split_to(searched + at + cut.delimiter.len());
                searched = 0;
                let size = piece.len();
                let mut piece = piece.freeze();
                piece.truncate(size - cut.delimiter.len());
                self.cut_piece(begins_at, piece, cut)?;
                begins_at += size as u64;
            }
            searched = buffer.len().saturating_sub(cut.delimiter.len() - 1);
            if buffer.len() > LINE_MAX {
                let error = io::Error::other(format!(
                    "it has more than {LINE_MAX} bytes without a delimiter"
                ));
                return self.broken(Some(begins_at), &error);
            }
            self.flush()?;
        }
    }

    fn cut_piece(&mut self, offset: u64, mut piece: Bytes, cut: &Cut) -> Result<(), Gone> {
        if cut.delimiter == b"\n" && piece.last() == Some(&b'\r') {
            piece.truncate(piece.len() - 1);
        }
        if piece.is_empty() {
            self.number += 1;
            return Ok(());
        }
        if !cut.jsonl {
            return self.copies(Some(offset), &piece);
        }
        for _ in 0..self.maker.count {
            let crc = crc32fast::hash(&piece);
            self.add(Some(offset), Some(crc), |topic| {
                let text = std::str::from_utf8(&piece).map_err(|error| error.to_string())?;
                records::read_row(topic, text)
            })?;
        }
        Ok(())
    }

    fn piece(&mut self, offset: Option<u64>, body: Bytes) -> Result<(), Gone> {
        let crc = crc32fast::hash(&body);
        self.add(offset, Some(crc), |topic| Ok(Message::new(topic, body)))
    }

    fn copies(&mut self, offset: Option<u64>, body: &Bytes) -> Result<(), Gone> {
        for _ in 0..self.maker.count {
            self.piece(offset, body.clone())?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        offset: Option<u64>,
        crc: Option<u32>,
        make: impl FnOnce(&str) -> Result<Message, String>,
    ) -> Result<(), Gone> {
        let place = self.place(offset, crc);
        match self.maker.done.contains(place) {
            Ok(false) => {}
            Ok(true) => return Ok(()),
            Err(error) => return self.hand(place, Err(error), None),
        }
        let dressed = make(&self.maker.topic).and_then(|message| self.maker.dress.put_on(message));
        let (message, order_key) = match dressed {
            Ok((message, key)) => (Ok(message), key),
            // On the command line it is a wrong argument, in a file it is wrong data.
            Err(reason) => (Err(CliError::failed(format!("{place}: {reason}"))), None),
        };
        self.hand(place, message, order_key)
    }

    fn broken(&mut self, offset: Option<u64>, error: &io::Error) -> Result<(), Gone> {
        let place = self.place(offset, None);
        let error = CliError::failed(format!("{place} cannot be read: {error}"));
        self.hand(place, Err(error), None)
    }

    fn place(&mut self, offset: Option<u64>, crc: Option<u32>) -> Place {
        self.number += 1;
        Place {
            number: self.number,
            offset,
            crc,
            is_line: self.maker.count == 1 && offset.is_some(),
        }
    }

    fn hand(
        &mut self,
        place: Place,
        message: Result<Message, CliError>,
        order_key: Option<String>,
    ) -> Result<(), Gone> {
        self.chunk.push(Item {
            place,
            message,
            order_key,
            queue: None,
        });
        if self.chunk.len() >= CHUNK {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.out.blocking_send(chunk).map_err(|_| Gone)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => haystack.iter().position(|there| there == byte),
        _ => haystack
            .windows(needle.len())
            .position(|there| there == needle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()));
            self.0 = later;
            out[..now.len()].copy_from_slice(now);
            Ok(now.len())
        }
    }

    fn cut(input: &[u8], delimiter: &[u8], jsonl: bool, drip: usize) -> Vec<Item> {
        let (out, mut chunks) = mpsc::channel(1000);
        let maker = Maker {
            topic: "T".into(),
            dress: Dress::default(),
            count: 1,
            done: Done::default(),
            clock: Clock::System,
        };
        let mut filling = Chunks {
            maker,
            chunk: Vec::new(),
            out,
            number: 0,
        };
        let cut = Cut {
            delimiter: delimiter.to_vec(),
            jsonl,
        };
        assert!(filling.pieces(Drip(input, drip), &cut).is_ok());
        assert!(filling.flush().is_ok());
        drop(filling);
        std::iter::from_fn(|| chunks.try_recv().ok())
            .flatten()
            .collect()
    }

    fn pieces(input: &[u8], delimiter: &[u8]) -> Vec<(u64, u64, String)> {
        let read = |drip| -> Vec<(u64, u64, String)> {
            cut(input, delimiter, false, drip)
                .into_iter()
                .map(|item| {
                    let body = item.message.unwrap().body().to_vec();
                    (
                        item.place.number,
                        item.place.offset.unwrap(),
                        String::from_utf8(body).unwrap(),
                    )
                })
                .collect()
        };
        let all = read(100_000);
        for drip in 1..5 {
            assert_eq!(read(drip), all, "{drip} bytes at a time");
        }
        all
    }

    #[test]
    fn lines_have_numbers_and_places() {
        let lines = pieces(b"one\r\n\ntwo\n\nlast", b"\n");
        assert_eq!(
            lines,
            [
                (1, 0, "one".into()),
                (3, 6, "two".into()),
                (5, 11, "last".into())
            ]
        );
    }

    #[test]
    fn other_delimiters_cut_as_well() {
        assert_eq!(
            pieces(b"a\n--b----", b"--"),
            [(1, 0, "a\n".into()), (2, 4, "b".into())]
        );
        assert_eq!(
            pieces(b"a\0b", b"\0"),
            [(1, 0, "a".into()), (2, 2, "b".into())]
        );
        assert!(pieces(b"", b"\n").is_empty());
    }

    #[test]
    fn a_line_that_is_no_message_is_named() {
        let items = cut(
            b"{\"body\":\"a\"}\nnonsense\n{\"body\":\"b\"}\n",
            b"\n",
            true,
            7,
        );
        let said = items[1].message.as_ref().unwrap_err().to_string();
        assert!(said.starts_with("line 2: expected"), "{said}");
        assert!(items[0].message.is_ok() && items[2].message.is_ok());
    }
}
