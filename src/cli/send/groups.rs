//! Puts inputs together into what travels as one request.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::input::Input;
use crate::cli::exit::CliError;
use crate::client::Message;

/// How long a batch waits for its next line before it leaves with what it has.
const LINGER: Duration = Duration::from_millis(50);

/// A message and what to call it.
pub(super) type Named = (String, Message);

/// Inputs, repeated as often as asked for and gathered into groups.
pub(super) struct Groups {
    inputs: mpsc::Receiver<Input>,
    repeat: u64,
    size: usize,
    /// The message that is being repeated, how often it still is, and what its next repetition is called.
    current: Option<(Named, u64)>,
    group: Vec<Named>,
    /// An input that could not be read; told after the group before it.
    failed: Option<CliError>,
}

impl Groups {
    pub(super) fn new(inputs: mpsc::Receiver<Input>, repeat: u64, size: u32) -> Self {
        Self {
            inputs,
            repeat,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            current: None,
            group: Vec::new(),
            failed: None,
        }
    }

    /// The next group, or an input that could not be read; `None` at the end. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Named>, CliError>> {
        loop {
            self.repeat_current();
            let full = self.group.len() >= self.size;
            if full || (self.failed.is_some() && !self.group.is_empty()) {
                return Some(Ok(std::mem::take(&mut self.group)));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let received = if self.group.is_empty() {
                self.inputs.recv().await
            } else {
                match timeout(LINGER, self.inputs.recv()).await {
                    Ok(received) => received,
                    Err(_elapsed) => return Some(Ok(std::mem::take(&mut self.group))),
                }
            };
            match received {
                Some(Input { name, message }) => match message {
                    Ok(message) => self.current = Some(((name, message), 0)),
                    Err(error) => self.failed = Some(error),
                },
                None if self.group.is_empty() => return None,
                None => return Some(Ok(std::mem::take(&mut self.group))),
            }
        }
    }

    fn repeat_current(&mut self) {
        while self.group.len() < self.size {
            let Some(((name, message), done)) = &mut self.current else {
                return;
            };
            if *done >= self.repeat {
                self.current = None;
                return;
            }
            *done += 1;
            let name = if self.repeat > 1 {
                format!("{name} (copy {done})")
            } else {
                name.clone()
            };
            self.group.push((name, message.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn groups(bodies: &[&str], repeat: u64, size: u32) -> Vec<Vec<String>> {
        let (out, inputs) = mpsc::channel(10);
        for body in bodies {
            let message = match *body {
                "bad" => Err(CliError::failed("bad")),
                body => Ok(Message::new("T", body.to_owned())),
            };
            let name = (*body).to_owned();
            out.send(Input { name, message }).await.unwrap();
        }
        drop(out);
        let mut groups = Groups::new(inputs, repeat, size);
        let mut all = Vec::new();
        while let Some(group) = groups.next().await {
            all.push(match group {
                Ok(group) => group.into_iter().map(|(name, _)| name).collect(),
                Err(error) => vec![format!("error {error}")],
            });
        }
        all
    }

    #[tokio::test]
    async fn batches_fill_up() {
        let all = groups(&["a", "b", "c"], 1, 2).await;
        assert_eq!(all, [vec!["a", "b"], vec!["c"]]);
        let all = groups(&["a", "b"], 1, 1).await;
        assert_eq!(all, [vec!["a"], vec!["b"]]);
    }

    #[tokio::test]
    async fn copies_are_numbered() {
        let all = groups(&["a"], 3, 2).await;
        assert_eq!(all, [vec!["a (copy 1)", "a (copy 2)"], vec!["a (copy 3)"]]);
        assert!(groups(&["a"], 0, 2).await.is_empty());
    }

    #[tokio::test]
    async fn an_unreadable_input_ends_a_group() {
        let all = groups(&["a", "bad", "b"], 1, 5).await;
        assert_eq!(all, [vec!["a"], vec!["error bad"], vec!["b"]]);
    }
}
