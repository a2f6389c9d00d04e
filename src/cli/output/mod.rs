//! Where results and talk go, and in which form.
//!
//! stdout carries data only; notes, warnings, progress and questions go to stderr. A command describes its
//! rows once, as JSON objects and a list of [`Column`]s, and the format the user chose does the rest.

mod paint;
mod progress;
mod prompt;
mod render;
pub(crate) mod yaml;

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

pub(crate) use paint::Paint;
pub(crate) use progress::{Progress, Unit};
pub(crate) use render::{Column, human_bytes};

use super::args::Global;
use super::exit::CliError;
use render::Render;

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for reading
    Table,
    /// The table with all its columns
    Wide,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// YAML documents
    Yaml,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values without a header
    Tsv,
    /// Only the name of each thing, one a line
    Name,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or TERM is dumb
    Auto,
    /// Also in a pipe
    Always,
    /// Never
    Never,
}

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    format: Option<Format>,
    columns: Vec<String>,
    stdout_terminal: bool,
    stdout_paint: Paint,
    stderr_paint: Paint,
    progress: bool,
}

#[allow(
    clippy::unused_self,
    reason = "who prints or asks holds the output, whether the call needs its fields or not"
)]
impl Output {
    /// Looks at the options, the streams and the environment once.
    pub(crate) fn new(global: &Global) -> Self {
        let stdout_terminal = io::stdout().is_terminal();
        let stderr_terminal = io::stderr().is_terminal();
        let color = global.color.unwrap_or(ColorChoice::Auto);
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format: global.output,
            columns: global.columns.clone(),
            stdout_terminal,
            stdout_paint: Paint::new(color, stdout_terminal),
            stderr_paint: Paint::new(color, stderr_terminal),
            progress: stderr_terminal && !global.no_progress && !dumb,
        }
    }

    /// Prints a list that is known as a whole: a table on a terminal, tsv in a pipe.
    pub(crate) fn rows(
        &self,
        columns: &'static [Column],
        rows: impl IntoIterator<Item = Value>,
    ) -> Result<(), CliError> {
        let format = self.format.unwrap_or(if self.stdout_terminal {
            Format::Table
        } else {
            Format::Tsv
        });
        let mut sheet = self.sheet_with(render::of(format, columns, &self.columns, None), false);
        for row in rows {
            sheet.row(&row)?;
        }
        sheet.finish()
    }

    /// A stream that may never end: each row leaves at once. On a terminal (and with `-o table`) a row is the line
    /// that `line` makes of it, in a pipe the default is jsonl.
    pub(crate) fn stream<'a>(
        &self,
        columns: &'static [Column],
        line: &'a dyn Fn(&Value) -> String,
    ) -> Sheet<'a> {
        let format = self.stream_format();
        let line = self.columns.is_empty().then_some(line);
        let renderer = render::of(format, columns, &self.columns, line);
        self.sheet_with(renderer, true)
    }

    /// A long list of things that are all there already: what [`Output::stream`] prints, without sending each row on
    /// its own.
    pub(crate) fn listing<'a>(
        &self,
        columns: &'static [Column],
        line: &'a dyn Fn(&Value) -> String,
    ) -> Sheet<'a> {
        let line = self.columns.is_empty().then_some(line);
        let renderer = render::of(self.stream_format(), columns, &self.columns, line);
        self.sheet_with(renderer, false)
    }

    /// The format a stream has: the one asked for, or table on a terminal and jsonl in a pipe.
    pub(crate) fn stream_format(&self) -> Format {
        self.format.unwrap_or(if self.stdout_terminal {
            Format::Table
        } else {
            Format::Jsonl
        })
    }

    fn sheet_with<'a>(&self, renderer: Box<dyn Render + 'a>, flush_each: bool) -> Sheet<'a> {
        Sheet {
            renderer,
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            flush_each,
            begun: false,
        }
    }

    /// Writes bytes to stdout as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// The format asked for with `-o`, if any.
    pub(crate) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether stdout is a terminal.
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        self.stdout_terminal
    }

    /// Talk: one line on stderr. A closed stderr is nobody's problem.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A warning: one line on stderr.
    pub(crate) fn warn(&self, text: &str) {
        let mark = self.stderr_paint.yellow("warning:");
        let _ = writeln!(io::stderr().lock(), "{mark} {text}");
    }

    /// Colours for text on stdout.
    pub(crate) fn paint(&self) -> Paint {
        self.stdout_paint
    }

    /// Colours for text on stderr.
    pub(crate) fn stderr_paint(&self) -> Paint {
        self.stderr_paint
    }

    /// A progress bar on stderr; it shows itself only on a terminal and only when the work takes over a second.
    pub(crate) fn progress(&self, total: u64, unit: Unit) -> Progress {
        Progress::new(self.progress, total, unit)
    }

    /// Whether somebody can answer a question. A command that must ask and cannot ends with exit 2 or the error at hand,
    /// naming the flag that answers beforehand.
    pub(crate) fn can_ask(&self) -> bool {
        prompt::can_ask()
    }

    /// Asks for a line of text; only after [`Output::can_ask`].
    pub(crate) fn ask_for(&self, question: &str) -> Result<String, CliError> {
        prompt::ask_for(question)
    }

    /// Asks yes or no; only after [`Output::can_ask`].
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, CliError> {
        prompt::confirm(question)
    }
}

/// Rows on their way to stdout.
pub(crate) struct Sheet<'a> {
    renderer: Box<dyn Render + 'a>,
    out: BufWriter<io::Stdout>,
    flush_each: bool,
    begun: bool,
}

impl Sheet<'_> {
    /// Prints one row, a JSON object.
    pub(crate) fn row(&mut self, row: &Value) -> Result<(), CliError> {
        self.begin()?;
        self.renderer.row(row, &mut self.out)?;
        if self.flush_each {
            self.out.flush()?;
        }
        Ok(())
    }

    /// Hands what was printed to whoever reads it; for a listing whose rows come bit by bit.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }

    /// Prints what only the end can print (a table, the bracket of a JSON array).
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.begin()?;
        self.renderer.end(&mut self.out)?;
        self.out.flush()?;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        self.renderer.begin(&mut self.out)
    }
}
