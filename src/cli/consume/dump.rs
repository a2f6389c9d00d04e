//! `--dump`: every message in a directory, its body as a file of its own.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::exit::CliError;
use crate::cli::records;
use crate::client::Received;

/// The file that holds all messages, in the form `rmq send --input jsonl` takes.
const MESSAGES: &str = "messages.jsonl";

/// A directory that messages are written to.
#[derive(Debug)]
pub(super) struct Dump {
    dir: PathBuf,
    messages: File,
}

impl Dump {
    /// Makes the directory if it is not there. What is in it stays; messages that are dumped again replace their files.
    pub(super) fn open(dir: &Path) -> Result<Self, CliError> {
        let named = |error: std::io::Error| {
            let place = dir.display();
            CliError::from(std::io::Error::new(
                error.kind(),
                format!("--dump {place}: {error}"),
            ))
        };
        fs::create_dir_all(dir).map_err(named)?;
        let messages = OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(MESSAGES))
            .map_err(named)?;
        Ok(Self {
            dir: dir.to_owned(),
            messages,
        })
    }

    /// Writes one message; `body` is the one to write.
    pub(super) fn write(
        &mut self,
        message: &Received,
        body: &[u8],
        utc: bool,
    ) -> Result<(), CliError> {
        let path = self.dir.join(file_name(message));
        fs::write(&path, body).map_err(|error| {
            let place = path.display();
            std::io::Error::new(error.kind(), format!("{place}: {error}"))
        })?;
        let row = records::row_with(message, body, records::BodyForm::Auto, utc);
        // One write for one line: a reader never sees half of one.
        Ok(self.messages.write_all(format!("{row}\n").as_bytes())?)
    }
}

/// The place of a message as a name, in the order of its queue.
fn file_name(message: &Received) -> String {
    let name = format!(
        "{}-{}-{:020}",
        message.queue.broker, message.queue.queue, message.queue_offset
    );
    // Names come from a broker; none of them may lead out of the directory.
    let name: String = name
        .chars()
        .map(|c| {
            if matches!(c, '/' | '\\' | '\0' | ':') {
                '_'
            } else {
                c
            }
        })
        .collect();
    if message.queue.topic.is_retry() {
        format!("retry-{name}.body")
    } else {
        format!("{name}.body")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::consume::tests::received;

    #[test]
    fn a_message_is_two_things() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new");
        for _ in 0..2 {
            let mut dump = Dump::open(&target).unwrap();
            let message = received(b"\xffbytes");
            dump.write(&message, message.body(), true).unwrap();
        }
        let body = fs::read(target.join("broker-a-2-00000000000000000017.body")).unwrap();
        assert_eq!(body, b"\xffbytes");
        let lines = fs::read_to_string(target.join(MESSAGES)).unwrap();
        assert_eq!(lines.lines().count(), 2);
        let line = lines.lines().next().unwrap();
        let message = records::read_row("T", line).unwrap();
        assert_eq!(message.body().as_ref(), b"\xffbytes");
    }
}
